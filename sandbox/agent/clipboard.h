/*
 * The X server's CLIPBOARD: owned by us while the browser is to paste what the viewer has sent, and watched for what the browser copies.
 * PRIMARY is left alone. UTF-8 only, at most GR_CLIPBOARD_MAX bytes; a longer text (and so any that would come by INCR) is thrown away.
 */
#ifndef GARASU_AGENT_CLIPBOARD_H
#define GARASU_AGENT_CLIPBOARD_H

#include "sandbox/agent/display.h"
#include "sandbox/agent/link.h"

struct gr_clipboard;

/* Takes over display->event. Borrows display, which outlives it. Returns owned, or NULL: out of memory. */
struct gr_clipboard *gr_clipboard_create(struct gr_display *display);
void gr_clipboard_destroy(struct gr_clipboard *clipboard); /* NULL allowed */

/* Whether what the browser copies is to be told (gr_hello_flags). */
void gr_clipboard_watch(struct gr_clipboard *clipboard, bool on);
/* The broker is gone: forgets what was under way in either direction. */
void gr_clipboard_reset(struct gr_clipboard *clipboard);

/* A SET_CLIPBOARD record. 1: the text is whole, *text_out borrowed until the next call; 0: more follows; GR_EPROTO. */
int gr_clipboard_take(struct gr_clipboard *clipboard, const struct gr_record_clipboard *untrusted,
		      const uint8_t **text_out, uint32_t *n_out);
/* From now on the browser pastes this text; requests behind this one to the X server come after it. */
void gr_clipboard_set(struct gr_clipboard *clipboard, const uint8_t *text, uint32_t n);

/* Sends what the browser has copied, as far as the link takes it. */
void gr_clipboard_send(struct gr_clipboard *clipboard, struct gr_link *link);

#endif
