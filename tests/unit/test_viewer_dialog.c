#include "viewer/dialog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BOTH (GR_ASK_PASSWORD | GR_ASK_CODE)

static struct gr_dialog dialog;

static const char *field(enum gr_dialog_part part)
{
	assert_int_equal(strlen(dialog.fields[part].text), dialog.fields[part].length);
	assert_true(dialog.fields[part].cursor <= dialog.fields[part].length);
	return dialog.fields[part].text;
}

static void text(const char *utf8)
{
	assert_int_equal(gr_dialog_text(&dialog, utf8), GR_DIALOG_CHANGED);
}

static void keys(int count, ...)
{
	va_list list;
	va_start(list, count);
	while (count--)
		assert_int_equal(gr_dialog_key(&dialog, va_arg(list, enum gr_dialog_key)), GR_DIALOG_CHANGED);
	va_end(list);
}

static void it_can_be_filled_and_given_by_keys_alone(void **state)
{
	struct gr_viewer_factors factors;
	(void)state;
	gr_dialog_ask(&dialog, BOTH);
	assert_int_equal(dialog.focus, GR_DIALOG_PASSWORD);
	text("ひみつ");
	text(" 1");
	keys(1, GR_DIALOG_KEY_ENTER); /* the code is empty: there the focus goes */
	assert_int_equal(dialog.focus, GR_DIALOG_CODE);
	text("123456");
	assert_int_equal(gr_dialog_key(&dialog, GR_DIALOG_KEY_ENTER), GR_DIALOG_GIVE);
	gr_dialog_give(&dialog, &factors);
	assert_int_equal(factors.password_length, 11);
	assert_memory_equal(factors.password, "ひみつ 1", 12);
	assert_int_equal(factors.code_length, 6);
	assert_memory_equal(factors.code, "123456", 7);
	static const struct gr_dialog_field empty[GR_DIALOG_FIELDS];
	assert_memory_equal(dialog.fields, empty, sizeof(empty));
}

static void tab_goes_round_through_what_is_asked(void **state)
{
	(void)state;
	static const enum gr_dialog_part both[] = { GR_DIALOG_CODE, GR_DIALOG_OK, GR_DIALOG_CANCEL,
						    GR_DIALOG_PASSWORD };
	gr_dialog_ask(&dialog, BOTH);
	for (size_t i = 0; i < 4; i++) {
		keys(1, GR_DIALOG_KEY_NEXT);
		assert_int_equal(dialog.focus, both[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(dialog.focus, both[3 - i]);
		keys(1, GR_DIALOG_KEY_PREVIOUS);
	}
	gr_dialog_ask(&dialog, GR_ASK_CODE);
	assert_int_equal(dialog.focus, GR_DIALOG_CODE);
	keys(3, GR_DIALOG_KEY_NEXT, GR_DIALOG_KEY_NEXT, GR_DIALOG_KEY_NEXT);
	assert_int_equal(dialog.focus, GR_DIALOG_CODE);
	text("12");
	keys(1, GR_DIALOG_KEY_NEXT);
	assert_int_equal(gr_dialog_key(&dialog, GR_DIALOG_KEY_SPACE), GR_DIALOG_GIVE);
	keys(1, GR_DIALOG_KEY_RIGHT);
	assert_int_equal(dialog.focus, GR_DIALOG_CANCEL);
	assert_int_equal(gr_dialog_key(&dialog, GR_DIALOG_KEY_ENTER), GR_DIALOG_LEAVE);
	assert_int_equal(gr_dialog_key(&dialog, GR_DIALOG_KEY_ESCAPE), GR_DIALOG_LEAVE);
}

static void editing_goes_by_characters(void **state)
{
	(void)state;
	gr_dialog_ask(&dialog, GR_ASK_PASSWORD);
	text("aéあ😀");
	keys(2, GR_DIALOG_KEY_LEFT, GR_DIALOG_KEY_BACKSPACE);
	assert_string_equal(field(GR_DIALOG_PASSWORD), "aé😀");
	keys(2, GR_DIALOG_KEY_HOME, GR_DIALOG_KEY_BACKSPACE);
	keys(3, GR_DIALOG_KEY_RIGHT, GR_DIALOG_KEY_DELETE, GR_DIALOG_KEY_DELETE);
	assert_string_equal(field(GR_DIALOG_PASSWORD), "a");
	keys(2, GR_DIALOG_KEY_DELETE, GR_DIALOG_KEY_RIGHT);
	text("い");
	keys(1, GR_DIALOG_KEY_ALL);
	text("z");
	assert_string_equal(field(GR_DIALOG_PASSWORD), "z");
	keys(3, GR_DIALOG_KEY_ALL, GR_DIALOG_KEY_DELETE, GR_DIALOG_KEY_LEFT);
	assert_string_equal(field(GR_DIALOG_PASSWORD), "");
	/* A click between two characters. */
	text("xy");
	assert_int_equal(gr_dialog_click(&dialog, GR_DIALOG_PASSWORD, 1), GR_DIALOG_CHANGED);
	text("-");
	assert_string_equal(field(GR_DIALOG_PASSWORD), "x-y");
	gr_dialog_click(&dialog, GR_DIALOG_PASSWORD, 100);
	assert_int_equal(dialog.fields[GR_DIALOG_PASSWORD].cursor, 3);
}

static void a_code_is_ascii_whatever_the_input_method_writes(void **state)
{
	(void)state;
	gr_dialog_ask(&dialog, GR_ASK_CODE);
	text("１２３ 4５6\n");
	assert_string_equal(field(GR_DIALOG_CODE), "123456");
	gr_dialog_ask(&dialog, GR_ASK_CODE);
	text("ＡＢｃｄ－efgh あé\t~");
	assert_string_equal(field(GR_DIALOG_CODE), "ABcd-efgh~");
}

static void what_does_not_fit_is_left_out(void **state)
{
	struct gr_viewer_factors factors;
	char longer[400];
	(void)state;
	gr_dialog_ask(&dialog, BOTH);
	memset(longer, 'p', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	text(longer);
	text("あ");
	assert_int_equal(dialog.fields[GR_DIALOG_PASSWORD].length, GR_PASSWORD_MAX);
	keys(1, GR_DIALOG_KEY_NEXT);
	text(longer);
	assert_int_equal(dialog.fields[GR_DIALOG_CODE].length, GR_CODE_MAX);
	gr_dialog_give(&dialog, &factors);
	assert_int_equal(factors.password_length, GR_PASSWORD_MAX);
	assert_int_equal(factors.code_length, GR_CODE_MAX);
	gr_dialog_ask(&dialog, BOTH);
	text("\xff\xfe"); /* no UTF-8: a clipboard has anything */
	text("a\x1b[31m");
	text("\t\n");
	assert_string_equal(field(GR_DIALOG_PASSWORD), "");
	keys(1, GR_DIALOG_KEY_PREVIOUS); /* on a button nothing is entered */
	text("x");
	assert_false(gr_dialog_complete(&dialog));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_can_be_filled_and_given_by_keys_alone),
		cmocka_unit_test(tab_goes_round_through_what_is_asked),
		cmocka_unit_test(editing_goes_by_characters),
		cmocka_unit_test(a_code_is_ascii_whatever_the_input_method_writes),
		cmocka_unit_test(what_does_not_fit_is_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
