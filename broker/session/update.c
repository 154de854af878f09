#include "broker/session/update.h"
#include "broker/session/rfb_server.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

#define FOCUS_W 320 /* around the pointer or the caret: what a person reads without moving the eyes far */
#define FOCUS_H 200

enum form { FORM_NONE, FORM_TIGHT, FORM_GARASU };

struct gr_update {
	struct gr_encoder *encoder; /* borrowed */
	struct gr_rfb_server *server;
	struct gr_outflow *out; /* borrowed; NULL: no viewer */
	unsigned history_log2;
	/* What the viewer listed. */
	int tight, copy_rect, level;
	unsigned viewer_history;
	/* What the encoder was started with for this viewer: it stays so, as what the viewer remembers of it does. */
	enum form form;
	int with_copies, with_photos;
	int ours; /* the last update's pixels were our encoder's */
	int continues;
	int continuous, continuous_whole;
	struct gr_rect continuous_rect;
	uint16_t last_width, last_height; /* of the screen before the present size */
	unsigned photo, video; /* what suits the bandwidth */
	uint8_t *message; /* GR_ENCODE_OUT_MIN bytes and the message's header */
};

#define HEADER 4u
#define MESSAGE_SIZE (HEADER + GR_ENCODE_OUT_MIN)

struct gr_update *gr_update_create(struct gr_encoder *encoder, unsigned history_log2)
{
	struct gr_update *update = calloc(1, sizeof(*update));
	if (!update)
		return NULL;
	update->encoder = encoder;
	update->history_log2 = history_log2;
	update->server = gr_rfb_server_create(encoder);
	update->message = malloc(MESSAGE_SIZE);
	if (!update->server || !update->message) {
		gr_update_destroy(update);
		return NULL;
	}
	return update;
}

void gr_update_destroy(struct gr_update *update)
{
	if (!update)
		return;
	gr_update_close(update);
	gr_rfb_server_destroy(update->server);
	free(update->message);
	free(update);
}

int gr_update_open(struct gr_update *update, struct gr_outflow *out)
{
	int status = gr_rfb_server_open(update->server, out);
	if (status)
		return status;
	update->out = out;
	update->tight = update->copy_rect = update->ours = update->continues = update->continuous = 0;
	update->level = -1;
	update->viewer_history = 0;
	update->form = FORM_NONE;
	update->last_width = update->last_height = 0;
	update->photo = 75;
	update->video = 60;
	return 0;
}

void gr_update_close(struct gr_update *update)
{
	gr_encoder_stop(update->encoder);
	gr_rfb_server_close(update->server);
	update->out = NULL;
}

int gr_update_feed(struct gr_update *update, const void *message, size_t n)
{
	return gr_rfb_server_feed(update->server, message, n);
}

static struct gr_rect whole(const struct gr_update *update)
{
	return (struct gr_rect){ 0, 0, gr_rfb_server_width(update->server), gr_rfb_server_height(update->server) };
}

static int covers(struct gr_rect rect, uint16_t w, uint16_t h)
{
	return !rect.x && !rect.y && rect.w >= w && rect.h >= h;
}

/* Of the present screen, or of the one before: a request may have met the news of another size on its way. */
static int is_whole(const struct gr_update *update, struct gr_rect rect)
{
	struct gr_rect all = whole(update);
	return covers(rect, all.w, all.h) ||
	       (update->last_width && covers(rect, update->last_width, update->last_height));
}

/* ---- what the viewer wants ---- */

/* JPEG's quality for a level of the RFB registry: what other servers make of it. */
static unsigned level_quality(int level)
{
	static const uint8_t qualities[10] = { 15, 29, 41, 42, 62, 77, 79, 86, 92, 100 };
	return qualities[level];
}

static void wished_quality(const struct gr_update *update, unsigned *photo, unsigned *video)
{
	*photo = *video = 0;
	if (update->level < 0)
		return;
	unsigned limit = level_quality(update->level);
	*photo = update->photo < limit ? update->photo : limit;
	*video = update->video < *photo ? update->video : *photo;
}

static void set_quality(struct gr_update *update)
{
	unsigned photo, video;
	wished_quality(update, &photo, &video);
	/* Whether there are lossy pictures at all stays as it was at the start. */
	if (update->form && photo && update->with_photos)
		gr_encoder_quality(update->encoder, photo, video);
}

void gr_update_window(struct gr_update *update, uint64_t bytes)
{
	gr_encoder_slice(update->encoder, (size_t)bytes);
}

