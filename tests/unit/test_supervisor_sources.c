/* T26: addresses whose handshakes fail again and again, with a clock of the test's own. */
#include "broker/supervisor/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAXIMUM 5

static struct gr_sources sources;
static const uint8_t here[16] = { 1 }, there[16] = { 2 };

/* Fails once each ms milliseconds until the source is barred; returns for how long, and the time in *now. */
static uint64_t until_barred(const uint8_t network[16], uint64_t *now, uint64_t ms, unsigned *failures)
{
	uint64_t barred = 0;

	for (*failures = 0; !barred && *failures < 1000; ++*failures) {
		*now += ms;
		assert_false(gr_sources_barred(&sources, network, *now));
		barred = gr_sources_failed(&sources, network, MAXIMUM, *now);
	}
	return barred;
}

static int begin(void **state)
{
	(void)state;
	memset(&sources, 0, sizeof(sources));
	return 0;
}

static void too_many_failures_bar_that_source_alone_for_ten_seconds(void **state)
{
	uint64_t now = 1000000;
	unsigned failures;

	(void)state;
	assert_int_equal(until_barred(here, &now, 100, &failures), 10000);
	assert_int_equal(failures, MAXIMUM);
	assert_true(gr_sources_barred(&sources, here, now));
	assert_true(gr_sources_barred(&sources, here, now + 9999));
	assert_false(gr_sources_barred(&sources, here, now + 10000));
	assert_false(gr_sources_barred(&sources, there, now));
	/* Handshakes that were under way may fail meanwhile: it is not told again, and lasts no longer. */
	for (unsigned i = 0; i < 3 * MAXIMUM; i++)
		assert_int_equal(gr_sources_failed(&sources, here, MAXIMUM, now + 500), 0);
	assert_false(gr_sources_barred(&sources, here, now + 10000));
}

static void failures_that_are_far_apart_bar_nobody(void **state)
{
	uint64_t now = 1000000;

	(void)state;
	for (unsigned i = 0; i < 1000; i++, now += GR_SOURCES_WINDOW_MS / (MAXIMUM - 1) + 1)
		assert_int_equal(gr_sources_failed(&sources, here, MAXIMUM, now), 0);
}

static void each_time_lasts_twice_as_long_up_to_five_minutes(void **state)
{
	static const uint64_t expected[] = { 10000, 20000, 40000, 80000, 160000, 300000, 300000, 300000 };
	uint64_t now = 1000000, barred;
	unsigned failures;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		barred = until_barred(here, &now, 100, &failures);
		assert_int_equal(barred, expected[i]);
		assert_int_equal(failures, MAXIMUM);
		now += barred;
	}
	/* Five quiet minutes, and it begins with ten seconds again. */
	now += GR_SOURCES_LONGEST_MS;
	assert_int_equal(until_barred(here, &now, 100, &failures), 10000);
}

static void one_success_forgets_the_failures(void **state)
{
	uint64_t now = 1000000;
	unsigned failures;

	(void)state;
	for (unsigned i = 0; i < MAXIMUM - 1; i++)
		assert_int_equal(gr_sources_failed(&sources, here, MAXIMUM, now), 0);
	gr_sources_succeeded(&sources, here);
	assert_int_equal(until_barred(here, &now, 100, &failures), 10000);
	assert_int_equal(failures, MAXIMUM);
	gr_sources_succeeded(&sources, there); /* of whom nothing is known */
	assert_true(gr_sources_barred(&sources, here, now));
}

static void maximum_of_zero_bars_nobody(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(gr_sources_failed(&sources, here, 0, 1000000), 0);
	assert_false(gr_sources_barred(&sources, here, 1000000));
}

static void the_table_is_bounded_and_forgets_the_oldest(void **state)
{
	uint64_t now = 1000000;
	uint8_t network[16] = { 3 };
	unsigned failures;

	(void)state;
	until_barred(here, &now, 1, &failures);
	for (unsigned i = 0; i < GR_SOURCES_MAX; i++) {
		memcpy(network + 1, &i, sizeof(i));
		assert_int_equal(gr_sources_failed(&sources, network, MAXIMUM, now + 20000 + i), 0);
	}
	assert_false(gr_sources_barred(&sources, here, now + 1)); /* forgotten */
	memset(network + 1, 0, sizeof(int));
	for (unsigned i = 0; i < MAXIMUM - 2; i++) /* the first of the others is still known, with its one failure */
		assert_int_equal(gr_sources_failed(&sources, network, MAXIMUM, now + 30000), 0);
	assert_int_equal(gr_sources_failed(&sources, network, MAXIMUM, now + 30000), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(too_many_failures_bar_that_source_alone_for_ten_seconds, begin),
		cmocka_unit_test_setup(failures_that_are_far_apart_bar_nobody, begin),
		cmocka_unit_test_setup(each_time_lasts_twice_as_long_up_to_five_minutes, begin),
		cmocka_unit_test_setup(one_success_forgets_the_failures, begin),
		cmocka_unit_test_setup(maximum_of_zero_bars_nobody, begin),
		cmocka_unit_test_setup(the_table_is_bounded_and_forgets_the_oldest, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
