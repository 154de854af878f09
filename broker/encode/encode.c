#include "broker/encode/encode.h"
#include "broker/encode/history.h"
#include "broker/encode/photo.h"
#include "broker/encode/plan.h"
#include "broker/encode/screen.h"
#include "broker/encode/tight.h"
#include "broker/encode/wire.h"
#include "common/decode/decode.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

#define ENCODING_COPY_RECT 1
#define COPY_RECT_BYTES 16u

/*
 * Pixels of one slice: some 2 to 5 ms of work. A whole new page leaves in three or four, the first while the next is made;
 * refinements in smaller ones, so that a change never waits long behind one.
 */
#define SLICE_PIXELS (640u << 10)
#define REFINEMENT_PIXELS (160u << 10)
#define TIGHT_PIXELS_MAX (128u << 10) /* of one exact rectangle: its bound must fit into the output */
#define RECTS_MAX 60000u /* a count of 65535 means something else in RFB */

struct gr_encoder {
	struct gr_screen screen;
	struct gr_plan plan;
	const struct gr_kernels *kernels;
	int started;
	int exact;
	struct gr_encode_settings settings;
	struct gr_rect focus;
	size_t slice_bytes; /* 0: no limit */
	struct gr_history *history; /* GARASU */
	struct gr_tight_encoder *tight; /* TIGHT */
	struct gr_photo *photo; /* when photo_quality > 0 */
	struct gr_encode_counters counters;
};

struct gr_encoder *gr_encoder_create(uint16_t w, uint16_t h)
{
	struct gr_encoder *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->kernels = gr_kernels_best();
	if (gr_screen_init(&e->screen, w, h, e->kernels) ||
	    gr_plan_init(&e->plan, e->screen.columns * e->screen.rows)) {
		gr_encoder_destroy(e);
		return NULL;
	}
	return e;
}

void gr_encoder_destroy(struct gr_encoder *e)
{
	if (!e)
		return;
	gr_encoder_stop(e);
	gr_plan_finish(&e->plan);
	gr_screen_finish(&e->screen);
	free(e);
}

int gr_encoder_resize(struct gr_encoder *e, uint16_t w, uint16_t h)
{
	struct gr_plan plan;
	size_t columns = ((size_t)w + GR_TILE_WIDTH - 1) / GR_TILE_WIDTH,
	       rows = ((size_t)h + GR_TILE_HEIGHT - 1) / GR_TILE_HEIGHT;
	if (!w || !h || w > GR_SCREEN_MAX || h > GR_SCREEN_MAX)
		return GR_EINVAL;
	if (gr_plan_init(&plan, columns * rows))
		return GR_ENOMEM;
	int status = gr_screen_resize(&e->screen, w, h);
	if (status) {
		gr_plan_finish(&plan);
		return status;
	}
	gr_plan_finish(&e->plan);
	e->plan = plan;
	return 0;
}

uint16_t gr_encoder_width(const struct gr_encoder *e)
{
	return e->screen.w;
}

uint16_t gr_encoder_height(const struct gr_encoder *e)
{
	return e->screen.h;
}

const uint32_t *gr_encoder_pixels(const struct gr_encoder *e)
{
	return e->screen.pixels;
}

static int qualities_good(unsigned photo, unsigned video)
{
	return photo <= 100 && (!photo || (video >= 1 && video <= 100));
}

int gr_encoder_start(struct gr_encoder *e, const struct gr_encode_settings *settings)
{
	gr_encoder_stop(e);
	int garasu = settings->form == GR_ENCODE_GARASU;
	if ((!garasu && settings->form != GR_ENCODE_TIGHT) ||
	    !qualities_good(settings->photo_quality, settings->video_quality) ||
	    (garasu &&
	     (settings->history_log2 < GR_ENCODE_HISTORY_MIN || settings->history_log2 > GR_ENCODE_HISTORY_MAX)))
		return GR_EINVAL;
	e->settings = *settings;
	e->settings.copy_rect |= garasu;
	if (garasu)
		e->history = gr_history_create(settings->history_log2, e->kernels);
	else
		e->tight = gr_tight_encoder_create();
	if (settings->photo_quality)
		e->photo = gr_photo_create(e->kernels);
	if ((!e->history && !e->tight) || (settings->photo_quality && !e->photo)) {
		gr_encoder_stop(e);
		return GR_ENOMEM;
	}
	e->started = 1;
	e->slice_bytes = 0;
	e->counters = (struct gr_encode_counters){ 0 };
	gr_screen_begin(&e->screen);
	return 0;
}

void gr_encoder_stop(struct gr_encoder *e)
{
	gr_history_destroy(e->history);
	gr_tight_encoder_destroy(e->tight);
	gr_photo_destroy(e->photo);
	e->history = NULL;
	e->tight = NULL;
	e->photo = NULL;
	e->started = 0;
	e->screen.copy_count = 0;
}

int gr_encoder_quality(struct gr_encoder *e, unsigned photo_quality, unsigned video_quality)
{
	/* Whether anything lossy is sent at all was settled when the viewer came. */
	if (!qualities_good(photo_quality, video_quality) || !e->started ||
	    !photo_quality != !e->settings.photo_quality)
		return GR_EINVAL;
	e->settings.photo_quality = photo_quality;
	e->settings.video_quality = video_quality;
	return 0;
}

