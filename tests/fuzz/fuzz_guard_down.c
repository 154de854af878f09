/*
 * The guard and what it lets down. The input: a byte (1: not strict; 2: sent in small pieces), then what comes behind ServerInit.
 *
 * What is let through is the stream's own beginning, however it was cut into pieces; and the strict guard lets nothing through that the
 * viewer's own decoders, which share no parser with it, refuse.
 */
#include "broker/guard/guard.h"
#include "common/error.h"
#include "viewer/rfb.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 200, HEIGHT = 100, MAX = 256, HISTORY = 20 };

static uint32_t pixels[MAX * MAX], cursor[GR_CURSOR_MAX * GR_CURSOR_MAX];

static const uint8_t handshake[] = "RFB 003.008\n\1\1\0\0\0\0";
static const uint8_t init[] = { 0, WIDTH, 0, HEIGHT, 32, 24, 0, 1, 0, 255, 0,   255, 0,   255, 16,
				8, 0,     0, 0,      0,  0,  0, 0, 6, 'G', 'a', 'r', 'a', 's', 'u' };

static void check(int good)
{
	if (!good)
		abort();
}

struct stream {
	const uint8_t *bytes[3];
	size_t size[3];
};

/* ---- the viewer ---- */

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct stream *s = context;
	for (unsigned i = 0; i < 3; i++) {
		size_t n = s->size[i] < room ? s->size[i] : room;
		if (!n)
			continue;
		memcpy(into, s->bytes[i], n);
		s->bytes[i] += n;
		s->size[i] -= n;
		*got = n;
		return 0;
	}
	return GR_ECLOSED;
}

static int take(void *context, const void *bytes, size_t n)
{
	(void)context, (void)bytes, (void)n;
	return 0;
}

static int on_size(void *context, uint16_t w, uint16_t h)
{
	(void)context;
	check(w >= 1 && w <= MAX && h >= 1 && h <= MAX);
	return 0;
}

static int on_size_refused(void *context, uint16_t w, uint16_t h)
{
	(void)context, (void)w, (void)h;
	return 0;
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	(void)context, (void)rects, (void)count, (void)flags;
	return 0;
}

static int on_cursor(void *context, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y)
{
	(void)context, (void)w, (void)h, (void)hot_x, (void)hot_y;
	return 0;
}

static int on_notice(void *context, unsigned reason)
{
	(void)context, (void)reason;
	return 0;
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	(void)context, (void)known, (void)rect;
	return 0;
}

static int on_text_result(void *context, uint32_t sequence, unsigned status)
{
	(void)context, (void)sequence, (void)status;
	return 0;
}

static int on_page(void *context, const struct gr_record_page *page)
{
	(void)context, (void)page;
	return 0;
}

static int on_clipboard(void *context, const uint8_t *text, size_t length)
{
	(void)context, (void)text, (void)length;
	return 0;
}

/* The viewer reads what was let through to its end, and refuses none of it. */
static void view(const uint8_t *bytes, size_t n)
{
	struct stream s = { { handshake, init, bytes }, { sizeof(handshake) - 1, sizeof(init), n } };
	struct gr_reader reader;
	struct gr_rfb_memory memory = { pixels, MAX, MAX, MAX, cursor };
	struct gr_rfb_events events = { on_size,  on_size_refused, on_update, on_cursor,   on_notice,
					on_caret, on_text_result,  on_page,   on_clipboard };
	struct gr_rfb_settings settings = { .quality = 8, .history_log2 = HISTORY, .send = take };
	struct gr_error err = { .code = 0 };
	check(gr_reader_init(&reader, refill, &s) == 0);
	struct gr_rfb *rfb = gr_rfb_create(&reader, &memory, &events, &settings, NULL);
	check(rfb != NULL);
	int status = gr_rfb_handshake(rfb, &err);
	if (!status)
		status = gr_rfb_begin(rfb, &err);
	while (!status)
		status = gr_rfb_read(rfb, &err);
	check(status == GR_ECLOSED);
	gr_rfb_destroy(rfb);
	gr_reader_finish(&reader);
}

/* ---- the guard ---- */

struct outcome {
	int status;
	size_t passed;
	const char *rule;
};

static struct outcome guarded(const uint8_t *data, size_t size, bool strict, size_t piece)
{
	struct gr_guard_settings settings = {
		.max_width = MAX, .max_height = MAX, .history_log2 = HISTORY, .strict = strict
	};
	struct outcome o = { 0 };
	struct gr_guard *guard = gr_guard_create(&settings);
	check(guard != NULL);
	gr_guard_assume_viewer(guard, true);
	struct stream s = { { init, data }, { sizeof(init), size } };
	size_t start = 0; /* of the data, when ServerInit is through */
	while (!o.status) {
		size_t room, got = 0, n;
		uint8_t *to = gr_guard_down_room(guard, &room);
		check(to != NULL && room > 0);
		if (piece && room > piece)
			room = piece;
		if (refill(&s, to, room, &got))
			break;
		o.status = gr_guard_down_took(guard, got);
		const uint8_t *passed = gr_guard_down_passed(guard, &n);
		for (size_t i = 0; i < n; i++, start++)
			check(passed[i] == (start < sizeof(init) ? init[start] : data[start - sizeof(init)]));
		gr_guard_down_sent(guard, n);
	}
	check(start >= sizeof(init));
	o.passed = start - sizeof(init);
	const struct gr_guard_violation *violation = gr_guard_violation(guard);
	check((o.status == GR_EPROTO) == (violation != NULL));
	if (violation) {
		o.rule = violation->rule;
		check(violation->offset == start && violation->n >= 1 && violation->bytes[0] == data[o.passed]);
	}
	gr_guard_destroy(guard);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unsigned flags = *data++;
	size--;
	bool strict = !(flags & 1);
	struct outcome o = guarded(data, size, strict, 0);
	if (flags & 2) {
		struct outcome again = guarded(data, size, strict, 1 + flags / 4);
		check(again.status == o.status && again.passed == o.passed && again.rule == o.rule);
	}
	if (strict && o.passed)
		view(data, o.passed);
	return 0;
}
