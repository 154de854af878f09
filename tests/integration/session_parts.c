#include "tests/integration/session_parts.h"
#include "common/error.h"
#include "common/io.h"

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

const char *program, *preloaded;

double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	return poll(&p, 1, ms) > 0;
}

static uint32_t seed = 7;

uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* ---- the supervisor ---- */

uint64_t clipboard_limit;

void order(struct rig *r, uint32_t type, uint32_t reason, uint32_t connection, int fd)
{
	struct gr_ipc_message m = {
		.type = type, .reason = reason, .connection = connection, .container = 4, .session = 99
	};
	snprintf(m.person, sizeof(m.person), "hanako");
	if (type == GR_IPC_ATTACH)
		m.bytes_up = m.bytes_down = clipboard_limit;
	assert_int_equal(gr_ipc_send(r->control, &m, fd), 0);
	if (fd >= 0)
		close(fd);
}

int speaks(struct rig *r, int ms)
{
	double until = now_us() + ms * 1e3;
	struct gr_ipc_message m;
	int fd;

	while (readable(r->control, until > now_us() ? (int)((until - now_us()) / 1e3) : 0)) {
		/* Only looked at: it is taken by heard(). */
		if (recv(r->control, &m, sizeof(m), MSG_PEEK | MSG_DONTWAIT) != sizeof(m) || m.type != GR_IPC_ACTIVITY)
			return 1;
		assert_int_equal(gr_ipc_receive(r->control, &m, &fd), 0);
		r->activities++;
	}
	return 0;
}

struct gr_ipc_message heard(struct rig *r, uint32_t type)
{
	struct gr_ipc_message m;
	int fd;
	assert_true(speaks(r, WAIT_MS));
	assert_int_equal(gr_ipc_receive(r->control, &m, &fd), 0);
	assert_int_equal(m.type, type);
	assert_true(gr_ipc_permitted(GR_IPC_KIND_SESSION, type));
	return m;
}

void silent(struct rig *r)
{
	assert_false(speaks(r, 50));
}

void start_process(struct rig *r)
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
		setenv("ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0:exitcode=99", 1);
		if (preloaded)
			setenv("LD_PRELOAD", preloaded, 1);
		execl(program, program, path, "3", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	r->control = pair[0];
	heard(r, GR_IPC_READY);
}

void clean(struct rig *r)
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
int ended(struct rig *r, double *ms)
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

void finish(struct rig *r)
{
	close(r->control);
	r->control = -1;
	assert_int_equal(ended(r, NULL), 0);
	clean(r);
}

/* ---- the agent ---- */

union gr_record agent_hears(struct rig *r, uint32_t type)
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

void agent_says(struct rig *r, const void *record, size_t size)
{
	assert_int_equal(gr_io_send(r->agent, record, size, -1), 0);
}

static void agent_state(struct rig *r)
{
	struct gr_record_state s = { GR_RECORD_STATE, GR_AGENT_READY, r->w, r->h };
	agent_says(r, &s, sizeof(s));
}

/* Connects an agent with a screen of r->w by r->h and answers HELLO. */
void agent_connects(struct rig *r)
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

void frame(struct rig *r, struct gr_rect rect)
{
	struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 1 };
	f.rects[0] = rect;
	agent_says(r, &f, sizeof(f));
}

void whole_frame(struct rig *r)
{
	frame(r, (struct gr_rect){ 0, 0, r->w, r->h });
}

/* A bit of a page: flat colour, text-like specks, a gradient with noise as in a photograph. */
void draw(struct rig *r, struct gr_rect rect)
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
void start_painted(struct rig *r)
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

struct cursor cursor;

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

rfbClient *libvncclient_attach(struct rig *r, uint32_t connection, const char *encodings)
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
int wait_message(rfbClient *c, unsigned ms)
{
	return c->buffered ? 1 : WaitForMessage(c, ms * 1000);
}

/* Handles messages until none has come for ms. */
void libvncclient_handle(rfbClient *c, int ms)
{
	while (wait_message(c, (unsigned)ms) > 0)
		assert_true(HandleRFBServerMessage(c));
}

void libvncclient_close(rfbClient *c)
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
void pictures_are_equal(struct rig *r, rfbClient *c)
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
uint32_t want_with(struct rig *r, rfbClient *c)
{
	double end = now_us() + WAIT_MS * 1e3;
	while (!readable(r->agent, 2) && now_us() < end)
		libvncclient_handle(c, 0);
	return agent_hears(r, GR_RECORD_WANT_FRAME).want_frame.whole;
}

/* ---- a viewer by hand ---- */

/* A viewer behind a slow link: takes so many bytes a second, while the rest of the test goes on. 0: all there is. */
double link_bandwidth;
void (*link_meanwhile)(void);

void expect(int fd, void *out, size_t n)
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

void put(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

void set_encodings(int fd, const int32_t *encodings, size_t count)
{
	uint8_t m[4 + 32 * 4] = { 2, 0, 0, (uint8_t)count };
	assert_true(count <= 32);
	for (size_t i = 0; i < count; i++)
		for (unsigned k = 0; k < 4; k++)
			m[4 + i * 4 + k] = (uint8_t)((uint32_t)encodings[i] >> (24 - 8 * k));
	put(fd, m, 4 + count * 4);
}

/* taken_over: a viewer is there, whose DETACHED comes first. */
int raw_attach_over(struct rig *r, uint32_t connection, int taken_over)
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
	/* No waiting for a WebSocket's greeting, which would take 100 ms each time; a loaded machine does now and then. */
	static unsigned slow;
	slow = now_us() - start < 80e3 ? 0 : slow + 1;
	assert_true(slow < 5);
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

int raw_attach(struct rig *r, uint32_t connection)
{
	return raw_attach_over(r, connection, 0);
}

void raw_request(int fd, int incremental)
{
	uint8_t m[10] = { 3, (uint8_t)incremental, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	put(fd, m, sizeof(m));
}

/* Reads one update of raw rectangles; returns its bytes. */
size_t raw_update(int fd)
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
void raw_first_update(int fd)
{
	static const uint8_t acknowledge[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe };
	uint8_t got[sizeof(acknowledge)];
	raw_request(fd, 0);
	raw_update(fd);
	expect(fd, got, sizeof(got));
	assert_memory_equal(got, acknowledge, sizeof(got));
}

void expect_notice(int fd, uint8_t reason)
{
	uint8_t notice[8], more;
	const uint8_t expected[8] = { 71, 1, 0, reason, 0, 0, 0, 0 };
	expect(fd, notice, 8);
	assert_memory_equal(notice, expected, 8);
	assert_true(readable(fd, WAIT_MS));
	assert_int_equal(read(fd, &more, 1), 0);
}

/* ---- fences and continuous updates ---- */

void put_fence(int fd, uint32_t flags, const void *payload, uint8_t length)
{
	uint8_t m[9 + 255] = {
		248,   0, 0, 0, (uint8_t)(flags >> 24), (uint8_t)(flags >> 16), (uint8_t)(flags >> 8), (uint8_t)flags,
		length
	};
	memcpy(m + 9, payload, length);
	put(fd, m, 9u + length);
}

struct fence expect_fence(int fd)
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
