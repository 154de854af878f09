/* A printed document between agent, viewer and supervisor: nothing crosses before its record, and no agent can make more of it. */
#include "broker/session/print.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { W = 800, H = 600 };

static struct gr_print p;

static int page(uint32_t state, uint32_t document, uint16_t number, uint16_t x, uint16_t y)
{
	struct gr_record_page record = { .type = GR_RECORD_PAGE, .state = state, .document = document, .page = number };
	if (state != GR_PAGE_END) {
		record.pages = 3;
		record.width = 1000;
		record.height = 700;
	}
	record.x = x;
	record.y = y;
	return gr_print_page(&p, &record, 1);
}

static int frame(uint16_t x, uint16_t y, uint16_t w, uint16_t h, uint32_t count)
{
	const struct gr_record_frame record = { .type = GR_RECORD_FRAME, .count = count, .rects = { { x, y, w, h } } };
	return gr_print_frame(&p, &record, W, H);
}

static int order(uint16_t action, uint32_t document, uint16_t first, uint16_t last)
{
	const struct gr_viewer_message m = {
		.kind = GR_VIEWER_PRINT,
		.print = { .action = action, .document = document, .first = first, .last = last },
	};
	return gr_print_order(&p, &m, W, H);
}

/* One piece of page 1 .. 3 as far as the viewer's TAKEN. */
static void piece(uint16_t number, uint16_t x, uint16_t y)
{
	uint16_t w = x ? 200 : 800, h = y ? 100 : 600;
	assert_int_equal(page(GR_PAGE_PIECE, 1, number, x, y), 0);
	assert_int_equal(frame(0, 0, w, h, 1), 0);
	assert_int_equal(gr_print_painted(&p), GR_PRINT_DO_TELL);
	assert_true(p.told.state == GR_PAGE_PIECE && p.told.page == number && p.told.x == x && p.told.y == y);
	assert_int_equal(gr_print_painted(&p), 0);
	assert_int_equal(order(GR_PRINT_TAKEN, 1, number, 0), GR_PRINT_DO_ORDER);
	assert_int_equal(p.order.action, GR_PRINT_TAKEN);
}

static void whole_page(uint16_t number)
{
	piece(number, 0, 0);
	piece(number, 800, 0);
	piece(number, 0, 600);
	piece(number, 800, 600);
}

static void run(void)
{
	gr_print_init(&p, 3);
	assert_int_equal(page(GR_PAGE_OFFER, 1, 0, 0, 200), GR_PRINT_DO_TELL);
	assert_int_equal(order(GR_PRINT_ACCEPT, 1, 1, 2), GR_PRINT_DO_ASK);
	assert_int_equal(gr_print_answered(&p, 1, 1), GR_PRINT_DO_ORDER);
	assert_true(p.order.action == GR_PRINT_ACCEPT && p.order.first == 1 && p.order.last == 2);
}

static void pages_cross_in_their_order_and_are_counted(void **state)
{
	(void)state;
	run();
	whole_page(1);
	whole_page(2);
	assert_int_equal(page(GR_PAGE_END, 1, 2, GR_PAGE_DONE, 0), GR_PRINT_DO_TELL | GR_PRINT_DO_ENDED);
	assert_true(p.ended.document == 1 && p.ended.whole == 2 && !p.ended.part && p.ended.reason == GR_PAGE_DONE);
	assert_true(p.told.state == GR_PAGE_END && p.told.page == 2);
	assert_int_equal(page(GR_PAGE_OFFER, 2, 0, 0, 200), GR_PRINT_DO_TELL);
}

static void nothing_crosses_before_the_record(void **state)
{
	(void)state;
	gr_print_init(&p, 3);
	assert_int_equal(page(GR_PAGE_OFFER, 1, 0, 0, 200), GR_PRINT_DO_TELL);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 0, 0), GR_EPROTO);
	assert_int_equal(order(GR_PRINT_ACCEPT, 1, 1, 1), GR_PRINT_DO_ASK);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 0, 0), GR_EPROTO);
	/* Not recorded: the viewer is told, the agent's document ends. */
	assert_int_equal(gr_print_answered(&p, 1, 0), GR_PRINT_DO_TELL | GR_PRINT_DO_ORDER);
	assert_true(p.told.x == GR_PAGE_REFUSED && p.order.action == GR_PRINT_CANCEL);
	assert_int_equal(page(GR_PAGE_END, 1, 0, GR_PAGE_CANCELLED, 0), 0);
	assert_int_equal(p.state, GR_PRINT_NONE);
}

