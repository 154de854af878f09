/*
 * The inside of a connection, which proxy.c (states, sockets, policy) and exchange.c (HTTP) share. Nobody else.
 */
#ifndef GARASU_BROKER_EGRESS_CONNECTION_H
#define GARASU_BROKER_EGRESS_CONNECTION_H

#include "broker/egress/answer.h"
#include "broker/egress/proxy.h"
#include "broker/egress/upstream.h"

/* As told in proxy.h. */
enum gr_proxy_state {
	GR_PROXY_HEAD,
	GR_PROXY_AUDIT,
	GR_PROXY_CONNECT,
	GR_PROXY_HANDSHAKE,
	GR_PROXY_TUNNEL,
	GR_PROXY_EXCHANGE,
	GR_PROXY_ANSWER,
};

struct gr_connection {
	struct gr_egress_container *container;
	struct gr_connection *next, *previous;
	struct gr_loop_timer *timer;
	uint64_t moved; /* ms: when something last happened */
	enum gr_proxy_state state;
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
	int listed; /* gr_rules_permit's, of the present request */
	int tunnel, reused, keep, final, chunked_down, response_begun;

	uint64_t token; /* of the audit question under way */
	struct gr_upstream *upstream; /* the connection attempt under way */
	int recorded; /* an EGRESS_REQUEST waits for its end */
	uint64_t session;
	char person[GR_PERSON_MAX + 8];
	uint64_t bytes_up, bytes_down;
};

/* proxy.c: the state begins, with its patience. */
void gr_connection_enter(struct gr_connection *c, enum gr_proxy_state state);
/* proxy.c: a page of ours instead of what was asked for; detail stands in the EGRESS_END if one is owed. */
void gr_connection_answer(struct gr_connection *c, enum gr_answer page, const char *detail);
void gr_connection_close_server(struct gr_connection *c);
/* proxy.c: EGRESS_END, if one is owed. */
void gr_connection_note_end(struct gr_connection *c, const char *detail);

/* exchange.c: bytes of a request's body, into what goes to the server. For gr_message_begin. */
int gr_exchange_request_body(void *context, const char *bytes, size_t n);
/* exchange.c: the server is there: the tunnel, the CONNECT to the upstream proxy, the request. */
void gr_exchange_tunnel(struct gr_connection *c);
void gr_exchange_handshake(struct gr_connection *c);
void gr_exchange_begin(struct gr_connection *c);
/* exchange.c: more of the request from c->in; n bytes of the response (0 = its end) or of the upstream proxy's answer. */
void gr_exchange_feed_request(struct gr_connection *c);
void gr_exchange_feed_response(struct gr_connection *c, const char *untrusted_bytes, size_t n);
void gr_exchange_feed_handshake(struct gr_connection *c, const char *untrusted_bytes, size_t n);
/* exchange.c: the response is written out: the next request, or the end. */
void gr_exchange_end(struct gr_connection *c);

#endif
