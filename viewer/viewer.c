#include "viewer/viewer.h"
#include "common/io.h"
#include "common/log.h"
#include "common/utf8.h"
#include "viewer/rfb.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	CLOSING_US = 6000000, /* between the transport's end and the decoder's */
	EXIT_MS = 2000, /* for the processes to end after their sockets are closed */
};

uint64_t gr_viewer_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void gr_viewer_end(struct gr_viewer *viewer, enum gr_failure failure, unsigned reason, const char *detail)
{
	if (viewer->state == GR_VIEWER_ENDED)
		return;
	viewer->state = GR_VIEWER_ENDED;
	viewer->failure = failure;
	viewer->reason = reason;
	if (detail && *detail)
		snprintf(viewer->detail, sizeof(viewer->detail), "%s", detail);
	viewer->dirty |= GR_DIRTY_STATE;
	gr_io_close(&viewer->decoder);
	gr_io_close(&viewer->transport);
}

/* From the decoder. */

static int inside(const struct gr_viewer *viewer, struct gr_rect untrusted_rect)
{
	return (unsigned)untrusted_rect.x + untrusted_rect.w <= viewer->width &&
	       (unsigned)untrusted_rect.y + untrusted_rect.h <= viewer->height;
}

static void add_damage(struct gr_viewer *viewer, struct gr_rect rect)
{
	struct gr_rect *damage = &viewer->damage;
	if (damage->w == 0) {
		*damage = rect;
		return;
	}
	unsigned right = (unsigned)damage->x + damage->w, bottom = (unsigned)damage->y + damage->h;
	if ((unsigned)rect.x + rect.w > right)
		right = (unsigned)rect.x + rect.w;
	if ((unsigned)rect.y + rect.h > bottom)
		bottom = (unsigned)rect.y + rect.h;
	if (rect.x < damage->x)
		damage->x = rect.x;
	if (rect.y < damage->y)
		damage->y = rect.y;
	damage->w = (uint16_t)(right - damage->x);
	damage->h = (uint16_t)(bottom - damage->y);
}

static int on_update(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	if (event->count < 1 || event->count > GR_FRAME_RECTS_MAX)
		return GR_EPROTO;
	for (uint32_t i = 0; i < event->count; i++) {
		if (event->rects[i].w == 0 || event->rects[i].h == 0 || !inside(viewer, event->rects[i]))
			return GR_EPROTO;
		add_damage(viewer, event->rects[i]);
	}
	uint64_t now = gr_viewer_now_us();
	viewer->frames++;
	viewer->last_change_us = now;
	if (!viewer->change_after_input_us)
		viewer->change_after_input_us = now;
	viewer->dirty |= GR_DIRTY_PICTURE;
	viewer->full = (event->value & GR_RFB_FULL) != 0;
	viewer->exact = (event->value & GR_RFB_EXACT) != 0;
	if (viewer->full && !viewer->first_frame_us)
		viewer->first_frame_us = now;
	if (viewer->state != GR_VIEWER_SHOWN) {
		viewer->state = GR_VIEWER_SHOWN;
		viewer->dirty |= GR_DIRTY_STATE;
	}
	return 0;
}

static int on_cursor(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	uint16_t width = event->width, height = event->height;
	if (width > GR_CURSOR_MAX || height > GR_CURSOR_MAX ||
	    (width && (event->hot_x >= width || event->hot_y >= height)))
		return GR_EPROTO;
	viewer->cursor.width = width;
	viewer->cursor.height = height;
	viewer->cursor.hot_x = event->hot_x;
	viewer->cursor.hot_y = event->hot_y;
	memcpy(viewer->cursor.pixels, viewer->picture + GR_PICTURE_PIXELS, (size_t)width * height * 4);
	viewer->dirty |= GR_DIRTY_CURSOR;
	return 0;
}

static int on_page(struct gr_viewer *viewer, const struct gr_record_page *page)
{
	if (!gr_rfb_page_is_sane(page, viewer->width, viewer->height))
		return GR_EPROTO;
	if (viewer->on_page)
		viewer->on_page(viewer->print, page);
	return 0;
}

