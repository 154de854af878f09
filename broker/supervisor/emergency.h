/* The emergency (緊急時対応): who is cut off has no session and gets none (cutoff.h); garasuctl cutoff and restore. */
#ifndef GARASU_BROKER_SUPERVISOR_EMERGENCY_H
#define GARASU_BROKER_SUPERVISOR_EMERGENCY_H

#include "broker/ipc/ipc.h"
#include "broker/supervisor/cutoff.h"

struct gr_supervisor;

struct gr_emergency {
	struct gr_cutoffs cutoffs;
	struct gr_ipc_message restore; /* the request whose record is being written; type 0 = none */
};

/* Reads what an earlier life left, from the state folder. GR_EPROTO when that cannot be understood: the broker must not start. */
int gr_emergency_begin(struct gr_supervisor *supervisor, struct gr_error *err);

/* Whether the person is cut off. */
int gr_emergency_holds(const struct gr_supervisor *supervisor, const char *person);

/* ADMIN_CUTOFF, ADMIN_RESTORE: each answers. */
void gr_emergency_cutoff(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);
void gr_emergency_restore(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);

/* One ROW for each entry: subject = group, actor, person = since (RFC 3339), text = why, reason = CUT_OFF or NONE (let back). */
void gr_emergency_rows(struct gr_supervisor *supervisor, uint64_t number);

#endif
