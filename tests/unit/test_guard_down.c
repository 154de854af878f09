/* The guard downstream: messages, pseudo-rectangles, pixels that are not compressed; and what our encoder writes. */
#include "broker/encode/encode.h"
#include "broker/guard/state.h"
#include "common/decode/decode.h"
#include "common/error.h"
#include "tests/unit/encode_viewer.h"
#include "tests/unit/guard_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct stream good;

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
		{ { 71, 1, 0, GR_GUARD_REASON_MAX + 1 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 1, 0, 0 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 1, 0, 6, 0, 0, 0, 1 }, 8, "NOTICE: an unknown reason" },
		{ { 71, 6 }, 8, "an unknown Garasu record" },
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

static void put_page(unsigned state, uint32_t document, const uint16_t fields[6], uint32_t padding)
{
	put16(&s, 71 << 8 | 4);
	put16(&s, state);
	put32(&s, document);
	for (unsigned i = 0; i < 6; i++)
		put16(&s, fields[i]);
	put32(&s, padding);
}

static void pages_are_offered_and_lie_within_their_bounds(void **state)
{
	(void)state;
	static const uint16_t offer[6] = { 0, 2, 1654, 2339, 0, 200 };
	static const struct {
		unsigned state;
		uint32_t document;
		uint16_t fields[6]; /* page, pages, width, height, x, y */
		uint32_t padding;
		const char *rule;
	} pages[] = {
		{ 1, 8, { 0, 999, 8192, 8192, 1, 300 }, 0, NULL },
		{ 1, 8, { 0, 1, 1, 1, 0, 150 }, 0, NULL },
		{ 2, 7, { 1, 2, 1654, 2339, 8 * W, 23 * H }, 0, NULL },
		{ 2, 7, { 1, 2, 1654, 2339, W + 1, 0 }, 0, "PAGE: a piece outside its page" },
		{ 2, 7, { 1, 2, 1654, 2339, 0, H - 1 }, 0, "PAGE: a piece outside its page" },
		{ 3, 7, { 999, 0, 0, 0, 3, 0 }, 0, NULL },
		{ 3, 6, { 0, 0, 0, 0, 1, 0 }, 0, "PAGE: the end of what was not offered" },
		{ 1, 7, { 0, 1, 1, 1, 0, 0 }, 0, "PAGE: a document whose number does not count up" },
		{ 1, 0, { 0, 1, 1, 1, 0, 0 }, 0, "PAGE: no document, or a padding that is not 0" },
		{ 2, 7, { 1, 2, 1654, 2339, 0, 0 }, 1, "PAGE: no document, or a padding that is not 0" },
		{ 1, 8, { 1, 1, 1, 1, 0, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 0, 1, 1, 0, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1000, 1, 1, 0, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 0, 1, 0, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 1, 8193, 0, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 1, 1, 2, 200 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 1, 1, 0, 0 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 1, 1, 0, 149 }, 0, "PAGE: an offer outside the limits" },
		{ 1, 8, { 0, 1, 1, 1, 0, 301 }, 0, "PAGE: an offer outside the limits" },
		{ 2, 8, { 1, 2, 1654, 2339, 0, 0 }, 0, "PAGE: a piece of what was not offered" },
		{ 2, 7, { 0, 2, 1654, 2339, 0, 0 }, 0, "PAGE: a piece outside its page" },
		{ 2, 7, { 3, 2, 1654, 2339, 0, 0 }, 0, "PAGE: a piece outside its page" },
		{ 2, 7, { 1, 2, 1600, 2339, 8 * W, 0 }, 0, "PAGE: a piece outside its page" },
		{ 2, 7, { 1, 2, 1654, 2300, 0, 23 * H }, 0, "PAGE: a piece outside its page" },
		{ 2, 7, { 1, 2, 8193, 2339, 0, 0 }, 0, "PAGE: a piece outside its page" },
		{ 3, 7, { 1000, 0, 0, 0, 0, 0 }, 0, "PAGE: an end outside the limits" },
		{ 3, 7, { 1, 1, 0, 0, 0, 0 }, 0, "PAGE: an end outside the limits" },
		{ 3, 7, { 1, 0, 0, 1, 0, 0 }, 0, "PAGE: an end outside the limits" },
		{ 3, 7, { 1, 0, 0, 0, 4, 0 }, 0, "PAGE: an end outside the limits" },
		{ 3, 7, { 1, 0, 0, 0, 0, 1 }, 0, "PAGE: an end outside the limits" },
		{ 0, 7, { 1, 1, 1, 1, 0, 0 }, 0, "PAGE: an unknown state" },
		{ 4, 7, { 1, 1, 1, 1, 0, 0 }, 0, "PAGE: an unknown state" },
	};
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		begin();
		put_page(1, 7, offer, 0);
		put_page(pages[i].state, pages[i].document, pages[i].fields, pages[i].padding);
		if (pages[i].rule)
			refused(pages[i].rule, INIT + 24);
		else
			accepted(0);
	}
	begin();
	put_page(2, 7, (uint16_t[6]){ 1, 2, 1654, 2339, 0, 0 }, 0);
	refused("PAGE: a piece of what was not offered", INIT);
}

