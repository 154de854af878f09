#include "sandbox/agent/keymap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { XK_SHIFT_L = 0xffe1, XK_NUM_LOCK = 0xff7f, XK_KP_END = 0xff9c, XK_KP_1 = 0xffb1, XK_LEVEL3 = 0xfe03 };

/* A corner of a Japanese keyboard as the X server words it. */
static struct gr_keymap map;

static void key(uint8_t keycode, uint32_t low, uint32_t high, uint8_t modifiers)
{
	map.keysyms[keycode][0] = low;
	map.keysyms[keycode][1] = high;
	map.modifiers[keycode] = modifiers;
}

static int setup(void **state)
{
	(void)state;
	memset(&map, 0, sizeof(map));
	key(11, '2', '"', 0);
	key(34, '@', '`', 0);
	key(38, 'a', 'A', 0);
	key(50, XK_SHIFT_L, 0, GR_MOD_SHIFT);
	key(62, 0xffe2, 0, GR_MOD_SHIFT);
	key(77, XK_NUM_LOCK, 0, 16);
	key(87, XK_KP_END, XK_KP_1, 0);
	key(97, '\\', '_', 0);
	gr_keymap_finish(&map);
	return 0;
}

static void the_left_shift_key_gives_shift(void **state)
{
	(void)state;
	assert_int_equal(map.shift_key, 50);
	assert_int_equal(map.num_lock, 16);
	assert_int_equal(map.level3, 0);
}

static void a_character_of_the_first_level_needs_no_shift(void **state)
{
	(void)state;
	uint32_t want = 99;
	assert_int_equal(gr_keymap_find(&map, '@', 0, &want), 34);
	assert_int_equal(want, 0);
	assert_int_equal(gr_keymap_find(&map, '@', GR_MOD_SHIFT | GR_MOD_CONTROL, &want), 34);
	assert_int_equal(want, GR_MOD_CONTROL);
}

static void a_character_of_the_second_level_needs_shift(void **state)
{
	(void)state;
	uint32_t want = 0;
	assert_int_equal(gr_keymap_find(&map, '"', 0, &want), 11);
	assert_int_equal(want, GR_MOD_SHIFT);
	assert_int_equal(gr_keymap_find(&map, '"', GR_MOD_SHIFT, &want), 11);
	assert_int_equal(want, GR_MOD_SHIFT);
}

static void lock_turns_letters_and_nothing_else(void **state)
{
	(void)state;
	uint32_t want = 0;
	assert_int_equal(gr_keymap_keysym(&map, 38, GR_MOD_LOCK), 'A');
	assert_int_equal(gr_keymap_keysym(&map, 38, GR_MOD_LOCK | GR_MOD_SHIFT), 'a');
	assert_int_equal(gr_keymap_keysym(&map, 11, GR_MOD_LOCK), '2');
	assert_int_equal(gr_keymap_find(&map, 'a', GR_MOD_LOCK, &want), 38);
	assert_int_equal(want, GR_MOD_LOCK | GR_MOD_SHIFT);
}

static void num_lock_chooses_the_level_of_the_keypad(void **state)
{
	(void)state;
	assert_int_equal(gr_keymap_keysym(&map, 87, 0), XK_KP_END);
	assert_int_equal(gr_keymap_keysym(&map, 87, 16), XK_KP_1);
	assert_int_equal(gr_keymap_keysym(&map, 87, 16 | GR_MOD_SHIFT), XK_KP_END);
}

static void the_third_level_is_reached_by_its_own_modifier(void **state)
{
	(void)state;
	uint32_t want = 0;
	key(108, XK_LEVEL3, 0, 128);
	map.keysyms[26][0] = 'e';
	map.keysyms[26][1] = 'E';
	map.keysyms[26][4] = 0x20ac;
	gr_keymap_finish(&map);
	assert_int_equal(map.level3_key, 108);
	assert_int_equal(gr_keymap_find(&map, 0x20ac, 0, &want), 26);
	assert_int_equal(want, 128);
}

static void what_no_key_gives_is_not_found(void **state)
{
	(void)state;
	uint32_t want;
	assert_int_equal(gr_keymap_find(&map, 0x01006f22, 0, &want), 0);
	assert_int_equal(gr_keymap_find(&map, 0, 0, &want), 0);
}

