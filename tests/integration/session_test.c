/*
 * garasu-session as a whole: this program plays the supervisor and the container's agent, and connects real viewers to it:
 * libvncclient, and one by hand where the bytes themselves matter. usage: session_test GARASU-SESSION
 */
#include "broker/ipc/ipc.h"
#include "common/decode/decode.h"
#include "common/error.h"
#include "common/io.h"
#include "common/record.h"

#include <rfb/rfbclient.h>

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

#define MAX_W 1920
#define MAX_H 1080
#define STRIDE (MAX_W * 4u)
#define WAIT_MS 5000

static const char *program;

struct rig {
	char folder[64];
	pid_t pid;
	int control, agent;
	uint8_t *memory;
	int memory_fd;
	uint16_t w, h; /* of the screen that the agent plays */
	struct gr_record_hello hello;
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	return poll(&p, 1, ms) > 0;
}

static uint32_t seed = 7;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* ---- the supervisor ---- */

static void order(struct rig *r, uint32_t type, uint32_t reason, uint32_t connection, int fd)
{
	struct gr_ipc_message m = {
		.type = type, .reason = reason, .connection = connection, .container = 4, .session = 99
	};
	snprintf(m.person, sizeof(m.person), "hanako");
	assert_int_equal(gr_ipc_send(r->control, &m, fd), 0);
	if (fd >= 0)
		close(fd);
}

static struct gr_ipc_message heard(struct rig *r, uint32_t type)
{
	struct gr_ipc_message m;
	int fd;
	assert_true(readable(r->control, WAIT_MS));
	assert_int_equal(gr_ipc_receive(r->control, &m, &fd), 0);
	assert_int_equal(m.type, type);
	assert_true(gr_ipc_permitted(GR_IPC_KIND_SESSION, type));
	return m;
}

static void silent(struct rig *r)
{
	assert_false(readable(r->control, 50));
}

