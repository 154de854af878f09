/*
 * garasu-session as a whole, with a viewer and an agent: pixels, size, cursor, input, the end, and a viewer against the protocol.
 * usage: session_test GARASU-SESSION
 */
#include "common/error.h"
#include "common/io.h"
#include "tests/integration/session_parts.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void each_encoding(const char *encodings)
{
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, encodings);
	libvncclient_handle(c, 200);
	pictures_are_equal(&r, c);
	for (unsigned i = 0; i < 40; i++) {
		uint16_t x = (uint16_t)random_below(600), y = (uint16_t)random_below(440);
		struct gr_rect rect = { x, y, (uint16_t)(1 + random_below(640u - x)),
					(uint16_t)(1 + random_below(480u - y)) };
		assert_int_equal(want_with(&r, c), 0);
		draw(&r, rect);
		frame(&r, rect);
		if (i % 8 == 7)
			pictures_are_equal(&r, c);
	}
	libvncclient_handle(c, 100);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	assert_int_equal(heard(&r, GR_IPC_DETACHED).reason, GR_REASON_VIEWER_LEFT);
	finish(&r);
}

static void every_pixel_arrives_as_it_was(void **state)
{
	(void)state;
	static const char *const encodings[] = { "tight", "hextile", "raw" };
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
		each_encoding(encodings[i]);
}

static void set_pixels(rfbClient *c, uint8_t bits)
{
	c->format.bitsPerPixel = bits;
	c->format.depth = bits == 16 ? 16 : 24;
	c->format.redMax = c->format.blueMax = bits == 16 ? 31 : 255;
	c->format.greenMax = bits == 16 ? 63 : 255;
	c->format.redShift = bits == 16 ? 11 : 16;
	c->format.greenShift = bits == 16 ? 5 : 8;
	c->format.blueShift = 0;
	assert_true(c->MallocFrameBuffer(c));
	assert_true(SetFormatAndEncodings(c));
	assert_true(SendFramebufferUpdateRequest(c, 0, 0, c->width, c->height, FALSE));
}

/* With 16 bits the pixels are libvncserver's, with 32 our encoder's, whose streams go on where they were. */
static void a_viewer_changes_its_pixels_and_back(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, "tight hextile");
	pictures_are_equal(&r, c);
	for (unsigned i = 0; i < 6; i++) {
		want_with(&r, c);
		libvncclient_handle(c, 50);
		set_pixels(c, i % 2 ? 32 : 16);
		struct gr_rect rect = { (uint16_t)random_below(300), (uint16_t)random_below(200), 300, 200 };
		draw(&r, rect);
		frame(&r, rect);
		libvncclient_handle(c, 100);
		if (i % 2)
			pictures_are_equal(&r, c);
	}
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static void the_window_is_resized_through_the_viewer(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, "tight");
	want_with(&r, c);
	static const uint16_t sizes[][2] = { { 801, 603 }, { 1920, 1080 }, { 320, 200 }, { 333, 1077 } };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_true(SendExtDesktopSize(c, sizes[i][0], sizes[i][1]));
		union gr_record ask = agent_hears(&r, GR_RECORD_RESIZE);
		assert_int_equal(ask.resize.width, sizes[i][0]);
		assert_int_equal(ask.resize.height, sizes[i][1]);
		r.w = ask.resize.width;
		r.h = ask.resize.height;
		struct gr_record_resized done = { GR_RECORD_RESIZED, r.w, r.h };
		agent_says(&r, &done, sizeof(done));
		draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
		whole_frame(&r); /* answers the request that was outstanding */
		pictures_are_equal(&r, c);
		assert_int_equal(want_with(&r, c), 1);
		whole_frame(&r);
		/* Nothing had changed, and the viewer still waits: asked again. */
		assert_int_equal(want_with(&r, c), 0);
	}
	/* Larger than the configuration permits: what is permitted. */
	assert_true(SendExtDesktopSize(c, 9000, 10));
	union gr_record ask = agent_hears(&r, GR_RECORD_RESIZE);
	assert_int_equal(ask.resize.width, MAX_W);
	assert_int_equal(ask.resize.height, GR_SCREEN_MIN);
	/* The container cannot: the size stays. */
	struct gr_record_resized done = { GR_RECORD_RESIZED, r.w, r.h };
	agent_says(&r, &done, sizeof(done));
	libvncclient_handle(c, 100);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	assert_int_equal(r.activities, 0); /* no key and no pointer */
	finish(&r);
}

