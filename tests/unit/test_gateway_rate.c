/* broker/gateway/rate: a bandwidth ceiling. */
#include "broker/gateway/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Sends as the relay does, all that may go whenever it may, for ms of this clock; returns the bytes. */
static uint64_t send_for(struct gr_rate *rate, uint64_t *now, uint64_t ms)
{
	uint64_t end = *now + ms, sent = 0;

	while (*now < end) {
		size_t room = gr_rate_room(rate, *now);

		gr_rate_spend(rate, room);
		sent += room;
		*now += (uint64_t)gr_rate_wait(rate, *now);
		assert_true(gr_rate_room(rate, *now) >= GR_RATE_CHUNK); /* who has waited has room */
	}
	return sent;
}

static void as_much_passes_as_the_ceiling_says(void **state)
{
	static const unsigned rates[] = { 64, 100, 333, 2000, 10000, 1000000 };
	struct gr_rate rate;

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		uint64_t now = 1000, sent, wanted = rates[i] * UINT64_C(7500); /* bytes in a minute */

		gr_rate_init(&rate, rates[i], now);
		send_for(&rate, &now, 1000); /* the burst */
		sent = send_for(&rate, &now, 60000);
		assert_in_range(sent, wanted - wanted / 50, wanted + wanted / 50);
	}
}

static void a_pause_saves_no_more_than_a_burst(void **state)
{
	struct gr_rate rate;

	(void)state;
	gr_rate_init(&rate, 8000, 0);
	gr_rate_spend(&rate, gr_rate_room(&rate, 0));
	assert_int_equal(gr_rate_room(&rate, 0), 0);
	assert_int_equal(gr_rate_wait(&rate, 0), 2); /* 1400 bytes of 1000 a millisecond */
	assert_int_equal(gr_rate_room(&rate, UINT64_MAX / 2), 100000);
	gr_rate_init(&rate, 8, 0);
	assert_int_equal(gr_rate_room(&rate, 3600000), GR_RATE_BURST_MIN);
	/* A clock that stands, or that somebody asks again, gives nothing. */
	gr_rate_spend(&rate, GR_RATE_BURST_MIN);
	assert_int_equal(gr_rate_room(&rate, 3600000), 0);
	assert_int_equal(gr_rate_room(&rate, 3599999), 0);
	assert_int_equal(gr_rate_wait(&rate, 3600000), 1400);
}

static void no_ceiling_is_no_bound(void **state)
{
	struct gr_rate rate;

	(void)state;
	gr_rate_init(&rate, 0, 0);
	gr_rate_spend(&rate, 1u << 30);
	assert_true(gr_rate_room(&rate, 0) == SIZE_MAX);
	assert_int_equal(gr_rate_wait(&rate, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_much_passes_as_the_ceiling_says),
		cmocka_unit_test(a_pause_saves_no_more_than_a_burst),
		cmocka_unit_test(no_ceiling_is_no_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
