/* The decoder of Garasu's own rectangles: what is in the grammar is drawn, what is not is refused, and nothing goes beyond. */
#include "common/decode/decode.h"
#include "common/decode/jpeg.h"
#include "common/decode/tokens.h"
#include "common/decode/unit.h"
#include "common/error.h"
#include "tests/unit/allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */
#include <turbojpeg.h>
#include <zstd.h>

enum { W = 760, H = 200, GUARD = 0x13579bdf };

static struct {
	struct gr_decode *decode;
	ZSTD_CCtx *stream;
	uint32_t pixels[W * H];
	uint8_t payload[1u << 20];
	size_t size; /* of the payload */
	const char *why;
	uint32_t seed;
} t;

static uint32_t random_below(uint32_t n)
{
	t.seed = t.seed * 1664525u + 1013904223u;
	return (t.seed >> 8) % n;
}

static void clear(void)
{
	for (size_t i = 0; i < (size_t)W * H; i++)
		t.pixels[i] = GUARD;
}

static void new_stream(int window_log2)
{
	ZSTD_freeCCtx(t.stream);
	t.stream = ZSTD_createCCtx();
	assert_non_null(t.stream);
	assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(t.stream, ZSTD_c_windowLog, window_log2)));
}

static void new_decoder(unsigned history_log2, int permit_photo)
{
	gr_decode_destroy(t.decode);
	t.decode = gr_decode_create(history_log2, permit_photo);
	assert_non_null(t.decode);
}

