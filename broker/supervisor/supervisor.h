/*
 * The supervisor: holds the privileges, the listening sockets and the children, and decides. One per run_directory.
 * Its parts (services, containers, sessions, connections, requests) share this struct; each owns the members that bear
 * its name.
 */
#ifndef GARASU_BROKER_SUPERVISOR_SUPERVISOR_H
#define GARASU_BROKER_SUPERVISOR_SUPERVISOR_H

#include "broker/audit/client.h"
#include "broker/config/config.h"
#include "broker/coordination/coordination.h"
#include "broker/supervisor/children.h"
#include "broker/supervisor/connections.h"
#include "broker/supervisor/containers.h"
#include "broker/supervisor/emergency.h"
#include "broker/supervisor/listen.h"
#include "broker/supervisor/queue.h"
#include "broker/supervisor/recordings.h"
#include "broker/supervisor/reload.h"
#include "broker/supervisor/requests.h"
#include "broker/supervisor/services.h"
#include "broker/supervisor/sessions.h"
#include "broker/supervisor/sources.h"
#include "broker/supervisor/users.h"
#include "common/loop.h"

#include <sys/stat.h>

enum gr_supervisor_phase {
	GR_SUPERVISOR_STARTING,
	GR_SUPERVISOR_LISTENING,
	GR_SUPERVISOR_ENDING_SESSIONS, /* and connections */
	GR_SUPERVISOR_ENDING_POOL, /* with its containers, and egress */
	GR_SUPERVISOR_ENDING_RECORD, /* the last events are being written */
	GR_SUPERVISOR_ENDING_SERVICES,
};

struct gr_supervisor {
	struct gr_config config; /* in force */
	struct gr_policy_text text; /* what it was read from */
	char copy[PATH_MAX]; /* the file that the children read it from */
	gr_reload_check check;
	struct gr_reload reload;
	struct gr_emergency emergency;
	int state; /* the state folder; -1 = not open yet */
	struct gr_loop *loop;
	enum gr_supervisor_phase phase;
	struct gr_loop_timer *stop; /* the deadline of the present step of the end */
	struct gr_loop_timer *serve; /* armed when those who wait may have their turn */
	struct gr_loop_timer *ready; /* armed until the first container is warm: says so when that takes long */
	int ready_told, failed;
	time_t since;
	uint64_t since_ms;

	struct gr_children children;
	struct gr_audit_client *audit;
	struct gr_coordination *coordination;
	struct gr_listener *tls, *vencrypt;

	struct gr_service services[GR_SERVICES];
	struct gr_loop_timer *look; /* armed while there are connections: for a changed file of revocation lists */
	const char *
		forward; /* how the record is carried off the machine, as GR_IPC_FORWARD_STATE says; NULL = it is not */
	struct stat revocations; /* the file of revocation lists when identity was last given it */
	struct gr_container containers[GR_CONTAINERS_MAX];
	struct gr_session sessions[GR_CONTAINERS_MAX];
	struct gr_connection connections[GR_CONNECTIONS_MAX];
	uint32_t last_connection;
	struct gr_sources sources; /* whose handshakes failed */
	struct gr_recordings recordings;
	struct gr_queue queue; /* connections that wait for a container */
	struct gr_users_pending user_requests[GR_USERS_PENDING_MAX];
	unsigned turned_away; /* connections since it was last told */
	uint64_t turned_away_told; /* ms; 0 = never */
};

/*
 * Makes a supervisor with its tables, without children, and the children's copy of the configuration in run_directory. Copies config, whose
 * lists it then owns; takes text, which config was parsed from; programs: the folder of garasu-<kind>. Returns owned in *out;
 * GR_ENOMEM, GR_EIO, GR_EINVAL.
 */
int gr_supervisor_create(const struct gr_config *config, struct gr_policy_text *text, const char *programs,
			 struct gr_supervisor **out, struct gr_error *err);
void gr_supervisor_destroy(struct gr_supervisor *supervisor); /* NULL allowed */

/* Runs until the broker ends: 0 in good order, GR_EIO otherwise, with the reason in the log. */
int gr_supervisor_run(struct gr_supervisor *supervisor);

/* For its parts: */

/* Whether the broker is ending. */
int gr_supervisor_stopping(const struct gr_supervisor *supervisor);
/* Records what has happened; kept until it can be written. */
void gr_supervisor_record(struct gr_supervisor *supervisor, const struct gr_audit_event *event);
/* Fills the event's group: that of its person, if there is one. */
void gr_supervisor_group(const struct gr_supervisor *supervisor, struct gr_audit_event *event);
/* Cannot go on: ends in good order, with a failure. */
void gr_supervisor_fail(struct gr_supervisor *supervisor);
void gr_supervisor_service_ready(struct gr_supervisor *supervisor);
void gr_supervisor_container_warm(struct gr_supervisor *supervisor);
/* A session or a connection is over: somebody who waits may have a turn, soon, not from within. */
void gr_supervisor_room(struct gr_supervisor *supervisor);
/* A service ended while the broker is ending. */
void gr_supervisor_something_ended(struct gr_supervisor *supervisor);

#endif
