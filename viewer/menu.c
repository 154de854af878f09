#include "viewer/menu.h"

/* On a Japanese keyboard + stands on the key of ;, on an American one on that of =. */
static const struct gr_menu_entry table[] = {
	{ GR_MENU_FULL_SCREEN, "全画面表示", "Full screen", "F11", { SDLK_RETURN, SDLK_KP_ENTER }, SDLK_F11, 0, 0 },
	{ GR_MENU_LARGER,
	  "拡大",
	  "Larger",
	  "Ctrl+Alt++",
	  { SDLK_PLUS, SDLK_SEMICOLON, SDLK_EQUALS, SDLK_KP_PLUS },
	  0,
	  1,
	  1 },
	{ GR_MENU_SMALLER, "縮小", "Smaller", "Ctrl+Alt+-", { SDLK_MINUS, SDLK_KP_MINUS }, 0, 1, 1 },
	{ GR_MENU_USUAL_SIZE, "元の大きさ", "Usual size", "Ctrl+Alt+0", { SDLK_0, SDLK_KP_0 }, 0, 1, 0 },
	{ GR_MENU_CONTRAST, "ハイコントラスト", "High contrast", "Ctrl+Alt+H", { SDLK_h }, 0, 2, 0 },
	{ GR_MENU_INPUT, "接続先の日本語入力を使う", "Input method of the session", "Ctrl+Alt+J", { SDLK_j }, 0, 2, 0 },
	{ GR_MENU_PRINT, "印刷・画像保存", "Print or save as images", "Ctrl+Alt+P", { SDLK_p }, 0, 3, 0 },
	{ GR_MENU_SAVE, "画面を画像で保存", "Save the picture", "Ctrl+Alt+S", { SDLK_s }, 0, 3, 0 },
	{ GR_MENU_KEYS, "キー操作の一覧", "List of keys", "Ctrl+Alt+K", { SDLK_k }, 0, 4, 0 },
	{ GR_MENU_LEAVE, "終了", "Leave", "Ctrl+Alt+Q", { SDLK_q }, 0, 5, 0 },
	{ GR_MENU_OPEN, "メニューを開く・閉じる", "Open or close the menu", "Ctrl+Alt+M", { SDLK_m }, 0, -1, 0 },
};
enum { ENTRIES = sizeof(table) / sizeof(table[0]) };

const struct gr_menu_entry *gr_menu_table(size_t *count_out)
{
	*count_out = ENTRIES;
	return table;
}

enum gr_menu_action gr_menu_shortcut(SDL_Keycode key, Uint16 modifiers)
{
	int both = modifiers & KMOD_CTRL && modifiers & KMOD_ALT && !(modifiers & KMOD_GUI);
	for (size_t i = 0; i < ENTRIES; i++) {
		if (table[i].alone && key == table[i].alone)
			return table[i].action;
		for (size_t k = 0; both && k < 4; k++)
			if (table[i].with_control_alt[k] && key == table[i].with_control_alt[k])
				return table[i].action;
	}
	return GR_MENU_NOTHING;
}

int gr_menu_is_usable(const struct gr_menu *menu, size_t entry)
{
	return entry < ENTRIES && table[entry].group >= 0 && !(menu->unusable >> table[entry].action & 1);
}

/* The next entry that can be used, from there on: at least the last one can. */
static void move(struct gr_menu *menu, size_t from, size_t step)
{
	menu->focus = from % ENTRIES;
	while (!gr_menu_is_usable(menu, menu->focus))
		menu->focus = (menu->focus + step) % ENTRIES;
}

void gr_menu_open(struct gr_menu *menu)
{
	menu->page = GR_MENU_ENTRIES;
	move(menu, 0, 1);
}

enum gr_menu_action gr_menu_choose(struct gr_menu *menu, size_t entry)
{
	if (!gr_menu_is_usable(menu, entry))
		return GR_MENU_NOTHING;
	menu->focus = entry;
	/* One wants to press these several times. */
	if (table[entry].repeats)
		return table[entry].action;
	menu->page = table[entry].action == GR_MENU_KEYS ? GR_MENU_KEY_LIST : GR_MENU_CLOSED;
	return menu->page == GR_MENU_CLOSED ? table[entry].action : GR_MENU_NOTHING;
}

enum gr_menu_action gr_menu_key(struct gr_menu *menu, SDL_Keycode key, Uint16 modifiers)
{
	int enter = key == SDLK_RETURN || key == SDLK_KP_ENTER || key == SDLK_SPACE;
	if (key == SDLK_ESCAPE || (enter && menu->page == GR_MENU_KEY_LIST)) {
		menu->page = GR_MENU_CLOSED;
	} else if (menu->page == GR_MENU_ENTRIES) {
		int back = key == SDLK_UP || (key == SDLK_TAB && modifiers & KMOD_SHIFT);
		if (enter)
			return gr_menu_choose(menu, menu->focus);
		if (back || key == SDLK_END)
			move(menu, (key == SDLK_END ? ENTRIES : menu->focus + ENTRIES) - 1, ENTRIES - 1);
		else if (key == SDLK_DOWN || key == SDLK_TAB)
			move(menu, menu->focus + 1, 1);
		else if (key == SDLK_HOME)
			move(menu, 0, 1);
	}
	return GR_MENU_NOTHING;
}
