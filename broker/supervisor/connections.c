#include "broker/supervisor/connections.h"

#include "broker/supervisor/evidence.h"
#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READY_MS 10000
#define HANDSHAKE_MS 30000 /* from accept to WANT_SESSION; the gateway's own deadlines are shorter */
#define ASKING_MS 190000 /* from ASKING to the next one or WANT_SESSION; the gateway's own deadlines are shorter */
#define SEEN_MS 30000 /* from OPEN to the end of the RFB initialisation */
#define CLOSE_MS 5000 /* for the gateway to tell the viewer and to end */
#define REPORT_MS 10000 /* of one kind of turning away, one line and one event in this time */

static void request_session(struct gr_connection *connection);

static int unknown(const struct gr_connection *connection)
{
	return connection->state == GR_CONNECTION_HANDSHAKE ||
	       (connection->state != GR_CONNECTION_FREE && !connection->person[0]);
}

struct gr_connection *gr_connection_find(struct gr_supervisor *supervisor, uint32_t number)
{
	struct gr_connection *connection = &supervisor->connections[number % GR_CONNECTIONS_MAX];

	return number && connection->state != GR_CONNECTION_FREE && connection->number == number ? connection : NULL;
}

unsigned gr_connections_left(const struct gr_supervisor *supervisor)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		count += supervisor->connections[i].state != GR_CONNECTION_FREE;
	return count;
}

unsigned gr_connections_viewers(const struct gr_supervisor *supervisor)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		count += supervisor->connections[i].state == GR_CONNECTION_OPEN;
	return count;
}

unsigned gr_connections_of_session(const struct gr_supervisor *supervisor, uint64_t id)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		count += supervisor->connections[i].state != GR_CONNECTION_FREE &&
			 supervisor->connections[i].session_id == id;
	return count;
}

static struct gr_audit_event event_of(const struct gr_connection *connection, enum gr_audit_kind kind)
{
	struct gr_audit_event event = { .kind = kind, .connection = connection->number };

	memcpy(event.person, connection->person, sizeof(event.person));
	memcpy(event.peer, connection->peer, sizeof(event.peer));
	gr_supervisor_group(connection->supervisor, &event);
	return event;
}

/* ---- the end ---- */

/* Whether it is the peer's doing: not our lack of containers, nor that somebody else came. */
static int blames_the_peer(const struct gr_connection *connection, uint32_t reason)
{
	switch (reason) {
	case GR_REASON_UNKNOWN_PERSON:
	case GR_REASON_REVOKED:
	case GR_REASON_BAD_CERTIFICATE: return 1;
	case GR_REASON_PROTOCOL:
	case GR_REASON_VIEWER_LEFT: return !connection->person[0];
	default: return 0;
	}
}

/* One event tells that a source is not served for a while; what comes from there meanwhile makes none. */
static void count_failure(const struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	struct gr_audit_event event = { .kind = GR_AUDIT_LOGIN_REFUSED, .reason = GR_REASON_PROTOCOL };
	unsigned maximum = supervisor->config.listen.failures_per_minute;
	uint64_t ms = gr_sources_failed(&supervisor->sources, connection->from.network, maximum, gr_io_now_ms());

	if (ms == 0)
		return;
	memcpy(event.peer, connection->peer, sizeof(event.peer));
	snprintf(event.detail, sizeof(event.detail),
		 "%u handshakes or logins from this address failed within a minute: not served for %u s", maximum,
		 (unsigned)(ms / 1000));
	gr_supervisor_record(supervisor, &event);
	gr_log_warning("%s: %s", connection->peer, event.detail);
}

static void record_refused(struct gr_connection *connection, uint32_t reason, const char *detail)
{
	struct gr_audit_event event = event_of(connection, GR_AUDIT_LOGIN_REFUSED);

	if (connection->refused)
		return;
	connection->refused = 1;
	event.reason = reason;
	snprintf(event.detail, sizeof(event.detail), "%.100s%s%.150s", detail, connection->certificate[0] ? " " : "",
		 connection->certificate);
	gr_supervisor_record(connection->supervisor, &event);
	gr_log_info("connection %u from %s%s%s is refused (%s): %s", connection->number, connection->peer,
		    connection->person[0] ? " of " : "", connection->person, gr_reason_name(reason), detail);
	if (blames_the_peer(connection, reason))
		count_failure(connection);
}

