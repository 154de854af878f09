/* The tables of what may be said when, spelled out a second time; the queue; where a key stands in a configuration. */
#include "broker/ipc/ipc.h"
#include "broker/supervisor/limits.h"
#include "broker/supervisor/queue.h"
#include "broker/supervisor/states.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef int (*permits)(int state, uint32_t type);

struct line {
	int state;
	uint32_t types[16]; /* 0 ends */
};

static int of_connection(int state, uint32_t type)
{
	return gr_connection_permits((enum gr_connection_state)state, type);
}

static int of_session(int state, uint32_t type)
{
	return gr_session_permits((enum gr_session_state)state, type);
}

static int of_container(int state, uint32_t type)
{
	return gr_container_permits((enum gr_container_state)state, type);
}

static void compare(permits function, const struct line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (uint32_t type = 0; type < 200; type++) {
			int expected = 0;

			for (size_t k = 0; k < 16 && lines[i].types[k]; k++)
				expected |= lines[i].types[k] == type;
			if (function(lines[i].state, type) != expected)
				fail_msg("state %d, message %u", lines[i].state, type);
		}
	}
}

static void connection_permits_exactly_its_table(void **state)
{
	static const struct line lines[GR_CONNECTION_STATES] = {
		{ GR_CONNECTION_FREE, { 0 } },
		{ GR_CONNECTION_HANDSHAKE,
		  { GR_IPC_ASKING, GR_IPC_LOGIN_FAILED, GR_IPC_IDENTIFIED, GR_IPC_HANDSHAKE_FAILED, GR_IPC_CLOSED } },
		{ GR_CONNECTION_IDENTIFIED,
		  { GR_IPC_WANT_SESSION, GR_IPC_HANDSHAKE_FAILED, GR_IPC_CLOSED, GR_IPC_REVOKED } },
		{ GR_CONNECTION_WAITING, { GR_IPC_RECORDED, GR_IPC_CLOSED, GR_IPC_REVOKED } },
		{ GR_CONNECTION_OPEN,
		  { GR_IPC_RECORDED, GR_IPC_VIOLATION, GR_IPC_CLIPBOARD, GR_IPC_CLIPBOARD_PASSED, GR_IPC_CLOSED,
		    GR_IPC_REVOKED } },
		{ GR_CONNECTION_CLOSING,
		  { GR_IPC_ASKING, GR_IPC_LOGIN_FAILED, GR_IPC_IDENTIFIED, GR_IPC_HANDSHAKE_FAILED, GR_IPC_WANT_SESSION,
		    GR_IPC_RECORDED, GR_IPC_VIOLATION, GR_IPC_CLIPBOARD, GR_IPC_CLIPBOARD_PASSED, GR_IPC_CLOSED,
		    GR_IPC_REVOKED } },
		{ GR_CONNECTION_CLOSED, { GR_IPC_LOGIN_FAILED, GR_IPC_REVOKED } },
	};

	(void)state;
	compare(of_connection, lines, GR_CONNECTION_STATES);
}

static void session_permits_exactly_its_table(void **state)
{
	static const struct line lines[GR_SESSION_STATES] = {
		{ GR_SESSION_FREE, { 0 } },
		{ GR_SESSION_STARTING, { 0 } },
		{ GR_SESSION_RUNNING, { GR_IPC_ATTACHED, GR_IPC_DETACHED, GR_IPC_ACTIVITY, GR_IPC_AGENT_LOST } },
		{ GR_SESSION_RESTARTING, { 0 } },
		{ GR_SESSION_ENDING, { GR_IPC_ATTACHED, GR_IPC_DETACHED, GR_IPC_ACTIVITY, GR_IPC_AGENT_LOST } },
	};

	(void)state;
	compare(of_session, lines, GR_SESSION_STATES);
}

