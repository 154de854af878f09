#include "broker/egress/proxy.h"

#include "broker/egress/answer.h"
#include "broker/egress/upstream.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH 65536u /* bytes of one read */
#define READS_PER_TURN 4 /* of one side, before others get their turn */

enum state { HEAD, AUDIT, CONNECT, HANDSHAKE, TUNNEL, EXCHANGE, ANSWER };

/* How long nothing may happen in each state, in ms. */
static const int64_t patience[] = {
	[HEAD] = 120000,     [AUDIT] = 10000,   [CONNECT] = 2 * GR_UPSTREAM_MS, /* which has its own deadline */
	[HANDSHAKE] = 20000, [TUNNEL] = 900000, [EXCHANGE] = 300000,
	[ANSWER] = 5000,
};

struct gr_connection {
	struct gr_egress_container *container;
	struct gr_connection *next, *previous;
	struct gr_loop_timer *timer;
	uint64_t moved; /* ms: when something last happened */
	enum state state;
	int ended; /* nothing more to do: destroyed when the callback returns */

	int client, server;
	struct gr_loop_watch *client_watch, *server_watch;
	struct gr_buffer in; /* from the client, not parsed yet */
	struct gr_buffer up, down; /* to be written to the server, to the client */
	int client_end, server_end; /* has sent its last byte */
	int up_shut, down_shut; /* we have told them ours */

	struct gr_message request, response;
	struct gr_target target; /* of the present request */
	struct gr_target server_target; /* of the open server connection */
	int tunnel, reused, keep, final, chunked_down, response_begun;

	uint64_t token; /* of the audit question under way */
	struct gr_upstream *upstream; /* the connection attempt under way */
	int recorded; /* an EGRESS_REQUEST waits for its end */
	uint64_t session;
	char person[GR_PERSON_MAX + 8];
	uint64_t bytes_up, bytes_down;
};

static char scratch[SCRATCH];

/* ---- the audit record ---- */

static struct gr_audit_event audit_event(const struct gr_connection *c, uint32_t kind)
{
	struct gr_audit_event event = { .kind = kind, .session = c->session, .container = c->container->number };
	char target[GR_TARGET_TEXT];
	memcpy(event.person, c->person, sizeof(event.person));
	if (c->target.port)
		snprintf(event.target, sizeof(event.target), "%s %s",
			 http_method_str((enum http_method)c->request.parser.method),
			 gr_target_text(&c->target, target));
	return event;
}

static void note_refused(struct gr_connection *c, const char *why)
{
	struct gr_audit_event event = audit_event(c, GR_AUDIT_EGRESS_REFUSED);
	snprintf(event.detail, sizeof(event.detail), "%s", why);
	gr_audit_client_note(c->container->egress->audit, &event);
	c->recorded = 0;
}

static void note_end(struct gr_connection *c, const char *detail)
{
	if (!c->recorded)
		return;
	struct gr_audit_event event = audit_event(c, GR_AUDIT_EGRESS_END);
	event.up = c->bytes_up;
	event.down = c->bytes_down;
	snprintf(event.detail, sizeof(event.detail), "%s", detail);
	gr_audit_client_note(c->container->egress->audit, &event);
	c->recorded = 0;
}

/* ---- parts ---- */

static void enter(struct gr_connection *c, enum state state)
{
	c->state = state;
	c->moved = gr_io_now_ms();
	gr_loop_timer_set(c->timer, patience[state]);
}

static void close_server(struct gr_connection *c)
{
	gr_loop_remove(c->server_watch);
	c->server_watch = NULL;
	gr_io_close(&c->server);
	gr_buffer_clear(&c->up);
	c->server_end = c->up_shut = 0;
}

static void answer(struct gr_connection *c, enum gr_answer page, const char *detail)
{
	note_end(c, detail);
	close_server(c);
	gr_buffer_clear(&c->in);
	int head_only = c->request.head_done && c->request.parser.method == HTTP_HEAD;
	if (gr_answer_write(page, head_only, &c->down) != 0)
		c->ended = 1;
	enter(c, ANSWER);
}

