#include "broker/encode/encode.h"
#include "broker/guard/guard.h"
#include "broker/guard/state.h"
#include "common/decode/decode.h"
#include "common/error.h"
#include "tests/unit/encode_viewer.h"
#include "tests/unit/guard_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { W = 200, H = 100, INIT = 30 };

static const struct gr_guard_settings settings = { 400, 300, 20, true, 0 };
static struct stream s, good;
static uint8_t unit[2 * 131072], jpeg[256 << 10];
static size_t unit_size, jpeg_size;

/* A stream that has begun. */
static void begin(void)
{
	s.n = 0;
	put_init(&s, W, H);
}

static struct verdict judge_as(uint32_t listed, size_t chunk)
{
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	gr_guard_assume_viewer(guard, true);
	if (listed)
		guard->listed = listed;
	struct verdict v = send_down(guard, &s, chunk);
	assert_true(v.faithful);
	assert_int_equal(v.status, v.rule ? GR_EPROTO : 0);
	if (v.rule) { /* nothing is taken any more */
		size_t room;
		assert_null(gr_guard_down_room(guard, &room));
		assert_true(v.offset == v.passed);
	}
	gr_guard_destroy(guard);
	return v;
}

static void accepted(uint32_t listed)
{
	static const size_t chunks[] = { 0, 1, 7, 4096 };
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		struct verdict v = judge_as(listed, chunks[i]);
		if (v.rule)
			fail_msg("refused at %u: %s", (unsigned)v.offset, v.rule);
		assert_int_equal(v.passed, s.n);
	}
}

/* Refused for this rule, and of what is behind `passed` bytes not one was let through. */
static void refused_as(uint32_t listed, const char *rule, size_t passed)
{
	static const size_t chunks[] = { 0, 1, 4096 };
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		struct verdict v = judge_as(listed, chunks[i]);
		if (!v.rule)
			fail_msg("let through, and not refused as: %s", rule);
		assert_string_equal(v.rule, rule);
		assert_int_equal(v.passed, passed);
	}
}

static void refused(const char *rule, size_t passed)
{
	refused_as(0, rule, passed);
}

/* ---- the beginning, messages ---- */

static void server_init_is_exactly_ours(void **state)
{
	(void)state;
	begin();
	accepted(0);
	for (size_t i = 4; i < INIT; i++) {
		begin();
		s.bytes[i] ^= 0x20;
		refused("ServerInit: another pixel format or name", 0);
	}
	static const unsigned sizes[][2] = { { 0, 10 }, { 10, 0 }, { 401, 10 }, { 10, 301 }, { 65535, 65535 } };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		s.n = 0;
		put_init(&s, sizes[i][0], sizes[i][1]);
		refused("ServerInit: a screen size outside the limits", 0);
	}
}

static void only_messages_of_the_grammar_pass(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		if (type == 0 || type == 71 || type == 150 || type == 248)
			continue;
		begin(); /* Bell is 2, ServerCutText 3, SetColourMapEntries 1 */
		put8(&s, type);
		put_fill(&s, 0, 40);
		refused("a message that is not in the grammar", INIT);
	}
	begin();
	put8(&s, 0);
	put8(&s, 1);
	put16(&s, 0);
	refused("FramebufferUpdate: a padding that is not 0", INIT);
}

static void records_are_of_known_kinds_and_values(void **state)
{
	(void)state;
	static const struct {
		uint8_t bytes[12];
		size_t n;
		const char *rule;
	} records[] = {
		{ { 71, 2, 0, 1, 0, 190, 0, 90, 0, 10, 0, 10 }, 12, NULL },
		{ { 71, 2 }, 12, NULL },
		{ { 71, 3, 0, 1, 1, 2, 3, 4 }, 8, NULL },
		{ { 71, 1, 0, 14 }, 8, NULL },
		{ { 71, 2, 0, 1, 0, 190, 0, 90, 0, 11, 0, 10 }, 12, "CARET: outside the screen" },
		{ { 71, 2, 0, 0, 0, 1 }, 12, "CARET: outside the screen" },
		{ { 71, 2, 0, 2 }, 12, "CARET: outside the screen" },
		{ { 71, 3, 0, 2, 1, 2, 3, 4 }, 8, "TEXT_RESULT: an unknown result" },
		{ { 71, 1, 0, 15 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 1, 0, 0 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 1, 0, 6, 0, 0, 0, 1 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 4 }, 8, "an unknown Garasu record" },
		{ { 71, 0 }, 8, "an unknown Garasu record" },
	};
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
		begin();
		put(&s, records[i].bytes, records[i].n);
		if (records[i].rule)
			refused(records[i].rule, INIT);
		else
			accepted(0);
		refused_as(GR_LISTED_TIGHT, "a Garasu record that was not asked for", INIT);
	}
	begin();
	put(&s, (uint8_t[]){ 71, 1, 0, 6, 0, 0, 0, 0, 150 }, 9);
	refused("bytes behind NOTICE, which is the last message", INIT + 8);
}