void gr_encoder_exact(struct gr_encoder *e, int on)
{
	e->exact = on;
}

void gr_encoder_slice(struct gr_encoder *e, size_t bytes)
{
	e->slice_bytes = bytes;
}

void gr_encoder_focus(struct gr_encoder *e, struct gr_rect focus)
{
	e->focus = focus.w && focus.h ? focus : (struct gr_rect){ 0 };
}

void gr_encoder_forget(struct gr_encoder *e, struct gr_rect rect)
{
	gr_screen_forget(&e->screen, rect);
}

size_t gr_encoder_take(struct gr_encoder *e, const uint8_t *untrusted_source, size_t stride,
		       const struct gr_rect *damage, size_t n, uint64_t now_ms)
{
	return gr_screen_take(&e->screen, untrusted_source, stride, damage, n, e->started && e->settings.copy_rect,
			      now_ms);
}

/* ---- what there is to send ---- */

static int changes_pending(const struct gr_encoder *e)
{
	const struct gr_screen *s = &e->screen;
	if (s->copy_count)
		return 1;
	for (size_t i = 0; i < s->columns * s->rows; i++)
		if (s->tiles[i].pending.right)
			return 1;
	return 0;
}

static unsigned refine_after(const struct gr_encoder *e)
{
	return e->exact ? 0 : e->settings.refine_after_ms;
}

int64_t gr_encoder_refinement_in(const struct gr_encoder *e, uint64_t now_ms)
{
	const struct gr_screen *s = &e->screen;
	if (!e->started || (!e->settings.refine_after_ms && !e->exact) || !s->lossy_count)
		return -1;
	int64_t soonest = INT64_MAX;
	for (size_t i = 0; i < s->columns * s->rows; i++) {
		if (!s->tiles[i].lossy.right)
			continue;
		int64_t quiet = (int32_t)((uint32_t)now_ms - s->tiles[i].touched_ms);
		int64_t left = refine_after(e) - quiet;
		soonest = left < soonest ? left : soonest;
	}
	return soonest > 0 ? soonest : 0;
}

int gr_encoder_pending(const struct gr_encoder *e, uint64_t now_ms)
{
	return e->started && (changes_pending(e) || gr_encoder_refinement_in(e, now_ms) == 0);
}

/* ---- sending ---- */

static void send_copies(struct gr_encoder *e, struct gr_encode_out *out)
{
	struct gr_screen *s = &e->screen;
	for (size_t i = 0; i < s->copy_count; i++) {
		const struct gr_copy *c = &s->copies[i];
		uint8_t *to = out->bytes + out->used;
		gr_wire_rect(to, c->rect, ENCODING_COPY_RECT);
		gr_wire_u16(to + 12, (uint32_t)(c->rect.x + c->dx));
		gr_wire_u16(to + 14, (uint32_t)(c->rect.y + c->dy));
		out->used += COPY_RECT_BYTES;
		out->rects++;
		e->counters.copied += (uint64_t)c->rect.w * c->rect.h;
	}
	s->copy_count = 0;
}

_Static_assert(GR_COPIES_MAX *COPY_RECT_BYTES < GR_ENCODE_OUT_MIN / 2, "all copies fit into one write");

/* *rows: how many of the rectangle's rows were written; fewer than it has when the output is full. */
static int send_exact(struct gr_encoder *e, struct gr_rect rect, int photo, struct gr_encode_out *out, uint16_t *rows)
{
	if (e->history)
		return gr_history_add(e->history, e->screen.pixels, e->screen.w, rect, photo, out, rows);
	*rows = 0;
	while (rect.h && out->cap - out->used < gr_tight_encoder_bound(rect.w, rect.h))
		rect.h /= 2;
	if (!rect.h)
		return 0;
	ptrdiff_t n = gr_tight_encoder_write(e->tight, e->screen.pixels, e->screen.w, rect, out->bytes + out->used,
					     &out->rects);
	if (n < 0)
		return (int)n;
	out->used += (size_t)n;
	*rows = rect.h;
	return 0;
}

static int send_lossy(struct gr_encoder *e, const struct gr_plan_rect *r, struct gr_encode_out *out, uint16_t *rows)
{
	const uint8_t *jpeg;
	ptrdiff_t n = gr_photo_compress(
		e->photo, e->screen.pixels, e->screen.w, r->rect,
		r->class == GR_PLAN_VIDEO ? e->settings.video_quality : e->settings.photo_quality, &jpeg);
	*rows = 0;
	if (n < 0)
		return (int)n;
	if (out->cap - out->used < (size_t)n + 64 + (e->history ? gr_history_room() : 0))
		return 0;
	uint8_t *to = out->bytes + out->used;
	size_t header;
	if (e->history) {
		gr_wire_rect(to, r->rect, GR_ENCODING_PHOTO);
		gr_wire_u32(to + 12, (uint32_t)n);
		header = 16;
	} else {
		header = gr_tight_encoder_jpeg_header(r->rect, (size_t)n, to);
	}
	memcpy(to + header, jpeg, (size_t)n);
	out->used += header + (size_t)n;
	out->rects++;
	*rows = r->rect.h;
	return 0;
}

