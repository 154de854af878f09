#include "broker/coordination/coordination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
	int calls, status, mine;
	uint64_t number, epoch;
	char owner[GR_COORDINATION_NODE_MAX];
} last;

static void answered(void *context, uint64_t number, int status, const struct gr_claim *claim)
{
	assert_ptr_equal(context, &last);
	last.calls++;
	last.status = status;
	last.number = number;
	last.mine = claim ? claim->mine : 0;
	last.epoch = claim ? claim->epoch : 0;
	snprintf(last.owner, sizeof(last.owner), "%s", claim ? claim->owner : "");
}

static void claim(struct gr_coordination *coordination, const char *person)
{
	memset(&last, 0, sizeof(last));
	gr_coordination_claim(coordination, person, answered, &last, 7);
	assert_int_equal(last.calls, 1);
	assert_int_equal(last.number, 7);
}

static void claimed_person_is_mine_until_released(void **state)
{
	struct gr_coordination *coordination = gr_coordination_create("node-a");
	struct gr_claim found;
	uint64_t epoch;

	(void)state;
	assert_int_equal(gr_coordination_lookup(coordination, "hanako", &found), GR_ENOENT);
	claim(coordination, "hanako");
	assert_int_equal(last.status, 0);
	assert_true(last.mine);
	assert_string_equal(last.owner, "node-a");
	epoch = last.epoch;
	claim(coordination, "hanako");
	assert_int_equal(last.epoch, epoch);
	assert_int_equal(gr_coordination_lookup(coordination, "hanako", &found), 0);
	assert_int_equal(found.epoch, epoch);
	assert_int_equal(gr_coordination_release(coordination, "hanako", epoch), 0);
	assert_int_equal(gr_coordination_lookup(coordination, "hanako", &found), GR_ENOENT);
	gr_coordination_destroy(coordination);
}

static void every_claim_has_a_greater_epoch(void **state)
{
	struct gr_coordination *coordination = gr_coordination_create("node-a");
	uint64_t before = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		claim(coordination, i % 2 ? "hanako" : "taro");
		assert_true(last.epoch > before);
		before = last.epoch;
		gr_coordination_release(coordination, i % 2 ? "hanako" : "taro", before);
	}
	gr_coordination_destroy(coordination);
	/* And over a restart of the broker. */
	coordination = gr_coordination_create("node-a");
	claim(coordination, "hanako");
	assert_true(last.epoch > before);
	gr_coordination_destroy(coordination);
}

static void old_epoch_releases_nothing(void **state)
{
	struct gr_coordination *coordination = gr_coordination_create("node-a");
	struct gr_claim found;
	uint64_t old;

	(void)state;
	claim(coordination, "hanako");
	old = last.epoch;
	gr_coordination_release(coordination, "hanako", old);
	claim(coordination, "hanako");
	assert_int_equal(gr_coordination_release(coordination, "hanako", old), GR_ENOENT);
	assert_int_equal(gr_coordination_lookup(coordination, "hanako", &found), 0);
	gr_coordination_destroy(coordination);
}

static void full_table_and_bad_names_are_refused(void **state)
{
	struct gr_coordination *coordination = gr_coordination_create("node-a");
	char person[GR_PERSON_MAX + 2];

	(void)state;
	for (int i = 0; i < GR_COORDINATION_CLAIMS_MAX; i++) {
		snprintf(person, sizeof(person), "p%d", i);
		claim(coordination, person);
		assert_int_equal(last.status, 0);
	}
	claim(coordination, "one-too-many");
	assert_int_equal(last.status, GR_EFULL);
	claim(coordination, "");
	assert_int_equal(last.status, GR_EINVAL);
	memset(person, 'x', sizeof(person) - 1);
	person[sizeof(person) - 1] = '\0';
	claim(coordination, person);
	assert_int_equal(last.status, GR_EINVAL);
	gr_coordination_destroy(coordination);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claimed_person_is_mine_until_released),
		cmocka_unit_test(every_claim_has_a_greater_epoch),
		cmocka_unit_test(old_epoch_releases_nothing),
		cmocka_unit_test(full_table_and_bad_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
