/*
 * Texts of the clipboard on their way: the viewer's, until it is there as a whole; the browser's, likewise, and then until it may go: one
 * waits at most, the newest, and one goes down in a second. How long they may be is the caller's to know. Pure.
 */
#ifndef GARASU_BROKER_SESSION_CLIPBOARD_H
#define GARASU_BROKER_SESSION_CLIPBOARD_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

#define GR_CLIPBOARD_PACE_MS 1000 /* between two texts that go down */

struct gr_clipboard_text {
	uint32_t length, left; /* bytes that are there, that are still to come */
	uint8_t text[GR_CLIPBOARD_MAX];
};

struct gr_clipboard {
	struct gr_clipboard_text up, down;
	uint32_t waiting; /* bytes of `text`; 0: none waits */
	uint8_t text[GR_CLIPBOARD_MAX];
	uint64_t next_ms; /* not before */
};

/* n >= 1 bytes of a text, `left` of it follow. 1: it is whole now, in ->text; 0: not yet; GR_EPROTO: pieces that do not fit, or no text. */
int gr_clipboard_take(struct gr_clipboard_text *text, const uint8_t *untrusted, size_t n, size_t untrusted_left);

/* SET_CLIPBOARD's of a whole text: the one from byte `at` on. Returns its bytes; 0: there is none any more. */
size_t gr_clipboard_record(const struct gr_clipboard_text *text, size_t at, struct gr_record_clipboard *out);

/* The whole text that came down waits from now on, in place of one that does. */
void gr_clipboard_wait_for_viewer(struct gr_clipboard *clipboard);
/* Milliseconds until what waits may go; 0: now; -1: none waits. */
int64_t gr_clipboard_wait(const struct gr_clipboard *clipboard, uint64_t now_ms);
void gr_clipboard_sent(struct gr_clipboard *clipboard, uint64_t now_ms);

#endif
