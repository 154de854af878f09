/*
 * Pruning (docs/AUDIT.md §6): of full segments the lines of one sort that are older than an age are replaced by what is left of a
 * pruned record. One segment at a time: the new file is written and flushed beside the old one, then the prune record is
 * written durably, then the new file takes the old one's place. However it is interrupted the record holds: at worst a
 * prune record speaks of lines that are still there.
 */
#ifndef GARASU_BROKER_AUDIT_PRUNE_H
#define GARASU_BROKER_AUDIT_PRUNE_H

#include "broker/audit/segment.h"
#include "broker/ipc/ipc.h"
#include "common/loop.h"

#define GR_AUDIT_PRUNE_FILE "prune.tmp" /* in the folder of segments */

enum gr_audit_prune_sort {
	GR_AUDIT_PRUNE_EGRESS = 1, /* egress.request, egress.refused, egress.end */
	GR_AUDIT_PRUNE_RECORDS, /* all others but prune */
};
/* "egress", "records"; 0 for another word. */
enum gr_audit_prune_sort gr_audit_prune_sort_of(const char *word);

struct gr_audit_pruned { /* of one segment */
	uint64_t first, last, count; /* sequence numbers; count 0: nothing to do, and no file was made */
};

/*
 * Writes GR_AUDIT_PRUNE_FILE for a full segment of the folder log (borrowed), durably. before: as in a line, older ones go. GR_ENOENT: there
 * is no such full segment; GR_EPROTO: it does not hold, and is left alone; GR_EFULL, GR_EIO.
 */
int gr_audit_prune_prepare(int log, uint64_t number, enum gr_audit_prune_sort sort,
			   const char before[GR_AUDIT_TIME_TEXT], struct gr_audit_pruned *out, struct gr_error *err);
/* It takes the segment's place, durably. GR_EIO. */
int gr_audit_prune_apply(int log, uint64_t number, struct gr_error *err);

/* ---- in the audit process: between its events ---- */

struct gr_audit_pruner;

struct gr_audit_pruner_hooks {
	int (*record)(void *record_context, const struct gr_audit_event *event); /* 0 when it is written durably */
	void *record_context;
	void (*changed)(void *context, uint64_t segment); /* it was written anew; may be NULL */
	void (*answer)(void *context, const struct gr_ipc_message *message); /* GR_IPC_PRUNED */
	void *context;
};

/* Borrows all of it. NULL: no memory. */
struct gr_audit_pruner *gr_audit_pruner_create(struct gr_loop *loop, int log,
					       const struct gr_audit_pruner_hooks *hooks);
void gr_audit_pruner_destroy(struct gr_audit_pruner *pruner); /* NULL allowed; what was begun stays as far as it came */
/* On GR_IPC_PRUNE. Answered later, or at once when it cannot be. */
void gr_audit_pruner_start(struct gr_audit_pruner *pruner, const struct gr_ipc_message *message);

#endif