static int on_clipboard(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	if (!viewer->clipboard.left) {
		viewer->dirty &= ~(unsigned)GR_DIRTY_CLIPBOARD;
		viewer->clipboard.length = 0;
	}
	if (!event->length || event->value > GR_CLIPBOARD_MAX ||
	    viewer->clipboard.length + event->length + event->value > GR_CLIPBOARD_MAX ||
	    (viewer->clipboard.left && viewer->clipboard.left != event->length + event->value))
		return GR_EPROTO;
	memcpy(viewer->clipboard.text + viewer->clipboard.length, event->text, event->length);
	viewer->clipboard.length += event->length;
	viewer->clipboard.left = event->value;
	if (viewer->clipboard.left)
		return 0;
	if (!gr_utf8_is_text((const uint8_t *)viewer->clipboard.text, viewer->clipboard.length))
		return GR_EPROTO;
	viewer->clipboard.text[viewer->clipboard.length] = '\0';
	viewer->dirty |= GR_DIRTY_CLIPBOARD;
	return 0;
}

static void on_end(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	int status = -(int)event->value;
	char text[128 * 4 + 1];
	gr_log_escape(text, sizeof(text), event->text, event->length < 128 ? event->length : 128);
	if (event->type == GR_EVENT_CAPTURE_FAILED) {
		gr_viewer_end(viewer, GR_FAIL_OUTPUT_FILE, 0, text);
	} else if (status == GR_ECLOSED) {
		/* The transport knows more: its own end is in viewer->failure already, or is about to be read. */
		gr_viewer_read_transport(viewer);
		gr_viewer_end(viewer, viewer->failure ? viewer->failure : GR_FAIL_LOST, viewer->reason, NULL);
	} else if (viewer->failure == GR_FAIL_REASON) {
		gr_viewer_end(viewer, GR_FAIL_REASON, viewer->reason, NULL);
	} else if (status == GR_EPROTO || status == GR_EDENIED) {
		gr_viewer_end(viewer, GR_FAIL_PROTOCOL, 0, text);
	} else if (status == GR_ETIMEOUT) {
		gr_viewer_end(viewer, GR_FAIL_LOST, 0, text);
	} else {
		gr_viewer_end(viewer, GR_FAIL_INTERNAL, 0, text);
	}
}

static void refuse_text(struct gr_viewer *viewer, uint32_t sequence)
{
	if ((int32_t)(sequence - viewer->text_refused) > 0)
		viewer->text_refused = sequence;
	viewer->dirty |= GR_DIRTY_TEXT;
}

static void on_text_result(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	if (viewer->text_answers == viewer->text_sent || event->sequence - 1 >= viewer->text_sent)
		return; /* we did not ask: a recording is played */
	viewer->text_answers++;
	if (event->value)
		refuse_text(viewer, event->sequence);
}

static int on_event(struct gr_viewer *viewer, const struct gr_viewer_event *event)
{
	switch (event->type) {
	case GR_EVENT_SIZE:
		if (event->width < 1 || event->height < 1 || event->width > GR_SCREEN_MAX ||
		    event->height > GR_SCREEN_MAX)
			return GR_EPROTO;
		viewer->width = event->width;
		viewer->height = event->height;
		viewer->full = 0;
		viewer->damage = (struct gr_rect){ 0, 0, event->width, event->height };
		viewer->dirty |= GR_DIRTY_SIZE | GR_DIRTY_PICTURE;
		viewer->caret.known = 0;
		return 0;
	case GR_EVENT_SIZE_REFUSED: viewer->size_refused = 1; return 0;
	case GR_EVENT_UPDATE: return on_update(viewer, event);
	case GR_EVENT_CURSOR: return on_cursor(viewer, event);
	case GR_EVENT_NOTICE:
		viewer->failure = GR_FAIL_REASON; /* the end follows */
		viewer->reason = event->value;
		viewer->detail[0] = '\0'; /* what the transport saw of it explains nothing */
		return 0;
	case GR_EVENT_CARET:
		if (!inside(viewer, event->rects[0]))
			return GR_EPROTO;
		viewer->caret.known = event->value != 0;
		viewer->caret.rect = event->rects[0];
		viewer->dirty |= GR_DIRTY_CARET;
		return 0;
	case GR_EVENT_TEXT_RESULT: on_text_result(viewer, event); return 0;
	case GR_EVENT_PAGE: return on_page(viewer, &event->page);
	case GR_EVENT_CLIPBOARD: return on_clipboard(viewer, event);
	case GR_EVENT_SYNCED: viewer->synced = event->sequence; return 0;
	case GR_EVENT_END:
	case GR_EVENT_CAPTURE_FAILED: on_end(viewer, event); return 0;
	default: return GR_EPROTO;
	}
}