void gr_update_quality(struct gr_update *update, unsigned photo, unsigned video)
{
	if (photo == update->photo && video == update->video)
		return;
	update->photo = photo;
	update->video = video;
	set_quality(update);
}

void gr_update_exact(struct gr_update *update, int on)
{
	gr_encoder_exact(update->encoder, on);
}

int gr_update_all_sent(const struct gr_update *update, uint64_t now_ms)
{
	return update->out && update->ours && !gr_update_size_pending(update) &&
	       !gr_encoder_pending(update->encoder, now_ms);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

int gr_update_encodings(struct gr_update *update, const struct gr_viewer_message *m)
{
	uint8_t filtered[4 + 4 * GR_VIEWER_ENCODINGS_MAX] = { 2 };
	put16(filtered + 2, (uint32_t)m->encodings.count);
	for (size_t i = 0; i < m->encodings.count; i++) {
		put16(filtered + 4 + i * 4, (uint32_t)m->encodings.kept[i] >> 16);
		put16(filtered + 6 + i * 4, (uint32_t)m->encodings.kept[i] & 0xffff);
	}
	update->tight = m->encodings.tight;
	update->copy_rect = m->encodings.copy_rect;
	update->level = m->encodings.quality;
	update->viewer_history = m->encodings.history_log2;
	set_quality(update);
	return gr_update_feed(update, filtered, 4 + m->encodings.count * 4);
}

int gr_update_request(struct gr_update *update, const struct gr_viewer_message *m, const void *bytes)
{
	int status = gr_update_feed(update, bytes, m->size);
	if (status)
		return status;
	struct gr_rect rect = m->update_request.rect;
	if (is_whole(update, rect)) {
		rect = whole(update);
		gr_rfb_server_request(update->server, rect);
	}
	if (!m->update_request.incremental && update->form)
		gr_encoder_forget(update->encoder, rect);
	return 0;
}

void gr_update_continuous(struct gr_update *update, const struct gr_viewer_message *m)
{
	update->continuous = m->continuous.on;
	update->continuous_rect = m->continuous.rect;
	update->continuous_whole = is_whole(update, m->continuous.rect);
	/* Nothing is sent behind their end that was not asked for anew. */
	if (!update->continuous)
		gr_rfb_server_answered(update->server);
}

int gr_update_waiting(const struct gr_update *update)
{
	return update->out && (update->continuous || gr_rfb_server_requested(update->server));
}

int gr_update_size_pending(const struct gr_update *update)
{
	return gr_rfb_server_size_pending(update->server);
}

int gr_update_shows(const struct gr_update *update, struct gr_rect rect)
{
	struct gr_rect all = whole(update);
	return rect.x + rect.w <= all.w && rect.y + rect.h <= all.h;
}

/* ---- what has changed ---- */

void gr_update_changed(struct gr_update *update, const struct gr_rect *damage, size_t n)
{
	gr_rfb_server_changed(update->server, damage, n);
}

void gr_update_resized(struct gr_update *update)
{
	int asked = gr_rfb_server_requested_whole(update->server);
	update->last_width = gr_rfb_server_width(update->server);
	update->last_height = gr_rfb_server_height(update->server);
	gr_rfb_server_resized(update->server);
	/* Who asked for the whole screen wants the whole of the new one. */
	if (asked)
		gr_rfb_server_request(update->server, whole(update));
	update->continues = 0;
}

void gr_update_size_answer(struct gr_update *update, int status)
{
	gr_rfb_server_size_answer(update->server, status);
}

int gr_update_cursor(struct gr_update *update, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
		     const uint32_t *colours, const uint8_t *mask)
{
	return gr_rfb_server_cursor(update->server, w, h, hot_x, hot_y, colours, mask);
}

static void focus(struct gr_update *update, int x, int y)
{
	struct gr_rect rect = { (uint16_t)(x > FOCUS_W / 2 ? x - FOCUS_W / 2 : 0),
				(uint16_t)(y > FOCUS_H / 2 ? y - FOCUS_H / 2 : 0), FOCUS_W, FOCUS_H };
	if (gr_update_shows(update, (struct gr_rect){ rect.x, rect.y, 1, 1 }))
		gr_encoder_focus(update->encoder, rect);
}

void gr_update_pointer(struct gr_update *update, uint16_t x, uint16_t y)
{
	gr_rfb_server_pointer(update->server, x, y);
	focus(update, x, y);
}

void gr_update_caret(struct gr_update *update, struct gr_rect caret)
{
	focus(update, caret.x + caret.w / 2, caret.y + caret.h / 2);
}

/* ---- updates ---- */

static enum form suitable_form(const struct gr_update *update)
{
	if (!gr_rfb_server_suits(update->server))
		return FORM_NONE;
	enum form form = update->viewer_history ? FORM_GARASU : update->tight ? FORM_TIGHT : FORM_NONE;
	/* Another form than before would need another memory at the viewer; and what it no longer takes, we would send. */
	if (update->form &&
	    (form != update->form || (update->with_copies && form == FORM_TIGHT && !update->copy_rect) ||
	     (update->with_photos && update->level < 0)))
		return FORM_NONE;
	return form;
}

static int start(struct gr_update *update, enum form form)
{
	struct gr_encode_settings settings = {
		.form = form == FORM_GARASU ? GR_ENCODE_GARASU : GR_ENCODE_TIGHT,
		.copy_rect = form == FORM_GARASU || update->copy_rect,
		.history_log2 = update->viewer_history < update->history_log2 ? update->viewer_history
									      : update->history_log2,
		.refine_after_ms = GR_ENCODE_REFINE_AFTER_MS,
	};
	wished_quality(update, &settings.photo_quality, &settings.video_quality);
	int status = gr_encoder_start(update->encoder, &settings);
	if (status)
		return status;
	update->form = form;
	update->with_copies = settings.copy_rect;
	update->with_photos = settings.photo_quality > 0;
	return 0;
}

/*
 * Whose pixels the next update carries. Our encoder knows no regions: a viewer that asks for a part of the screen only gets
 * libvncserver's. Each of the two has to send everything when its turn comes again.
 */
static int choose(struct gr_update *update)
{
	if (update->continuous)
		gr_rfb_server_request(update->server,
				      update->continuous_whole ? whole(update) : update->continuous_rect);
	enum form form = suitable_form(update);
	int ours = form && gr_rfb_server_requested_whole(update->server);
	if (ours && !update->form) {
		int status = start(update, form);
		if (status)
			return status;
	}
	if (ours != update->ours) {
		struct gr_rect all = whole(update);
		if (ours)
			gr_encoder_forget(update->encoder, all);
		else
			gr_rfb_server_changed(update->server, &all, 1);
		update->ours = ours;
		update->continues = 0;
	}
	if (ours)
		gr_rfb_server_unchanged(update->server);
	return 0;
}

int gr_update_pending(struct gr_update *update, uint64_t now_ms)
{
	if (!gr_update_waiting(update))
		return 0;
	if (choose(update))
		return 1; /* gr_update_send says what is wrong */
	return gr_rfb_server_pending(update->server) || (update->ours && gr_encoder_pending(update->encoder, now_ms));
}

int gr_update_continues(const struct gr_update *update)
{
	return update->continues;
}

int64_t gr_update_pending_in(const struct gr_update *update, uint64_t now_ms)
{
	if (!gr_update_waiting(update) || !update->ours)
		return -1;
	return gr_encoder_refinement_in(update->encoder, now_ms);
}

/* An update of our own, behind what libvncserver had to say. */
static int send_pixels(struct gr_update *update, uint64_t now_ms, size_t *n_out)
{
	unsigned rects = 0;
	ptrdiff_t n = gr_encoder_write(update->encoder, now_ms, update->message + HEADER, GR_ENCODE_OUT_MIN, &rects);
	*n_out = 0;
	if (n < 0)
		return (int)n;
	/* Who asked gets the whole picture for it, in however many slices. */
	update->continues = gr_encoder_pending(update->encoder, now_ms);
	if (update->continues)
		gr_rfb_server_request(update->server, whole(update));
	else
		gr_rfb_server_answered(update->server);
	if (!n)
		return 0;
	update->message[0] = 0; /* FramebufferUpdate */
	update->message[1] = 0;
	put16(update->message + 2, rects);
	*n_out = HEADER + (size_t)n;
	return gr_outflow_append(update->out, update->message, *n_out);
}

int gr_update_send(struct gr_update *update, uint64_t now_ms, size_t *n_out)
{
	*n_out = 0;
	if (!gr_update_waiting(update))
		return 0;
	int status = choose(update);
	if (status)
		return status;
	size_t first = 0, second = 0;
	status = gr_rfb_server_send(update->server, &first);
	if (!status && update->ours && gr_encoder_pending(update->encoder, now_ms))
		status = send_pixels(update, now_ms, &second);
	*n_out = first + second;
	return status;
}
