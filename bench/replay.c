#include "bench/replay.h"
#include "bench/canvas.h"
#include "bench/encoder.h"
#include "bench/peer.h"
#include "bench/trace.h"
#include "bench/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REFINEMENTS_MAX = 100000, /* in one pause: an encoder that never comes to rest is broken */
};

struct side {
	struct gr_worker worker;
	struct gr_canvas *screen; /* NULL: nothing is decoded */
	struct gr_bench_side *result;
	int64_t refinement_in;
};

struct replay {
	const struct gr_replay_options *options;
	struct gr_bench_result *result;
	struct gr_trace *trace;
	struct gr_trace_info info;
	struct gr_worker_screen screen; /* what the workers see: the frame that is read */
	uint32_t *truth; /* the last frame that they were told of */
	void *scratch;
	struct gr_rect *damage; /* GR_WORKER_RECTS_MAX */
	size_t damage_count;
	struct side out, peer;
	uint32_t sequence; /* of `truth` */
	uint64_t now_ms;
};

static int side_init(struct replay *replay, struct side *side, const struct gr_codec *codec,
		     struct gr_bench_side *result, struct gr_error *err)
{
	side->result = result;
	side->refinement_in = -1;
	result->exact_final = -1;
	return gr_worker_init(&side->worker, codec, &replay->options->codec, &replay->screen, err);
}

static int side_init_screen(struct replay *replay, struct side *side, struct gr_error *err)
{
	if (!replay->options->verify)
		return 0;
	side->screen = gr_canvas_create(replay->info.width, replay->info.height, replay->options->codec.history_log2);
	return side->screen ? 0 : gr_error_set(err, GR_ENOMEM, "out of memory");
}

static void side_finish(struct side *side)
{
	gr_worker_finish(&side->worker);
	gr_canvas_destroy(side->screen);
}

/* One frame or one refinement of one codec: all that it has to write, and its decoding. */
static int side_step(struct replay *replay, struct side *side, const struct gr_rect *rects, size_t n,
		     struct gr_error *err)
{
	uint64_t used = 0;
	struct gr_worker_step step;
	do {
		int code = gr_worker_step(&side->worker, rects, n, replay->now_ms, &step, err);
		if (code)
			return code;
		n = 0; /* the rest of it only writes */
		used += step.take_ns;
		size_t at = 0;
		for (size_t i = 0; i < step.slice_count; i++) {
			const struct gr_worker_slice *slice = &step.slices[i];
			used += slice->cpu_ns;
			side->result->bytes += slice->size;
			if (gr_samples_add(&side->result->slices, slice->cpu_ns))
				return gr_error_set(err, GR_ENOMEM, "out of memory");
			if (side->screen)
				code = gr_canvas_update(side->screen, side->worker.out + at, slice->size, err);
			if (code)
				return gr_error_wrap(err, "frame %u: %s", replay->sequence, side->worker.codec->name);
			at += slice->size;
		}
		if (step.anonymous > side->result->anonymous)
			side->result->anonymous = step.anonymous;
	} while (step.more);
	side->refinement_in = step.refinement_in;
	side->result->cpu_ns += used;
	return gr_samples_add(&side->result->frames, used) ? gr_error_set(err, GR_ENOMEM, "out of memory") : 0;
}

/* What our screen shows may differ from the truth only where it was sent lossy. */
static int check_lossless(const struct replay *replay, const char *when, struct gr_error *err)
{
	if (!replay->out.screen)
		return 0;
	size_t w = replay->info.width;
	const uint32_t *shown = gr_canvas_pixels(replay->out.screen);
	const uint8_t *lossy = gr_canvas_lossy(replay->out.screen);
	for (size_t y = 0; y < replay->info.height; y++) {
		size_t row = y * w;
		if (memcmp(shown + row, replay->truth + row, w * 4) == 0)
			continue;
		for (size_t x = 0; x < w; x++)
			if (shown[row + x] != replay->truth[row + x] && !lossy[row + x])
				return gr_error_set(err, GR_EPROTO,
						    "frame %u%s: the pixel at %zu,%zu is %06x, must be %06x, and was "
						    "not sent lossy",
						    replay->sequence, when, x, y, shown[row + x] & 0xffffffu,
						    replay->truth[row + x] & 0xffffffu);
	}
	return 0;
}

