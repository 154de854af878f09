#include "viewer/transport.h"
#include "common/io.h"
#include "viewer/opening.h"
#include "viewer/platform_net.h"
#include "viewer/policy.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	RELAY_BYTES = 65536,
	JUDGE_MS = 75000, /* for the broker to judge an answer; its own deadline is shorter */
	ANSWER_MS = 150000, /* for the person to give one, likewise */
	WAIT_RECORDS_MAX = 600,
	NOBODY = 65534,
	DRAIN_MS = 5000, /* for the decoder to take what came before the end */
};

struct relay {
	uint8_t bytes[RELAY_BYTES];
	size_t begin, end;
};

struct transport {
	const struct gr_transport_settings *settings;
	struct gr_tls *tls;
	int sock;
	int tls_write_blocked; /* SSL_write waits for the socket */
	enum gr_failure failure;
	unsigned reason, seconds;
	struct gr_error err;
	struct relay down, up;
};

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* A status is lost only when the window is gone or hangs; the window then notices the end of the socket. */
static void tell_more(struct transport *transport, const struct gr_viewer_status *more, const char *text)
{
	struct gr_viewer_status status = *more;
	status.at_us = now_us();
	snprintf(status.text, sizeof(status.text), "%.250s", text);
	(void)gr_io_send(transport->settings->window, &status, sizeof(status), -1);
	explicit_bzero(status.ticket, sizeof(status.ticket));
}

static void tell(struct transport *transport, uint32_t type, const char *text)
{
	tell_more(transport,
		  &(struct gr_viewer_status){ .type = type,
					      .failure = (uint32_t)transport->failure,
					      .reason = transport->reason,
					      .seconds = transport->seconds },
		  text);
}

static int fail(struct transport *transport, enum gr_failure failure, int code, const char *text)
{
	transport->failure = failure;
	return gr_error_set(&transport->err, code, "%s", text);
}

/* Waits for events of the socket until the deadline; the window's end counts as the connection's. */
static int wait_socket(struct transport *transport, short events, uint64_t deadline_ms)
{
	for (;;) {
		uint64_t now = gr_io_now_ms();
		if (now >= deadline_ms)
			return fail(transport, GR_FAIL_TIMEOUT, GR_ETIMEOUT, "timed out");
		struct pollfd fds[2] = { { .fd = transport->sock, .events = events },
					 { .fd = transport->settings->window } };
		int n = poll(fds, 2, (int)(deadline_ms - now));
		if (n < 0 && errno != EINTR)
			return fail(transport, GR_FAIL_INTERNAL, GR_EIO, "poll failed");
		if (n > 0 && fds[1].revents)
			return fail(transport, GR_FAIL_NONE, GR_ECLOSED, "the window is gone");
		if (n > 0)
			return 0;
	}
}

static int wait_connected(void *context, int sock, uint64_t deadline_ms)
{
	struct transport *transport = context;
	transport->sock = sock;
	int status = wait_socket(transport, POLLOUT, deadline_ms);
	transport->sock = -1;
	return status;
}

static int connect_host(struct transport *transport, uint64_t deadline_ms)
{
	const struct gr_transport_settings *settings = transport->settings;
	struct gr_platform_addresses *addresses;
	int status = gr_platform_resolve(settings->host, settings->port, &addresses, &transport->err);
	if (status) {
		transport->failure = GR_FAIL_NAME;
		return status;
	}
	tell(transport, GR_STATUS_CONNECTING, "");
	status = gr_platform_connect(addresses, wait_connected, transport, deadline_ms, &transport->sock,
				     &transport->failure, &transport->err);
	gr_platform_addresses_free(addresses);
	return status;
}

/* Names the most likely wrong ports from the first bytes that come; these are only looked at. */
static int check_first_bytes(struct transport *transport, int *looked)
{
	unsigned char first[5];
	ssize_t n = gr_platform_peek(transport->sock, first, sizeof(first));
	if (n >= 4 && !memcmp(first, "RFB ", 4))
		return fail(transport, GR_FAIL_RFB_PORT, GR_EPROTO, "the server began with an RFB version");
	if (n >= 5 && !memcmp(first, "HTTP/", 5))
		return fail(transport, GR_FAIL_HTTP_PORT, GR_EPROTO, "the server began with HTTP");
	*looked = n > 0;
	if (n > 0 && first[0] != 0x16 && first[0] != 0x15) /* TLS handshake, alert */
		return fail(transport, GR_FAIL_NOT_BROKER, GR_EPROTO, "the server's first byte is not TLS");
	return 0;
}

