/* Key names, layouts and the command line of garasu-viewer. */
#include "viewer/keys.h"
#include "viewer/messages.h"
#include "viewer/options.h"

#include <getopt.h>
#include <SDL_scancode.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

static void key_names_and_combinations_are_understood(void **state)
{
	(void)state;
	uint32_t keysyms[4];
	uint8_t xts[4];
	assert_int_equal(gr_key_parse("Return", keysyms, xts, 4), 1);
	assert_int_equal(keysyms[0], 0xff0d);
	assert_int_equal(xts[0], 0x1c);
	assert_int_equal(gr_key_parse("Control_L+l", keysyms, xts, 4), 2);
	assert_int_equal(keysyms[0], 0xffe3);
	assert_int_equal(keysyms[1], 'l');
	assert_int_equal(gr_key_parse("ctrl+alt+Delete", keysyms, xts, 4), 3);
	assert_int_equal(gr_key_parse("+", keysyms, xts, 4), 1);
	assert_int_equal(keysyms[0], '+');
	assert_int_equal(gr_key_parse("ctrl++", keysyms, xts, 4), 2);
	assert_int_equal(gr_key_parse("0x1003042", keysyms, xts, 4), 1);
	assert_int_equal(keysyms[0], 0x1003042);
	assert_int_equal(gr_key_parse("", keysyms, xts, 4), -1);
	assert_int_equal(gr_key_parse("Retrun", keysyms, xts, 4), -1);
	assert_int_equal(gr_key_parse("a+b+c+d+e", keysyms, xts, 4), -1);
	assert_int_equal(gr_key_parse("0x0", keysyms, xts, 4), -1);
}

static void every_printable_ascii_character_has_a_key(void **state)
{
	(void)state;
	uint32_t keysym;
	uint8_t xt;
	int shift;
	for (int c = 0x20; c < 0x7f; c++) {
		assert_int_equal(gr_key_of_ascii((char)c, &keysym, &xt, &shift), 0);
		assert_int_equal(keysym, c);
		assert_true(xt);
	}
	assert_int_equal(gr_key_of_ascii('\n', &keysym, &xt, &shift), -1);
	gr_key_of_ascii('A', &keysym, &xt, &shift);
	assert_int_equal(shift, 1);
	assert_int_equal(xt, 0x1e);
}

static void japanese_keys_have_their_scancodes(void **state)
{
	(void)state;
	assert_int_equal(gr_key_xt(SDL_SCANCODE_INTERNATIONAL4), 0x79);
	assert_int_equal(gr_key_of_scancode(SDL_SCANCODE_INTERNATIONAL4)->keysym, 0xff23);
	assert_int_equal(gr_key_xt(SDL_SCANCODE_INTERNATIONAL3), 0x7d);
	assert_null(gr_key_of_scancode(SDL_SCANCODE_INTERNATIONAL3));
	assert_int_equal(gr_key_xt(SDL_SCANCODE_RIGHT), 0x80 | 0x4d);
}

static void one_character_is_told_from_none_and_two(void **state)
{
	(void)state;
	assert_int_equal(gr_one_character("a"), 'a');
	assert_int_equal(gr_one_character("é"), 0xe9);
	assert_int_equal(gr_one_character("日"), 0x65e5);
	assert_int_equal(gr_one_character("😀"), 0x1f600);
	assert_int_equal(gr_one_character(""), 0);
	assert_int_equal(gr_one_character("ab"), 0);
	assert_int_equal(gr_one_character("日本"), 0);
	assert_int_equal(gr_one_character("\xe6\x97"), 0);
	assert_int_equal(gr_one_character("\xff"), 0);
}

static int parse(struct gr_viewer_options *options, const char *target, const char *option, const char *value)
{
	char *arguments[8] = { (char *)(uintptr_t) "garasu-viewer", (char *)(uintptr_t) "--ca",
			       (char *)(uintptr_t) "ca.pem" };
	int n = 3;
	if (option)
		arguments[n++] = (char *)(uintptr_t)option;
	if (value)
		arguments[n++] = (char *)(uintptr_t)value;
	arguments[n++] = (char *)(uintptr_t)target;
	optind = 0;
	return gr_viewer_options_parse(options, n, arguments);
}

