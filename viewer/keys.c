#include "viewer/keys.h"

#include <SDL_scancode.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define E0 0x80

/* Keys that make no character. Names and keysyms: X11's keysymdef.h. */
static const struct gr_key named[] = {
	{ "Return", 0xff0d, 0x1c, SDL_SCANCODE_RETURN },
	{ "Escape", 0xff1b, 0x01, SDL_SCANCODE_ESCAPE },
	{ "BackSpace", 0xff08, 0x0e, SDL_SCANCODE_BACKSPACE },
	{ "Tab", 0xff09, 0x0f, SDL_SCANCODE_TAB },
	{ "Shift_L", 0xffe1, 0x2a, SDL_SCANCODE_LSHIFT },
	{ "Shift_R", 0xffe2, 0x36, SDL_SCANCODE_RSHIFT },
	{ "Control_L", 0xffe3, 0x1d, SDL_SCANCODE_LCTRL },
	{ "Control_R", 0xffe4, E0 | 0x1d, SDL_SCANCODE_RCTRL },
	{ "Alt_L", 0xffe9, 0x38, SDL_SCANCODE_LALT },
	{ "Alt_R", 0xffea, E0 | 0x38, SDL_SCANCODE_RALT },
	{ "Super_L", 0xffeb, E0 | 0x5b, SDL_SCANCODE_LGUI },
	{ "Super_R", 0xffec, E0 | 0x5c, SDL_SCANCODE_RGUI },
	{ "Menu", 0xff67, E0 | 0x5d, SDL_SCANCODE_APPLICATION },
	{ "F1", 0xffbe, 0x3b, SDL_SCANCODE_F1 },
	{ "F2", 0xffbf, 0x3c, SDL_SCANCODE_F2 },
	{ "F3", 0xffc0, 0x3d, SDL_SCANCODE_F3 },
	{ "F4", 0xffc1, 0x3e, SDL_SCANCODE_F4 },
	{ "F5", 0xffc2, 0x3f, SDL_SCANCODE_F5 },
	{ "F6", 0xffc3, 0x40, SDL_SCANCODE_F6 },
	{ "F7", 0xffc4, 0x41, SDL_SCANCODE_F7 },
	{ "F8", 0xffc5, 0x42, SDL_SCANCODE_F8 },
	{ "F9", 0xffc6, 0x43, SDL_SCANCODE_F9 },
	{ "F10", 0xffc7, 0x44, SDL_SCANCODE_F10 },
	{ "F11", 0xffc8, 0x57, SDL_SCANCODE_F11 },
	{ "F12", 0xffc9, 0x58, SDL_SCANCODE_F12 },
	{ "Home", 0xff50, E0 | 0x47, SDL_SCANCODE_HOME },
	{ "Left", 0xff51, E0 | 0x4b, SDL_SCANCODE_LEFT },
	{ "Up", 0xff52, E0 | 0x48, SDL_SCANCODE_UP },
	{ "Right", 0xff53, E0 | 0x4d, SDL_SCANCODE_RIGHT },
	{ "Down", 0xff54, E0 | 0x50, SDL_SCANCODE_DOWN },
	{ "Page_Up", 0xff55, E0 | 0x49, SDL_SCANCODE_PAGEUP },
	{ "Page_Down", 0xff56, E0 | 0x51, SDL_SCANCODE_PAGEDOWN },
	{ "End", 0xff57, E0 | 0x4f, SDL_SCANCODE_END },
	{ "Insert", 0xff63, E0 | 0x52, SDL_SCANCODE_INSERT },
	{ "Delete", 0xffff, E0 | 0x53, SDL_SCANCODE_DELETE },
	{ "Print", 0xff61, 0x54, SDL_SCANCODE_PRINTSCREEN },
	{ "Pause", 0xff13, E0 | 0x46, SDL_SCANCODE_PAUSE },
	{ "KP_Enter", 0xff8d, E0 | 0x1c, SDL_SCANCODE_KP_ENTER },
	{ "Henkan", 0xff23, 0x79, SDL_SCANCODE_INTERNATIONAL4 },
	{ "Muhenkan", 0xff22, 0x7b, SDL_SCANCODE_INTERNATIONAL5 },
	{ "Hiragana_Katakana", 0xff27, 0x70, SDL_SCANCODE_INTERNATIONAL2 },
	{ "Katakana", 0xff26, 0x78, SDL_SCANCODE_LANG3 },
	{ "Hiragana", 0xff25, 0x77, SDL_SCANCODE_LANG4 },
	{ "Zenkaku_Hankaku", 0xff2a, 0x76, SDL_SCANCODE_LANG5 },
	/* Names that people try. */
	{ "Enter", 0xff0d, 0x1c, 0 },
	{ "Backspace", 0xff08, 0x0e, 0 },
	{ "Esc", 0xff1b, 0x01, 0 },
	{ "Prior", 0xff55, E0 | 0x49, 0 },
	{ "Next", 0xff56, E0 | 0x51, 0 },
	{ "PageUp", 0xff55, E0 | 0x49, 0 },
	{ "PageDown", 0xff56, E0 | 0x51, 0 },
	{ "space", 0x20, 0x39, 0 },
	{ "Shift", 0xffe1, 0x2a, 0 },
	{ "Control", 0xffe3, 0x1d, 0 },
	{ "Ctrl", 0xffe3, 0x1d, 0 },
	{ "Alt", 0xffe9, 0x38, 0 },
	{ "Super", 0xffeb, E0 | 0x5b, 0 },
};

