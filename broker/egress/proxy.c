#include "broker/egress/connection.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCRATCH 65536u /* bytes of one read */
#define READS_PER_TURN 4 /* of one side, before others get their turn */

/* How long nothing may happen in each state, in ms. */
static const int64_t patience[] = {
	[GR_PROXY_HEAD] = 120000,
	[GR_PROXY_AUDIT] = -1, /* the audit client has its own deadline */
	[GR_PROXY_CONNECT] = 2 * GR_UPSTREAM_MS, /* which has its own deadline */
	[GR_PROXY_HANDSHAKE] = 20000,
	[GR_PROXY_TUNNEL] = 900000,
	[GR_PROXY_EXCHANGE] = 300000,
	[GR_PROXY_ANSWER] = 5000,
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
	gr_audit_client_keep(c->container->egress->audit, &event);
	c->recorded = 0;
}

void gr_connection_note_end(struct gr_connection *c, const char *detail)
{
	if (!c->recorded)
		return;
	struct gr_audit_event event = audit_event(c, GR_AUDIT_EGRESS_END);
	event.up = c->bytes_up;
	event.down = c->bytes_down;
	snprintf(event.detail, sizeof(event.detail), "%s", detail);
	gr_audit_client_keep(c->container->egress->audit, &event);
	c->recorded = 0;
}

/* ---- parts ---- */

void gr_connection_enter(struct gr_connection *c, enum gr_proxy_state state)
{
	c->state = state;
	c->moved = gr_io_now_ms();
	gr_loop_timer_set(c->timer, patience[state]);
}

void gr_connection_close_server(struct gr_connection *c)
{
	gr_loop_remove(c->server_watch);
	c->server_watch = NULL;
	gr_io_close(&c->server);
	gr_buffer_clear(&c->up);
	c->server_end = c->up_shut = 0;
}

void gr_connection_answer(struct gr_connection *c, enum gr_answer page, const char *detail)
{
	gr_connection_note_end(c, detail);
	gr_connection_close_server(c);
	gr_buffer_clear(&c->in);
	int head_only = c->request.head_done && c->request.parser.method == HTTP_HEAD;
	if (gr_answer_write(page, head_only, &c->down) != 0)
		c->ended = 1;
	gr_connection_enter(c, GR_PROXY_ANSWER);
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
	if (c->state != GR_PROXY_ANSWER) /* what comes then is thrown away and wins no time */
		c->moved = gr_io_now_ms();
	return n;
}

