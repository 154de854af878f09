#include "broker/supervisor/sessions.h"

#include "broker/supervisor/limits.h"
#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define READY_MS 10000
#define AGENT_MS 5000 /* for the agent to come back */
#define END_MS 3000 /* for the process to tell the viewer and to end */
#define CUT_OFF_MS 900 /* the same in an emergency: within a second all is over */
#define RESTART_WINDOW_MS 60000

static void lost_viewer(struct gr_session *session);
static void start_if_possible(struct gr_session *session);

static int alive(const struct gr_session *session)
{
	return session->state != GR_SESSION_FREE && session->state != GR_SESSION_ENDING;
}

struct gr_session *gr_session_find(struct gr_supervisor *supervisor, uint64_t id)
{
	for (size_t i = 0; id && i < GR_CONTAINERS_MAX; i++)
		if (alive(&supervisor->sessions[i]) && supervisor->sessions[i].id == id)
			return &supervisor->sessions[i];
	return NULL;
}

struct gr_session *gr_session_of_person(struct gr_supervisor *supervisor, const char *person, int *ending_out)
{
	struct gr_session *found = NULL;

	*ending_out = 0;
	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		struct gr_session *session = &supervisor->sessions[i];

		if (session->state == GR_SESSION_FREE || strcmp(session->person, person) != 0)
			continue;
		if (alive(session))
			found = session;
		else
			*ending_out = 1;
	}
	return found;
}

unsigned gr_sessions_active(const struct gr_supervisor *supervisor)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		count += alive(&supervisor->sessions[i]) != 0;
	return count;
}

unsigned gr_sessions_left(const struct gr_supervisor *supervisor)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		count += supervisor->sessions[i].state != GR_SESSION_FREE;
	return count;
}

void gr_sessions_end_all(struct gr_supervisor *supervisor, uint32_t reason)
{
	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		gr_session_end(&supervisor->sessions[i], reason);
}

static struct gr_audit_event event_of(const struct gr_session *session, enum gr_audit_kind kind)
{
	struct gr_audit_event event = { .kind = kind, .session = session->id };

	event.container = session->container_number;
	memcpy(event.person, session->person, sizeof(event.person));
	gr_supervisor_group(session->supervisor, &event);
	return event;
}

/* ---- the end ---- */

static void release(struct gr_session *session)
{
	struct gr_supervisor *supervisor = session->supervisor;

	gr_loop_timer_remove(session->limit);
	gr_loop_timer_remove(session->grace);
	gr_loop_timer_remove(session->agent);
	gr_coordination_release(supervisor->coordination, session->person, session->epoch);
	memset(session, 0, sizeof(*session));
	gr_supervisor_room(supervisor);
}

static void settle(struct gr_session *session)
{
	struct gr_audit_event event = event_of(session, GR_AUDIT_SESSION_END);

	if (gr_connections_of_session(session->supervisor, session->id) > 0)
		return; /* their deadlines are short */
	event.reason = session->reason;
	snprintf(event.detail, sizeof(event.detail), "epoch=%" PRIu64, session->epoch);
	gr_supervisor_record(session->supervisor, &event);
	release(session);
}

void gr_sessions_settle(struct gr_supervisor *supervisor)
{
	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		if (supervisor->sessions[i].state == GR_SESSION_ENDING && supervisor->sessions[i].over)
			settle(&supervisor->sessions[i]);
}

/* The process has ended, or never was. */
static void finish(struct gr_session *session)
{
	struct gr_supervisor *supervisor = session->supervisor;
	struct gr_container *container = session->container;

	gr_log_info("session %016" PRIx64 " of %s is over (%s)", session->id, session->person,
		    gr_reason_name(session->reason));
	session->container = NULL;
	if (container) {
		if (session->recorded)
			gr_container_destroy(supervisor, container);
		else
			gr_container_return(container);
	}
	if (session->waiting)
		gr_connection_refuse_number(supervisor, session->waiting, session->reason, "the session ended");
	gr_connections_session_over(supervisor, session, session->reason);
	gr_loop_timer_set(session->grace, -1);
	session->over = 1;
	settle(session);
}