/* It waits for nothing and holds nothing any more but its gateway. */
static void let_go(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	struct gr_session *session = connection->session;

	gr_queue_remove(&supervisor->queue, connection->number);
	if (connection->claim)
		gr_coordination_release(supervisor->coordination, connection->person, connection->claim);
	connection->claim = 0;
	connection->session = NULL;
	if (session)
		gr_session_leave(session, connection);
}

static void close_soon(struct gr_connection *connection, uint32_t reason)
{
	connection->reason = reason;
	connection->state = GR_CONNECTION_CLOSING;
	gr_loop_timer_set(connection->deadline, CLOSE_MS);
	let_go(connection);
}

void gr_connection_refuse(struct gr_connection *connection, uint32_t reason, const char *detail)
{
	struct gr_ipc_message message = { .type = GR_IPC_REFUSE, .connection = connection->number, .reason = reason };

	if (connection->state == GR_CONNECTION_CLOSING || connection->state == GR_CONNECTION_CLOSED)
		return;
	record_refused(connection, reason, detail);
	/* A gateway in its handshake has no way yet to tell a viewer anything. */
	if (connection->state == GR_CONNECTION_HANDSHAKE)
		gr_child_finish(&connection->child, CLOSE_MS);
	else
		gr_child_send(&connection->child, &message, -1);
	close_soon(connection, reason);
}

void gr_connection_refuse_number(struct gr_supervisor *supervisor, uint32_t number, uint32_t reason, const char *detail)
{
	struct gr_connection *connection = gr_connection_find(supervisor, number);

	if (connection)
		gr_connection_refuse(connection, reason, detail);
}

void gr_connections_refuse_all(struct gr_supervisor *supervisor, uint32_t reason)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *connection = &supervisor->connections[i];

		if (connection->state != GR_CONNECTION_FREE && connection->state != GR_CONNECTION_OPEN)
			gr_connection_refuse(connection, reason, "the broker is ending");
	}
}

void gr_connections_refuse_held(struct gr_supervisor *supervisor)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *connection = &supervisor->connections[i];

		if (connection->state == GR_CONNECTION_WAITING && gr_emergency_holds(supervisor, connection->person))
			gr_connection_refuse(connection, GR_REASON_CUT_OFF, "cut off");
	}
}

static void deadline_over(void *context)
{
	struct gr_connection *connection = context;

	switch (connection->state) {
	case GR_CONNECTION_HANDSHAKE:
	case GR_CONNECTION_IDENTIFIED:
		record_refused(connection, GR_REASON_PROTOCOL, "the handshake was not over in time");
		gr_child_finish(&connection->child, CLOSE_MS);
		break;
	case GR_CONNECTION_WAITING:
		gr_connection_refuse(connection, GR_REASON_CONTAINER_FAILED, "no container was ready in time");
		break;
	case GR_CONNECTION_OPEN:
		if (connection->seen)
			break;
		close_soon(connection, GR_REASON_PROTOCOL);
		gr_child_finish(&connection->child, CLOSE_MS);
		break;
	default: gr_child_finish(&connection->child, CLOSE_MS); break;
	}
}

static void release(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;

	gr_loop_timer_remove(connection->deadline);
	memset(connection, 0, sizeof(*connection));
	gr_sessions_settle(supervisor);
	gr_supervisor_room(supervisor);
}

static void child_ended(struct gr_child *child, const struct gr_child_end *end)
{
	struct gr_connection *connection = child->context;
	struct gr_supervisor *supervisor = connection->supervisor;
	int said_closed = connection->state == GR_CONNECTION_CLOSED;

	/* What the identity process found out may still be on its way. */
	gr_child_drain(gr_service_child(supervisor, GR_IPC_KIND_IDENTITY));
	if (!end->in_order || (!said_closed && !child->asked && !connection->refused)) {
		struct gr_audit_event event = event_of(connection, GR_AUDIT_FAULT);

		snprintf(event.detail, sizeof(event.detail), "gateway: %s", end->text);
		gr_supervisor_record(supervisor, &event);
		gr_log_warning("connection %u from %s: its gateway ended: %s", connection->number, connection->peer,
			       end->text);
	}
	if (!connection->attach_sent)
		record_refused(connection,
			       connection->reason ? connection->reason
			       : said_closed      ? GR_REASON_VIEWER_LEFT
						  : GR_REASON_INTERNAL,
			       said_closed ? "the viewer left" : "the gateway ended");
	let_go(connection);
	gr_recording_lost(connection);
	if (connection->attach_sent && !connection->refused) {
		struct gr_audit_event event = event_of(connection, GR_AUDIT_SESSION_DETACH);

		event.session = connection->session_id;
		event.reason = connection->reason ? connection->reason
			       : said_closed      ? GR_REASON_VIEWER_LEFT
						  : GR_REASON_INTERNAL;
		event.down = connection->down;
		event.up = connection->up;
		if (event.reason == GR_REASON_REVOKED)
			memcpy(event.detail, connection->certificate, sizeof(event.detail));
		gr_supervisor_record(supervisor, &event);
		gr_log_info("connection %u of %s is closed (%s)", connection->number, connection->person,
			    gr_reason_name(event.reason));
	}
	release(connection);
}