static void targets_are_taken_apart(void **state)
{
	(void)state;
	struct gr_viewer_options options;
	assert_int_equal(parse(&options, "broker.example.lg.jp", NULL, NULL), 0);
	assert_string_equal(options.host, "broker.example.lg.jp");
	assert_string_equal(options.server_name, "broker.example.lg.jp");
	assert_string_equal(options.port, "5910");
	assert_int_equal(parse(&options, "localhost:4000", "--server-name", "other"), 0);
	assert_string_equal(options.port, "4000");
	assert_string_equal(options.server_name, "other");
	assert_int_equal(parse(&options, "[::1]:4000", NULL, NULL), 0);
	assert_string_equal(options.host, "::1");
	assert_int_equal(parse(&options, "fe80::1", NULL, NULL), 0);
	assert_string_equal(options.host, "fe80::1");
	assert_string_equal(options.port, "5910");
	assert_int_equal(parse(&options, "host:0", NULL, NULL), -1);
	assert_int_equal(parse(&options, "host:65536", NULL, NULL), -1);
	assert_int_equal(parse(&options, "host:", NULL, NULL), -1);
	assert_int_equal(parse(&options, ":5910", NULL, NULL), -1);
}

static void values_out_of_range_are_refused(void **state)
{
	(void)state;
	struct gr_viewer_options options;
	assert_int_equal(parse(&options, "h", "--quality", "10"), 0);
	assert_int_equal(options.quality, 10);
	assert_int_equal(parse(&options, "h", "--quality", "0"), 0);
	assert_int_equal(options.quality, 0);
	assert_int_equal(parse(&options, "h", "--quality", "-1"), -1);
	assert_int_equal(parse(&options, "h", "--quality", "11"), -1);
	assert_int_equal(parse(&options, "h", "--history", "20"), 0);
	assert_int_equal(options.history_log2, 20);
	assert_int_equal(parse(&options, "h", "--history", "19"), -1);
	assert_int_equal(parse(&options, "h", "--history", "26"), -1);
	assert_int_equal(parse(&options, "h", "--size", "1280x800"), 0);
	assert_int_equal(options.width, 1280);
	assert_int_equal(options.height, 800);
	assert_int_equal(parse(&options, "h", "--input", "session"), 0);
	assert_int_equal(options.input, GR_IME_SESSION);
	assert_int_equal(parse(&options, "h", "--input", "local"), 0);
	assert_int_equal(options.input, GR_IME_LOCAL);
	assert_int_equal(parse(&options, "h", "--input", "sessions"), -1);
	assert_int_equal(parse(&options, "h", "--size", "1280"), -1);
	assert_int_equal(parse(&options, "h", "--size", "63x800"), -1);
	assert_int_equal(parse(&options, "h", "--size", "1280x8193"), -1);
	assert_int_equal(parse(&options, "h", "--size", "1280x800x"), -1);
	assert_int_equal(parse(&options, "h", "--key", "k.pem"), -1);
	assert_int_equal(parse(&options, "h", "--nonsense", NULL), -1);
}

static void photographs_are_lossy_first_unless_a_picture_is_to_be_kept(void **state)
{
	(void)state;
	struct gr_viewer_options options;
	assert_int_equal(parse(&options, "h", NULL, NULL), 0);
	assert_int_equal(options.quality, 8);
	assert_int_equal(options.history_log2, 25);
	assert_int_equal(parse(&options, "h", "--screenshot", "a.png"), 0);
	assert_int_equal(options.quality, 0);
	assert_int_equal(parse(&options, "h", "--screenshot-window", "a.png"), 0);
	assert_int_equal(options.quality, 0);
}

static void every_failure_and_reason_has_its_message(void **state)
{
	(void)state;
	for (int i = 0; i < GR_FAIL_COUNT; i++) {
		struct gr_message message = gr_message_get((enum gr_failure)i, 1);
		assert_true(message.name && *message.what);
		assert_true(i == GR_FAIL_NONE || *message.action);
	}
	static const int exit_codes[] = { [1] = 4, 4, 5, 5, 6, 7, 7, 7, 7, 8, 6, 4, 8, 6 };
	for (unsigned reason = 1; reason <= 14; reason++)
		assert_int_equal(gr_message_get(GR_FAIL_REASON, reason).exit_code, exit_codes[reason]);
	assert_string_equal(gr_message_get(GR_FAIL_REASON, 9999).name, "internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_names_and_combinations_are_understood),
		cmocka_unit_test(every_printable_ascii_character_has_a_key),
		cmocka_unit_test(japanese_keys_have_their_scancodes),
		cmocka_unit_test(one_character_is_told_from_none_and_two),
		cmocka_unit_test(targets_are_taken_apart),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(photographs_are_lossy_first_unless_a_picture_is_to_be_kept),
		cmocka_unit_test(every_failure_and_reason_has_its_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
