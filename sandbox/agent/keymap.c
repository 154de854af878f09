#include "sandbox/agent/keymap.h"

#include <stddef.h>

enum {
	XK_MODE_SWITCH = 0xff7e,
	XK_NUM_LOCK = 0xff7f,
	XK_KP_FIRST = 0xff80, /* KP_Space */
	XK_KP_LAST = 0xffbd, /* KP_Equal */
	XK_LEVEL3 = 0xfe03, /* ISO_Level3_Shift */
	XK_SHIFT_L = 0xffe1,
	UNICODE_KEYSYM = 0x01000000,
	EVDEV_OFFSET = 8,
};

/* Linux key codes (input-event-codes.h) of the XT scancodes that differ from them: set 1, and set 1 behind 0xe0. */
static const struct {
	uint8_t scancode, key;
} others[] = {
	{ 0x54, 99 }, /* SysRq */
	{ 0x59, 117 }, /* keypad = */
	{ 0x70, 93 }, /* katakana/hiragana */
	{ 0x73, 89 }, /* ro: backslash of Japanese keyboards */
	{ 0x76, 85 }, /* zenkaku/hankaku where it has a code of its own; on most keyboards it is 0x29 */
	{ 0x77, 91 }, /* hiragana */
	{ 0x78, 90 }, /* katakana */
	{ 0x79, 92 }, /* henkan */
	{ 0x7b, 94 }, /* muhenkan */
	{ 0x7d, 124 }, /* yen */
	{ 0x7e, 121 }, /* keypad comma */
	{ 0x9c, 96 }, /* keypad Enter */
	{ 0x9d, 97 }, /* right Control */
	{ 0xa0, 113 }, /* mute */
	{ 0xae, 114 }, /* volume down */
	{ 0xb0, 115 }, /* volume up */
	{ 0xb2, 172 }, /* home page */
	{ 0xb5, 98 }, /* keypad / */
	{ 0xb7, 99 }, /* Print */
	{ 0xb8, 100 }, /* right Alt */
	{ 0xc6, 119 }, /* Pause */
	{ 0xc7, 102 }, /* Home */
	{ 0xc8, 103 }, /* Up */
	{ 0xc9, 104 }, /* Page Up */
	{ 0xcb, 105 }, /* Left */
	{ 0xcd, 106 }, /* Right */
	{ 0xcf, 107 }, /* End */
	{ 0xd0, 108 }, /* Down */
	{ 0xd1, 109 }, /* Page Down */
	{ 0xd2, 110 }, /* Insert */
	{ 0xd3, 111 }, /* Delete */
	{ 0xdb, 125 }, /* left Meta */
	{ 0xdc, 126 }, /* right Meta */
	{ 0xdd, 127 }, /* Menu */
	{ 0xe5, 217 }, /* search */
	{ 0xe7, 173 }, /* refresh */
	{ 0xe8, 128 }, /* stop */
	{ 0xe9, 159 }, /* forward */
	{ 0xea, 158 }, /* back */
	{ 0xf1, 123 }, /* hanja */
	{ 0xf2, 122 }, /* hangul */
};

/* X keysyms 0x4a1 .. 0x4df (half-width katakana keys of JIS keyboards) in Unicode, keysymdef.h. */
static const uint16_t kana[] = {
	0x3002, 0x300c, 0x300d, 0x3001, 0x30fb, 0x30f2, 0x30a1, 0x30a3, 0x30a5, 0x30a7, 0x30a9, 0x30e3, 0x30e5,
	0x30e7, 0x30c3, 0x30fc, 0x30a2, 0x30a4, 0x30a6, 0x30a8, 0x30aa, 0x30ab, 0x30ad, 0x30af, 0x30b1, 0x30b3,
	0x30b5, 0x30b7, 0x30b9, 0x30bb, 0x30bd, 0x30bf, 0x30c1, 0x30c4, 0x30c6, 0x30c8, 0x30ca, 0x30cb, 0x30cc,
	0x30cd, 0x30ce, 0x30cf, 0x30d2, 0x30d5, 0x30d8, 0x30db, 0x30de, 0x30df, 0x30e0, 0x30e1, 0x30e2, 0x30e4,
	0x30e6, 0x30e8, 0x30e9, 0x30ea, 0x30eb, 0x30ec, 0x30ed, 0x30ef, 0x30f3, 0x309b, 0x309c,
};