/* ---- what the gateway says ---- */

static void record_violation(struct gr_connection *connection, const struct gr_ipc_message *message, int fd)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	struct gr_audit_event event = event_of(connection, GR_AUDIT_GUARD);
	struct gr_error err;

	event.session = connection->session_id;
	memcpy(event.detail, message->text, sizeof(event.detail));
	if (gr_evidence_keep(supervisor->config.audit.directory, connection->number, fd, event.target, &err) < 0) {
		gr_log_warning("connection %u: the bytes of a violation are not kept: %s", connection->number,
			       err.text);
		snprintf(event.target, sizeof(event.target), "not kept: %.300s", err.text);
	}
	gr_supervisor_record(supervisor, &event);
	gr_log_warning("connection %u of %s is ended by the guard: %s", connection->number, connection->person,
		       message->text);
}

static void record_clipboard(struct gr_connection *connection, const struct gr_ipc_message *message)
{
	struct gr_audit_event event = event_of(
		connection, message->type == GR_IPC_CLIPBOARD ? GR_AUDIT_CLIPBOARD : GR_AUDIT_CLIPBOARD_PASSED);

	event.session = connection->session_id;
	event.up = message->bytes_up;
	event.down = message->bytes_down;
	memcpy(event.detail, message->text, sizeof(event.detail));
	gr_supervisor_record(connection->supervisor, &event);
}

static void child_ready(struct gr_child *child)
{
	(void)child;
}

static int child_message(struct gr_child *child, const struct gr_ipc_message *message, int *fd)
{
	struct gr_connection *connection = child->context;

	/* The identity process told us before it answered the gateway; its message may stand in the other socket yet. */
	if (connection->state == GR_CONNECTION_HANDSHAKE)
		gr_child_drain(gr_service_child(connection->supervisor, GR_IPC_KIND_IDENTITY));
	/* The session process tells why it let a viewer go before it ends the stream. */
	if (connection->state == GR_CONNECTION_OPEN && message->type == GR_IPC_CLOSED && connection->session)
		gr_child_drain(&connection->session->child);
	if (!gr_connection_permits(connection->state, message->type))
		return GR_EPROTO;
	switch (message->type) {
	case GR_IPC_HANDSHAKE_FAILED:
		if (connection->state == GR_CONNECTION_CLOSING)
			break;
		record_refused(connection, message->reason ? message->reason : GR_REASON_PROTOCOL, message->text);
		close_soon(connection, message->reason ? message->reason : GR_REASON_PROTOCOL);
		break;
	case GR_IPC_ASKING:
		if (connection->state == GR_CONNECTION_CLOSING)
			break;
		connection->asking = 1;
		gr_loop_timer_set(connection->deadline, ASKING_MS);
		break;
	case GR_IPC_WANT_SESSION:
		if (connection->state == GR_CONNECTION_CLOSING)
			break;
		request_session(connection);
		break;
	case GR_IPC_VIOLATION:
		if (connection->violated)
			return GR_EPROTO;
		connection->violated = 1;
		record_violation(connection, message, *fd);
		if (connection->state == GR_CONNECTION_OPEN)
			close_soon(connection, GR_REASON_PROTOCOL);
		break;
	case GR_IPC_CLIPBOARD:
	case GR_IPC_CLIPBOARD_PASSED: record_clipboard(connection, message); break;
	case GR_IPC_RECORDED: return gr_recording_message(connection, message);
	case GR_IPC_CLOSED:
		connection->down = message->bytes_down;
		connection->up = message->bytes_up;
		if (!connection->reason)
			connection->reason = message->reason;
		if (!connection->attach_sent)
			record_refused(connection, connection->reason ? connection->reason : GR_REASON_VIEWER_LEFT,
				       message->text[0] ? message->text : "the viewer left");
		connection->state = GR_CONNECTION_CLOSED;
		gr_loop_timer_set(connection->deadline, CLOSE_MS);
		let_go(connection);
		break;
	default: return GR_EPROTO;
	}
	return 0;
}

