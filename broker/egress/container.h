/*
 * The containers that this process serves: each has one listening socket, through which everything that its browser wants of
 * the internet comes, and at most one session. What arrives on the socket is so known to be that session's.
 */
#ifndef GARASU_BROKER_EGRESS_CONTAINER_H
#define GARASU_BROKER_EGRESS_CONTAINER_H

#include "broker/audit/client.h"
#include "broker/egress/bucket.h"
#include "broker/egress/resolve.h"
#include "broker/egress/rules.h"
#include "common/loop.h"

#define GR_CONTAINER_CONNECTIONS_MAX 256 /* of one container; more wait in the socket's backlog */
#define GR_EGRESS_CONNECTIONS_MAX 8192 /* in all */
#define GR_HELD_BACK_MS 10000
#define GR_EGRESS_DESCRIPTORS (2 * GR_EGRESS_CONNECTIONS_MAX + 1024)

struct gr_connection; /* proxy.h */

struct gr_egress_container {
	struct gr_egress *egress;
	uint32_t number; /* from 1 */
	uint64_t session; /* 0 = not assigned: everything is refused */
	char person[GR_PERSON_MAX + 8];
	const struct gr_config_group *group; /* the person's, or NULL */
	struct gr_bucket bucket;
	unsigned held_back; /* requests that the bucket refused and that are not recorded yet */
	struct gr_loop_timer *held_back_timer; /* armed while there are some */
	int listener; /* -1 = there is no such container */
	struct gr_loop_watch *watch;
	struct gr_connection *connections;
	unsigned count;
};

struct gr_egress {
	struct gr_loop *loop;
	struct gr_resolver *resolver;
	struct gr_audit_client *audit;
	const struct gr_rules *rules;
	const char *authorization; /* for the upstream proxy, or NULL */
	struct gr_loop_timer *accept_again; /* armed while descriptors are short */
	struct gr_egress_container containers[GR_CONTAINERS_MAX + 1]; /* by number */
	unsigned count; /* connections in all */
};

/*
 * Fills the caller's memory; authorization (NULL allowed) is shown to the upstream proxy; everything is borrowed and must
 * outlive it. GR_ENOMEM.
 */
int gr_egress_init(struct gr_egress *egress, struct gr_loop *loop, struct gr_resolver *resolver,
		   struct gr_audit_client *audit, const struct gr_rules *rules, const char *authorization);
/* Ends all connections; what they carried is noted for the audit record. */
void gr_egress_finish(struct gr_egress *egress);

/* A container with its listening socket (taken). GR_EINVAL for a number out of range, GR_EEXIST, GR_ENOMEM. */
int gr_egress_add(struct gr_egress *egress, uint32_t number, int listener);
/* Whose it is from now on. GR_ENOENT. */
int gr_egress_assign(struct gr_egress *egress, uint32_t number, uint64_t session, const char *person);
/* The rules' configuration has changed: every container's group is looked up anew. What is under way goes on. */
void gr_egress_regroup(struct gr_egress *egress);
/* Closes its socket and connections; one that does not exist is no error. GR_EINVAL. */
int gr_egress_forget(struct gr_egress *egress, uint32_t number);

/*
 * Whether the container may make one more request now. If not, that is counted and told by one EGRESS_REFUSED for every
 * GR_HELD_BACK_MS in which it happened. Called by proxy.c.
 */
int gr_egress_take_request(struct gr_egress_container *container);

/* A connection of this container has ended: there is room for another. Called by proxy.c. */
void gr_egress_connection_ended(struct gr_egress_container *container);

#endif
