/* HTTP on a connection: requests and responses parsed and framed anew, and the upstream proxy's CONNECT. */
#include "broker/egress/connection.h"

#include <stdio.h>

static int append_body(struct gr_buffer *out, int chunked, const char *bytes, size_t n)
{
	if (!chunked)
		return gr_buffer_append(out, bytes, n);
	int status = gr_buffer_print(out, "%zx\r\n", n);
	if (status == 0)
		status = gr_buffer_append(out, bytes, n);
	return status == 0 ? gr_buffer_append(out, "\r\n", 2) : status;
}

int gr_exchange_request_body(void *context, const char *bytes, size_t n)
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

void gr_exchange_tunnel(struct gr_connection *c)
{
	/* What the client sent ahead is the tunnel's first content. */
	if (gr_buffer_print(&c->down, "HTTP/1.1 200 Connection established\r\n\r\n") != 0 ||
	    (c->in.length && gr_buffer_append(&c->up, c->in.bytes + c->in.start, c->in.length) != 0))
		c->ended = 1;
	c->bytes_up += c->in.length;
	gr_buffer_clear(&c->in);
	gr_message_finish(&c->response);
	gr_connection_enter(c, GR_PROXY_TUNNEL);
}

static void begin_response(struct gr_connection *c)
{
	gr_message_begin(&c->response, HTTP_RESPONSE, response_body, c);
	c->response.without_body = c->request.parser.method == HTTP_HEAD;
}

void gr_exchange_begin(struct gr_connection *c)
{
	const char *path = NULL;
	struct gr_target target;
	int proxied = c->container->egress->rules->config->egress.upstream.host[0] != 0;
	int status = gr_target_parse_url(&target, gr_message_target(&c->request), &path);
	if (status == 0)
		status = gr_request_write(&c->request, &c->target, path, proxied, c->container->egress->authorization,
					  &c->up);
	if (status != 0) {
		gr_connection_answer(c, GR_ANSWER_BAD_REQUEST, "malformed request");
		return;
	}
	begin_response(c);
	c->final = c->response_begun = 0;
	c->bytes_up += c->up.length;
	gr_connection_enter(c, GR_PROXY_EXCHANGE);
}

void gr_exchange_handshake(struct gr_connection *c)
{
	char target[GR_TARGET_TEXT];
	const char *authorization = c->container->egress->authorization;
	gr_target_text(&c->target, target);
	if (gr_buffer_print(&c->up, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target) != 0 ||
	    (authorization && gr_buffer_print(&c->up, "Proxy-Authorization: %s\r\n", authorization) != 0) ||
	    gr_buffer_append(&c->up, "\r\n", 2) != 0)
		c->ended = 1;
	gr_message_begin(&c->response, HTTP_RESPONSE, NULL, c);
	c->response.without_body = 2; /* what follows its head is the tunnel */
	gr_connection_enter(c, GR_PROXY_HANDSHAKE);
}

void gr_exchange_feed_request(struct gr_connection *c)
{
	size_t used;
	if (gr_message_parse(&c->request, c->in.bytes + c->in.start, c->in.length, &used) != 0) {
		if (c->response_begun)
			c->ended = 1;
		else
			gr_connection_answer(c, GR_ANSWER_BAD_REQUEST, "malformed request body");
		return;
	}
	gr_buffer_consume(&c->in, used);
	if (c->request.done && c->request.chunked && gr_buffer_append(&c->up, "0\r\n\r\n", 5) != 0)
		c->ended = 1;
}

/*
 * Never passed on: the browser would ask the person for the name and password of "the proxy", in words that whoever answered chose.
 */
static void answer_407(struct gr_connection *c)
{
	const struct gr_egress *egress = c->container->egress;
	if (!egress->rules->config->egress.upstream.host[0])
		gr_connection_answer(c, GR_ANSWER_BAD_RESPONSE, "the site asked for a proxy's credentials");
	else
		gr_connection_answer(c, GR_ANSWER_UPSTREAM_LOGIN,
				     egress->authorization ? "the upstream proxy refused the credentials (407)"
							   : "the upstream proxy wants credentials (407)");
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
	if (code == 407) {
		answer_407(c);
		return -1;
	}
	if (code == 101) {
		gr_connection_answer(c, GR_ANSWER_BAD_RESPONSE, "unasked protocol switch");
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
		gr_connection_answer(c, GR_ANSWER_BAD_RESPONSE, "malformed response");
		return -1;
	}
	c->response_begun = 1;
	c->bytes_down += c->down.length - before;
	return 0;
}

/* n = 0: the server's end. */
void gr_exchange_feed_response(struct gr_connection *c, const char *untrusted_bytes, size_t n)
{
	do {
		size_t used;
		int had_head = c->response.head_done;
		if (gr_message_parse(&c->response, untrusted_bytes, n, &used) != 0 || (n == 0 && !c->response.done)) {
			if (c->response_begun || (n == 0 && c->reused && c->response.used == 0))
				c->ended = 1; /* cut short; or RFC 9112 9.3.1: the client may try again */
			else
				gr_connection_answer(c, GR_ANSWER_BAD_RESPONSE,
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
		gr_connection_close_server(c);
}

void gr_exchange_end(struct gr_connection *c)
{
	int whole = c->request.done;
	gr_connection_note_end(c, "");
	if (!c->keep || !whole) {
		gr_connection_close_server(c);
		gr_buffer_clear(&c->in);
		gr_connection_enter(c, GR_PROXY_ANSWER);
		return;
	}
	gr_message_finish(&c->response);
	gr_message_begin(&c->request, HTTP_REQUEST, gr_exchange_request_body, c);
	gr_connection_enter(c, GR_PROXY_HEAD);
}

void gr_exchange_feed_handshake(struct gr_connection *c, const char *untrusted_bytes, size_t n)
{
	while (n > 0 && !c->response.done) {
		size_t used;
		if (gr_message_parse(&c->response, untrusted_bytes, n, &used) != 0) {
			gr_connection_answer(c, GR_ANSWER_BAD_RESPONSE, "malformed answer of the upstream proxy");
			return;
		}
		untrusted_bytes += used;
		n -= used;
		unsigned code = c->response.parser.status_code;
		if (c->response.head_done && code == 407) {
			answer_407(c);
			return;
		}
		if (c->response.head_done && (code < 200 || code > 299)) {
			char detail[64];
			snprintf(detail, sizeof(detail), "the upstream proxy answered %u", code);
			gr_connection_answer(c,
					     code == 403   ? GR_ANSWER_REFUSED
					     : code == 504 ? GR_ANSWER_TIMEOUT
							   : GR_ANSWER_UNREACHABLE,
					     detail);
			return;
		}
	}
	if (!c->response.done)
		return;
	gr_exchange_tunnel(c);
	c->bytes_down += n;
	if (gr_buffer_append(&c->down, untrusted_bytes, n) != 0)
		c->ended = 1;
}
