#include "broker/gateway/factors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BOTH (GR_ASK_PASSWORD | GR_ASK_CODE)

static uint8_t answer[GR_ANSWER_BYTES];
static struct gr_identity_factors factors, none;

static void make(const char *password, size_t password_length, const char *code, size_t code_length)
{
	static const uint8_t head[6] = { 'G', 'R', 'S', 'A', 1, 1 };

	memset(answer, 0, sizeof answer);
	memcpy(answer, head, sizeof head);
	answer[8] = (uint8_t)(password_length >> 8);
	answer[9] = (uint8_t)password_length;
	answer[10] = (uint8_t)(code_length >> 8);
	answer[11] = (uint8_t)code_length;
	memcpy(answer + 16, password, password_length);
	memcpy(answer + 272, code, code_length);
}

static void refused(uint32_t ask)
{
	memset(&factors, 0xff, sizeof factors);
	assert_int_equal(gr_factors_of_answer(answer, ask, &factors), GR_EPROTO);
	assert_memory_equal(&factors, &none, sizeof none);
}

static void an_answer_has_what_was_asked_for(void **state)
{
	char longest[GR_IDENTITY_PASSWORD_MAX], code[GR_IDENTITY_CODE_MAX];

	(void)state;
	make("ひみつ pass", 14, "123456", 6);
	assert_int_equal(gr_factors_of_answer(answer, BOTH, &factors), 0);
	assert_int_equal(factors.password_length, 14);
	assert_int_equal(factors.code_length, 6);
	assert_memory_equal(factors.password, "ひみつ pass", 15);
	assert_memory_equal(factors.code, "123456", 7);
	refused(GR_ASK_PASSWORD);
	refused(GR_ASK_CODE);
	refused(0);

	make("", 0, "", 0);
	assert_int_equal(gr_factors_of_answer(answer, BOTH, &factors), 0);
	assert_memory_equal(&factors, &none, sizeof none);

	memset(longest, 'p', sizeof longest);
	memset(code, '~', sizeof code);
	make(longest, sizeof longest, code, sizeof code);
	assert_int_equal(gr_factors_of_answer(answer, BOTH, &factors), 0);
	assert_memory_equal(factors.password, longest, sizeof longest);
	assert_memory_equal(factors.code, code, sizeof code);
}

static void every_other_byte_of_an_answer_is_as_published(void **state)
{
	(void)state;
	for (size_t i = 0; i < GR_ANSWER_BYTES; i++) {
		make("secret", 6, "123456", 6);
		int is_text = (i >= 16 && i < 22) || (i >= 272 && i < 278);
		answer[i] ^= i == 5 ? 7 : 3; /* a letter or digit stays one; kind 2 is another form */
		if (!is_text)
			refused(BOTH);
		else
			assert_int_equal(gr_factors_of_answer(answer, BOTH, &factors), 0);
	}
	make("secret", 6, "123456", 6);
	answer[8] = 1; /* 262 */
	refused(BOTH);
	make("secret", 6, "123456", 6);
	answer[11] = 65;
	refused(BOTH);
}

static void a_ticket_stands_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i <= GR_ANSWER_BYTES; i++) {
		make("", 0, "", 0);
		answer[5] = 2;
		memset(answer + 16, 0xa5, GR_IDENTITY_TICKET);
		if (i < GR_ANSWER_BYTES)
			answer[i] ^= 4;
		if (i < GR_ANSWER_BYTES && (i < 16 || i >= 16 + GR_IDENTITY_TICKET)) {
			refused(BOTH);
			continue;
		}
		assert_int_equal(gr_factors_of_answer(answer, GR_ASK_CODE, &factors), 0);
		assert_int_equal(factors.ticketed, 1);
		assert_int_equal(factors.password_length + factors.code_length, 0);
		assert_memory_equal(factors.ticket, answer + 16, GR_IDENTITY_TICKET);
	}
}

static void an_answers_text_is_text(void **state)
{
	static const char *const passwords[] = { "\xff", "\xe3\x81", "a\0b", "a\x1b", "\xc0\xaf" };
	static const char *const codes[] = { "\x7f", "\x1f", "\xc3", "\0" };

	(void)state;
	for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
		make(passwords[i], i == 2 ? 3 : strlen(passwords[i]), "1", 1);
		refused(BOTH);
	}
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		make("a", 1, codes[i], 1);
		refused(BOTH);
	}
}

static void plain(const char *field, uint32_t ask, const char *password, const char *code)
{
	assert_int_equal(gr_factors_of_plain((const uint8_t *)field, strlen(field), ask, &factors), 0);
	assert_int_equal(factors.password_length, strlen(password));
	assert_int_equal(factors.code_length, strlen(code));
	assert_memory_equal(factors.password, password, strlen(password));
	assert_memory_equal(factors.code, code, strlen(code));
}

static void a_password_field_is_cut_by_what_was_asked_for(void **state)
{
	(void)state;
	plain("secret123456", BOTH, "secret", "123456");
	plain("123456", BOTH, "", "123456");
	plain("secret1234567", BOTH, "secret1", "234567");
	plain("secret12345", BOTH, "secret12345", "");
	plain("12345", BOTH, "12345", "");
	plain("", BOTH, "", "");
	plain("secret123456", GR_ASK_PASSWORD, "secret123456", "");
	plain("123456", GR_ASK_CODE, "", "123456");
	plain("abcd-efgh-ijkl", GR_ASK_CODE, "", "abcd-efgh-ijkl");
}

static void a_password_field_that_cannot_be_right_is_refused(void **state)
{
	uint8_t field[GR_IDENTITY_PASSWORD_MAX + 7];

	(void)state;
	memset(field, '0', sizeof field);
	assert_int_equal(gr_factors_of_plain(field, sizeof field - 1, BOTH, &factors), 0);
	assert_int_equal(gr_factors_of_plain(field, sizeof field, BOTH, &factors), GR_EINVAL);
	assert_memory_equal(&factors, &none, sizeof none);
	assert_int_equal(gr_factors_of_plain(field, GR_IDENTITY_CODE_MAX, GR_ASK_CODE, &factors), 0);
	assert_int_equal(gr_factors_of_plain(field, GR_IDENTITY_CODE_MAX + 1, GR_ASK_CODE, &factors), GR_EINVAL);
	assert_int_equal(gr_factors_of_plain((const uint8_t *)"\xe9", 1, BOTH, &factors), GR_EINVAL);
	assert_int_equal(gr_factors_of_plain((const uint8_t *)"\xe9", 1, GR_ASK_CODE, &factors), GR_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_what_was_asked_for),
		cmocka_unit_test(every_other_byte_of_an_answer_is_as_published),
		cmocka_unit_test(a_ticket_stands_alone),
		cmocka_unit_test(an_answers_text_is_text),
		cmocka_unit_test(a_password_field_is_cut_by_what_was_asked_for),
		cmocka_unit_test(a_password_field_that_cannot_be_right_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
