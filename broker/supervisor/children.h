/*
 * The broker's child processes: started by exec with exactly the descriptors that their kind has, heard over their
 * control socket (broker/ipc/ipc.h), ended in good order or by force, reaped.
 */
#ifndef GARASU_BROKER_SUPERVISOR_CHILDREN_H
#define GARASU_BROKER_SUPERVISOR_CHILDREN_H

#include "broker/ipc/ipc.h"
#include "common/loop.h"

#include <limits.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

struct gr_child;

struct gr_child_end {
	int in_order; /* it was asked to end, or ended with status 0, and did nothing wrong */
	int violated; /* killed for what it said: not an accident */
	char text[192]; /* "exit status 1", "killed by signal 11", "sent OPEN, which …" */
};

/* The functions of whoever started the child. */
struct gr_child_owner {
	/* It is confined and listens. */
	void (*ready)(struct gr_child *child);
	/*
	 * One message that its kind may send. *fd (-1 = none) is closed afterwards unless set to -1. Returns 0, or GR_EPROTO
	 * when the state does not permit it: the child is then killed.
	 */
	int (*message)(struct gr_child *child, const struct gr_ipc_message *message, int *fd);
	/* It is reaped, everything that it sent was delivered, and *child may be started again or forgotten. */
	void (*ended)(struct gr_child *child, const struct gr_child_end *end);
};

enum gr_child_state {
	GR_CHILD_NONE,
	GR_CHILD_STARTING, /* READY has not come */
	GR_CHILD_READY,
	GR_CHILD_ENDING, /* nothing is sent to it any more, its end is awaited */
};

/* Zeroed by its owner before the first start. */
struct gr_child {
	LIST_ENTRY(gr_child) link;
	struct gr_children *children;
	const struct gr_child_owner *owner;
	void *context;
	enum gr_ipc_kind kind;
	enum gr_child_state state;
	pid_t pid;
	int control;
	int asked; /* to end */
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer; /* READY's deadline, then that of its end */
	char fault[160]; /* what it did wrong; empty = nothing */
	int violated; /* and that was something it said */
};

struct gr_children {
	struct gr_loop *loop;
	char programs[PATH_MAX]; /* the folder of garasu-<kind> */
	char config_file[PATH_MAX];
	uint64_t descriptors; /* RLIMIT_NOFILE that a child starts with */
	LIST_HEAD(, gr_child) list;
};

/* programs: the folder of garasu-<kind>; config_file: what they are given. GR_EINVAL when one is too long. */
int gr_children_init(struct gr_children *children, struct gr_loop *loop, const char *programs, const char *config_file);

struct gr_child_start {
	enum gr_ipc_kind kind;
	const struct gr_child_owner *owner;
	void *context;
	uint64_t number; /* second argument of a gateway or session process */
	const char *argument; /* a gateway's third argument */
	int fds[3]; /* become 4, 5, 6 in the child; borrowed */
	size_t fd_count;
	int64_t ready_ms; /* READY must come within this time, or it is killed */
};

/* Starts garasu-<kind>. GR_EIO, GR_ENOMEM; that the program cannot be run is seen as its end (status 127). */
int gr_child_start(struct gr_children *children, struct gr_child *child, const struct gr_child_start *start,
		   struct gr_error *err);

/* Takes over a process that runs already, with our end of its control socket: gr_child_start's second half, for tests. */
int gr_child_adopt(struct gr_children *children, struct gr_child *child, const struct gr_child_start *start, pid_t pid,
		   int control);

/* Sends; fd borrowed, -1 = none. A child that does not take it is killed. Nothing happens when it has ended. */
void gr_child_send(struct gr_child *child, const struct gr_ipc_message *message, int fd);

/* Delivers now what it has sent. For two children whose messages must be seen in the order in which they were sent. */
void gr_child_drain(struct gr_child *child);

/* Ends our half of its control socket, which asks it to end; SIGKILL after ms. What it still says is delivered. */
void gr_child_finish(struct gr_child *child, int64_t ms);

/* SIGKILL, and what for. */
void gr_child_kill(struct gr_child *child, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Collects the children that have ended; call on SIGCHLD. */
void gr_children_reap(struct gr_children *children);

/* SIGKILLs and collects whoever is left, telling nobody: the last act before the supervisor ends. */
void gr_children_end_all(struct gr_children *children);

/* Whether it runs, so that it is not to be started again yet. */
int gr_child_alive(const struct gr_child *child);

#endif