static void the_cursor_arrives_without_its_alpha(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	memset(&cursor, 0, sizeof(cursor));
	rfbClient *c = libvncclient_attach(&r, 1, "tight");
	want_with(&r, c);
	uint32_t *image = (uint32_t *)(void *)(r.memory + (size_t)MAX_H * STRIDE);
	for (uint32_t y = 0; y < 20; y++)
		for (uint32_t x = 0; x < 13; x++)
			image[y * GR_CURSOR_MAX + x] = (x + y) & 1 ? 0xff000000u | (x << 16) | (y << 8) | 7 : 0;
	struct gr_record_cursor says = { GR_RECORD_CURSOR, 13, 20, 3, 4 };
	agent_says(&r, &says, sizeof(says));
	for (unsigned i = 0; i < 100 && cursor.w != 13; i++)
		libvncclient_handle(c, 50);
	assert_int_equal(cursor.w, 13);
	assert_int_equal(cursor.h, 20);
	assert_int_equal(cursor.x, 3);
	assert_int_equal(cursor.y, 4);
	for (uint32_t y = 0; y < 20; y++)
		for (uint32_t x = 0; x < 13; x++) {
			assert_int_equal(cursor.mask[y * 13 + x], (x + y) & 1);
			if ((x + y) & 1)
				assert_int_equal(cursor.pixels[y * 13 + x] & 0xffffff, (x << 16) | (y << 8) | 7);
		}
	says = (struct gr_record_cursor){ .type = GR_RECORD_CURSOR };
	agent_says(&r, &says, sizeof(says)); /* hidden: libvncclient has no callback for an empty one */
	libvncclient_handle(c, 100);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static void keys_pointer_and_text_arrive_exactly(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	double begun = now_us();
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	static const uint8_t messages[] = {
		4,   1,  0, 0,  0, 0, 0xff, 0xe1, /* Shift down */
		255, 0,  0, 1,  0, 0, 0,    0x41, 0,    0,    0,    0x1e, /* A down, QEMU */
		255, 0,  0, 0,  0, 0, 0,    0x41, 0,    0,    0,    0x1e, 5,    1,
		0,   10, 0, 20, 5, 0, 2,    0,    1,    0, /* pointer */
		71,  1,  0, 6,  0, 0, 0x12, 0x34, 0xe6, 0x97, 0xa5, 0xe6, 0x9c, 0xac, /* 日本 */
		4,   0,  0, 0,  0, 0, 0xff, 0xe1,
	};
	/* In pieces of one byte, then as one. */
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; !round && i < sizeof(messages); i++)
			put(fd, messages + i, 1);
		if (round)
			put(fd, messages, sizeof(messages));
		union gr_record k = agent_hears(&r, GR_RECORD_KEY);
		assert_true(k.key.keysym == 0xffe1 && k.key.down == 1 && k.key.keycode == 0);
		k = agent_hears(&r, GR_RECORD_KEY);
		assert_true(k.key.keysym == 0x41 && k.key.down == 1 && k.key.keycode == 0x1e);
		k = agent_hears(&r, GR_RECORD_KEY);
		assert_true(k.key.keysym == 0x41 && k.key.down == 0 && k.key.keycode == 0x1e);
		union gr_record p = agent_hears(&r, GR_RECORD_POINTER);
		assert_true(p.pointer.x == 10 && p.pointer.y == 20 && p.pointer.buttons == 1);
		p = agent_hears(&r, GR_RECORD_POINTER);
		assert_true(p.pointer.x == 512 && p.pointer.y == 256 && p.pointer.buttons == 0);
		union gr_record t = agent_hears(&r, GR_RECORD_TEXT);
		assert_int_equal(t.text.sequence, round + 1);
		assert_int_equal(t.text.length, 6);
		assert_memory_equal(t.text.text, "日本", 6);
		k = agent_hears(&r, GR_RECORD_KEY);
		assert_true(k.key.keysym == 0xffe1 && k.key.down == 0);
		struct gr_record_text_result result = { GR_RECORD_TEXT_RESULT, round + 1, round };
		agent_says(&r, &result, sizeof(result));
		agent_says(&r, &result, sizeof(result)); /* a second one is nobody's */
		const uint8_t expected[8] = { 71, 3, 0, (uint8_t)round, 0, 0, 0x12, 0x34 };
		uint8_t got[8];
		expect(fd, got, 8);
		assert_memory_equal(got, expected, 8);
	}
	raw_request(fd, 1);
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	struct gr_record_caret caret = { GR_RECORD_CARET, 1, { 300, 200, 2, 18 } };
	agent_says(&r, &caret, sizeof(caret));
	const uint8_t expected[12] = { 71, 2, 0, 1, 1, 44, 0, 200, 0, 2, 0, 18 };
	uint8_t got[12];
	expect(fd, got, 12);
	assert_memory_equal(got, expected, 12);

	/* What is down when the viewer goes is released. */
	static const uint8_t held[] = { 4, 1, 0, 0, 0, 0, 0xff, 0xe3, 5, 4, 0, 1, 0, 2 };
	put(fd, held, sizeof(held));
	agent_hears(&r, GR_RECORD_KEY);
	agent_hears(&r, GR_RECORD_POINTER);
	close(fd);
	union gr_record k = agent_hears(&r, GR_RECORD_KEY);
	assert_true(k.key.keysym == 0xffe3 && k.key.down == 0);
	assert_int_equal(agent_hears(&r, GR_RECORD_POINTER).pointer.buttons, 0);
	struct gr_ipc_message m = heard(&r, GR_IPC_DETACHED);
	assert_int_equal(m.reason, GR_REASON_VIEWER_LEFT);
	assert_true(m.bytes_down > 640 * 480 * 4 && m.bytes_up > 2 * sizeof(messages));
	/* That it did something was told, once in ten seconds. */
	assert_in_range(r.activities, 1, 1 + (unsigned)((now_us() - begun) / 10e6));
	finish(&r);
}

