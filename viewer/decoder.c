#include "viewer/decoder.h"
#include "broker/guard/guard.h"
#include "common/io.h"
#include "viewer/channel.h"
#include "viewer/platform_net.h"
#include "viewer/policy.h"
#include "viewer/rfb.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	OUT_BYTES = 65536, /* messages that the transport has not taken yet */
	OUT_ROOM = 2048, /* with less room than this, the window's input waits in its socket */
	NOBODY = 65534,
	HANDSHAKE_MS = 15000, /* from the server's first byte to ServerInit */
	MESSAGE_MS = 60000, /* silence inside a message: the connection is dead */
	WINDOW_MS = 60000, /* the window takes nothing more: it hangs */
};

#define CAPTURE_BYTES (UINT64_C(4) << 30)

struct decoder {
	const struct gr_decoder_settings *settings;
	struct gr_rfb *rfb;
	struct gr_reader reader;
	struct gr_guard *guard;
	int guarded; /* ServerInit is next, or was there: every byte goes through the guard */
	int capture_error; /* errno; 0: the capture has everything that came */
	uint64_t received; /* bytes of the stream */
	struct {
		int wanted;
		uint32_t sequence;
		uint64_t bytes;
	} sync;
	int deadline_ms; /* for the next byte; -1 between messages, where silence is normal */
	uint8_t out[OUT_BYTES];
	size_t out_begin, out_end;
};

/* To the transport. */

/*
 * When nobody takes it any more it is thrown away: what the broker said last, a NOTICE of why it ends, may still stand in the stream, and
 * the stream's own end comes behind it.
 */
static void flush_out(struct decoder *decoder)
{
	while (decoder->out_begin < decoder->out_end) {
		size_t sent = 0;
		int status = gr_platform_stream_send(decoder->settings->stream, decoder->out + decoder->out_begin,
						     decoder->out_end - decoder->out_begin, &sent);
		if (status == GR_EAGAIN)
			return;
		if (status)
			break;
		decoder->out_begin += sent;
	}
	decoder->out_begin = decoder->out_end = 0;
}

static int send_bytes(void *context, const void *bytes, size_t n)
{
	struct decoder *decoder = context;
	if (decoder->settings->replay)
		return 0;
	if (decoder->out_begin && decoder->out_end + n > OUT_BYTES) {
		memmove(decoder->out, decoder->out + decoder->out_begin, decoder->out_end - decoder->out_begin);
		decoder->out_end -= decoder->out_begin;
		decoder->out_begin = 0;
	}
	if (decoder->out_end + n > OUT_BYTES)
		return GR_EFULL; /* the server has read nothing for thousands of messages */
	memcpy(decoder->out + decoder->out_end, bytes, n);
	decoder->out_end += n;
	flush_out(decoder);
	return 0;
}

/* To the window. Waiting here is the back-pressure that makes the server send fewer frames to a slow screen. */
static int send_event(struct decoder *decoder, const struct gr_viewer_event *event)
{
	for (;;) {
		int status = gr_io_send(decoder->settings->window, event, sizeof(*event), -1);
		if (status != GR_EAGAIN)
			return status;
		struct pollfd wait = { .fd = decoder->settings->window, .events = POLLOUT };
		int n = poll(&wait, 1, WINDOW_MS);
		if (n == 0)
			return GR_ETIMEOUT;
		if (n < 0 && errno != EINTR)
			return GR_EIO;
	}
}

static int on_size(void *context, uint16_t width, uint16_t height)
{
	return send_event(context,
			  &(struct gr_viewer_event){ .type = GR_EVENT_SIZE, .width = width, .height = height });
}

static int on_size_refused(void *context, uint16_t width, uint16_t height)
{
	return send_event(context,
			  &(struct gr_viewer_event){ .type = GR_EVENT_SIZE_REFUSED, .width = width, .height = height });
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	struct gr_viewer_event event = { .type = GR_EVENT_UPDATE, .value = flags, .count = (uint32_t)count };
	memcpy(event.rects, rects, count * sizeof(*rects));
	return send_event(context, &event);
}

static int on_cursor(void *context, uint16_t width, uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	return send_event(
		context,
		&(struct gr_viewer_event){
			.type = GR_EVENT_CURSOR, .width = width, .height = height, .hot_x = hot_x, .hot_y = hot_y });
}

static int on_notice(void *context, unsigned reason)
{
	return send_event(context, &(struct gr_viewer_event){ .type = GR_EVENT_NOTICE, .value = reason });
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	return send_event(context, &(struct gr_viewer_event){
					   .type = GR_EVENT_CARET, .value = known ? 1 : 0, .rects = { rect } });
}