int gr_connection_identified(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_connection *connection = gr_connection_find(supervisor, message->connection);

	if (!connection)
		return message->connection ? 0 : GR_EPROTO; /* it gave up meanwhile */
	if (connection->state == GR_CONNECTION_CLOSED)
		return 0;
	if (!gr_connection_permits(connection->state, GR_IPC_IDENTIFIED))
		return GR_EPROTO;
	if (connection->state == GR_CONNECTION_CLOSING)
		return 0;
	if (message->reason == GR_REASON_NONE && (!message->person[0] || strlen(message->person) > GR_PERSON_MAX))
		return GR_EPROTO;
	memcpy(connection->person, message->person, sizeof(connection->person));
	memcpy(connection->certificate, message->text, sizeof(connection->certificate));
	if (message->reason != GR_REASON_NONE) {
		/* The gateway has the same answer and tells the viewer. */
		record_refused(connection, message->reason,
			       message->reason == GR_REASON_LOCKED_OUT ? "second factor refused"
								       : "certificate refused");
		close_soon(connection, message->reason);
		return 0;
	}
	connection->state = GR_CONNECTION_IDENTIFIED;
	connection->identity = gr_service_child(supervisor, GR_IPC_KIND_IDENTITY)->pid;
	return 0;
}

int gr_connection_login_failed(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_connection *connection = gr_connection_find(supervisor, message->connection);
	struct gr_audit_event event;

	if (!connection)
		return message->connection ? 0 : GR_EPROTO;
	if (!gr_connection_permits(connection->state, GR_IPC_LOGIN_FAILED) || !message->person[0] ||
	    strlen(message->person) > GR_PERSON_MAX)
		return GR_EPROTO;
	/* Whether its viewer is still there or not: it tried. */
	event = event_of(connection, GR_AUDIT_LOGIN_FAILED);
	memcpy(event.person, message->person, sizeof(event.person));
	event.reason = message->reason;
	memcpy(event.detail, message->text, sizeof(event.detail));
	gr_supervisor_record(supervisor, &event);
	gr_log_info("connection %u from %s: a wrong answer of %s (%s)", connection->number, connection->peer,
		    message->person, gr_reason_name(message->reason));
	count_failure(connection);
	return 0;
}

int gr_connection_revoked(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_connection *connection = gr_connection_find(supervisor, message->connection);

	if (!connection)
		return message->connection ? 0 : GR_EPROTO;
	if (!gr_connection_permits(connection->state, GR_IPC_REVOKED))
		return GR_EPROTO;
	if (connection->state != GR_CONNECTION_OPEN) {
		gr_connection_refuse(connection, GR_REASON_REVOKED, "the certificate was revoked meanwhile");
		return 0;
	}
	/* One that is being taken over is let go already, by whoever came with another certificate. */
	if (connection->session && connection->session->viewer == connection->number) {
		gr_log_info("connection %u of %s: its certificate was revoked", connection->number, connection->person);
		gr_session_end(connection->session, GR_REASON_REVOKED);
	}
	return 0;
}

void gr_connections_forget_unknown(struct gr_supervisor *supervisor, pid_t identity)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *connection = &supervisor->connections[i];

		if (!connection->identity || connection->identity == identity)
			continue;
		if (connection->state == GR_CONNECTION_OPEN) {
			close_soon(connection, GR_REASON_INTERNAL);
			gr_child_finish(&connection->child, CLOSE_MS);
		} else if (connection->state != GR_CONNECTION_FREE) {
			gr_connection_refuse(connection, GR_REASON_INTERNAL, "the identity process died meanwhile");
		}
	}
}

/* ---- a session for it ---- */