static void put_fence(uint32_t flags, const void *payload, unsigned n)
{
	put32(&s, 248u << 24);
	put32(&s, flags);
	put8(&s, n);
	put(&s, payload, n);
}

static void fences_count_up_and_answers_are_the_viewer_s_own(void **state)
{
	(void)state;
	begin();
	put_fence(0x80000001, "\0\0\0\7", 4);
	put_fence(0x80000001, "\0\0\0\10", 4);
	accepted(0);
	refused_as(GR_LISTED_TIGHT, "ServerFence that was not asked for", INIT);
	put_fence(0x80000001, "\0\0\0\10", 4);
	refused("ServerFence: a number that does not count up", INIT + 26);
	begin();
	put_fence(0x80000001, "12345", 5);
	refused("ServerFence: a number that does not count up", INIT);
	begin();
	put_fence(0x80000003, "1234", 4);
	refused("ServerFence: a number that does not count up", INIT);
	begin();
	put_fence(0x80000001, "\0\0\0\7", 4);
	s.bytes[INIT + 2] = 1;
	refused("ServerFence: a padding that is not 0, or too long", INIT);
	begin();
	put_fence(1, "1234", 4);
	refused("ServerFence: an answer to what the viewer did not send", INIT);

	/* Two fences of the viewer's are answered in their order. */
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	guard->listed |= GR_LISTED_FENCE;
	guard->fences[GR_GUARD_FENCES_MAX - 1] = (struct gr_guard_fence){ 1, 3, "abc" };
	guard->fences[0] = (struct gr_guard_fence){ 4, 0, "" };
	guard->fence_first = GR_GUARD_FENCES_MAX - 1;
	guard->fence_count = 2;
	begin();
	put_fence(1, "abc", 3);
	put_fence(4, "", 0);
	struct verdict v = send_down(guard, &s, 0);
	assert_null(v.rule);
	assert_int_equal(guard->fence_count, 0);
	s.n = 0;
	put_fence(4, "", 0);
	v = send_down(guard, &s, 0);
	assert_string_equal(v.rule, "ServerFence: an answer to what the viewer did not send");
	gr_guard_destroy(guard);
}

static void the_end_of_continuous_updates_comes_when_it_is_due(void **state)
{
	(void)state;
	begin();
	put8(&s, 150);
	accepted(0);
	put8(&s, 150);
	refused("EndOfContinuousUpdates that is not due", INIT + 1);
}

static void a_new_pixel_format_counts_from_the_end_that_it_belongs_to(void **state)
{
	(void)state;
	static const uint8_t sixteen[16] = { 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	guard->next_format = gr_guard_format_of(sixteen);
	guard->next_format_from = 2;
	guard->ends_due = 2;
	begin();
	put8(&s, 150);
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 2, 1, 0);
	put(&s, "\1\2\3\0\1\2\3\0", 8);
	put8(&s, 150);
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 2, 1, 0);
	put(&s, "\1\2\3\4", 4);
	put8(&s, 150); /* a third one */
	struct verdict v = send_down(guard, &s, 5);
	assert_string_equal(v.rule, "EndOfContinuousUpdates that is not due");
	assert_int_equal(v.passed, s.n - 1);
	gr_guard_destroy(guard);
}

static void pixel_formats_say_which_bits_are_seen(void **state)
{
	(void)state;
	static const struct {
		uint8_t format[16];
		struct gr_guard_format wanted;
	} formats[] = {
		{ { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 }, { 4, { 255, 255, 255, 0 }, true } },
		{ { 32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 }, { 4, { 0, 255, 255, 255 }, true } },
		{ { 32, 32, 0, 1, 0, 255, 0, 255, 0, 255, 24, 16, 8 }, { 4, { 0, 255, 255, 255 }, false } },
		{ { 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 }, { 2, { 255, 255 }, false } },
		{ { 16, 15, 1, 1, 0, 31, 0, 31, 0, 31, 10, 5, 0 }, { 2, { 127, 255 }, false } },
		{ { 8, 6, 0, 1, 0, 3, 0, 3, 0, 3, 4, 2, 0 }, { 1, { 63 }, false } },
	};
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct gr_guard_format got = gr_guard_format_of(formats[i].format);
		assert_int_equal(got.bytes, formats[i].wanted.bytes);
		assert_memory_equal(got.used, formats[i].wanted.used, 4);
		assert_int_equal(got.tight, formats[i].wanted.tight);
	}
}