static int setup(void **state)
{
	(void)state;
	t.seed = 1;
	clear();
	new_stream(20);
	new_decoder(20, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ZSTD_freeCCtx(t.stream);
	t.stream = NULL;
	gr_decode_destroy(t.decode);
	t.decode = NULL;
	return 0;
}

/* What was not touched must be as it was. */
static void check_guard(struct gr_rect r)
{
	for (uint32_t y = 0; y < H; y++)
		for (uint32_t x = 0; x < W; x++)
			if (x < r.x || x >= (uint32_t)r.x + r.w || y < r.y || y >= (uint32_t)r.y + r.h)
				assert_int_equal(t.pixels[y * W + x], GUARD);
}

/* Compresses n bytes into the payload. */
static void compress(const void *bytes, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { bytes, n, 0 };
	ZSTD_outBuffer to = { t.payload, sizeof(t.payload), 0 };
	assert_int_equal(ZSTD_compressStream2(t.stream, &to, &in, how), 0);
	t.size = to.pos;
}

/* In memory of its own, so that AddressSanitizer sees what is read beyond it. */
static int decode(int32_t encoding, struct gr_rect r)
{
	uint8_t *copy = malloc(t.size + !t.size);
	assert_non_null(copy);
	memcpy(copy, t.payload, t.size);
	t.why = "none";
	int status = gr_decode_rectangle(t.decode, encoding, copy, t.size, t.pixels, W, r, &t.why);
	free(copy);
	return status;
}

static int draw_unit(const uint8_t *bytes, size_t n, struct gr_rect r)
{
	uint8_t *copy = malloc(n + !n);
	assert_non_null(copy);
	memcpy(copy, bytes, n);
	t.why = "none";
	int status = gr_unit_draw(copy, n, t.pixels, W, r, &t.why);
	free(copy);
	return status;
}

/* ---- units ---- */

static const struct gr_rect box = { 4, 3, 10, 6 };

#define BOX_ROW 0, 4, 0, 3, 0, 10, 0, 1 /* a piece: the first row of the box */
#define BOX_ROWS 0, 4, 0, 3, 0, 10, 0, 2
#define ALL_LEFT 9 /* ten pixels like the one to the left */

static void each_malformed_unit_is_refused_for_its_reason(void **state)
{
	(void)state;
	static const struct {
		const char *why;
		uint8_t n, bytes[64];
	} cases[] = {
		{ "a piece cut short", 1, { 0 } },
		{ "a piece cut short", 7, { 0, 4, 0, 3, 0, 10, 0 } },
		{ "a piece cut short", 10, { BOX_ROW, ALL_LEFT, 0 } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 3, 0, 0, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 3, 0x80, 0, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 3, 0, 10, 0, 0, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 3, 0, 3, 0, 10, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 5, 0, 3, 0, 10, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 2, 0, 10, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 9, 0, 10, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 3, 0, 11, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 0, 3, 0, 10, 0, 7, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 255, 255, 0, 3, 0x7f, 255, 0, 1, ALL_LEFT } },
		{ "a piece outside its rectangle", 9, { 0, 4, 255, 255, 0, 10, 255, 255, ALL_LEFT } },
		{ "a piece outside its rectangle", 18, { BOX_ROW, ALL_LEFT, 0, 4, 0, 9, 0, 10, 0, 1, ALL_LEFT } },
		{ "a first row that refers to the one above", 9, { BOX_ROW, GR_TOKEN_ABOVE | 9 } },
		{ "a first row that refers to the one above", 10, { BOX_ROW, 8, GR_TOKEN_ABOVE } },
		{ "a first row that refers to the one above",
		  18,
		  { BOX_ROW, ALL_LEFT, 0, 4, 0, 4, 0, 10, 0, 1, GR_TOKEN_ABOVE | 9 } },
		{ "a run beyond its row", 9, { BOX_ROW, 10 } },
		{ "a run beyond its row", 10, { BOX_ROW, 8, 1 } },
		{ "a run beyond its row", 10, { BOX_ROWS, ALL_LEFT, GR_TOKEN_ABOVE | 10 } },
		{ "a run beyond its row", 20, { BOX_ROW, GR_TOKEN_GREY | 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 } },
		{ "a run beyond its row", 42, { BOX_ROW, GR_TOKEN_COLOUR | 10 } },
		{ "a run beyond its row", 9, { BOX_ROW, GR_TOKEN_RUN_BYTE } },
		{ "a run beyond its row", 10, { BOX_ROW, GR_TOKEN_RUN_BYTE, 0 } },
		{ "a run beyond its row", 9, { BOX_ROW, GR_TOKEN_RUN_WORD } },
		{ "a run beyond its row", 10, { BOX_ROW, GR_TOKEN_RUN_WORD, 0 } },
		{ "a run beyond its row", 11, { BOX_ROW, GR_TOKEN_RUN_WORD, 255, 255 } },
		{ "a run beyond its row", 12, { BOX_ROW, 63, 0, 0, 0 } },
		{ "a run beyond its row", 13, { BOX_ROWS, ALL_LEFT, GR_TOKEN_ABOVE | 63, 0, 0, 0 } },
		{ "a row without its end", 8, { BOX_ROW } },
		{ "a row without its end", 9, { BOX_ROW, 8 } },
		{ "a row without its end", 9, { BOX_ROWS, ALL_LEFT } },
		{ "too few grey pixels", 9, { BOX_ROW, GR_TOKEN_GREY } },
		{ "too few grey pixels", 18, { BOX_ROW, GR_TOKEN_GREY | 9, 1, 2, 3, 4, 5, 6, 7, 8, 9 } },
		{ "too few coloured pixels", 11, { BOX_ROW, GR_TOKEN_COLOUR, 1, 2 } },
		{ "too few coloured pixels", 38, { BOX_ROW, GR_TOKEN_COLOUR | 9 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		clear();
		assert_int_equal(draw_unit(cases[i].bytes, cases[i].n, box), GR_EPROTO);
		assert_string_equal(t.why, cases[i].why);
		check_guard(box);
	}
}

static void an_empty_unit_draws_nothing(void **state)
{
	(void)state;
	assert_int_equal(draw_unit((const uint8_t *)"", 0, box), 0);
	check_guard((struct gr_rect){ 0 });
}

static void check_row(uint32_t x, uint32_t y, const uint32_t *expected, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(t.pixels[y * W + x + i], expected[i] | 0xff000000);
}

static void each_token_draws_what_it_says(void **state)
{
	(void)state;
	static const uint8_t unit[] = {
		/* 6 by 2: white, white, two greys, a colour, the same; above, above, left, three colours mod 256 */
		0, 5, 0, 4, 0, 6, 0, 2, 1, GR_TOKEN_GREY | 1, 7, 200, GR_TOKEN_COLOUR, 0x20, 0x10, 0xf0, 0,
		GR_TOKEN_ABOVE | 1, 0, GR_TOKEN_COLOUR | 2, 1, 2, 3, 255, 1, 2, 128, 128, 127,
		/* 1 by 1 */
		0, 13, 0, 8, 0, 1, 0, 1, GR_TOKEN_GREY, 9,
		/* a row begins anew: its left is white */
		0, 4, 0, 3, 0, 1, 0, 1, 0
	};
	static const uint32_t first[] = { 0xffffff, 0xffffff, 0x070707, 0xc8c8c8, 0x102030, 0x102030 };
	static const uint32_t second[] = { 0xffffff, 0xffffff, 0xffffff, 0x040103, 0x01ff00, 0xff8000 };
	assert_int_equal(draw_unit(unit, sizeof(unit), box), 0);
	check_row(5, 4, first, 6);
	check_row(5, 5, second, 6);
	check_row(13, 8, (const uint32_t[]){ 0x090909 }, 1);
	check_row(4, 3, (const uint32_t[]){ 0xffffff }, 1);
	assert_int_equal(t.pixels[3 * W + 5], GUARD); /* in the box, and in no piece */
	check_guard(box);
}

static void photographs_are_told_from_their_neighbours(void **state)
{
	(void)state;
	static const uint8_t unit[] = {
		/* 3 by 2. First row: white + error, then left + error. */
		0, 4, 0, 3, 0x80, 3, 0, 2, GR_TOKEN_COLOUR | 2, 0x11, 0, 0, /* 0xffffff + 0x111111, byte by byte */
		1, 0, 0, 0x0f, 0, 0,
		/* Second row: above + error; then the median of left, above, left + above - corner. */
		GR_TOKEN_COLOUR | 2, 0, 0, 0, /* above: 0x10 */
		2, 0, 0, /* left 0x10, above 0x11, corner 0x10: the corner is the least, so the larger one, 0x11 */
		0, 1, 255, /* left 0x13, above 0x20, corner 0x11: 0x20; blue one more, red one less */
	};
	static const uint32_t first[] = { 0x101010, 0x111111, 0x202020 }, second[] = { 0x101010, 0x131313, 0x1f2021 };
	assert_int_equal(draw_unit(unit, sizeof(unit), box), 0);
	check_row(4, 3, first, 3);
	check_row(4, 4, second, 3);
	check_guard(box);
}

static void runs_have_the_lengths_that_their_forms_say(void **state)
{
	(void)state;
	static const struct {
		uint32_t length;
		uint8_t n, bytes[3];
	} runs[] = {
		{ 1, 1, { 0 } },
		{ 61, 1, { 60 } },
		{ 62, 2, { GR_TOKEN_RUN_BYTE, 0 } },
		{ 317, 2, { GR_TOKEN_RUN_BYTE, 255 } },
		{ 318, 3, { GR_TOKEN_RUN_WORD, 0, 0 } },
		{ 318 + 0x102, 3, { GR_TOKEN_RUN_WORD, 1, 2 } },
	};
	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		uint32_t n = runs[i].length;
		uint8_t unit[32] = { 0, 0, 0, 0, (uint8_t)((n + 1) >> 8), (uint8_t)(n + 1), 0, 2, GR_TOKEN_GREY, 5 };
		struct gr_rect r = { 0, 0, (uint16_t)(n + 1), 2 };
		size_t at = 10;
		for (unsigned above = 0; above < 2; above++) {
			memcpy(unit + at, runs[i].bytes, runs[i].n);
			unit[at] = (uint8_t)(unit[at] | (above ? GR_TOKEN_ABOVE : GR_TOKEN_LEFT));
			at += runs[i].n;
			if (!above) {
				unit[at++] = GR_TOKEN_GREY;
				unit[at++] = 6;
			}
		}
		clear();
		assert_int_equal(draw_unit(unit, at, r), 0);
		for (uint32_t x = 0; x <= n; x++) {
			assert_int_equal(t.pixels[x], 0xff050505);
			assert_int_equal(t.pixels[W + x], x ? 0xff050505 : 0xff060606);
		}
		check_guard(r);
		/* A pixel more or less in the piece, and it is not. */
		for (int more = -1; more <= 1; more += 2) {
			unit[4] = (uint8_t)((n + 1 + (uint32_t)more) >> 8);
			unit[5] = (uint8_t)(n + 1 + (uint32_t)more);
			assert_int_equal(draw_unit(unit, at, (struct gr_rect){ 0, 0, W, 2 }), GR_EPROTO);
		}
	}
}

/* Tokens that are mostly good, each byte of which may be another: nothing is ever written or read beyond. */
static void random_units_stay_in_their_rectangle(void **state)
{
	(void)state;
	unsigned good = 0;
	for (unsigned i = 0; i < 60000; i++) {
		uint8_t unit[80];
		size_t n = 8 + random_below(random_below(2) ? 8 : 72);
		for (size_t k = 0; k < n; k++)
			unit[k] = (uint8_t)random_below(random_below(3) ? 20 : 256);
		uint8_t header[8] = { 0, (uint8_t)(4 + random_below(4)), 0, (uint8_t)(3 + random_below(3)),
				      0, (uint8_t)(1 + random_below(6)), 0, (uint8_t)(1 + random_below(3)) };
		header[4] = random_below(2) ? 0x80 : 0;
		if (random_below(8))
			memcpy(unit, header, 8);
		good += draw_unit(unit, n, box) == 0;
		if (i % 100 == 0)
			check_guard(box);
	}
	check_guard(box);
	assert_true(good > 20);
}

/* ---- the history's stream ---- */

static void units_come_through_one_stream(void **state)
{
	(void)state;
	static uint8_t unit[60000];
	uint8_t header[] = { 0, 0, 0, 0, 0, 64, 0, 100 };
	size_t n = sizeof(header), first;
	memcpy(unit, header, n);
	for (unsigned y = 0; y < 100; y++) {
		unit[n++] = GR_TOKEN_COLOUR | 63;
		for (unsigned i = 0; i < 3 * 64; i++)
			unit[n++] = (uint8_t)random_below(256);
	}
	struct gr_rect r = { 0, 0, 64, 150 };
	compress(unit, n, ZSTD_e_flush);
	first = t.size;
	assert_int_equal(decode(GR_ENCODING_HISTORY, r), 0);
	/* The same, lower: the history knows it. */
	uint32_t copy[64];
	memcpy(copy, t.pixels + 99 * W, sizeof(copy));
	unit[3] = 50;
	compress(unit, n, ZSTD_e_flush);
	assert_true(first > 19000 && t.size < 200);
	assert_int_equal(decode(GR_ENCODING_HISTORY, r), 0);
	assert_memory_equal(t.pixels + 149 * W, copy, sizeof(copy));
	check_guard(r);
	/* To a decoder without the history it is nothing. */
	new_decoder(20, 1);
	assert_int_equal(decode(GR_ENCODING_HISTORY, r), GR_EPROTO);
	assert_string_equal(t.why, "history: broken compressed data");
}

static void a_unit_of_the_largest_size_is_taken_and_one_more_byte_is_not(void **state)
{
	(void)state;
	static uint8_t unit[3 * GR_UNIT_MAX];
	uint8_t header[] = { 0, 0, 0, 0, 0, 1, 0, 100 };
	size_t n = 0;
	while (n + 8 + 100 <= GR_UNIT_MAX) {
		memcpy(unit + n, header, 8);
		n += 8 + 100;
	}
	/* 131072 = 1213 * 108 + 68: the last piece has 60 rows. */
	unit[1213 * 108 + 5] = 1;
	unit[1213 * 108 + 7] = 60;
	compress(unit, GR_UNIT_MAX, ZSTD_e_flush);
	assert_int_equal(decode(GR_ENCODING_HISTORY, (struct gr_rect){ 0, 0, 1, 100 }), 0);
	for (size_t more = 1; more < sizeof(unit) - GR_UNIT_MAX; more += 1 + more * 3) {
		new_stream(20);
		new_decoder(20, 1);
		compress(unit, GR_UNIT_MAX + more, ZSTD_e_flush);
		assert_int_equal(decode(GR_ENCODING_HISTORY, (struct gr_rect){ 0, 0, 1, 100 }), GR_EPROTO);
		assert_string_equal(t.why, "history: a unit too large");
	}
	check_guard((struct gr_rect){ 0, 0, 1, 100 });
}

static void what_inflates_without_end_is_refused_soon(void **state)
{
	(void)state;
	static uint8_t zeros[64u << 20]; /* 64 MiB in some KiB */
	compress(zeros, sizeof(zeros), ZSTD_e_flush);
	assert_true(t.size < 20000);
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_string_equal(t.why, "history: a unit too large");
}

static void a_stream_that_ends_is_refused(void **state)
{
	(void)state;
	static const uint8_t unit[] = { BOX_ROW, ALL_LEFT };
	compress(unit, sizeof(unit), ZSTD_e_end);
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_string_equal(t.why, "history: the stream ends");
	/* A frame that is to be skipped is an end too. */
	static const uint8_t skipped[] = { 0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3 };
	new_decoder(20, 1);
	memcpy(t.payload, skipped, t.size = sizeof(skipped));
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_string_equal(t.why, "history: the stream ends");
	check_guard((struct gr_rect){ 0 });
}

static void what_is_no_stream_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		new_decoder(20, 1);
		t.size = 6 + random_below(200);
		for (size_t k = 0; k < t.size; k++)
			t.payload[k] = (uint8_t)random_below(256);
		assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
		assert_string_equal(t.why, "history: broken compressed data");
	}
	check_guard((struct gr_rect){ 0 });
}