static void start_process(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->agent = r->memory_fd = -1;
	snprintf(r->folder, sizeof(r->folder), "/tmp/garasu-session-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	assert_int_equal(chmod(r->folder, 0755), 0);
	char path[128], run[128];
	snprintf(run, sizeof(run), "%s/empty", r->folder);
	assert_int_equal(mkdir(run, 0755), 0);
	snprintf(path, sizeof(path), "%s/garasu.conf", r->folder);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
		"session {\n width = 640\n height = 480\n max_width = %d\n max_height = %d\n}\n"
		"broker {\n run_directory = \"%s\"\n log_level = \"%s\"\n}\n",
		MAX_W, MAX_H, r->folder, getenv("GARASU_TEST_LOG") ? getenv("GARASU_TEST_LOG") : "error");
	fclose(f);
	int pair[2];
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	r->pid = fork();
	if (!r->pid) {
		dup2(pair[1], 3);
		/* In an empty root, and not to be traced, the leak checker cannot work. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execl(program, program, path, "3", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	r->control = pair[0];
	heard(r, GR_IPC_READY);
}

static void clean(struct rig *r)
{
	char path[128];
	close(r->control);
	gr_io_close(&r->agent);
	if (r->memory)
		munmap(r->memory, gr_record_memory(MAX_W, MAX_H));
	gr_io_close(&r->memory_fd);
	snprintf(path, sizeof(path), "%s/garasu.conf", r->folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/empty", r->folder);
	rmdir(path);
	rmdir(r->folder);
}

/* Waits for the process's end; returns its exit status, and how long it took in ms. */
static int ended(struct rig *r, double *ms)
{
	double start = now_us();
	int status;
	for (;;) {
		pid_t pid = waitpid(r->pid, &status, WNOHANG);
		if (pid == r->pid)
			break;
		if (now_us() - start > 10e6) {
			kill(r->pid, SIGKILL);
			waitpid(r->pid, &status, 0);
			fail_msg("the session did not end");
		}
		usleep(2000);
	}
	if (ms)
		*ms = (now_us() - start) / 1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void finish(struct rig *r)
{
	close(r->control);
	r->control = -1;
	assert_int_equal(ended(r, NULL), 0);
	clean(r);
}

/* ---- the agent ---- */

static union gr_record agent_hears(struct rig *r, uint32_t type)
{
	union gr_record record;
	size_t size;
	int fd = -1;
	memset(&record, 0, sizeof(record));
	assert_true(readable(r->agent, WAIT_MS));
	assert_int_equal(gr_io_receive(r->agent, &record, sizeof(record), &size, &fd), 0);
	assert_int_equal(record.type, type);
	assert_int_equal(size, gr_record_size(type));
	if (type == GR_RECORD_HELLO) {
		assert_true(fd >= 0);
		gr_io_close(&r->memory_fd);
		r->memory_fd = fd;
		r->hello = record.hello;
	} else {
		assert_int_equal(fd, -1);
	}
	return record;
}

static void agent_says(struct rig *r, const void *record, size_t size)
{
	assert_int_equal(gr_io_send(r->agent, record, size, -1), 0);
}

static void agent_state(struct rig *r)
{
	struct gr_record_state s = { GR_RECORD_STATE, GR_AGENT_READY, r->w, r->h };
	agent_says(r, &s, sizeof(s));
}

/* Connects an agent with a screen of r->w by r->h and answers HELLO. */
static void agent_connects(struct rig *r)
{
	int pair[2];
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	gr_io_close(&r->agent);
	r->agent = pair[0];
	order(r, GR_IPC_AGENT, 0, 0, pair[1]);
	agent_hears(r, GR_RECORD_HELLO);
	if (!r->memory) {
		r->memory = mmap(NULL, gr_record_memory(MAX_W, MAX_H), PROT_READ | PROT_WRITE, MAP_SHARED, r->memory_fd,
				 0);
		assert_true(r->memory != MAP_FAILED);
	}
	agent_state(r);
}

static void frame(struct rig *r, struct gr_rect rect)
{
	struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 1 };
	f.rects[0] = rect;
	agent_says(r, &f, sizeof(f));
}

static void whole_frame(struct rig *r)
{
	frame(r, (struct gr_rect){ 0, 0, r->w, r->h });
}

/* A bit of a page: flat colour, text-like specks, a gradient with noise as in a photograph. */
static void draw(struct rig *r, struct gr_rect rect)
{
	uint32_t kind = random_below(3), base = random_below(0x1000000), other = random_below(0x1000000);
	for (uint32_t y = rect.y; y < (uint32_t)rect.y + rect.h; y++)
		for (uint32_t x = rect.x; x < (uint32_t)rect.x + rect.w; x++) {
			uint32_t p = base;
			if (kind == 1)
				p = random_below(5) ? base : other;
			else if (kind == 2)
				p = ((x * 255 / MAX_W) << 16) + ((y * 255 / MAX_H) << 8) + random_below(64);
			p |= random_below(256) << 24; /* the byte that must not travel */
			memcpy(r->memory + y * STRIDE + x * 4, &p, 4);
		}
}

/* A session with an agent whose first picture is in the shadow. */
static void start_painted(struct rig *r)
{
	start_process(r);
	r->w = 640;
	r->h = 480;
	order(r, GR_IPC_START, 0, 0, -1);
	agent_connects(r);
	union gr_record want = agent_hears(r, GR_RECORD_WANT_FRAME);
	assert_int_equal(want.want_frame.whole, 1);
	draw(r, (struct gr_rect){ 0, 0, r->w, r->h });
	draw(r, (struct gr_rect){ 100, 50, 300, 200 });
	draw(r, (struct gr_rect){ 10, 300, 600, 100 });
	whole_frame(r);
}

/* ---- a viewer that nobody here wrote ---- */

struct cursor {
	int w, h, x, y;
	uint32_t pixels[64 * 64];
	uint8_t mask[64 * 64];
};
static struct cursor cursor;

static void got_cursor(rfbClient *c, int hot_x, int hot_y, int w, int h, int bytes)
{
	cursor.x = hot_x;
	cursor.y = hot_y;
	cursor.w = w;
	cursor.h = h;
	if (w <= 64 && h <= 64 && bytes == 4 && w) {
		memcpy(cursor.pixels, c->rcSource, (size_t)(w * h) * 4);
		memcpy(cursor.mask, c->rcMask, (size_t)(w * h));
	}
}

static void quiet(const char *format, ...)
{
	(void)format;
}

static rfbClient *libvncclient_attach(struct rig *r, uint32_t connection, const char *encodings)
{
	int pair[2];
	rfbClientLog = rfbClientErr = quiet;
	assert_int_equal(gr_io_pair(SOCK_STREAM, pair), 0);
	order(r, GR_IPC_ATTACH, 0, connection, pair[1]);
	rfbClient *c = rfbGetClient(8, 3, 4);
	assert_non_null(c);
	c->sock = pair[0];
	c->canHandleNewFBSize = TRUE;
	c->appData.useRemoteCursor = TRUE;
	c->appData.encodingsString = encodings;
	c->appData.compressLevel = 1;
	c->appData.enableJPEG = FALSE; /* lossless */
	c->GotCursorShape = got_cursor;
	c->format.redShift = 16;
	c->format.greenShift = 8;
	c->format.blueShift = 0;
	c->format.depth = 24;
	assert_true(InitialiseRFBConnection(c));
	assert_int_equal(heard(r, GR_IPC_ATTACHED).connection, connection);
	assert_string_equal(c->desktopName, "Garasu");
	c->width = c->si.framebufferWidth;
	c->height = c->si.framebufferHeight;
	assert_true(c->MallocFrameBuffer(c));
	c->updateRect.x = c->updateRect.y = 0;
	c->updateRect.w = c->width;
	c->updateRect.h = c->height;
	assert_true(SetFormatAndEncodings(c));
	assert_true(SendFramebufferUpdateRequest(c, 0, 0, c->width, c->height, FALSE));
	return c;
}

/* WaitForMessage does not look at what libvncclient has read already. */
static int wait_message(rfbClient *c, unsigned ms)
{
	return c->buffered ? 1 : WaitForMessage(c, ms * 1000);
}

/* Handles messages until none has come for ms. */
static void libvncclient_handle(rfbClient *c, int ms)
{
	while (wait_message(c, (unsigned)ms) > 0)
		assert_true(HandleRFBServerMessage(c));
}

static void libvncclient_close(rfbClient *c)
{
	free(c->frameBuffer);
	c->frameBuffer = NULL;
	free(c->rcSource); /* rfbClientCleanup forgets these two */
	free(c->rcMask);
	c->rcSource = c->rcMask = NULL;
	rfbClientCleanup(c);
}

/* The first pixel that differs, or 0 = none (the size differs: 1). */
static int difference(struct rig *r, rfbClient *c, char *text, size_t size)
{
	if (c->width != r->w || c->height != r->h) {
		snprintf(text, size, "size %dx%d instead of %ux%u", c->width, c->height, r->w, r->h);
		return 1;
	}
	for (uint32_t y = 0; y < r->h; y++)
		for (uint32_t x = 0; x < r->w; x++) {
			uint32_t sent, seen;
			memcpy(&sent, r->memory + y * STRIDE + x * 4, 4);
			memcpy(&seen, c->frameBuffer + (y * r->w + x) * 4, 4);
			if ((sent & 0xffffff) != (seen & 0xffffff)) {
				snprintf(text, size, "pixel %u,%u: %06x became %06x", x, y, sent & 0xffffff,
					 seen & 0xffffff);
				return 1;
			}
		}
	return 0;
}

/* Handles messages until the viewer shows exactly what is on the screen. */
static void pictures_are_equal(struct rig *r, rfbClient *c)
{
	char text[128];
	double end = now_us() + WAIT_MS * 1e3;
	while (difference(r, c, text, sizeof(text))) {
		if (now_us() > end)
			fail_msg("%s", text);
		if (wait_message(c, 20) > 0)
			assert_true(HandleRFBServerMessage(c));
	}
}

/* The agent's next WANT_FRAME, while the viewer goes on. */
static uint32_t want_with(struct rig *r, rfbClient *c)
{
	double end = now_us() + WAIT_MS * 1e3;
	while (!readable(r->agent, 2) && now_us() < end)
		libvncclient_handle(c, 0);
	return agent_hears(r, GR_RECORD_WANT_FRAME).want_frame.whole;
}

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
	static const char *const encodings[] = { "tight", "zrle", "zlib", "hextile", "raw" };
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
	rfbClient *c = libvncclient_attach(&r, 1, "tight zrle");
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

static void the_memfd_can_neither_shrink_nor_grow(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	assert_int_equal(r.hello.version, GR_RECORD_VERSION);
	assert_int_equal(r.hello.max_width, MAX_W);
	assert_int_equal(r.hello.max_height, MAX_H);
	assert_int_equal(r.hello.flags, GR_HELLO_OPEN_HOME);
	assert_int_equal(ftruncate(r.memory_fd, 4096), -1);
	assert_int_equal(ftruncate(r.memory_fd, 1 << 30), -1);
	assert_int_equal(fcntl(r.memory_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
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

/* ---- a viewer by hand ---- */

/* A viewer behind a slow link: takes so many bytes a second, while the rest of the test goes on. 0: all there is. */
static double link_bandwidth;
static void (*link_meanwhile)(void);

static void expect(int fd, void *out, size_t n)
{
	uint8_t *p = out;
	while (n) {
		assert_true(readable(fd, WAIT_MS));
		ssize_t got = read(fd, p, link_bandwidth > 0 && n > 1460 ? 1460 : n);
		assert_true(got > 0);
		for (double end = now_us() + (double)got / link_bandwidth * 1e6; link_bandwidth > 0 && now_us() < end;)
			link_meanwhile();
		p += got;
		n -= (size_t)got;
	}
}

static void put(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void set_encodings(int fd, const int32_t *encodings, size_t count)
{
	uint8_t m[4 + 32 * 4] = { 2, 0, 0, (uint8_t)count };
	assert_true(count <= 32);
	for (size_t i = 0; i < count; i++)
		for (unsigned k = 0; k < 4; k++)
			m[4 + i * 4 + k] = (uint8_t)((uint32_t)encodings[i] >> (24 - 8 * k));
	put(fd, m, 4 + count * 4);
}

/* taken_over: a viewer is there, whose DETACHED comes first. */
static int raw_attach_over(struct rig *r, uint32_t connection, int taken_over)
{
	int pair[2];
	uint8_t buffer[64];
	assert_int_equal(gr_io_pair(SOCK_STREAM, pair), 0);
	double start = now_us();
	order(r, GR_IPC_ATTACH, 0, connection, pair[1]);
	if (taken_over)
		assert_int_equal(heard(r, GR_IPC_DETACHED).reason, GR_REASON_TAKEN_OVER);
	expect(pair[0], buffer, 12);
	assert_memory_equal(buffer, "RFB 003.008\n", 12);
	assert_true(now_us() - start < 80e3); /* no waiting for a WebSocket's greeting */
	put(pair[0], "RFB 003.008\n", 12);
	expect(pair[0], buffer, 2);
	assert_memory_equal(buffer, "\1\1", 2);
	put(pair[0], "\1", 1);
	expect(pair[0], buffer, 4);
	assert_memory_equal(buffer, "\0\0\0\0", 4);
	put(pair[0], "\1", 1);
	expect(pair[0], buffer, 24 + 6);
	static const uint8_t format[] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 6 };
	assert_memory_equal(buffer + 4, format, sizeof(format));
	assert_memory_equal(buffer + 24, "Garasu", 6);
	assert_int_equal(heard(r, GR_IPC_ATTACHED).connection, connection);
	/* Raw pixels, our records, QEMU keys. */
	set_encodings(pair[0], (const int32_t[]){ 0, 0x47415201, -258 }, 3);
	return pair[0];
}

static int raw_attach(struct rig *r, uint32_t connection)
{
	return raw_attach_over(r, connection, 0);
}

static void raw_request(int fd, int incremental)
{
	uint8_t m[10] = { 3, (uint8_t)incremental, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	put(fd, m, sizeof(m));
}

/* Reads one update of raw rectangles; returns its bytes. */
static size_t raw_update(int fd)
{
	uint8_t head[4], rect[12];
	size_t total = 4;
	expect(fd, head, 4);
	assert_int_equal(head[0], 0);
	for (unsigned i = 0; i < (unsigned)(head[2] << 8 | head[3]); i++) {
		expect(fd, rect, 12);
		size_t n = (size_t)(rect[4] << 8 | rect[5]) * (size_t)(rect[6] << 8 | rect[7]) * 4;
		uint8_t *pixels = malloc(n + 1);
		expect(fd, pixels, n);
		if (!memcmp(rect + 8, "\0\0\0\0", 4))
			for (size_t k = 3; k < n; k += 4)
				assert_int_equal(pixels[k], 0); /* the fourth byte carries nothing */
		free(pixels);
		total += 12 + n;
	}
	return total;
}

/* A viewer that listed -258 gets the acknowledgement behind its first update. */
static void raw_first_update(int fd)
{
	static const uint8_t acknowledge[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe };
	uint8_t got[sizeof(acknowledge)];
	raw_request(fd, 0);
	raw_update(fd);
	expect(fd, got, sizeof(got));
	assert_memory_equal(got, acknowledge, sizeof(got));
}

static void expect_notice(int fd, uint8_t reason)
{
	uint8_t notice[8], more;
	const uint8_t expected[8] = { 71, 1, 0, reason, 0, 0, 0, 0 };
	expect(fd, notice, 8);
	assert_memory_equal(notice, expected, 8);
	assert_true(readable(fd, WAIT_MS));
	assert_int_equal(read(fd, &more, 1), 0);
}

static void keys_pointer_and_text_arrive_exactly(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	static const uint8_t messages[] = {
		4,   1, 0, 0,  0, 0,  0xff, 0xe1, /* Shift down */
		255, 0, 0, 1,  0, 0,  0,    0x41, 0,    0,    0,    0x1e, /* A down, QEMU */
		255, 0, 0, 0,  0, 0,  0,    0x41, 0,    0,    0,    0x1e, 6,    0,
		0,   0, 0, 0,  0, 5,  's',  'e',  'c',  'r',  't', /* clipboard: goes nowhere */
		5,   1, 0, 10, 0, 20, 5,    0,    2,    0,    1,    0, /* pointer */
		71,  1, 0, 6,  0, 0,  0x12, 0x34, 0xe6, 0x97, 0xa5, 0xe6, 0x9c, 0xac, /* 日本 */
		4,   0, 0, 0,  0, 0,  0xff, 0xe1,
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
	assert_int_equal(r.hello.flags, 0);
	assert_int_equal(agent_hears(&r, GR_RECORD_WANT_FRAME).want_frame.whole, 1);
	draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
	whole_frame(&r);
	libvncclient_handle(c, 200);
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
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
	assert_int_equal(r.hello.flags, 0);
	finish(&r);
}

static void an_agent_against_the_protocol_is_cut_off(void **state)
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
	violation(&r, &f, sizeof(f), r.memory_fd); /* with a descriptor */
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
		{ 71, 2, 0, 1 },
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

/* ---- fences and continuous updates ---- */

struct fence {
	uint32_t flags;
	uint8_t length, payload[64];
};

static void put_fence(int fd, uint32_t flags, const void *payload, uint8_t length)
{
	uint8_t m[9 + 255] = {
		248,   0, 0, 0, (uint8_t)(flags >> 24), (uint8_t)(flags >> 16), (uint8_t)(flags >> 8), (uint8_t)flags,
		length
	};
	memcpy(m + 9, payload, length);
	put(fd, m, 9u + length);
}

static struct fence expect_fence(int fd)
{
	uint8_t m[9];
	struct fence f = { 0 };
	expect(fd, m, sizeof(m));
	assert_memory_equal(m, "\370\0\0\0", 4);
	f.flags = (uint32_t)m[4] << 24 | (uint32_t)m[5] << 16 | (uint32_t)m[6] << 8 | m[7];
	f.length = m[8];
	assert_true(f.length <= sizeof(f.payload));
	expect(fd, f.payload, f.length);
	return f;
}

static void fences_are_answered_in_their_place(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	raw_first_update(fd);
	uint8_t payload[64];
	for (unsigned i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	/* Flags that are known come back without Request, the payload as it was. */
	put_fence(fd, 0xfffffffb, payload, 64);
	struct fence f = expect_fence(fd);
	assert_int_equal(f.flags, 3);
	assert_int_equal(f.length, 64);
	assert_memory_equal(f.payload, payload, 64);
	put_fence(fd, 0x80000000, payload, 0);
	f = expect_fence(fd);
	assert_true(f.flags == 0 && f.length == 0);
	/* Behind the update that was asked for before it, when that can go at once. */
	usleep(10000);
	raw_request(fd, 0);
	put_fence(fd, 0x80000001, payload, 5);
	raw_update(fd);
	f = expect_fence(fd);
	assert_true(f.flags == 1 && f.length == 5);
	/* SyncNext: when the next message is here, and before its effects. */
	usleep(10000);
	put_fence(fd, 0x80000004, "sync", 4);
	assert_false(readable(fd, 50));
	raw_request(fd, 0);
	f = expect_fence(fd);
	assert_true(f.flags == 4 && f.length == 4);
	assert_memory_equal(f.payload, "sync", 4);
	raw_update(fd);
	/* An answer to a fence that was never sent says nothing; one that is too long ends it. */
	put_fence(fd, 0, payload, 4);
	put_fence(fd, 0, payload, 9);
	assert_false(readable(fd, 50));
	put_fence(fd, 0x80000000, (uint8_t[65]){ 0 }, 65);
	expect_notice(fd, GR_REASON_PROTOCOL);
	close(fd);
	assert_int_equal(heard(&r, GR_IPC_DETACHED).reason, GR_REASON_PROTOCOL);
	finish(&r);
}

/* A fence of the session's own: answers it. */
static void answer_fence(int fd)
{
	struct fence f = expect_fence(fd);
	assert_int_equal(f.flags, 0x80000001);
	put_fence(fd, f.flags & 0x7fffffff, f.payload, f.length);
}

/* A viewer of raw pixels with fences and continuous updates, told that they are understood; its first fence is answered. */
static int continuous_attach(struct rig *r)
{
	int fd = raw_attach(r, 1);
	set_encodings(fd, (const int32_t[]){ 0, 0x47415201, -312, -313 }, 4);
	answer_fence(fd);
	uint8_t end;
	expect(fd, &end, 1);
	assert_int_equal(end, 150);
	return fd;
}

static void put_continuous(int fd, int on)
{
	const uint8_t m[10] = { 150, (uint8_t)on, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	put(fd, m, sizeof(m));
}

static void continuous_updates_need_no_requests(void **state)
{
	(void)state;
	struct rig r;
	uint8_t acknowledge[16], end;
	start_painted(&r);
	int fd = continuous_attach(&r);
	assert_false(readable(fd, 50)); /* nothing was asked for */
	put_continuous(fd, 1);
	raw_update(fd);
	answer_fence(fd);
	expect(fd, acknowledge, sizeof(acknowledge)); /* -258, listed in raw_attach */
	for (unsigned i = 0; i < 20; i++) {
		agent_hears(&r, GR_RECORD_WANT_FRAME);
		draw(&r, (struct gr_rect){ 10, 10, 50, 20 });
		frame(&r, (struct gr_rect){ 10, 10, 50, 20 });
		assert_true(raw_update(fd) >= 50 * 20 * 4);
		answer_fence(fd);
	}
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	put_continuous(fd, 0);
	expect(fd, &end, 1);
	assert_int_equal(end, 150);
	draw(&r, (struct gr_rect){ 10, 10, 50, 20 });
	frame(&r, (struct gr_rect){ 10, 10, 50, 20 }); /* the answer to what was asked before */
	assert_false(readable(fd, 50));
	assert_false(readable(r.agent, 50)); /* and no more is asked for */
	put_continuous(fd, 0); /* each is acknowledged */
	expect(fd, &end, 1);
	raw_request(fd, 1);
	raw_update(fd);
	answer_fence(fd);
	close(fd);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* It takes every byte, so no socket is full: what it does not do is answer fences, as a viewer behind a slow link does late. */
static void a_stalled_viewer_gets_only_the_newest_picture(void **state)
{
	(void)state;
	struct rig r;
	uint8_t acknowledge[16];
	start_painted(&r);
	int fd = continuous_attach(&r);
	put_continuous(fd, 1);
	raw_update(fd); /* 1.2 MB: more than may be under way */
	struct fence f = expect_fence(fd);
	expect(fd, acknowledge, sizeof(acknowledge));
	/* Nothing is fetched for it, nothing is sent, and it costs nothing; its input goes on. */
	assert_false(readable(r.agent, 100));
	static const uint8_t key[] = { 4, 1, 0, 0, 0, 0, 0, 'k' };
	put(fd, key, sizeof(key));
	assert_int_equal(agent_hears(&r, GR_RECORD_KEY).key.keysym, 'k');
	for (unsigned i = 0; i < 5; i++) {
		draw(&r, (struct gr_rect){ 0, 0, 64, 8 });
		assert_false(readable(r.agent, 20));
	}
	assert_false(readable(fd, 0));
	/* It is back: one picture, of now. */
	put_fence(fd, f.flags & 0x7fffffff, f.payload, f.length);
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	memset(r.memory, 0x5a, 64 * 4);
	frame(&r, (struct gr_rect){ 0, 0, 64, 1 });
	uint8_t got[4 + 12 + 64 * 4];
	expect(fd, got, sizeof(got));
	got[1] = 0; /* padding */
	static const uint8_t head[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0 };
	assert_memory_equal(got, head, sizeof(head));
	for (unsigned i = 0; i < 64 * 4; i++)
		assert_int_equal(got[sizeof(head) + i], i % 4 == 3 ? 0 : 0x5a);
	answer_fence(fd);
	close(fd);
	while (readable(r.agent, 50)) { /* the key is released, another frame is wanted */
		uint8_t record[4096];
		assert_true(read(r.agent, record, sizeof(record)) > 0);
	}
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* It knows Tight, but asks for a part of the screen: our encoder would send all of it. */
static void a_viewer_gets_no_more_than_it_asks_for(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	int fd = raw_attach(&r, 1);
	set_encodings(fd, (const int32_t[]){ 7, 0, -239, -223 }, 4);
	static const uint8_t request[10] = { 3, 0, 0, 100, 0, 50, 0, 40, 0, 30 };
	put(fd, request, sizeof(request));
	uint8_t head[4], rect[12];
	static uint8_t pixels[40 * 30 * 4];
	size_t area = 0;
	expect(fd, head, 4);
	for (unsigned i = 0; i < head[3]; i++) {
		expect(fd, rect, 12);
		size_t w = (size_t)(rect[4] << 8 | rect[5]), h = (size_t)(rect[6] << 8 | rect[7]);
		if (rect[8])
			continue; /* the pointer, which has no image yet */
		static const uint8_t raw[4] = { 0 };
		assert_memory_equal(rect + 8, raw, 4);
		assert_true(rect[1] >= 100 && rect[1] + w <= 140 && rect[3] >= 50 && rect[3] + h <= 80);
		expect(fd, pixels, w * h * 4);
		area += w * h;
	}
	assert_int_equal(area, 40 * 30);
	close(fd);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* ---- a viewer of our own rectangles ---- */

struct garasu {
	int fd;
	struct gr_decode *decode;
	uint16_t w, h;
	uint32_t pixels[MAX_W * MAX_H];
	unsigned history, photo, copies, updates;
	size_t bytes; /* of payloads */
};
static struct garasu garasu;

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void garasu_copy(struct garasu *g, struct gr_rect to)
{
	uint8_t from[4];
	expect(g->fd, from, 4);
	uint32_t x = be16(from), y = be16(from + 2);
	assert_true(x + to.w <= g->w && y + to.h <= g->h);
	static uint32_t copy[MAX_W * MAX_H];
	for (uint32_t row = 0; row < to.h; row++)
		memcpy(copy + row * to.w, g->pixels + (y + row) * MAX_W + x, to.w * 4u);
	for (uint32_t row = 0; row < to.h; row++)
		memcpy(g->pixels + (to.y + row) * MAX_W + to.x, copy + row * to.w, to.w * 4u);
	g->copies++;
}

static void garasu_rectangle(struct garasu *g, struct gr_rect rect, int32_t encoding)
{
	static uint8_t payload[GR_DECODE_PAYLOAD_MAX];
	const char *why = "";
	size_t n;
	switch (encoding) {
	case -258: return; /* listed in raw_attach */
	case 1: garasu_copy(g, rect); return;
	case -239: expect(g->fd, payload, (size_t)rect.w * rect.h * 4 + (rect.w + 7u) / 8 * rect.h); return;
	case -308:
		expect(g->fd, payload, 4 + 16);
		g->w = rect.w;
		g->h = rect.h;
		return;
	case GR_ENCODING_HISTORY:
	case GR_ENCODING_PHOTO:
		expect(g->fd, payload, 4);
		n = (size_t)be16(payload) << 16 | be16(payload + 2);
		assert_true(n <= GR_DECODE_PAYLOAD_MAX && rect.x + rect.w <= g->w && rect.y + rect.h <= g->h);
		expect(g->fd, payload, n);
		if (gr_decode_rectangle(g->decode, encoding, payload, n, g->pixels, MAX_W, rect, &why))
			fail_msg("a rectangle could not be decoded: %s", why);
		g->bytes += n;
		*(encoding == GR_ENCODING_HISTORY ? &g->history : &g->photo) += 1;
		return;
	default: fail_msg("encoding %d", encoding);
	}
}

/* Takes one message. */
static void garasu_handle(struct garasu *g)
{
	uint8_t m[12];
	expect(g->fd, m, 1);
	if (m[0] == 150)
		return;
	if (m[0] == 71) {
		expect(g->fd, m + 1, 1);
		expect(g->fd, m + 2, m[1] == 2 ? 10 : 6);
		return;
	}
	if (m[0] == 248) {
		uint8_t rest[8 + 64];
		expect(g->fd, rest, 8);
		expect(g->fd, rest + 8, rest[7]);
		put_fence(g->fd, rest[6], rest + 8, rest[7]);
		return;
	}
	assert_int_equal(m[0], 0);
	expect(g->fd, m + 1, 3);
	g->updates++;
	for (unsigned n = be16(m + 2); n; n--) {
		expect(g->fd, m, 12);
		int32_t encoding = (int32_t)((uint32_t)be16(m + 8) << 16 | be16(m + 10));
		if (n > 0xff00 && encoding == -224)
			return;
		garasu_rectangle(g, (struct gr_rect){ be16(m), be16(m + 2), be16(m + 4), be16(m + 6) }, encoding);
	}
}

static void garasu_is_equal(struct rig *r, struct garasu *g)
{
	double end = now_us() + WAIT_MS * 1e3;
	for (;;) {
		while (readable(g->fd, 30))
			garasu_handle(g);
		unsigned wrong = g->w != r->w || g->h != r->h;
		for (uint32_t y = 0; !wrong && y < r->h; y++)
			for (uint32_t x = 0; x < r->w; x++) {
				uint32_t sent;
				memcpy(&sent, r->memory + y * STRIDE + x * 4, 4);
				wrong += ((sent ^ g->pixels[y * MAX_W + x]) & 0xffffff) != 0;
			}
		if (!wrong)
			return;
		if (now_us() > end)
			fail_msg("%u pixels differ", wrong);
	}
}

static void garasu_attach(struct rig *r, struct garasu *g, uint32_t connection, int lossy)
{
	memset(g, 0, sizeof(*g));
	g->decode = gr_decode_create(22, lossy);
	assert_non_null(g->decode);
	g->fd = raw_attach(r, connection);
	g->w = 640;
	g->h = 480;
	set_encodings(g->fd,
		      (const int32_t[]){ GR_ENCODING_HISTORY_SIZE + 22, 1, 0, 0x47415201, -239, -308, -223, -224, -312,
					 -313, -24 },
		      lossy ? 11 : 10);
	put_continuous(g->fd, 1);
}

static void garasu_wants(struct rig *r, struct garasu *g)
{
	double end = now_us() + WAIT_MS * 1e3;
	while (!readable(r->agent, 2) && now_us() < end)
		while (readable(g->fd, 0))
			garasu_handle(g);
	agent_hears(r, GR_RECORD_WANT_FRAME);
}

static void our_own_rectangles(int lossy)
{
	struct rig r;
	start_painted(&r);
	for (uint32_t connection = 1; connection < 3; connection++) { /* each begins with an empty history */
		garasu_attach(&r, &garasu, connection, lossy);
		for (unsigned i = 0; i < 40; i++) {
			garasu_wants(&r, &garasu);
			uint16_t x = (uint16_t)random_below(600), y = (uint16_t)random_below(440);
			struct gr_rect rect = { x, y, (uint16_t)(1 + random_below(640u - x)),
						(uint16_t)(1 + random_below(480u - y)) };
			draw(&r, rect);
			frame(&r, rect);
			if (i % 8 == 7 && !lossy)
				garasu_is_equal(&r, &garasu);
		}
		garasu_is_equal(&r, &garasu); /* lossy: after the refinement */
		assert_true(garasu.history > 0);
		assert_true(lossy || !garasu.photo);
		garasu_wants(&r, &garasu);
		close(garasu.fd);
		gr_decode_destroy(garasu.decode);
		heard(&r, GR_IPC_DETACHED);
		whole_frame(&r); /* was still asked for */
	}
	finish(&r);
}

static void a_viewer_of_our_own_rectangles_sees_every_pixel(void **state)
{
	(void)state;
	our_own_rectangles(0);
	our_own_rectangles(1);
}

/* The page changes as fast as it is asked for; its upper left pixel tells which picture it is. */
static struct {
	struct rig *rig;
	uint32_t picture;
	double drawn[4096];
} moving;

static void page_moves(void)
{
	struct rig *r = moving.rig;
	double now = now_us();
	if (now - moving.drawn[moving.picture] < 16667 || !readable(r->agent, 0)) {
		usleep(100);
		return;
	}
	agent_hears(r, GR_RECORD_WANT_FRAME);
	assert_true(++moving.picture < 4096);
	moving.drawn[moving.picture] = now;
	for (uint32_t y = 0; y < 220; y++)
		for (uint32_t x = 0; x < 320; x++) {
			uint32_t p = y < 16 ? moving.picture : random_below(5) ? 0xffffff : 0x202020;
			memcpy(r->memory + y * STRIDE + x * 4, &p, 4);
		}
	frame(r, (struct gr_rect){ 0, 0, 320, 220 });
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Sockets would hold 200 kB for it, more than a second and a half. */
static void a_viewer_with_1_mbit_sees_the_page_of_now(void **state)
{
	(void)state;
	enum { AGES = 4096 };
	static double ages[AGES];
	size_t n = 0, bytes = 0;
	uint32_t last = 0;
	struct rig r;
	start_painted(&r);
	memset(&moving, 0, sizeof(moving));
	moving.rig = &r;
	garasu_attach(&r, &garasu, 1, 0);
	garasu_wants(&r, &garasu);
	frame(&r, (struct gr_rect){ 0, 0, 1, 1 });
	link_bandwidth = 125000;
	link_meanwhile = page_moves;
	/* The whole first page is in the way for some two seconds. */
	double start = now_us(), measured = start + 4e6, end = start + 8e6;
	while (now_us() < end) {
		if (!readable(garasu.fd, 0)) {
			page_moves();
			continue;
		}
		garasu_handle(&garasu);
		uint32_t picture = garasu.pixels[0] & 0xffffff;
		if (picture == last || !picture || picture > moving.picture || n == AGES)
			continue;
		last = picture;
		if (now_us() < measured)
			bytes = garasu.bytes;
		else
			ages[n++] = (now_us() - moving.drawn[picture]) / 1000;
	}
	link_bandwidth = 0;
	bytes = garasu.bytes - bytes;
	assert_true(n > 10);
	qsort(ages, n, sizeof(ages[0]), by_value);
	printf("1 Mbit/s: %zu pictures in 4 s, %.2f Mbit/s; from the page to the viewer %.0f ms p50, %.0f ms p95, %.0f "
	       "ms worst\n",
	       n, (double)bytes * 8 / 4e6, ages[n / 2], ages[n * 95 / 100], ages[n - 1]);
	assert_true(ages[n * 95 / 100] < 300);
	assert_true(bytes > 4 * 125000 * 7 / 10);
	close(garasu.fd);
	gr_decode_destroy(garasu.decode);
	heard(&r, GR_IPC_DETACHED);
	finish(&r);
}

/* ---- figures ---- */

static void latency(rfbClient *c, struct rig *r, uint16_t w, uint16_t h, const char *name)
{
	enum { N = 200 };
	static double us[N];
	for (unsigned i = 0; i < N; i++) {
		struct gr_rect rect = { 64, 48, w, h };
		want_with(r, c);
		libvncclient_handle(c, 0);
		draw(r, rect);
		double start = now_us();
		frame(r, rect);
		assert_int_equal(c->buffered, 0);
		assert_true(wait_message(c, 2000) > 0);
		us[i] = now_us() - start; /* the first bytes are here */
		uint32_t sent, seen;
		memcpy(&sent, r->memory + (48u + h - 1) * STRIDE + (64 + w - 1) * 4, 4);
		do { /* a picture can come in slices */
			assert_true(c->buffered || wait_message(c, 2000) > 0);
			assert_true(HandleRFBServerMessage(c));
			memcpy(&seen, c->frameBuffer + ((48u + h - 1) * r->w + 64 + w - 1) * 4, 4);
		} while ((sent ^ seen) & 0xffffff);
	}
	qsort(us, N, sizeof(us[0]), by_value);
	printf("FRAME to bytes at the viewer, %s: %.2f ms p50, %.2f ms p95 (n=%d)\n", name, us[N / 2] / 1000,
	       us[N * 95 / 100] / 1000, N);
}

static unsigned long switches(pid_t pid)
{
	char path[64], line[256];
	unsigned long n = 0, total = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
			total += n;
	fclose(f);
	return total;
}

static void an_idle_session_does_not_wake_up(void **state)
{
	(void)state;
	struct rig r;
	start_painted(&r);
	rfbClient *c = libvncclient_attach(&r, 1, "tight");
	libvncclient_handle(c, 200);
	latency(c, &r, 16, 20, "a character");
	latency(c, &r, 400, 300, "400x300");
	want_with(&r, c);
	usleep(100000);
	unsigned long before = switches(r.pid);
	sleep(2);
	unsigned long after = switches(r.pid);
	printf("wake-ups in 2 s with a viewer that waits: %lu\n", after - before);
	assert_int_equal(after, before);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
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
		cmocka_unit_test(the_memfd_can_neither_shrink_nor_grow),
		cmocka_unit_test(the_window_is_resized_through_the_viewer),
		cmocka_unit_test(the_cursor_arrives_without_its_alpha),
		cmocka_unit_test(keys_pointer_and_text_arrive_exactly),
		cmocka_unit_test(an_agent_that_does_not_read_stops_the_viewer_and_loses_nothing),
		cmocka_unit_test(the_newest_viewer_wins),
		cmocka_unit_test(a_viewer_that_stops_reading_stalls_nobody),
		cmocka_unit_test(the_end_is_told_and_comes_at_once),
		cmocka_unit_test(a_lost_agent_leaves_the_picture_and_another_goes_on),
		cmocka_unit_test(a_session_that_goes_on_in_another_process_keeps_its_page),
		cmocka_unit_test(an_agent_against_the_protocol_is_cut_off),
		cmocka_unit_test(a_viewer_against_the_protocol_is_told_and_cut_off),
		cmocka_unit_test(fences_are_answered_in_their_place),
		cmocka_unit_test(continuous_updates_need_no_requests),
		cmocka_unit_test(a_stalled_viewer_gets_only_the_newest_picture),
		cmocka_unit_test(a_viewer_gets_no_more_than_it_asks_for),
		cmocka_unit_test(a_viewer_of_our_own_rectangles_sees_every_pixel),
		cmocka_unit_test(a_viewer_with_1_mbit_sees_the_page_of_now),
		cmocka_unit_test(an_idle_session_does_not_wake_up),
	};
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
