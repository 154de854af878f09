/* The viewer's RFB client against a server made of bytes. */
#include "viewer/rfb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <cmocka.h> /* needs some of those above */

enum { MAX = 300, STRIDE = MAX + 7 };

static struct {
	/* what the server says */
	uint8_t in[400000];
	size_t in_size, in_at, piece;
	/* what the client said */
	uint8_t out[65536];
	size_t out_size;
	/* what it reported */
	unsigned sizes, refusals, updates, cursors, notices, carets, results, full;
	uint16_t width, height;
	struct gr_rect rects[GR_FRAME_RECTS_MAX];
	size_t count;
	unsigned notice;
	uint32_t sequence, result;
	uint32_t pixels[STRIDE * MAX], cursor[GR_CURSOR_MAX * GR_CURSOR_MAX];
	struct gr_reader reader;
	struct gr_rfb *rfb;
	struct gr_error err;
} t;

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	(void)context;
	size_t n = t.in_size - t.in_at;
	if (n == 0)
		return GR_ECLOSED;
	if (n > room)
		n = room;
	if (n > t.piece)
		n = t.piece; /* the network cuts anywhere */
	memcpy(into, t.in + t.in_at, n);
	t.in_at += n;
	*got = n;
	return 0;
}

static int send_bytes(void *context, const void *bytes, size_t n)
{
	(void)context;
	assert_true(t.out_size + n <= sizeof(t.out));
	memcpy(t.out + t.out_size, bytes, n);
	t.out_size += n;
	return 0;
}

static int on_size(void *context, uint16_t width, uint16_t height)
{
	(void)context;
	t.sizes++;
	t.width = width;
	t.height = height;
	return 0;
}

static int on_refused(void *context, uint16_t width, uint16_t height)
{
	(void)context, (void)width, (void)height;
	t.refusals++;
	return 0;
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	(void)context;
	t.updates++;
	t.full = flags & GR_RFB_FULL;
	t.count = count;
	memcpy(t.rects, rects, count * sizeof(*rects));
	return 0;
}

static int on_cursor(void *context, uint16_t width, uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	(void)context, (void)width, (void)height, (void)hot_x, (void)hot_y;
	t.cursors++;
	return 0;
}

static int on_notice(void *context, unsigned reason)
{
	(void)context;
	t.notices++;
	t.notice = reason;
	return 0;
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	(void)context, (void)known, (void)rect;
	t.carets++;
	return 0;
}

static int on_text(void *context, uint32_t sequence, unsigned status)
{
	(void)context;
	t.results++;
	t.sequence = sequence;
	t.result = status;
	return 0;
}

static void say(const void *bytes, size_t n)
{
	assert_true(t.in_size + n <= sizeof(t.in));
	memcpy(t.in + t.in_size, bytes, n);
	t.in_size += n;
}

static void say8(unsigned v)
{
	uint8_t b = (uint8_t)v;
	say(&b, 1);
}

static void say16(unsigned v)
{
	say8(v >> 8);
	say8(v);
}

static void say32(uint32_t v)
{
	say16(v >> 16);
	say16(v & 0xffff);
}

static void say_handshake(unsigned width, unsigned height)
{
	say("RFB 003.008\n\1\1\0\0\0\0", 18);
	say16(width);
	say16(height);
	say("\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\0\0\0", 16);
	say32(6);
	say("Garasu", 6);
}

static void say_update(unsigned count)
{
	say16(0);
	say16(count);
}

static void say_rect(unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding)
{
	say16(x);
	say16(y);
	say16(w);
	say16(h);
	say32((uint32_t)encoding);
}

static void say_compact(size_t n)
{
	say8((unsigned)(n & 0x7f) | (n > 0x7f ? 0x80 : 0));
	if (n > 0x7f)
		say8((unsigned)(n >> 7 & 0x7f) | (n > 0x3fff ? 0x80 : 0));
	if (n > 0x3fff)
		say8((unsigned)(n >> 14));
}

