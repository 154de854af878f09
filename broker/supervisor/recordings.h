/*
 * Recordings of connections whose policy says so (docs/RECORDING.md): this process makes the file and the record of it, the gateway
 * writes it.
 *
 *   NONE ── file made, RECORD sent ──► OPENING ── RECORDED: its header is on the disk ──► STARTING ── START recorded ──► RUNNING
 *     └───────────── not wanted ────────── it has ended, or failed ─────────────────────────────────────────┴──► OVER
 *
 * No viewer gets its session before RUNNING or OVER. Whoever must be recorded and cannot be is refused, or the session ended.
 */
#ifndef GARASU_BROKER_SUPERVISOR_RECORDINGS_H
#define GARASU_BROKER_SUPERVISOR_RECORDINGS_H

#include "broker/config/config.h"
#include "broker/ipc/ipc.h"

#include <stdint.h>

#define GR_RECORDING_FILE_MAX 64 /* YYYY-MM-DD/0123456789abcdef-4294967295.grec */

struct gr_supervisor;
struct gr_connection;

enum gr_recording_state {
	GR_RECORDING_STATE_NONE,
	GR_RECORDING_STATE_OPENING,
	GR_RECORDING_STATE_STARTING,
	GR_RECORDING_STATE_RUNNING,
	GR_RECORDING_STATE_OVER,
};

struct gr_recording {
	enum gr_recording_state state;
	int required;
	char file[GR_RECORDING_FILE_MAX];
	uint64_t chunks, bytes; /* as last told */
	char hash[80];
};

/* The supervisor's own. */
struct gr_recordings {
	uint64_t usage; /* bytes of the folder */
	uint64_t looked_ms; /* when it was last counted; 0 = never */
	struct gr_recordings_prune *prune; /* the one under way, NULL = none */
};
void gr_recordings_finish(struct gr_supervisor *supervisor);

/* The connection, recorded with its session, is about to see it: begins what its policy wants. It may be refused in here. */
void gr_recording_begin(struct gr_connection *connection);
/* Whether nothing stands in the way of its session any more. */
int gr_recording_settled(const struct gr_connection *connection);
/* RECORDED from its gateway. GR_EPROTO. */
int gr_recording_message(struct gr_connection *connection, const struct gr_ipc_message *message);
/* Its gateway has ended: a recording without a last word is recorded as failed. */
void gr_recording_lost(struct gr_connection *connection);

/*
 * ADMIN_PRUNE of recordings: removes what is older than retention.recordings_days, each file when its removal is recorded. Answers
 * with ADMIN_DONE by itself, later.
 */
void gr_recordings_prune(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

#endif
