/*
 * Keys: names (of X keysyms), keysyms, QEMU's XT scancodes (PC set 1; 0x80 | code for those with an 0xe0 prefix)
 * and SDL scancodes, in one table; and which key of a US keyboard makes an ASCII character.
 */
#ifndef GARASU_VIEWER_KEYS_H
#define GARASU_VIEWER_KEYS_H

#include <stddef.h>
#include <stdint.h>

struct gr_key {
	const char *name;
	uint32_t keysym;
	uint8_t xt; /* 0: none */
	uint16_t scancode; /* SDL_Scancode; 0: none */
};

/* The left ones; the right ones are the next. */
#define GR_KEYSYM_SHIFT 0xffe1u
#define GR_KEYSYM_CONTROL 0xffe3u

/* The key that stands for no character (Return, F1, Shift_L, Henkan …) at this SDL scancode, or NULL. */
const struct gr_key *gr_key_of_scancode(unsigned scancode);

/* The XT scancode of any key, by its SDL scancode; 0: unknown. */
uint8_t gr_key_xt(unsigned scancode);

/* A character key of a US keyboard. Returns 0, or -1 when no key makes it. *shift is set when Shift belongs to it. */
int gr_key_of_ascii(char c, uint32_t *keysym, uint8_t *xt, int *shift);

/*
 * "Return", "a", "+", "0xff0d", "Control_L+Alt_L+Delete", "ctrl+l": fills keysyms and xts in the order of pressing,
 * at most cap. Returns their number, or -1 for an unknown name.
 */
int gr_key_parse(const char *text, uint32_t *keysyms, uint8_t *xts, int cap);

/* The keysym of a Unicode character. */
uint32_t gr_keysym_of_unicode(uint32_t character);

/* The one character that text consists of; 0 when it is empty, longer or not UTF-8. */
uint32_t gr_one_character(const char *text);

#endif