static void start(unsigned width, unsigned height, int quality, uint16_t want_width, uint16_t want_height)
{
	struct gr_rfb_memory memory = { t.pixels, STRIDE, MAX, MAX, t.cursor };
	struct gr_rfb_events events = { on_size, on_refused, on_update, on_cursor, on_notice, on_caret, on_text };
	struct gr_rfb_settings settings = { quality, want_width, want_height, send_bytes };
	memset(&t, 0, sizeof(t));
	t.piece = 7;
	assert_int_equal(gr_reader_init(&t.reader, refill, NULL), 0);
	t.rfb = gr_rfb_create(&t.reader, &memory, &events, &settings, NULL);
	assert_non_null(t.rfb);
	if (width) {
		say_handshake(width, height);
		assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), 0);
	}
}

static int stop(void **state)
{
	(void)state;
	gr_rfb_destroy(t.rfb);
	gr_reader_finish(&t.reader);
	t.rfb = NULL;
	return 0;
}

static void expect(int status)
{
	assert_int_equal(gr_rfb_read(t.rfb, &t.err), status);
}

/* Reads one message whose words are already said, and wants it refused; begins anew afterwards. */
static void expect_refused(void)
{
	expect(GR_EPROTO);
	expect(GR_EPROTO); /* and it stays so */
	stop(NULL);
}

static uint32_t pixel(unsigned x, unsigned y)
{
	return t.pixels[y * STRIDE + x];
}

static void handshake_asks_for_what_the_protocol_lists(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	assert_int_equal(t.width, 200);
	assert_int_equal(t.height, 100);
	assert_memory_equal(t.out, "RFB 003.008\n\1\1", 14);
	assert_int_equal(t.out[14], 2);
	assert_int_equal(t.out[17], 9); /* nine encodings: no quality level */
	const uint8_t *request = t.out + 18 + 36;
	assert_memory_equal(request, "\3\0\0\0\0\0\0\310\0\144", 10);
	assert_int_equal(t.out_size, 18 + 36 + 10);
	stop(NULL);
	start(200, 100, 3, 0, 0);
	assert_int_equal(t.out[17], 10);
	assert_memory_equal(t.out + 18 + 36, "\xff\xff\xff\xe2", 4); /* -30 */
	stop(NULL);
}

static void handshake_of_another_kind_is_refused(void **state)
{
	(void)state;
	start(0, 0, 0, 0, 0);
	say("RFB 003.003\n", 12);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\1\2", 14);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\0\0\0\0\5no\n\1!", 22);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EDENIED);
	assert_string_equal(t.err.text, "no\\x0a\\x01!");
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\0\xff\xff\xff\xff", 17); /* CVE-2018-20748's family: length + 1 */
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say_handshake(MAX + 1, 10);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say_handshake(0, 10);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
}

static void raw_and_copied_rectangles_arrive(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(2);
	say_rect(1, 2, 3, 2, 0);
	for (unsigned i = 0; i < 6; i++) {
		say8(i);
		say("\x22\x33\x99", 3);
	}
	say_rect(2, 2, 3, 2, 1); /* overlaps its source */
	say16(1);
	say16(2);
	expect(0);
	assert_int_equal(pixel(1, 2), 0xff332200);
	assert_int_equal(pixel(2, 2), 0xff332200);
	assert_int_equal(pixel(4, 2), 0xff332202);
	assert_int_equal(pixel(4, 3), 0xff332205);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.full, 0);
	/* The next update was asked for. */
	assert_memory_equal(t.out + t.out_size - 10, "\3\1\0\0\0\0\0\24\0\12", 10);
	stop(NULL);
}

static void rectangles_outside_are_refused(void **state)
{
	(void)state;
	static const struct {
		unsigned x, y, w, h;
	} bad[] = { { 0, 0, 21, 1 },    { 20, 0, 1, 1 },        { 1, 0, 20, 1 }, { 0, 5, 1, 6 },
		    { 65535, 0, 2, 1 }, { 0, 65535, 1, 65535 }, { 0, 0, 0, 1 },  { 0, 0, 1, 0 } };
	static const int32_t encodings[] = { 0, 1, 7 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		for (size_t k = 0; k < 3; k++) {
			start(20, 10, 0, 0, 0);
			say_update(1);
			say_rect(bad[i].x, bad[i].y, bad[i].w, bad[i].h, encodings[k]);
			say32(0);
			expect_refused();
		}
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 5, 5, 1);
	say16(16);
	say16(0);
	expect_refused();
}