static void a_malformed_unit_in_a_good_stream_is_refused(void **state)
{
	(void)state;
	static const uint8_t unit[] = { BOX_ROW, ALL_LEFT, 1 };
	compress(unit, sizeof(unit), ZSTD_e_flush);
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_string_equal(t.why, "a piece cut short");
}

static void a_payload_without_a_unit_is_refused(void **state)
{
	(void)state;
	/* RFC 8878: a frame's header with a window of 1 MiB, and a raw block of no bytes that is not the last. */
	static const uint8_t payload[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 0x50, 0, 0, 0 };
	memcpy(t.payload, payload, sizeof(payload));
	t.size = sizeof(payload);
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_string_equal(t.why, "history: an empty unit");
}

/* The viewer said how much it keeps; whoever wants more gets no memory. */
static void a_window_larger_than_agreed_is_refused_without_memory(void **state)
{
	(void)state;
	static const uint8_t unit[] = { BOX_ROW, ALL_LEFT };
	for (int log2 = 21; log2 <= 30; log2++) {
		uint8_t head[64];
		new_stream(log2 > 27 ? 27 : log2);
		compress(unit, sizeof(unit), ZSTD_e_flush);
		memcpy(head, t.payload, t.size);
		new_decoder(20, 1);
		memcpy(t.payload, head, t.size);
		if (log2 > 27) /* the window's byte of RFC 8878, 3.1.1.1.2 */
			t.payload[5] = (uint8_t)((log2 - 10) << 3);
		size_t before = allocations_bytes();
		assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
		assert_string_equal(t.why, "history: broken compressed data");
		assert_true(allocations_bytes() <= before + 300000);
	}
	/* In one segment the window is the content's size: 1 GiB here. */
	static const uint8_t segment[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 0x02, 0, 0, 0 };
	new_decoder(25, 1);
	memcpy(t.payload, segment, t.size = sizeof(segment));
	size_t before = allocations_bytes();
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), GR_EPROTO);
	assert_true(allocations_bytes() <= before + 300000);
	/* As large as agreed is good. */
	new_stream(22);
	compress(unit, sizeof(unit), ZSTD_e_flush);
	new_decoder(22, 1);
	before = allocations_bytes();
	assert_int_equal(decode(GR_ENCODING_HISTORY, box), 0);
	assert_true(allocations_bytes() <= before + (4u << 20) + 500000);
}