static int handshake(struct transport *transport, uint64_t deadline_ms)
{
	int looked = 0;
	for (;;) {
		int status = looked ? 0 : check_first_bytes(transport, &looked);
		if (status)
			return status;
		status = gr_tls_handshake(transport->tls, &transport->failure, &transport->err);
		if (status != GR_EAGAIN)
			return status;
		status = wait_socket(transport, gr_tls_wants(transport->tls), deadline_ms);
		if (status)
			return status;
	}
}

static int send_all(struct transport *transport, const uint8_t *bytes, size_t n)
{
	uint64_t deadline_ms = gr_io_now_ms() + (uint64_t)transport->settings->timeout_ms;
	for (size_t sent = 0; sent < n;) {
		size_t taken = 0;
		int status = gr_tls_write(transport->tls, bytes + sent, n - sent, &taken, &transport->failure,
					  &transport->err);
		if (status == GR_EAGAIN)
			status = wait_socket(transport, gr_tls_wants(transport->tls), deadline_ms);
		if (status)
			return status;
		sent += taken;
	}
	return 0;
}

/* Hands on what the window gave, if it is there. GR_EAGAIN: not yet. */
static int pass_answer(struct transport *transport)
{
	struct gr_viewer_factors factors;
	uint8_t answer[GR_ANSWER_BYTES];
	size_t n = 0;
	int status = gr_io_receive(transport->settings->window, &factors, sizeof(factors), &n, NULL);
	if (status == GR_EAGAIN)
		return status;
	if (status)
		return fail(transport, GR_FAIL_NONE, GR_ECLOSED, "the window is gone");
	if (n != sizeof(factors) || factors.ticketed > 1 || factors.password_length > GR_PASSWORD_MAX ||
	    factors.code_length > GR_CODE_MAX)
		return fail(transport, GR_FAIL_INTERNAL, GR_EPROTO, "the window's answer is none");
	gr_opening_answer(&factors, answer);
	explicit_bzero(&factors, sizeof(factors));
	status = send_all(transport, answer, sizeof(answer));
	explicit_bzero(answer, sizeof(answer));
	return status;
}

/* Until the window has an answer, or the broker says something: it gave up waiting. */
static int wait_answer(struct transport *transport)
{
	uint64_t deadline_ms = gr_io_now_ms() + ANSWER_MS;
	for (;;) {
		if (gr_tls_pending(transport->tls))
			return 0;
		uint64_t now = gr_io_now_ms();
		if (now >= deadline_ms)
			return fail(transport, GR_FAIL_TIMEOUT, GR_ETIMEOUT, "timed out");
		struct pollfd fds[2] = { { .fd = transport->sock, .events = POLLIN },
					 { .fd = transport->settings->window, .events = POLLIN } };
		int n = poll(fds, 2, (int)(deadline_ms - now));
		if (n < 0 && errno != EINTR)
			return fail(transport, GR_FAIL_INTERNAL, GR_EIO, "poll failed");
		if (n > 0 && fds[0].revents)
			return 0;
		if (n > 0) {
			int status = pass_answer(transport);
			if (status != GR_EAGAIN)
				return status;
		}
	}
}

static int read_exactly(struct transport *transport, uint8_t *record, size_t n, int timeout_ms)
{
	uint64_t deadline_ms = gr_io_now_ms() + (uint64_t)timeout_ms;
	for (size_t have = 0; have < n;) {
		size_t got = 0;
		int status = gr_tls_read(transport->tls, record + have, n - have, &got, &transport->failure,
					 &transport->err);
		if (status == GR_EAGAIN)
			status = wait_socket(transport, gr_tls_wants(transport->tls), deadline_ms);
		if (status)
			return status;
		have += got;
	}
	return 0;
}

static int ask(struct transport *transport, const struct gr_opening *opening)
{
	tell_more(transport,
		  &(struct gr_viewer_status){ .type = GR_STATUS_ASK,
					      .reason = opening->reason,
					      .flags = opening->flags,
					      .tries = opening->tries,
					      .seconds = opening->seconds },
		  "");
	return wait_answer(transport);
}