/* Refinements that are due before the time until_ms; all there are with UINT64_MAX. */
static int refine(struct replay *replay, uint64_t until_ms, struct gr_error *err)
{
	struct side *out = &replay->out;
	for (unsigned i = 0; out->refinement_in >= 0; i++) {
		uint64_t due = replay->now_ms + (uint64_t)out->refinement_in, bytes = out->result->bytes;
		if (due >= until_ms)
			return 0;
		if (i == REFINEMENTS_MAX)
			return gr_error_set(err, GR_EPROTO, "frame %u: the refinement does not end", replay->sequence);
		replay->now_ms = due;
		int code = side_step(replay, out, NULL, 0, err);
		if (!code)
			code = check_lossless(replay, ", refined", err);
		if (code)
			return code;
		if (bytes == out->result->bytes && out->refinement_in == 0)
			return gr_error_set(err, GR_EPROTO, "frame %u: a refinement is due but not written",
					    replay->sequence);
	}
	return 0;
}

static int differs(const struct replay *replay, struct gr_rect rect)
{
	size_t w = replay->info.width;
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		if (memcmp(replay->truth + y * w + rect.x, replay->screen.pixels + y * w + rect.x,
			   (size_t)rect.w * 4) != 0)
			return 1;
	return 0;
}

/*
 * A trace's pixels are fetched after its damage: something that changed in between is in the pixels already, its damage
 * only in the next record. A session fetches damaged pixels and no others, so here such a change counts as damaged.
 * Looks at what of rect is left beside damage number `from` and later.
 */
static int add_undamaged(struct replay *replay, const struct gr_trace_frame *frame, struct gr_rect rect, size_t from)
{
	for (size_t i = from; i < frame->damage_count; i++) {
		struct gr_rect d = frame->damage[i];
		uint16_t right = (uint16_t)(rect.x + rect.w), bottom = (uint16_t)(rect.y + rect.h);
		uint16_t d_right = (uint16_t)(d.x + d.w), d_bottom = (uint16_t)(d.y + d.h);
		if (d.x >= right || d_right <= rect.x || d.y >= bottom || d_bottom <= rect.y)
			continue;
		uint16_t top = d.y > rect.y ? d.y : rect.y, low = d_bottom < bottom ? d_bottom : bottom;
		int code = 0;
		if (rect.y < top)
			code = add_undamaged(replay, frame,
					     (struct gr_rect){ rect.x, rect.y, rect.w, (uint16_t)(top - rect.y) },
					     i + 1);
		if (!code && low < bottom)
			code = add_undamaged(replay, frame,
					     (struct gr_rect){ rect.x, low, rect.w, (uint16_t)(bottom - low) }, i + 1);
		if (!code && rect.x < d.x)
			code = add_undamaged(
				replay, frame,
				(struct gr_rect){ rect.x, top, (uint16_t)(d.x - rect.x), (uint16_t)(low - top) },
				i + 1);
		if (!code && d_right < right)
			code = add_undamaged(
				replay, frame,
				(struct gr_rect){ d_right, top, (uint16_t)(right - d_right), (uint16_t)(low - top) },
				i + 1);
		return code;
	}
	if (!differs(replay, rect))
		return 0;
	if (replay->damage_count == GR_WORKER_RECTS_MAX)
		return GR_EFULL;
	replay->damage[replay->damage_count++] = rect;
	return 0;
}

/* Takes the frame that was read as the truth; what is damaged goes to replay->damage. */
static int accept_frame(struct replay *replay, const struct gr_trace_frame *frame, struct gr_error *err)
{
	size_t w = replay->info.width;
	memcpy(replay->damage, frame->damage, frame->damage_count * sizeof(*frame->damage));
	replay->damage_count = frame->damage_count;
	for (size_t i = 0; i < frame->changed_count; i++) {
		struct gr_rect rect = frame->changed[i];
		int code = frame->sequence ? add_undamaged(replay, frame, rect, 0) : 0;
		if (code)
			return gr_error_set(err, code, "frame %u: too many rectangles", frame->sequence);
		for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
			memcpy(replay->truth + y * w + rect.x, replay->screen.pixels + y * w + rect.x,
			       (size_t)rect.w * 4);
		replay->result->changed += (uint64_t)rect.w * rect.h;
	}
	if (frame->sequence == 0) { /* nobody has seen any of it */
		replay->damage[0] = frame->changed[0];
		replay->damage_count = 1;
	}
	for (size_t i = 0; i < replay->damage_count; i++)
		replay->result->damaged += (uint64_t)replay->damage[i].w * replay->damage[i].h;
	replay->sequence = frame->sequence;
	replay->now_ms = frame->time_us / 1000;
	return 0;
}

