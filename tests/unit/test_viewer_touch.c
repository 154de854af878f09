#include "viewer/touch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SLOP = 10, NOTCH = 100 };

static struct gr_touch touch;

static int begin(void **state)
{
	(void)state;
	touch = (struct gr_touch){ 0 };
	return 0;
}

static struct gr_touch_act moved(int x, int y, uint64_t ms)
{
	return gr_touch_move(&touch, 7, x, y, ms, SLOP, NOTCH);
}

static void a_tap_is_a_click_where_it_began(void **state)
{
	(void)state;
	assert_int_equal(gr_touch_down(&touch, 7, 50, 60, 0).what, GR_TOUCH_NOTHING);
	assert_int_equal(moved(55, 64, 50).what, GR_TOUCH_NOTHING);
	struct gr_touch_act act = gr_touch_up(&touch, 7, 100);
	assert_int_equal(act.what, GR_TOUCH_CLICK);
	assert_int_equal(act.x, 50);
	assert_int_equal(act.y, 60);
	assert_int_equal(gr_touch_up(&touch, 7, 110).what, GR_TOUCH_NOTHING);
}

static void held_still_it_is_the_right_button(void **state)
{
	(void)state;
	gr_touch_down(&touch, 7, 50, 60, 0);
	assert_int_equal(gr_touch_up(&touch, 7, GR_TOUCH_HOLD_MS).what, GR_TOUCH_CONTEXT);
}

static void a_finger_that_moves_scrolls_and_loses_no_pixel(void **state)
{
	(void)state;
	int notches = 0;
	gr_touch_down(&touch, 7, 50, 1000, 0);
	for (int y = 999; y >= 1000 - 350; y--) {
		struct gr_touch_act act = moved(50, y, 10);
		notches += act.what == GR_TOUCH_WHEEL ? act.notches_y : 0;
		assert_true(act.what == GR_TOUCH_NOTHING || (act.x == 50 && act.y == 1000 && !act.notches_x));
	}
	assert_int_equal(notches, 3); /* the page goes up with the finger */
	assert_int_equal(moved(50, 1000 - 350 + 351, 2000).notches_y, -3); /* 50 were left over */
	assert_int_equal(gr_touch_up(&touch, 7, 3000).what, GR_TOUCH_NOTHING);
}

static void held_and_then_moved_it_drags(void **state)
{
	(void)state;
	gr_touch_down(&touch, 7, 50, 60, 0);
	assert_int_equal(moved(51, 61, 500).what, GR_TOUCH_NOTHING);
	struct gr_touch_act act = moved(80, 60, 700);
	assert_int_equal(act.what, GR_TOUCH_PRESS);
	assert_int_equal(act.x, 50);
	assert_int_equal(act.to_x, 80);
	act = moved(90, 60, 710);
	assert_int_equal(act.what, GR_TOUCH_DRAG);
	assert_int_equal(act.x, 90);
	act = gr_touch_up(&touch, 7, 720);
	assert_int_equal(act.what, GR_TOUCH_RELEASE);
	assert_int_equal(act.x, 90);
}

static void a_second_finger_calls_it_off_and_leaves_nothing_pressed(void **state)
{
	(void)state;
	gr_touch_down(&touch, 7, 50, 60, 0);
	assert_int_equal(gr_touch_down(&touch, 8, 90, 60, 10).what, GR_TOUCH_NOTHING);
	assert_int_equal(gr_touch_up(&touch, 7, 20).what, GR_TOUCH_NOTHING);
	assert_int_equal(gr_touch_up(&touch, 8, 30).what, GR_TOUCH_NOTHING);
	gr_touch_down(&touch, 7, 50, 60, 1000);
	assert_int_equal(moved(80, 60, 1700).what, GR_TOUCH_PRESS);
	assert_int_equal(gr_touch_down(&touch, 8, 90, 60, 1800).what, GR_TOUCH_RELEASE);
	assert_int_equal(moved(85, 60, 1850).what, GR_TOUCH_NOTHING);
	assert_int_equal(gr_touch_up(&touch, 8, 1900).what, GR_TOUCH_NOTHING);
	assert_int_equal(gr_touch_up(&touch, 7, 1950).what, GR_TOUCH_NOTHING);
	gr_touch_down(&touch, 9, 50, 60, 2000);
	assert_int_equal(gr_touch_up(&touch, 9, 2010).what, GR_TOUCH_CLICK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_tap_is_a_click_where_it_began, begin),
		cmocka_unit_test_setup(held_still_it_is_the_right_button, begin),
		cmocka_unit_test_setup(a_finger_that_moves_scrolls_and_loses_no_pixel, begin),
		cmocka_unit_test_setup(held_and_then_moved_it_drags, begin),
		cmocka_unit_test_setup(a_second_finger_calls_it_off_and_leaves_nothing_pressed, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
