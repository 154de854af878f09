#include "bench/encoder.h"
#include "broker/encode/encode.h"

#include <stdlib.h>

enum {
	UPDATE_HEADER = 4, /* of a FramebufferUpdate: type, padding, number of rectangles */
	WRITE_MAX = 4 << 20, /* room for one call, as the session gives it */
};

_Static_assert(WRITE_MAX >= GR_ENCODE_OUT_MIN, "the encoder wants more room");

struct state {
	const struct gr_codec_memory *memory; /* borrowed */
	struct gr_encoder *encoder;
};

static int encoder_open(const struct gr_codec_memory *memory, const struct gr_codec_settings *settings, void **out,
			struct gr_error *err)
{
	const struct gr_encode_settings wanted = {
		.form = settings->garasu ? GR_ENCODE_GARASU : GR_ENCODE_TIGHT,
		.copy_rect = 1,
		.history_log2 = settings->history_log2,
		.photo_quality = settings->photo_quality,
		.video_quality = settings->video_quality,
		.refine_after_ms = settings->refine_after_ms,
	};
	struct state *state = calloc(1, sizeof(*state));
	if (state)
		state->encoder = gr_encoder_create(memory->w, memory->h);
	int code = state && state->encoder ? gr_encoder_start(state->encoder, &wanted) : GR_ENOMEM;
	if (code) {
		if (state)
			gr_encoder_destroy(state->encoder);
		free(state);
		return gr_error_set(err, code, "the encoder cannot be started: %s", gr_status_text(code));
	}
	state->memory = memory;
	*out = state;
	return 0;
}

static void encoder_close(void *context)
{
	struct state *state = context;
	gr_encoder_destroy(state->encoder);
	free(state);
}

static void encoder_take(void *context, const struct gr_rect *rects, size_t n, uint64_t now_ms)
{
	struct state *state = context;
	gr_encoder_take(state->encoder, (const uint8_t *)state->memory->pixels, (size_t)state->memory->w * 4, rects, n,
			now_ms);
}

static int encoder_pending(void *context, uint64_t now_ms)
{
	const struct state *state = context;
	return gr_encoder_pending(state->encoder, now_ms);
}

static int64_t encoder_refinement_in(void *context, uint64_t now_ms)
{
	const struct state *state = context;
	return gr_encoder_refinement_in(state->encoder, now_ms);
}

static ptrdiff_t encoder_write(void *context, size_t at, uint64_t now_ms)
{
	struct state *state = context;
	uint8_t *message = state->memory->out + at;
	unsigned rects = 0;
	ptrdiff_t n = gr_encoder_write(state->encoder, now_ms, message + UPDATE_HEADER, WRITE_MAX - UPDATE_HEADER,
				       &rects);
	if (n <= 0)
		return n;
	message[0] = message[1] = 0;
	message[2] = (uint8_t)(rects >> 8);
	message[3] = (uint8_t)rects;
	return n + UPDATE_HEADER;
}

static size_t encoder_shadow_size(void *context)
{
	const struct state *state = context;
	return (size_t)gr_encoder_width(state->encoder) * gr_encoder_height(state->encoder) * 4;
}

const struct gr_codec gr_codec_encoder = {
	.name = "garasu",
	.take_counts = 1,
	.open = encoder_open,
	.close = encoder_close,
	.take = encoder_take,
	.pending = encoder_pending,
	.refinement_in = encoder_refinement_in,
	.write = encoder_write,
	.shadow_size = encoder_shadow_size,
};