static void grace_over(void *context)
{
	struct gr_session *session = context;

	if (session->state == GR_SESSION_ENDING)
		gr_child_kill(&session->child, "did not end in time");
	else
		gr_session_end(session, GR_REASON_TIME_OVER);
}

void gr_session_end(struct gr_session *session, uint32_t reason)
{
	struct gr_ipc_message message = { .type = GR_IPC_END, .reason = reason };
	int64_t ms = reason == GR_REASON_CUT_OFF ? CUT_OFF_MS : END_MS;

	if (!alive(session))
		return;
	session->reason = reason;
	session->state = GR_SESSION_ENDING;
	gr_loop_timer_set(session->agent, -1);
	gr_loop_timer_set(session->limit, -1);
	if (!gr_child_alive(&session->child)) {
		finish(session);
		return;
	}
	if (session->started && session->child.state == GR_CHILD_READY) {
		gr_child_send(&session->child, &message, -1);
		gr_loop_timer_set(session->grace, ms);
	} else {
		gr_loop_timer_set(session->grace, -1);
		gr_child_finish(&session->child, ms);
	}
}

/* ---- limits ---- */

static void limit(struct gr_session *session)
{
	const struct gr_config_limits *limits = gr_config_limits_of(&session->supervisor->config, session->person);
	uint32_t reason = GR_REASON_NONE;
	int64_t left = gr_limits_left(limits, session->began_ms, session->active_ms, gr_io_now_ms(), &reason);

	if (left == 0) {
		gr_log_info("session %016" PRIx64 " of %s has reached a limit", session->id, session->person);
		gr_session_end(session, reason);
	} else {
		gr_loop_timer_set(session->limit, left);
	}
}

uint64_t gr_session_seconds_left(const struct gr_session *session)
{
	const struct gr_config_limits *limits = gr_config_limits_of(&session->supervisor->config, session->person);
	uint64_t over_ms = session->began_ms + (uint64_t)limits->absolute_minutes * 60000, now = gr_io_now_ms();

	if (!limits->absolute_minutes)
		return 0;
	return over_ms > now ? (over_ms - now + 999) / 1000 : 1;
}

/* Activity only moves the time: it is looked at when the timer is over. */
static void limit_over(void *context)
{
	limit(context);
}

void gr_sessions_limit(struct gr_supervisor *supervisor)
{
	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		if (alive(&supervisor->sessions[i]))
			limit(&supervisor->sessions[i]);
}

unsigned gr_sessions_end_held(struct gr_supervisor *supervisor)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		struct gr_session *session = &supervisor->sessions[i];

		if (alive(session) && gr_emergency_holds(supervisor, session->person)) {
			count++;
			gr_session_end(session, GR_REASON_CUT_OFF);
		}
	}
	return count;
}

static int is_watched(const struct gr_session *session)
{
	return session->viewer || session->waiting;
}

struct gr_session *gr_sessions_below(struct gr_supervisor *supervisor, unsigned priority)
{
	struct gr_session *found = NULL;

	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		struct gr_session *session = &supervisor->sessions[i];

		if (!alive(session) || gr_config_limits_of(&supervisor->config, session->person)->priority >= priority)
			continue;
		if (!found || is_watched(session) < is_watched(found) ||
		    (is_watched(session) == is_watched(found) && session->active_ms < found->active_ms))
			found = session;
	}
	return found;
}

unsigned gr_sessions_of_group(const struct gr_supervisor *supervisor, const struct gr_config_group *group)
{
	unsigned count = 0;

	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++)
		count += alive(&supervisor->sessions[i]) &&
			 gr_config_group_of(&supervisor->config, supervisor->sessions[i].person) == group;
	return count;
}

