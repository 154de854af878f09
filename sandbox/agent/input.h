/*
 * Keys, pointer and committed text into the X server, in the order in which they came: what comes behind a text that
 * the browser has not answered yet waits, in a bounded queue.
 */
#ifndef GARASU_AGENT_INPUT_H
#define GARASU_AGENT_INPUT_H

#include "common/loop.h"
#include "common/record.h"
#include "sandbox/agent/display.h"

struct gr_input;

struct gr_input_owner {
	void *context;
	void (*result)(void *context, uint32_t sequence,
		       uint32_t status); /* of a TEXT record; may come from within calls */
	void (*caret)(void *context, const struct gr_record_caret *caret); /* clipped to the screen */
	/* It is this text's turn for the browser's clipboard. */
	void (*clipboard)(void *context, const uint8_t *text, uint32_t n);
	void (*worked)(void *context); /* X requests were made outside of any call of the owner's */
};

/* Borrows loop and display, which outlive it. Listens for the input-method module at im_path. NULL with *err set. */
struct gr_input *gr_input_create(struct gr_loop *loop, struct gr_display *display, const char *im_path,
				 const struct gr_input_owner *owner, struct gr_error *err);
void gr_input_destroy(struct gr_input *input); /* NULL allowed; releases nothing */

/* Reads the keyboard map again. GR_ECLOSED. */
int gr_input_reload(struct gr_input *input);

/*
 * Takes a KEY, POINTER or TEXT record (sizes checked by the caller, contents here). GR_EPROTO: a field is out of its
 * range. GR_EFULL: the queue is full; ask gr_input_is_full before.
 */
int gr_input_take(struct gr_input *input, const union gr_record *untrusted_record);
int gr_input_is_full(const struct gr_input *input);
/* A text for the browser's clipboard, copied: owner.clipboard when what came before it is done. GR_EFULL, GR_ENOMEM. */
int gr_input_clipboard(struct gr_input *input, const uint8_t *text, uint32_t n);

/* Presses and releases Alt+Home: the browser goes to its home page. */
void gr_input_go_home(struct gr_input *input);

/* Presses and releases Ctrl+P: the browser prints. */
void gr_input_print(struct gr_input *input);

/* The viewer is gone, or the screen is not shown: forgets what waits and releases all keys and buttons. */
void gr_input_release(struct gr_input *input);

#endif
