/* The guard downstream: what is in the payloads of HISTORY, PHOTO and Tight. */
#include "broker/guard/state.h"
#include "common/decode/decode.h"
#include "tests/unit/guard_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t unit[2 * 131072], jpeg[256 << 10];
static size_t unit_size, jpeg_size;

/* ---- HISTORY ---- */

static void begin_history(void)
{
	unit_size = white_unit(unit, 10, 10, 70, 5);
	begin();
	put_update(&s, 2);
	put_rectangle(&s, 10, 10, 80, 8, GR_ENCODING_HISTORY);
	put_history(&s, unit, unit_size, 1);
	put_rectangle(&s, 10, 10, 80, 8, GR_ENCODING_HISTORY);
}

static void a_history_of_whole_blocks_passes(void **state)
{
	(void)state;
	begin_history();
	put_history(&s, unit, unit_size, 0);
	accepted(0);
	struct verdict v = judge_as(GR_LISTED_TIGHT, 0); /* what it may hold is not this mask's business */
	assert_null(v.rule);
}

static void a_history_whose_frame_is_not_plain_is_refused(void **state)
{
	(void)state;
	static const struct {
		size_t at;
		uint8_t value;
		const char *rule;
	} cases[] = {
		{ 0, 0x29, "HISTORY: no zstd frame at the beginning of the stream" },
		{ 4, 0x04, "HISTORY: a zstd frame with a dictionary, checksum, size or reserved bits" },
		{ 4, 0x01, "HISTORY: a zstd frame with a dictionary, checksum, size or reserved bits" },
		{ 4, 0x20, "HISTORY: a zstd frame with a dictionary, checksum, size or reserved bits" },
		{ 5, 11 << 3, "HISTORY: a larger window than agreed upon" },
		{ 5, 10 << 3 | 1, "HISTORY: a larger window than agreed upon" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_history();
		s.bytes[INIT + 4 + 16 + cases[i].at] = cases[i].value;
		refused(cases[i].rule, INIT + 4);
	}
}

static void blocks_end_where_their_payload_ends(void **state)
{
	(void)state;
	begin_history();
	size_t second = s.n - 12, length = s.n;
	put_history(&s, unit, unit_size, 0);
	s.bytes[length + 3]--; /* the payload is a byte shorter than its block */
	s.n--;
	refused("HISTORY: a block cut short", second);
	begin_history();
	put_history(&s, unit, unit_size, 0);
	s.bytes[length + 4] |= 1;
	refused("HISTORY: the stream ends", second);
	begin_history();
	put_history(&s, unit, unit_size, 0);
	s.bytes[length + 4] |= 6;
	refused("HISTORY: a block that RFC 8878 does not know", second);
	begin_history();
	put_history(&s, unit, unit_size, 0);
	s.bytes[length + 4] = (uint8_t)((s.bytes[length + 4] & ~6) | 4); /* compressed, it says */
	refused("HISTORY: broken compressed data", second);
	begin_history();
	put32(&s, 0);
	refused("a Garasu rectangle whose payload is empty or too long", second);
	begin_history();
	put32(&s, (4 << 20) + 1);
	refused("a Garasu rectangle whose payload is empty or too long", second);
	begin_history();
	put_history(&s, unit, 0, 0);
	refused("HISTORY: an empty unit", second);
	begin_history(); /* no more than a block's header */
	put32(&s, 2);
	put16(&s, 0);
	refused("HISTORY: a block cut short", second);
}

static void put_unit(const char *tokens, size_t n, unsigned w, unsigned h)
{
	begin_history();
	uint8_t *to = unit;
	memcpy(to, "\0\x0a\0\x0a\0\0\0\0", 8);
	to[4] = (uint8_t)(w >> 8);
	to[5] = (uint8_t)w;
	to[7] = (uint8_t)h;
	memcpy(to + 8, tokens, n);
	put_history(&s, unit, 8 + n, 0);
}

static void units_give_exactly_their_pixels(void **state)
{
	(void)state;
	begin_history();
	size_t second = s.n - 12;
	put_unit("\xc0\1\2\3\x41\0\x82\4\5\6", 10, 3, 2); /* one colour, above too soon */
	refused("HISTORY: a first row that refers to the one above", second);
	put_unit("\xc0\1\2\3\1\x82\4\5\6", 9, 3, 2);
	accepted(0);
	put_unit("\xc0\1\2\3\1\x82\4\5\6", 9, 0x8003, 2); /* a photograph */
	accepted(0);
	put_unit("\xc0\1\2\3\1\x82\4\5", 8, 3, 2);
	refused("HISTORY: pixels cut short", second);
	put_unit("\xc0\1\2\3\1\x82\4\5\6\7", 10, 3, 2);
	refused("HISTORY: a piece cut short", second);
	put_unit("\xc0\1\2\3\1", 5, 3, 2);
	refused("HISTORY: a row without its end", second);
	put_unit("\3", 1, 3, 1);
	refused("HISTORY: more pixels than the row has", second);
	put_unit("\x3f\0\0", 3, 70, 1);
	refused("HISTORY: a run of unknown length", second);
	put_unit("\x3d", 1, 70, 1);
	refused("HISTORY: a run of unknown length", second);
	put_unit("\x3d\x08", 2, 70, 1);
	accepted(0);
	put_unit("\x3e\0\0", 3, 70, 1);
	refused("HISTORY: more pixels than the row has", second);
	put_unit("\2", 1, 0, 1);
	refused("HISTORY: a piece outside its rectangle", second);
	put_unit("\2", 1, 81, 1);
	refused("HISTORY: a piece outside its rectangle", second);
	put_unit("\2\2\2\2\2\2\2\2\2", 9, 3, 9);
	refused("HISTORY: a piece outside its rectangle", second);
}

static void a_unit_is_bounded(void **state)
{
	(void)state;
	size_t n = 0, one = white_unit(unit, 10, 10, 1, 1);
	while (n + one <= 131071) {
		white_unit(unit + n, 10, 10, 1, 1);
		n += one;
	}
	uint8_t *copy = malloc(n + one);
	assert_non_null(copy);
	memcpy(copy, unit, n);
	white_unit(copy + n, 10, 10, 1, 1);
	begin_history();
	size_t second = s.n - 12;
	put_history(&s, copy, n, 0);
	accepted(0);
	begin_history(); /* in two blocks of one payload */
	put32(&s, (uint32_t)(6 + n + one));
	const size_t sizes[2] = { 65536, n + one - 65536 };
	for (size_t i = 0, at = 0; i < 2; at += sizes[i++]) {
		put8(&s, sizes[i] << 3 & 255);
		put8(&s, sizes[i] >> 5 & 255);
		put8(&s, sizes[i] >> 13 & 255);
		put(&s, copy + at, sizes[i]);
	}
	refused("HISTORY: a unit too large", second);
	free(copy);
}

/* ---- JPEG ---- */

static void put_photo(unsigned w, unsigned h)
{
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, w, h, GR_ENCODING_PHOTO);
	put32(&s, (uint32_t)jpeg_size);
	put(&s, jpeg, jpeg_size);
}

