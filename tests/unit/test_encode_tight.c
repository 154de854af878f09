/* The Tight encoder against the viewer's decoder. */
#include "broker/encode/tight.h"
#include "common/error.h"
#include "viewer/tight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

enum { WIDTH = 8192, HEIGHT = 300, UNTOUCHED = 0x00123456 };

static struct {
	struct gr_tight_encoder *encoder;
	struct gr_tight *decoder;
	struct gr_reader reader;
	const uint8_t *in;
	size_t in_size;
	uint32_t source[(size_t)WIDTH * HEIGHT], shown[(size_t)WIDTH * HEIGHT];
	uint8_t covered[(size_t)WIDTH * HEIGHT];
	uint32_t seed;
	unsigned fills, jpegs, palettes, monos, pixels; /* of the last rectangle */
} t;

static uint32_t random_number(void)
{
	t.seed ^= t.seed << 13;
	t.seed ^= t.seed >> 17;
	t.seed ^= t.seed << 5;
	return t.seed;
}

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	(void)context;
	if (!t.in_size)
		return GR_ECLOSED;
	size_t n = t.in_size < room ? t.in_size : room;
	memcpy(into, t.in, n);
	t.in += n;
	t.in_size -= n;
	*got = n;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.seed = 88172645u;
	t.encoder = gr_tight_encoder_create();
	t.decoder = gr_tight_create(0);
	assert_non_null(t.encoder);
	assert_non_null(t.decoder);
	assert_int_equal(gr_reader_init(&t.reader, refill, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gr_tight_encoder_destroy(t.encoder);
	gr_tight_destroy(t.decoder);
	gr_reader_finish(&t.reader);
	return 0;
}

static void count_kind(const uint8_t *control)
{
	if (*control == 0x80)
		t.fills++;
	else if (*control == 0x90)
		t.jpegs++;
	else if (!(*control & 0x40))
		t.pixels++;
	else if (control[2] == 1)
		t.monos++;
	else
		t.palettes++;
}

/* Encodes, decodes and compares; returns the bytes. */
static size_t round_trip(struct gr_rect rect)
{
	size_t bound = gr_tight_encoder_bound(rect.w, rect.h);
	uint8_t *out = malloc(bound); /* so that AddressSanitizer sees what goes beyond */
	assert_non_null(out);
	unsigned rects = 5;
	ptrdiff_t n = gr_tight_encoder_write(t.encoder, t.source, WIDTH, rect, out, &rects);
	assert_true(n > 0 && (size_t)n <= bound);
	assert_true(rects > 5);
	t.in = out;
	t.in_size = (size_t)n;
	t.fills = t.jpegs = t.palettes = t.monos = t.pixels = 0;
	for (size_t y = 0; y < rect.h; y++)
		for (size_t x = 0; x < rect.w; x++)
			t.shown[(rect.y + y) * WIDTH + rect.x + x] = UNTOUCHED;
	for (rects -= 5; rects; rects--) {
		struct gr_rect r;
		r.x = gr_reader_u16(&t.reader);
		r.y = gr_reader_u16(&t.reader);
		r.w = gr_reader_u16(&t.reader);
		r.h = gr_reader_u16(&t.reader);
		assert_int_equal(gr_reader_u32(&t.reader), 7);
		assert_true(r.w && r.h && r.x >= rect.x && r.y >= rect.y);
		assert_true(r.x + r.w <= rect.x + rect.w && r.y + r.h <= rect.y + rect.h);
		if (!gr_reader_wait(&t.reader) && t.reader.end - t.reader.begin >= 3)
			count_kind(t.reader.buffer + t.reader.begin);
		assert_true(r.w <= 2048 || t.fills);
		for (size_t y = r.y; y < (size_t)r.y + r.h; y++)
			for (size_t x = r.x; x < (size_t)r.x + r.w; x++)
				assert_int_equal(t.covered[y * WIDTH + x]++, 0);
		const char *why = "";
		int status = gr_tight_decode(t.decoder, &t.reader, t.shown, WIDTH, r, &why);
		if (status)
			fail_msg("%s (%s)", why, gr_status_text(status));
	}
	assert_true(t.in_size == 0 && t.reader.begin == t.reader.end);
	for (size_t y = 0; y < rect.h; y++)
		for (size_t x = 0; x < rect.w; x++) {
			size_t at = (rect.y + y) * WIDTH + rect.x + x;
			assert_int_equal(t.covered[at], 1);
			t.covered[at] = 0;
			assert_int_equal(t.shown[at] & 0xffffff, t.source[at] & 0xffffff);
		}
	free(out);
	return (size_t)n;
}

enum kind { NOISE, FEW, TWO, GRADIENT, TEXT, LINES, BOXES, SPOTS, ROWS, STRIPES, EQUAL, KINDS };

static uint32_t colour_of(enum kind kind, uint32_t x, uint32_t y, uint32_t first, unsigned colours)
{
	switch (kind) {
	case NOISE: return random_number();
	case FEW: return first + random_number() % colours * 0x030507;
	case TWO: return random_number() & 1 ? first : ~first;
	case GRADIENT: return (x & 0xff) << 16 | (y & 0xff) << 8 | ((x + y) & 0xff);
	case TEXT: return x % 11 < 4 && y % 23 < 14 ? random_number() % 200 * 0x010101 : 0xffffff;
	case LINES: return y % 33 == 0 ? 0x808080 + first % 64 : first;
	case BOXES: return first + (x / 61 + y / 47 * 5) * 0x010203;
	case SPOTS: return random_number() % 2000 ? first : random_number();
	case ROWS: { /* each has its own number of colours, some are equal */
		static const uint32_t counts[] = { 1, 1, 1, 2, 3, 200, 255, 256, 257, 500 };
		uint32_t row = first ^ y / (1 + first % 3) * 0x9e3779b1;
		return (row >> 8) + x % counts[row % 10] * 0x010203;
	}
	case STRIPES: return y % 18 && x % 40 ? first : random_number(); /* a row of noise, and fills just worth it */
	case EQUAL:
	case KINDS: break;
	}
	return first;
}

/* X holds anything, and is not sent. */
static void paint(struct gr_rect rect, enum kind kind)
{
	uint32_t first = random_number() & 0xffffff;
	unsigned colours = 1 + random_number() % (random_number() % 4 ? 255 : 600);
	for (uint32_t y = rect.y; y < (uint32_t)rect.y + rect.h; y++)
		for (uint32_t x = rect.x; x < (uint32_t)rect.x + rect.w; x++)
			t.source[(size_t)y * WIDTH + x] = (colour_of(kind, x, y, first, colours) & 0xffffff) |
							  random_number() << 24;
}

static void small_rectangles_of_every_size_are_exact(void **state)
{
	(void)state;
	for (uint16_t h = 1; h <= 20; h++)
		for (uint16_t w = 1; w <= 20; w++)
			for (unsigned kind = 0; kind < KINDS; kind++) {
				struct gr_rect rect = { (uint16_t)(w * 3), (uint16_t)(h * 2), w, h };
				paint(rect, kind);
				round_trip(rect);
			}
}

/* One row of a colour, then more colours than a palette has: the row must not become a palette of one. */
static void a_row_of_one_colour_above_noise_is_exact(void **state)
{
	(void)state;
	for (uint16_t rows = 1; rows < 20; rows++) {
		struct gr_rect rect = { 0, 0, 700, (uint16_t)(rows + 3) };
		paint(rect, NOISE);
		struct gr_rect top = { 0, 0, 700, rows };
		paint(top, EQUAL);
		round_trip(rect);
	}
}

static void many_rectangles_through_the_same_streams_are_exact(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		struct gr_rect rect;
		rect.w = (uint16_t)(1 + random_number() % (i % 20 ? 150 : 1500));
		rect.h = (uint16_t)(1 + random_number() % (i % 7 ? 60 : HEIGHT));
		rect.x = (uint16_t)(random_number() % (uint32_t)(2000 - rect.w));
		rect.y = (uint16_t)(random_number() % (uint32_t)(HEIGHT - rect.h + 1));
		paint(rect, random_number() % KINDS);
		if (random_number() % 2) { /* another kind in a part of it */
			struct gr_rect part = rect;
			part.w = (uint16_t)(1 + random_number() % rect.w);
			part.h = (uint16_t)(1 + random_number() % rect.h);
			paint(part, random_number() % KINDS);
		}
		round_trip(rect);
	}
}

