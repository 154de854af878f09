/* T15, T19, T20: what a hostile agent sends is refused or clipped; what an honest one sends passes unchanged. */
#include "broker/session/agent_records.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct gr_agent_geometry geometry = { 800, 600, 1920, 1080 };

static int check(const void *record, size_t size, union gr_record *out)
{
	/* An exact copy on the heap: reading one byte too far is seen by AddressSanitizer. */
	void *copy = malloc(size ? size : 1);
	memcpy(copy, record, size);
	int status = gr_agent_record_check(copy, size, &geometry, out);
	free(copy);
	return status;
}

#define CHECK(record, out) check(&(record), sizeof(record), out)

static void a_size_other_than_the_types_is_refused(void **state)
{
	(void)state;
	union gr_record out, zero;
	memset(&zero, 0, sizeof(zero));
	for (uint32_t type = 0; type < 300; type++) {
		size_t good = type >= GR_RECORD_FRAME ? gr_record_size(type) : 0;
		zero.type = type;
		for (size_t size = 0; size <= sizeof(zero); size++)
			if (size != good)
				assert_int_equal(check(&zero, size, &out), GR_EPROTO);
	}
}

static void records_of_the_broker_are_refused_from_the_agent(void **state)
{
	(void)state;
	union gr_record record, out;
	memset(&record, 0, sizeof(record));
	for (uint32_t type = GR_RECORD_HELLO; type <= GR_RECORD_TEXT; type++) {
		record.type = type;
		assert_int_equal(check(&record, gr_record_size(type), &out), GR_EPROTO);
	}
}

static void pages_that_cannot_be_are_refused(void **state)
{
	(void)state;
	union gr_record out;
	const struct gr_record_page offer = { GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 999, 8192, 1, 1, 300 };
	const struct gr_record_page piece = { GR_RECORD_PAGE, GR_PAGE_PIECE, 1, 3, 3, 100, 90, 99, 89 };
	const struct gr_record_page end = { GR_RECORD_PAGE, GR_PAGE_END, 1, 999, 0, 0, 0, GR_PAGE_FAILED, 0 };
	assert_int_equal(CHECK(offer, &out), 0);
	assert_memory_equal(&out.page, &offer, sizeof(offer));
	assert_int_equal(CHECK(piece, &out), 0);
	assert_int_equal(CHECK(end, &out), 0);
	const struct gr_record_page wrong[] = {
		{ GR_RECORD_PAGE, 0, 1, 1, 1, 1, 1, 0, 0 },
		{ GR_RECORD_PAGE, 4, 1, 1, 1, 1, 1, 0, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 0, 0, 1, 1, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 1, 1, 1, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 0, 1, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1000, 1, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 0, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 8193, 1, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 1, 8193, 0, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 1, 1, 2, 150 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 1, 1, 0, 149 },
		{ GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 1, 1, 0, 301 },
		{ GR_RECORD_PAGE, GR_PAGE_PIECE, 1, 0, 3, 100, 90, 0, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_PIECE, 1, 4, 3, 100, 90, 0, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_PIECE, 1, 1, 3, 100, 90, 100, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_PIECE, 1, 1, 3, 100, 90, 0, 90 },
		{ GR_RECORD_PAGE, GR_PAGE_END, 1, 1000, 0, 0, 0, 0, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_END, 1, 0, 0, 0, 0, GR_PAGE_REFUSED, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_END, 1, 0, 1, 0, 0, 0, 0 },
		{ GR_RECORD_PAGE, GR_PAGE_END, 1, 0, 0, 0, 0, 0, 1 },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(CHECK(wrong[i], &out), GR_EPROTO);
}

static void rectangles_are_clipped_to_the_present_size(void **state)
{
	(void)state;
	union gr_record out;
	struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 4 };
	f.rects[0] = (struct gr_rect){ 10, 20, 30, 40 };
	f.rects[1] = (struct gr_rect){ 790, 590, 65535, 65535 };
	f.rects[2] = (struct gr_rect){ 900, 10, 5, 5 }; /* inside the memfd, outside the present size */
	f.rects[3] = (struct gr_rect){ 0, 0, 0, 9 };
	assert_int_equal(CHECK(f, &out), 0);
	assert_int_equal(out.frame.count, 2);
	assert_memory_equal(&out.frame.rects[0], &f.rects[0], sizeof(struct gr_rect));
	assert_memory_equal(&out.frame.rects[1], (&(struct gr_rect){ 790, 590, 10, 10 }), sizeof(struct gr_rect));
}

static void a_count_or_place_outside_the_bounds_is_refused(void **state)
{
	(void)state;
	union gr_record out;
	struct gr_record_frame f = { .type = GR_RECORD_FRAME, .count = 0 };
	assert_int_equal(CHECK(f, &out), GR_EPROTO);
	f.count = GR_FRAME_RECTS_MAX + 1;
	assert_int_equal(CHECK(f, &out), GR_EPROTO);
	f.count = UINT32_MAX;
	assert_int_equal(CHECK(f, &out), GR_EPROTO);
	f.count = 1;
	f.rects[0] = (struct gr_rect){ 1920, 0, 1, 1 };
	assert_int_equal(CHECK(f, &out), GR_EPROTO);
}