static void claimed(void *context, uint64_t number, int status, const struct gr_claim *claim)
{
	struct gr_supervisor *supervisor = context;
	struct gr_connection *connection = gr_connection_find(supervisor, (uint32_t)number);

	if (!connection || connection->state != GR_CONNECTION_WAITING) {
		return;
	}
	if (status < 0) {
		gr_connection_refuse(connection, GR_REASON_INTERNAL,
				     "it cannot be found out who has the person's session");
		return;
	}
	if (!claim->mine) {
		/* The grammar's REDIRECT is for this, once there are several nodes. */
		gr_connection_refuse(connection, GR_REASON_NO_CAPACITY, "another node has the person's session");
		return;
	}
	connection->claim = claim->epoch;
}

static const struct gr_config_group *group_of(const struct gr_connection *connection)
{
	return gr_config_group_of(&connection->supervisor->config, connection->person);
}

/* Whether its group has as many sessions as it may, those counted that have others of it waiting. */
static int group_is_full(const struct gr_connection *connection, unsigned waiting)
{
	const struct gr_config_group *group = group_of(connection);

	return group && group->maximum_sessions &&
	       gr_sessions_of_group(connection->supervisor, group) + waiting >= group->maximum_sessions;
}

static void refuse_full_group(struct gr_connection *connection)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "the group has its %u sessions", group_of(connection)->maximum_sessions);
	gr_connection_refuse(connection, GR_REASON_NOT_PERMITTED, detail);
}

/* Others of its group that wait for a container. */
static unsigned waiting_of_group(const struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	unsigned count = 0;

	for (size_t i = 0; i < supervisor->queue.count; i++) {
		const struct gr_connection *other = gr_connection_find(supervisor, supervisor->queue.numbers[i]);

		count += other && other != connection && group_of(other) == group_of(connection);
	}
	return count;
}

static unsigned priority_of(const struct gr_connection *connection)
{
	return gr_config_limits_of(&connection->supervisor->config, connection->person)->priority;
}

/* 1 when it has a session, or is refused; 0 when it must wait. */
static int place(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	struct gr_container *container;
	struct gr_session *session;
	int ending, rc;

	session = gr_session_of_person(supervisor, connection->person, &ending);
	if (!session) {
		if (ending)
			return 0; /* its claim and its container first */
		if (group_is_full(connection, 0)) {
			refuse_full_group(connection);
			return 1;
		}
		container = gr_containers_warm(supervisor);
		if (!container)
			return 0;
		if (!connection->claim)
			gr_coordination_claim(supervisor->coordination, connection->person, claimed, supervisor,
					      connection->number);
		if (connection->state != GR_CONNECTION_WAITING)
			return 1;
		if (!connection->claim)
			return 0; /* a backend that answers later arms the serving again */
		rc = gr_session_create(supervisor, connection->person, connection->claim, container, &session);
		if (rc < 0) {
			gr_connection_refuse(connection,
					     rc == GR_EFULL ? GR_REASON_AUDIT_UNAVAILABLE : GR_REASON_INTERNAL,
					     "the session could not be started");
			return 1;
		}
		connection->claim = 0; /* the session's now */
	}
	gr_queue_remove(&supervisor->queue, connection->number);
	gr_session_want(session, connection);
	gr_session_hand_over(session);
	return 1;
}

/* In the order of priorities; of one, in that of arrival. */
void gr_connections_serve(struct gr_supervisor *supervisor)
{
	struct gr_queue waiting = supervisor->queue;

	for (unsigned priority = GR_CONFIG_PRIORITY_MAX + 1; priority-- > 0;) {
		for (size_t i = 0; i < waiting.count; i++) {
			struct gr_connection *connection = gr_connection_find(supervisor, waiting.numbers[i]);

			if (connection && connection->state == GR_CONNECTION_WAITING && !connection->session &&
			    priority_of(connection) == priority)
				place(connection);
		}
	}
}

/* Somebody of the same name who waits already gives way. */
static void displace(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;

	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *other = &supervisor->connections[i];

		if (other != connection && other->state == GR_CONNECTION_WAITING && !other->session &&
		    strcmp(other->person, connection->person) == 0)
			gr_connection_refuse(other, GR_REASON_TAKEN_OVER, "the same person came again");
	}
}

static void login_recorded(void *context, uint64_t number, int recorded)
{
	struct gr_connection *connection = gr_connection_find(context, (uint32_t)number);

	if (!connection || connection->state != GR_CONNECTION_WAITING)
		return;
	if (!recorded) {
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE,
				     "the record of the login cannot be written");
		return;
	}
	connection->login_recorded = 1;
	if (connection->session)
		gr_session_hand_over(connection->session);
}