/* The rest of the keyboard: what character they make is the layout's business. */
static const struct {
	uint16_t scancode;
	uint8_t xt;
} plain[] = {
	{ SDL_SCANCODE_INTERNATIONAL1, 0x73 }, { SDL_SCANCODE_INTERNATIONAL3, 0x7d },
	{ SDL_SCANCODE_NONUSBACKSLASH, 0x56 }, { SDL_SCANCODE_NONUSHASH, 0x2b },
	{ SDL_SCANCODE_KP_7, 0x47 },           { SDL_SCANCODE_KP_8, 0x48 },
	{ SDL_SCANCODE_KP_9, 0x49 },           { SDL_SCANCODE_KP_MINUS, 0x4a },
	{ SDL_SCANCODE_KP_4, 0x4b },           { SDL_SCANCODE_KP_5, 0x4c },
	{ SDL_SCANCODE_KP_6, 0x4d },           { SDL_SCANCODE_KP_PLUS, 0x4e },
	{ SDL_SCANCODE_KP_1, 0x4f },           { SDL_SCANCODE_KP_2, 0x50 },
	{ SDL_SCANCODE_KP_3, 0x51 },           { SDL_SCANCODE_KP_0, 0x52 },
	{ SDL_SCANCODE_KP_PERIOD, 0x53 },      { SDL_SCANCODE_KP_MULTIPLY, 0x37 },
	{ SDL_SCANCODE_KP_DIVIDE, E0 | 0x35 },
};

