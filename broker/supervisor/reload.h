/*
 * The policy in force and its changes: garasuctl reload, pending, approve, reject.
 *
 *   NONE ── reload, two_person = 0 ─────────────► RECORDING (the change) ── recorded ──► applied, NONE
 *     └──── reload, two_person = 1 ──► RECORDING (the proposal) ── recorded ──► PENDING ── approve ──┘
 *                                                                                  └── reject ──► NONE
 *
 * One change at a time: what somebody approves is so exactly what is applied. A pending one is forgotten when the broker ends.
 */
#ifndef GARASU_BROKER_SUPERVISOR_RELOAD_H
#define GARASU_BROKER_SUPERVISOR_RELOAD_H

#include "broker/config/check.h"
#include "broker/config/difference.h"
#include "broker/ipc/ipc.h"
#include "broker/supervisor/policy_text.h"

#include <time.h>

#define GR_RELOAD_DIFFERENCES_MAX 1024 /* of one change; a larger one is to be made in parts */
#define GR_RELOAD_ROWS_MAX 100 /* lines of an answer */

struct gr_supervisor;

enum gr_reload_state { GR_RELOAD_NONE, GR_RELOAD_RECORDING, GR_RELOAD_PENDING };

/* The change that is under way. */
struct gr_reload {
	enum gr_reload_state state;
	int change; /* RECORDING: the change itself, not its proposal */
	char id[9];
	char proposer[GR_PERSON_MAX + 8], reason[256];
	char approver[GR_PERSON_MAX + 8]; /* empty: nobody had to */
	time_t since;
	struct gr_policy_text text;
	struct gr_config config; /* as text says */
	int has_config;
	char (*differences)[GR_DIFFERENCE_TEXT]; /* owned */
	unsigned count;
	uint64_t number; /* the request that waits for its answer */
	unsigned unanswered; /* events that wait for their acknowledgement */
	int not_recorded; /* one of them could not be written */
};

typedef unsigned (*gr_reload_check)(const struct gr_config *config, gr_check_found found, void *context);

/*
 * At the start, once the record can be written: what is in force is recorded, with what differs from the last life's, and kept for the next
 * one. Negative: the state folder cannot be used.
 */
int gr_reload_begin(struct gr_supervisor *supervisor, struct gr_error *err);
void gr_reload_finish(struct gr_supervisor *supervisor);

/* ADMIN_RELOAD, PENDING, APPROVE, REJECT: each answers, now or when the record is written. */
void gr_reload_request(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);
void gr_reload_pending(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);
void gr_reload_approve(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);
void gr_reload_reject(struct gr_supervisor *supervisor, const struct gr_ipc_message *request);

#endif
