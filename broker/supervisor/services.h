/*
 * The processes of which there is one each: audit, keys, identity, egress, pool, admin, and forward and pam where the
 * configuration asks for them. Started in this order, restarted.
 */
#ifndef GARASU_BROKER_SUPERVISOR_SERVICES_H
#define GARASU_BROKER_SUPERVISOR_SERVICES_H

#include "broker/config/config.h"
#include "broker/supervisor/children.h"

#define GR_SERVICES (GR_IPC_KIND_PAM + 1)
#define GR_SERVICE_DEATHS_MAX 5 /* within a minute; after that the broker ends */

_Static_assert(GR_IPC_KIND_AUDIT == 0 && GR_IPC_KIND_PAM < GR_IPC_KIND_GATEWAY, "the services are the first kinds");

struct gr_supervisor;

struct gr_service {
	struct gr_supervisor *supervisor;
	struct gr_child child;
	int was_ready; /* once in the life of the broker */
	int renewed; /* it was asked to end so that it is started with the new policy */
	unsigned deaths;
	uint64_t first_death; /* ms */
	struct gr_loop_timer *again; /* armed while it waits to be started again */
};

/* Whether the configuration has work for it. */
int gr_service_wanted(const struct gr_config *config, enum gr_ipc_kind kind);

/* Starts the audit process; the others follow when it is ready. Negative when it cannot be started. */
int gr_services_start(struct gr_supervisor *supervisor, struct gr_error *err);

/* Whether every one is ready. */
int gr_services_ready(const struct gr_supervisor *supervisor);
int gr_service_ready(const struct gr_supervisor *supervisor, enum gr_ipc_kind kind);
struct gr_child *gr_service_child(struct gr_supervisor *supervisor, enum gr_ipc_kind kind);
/* Sends to one; lost when it is being started again, after which it is told everything anew. */
void gr_services_send(struct gr_supervisor *supervisor, enum gr_ipc_kind kind, const struct gr_ipc_message *message,
		      int fd);

/*
 * Gives identity the file of revocation lists when it has changed. Every gateway reads it by itself; identity cannot,
 * since it has no files any more. Call before a connection's PEER; it then happens again every GR_REVOCATIONS_MS for as long
 * as there are connections.
 */
#define GR_REVOCATIONS_MS 20000
void gr_services_tell_revocations(struct gr_supervisor *supervisor);

/* Where factors are asked for: identity is told that the person's session has ended, and the resumption ticket with it. */
void gr_services_tell_session_over(struct gr_supervisor *supervisor, const char *person);

/* Has it end in good order and starts it again, which counts as no death: what it read when it started has changed. */
void gr_service_renew(struct gr_supervisor *supervisor, enum gr_ipc_kind kind);

/* Asks one to end; SIGKILL after ms. It is not started again when the broker ends. */
void gr_service_finish(struct gr_supervisor *supervisor, enum gr_ipc_kind kind, int64_t ms);
int gr_service_alive(const struct gr_supervisor *supervisor, enum gr_ipc_kind kind);

#endif
