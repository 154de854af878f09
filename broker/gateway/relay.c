#include "broker/gateway/relay.h"

#include "common/loop.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PUMP_ROUNDS 32 /* then the loop looks at the control socket and the timers */

static bool is_empty(const struct gr_relay_buffer *b)
{
	return b->start == b->end;
}

/* Bytes that may be appended at b->end; makes room by moving what is left to the front when little is left. */
static size_t room(struct gr_relay_buffer *b)
{
	if (is_empty(b)) {
		b->start = b->end = 0;
	} else if (b->end == b->size && b->start > b->size / 2) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	return b->size - b->end;
}

int gr_relay_init(struct gr_relay *relay, SSL *ssl)
{
	*relay = (struct gr_relay){ .ssl = ssl, .stream = -1 };
	relay->down = (struct gr_relay_buffer){ .data = malloc(GR_RELAY_DOWN), .size = GR_RELAY_DOWN };
	relay->up = (struct gr_relay_buffer){ .data = malloc(GR_RELAY_UP), .size = GR_RELAY_UP };
	if (!relay->down.data || !relay->up.data) {
		gr_relay_finish(relay);
		return GR_ENOMEM;
	}
	return 0;
}

void gr_relay_finish(struct gr_relay *relay)
{
	free(relay->down.data);
	free(relay->up.data);
	relay->down = relay->up = (struct gr_relay_buffer){ 0 };
}

int gr_relay_queue(struct gr_relay *relay, const void *data, size_t n)
{
	if (n > room(&relay->down))
		return GR_EFULL;
	memcpy(relay->down.data + relay->down.end, data, n);
	relay->down.end += n;
	return 0;
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

int gr_relay_flush(struct gr_relay *relay)
{
	struct gr_relay_buffer *b = &relay->down;

	relay->wants_read = relay->wants_write = false;
	while (!is_empty(b)) {
		size_t n = 0;
		ERR_clear_error();
		int rc = SSL_write_ex(relay->ssl, b->data + b->start, b->end - b->start, &n);
		if (rc != 1)
			return tls_status(relay, rc, true);
		b->start += n;
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

/* Session to viewer, one step each; true when something moved. */
static bool read_stream(struct gr_relay *relay)
{
	struct gr_relay_buffer *b = &relay->down;
	size_t space = relay->stream_ended ? 0 : room(b);

	if (space == 0)
		return false;
	ssize_t n = recv(relay->stream, b->data + b->end, space, MSG_DONTWAIT);
	if (n > 0) {
		b->end += (size_t)n;
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	relay->stream_ended = true;
	return true;
}

static bool write_stream(struct gr_relay *relay)
{
	struct gr_relay_buffer *b = &relay->up;
	bool moved = false;

	while (!is_empty(b) && !relay->stream_deaf) {
		ssize_t n = send(relay->stream, b->data + b->start, b->end - b->start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return moved;
		if (n < 0)
			relay->stream_deaf = true;
		else
			b->start += (size_t)n;
		moved = true;
	}
	if (relay->stream_deaf)
		b->start = b->end = 0; /* its last words to the viewer may still be on their way: go on reading */
	return moved;
}

static int read_viewer(struct gr_relay *relay, bool *moved)
{
	struct gr_relay_buffer *b = &relay->up;
	size_t space = room(b), n = 0;

	if (space == 0)
		return 0;
	int rc = gr_relay_read(relay, b->data + b->end, space, &n);
	if (rc == GR_EAGAIN)
		return 0;
	if (rc)
		return rc;
	b->end += n;
	*moved = true;
	return 0;
}

int gr_relay_pump(struct gr_relay *relay)
{
	bool moved = true;

	for (int round = 0; moved && (round < PUMP_ROUNDS || SSL_has_pending(relay->ssl)); round++) {
		moved = false;
		int rc = read_viewer(relay, &moved);
		moved |= write_stream(relay);
		if (rc)
			return rc;
		moved |= read_stream(relay);
		size_t before = relay->down.start;
		rc = gr_relay_flush(relay);
		moved |= relay->down.start != before;
		if (rc && rc != GR_EAGAIN)
			return rc;
		if (relay->stream_ended && is_empty(&relay->down))
			return GR_ENOENT;
	}
	return 0;
}

unsigned gr_relay_viewer_events(const struct gr_relay *relay)
{
	unsigned events = 0;

	if (relay->wants_read || is_empty(&relay->up) || relay->up.end < relay->up.size)
		events |= GR_LOOP_READ;
	if (relay->wants_write)
		events |= GR_LOOP_WRITE;
	return events;
}

unsigned gr_relay_stream_events(const struct gr_relay *relay)
{
	unsigned events = 0;

	if (!relay->stream_ended && (is_empty(&relay->down) || relay->down.end < relay->down.size))
		events |= GR_LOOP_READ;
	if (!is_empty(&relay->up) && !relay->stream_deaf)
		events |= GR_LOOP_WRITE;
	return events;
}
