/*
 * Bytes between the viewer's TLS connection and the stream to the session process, both ways, through two bounded buffers: when
 * one side does not take, the other is not read. What was read is forwarded at once.
 */
#ifndef GARASU_BROKER_GATEWAY_RELAY_H
#define GARASU_BROKER_GATEWAY_RELAY_H

#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_RELAY_DOWN ((size_t)128 * 1024) /* bytes towards the viewer */
#define GR_RELAY_UP ((size_t)32 * 1024) /* bytes towards the session: input is small */

struct gr_relay_buffer {
	uint8_t *data;
	size_t size, start, end;
};

struct gr_relay {
	SSL *ssl; /* borrowed */
	int stream; /* to the session process, borrowed; -1 = not there yet */
	struct gr_relay_buffer down, up;
	uint64_t bytes_down, bytes_up; /* of application data, to and from the viewer */
	bool stream_ended; /* the session process sends no more */
	bool stream_deaf; /* it takes no more */
	bool wants_read, wants_write; /* what TLS waits for in order to write */
	bool failed; /* a TLS error: nothing may be sent any more, not even close_notify */
};

/* Begins, without a stream. ssl: after the handshake, in modes ENABLE_PARTIAL_WRITE and ACCEPT_MOVING_WRITE_BUFFER. GR_ENOMEM. */
int gr_relay_init(struct gr_relay *relay, SSL *ssl);
void gr_relay_finish(struct gr_relay *relay);

/* Adds n bytes of our own to what goes to the viewer. GR_EFULL. */
int gr_relay_queue(struct gr_relay *relay, const void *data, size_t n);

/* Sends what is queued. 0: all of it is in TCP's hands; GR_EAGAIN; GR_ECLOSED, GR_EPROTO: the viewer is gone. */
int gr_relay_flush(struct gr_relay *relay);

/* Reads at most cap (≥ 1) bytes of the viewer. GR_EAGAIN; GR_ECLOSED: it left; GR_EPROTO: TLS broke. */
int gr_relay_read(struct gr_relay *relay, void *out, size_t cap, size_t *n_out);

/*
 * Moves what can be moved now. 0: wait for gr_relay_events; GR_ENOENT: the session ended and all it sent is in TCP's hands;
 * GR_ECLOSED, GR_EPROTO: as above.
 */
int gr_relay_pump(struct gr_relay *relay);

/* What to wait for (gr_loop_events) until the next pump. */
unsigned gr_relay_viewer_events(const struct gr_relay *relay);
unsigned gr_relay_stream_events(const struct gr_relay *relay);

#endif