static void a_viewer_gets_only_what_was_offered(void **state)
{
	(void)state;
	gr_print_init(&p, 3);
	assert_int_equal(order(GR_PRINT_ACCEPT, 0, 1, 1), 0);
	assert_int_equal(order(GR_PRINT_CANCEL, 0, 0, 0), 0);
	assert_int_equal(order(GR_PRINT_START, 0, 0, 0), GR_PRINT_DO_ORDER);
	assert_int_equal(page(GR_PAGE_OFFER, 7, 0, 0, 200), GR_PRINT_DO_TELL);
	assert_int_equal(order(GR_PRINT_START, 0, 0, 0), 0);
	assert_int_equal(order(GR_PRINT_ACCEPT, 6, 1, 1), 0);
	assert_int_equal(order(GR_PRINT_ACCEPT, 7, 0, 1), 0);
	assert_int_equal(order(GR_PRINT_ACCEPT, 7, 2, 1), 0);
	assert_int_equal(order(GR_PRINT_ACCEPT, 7, 1, 4), 0);
	assert_int_equal(order(GR_PRINT_TAKEN, 7, 1, 0), 0);
	assert_int_equal(order(GR_PRINT_ACCEPT, 7, 1, 3), GR_PRINT_DO_ASK);
	assert_int_equal(order(GR_PRINT_ACCEPT, 7, 1, 3), 0);
	gr_print_init(&p, 0);
	assert_int_equal(order(GR_PRINT_START, 0, 0, 0), 0);
}

static void an_agent_says_only_what_is_due(void **state)
{
	(void)state;
	gr_print_init(&p, 0);
	assert_int_equal(page(GR_PAGE_OFFER, 1, 0, 0, 200), GR_EPROTO);
	gr_print_init(&p, 2); /* three pages are offered */
	assert_int_equal(page(GR_PAGE_OFFER, 1, 0, 0, 200), GR_EPROTO);
	gr_print_init(&p, 3);
	assert_int_equal(page(GR_PAGE_END, 0, 0, 0, 0), GR_EPROTO);
	run();
	assert_int_equal(page(GR_PAGE_OFFER, 2, 0, 0, 200), GR_EPROTO);
	assert_int_equal(page(GR_PAGE_END, 2, 0, 0, 0), GR_EPROTO);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 2, 0, 0), GR_EPROTO); /* page 1 first */
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 800, 0), GR_EPROTO); /* its first piece first */
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 0, 0), 0);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 0, 0), GR_EPROTO); /* twice */
	assert_int_equal(frame(0, 0, 799, 600, 1), GR_EPROTO);
	assert_int_equal(frame(1, 0, 800, 600, 1), GR_EPROTO);
	assert_int_equal(frame(0, 0, 800, 600, 2), GR_EPROTO);
	assert_int_equal(frame(0, 0, 800, 600, 1), 0);
	assert_int_equal(gr_print_painted(&p), GR_PRINT_DO_TELL);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 800, 0), GR_EPROTO); /* not taken yet */
	run();
	piece(1, 0, 0);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 1, 0, 0), GR_EPROTO); /* again and again without an end */
	run();
	whole_page(1);
	whole_page(2);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 3, 0, 0), GR_EPROTO); /* was not accepted */
}

static void a_page_is_cut_anew_for_another_size(void **state)
{
	(void)state;
	run();
	whole_page(1);
	piece(2, 0, 0);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 2, 800, 0), 0);
	assert_int_equal(frame(0, 0, 200, 600, 1), 0);
	gr_print_resized(&p);
	assert_int_equal(gr_print_painted(&p), 0);
	assert_int_equal(order(GR_PRINT_TAKEN, 1, 2, 0), 0);
	whole_page(2);
	assert_int_equal(p.whole, 2);
}

