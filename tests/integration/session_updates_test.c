/*
 * When garasu-session sends a picture, and in which form: fences, continuous updates, slow and stalled viewers, our own
 * rectangles, and that nothing happens when nothing changes. usage: session_updates_test GARASU-SESSION
 */
#include "common/decode/decode.h"
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
	usleep(1500000); /* a second after the last record it looks, once, whether that was read */
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
		fprintf(stderr, "usage: session_updates_test GARASU-SESSION [FILTER]\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
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