void gr_session_container_gone(struct gr_session *session, uint32_t reason)
{
	session->container = NULL;
	gr_session_end(session, reason);
}

/* ---- printing ---- */

static void print_ended(struct gr_session *session, const struct gr_ipc_message *message)
{
	struct gr_audit_event event = event_of(session, GR_AUDIT_PRINT_END);

	if (!session->print_recorded)
		gr_audit_client_cancel(session->supervisor->audit, session->print_token);

	event.reason = message ? message->reason : GR_REASON_INTERNAL;
	snprintf(event.target, sizeof(event.target), "document %u", (unsigned)session->printing);
	if (message)
		snprintf(event.detail, sizeof(event.detail), "pages=%" PRIu64 "%s", message->bytes_down,
			 message->bytes_up ? " and a part of one more" : "");
	else
		snprintf(event.detail, sizeof(event.detail), "pages=unknown: the session's process has ended");
	gr_supervisor_record(session->supervisor, &event);
	session->printing = 0;
	session->print_recorded = 0;
}

static void print_answer(struct gr_session *session, uint64_t document, uint32_t reason)
{
	struct gr_ipc_message message = { .type = GR_IPC_PRINT, .number = document, .reason = reason };

	if (session->state == GR_SESSION_RUNNING)
		gr_child_send(&session->child, &message, -1);
}

static void print_recorded(void *context, uint64_t id, int recorded)
{
	struct gr_session *session = gr_session_find(context, id);

	if (!session || !session->printing)
		return;
	session->print_recorded = recorded;
	print_answer(session, session->printing, recorded ? GR_REASON_NONE : GR_REASON_AUDIT_UNAVAILABLE);
	if (!recorded)
		session->printing = 0;
}

/* Before the first page crosses. The policy in force counts, which may be stricter than when the session began. */
static int print_wanted(struct gr_session *session, const struct gr_ipc_message *message)
{
	const struct gr_config_limits *limits = gr_config_limits_of(&session->supervisor->config, session->person);
	struct gr_audit_event event = event_of(session, GR_AUDIT_PRINT);
	uint64_t first = message->bytes_up, last = message->bytes_down;

	if (session->printing || !message->number || message->number > UINT32_MAX || !first || first > last ||
	    last > GR_PRINT_PAGES_MAX)
		return GR_EPROTO;
	if (session->state != GR_SESSION_RUNNING)
		return 0; /* it ends anyway */
	if (last > limits->print_pages) {
		print_answer(session, message->number, GR_REASON_NOT_PERMITTED);
		return 0;
	}
	session->printing = (uint32_t)message->number;
	session->print_recorded = 0;
	event.connection = session->viewer;
	snprintf(event.target, sizeof(event.target), "document %u", (unsigned)session->printing);
	snprintf(event.detail, sizeof(event.detail), "%.200s", message->text);
	if (gr_audit_client_permit(session->supervisor->audit, &event, print_recorded, session->supervisor, session->id,
				   &session->print_token) < 0)
		print_recorded(session->supervisor, session->id, 0);
	return 0;
}

static int printed(struct gr_session *session, const struct gr_ipc_message *message)
{
	if (!session->printing || !session->print_recorded || message->number != session->printing ||
	    message->bytes_down > GR_PRINT_PAGES_MAX)
		return GR_EPROTO;
	print_ended(session, message);
	return 0;
}

/* ---- the process ---- */

static int start_process(struct gr_session *session);

static void agent_over(void *context)
{
	struct gr_session *session = context;

	gr_log_error("session %016" PRIx64 ": the agent of container %u did not come back", session->id,
		     session->container ? session->container->number : 0);
	gr_session_end(session, GR_REASON_CONTAINER_FAILED);
}

static void hand_agent(struct gr_session *session)
{
	struct gr_ipc_message message = { .type = GR_IPC_AGENT, .container = session->container->number };

	gr_loop_timer_set(session->agent, -1);
	gr_child_send(&session->child, &message, session->container->agent);
	gr_io_close(&session->container->agent);
}

