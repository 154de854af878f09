/*
 * The person's own input method. ime_linux.c speaks to fcitx, key by key: a commit then keeps its place among the keys. SDL's own
 * client, which serves everything else (ibus; Windows' and Wayland's own), reads commits only behind all keys that wait. With
 * GR_IME here SDL's is switched off.
 */
#ifndef GARASU_VIEWER_IME_H
#define GARASU_VIEWER_IME_H

#include <stdint.h>

struct gr_ime;

struct gr_ime_events {
	void *context;
	void (*commit)(void *context, const char *text); /* UTF-8, not empty */
	void (*preedit)(void *context, const char *text); /* what is being composed; "": nothing any more */
};

/* Before SDL_Init. *events is copied. NULL: the person's input method is SDL's to speak to. */
struct gr_ime *gr_ime_create(const struct gr_ime_events *events);
void gr_ime_destroy(struct gr_ime *ime); /* NULL allowed; so everywhere below, where it does nothing */

/* The descriptor that says that gr_ime_read has something to do; -1: there is none now. */
int gr_ime_fd(const struct gr_ime *ime);
void gr_ime_read(struct gr_ime *ime);

/* Whether keys are going to it. Without the focus it takes no key. */
void gr_ime_focus(struct gr_ime *ime, int focused);

/*
 * Offers a key. modifiers: SDL_Keymod; keycode: X11's, 0 = unknown. Returns 1 when the input method has taken it; what that
 * brought has been told by then. An input method that does not answer in time is done without for a while, and what it may still
 * say about that key is not heard: the key has gone to the browser.
 */
int gr_ime_key(struct gr_ime *ime, uint32_t keysym, uint32_t keycode, unsigned modifiers, int down);

/* Where the caret is, in pixels of the terminal's screen: the candidates are shown beside it. */
void gr_ime_caret(struct gr_ime *ime, int x, int y, int w, int h);

#endif
