/*
 * Committed text: the agent's end of the socket to our input-method module in the browser (im_message.h).
 * One text at a time; what comes behind it waits with the caller.
 */
#ifndef GARASU_AGENT_TEXT_H
#define GARASU_AGENT_TEXT_H

#include "common/error.h"
#include "common/loop.h"
#include "common/record.h"

struct gr_text;

struct gr_text_owner {
	void *context;
	void (*press)(void *context, uint8_t keycode); /* press and release this hardware key, now */
	void (*done)(void *context,
		     uint32_t status); /* the outcome (gr_text_status) of the text; never from within gr_text_send */
	void (*caret)(void *context,
		      const struct gr_record_caret *untrusted_caret); /* in pixels of the screen, not clipped */
};

/* Listens at path (replaced if there). *owner is copied. Returns an owned object, or NULL with *err set (GR_EIO, GR_ENOMEM). */
struct gr_text *gr_text_create(struct gr_loop *loop, const char *path, const struct gr_text_owner *owner,
			       struct gr_error *err);
void gr_text_destroy(struct gr_text *text); /* NULL allowed */

/*
 * Gives length bytes (1..GR_TEXT_MAX, UTF-8) to the browser. Then owner.done comes, within a few seconds whatever
 * happens. GR_ENOENT: no module is connected; nothing was given, and done does not come.
 */
int gr_text_send(struct gr_text *text, const uint8_t *bytes, uint32_t length);

/* Has the browser say where the caret is now, when a field has the focus. Whether it was asked. */
int gr_text_probe(struct gr_text *text);

/* Ends kana-kanji conversion in the browser: keys are what they say again. */
void gr_text_plain(struct gr_text *text);

/* Whether a text waits for its outcome. */
int gr_text_is_busy(const struct gr_text *text);

/* When (gr_io_now_ms) the module last said that the focus or the caret changed; 0: never. */
uint64_t gr_text_heard(const struct gr_text *text);

#endif
