/*
 * Bytes between the viewer's TLS connection and the stream to the session process, both ways, through the guard
 * (broker/guard/guard.h), which holds them: when one side does not take, the other is not read. What the guard lets through is
 * forwarded at once.
 */
#ifndef GARASU_BROKER_GATEWAY_RELAY_H
#define GARASU_BROKER_GATEWAY_RELAY_H

#include "broker/gateway/rate.h"
#include "broker/guard/guard.h"
#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_RELAY_OWN 16384 /* bytes of our own towards the viewer: 600 WAIT records, a handshake */

struct gr_relay {
	SSL *ssl; /* borrowed */
	int stream; /* to the session process, borrowed; -1 = not there yet */
	struct gr_guard *guard; /* owned; NULL = as above */
	struct gr_rate
		rate; /* of what comes from the session; zeroed: no ceiling. What does not go waits in the guard */
	uint64_t bytes_down, bytes_up; /* of application data, to and from the viewer */
	bool stream_ended; /* the session process sends no more */
	bool stream_deaf; /* it takes no more */
	bool wants_read, wants_write; /* what TLS waits for in order to write */
	bool failed; /* a TLS error: nothing may be sent any more, not even close_notify */
	/* NULL, or is told what of the session was sent: ServerInit and all behind it. */
	void (*sent)(void *context, const uint8_t *bytes, size_t n);
	void *sent_context;
	size_t own_start, own_end;
	uint8_t own[GR_RELAY_OWN];
};

/* Begins, without a stream. ssl: after the handshake, in modes ENABLE_PARTIAL_WRITE and ACCEPT_MOVING_WRITE_BUFFER. */
void gr_relay_init(struct gr_relay *relay, SSL *ssl);
void gr_relay_finish(struct gr_relay *relay);

/* Before the stream: adds n bytes of our own to what goes to the viewer. GR_EFULL. */
int gr_relay_queue(struct gr_relay *relay, const void *data, size_t n);

/* The stream is there, at ServerInit and ClientInit. Takes guard. */
void gr_relay_begin(struct gr_relay *relay, int stream, struct gr_guard *guard);

/* Bytes that gr_relay_flush would send. */
size_t gr_relay_queued(const struct gr_relay *relay);

/* Sends what is queued or let through. 0: all of it is in TCP's hands; GR_EAGAIN; GR_ECLOSED, GR_EPROTO: the viewer is gone. */
int gr_relay_flush(struct gr_relay *relay);

/* Reads at most cap (≥ 1) bytes of the viewer. GR_EAGAIN; GR_ECLOSED: it left; GR_EPROTO: TLS broke. */
int gr_relay_read(struct gr_relay *relay, void *out, size_t cap, size_t *n_out);

/*
 * Moves what can be moved now. 0: wait for gr_relay_events and gr_relay_wait; GR_ENOENT: the session ended and all it sent is in
 * TCP's hands; GR_EDENIED: a violation, which the guard tells; GR_ENOMEM; GR_ECLOSED, GR_EPROTO: as above.
 */
int gr_relay_pump(struct gr_relay *relay);

/* What to wait for (gr_loop_events) until the next pump, and for how long: -1 = for events alone. */
unsigned gr_relay_viewer_events(struct gr_relay *relay);
unsigned gr_relay_stream_events(struct gr_relay *relay);
int64_t gr_relay_wait(struct gr_relay *relay);

#endif