static void start_if_possible(struct gr_session *session)
{
	struct gr_ipc_message message = { .type = GR_IPC_START, .session = session->id };

	if (session->state != GR_SESSION_STARTING && session->state != GR_SESSION_RESTARTING)
		return;
	if (!session->recorded || session->child.state != GR_CHILD_READY || session->container->agent < 0)
		return;
	message.container = session->container->number;
	memcpy(message.person, session->person, sizeof(message.person));
	/* A container that the person has had already keeps the page that it shows. */
	message.number = session->started ? 1 : 0;
	session->started = 1;
	session->state = GR_SESSION_RUNNING;
	gr_child_send(&session->child, &message, -1);
	hand_agent(session);
	gr_log_info("session %016" PRIx64 " of %s runs on container %u", session->id, session->person,
		    session->container->number);
	gr_session_hand_over(session);
	lost_viewer(session);
}

void gr_session_agent(struct gr_session *session)
{
	if (session->state == GR_SESSION_RUNNING)
		hand_agent(session);
	else
		start_if_possible(session);
}

static void child_ready(struct gr_child *child)
{
	start_if_possible(child->context);
}

static uint32_t *handed(struct gr_session *session, uint32_t number)
{
	for (size_t i = 0; i < GR_SESSION_HANDED_MAX; i++)
		if (session->handed[i] == number)
			return &session->handed[i];
	return NULL;
}

static void agent_lost(struct gr_session *session, const struct gr_ipc_message *message)
{
	struct gr_audit_event event = event_of(session, GR_AUDIT_FAULT);

	if (session->state != GR_SESSION_RUNNING)
		return;
	if (message->reason == GR_REASON_CONTAINER_FAILED) {
		/* Not an accident: an agent that breaks the protocol would only do so again. */
		event.reason = message->reason;
		snprintf(event.detail, sizeof(event.detail), "agent: %.240s", message->text);
		gr_supervisor_record(session->supervisor, &event);
		gr_session_end(session, message->reason);
	} else if (session->container->agent < 0) {
		gr_loop_timer_set(session->agent, AGENT_MS);
	}
}

static int child_message(struct gr_child *child, const struct gr_ipc_message *message, int *fd)
{
	struct gr_session *session = child->context;
	uint32_t *number;

	(void)fd;
	if (!gr_session_permits(session->state, message->type))
		return GR_EPROTO;
	if (message->type == GR_IPC_AGENT_LOST) {
		agent_lost(session, message);
		return 0;
	}
	if (message->type == GR_IPC_ACTIVITY) {
		session->active_ms = gr_io_now_ms();
		return 0;
	}
	if (message->type == GR_IPC_PRINT)
		return print_wanted(session, message);
	if (message->type == GR_IPC_PRINTED)
		return printed(session, message);
	number = message->connection ? handed(session, message->connection) : NULL;
	if (!number)
		return GR_EPROTO; /* a viewer that is not this session's */
	if (message->type == GR_IPC_ATTACHED) {
		gr_connection_attached(session->supervisor, message->connection);
		return 0;
	}
	*number = 0;
	gr_connection_detached(session->supervisor, message->connection, message->reason);
	if (session->viewer == message->connection) {
		session->viewer = 0;
		lost_viewer(session);
	}
	return 0;
}

