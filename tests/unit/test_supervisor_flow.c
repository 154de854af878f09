/*
 * The whole supervisor: what is permitted when, who is killed for what, who gets which session (T31: every message in every
 * wrong state ends its sender; the supervisor lives).
 */
#include "common/io.h"
#include "tests/unit/supervisor_driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void every_wrong_message_of_a_gateway_ends_it(void **state)
{
	struct viewer first, viewer;
	int session = open_session("hanako", 1, &first);

	(void)state;
	assert_true(
		say(session, (struct gr_ipc_message){ .type = GR_IPC_ATTACHED, .connection = (uint32_t)first.number }));
	for (int where = GR_CONNECTION_HANDSHAKE; where <= GR_CONNECTION_CLOSED; where++) {
		if (where == GR_CONNECTION_CLOSING)
			continue; /* an end that is under way: what crosses it is let pass */
		for (uint32_t type = 1; type < GR_IPC_TYPES; type++) {
			if (gr_connection_permits((enum gr_connection_state)where, type) &&
			    gr_ipc_permitted(GR_IPC_KIND_GATEWAY, type))
				continue;
			viewer = arrive();
			if (where >= GR_CONNECTION_IDENTIFIED)
				identify(&viewer, where == GR_CONNECTION_OPEN ? "hanako" : "taro");
			if (where == GR_CONNECTION_WAITING || where == GR_CONNECTION_OPEN)
				assert_true(
					say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_WANT_SESSION }));
			if (where == GR_CONNECTION_OPEN)
				hear(viewer.gateway, GR_IPC_OPEN);
			if (where == GR_CONNECTION_CLOSED)
				assert_true(say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_CLOSED }));
			say(viewer.gateway,
			    (struct gr_ipc_message){ .type = type, .connection = (uint32_t)viewer.number });
			gone(viewer.gateway);
			assert_non_null(strstr(recorded(GR_AUDIT_FAULT).detail, "gateway: sent "));
			close(viewer.tcp);
			if (where == GR_CONNECTION_OPEN)
				assert_true(
					say(session, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
									      .connection = (uint32_t)viewer.number }));
		}
	}
	viewer = arrive();
	say(viewer.gateway, (struct gr_ipc_message){ .type = SHORT_PACKET });
	gone(viewer.gateway);
	assert_non_null(strstr(recorded(GR_AUDIT_FAULT).detail, "gateway: sent what is no message"));
	close(viewer.tcp);
	stays(session);
	assert_int_equal(ask((struct gr_ipc_message){ .type = GR_IPC_ADMIN_STATUS, .number = 2 }).number, 2);
	leave(&first);
	close(session);
}

/* The session goes with it: a process that says such things is not itself any more. */
static void every_wrong_message_of_a_session_ends_both(void **state)
{
	(void)state;
	for (uint32_t type = 1; type <= GR_IPC_TYPES + 1; type++) {
		struct gr_ipc_message message = { .type = type };
		struct gr_audit_event event;
		struct viewer viewer;
		char person[16];
		int session;

		if (type == GR_IPC_AGENT_LOST || type == GR_IPC_ACTIVITY)
			continue;
		snprintf(person, sizeof(person), "p%u", type);
		session = open_session(person, 1, &viewer);
		/* ATTACHED and DETACHED: of a connection that is not its own. */
		message.connection = (uint32_t)viewer.number + 1;
		if (type == GR_IPC_TYPES)
			message = (struct gr_ipc_message){ .type = GR_IPC_DETACHED };
		if (type == GR_IPC_TYPES + 1)
			message.type = SHORT_PACKET;
		say(session, message);
		gone(session);
		event = recorded(GR_AUDIT_FAULT);
		assert_non_null(strstr(event.detail, "session process: sent "));
		assert_string_equal(event.person, person);
		assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, 1);
		leave(&viewer);
		assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_INTERNAL);
		assert_true(say(services[GR_IPC_KIND_POOL],
				(struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1 }));
	}
}