/* Character keys of a US keyboard. */
static const struct {
	char base, shifted;
	uint8_t xt;
	uint16_t scancode;
} characters[] = {
	{ '1', '!', 0x02, SDL_SCANCODE_1 },           { '2', '@', 0x03, SDL_SCANCODE_2 },
	{ '3', '#', 0x04, SDL_SCANCODE_3 },           { '4', '$', 0x05, SDL_SCANCODE_4 },
	{ '5', '%', 0x06, SDL_SCANCODE_5 },           { '6', '^', 0x07, SDL_SCANCODE_6 },
	{ '7', '&', 0x08, SDL_SCANCODE_7 },           { '8', '*', 0x09, SDL_SCANCODE_8 },
	{ '9', '(', 0x0a, SDL_SCANCODE_9 },           { '0', ')', 0x0b, SDL_SCANCODE_0 },
	{ '-', '_', 0x0c, SDL_SCANCODE_MINUS },       { '=', '+', 0x0d, SDL_SCANCODE_EQUALS },
	{ 'q', 'Q', 0x10, SDL_SCANCODE_Q },           { 'w', 'W', 0x11, SDL_SCANCODE_W },
	{ 'e', 'E', 0x12, SDL_SCANCODE_E },           { 'r', 'R', 0x13, SDL_SCANCODE_R },
	{ 't', 'T', 0x14, SDL_SCANCODE_T },           { 'y', 'Y', 0x15, SDL_SCANCODE_Y },
	{ 'u', 'U', 0x16, SDL_SCANCODE_U },           { 'i', 'I', 0x17, SDL_SCANCODE_I },
	{ 'o', 'O', 0x18, SDL_SCANCODE_O },           { 'p', 'P', 0x19, SDL_SCANCODE_P },
	{ '[', '{', 0x1a, SDL_SCANCODE_LEFTBRACKET }, { ']', '}', 0x1b, SDL_SCANCODE_RIGHTBRACKET },
	{ 'a', 'A', 0x1e, SDL_SCANCODE_A },           { 's', 'S', 0x1f, SDL_SCANCODE_S },
	{ 'd', 'D', 0x20, SDL_SCANCODE_D },           { 'f', 'F', 0x21, SDL_SCANCODE_F },
	{ 'g', 'G', 0x22, SDL_SCANCODE_G },           { 'h', 'H', 0x23, SDL_SCANCODE_H },
	{ 'j', 'J', 0x24, SDL_SCANCODE_J },           { 'k', 'K', 0x25, SDL_SCANCODE_K },
	{ 'l', 'L', 0x26, SDL_SCANCODE_L },           { ';', ':', 0x27, SDL_SCANCODE_SEMICOLON },
	{ '\'', '"', 0x28, SDL_SCANCODE_APOSTROPHE }, { '`', '~', 0x29, SDL_SCANCODE_GRAVE },
	{ '\\', '|', 0x2b, SDL_SCANCODE_BACKSLASH },  { 'z', 'Z', 0x2c, SDL_SCANCODE_Z },
	{ 'x', 'X', 0x2d, SDL_SCANCODE_X },           { 'c', 'C', 0x2e, SDL_SCANCODE_C },
	{ 'v', 'V', 0x2f, SDL_SCANCODE_V },           { 'b', 'B', 0x30, SDL_SCANCODE_B },
	{ 'n', 'N', 0x31, SDL_SCANCODE_N },           { 'm', 'M', 0x32, SDL_SCANCODE_M },
	{ ',', '<', 0x33, SDL_SCANCODE_COMMA },       { '.', '>', 0x34, SDL_SCANCODE_PERIOD },
	{ '/', '?', 0x35, SDL_SCANCODE_SLASH },       { ' ', ' ', 0x39, SDL_SCANCODE_SPACE },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const struct gr_key *gr_key_of_scancode(unsigned scancode)
{
	for (size_t i = 0; scancode && i < COUNT(named); i++)
		if (named[i].scancode == scancode)
			return &named[i];
	return NULL;
}

uint8_t gr_key_xt(unsigned scancode)
{
	const struct gr_key *key = gr_key_of_scancode(scancode);
	if (key)
		return key->xt;
	for (size_t i = 0; i < COUNT(characters); i++)
		if (characters[i].scancode == scancode)
			return characters[i].xt;
	for (size_t i = 0; i < COUNT(plain); i++)
		if (plain[i].scancode == scancode)
			return plain[i].xt;
	return 0;
}

int gr_key_of_ascii(char c, uint32_t *keysym, uint8_t *xt, int *shift)
{
	for (size_t i = 0; i < COUNT(characters); i++)
		if (c == characters[i].base || c == characters[i].shifted) {
			*keysym = (uint32_t)(unsigned char)c;
			*xt = characters[i].xt;
			*shift = c != characters[i].base;
			return 0;
		}
	return -1;
}

static int parse_one(const char *name, size_t length, uint32_t *keysym, uint8_t *xt)
{
	int shift;
	if (length == 1 && !gr_key_of_ascii(name[0], keysym, xt, &shift))
		return 0;
	for (size_t i = 0; i < COUNT(named); i++)
		if (strlen(named[i].name) == length && !strncasecmp(named[i].name, name, length)) {
			*keysym = named[i].keysym;
			*xt = named[i].xt;
			return 0;
		}
	char *end;
	if (length > 2 && name[0] == '0' && (name[1] == 'x' || name[1] == 'X')) {
		unsigned long value = strtoul(name, &end, 16);
		if (end == name + length && value > 0 && value <= 0x1fffffff) {
			*keysym = (uint32_t)value;
			*xt = 0;
			return 0;
		}
	}
	return -1;
}

int gr_key_parse(const char *text, uint32_t *keysyms, uint8_t *xts, int cap)
{
	int count = 0;
	while (count < cap) {
		/* A plus sign is a separator unless it stands where a name must be. */
		const char *plus = *text ? strchr(text + 1, '+') : NULL;
		size_t length = plus ? (size_t)(plus - text) : strlen(text);
		if (parse_one(text, length, &keysyms[count], &xts[count]))
			return -1;
		count++;
		if (!plus)
			return count;
		text = plus + 1;
	}
	return -1;
}

uint32_t gr_keysym_of_unicode(uint32_t character)
{
	if ((character >= 0x20 && character < 0x7f) || (character >= 0xa0 && character <= 0xff))
		return character;
	return 0x01000000u | character;
}

uint32_t gr_one_character(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;
	if (t[0] && t[0] < 0x80)
		return t[1] ? 0 : t[0];
	int more = t[0] >= 0xf0 && t[0] < 0xf5 ? 3 : t[0] >= 0xe0 ? 2 : t[0] >= 0xc2 ? 1 : 0;
	if (!more || t[0] >= 0xf5)
		return 0;
	uint32_t character = t[0] & (0x3fu >> more);
	for (int i = 1; i <= more; i++) {
		if ((t[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (t[i] & 0x3fu);
	}
	return t[more + 1] ? 0 : character;
}
