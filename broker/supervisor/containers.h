/* What the pool told about its containers, and what egress must know of them. */
#ifndef GARASU_BROKER_SUPERVISOR_CONTAINERS_H
#define GARASU_BROKER_SUPERVISOR_CONTAINERS_H

#include "broker/ipc/ipc.h"
#include "broker/supervisor/states.h"

#include <stddef.h>

struct gr_supervisor;
struct gr_session;

struct gr_container {
	enum gr_container_state state;
	uint32_t number; /* slot + 1 */
	int listener; /* our copy of its egress socket, for an egress process that is started again; -1 */
	int agent; /* a connection of its agent that no session has yet; -1 */
	struct gr_session *session; /* who has it, or NULL */
};

struct gr_container_counts {
	unsigned starting, warm, used, destroying;
};

void gr_containers_init(struct gr_supervisor *supervisor);
void gr_containers_finish(struct gr_supervisor *supervisor);

/* A message of the pool; *fd is set to -1 when taken. GR_EPROTO. */
int gr_containers_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message, int *fd);

/* The pool ended, and its containers with it. */
void gr_containers_pool_gone(struct gr_supervisor *supervisor);

/* Tells a new egress process of all containers and whose they are. */
void gr_containers_tell_egress(struct gr_supervisor *supervisor);

/* A warm container, or NULL. Those warm the longest are not preferred: the lowest slot is. */
struct gr_container *gr_containers_warm(struct gr_supervisor *supervisor);
/* Takes a warm one for session; the pool and egress are not told before gr_container_assign. */
void gr_container_reserve(struct gr_container *container, struct gr_session *session);
/* Its session never started: warm again. */
void gr_container_return(struct gr_container *container);
/* The session's start is recorded: egress lets its requests out in the person's name, the pool warms up another. */
void gr_container_assign(struct gr_supervisor *supervisor, const struct gr_container *container);
/* Its session is over: it is thrown away. */
void gr_container_destroy(struct gr_supervisor *supervisor, struct gr_container *container);

void gr_containers_count(const struct gr_supervisor *supervisor, struct gr_container_counts *out);

#endif