/* ---- photographs ---- */

static void make_jpeg(uint16_t w, uint16_t h, int sampling, int flags)
{
	static uint8_t picture[W * H * 4];
	tjhandle tj = tjInitCompress();
	unsigned char *bytes = NULL;
	unsigned long n = 0;
	assert_non_null(tj);
	for (size_t y = 0; y < h; y++)
		for (size_t x = 0; x < w; x++) {
			uint8_t *p = picture + (y * w + x) * 4;
			p[0] = (uint8_t)(x * 2);
			p[1] = (uint8_t)(y * 3);
			p[2] = (uint8_t)(x + y);
		}
	assert_int_equal(tjCompress2(tj, picture, w, 0, h, TJPF_BGRX, &bytes, &n, sampling, 90, flags), 0);
	/* Without the JFIF segment. */
	assert_true(n > 20 && n < sizeof(t.payload) && bytes[3] == 0xe0 && bytes[5] == 16);
	memcpy(t.payload, bytes, 2);
	memcpy(t.payload + 2, bytes + 20, n - 20);
	t.size = n - 18;
	tjFree(bytes);
	tjDestroy(tj);
}

static const struct gr_rect photo = { 30, 20, 83, 61 };

static void make_photo(void)
{
	make_jpeg(photo.w, photo.h, TJSAMP_420, 0);
}

