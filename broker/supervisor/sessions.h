/*
 * Browsing sessions: one process each, one container each, one viewer at a time.
 *
 *   STARTING ── recorded and READY ──► RUNNING ── process died ──► RESTARTING ── READY and agent ──► RUNNING
 *      └────────────── end ───────────────┴───────────────────────────┴────► ENDING ── reaped ──► FREE
 *
 * At the end: the container is destroyed, the audit record told, the person's claim given up.
 */
#ifndef GARASU_BROKER_SUPERVISOR_SESSIONS_H
#define GARASU_BROKER_SUPERVISOR_SESSIONS_H

#include "broker/supervisor/children.h"
#include "broker/supervisor/states.h"

#include <time.h>

#define GR_SESSION_HANDED_MAX 8 /* viewers that a session process has been given and has not given back */
#define GR_SESSION_RESTARTS_MAX 3 /* deaths of its process within a minute */

struct gr_supervisor;
struct gr_connection;
struct gr_container;
struct gr_config_group;

struct gr_session {
	struct gr_supervisor *supervisor;
	struct gr_child child;
	enum gr_session_state state;
	uint64_t id, epoch;
	char person[GR_PERSON_MAX + 8];
	struct gr_container *container; /* NULL once it is gone */
	time_t since;
	uint32_t viewer; /* the connection that was handed over last; 0 = none */
	uint32_t waiting; /* the connection that is handed over as soon as the process runs; 0 = none */
	uint32_t handed[GR_SESSION_HANDED_MAX]; /* 0 = free */
	int recorded; /* its start */
	int over; /* ENDING: all is done but the record, which tells of its viewers first */
	uint32_t container_number; /* for the record */
	int started; /* START was sent before, to this process or to one that died */
	uint32_t printing; /* a document whose printing is recorded, or being so, and has not ended; 0 = none */
	int print_recorded;
	uint64_t print_token; /* of the event that is being recorded */
	uint32_t reason; /* why it ends */
	unsigned restarts;
	uint64_t first_restart; /* ms */
	uint64_t began_ms, active_ms; /* its start, and when its viewer was last known to have done something */
	struct gr_loop_timer *limit; /* armed while the policy bounds its idle or whole time */
	struct gr_loop_timer *grace; /* armed while nobody watches; while ENDING: until SIGKILL */
	struct gr_loop_timer *agent; /* armed while the agent's connection is missing */
};

/* The session of this number that can be attached to or is about to be; NULL. */
struct gr_session *gr_session_find(struct gr_supervisor *supervisor, uint64_t id);
/* The person's session that can be attached to; *ending_out: there is one that ends. */
struct gr_session *gr_session_of_person(struct gr_supervisor *supervisor, const char *person, int *ending_out);

/* Starts one for the person on a warm container. GR_EFULL, GR_EIO; the container stays warm then. */
int gr_session_create(struct gr_supervisor *supervisor, const char *person, uint64_t epoch,
		      struct gr_container *container, struct gr_session **out);

/* The connection wants to see this session. Another one that waits for it is refused (TAKEN_OVER). */
void gr_session_want(struct gr_session *session, struct gr_connection *connection);
/* Hands the waiting connection over if all that it waits for has come. */
void gr_session_hand_over(struct gr_session *session);
/* The connection is over. */
void gr_session_leave(struct gr_session *session, const struct gr_connection *connection);

/* The agent's new connection is with the container. */
void gr_session_agent(struct gr_session *session);
/* Its container is gone already. */
void gr_session_container_gone(struct gr_session *session, uint32_t reason);
void gr_session_end(struct gr_session *session, uint32_t reason);

/* A connection is gone: records the end of sessions that only waited for their viewers' last words. */
void gr_sessions_settle(struct gr_supervisor *supervisor);

/* The policy has changed: how long each may go on. */
void gr_sessions_limit(struct gr_supervisor *supervisor);
/* Ends the sessions of everybody who is cut off; returns how many. */
unsigned gr_sessions_end_held(struct gr_supervisor *supervisor);
/*
 * Whose place somebody of this priority may take: a session of a lower one, first of those that nobody watches, then that whose
 * viewer has done nothing for longest. NULL when there is none.
 */
struct gr_session *gr_sessions_below(struct gr_supervisor *supervisor, unsigned priority);
/* Sessions of the group's persons that do not end. */
unsigned gr_sessions_of_group(const struct gr_supervisor *supervisor, const struct gr_config_group *group);

/* Sessions that take a container and do not end. */
unsigned gr_sessions_active(const struct gr_supervisor *supervisor);
/* All that are left, the ending ones too. */
unsigned gr_sessions_left(const struct gr_supervisor *supervisor);
void gr_sessions_end_all(struct gr_supervisor *supervisor, uint32_t reason);

/* Until its time is over (limits.absolute_minutes), at least 1; 0: there is no limit. */
uint64_t gr_session_seconds_left(const struct gr_session *session);

#endif
