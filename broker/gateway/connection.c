#include "broker/gateway/connection.h"

#include "broker/gateway/login.h"
#include "broker/gateway/opening.h"
#include "broker/gateway/report.h"
#include "broker/gateway/state.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Milliseconds. */
#define HANDSHAKE_MS                                                                                                   \
	10000 /* from the first byte until the certificate is known, all together: a slow client gains nothing */
#define WAIT_MS 1000
#define ATTACH_MS 5000 /* the session process's side of the RFB handshake */
#define VIEWER_MS 10000 /* the viewer's side once the session is there */
#define UNSENT_MAX (128 * 1024) /* bytes that wait in the kernel: more would only be old pictures */
#define DEAD_PEER_MS 60000 /* unanswered bytes or keepalive probes */

#define IN(state) (1u << (state))

/* What the supervisor may say, and when. In FLUSH and LINGER its word crossed the viewer's leaving: it comes too late. */
static const struct {
	uint32_t type;
	unsigned states, late;
} permitted[] = {
	{ GR_IPC_RECORD, IN(STATE_SESSION), IN(STATE_FLUSH) | IN(STATE_LINGER) },
	{ GR_IPC_RECORDED, IN(STATE_ATTACH) | IN(STATE_VIEWER) | IN(STATE_RELAY), IN(STATE_FLUSH) | IN(STATE_LINGER) },
	{ GR_IPC_OPEN, IN(STATE_SESSION), IN(STATE_FLUSH) | IN(STATE_LINGER) },
	{ GR_IPC_REFUSE, IN(STATE_IDENTITY) | IN(STATE_FACTORS) | IN(STATE_SESSION) | IN(STATE_ATTACH),
	  IN(STATE_FLUSH) | IN(STATE_LINGER) },
};

/* Hands what the viewer's handshake has to say to TLS's queue. */
static int queue_viewer(struct gr_connection *c)
{
	uint8_t out[sizeof c->viewer.out];
	size_t n = gr_rfb_handshake_output(&c->viewer, out, sizeof out);

	return n ? gr_relay_queue(&c->relay, out, n) : 0;
}

void gr_connection_queue_open(struct gr_connection *c, const struct gr_open *open)
{
	uint8_t record[GR_OPEN_BYTES];

	gr_open_record(record, open);
	gr_relay_queue(&c->relay, record, sizeof record); /* fits: all of them together are far below the bound */
}

void gr_connection_refuse_in_words(struct gr_connection *c, uint32_t reason, const char *words)
{
	gr_rfb_handshake_refuse(&c->viewer, words);
	queue_viewer(c);
	gr_connection_close(c, reason);
}

void gr_connection_refuse(struct gr_connection *c, uint32_t reason, uint32_t seconds)
{
	char words[GR_RFB_REFUSAL_MAX + 1], when[24] = "";

	if (gr_tls_is_garasu(c->tls)) {
		gr_connection_queue_open(
			c, &(struct gr_open){ .kind = GR_OPEN_REFUSED, .reason = reason, .seconds = seconds });
		gr_connection_close(c, reason);
		return;
	}
	if (seconds)
		snprintf(when, sizeof when, " (%u s)", seconds);
	snprintf(words, sizeof words, "%s%s", gr_open_refusal_text(reason), when);
	gr_connection_refuse_in_words(c, reason, words);
}

static void relay_step(struct gr_connection *c)
{
	int rc = gr_relay_pump(&c->relay);

	if (rc == GR_ENOENT) {
		gr_connection_close(c, GR_REASON_NONE); /* why is the session's to tell */
	} else if (rc == GR_EDENIED) {
		const struct gr_guard_violation *violation = gr_guard_violation(c->relay.guard);
		gr_log_warning("connection %u: the guard ends it: %s: %s", c->number,
			       violation->direction == GR_GUARD_UP ? "viewer" : "session", violation->rule);
		gr_report_violation(c->number, violation);
		/* What was let through to the viewer before still goes. */
		gr_connection_close(c, GR_REASON_PROTOCOL);
	} else if (rc == GR_ENOMEM) {
		gr_log_error("connection %u: the guard has no memory", c->number);
		gr_connection_close(c, GR_REASON_INTERNAL);
	} else if (rc) {
		gr_connection_viewer_failed(c, rc);
	} else {
		gr_loop_change(c->viewer_watch, gr_relay_viewer_events(&c->relay));
		gr_loop_change(c->stream_watch, gr_relay_stream_events(&c->relay));
		gr_loop_timer_set(c->wait, gr_relay_wait(&c->relay));
	}
}

