/* The keyboard, and the local input method. */
#include "viewer/keys.h"
#include "viewer/platform.h"
#include "viewer/window_state.h"

#include <string.h>

#define KEYSYM_ZENKAKU_HANKAKU 0xff2au

static void send_key(struct gr_window *window, unsigned scancode, uint32_t keysym, int down)
{
	if (scancode >= SDL_NUM_SCANCODES)
		return;
	if (down) {
		window->held[scancode] = keysym;
		window->held_sent[scancode] = 1;
	} else {
		if (!window->held_sent[scancode])
			return;
		keysym = window->held[scancode]; /* what was pressed is released, whatever the modifiers are now */
		window->held_sent[scancode] = 0;
	}
	gr_viewer_key(window->viewer, keysym, gr_key_xt(scancode), down);
}

void gr_window_release_keys(struct gr_window *window)
{
	for (unsigned i = 0; i < SDL_NUM_SCANCODES; i++)
		if (window->held_sent[i])
			send_key(window, i, 0, 0);
	memset(window->offered, 0, sizeof(window->offered));
}

/* Keys that only steer an input method: 変換, 無変換, かな, 半角/全角, 英数 and their kind. */
static int steers_conversion(uint32_t keysym)
{
	return keysym >= 0xff21 && keysym <= 0xff30;
}

/* The character by the layout without text: as Ctrl+C and the like have none; in upper case with Shift as X has it. */
static uint32_t keysym_of_layout(const SDL_KeyboardEvent *event)
{
	SDL_Keycode code = event->keysym.sym;
	if (code >= 'a' && code <= 'z' && event->keysym.mod & KMOD_SHIFT)
		code -= 'a' - 'A';
	return code >= 0x20 && code < 0x110000 ? gr_keysym_of_unicode((uint32_t)code) : 0;
}

/* Whether the input method that we speak to has taken the key. */
static int offer(struct gr_window *window, const SDL_KeyboardEvent *event, uint32_t keysym)
{
	unsigned scancode = event->keysym.scancode;
	const int down = event->type == SDL_KEYDOWN;
	if (!window->ime || scancode >= SDL_NUM_SCANCODES)
		return 0;
	if (!down)
		keysym = window->offered[scancode];
	window->offered[scancode] = down ? keysym : 0;
	uint8_t xt = gr_key_xt(scancode);
	/* X11's keycode is the kernel's and 8, the kernel's that of the PC's first set. */
	return keysym ? gr_ime_key(window->ime, keysym, xt < 0x59 ? xt + 8u : 0, event->keysym.mod, down) : 0;
}

/* The local input method's, or a key of the layout. */
static void on_local_key(struct gr_window *window, const SDL_KeyboardEvent *event, uint32_t platform_keysym)
{
	unsigned scancode = event->keysym.scancode;
	const struct gr_key *key = gr_key_of_scancode(scancode);
	SDL_Event next;
	SDL_PumpEvents();
	/* Which character a key makes (layout, Shift, Caps Lock) only the text event tells, which stands right behind the press. */
	int text_follows = SDL_PeepEvents(&next, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) == 1 &&
			   next.type == SDL_TEXTINPUT;
	uint32_t character = text_follows ? gr_one_character(next.text.text) : 0;
	int command = (event->keysym.mod & (KMOD_CTRL | KMOD_LALT | KMOD_GUI)) != 0;
	uint32_t keysym = platform_keysym ? platform_keysym
			  : key           ? key->keysym
			  : character     ? gr_keysym_of_unicode(character)
					  : keysym_of_layout(event);

	if (offer(window, event, keysym)) {
		if (text_follows)
			SDL_PeepEvents(&next, 1, SDL_GETEVENT, SDL_TEXTINPUT, SDL_TEXTINPUT);
		return;
	}
	if (steers_conversion(keysym))
		return; /* the session's own input method would begin to convert what ours leaves alone */
	if (key) {
		/* Keys that steer an input method's conversion are its own. */
		if (window->ime || !*window->composing ||
		    (scancode >= SDL_SCANCODE_LCTRL && scancode <= SDL_SCANCODE_RGUI))
			send_key(window, scancode, key->keysym, 1);
		return;
	}
	if (character) {
		if (character < 0x100) {
			SDL_PeepEvents(&next, 1, SDL_GETEVENT, SDL_TEXTINPUT, SDL_TEXTINPUT); /* said by the key */
			send_key(window, scancode, gr_keysym_of_unicode(character), 1);
		} /* else it is sent as text when its event comes */
		return;
	}
	if (text_follows || (!window->ime && *window->composing))
		return;
	if (command)
		send_key(window, scancode, keysym_of_layout(event), 1);
	/* No text and no command: a dead key, or one that an input method has taken. */
}