static size_t find_segment(uint8_t marker)
{
	for (size_t at = 2; at + 4 <= t.size;) {
		if (t.payload[at + 1] == marker)
			return at;
		at += 2u + (size_t)(t.payload[at + 2] << 8 | t.payload[at + 3]);
	}
	fail_msg("no segment 0x%x", marker);
	return 0;
}

static void insert(size_t at, const uint8_t *bytes, size_t n)
{
	memmove(t.payload + at + n, t.payload + at, t.size - at);
	memcpy(t.payload + at, bytes, n);
	t.size += n;
}

static void check_photo_refused(const char *why)
{
	clear();
	assert_int_equal(decode(GR_ENCODING_PHOTO, photo), GR_EPROTO);
	assert_string_equal(t.why, why);
	check_guard(photo);
}

static void a_photograph_is_drawn_into_its_rectangle(void **state)
{
	(void)state;
	static const int samplings[] = { TJSAMP_420, TJSAMP_444, TJSAMP_422 };
	for (size_t i = 0; i < 3; i++) {
		clear();
		make_jpeg(photo.w, photo.h, samplings[i], 0);
		assert_int_equal(decode(GR_ENCODING_PHOTO, photo), 0);
		check_guard(photo);
		for (int y = 0; y < photo.h; y++) {
			for (int x = 0; x < photo.w; x++) {
				uint32_t pixel = t.pixels[(photo.y + y) * W + photo.x + x];
				assert_int_equal(pixel >> 24, 0xff);
				assert_true(abs((int)(pixel & 255) - x * 2) < 20);
				assert_true(abs((int)(pixel >> 8 & 255) - y * 3) < 20);
				assert_true(abs((int)(pixel >> 16 & 255) - (x + y)) < 20);
			}
		}
	}
}