static int on_text_result(void *context, uint32_t sequence, unsigned result)
{
	return send_event(context, &(struct gr_viewer_event){
					   .type = GR_EVENT_TEXT_RESULT, .sequence = sequence, .value = result });
}

/* From the window. */

static int take_input(struct decoder *decoder)
{
	while (OUT_BYTES - (decoder->out_end - decoder->out_begin) >= OUT_ROOM) {
		struct gr_viewer_input input;
		size_t size;
		int status = gr_io_receive(decoder->settings->window, &input, sizeof(input), &size, NULL);
		if (status == GR_EAGAIN)
			return 0;
		if (status)
			return status;
		if (size < GR_INPUT_BYTES(0) || input.length > GR_TEXT_MAX || size != GR_INPUT_BYTES(input.length))
			return GR_EPROTO;
		if (decoder->settings->replay) {
			if (input.type != GR_INPUT_SYNC)
				return GR_EPROTO;
			decoder->sync.wanted = 1;
			decoder->sync.sequence = input.sequence;
			decoder->sync.bytes = input.bytes;
			continue;
		}
		switch (input.type) {
		case GR_INPUT_KEY:
			status = gr_rfb_key(decoder->rfb, input.keysym, input.keycode, input.down != 0);
			break;
		case GR_INPUT_POINTER:
			status = gr_rfb_pointer(decoder->rfb, input.x, input.y, (uint8_t)input.buttons);
			break;
		case GR_INPUT_SIZE:
			status = gr_rfb_want_size(decoder->rfb, input.x, input.y);
			if (status == GR_EINVAL)
				status = 0; /* the window may be smaller than any screen */
			break;
		case GR_INPUT_TEXT: status = gr_rfb_text(decoder->rfb, input.sequence, input.text, input.length); break;
		default: return GR_EPROTO;
		}
		if (status)
			return status;
	}
	return 0;
}

/* Called when more bytes are needed: what came before was painted. */
static int tell_synced(struct decoder *decoder)
{
	if (!decoder->sync.wanted || decoder->received < decoder->sync.bytes)
		return 0;
	decoder->sync.wanted = 0;
	return send_event(decoder,
			  &(struct gr_viewer_event){ .type = GR_EVENT_SYNCED, .sequence = decoder->sync.sequence });
}

/* Waits for the server's next bytes, passing on input and output meanwhile. */
static int receive(struct decoder *decoder, uint8_t *into, size_t room, size_t *got)
{
	/* What the guard holds is the beginning of something, even when the parser is between two messages. */
	int deadline_ms = decoder->settings->replay            ? -1
			  : gr_guard_down_held(decoder->guard) ? MESSAGE_MS
							       : decoder->deadline_ms;
	for (;;) {
		/* First of all: while the server sends without a pause there would be no other moment for a key. */
		int status = take_input(decoder);
		if (!status)
			status = tell_synced(decoder);
		if (status)
			return status;
		status = gr_platform_stream_receive(decoder->settings->stream, into, room, got);
		if (!status)
			decoder->received += *got;
		if (status != GR_EAGAIN)
			return status;

		size_t waiting = decoder->out_end - decoder->out_begin;
		struct pollfd fds[2] = {
			{ .fd = decoder->settings->stream, .events = (short)(waiting ? POLLIN | POLLOUT : POLLIN) },
			{ .fd = decoder->settings->window,
			  .events = (short)(OUT_BYTES - waiting >= OUT_ROOM ? POLLIN : 0) },
		};
		int ready = poll(fds, 2, deadline_ms);
		if (ready == 0)
			return GR_ETIMEOUT;
		if (ready < 0 && errno != EINTR)
			return GR_EIO;
		if (ready < 0)
			continue;
		if (fds[0].revents & POLLOUT)
			flush_out(decoder);
	}
}

/* As received, before anything is made of it. */
static int capture(struct decoder *decoder, const uint8_t *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(decoder->settings->capture, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			decoder->capture_error = written < 0 ? errno : EIO;
			return GR_EIO;
		}
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

/* The server's next bytes, those of ServerInit and behind it only when the guard has let them through. */
static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct decoder *decoder = context;
	if (!decoder->guarded) /* one at a time: what is behind the handshake must be left to the guard */
		return receive(decoder, into, 1, got);
	for (;;) {
		size_t n = 0;
		const uint8_t *passed = gr_guard_down_passed(decoder->guard, &n);
		if (n) {
			*got = n < room ? n : room;
			memcpy(into, passed, *got);
			gr_guard_down_sent(decoder->guard, *got);
			return 0;
		}
		uint8_t *to = gr_guard_down_room(decoder->guard, &n);
		if (!to)
			return gr_guard_violation(decoder->guard) ? GR_EPROTO : GR_ENOMEM;
		int status = receive(decoder, to, n, &n);
		if (!status && decoder->settings->capture >= 0)
			status = capture(decoder, to, n);
		if (!status)
			status = gr_guard_down_took(decoder->guard, n);
		if (status)
			return status;
	}
}