static void a_cursor_larger_than_its_area_is_refused(void **state)
{
	(void)state;
	union gr_record out;
	struct gr_record_cursor c = { GR_RECORD_CURSOR, GR_CURSOR_MAX, GR_CURSOR_MAX, 63, 0 };
	assert_int_equal(CHECK(c, &out), 0);
	c.width = GR_CURSOR_MAX + 1;
	assert_int_equal(CHECK(c, &out), GR_EPROTO);
	c = (struct gr_record_cursor){ GR_RECORD_CURSOR, 16, 16, 16, 0 };
	assert_int_equal(CHECK(c, &out), GR_EPROTO);
	c = (struct gr_record_cursor){ GR_RECORD_CURSOR, 16, 0, 0, 0 };
	assert_int_equal(CHECK(c, &out), GR_EPROTO);
	c = (struct gr_record_cursor){ GR_RECORD_CURSOR, 0, 0, 99, 99 };
	assert_int_equal(CHECK(c, &out), 0);
	assert_int_equal(out.cursor.hot_x, 0);
}

static void sizes_outside_the_geometry_are_refused(void **state)
{
	(void)state;
	union gr_record out;
	struct gr_record_resized r = { GR_RECORD_RESIZED, 1920, 1080 };
	assert_int_equal(CHECK(r, &out), 0);
	r.height = 1081;
	assert_int_equal(CHECK(r, &out), GR_EPROTO);
	r.height = GR_SCREEN_MIN - 1;
	assert_int_equal(CHECK(r, &out), GR_EPROTO);
	struct gr_record_state s = { GR_RECORD_STATE, GR_AGENT_READY, 800, 600 };
	assert_int_equal(CHECK(s, &out), 0);
	s.state = 4;
	assert_int_equal(CHECK(s, &out), GR_EPROTO);
	s.state = 0;
	assert_int_equal(CHECK(s, &out), GR_EPROTO);
	s = (struct gr_record_state){ GR_RECORD_STATE, GR_AGENT_READY, 1921, 600 };
	assert_int_equal(CHECK(s, &out), GR_EPROTO);
}

static void a_caret_is_clipped_or_unknown(void **state)
{
	(void)state;
	union gr_record out;
	struct gr_record_caret c = { GR_RECORD_CARET, 1, { 10, 20, 0, 16 } };
	assert_int_equal(CHECK(c, &out), 0);
	assert_int_equal(out.caret.rect.w, 1);
	c.rect = (struct gr_rect){ 5000, 0, 1, 1 };
	assert_int_equal(CHECK(c, &out), 0);
	assert_int_equal(out.caret.visible, 0);
	c.visible = 2;
	assert_int_equal(CHECK(c, &out), GR_EPROTO);
	struct gr_record_text_result t = { GR_RECORD_TEXT_RESULT, 7, 2 };
	assert_int_equal(CHECK(t, &out), GR_EPROTO);
}

static void a_cursor_keeps_its_colours_and_loses_its_alpha(void **state)
{
	(void)state;
	static uint32_t image[GR_CURSOR_MAX * GR_CURSOR_MAX];
	uint32_t colours[9 * 2];
	uint8_t mask[2 * 2];
	image[0] = 0xff112233;
	image[8] = 0x80800000; /* premultiplied: fully red at half */
	image[1] = 0x7f7f7f7f; /* less than half: not drawn */
	image[GR_CURSOR_MAX + 7] = 0xffffffff;
	image[GR_CURSOR_MAX + 6] = 0x80ffffff; /* not honestly premultiplied: does not overflow */
	gr_agent_cursor_flatten(image, 9, 2, colours, mask);
	assert_int_equal(colours[0], 0x112233);
	assert_int_equal(colours[8], 0xff0000);
	assert_int_equal(colours[1], 0);
	assert_int_equal(colours[9 + 6], 0xffffff);
	const uint8_t expected[] = { 0x80, 0x80, 0x03, 0x00 };
	assert_memory_equal(mask, expected, sizeof(expected));
}

static void a_text_of_the_clipboard_comes_in_full_pieces(void **state)
{
	(void)state;
	union gr_record out;
	static const struct {
		uint32_t left, length;
		int good;
	} pieces[] = { { 0, 1, 1 },
		       { 0, GR_TEXT_MAX, 1 },
		       { 5, GR_TEXT_MAX, 1 },
		       { GR_CLIPBOARD_MAX - GR_TEXT_MAX, GR_TEXT_MAX, 1 },
		       { GR_CLIPBOARD_MAX - GR_TEXT_MAX + 1, GR_TEXT_MAX, 0 },
		       { UINT32_MAX, GR_TEXT_MAX, 0 },
		       { 0, 0, 0 },
		       { 0, GR_TEXT_MAX + 1, 0 },
		       { 0, UINT32_MAX, 0 },
		       { 1, GR_TEXT_MAX - 1, 0 } };
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct gr_record_clipboard c = { GR_RECORD_CLIPBOARD, pieces[i].left, pieces[i].length, "x" };
		assert_int_equal(CHECK(c, &out), pieces[i].good ? 0 : GR_EPROTO);
		if (pieces[i].good)
			assert_true(out.clipboard.left == pieces[i].left && out.clipboard.length == pieces[i].length &&
				    out.clipboard.text[0] == 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_other_than_the_types_is_refused),
		cmocka_unit_test(records_of_the_broker_are_refused_from_the_agent),
		cmocka_unit_test(pages_that_cannot_be_are_refused),
		cmocka_unit_test(rectangles_are_clipped_to_the_present_size),
		cmocka_unit_test(a_count_or_place_outside_the_bounds_is_refused),
		cmocka_unit_test(a_cursor_larger_than_its_area_is_refused),
		cmocka_unit_test(sizes_outside_the_geometry_are_refused),
		cmocka_unit_test(a_caret_is_clipped_or_unknown),
		cmocka_unit_test(a_text_of_the_clipboard_comes_in_full_pieces),
		cmocka_unit_test(a_cursor_keeps_its_colours_and_loses_its_alpha),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