static void clipboard(void *context, enum gr_guard_direction direction, bool passed, const uint8_t *untrusted_text,
		      size_t n)
{
	struct gr_connection *c = context;

	gr_report_clipboard(c->number, direction, passed, untrusted_text, n);
}

static void sent(void *context, const uint8_t *bytes, size_t n)
{
	struct gr_connection *c = context;

	gr_recorder_add(c->recorder, bytes, n);
}

static void record(struct gr_connection *c, const struct gr_ipc_message *message, int fd)
{
	struct gr_recording_header header = { .session = message->session,
					      .connection = c->number,
					      .garasu = gr_tls_is_garasu(c->tls) };

	memcpy(header.person, message->person, sizeof header.person);
	c->relay.sent = sent;
	c->relay.sent_context = c;
	gr_recorder_begin(c->recorder, c->loop, fd, &header);
}

static void relay_begin(struct gr_connection *c)
{
	struct gr_guard *guard = gr_guard_create(&c->guard);

	if (!guard) {
		gr_log_error("connection %u: no memory for the guard", c->number);
		gr_connection_close(c, GR_REASON_INTERNAL);
		return;
	}
	gr_guard_on_clipboard(guard, clipboard, c);
	gr_rfb_handshake_wipe(&c->viewer); /* in case it gave what nobody asked for */
	c->state = STATE_RELAY;
	gr_relay_begin(&c->relay, c->stream, guard);
	gr_loop_timer_set(c->deadline, -1);
	relay_step(c);
}

static void session_is_there(struct gr_connection *c)
{
	c->state = STATE_VIEWER;
	gr_loop_timer_set(c->wait, -1);
	gr_loop_timer_set(c->deadline, VIEWER_MS);
	gr_loop_change(c->stream_watch, 0);
	if (!c->viewer_speaks) {
		if (gr_recorder_runs(c->recorder))
			c->ready_flags |= GR_OPEN_RECORDED;
		gr_connection_queue_open(c, &c->terms);
		gr_connection_queue_open(c, &(struct gr_open){ .kind = GR_OPEN_READY, .flags = c->ready_flags });
		gr_rfb_handshake_init(&c->viewer, GR_RFB_SERVER);
		c->viewer_speaks = true;
	}
	gr_rfb_handshake_open(&c->viewer, GR_RFB_GATE_RESULT);
	gr_connection_viewer_step(c);
}