static void what_is_cancelled_ends_once(void **state)
{
	(void)state;
	run();
	whole_page(1);
	piece(2, 0, 0);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 2, 800, 0), 0);
	assert_int_equal(frame(0, 0, 200, 600, 1), 0);
	assert_int_equal(order(GR_PRINT_CANCEL, 1, 0, 0), GR_PRINT_DO_ORDER);
	assert_int_equal(order(GR_PRINT_CANCEL, 1, 0, 0), 0);
	assert_int_equal(page(GR_PAGE_PIECE, 1, 2, 800, 0), 0); /* crossed it */
	assert_int_equal(gr_print_painted(&p), 0);
	assert_int_equal(page(GR_PAGE_END, 1, 1, GR_PAGE_CANCELLED, 0), GR_PRINT_DO_TELL | GR_PRINT_DO_ENDED);
	assert_true(p.ended.whole == 1 && p.ended.part && p.ended.reason == GR_PAGE_CANCELLED);
	assert_int_equal(page(GR_PAGE_END, 1, 1, GR_PAGE_CANCELLED, 0), GR_EPROTO);
}

static void a_viewer_that_goes_cancels_and_is_recorded(void **state)
{
	(void)state;
	run();
	whole_page(1);
	assert_int_equal(gr_print_viewer_gone(&p), GR_PRINT_DO_ENDED | GR_PRINT_DO_ORDER);
	assert_true(p.order.action == GR_PRINT_CANCEL && p.ended.whole == 1);
	assert_int_equal(gr_print_viewer_gone(&p), 0);
	assert_int_equal(page(GR_PAGE_END, 1, 1, GR_PAGE_CANCELLED, 0), 0); /* the next viewer never knew of it */
	/* While it is being recorded: then its end is told as soon as it is known that there is a beginning. */
	assert_int_equal(page(GR_PAGE_OFFER, 2, 0, 0, 200), GR_PRINT_DO_TELL);
	assert_int_equal(order(GR_PRINT_ACCEPT, 2, 1, 1), GR_PRINT_DO_ASK);
	assert_int_equal(gr_print_viewer_gone(&p), GR_PRINT_DO_ORDER);
	assert_int_equal(gr_print_answered(&p, 2, 1), GR_PRINT_DO_ENDED);
	assert_true(p.ended.document == 2 && p.ended.whole == 0);
	assert_int_equal(gr_print_answered(&p, 2, 1), 0);
}

static void nobody_there_nothing_is_offered(void **state)
{
	(void)state;
	const struct gr_record_page offer = { GR_RECORD_PAGE, GR_PAGE_OFFER, 1, 0, 1, 100, 100, 0, 150 };
	gr_print_init(&p, 3);
	assert_int_equal(gr_print_page(&p, &offer, 0), GR_PRINT_DO_ORDER);
	assert_int_equal(p.order.action, GR_PRINT_CANCEL);
}

static void an_agent_that_goes_fails_the_document(void **state)
{
	(void)state;
	run();
	piece(1, 0, 0);
	assert_int_equal(gr_print_agent_gone(&p), GR_PRINT_DO_TELL | GR_PRINT_DO_ENDED);
	assert_true(p.told.x == GR_PAGE_FAILED && p.ended.reason == GR_PAGE_FAILED && p.ended.part);
	assert_int_equal(gr_print_agent_gone(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_cross_in_their_order_and_are_counted),
		cmocka_unit_test(nothing_crosses_before_the_record),
		cmocka_unit_test(a_viewer_gets_only_what_was_offered),
		cmocka_unit_test(an_agent_says_only_what_is_due),
		cmocka_unit_test(a_page_is_cut_anew_for_another_size),
		cmocka_unit_test(what_is_cancelled_ends_once),
		cmocka_unit_test(a_viewer_that_goes_cancels_and_is_recorded),
		cmocka_unit_test(nobody_there_nothing_is_offered),
		cmocka_unit_test(an_agent_that_goes_fails_the_document),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
