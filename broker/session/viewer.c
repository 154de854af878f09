#include "broker/session/viewer.h"
#include "broker/session/flow.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HANDSHAKE_MS 20000
#define STALL_MS 20000 /* no byte taken for so long: the viewer is not there any more */
#define FENCE_MS                                                                                                       \
	60000 /* no answer to a fence for so long: likewise (a laptop's lid, a suspended viewer: longer than a stall) */
#define PROTOCOL_LEAVE_MS 1000
#define INPUT_SIZE 8192
#define RECORDS_MAX 65536u /* bytes of queued output above which small records are dropped */

_Static_assert(INPUT_SIZE >= GR_VIEWER_MESSAGE_MAX && INPUT_SIZE >= 4 + 4 * GR_VIEWER_ENCODINGS_MAX, "a message fits");

static const uint8_t end_of_continuous = 150; /* EndOfContinuousUpdates is this byte alone */

enum phase { PHASE_VERSION, PHASE_SECURITY, PHASE_INIT, PHASE_NORMAL, PHASE_LEAVING, PHASE_GONE };

/* A fence of the viewer's that is not answered yet. */
struct gr_fence {
	uint32_t flags;
	size_t length;
	uint8_t payload[GR_FENCE_PAYLOAD_MAX];
};

struct gr_viewer {
	struct gr_loop *loop;
	struct gr_update *update;
	const struct gr_viewer_events *events;
	void *context;
	int fd;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer; /* a deadline */
	struct gr_loop_timer *wake; /* the next picture's time */
	struct gr_outflow *out;
	struct gr_flow flow;
	enum phase phase;
	uint32_t reason; /* why it leaves */
	int paused;
	int garasu; /* it listed our records */
	int continuous; /* it listed -313 and was told that we understand it */
	int sync_due; /* the fence below is answered before the next message is looked at */
	struct gr_fence sync;
	int qemu_key_due; /* it listed -258 and was not yet told that we understand it */
	int resume; /* messages from before a pause wait: the loop is asked for a turn */
	int shown; /* an update was sent, and with it the size of the screen */
	int caret_due, caret_known;
	struct gr_rect caret;
	int stalling; /* output is not taken, */
	uint64_t stalled_ms; /* since then */
	uint64_t bytes_up, sent_seen;
	size_t clipboard; /* bytes of a CLIPBOARD's text still to come */
	size_t input_size;
	uint8_t untrusted_input[INPUT_SIZE];
};

/* `gone` comes from the loop, never from inside a call of the session's. */
static void end_soon(struct gr_viewer *v, uint32_t reason)
{
	if (v->phase == PHASE_GONE)
		return;
	if (v->phase != PHASE_LEAVING) {
		v->reason = reason;
		gr_update_close(v->update);
	}
	v->phase = PHASE_GONE;
	gr_loop_remove(v->watch);
	v->watch = NULL;
	gr_loop_timer_set(v->wake, -1);
	gr_loop_timer_set(v->timer, 0);
}

/* The deadline for what it owes us: to take our output, to answer a fence. */
static void set_deadline(struct gr_viewer *v, int output)
{
	uint64_t now = gr_io_now_ms(), deadline = UINT64_MAX, unanswered = gr_flow_unanswered_since(&v->flow) / 1000;
	if (!v->stalling || gr_outflow_sent(v->out) != v->sent_seen)
		v->stalled_ms = now;
	v->stalling = output;
	v->sent_seen = gr_outflow_sent(v->out);
	if (output)
		deadline = v->stalled_ms + STALL_MS;
	if (unanswered && unanswered + FENCE_MS < deadline)
		deadline = unanswered + FENCE_MS;
	if (deadline == UINT64_MAX)
		gr_loop_timer_set(v->timer, -1);
	else
		gr_loop_timer_set(v->timer, deadline > now ? (int64_t)(deadline - now) : 0);
}

/* Which events to wait for, and until when. */
static void settle(struct gr_viewer *v)
{
	if (v->phase == PHASE_GONE)
		return;
	int output = gr_outflow_left(v->out) > 0;
	unsigned events = output || v->resume ? GR_LOOP_WRITE : 0;
	if (v->phase != PHASE_LEAVING && !v->paused)
		events |= GR_LOOP_READ;
	gr_loop_change(v->watch, events);
	if (v->phase == PHASE_NORMAL)
		set_deadline(v, output);
}