static void child_ended(struct gr_child *child, const struct gr_child_end *end)
{
	struct gr_session *session = child->context;
	struct gr_supervisor *supervisor = session->supervisor;
	struct gr_audit_event event;
	uint64_t now = gr_io_now_ms();

	if (session->printing)
		print_ended(session, NULL);
	if (session->state == GR_SESSION_ENDING) {
		if (!end->in_order)
			gr_log_warning("session %016" PRIx64 ": its process %s", session->id, end->text);
		finish(session);
		return;
	}
	event = event_of(session, GR_AUDIT_FAULT);
	snprintf(event.detail, sizeof(event.detail), "session process: %s", end->text);
	gr_supervisor_record(supervisor, &event);
	gr_log_error("session %016" PRIx64 ": its process ended: %s", session->id, end->text);
	/* The viewer reconnects; the browser and its page stay. */
	memset(session->handed, 0, sizeof(session->handed));
	session->viewer = 0;
	gr_connections_session_over(supervisor, session, GR_REASON_INTERNAL);
	if (now - session->first_restart > RESTART_WINDOW_MS) {
		session->first_restart = now;
		session->restarts = 0;
	}
	/* One that speaks out of turn is not itself any more: whoever did that to it would only do so again. */
	if (end->violated || session->restarts++ >= GR_SESSION_RESTARTS_MAX || gr_supervisor_stopping(supervisor) ||
	    start_process(session) < 0) {
		gr_session_end(session, GR_REASON_INTERNAL);
		return;
	}
	if (session->started)
		session->state = GR_SESSION_RESTARTING;
	if (session->container->agent < 0)
		gr_loop_timer_set(session->agent, AGENT_MS + READY_MS);
	lost_viewer(session);
}

static const struct gr_child_owner owner = { child_ready, child_message, child_ended };

static int start_process(struct gr_session *session)
{
	struct gr_child_start start = {
		.kind = GR_IPC_KIND_SESSION,
		.owner = &owner,
		.context = session,
		.number = session->container->number - 1,
		.ready_ms = READY_MS,
	};
	struct gr_error err;
	int rc = gr_child_start(&session->supervisor->children, &session->child, &start, &err);

	if (rc < 0)
		gr_log_error("%s", err.text);
	return rc;
}

/* ---- the beginning ---- */

static void start_recorded(void *context, uint64_t id, int recorded)
{
	struct gr_session *session = gr_session_find(context, id);

	if (!session)
		return;
	if (!recorded) {
		gr_session_end(session, GR_REASON_AUDIT_UNAVAILABLE);
		return;
	}
	session->recorded = 1;
	gr_container_assign(session->supervisor, session->container);
	start_if_possible(session);
}

static uint64_t new_id(struct gr_supervisor *supervisor)
{
	uint64_t id;

	do
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return 0;
	while (!id || gr_session_find(supervisor, id));
	return id;
}

int gr_session_create(struct gr_supervisor *supervisor, const char *person, uint64_t epoch,
		      struct gr_container *container, struct gr_session **out)
{
	struct gr_session *session = NULL;
	struct gr_audit_event event;

	for (size_t i = 0; i < GR_CONTAINERS_MAX && !session; i++)
		if (supervisor->sessions[i].state == GR_SESSION_FREE)
			session = &supervisor->sessions[i];
	if (!session)
		return GR_EFULL;
	session->supervisor = supervisor;
	session->id = new_id(supervisor);
	session->epoch = epoch;
	session->since = time(NULL);
	snprintf(session->person, sizeof(session->person), "%s", person);
	session->began_ms = session->active_ms = gr_io_now_ms();
	session->limit = gr_loop_timer_add(supervisor->loop, limit_over, session);
	session->grace = gr_loop_timer_add(supervisor->loop, grace_over, session);
	session->agent = gr_loop_timer_add(supervisor->loop, agent_over, session);
	session->container = container;
	session->container_number = container->number;
	if (!session->id || !session->limit || !session->grace || !session->agent)
		goto failed;
	session->state = GR_SESSION_STARTING;
	event = event_of(session, GR_AUDIT_SESSION_START);
	snprintf(event.detail, sizeof(event.detail), "epoch=%" PRIu64, epoch);
	/* The record first; while it is flushed the process starts, which has nothing of the container or the person yet. */
	if (gr_audit_client_permit(supervisor->audit, &event, start_recorded, supervisor, session->id, NULL) < 0)
		goto failed;
	gr_container_reserve(container, session);
	if (start_process(session) < 0) {
		/* The record has its start already: it must have its end too. */
		session->state = GR_SESSION_ENDING;
		session->reason = GR_REASON_INTERNAL;
		finish(session);
		return GR_EIO;
	}
	limit(session);
	*out = session;
	return 0;
failed:
	gr_loop_timer_remove(session->limit);
	gr_loop_timer_remove(session->grace);
	gr_loop_timer_remove(session->agent);
	memset(session, 0, sizeof(*session));
	return GR_EFULL;
}