static void an_agent_that_does_not_read_stops_the_viewer_and_loses_nothing(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	uint32_t sent = 0, heard_count = 0;
	for (int full = 0; full < 20;) {
		uint8_t pointer[6] = { 5, 0, (uint8_t)(sent >> 8), (uint8_t)sent, 0, 0 };
		if (send(fd, pointer, 6, MSG_DONTWAIT | MSG_NOSIGNAL) == 6) {
			sent++;
			full = 0;
		} else {
			full++; /* its socket is full for good: the session reads no more */
			usleep(5000);
		}
	}
	assert_true(sent < 60000);
	while (heard_count < sent) {
		union gr_record p = agent_hears(&r, GR_RECORD_POINTER);
		assert_int_equal(p.pointer.x, heard_count);
		heard_count++;
	}
	raw_request(fd, 0);
	raw_update(fd);
	close(fd);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static void the_newest_viewer_wins(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int first = raw_attach(&r, 1);
	raw_first_update(first);
	int pair[2];
	assert_int_equal(gr_io_pair(SOCK_STREAM, pair), 0);
	order(&r, GR_IPC_ATTACH, 0, 2, pair[1]);
	struct gr_ipc_message m = heard(&r, GR_IPC_DETACHED);
	assert_int_equal(m.connection, 1);
	assert_int_equal(m.reason, GR_REASON_TAKEN_OVER);
	expect_notice(first, GR_REASON_TAKEN_OVER);
	close(first);
	close(pair[0]); /* the second leaves in the middle of its handshake */
	m = heard(&r, GR_IPC_DETACHED);
	assert_int_equal(m.connection, 2);
	assert_int_equal(m.reason, GR_REASON_VIEWER_LEFT);
	rfbClient *c = libvncclient_attach(&r, 3, "tight");
	libvncclient_handle(c, 100);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static void a_viewer_that_stops_reading_stalls_nobody(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	raw_request(fd, 0);
	raw_request(fd, 1);
	raw_request(fd, 1);
	/* 1.2 MB wait for it. Nothing is asked of the agent meanwhile, and input still goes through at once. */
	assert_false(readable(r.agent, 100));
	static const uint8_t key[] = { 4, 1, 0, 0, 0, 0, 0, 'k' };
	put(fd, key, sizeof(key));
	assert_int_equal(agent_hears(&r, GR_RECORD_KEY).key.keysym, 'k');
	silent(&r);
	/* Another takes over at once. */
	int second = raw_attach_over(&r, 2, 1);
	raw_first_update(second);
	double start = now_us(), ms;
	raw_request(second, 0);
	usleep(50000);
	order(&r, GR_IPC_END, GR_REASON_ENDED_BY_ADMIN, 0, -1);
	assert_int_equal(ended(&r, &ms), 0);
	assert_true(now_us() - start < 1.2e6);
	close(fd);
	close(second);
	clean(&r);
}

static void the_end_is_told_and_comes_at_once(void **state)
{
	(void)state;
	struct rig r;
	double ms;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	order(&r, GR_IPC_END, GR_REASON_ENDED_BY_ADMIN, 0, -1);
	assert_int_equal(ended(&r, &ms), 0);
	assert_true(ms < 500);
	expect_notice(fd, GR_REASON_ENDED_BY_ADMIN);
	close(fd);
	clean(&r);

	/* The supervisor's death is an END too; and without a viewer. */
	start_painted(&r);
	fd = raw_attach(&r, 1);
	raw_first_update(fd);
	close(r.control);
	r.control = -1;
	expect_notice(fd, GR_REASON_SHUTTING_DOWN);
	close(fd);
	assert_int_equal(ended(&r, NULL), 0);
	clean(&r);
	start_painted(&r);
	finish(&r);
}

static void a_lost_agent_leaves_the_picture_and_another_goes_on(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, "tight");
	want_with(&r, c);
	gr_io_close(&r.agent);
	struct gr_ipc_message m = heard(&r, GR_IPC_AGENT_LOST);
	assert_int_equal(m.reason, GR_REASON_NONE);
	assert_int_equal(m.session, 99);
	assert_int_equal(m.container, 4);
	assert_true(SendFramebufferUpdateRequest(c, 0, 0, c->width, c->height, FALSE));
	libvncclient_handle(c, 100);
	pictures_are_equal(&r, c);
	/* Keys now go nowhere, a new size is not to be had; nothing breaks. */
	assert_true(SendKeyEvent(c, 'x', TRUE) && SendKeyEvent(c, 'x', FALSE));
	assert_true(SendExtDesktopSize(c, 700, 500));
	libvncclient_handle(c, 100);
	r.w = 700; /* another container's screen */
	r.h = 500;
	agent_connects(&r);
	assert_int_equal(r.hello.flags, GR_HELLO_CLIPBOARD | GR_HELLO_PRINTING);
	assert_int_equal(agent_hears(&r, GR_RECORD_WANT_FRAME).want_frame.whole, 1);
	draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
	whole_frame(&r);
	libvncclient_handle(c, 200);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

static void a_session_that_goes_on_in_another_process_keeps_its_page(void **state)
{
	(void)state;
	struct rig r;
	start_process(&r);
	r.w = 640;
	r.h = 480;
	struct gr_ipc_message m = { .type = GR_IPC_START, .container = 4, .session = 99, .number = 1 };
	assert_int_equal(gr_ipc_send(r.control, &m, -1), 0);
	agent_connects(&r);
	assert_int_equal(r.hello.flags, GR_HELLO_CLIPBOARD | GR_HELLO_PRINTING);
	finish(&r);
}

static void agent_copies(struct rig *r, uint8_t character, uint32_t n)
{
	struct gr_record_clipboard c = { .type = GR_RECORD_CLIPBOARD };
	memset(c.text, character, sizeof(c.text));
	for (; n; n -= c.length) {
		c.length = n < GR_TEXT_MAX ? n : GR_TEXT_MAX;
		c.left = n - c.length;
		agent_says(r, &c, sizeof(c));
	}
}

static void texts_of_the_clipboard_cross_in_order_and_within_the_limit(void **state)
{
	(void)state;
	struct rig r;
	static uint8_t message[8 + 3000] = { 71, 3, 0, 0, 0, 0, 3000 >> 8, 3000 & 255 };
	static const uint8_t key[8] = { 4, 1, 0, 0, 0, 0, 0, 'v' }, key_up[8] = { 4, 0, 0, 0, 0, 0, 0, 'v' };
	uint8_t got[8 + 3000];
	start_painted(&r);
	assert_true(r.hello.flags & GR_HELLO_CLIPBOARD);
	clipboard_limit = 3000;
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	memset(message + 8, 'u', 3000);
	put(fd, message, 1000);
	put(fd, message + 1000, sizeof(message) - 1000);
	put(fd, key, sizeof(key));
	for (uint32_t left = 3000; left;) {
		union gr_record record = agent_hears(&r, GR_RECORD_SET_CLIPBOARD);
		assert_int_equal(record.clipboard.length, left < GR_TEXT_MAX ? left : GR_TEXT_MAX);
		assert_int_equal(record.clipboard.text[record.clipboard.length - 1], 'u');
		left -= record.clipboard.length;
		assert_int_equal(record.clipboard.left, left);
	}
	agent_hears(&r, GR_RECORD_KEY);

	/* One byte more than the limit does not come down; of three within a second the first and the last do. */
	agent_copies(&r, 'x', 3001);
	agent_copies(&r, 'a', 3000);
	expect(fd, got, 8 + 3000);
	assert_memory_equal(got, ((uint8_t[]){ 71, 5, 0, 0, 0, 0, 3000 >> 8, 3000 & 255, 'a' }), 9);
	agent_copies(&r, 'b', 2);
	agent_copies(&r, 'c', 1);
	expect(fd, got, 9);
	assert_memory_equal(got, ((uint8_t[]){ 71, 5, 0, 0, 0, 0, 0, 1, 'c' }), 9);
	put(fd, key_up, sizeof(key_up));
	agent_hears(&r, GR_RECORD_KEY);

	/* The next viewer has pressed nothing yet: the second text is another's. The first is its own. */
	int second = raw_attach_over(&r, 2, 1);
	raw_first_update(second);
	agent_copies(&r, 'd', 4);
	assert_false(readable(second, 1500)); /* longer than a text waits for its second */
	put(second, key, sizeof(key));
	agent_hears(&r, GR_RECORD_KEY);
	agent_copies(&r, 'e', 1);
	expect(second, got, 9);
	assert_memory_equal(got, ((uint8_t[]){ 71, 5, 0, 0, 0, 0, 0, 1, 'e' }), 9);
	close(fd);

	/* What the guard would never let through ends the viewer; a text that is none, the agent. */
	put(second, (uint8_t[]){ 71, 3, 0, 0, 0, 0, 0, 1, 27 }, 9);
	expect_notice(second, GR_REASON_PROTOCOL);
	assert_int_equal(heard(&r, GR_IPC_DETACHED).reason, GR_REASON_PROTOCOL);
	close(second);
	clipboard_limit = 0;
	agent_copies(&r, 27, 1);
	struct gr_ipc_message lost = heard(&r, GR_IPC_AGENT_LOST);
	assert_int_equal(lost.reason, GR_REASON_CONTAINER_FAILED);
	assert_string_equal(lost.text, "CLIPBOARD that is no text");
	finish(&r);
}

static void a_viewer_against_the_protocol_is_told_and_cut_off(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	static const uint8_t bad[][24] = {
		{ 7, 1, 0, 0 }, /* file transfer */
		{ 11, 0, 0, 0 }, /* text chat */
		{ 8, 2, 0, 0 }, /* scaling */
		{ 250, 0, 1, 2 }, /* xvp */
		{ 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0 }, /* extended clipboard */
		{ 6, 0, 0, 0, 0, 0, 0, 1, 'x' }, /* the guard lets none through */
		{ 71, 5, 0, 1 },
	};
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = raw_attach(&r, i + 1);
		raw_first_update(fd);
		put(fd, bad[i], sizeof(bad[i]));
		expect_notice(fd, GR_REASON_PROTOCOL);
		assert_int_equal(heard(&r, GR_IPC_DETACHED).reason, GR_REASON_PROTOCOL);
		close(fd);
	}
	/* In the handshake: another version, another security type, a WebSocket. */
	static const char *const openings[] = { "RFB 003.003\n", "RFB 003.889\n", "GET / HTTP/1.1\r\n\r\n",
						"RFB 003.008\n\2" };
	for (uint32_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		int pair[2];
		assert_int_equal(gr_io_pair(SOCK_STREAM, pair), 0);
		order(&r, GR_IPC_ATTACH, 0, 100 + i, pair[1]);
		put(pair[0], openings[i], strlen(openings[i]));
		struct gr_ipc_message m = heard(&r, GR_IPC_DETACHED);
		assert_int_equal(m.connection, 100 + i);
		assert_int_equal(m.reason, GR_REASON_PROTOCOL);
		close(pair[0]);
	}
	silent(&r);
	finish(&r);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: session_test GARASU-SESSION [FILTER]\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pixel_arrives_as_it_was),
		cmocka_unit_test(a_viewer_changes_its_pixels_and_back),
		cmocka_unit_test(the_window_is_resized_through_the_viewer),
		cmocka_unit_test(the_cursor_arrives_without_its_alpha),
		cmocka_unit_test(keys_pointer_and_text_arrive_exactly),
		cmocka_unit_test(an_agent_that_does_not_read_stops_the_viewer_and_loses_nothing),
		cmocka_unit_test(the_newest_viewer_wins),
		cmocka_unit_test(a_viewer_that_stops_reading_stalls_nobody),
		cmocka_unit_test(the_end_is_told_and_comes_at_once),
		cmocka_unit_test(a_lost_agent_leaves_the_picture_and_another_goes_on),
		cmocka_unit_test(a_session_that_goes_on_in_another_process_keeps_its_page),
		cmocka_unit_test(texts_of_the_clipboard_cross_in_order_and_within_the_limit),
		cmocka_unit_test(a_viewer_against_the_protocol_is_told_and_cut_off),
	};
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