static void judge(struct replay *replay)
{
	struct gr_quality ours, theirs;
	struct gr_bench_result *result = replay->result;
	int ours_differs = gr_quality_compare(replay->truth, gr_canvas_pixels(replay->out.screen), replay->info.width,
					      replay->info.height, replay->scratch, &ours);
	if (ours_differs)
		gr_lossy_frames_add(&result->out.lossy, &ours);
	if (!result->has_peer)
		return;
	int theirs_differs = gr_quality_compare(replay->truth, gr_canvas_pixels(replay->peer.screen),
						replay->info.width, replay->info.height, replay->scratch, &theirs);
	if (theirs_differs)
		gr_lossy_frames_add(&result->peer.lossy, &theirs);
	if (!ours_differs)
		return;
	if (theirs_differs)
		gr_lossy_frames_add(&result->peer_beside, &theirs);
	double deficit = (theirs_differs ? theirs.ssim : 1) - ours.ssim;
	if (deficit > result->ssim_deficit) {
		result->ssim_deficit = deficit;
		result->ssim_deficit_frame = replay->sequence;
	}
}

static int play_frame(struct replay *replay, const struct gr_trace_frame *frame, struct gr_error *err)
{
	/* An encoder must not be late: what is due when this frame comes is due after it. */
	int code = refine(replay, frame->time_us / 1000, err);
	if (!code)
		code = accept_frame(replay, frame, err);
	if (code || replay->damage_count == 0)
		return code;
	replay->result->frames++;
	/* The analyzer does not see that gr_replay frees replay->damage. */
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	code = side_step(replay, &replay->out, replay->damage, replay->damage_count, err);
	if (!code)
		code = check_lossless(replay, "", err);
	if (!code && replay->result->has_peer) {
		if (replay->options->peer_raw)
			code = side_step(replay, &replay->peer, replay->damage, replay->damage_count, err);
		else
			code = side_step(replay, &replay->peer, frame->changed, frame->changed_count, err);
	}
	if (!code && replay->options->verify)
		judge(replay);
	return code;
}

static int is_exact(const struct replay *replay, const struct side *side)
{
	struct gr_quality quality;
	return !gr_quality_compare(replay->truth, gr_canvas_pixels(side->screen), replay->info.width,
				   replay->info.height, replay->scratch, &quality);
}

static int play(struct replay *replay, struct gr_error *err)
{
	struct gr_trace_frame frame;
	int code;
	while ((code = gr_trace_next(replay->trace, replay->screen.pixels, &frame, err)) == 1) {
		code = play_frame(replay, &frame, err);
		if (code)
			return code;
	}
	if (!code)
		code = refine(replay, UINT64_MAX, err);
	if (!code && replay->options->verify) {
		replay->out.result->exact_final = is_exact(replay, &replay->out);
		if (replay->result->has_peer)
			replay->peer.result->exact_final = is_exact(replay, &replay->peer);
	}
	return code;
}

static void set_name(struct gr_bench_result *result, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
	size_t length = dot && dot != base && strcmp(dot, ".gsft") == 0 ? (size_t)(dot - base) : strlen(base);
	if (length >= sizeof(result->name))
		length = sizeof(result->name) - 1;
	memcpy(result->name, base, length);
	result->name[length] = '\0';
}

int gr_replay(const char *path, const struct gr_replay_options *options, struct gr_bench_result *out,
	      struct gr_error *err)
{
	*out = (struct gr_bench_result){ .has_peer = options->with_peer };
	set_name(out, path);
	struct replay replay = { .options = options, .result = out };
	replay.out.worker.sock = replay.out.worker.out_fd = -1;
	replay.peer.worker.sock = replay.peer.worker.out_fd = -1;
	int code = gr_trace_open_file(path, &replay.trace, err);
	if (code)
		return code;
	gr_trace_info(replay.trace, &replay.info);
	code = gr_worker_screen_init(&replay.screen, replay.info.width, replay.info.height, err);
	if (!code) /* before anything large is in this process, which they are copies of */
		code = side_init(&replay, &replay.out, &gr_codec_encoder, &out->out, err);
	if (!code && options->with_peer)
		code = side_init(&replay, &replay.peer, &gr_codec_peer, &out->peer, err);
	if (!code)
		code = side_init_screen(&replay, &replay.out, err);
	if (!code && options->with_peer)
		code = side_init_screen(&replay, &replay.peer, err);
	replay.truth = calloc((size_t)replay.info.width * replay.info.height, sizeof(*replay.truth));
	replay.damage = calloc(GR_WORKER_RECTS_MAX, sizeof(*replay.damage));
	replay.scratch = malloc(gr_quality_scratch_size(replay.info.width));
	if (!code && (!replay.truth || !replay.damage || !replay.scratch))
		code = gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!code)
		code = play(&replay, err);
	side_finish(&replay.out);
	side_finish(&replay.peer);
	gr_worker_screen_finish(&replay.screen);
	free(replay.truth);
	free(replay.damage);
	free(replay.scratch);
	gr_trace_close(replay.trace);
	return code;
}