static void put_clipboard(const char *text, size_t n, unsigned padding)
{
	begin();
	put16(&s, 71 << 8 | 5);
	put16(&s, padding);
	put32(&s, (uint32_t)n);
	put(&s, text, n);
}

static void clipboards_that_come_down_are_text(void **state)
{
	(void)state;
	static char longest[GR_CLIPBOARD_MAX + 1];
	memset(longest, 'x', sizeof(longest));
	put_clipboard("日本語\t𠮷\n", 15, 0);
	accepted(0);
	put_clipboard(longest, GR_CLIPBOARD_MAX, 0);
	accepted(0);
	put_clipboard(longest, GR_CLIPBOARD_MAX + 1, 0);
	refused("CLIPBOARD: longer than the policy permits", INIT);
	put_clipboard("", 0, 0);
	refused("CLIPBOARD: empty, or a padding that is not 0", INIT);
	put_clipboard("x", 1, 1);
	refused("CLIPBOARD: empty, or a padding that is not 0", INIT);
	static const char *const bad[] = { "a\rb", "\x1b[A", "\x7f", "\xc2\x9b", "\xe6\x97", "\xed\xa0\x80", "\xff" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put_clipboard(bad[i], strlen(bad[i]), 0);
		refused("CLIPBOARD: bytes that are not permitted", INIT);
	}
	put_clipboard("a\0b", 3, 0);
	refused("CLIPBOARD: bytes that are not permitted", INIT);
}

static unsigned texts;

static void on_clipboard(void *context, enum gr_guard_direction direction, bool passed, const uint8_t *text, size_t n)
{
	(void)context;
	assert_int_equal(direction, GR_GUARD_DOWN);
	assert_true(passed);
	assert_memory_equal(text, s.bytes + INIT + 8, n);
	texts++;
}

/* T27: to the byte. The session knows the policy as well as the guard: whatever is longer is its violation. */
static void what_the_policy_does_not_permit_does_not_come_down(void **state)
{
	(void)state;
	static char text[4096];
	static const uint32_t limits[] = { 0, 1, 100, 4096 };
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		for (size_t n = 1; n <= sizeof(text); n = n < 99 ? n + 49 : n < 101 ? n + 1 : n < 4095 ? 4095 : n + 1) {
			struct gr_guard_settings limited = settings;
			limited.clipboard_down_max = limits[i];
			struct gr_guard *guard = gr_guard_create(&limited);
			assert_non_null(guard);
			guard->listed |= GR_LISTED_GARASU;
			texts = 0;
			gr_guard_on_clipboard(guard, on_clipboard, NULL);
			put_clipboard(text, n, 0);
			struct verdict v = send_down(guard, &s, 0);
			bool fits = n <= limits[i];
			assert_int_equal(v.status, fits ? 0 : GR_EPROTO);
			assert_int_equal(v.passed, INIT + (fits ? 8 + n : 0));
			assert_int_equal(texts, fits);
			gr_guard_destroy(guard);
		}
	}
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	guard->listed |= GR_LISTED_GARASU;
	begin();
	put_page(1, 7, (uint16_t[6]){ 0, 1, 1, 1, 0, 200 }, 0);
	assert_string_equal(send_down(guard, &s, 0).rule, "PAGE: printing is not permitted");
	gr_guard_destroy(guard);
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
		cmocka_unit_test(pages_are_offered_and_lie_within_their_bounds),
		cmocka_unit_test(clipboards_that_come_down_are_text),
		cmocka_unit_test(what_the_policy_does_not_permit_does_not_come_down),
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
		cmocka_unit_test(what_our_encoder_writes_passes),
		cmocka_unit_test(a_stream_with_a_wrong_bit_breaks_nothing),
		cmocka_unit_test(memory_goes_back_behind_a_large_element),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
