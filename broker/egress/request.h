/* What a request asks for, in one normal form, and the heads that are passed on. Pure. */
#ifndef GARASU_BROKER_EGRESS_REQUEST_H
#define GARASU_BROKER_EGRESS_REQUEST_H

#include "broker/config/config.h"
#include "broker/egress/address.h"
#include "broker/egress/buffer.h"
#include "broker/egress/message.h"

#define GR_TARGET_TEXT 272 /* "[address]:port" or "name:port", terminated */

/* Where a request goes. */
struct gr_target {
	char host[256]; /* lower-case name without a final dot, or an address in its canonical text without brackets */
	uint16_t port;
	int is_address;
	struct gr_address address; /* when is_address */
};

/*
 * Normalises a host of n bytes: a name of letters, digits, "-", "_" and dots whose last label is no number, an IPv4 address
 * of four decimal numbers, or "[IPv6]" (bare IPv6 too). Nothing else is accepted, so that what is checked is what is
 * connected to. GR_EPROTO.
 */
int gr_target_set_host(struct gr_target *target, const char *untrusted_host, size_t n);

/* "host:port", or "host" when default_port is not 0. GR_EPROTO. */
int gr_target_parse_authority(struct gr_target *target, const char *untrusted_text, size_t n, uint16_t default_port);

/* "http://host[:port]/path?query": path_out is where the path begins (may be "" or begin with "?"). GR_EPROTO for another form. */
int gr_target_parse_url(struct gr_target *target, const char *untrusted_url, const char **path_out);

/* "name:port" or "[v6]:port" into out. Returns out. */
const char *gr_target_text(const struct gr_target *target, char out[GR_TARGET_TEXT]);

int gr_target_equal(const struct gr_target *a, const struct gr_target *b);

/* Whether the configuration lists exactly this host and port. */
int gr_target_allowed(const struct gr_target *target, const struct gr_config_endpoint *allow, unsigned count);

/* Whether a tunnel (443) or a plain request (80) may go to this port without being listed. */
int gr_target_port_is_usual(const struct gr_target *target, int tunnel);

/* Whether the name means this machine (localhost and below, RFC 6761). */
int gr_target_is_localhost(const struct gr_target *target);

/*
 * Appends the head of a request for the origin (path) or, with absolute, for a proxy. Hop-by-hop fields and Host are replaced.
 * GR_EPROTO for a transfer coding other than chunked or a field that is malformed; GR_ENOMEM, GR_EFULL.
 */
int gr_request_write(const struct gr_message *message, const struct gr_target *target, const char *path, int absolute,
		     struct gr_buffer *out);

/* Appends the head of a response; chunked and close say how its body and the connection end. Errors as above. */
int gr_response_write(const struct gr_message *message, int chunked, int close, struct gr_buffer *out);

#endif