static void the_widest_screen_is_exact(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct gr_rect rect = { 0, 0, WIDTH, kind == NOISE || kind == EQUAL ? HEIGHT : 40 };
		paint(rect, kind);
		round_trip(rect);
		rect = (struct gr_rect){ 0, 7, WIDTH, 1 };
		round_trip(rect);
		rect = (struct gr_rect){ WIDTH - 1, 0, 1, HEIGHT };
		paint(rect, kind);
		round_trip(rect);
	}
}

static void equal_pixels_are_a_few_bytes(void **state)
{
	(void)state;
	struct gr_rect rect = { 0, 0, 1920, HEIGHT };
	paint(rect, EQUAL);
	assert_true(round_trip(rect) <= 16);
	assert_int_equal(t.fills, 1);
	rect = (struct gr_rect){ 5, 5, 1, 1 };
	assert_int_equal(round_trip(rect), 16);
}

static void two_colours_are_one_bit_a_pixel(void **state)
{
	(void)state;
	struct gr_rect rect = { 0, 0, 256, 64 };
	paint(rect, TWO);
	size_t n = round_trip(rect);
	assert_true(n <= 12 + 3 + 6 + 3 + 256 * 64 / 8 + 16);
	assert_int_equal(t.monos, 1);
	/* 11 bytes are not compressed, 12 are. */
	rect = (struct gr_rect){ 0, 100, 8, 11 };
	paint(rect, TWO);
	assert_int_equal(round_trip(rect), 12 + 3 + 6 + 11);
	rect.h = 12;
	paint(rect, TWO);
	assert_true(round_trip(rect) > 12 + 3 + 6 + 12);
}

