/* What a request asks for, in one normal form, and the heads that are passed on. Pure. */
#ifndef GARASU_BROKER_EGRESS_REQUEST_H
#define GARASU_BROKER_EGRESS_REQUEST_H

#include "broker/config/host.h"
#include "broker/egress/address.h"
#include "broker/egress/buffer.h"
#include "broker/egress/message.h"

#define GR_TARGET_TEXT 272 /* "[address]:port" or "name:port", terminated */

/* Where a request goes. */
struct gr_target {
	char host[GR_HOST_TEXT]; /* as gr_host_normal gives it */
	uint16_t port;
	int is_address;
	struct gr_address address; /* when is_address */
};

/* "host:port", or "host" when default_port is not 0; the host as gr_host_normal takes it. GR_EPROTO. */
int gr_target_parse_authority(struct gr_target *target, const char *untrusted_text, size_t n, uint16_t default_port);

/* "http://host[:port]/path?query": path_out is where the path begins (may be "" or begin with "?"). GR_EPROTO for another form. */
int gr_target_parse_url(struct gr_target *target, const char *untrusted_url, const char **path_out);

/* "name:port" or "[v6]:port" into out. Returns out. */
const char *gr_target_text(const struct gr_target *target, char out[GR_TARGET_TEXT]);

int gr_target_equal(const struct gr_target *a, const struct gr_target *b);

/* Whether the name means this machine (localhost and below, RFC 6761). */
int gr_target_is_localhost(const struct gr_target *target);

/*
 * Appends the head of a request for the origin (path) or, with absolute, for a proxy, with our own Proxy-Authorization unless that is
 * NULL. Hop-by-hop fields and Host are replaced.
 * GR_EPROTO for a transfer coding other than chunked or a field that is malformed; GR_ENOMEM, GR_EFULL.
 */
int gr_request_write(const struct gr_message *message, const struct gr_target *target, const char *path, int absolute,
		     const char *authorization, struct gr_buffer *out);

/* Appends the head of a response; chunked and close say how its body and the connection end. Errors as above. */
int gr_response_write(const struct gr_message *message, int chunked, int close, struct gr_buffer *out);

#endif