static void messages_that_are_not_listed_are_refused(void **state)
{
	(void)state;
	static const uint8_t types[] = { 1, 2, 3, 4, 11, 15, 16, 150, 248, 250, 252, 253, 255 };
	for (size_t i = 0; i < sizeof(types); i++) {
		start(20, 10, 0, 0, 0);
		say8(types[i]);
		say32(0xffffffff);
		say32(0xffffffff);
		expect_refused();
	}
	static const int32_t encodings[] = {
		2, 4, 5, 6, 8, 9, 15, 16, 17, -307, -312, -313, 50, -240, -260, 0x574d5664
	};
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		start(20, 10, 0, 0, 0);
		say_update(1);
		say_rect(0, 0, 4, 4, encodings[i]);
		expect_refused();
	}
}

static void tight_fill_and_full_flag(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(65535);
	say_rect(0, 0, 20, 9, 7);
	say("\x80\x11\x22\x33", 4);
	say_rect(0, 0, 0, 0, -224);
	expect(0);
	assert_int_equal(pixel(19, 8), 0xff112233);
	assert_int_equal(t.full, 0);
	say_update(1);
	say_rect(0, 0, 20, 9, 7); /* as many pixels as there are, but not all of them */
	say("\x80\x11\x22\x33", 4);
	expect(0);
	assert_int_equal(t.full, 0);
	say_update(1);
	say_rect(0, 9, 20, 1, 7);
	say("\x80\x11\x22\x33", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	stop(NULL);
}

static size_t deflate_into(uint8_t *out, size_t cap, const uint8_t *data, size_t n)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit(&z, 6), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	size_t size = cap - z.avail_out;
	deflateEnd(&z);
	return size;
}

static uint8_t plain[MAX * MAX * 3], packed[MAX * MAX * 4];

static void fill_plain(size_t n, unsigned modulus)
{
	uint32_t seed = 1;
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		plain[i] = (uint8_t)((seed >> 16) % modulus);
	}
}

static void tight_copy_filter_of_every_size(void **state)
{
	(void)state;
	static const unsigned sizes[][2] = { { 1, 1 }, { 3, 1 }, { 1, 4 }, { 2, 2 }, { 300, 300 }, { 299, 7 } };
	for (size_t i = 0; i < 6; i++)
		for (size_t piece = 1; piece < 100000; piece *= 71) {
			unsigned w = sizes[i][0], h = sizes[i][1];
			start(300, 300, 0, 0, 0);
			t.piece = piece;
			size_t n = (size_t)w * h * 3;
			fill_plain(n, 256);
			say_update(1);
			say_rect(0, 0, w, h, 7);
			say8(0x10); /* stream 1 */
			if (n < 12) {
				say(plain, n);
			} else {
				size_t size = deflate_into(packed, sizeof(packed), plain, n);
				say_compact(size);
				say(packed, size);
			}
			expect(0);
			for (unsigned y = 0; y < h; y++)
				for (unsigned x = 0; x < w; x++) {
					const uint8_t *p = plain + ((size_t)y * w + x) * 3;
					if (pixel(x, y) !=
					    (0xff000000u | (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]))
						fail_msg("pixel %u,%u of %ux%u", x, y, w, h);
				}
			expect(GR_ECLOSED); /* nothing was left over */
			stop(NULL);
		}
}