/* Writes what waits; -1 when the other side is gone. */
static int flush(struct gr_connection *c, int fd, struct gr_buffer *buffer)
{
	while (buffer->length) {
		ssize_t n = send(fd, buffer->bytes + buffer->start, buffer->length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		gr_buffer_consume(buffer, (size_t)n);
		c->moved = gr_io_now_ms();
	}
	return 0;
}

/* Reads into scratch: bytes, 0 at the end, -1 nothing now, -2 broken. */
static ssize_t receive(struct gr_connection *c, int fd)
{
	ssize_t n;
	do
		n = recv(fd, scratch, SCRATCH, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -1 : -2;
	if (c->state != ANSWER) /* what comes then is thrown away and wins no time */
		c->moved = gr_io_now_ms();
	return n;
}

/* Whether the client has not only finished sending, but closed. */
static int client_is_gone(const struct gr_connection *c)
{
	struct pollfd poll_fd = { .fd = c->client };
	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

/* ---- bodies, framed anew ---- */

static int append_body(struct gr_buffer *out, int chunked, const char *bytes, size_t n)
{
	if (!chunked)
		return gr_buffer_append(out, bytes, n);
	int status = gr_buffer_print(out, "%zx\r\n", n);
	if (status == 0)
		status = gr_buffer_append(out, bytes, n);
	return status == 0 ? gr_buffer_append(out, "\r\n", 2) : status;
}

static int request_body(void *context, const char *bytes, size_t n)
{
	struct gr_connection *c = context;
	c->bytes_up += n;
	return append_body(&c->up, c->request.chunked, bytes, n);
}

static int response_body(void *context, const char *bytes, size_t n)
{
	struct gr_connection *c = context;
	c->bytes_down += n;
	return append_body(&c->down, c->chunked_down, bytes, n);
}

/* ---- the way to the server ---- */

static void server_ready(void *context, int fd, unsigned events);
static void settle(struct gr_connection *c);

static void begin_tunnel(struct gr_connection *c)
{
	/* What the client sent ahead is the tunnel's first content. */
	if (gr_buffer_print(&c->down, "HTTP/1.1 200 Connection established\r\n\r\n") != 0 ||
	    (c->in.length && gr_buffer_append(&c->up, c->in.bytes + c->in.start, c->in.length) != 0))
		c->ended = 1;
	c->bytes_up += c->in.length;
	gr_buffer_clear(&c->in);
	gr_message_finish(&c->response);
	enter(c, TUNNEL);
}

static void begin_response(struct gr_connection *c)
{
	gr_message_begin(&c->response, HTTP_RESPONSE, response_body, c);
	c->response.without_body = c->request.parser.method == HTTP_HEAD;
}

static void begin_exchange(struct gr_connection *c)
{
	const char *path = NULL;
	struct gr_target target;
	int absolute = c->container->egress->config->egress.upstream.host[0] != 0;
	int status = gr_target_parse_url(&target, gr_message_target(&c->request), &path);
	if (status == 0)
		status = gr_request_write(&c->request, &c->target, path, absolute, &c->up);
	if (status != 0) {
		answer(c, GR_ANSWER_BAD_REQUEST, "malformed request");
		return;
	}
	begin_response(c);
	c->final = c->response_begun = 0;
	c->bytes_up += c->up.length;
	enter(c, EXCHANGE);
}

static void begin_handshake(struct gr_connection *c)
{
	char target[GR_TARGET_TEXT];
	gr_target_text(&c->target, target);
	if (gr_buffer_print(&c->up, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target) != 0)
		c->ended = 1;
	gr_message_begin(&c->response, HTTP_RESPONSE, NULL, c);
	c->response.without_body = 2; /* what follows its head is the tunnel */
	enter(c, HANDSHAKE);
}

static void server_is_there(struct gr_connection *c)
{
	int upstream = c->container->egress->config->egress.upstream.host[0] != 0;
	if (c->tunnel && upstream)
		begin_handshake(c);
	else if (c->tunnel)
		begin_tunnel(c);
	else
		begin_exchange(c);
}

static void upstream_ended(void *context, int status, int fd, const char *detail)
{
	struct gr_connection *c = context;
	c->upstream = NULL;
	if (status == 0) {
		c->server = fd;
		c->server_watch = gr_loop_add(c->container->egress->loop, fd, 0, server_ready, c);
		if (!c->server_watch)
			c->ended = 1;
		else
			server_is_there(c);
	} else if (status == GR_EDENIED) {
		note_refused(c, detail);
		answer(c, GR_ANSWER_REFUSED, "");
	} else {
		answer(c,
		       status == GR_ENOENT     ? GR_ANSWER_NOT_FOUND
		       : status == GR_ETIMEOUT ? GR_ANSWER_TIMEOUT
					       : GR_ANSWER_UNREACHABLE,
		       detail);
	}
	settle(c);
}

static void begin_connect(struct gr_connection *c)
{
	struct gr_egress *egress = c->container->egress;
	struct gr_target target = c->target;
	int any_address = gr_target_allowed(&c->target, egress->config->egress.allow,
					    egress->config->egress.allow_count);
	if (egress->config->egress.upstream.host[0]) {
		target.port = egress->config->egress.upstream.port;
		any_address = 1;
		if (gr_target_set_host(&target, egress->config->egress.upstream.host,
				       strlen(egress->config->egress.upstream.host)) != 0) {
			answer(c, GR_ANSWER_UNREACHABLE, "egress.upstream is no host name");
			return;
		}
	}
	if (c->server >= 0 && (c->tunnel || !gr_target_equal(&target, &c->server_target)))
		close_server(c);
	c->reused = c->server >= 0;
	c->server_target = target;
	enter(c, CONNECT);
	if (c->reused)
		server_is_there(c);
	else if (gr_upstream_start(&c->upstream, egress->loop, egress->resolver, &target, any_address, upstream_ended,
				   c) != 0)
		answer(c, GR_ANSWER_BUSY, "no memory");
}

static void audit_answered(void *context, uint64_t sequence)
{
	struct gr_connection *c = context;
	c->token = 0;
	if (!sequence) {
		answer(c, GR_ANSWER_NO_AUDIT, "");
	} else {
		c->recorded = 1;
		begin_connect(c);
	}
	settle(c);
}

/* ---- the request's head ---- */

static void refuse(struct gr_connection *c, enum gr_answer page, const char *why)
{
	note_refused(c, why);
	answer(c, page, "");
}

static void check_request(struct gr_connection *c)
{
	struct gr_egress *egress = c->container->egress;
	const char *text = gr_message_target(&c->request), *path;
	c->tunnel = c->request.parser.method == HTTP_CONNECT;
	c->keep = c->request.parser.http_minor >= 1 && http_should_keep_alive(&c->request.parser);
	c->bytes_up = c->bytes_down = 0;
	int status = c->tunnel ? gr_target_parse_authority(&c->target, text, strlen(text), 0)
			       : gr_target_parse_url(&c->target, text, &path);
	if (status != 0) {
		refuse(c, GR_ANSWER_BAD_REQUEST, "malformed target");
		return;
	}
	if (!c->session) {
		refuse(c, GR_ANSWER_NOT_ASSIGNED, "container not assigned to a session");
		return;
	}
	if (!gr_target_allowed(&c->target, egress->config->egress.allow, egress->config->egress.allow_count)) {
		char why[96];
		const char *address = c->target.is_address ? gr_upstream_address_refused(&c->target.address) : NULL;
		if (gr_target_is_localhost(&c->target))
			address = "loopback";
		if (address) {
			snprintf(why, sizeof(why), "%s address", address);
			refuse(c, GR_ANSWER_REFUSED, why);
			return;
		}
		if (!gr_target_port_is_usual(&c->target, c->tunnel)) {
			refuse(c, GR_ANSWER_REFUSED, "port not permitted");
			return;
		}
	}
	struct gr_audit_event event = audit_event(c, GR_AUDIT_EGRESS_REQUEST);
	enter(c, AUDIT);
	if (gr_audit_client_ask(egress->audit, &event, audit_answered, c, &c->token) != 0)
		answer(c, GR_ANSWER_NO_AUDIT, "");
}

static void parse_head(struct gr_connection *c)
{
	size_t used;
	c->session = c->container->session;
	memcpy(c->person, c->container->person, sizeof(c->person));
	memset(&c->target, 0, sizeof(c->target));
	int status = gr_message_parse(&c->request, c->in.bytes + c->in.start, c->in.length, &used);
	if (status == 0) {
		gr_buffer_consume(&c->in, used);
		if (c->request.head_done &&
		    c->request.parser.method == HTTP_CONNECT) /* its last byte is the parser's still */
			status = gr_message_parse(&c->request, c->in.bytes + c->in.start, c->in.length, &used);
		if (status == 0 && c->request.done)
			gr_buffer_consume(&c->in, used);
	}
	if (status != 0)
		refuse(c, GR_ANSWER_BAD_REQUEST, status == GR_EFULL ? "request head too long" : "malformed request");
	else if (c->request.head_done)
		check_request(c);
}

/* ---- plain http: ---- */

static void feed_request(struct gr_connection *c)
{
	size_t used;
	if (gr_message_parse(&c->request, c->in.bytes + c->in.start, c->in.length, &used) != 0) {
		if (c->response_begun)
			c->ended = 1;
		else
			answer(c, GR_ANSWER_BAD_REQUEST, "malformed request body");
		return;
	}
	gr_buffer_consume(&c->in, used);
	if (c->request.done && c->request.chunked && gr_buffer_append(&c->up, "0\r\n\r\n", 5) != 0)
		c->ended = 1;
}

/* The head of a response is whole. -1 when the exchange is over. */
static int response_head(struct gr_connection *c)
{
	unsigned code = c->response.parser.status_code;
	int no_body = code < 200 || code == 204 || code == 304 || c->response.without_body;
	int has_end = no_body || c->response.chunked || c->response.has_length;
	int old_client = c->request.parser.http_minor < 1;
	size_t before = c->down.length;
	c->final = code >= 200;
	if (code == 101) {
		answer(c, GR_ANSWER_BAD_RESPONSE, "unasked protocol switch");
		return -1;
	}
	if (!c->final && old_client) /* RFC 9110 15.2: it would take it for the response */
		return 0;
	c->chunked_down = !no_body && c->response.chunked && !old_client;
	if (!has_end || (c->response.chunked && !no_body && !c->chunked_down))
		c->keep = 0;
	if (c->final && !c->request.done)
		c->keep = 0; /* the rest of the request will not be read to its end */
	if (gr_response_write(&c->response, c->chunked_down, c->final && !c->keep, &c->down) != 0) {
		gr_buffer_clear(&c->down);
		answer(c, GR_ANSWER_BAD_RESPONSE, "malformed response");
		return -1;
	}
	c->response_begun = 1;
	c->bytes_down += c->down.length - before;
	return 0;
}

/* n = 0: the server's end. */
static void feed_response(struct gr_connection *c, const char *untrusted_bytes, size_t n)
{
	do {
		size_t used;
		int had_head = c->response.head_done;
		if (gr_message_parse(&c->response, untrusted_bytes, n, &used) != 0 || (n == 0 && !c->response.done)) {
			if (c->response_begun || (n == 0 && c->reused && c->response.used == 0))
				c->ended = 1; /* cut short; or RFC 9112 9.3.1: the client may try again */
			else
				answer(c, GR_ANSWER_BAD_RESPONSE,
				       n ? "malformed response" : "closed without a response");
			return;
		}
		untrusted_bytes += used;
		n -= used;
		if (c->response.head_done && !had_head && response_head(c) != 0)
			return;
		if (c->response.done && !c->final)
			begin_response(c); /* 1xx: the real one follows */
	} while (n > 0 && !c->response.done);
	if (!c->response.done)
		return;
	if (c->chunked_down && gr_buffer_append(&c->down, "0\r\n\r\n", 5) != 0)
		c->ended = 1;
	if (n > 0 || c->server_end || !http_should_keep_alive(&c->response.parser) || !c->request.done)
		close_server(c);
}

static void end_exchange(struct gr_connection *c)
{
	int whole = c->request.done;
	note_end(c, "");
	if (!c->keep || !whole) {
		close_server(c);
		gr_buffer_clear(&c->in);
		enter(c, ANSWER);
		return;
	}
	gr_message_finish(&c->response);
	gr_message_begin(&c->request, HTTP_REQUEST, request_body, c);
	enter(c, HEAD);
}

/* ---- the upstream proxy's answer to CONNECT ---- */

static void feed_handshake(struct gr_connection *c, const char *untrusted_bytes, size_t n)
{
	while (n > 0 && !c->response.done) {
		size_t used;
		if (gr_message_parse(&c->response, untrusted_bytes, n, &used) != 0) {
			answer(c, GR_ANSWER_BAD_RESPONSE, "malformed answer of the upstream proxy");
			return;
		}
		untrusted_bytes += used;
		n -= used;
		unsigned code = c->response.parser.status_code;
		if (c->response.head_done && (code < 200 || code > 299)) {
			char detail[64];
			snprintf(detail, sizeof(detail), "the upstream proxy answered %u", code);
			answer(c,
			       code == 403   ? GR_ANSWER_REFUSED
			       : code == 504 ? GR_ANSWER_TIMEOUT
					     : GR_ANSWER_UNREACHABLE,
			       detail);
			return;
		}
	}
	if (!c->response.done)
		return;
	begin_tunnel(c);
	c->bytes_down += n;
	if (gr_buffer_append(&c->down, untrusted_bytes, n) != 0)
		c->ended = 1;
}

/* ---- what moves it all ---- */

/* Passes what came over a tunnel on at once; what does not go waits in the buffer. */
static void relay(struct gr_connection *c, int to, struct gr_buffer *buffer, size_t n)
{
	size_t sent = 0;
	while (sent < n && buffer->length == 0) {
		ssize_t m = send(to, scratch + sent, n - sent, MSG_NOSIGNAL);
		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0 && errno != EAGAIN) {
			c->ended = 1;
			return;
		}
		if (m < 0)
			break;
		sent += (size_t)m;
	}
	if (sent < n && gr_buffer_append(buffer, scratch + sent, n - sent) != 0)
		c->ended = 1;
}

/* Does all that can be done without waiting. */
static void progress(struct gr_connection *c)
{
	enum state before;
	do {
		before = c->state;
		if (!c->ended && flush(c, c->client, &c->down) != 0)
			c->ended = 1;
		if (!c->ended && c->server >= 0 && flush(c, c->server, &c->up) != 0) {
			/* The server reads no more; what it has said already is still read. */
			gr_buffer_clear(&c->up);
			if (c->state != EXCHANGE && c->state != HANDSHAKE)
				c->ended = 1;
			else
				c->request.done = 1, c->keep = 0;
		}
		if (c->ended)
			return;
		switch (c->state) {
		case HEAD:
			if (c->in.length && !c->down.length)
				parse_head(c);
			else if (c->client_end && !c->in.length)
				c->ended = 1;
			break;
		case TUNNEL:
			if (c->client_end && !c->up.length && !c->up_shut) {
				shutdown(c->server, SHUT_WR);
				c->up_shut = 1;
			}
			if (c->server_end && !c->down.length && !c->down_shut) {
				shutdown(c->client, SHUT_WR);
				c->down_shut = 1;
			}
			if (c->up_shut && c->down_shut)
				c->ended = 1;
			break;
		case EXCHANGE:
			while (c->in.length && !c->request.done && !c->up.length && c->state == EXCHANGE && !c->ended) {
				feed_request(c);
				if (!c->ended && c->server >= 0 && flush(c, c->server, &c->up) != 0) {
					gr_buffer_clear(&c->up);
					c->keep = 0;
				}
			}
			if (c->state == EXCHANGE && c->client_end && !c->request.done && !c->in.length)
				c->ended = 1; /* cut short */
			if (c->state == EXCHANGE && c->response.done && c->final && !c->down.length)
				end_exchange(c);
			break;
		case ANSWER:
			if (!c->down.length && !c->down_shut) {
				shutdown(c->client, SHUT_WR);
				c->down_shut = 1;
			}
			if (c->client_end && c->down_shut)
				c->ended = 1;
			break;
		default: break;
		}
	} while (!c->ended && c->state != before);
}

static unsigned client_events(const struct gr_connection *c)
{
	unsigned events = c->down.length ? GR_LOOP_WRITE : 0;
	int reads = 0;
	switch (c->state) {
	case HEAD: reads = !c->down.length; break;
	case TUNNEL: reads = !c->up.length; break;
	case EXCHANGE: /* after the request's end only to see whether the client is still there */
		reads = !c->up.length && !c->in.length;
		break;
	case ANSWER: reads = 1; break;
	default: break;
	}
	return events | (reads && !c->client_end ? (unsigned)GR_LOOP_READ : 0u);
}

static unsigned server_events(const struct gr_connection *c)
{
	unsigned events = c->up.length ? GR_LOOP_WRITE : 0;
	int reads = !c->down.length && !c->down_shut && c->state != CONNECT && c->state != ANSWER;
	return events | (reads && !c->server_end ? (unsigned)GR_LOOP_READ : 0u);
}

/* The end of every callback: moves on, then waits for the right things, or ends. */
static void settle(struct gr_connection *c)
{
	progress(c);
	if (c->ended) {
		gr_connection_destroy(c);
		return;
	}
	gr_loop_change(c->client_watch, client_events(c));
	if (c->server_watch)
		gr_loop_change(c->server_watch, server_events(c));
}

static void client_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;
	for (int i = 0; i < READS_PER_TURN && (events & GR_LOOP_READ) && (client_events(c) & GR_LOOP_READ) && !c->ended;
	     i++) {
		ssize_t n = receive(c, fd);
		if (n == -1)
			break;
		if (n <= 0) {
			c->client_end = 1;
			if (n < 0 || client_is_gone(c)) {
				/* A tunnel's client that has closed may have left its last words: they are delivered first. */
				gr_buffer_clear(&c->down);
				c->down_shut = 1;
				c->ended = c->state != TUNNEL;
			}
		} else if (c->state == TUNNEL) {
			c->bytes_up += (uint64_t)n;
			relay(c, c->server, &c->up, (size_t)n);
		} else if (c->state != ANSWER) { /* there it is only read so that the page is not lost by a reset */
			if (gr_buffer_append(&c->in, scratch, (size_t)n) != 0)
				c->ended = 1;
			break;
		}
	}
	settle(c);
}

static void server_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;
	for (int i = 0; i < READS_PER_TURN && (events & GR_LOOP_READ) && c->server == fd &&
			(server_events(c) & GR_LOOP_READ) && !c->ended;
	     i++) {
		ssize_t n = receive(c, fd);
		if (n == -1)
			break;
		if (n <= 0)
			c->server_end = 1;
		switch (c->state) {
		case TUNNEL:
			if (n > 0) {
				c->bytes_down += (uint64_t)n;
				relay(c, c->client, &c->down, (size_t)n);
			} else if (n < 0) {
				c->ended = 1;
			}
			break;
		case HANDSHAKE:
			if (n > 0)
				feed_handshake(c, scratch, (size_t)n);
			else
				answer(c, GR_ANSWER_UNREACHABLE, "the upstream proxy closed the connection");
			break;
		case EXCHANGE:
			feed_response(c, scratch, n > 0 ? (size_t)n : 0);
			if (c->server == fd && flush(c, c->client, &c->down) != 0)
				c->ended = 1;
			break;
		default: /* between requests nothing may come, and an end means: connect anew */ close_server(c); break;
		}
	}
	settle(c);
}

