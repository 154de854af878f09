/*
 * One HTTP/1 message read piece by piece (libhttp-parser): first its head, kept whole and bounded; then its body, handed on as
 * it comes with the transfer coding taken off. No input or output here.
 */
#ifndef GARASU_BROKER_EGRESS_MESSAGE_H
#define GARASU_BROKER_EGRESS_MESSAGE_H

#include "common/error.h"

#include <http_parser.h>
#include <stddef.h>

#define GR_HEAD_MAX 65536u /* bytes of a head: target, names and values */
#define GR_FIELDS_MAX 256u

struct gr_message_field {
	unsigned name, value; /* offsets of terminated strings in text */
};

/* n bytes of the body. Nonzero stops the parsing with GR_ENOMEM. */
typedef int (*gr_message_body)(void *context, const char *bytes, size_t n);

struct gr_message {
	http_parser parser;
	gr_message_body body;
	void *context;
	char *text; /* the request's target at 0, then names and values, each terminated */
	unsigned used, cap;
	struct gr_message_field *fields;
	unsigned count, fields_cap;
	int last; /* enum: what the last callback added to */
	int without_body; /* the response to HEAD or CONNECT */
	int chunked,
		has_length; /* valid when head_done: the body comes in chunks; Content-Length says how long it is */
	int head_done; /* the head is whole; parsing stops here once */
	int done; /* the message is whole */
	int failed; /* a gr_status */
};

/* Begins a message (HTTP_REQUEST or HTTP_RESPONSE) in a struct that was zeroed or used before; body and context stay borrowed. */
void gr_message_begin(struct gr_message *message, enum http_parser_type type, gr_message_body body, void *context);
void gr_message_finish(struct gr_message *message);

/*
 * Parses n bytes (0 = the connection's end) and stores in *used_out how many belong to this message. Stops once when the head is
 * whole, for the caller to look at, and when the message is done; call again with the rest. GR_EPROTO for
 * what is not HTTP/1 or ambiguous in its length, GR_EFULL for a head beyond the bounds, GR_ENOMEM.
 */
int gr_message_parse(struct gr_message *message, const char *untrusted_bytes, size_t n, size_t *used_out);

/* The request's target as sent; valid when head_done. */
const char *gr_message_target(const struct gr_message *message);

/* The value of the first field of this name (any case), or NULL. */
const char *gr_message_value(const struct gr_message *message, const char *name);

#endif
