/* broker/ipc: what passes between the supervisor and its children. */
#include "broker/ipc/ipc.h"
#include "common/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int pair[2];

static int open_pair(void **state)
{
	(void)state;
	return gr_io_pair(SOCK_SEQPACKET, pair);
}

static int close_pair(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void a_message_arrives_whole(void **state)
{
	(void)state;
	struct gr_ipc_message in = { .type = GR_IPC_ATTACH, .connection = 3, .session = 0x0123456789abcdefu }, out;
	int fd = -1;
	strcpy(in.person, "hanako");
	assert_int_equal(gr_ipc_send(pair[0], &in, 0), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &out, &fd), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_true(fd > 0);
	close(fd);
}

static void a_missing_or_unexpected_descriptor_is_refused(void **state)
{
	(void)state;
	struct gr_ipc_message message = { .type = GR_IPC_ATTACH };
	int fd = -1;
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	message.type = GR_IPC_END;
	assert_int_equal(gr_ipc_send(pair[0], &message, 0), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	assert_int_equal(fd, -1);
}

static void wrong_sizes_types_and_unterminated_texts_are_refused(void **state)
{
	(void)state;
	struct gr_ipc_message message = { .type = GR_IPC_READY };
	int fd = -1;
	assert_int_equal(gr_io_send(pair[0], &message, sizeof(message) - 1, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	const uint32_t types[] = { 0, GR_IPC_TYPES, UINT32_MAX };
	for (size_t i = 0; i < 3; i++) {
		message.type = types[i];
		assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
		assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	}
	message.type = GR_IPC_READY;
	memset(message.person, 'a', sizeof(message.person));
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	memset(message.person, 0, sizeof(message.person));
	memset(message.actor, 'a', sizeof(message.actor));
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	memset(message.actor, 0, sizeof(message.actor));
	memset(message.subject, 'a', sizeof(message.subject));
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
	memset(message.subject, 0, sizeof(message.subject));
	memset(message.text, 'a', sizeof(message.text));
	assert_int_equal(gr_ipc_send(pair[0], &message, -1), 0);
	assert_int_equal(gr_ipc_receive(pair[1], &message, &fd), GR_EPROTO);
}

static void a_child_may_send_only_its_own_messages(void **state)
{
	(void)state;
	for (uint32_t type = 0; type <= GR_IPC_TYPES; type++) {
		int gateway = type == GR_IPC_READY || type == GR_IPC_HANDSHAKE_FAILED || type == GR_IPC_ASKING ||
			      type == GR_IPC_WANT_SESSION || type == GR_IPC_RECORDED || type == GR_IPC_VIOLATION ||
			      type == GR_IPC_CLIPBOARD || type == GR_IPC_CLIPBOARD_PASSED || type == GR_IPC_CLOSED;
		int pool = type == GR_IPC_READY || type == GR_IPC_STARTED || type == GR_IPC_AGENT ||
			   type == GR_IPC_GONE || type == GR_IPC_POOL_TROUBLE;
		assert_int_equal(gr_ipc_permitted(GR_IPC_KIND_GATEWAY, type), gateway);
		assert_int_equal(gr_ipc_permitted(GR_IPC_KIND_POOL, type), pool);
		assert_int_equal(gr_ipc_permitted(GR_IPC_KIND_KEYS, type), type == GR_IPC_READY);
		assert_int_equal(gr_ipc_permitted(GR_IPC_KINDS, type), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_message_arrives_whole, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(a_missing_or_unexpected_descriptor_is_refused, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(wrong_sizes_types_and_unterminated_texts_are_refused, open_pair,
						close_pair),
		cmocka_unit_test(a_child_may_send_only_its_own_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