/* Whether the client has not only finished sending, but closed. */
static int client_is_gone(const struct gr_connection *c)
{
	struct pollfd poll_fd = { .fd = c->client };
	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

/* ---- the way to the server ---- */

static void server_ready(void *context, int fd, unsigned events);
static void settle(struct gr_connection *c);

static void server_is_there(struct gr_connection *c)
{
	int upstream = c->container->egress->rules->config->egress.upstream.host[0] != 0;
	if (c->tunnel && upstream)
		gr_exchange_handshake(c);
	else if (c->tunnel)
		gr_exchange_tunnel(c);
	else
		gr_exchange_begin(c);
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
		gr_connection_answer(c, GR_ANSWER_REFUSED, "");
	} else {
		gr_connection_answer(c,
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
	const struct gr_config_endpoint *proxy = &egress->rules->config->egress.upstream;
	struct gr_target target = c->target;
	if (proxy->host[0]) {
		target = (struct gr_target){ .port = proxy->port };
		memcpy(target.host, proxy->host, sizeof(target.host));
		target.is_address = gr_address_parse(proxy->host, &target.address) == 0;
	}
	if (c->server >= 0 && (c->tunnel || !gr_target_equal(&target, &c->server_target)))
		gr_connection_close_server(c);
	c->reused = c->server >= 0;
	c->server_target = target;
	gr_connection_enter(c, GR_PROXY_CONNECT);
	if (c->reused)
		server_is_there(c);
	else if (gr_upstream_start(&c->upstream, egress->loop, egress->resolver, proxy->host[0] ? NULL : egress->rules,
				   &target, c->listed, upstream_ended, c) != 0)
		gr_connection_answer(c, GR_ANSWER_BUSY, "no memory");
}

static void audit_answered(void *context, uint64_t number, int recorded)
{
	struct gr_connection *c = context;
	(void)number;
	c->token = 0;
	if (!recorded) {
		gr_connection_answer(c, GR_ANSWER_NO_AUDIT, "");
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
	gr_connection_answer(c, page, "");
}

static void check_request(struct gr_connection *c)
{
	struct gr_egress *egress = c->container->egress;
	const char *text = gr_message_target(&c->request), *path;
	char why[GR_CONFIG_GROUP_NAME_MAX + GR_HOST_TEXT + 32];
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
	if (!gr_rules_permit(egress->rules, c->container->group, &c->target, &c->listed, why, sizeof(why))) {
		refuse(c, GR_ANSWER_REFUSED, why);
		return;
	}
	struct gr_audit_event event = audit_event(c, GR_AUDIT_EGRESS_REQUEST);
	gr_connection_enter(c, GR_PROXY_AUDIT);
	if (gr_audit_client_permit(egress->audit, &event, audit_answered, c, 0, &c->token) != 0)
		gr_connection_answer(c, GR_ANSWER_NO_AUDIT, "");
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
	if (status == 0 && !c->request.head_done)
		return;
	if (!gr_egress_take_request(c->container)) /* which records it */
		gr_connection_answer(c, GR_ANSWER_TOO_MANY, "");
	else if (status != 0)
		refuse(c, GR_ANSWER_BAD_REQUEST, status == GR_EFULL ? "request head too long" : "malformed request");
	else
		check_request(c);
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
	enum gr_proxy_state before;
	do {
		before = c->state;
		if (!c->ended && flush(c, c->client, &c->down) != 0)
			c->ended = 1;
		if (!c->ended && c->server >= 0 && flush(c, c->server, &c->up) != 0) {
			/* The server reads no more; what it has said already is still read. */
			gr_buffer_clear(&c->up);
			if (c->state != GR_PROXY_EXCHANGE && c->state != GR_PROXY_HANDSHAKE)
				c->ended = 1;
			else
				c->request.done = 1, c->keep = 0;
		}
		if (c->ended)
			return;
		switch (c->state) {
		case GR_PROXY_HEAD:
			if (c->in.length && !c->down.length)
				parse_head(c);
			else if (c->client_end && !c->in.length)
				c->ended = 1;
			break;
		case GR_PROXY_TUNNEL:
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
		case GR_PROXY_EXCHANGE:
			while (c->in.length && !c->request.done && !c->up.length && c->state == GR_PROXY_EXCHANGE &&
			       !c->ended) {
				gr_exchange_feed_request(c);
				if (!c->ended && c->server >= 0 && flush(c, c->server, &c->up) != 0) {
					gr_buffer_clear(&c->up);
					c->keep = 0;
				}
			}
			if (c->state == GR_PROXY_EXCHANGE && c->client_end && !c->request.done && !c->in.length)
				c->ended = 1; /* cut short */
			if (c->state == GR_PROXY_EXCHANGE && c->response.done && c->final && !c->down.length)
				gr_exchange_end(c);
			break;
		case GR_PROXY_ANSWER:
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
	case GR_PROXY_HEAD: reads = !c->down.length; break;
	case GR_PROXY_TUNNEL: reads = !c->up.length; break;
	case GR_PROXY_EXCHANGE: /* after the request's end only to see whether the client is still there */
		reads = !c->up.length && !c->in.length;
		break;
	case GR_PROXY_ANSWER: reads = 1; break;
	default: break;
	}
	return events | (reads && !c->client_end ? (unsigned)GR_LOOP_READ : 0u);
}

static unsigned server_events(const struct gr_connection *c)
{
	unsigned events = c->up.length ? GR_LOOP_WRITE : 0;
	int reads = !c->down.length && !c->down_shut && c->state != GR_PROXY_CONNECT && c->state != GR_PROXY_ANSWER;
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
				c->ended = c->state != GR_PROXY_TUNNEL;
			}
		} else if (c->state == GR_PROXY_TUNNEL) {
			c->bytes_up += (uint64_t)n;
			relay(c, c->server, &c->up, (size_t)n);
		} else if (c->state !=
			   GR_PROXY_ANSWER) { /* there it is only read so that the page is not lost by a reset */
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
		case GR_PROXY_TUNNEL:
			if (n > 0) {
				c->bytes_down += (uint64_t)n;
				relay(c, c->client, &c->down, (size_t)n);
			} else if (n < 0) {
				c->ended = 1;
			}
			break;
		case GR_PROXY_HANDSHAKE:
			if (n > 0)
				gr_exchange_feed_handshake(c, scratch, (size_t)n);
			else
				gr_connection_answer(c, GR_ANSWER_UNREACHABLE,
						     "the upstream proxy closed the connection");
			break;
		case GR_PROXY_EXCHANGE:
			gr_exchange_feed_response(c, scratch, n > 0 ? (size_t)n : 0);
			if (c->server == fd && flush(c, c->client, &c->down) != 0)
				c->ended = 1;
			break;
		default: /* between requests nothing may come, and an end means: connect anew */
			gr_connection_close_server(c);
			break;
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
	if (c->state == GR_PROXY_HANDSHAKE || (c->state == GR_PROXY_EXCHANGE && !c->response_begun)) {
		gr_connection_answer(c, GR_ANSWER_TIMEOUT, "timed out");
	} else {
		gr_connection_note_end(c, "timed out");
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
	gr_message_begin(&c->request, HTTP_REQUEST, gr_exchange_request_body, c);
	c->next = container->connections;
	if (c->next)
		c->next->previous = c;
	container->connections = c;
	container->count++;
	container->egress->count++;
	gr_connection_enter(c, GR_PROXY_HEAD);
	return 0;
}

void gr_connection_destroy(struct gr_connection *connection)
{
	struct gr_connection *c = connection;
	struct gr_egress_container *container = c->container;
	gr_connection_note_end(c, "");
	if (c->token)
		gr_audit_client_cancel(container->egress->audit, c->token);
	gr_upstream_cancel(c->upstream);
	gr_loop_timer_remove(c->timer);
	gr_connection_close_server(c);
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
