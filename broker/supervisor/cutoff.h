/*
 * Who is cut off in an emergency (緊急時対応): everybody, or groups. A cut-off stays until it is taken back, over restarts too. Pure: what
 * it means for sessions is supervisor.h's.
 *
 * The last word counts: "everybody" forgets what was said of groups before; a group can be cut off, or let back while everybody
 * else is cut off. Persons of no group have only "everybody".
 */
#ifndef GARASU_BROKER_SUPERVISOR_CUTOFF_H
#define GARASU_BROKER_SUPERVISOR_CUTOFF_H

#include "broker/config/config.h"

#define GR_CUTOFF_REASON 200 /* bytes with the terminator */
#define GR_CUTOFF_MAX (GR_CONFIG_GROUPS_MAX + 1) /* entries */
#define GR_CUTOFF_FILE "cutoff" /* in the state folder */
#define GR_CUTOFF_LINE (64 + GR_PERSON_MAX + 104 + GR_CUTOFF_REASON) /* bytes of one entry in the file at most */

struct gr_cutoff {
	int back; /* not cut off: let back while everybody is */
	int64_t since; /* seconds since 1970 */
	char group[104]; /* "" = everybody */
	char actor[GR_PERSON_MAX + 8];
	char reason[GR_CUTOFF_REASON];
};

struct gr_cutoffs {
	unsigned count;
	struct gr_cutoff list[GR_CUTOFF_MAX];
};

/* group: a name, or "" for everybody. GR_EEXIST: it is cut off already; GR_EFULL. */
int gr_cutoffs_cut(struct gr_cutoffs *cutoffs, const char *group, const char *actor, const char *reason, int64_t since);
/* GR_ENOENT: it is not cut off. */
int gr_cutoffs_restore(struct gr_cutoffs *cutoffs, const char *group, const char *actor, const char *reason,
		       int64_t since);

/* The entry by which a person of this group (NULL or "" = of none) is cut off, or NULL. */
const struct gr_cutoff *gr_cutoffs_find(const struct gr_cutoffs *cutoffs, const char *group);

/* The file: one line an entry. Returns owned, NULL when out of memory. */
char *gr_cutoffs_write(const struct gr_cutoffs *cutoffs, size_t *size_out);
/* GR_EPROTO: it is not what gr_cutoffs_write wrote. bytes has a zero behind its end, and is changed. */
int gr_cutoffs_read(struct gr_cutoffs *cutoffs, char *bytes, size_t size);

#endif