void gr_viewer_read_decoder(struct gr_viewer *viewer)
{
	while (viewer->decoder >= 0) {
		struct gr_viewer_event event;
		size_t size;
		int status = gr_io_receive(viewer->decoder, &event, sizeof(event), &size, NULL);
		if (status == GR_EAGAIN)
			return;
		if (!status)
			status = size >= GR_EVENT_BYTES(0) && event.length <= GR_TEXT_MAX &&
						 size == GR_EVENT_BYTES(event.length)
					 ? on_event(viewer, &event)
					 : GR_EPROTO;
		if (status == GR_EPROTO)
			gr_viewer_end(viewer, GR_FAIL_DECODER, 0, "the decoder sent a record that is not permitted");
		else if (status) /* ended without an END: killed by its filter, or crashed */
			gr_viewer_end(viewer, GR_FAIL_DECODER, 0, "the decoder process died");
	}
}

/* From the transport. */

static void on_status(struct gr_viewer *viewer, const struct gr_viewer_status *status)
{
	char text[sizeof(viewer->detail)];
	gr_log_escape(text, sizeof(text), status->text, strnlen(status->text, sizeof(status->text)));
	switch (status->type) {
	case GR_STATUS_PERSON:
		snprintf(viewer->person, sizeof(viewer->person), "%.32s", text);
		viewer->dirty |= GR_DIRTY_STATE;
		break;
	case GR_STATUS_CONNECTING: viewer->connect_us = status->at_us; break;
	case GR_STATUS_TLS: viewer->tls_us = status->at_us; break;
	case GR_STATUS_ASK:
		if (viewer->state >= GR_VIEWER_OPEN)
			break;
		viewer->state = GR_VIEWER_ASKED;
		viewer->ask.what = status->flags;
		viewer->ask.reason = status->reason;
		viewer->ask.tries = status->tries;
		viewer->ask.from_us = gr_viewer_now_us() + (uint64_t)status->seconds * 1000000u;
		viewer->dirty |= GR_DIRTY_STATE;
		break;
	case GR_STATUS_WAIT:
		if (viewer->state != GR_VIEWER_WAITING)
			viewer->dirty |= GR_DIRTY_STATE;
		viewer->state = GR_VIEWER_WAITING;
		break;
	case GR_STATUS_TERMS:
		viewer->terms = status->terms;
		viewer->over_us = viewer->terms.minutes
					  ? gr_viewer_now_us() + (uint64_t)viewer->terms.minutes * 60000000u
					  : 0;
		break;
	case GR_STATUS_READY:
		viewer->ready_us = status->at_us;
		viewer->ready = status->flags;
		/* The first picture can overtake this record. */
		if (viewer->state < GR_VIEWER_OPEN)
			viewer->state = GR_VIEWER_OPEN;
		viewer->dirty |= GR_DIRTY_STATE;
		break;
	case GR_STATUS_END:
		if (viewer->failure == GR_FAIL_NONE) {
			viewer->failure = (enum gr_failure)status->failure;
			viewer->reason = status->reason;
			if (viewer->failure == GR_FAIL_REASON && status->seconds)
				viewer->again_us = gr_viewer_now_us() + (uint64_t)status->seconds * 1000000u;
			if (viewer->failure == GR_FAIL_REASON && viewer->state == GR_VIEWER_ASKED &&
			    viewer->reason == GR_MESSAGE_TIME_OVER)
				viewer->failure = GR_FAIL_ANSWER_LATE;
			snprintf(viewer->detail, sizeof(viewer->detail), "%s", text);
		}
		if (!viewer->ready_us)
			gr_viewer_end(viewer, viewer->failure ? viewer->failure : GR_FAIL_INTERNAL, viewer->reason,
				      NULL);
		else if (!viewer->closing)
			viewer->closing_at_us = gr_viewer_now_us() + CLOSING_US;
		viewer->closing = 1;
		break;
	default: break;
	}
}

void gr_viewer_read_transport(struct gr_viewer *viewer)
{
	while (viewer->transport >= 0) {
		struct gr_viewer_status record;
		size_t size;
		int status = gr_io_receive(viewer->transport, &record, sizeof(record), &size, NULL);
		if (status == GR_EAGAIN)
			return;
		if (!status && size == sizeof(record)) {
			on_status(viewer, &record);
			continue;
		}
		gr_io_close(&viewer->transport);
		if (!viewer->closing) {
			viewer->closing = 1;
			viewer->closing_at_us = gr_viewer_now_us() + CLOSING_US;
			if (viewer->failure == GR_FAIL_NONE) {
				viewer->failure = GR_FAIL_INTERNAL;
				snprintf(viewer->detail, sizeof(viewer->detail), "the transport process died");
			}
		}
	}
}