/* ---- pseudo-rectangles ---- */

static void the_pointer_s_image_is_small_and_has_no_hidden_bits(void **state)
{
	(void)state;
	begin();
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 0, 0, -239);
	put_rectangle(&s, 8, 1, 9, 2, -239);
	for (unsigned i = 0; i < 18; i++)
		put32(&s, 0xffffff00);
	put(&s, "\xff\x80\0\x80", 4);
	size_t end = s.n;
	accepted(0);
	s.bytes[end - 1] |= 1;
	refused("Cursor: bits beside the mask", INIT + 4 + 12);
	s.bytes[end - 1] = 0x80;
	s.bytes[end - 5] = 1;
	refused("Cursor: bits beside the colours", INIT + 4 + 12);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 65, 1, -239);
	refused("Cursor: larger than 64 by 64", INIT + 4);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 3, 0, 3, 1, -239);
	refused("Cursor: a hot spot outside of it", INIT + 4);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 3, 0, 0, 1, -239);
	refused("Cursor: an empty one that is not 0 by 0 at 0, 0", INIT + 4);
	refused_as(GR_LISTED_TIGHT, "Cursor that was not asked for", INIT + 4);
}

static void put_extended(unsigned reason, unsigned status, unsigned w, unsigned h)
{
	put_rectangle(&s, reason, status, w, h, -308);
	put32(&s, 0x01000000);
	put32(&s, 1);
	put32(&s, 0);
	put16(&s, w);
	put16(&s, h);
	put32(&s, 0);
}

static void the_screen_s_size_stays_within_the_limits(void **state)
{
	(void)state;
	begin();
	put_update(&s, 2);
	put_extended(1, 0, 400, 300);
	put_rectangle(&s, 0, 0, 400, 300, 1);
	put32(&s, 0);
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 64, 64, -223);
	put_rectangle(&s, 0, 0, 65, 1, 1);
	put32(&s, 0);
	refused("a rectangle that is empty or outside the screen", s.n - 16);
	begin();
	put_update(&s, 1);
	put_extended(0, 0, 401, 300);
	refused("ExtendedDesktopSize: a size outside the limits", INIT + 4);
	for (size_t i = 12; i < 32; i++) {
		begin();
		put_update(&s, 1);
		put_extended(0, 0, 300, 200);
		s.bytes[INIT + 4 + i] ^= 4;
		refused("ExtendedDesktopSize: other than one screen", INIT + 4);
	}
	begin();
	put_update(&s, 1);
	put_extended(3, 0, 300, 200);
	refused("ExtendedDesktopSize: an unknown reason or status", INIT + 4);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 300, 301, -223);
	refused("DesktopSize: a size outside the limits", INIT + 4);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 1, 0, 300, 300, -223);
	refused("DesktopSize: a size outside the limits", INIT + 4);
}

static void an_open_update_ends_with_last_rect_and_no_other_does(void **state)
{
	(void)state;
	begin();
	put_update(&s, 65535);
	put_rectangle(&s, 0, 0, 0, 0, -258);
	put_rectangle(&s, 0, 0, 0, 0, -224);
	put_update(&s, 0);
	accepted(0);
	begin();
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 0, 0, -224);
	refused("LastRect where there is none", INIT + 4);
	begin();
	put_update(&s, 65535);
	put_rectangle(&s, 0, 1, 0, 0, -224);
	refused("LastRect where there is none", INIT + 4);
}

/* ---- pixels ---- */

static void rectangles_lie_inside_the_screen(void **state)
{
	(void)state;
	static const unsigned places[][4] = {
		{ 0, 0, W + 1, 1 },
		{ 0, 0, 1, H + 1 },
		{ W, 0, 1, 1 },
		{ 0, H, 1, 1 },
		{ 0, 0, 0, 1 },
		{ 0, 0, 1, 0 },
		{ 65535, 65535, 65535, 65535 },
		{ 1, 0, W, 1 },
		{ 0, 1, 1, H },
	};
	static const int32_t encodings[] = { 0, 1, 5, 7, GR_ENCODING_HISTORY, GR_ENCODING_PHOTO };
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (size_t k = 0; k < sizeof(encodings) / sizeof(*encodings); k++) {
			begin();
			put_update(&s, 1);
			put_rectangle(&s, places[i][0], places[i][1], places[i][2], places[i][3], encodings[k]);
			put_fill(&s, 0, 16);
			refused("a rectangle that is empty or outside the screen", INIT + 4);
		}
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 10, 10, 100, 50, 1);
	put16(&s, 101);
	put16(&s, 0);
	refused("CopyRect: from outside the screen", INIT + 4);
}

