/* What the benchmark keeps of a codec's output, and how two runs are told apart. */
#include "bench/kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct gr_kept_update updates[] = { { 0, 0, 0, 5 }, { 2, 0, 40, 1 }, { 2, 1, 1540, 3 } };

/* Three updates of the bytes of text. */
static void keep(struct gr_kept *kept, const char *text, uint64_t late_ms)
{
	size_t at = 0;
	assert_int_equal(gr_kept_init(kept, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		struct gr_kept_update update = updates[i];
		update.now_ms += i == 2 ? late_ms : 0;
		assert_int_equal(gr_kept_add(kept, &update, (const uint8_t *)text + at, NULL), 0);
		at += update.size;
	}
	assert_int_equal(gr_kept_map(kept, NULL), 0);
}

static void what_was_added_is_kept_in_order(void **state)
{
	(void)state;
	struct gr_kept kept;
	keep(&kept, "first2ref", 0);
	assert_int_equal(kept.count, 3);
	assert_int_equal(kept.size, 9);
	assert_memory_equal(kept.bytes, "first2ref", 9);
	gr_kept_finish(&kept);
}

static void runs_differ_from_the_first_other_byte_or_time_on(void **state)
{
	(void)state;
	struct gr_kept one, same, byte, late;
	keep(&one, "first2ref", 0);
	keep(&same, "first2ref", 0);
	keep(&byte, "first3ref", 0);
	keep(&late, "first2ref", 1);
	assert_int_equal(gr_kept_same(&one, &same), 3);
	assert_int_equal(gr_kept_same(&one, &byte), 1);
	assert_int_equal(gr_kept_same(&one, &late), 2);
	same.count--;
	assert_int_equal(gr_kept_same(&one, &same), 2);
	gr_kept_finish(&one);
	gr_kept_finish(&same);
	gr_kept_finish(&byte);
	gr_kept_finish(&late);
}

static void nothing_written_is_no_failure(void **state)
{
	(void)state;
	struct gr_kept one, other;
	assert_int_equal(gr_kept_init(&one, NULL), 0);
	assert_int_equal(gr_kept_init(&other, NULL), 0);
	assert_int_equal(gr_kept_map(&one, NULL), 0);
	assert_int_equal(gr_kept_map(&other, NULL), 0);
	assert_int_equal(gr_kept_same(&one, &other), 0);
	gr_kept_finish(&one);
	gr_kept_finish(&other);
}

static void more_than_the_bound_is_refused(void **state)
{
	(void)state;
	const struct gr_kept_update huge = { .size = GR_KEPT_MAX };
	struct gr_error err = { .code = 0 };
	struct gr_kept kept;
	assert_int_equal(gr_kept_init(&kept, NULL), 0);
	assert_int_equal(gr_kept_add(&kept, &updates[0], (const uint8_t *)"first", &err), 0);
	assert_int_equal(gr_kept_add(&kept, &huge, (const uint8_t *)"", &err), GR_EFULL);
	assert_int_equal(kept.count, 1);
	gr_kept_finish(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_kept_in_order),
		cmocka_unit_test(runs_differ_from_the_first_other_byte_or_time_on),
		cmocka_unit_test(nothing_written_is_no_failure),
		cmocka_unit_test(more_than_the_bound_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
