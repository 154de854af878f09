/*
 * A source's end of the audit process: sends events, waits for their acknowledgements in the event loop, and survives the
 * audit process's death. Two sorts of events:
 *
 *   asked   permits something: the caller waits for the answer, and a lost audit process or a full disk is an answer too
 *           (sequence 0: do not permit). Never sent twice.
 *   noted   reports what has happened: kept, and sent again until it is acknowledged; may so be recorded twice when the audit
 *           process dies between writing and answering.
 */
#ifndef GARASU_BROKER_AUDIT_CLIENT_H
#define GARASU_BROKER_AUDIT_CLIENT_H

#include "broker/audit/audit.h"
#include "common/loop.h"

#define GR_AUDIT_CLIENT_QUEUE_MAX 4096 /* events that wait, of both sorts together */

struct gr_audit_client;

/* sequence 0: it is not recorded. Called from the loop, never from within gr_audit_client_ask. */
typedef void (*gr_audit_answered)(void *context, uint64_t sequence);

/* Owned; NULL when out of memory. The loop (borrowed) must outlive it. No audit process yet. */
struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop);
void gr_audit_client_destroy(struct gr_audit_client *client); /* NULL allowed; calls nobody back */

/* Takes the socket to the audit process, in place of the one before: what was asked of that is answered with 0. */
void gr_audit_client_attach(struct gr_audit_client *client, int fd);

/*
 * Asks for the event to be recorded; its token is set here and returned in *token_out. GR_ECLOSED when there is no audit
 * process now, GR_EFULL, GR_ENOMEM: not asked, not called back.
 */
int gr_audit_client_ask(struct gr_audit_client *client, const struct gr_audit_event *event, gr_audit_answered answered,
			void *context, uint64_t *token_out);

/* The asker is gone: it is not called back any more. */
void gr_audit_client_cancel(struct gr_audit_client *client, uint64_t token);

/* Notes the event, with or without an audit process. GR_EFULL: dropped, and counted in the log. GR_ENOMEM. */
int gr_audit_client_note(struct gr_audit_client *client, const struct gr_audit_event *event);

/* How many events wait. */
unsigned gr_audit_client_waiting(const struct gr_audit_client *client);

#endif