static void encodings_that_were_not_asked_for_are_refused(void **state)
{
	(void)state;
	static const struct {
		int32_t encoding;
		const char *rule;
	} cases[] = {
		{ 0, "Raw that was not asked for" },
		{ 1, "CopyRect that was not asked for" },
		{ 5, "Hextile that was not asked for" },
		{ 7, "Tight that was not asked for" },
		{ 2, "an encoding that is not in the grammar" }, /* RRE */
		{ 6, "an encoding that is not in the grammar" }, /* zlib */
		{ 9, "an encoding that is not in the grammar" }, /* UltraZip */
		{ 16, "an encoding that is not in the grammar" }, /* ZRLE */
		{ -240, "an encoding that is not in the grammar" }, /* XCursor */
		{ -307, "an encoding that is not in the grammar" }, /* DesktopName: a string */
		{ (int32_t)0xc0a1e5ce, "an encoding that is not in the grammar" }, /* extended clipboard */
		{ -258, "an acknowledgement of QEMU's key events that was not asked for" },
		{ -308, "ExtendedDesktopSize that was not asked for" },
		{ -223, "DesktopSize that was not asked for" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin();
		put_update(&s, 1);
		put_rectangle(&s, 0, 0, 10, 10, cases[i].encoding);
		put_fill(&s, 0, 64);
		refused_as(GR_LISTED_CURSOR, cases[i].rule, INIT + 4);
	}
}

static void raw_pixels_come_whole_and_without_hidden_bits(void **state)
{
	(void)state;
	begin();
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 3, 2, 0);
	for (unsigned i = 0; i < 6; i++)
		put32(&s, 0x10203000);
	put_rectangle(&s, 0, 0, 0, 0, -239);
	accepted(GR_LISTED_RAW | GR_LISTED_CURSOR);
	s.bytes[INIT + 4 + 12 + 11] = 0x80;
	struct verdict v = judge_as(GR_LISTED_RAW, 1);
	assert_string_equal(v.rule, "Raw: bits beside the colours");
	assert_int_equal(v.passed, INIT + 4 + 12 + 8);
}

/* One rectangle of 17 by 1: two tiles. */
static void put_tiles(const char *tiles, size_t n)
{
	begin();
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 17, 1, 5);
	put(&s, tiles, n);
	put_rectangle(&s, 0, 0, 0, 0, -239);
}

static void hextile_s_tiles_have_their_colours_and_stay_inside(void **state)
{
	(void)state;
	const uint32_t listed = GR_LISTED_HEXTILE | GR_LISTED_CURSOR;
	const size_t first = INIT + 4 + 12;
	put_tiles("\2\1\2\3\0\0", 6);
	accepted(listed);
	put_tiles("\16\1\2\3\0\4\5\6\0\1\x10\xe0\1\1\2\3\0", 17); /* a subrectangle, then raw */
	accepted(listed);
	put_tiles("\32\1\2\3\0\1\4\5\6\0\x10\xe0\0", 13); /* a coloured one */
	accepted(listed);
	put_tiles("\0", 1);
	refused_as(listed, "Hextile: a tile without its colours", first);
	put_tiles("\12\1\2\3\0\1\x10\xe0\0", 9);
	refused_as(listed, "Hextile: a tile without its colours", first);
	put_tiles("\16\1\2\3\0\4\5\6\0\1\x10\xf0\0", 13);
	refused_as(listed, "Hextile: a subrectangle outside its tile", first);
	put_tiles("\16\1\2\3\0\4\5\6\0\1\x11\0\0", 13);
	refused_as(listed, "Hextile: a subrectangle outside its tile", first);
	put_tiles("\3\1\2\3\0\0", 6);
	refused_as(listed, "Hextile: a tile of an unknown kind", first);
	put_tiles("\40\1\2\3\0\0", 6);
	refused_as(listed, "Hextile: a tile of an unknown kind", first);
	put_tiles("\2\1\2\3\4\0", 6);
	refused_as(listed, "Hextile: bits beside the colours", first);
	/* After raw no background is known. */
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 1, 17, 5);
	put(&s, "\1", 1);
	for (unsigned i = 0; i < 16; i++)
		put32(&s, 0x01020300);
	put8(&s, 0);
	refused_as(listed, "Hextile: a tile without its colours", s.n - 1);
}

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