static void session_process_that_dies_is_replaced_and_the_page_stays(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	say(session, (struct gr_ipc_message){ 0 }); /* it exits */
	gone(session);
	session = take_child(GR_IPC_KIND_SESSION, NULL);
	assert_true(say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_AGENT, .container = 1 }));
	assert_int_equal(hear(session, GR_IPC_START).number, 1);
	hear(session, GR_IPC_AGENT);
	end_session("hanako", 1, session);
	leave(&viewer);
}

static void nobody_speaks_before_its_ready(void **state)
{
	struct viewer viewer;
	char early[128];

	(void)state;
	snprintf(early, sizeof(early), "%s/early", folder);
	close(open(early, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	viewer = arrive();
	gone(viewer.gateway);
	assert_string_equal(strstr(recorded(GR_AUDIT_FAULT).detail, "before its"), "before its READY");
	close(viewer.tcp);
	unlink(early);
	viewer = arrive();
	stays(viewer.gateway);
	leave(&viewer);
}

/* A container that is there cannot be started again; the supervisor goes on with a new pool. */
static void wrong_messages_of_the_pool_in_every_state_of_a_container_end_it(void **state)
{
	struct viewer viewer = { 0 };
	int session = -1;

	(void)state;
	for (int where = GR_CONTAINER_STARTING; where <= GR_CONTAINER_DESTROYING; where++) {
		if (where == GR_CONTAINER_STARTING)
			assert_true(say(services[GR_IPC_KIND_POOL],
					(struct gr_ipc_message){ .type = GR_IPC_STARTED, .container = 1 }));
		if (where == GR_CONTAINER_WARM)
			warm_up(1);
		if (where >= GR_CONTAINER_USED)
			session = open_session("hanako", 1, &viewer);
		if (where == GR_CONTAINER_DESTROYING) {
			assert_int_equal(ask((struct gr_ipc_message){ .type = GR_IPC_ADMIN_KILL,
								      .number = 1,
								      .person = "hanako",
								      .text = "root" })
						 .reason,
					 GR_REASON_NONE);
			hear(session, GR_IPC_END);
			close(session);
			hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY);
		}
		say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_STARTED, .container = 1 });
		gone(services[GR_IPC_KIND_POOL]);
		assert_non_null(strstr(recorded(GR_AUDIT_FAULT).detail, "pool: sent "));
		if (where >= GR_CONTAINER_USED)
			leave(&viewer);
		if (where == GR_CONTAINER_USED) {
			hear(session, GR_IPC_END);
			close(session);
			recorded(GR_AUDIT_SESSION_END);
		}
		services[GR_IPC_KIND_POOL] = take_child(GR_IPC_KIND_POOL, NULL);
	}
}

static void wrong_messages_of_services_end_and_restart_them(void **state)
{
	struct viewer viewer = arrive();

	(void)state;
	say(services[GR_IPC_KIND_POOL],
	    (struct gr_ipc_message){ .type = GR_IPC_AGENT, .container = 1 }); /* nothing STARTED */
	gone(services[GR_IPC_KIND_POOL]);
	services[GR_IPC_KIND_POOL] = take_child(GR_IPC_KIND_POOL, NULL);
	say(services[GR_IPC_KIND_POOL],
	    (struct gr_ipc_message){ .type = GR_IPC_STARTED, .container = GR_CONTAINERS_MAX + 1 });
	gone(services[GR_IPC_KIND_POOL]);
	services[GR_IPC_KIND_POOL] = take_child(GR_IPC_KIND_POOL, NULL);
	identify(&viewer, "hanako");
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ .type = GR_IPC_IDENTIFIED,
								     .connection = (uint32_t)viewer.number,
								     .person = "taro" });
	gone(services[GR_IPC_KIND_IDENTITY]);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
	for (int kind = GR_IPC_KIND_AUDIT; kind < GR_SERVICES; kind++) {
		if (services[kind] < 0)
			continue;
		say(services[kind], (struct gr_ipc_message){ .type = GR_IPC_READY }); /* a second time */
		gone(services[kind]);
		services[kind] = take_child(kind, NULL);
	}
	/* And all of it works again. */
	leave(&viewer);
	close(open_session("hanako", 1, &viewer));
	leave(&viewer);
}