static void photographs_of_every_size_and_quality_pass(void **state)
{
	(void)state;
	static const unsigned sizes[][2] = { { 1, 1 }, { 16, 16 }, { 17, 33 }, { 200, 100 }, { 199, 1 }, { 1, 99 } };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int quality = 1; quality <= 100; quality += 33) {
			jpeg_size = make_jpeg(jpeg, sizeof(jpeg), sizes[i][0], sizes[i][1], quality);
			put_photo(sizes[i][0], sizes[i][1]);
			accepted(0);
		}
	refused_as(GR_LISTED_GARASU, "PHOTO that was not asked for", INIT + 4);
	put_photo(1, 98);
	refused("JPEG: another size than its rectangle", INIT + 4);
}

/* Where the n-th segment of this marker is. */
static size_t segment(uint8_t marker, unsigned n)
{
	for (size_t at = 2;; at += 2u + ((size_t)jpeg[at + 2] << 8 | jpeg[at + 3])) {
		assert_int_equal(jpeg[at], 0xff);
		if (jpeg[at + 1] == marker && !n--)
			return at;
	}
}

static void insert(size_t at, const void *bytes, size_t n)
{
	memmove(jpeg + at + n, jpeg + at, jpeg_size - at);
	memcpy(jpeg + at, bytes, n);
	jpeg_size += n;
}

