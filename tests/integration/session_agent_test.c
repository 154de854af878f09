/*
 * garasu-session and a container's agent that is not what it should be.
 * usage: session_agent_test GARASU-SESSION
 */
#include "common/error.h"
#include "common/io.h"
#include "tests/integration/session_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t agent_hears_any(struct rig *r)
{
	union gr_record record;
	size_t size;
	assert_true(readable(r->agent, WAIT_MS));
	assert_int_equal(gr_io_receive(r->agent, &record, sizeof(record), &size, NULL), 0);
	return record.type;
}

static void violation(struct rig *r, const void *record, size_t size, int fd)
{
	assert_int_equal(gr_io_send(r->agent, record, size, fd), 0);
	struct gr_ipc_message m = heard(r, GR_IPC_AGENT_LOST);
	assert_int_equal(m.reason, GR_REASON_CONTAINER_FAILED);
	assert_true(strlen(m.text) > 5);
	uint8_t byte;
	assert_true(readable(r->agent, WAIT_MS));
	while (recv(r->agent, &byte, 1, MSG_DONTWAIT) > 0)
		; /* what was sent before; then its end */
	agent_connects(r);
	agent_hears(r, GR_RECORD_WANT_FRAME);
}

/* T15 and T20: the shared memory has no header; what the agent says is in records, of a length, an order and values. */
static void t15_t20_an_agent_against_the_protocol_is_cut_off(void **state)
{
	(void)state;
	struct rig r;
	start_process(&r);
	r.w = 640;
	r.h = 480;
	order(&r, GR_IPC_START, 0, 0, -1);
	agent_connects(&r);
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 1 };
	f.rects[0] = (struct gr_rect){ 0, 0, 10, 10 };
	violation(&r, &f, sizeof(f) - 1, -1);
	violation(&r, &f, 4, -1);
	/* T16: nothing that the agent could send is mapped, as no record of it can carry a descriptor. */
	violation(&r, &f, sizeof(f), r.memory_fd);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	violation(&r, &f, sizeof(f), zero);
	close(zero);
	f.count = GR_FRAME_RECTS_MAX + 1;
	violation(&r, &f, sizeof(f), -1);
	f.count = 1;
	f.rects[0].x = MAX_W;
	violation(&r, &f, sizeof(f), -1);
	f.type = 1234;
	violation(&r, &f, sizeof(f), -1);
	struct gr_record_resized resized = { GR_RECORD_RESIZED, 640, 480 };
	violation(&r, &resized, sizeof(resized), -1); /* not asked for */
	struct gr_record_state state_record = { GR_RECORD_STATE, GR_AGENT_READY, 640, 480 };
	violation(&r, &state_record, sizeof(state_record), -1); /* a second time */
	state_record.state = GR_AGENT_FAILED;
	violation(&r, &state_record, sizeof(state_record), -1);
	static uint8_t long_packet[8192];
	violation(&r, long_packet, sizeof(long_packet), -1);
	/* FRAME without WANT_FRAME: the second one, as nobody looks. */
	f = (struct gr_record_frame){ .type = GR_RECORD_FRAME, .count = 1 };
	f.rects[0] = (struct gr_rect){ 0, 0, 640, 480 };
	agent_says(&r, &f, sizeof(f));
	agent_says(&r, &f, sizeof(f));
	assert_int_equal(heard(&r, GR_IPC_AGENT_LOST).reason, GR_REASON_CONTAINER_FAILED);
	finish(&r);
}