/* ---- what our encoder writes ---- */

static void record(struct gr_encoder *e, enum gr_encode_form form, enum picture picture, int photos)
{
	static uint32_t source[W * H];
	static uint8_t out[GR_ENCODE_OUT_MIN];
	struct gr_encode_settings wanted = { .form = form,
					     .copy_rect = 1,
					     .history_log2 = 20,
					     .photo_quality = photos ? 80 : 0,
					     .video_quality = 50,
					     .refine_after_ms = 100 };
	struct gr_rect all = { 0, 0, W, H };
	assert_int_equal(gr_encoder_start(e, &wanted), 0);
	begin();
	for (unsigned frame = 0; frame < 7; frame++) {
		uint64_t now = 1000 + frame * 60;
		unsigned rects;
		picture_draw(source, W, (struct gr_rect){ 8, 5, 150, 80 }, picture, frame / 3, 300, 300 + frame * 9);
		gr_encoder_take(e, (const uint8_t *)source, W * sizeof(uint32_t), &all, 1, now);
		while (gr_encoder_pending(e, now)) {
			ptrdiff_t n = gr_encoder_write(e, now, out, sizeof(out), &rects);
			assert_true(n > 0);
			put_update(&s, rects);
			put(&s, out, (size_t)n);
		}
	}
}

static void what_our_encoder_writes_passes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * PICTURES; i++) {
		struct gr_encoder *e = gr_encoder_create(W, H);
		assert_non_null(e);
		record(e, i & 1 ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU, i / 4, i & 2);
		gr_encoder_destroy(e);
		accepted(0);
	}
}

/* Whatever bit is turned over, the stream is let through or refused, and what was let through is what came. */
static void a_stream_with_a_wrong_bit_breaks_nothing(void **state)
{
	(void)state;
	struct gr_encoder *e = gr_encoder_create(W, H);
	assert_non_null(e);
	unsigned refusals = 0, tried = 0;
	for (unsigned i = 0; i < 2; i++) {
		record(e, i ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU, PICTURE_PHOTO, 1);
		memcpy(&good, &s, sizeof(s.n) + s.n);
		for (size_t at = 0; at < good.n; at += 1 + at / 40, tried++) {
			s.bytes[at] ^= (uint8_t)(1u << at % 8);
			refusals += judge_as(0, 0).rule != NULL;
			s.bytes[at] = good.bytes[at];
		}
	}
	gr_encoder_destroy(e);
	assert_in_range(refusals, tried / 5, tried); /* the others change a pixel */
}

static void memory_goes_back_behind_a_large_element(void **state)
{
	(void)state;
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	gr_guard_assume_viewer(guard, true);
	begin();
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 10, 10, GR_ENCODING_PHOTO);
	put32(&s, 4 << 20);
	struct verdict v = send_down(guard, &s, 0);
	assert_null(v.rule);
	size_t room;
	assert_non_null(gr_guard_down_room(guard, &room));
	assert_in_range(room, (4 << 20) - 4, (4 << 20) + 256 * 1024);
	gr_guard_destroy(guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_init_is_exactly_ours),
		cmocka_unit_test(only_messages_of_the_grammar_pass),
		cmocka_unit_test(records_are_of_known_kinds_and_values),
		cmocka_unit_test(fences_count_up_and_answers_are_the_viewer_s_own),
		cmocka_unit_test(the_end_of_continuous_updates_comes_when_it_is_due),
		cmocka_unit_test(a_new_pixel_format_counts_from_the_end_that_it_belongs_to),
		cmocka_unit_test(pixel_formats_say_which_bits_are_seen),
		cmocka_unit_test(the_pointer_s_image_is_small_and_has_no_hidden_bits),
		cmocka_unit_test(the_screen_s_size_stays_within_the_limits),
		cmocka_unit_test(an_open_update_ends_with_last_rect_and_no_other_does),
		cmocka_unit_test(rectangles_lie_inside_the_screen),
		cmocka_unit_test(encodings_that_were_not_asked_for_are_refused),
		cmocka_unit_test(raw_pixels_come_whole_and_without_hidden_bits),
		cmocka_unit_test(hextile_s_tiles_have_their_colours_and_stay_inside),
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
		cmocka_unit_test(what_our_encoder_writes_passes),
		cmocka_unit_test(a_stream_with_a_wrong_bit_breaks_nothing),
		cmocka_unit_test(memory_goes_back_behind_a_large_element),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
