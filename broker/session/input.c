#include "broker/session/input.h"
#include "common/error.h"

#include <string.h>

void gr_input_init(struct gr_input *input)
{
	memset(input, 0, sizeof(*input));
}

static int key(struct gr_input *input, const struct gr_viewer_message *m, union gr_record *out)
{
	struct gr_record_key record = { GR_RECORD_KEY, m->key.keysym, m->key.keycode, m->key.down };
	size_t i = 0;
	while (i < input->held_count &&
	       (input->held[i].keysym != record.keysym || input->held[i].keycode != record.keycode))
		i++;
	if (record.down && i == input->held_count) {
		if (input->held_count == GR_INPUT_KEYS_MAX)
			return GR_EFULL;
		input->held[input->held_count++] = record;
	} else if (!record.down && i < input->held_count) {
		input->held[i] = input->held[--input->held_count];
	}
	out->key = record;
	return 0;
}

static int text(struct gr_input *input, const struct gr_viewer_message *m, union gr_record *out)
{
	if (input->text_count == GR_INPUT_TEXTS_MAX)
		return GR_EFULL;
	input->sequence++;
	input->texts[input->text_count].sequence = input->sequence;
	input->texts[input->text_count].viewer_sequence = m->text.sequence;
	input->text_count++;
	memset(&out->text, 0, sizeof(out->text));
	out->text.type = GR_RECORD_TEXT;
	out->text.sequence = input->sequence;
	out->text.length = m->text.length;
	memcpy(out->text.text, m->text.utf8, m->text.length);
	return 0;
}

int gr_input_record(struct gr_input *input, const struct gr_viewer_message *message, union gr_record *out)
{
	switch (message->kind) {
	case GR_VIEWER_KEY: return key(input, message, out);
	case GR_VIEWER_TEXT: return text(input, message, out);
	default:
		input->pointer = (struct gr_record_pointer){ GR_RECORD_POINTER, message->pointer.x, message->pointer.y,
							     message->pointer.buttons };
		out->pointer = input->pointer;
		return 0;
	}
}

int gr_input_release(struct gr_input *input, union gr_record *out)
{
	if (input->held_count) {
		out->key = input->held[--input->held_count];
		out->key.down = 0;
		return 1;
	}
	if (input->pointer.buttons) {
		input->pointer.buttons = 0;
		out->pointer = input->pointer;
		return 1;
	}
	return 0;
}

static void forget(struct gr_input *input, size_t i, uint32_t *viewer_sequence_out)
{
	*viewer_sequence_out = input->texts[i].viewer_sequence;
	input->text_count--;
	memmove(&input->texts[i], &input->texts[i + 1], (input->text_count - i) * sizeof(input->texts[0]));
}

int gr_input_text_done(struct gr_input *input, uint32_t sequence, uint32_t *viewer_sequence_out)
{
	for (size_t i = 0; i < input->text_count; i++) {
		if (input->texts[i].sequence == sequence) {
			forget(input, i, viewer_sequence_out);
			return 0;
		}
	}
	return GR_ENOENT;
}

int gr_input_text_pending(struct gr_input *input, uint32_t *viewer_sequence_out)
{
	if (!input->text_count)
		return 0;
	forget(input, 0, viewer_sequence_out);
	return 1;
}