int gr_viewer_tick(struct gr_viewer *viewer)
{
	if (!viewer->closing || viewer->state == GR_VIEWER_ENDED)
		return -1;
	uint64_t now = gr_viewer_now_us();
	if (now >= viewer->closing_at_us) {
		gr_viewer_end(viewer, viewer->failure ? viewer->failure : GR_FAIL_LOST, viewer->reason, NULL);
		return -1;
	}
	return (int)((viewer->closing_at_us - now) / 1000 + 1);
}

/* Input. */

int gr_viewer_pending(const struct gr_viewer *viewer)
{
	return viewer->queue_count > 0 && viewer->decoder >= 0;
}

void gr_viewer_flush(struct gr_viewer *viewer)
{
	while (gr_viewer_pending(viewer)) {
		struct gr_viewer_input *input = viewer->queue[viewer->queue_begin];
		if (gr_io_send(viewer->decoder, input, GR_INPUT_BYTES(input->length), -1) == GR_EAGAIN)
			return;
		/* Any other error: the decoder is gone, which reading from it will tell. */
		free(input);
		viewer->queue_begin = (viewer->queue_begin + 1) % GR_VIEWER_QUEUE;
		viewer->queue_count--;
	}
}

static int give(struct gr_viewer *viewer, const struct gr_viewer_input *input)
{
	if (viewer->decoder < 0)
		return 0;
	if (input->type != GR_INPUT_SIZE && input->type != GR_INPUT_SCALE) {
		viewer->last_input_us = gr_viewer_now_us();
		viewer->frames_at_input = viewer->frames;
		viewer->change_after_input_us = 0;
	}
	size_t size = GR_INPUT_BYTES(input->length);
	if (viewer->queue_count == 0 && gr_io_send(viewer->decoder, input, size, -1) != GR_EAGAIN)
		return 1;
	if (viewer->queue_count) {
		/* Of a row of pointer moves, of sizes or of scales, only the last matters. */
		struct gr_viewer_input *last =
			viewer->queue[(viewer->queue_begin + viewer->queue_count - 1) % GR_VIEWER_QUEUE];
		int same = last->type == input->type;
		if (same && (input->type == GR_INPUT_SIZE || input->type == GR_INPUT_SCALE ||
			     (input->type == GR_INPUT_POINTER && last->buttons == input->buttons))) {
			memcpy(last, input, size);
			return 1;
		}
	}
	struct gr_viewer_input *copy = viewer->queue_count < GR_VIEWER_QUEUE ? malloc(size) : NULL;
	if (!copy)
		return 0;
	memcpy(copy, input, size);
	viewer->queue[(viewer->queue_begin + viewer->queue_count++) % GR_VIEWER_QUEUE] = copy;
	return 1;
}

void gr_viewer_key(struct gr_viewer *viewer, uint32_t keysym, uint32_t keycode, int down)
{
	give(viewer, &(struct gr_viewer_input){
			     .type = GR_INPUT_KEY, .keysym = keysym, .keycode = keycode, .down = down ? 1 : 0 });
}

void gr_viewer_pointer(struct gr_viewer *viewer, uint16_t x, uint16_t y, uint32_t buttons)
{
	viewer->buttons = buttons;
	give(viewer, &(struct gr_viewer_input){ .type = GR_INPUT_POINTER, .x = x, .y = y, .buttons = buttons });
}