static void the_256th_colour_is_in_the_palette_and_the_257th_is_not(void **state)
{
	(void)state;
	struct gr_rect rect = { 0, 0, 60, 14 };
	for (uint32_t colours = 255; colours <= 257; colours++) {
		for (uint32_t i = 0; i < 60 * 14; i++)
			t.source[i / 60 * WIDTH + i % 60] = i % colours * 0x010305;
		round_trip(rect);
		assert_int_equal(t.palettes, colours <= 256);
		assert_int_equal(t.pixels, colours > 256);
	}
}

static void palettes_that_cost_more_than_pixels_are_not_sent(void **state)
{
	(void)state;
	struct gr_rect rect = { 0, 0, 10, 10 };
	paint(rect, NOISE);
	round_trip(rect);
	assert_int_equal(t.palettes, 0);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
	(void)state;
	struct gr_rect rect = { 3, 2, 900, 200 };
	size_t bound = gr_tight_encoder_bound(rect.w, rect.h);
	uint8_t *out[2] = { malloc(bound), malloc(bound) };
	ptrdiff_t n[2] = { 0, 0 };
	for (unsigned i = 0; i < 2; i++) {
		struct gr_tight_encoder *encoder = gr_tight_encoder_create();
		assert_non_null(encoder);
		assert_non_null(out[i]);
		t.seed = 88172645u;
		for (unsigned k = 0; k < 20; k++) {
			unsigned rects = 0;
			paint(rect, k % KINDS);
			n[i] = gr_tight_encoder_write(encoder, t.source, WIDTH, rect, out[i], &rects);
		}
		gr_tight_encoder_destroy(encoder);
	}
	assert_int_equal(n[0], n[1]);
	assert_memory_equal(out[0], out[1], (size_t)n[0]);
	free(out[0]);
	free(out[1]);
}

static void jpeg_headers_have_compact_lengths(void **state)
{
	(void)state;
	static const struct {
		size_t length, bytes;
		uint8_t compact[3];
	} cases[] = {
		{ 1, 14, { 1 } },
		{ 127, 14, { 127 } },
		{ 128, 15, { 0x80, 1 } },
		{ 10000, 15, { 0x90, 0x4e } }, /* the specification's own example */
		{ 16383, 15, { 0xff, 0x7f } },
		{ 16384, 16, { 0x80, 0x80, 1 } },
		{ (4u << 20) - 1, 16, { 0xff, 0xff, 0xff } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		static const uint8_t header[13] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 7, 0x90 };
		uint8_t out[16];
		struct gr_rect rect = { 0x0102, 0x0304, 0x0506, 0x0708 };
		assert_int_equal(gr_tight_encoder_jpeg_header(rect, cases[i].length, out), cases[i].bytes);
		assert_memory_equal(out, header, 13);
		assert_memory_equal(out + 13, cases[i].compact, cases[i].bytes - 13);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_rectangles_of_every_size_are_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_of_one_colour_above_noise_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(many_rectangles_through_the_same_streams_are_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(the_widest_screen_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_pixels_are_a_few_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(two_colours_are_one_bit_a_pixel, setup, teardown),
		cmocka_unit_test_setup_teardown(the_256th_colour_is_in_the_palette_and_the_257th_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(palettes_that_cost_more_than_pixels_are_not_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_input_gives_the_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(jpeg_headers_have_compact_lengths, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
