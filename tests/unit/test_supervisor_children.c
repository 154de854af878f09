/* T31 for the children's side: every kind of child says every message, before and after its READY. */
#include "broker/supervisor/children.h"
#include "common/io.h"
#include "common/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct gr_loop *loop;
static struct gr_children children;
static unsigned ready_count, message_count, end_count;
static uint32_t delivered;
static struct gr_child_end last_end;

static void on_ready(struct gr_child *child)
{
	(void)child;
	ready_count++;
}

static int on_message(struct gr_child *child, const struct gr_ipc_message *message, int *fd)
{
	(void)child;
	(void)fd;
	message_count++;
	delivered = message->type;
	return 0;
}

static void on_ended(struct gr_child *child, const struct gr_child_end *end)
{
	(void)child;
	end_count++;
	last_end = *end;
}

static const struct gr_child_owner owner = { on_ready, on_message, on_ended };

/* A process to be killed, and the other end of its control socket. */
static int adopt(struct gr_child *child, enum gr_ipc_kind kind)
{
	struct gr_child_start start = { .kind = kind, .owner = &owner, .ready_ms = 60000 };
	int pair[2];
	pid_t pid;

	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(gr_child_adopt(&children, child, &start, pid, pair[0]), 0);
	ready_count = message_count = end_count = 0;
	return pair[1];
}

/* Whether a message of this type comes with a descriptor: without one it is no message then. */
static int has_descriptor(uint32_t type)
{
	struct gr_ipc_message message = { .type = type };
	int pair[2], fd = -1, status;

	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	status = gr_ipc_receive(pair[1], &message, &fd);
	close(pair[0]);
	close(pair[1]);
	return status != 0;
}

static void say(struct gr_child *child, int sock, uint32_t type)
{
	struct gr_ipc_message message = { .type = type, .connection = 1, .container = 1 };

	assert_int_equal(gr_ipc_send(sock, &message, has_descriptor(type) ? 0 : -1), 0);
	gr_child_drain(child);
}

static void end(struct gr_child *child, int sock)
{
	close(sock);
	if (!child->fault[0])
		kill(child->pid, SIGKILL);
	for (int i = 0; i < 10000 && !end_count; i++) {
		gr_children_reap(&children);
		usleep(1000);
	}
	assert_int_equal(end_count, 1);
}

static void a_child_that_says_what_is_not_its_own_is_killed(void **state)
{
	(void)state;
	for (int kind = 0; kind < GR_IPC_KINDS; kind++) {
		for (int was_ready = 0; was_ready < 2; was_ready++) {
			for (uint32_t type = 1; type < GR_IPC_TYPES; type++) {
				int permitted = type == GR_IPC_READY
							? !was_ready
							: was_ready && gr_ipc_permitted((enum gr_ipc_kind)kind, type);
				struct gr_child child;
				int sock = adopt(&child, (enum gr_ipc_kind)kind);

				if (was_ready)
					say(&child, sock, GR_IPC_READY);
				say(&child, sock, type);
				assert_int_equal(ready_count, was_ready || type == GR_IPC_READY);
				assert_int_equal(message_count, permitted && type != GR_IPC_READY);
				if (message_count)
					assert_int_equal(delivered, type);
				end(&child, sock);
				assert_int_equal(last_end.violated, !permitted);
				assert_int_equal(last_end.in_order, 0);
				if (!permitted && strncmp(last_end.text, "sent message ", 13) != 0)
					fail_msg("%s, message %u: \"%s\"", gr_ipc_kind_name((enum gr_ipc_kind)kind),
						 type, last_end.text);
			}
		}
	}
}

static void what_is_no_message_kills_its_sender(void **state)
{
	struct gr_ipc_message message = { .type = GR_IPC_READY };
	struct gr_child child;

	(void)state;
	for (int how = 0; how < 4; how++) {
		int sock = adopt(&child, GR_IPC_KIND_GATEWAY);

		message.type = how == 1 ? GR_IPC_TYPES : how == 2 ? 0 : GR_IPC_READY;
		/* too short; two types that are none; a descriptor where none is due */
		gr_io_send(sock, &message, sizeof(message) - (how == 0), how == 3 ? 0 : -1);
		gr_child_drain(&child);
		end(&child, sock);
		assert_int_equal(ready_count, 0);
		assert_true(last_end.violated);
		assert_non_null(strstr(last_end.text, "sent what is no message"));
	}
}

static void nothing_is_heard_after_a_violation(void **state)
{
	struct gr_ipc_message closed = { .type = GR_IPC_CLOSED };
	struct gr_child child;
	int sock = adopt(&child, GR_IPC_KIND_GATEWAY);

	(void)state;
	say(&child, sock, GR_IPC_READY);
	gr_ipc_send(sock, &(struct gr_ipc_message){ .type = GR_IPC_READY }, -1);
	gr_ipc_send(sock, &closed, -1);
	gr_child_drain(&child);
	assert_int_equal(message_count, 0);
	end(&child, sock);
}

static int prepare(void **state)
{
	(void)state;
	loop = gr_loop_create();
	return loop ? gr_children_init(&children, loop, "/nonexistent", "/nonexistent") : -1;
}

static int clean_up(void **state)
{
	(void)state;
	gr_loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_says_what_is_not_its_own_is_killed),
		cmocka_unit_test(what_is_no_message_kills_its_sender),
		cmocka_unit_test(nothing_is_heard_after_a_violation),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
