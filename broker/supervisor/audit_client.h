/*
 * The sender's side of the audit record (broker/audit/audit.h): events in flight with what waits for them. Every event
 * asks for an acknowledgement; what the audit process did not acknowledge before it died is sent again to the next one.
 */
#ifndef GARASU_BROKER_SUPERVISOR_AUDIT_CLIENT_H
#define GARASU_BROKER_SUPERVISOR_AUDIT_CLIENT_H

#include "broker/audit/audit.h"
#include "common/loop.h"

#include <stddef.h>

#define GR_AUDIT_CLIENT_MAX 1024 /* events in flight or waiting to be sent again */
#define GR_AUDIT_CLIENT_DEADLINE_MS 5000 /* of an event that permits something */

enum gr_audit_purpose {
	GR_AUDIT_PERMIT, /* something waits for it: given up after the deadline, or at once when it cannot be written */
	GR_AUDIT_KEEP, /* tells what has happened: tried again until it is written */
};

/* recorded: 1 = durably written; 0 = not, and nothing may be permitted on its account. */
typedef void (*gr_audit_answered)(void *context, uint64_t number, int recorded);

struct gr_audit_client;

/* Borrows loop. Returns owned, not connected yet; NULL when out of memory. */
struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop);
void gr_audit_client_destroy(struct gr_audit_client *client); /* forgets what is in flight, calls nobody; NULL allowed */

/* Takes the socket to an audit process and sends what waits. An earlier socket is closed. */
void gr_audit_client_connect(struct gr_audit_client *client, int sock);
/* The audit process is gone: events wait for the next one. */
void gr_audit_client_disconnect(struct gr_audit_client *client);

/*
 * Sends *event (copied; its token is overwritten). answered (may be NULL) is called once, later, never from within.
 * GR_EFULL, GR_ENOMEM: it was not taken and answered will not be called: treat it as not recorded.
 */
int gr_audit_client_record(struct gr_audit_client *client, const struct gr_audit_event *event, enum gr_audit_purpose purpose,
	gr_audit_answered answered, void *context, uint64_t number);

/* What has not been acknowledged yet. */
size_t gr_audit_client_pending(const struct gr_audit_client *client);
/* Whether the audit process is there and wrote what it was last given; the last sequence number that it told. */
int gr_audit_client_available(const struct gr_audit_client *client, uint64_t *sequence_out);

#endif