static void timer_expired(void *context)
{
	struct gr_connection *c = context;
	int64_t left = patience[c->state] - (int64_t)(gr_io_now_ms() - c->moved);
	if (left > 0) {
		gr_loop_timer_set(c->timer, left);
		return;
	}
	if (c->state == HANDSHAKE || (c->state == EXCHANGE && !c->response_begun)) {
		answer(c, GR_ANSWER_TIMEOUT, "timed out");
	} else if (c->state == AUDIT) {
		gr_audit_client_cancel(c->container->egress->audit, c->token);
		c->token = 0;
		answer(c, GR_ANSWER_NO_AUDIT, "");
	} else {
		note_end(c, "timed out");
		c->ended = 1;
	}
	settle(c);
}

int gr_connection_create(struct gr_egress_container *container, int client)
{
	struct gr_connection *c = calloc(1, sizeof(*c));
	if (!c) {
		close(client);
		return GR_ENOMEM;
	}
	c->container = container;
	c->client = client;
	c->server = -1;
	c->timer = gr_loop_timer_add(container->egress->loop, timer_expired, c);
	c->client_watch = gr_loop_add(container->egress->loop, client, GR_LOOP_READ, client_ready, c);
	if (!c->timer || !c->client_watch) {
		gr_loop_timer_remove(c->timer);
		gr_loop_remove(c->client_watch);
		close(client);
		free(c);
		return GR_ENOMEM;
	}
	gr_message_begin(&c->request, HTTP_REQUEST, request_body, c);
	c->next = container->connections;
	if (c->next)
		c->next->previous = c;
	container->connections = c;
	container->count++;
	container->egress->count++;
	enter(c, HEAD);
	return 0;
}

void gr_connection_destroy(struct gr_connection *connection)
{
	struct gr_connection *c = connection;
	struct gr_egress_container *container = c->container;
	note_end(c, "");
	if (c->token)
		gr_audit_client_cancel(container->egress->audit, c->token);
	gr_upstream_cancel(c->upstream);
	gr_loop_timer_remove(c->timer);
	close_server(c);
	gr_loop_remove(c->client_watch);
	gr_io_close(&c->client);
	gr_buffer_clear(&c->in);
	gr_buffer_clear(&c->down);
	gr_message_finish(&c->request);
	gr_message_finish(&c->response);
	*(c->previous ? &c->previous->next : &container->connections) = c->next;
	if (c->next)
		c->next->previous = c->previous;
	free(c);
	gr_egress_connection_ended(container);
}