static void flush(struct gr_viewer *v)
{
	if (v->phase == PHASE_GONE)
		return;
	int status = gr_outflow_flush(v->out, v->fd);
	if (status && status != GR_EAGAIN)
		end_soon(v, GR_REASON_VIEWER_LEFT);
	else if (!status && v->phase == PHASE_LEAVING)
		end_soon(v, v->reason);
	else
		settle(v);
}

/*
 * flush, and what waited for the output to be taken goes on. Wherever the output may become empty outside of the pump itself:
 * a socket can take the rest before the loop says that it is writable again.
 */
static void drain(struct gr_viewer *v)
{
	int waited = gr_outflow_left(v->out) > 0;
	flush(v);
	if (waited && v->phase == PHASE_NORMAL && !gr_outflow_left(v->out))
		v->events->pump(v->context);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

static void append(struct gr_viewer *v, const void *bytes, size_t n)
{
	if (v->phase == PHASE_NORMAL && gr_outflow_append(v->out, bytes, n))
		end_soon(v, GR_REASON_INTERNAL);
}

static void record(struct gr_viewer *v, const uint8_t *bytes, size_t n)
{
	if (v->garasu && gr_outflow_left(v->out) <= RECORDS_MAX)
		append(v, bytes, n);
}

void gr_viewer_caret(struct gr_viewer *v, int known, struct gr_rect rect)
{
	v->caret_known = known;
	v->caret = rect;
	v->caret_due = 1; /* only the newest counts: sent when the output is empty */
	if (known)
		gr_update_caret(v->update, rect);
}

/* After the size of the screen that it lies in: a viewer takes a caret outside of its screen for a violation. */
static void caret(struct gr_viewer *v)
{
	if (!v->caret_due || !v->shown || gr_update_size_pending(v->update))
		return;
	v->caret_due = 0;
	uint8_t r[12] = { 71, 2 };
	if (v->caret_known && gr_update_shows(v->update, v->caret)) {
		put16(r + 2, 1);
		put16(r + 4, v->caret.x);
		put16(r + 6, v->caret.y);
		put16(r + 8, v->caret.w);
		put16(r + 10, v->caret.h);
	}
	record(v, r, sizeof(r));
}

void gr_viewer_text_result(struct gr_viewer *v, uint32_t sequence, uint32_t status)
{
	uint8_t r[8] = { 71, 3 };
	put16(r + 2, status);
	put32(r + 4, sequence);
	record(v, r, sizeof(r));
	drain(v);
}

void gr_viewer_page(struct gr_viewer *v, const struct gr_record_page *page)
{
	uint8_t r[24] = { 71, 4 };
	if (!v->garasu)
		return;
	put16(r + 2, page->state);
	put32(r + 4, page->document);
	put16(r + 8, page->page);
	put16(r + 10, page->pages);
	put16(r + 12, page->width);
	put16(r + 14, page->height);
	put16(r + 16, page->x);
	put16(r + 18, page->y);
	append(v, r, sizeof(r)); /* few, and each awaited: none is dropped */
	drain(v);
}

int gr_viewer_knows_records(const struct gr_viewer *v)
{
	return v->garasu && v->phase == PHASE_NORMAL;
}

int gr_viewer_clipboard(struct gr_viewer *v, const uint8_t *text, size_t n)
{
	if (v->phase != PHASE_NORMAL || !v->garasu || gr_outflow_left(v->out) > RECORDS_MAX)
		return 0;
	uint8_t header[8] = { 71, 5 };
	put32(header + 4, (uint32_t)n);
	append(v, header, sizeof(header));
	append(v, text, n);
	return 1;
}

/* ---- fences ---- */

static void fence(struct gr_viewer *v, uint32_t flags, const uint8_t *payload, size_t length)
{
	uint8_t m[9 + GR_FENCE_PAYLOAD_MAX] = { 248 };
	put32(m + 4, flags);
	m[8] = (uint8_t)length;
	memcpy(m + 9, payload, length);
	append(v, m, 9 + length);
}

/*
 * Behind what was sent: the viewer answers when it has taken all of it. The payload is the number that the flow knows it by.
 */
static void fence_behind(struct gr_viewer *v, uint32_t sequence)
{
	if (!gr_flow_has_fences(&v->flow))
		return;
	uint8_t payload[4];
	put32(payload, sequence);
	fence(v, (uint32_t)GR_FENCE_REQUEST | GR_FENCE_BLOCK_BEFORE, payload, sizeof(payload));
}

/*
 * Messages are worked off in their order and what they cause is put behind what is queued: that is what BlockBefore and
 * BlockAfter ask for. SyncNext: the answer goes when the next message is here, right before that takes effect.
 */
static void take_fence(struct gr_viewer *v, const struct gr_viewer_message *m)
{
	uint32_t flags = m->fence.flags & ~(uint32_t)GR_FENCE_REQUEST;
	if (!(m->fence.flags & (uint32_t)GR_FENCE_REQUEST)) {
		const uint8_t *p = m->fence.payload;
		if (m->fence.length != 4)
			return;
		gr_flow_answered(&v->flow, gr_io_now_us(),
				 (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
		v->events->pump(v->context);
	} else if (flags & GR_FENCE_SYNC_NEXT) {
		v->sync_due = 1;
		v->sync.flags = flags;
		v->sync.length = m->fence.length;
		memcpy(v->sync.payload, m->fence.payload, m->fence.length);
	} else {
		fence(v, flags, m->fence.payload, m->fence.length);
	}
}

/* ---- pictures ---- */

/* An update of one empty rectangle with the pseudo-encoding -258. Behind the first real one: TigerVNC's viewer looks only
   there for whether it may ask for a size. */
static void qemu_key_acknowledge(struct gr_viewer *v)
{
	static const uint8_t acknowledge[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe };
	if (!v->qemu_key_due || !v->shown)
		return;
	v->qemu_key_due = 0;
	append(v, acknowledge, sizeof(acknowledge));
}

/* One update, or a slice of one: its bytes, 0 when there was nothing to be sent. */
static size_t send_picture(struct gr_viewer *v, uint64_t now_us)
{
	int continued = gr_update_continues(v->update);
	struct gr_flow_quality quality = gr_flow_quality(&v->flow);
	size_t n = 0;
	gr_update_quality(v->update, quality.photo, quality.video);
	gr_update_window(v->update, gr_flow_window(&v->flow));
	if (gr_update_send(v->update, now_us / 1000, &n)) {
		gr_log_error("an update could not be made");
		end_soon(v, GR_REASON_INTERNAL);
		return 0;
	}
	if (!n)
		return 0;
	v->shown = 1;
	/* The time that it took to encode is no part of the round trip. */
	fence_behind(v, gr_flow_sent(&v->flow, gr_io_now_us(), n, continued));
	qemu_key_acknowledge(v);
	flush(v);
	return n;
}

/* When to look again though nothing happens: pacing ends, or a refinement is due. Nothing is armed for a still page. */
static void set_wake(struct gr_viewer *v, int64_t wait_us, uint64_t now_us)
{
	int64_t ms = -1;
	if (wait_us > 0)
		ms = (wait_us + 999) / 1000;
	else if (wait_us == 0)
		ms = gr_update_pending_in(v->update, now_us / 1000);
	gr_loop_timer_set(v->wake, ms);
}

int gr_viewer_pump(struct gr_viewer *v)
{
	if (v->phase != PHASE_NORMAL)
		return 0;
	flush(v); /* small messages may still be in our output: nobody comes back here when they are taken meanwhile */
	int sent = 0, pending = 0;
	int64_t wait = -1;
	uint64_t now = gr_io_now_us();
	for (; v->phase == PHASE_NORMAL; now = gr_io_now_us()) {
		pending = gr_update_pending(v->update, now / 1000);
		wait = gr_flow_wait(&v->flow, now, gr_outflow_left(v->out), gr_update_continues(v->update));
		if (!pending || wait)
			break;
		if (!send_picture(v, now)) {
			pending = 0;
			break;
		}
		sent = 1;
	}
	if (v->phase != PHASE_NORMAL)
		return 0;
	if (!gr_outflow_left(v->out)) { /* otherwise drain comes back here */
		caret(v);
		flush(v);
	}
	if (v->phase != PHASE_NORMAL || !gr_update_waiting(v->update)) {
		gr_loop_timer_set(v->wake, -1);
		return 0;
	}
	set_wake(v, wait, now);
	/* What is fetched after a slice makes the picture's remainder newer; once for each slice, not at the page's own rate. */
	return pending ? sent && gr_update_continues(v->update) : !wait;
}

void gr_viewer_pause(struct gr_viewer *v, int on)
{
	if (v->paused == on)
		return;
	v->paused = on;
	/* What is already here is looked at before more is read: by the loop, soon. */
	v->resume = !on && v->input_size > 0;
	settle(v);
}

static int set_encodings(struct gr_viewer *v, const struct gr_viewer_message *m)
{
	v->garasu = m->encodings.garasu;
	if (m->encodings.qemu_key)
		v->qemu_key_due = 1;
	int status = gr_update_encodings(v->update, m);
	if (status)
		return status;
	/* The first time each is told that we understand it; the fence measures the round trip at once. */
	if (m->encodings.fence && !gr_flow_has_fences(&v->flow)) {
		gr_flow_fences(&v->flow);
		fence_behind(v, gr_flow_sent(&v->flow, gr_io_now_us(), 0, 1));
	}
	if (m->encodings.continuous && !v->continuous) {
		v->continuous = 1;
		append(v, &end_of_continuous, 1);
	}
	return 0;
}

static int set_continuous(struct gr_viewer *v, const struct gr_viewer_message *m)
{
	gr_update_continuous(v->update, m);
	if (!m->continuous.on)
		append(v, &end_of_continuous, 1);
	v->events->pump(v->context);
	return 0;
}

static int request(struct gr_viewer *v, const struct gr_viewer_message *m, const uint8_t *bytes)
{
	int status = gr_update_request(v->update, m, bytes);
	if (status)
		return status;
	gr_flow_requested(&v->flow, gr_io_now_us());
	v->events->pump(v->context);
	return 0;
}

static int handshake(struct gr_viewer *v, const uint8_t *untrusted, size_t n, size_t *taken)
{
	size_t size = v->phase == PHASE_VERSION ? 12 : 1;
	if (n < size)
		return GR_EAGAIN;
	*taken = size;
	/* Only 3.8, and only the security type None: who this is the gateway knows. */
	if (v->phase == PHASE_VERSION && memcmp(untrusted, "RFB 003.008\n", 12) != 0)
		return GR_EPROTO;
	if (v->phase == PHASE_SECURITY && untrusted[0] != 1)
		return GR_EPROTO;
	int status = gr_update_feed(v->update, untrusted, size);
	if (status)
		return status;
	v->phase++;
	if (v->phase == PHASE_NORMAL) {
		gr_loop_timer_set(v->timer, -1);
		flush(v);
		v->events->ready(v->context);
	}
	return 0;
}

static int message(struct gr_viewer *v, const uint8_t *untrusted, size_t n, size_t *taken)
{
	struct gr_viewer_message m;
	int status = gr_viewer_message_parse(untrusted, n, &m);
	if (status)
		return status;
	*taken = m.size;
	if (v->sync_due) {
		v->sync_due = 0;
		fence(v, v->sync.flags, v->sync.payload, v->sync.length);
	}
	switch (m.kind) {
	case GR_VIEWER_ENCODINGS: return set_encodings(v, &m);
	case GR_VIEWER_PIXEL_FORMAT: return gr_update_feed(v->update, untrusted, m.size);
	case GR_VIEWER_UPDATE_REQUEST: return request(v, &m, untrusted);
	case GR_VIEWER_CONTINUOUS: return set_continuous(v, &m);
	case GR_VIEWER_FENCE: take_fence(v, &m); return 0;
	case GR_VIEWER_CUT_TEXT: return GR_EPROTO; /* the guard lets none through */
	case GR_VIEWER_CLIPBOARD: v->clipboard = m.skip; return 0;
	case GR_VIEWER_SCALE: return 0;
	case GR_VIEWER_POINTER: gr_update_pointer(v->update, m.pointer.x, m.pointer.y); break;
	default: break;
	}
	v->events->input(v->context, &m);
	return 0;
}

/* Works off the messages that are here whole. */
static void work(struct gr_viewer *v)
{
	size_t done = 0;
	int status = 0;
	while (!status && done < v->input_size && v->phase <= PHASE_NORMAL && !v->paused) {
		size_t taken = 0, left = v->input_size - done;
		if (v->clipboard) {
			taken = v->clipboard < left ? v->clipboard : left;
			v->clipboard -= taken;
			status = v->events->clipboard(v->context, v->untrusted_input + done, taken, v->clipboard);
		} else if (v->phase == PHASE_NORMAL) {
			status = message(v, v->untrusted_input + done, left, &taken);
		} else {
			status = handshake(v, v->untrusted_input + done, left, &taken);
		}
		done += taken;
	}
	v->input_size -= done;
	memmove(v->untrusted_input, v->untrusted_input + done, v->input_size);
	if (status && status != GR_EAGAIN && v->phase <= PHASE_NORMAL) {
		if (status == GR_EPROTO)
			gr_log_warning("the viewer sent what is not permitted: message type %u",
				       v->phase == PHASE_NORMAL ? (unsigned)v->untrusted_input[0] : 0u);
		gr_viewer_leave(v, status == GR_EPROTO ? GR_REASON_PROTOCOL : GR_REASON_INTERNAL, PROTOCOL_LEAVE_MS);
	}
}

static void ready(void *context, int fd, unsigned events)
{
	struct gr_viewer *v = context;
	v->resume = 0;
	if (events & GR_LOOP_WRITE)
		drain(v);
	if (v->phase > PHASE_NORMAL)
		return;
	if (v->input_size && !v->paused)
		work(v); /* left from before a pause */
	if (events & GR_LOOP_READ && v->phase <= PHASE_NORMAL && !v->paused) {
		ssize_t n = recv(fd, v->untrusted_input + v->input_size, INPUT_SIZE - v->input_size, MSG_DONTWAIT);
		if (n > 0) {
			v->bytes_up += (uint64_t)n;
			v->input_size += (size_t)n;
			work(v);
		} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
			end_soon(v, GR_REASON_VIEWER_LEFT);
		}
	}
	if (v->phase > PHASE_NORMAL)
		return;
	drain(v);
}

static void expired(void *context)
{
	struct gr_viewer *v = context;
	if (v->phase == PHASE_GONE) {
		v->events->gone(v->context, v, v->reason);
		return; /* v is destroyed */
	}
	if (v->phase == PHASE_LEAVING)
		gr_log_debug("a leaving viewer did not take its last %zu bytes", gr_outflow_left(v->out));
	else if (v->phase == PHASE_NORMAL)
		gr_log_warning("the viewer has taken nothing for %d s", (v->stalling ? STALL_MS : FENCE_MS) / 1000);
	else
		gr_log_warning("the viewer did not finish the RFB handshake in %d s", HANDSHAKE_MS / 1000);
	end_soon(v, GR_REASON_VIEWER_LEFT);
}

static void woken(void *context)
{
	struct gr_viewer *v = context;
	if (v->phase == PHASE_NORMAL)
		v->events->pump(v->context);
}

struct gr_viewer *gr_viewer_create(struct gr_loop *loop, struct gr_update *update, size_t out_size, int fd,
				   const struct gr_viewer_events *events, void *context)
{
	struct gr_viewer *v = calloc(1, sizeof(*v));
	if (!v) {
		gr_io_close(&fd);
		return NULL;
	}
	v->loop = loop;
	v->update = update;
	v->events = events;
	v->context = context;
	v->fd = fd;
	v->out = gr_outflow_create(out_size);
	gr_flow_init(&v->flow);
	v->timer = gr_loop_timer_add(loop, expired, v);
	v->wake = gr_loop_timer_add(loop, woken, v);
	v->watch = gr_loop_add(loop, fd, GR_LOOP_READ, ready, v);
	if (!v->out || !v->timer || !v->wake || !v->watch || gr_io_set_nonblocking(fd, 1) ||
	    gr_update_open(update, v->out)) {
		v->phase = PHASE_GONE;
		gr_viewer_destroy(v);
		return NULL;
	}
	gr_loop_timer_set(v->timer, HANDSHAKE_MS);
	flush(v);
	return v;
}

void gr_viewer_destroy(struct gr_viewer *v)
{
	if (!v)
		return;
	if (v->phase < PHASE_LEAVING)
		gr_update_close(v->update);
	gr_loop_remove(v->watch);
	gr_loop_timer_remove(v->timer);
	gr_loop_timer_remove(v->wake);
	gr_outflow_destroy(v->out);
	shutdown(v->fd, SHUT_WR);
	gr_io_close(&v->fd);
	free(v);
}

void gr_viewer_leave(struct gr_viewer *v, uint32_t reason, int64_t ms)
{
	if (v->phase >= PHASE_LEAVING)
		return;
	uint8_t notice[8] = { 71, 1 };
	put16(notice + 2, reason);
	record(v, notice, sizeof(notice));
	if (v->phase >= PHASE_LEAVING)
		return;
	gr_update_close(v->update);
	v->phase = PHASE_LEAVING;
	v->reason = reason;
	gr_loop_timer_set(v->wake, -1);
	gr_loop_timer_set(v->timer, ms);
	flush(v);
}

uint64_t gr_viewer_bytes_down(const struct gr_viewer *v)
{
	return gr_outflow_sent(v->out);
}

uint64_t gr_viewer_bytes_up(const struct gr_viewer *v)
{
	return v->bytes_up;
}
