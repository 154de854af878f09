/*
 * The supervisor's side of the audit record (broker/audit/audit.h): events in flight with what waits for them. Every event
 * asks for an acknowledgement; what the audit process did not acknowledge before it died is sent again to the next one.
 * Other than broker/audit/client.h it gives every permission a deadline, within which the audit process may be started again.
 */
#ifndef GARASU_BROKER_SUPERVISOR_RECORDER_H
#define GARASU_BROKER_SUPERVISOR_RECORDER_H

#include "broker/audit/audit.h"
#include "common/loop.h"

#include <stddef.h>

#define GR_RECORDER_MAX 1024 /* events in flight or waiting to be sent again */
#define GR_RECORDER_DEADLINE_MS 5000 /* of an event that permits something */

enum gr_recorder_purpose {
	GR_RECORDER_PERMIT, /* something waits for it: given up after the deadline, or at once when it cannot be written */
	GR_RECORDER_KEEP, /* tells what has happened: tried again until it is written */
};

/* recorded: 1 = durably written; 0 = not, and nothing may be permitted on its account. */
typedef void (*gr_recorder_answered)(void *context, uint64_t number, int recorded);

struct gr_recorder;

/* Borrows loop. Returns owned, not connected yet; NULL when out of memory. */
struct gr_recorder *gr_recorder_create(struct gr_loop *loop);
void gr_recorder_destroy(struct gr_recorder *recorder); /* forgets what is in flight, calls nobody; NULL allowed */

/* Takes the socket to an audit process and sends what waits. An earlier socket is closed. */
void gr_recorder_connect(struct gr_recorder *recorder, int sock);
/* The audit process is gone: events wait for the next one. */
void gr_recorder_disconnect(struct gr_recorder *recorder);

/*
 * Sends *event (copied; its token is overwritten). answered (may be NULL) is called once, later, never from within.
 * GR_EFULL, GR_ENOMEM: it was not taken and answered will not be called: treat it as not recorded.
 */
int gr_recorder_record(struct gr_recorder *recorder, const struct gr_audit_event *event, enum gr_recorder_purpose purpose,
	gr_recorder_answered answered, void *context, uint64_t number);

/* What has not been acknowledged yet. */
size_t gr_recorder_pending(const struct gr_recorder *recorder);
/* Whether the audit process is there and wrote what it was last given; the last sequence number that it told. */
int gr_recorder_available(const struct gr_recorder *recorder, uint64_t *sequence_out);

#endif