static int pass_ticket(struct transport *transport)
{
	struct gr_viewer_status ticket = { .type = GR_STATUS_TICKET };
	int status = read_exactly(transport, ticket.ticket, sizeof(ticket.ticket), transport->settings->timeout_ms);
	if (!status)
		tell_more(transport, &ticket, "");
	explicit_bzero(&ticket, sizeof(ticket));
	return status;
}

static int open_session(struct transport *transport)
{
	int timeout_ms = transport->settings->timeout_ms;
	for (int waited = 0; waited <= WAIT_RECORDS_MAX;) {
		uint8_t record[GR_OPENING_BYTES];
		struct gr_opening opening;
		int status = read_exactly(transport, record, sizeof(record), timeout_ms);
		if (status)
			return status;
		status = gr_opening_parse(record, &opening);
		if (status == GR_EINVAL)
			return fail(transport, GR_FAIL_NOT_BROKER, GR_EPROTO,
				    "the server's first record is not Garasu's");
		if (status)
			return fail(transport, GR_FAIL_PROTOCOL, GR_EPROTO,
				    "an OPEN record with what it must not have");
		timeout_ms = transport->settings->timeout_ms;
		switch (opening.kind) {
		case GR_OPENING_READY:
			tell_more(transport,
				  &(struct gr_viewer_status){ .type = GR_STATUS_READY, .flags = opening.flags }, "");
			return 0;
		case GR_OPENING_TICKET:
			status = pass_ticket(transport);
			if (status)
				return status;
			break;
		case GR_OPENING_TERMS:
			tell_more(transport,
				  &(struct gr_viewer_status){ .type = GR_STATUS_TERMS, .terms = opening.terms }, "");
			break;
		case GR_OPENING_REFUSED:
			transport->reason = opening.reason;
			transport->seconds = opening.seconds;
			transport->failure = GR_FAIL_REASON;
			return gr_error_set(&transport->err, GR_EDENIED, "refused: %s",
					    gr_message_reason_name(opening.reason));
		case GR_OPENING_WAIT:
			tell(transport, GR_STATUS_WAIT, "");
			waited++;
			break;
		case GR_OPENING_ASK:
			status = ask(transport, &opening);
			if (status)
				return status;
			timeout_ms = timeout_ms > JUDGE_MS ? timeout_ms : JUDGE_MS;
			break;
		}
	}
	return fail(transport, GR_FAIL_TIMEOUT, GR_ETIMEOUT, "more than 600 WAIT records");
}

/* Gives what the broker sent to the decoder, as far as it takes it. */
static int push_down(struct transport *transport)
{
	struct relay *down = &transport->down;
	while (down->begin < down->end) {
		size_t sent = 0;
		int status = gr_platform_stream_send(transport->settings->stream, down->bytes + down->begin,
						     down->end - down->begin, &sent);
		if (status)
			return status == GR_EAGAIN ? 0 : GR_ECLOSED;
		down->begin += sent;
	}
	down->begin = down->end = 0;
	return 0;
}

/* Broker to decoder, until one of them has no more or takes no more. *local is set when the decoder is gone. */
static int relay_down(struct transport *transport, int *local)
{
	struct relay *down = &transport->down;
	for (;;) {
		if (push_down(transport)) {
			*local = 1;
			return GR_ECLOSED;
		}
		if (down->end)
			return 0;
		size_t got = 0;
		int status = gr_tls_read(transport->tls, down->bytes, RELAY_BYTES, &got, &transport->failure,
					 &transport->err);
		if (status)
			return status == GR_EAGAIN ? 0 : status;
		down->end = got;
	}
}

static int relay_up(struct transport *transport, int *local)
{
	struct relay *up = &transport->up;
	transport->tls_write_blocked = 0;
	for (;;) {
		while (up->begin < up->end) {
			size_t taken = 0;
			int status = gr_tls_write(transport->tls, up->bytes + up->begin, up->end - up->begin, &taken,
						  &transport->failure, &transport->err);
			if (status == GR_EAGAIN) {
				transport->tls_write_blocked = 1;
				return 0;
			}
			if (status)
				return status;
			up->begin += taken;
		}
		up->begin = up->end = 0;
		int status = gr_platform_stream_receive(transport->settings->stream, up->bytes, RELAY_BYTES, &up->end);
		if (status == GR_EAGAIN)
			return 0;
		if (status) {
			*local = 1;
			return GR_ECLOSED;
		}
	}
}

