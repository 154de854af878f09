/*
 * A source's end of the audit process: events in flight with what waits for them. Two sorts:
 *
 *   permit  something waits for the answer: it comes within GR_AUDIT_DEADLINE_MS, within which the audit process may be
 *           started again, or at once when the record cannot be written. Without a yes nothing may be permitted.
 *   keep    tells what has happened: kept here, and sent again until it is in the record or in the audit process's reserve.
 *
 * What an audit process did not acknowledge before it died is sent again to the next one, so that an event may stand in the
 * record twice when it died between writing and answering.
 */
#ifndef GARASU_BROKER_AUDIT_CLIENT_H
#define GARASU_BROKER_AUDIT_CLIENT_H

#include "broker/audit/audit.h"
#include "common/loop.h"

#include <stddef.h>

#define GR_AUDIT_QUEUE_MAX 4096 /* events in flight or waiting to be sent (again), of both sorts together */
#define GR_AUDIT_DEADLINE_MS 5000 /* of an event that permits something */

struct gr_audit_client;

/* recorded: 1 = durably written; 0 = not, and nothing may be permitted on its account. context and number as given. */
typedef void (*gr_audit_answered)(void *context, uint64_t number, int recorded);

/* Borrows loop, which must outlive it. Returns owned, not connected yet; NULL when out of memory. */
struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop, enum gr_audit_source source);
void gr_audit_client_destroy(
	struct gr_audit_client *client); /* forgets what is in flight, calls nobody; NULL allowed */

/* Takes the socket to an audit process and sends what waits. An earlier socket is closed. */
void gr_audit_client_connect(struct gr_audit_client *client, int sock);
/* The audit process is gone: events wait for the next one. */
void gr_audit_client_disconnect(struct gr_audit_client *client);

/*
 * Asks for *event (copied; its token is overwritten, and returned in *token_out unless NULL) to be recorded. answered is
 * called once, later, never from within. GR_EFULL, GR_ENOMEM: it was not taken and answered will not be called: treat it as
 * not recorded.
 */
int gr_audit_client_permit(struct gr_audit_client *client, const struct gr_audit_event *event,
			   gr_audit_answered answered, void *context, uint64_t number, uint64_t *token_out);
/* Who asked is gone: it is not called any more, and what was not sent yet is not recorded. */
void gr_audit_client_cancel(struct gr_audit_client *client, uint64_t token);

/*
 * Tells what has happened. When there is no room that is counted, and told as soon as there is: by a FAULT event when the
 * source may send one (the supervisor), and in the log.
 */
void gr_audit_client_keep(struct gr_audit_client *client, const struct gr_audit_event *event);

/* How many events have not been acknowledged yet. */
size_t gr_audit_client_pending(const struct gr_audit_client *client);
/* "ok", or what is wrong with the record, as it was last told; the last sequence number that was. */
void gr_audit_client_state(const struct gr_audit_client *client, char *out, size_t cap, uint64_t *sequence_out);

#endif
