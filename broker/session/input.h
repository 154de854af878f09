/*
 * What a viewer does, as records for the agent: which keys and buttons are down, so that they can be released when the
 * viewer goes, and which committed texts wait for their result. Pure.
 */
#ifndef GARASU_BROKER_SESSION_INPUT_H
#define GARASU_BROKER_SESSION_INPUT_H

#include "broker/guard/messages.h"
#include "common/record.h"

#define GR_INPUT_KEYS_MAX 64 /* held at once; further ones are not pressed */
#define GR_INPUT_TEXTS_MAX 64 /* without a result */

struct gr_input {
	struct gr_record_key held[GR_INPUT_KEYS_MAX];
	size_t held_count;
	struct gr_record_pointer pointer; /* the last one */
	uint32_t sequence; /* of the last text given to the agent */
	struct {
		uint32_t sequence, viewer_sequence;
	} texts[GR_INPUT_TEXTS_MAX];
	size_t text_count;
};

void gr_input_init(struct gr_input *input);

/*
 * The record for a KEY, POINTER or TEXT message: 0, or GR_EFULL when a bound is reached: a key is then dropped, a text is
 * to be answered as not delivered.
 */
int gr_input_record(struct gr_input *input, const struct gr_viewer_message *message, union gr_record *out);

/* The next record that releases what is held: 1, or 0 when nothing is held any more. */
int gr_input_release(struct gr_input *input, union gr_record *out);

/* A result came from the agent: the viewer's sequence of that text, or GR_ENOENT (nobody waits for it any more). */
int gr_input_text_done(struct gr_input *input, uint32_t sequence, uint32_t *viewer_sequence_out);

/* Takes any text that waits: 1 and the viewer's sequence, or 0. */
int gr_input_text_pending(struct gr_input *input, uint32_t *viewer_sequence_out);

#endif