static void scancodes_of_a_japanese_keyboard_are_known(void **state)
{
	(void)state;
	assert_int_equal(gr_keymap_of_scancode(0x1e), 38); /* A */
	assert_int_equal(gr_keymap_of_scancode(0x29), 49); /* zenkaku/hankaku */
	assert_int_equal(gr_keymap_of_scancode(0x70), 101); /* katakana/hiragana */
	assert_int_equal(gr_keymap_of_scancode(0x73), 97); /* ro */
	assert_int_equal(gr_keymap_of_scancode(0x79), 100); /* henkan */
	assert_int_equal(gr_keymap_of_scancode(0x7b), 102); /* muhenkan */
	assert_int_equal(gr_keymap_of_scancode(0x7d), 132); /* yen */
	assert_int_equal(gr_keymap_of_scancode(0xcb), 113); /* Left */
	assert_int_equal(gr_keymap_of_scancode(0xd3), 119); /* Delete */
	assert_int_equal(gr_keymap_of_scancode(0x9d), 105); /* right Control */
}

static void no_scancode_gives_a_keycode_of_committed_text(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x10000; code++) {
		uint8_t keycode = gr_keymap_of_scancode(code);
		assert_true(keycode != 183 && keycode != 184 && keycode != 197 && keycode != 202);
	}
	assert_int_equal(gr_keymap_of_scancode(0), 0);
	assert_int_equal(gr_keymap_of_scancode(0xffffffff), 0);
}

static void keysyms_of_characters_have_their_code_points(void **state)
{
	(void)state;
	assert_int_equal(gr_keymap_unicode('a'), 'a');
	assert_int_equal(gr_keymap_unicode(0xa5), 0xa5);
	assert_int_equal(gr_keymap_unicode(0x4b1), 0x30a2);
	assert_int_equal(gr_keymap_unicode(0x4df), 0x309c);
	assert_int_equal(gr_keymap_unicode(0x01006f22), 0x6f22);
	assert_int_equal(gr_keymap_unicode(0x0101f600), 0x1f600);
	assert_int_equal(gr_keymap_unicode(0x0100d800), 0);
	assert_int_equal(gr_keymap_unicode(0x01110000), 0);
	assert_int_equal(gr_keymap_unicode(0x01000008), 0);
	assert_int_equal(gr_keymap_unicode(0xff0d), 0);
}

static void utf8_has_the_right_length(void **state)
{
	(void)state;
	uint8_t out[4];
	assert_int_equal(gr_keymap_utf8('a', out), 1);
	assert_int_equal(gr_keymap_utf8(0xa5, out), 2);
	assert_memory_equal(out, "\xc2\xa5", 2);
	assert_int_equal(gr_keymap_utf8(0x6f22, out), 3);
	assert_memory_equal(out, "\xe6\xbc\xa2", 3);
	assert_int_equal(gr_keymap_utf8(0x20b9f, out), 4);
	assert_memory_equal(out, "\xf0\xa0\xae\x9f", 4);
	assert_int_equal(gr_keymap_utf8(0xd800, out), 0);
	assert_int_equal(gr_keymap_utf8(0x110000, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_left_shift_key_gives_shift, setup),
		cmocka_unit_test_setup(a_character_of_the_first_level_needs_no_shift, setup),
		cmocka_unit_test_setup(a_character_of_the_second_level_needs_shift, setup),
		cmocka_unit_test_setup(lock_turns_letters_and_nothing_else, setup),
		cmocka_unit_test_setup(num_lock_chooses_the_level_of_the_keypad, setup),
		cmocka_unit_test_setup(the_third_level_is_reached_by_its_own_modifier, setup),
		cmocka_unit_test_setup(what_no_key_gives_is_not_found, setup),
		cmocka_unit_test_setup(scancodes_of_a_japanese_keyboard_are_known, setup),
		cmocka_unit_test_setup(no_scancode_gives_a_keycode_of_committed_text, setup),
		cmocka_unit_test_setup(keysyms_of_characters_have_their_code_points, setup),
		cmocka_unit_test_setup(utf8_has_the_right_length, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