static void container_permits_exactly_its_table(void **state)
{
	static const struct line lines[GR_CONTAINER_STATES] = {
		{ GR_CONTAINER_FREE, { GR_IPC_STARTED, GR_IPC_GONE } },
		{ GR_CONTAINER_STARTING, { GR_IPC_AGENT, GR_IPC_GONE } },
		{ GR_CONTAINER_WARM, { GR_IPC_AGENT, GR_IPC_GONE } },
		{ GR_CONTAINER_USED, { GR_IPC_AGENT, GR_IPC_GONE } },
		{ GR_CONTAINER_DESTROYING, { GR_IPC_AGENT, GR_IPC_GONE } },
	};

	(void)state;
	compare(of_container, lines, GR_CONTAINER_STATES);
}

static void queue_keeps_order_and_bound(void **state)
{
	struct gr_queue queue = { 0 };

	(void)state;
	for (uint32_t i = 1; i <= GR_CONTAINERS_MAX; i++)
		assert_int_equal(gr_queue_push(&queue, i), 0);
	assert_int_equal(gr_queue_push(&queue, 9999), GR_EFULL);
	assert_int_equal(gr_queue_push(&queue, 5), GR_EEXIST);
	assert_int_equal(gr_queue_remove(&queue, 2), 0);
	assert_int_equal(gr_queue_remove(&queue, 2), GR_ENOENT);
	assert_int_equal(queue.count, GR_CONTAINERS_MAX - 1);
	assert_int_equal(queue.numbers[0], 1);
	assert_int_equal(queue.numbers[1], 3);
	assert_int_equal(queue.numbers[queue.count - 1], GR_CONTAINERS_MAX);
	while (queue.count)
		assert_int_equal(gr_queue_remove(&queue, queue.numbers[0]), 0);
}

static void limits_end_a_session_at_the_minute(void **state)
{
	struct gr_config_limits limits = { .idle_minutes = 0, .absolute_minutes = 0 };
	const uint64_t minute = 60000, grain = GR_LIMITS_ACTIVITY_MS;
	uint32_t reason = GR_REASON_NONE;

	(void)state;
	assert_int_equal(gr_limits_left(&limits, 0, 0, UINT64_MAX / 2, &reason), -1);
	limits.idle_minutes = 5;
	/* What was done just after it was last told is not known: nobody is ended too early for that. */
	assert_int_equal(gr_limits_left(&limits, 0, 7 * minute, 7 * minute, &reason), 5 * minute + grain);
	assert_int_equal(reason, GR_REASON_IDLE);
	assert_int_equal(gr_limits_left(&limits, 0, 7 * minute, 12 * minute + grain - 1, &reason), 1);
	assert_int_equal(gr_limits_left(&limits, 0, 7 * minute, 12 * minute + grain, &reason), 0);
	assert_int_equal(gr_limits_left(&limits, 0, 7 * minute, 99 * minute, &reason), 0);
	limits.absolute_minutes = 10;
	assert_int_equal(gr_limits_left(&limits, minute, 7 * minute, 8 * minute, &reason), 3 * minute);
	assert_int_equal(reason, GR_REASON_TIME_LIMIT);
	assert_int_equal(gr_limits_left(&limits, minute, 11 * minute, 11 * minute, &reason), 0);
	assert_int_equal(reason, GR_REASON_TIME_LIMIT);
	assert_int_equal(gr_limits_left(&limits, minute, minute, 6 * minute + grain, &reason), 0);
	assert_int_equal(reason, GR_REASON_IDLE);
	limits = (struct gr_config_limits){ .absolute_minutes = 10080 }; /* the most that the file takes */
	assert_int_equal(gr_limits_left(&limits, 0, 0, 1, &reason), 10080 * minute - 1);
	/* A clock that seems to go back ends nobody. */
	assert_int_equal(gr_limits_left(&limits, 2 * minute, 0, minute, &reason), 10080 * minute);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection_permits_exactly_its_table),
		cmocka_unit_test(session_permits_exactly_its_table),
		cmocka_unit_test(container_permits_exactly_its_table),
		cmocka_unit_test(queue_keeps_order_and_bound),
		cmocka_unit_test(limits_end_a_session_at_the_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