static int confine(const struct gr_decoder_settings *decoder, struct gr_error *err)
{
	struct gr_confine_place place = { .uid = geteuid() == 0 ? NOBODY : 0, .directory = -1 };
	struct gr_confine_policy policy = gr_decoder_policy;
	if (decoder->capture >= 0)
		policy.file_size = CAPTURE_BYTES;
	signal(SIGXFSZ, SIG_IGN); /* write(2) says EFBIG instead */
	return gr_confine(&policy, &place, err);
}

static int decode(struct decoder *decoder, struct gr_error *err)
{
	int status = 0;
	if (!decoder->settings->replay) {
		/* Before the server's first byte there may be a long WAIT: that time is the transport's business. */
		decoder->deadline_ms = -1;
		if ((status = gr_reader_wait(&decoder->reader)))
			return gr_error_set(err, status, "%s", gr_status_text(status));
		decoder->deadline_ms = HANDSHAKE_MS;
		status = gr_rfb_handshake(decoder->rfb, err);
	}
	decoder->guarded = 1;
	if (!status)
		status = gr_rfb_begin(decoder->rfb, err);
	while (!status) {
		/* Between messages silence is normal, inside one it is not. */
		decoder->deadline_ms = -1;
		if ((status = gr_reader_wait(&decoder->reader)))
			return gr_error_set(err, status, "%s", gr_status_text(status));
		decoder->deadline_ms = MESSAGE_MS;
		status = gr_rfb_read(decoder->rfb, err);
	}
	return status;
}

/* What went wrong, said by whoever saw it: the guard, the capture, or the parser. */
static struct gr_viewer_event the_end(const struct decoder *decoder, int status, const struct gr_error *err)
{
	const struct gr_guard_violation *violation = decoder->guard ? gr_guard_violation(decoder->guard) : NULL;
	struct gr_viewer_event end = { .type = GR_EVENT_END, .value = (uint32_t)-status };
	if (decoder->capture_error) {
		end.type = GR_EVENT_CAPTURE_FAILED;
		snprintf(end.text, sizeof(end.text), "capture: %s", strerror(decoder->capture_error));
	} else if (violation) {
		snprintf(end.text, sizeof(end.text), "%.90s, byte %" PRIu64, violation->rule, violation->offset);
	} else {
		snprintf(end.text, sizeof(end.text), "%.120s", err->text);
	}
	return end;
}

int gr_decoder_run(const struct gr_decoder_settings *settings)
{
	static struct decoder decoder;
	struct gr_error err = { 0 };
	decoder.settings = settings;
	struct gr_rfb_memory memory = { .pixels = settings->picture,
					.stride = GR_PICTURE_STRIDE,
					.max_width = GR_SCREEN_MAX,
					.max_height = GR_SCREEN_MAX,
					.cursor = settings->picture + GR_PICTURE_PIXELS };
	struct gr_rfb_events events = { on_size,   on_size_refused, on_update,     on_cursor,
					on_notice, on_caret,        on_text_result };
	struct gr_rfb_settings rfb_settings = { .quality = settings->quality,
						.history_log2 = settings->history_log2,
						.width = settings->width,
						.height = settings->height,
						.send = send_bytes };
	/* strict is off: this process inflates and decodes everything itself, and refuses what is not exactly its pixels. */
	struct gr_guard_settings guard_settings = { .max_width = GR_SCREEN_MAX,
						    .max_height = GR_SCREEN_MAX,
						    .history_log2 = settings->history_log2 };
	int status = gr_reader_init(&decoder.reader, refill, &decoder);
	if (!status && !(decoder.guard = gr_guard_create(&guard_settings)))
		status = GR_ENOMEM;
	if (!status)
		gr_guard_assume_viewer(decoder.guard, settings->quality > 0);
	if (!status && !(decoder.rfb = gr_rfb_create(&decoder.reader, &memory, &events, &rfb_settings, &decoder)))
		status = GR_ENOMEM;
	if (!status)
		status = confine(settings, &err);
	int confined = !status;
	if (!status)
		status = decode(&decoder, &err);
	struct gr_viewer_event end = the_end(&decoder, status, &err);
	send_event(&decoder, &end);
	return confined ? 0 : 1;
}