static void a_violation_ends_its_own_connection(void **state)
{
	struct viewer viewer, other, again;
	int session = open_session("hanako", 1, &viewer), other_session = open_session("taro", 2, &other);
	struct gr_audit_event event;
	struct stat status;
	char path[512];
	uint64_t id;

	(void)state;
	assert_true(say(
		viewer.gateway,
		(struct gr_ipc_message){ .type = GR_IPC_CLIPBOARD, .bytes_up = 33, .text = "direction=up sha256=00" }));
	event = recorded(GR_AUDIT_CLIPBOARD);
	id = event.session;
	assert_int_equal(event.connection, viewer.number);
	assert_string_equal(event.person, "hanako");
	assert_true(id != 0 && event.peer[0]);
	assert_int_equal(event.up, 33);
	assert_string_equal(event.detail, "direction=up sha256=00");
	assert_true(say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_CLIPBOARD_PASSED,
								 .bytes_down = 44,
								 .text = "direction=down sha256=11" }));
	event = recorded(GR_AUDIT_CLIPBOARD_PASSED);
	assert_int_equal(event.session, id);
	assert_true(event.down == 44 && event.up == 0);
	assert_string_equal(event.detail, "direction=down sha256=11");
	stays(viewer.gateway);

	assert_true(say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_VIOLATION, .text = "direction=up x" }));
	event = recorded(GR_AUDIT_GUARD);
	assert_true(event.session == id && event.peer[0]);
	assert_string_equal(event.person, "hanako");
	assert_string_equal(event.detail, "direction=up x");
	assert_int_equal(strncmp(event.target, "violations/", 11), 0);
	snprintf(path, sizeof(path), "%s/%s", folder, event.target);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 12);
	/* The session process sees an end without a reason, and is faster. */
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
							  .connection = (uint32_t)viewer.number,
							  .reason = GR_REASON_VIEWER_LEFT }));
	assert_true(
		say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_CLOSED, .reason = GR_REASON_PROTOCOL }));
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_DETACH).reason, GR_REASON_PROTOCOL);

	/* The session is there for who comes back, and nobody else noticed. Twice is once too often. */
	stays(session);
	stays(other_session);
	stays(other.gateway);
	again = want("hanako");
	assert_int_equal(hear(session, GR_IPC_ATTACH).connection, again.number);
	hear(again.gateway, GR_IPC_OPEN);
	say(again.gateway, (struct gr_ipc_message){ .type = GR_IPC_VIOLATION });
	say(again.gateway, (struct gr_ipc_message){ .type = GR_IPC_VIOLATION });
	gone(again.gateway);
	assert_int_equal(recorded(GR_AUDIT_GUARD).connection, again.number);
	do
		event = next_event();
	while (event.kind == GR_AUDIT_SESSION_ATTACH);
	assert_int_equal(event.kind, GR_AUDIT_FAULT);
	stays(session);
	close(again.tcp);
	leave(&other);
	close(session);
	close(other_session);
}

static void person_waits_for_a_container_and_gets_it(void **state)
{
	struct viewer viewer = want("hanako");

	(void)state;
	stays(viewer.gateway);
	warm_up(2);
	hear(viewer.gateway, GR_IPC_OPEN);
	assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_ASSIGN).container, 2);
	recorded(GR_AUDIT_LOGIN);
	recorded(GR_AUDIT_SESSION_START);
	recorded(GR_AUDIT_SESSION_ATTACH);
	leave(&viewer);
	recorded(GR_AUDIT_SESSION_DETACH);
}

static void same_person_waiting_twice_gives_way(void **state)
{
	struct viewer first = want("hanako"), second = want("hanako");

	(void)state;
	assert_int_equal(hear(first.gateway, GR_IPC_REFUSE).reason, GR_REASON_TAKEN_OVER);
	warm_up(1);
	hear(second.gateway, GR_IPC_OPEN);
	leave(&first);
	leave(&second);
}