uint32_t gr_viewer_text(struct gr_viewer *viewer, const char *text, size_t length)
{
	const uint32_t first = viewer->text_sent + 1;
	while (length) {
		size_t n = length < GR_TEXT_MAX ? length : GR_TEXT_MAX;
		while (n < length && n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		struct gr_viewer_input input = { .type = GR_INPUT_TEXT,
						 .sequence = viewer->text_sent + 1,
						 .length = (uint32_t)n };
		memcpy(input.text, text, n);
		if (give(viewer, &input))
			viewer->text_sent++; /* no gap in the numbers: the guard would see it */
		else
			refuse_text(viewer, viewer->text_sent + 1);
		text += n;
		length -= n;
	}
	return first;
}

int gr_viewer_text_refused(const struct gr_viewer *viewer, uint32_t first)
{
	return viewer->text_refused && (int32_t)(viewer->text_refused - first) >= 0;
}

void gr_viewer_want_size(struct gr_viewer *viewer, uint16_t width, uint16_t height)
{
	if (width < GR_SCREEN_MIN || height < GR_SCREEN_MIN || width > GR_SCREEN_MAX || height > GR_SCREEN_MAX)
		return;
	if (viewer->want_width == width && viewer->want_height == height)
		return;
	viewer->want_width = width;
	viewer->want_height = height;
	viewer->size_refused = 0;
	give(viewer, &(struct gr_viewer_input){ .type = GR_INPUT_SIZE, .x = width, .y = height });
}

void gr_viewer_scale(struct gr_viewer *viewer, unsigned percent)
{
	percent = percent < GR_BROWSER_SCALE_MIN   ? GR_BROWSER_SCALE_MIN
		  : percent > GR_BROWSER_SCALE_MAX ? GR_BROWSER_SCALE_MAX
						   : percent;
	give(viewer, &(struct gr_viewer_input){ .type = GR_INPUT_SCALE, .x = (uint16_t)percent });
}

void gr_viewer_print(struct gr_viewer *viewer, enum gr_print_action action, uint32_t document, uint16_t first,
		     uint16_t last)
{
	give(viewer, &(struct gr_viewer_input){
			     .type = GR_INPUT_PRINT, .down = action, .sequence = document, .x = first, .y = last });
}

int gr_viewer_clipboard(struct gr_viewer *viewer, const char *text, size_t length)
{
	size_t pieces = (length + GR_TEXT_MAX - 1) / GR_TEXT_MAX;
	/* All of its pieces or none. */
	if (length < 1 || length > GR_CLIPBOARD_MAX || !gr_utf8_is_text((const uint8_t *)text, length) ||
	    pieces > GR_VIEWER_QUEUE - viewer->queue_count)
		return 0;
	while (length) {
		size_t n = length < GR_TEXT_MAX ? length : GR_TEXT_MAX;
		struct gr_viewer_input input = { .type = GR_INPUT_CLIPBOARD,
						 .length = (uint32_t)n,
						 .bytes = length - n };
		memcpy(input.text, text, n);
		if (!give(viewer, &input))
			return 0;
		text += n;
		length -= n;
	}
	return 1;
}

void gr_viewer_answer(struct gr_viewer *viewer, struct gr_viewer_factors *factors)
{
	if (viewer->state == GR_VIEWER_ASKED) {
		/* It fits: the transport takes each before the next. An error means that it is gone, which reading tells. */
		(void)gr_io_send(viewer->transport, factors, sizeof(*factors), -1);
		viewer->state = GR_VIEWER_JUDGED;
		viewer->dirty |= GR_DIRTY_STATE;
	}
	explicit_bzero(factors, sizeof(*factors));
}

unsigned gr_viewer_seconds_until(uint64_t then_us)
{
	uint64_t now = gr_viewer_now_us();
	return then_us > now ? (unsigned)((then_us - now + 999999u) / 1000000u) : 0;
}

/* The end. */

static void reap(pid_t pid, uint64_t deadline_ms)
{
	if (pid <= 0)
		return;
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (gr_io_now_ms() >= deadline_ms) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return;
		}
		usleep(1000);
	}
}

void gr_viewer_finish(struct gr_viewer *viewer)
{
	gr_io_close(&viewer->decoder);
	gr_io_close(&viewer->transport);
	uint64_t deadline_ms = gr_io_now_ms() + EXIT_MS;
	reap(viewer->decoder_pid, deadline_ms);
	reap(viewer->transport_pid, deadline_ms);
	while (viewer->queue_count) {
		free(viewer->queue[viewer->queue_begin]);
		viewer->queue_begin = (viewer->queue_begin + 1) % GR_VIEWER_QUEUE;
		viewer->queue_count--;
	}
}

static double since_ms(uint64_t start_us, uint64_t us)
{
	return us && start_us ? (double)(us - start_us) / 1000.0 : -1.0;
}

void gr_viewer_report(const struct gr_viewer *viewer, int exit_code)
{
	printf("report tls_ms=%.1f ready_ms=%.1f first_frame_ms=%.1f received=%" PRIu64 " sent=%" PRIu64
	       " frames=%" PRIu64 " size=%ux%u exit=%d\n",
	       since_ms(viewer->connect_us, viewer->tls_us), since_ms(viewer->connect_us, viewer->ready_us),
	       since_ms(viewer->connect_us, viewer->first_frame_us), atomic_load(&viewer->counters->received),
	       atomic_load(&viewer->counters->sent), viewer->frames, viewer->width, viewer->height, exit_code);
	fflush(stdout);
}