/* The client's side of RFB towards the session process. */
static void session_step(struct gr_connection *c)
{
	uint8_t bytes[256], out[sizeof c->session.out];
	size_t wants;

	while ((wants = gr_rfb_handshake_wants(&c->session)) > 0) {
		ssize_t n = recv(c->stream, bytes, wants, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		int rc = n > 0 ? gr_rfb_handshake_feed(&c->session, bytes, (size_t)n) : GR_ECLOSED;
		size_t length = gr_rfb_handshake_output(&c->session, out, sizeof out);
		if (!rc && length && send(c->stream, out, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
			rc = GR_EIO; /* some dozen bytes fit into an empty socket */
		if (rc) {
			gr_log_error("connection %u: RFB handshake with the session process: %s", c->number,
				     gr_status_text(rc));
			gr_connection_refuse(c, GR_REASON_INTERNAL, 0);
			return;
		}
	}
	if (gr_rfb_handshake_done(&c->session))
		session_is_there(c);
}

static void stream_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;

	(void)fd;
	(void)events;
	if (c->state == STATE_ATTACH)
		session_step(c);
	else if (c->state == STATE_RELAY)
		relay_step(c);
}

/*
 * Takes what the viewer's handshake wants, and not a byte more: ClientInit is the session's.
 * A viewer that speaks while it has to wait does not keep to the protocol, and is the only way to learn that it left.
 */
void gr_connection_viewer_step(struct gr_connection *c)
{
	uint8_t bytes[256];
	size_t n;
	int rc = 0;

	while (!rc) {
		rc = c->viewer_speaks ? queue_viewer(c) : 0;
		if (!rc)
			rc = gr_relay_flush(&c->relay);
		if (rc && rc != GR_EAGAIN)
			break;
		if (c->viewer_speaks && gr_rfb_handshake_done(&c->viewer)) {
			relay_begin(c);
			return;
		}
		size_t wants = c->viewer_speaks ? gr_rfb_handshake_wants(&c->viewer) : gr_login_wants(c);
		rc = gr_relay_read(&c->relay, bytes, wants == 0 ? 1 : wants < sizeof bytes ? wants : sizeof bytes, &n);
		if (!rc && !wants)
			rc = GR_EPROTO;
		if (!rc)
			rc = c->viewer_speaks ? gr_rfb_handshake_feed(&c->viewer, bytes, n)
					      : gr_login_take(c, bytes, n);
		explicit_bzero(bytes, sizeof bytes); /* they can be a password */
		if (!rc && c->viewer_speaks)
			gr_login_plain(c);
		if (c->state >= STATE_FLUSH)
			return;
	}
	if (rc == GR_EAGAIN) {
		gr_loop_change(c->viewer_watch, GR_LOOP_READ | (c->relay.wants_write ? GR_LOOP_WRITE : 0u));
		return;
	}
	if (rc == GR_EPROTO && c->viewer_speaks && !c->relay.failed)
		queue_viewer(c); /* its last word */
	gr_connection_viewer_failed(c, rc);
}

static void tls_is_complete(struct gr_connection *c)
{
	gr_relay_init(&c->relay, gr_tls_connection(c->tls));
	c->relayed = true;
	if (!gr_tls_is_garasu(c->tls)) {
		gr_rfb_handshake_init(&c->viewer, c->vencrypt ? GR_RFB_SERVER_RESULT : GR_RFB_SERVER);
		if (c->vencrypt && gr_login_asks(c->config))
			gr_rfb_handshake_ask(&c->viewer);
		c->viewer_speaks = true;
	}
	gr_login_begin(c);
}

static void tls_step(struct gr_connection *c)
{
	struct gr_tls_failure failure;
	unsigned events;
	int rc = gr_tls_handshake(c->tls, &events, &failure);

	if (rc == GR_EAGAIN)
		gr_loop_change(c->viewer_watch, events);
	else if (rc)
		gr_connection_handshake_failed(c, failure.reason, failure.text);
	else
		tls_is_complete(c);
}

static void tls_begin(struct gr_connection *c)
{
	c->state = STATE_TLS;
	if (gr_tls_begin(c->tls, GR_IPC_CONNECTION_FD))
		gr_connection_handshake_failed(c, GR_REASON_INTERNAL, "out of memory");
	else
		tls_step(c);
}

/* Some dozen bytes at most before TLS: they fit into an empty socket, so a short write means it is not to be had. */
static int vencrypt_send(struct gr_connection *c)
{
	uint8_t out[sizeof c->viewer.out];
	size_t n = gr_rfb_handshake_output(&c->viewer, out, sizeof out);

	if (n && send(GR_IPC_CONNECTION_FD, out, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		return GR_EIO;
	return 0;
}

static void vencrypt_step(struct gr_connection *c)
{
	uint8_t bytes[256];
	size_t wants;

	while ((wants = gr_rfb_handshake_wants(&c->viewer)) > 0) {
		ssize_t n = recv(GR_IPC_CONNECTION_FD, bytes, wants, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			gr_connection_handshake_failed(c, GR_REASON_VIEWER_LEFT,
						       "connection closed in the VeNCrypt handshake");
			return;
		}
		int rc = gr_rfb_handshake_feed(&c->viewer, bytes, (size_t)n);
		int sent = vencrypt_send(c);
		if (rc || sent) {
			gr_connection_handshake_failed(c, GR_REASON_PROTOCOL,
						       rc ? "not the VeNCrypt sub-type that was offered, over RFB 3.8"
							  : "cannot send");
			return;
		}
	}
	if (gr_rfb_handshake_done(&c->viewer))
		tls_begin(c);
}

static void viewer_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;

	(void)fd;
	(void)events;
	switch (c->state) {
	case STATE_VENCRYPT: vencrypt_step(c); break;
	case STATE_TLS: tls_step(c); break;
	case STATE_IDENTITY:
	case STATE_FACTORS:
	case STATE_SESSION:
	case STATE_ATTACH:
	case STATE_VIEWER: gr_connection_viewer_step(c); break;
	case STATE_RELAY: relay_step(c); break;
	case STATE_FLUSH: gr_connection_flush(c); break;
	default: gr_connection_linger(c); break;
	}
}

static void deadline_expired(void *context)
{
	struct gr_connection *c = context;

	switch (c->state) {
	case STATE_VENCRYPT:
	case STATE_TLS: gr_connection_handshake_failed(c, GR_REASON_PROTOCOL, "the handshake took too long"); break;
	case STATE_IDENTITY:
	case STATE_ATTACH:
		gr_log_error("connection %u: no answer from the %s process in time", c->number,
			     c->state == STATE_IDENTITY ? "identity" : "session");
		gr_connection_refuse(c, GR_REASON_INTERNAL, 0);
		break;
	case STATE_FACTORS: gr_connection_refuse(c, GR_REASON_TIME_OVER, 0); break;
	case STATE_SESSION: gr_connection_refuse(c, GR_REASON_CONTAINER_FAILED, 0); break;
	case STATE_VIEWER: gr_connection_close(c, GR_REASON_PROTOCOL); break;
	default: gr_connection_ending_expired(c); break;
	}
}

static void wait_expired(void *context)
{
	struct gr_connection *c = context;

	if (c->state == STATE_RELAY) {
		relay_step(c);
		return;
	}
	if (c->waits++ >= GR_OPEN_WAIT_MAX) {
		gr_connection_refuse(c, GR_REASON_CONTAINER_FAILED, 0);
		return;
	}
	gr_connection_queue_open(c, &(struct gr_open){ .kind = GR_OPEN_WAIT });
	gr_loop_timer_set(c->wait, WAIT_MS);
	gr_connection_viewer_step(c);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;
	struct gr_ipc_message message;
	int stream = -1;
	unsigned states = 0, late = 0;

	(void)events;
	int rc = gr_ipc_receive(fd, &message, &stream);
	if (rc == GR_EAGAIN)
		return;
	for (size_t i = 0; !rc && i < sizeof permitted / sizeof permitted[0]; i++) {
		if (permitted[i].type == message.type) {
			states = permitted[i].states;
			late = permitted[i].late;
		}
	}
	if (!rc && late & IN(c->state)) {
		gr_io_close(&stream);
		return;
	}
	if (!rc && !(states & IN(c->state)))
		rc = GR_EPROTO;
	if (rc) { /* the supervisor ended, or is not to be understood: end at once */
		if (rc != GR_ECLOSED)
			gr_log_error("connection %u: control socket: %s", c->number, gr_status_text(rc));
		gr_io_close(&stream);
		if (c->relayed && !c->relay.failed)
			SSL_shutdown(c->relay.ssl);
		gr_connection_finish(c, rc == GR_ECLOSED ? 0 : rc);
		return;
	}
	if (message.type == GR_IPC_REFUSE) {
		gr_connection_refuse(c, message.reason, 0);
		return;
	}
	if (message.type == GR_IPC_RECORD) {
		record(c, &message, stream);
		return;
	}
	if (message.type == GR_IPC_RECORDED) {
		gr_recorder_fail(c->recorder, message.text);
		return;
	}
	c->stream = stream;
	c->stream_watch = gr_loop_add(c->loop, stream, GR_LOOP_READ, stream_ready, c);
	if (!c->stream_watch) {
		gr_connection_refuse(c, GR_REASON_INTERNAL, 0);
		return;
	}
	const struct gr_config_limits *limits = gr_config_limits_of(c->config, message.person);
	gr_rate_init(&c->relay.rate, limits->bandwidth_kbit, gr_io_now_ms());
	c->guard.clipboard_up_max = (uint32_t)message.bytes_up;
	c->guard.clipboard_down_max = (uint32_t)message.bytes_down;
	c->guard.printing = limits->print_pages > 0;
	c->terms = (struct gr_open){ .kind = GR_OPEN_TERMS,
				     .seconds = c->config->session.grace_seconds,
				     .minutes = (uint32_t)((message.number + 59) / 60),
				     .flags = (message.bytes_down ? GR_OPEN_CLIPBOARD_DOWN : 0u) |
					      (limits->print_pages ? GR_OPEN_PRINTING : 0u),
				     .clipboard_up = (uint32_t)message.bytes_up };
	c->state = STATE_ATTACH;
	gr_loop_timer_set(c->deadline, ATTACH_MS);
	gr_rfb_handshake_init(&c->session, GR_RFB_CLIENT);
	session_step(c);
}

/* Failures here only cost latency or the early notice of a dead peer. */
static void set_socket_options(int fd)
{
	int on = 1, idle = 20, interval = 10, count = 4;
	unsigned dead = DEAD_PEER_MS, unsent = UNSENT_MAX;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof dead);
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

int gr_connection_create(struct gr_tls *tls, uint32_t number, bool vencrypt, const struct gr_config *config,
			 const struct gr_guard_settings *guard, struct gr_recorder *recorder,
			 struct gr_connection **out, struct gr_error *err)
{
	struct gr_connection *c = calloc(1, sizeof *c);

	if (!c)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	c->number = number;
	c->vencrypt = vencrypt;
	c->guard = *guard;
	c->config = config;
	c->stream = -1;
	c->loop = gr_loop_create();
	if (c->loop) {
		c->deadline = gr_loop_timer_add(c->loop, deadline_expired, c);
		c->wait = gr_loop_timer_add(c->loop, wait_expired, c);
		c->control_watch = gr_loop_add(c->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, c);
		c->viewer_watch = gr_loop_add(c->loop, GR_IPC_CONNECTION_FD, GR_LOOP_READ, viewer_ready, c);
	}
	if (!c->loop || !c->deadline || !c->wait || !c->control_watch || !c->viewer_watch ||
	    gr_io_set_nonblocking(GR_IPC_CONNECTION_FD, 1)) {
		gr_error_errno(err, "cannot watch the connection");
		gr_connection_destroy(c);
		return GR_EIO;
	}
	set_socket_options(GR_IPC_CONNECTION_FD);
	c->tls = tls;
	c->recorder = recorder;
	*out = c;
	return 0;
}

void gr_connection_destroy(struct gr_connection *c)
{
	if (!c)
		return;
	gr_recorder_destroy(c->recorder);
	gr_loop_destroy(c->loop);
	if (c->relayed)
		gr_relay_finish(&c->relay);
	gr_tls_destroy(c->tls);
	gr_io_close(&c->stream);
	explicit_bzero(c, sizeof *c);
	free(c);
}

int gr_connection_run(struct gr_connection *c)
{
	gr_loop_timer_set(c->deadline, HANDSHAKE_MS);
	if (c->vencrypt) {
		c->state = STATE_VENCRYPT;
		gr_rfb_handshake_init(&c->viewer, GR_RFB_SERVER_VENCRYPT);
		if (gr_login_asks(c->config))
			gr_rfb_handshake_ask(&c->viewer);
		if (vencrypt_send(c))
			gr_connection_handshake_failed(c, GR_REASON_VIEWER_LEFT, "cannot send");
		else
			vencrypt_step(c);
	} else {
		tls_begin(c);
	}
	return c->finished ? c->code : gr_loop_run(c->loop); /* a stop before the run would be forgotten */
}