static void tight_palettes(void **state)
{
	(void)state;
	for (unsigned colours = 2; colours <= 256; colours += 127) {
		start(300, 300, 0, 0, 0);
		unsigned w = 37, h = 11;
		size_t row = colours == 2 ? (w + 7) / 8 : w, n = row * h;
		fill_plain(n, colours == 2 ? 256 : colours);
		say_update(1);
		say_rect(5, 6, w, h, 7);
		say8(0x40);
		say8(1);
		say8(colours - 1);
		for (unsigned i = 0; i < colours; i++) {
			say8(i);
			say8(255 - i);
			say8(7);
		}
		size_t size = deflate_into(packed, sizeof(packed), plain, n);
		say_compact(size);
		say(packed, size);
		expect(0);
		for (unsigned y = 0; y < h; y++)
			for (unsigned x = 0; x < w; x++) {
				unsigned index = colours == 2 ? (unsigned)plain[y * row + x / 8] >> (7 - x % 8) & 1u
							      : (unsigned)plain[y * row + x];
				assert_int_equal(pixel(5 + x, 6 + y),
						 0xff000000u | index << 16 | (255 - index) << 8 | 7);
			}
		stop(NULL);
	}
}

static void tight_index_behind_the_palette_is_harmless(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 3, 1, 7);
	say("\x40\1\2\1\1\1\2\2\2\3\3\3\xff\0\2", 15);
	expect(0);
	assert_int_equal(pixel(0, 0), 0xff000000);
	assert_int_equal(pixel(2, 0), 0xff030303);
	stop(NULL);
}

static void say_tight_packed(size_t n)
{
	fill_plain(n, 256);
	size_t size = deflate_into(packed, sizeof(packed), plain, n);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say8(0);
	say_compact(size);
	say(packed, size);
}

static void tight_data_of_another_length_is_refused(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_tight_packed(10 * 10 * 3 - 1);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_tight_packed(10 * 10 * 3 + 1);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_tight_packed(sizeof(plain)); /* a bomb: much more than the rectangle holds */
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say8(0);
	say_compact(20);
	for (int i = 0; i < 20; i++)
		say8(0xff);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say("\0\0", 2); /* no data at all */
	expect_refused();
}

static void tight_kinds_that_are_not_listed_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "\x40\2", "\x40\3", "\x40\1\0\1\2\3", "\xa0", "\xf0" };
	static const size_t sizes[] = { 2, 2, 6, 1, 1 };
	for (size_t i = 0; i < 5; i++) {
		start(20, 10, 0, 0, 0);
		say_update(1);
		say_rect(0, 0, 10, 10, 7);
		say(bad[i], sizes[i]);
		say32(0);
		say32(0);
		expect_refused();
	}
}

static void say_jpeg(unsigned w, unsigned h, unsigned rect_w, unsigned rect_h)
{
	tjhandle jpeg = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long size = 0;
	memset(plain, 0x80, sizeof(plain));
	assert_int_equal(tjCompress2(jpeg, plain, (int)w, 0, (int)h, TJPF_RGB, &data, &size, TJSAMP_444, 95, 0), 0);
	say_update(1);
	say_rect(0, 0, rect_w, rect_h, 7);
	say8(0x90);
	say_compact(size);
	say(data, size);
	tjFree(data);
	tjDestroy(jpeg);
}