static int send_rect(struct gr_encoder *e, const struct gr_plan_rect *r, struct gr_encode_out *out, uint32_t now_ms,
		     uint16_t *rows)
{
	int exact = r->class == GR_PLAN_EXACT || r->class == GR_PLAN_EXACT_PHOTO;
	int status = exact ? send_exact(e, r->rect, r->class == GR_PLAN_EXACT_PHOTO, out, rows)
			   : send_lossy(e, r, out, rows);
	/* What does not even fit into an empty output is noise; the history takes it piece by piece. */
	if (!status && !*rows && !exact && !out->rects) {
		exact = 1;
		status = send_exact(e, r->rect, 1, out, rows);
	}
	if (status || !*rows)
		return status;
	struct gr_rect sent = r->rect;
	sent.h = *rows;
	gr_screen_sent(&e->screen, sent, exact, now_ms);
	uint64_t pixels = (uint64_t)sent.w * sent.h;
	*(exact ? &e->counters.lossless : &e->counters.lossy) += pixels;
	if (r->class == GR_PLAN_EXACT_PHOTO && e->history && e->photo)
		gr_photo_note(e->photo, e->screen.pixels, e->screen.w, sent, gr_history_bytes(e->history));
	return 0;
}

static int touches(struct gr_rect a, struct gr_rect b)
{
	return a.x < (unsigned)b.x + b.w && b.x < (unsigned)a.x + a.w && a.y < (unsigned)b.y + b.h &&
	       b.y < (unsigned)a.y + a.h;
}

/* Sends the plan's rectangles up to a slice: those where the person looks first, then the others from the top. */
static int send_plan(struct gr_encoder *e, size_t slice, struct gr_encode_out *out, uint32_t now_ms)
{
	size_t pixels = 0;
	for (int focused = 1; focused >= 0; focused--) {
		for (size_t i = 0; i < e->plan.count; i++) {
			const struct gr_plan_rect *r = &e->plan.rects[i];
			if (touches(r->rect, e->focus) != focused)
				continue;
			if (pixels >= slice || out->used >= out->enough || out->rects >= RECTS_MAX)
				return 0;
			uint16_t rows;
			int status = send_rect(e, r, out, now_ms, &rows);
			if (status || rows < r->rect.h)
				return status;
			pixels += (size_t)r->rect.w * r->rect.h;
		}
	}
	return 0;
}

/* How far back the viewer's history reaches, in bytes of tokens since the connection began. */
static uint64_t history_since(const struct gr_encoder *e)
{
	uint64_t at = gr_history_bytes(e->history), window = (uint64_t)1 << e->settings.history_log2;
	return at > window ? at - window : 0;
}

static int send_changes(struct gr_encoder *e, struct gr_encode_out *out, uint32_t now_ms)
{
	send_copies(e, out);
	struct gr_plan_settings settings = { .lossy = e->settings.photo_quality > 0 && !e->exact,
					     .exact_pixels_max = e->history ? SLICE_PIXELS : TIGHT_PIXELS_MAX };
	if (e->history) {
		settings.photo = e->photo;
		settings.known_since = history_since(e);
	}
	gr_plan_changes(&e->plan, &e->screen, &settings);
	return send_plan(e, SLICE_PIXELS, out, now_ms);
}

static int send_refinement(struct gr_encoder *e, struct gr_encode_out *out, uint32_t now_ms)
{
	gr_plan_refinement(&e->plan, &e->screen, now_ms - refine_after(e),
			   e->history ? REFINEMENT_PIXELS : TIGHT_PIXELS_MAX);
	uint64_t before = e->counters.lossless;
	int status = send_plan(e, REFINEMENT_PIXELS, out, now_ms);
	e->counters.refined += e->counters.lossless - before;
	return status;
}

ptrdiff_t gr_encoder_write(struct gr_encoder *e, uint64_t now_ms, uint8_t *bytes, size_t cap, unsigned *rects_out)
{
	*rects_out = 0;
	if (!e->started || cap < GR_ENCODE_OUT_MIN)
		return GR_EINVAL;
	struct gr_encode_out out = { .bytes = bytes, .cap = cap, .enough = e->slice_bytes ? e->slice_bytes : cap };
	int status = 0;
	if (changes_pending(e))
		status = send_changes(e, &out, (uint32_t)now_ms);
	else if (gr_encoder_refinement_in(e, now_ms) == 0)
		status = send_refinement(e, &out, (uint32_t)now_ms);
	if (!status && e->history)
		status = gr_history_flush(e->history, &out);
	if (status)
		return status;
	*rects_out = out.rects;
	return (ptrdiff_t)out.used;
}

void gr_encoder_counters(const struct gr_encoder *e, struct gr_encode_counters *out)
{
	*out = e->counters;
	if (e->history)
		out->history_bytes = gr_history_bytes(e->history);
}
