#include "broker/gateway/state.h"

#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Milliseconds. */
#define FLUSH_MS 5000 /* for the last bytes to a viewer that does not read */
#define LINGER_MS 2000 /* until the viewer has closed too: a close(2) before that could destroy the last bytes by RST */
#define CLOSING_ROUNDS 8 /* either is given again so often, as long as the viewer reads */

void gr_connection_finish(struct gr_connection *c, int code)
{
	if (c->finished)
		return;
	if (c->relayed && code == 0) {
		gr_recorder_end(c->recorder); /* its last word stands before CLOSED */
		struct gr_ipc_message closed = { .type = GR_IPC_CLOSED,
						 .connection = c->number,
						 .reason = c->reason,
						 .bytes_down = c->relay.bytes_down,
						 .bytes_up = c->relay.bytes_up };
		gr_ipc_send(GR_IPC_CONTROL_FD, &closed, -1);
	}
	gr_loop_timer_set(c->deadline, -1);
	gr_loop_timer_set(c->wait, -1);
	c->finished = true;
	c->code = code;
	gr_loop_stop(c->loop, code);
}

/* Reads away what still comes, so that the last bytes sent are not destroyed by an RST. */
void gr_connection_linger(struct gr_connection *c)
{
	uint8_t ignored[4096];
	ssize_t n;

	for (int i = 0; i < 64; i++) {
		n = recv(GR_IPC_CONNECTION_FD, ignored, sizeof ignored, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			gr_connection_finish(c, 0);
			return;
		}
		if (n < 0)
			return;
	}
}

static void linger(struct gr_connection *c)
{
	c->state = STATE_LINGER;
	shutdown(GR_IPC_CONNECTION_FD, SHUT_WR);
	gr_loop_timer_set(c->deadline, LINGER_MS);
	gr_loop_change(c->viewer_watch, GR_LOOP_READ);
	gr_connection_linger(c);
}

void gr_connection_flush(struct gr_connection *c)
{
	int rc = gr_relay_flush(&c->relay);

	if (rc == GR_EAGAIN) {
		gr_loop_change(c->viewer_watch, c->relay.wants_read ? GR_LOOP_READ : GR_LOOP_WRITE);
		return;
	}
	if (!c->relay.failed) {
		/* close_notify; no answer to it is needed. It may find TCP's buffer full as any other byte. */
		int sent = SSL_shutdown(c->relay.ssl);
		if (sent < 0 && SSL_get_error(c->relay.ssl, sent) == SSL_ERROR_WANT_WRITE) {
			gr_loop_change(c->viewer_watch, GR_LOOP_WRITE);
			return;
		}
	}
	if (rc == GR_ECLOSED)
		gr_connection_finish(c, 0);
	else
		linger(c);
}

/* After TLS: sends what is queued, then close_notify. */
void gr_connection_close(struct gr_connection *c, uint32_t reason)
{
	if (c->state >= STATE_FLUSH)
		return;
	gr_log_debug("connection %u: closing: %s", c->number, gr_reason_name(reason));
	c->reason = reason;
	gr_loop_timer_set(c->wait, -1);
	gr_loop_remove(c->stream_watch);
	c->stream_watch = NULL;
	gr_io_close(&c->stream); /* the session process learns of it now, not after the viewer's last packets */
	c->relay.stream = -1;
	gr_loop_remove(c->identity_watch);
	c->identity_watch = NULL;
	c->state = STATE_FLUSH;
	gr_loop_timer_set(c->deadline, FLUSH_MS);
	gr_connection_flush(c);
}

/* The viewer is not there any more: nothing to flush, nobody to wait for. */
void gr_connection_viewer_left(struct gr_connection *c)
{
	gr_log_debug("connection %u: the viewer left", c->number);
	c->reason = GR_REASON_VIEWER_LEFT;
	if (!c->relay.failed)
		SSL_shutdown(c->relay.ssl);
	gr_connection_finish(c, 0);
}

void gr_connection_viewer_failed(struct gr_connection *c, int rc)
{
	if (rc == GR_ECLOSED)
		gr_connection_viewer_left(c);
	else
		gr_connection_close(c, GR_REASON_PROTOCOL);
}

/* Before TLS is complete. */
void gr_connection_handshake_failed(struct gr_connection *c, uint32_t reason, const char *text)
{
	struct gr_ipc_message failed = { .type = GR_IPC_HANDSHAKE_FAILED, .connection = c->number, .reason = reason };

	gr_log_debug("connection %u: %s: %s", c->number, gr_reason_name(reason), text);
	gr_log_escape(failed.text, sizeof failed.text, text, strlen(text));
	if (gr_ipc_send(GR_IPC_CONTROL_FD, &failed, -1))
		gr_log_error("connection %u: the supervisor does not listen", c->number);
	linger(c);
}

/* While closing: does a viewer that is slow still take bytes? */
static bool viewer_reads(struct gr_connection *c)
{
	int queued = 0;

	ioctl(GR_IPC_CONNECTION_FD, SIOCOUTQ, &queued);
	size_t unsent = (size_t)queued + (c->relayed ? gr_relay_queued(&c->relay) : 0);
	bool reads = unsent > 0 && (c->closing_rounds == 0 || unsent < c->unsent);
	c->unsent = unsent;
	return reads && ++c->closing_rounds <= CLOSING_ROUNDS;
}

void gr_connection_ending_expired(struct gr_connection *c)
{
	if (viewer_reads(c))
		gr_loop_timer_set(c->deadline, c->state == STATE_FLUSH ? FLUSH_MS : LINGER_MS);
	else
		gr_connection_finish(c, 0);
}