void gr_keymap_finish(struct gr_keymap *map)
{
	map->num_lock = map->level3 = 0;
	map->shift_key = map->level3_key = 0;
	for (unsigned key = 8; key < 256; key++) {
		uint32_t keysym = map->keysyms[key][0];
		if ((map->modifiers[key] & GR_MOD_SHIFT) && (!map->shift_key || keysym == XK_SHIFT_L))
			map->shift_key = (uint8_t)key;
		if (keysym == XK_NUM_LOCK)
			map->num_lock |= map->modifiers[key];
		if ((keysym == XK_LEVEL3 || keysym == XK_MODE_SWITCH) && map->modifiers[key] && !map->level3_key) {
			map->level3_key = (uint8_t)key;
			map->level3 = map->modifiers[key];
		}
	}
}

uint8_t gr_keymap_of_scancode(uint32_t scancode)
{
	if (scancode >= 1 && scancode <= 83) /* Escape to the keypad's dot: the same numbers */
		return (uint8_t)(scancode + EVDEV_OFFSET);
	if (scancode >= 86 && scancode <= 88) /* <>| of 102-key keyboards, F11, F12 */
		return (uint8_t)(scancode + EVDEV_OFFSET);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].scancode == scancode)
			return (uint8_t)(others[i].key + EVDEV_OFFSET);
	return 0;
}

/* Lower and upper case of the letters that Lock turns: ASCII and Latin-1. */
static int is_lower(uint32_t keysym)
{
	return (keysym >= 'a' && keysym <= 'z') || (keysym >= 0xe0 && keysym <= 0xfe && keysym != 0xf7);
}

uint32_t gr_keymap_keysym(const struct gr_keymap *map, uint8_t keycode, uint32_t state)
{
	const uint32_t *syms = map->keysyms[keycode];
	size_t base = map->level3 && (state & map->level3) && (syms[4] || syms[5]) ? 4 : 0;
	uint32_t low = syms[base], high = syms[base + 1];
	int shift = (state & GR_MOD_SHIFT) != 0;

	if (map->num_lock && (state & map->num_lock) && high >= XK_KP_FIRST && high <= XK_KP_LAST)
		return shift ? low : high;
	if ((state & GR_MOD_LOCK) && is_lower(low))
		shift = !shift;
	if (!shift)
		return low;
	if (high)
		return high;
	return is_lower(low) ? low - 0x20 : low;
}

uint8_t gr_keymap_find(const struct gr_keymap *map, uint32_t keysym, uint32_t state, uint32_t *want_out)
{
	const uint32_t changes[] = { 0, GR_MOD_SHIFT, map->level3, map->level3 | GR_MOD_SHIFT };
	for (size_t i = 0; i < (map->level3 ? 4 : 2); i++) {
		uint32_t want = state ^ changes[i];
		for (unsigned key = 8; key < 256; key++)
			if (map->keysyms[key][0] && gr_keymap_keysym(map, (uint8_t)key, want) == keysym) {
				*want_out = want;
				return (uint8_t)key;
			}
	}
	return 0;
}

int gr_keymap_is_character(uint32_t keysym)
{
	return gr_keymap_unicode(keysym) != 0;
}

uint32_t gr_keymap_unicode(uint32_t keysym)
{
	if ((keysym >= 0x20 && keysym <= 0x7e) || (keysym >= 0xa0 && keysym <= 0xff))
		return keysym;
	if (keysym >= 0x4a1 && keysym < 0x4a1 + sizeof(kana) / sizeof(kana[0]))
		return kana[keysym - 0x4a1];
	if (keysym == 0x47e) /* overline */
		return 0x203e;
	uint32_t character = keysym - UNICODE_KEYSYM;
	if (keysym >= UNICODE_KEYSYM + 0x20 && character <= 0x10ffff && !(character >= 0xd800 && character <= 0xdfff) &&
	    !(character >= 0x7f && character <= 0x9f))
		return character;
	return 0;
}

uint32_t gr_keymap_utf8(uint32_t character, uint8_t out[4])
{
	if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
		return 0;
	if (character < 0x80) {
		out[0] = (uint8_t)character;
		return 1;
	}
	uint32_t n = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	for (uint32_t i = n - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (character & 0x3f));
		character >>= 6;
	}
	out[0] = (uint8_t)((0xf00u >> n) | character);
	return n;
}