/* T16: the broker makes the memory, and its seals are there when the container gets it. T17: so nobody can pull it away. */
static void t16_t17_the_memfd_can_neither_shrink_nor_grow(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	assert_int_equal(r.hello.version, GR_RECORD_VERSION);
	assert_int_equal(r.hello.max_width, MAX_W);
	assert_int_equal(r.hello.max_height, MAX_H);
	assert_int_equal(r.hello.flags, GR_HELLO_OPEN_HOME | GR_HELLO_CLIPBOARD | GR_HELLO_PRINTING);
	assert_int_equal(fcntl(r.memory_fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	struct stat status;
	assert_int_equal(fstat(r.memory_fd, &status), 0);
	assert_int_equal(status.st_size, gr_record_memory(MAX_W, MAX_H));
	const off_t sizes[] = { 0, 4096, status.st_size - 1, status.st_size + 1, 1 << 30 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		errno = 0;
		assert_int_equal(ftruncate(r.memory_fd, sizes[i]), -1);
		assert_int_equal(errno, EPERM);
	}
	assert_int_equal(fcntl(r.memory_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	/* While it is read, and with its pages taken out from under the reader: zeroes. */
	rfbClient *c = libvncclient_attach(&r, 1, "tight zrle");
	pictures_are_equal(&r, c);
	for (int i = 0; i < 20; i++) {
		want_with(&r, c);
		draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
		whole_frame(&r);
		assert_int_equal(ftruncate(r.memory_fd, 0), -1);
		assert_int_equal(fallocate(r.memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size),
				 0);
		libvncclient_handle(c, 20);
	}
	want_with(&r, c);
	draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
	whole_frame(&r);
	libvncclient_handle(c, 200);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* T19: as many as a record holds, one upon the other, and beyond the edges; the picture is right all the same. */
static void t19_overlapping_rectangles_are_clipped_and_the_picture_is_right(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, "tight zrle");
	pictures_are_equal(&r, c);
	for (int turn = 0; turn < 20; turn++) {
		struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = GR_FRAME_RECTS_MAX };
		want_with(&r, c);
		draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
		f.rects[0] = (struct gr_rect){ 0, 0, 65535, 65535 };
		for (uint32_t i = 1; i < GR_FRAME_RECTS_MAX; i++)
			f.rects[i] = (struct gr_rect){ (uint16_t)random_below(MAX_W), (uint16_t)random_below(MAX_H),
						       (uint16_t)random_below(65536), (uint16_t)random_below(65536) };
		agent_says(&r, &f, sizeof(f));
		libvncclient_handle(c, 50);
	}
	libvncclient_handle(c, 200);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static size_t descriptors(pid_t pid)
{
	char path[64];
	size_t count = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *directory = opendir(path);
	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* T20: 253 is what the kernel takes in one packet. */
static void t20_many_descriptors_end_the_agent_and_none_stays(void **state)
{
	(void)state;
	enum { MANY = 253 };
	struct rig r;
	start_process(&r);
	r.w = 640;
	r.h = 480;
	order(&r, GR_IPC_START, 0, 0, -1);
	agent_connects(&r);
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	size_t before = descriptors(r.pid);
	for (int turn = 0; turn < 5; turn++) {
		struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 1, .rects = { { 0, 0, 10, 10 } } };
		struct iovec iov = { &f, sizeof(f) };
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(sizeof(int) * MANY)];
		} control = { 0 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control.bytes,
				      .msg_controllen = sizeof(control.bytes) };
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * MANY);
		for (size_t i = 0; i < MANY; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &r.memory_fd, sizeof(int));
		assert_int_equal(sendmsg(r.agent, &msg, MSG_NOSIGNAL), sizeof(f));
		assert_int_equal(heard(&r, GR_IPC_AGENT_LOST).reason, GR_REASON_CONTAINER_FAILED);
		agent_connects(&r);
		agent_hears(&r, GR_RECORD_WANT_FRAME);
		assert_int_equal(descriptors(r.pid), before);
	}
	finish(&r);
}

/* T20: as fast as it can. The session takes so many in a second, its viewer goes on, and after some seconds it ends. */
static void t20_a_flood_of_records_is_throttled_and_then_ended(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int viewer = raw_attach(&r, 1);
	raw_first_update(viewer);
	raw_request(viewer, 0);
	assert_true(raw_update(viewer) > 0);
	const struct gr_record_text_result record = { GR_RECORD_TEXT_RESULT, 12345, GR_TEXT_GIVEN }; /* of no text */
	double start = now_us();
	unsigned sent = 0, slowest = 0;
	int status = 0;
	while (now_us() - start < 30e6) {
		status = gr_io_send(r.agent, &record, sizeof(record), -1);
		if (!status) {
			sent++;
		} else if (status == GR_EAGAIN) {
			if (sent > 3000 && sent % 7 == 0) { /* a viewer's request is answered meanwhile */
				double asked = now_us();
				raw_request(viewer, 0);
				raw_update(viewer);
				unsigned ms = (unsigned)((now_us() - asked) / 1000);
				slowest = ms > slowest ? ms : slowest;
			}
			usleep(1000);
		} else {
			break;
		}
	}
	assert_int_equal(status, GR_ECLOSED);
	struct gr_ipc_message m = heard(&r, GR_IPC_AGENT_LOST);
	assert_int_equal(m.reason, GR_REASON_CONTAINER_FAILED);
	assert_string_equal(m.text, "a flood of records");
	double seconds = (now_us() - start) / 1e6;
	assert_true(seconds > 3);
	/* 2000 in each of them, and what the socket's buffer holds. */
	assert_true(sent < 5 * 2000 + 2000);
	if (getenv("GARASU_TEST_LOG"))
		printf("%u records in %.1f s, an update at most after %u ms\n", sent, seconds, slowest);
	close(viewer);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* T22: one process each, so that all their deadlines pass at once. */
static void t22_an_agent_that_stalls_is_given_up_with_the_reason(void **state)
{
	(void)state;
	enum { SILENT, UNPAINTED, DEAF, UNRESIZED, STALLS };
	static const char *const reasons[STALLS] = { "no STATE after HELLO", "no FRAME of the whole screen",
						     "it does not read its records", "no RESIZED after RESIZE" };
	struct rig rigs[STALLS];
	int viewers[STALLS];
	double start = now_us();
	for (int i = 0; i < STALLS; i++) {
		struct rig *r = &rigs[i];
		viewers[i] = -1;
		if (i >= DEAF) {
			start_painted(r);
			viewers[i] = raw_attach(r, 1);
			raw_first_update(viewers[i]);
		} else {
			start_process(r);
			order(r, GR_IPC_START, 0, 0, -1);
		}
		if (i == SILENT) {
			int pair[2];
			assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
			r->agent = pair[0];
			order(r, GR_IPC_AGENT, 0, 0, pair[1]);
		} else if (i == UNPAINTED) {
			r->w = 640;
			r->h = 480;
			agent_connects(r);
			agent_hears(r, GR_RECORD_WANT_FRAME);
		} else if (i == DEAF) {
			const uint8_t pointer[6] = { 5, 0, 0, 1, 0, 1 };
			put(viewers[i], pointer, sizeof(pointer));
		} else {
			/* SetDesktopSize 800x600 of one screen */
			const uint8_t resize[24] = { 251, 0, 3, 32, 2, 88, 1, 0, [16] = 3, 32, 2, 88 };
			put(viewers[i], resize, sizeof(resize));
			while (agent_hears_any(r) != GR_RECORD_RESIZE)
				;
		}
	}
	for (int i = 0; i < STALLS; i++) {
		struct gr_ipc_message m;
		assert_true(speaks(&rigs[i], 30000));
		m = heard(&rigs[i], GR_IPC_AGENT_LOST);
		assert_int_equal(m.reason, GR_REASON_CONTAINER_FAILED);
		assert_string_equal(m.text, reasons[i]);
		assert_true(now_us() - start > 8e6);
		if (viewers[i] >= 0) {
			close(viewers[i]);
			heard(&rigs[i], GR_IPC_DETACHED);
		}
		finish(&rigs[i]);
	}
}

/* And one that reads everything, and has nothing to show, is left in peace. */
static void an_agent_of_an_idle_page_is_left_in_peace(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int viewer = raw_attach(&r, 1);
	raw_first_update(viewer);
	raw_request(viewer, 1);
	const uint8_t pointer[6] = { 5, 0, 0, 1, 0, 1 };
	put(viewer, pointer, sizeof(pointer));
	while (agent_hears_any(&r) != GR_RECORD_POINTER)
		;
	while (readable(r.agent, 300))
		agent_hears_any(&r);
	assert_false(speaks(&r, 13000));
	close(viewer);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: session_agent_test GARASU-SESSION [FILTER]\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t15_t20_an_agent_against_the_protocol_is_cut_off),
		cmocka_unit_test(t16_t17_the_memfd_can_neither_shrink_nor_grow),
		cmocka_unit_test(t19_overlapping_rectangles_are_clipped_and_the_picture_is_right),
		cmocka_unit_test(t20_many_descriptors_end_the_agent_and_none_stays),
		cmocka_unit_test(t20_a_flood_of_records_is_throttled_and_then_ended),
		cmocka_unit_test(t22_an_agent_that_stalls_is_given_up_with_the_reason),
		cmocka_unit_test(an_agent_of_an_idle_page_is_left_in_peace),
	};
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