/* ---- viewers ---- */

/* Nobody watches: from now on the grace time runs. */
static void lost_viewer(struct gr_session *session)
{
	if (alive(session))
		gr_loop_timer_set(session->grace,
				  session->viewer || session->waiting
					  ? -1
					  : (int64_t)session->supervisor->config.session.grace_seconds * 1000);
}

static void attach_recorded(void *context, uint64_t number, int recorded)
{
	struct gr_connection *connection = gr_connection_find(context, (uint32_t)number);

	if (!connection || connection->state != GR_CONNECTION_WAITING)
		return;
	if (!recorded) {
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE,
				     "the record of the attach cannot be written");
		return;
	}
	connection->attach_recorded = 1;
	if (connection->session)
		gr_session_hand_over(connection->session);
}

void gr_session_want(struct gr_session *session, struct gr_connection *connection)
{
	struct gr_audit_event event = event_of(session, GR_AUDIT_SESSION_ATTACH);
	uint32_t other = session->waiting;

	session->waiting = connection->number;
	connection->session = session;
	gr_loop_timer_set(session->grace, -1);
	if (other)
		gr_connection_refuse_number(session->supervisor, other, GR_REASON_TAKEN_OVER,
					    "the same person came again");
	event.connection = connection->number;
	memcpy(event.peer, connection->peer, sizeof(event.peer));
	if (gr_audit_client_permit(session->supervisor->audit, &event, attach_recorded, session->supervisor,
				   connection->number, NULL) < 0) {
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE, "too many events wait for the record");
		return;
	}
	connection->attach_sent = 1;
	connection->session_id = session->id;
	gr_recording_begin(connection); /* while the other records are flushed and the container is had */
}

void gr_session_hand_over(struct gr_session *session)
{
	struct gr_supervisor *supervisor = session->supervisor;
	struct gr_connection *connection = gr_connection_find(supervisor, session->waiting);
	struct gr_ipc_message message = { .type = GR_IPC_ATTACH };
	uint32_t *place;
	int pair[2];

	if (!connection || session->state != GR_SESSION_RUNNING || !connection->login_recorded ||
	    !connection->attach_recorded || !gr_recording_settled(connection))
		return;
	place = handed(session, 0);
	if (!place) {
		gr_child_kill(&session->child, "keeps viewers that are gone");
		return;
	}
	if (gr_io_pair(SOCK_STREAM, pair) < 0) {
		gr_connection_refuse(connection, GR_REASON_INTERNAL, "no descriptor is left for the stream");
		return;
	}
	*place = connection->number;
	session->waiting = 0;
	session->viewer = connection->number;
	session->active_ms = gr_io_now_ms(); /* to come is to do something */
	gr_loop_timer_set(session->grace, -1);
	message.connection = connection->number;
	const struct gr_config_limits *limits = gr_config_limits_of(&supervisor->config, session->person);
	message.bytes_up = limits->clipboard_up;
	message.bytes_down = limits->clipboard_down;
	gr_child_send(&session->child, &message, pair[0]);
	gr_connection_open(connection, pair[1]);
	gr_io_close(&pair[0]);
	gr_io_close(&pair[1]);
}

void gr_session_leave(struct gr_session *session, const struct gr_connection *connection)
{
	if (session->waiting == connection->number)
		session->waiting = 0;
	if (session->viewer == connection->number)
		session->viewer = 0;
	lost_viewer(session);
}