static void segments_that_are_not_needed_are_refused(void **state)
{
	(void)state;
	static const uint8_t markers[] = { 0xe0, 0xe1, 0xe2, 0xee, 0xef, 0xfe, 0xdd, 0xcc, 0xdc, 0xd8,
					   0xd0, 0x01, 0xc1, 0xc2, 0xc3, 0xc5, 0xc9, 0xca, 0xf0 };
	for (size_t i = 0; i < sizeof(markers); i++) {
		uint8_t segment[] = { 0xff, markers[i], 0, 4, 0, 0 };
		make_photo();
		insert(2, segment, sizeof(segment));
		check_photo_refused("JPEG: a segment that is not permitted");
		make_photo();
		insert(find_segment(0xda), segment, sizeof(segment));
		check_photo_refused("JPEG: a segment that is not permitted");
	}
}

static void what_is_not_baseline_is_refused(void **state)
{
	(void)state;
	make_jpeg(photo.w, photo.h, TJSAMP_420, TJFLAG_PROGRESSIVE);
	check_photo_refused("JPEG: a segment that is not permitted");
	make_photo();
	t.payload[find_segment(0xc0) + 4] = 12; /* bits */
	check_photo_refused("JPEG: another frame than its rectangle");
	make_jpeg(photo.w, photo.h, TJSAMP_GRAY, 0);
	check_photo_refused("JPEG: another frame than its rectangle");
}

