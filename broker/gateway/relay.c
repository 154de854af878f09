#include "broker/gateway/relay.h"

#include "common/io.h"
#include "common/loop.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#define PUMP_ROUNDS 32 /* then the loop looks at the control socket and the timers */

void gr_relay_init(struct gr_relay *relay, SSL *ssl)
{
	memset(relay, 0, sizeof *relay);
	relay->ssl = ssl;
	relay->stream = -1;
}

void gr_relay_finish(struct gr_relay *relay)
{
	gr_guard_destroy(relay->guard);
	relay->guard = NULL;
}

int gr_relay_queue(struct gr_relay *relay, const void *data, size_t n)
{
	if (relay->own_start == relay->own_end)
		relay->own_start = relay->own_end = 0;
	if (n > sizeof relay->own - relay->own_end)
		return GR_EFULL;
	memcpy(relay->own + relay->own_end, data, n);
	relay->own_end += n;
	return 0;
}

void gr_relay_begin(struct gr_relay *relay, int stream, struct gr_guard *guard)
{
	relay->stream = stream;
	relay->guard = guard;
}

/* What is to be sent to the viewer next: our own words stand before everything that the session says. */
static const uint8_t *next_down(const struct gr_relay *relay, size_t *n)
{
	*n = relay->own_end - relay->own_start;
	if (*n || !relay->guard)
		return relay->own + relay->own_start;
	return gr_guard_down_passed(relay->guard, n);
}

size_t gr_relay_queued(const struct gr_relay *relay)
{
	size_t n = 0;

	if (relay->guard)
		gr_guard_down_passed(relay->guard, &n);
	return relay->own_end - relay->own_start + n;
}

/* What an SSL_read or SSL_write that failed means. */
static int tls_status(struct gr_relay *relay, int rc, bool writing)
{
	int error = SSL_get_error(relay->ssl, rc);
	unsigned long code = ERR_peek_error();
	int reason = code ? ERR_GET_REASON(code) : 0;

	ERR_clear_error();
	switch (error) {
	case SSL_ERROR_WANT_READ:
		if (writing)
			relay->wants_read = true;
		return GR_EAGAIN;
	case SSL_ERROR_WANT_WRITE: relay->wants_write = true; return GR_EAGAIN;
	case SSL_ERROR_ZERO_RETURN: return GR_ECLOSED;
	case SSL_ERROR_SSL:
		relay->failed = true;
		if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || reason >= SSL_AD_REASON_OFFSET)
			return GR_ECLOSED; /* cut off, or the viewer's own alert */
		return GR_EPROTO;
	default: relay->failed = true; return GR_ECLOSED;
	}
}

/* The ceiling is for the session's stream. Its last words go at once: the viewer is to learn why it ended. */
static bool is_bounded(const struct gr_relay *relay)
{
	return relay->rate.kbit && relay->own_start == relay->own_end && !relay->stream_ended && relay->stream >= 0;
}

int gr_relay_flush(struct gr_relay *relay)
{
	const uint8_t *data;
	size_t n;

	relay->wants_read = relay->wants_write = false;
	while (data = next_down(relay, &n), n > 0) {
		if (is_bounded(relay)) {
			size_t room = gr_rate_room(&relay->rate, gr_io_now_ms());
			if (!room)
				return GR_EAGAIN;
			/* A write that is tried again may be longer, never shorter: the room only grows meanwhile. */
			n = n < room ? n : room;
		}
		ERR_clear_error();
		int rc = SSL_write_ex(relay->ssl, data, n, &n);
		if (rc != 1)
			return tls_status(relay, rc, true);
		if (relay->own_start < relay->own_end) {
			relay->own_start += n;
			if (relay->own_start == relay->own_end)
				explicit_bzero(relay->own, relay->own_end); /* a ticket may have been in it */
		} else {
			if (relay->sent)
				relay->sent(relay->sent_context, data, n);
			gr_guard_down_sent(relay->guard, n);
			gr_rate_spend(&relay->rate, n);
		}
		relay->bytes_down += n;
	}
	return 0;
}

