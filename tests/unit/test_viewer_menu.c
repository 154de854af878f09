#include "viewer/menu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct gr_menu menu;

static enum gr_menu_action focus(void)
{
	size_t count;
	return gr_menu_table(&count)[menu.focus].action;
}

static enum gr_menu_action press(SDL_Keycode key)
{
	return gr_menu_key(&menu, key, KMOD_NONE);
}

static int begin(void **state)
{
	(void)state;
	menu = (struct gr_menu){ 0 };
	gr_menu_open(&menu);
	return 0;
}

static void every_entry_can_be_reached_by_arrows(void **state)
{
	(void)state;
	size_t count, reached = 0, entries = 0;
	const struct gr_menu_entry *table = gr_menu_table(&count);
	for (size_t i = 0; i < count; i++)
		entries += table[i].group >= 0;
	enum gr_menu_action first = focus();
	do {
		press(SDLK_DOWN);
		reached++;
	} while (focus() != first && reached < 100);
	assert_int_equal(reached, entries);
	press(SDLK_UP);
	assert_int_equal(focus(), GR_MENU_LEAVE);
	press(SDLK_HOME);
	assert_int_equal(focus(), first);
	press(SDLK_END);
	assert_int_equal(focus(), GR_MENU_LEAVE);
	gr_menu_key(&menu, SDLK_TAB, KMOD_LSHIFT);
	assert_int_equal(focus(), GR_MENU_KEYS);
}

static void enter_does_it_and_closes_escape_only_closes(void **state)
{
	(void)state;
	assert_int_equal(press(SDLK_RETURN), GR_MENU_FULL_SCREEN);
	assert_int_equal(menu.page, GR_MENU_CLOSED);
	gr_menu_open(&menu);
	assert_int_equal(press(SDLK_ESCAPE), GR_MENU_NOTHING);
	assert_int_equal(menu.page, GR_MENU_CLOSED);
	gr_menu_open(&menu);
	press(SDLK_DOWN);
	assert_int_equal(press(SDLK_SPACE), GR_MENU_LARGER);
	assert_int_equal(menu.page, GR_MENU_ENTRIES); /* larger still? */
	press(SDLK_END);
	press(SDLK_UP);
	assert_int_equal(press(SDLK_RETURN), GR_MENU_NOTHING);
	assert_int_equal(menu.page, GR_MENU_KEY_LIST);
	assert_int_equal(press(SDLK_DOWN), GR_MENU_NOTHING);
	assert_int_equal(press(SDLK_RETURN), GR_MENU_NOTHING);
	assert_int_equal(menu.page, GR_MENU_CLOSED);
}

static void what_cannot_be_used_is_passed_over(void **state)
{
	(void)state;
	menu.unusable = 1u << GR_MENU_FULL_SCREEN | 1u << GR_MENU_SMALLER;
	gr_menu_open(&menu);
	assert_int_equal(focus(), GR_MENU_LARGER);
	press(SDLK_DOWN);
	assert_int_equal(focus(), GR_MENU_USUAL_SIZE);
	assert_int_equal(gr_menu_choose(&menu, 0), GR_MENU_NOTHING);
	assert_int_equal(menu.page, GR_MENU_ENTRIES);
}

static void shortcuts_need_control_and_alt_and_are_told_apart(void **state)
{
	(void)state;
	const Uint16 both = KMOD_LCTRL | KMOD_LALT;
	size_t count;
	const struct gr_menu_entry *table = gr_menu_table(&count);
	assert_int_equal(gr_menu_shortcut(SDLK_m, both), GR_MENU_OPEN);
	assert_int_equal(gr_menu_shortcut(SDLK_SEMICOLON, both | KMOD_LSHIFT), GR_MENU_LARGER);
	assert_int_equal(gr_menu_shortcut(SDLK_F11, KMOD_NONE), GR_MENU_FULL_SCREEN);
	assert_int_equal(gr_menu_shortcut(SDLK_m, KMOD_LCTRL), GR_MENU_NOTHING);
	assert_int_equal(gr_menu_shortcut(SDLK_m, KMOD_LALT), GR_MENU_NOTHING);
	assert_int_equal(gr_menu_shortcut(SDLK_x, both), GR_MENU_NOTHING);
	for (size_t i = 0; i < count; i++) {
		assert_true(*table[i].keys && *table[i].japanese && *table[i].english);
		for (size_t k = 0; k < 4 && table[i].with_control_alt[k]; k++)
			assert_int_equal(gr_menu_shortcut(table[i].with_control_alt[k], both), table[i].action);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_entry_can_be_reached_by_arrows, begin),
		cmocka_unit_test_setup(enter_does_it_and_closes_escape_only_closes, begin),
		cmocka_unit_test_setup(what_cannot_be_used_is_passed_over, begin),
		cmocka_unit_test_setup(shortcuts_need_control_and_alt_and_are_told_apart, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