static void request_session(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	struct gr_audit_event event = event_of(connection, GR_AUDIT_LOGIN);

	connection->state = GR_CONNECTION_WAITING;
	gr_sources_succeeded(&supervisor->sources, connection->from.network);
	gr_loop_timer_set(connection->deadline, (int64_t)supervisor->config.pool.start_seconds * 1000);
	memcpy(event.detail, connection->certificate, sizeof(event.detail));
	if (gr_audit_client_permit(supervisor->audit, &event, login_recorded, supervisor, connection->number, NULL) <
	    0) {
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE, "too many events wait for the record");
		return;
	}
	connection->login_sent = 1;
	if (gr_emergency_holds(supervisor, connection->person)) {
		gr_connection_refuse(connection, GR_REASON_CUT_OFF, "cut off");
		return;
	}
	displace(connection);
	if (place(connection))
		return;
	if (group_is_full(connection, waiting_of_group(connection))) {
		refuse_full_group(connection);
		return;
	}
	if (gr_sessions_active(supervisor) + supervisor->queue.count >= supervisor->config.pool.maximum) {
		struct gr_session *below = gr_sessions_below(supervisor, priority_of(connection));

		if (!below) {
			gr_connection_refuse(connection, GR_REASON_NO_CAPACITY, "every container is taken");
			return;
		}
		gr_log_info("session %016llx of %s gives way to %s", (unsigned long long)below->id, below->person,
			    connection->person);
		gr_session_end(below, GR_REASON_DISPLACED);
	}
	if (gr_queue_push(&supervisor->queue, connection->number) < 0)
		gr_connection_refuse(connection, GR_REASON_NO_CAPACITY, "every container is taken");
}

void gr_connection_open(struct gr_connection *connection, int fd)
{
	struct gr_ipc_message message = { .type = GR_IPC_OPEN, .connection = connection->number };

	connection->state = GR_CONNECTION_OPEN;
	gr_loop_timer_set(connection->deadline, SEEN_MS);
	memcpy(message.person, connection->person, sizeof(message.person));
	message.number = gr_session_seconds_left(connection->session);
	/* The gateway may have read another configuration than is in force now; its session is told the same. */
	const struct gr_config_limits *limits = gr_config_limits_of(&connection->supervisor->config,
								    connection->person);
	message.bytes_up = limits->clipboard_up;
	message.bytes_down = limits->clipboard_down;
	gr_child_send(&connection->child, &message, fd);
	gr_log_info("connection %u from %s: %s sees session %016llx", connection->number, connection->peer,
		    connection->person, (unsigned long long)connection->session->id);
}

void gr_connection_attached(struct gr_supervisor *supervisor, uint32_t number)
{
	struct gr_connection *connection = gr_connection_find(supervisor, number);

	if (!connection || connection->state != GR_CONNECTION_OPEN)
		return;
	connection->seen = 1;
	gr_loop_timer_set(connection->deadline, -1);
}

void gr_connection_detached(struct gr_supervisor *supervisor, uint32_t number, uint32_t reason)
{
	struct gr_connection *connection = gr_connection_find(supervisor, number);

	if (!connection)
		return;
	if (connection->state == GR_CONNECTION_OPEN)
		close_soon(connection, reason);
	else if (connection->state == GR_CONNECTION_CLOSED && !connection->reason)
		connection->reason = reason; /* its gateway was faster */
}

void gr_connections_session_over(struct gr_supervisor *supervisor, const struct gr_session *session, uint32_t reason)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *connection = &supervisor->connections[i];

		if (connection->session == session && connection->state == GR_CONNECTION_OPEN)
			close_soon(connection, reason);
	}
}

/* ---- the beginning ---- */

static const struct gr_child_owner owner = { child_ready, child_message, child_ended };

/* Turned away before it has a process. Many of them make one line and one event. */
static void turn_away(struct gr_supervisor *supervisor, const struct gr_peer *peer, const char *why)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_LOGIN_REFUSED, .reason = GR_REASON_NO_CAPACITY };
	uint64_t now = gr_io_now_ms();

	supervisor->turned_away++;
	if (supervisor->turned_away_told && now - supervisor->turned_away_told < REPORT_MS)
		return;
	supervisor->turned_away_told = now;
	memcpy(event.peer, peer->text, sizeof(event.peer));
	snprintf(event.detail, sizeof(event.detail), "%s; %u turned away since the last such record", why,
		 supervisor->turned_away);
	gr_supervisor_record(supervisor, &event);
	gr_log_warning("connection from %s turned away: %s", peer->text, why);
	supervisor->turned_away = 0;
}