static void another_size_than_the_rectangles_is_refused(void **state)
{
	(void)state;
	static const uint16_t sizes[][2] = { { 82, 61 }, { 84, 61 }, { 83, 60 }, { 83, 62 }, { 61, 83 } };
	for (size_t i = 0; i < 5; i++) {
		make_jpeg(sizes[i][0], sizes[i][1], TJSAMP_420, 0);
		check_photo_refused("JPEG: another frame than its rectangle");
	}
	/* Two frames, the second as large as can be. */
	static const uint8_t frame[] = { 0xff, 0xc0, 0, 17, 8,    0xff, 0xff, 0xff, 0xff, 3,
					 1,    0x22, 0, 2,  0x11, 1,    3,    0x11, 1 };
	make_photo();
	insert(find_segment(0xda), frame, sizeof(frame));
	check_photo_refused("JPEG: another frame than its rectangle");
}

static void bytes_behind_the_end_are_refused(void **state)
{
	(void)state;
	static const char why[] = "JPEG: broken data, or bytes behind its end";
	make_photo();
	t.payload[t.size++] = 0;
	check_photo_refused(why);
	make_photo(); /* another EOI, another picture */
	insert(t.size, (const uint8_t[]){ 0xff, 0xd9 }, 2);
	check_photo_refused(why);
	make_photo();
	insert(t.size - 2, (const uint8_t[]){ 0xff, 0xd0 }, 2); /* a restart that was not agreed upon */
	check_photo_refused(why);
	make_photo();
	t.size -= 1;
	check_photo_refused(why);
	t.size -= 1;
	check_photo_refused(why);
}

static void what_is_cut_short_anywhere_is_refused(void **state)
{
	(void)state;
	make_photo();
	size_t whole = t.size;
	for (size_t n = 0; n < whole; n++) {
		t.size = n;
		assert_int_equal(decode(GR_ENCODING_PHOTO, photo), GR_EPROTO);
		assert_true(!strncmp(t.why, "JPEG: ", 6));
	}
	check_guard((struct gr_rect){ 0 });
}

static void broken_segments_are_refused(void **state)
{
	(void)state;
	make_photo();
	t.payload[1] = 0xd9;
	check_photo_refused("JPEG: no SOI");
	make_photo();
	t.payload[2] = 0xfe;
	check_photo_refused("JPEG: a broken segment");
	make_photo();
	t.payload[4] = 0; /* a length below its own two bytes */
	t.payload[5] = 1;
	check_photo_refused("JPEG: a broken segment");
	make_photo();
	t.payload[4] = 0xff; /* beyond the end */
	check_photo_refused("JPEG: a broken segment");
	make_photo(); /* the frame is missing */
	size_t at = find_segment(0xc0);
	memmove(t.payload + at, t.payload + at + 19, t.size - at - 19);
	t.size -= 19;
	check_photo_refused("JPEG: a scan before the frame");
	make_photo(); /* the tables are missing: libjpeg itself refuses */
	at = find_segment(0xdb);
	memmove(t.payload + at, t.payload + at + 69, t.size - at - 69);
	t.size -= 69;
	check_photo_refused("JPEG: broken");
}

/* For the components that its scan leaves out libjpeg would keep the whole picture in memory, and wait for more scans. */
static void a_scan_of_one_component_is_refused(void **state)
{
	(void)state;
	make_photo();
	size_t at = find_segment(0xda);
	static const uint8_t scan[] = { 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0 };
	assert_int_equal(t.payload[at + 3], 12);
	memmove(t.payload + at + sizeof(scan), t.payload + at + 14, t.size - at - 14);
	memcpy(t.payload + at, scan, sizeof(scan));
	t.size -= 14 - sizeof(scan);
	check_photo_refused("JPEG: a scan of another kind");
	make_photo(); /* only some of the coefficients */
	t.payload[find_segment(0xda) + 12] = 5;
	check_photo_refused("JPEG: a scan of another kind");
}