static void a_jpeg_has_no_other_segments(void **state)
{
	(void)state;
	static const char *const segments[] = {
		"\xff\xe0\0\4ab",   "\xff\xe1\0\4ab",   "\xff\xee\0\4ab", "\xff\xfe\0\4ab", /* APPn, COM */
		"\xff\xdd\0\4\0\1", "\xff\xdc\0\4\0\1", /* DRI, DNL */
		"\xff\xc2\0\4ab",   "\xff\xc9\0\4ab",   "\xff\xcc\0\4ab", "\xff\xd8\0\4ab",
	};
	for (size_t i = 0; i < sizeof(segments) / sizeof(*segments); i++)
		for (unsigned where = 0; where < 2; where++) {
			jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
			insert(where ? segment(0xda, 0) : 2, segments[i], 6);
			put_photo(40, 30);
			refused("JPEG: a segment that is not permitted", INIT + 4);
		}
}

static void a_jpeg_s_tables_come_once(void **state)
{
	(void)state;
	static const uint8_t markers[] = { 0xdb, 0xc4, 0xc0 };
	static const char *const rules[] = { "JPEG: a quantisation table that is not permitted",
					     "JPEG: a Huffman table that is not permitted",
					     "JPEG: a frame that is not permitted" };
	for (size_t i = 0; i < 3; i++) {
		uint8_t copy[1024];
		jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
		size_t at = segment(markers[i], 0), n = 2u + ((size_t)jpeg[at + 2] << 8 | jpeg[at + 3]);
		memcpy(copy, jpeg + at, n);
		insert(at + n, copy, n);
		put_photo(40, 30);
		refused(rules[i], INIT + 4);
	}
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	jpeg[segment(0xdb, 0) + 4] |= 0x10; /* 16 bits */
	put_photo(40, 30);
	refused("JPEG: a quantisation table that is not permitted", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	jpeg[segment(0xc4, 0) + 5] = 200; /* far too many codes of one bit */
	put_photo(40, 30);
	refused("JPEG: a broken Huffman table", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	jpeg[segment(0xc0, 0) + 11] = 0x11; /* 4:4:4 */
	put_photo(40, 30);
	refused("JPEG: components other than YCbCr 4:2:0", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	jpeg[segment(0xda, 0) + 4] = 1; /* one component a scan */
	put_photo(40, 30);
	refused("JPEG: a scan that is not permitted", INIT + 4);
}

static void a_jpeg_ends_with_its_last_block(void **state)
{
	(void)state;
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	insert(jpeg_size, "x", 1);
	put_photo(40, 30);
	refused("JPEG: no SOI or no EOI", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	insert(jpeg_size - 2, "hidden", 6);
	put_photo(40, 30);
	refused("JPEG: more coded data than the picture has", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	insert(jpeg_size - 2, "\xff\xd9", 2);
	put_photo(40, 30);
	refused("JPEG: a marker in the coded data", INIT + 4);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 80);
	memmove(jpeg + jpeg_size - 12, jpeg + jpeg_size - 2, 2);
	jpeg_size -= 10;
	put_photo(40, 30);
	refused("JPEG: broken coded data", INIT + 4);
}

static void a_jpeg_is_padded_by_ones(void **state)
{
	(void)state;
	unsigned padded = 0;
	for (unsigned w = 1; w < 60; w++) {
		jpeg_size = make_jpeg(jpeg, sizeof(jpeg), w, 20, 80);
		uint8_t *last = jpeg + jpeg_size - 3;
		if (*last == 0 || !(*last & 1)) /* stuffed, or no padding */
			continue;
		*last &= 0xfe; /* a bit of padding, or of a value: then nothing is wrong */
		put_photo(w, 20);
		struct verdict v = judge_as(0, 0);
		if (!v.rule)
			continue;
		padded++;
		if (strcmp(v.rule, "JPEG: coded data that is not padded by ones") != 0)
			assert_string_equal(v.rule, "JPEG: broken coded data");
	}
	assert_in_range(padded, 10, 60);
}

/* ---- Tight ---- */

static void begin_tight(unsigned w, unsigned h)
{
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, w, h, 7);
}

static void put_deflated(void **z, const void *bytes, size_t n)
{
	static uint8_t packed[200000];
	size_t size = deflate_piece(z, bytes, n, packed, sizeof(packed));
	put8(&s, size < 128 ? size : (size & 0x7f) | 0x80);
	if (size >= 128)
		put8(&s, size < 16384 ? size >> 7 : (size >> 7 & 0x7f) | 0x80);
	if (size >= 16384)
		put8(&s, size >> 14);
	put(&s, packed, size);
}

static void tight_gives_exactly_its_pixels(void **state)
{
	(void)state;
	const size_t first = INIT + 4;
	static uint8_t pixels[W * H * 3];
	void *z = NULL;
	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (uint8_t)(i * i >> 7);

	begin_tight(50, 20);
	put(&s, "\x80\1\2\3", 4);
	accepted(0);
	begin_tight(3, 1);
	put(&s, "\0abcdefghi", 10); /* too short to be compressed */
	accepted(0);
	begin_tight(W, H);
	put8(&s, 0);
	put_deflated(&z, pixels, sizeof(pixels));
	accepted(0);
	end_deflate(&z);
	begin_tight(W, H);
	put8(&s, 0x10);
	put_deflated(&z, pixels, sizeof(pixels) - 1);
	refused("Tight: fewer pixels than the rectangle has", first);
	end_deflate(&z);
	begin_tight(W, H - 1);
	put8(&s, 0x20);
	put_deflated(&z, pixels, sizeof(pixels));
	refused("Tight: more data than the rectangle's pixels", first);
	end_deflate(&z);
	begin_tight(W, H);
	put8(&s, 0);
	put_deflated(&z, pixels, sizeof(pixels));
	s.bytes[first + 16 + 40] ^= 0xff;
	struct verdict v = judge_as(0, 0);
	assert_non_null(v.rule);
	end_deflate(&z);

	static const struct {
		const char *bytes;
		size_t n;
		const char *rule;
	} cases[] = {
		{ "\x90\0", 2, "Tight: an empty JPEG" },
		{ "\xa0", 1, "Tight: a kind of compression that is not permitted" }, /* PNG of others */
		{ "\xf0", 1, "Tight: a kind of compression that is not permitted" },
		{ "\x40\2", 2, "Tight: a filter that is not permitted" }, /* gradient: CVE-2026-44988 */
		{ "\x40\1\0", 3, "Tight: a palette of one colour" },
		{ "\0\x80\0", 3, "Tight: a length that is not in its shortest form" },
		{ "\0\x81\x80\0", 4, "Tight: a length that is not in its shortest form" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin_tight(W, H);
		put(&s, cases[i].bytes, cases[i].n);
		put_fill(&s, 0, 32);
		refused(cases[i].rule, first);
	}
}

static void tight_s_palettes_hide_nothing(void **state)
{
	(void)state;
	const size_t first = INIT + 4;
	static uint8_t indices[40 * 30];
	void *z = NULL;
	begin_tight(9, 2);
	put(&s, "\x40\1\1\0\0\0\xff\xff\xff\xff\x80\0\x80", 13);
	accepted(0);
	s.bytes[s.n - 1] |= 1;
	refused("Tight: bits beside the pixels", first);
	for (unsigned last = 2; last < 4; last++) {
		begin_tight(40, 30);
		put(&s, "\x60\1\2\0\0\0\1\1\1\2\2\2", 12);
		indices[sizeof(indices) - 1] = (uint8_t)last;
		put_deflated(&z, indices, sizeof(indices));
		end_deflate(&z);
		if (last < 3)
			accepted(0);
		else
			refused("Tight: a colour that the palette does not have", first);
	}
	begin_tight(40, 30);
	put8(&s, 0x90);
	jpeg_size = make_jpeg(jpeg, sizeof(jpeg), 40, 30, 50);
	put8(&s, (jpeg_size & 0x7f) | 0x80);
	put8(&s, jpeg_size >> 7);
	put(&s, jpeg, jpeg_size);
	accepted(0);
	refused_as(GR_LISTED_TIGHT, "Tight: a JPEG that was not asked for", first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_history_of_whole_blocks_passes),
		cmocka_unit_test(a_history_whose_frame_is_not_plain_is_refused),
		cmocka_unit_test(blocks_end_where_their_payload_ends),
		cmocka_unit_test(units_give_exactly_their_pixels),
		cmocka_unit_test(a_unit_is_bounded),
		cmocka_unit_test(photographs_of_every_size_and_quality_pass),
		cmocka_unit_test(a_jpeg_has_no_other_segments),
		cmocka_unit_test(a_jpeg_s_tables_come_once),
		cmocka_unit_test(a_jpeg_ends_with_its_last_block),
		cmocka_unit_test(a_jpeg_is_padded_by_ones),
		cmocka_unit_test(tight_gives_exactly_its_pixels),
		cmocka_unit_test(tight_s_palettes_hide_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
