/*
 * The viewer's own menu and its keys: what there is, where the focus is, what a key does. No drawing (menu_draw.h), no I/O. The table in
 * menu.c is all there is to say about an entry: the menu, the list of keys and the shortcuts are made from it.
 */
#ifndef GARASU_VIEWER_MENU_H
#define GARASU_VIEWER_MENU_H

#include <SDL2/SDL.h>
#include <stddef.h>

enum gr_menu_action {
	GR_MENU_NOTHING,
	GR_MENU_FULL_SCREEN,
	GR_MENU_LARGER,
	GR_MENU_SMALLER,
	GR_MENU_USUAL_SIZE,
	GR_MENU_CONTRAST,
	GR_MENU_INPUT, /* whose input method */
	GR_MENU_PRINT,
	GR_MENU_SAVE,
	GR_MENU_KEYS, /* the list of keys */
	GR_MENU_LEAVE,
	GR_MENU_OPEN, /* opens and closes the menu: a key, no entry */
};

struct gr_menu_entry {
	enum gr_menu_action action;
	const char *japanese, *english;
	const char *keys; /* as the person reads them */
	SDL_Keycode with_control_alt[4]; /* any of these with Ctrl and Alt; 0: none */
	SDL_Keycode alone; /* this one, whatever is held */
	short group; /* a line stands between entries of different groups; -1: not in the menu */
	short repeats; /* as long as the key is held */
};

enum gr_menu_page { GR_MENU_CLOSED, GR_MENU_ENTRIES, GR_MENU_KEY_LIST };

struct gr_menu {
	enum gr_menu_page page;
	size_t focus; /* of the table; always an entry of the menu that can be used */
	unsigned checked, unusable; /* bits by action */
};

const struct gr_menu_entry *gr_menu_table(size_t *count_out);

/* What these keys are short for, menu open or not. */
enum gr_menu_action gr_menu_shortcut(SDL_Keycode key, Uint16 modifiers);

void gr_menu_open(struct gr_menu *menu);

/* A key while it is open: moves the focus, turns the page, closes it. Returns what is to be done now. */
enum gr_menu_action gr_menu_key(struct gr_menu *menu, SDL_Keycode key, Uint16 modifiers);

/* The entry was chosen by pointer. As gr_menu_key. */
enum gr_menu_action gr_menu_choose(struct gr_menu *menu, size_t entry);

/* Whether the entry is in the menu and can be used. */
int gr_menu_is_usable(const struct gr_menu *menu, size_t entry);

#endif