int gr_relay_read(struct gr_relay *relay, void *out, size_t cap, size_t *n_out)
{
	ERR_clear_error();
	int rc = SSL_read_ex(relay->ssl, out, cap, n_out);
	if (rc != 1)
		return tls_status(relay, rc, false);
	relay->bytes_up += *n_out;
	return 0;
}

/* The guard's answer to what it was given. */
static int judged(int rc)
{
	return rc == GR_EPROTO ? GR_EDENIED : rc;
}

/* Session to viewer, one step each; *moved when something did. */
static int read_stream(struct gr_relay *relay, bool *moved)
{
	size_t space = 0;
	uint8_t *to = relay->stream_ended ? NULL : gr_guard_down_room(relay->guard, &space);

	if (!to)
		return judged(gr_guard_down_took(relay->guard, 0)); /* it may have no memory for what it holds */
	ssize_t n = recv(relay->stream, to, space, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	*moved = true;
	if (n > 0)
		return judged(gr_guard_down_took(relay->guard, (size_t)n));
	relay->stream_ended = true;
	return 0;
}

static void write_stream(struct gr_relay *relay, bool *moved)
{
	const uint8_t *data;
	size_t left;

	while (data = gr_guard_up_passed(relay->guard, &left), left > 0) {
		/* Once it is deaf: its last words to the viewer may still be on their way, go on reading. */
		ssize_t n = relay->stream_deaf ? (ssize_t)left
					       : send(relay->stream, data, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			relay->stream_deaf = true;
		else
			gr_guard_up_sent(relay->guard, (size_t)n);
		*moved = true;
	}
}

/* Also without a byte: what the guard holds may go on, because time has passed or the session has answered. */
static int read_viewer(struct gr_relay *relay, bool *moved)
{
	size_t space = 0, n = 0;
	uint8_t *to = gr_guard_up_room(relay->guard, &space);
	int rc = to ? gr_relay_read(relay, to, space, &n) : 0;

	if (rc && rc != GR_EAGAIN)
		return rc;
	*moved |= n > 0;
	return judged(gr_guard_up_took(relay->guard, n, gr_io_now_ms()));
}

int gr_relay_pump(struct gr_relay *relay)
{
	bool moved = true;

	for (int round = 0; moved && (round < PUMP_ROUNDS || SSL_has_pending(relay->ssl)); round++) {
		moved = false;
		int rc = read_viewer(relay, &moved);
		if (rc == GR_EDENIED)
			return rc;
		write_stream(relay, &moved);
		if (rc)
			return rc;
		rc = read_stream(relay, &moved);
		if (rc)
			return rc;
		uint64_t before = relay->bytes_down;
		rc = gr_relay_flush(relay);
		moved |= relay->bytes_down != before;
		if (rc && rc != GR_EAGAIN)
			return rc;
		if (relay->stream_ended && !gr_relay_queued(relay))
			return GR_ENOENT;
	}
	return 0;
}

unsigned gr_relay_viewer_events(struct gr_relay *relay)
{
	unsigned events = 0;
	size_t n;

	if (relay->wants_read || gr_guard_up_room(relay->guard, &n))
		events |= GR_LOOP_READ;
	if (relay->wants_write)
		events |= GR_LOOP_WRITE;
	return events;
}

unsigned gr_relay_stream_events(struct gr_relay *relay)
{
	unsigned events = 0;
	size_t n;

	if (!relay->stream_ended && gr_guard_down_room(relay->guard, &n))
		events |= GR_LOOP_READ;
	gr_guard_up_passed(relay->guard, &n);
	if (n && !relay->stream_deaf)
		events |= GR_LOOP_WRITE;
	return events;
}

int64_t gr_relay_wait(struct gr_relay *relay)
{
	uint64_t now = gr_io_now_ms();
	int64_t up = gr_guard_up_wait(relay->guard, now), down;

	if (!is_bounded(relay) || !gr_relay_queued(relay) || relay->wants_write || relay->wants_read)
		return up;
	down = gr_rate_wait(&relay->rate, now);
	return up < 0 || down < up ? down : up;
}
