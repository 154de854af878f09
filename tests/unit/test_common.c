/* common/: errors, escaping, packets with descriptors, the event loop. */
#include "common/error.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void a_wrapped_error_names_its_cause_behind(void **state)
{
	(void)state;
	struct gr_error err;
	errno = ENOENT;
	assert_int_equal(gr_error_errno(&err, "open %s", "x"), GR_EIO);
	assert_int_equal(gr_error_wrap(&err, "cannot start"), GR_EIO);
	assert_string_equal(err.text, "cannot start: open x: No such file or directory");
}

static void a_long_error_is_cut_and_terminated(void **state)
{
	(void)state;
	struct gr_error err;
	char text[1000];
	memset(text, 'a', sizeof(text) - 1);
	text[999] = 0;
	gr_error_set(&err, GR_EIO, "%s", text);
	gr_error_wrap(&err, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	gr_error_set(&err, GR_EIO, "%s", text);
	gr_error_wrap(&err, "short");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_memory_equal(err.text, "short: aaa", 10);
}

static void what_a_peer_sent_is_escaped(void **state)
{
	(void)state;
	char out[32];
	assert_string_equal(gr_log_escape(out, sizeof(out), "a\n\\\xff", 4), "a\\x0a\\x5c\\xff");
	assert_string_equal(gr_log_escape(out, 6, "\n\n", 2), "\\x0a"); /* never half an escape */
	assert_string_equal(gr_log_escape(out, 1, "abc", 3), "");
}

static void a_packet_carries_one_descriptor(void **state)
{
	(void)state;
	int pair[2], fd = -1, pipes[2];
	size_t size;
	char packet[8];
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, &fd), GR_EAGAIN);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(gr_io_send(pair[0], "abc", 3, pipes[0]), 0);
	assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, &fd), 0);
	assert_int_equal(size, 3);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	close(pair[0]);
	assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, &fd), GR_ECLOSED);
	assert_int_equal(gr_io_send(pair[1], "abc", 3, -1), GR_ECLOSED);
	close(pair[1]);
}

static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void unwanted_descriptors_are_refused_and_none_leaks(void **state)
{
	(void)state;
	int pair[2], fd = -1;
	size_t size;
	char packet[8];
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	int before = open_descriptors();

	assert_int_equal(gr_io_send(pair[0], "abc", 3, 0), 0);
	assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, NULL), GR_EPROTO);

	for (size_t count = 2; count <= 253; count += 251) {
		char control[CMSG_SPACE(sizeof(int) * 253)] = { 0 };
		struct iovec iov = { .iov_base = packet, .iov_len = 1 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = CMSG_SPACE(sizeof(int) * count) };
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count); /* all descriptor 0 */
		assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
		assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, &fd), GR_EPROTO);
	}
	assert_int_equal(open_descriptors(), before);

	assert_int_equal(gr_io_send(pair[0], "123456789", 9, 0), 0);
	assert_int_equal(gr_io_receive(pair[1], packet, sizeof(packet), &size, &fd), GR_EPROTO); /* too long */
	assert_int_equal(open_descriptors(), before);
	close(pair[0]);
	close(pair[1]);
}

struct loop_case {
	struct gr_loop *loop;
	struct gr_loop_watch *watch[2];
	struct gr_loop_timer *timer;
	int calls, expired;
};

static void on_ready_removes_the_other(void *context, int fd, unsigned events)
{
	struct loop_case *c = context;
	(void)fd;
	assert_true(events & GR_LOOP_READ);
	c->calls++;
	gr_loop_remove(c->watch[0]);
	gr_loop_remove(c->watch[1]);
}

static void on_expired(void *context)
{
	struct loop_case *c = context;
	if (++c->expired < 3)
		gr_loop_timer_set(c->timer, 1);
	else
		gr_loop_stop(c->loop, 7);
}

static void a_watch_removed_in_a_callback_is_not_called(void **state)
{
	(void)state;
	struct loop_case c = { .loop = gr_loop_create() };
	int a[2], b[2];
	assert_int_equal(gr_io_pair(SOCK_STREAM, a), 0);
	assert_int_equal(gr_io_pair(SOCK_STREAM, b), 0);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	c.watch[0] = gr_loop_add(c.loop, a[0], GR_LOOP_READ, on_ready_removes_the_other, &c);
	c.watch[1] = gr_loop_add(c.loop, b[0], GR_LOOP_READ, on_ready_removes_the_other, &c);
	c.timer = gr_loop_timer_add(c.loop, on_expired, &c);
	gr_loop_timer_set(c.timer, 1);
	assert_int_equal(gr_loop_run(c.loop), 7);
	assert_int_equal(c.calls, 1);
	assert_int_equal(c.expired, 3);
	gr_loop_destroy(c.loop);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

static void every_record_has_a_size_and_nothing_else_has(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < 300; type++) {
		int known = (type >= GR_RECORD_HELLO && type <= GR_RECORD_SET_CLIPBOARD) ||
			    (type >= GR_RECORD_FRAME && type <= GR_RECORD_CLIPBOARD);
		assert_int_equal(gr_record_size(type) != 0, known);
		assert_true(gr_record_size(type) <= sizeof(union gr_record));
	}
	assert_int_equal(gr_record_memory(8192, 8192), 268435456 + 16384);
}

static void text_is_cleaned_of_control_characters(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
	} texts[] = { { "", "" },
		      { "日本\t語\n𠮷", "日本\t語\n𠮷" },
		      { "a\r\nb\rc\r", "a\nb\nc\n" },
		      { "\x1b[A\x7f\x01", "[A" },
		      { "a\xc2\x9b"
			"b\xc2\xa0",
			"ab\xc2\xa0" },
		      { "\xc2", "\xc2" } };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[64] = "";
		strcpy(text, texts[i].from);
		size_t n = gr_utf8_clean((uint8_t *)text, strlen(text));
		assert_int_equal(n, strlen(texts[i].to));
		assert_memory_equal(text, texts[i].to, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrapped_error_names_its_cause_behind),
		cmocka_unit_test(a_long_error_is_cut_and_terminated),
		cmocka_unit_test(what_a_peer_sent_is_escaped),
		cmocka_unit_test(a_packet_carries_one_descriptor),
		cmocka_unit_test(unwanted_descriptors_are_refused_and_none_leaks),
		cmocka_unit_test(a_watch_removed_in_a_callback_is_not_called),
		cmocka_unit_test(text_is_cleaned_of_control_characters),
		cmocka_unit_test(every_record_has_a_size_and_nothing_else_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
