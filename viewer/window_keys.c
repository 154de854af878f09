/* The keyboard, and the local input method. */
#include "viewer/keys.h"
#include "viewer/window_state.h"

#include <string.h>

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
}

static void toggle_full_screen(struct gr_window *window)
{
	gr_window_release_keys(window);
	window->full_screen = !window->full_screen;
	SDL_SetWindowFullscreen(window->window, window->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

int gr_window_is_full_screen_key(const SDL_KeyboardEvent *event)
{
	SDL_Scancode scancode = event->keysym.scancode;
	Uint16 mod = event->keysym.mod;
	return scancode == SDL_SCANCODE_F11 || (scancode == SDL_SCANCODE_RETURN && mod & KMOD_CTRL && mod & KMOD_ALT);
}

/*
 * Keys go to the broker as they are pressed. Which character a key makes (layout, Shift, Caps Lock) only SDL's text event
 * tells, which stands right behind the press in the queue when no input method has taken the key.
 */
static void on_key_down(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	unsigned scancode = event->keysym.scancode;
	Uint16 mod = event->keysym.mod;
	if (gr_window_is_full_screen_key(event)) {
		if (!event->repeat)
			toggle_full_screen(window);
		return;
	}
	/* The lock keys' effect is in the keysyms already; sent too, it would come twice. */
	if (scancode == SDL_SCANCODE_CAPSLOCK || scancode == SDL_SCANCODE_NUMLOCKCLEAR ||
	    scancode == SDL_SCANCODE_SCROLLLOCK)
		return;
	const struct gr_key *key = gr_key_of_scancode(scancode);
	SDL_Event next;
	SDL_PumpEvents();
	int text_follows = SDL_PeepEvents(&next, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) == 1 &&
			   next.type == SDL_TEXTINPUT;
	uint32_t character = text_follows ? gr_one_character(next.text.text) : 0;
	int command = (mod & (KMOD_CTRL | KMOD_LALT | KMOD_GUI)) != 0;

	if (key) {
		/* Keys that steer an input method's conversion are its own. */
		if (!*window->composing || (scancode >= SDL_SCANCODE_LCTRL && scancode <= SDL_SCANCODE_RGUI))
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
	if (*window->composing || text_follows)
		return;
	if (command) {
		/* Ctrl+C and the like make no text: the key's own character, in upper case with Shift as X has it. */
		SDL_Keycode code = event->keysym.sym;
		if (code >= 'a' && code <= 'z' && mod & KMOD_SHIFT)
			code -= 'a' - 'A';
		send_key(window, scancode, code >= 0x20 && code < 0x110000 ? gr_keysym_of_unicode((uint32_t)code) : 0,
			 1);
	}
	/* No text and no command: a dead key, or one that an input method has taken. */
}

void gr_window_text(struct gr_window *window, const char *text)
{
	window->composing[0] = '\0';
	window->redraw = 1;
	if (*text)
		gr_viewer_text(window->viewer, text, strlen(text));
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
		gr_window_paste(window, event);
		on_key_down(window, event);
	} else {
		send_key(window, event->keysym.scancode, 0, 0);
	}
}
