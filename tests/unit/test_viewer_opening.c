#include "viewer/opening.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct gr_opening o;

static int parse(const char *bytes)
{
	memset(&o, 0, sizeof(o));
	return gr_opening_parse((const uint8_t *)bytes, &o);
}

static void records_are_read_as_published(void **state)
{
	(void)state;
	assert_int_equal(parse("GRSU\1\1\0\0\3\0\0\0\0\0\0\0"), 0);
	assert_int_equal(o.kind, GR_OPENING_READY);
	assert_int_equal(o.flags, GR_READY_WATERMARK | GR_READY_RECORDED);
	assert_int_equal(parse("GRSU\1\2\0\x10\0\0\1\x2c\0\0\0\0"), 0);
	assert_int_equal(o.kind, GR_OPENING_REFUSED);
	assert_int_equal(o.reason, 16);
	assert_int_equal(o.seconds, 300);
	assert_int_equal(parse("GRSU\1\3\0\0\0\0\0\0\0\0\0\0"), 0);
	assert_int_equal(o.kind, GR_OPENING_WAIT);
	assert_int_equal(parse("GRSU\1\6\1\2\3\0\0\x3c\0\1\0\0"), 0);
	assert_int_equal(o.kind, GR_OPENING_TERMS);
	assert_int_equal(o.terms.minutes, 258);
	assert_int_equal(o.terms.flags, GR_TERMS_CLIPBOARD_DOWN | GR_TERMS_PRINTING);
	assert_int_equal(o.terms.grace_seconds, 60);
	assert_int_equal(o.terms.clipboard_up, GR_CLIPBOARD_MAX);
	assert_int_equal(parse("GRSU\1\6\1\2\3\0\0\x3c\0\1\0\1"), GR_EPROTO);
	assert_int_equal(parse("GRSU\1\5\0\x0f\3\4\0\2\0\0\0\0"), 0);
	assert_int_equal(o.kind, GR_OPENING_ASK);
	assert_int_equal(o.reason, 15);
	assert_int_equal(o.flags, GR_ASK_PASSWORD | GR_ASK_CODE);
	assert_int_equal(o.tries, 4);
	assert_int_equal(o.seconds, 2);
}

static void fields_that_a_kind_has_not_are_zero(void **state)
{
	/* Of each kind, the bytes that may be something: a bit each, from byte 6 on. */
	static const unsigned may[] = {
		[1] = 1 << 2, [2] = 3 | 3 << 4, [5] = 3 | 1 << 2 | 1 << 3 | 3 << 4, [6] = 3 | 1 << 2 | 3 << 4 | 3 << 8
	};
	(void)state;
	for (int kind = 0; kind < 256; kind++) {
		for (int i = 6; i < 16; i++) {
			char record[16] = "GRSU\1";
			record[5] = (char)kind;
			if (kind == 5)
				record[8] = 1;
			record[i] |= 2;
			int good = kind < 7 && kind != 0 && kind != 4 && may[kind] >> (i - 6) & 1;
			assert_int_equal(parse(record), good ? 0 : GR_EPROTO);
		}
	}
	assert_int_equal(parse("GRSU\1\5\0\0\0\0\0\0\0\0\0\0"), GR_EPROTO); /* asks for nothing */
	assert_int_equal(parse("GRSU\1\5\0\0\4\0\0\0\0\0\0\0"), GR_EPROTO);
	assert_int_equal(parse("GRSU\2\1\0\0\0\0\0\0\0\0\0\0"), GR_EINVAL);
	assert_int_equal(parse("RFB 003.008\n\0\0\0\0"), GR_EINVAL);
}

static void an_answer_is_as_published(void **state)
{
	struct gr_viewer_factors factors = {
		.password_length = 3, .code_length = 6, .password = "abc", .code = "123456"
	};
	uint8_t answer[GR_ANSWER_BYTES], expected[GR_ANSWER_BYTES] = "GRSA\1\1\0\0\0\3\0\6";
	(void)state;
	memcpy(expected + 16, factors.password, 3);
	memcpy(expected + 272, factors.code, 6);
	gr_opening_answer(&factors, answer);
	assert_memory_equal(answer, expected, sizeof(answer));
	factors.password_length = GR_PASSWORD_MAX;
	factors.code_length = GR_CODE_MAX;
	memset(factors.password, 'p', sizeof(factors.password));
	memset(factors.code, 'c', sizeof(factors.code));
	expected[8] = 1;
	expected[9] = 0;
	expected[11] = 64;
	memset(expected + 16, 'p', GR_PASSWORD_MAX);
	memset(expected + 272, 'c', GR_CODE_MAX);
	gr_opening_answer(&factors, answer);
	assert_memory_equal(answer, expected, sizeof(answer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_read_as_published),
		cmocka_unit_test(fields_that_a_kind_has_not_are_zero),
		cmocka_unit_test(an_answer_is_as_published),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