static int relay(struct transport *transport)
{
	const struct gr_transport_settings *settings = transport->settings;
	for (;;) {
		int local = 0;
		/* Reading first: when the broker has closed, its last words explain why writing fails. */
		int status = relay_down(transport, &local);
		if (!status)
			status = relay_up(transport, &local);
		if (status && !local && status != GR_ECLOSED)
			relay_down(transport, &local);
		atomic_store_explicit(&settings->counters->received, gr_tls_received(transport->tls),
				      memory_order_relaxed);
		atomic_store_explicit(&settings->counters->sent, gr_tls_sent(transport->tls), memory_order_relaxed);
		if (local)
			transport->failure = GR_FAIL_NONE;
		if (status)
			return status;

		int down_blocked = transport->down.end != 0;
		struct pollfd fds[3] = {
			/* Left out when nothing is wanted of it: its end would be reported all the same, again and again. */
			{ .fd = down_blocked && !transport->tls_write_blocked ? -1 : transport->sock,
			  .events = (short)((down_blocked ? 0 : POLLIN) |
					    (transport->tls_write_blocked ? POLLOUT : 0)) },
			{ .fd = settings->stream,
			  .events = (short)((transport->tls_write_blocked ? 0 : POLLIN) |
					    (down_blocked ? POLLOUT : 0)) },
			{ .fd = settings->window },
		};
		/* No deadline: a quiet page is quiet, and keep-alive finds a dead peer. */
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return fail(transport, GR_FAIL_INTERNAL, GR_EIO, "poll failed");
		if (fds[2].revents) {
			transport->failure = GR_FAIL_NONE;
			return GR_ECLOSED;
		}
	}
}

/* What came before the end, such as the NOTICE that explains it, still reaches the decoder. */
static void drain(struct transport *transport)
{
	uint64_t deadline_ms = gr_io_now_ms() + DRAIN_MS;
	while (transport->down.end && !push_down(transport) && transport->down.end) {
		uint64_t now = gr_io_now_ms();
		struct pollfd wait = { .fd = transport->settings->stream, .events = POLLOUT };
		if (now >= deadline_ms || poll(&wait, 1, (int)(deadline_ms - now)) < 0)
			return;
	}
}

static int confine(struct transport *transport)
{
	struct gr_confine_place place = { .uid = geteuid() == 0 ? NOBODY : 0, .directory = -1 };
	int status = gr_confine(&gr_transport_policy, &place, &transport->err);
	if (status)
		transport->failure = GR_FAIL_INTERNAL;
	return status;
}

static int run(struct transport *transport)
{
	const struct gr_transport_settings *settings = transport->settings;
	transport->tls = gr_tls_create(&settings->tls, &transport->failure, &transport->err);
	if (!transport->tls)
		return transport->err.code;
	tell(transport, GR_STATUS_PERSON, gr_tls_person(transport->tls));
	transport->failure = GR_FAIL_UNREACHABLE;
	uint64_t deadline_ms = gr_io_now_ms() + (uint64_t)settings->connect_ms;
	int status = connect_host(transport, deadline_ms);
	if (!status && gr_tls_attach(transport->tls, transport->sock))
		status = fail(transport, GR_FAIL_INTERNAL, GR_ENOMEM, "no memory for TLS");
	if (!status)
		status = confine(transport);
	if (!status)
		status = handshake(transport, deadline_ms);
	if (status)
		return status;
	tell(transport, GR_STATUS_TLS, "");
	transport->failure = GR_FAIL_LOST;
	status = open_session(transport);
	return status ? status : relay(transport);
}

int gr_transport_run(const struct gr_transport_settings *settings)
{
	static struct transport transport;
	transport.settings = settings;
	transport.sock = -1;
	signal(SIGPIPE, SIG_IGN);
	int status = run(&transport);
	if (transport.tls) {
		atomic_store(&settings->counters->received, gr_tls_received(transport.tls));
		atomic_store(&settings->counters->sent, gr_tls_sent(transport.tls));
	}
	tell(&transport, GR_STATUS_END, transport.err.text);
	drain(&transport);
	if (transport.tls && transport.sock >= 0)
		gr_tls_close(transport.tls);
	return status == GR_ECLOSED ? 0 : 1;
}