static void one_too_many_is_refused(void **state)
{
	struct viewer viewers[MAXIMUM + 1];

	(void)state;
	for (int i = 0; i < MAXIMUM; i++)
		viewers[i] = want(i ? "hanako" : "taro");
	viewers[MAXIMUM] = want("jiro");
	assert_int_equal(hear(viewers[MAXIMUM].gateway, GR_IPC_REFUSE).reason, GR_REASON_NO_CAPACITY);
	assert_int_equal(recorded(GR_AUDIT_LOGIN_REFUSED).reason, GR_REASON_NO_CAPACITY);
	for (int i = 0; i <= MAXIMUM; i++)
		leave(&viewers[i]);
}

static void nothing_starts_that_cannot_be_recorded(void **state)
{
	struct viewer viewer;
	char full[128];

	(void)state;
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	warm_up(1);
	viewer = want("hanako");
	assert_int_equal(hear(viewer.gateway, GR_IPC_REFUSE).reason, GR_REASON_AUDIT_UNAVAILABLE);
	leave(&viewer);
	assert_non_null(strstr(ask((struct gr_ipc_message){ .type = GR_IPC_ADMIN_STATUS }).text,
			       "audit=cannot_be_written:_No_space_left_on_device"));
	/* The container was given to nobody: the next person has it, once the record can be written. */
	unlink(full);
	viewer = want("taro");
	hear(viewer.gateway, GR_IPC_OPEN);
	recorded(GR_AUDIT_SESSION_START);
	leave(&viewer);
}

static void egress_that_died_is_told_of_its_containers_again(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);
	struct gr_ipc_message message;

	(void)state;
	say(services[GR_IPC_KIND_EGRESS], (struct gr_ipc_message){ 0 });
	gone(services[GR_IPC_KIND_EGRESS]);
	services[GR_IPC_KIND_EGRESS] = take_child(GR_IPC_KIND_EGRESS, NULL);
	hear(services[GR_IPC_KIND_EGRESS], GR_IPC_PEER);
	assert_int_equal(hear(services[GR_IPC_KIND_EGRESS], GR_IPC_EGRESS_CONTAINER).container, 1);
	message = hear(services[GR_IPC_KIND_EGRESS], GR_IPC_EGRESS_ASSIGN);
	assert_string_equal(message.person, "hanako");
	leave(&viewer);
	close(session);
}

static const char *forward_state(void)
{
	static struct gr_ipc_message answer;

	answer = ask((struct gr_ipc_message){ .type = GR_IPC_ADMIN_STATUS });
	return strstr(answer.subject, "forward=");
}

static void alarm_of_forward_is_recorded_and_shown(void **state)
{
	int forward = services[GR_IPC_KIND_FORWARD];
	struct gr_ipc_message message = { .type = GR_IPC_FORWARD_STATE, .subject = "unreachable" };

	(void)state;
	assert_string_equal(forward_state(), "forward=ok");
	assert_true(say(forward, message));
	let_hear();
	assert_string_equal(forward_state(), "forward=unreachable");
	message.reason = GR_REASON_INTERNAL;
	snprintf(message.subject, sizeof(message.subject), "alarm");
	snprintf(message.text, sizeof(message.text), "the record was rolled back");
	assert_true(say(forward, message));
	assert_string_equal(recorded(GR_AUDIT_FAULT).detail, "forward: the record was rolled back");
	assert_string_equal(forward_state(), "forward=alarm");
	/* A word that there is not, which might be two of status's fields. */
	snprintf(message.subject, sizeof(message.subject), "ok sessions=0");
	say(forward, message);
	gone(forward);
	services[GR_IPC_KIND_FORWARD] = take_child(GR_IPC_KIND_FORWARD, NULL);
}

