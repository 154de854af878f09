/*
 * What the audit process does between its events: it keeps index.db, and prunes. Neither can keep an event from being
 * recorded: an index that fails is told in the log, left alone, and made anew by the next process.
 */
#ifndef GARASU_BROKER_AUDIT_HOUSEKEEPING_H
#define GARASU_BROKER_AUDIT_HOUSEKEEPING_H

#include "broker/audit/audit.h"
#include "broker/ipc/ipc.h"
#include "common/loop.h"

struct gr_audit_housekeeping;

/*
 * log: the folder of segments; directory: the path, as this process sees it, of the one that index.db is in ("" = the root). record: 0 when an
 * event is written durably. All borrowed. NULL when there is no memory.
 */
struct gr_audit_housekeeping *gr_audit_housekeeping_create(struct gr_loop *loop, int log, const char *directory,
							   int (*record)(void *context,
									 const struct gr_audit_event *event),
							   void *context);
void gr_audit_housekeeping_destroy(struct gr_audit_housekeeping *housekeeping); /* NULL allowed */
/* There may be new records: within a second they are in the index. NULL allowed. */
void gr_audit_housekeeping_wake(struct gr_audit_housekeeping *housekeeping);
/* On GR_IPC_PRUNE; PRUNED goes out on the control socket. */
void gr_audit_housekeeping_prune(struct gr_audit_housekeeping *housekeeping, const struct gr_ipc_message *message);

#endif
