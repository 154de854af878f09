/*
 * Keys: from what a viewer sends (XT scancodes, X keysyms) to keycodes of the container's X server and the modifiers
 * needed. Pure tables and look-ups; the map itself is read by the caller (GetKeyboardMapping, GetModifierMapping).
 */
#ifndef GARASU_AGENT_KEYMAP_H
#define GARASU_AGENT_KEYMAP_H

#include <stdint.h>

/* Bits of a modifier state, X11 protocol, SETofKEYBUTMASK. */
#define GR_MOD_SHIFT 1u
#define GR_MOD_LOCK 2u
#define GR_MOD_CONTROL 4u

#define GR_KEYMAP_COLUMNS 6 /* core columns: 0, 1 the levels without and with Shift; 4, 5 those with level 3 */

struct gr_keymap {
	uint32_t keysyms[256][GR_KEYMAP_COLUMNS]; /* by keycode; 0 where there is none */
	uint8_t modifiers[256]; /* by keycode: the modifier bits that the key is mapped to */
	/* Derived by gr_keymap_finish. */
	uint32_t num_lock, level3; /* modifier bit, 0: none */
	uint8_t shift_key, level3_key; /* a keycode that gives the modifier, 0: none */
};

/* Fills the derived fields from the two tables. */
void gr_keymap_finish(struct gr_keymap *map);

/*
 * X keycode (evdev numbering: the Linux key code + 8) of an XT scancode as in the QEMU extended key event, where a
 * 0xe0-prefixed code is 0x80 | code. 0: unknown.
 */
uint8_t gr_keymap_of_scancode(uint32_t scancode);

/* The keysym that a key gives under a modifier state, by the core protocol's rules; 0: none. */
uint32_t gr_keymap_keysym(const struct gr_keymap *map, uint8_t keycode, uint32_t state);

/*
 * Finds the key that gives keysym under the present modifier state, or with Shift and level 3 set or cleared.
 * *want_out: the state with these two as they must be for the key. Prefers the fewest changes. Returns the keycode; 0: none.
 */
uint8_t gr_keymap_find(const struct gr_keymap *map, uint32_t keysym, uint32_t state, uint32_t *want_out);

/* Whether a keysym stands for a character (so that a keyboard of another layout may give it by another key). */
int gr_keymap_is_character(uint32_t keysym);

/* The Unicode character of a keysym: Latin-1, kana, and 0x01000000 + code point; 0: none. */
uint32_t gr_keymap_unicode(uint32_t keysym);

/* Writes the UTF-8 of a code point (not a surrogate, at most 0x10ffff), 1 to 4 bytes. Returns their number; 0: none. */
uint32_t gr_keymap_utf8(uint32_t character, uint8_t out[4]);

#endif