/* Keys go to the broker as they are pressed. */
static void on_key_down(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	unsigned scancode = event->keysym.scancode;
	uint32_t platform_keysym = window->platform_keysym;
	window->platform_keysym = 0;
	/* The lock keys' effect is in the keysyms already; sent too, it would come twice. */
	if (scancode == SDL_SCANCODE_CAPSLOCK || scancode == SDL_SCANCODE_NUMLOCKCLEAR ||
	    scancode == SDL_SCANCODE_SCROLLLOCK)
		return;
	if (window->input == GR_IME_LOCAL) {
		on_local_key(window, event, platform_keysym);
	} else if (scancode == SDL_SCANCODE_SPACE && event->keysym.mod & KMOD_CTRL) {
		/* An American keyboard's way to switch an input method on and off. */
		gr_window_release_keys(window);
		gr_viewer_key(window->viewer, KEYSYM_ZENKAKU_HANKAKU, 0, 1);
		gr_viewer_key(window->viewer, KEYSYM_ZENKAKU_HANKAKU, 0, 0);
	} else {
		const struct gr_key *key = gr_key_of_scancode(scancode);
		send_key(window, scancode,
			 platform_keysym ? platform_keysym
			 : key           ? key->keysym
					 : keysym_of_layout(event),
			 1);
	}
}

/*
 * SDL has no event for keys that it knows no scancode of: with a Japanese layout 半角/全角 is one. Their release is not told either.
 */
static void on_bare_key(struct gr_window *window, uint32_t keysym, uint32_t keycode)
{
	const unsigned mod = SDL_GetModState();
	SDL_Event text;
	if (window->input == GR_IME_SESSION) {
		const uint32_t xt = keycode >= 8 && keycode - 8 < 0x59 ? keycode - 8 : 0;
		gr_viewer_key(window->viewer, keysym, xt, 1);
		gr_viewer_key(window->viewer, keysym, xt, 0);
	} else if (keysym && gr_ime_key(window->ime, keysym, keycode, mod, 1)) {
		gr_ime_key(window->ime, keysym, keycode, mod, 0);
		if (SDL_PeepEvents(&text, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) == 1 &&
		    text.type == SDL_TEXTINPUT)
			SDL_PeepEvents(&text, 1, SDL_GETEVENT, SDL_TEXTINPUT, SDL_TEXTINPUT);
	} /* else: the character that it makes comes as text */
}

void gr_window_platform_key(struct gr_window *window, const SDL_SysWMEvent *event)
{
	SDL_Event next;
	uint32_t keycode, keysym = gr_platform_keysym(event, &keycode);
	window->platform_keysym = keysym;
	if (SDL_PeepEvents(&next, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) == 1 && next.type == SDL_KEYDOWN)
		return;
	window->platform_keysym = 0;
	if (window->viewer->state == GR_VIEWER_OPEN || window->viewer->state == GR_VIEWER_SHOWN)
		on_bare_key(window, keysym, keycode);
}

/* Without control characters, which nobody types and which the broker does not let pass. */
static void send_text(struct gr_window *window, const char *text)
{
	while (*text) {
		size_t n = 0;
		while ((unsigned char)text[n] >= 0x20 ? text[n] != 0x7f : text[n] == '\t' || text[n] == '\n')
			n++;
		if (n)
			gr_viewer_text(window->viewer, text, n);
		text += n + (text[n] != '\0');
	}
}

void gr_window_text(struct gr_window *window, const char *text)
{
	window->composing[0] = '\0';
	window->redraw = 1;
	send_text(window, text);
}

void gr_window_editing(struct gr_window *window, const char *text)
{
	SDL_strlcpy(window->composing, text, sizeof(window->composing));
	window->redraw = 1;
}

void gr_window_key(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	window->last_key_us = gr_viewer_now_us();
	if (event->type == SDL_KEYDOWN) {
		on_key_down(window, event);
	} else {
		offer(window, event, 0);
		send_key(window, event->keysym.scancode, 0, 0);
	}
}
