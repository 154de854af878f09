/* Texts of the clipboard in a session: whole or not at all, and not more than one a second down. */
#include "broker/session/clipboard.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct gr_clipboard_text text;

static int take(const char *bytes, size_t left)
{
	return gr_clipboard_take(&text, (const uint8_t *)bytes, strlen(bytes), left);
}

static void a_text_is_whole_when_its_last_piece_is_there(void **state)
{
	(void)state;
	memset(&text, 0, sizeof(text));
	assert_int_equal(take("日\xe6\x9c", 2), 0); /* cut within a character */
	assert_int_equal(take("\xac"
			      "x",
			      0),
			 1);
	assert_int_equal(text.length, 7);
	assert_memory_equal(text.text, "日本x", 7);
	assert_int_equal(take("ab", 0), 1);
	assert_int_equal(text.length, 2);
}

static void pieces_that_do_not_fit_and_what_is_no_text_are_refused(void **state)
{
	(void)state;
	static uint8_t longest[GR_CLIPBOARD_MAX + 1];
	memset(&text, 0, sizeof(text));
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(gr_clipboard_take(&text, longest, GR_CLIPBOARD_MAX, 0), 1);
	assert_int_equal(gr_clipboard_take(&text, longest, GR_CLIPBOARD_MAX, 1), GR_EPROTO);
	assert_int_equal(gr_clipboard_take(&text, longest, GR_CLIPBOARD_MAX + 1, 0), GR_EPROTO);
	assert_int_equal(gr_clipboard_take(&text, longest, 1, GR_CLIPBOARD_MAX), GR_EPROTO);
	assert_int_equal(gr_clipboard_take(&text, longest, 1, SIZE_MAX), GR_EPROTO);
	assert_int_equal(take("", 0), GR_EPROTO);
	assert_int_equal(take("ab", 3), 0);
	assert_int_equal(take("ab", 3), GR_EPROTO); /* another one begins before the first is over */
	assert_int_equal(take("\x1b[A", 0), GR_EPROTO);
	assert_int_equal(take("a\r", 0), GR_EPROTO);
	assert_int_equal(take("\xed\xa0\x80", 0), GR_EPROTO);
	assert_int_equal(take("good", 0), 1);
}

static void records_carry_the_text_in_full_pieces(void **state)
{
	(void)state;
	static uint8_t all[GR_CLIPBOARD_MAX], got[GR_CLIPBOARD_MAX];
	static const size_t sizes[] = { 1, GR_TEXT_MAX - 1, GR_TEXT_MAX, GR_TEXT_MAX + 1, GR_CLIPBOARD_MAX };
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)('a' + i % 26);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct gr_record_clipboard record;
		size_t at = 0, n;
		memset(&text, 0, sizeof(text));
		assert_int_equal(gr_clipboard_take(&text, all, sizes[s], 0), 1);
		while ((n = gr_clipboard_record(&text, at, &record)) > 0) {
			assert_int_equal(record.type, GR_RECORD_SET_CLIPBOARD);
			assert_int_equal(record.length, n);
			assert_int_equal(record.left, sizes[s] - at - n);
			assert_true(n == GR_TEXT_MAX || !record.left);
			memcpy(got + at, record.text, n);
			at += n;
		}
		assert_int_equal(at, sizes[s]);
		assert_memory_equal(got, all, at);
	}
}

static void one_text_a_second_goes_down_and_the_newest_wins(void **state)
{
	(void)state;
	static struct gr_clipboard c;
	memset(&c, 0, sizeof(c));
	assert_int_equal(gr_clipboard_wait(&c, 5000), -1);
	assert_int_equal(gr_clipboard_take(&c.down, (const uint8_t *)"first", 5, 0), 1);
	gr_clipboard_wait_for_viewer(&c);
	assert_int_equal(gr_clipboard_wait(&c, 5000), 0);
	gr_clipboard_sent(&c, 5000);
	assert_int_equal(gr_clipboard_wait(&c, 5000), -1);
	assert_int_equal(gr_clipboard_take(&c.down, (const uint8_t *)"second", 6, 0), 1);
	gr_clipboard_wait_for_viewer(&c);
	assert_int_equal(gr_clipboard_wait(&c, 5400), 600);
	assert_int_equal(gr_clipboard_take(&c.down, (const uint8_t *)"3rd", 3, 0), 1);
	gr_clipboard_wait_for_viewer(&c);
	assert_int_equal(gr_clipboard_wait(&c, 6000), 0);
	assert_int_equal(c.waiting, 3);
	assert_memory_equal(c.text, "3rd", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_whole_when_its_last_piece_is_there),
		cmocka_unit_test(pieces_that_do_not_fit_and_what_is_no_text_are_refused),
		cmocka_unit_test(records_carry_the_text_in_full_pieces),
		cmocka_unit_test(one_text_a_second_goes_down_and_the_newest_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