static void jpeg_only_when_asked_for_and_of_the_right_size(void **state)
{
	(void)state;
	start(300, 300, 9, 0, 0);
	say_jpeg(200, 100, 200, 100);
	expect(0);
	assert_int_equal(pixel(199, 99) >> 24, 0xff);
	assert_in_range(pixel(199, 99) & 0xff, 0x7c, 0x84);
	stop(NULL);
	start(300, 300, 0, 0, 0);
	say_jpeg(200, 100, 200, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_jpeg(200, 100, 199, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_jpeg(100, 100, 200, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say("\x90\4abcd", 6);
	expect_refused();
}

static void cursors_are_bounded(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(1, 0, 2, 2, -239);
	say("\1\2\3\0\4\5\6\0\7\10\11\0\12\13\14\0\x80\x40", 18);
	expect(0);
	assert_int_equal(t.cursors, 1);
	assert_int_equal(t.cursor[0], 0xff030201);
	assert_int_equal(t.cursor[1], 0);
	assert_int_equal(t.cursor[3], 0xff0c0b0a);
	assert_int_equal(t.updates, 0); /* nothing was painted */
	say_update(1);
	say_rect(0, 0, 0, 0, -239);
	expect(0);
	assert_int_equal(t.cursors, 2);
	stop(NULL);
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 65, 1, -239);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 65535, 65535, -239);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(2, 0, 2, 2, -239);
	say("\1\2\3\0\4\5\6\0\7\10\11\0\12\13\14\0\x80\x40", 18);
	expect_refused();
}

static void say_screen(unsigned reason, unsigned status, unsigned w, unsigned h)
{
	say_update(1);
	say_rect(reason, status, w, h, -308);
	say32(0x01000000);
	say32(77);
	say32(0);
	say16(w);
	say16(h);
	say32(5);
}

static void size_is_asked_for_when_it_can_be(void **state)
{
	(void)state;
	start(200, 100, 0, 250, 150);
	size_t before = t.out_size;
	say_screen(0, 0, 200, 100);
	expect(0);
	/* a request, then SetDesktopSize with the screen's own id and flags */
	assert_int_equal(t.out_size, before + 10 + 24);
	assert_memory_equal(t.out + before + 10, "\373\0\0\372\0\226\1\0\0\0\0\115\0\0\0\0\0\372\0\226\0\0\0\5", 24);
	/* The old size fully painted is not what was wanted. */
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, 0);
	/* While it is unanswered no other is sent. */
	before = t.out_size;
	assert_int_equal(gr_rfb_want_size(t.rfb, 240, 140), 0);
	assert_int_equal(t.out_size, before);
	say_screen(1, 0, 250, 150);
	expect(0);
	assert_int_equal(t.width, 250);
	assert_int_equal(t.out[t.out_size - 24], 251);
	/* What both sizes share is still to be seen, but does not count as painted. */
	assert_int_equal(pixel(10, 10), 0x00010203);
	assert_int_equal(pixel(249, 149), 0);
	say_screen(1, 0, 240, 140);
	expect(0);
	say_update(1);
	say_rect(0, 0, 240, 140, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	stop(NULL);
}

static void refused_size_is_settled(void **state)
{
	(void)state;
	start(200, 100, 0, 250, 150);
	say_screen(0, 0, 200, 100);
	expect(0);
	say_screen(1, 1, 200, 100);
	expect(0);
	assert_int_equal(t.refusals, 1);
	size_t before = t.out_size;
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	assert_int_equal(t.out_size, before + 10); /* and not asked for again */
	/* Another wish is. */
	assert_int_equal(gr_rfb_want_size(t.rfb, 240, 140), 0);
	assert_int_equal(t.out_size, before + 10 + 24);
	/* An answer of another size than asked for is a refusal too. */
	say_screen(1, 0, 230, 140);
	expect(0);
	assert_int_equal(t.refusals, 2);
	assert_int_equal(t.width, 230);
	assert_int_equal(t.out[t.out_size - 10], 3);
	stop(NULL);
	start(200, 100, 0, 0, 0);
	say_screen(0, 0, MAX + 1, 100);
	expect_refused();
	start(200, 100, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 200, 100, -308);
	say32(0xff000000);
	expect_refused();
}

static void records_are_read(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say("\107\3\0\1\0\0\0\52", 8);
	expect(0);
	assert_int_equal(t.results, 1);
	assert_int_equal(t.sequence, 42);
	assert_int_equal(t.result, 1);
	say("\107\2\0\1\0\12\0\24\0\2\0\16", 12);
	expect(0);
	assert_int_equal(t.carets, 1);
	say("\107\1\0\7\0\0\0\0", 8);
	expect(0);
	assert_int_equal(t.notice, 7);
	expect(GR_ECLOSED);
	stop(NULL);
	start(200, 100, 0, 0, 0);
	say("\107\2\0\1\0\12\0\24\0\377\0\16", 12);
	expect_refused();
	start(200, 100, 0, 0, 0);
	say("\107\4\0\1\0\12\0\24\0\377\0\16", 12);
	expect_refused();
}

static void input_is_sent_as_the_protocol_says(void **state)
{
	(void)state;
	start(0, 0, 0, 0, 0);
	assert_int_equal(gr_rfb_key(t.rfb, 'a', 0x1e, 1), 0);
	assert_int_equal(t.out_size, 0); /* not before the handshake */
	stop(NULL);
	start(200, 100, 0, 0, 0);
	t.out_size = 0;
	gr_rfb_key(t.rfb, 'a', 0x1e, 1);
	assert_memory_equal(t.out, "\4\1\0\0\0\0\0a", 8);
	say_update(1);
	say_rect(0, 0, 0, 0, -258);
	expect(0);
	t.out_size = 0;
	gr_rfb_key(t.rfb, 0xff0d, 0x1c, 0);
	assert_memory_equal(t.out, "\377\0\0\0\0\0\377\15\0\0\0\34", 12);
	t.out_size = 0;
	gr_rfb_pointer(t.rfb, 500, 99, 5);
	assert_memory_equal(t.out, "\5\5\0\307\0\143", 6); /* clipped to the picture */
	t.out_size = 0;
	gr_rfb_text(t.rfb, 9, (const uint8_t *)"\xe6\x97\xa5", 3);
	assert_memory_equal(t.out, "\107\1\0\3\0\0\0\11\xe6\x97\xa5", 11);
	uint8_t text[GR_TEXT_MAX + 1] = { 0 };
	assert_int_equal(gr_rfb_text(t.rfb, 1, text, GR_TEXT_MAX + 1), GR_EINVAL);
	assert_int_equal(gr_rfb_text(t.rfb, 1, text, 0), GR_EINVAL);
	assert_int_equal(gr_rfb_want_size(t.rfb, 1, 100), GR_EINVAL);
	stop(NULL);
}

static void end_within_a_message_is_an_end(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 200, 100, 0);
	say32(0);
	expect(GR_ECLOSED);
	stop(NULL);
}

