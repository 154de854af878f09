#include "bench/verify.h"
#include "bench/canvas.h"

#include <stdlib.h>
#include <string.h>

/* A viewer, and what it has been sent so far. */
struct viewer {
	const char *name;
	const struct gr_kept *kept; /* NULL: there is none */
	size_t next, at; /* the update that comes next, and its first byte */
	struct gr_canvas *screen;
};

struct verification {
	struct gr_source *source;
	struct gr_bench_result *result;
	struct viewer out, peer;
	void *scratch;
};

static int viewer_init(struct verification *v, struct viewer *viewer, const char *name, const struct gr_kept *kept,
		       unsigned history_log2, struct gr_error *err)
{
	*viewer = (struct viewer){ .name = name, .kept = kept };
	if (!kept)
		return 0;
	viewer->screen = gr_canvas_create(v->source->info.width, v->source->info.height, history_log2);
	return viewer->screen ? 0 : gr_error_set(err, GR_ENOMEM, "out of memory");
}

/* The update that comes next, or NULL. */
static const struct gr_kept_update *viewer_next(const struct viewer *viewer)
{
	return viewer->kept && viewer->next < viewer->kept->count ? &viewer->kept->updates[viewer->next] : NULL;
}

/* Shows all updates of this step of a frame. */
static int viewer_show(struct viewer *viewer, uint32_t sequence, uint32_t step, struct gr_error *err)
{
	const struct gr_kept_update *update;
	while ((update = viewer_next(viewer)) && update->sequence == sequence && update->step == step) {
		if (gr_canvas_update(viewer->screen, viewer->kept->bytes + viewer->at, update->size, err))
			return gr_error_wrap(err, "frame %u: %s", sequence, viewer->name);
		viewer->at += update->size;
		viewer->next++;
	}
	return 0;
}

/* What our screen shows may differ from the truth only where it was sent lossy. */
static int check_lossless(const struct verification *v, uint32_t sequence, uint32_t step, struct gr_error *err)
{
	size_t w = v->source->info.width;
	const uint32_t *truth = v->source->truth, *shown = gr_canvas_pixels(v->out.screen);
	const uint8_t *lossy = gr_canvas_lossy(v->out.screen);
	for (size_t y = 0; y < v->source->info.height; y++) {
		size_t row = y * w;
		if (memcmp(shown + row, truth + row, w * 4) == 0)
			continue;
		for (size_t x = 0; x < w; x++)
			if (shown[row + x] != truth[row + x] && !lossy[row + x])
				return gr_error_set(err, GR_EPROTO,
						    "frame %u%s: the pixel at %zu,%zu is %06x, must be %06x, and was "
						    "not sent lossy",
						    sequence, step ? ", refined" : "", x, y, shown[row + x] & 0xffffffu,
						    truth[row + x] & 0xffffffu);
	}
	return 0;
}

/* The refinements before frame number `before`. */
static int show_refinements(struct verification *v, uint64_t before, struct gr_error *err)
{
	const struct gr_kept_update *update;
	while ((update = viewer_next(&v->out)) && update->sequence < before) {
		uint32_t sequence = update->sequence, step = update->step;
		int code = viewer_show(&v->out, sequence, step, err);
		if (!code)
			code = check_lossless(v, sequence, step, err);
		if (code)
			return code;
	}
	return 0;
}

/* 1: the viewer's picture is not the true one, *out says how much. */
static int differs(const struct verification *v, const struct viewer *viewer, struct gr_quality *out)
{
	const struct gr_source *source = v->source;
	return gr_quality_compare(source->truth, gr_canvas_pixels(viewer->screen), source->info.width,
				  source->info.height, v->scratch, out);
}

static void judge(struct verification *v)
{
	struct gr_quality ours, theirs;
	struct gr_bench_result *result = v->result;
	int ours_differs = differs(v, &v->out, &ours);
	if (ours_differs)
		gr_lossy_frames_add(&result->out.lossy, &ours);
	if (!v->peer.kept)
		return;
	int theirs_differs = differs(v, &v->peer, &theirs);
	if (theirs_differs)
		gr_lossy_frames_add(&result->peer.lossy, &theirs);
	if (!ours_differs)
		return;
	if (theirs_differs)
		gr_lossy_frames_add(&result->peer_beside, &theirs);
	double deficit = (theirs_differs ? theirs.ssim : 1) - ours.ssim;
	if (deficit > result->ssim_deficit) {
		result->ssim_deficit = deficit;
		result->ssim_deficit_frame = v->source->frame.sequence;
	}
}

static int show_frame(struct verification *v, struct gr_error *err)
{
	uint32_t sequence = v->source->frame.sequence;
	int code = show_refinements(v, sequence, err);
	if (!code)
		code = gr_source_accept(v->source, err);
	if (code || v->source->damage_count == 0)
		return code;
	code = viewer_show(&v->out, sequence, 0, err);
	if (!code)
		code = check_lossless(v, sequence, 0, err);
	if (!code)
		code = viewer_show(&v->peer, sequence, 0, err);
	if (!code)
		judge(v);
	return code;
}

static int show_all(struct verification *v, struct gr_error *err)
{
	struct gr_quality quality;
	int code;
	while ((code = gr_source_read(v->source, err)) == 1) {
		code = show_frame(v, err);
		if (code)
			return code;
	}
	if (!code)
		code = show_refinements(v, UINT64_MAX, err);
	if (code)
		return code;
	if (viewer_next(&v->out) || viewer_next(&v->peer))
		return gr_error_set(err, GR_EPROTO, "something was written that belongs to no frame");
	v->result->out.exact_final = !differs(v, &v->out, &quality);
	if (v->peer.kept)
		v->result->peer.exact_final = !differs(v, &v->peer, &quality);
	return 0;
}

int gr_verify(struct gr_source *source, unsigned history_log2, const struct gr_kept *out, const struct gr_kept *peer,
	      struct gr_bench_result *result, struct gr_error *err)
{
	struct verification v = { .source = source, .result = result };
	int code = viewer_init(&v, &v.out, "garasu", out, history_log2, err);
	if (!code)
		code = viewer_init(&v, &v.peer, "libvncserver", peer, history_log2, err);
	v.scratch = malloc(gr_quality_scratch_size(source->info.width));
	if (!code && !v.scratch)
		code = gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!code)
		code = show_all(&v, err);
	gr_canvas_destroy(v.out.screen);
	gr_canvas_destroy(v.peer.screen);
	free(v.scratch);
	return code;
}
