/*
 * The containers of this node: kept warm, handed out, destroyed; a state machine per slot over one event loop. It
 * reads nothing that comes from a container: an agent's connection is passed on unread.
 *
 *     FREE ─ begin ─> STARTING ─ run ended ─> RUNNING ─ kill ─> DYING ─ first process ended ─> DELETING ─> FREE
 *
 * From STARTING and RUNNING a failure leads to DELETING too. A slot is free again only when nothing of the container
 * is left: no process, control group, runtime state, folder.
 */
#ifndef GARASU_BROKER_POOL_POOL_H
#define GARASU_BROKER_POOL_POOL_H

#include "broker/config/config.h"
#include "broker/pool/relay.h"
#include "common/loop.h"
#include "sandbox/oci/cgroup.h"

struct gr_pool;

struct gr_pool_settings {
	const struct gr_config *config; /* borrowed, as all here */
	struct gr_loop *loop;
	const char *share_directory; /* config.json, seccomp.json */
	enum gr_cgroup_layout layout;
	int control; /* to the supervisor */
};

/*
 * Makes the directories, removes what an earlier life left (containers, groups, folders; blocks, at most about a minute) and
 * starts the log process. Returns an owned pool through *out. GR_EIO, GR_EINVAL, GR_ENOMEM.
 */
int gr_pool_create(const struct gr_pool_settings *settings, struct gr_pool **out, struct gr_error *err);
void gr_pool_destroy(struct gr_pool *pool); /* after the loop has ended; NULL allowed */

/* Starts what is wanted: warm containers, unless the pool shuts down or waits after a failure. */
void gr_pool_fill(struct gr_pool *pool);

/* GR_IPC_ASSIGN, GR_IPC_DESTROY. A container that is gone already is no error: its GONE is under way. */
void gr_pool_assign(struct gr_pool *pool, uint32_t container, uint64_t session);
void gr_pool_end(struct gr_pool *pool, uint32_t container);

/* SIGCHLD: reaps what the runtime left to us, for which runsc waits when it deletes. Not the containers' first processes. */
void gr_pool_reap(struct gr_pool *pool);

/* Ends everything, then stops the loop: 0 when nothing is left, 1 when the deadline passed before. */
void gr_pool_shut_down(struct gr_pool *pool);

#endif