static void more_rectangles_than_reported_still_cover_all(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_update(100);
	for (unsigned i = 0; i < 100; i++) {
		say_rect(i * 2, i, 1, 1, 7);
		say("\x80\1\2\3", 4);
	}
	expect(0);
	assert_int_equal(t.count, GR_FRAME_RECTS_MAX);
	for (unsigned i = 0; i < 100; i++) {
		int covered = 0;
		for (size_t k = 0; k < t.count; k++)
			covered |= i * 2 >= t.rects[k].x && i * 2 < (unsigned)t.rects[k].x + t.rects[k].w &&
				   i >= t.rects[k].y && i < (unsigned)t.rects[k].y + t.rects[k].h;
		assert_true(covered);
	}
	stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_asks_for_what_the_protocol_lists),
		cmocka_unit_test(handshake_of_another_kind_is_refused),
		cmocka_unit_test(raw_and_copied_rectangles_arrive),
		cmocka_unit_test(rectangles_outside_are_refused),
		cmocka_unit_test(messages_that_are_not_listed_are_refused),
		cmocka_unit_test(tight_fill_and_full_flag),
		cmocka_unit_test(tight_copy_filter_of_every_size),
		cmocka_unit_test(tight_palettes),
		cmocka_unit_test(tight_index_behind_the_palette_is_harmless),
		cmocka_unit_test(tight_data_of_another_length_is_refused),
		cmocka_unit_test(tight_kinds_that_are_not_listed_are_refused),
		cmocka_unit_test(jpeg_only_when_asked_for_and_of_the_right_size),
		cmocka_unit_test(cursors_are_bounded),
		cmocka_unit_test(size_is_asked_for_when_it_can_be),
		cmocka_unit_test(refused_size_is_settled),
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(input_is_sent_as_the_protocol_says),
		cmocka_unit_test(end_within_a_message_is_an_end),
		cmocka_unit_test(more_rectangles_than_reported_still_cover_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
