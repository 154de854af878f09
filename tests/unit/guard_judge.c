#include "tests/unit/guard_judge.h"
#include "broker/guard/state.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

const struct gr_guard_settings settings = { .max_width = 400, .max_height = 300, .history_log2 = 20, .strict = true };
struct stream s;

void begin(void)
{
	s.n = 0;
	put_init(&s, W, H);
}

struct verdict judge_as(uint32_t listed, size_t chunk)
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

void accepted(uint32_t listed)
{
	static const size_t chunks[] = { 0, 1, 7, 4096 };
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		struct verdict v = judge_as(listed, chunks[i]);
		if (v.rule)
			fail_msg("refused at %u: %s", (unsigned)v.offset, v.rule);
		assert_int_equal(v.passed, s.n);
	}
}

void refused_as(uint32_t listed, const char *rule, size_t passed)
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

void refused(const char *rule, size_t passed)
{
	refused_as(0, rule, passed);
}