static void agent_that_breaks_the_protocol_ends_its_session(void **state)
{
	struct gr_ipc_message lost = { .type = GR_IPC_AGENT_LOST, .text = "a cursor of 65535x1 pixels" };
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);
	struct gr_audit_event event;

	(void)state;
	assert_true(say(session, lost)); /* one that only went away may come back */
	stays(session);
	lost.reason = GR_REASON_CONTAINER_FAILED;
	assert_true(say(session, lost));
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_CONTAINER_FAILED);
	event = recorded(GR_AUDIT_FAULT);
	assert_string_equal(event.detail, "agent: a cursor of 65535x1 pixels");
	assert_string_equal(event.person, "hanako");
	close(session);
	assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, 1);
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_CONTAINER_FAILED);
}

/* Returns whether identity was given the file of revocation lists before this connection. */
static int given_with_next_connection(void)
{
	struct viewer viewer = arrive();
	struct gr_ipc_message message = { 0 };
	int given = 0;

	while (message.type != GR_IPC_PEER) {
		assert_true(readable(services[GR_IPC_KIND_IDENTITY], PATIENCE_MS));
		assert_int_equal(recv(services[GR_IPC_KIND_IDENTITY], &message, sizeof(message), 0), sizeof(message));
		given += message.type == GR_IPC_REVOCATIONS;
	}
	leave(&viewer);
	return given;
}

static void changed_revocation_list_counts_from_the_next_connection_on(void **state)
{
	char list[128], fresh[128];

	(void)state;
	assert_int_equal(given_with_next_connection(), 0); /* there is no such file */
	snprintf(list, sizeof(list), "%s/crl.pem", folder);
	snprintf(fresh, sizeof(fresh), "%s/crl.pem.new", folder);
	close(open(list, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_int_equal(given_with_next_connection(), 1);
	assert_int_equal(given_with_next_connection(), 0);
	close(open(fresh, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_int_equal(rename(fresh, list), 0);
	assert_int_equal(given_with_next_connection(), 1);
	assert_int_equal(given_with_next_connection(), 0);
}

static void say_revoked(const struct viewer *viewer)
{
	assert_true(say(services[GR_IPC_KIND_IDENTITY],
			(struct gr_ipc_message){ .type = GR_IPC_REVOKED, .connection = (uint32_t)viewer->number }));
}

static void revoked_certificate_ends_its_connection_and_session(void **state)
{
	struct viewer viewer, waiting, other;
	int session = open_session("hanako", 1, &viewer);
	struct gr_audit_event event;

	(void)state;
	/* One that waits is refused; one whose number nobody has any more is nothing to the supervisor. */
	waiting = want("taro");
	say_revoked(&waiting);
	assert_int_equal(hear(waiting.gateway, GR_IPC_REFUSE).reason, GR_REASON_REVOKED);
	event = recorded(GR_AUDIT_LOGIN_REFUSED);
	assert_int_equal(event.reason, GR_REASON_REVOKED);
	assert_string_equal(event.person, "taro");
	leave(&waiting);
	assert_true(say(services[GR_IPC_KIND_IDENTITY],
			(struct gr_ipc_message){ .type = GR_IPC_REVOKED, .connection = 4242 }));

	/* Another certificate of the same person has taken the session over: the revoked one ends nothing of it. */
	other = viewer;
	viewer = want("hanako");
	hear(viewer.gateway, GR_IPC_OPEN);
	say_revoked(&other);
	stays(session);
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
							  .connection = (uint32_t)other.number,
							  .reason = GR_REASON_TAKEN_OVER }));
	let_hear();
	leave(&other);
	assert_int_equal(recorded(GR_AUDIT_SESSION_DETACH).reason, GR_REASON_TAKEN_OVER);

	say_revoked(&viewer);
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_REVOKED);
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
							  .connection = (uint32_t)viewer.number,
							  .reason = GR_REASON_REVOKED }));
	let_hear();
	close(session);
	leave(&viewer);
	event = recorded(GR_AUDIT_SESSION_DETACH);
	assert_int_equal(event.reason, GR_REASON_REVOKED);
	assert_string_equal(event.detail, "serial=1");
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_REVOKED);
	assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, 1);
	/* The number 0 is nobody's: that ends who says it. */
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ .type = GR_IPC_REVOKED });
	gone(services[GR_IPC_KIND_IDENTITY]);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
}