/* libjpeg warns, and every pixel is set. */
static void data_that_ends_early_leaves_no_pixel_as_it_was(void **state)
{
	(void)state;
	make_photo();
	size_t at = find_segment(0xda) + 14;
	t.size = at + 40;
	t.payload[t.size - 2] = 0xff;
	t.payload[t.size - 1] = 0xd9;
	t.payload[t.size - 3] = 0;
	clear();
	assert_int_equal(decode(GR_ENCODING_PHOTO, photo), 0);
	check_guard(photo);
	for (uint32_t y = photo.y; y < (uint32_t)photo.y + photo.h; y++)
		for (uint32_t x = photo.x; x < (uint32_t)photo.x + photo.w; x++)
			assert_int_equal(t.pixels[y * W + x] >> 24, 0xff);
}

static void damaged_photographs_stay_in_their_rectangle(void **state)
{
	(void)state;
	make_photo();
	static uint8_t good[sizeof(t.payload)];
	size_t whole = t.size;
	memcpy(good, t.payload, whole);
	unsigned drawn = 0;
	for (unsigned i = 0; i < 3000; i++) {
		memcpy(t.payload, good, t.size = whole);
		for (unsigned k = random_below(4) + 1; k > 0; k--)
			t.payload[random_below((uint32_t)whole)] = (uint8_t)random_below(256);
		drawn += decode(GR_ENCODING_PHOTO, photo) == 0;
	}
	check_guard(photo);
	assert_true(drawn > 10 && drawn < 2990);
}

static void a_photograph_that_was_not_asked_for_is_refused(void **state)
{
	(void)state;
	new_decoder(20, 0);
	make_photo();
	check_photo_refused("a photograph that was not asked for");
}

static void another_encoding_is_refused(void **state)
{
	(void)state;
	make_photo();
	assert_int_equal(decode(7, photo), GR_EPROTO);
	assert_string_equal(t.why, "an encoding that is not ours");
	assert_int_equal(decode(GR_ENCODING_HISTORY_SIZE + 20, photo), GR_EPROTO);
	gr_decode_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	allocations_watch();
	const struct CMUnitTest tests[] = {
		TEST(each_malformed_unit_is_refused_for_its_reason),
		TEST(an_empty_unit_draws_nothing),
		TEST(each_token_draws_what_it_says),
		TEST(photographs_are_told_from_their_neighbours),
		TEST(runs_have_the_lengths_that_their_forms_say),
		TEST(random_units_stay_in_their_rectangle),
		TEST(units_come_through_one_stream),
		TEST(a_unit_of_the_largest_size_is_taken_and_one_more_byte_is_not),
		TEST(what_inflates_without_end_is_refused_soon),
		TEST(a_stream_that_ends_is_refused),
		TEST(what_is_no_stream_is_refused),
		TEST(a_malformed_unit_in_a_good_stream_is_refused),
		TEST(a_payload_without_a_unit_is_refused),
		TEST(a_window_larger_than_agreed_is_refused_without_memory),
		TEST(a_photograph_is_drawn_into_its_rectangle),
		TEST(segments_that_are_not_needed_are_refused),
		TEST(what_is_not_baseline_is_refused),
		TEST(another_size_than_the_rectangles_is_refused),
		TEST(bytes_behind_the_end_are_refused),
		TEST(what_is_cut_short_anywhere_is_refused),
		TEST(broken_segments_are_refused),
		TEST(a_scan_of_one_component_is_refused),
		TEST(data_that_ends_early_leaves_no_pixel_as_it_was),
		TEST(damaged_photographs_stay_in_their_rectangle),
		TEST(a_photograph_that_was_not_asked_for_is_refused),
		TEST(another_encoding_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