static struct gr_connection *free_slot(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_connection *connection;
		uint32_t number = ++supervisor->last_connection;

		if (number == 0)
			number = ++supervisor->last_connection;
		connection = &supervisor->connections[number % GR_CONNECTIONS_MAX];
		if (connection->state == GR_CONNECTION_FREE) {
			memset(connection, 0, sizeof(*connection));
			connection->number = number;
			return connection;
		}
	}
	return NULL;
}

static const char *bound_reached(const struct gr_supervisor *supervisor, const struct gr_peer *peer)
{
	unsigned all = 0, of_source = 0;

	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		const struct gr_connection *connection = &supervisor->connections[i];

		if (!unknown(connection))
			continue;
		all += !connection->asking; /* has a good certificate: counts for its source only */
		of_source += memcmp(connection->from.network, peer->network, sizeof(peer->network)) == 0;
	}
	if (of_source >= GR_CONNECTIONS_UNKNOWN_PER_SOURCE)
		return "too many connections from there that have not said who they are";
	return all >= GR_CONNECTIONS_UNKNOWN_MAX ? "too many connections that have not said who they are" : NULL;
}

void gr_connection_accept(struct gr_supervisor *supervisor, int fd, const struct gr_peer *peer, const char *method)
{
	struct gr_child_start start = {
		.kind = GR_IPC_KIND_GATEWAY, .owner = &owner, .argument = method, .fd_count = 3, .ready_ms = READY_MS
	};
	struct gr_ipc_message message = { .type = GR_IPC_PEER };
	int keys[2] = { -1, -1 }, identity[2] = { -1, -1 };
	const char *why = bound_reached(supervisor, peer);
	struct gr_connection *connection;
	struct gr_error err;

	if (gr_sources_barred(&supervisor->sources, peer->network, gr_io_now_ms())) {
		gr_io_close(&fd);
		return;
	}
	if (why) {
		turn_away(supervisor, peer, why);
		gr_io_close(&fd);
		return;
	}
	if (!gr_service_ready(supervisor, GR_IPC_KIND_KEYS) || !gr_service_ready(supervisor, GR_IPC_KIND_IDENTITY)) {
		turn_away(supervisor, peer, "a part of the broker is being started again");
		gr_io_close(&fd);
		return;
	}
	connection = free_slot(supervisor);
	if (!connection) {
		turn_away(supervisor, peer, "every connection is taken");
		gr_io_close(&fd);
		return;
	}
	connection->supervisor = supervisor;
	connection->from = *peer;
	memcpy(connection->peer, peer->text, sizeof(connection->peer));
	connection->deadline = gr_loop_timer_add(supervisor->loop, deadline_over, connection);
	if (!connection->deadline || gr_io_pair(SOCK_SEQPACKET, keys) < 0 || gr_io_pair(SOCK_SEQPACKET, identity) < 0) {
		turn_away(supervisor, peer, "no descriptor or memory is left");
		goto failed;
	}
	start.context = connection;
	start.number = connection->number;
	start.fds[0] = fd;
	start.fds[1] = keys[0];
	start.fds[2] = identity[0];
	if (gr_child_start(&supervisor->children, &connection->child, &start, &err) < 0) {
		gr_log_error("%s", err.text);
		turn_away(supervisor, peer, "its gateway could not be started");
		goto failed;
	}
	connection->state = GR_CONNECTION_HANDSHAKE;
	gr_loop_timer_set(connection->deadline, HANDSHAKE_MS);
	message.connection = connection->number;
	gr_services_tell_revocations(supervisor);
	gr_services_send(supervisor, GR_IPC_KIND_KEYS, &message, keys[1]);
	gr_services_send(supervisor, GR_IPC_KIND_IDENTITY, &message, identity[1]);
failed:
	if (connection->state == GR_CONNECTION_FREE) {
		gr_loop_timer_remove(connection->deadline);
		memset(connection, 0, sizeof(*connection));
	}
	gr_io_close(&keys[0]);
	gr_io_close(&keys[1]);
	gr_io_close(&identity[0]);
	gr_io_close(&identity[1]);
	gr_io_close(&fd);
}