static void who_a_dead_identity_process_knew_is_let_go_by_a_new_list(void **state)
{
	struct viewer viewer, next;
	int session = open_session("hanako", 1, &viewer);
	char list[128];

	(void)state;
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ 0 });
	gone(services[GR_IPC_KIND_IDENTITY]);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
	say_revoked(&(struct viewer){ .number = 4242 }); /* behind its READY */
	let_hear();
	next = arrive();
	stays(viewer.gateway); /* its death alone ends nobody */
	snprintf(list, sizeof(list), "%s/crl.pem", folder);
	close(open(list, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	identify(&next, "taro");
	close(arrive().tcp); /* which makes the supervisor look at the list */
	gone(viewer.gateway);
	assert_int_equal(recorded(GR_AUDIT_SESSION_DETACH).reason, GR_REASON_INTERNAL);
	stays(next.gateway);
	stays(session); /* it waits for its person */
	close(viewer.tcp);
	leave(&next);
}

static void a_session_is_chosen_by_the_certificate_alone(void **state)
{
	struct viewer first, second = arrive();
	int session = open_session("hanako", 1, &first), other;
	struct gr_ipc_message row;

	(void)state;
	assert_true(send(services[GR_IPC_KIND_ADMIN],
			 &(struct gr_ipc_message){ .type = GR_IPC_ADMIN_SESSIONS, .number = 3, .actor = "root" },
			 sizeof(row), MSG_NOSIGNAL) > 0);
	row = hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_ROW);
	assert_string_equal(row.person, "hanako");
	warm_up(2);
	identify(&second, "taro");
	/* A gateway that is taken over knows all of hanako's numbers and says so: it gets taro's session. */
	row.type = GR_IPC_WANT_SESSION;
	assert_true(say(second.gateway, row));
	other = take_child(GR_IPC_KIND_SESSION, NULL);
	assert_string_equal(hear(other, GR_IPC_START).person, "taro");
	assert_int_equal(hear(other, GR_IPC_ATTACH).connection, second.number);
	stays(session);
	stays(first.gateway);
	leave(&first);
	leave(&second);
	close(session);
	close(other);
}

static void container_that_dies_ends_its_session(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	assert_true(
		say(services[GR_IPC_KIND_POOL],
		    (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1, .reason = GR_REASON_OUT_OF_MEMORY }));
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_OUT_OF_MEMORY);
	close(session);
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_OUT_OF_MEMORY);
}

static void silent_connections_are_bounded(void **state)
{
	int sockets[GR_CONNECTIONS_UNKNOWN_PER_SOURCE + 4];
	unsigned turned_away = 0;
	char byte;

	(void)state;
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
		sockets[i] = connect_viewer();
	for (unsigned i = 0; i < GR_CONNECTIONS_UNKNOWN_PER_SOURCE; i++)
		assert_true(take_child(GR_IPC_KIND_GATEWAY, NULL) > 0);
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		turned_away += readable(sockets[i], i < GR_CONNECTIONS_UNKNOWN_PER_SOURCE ? 0 : 2000) &&
			       recv(sockets[i], &byte, 1, 0) <= 0;
		close(sockets[i]);
	}
	assert_int_equal(turned_away, 4);
}

static void source_whose_handshakes_fail_is_not_served_for_a_while(void **state)
{
	struct gr_ipc_message failed = { .type = GR_IPC_HANDSHAKE_FAILED,
					 .reason = GR_REASON_BAD_CERTIFICATE,
					 .text = "no certificate" };
	struct gr_audit_event event;
	struct viewer viewer = { 0 };
	char byte;
	int tcp;

	(void)state;
	for (int i = 0; i < 2 * FAILURES_PER_MINUTE - 1; i++) {
		struct viewer bad;

		if (i == FAILURES_PER_MINUTE - 1)
			viewer = want("hanako"); /* what failed before it does not count, and it stays */
		bad = arrive();
		failed.connection = (uint32_t)bad.number;
		assert_true(say(bad.gateway, failed));
		assert_string_equal(recorded(GR_AUDIT_LOGIN_REFUSED).detail, "no certificate");
		leave(&bad);
	}
	event = recorded(GR_AUDIT_LOGIN_REFUSED);
	assert_string_equal(event.detail,
			    "5 handshakes or logins from this address failed within a minute: not served for 10 s");
	assert_int_equal(strncmp(event.peer, "127.0.0.1:", 10), 0);
	for (int i = 0; i < 3; i++) {
		tcp = connect_viewer();
		assert_true(readable(tcp, PATIENCE_MS));
		assert_int_equal(recv(tcp, &byte, 1, 0), 0);
		close(tcp);
	}
	stays(viewer.gateway);
	assert_false(readable(listener, 0)); /* no process was started for them */
	leave(&viewer);
}

static void service_that_dies_again_and_again_ends_the_broker(void **state)
{
	(void)state;
	for (int i = 0; i <= GR_SERVICE_DEATHS_MAX; i++) {
		say(services[GR_IPC_KIND_KEYS], (struct gr_ipc_message){ 0 });
		gone(services[GR_IPC_KIND_KEYS]);
		services[GR_IPC_KIND_KEYS] = -1;
		if (i < GR_SERVICE_DEATHS_MAX)
			services[GR_IPC_KIND_KEYS] = take_child(GR_IPC_KIND_KEYS, NULL);
	}
	assert_int_equal(wait_for_broker(), 1);
}

static void end_of_the_broker_ends_everybody(void **state)
{
	struct viewer viewer, waiting;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	waiting = want("taro");
	kill(broker, SIGTERM);
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_SHUTTING_DOWN);
	assert_int_equal(hear(waiting.gateway, GR_IPC_REFUSE).reason, GR_REASON_SHUTTING_DOWN);
	close(session);
	leave(&viewer);
	leave(&waiting);
	recorded(GR_AUDIT_SESSION_END);
	recorded(GR_AUDIT_CONTAINER_END);
	recorded(GR_AUDIT_BROKER_STOP);
	assert_int_equal(wait_for_broker(), 0);
}

#define flow_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		flow_test(every_wrong_message_of_a_gateway_ends_it),
		flow_test(every_wrong_message_of_a_session_ends_both),
		flow_test(session_process_that_dies_is_replaced_and_the_page_stays),
		flow_test(nobody_speaks_before_its_ready),
		flow_test(wrong_messages_of_the_pool_in_every_state_of_a_container_end_it),
		flow_test(wrong_messages_of_services_end_and_restart_them),
		flow_test(a_violation_ends_its_own_connection),
		flow_test(person_waits_for_a_container_and_gets_it),
		flow_test(same_person_waiting_twice_gives_way),
		flow_test(one_too_many_is_refused),
		flow_test(nothing_starts_that_cannot_be_recorded),
		flow_test(egress_that_died_is_told_of_its_containers_again),
		flow_test(alarm_of_forward_is_recorded_and_shown),
		flow_test(agent_that_breaks_the_protocol_ends_its_session),
		flow_test(changed_revocation_list_counts_from_the_next_connection_on),
		flow_test(revoked_certificate_ends_its_connection_and_session),
		flow_test(who_a_dead_identity_process_knew_is_let_go_by_a_new_list),
		flow_test(a_session_is_chosen_by_the_certificate_alone),
		flow_test(container_that_dies_ends_its_session),
		flow_test(silent_connections_are_bounded),
		flow_test(source_whose_handshakes_fail_is_not_served_for_a_while),
		flow_test(service_that_dies_again_and_again_ends_the_broker),
		flow_test(end_of_the_broker_ends_everybody),
	};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strncmp(name, "garasu-", 7) == 0 && argc >= 2)
		return stand_in(name + 7, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
