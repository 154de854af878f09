/* The pages that the broker itself words when a request is not carried out. */
#ifndef GARASU_BROKER_EGRESS_ANSWER_H
#define GARASU_BROKER_EGRESS_ANSWER_H

#include "broker/egress/buffer.h"

enum gr_answer {
	GR_ANSWER_BAD_REQUEST, /* 400 */
	GR_ANSWER_REFUSED, /* 403: by the broker's policy */
	GR_ANSWER_TOO_MANY, /* 429: this container asks for more than a browser does */
	GR_ANSWER_NOT_FOUND, /* 502: no such name */
	GR_ANSWER_UNREACHABLE, /* 502 */
	GR_ANSWER_BAD_RESPONSE, /* 502: what the server sent is not HTTP */
	GR_ANSWER_UPSTREAM_LOGIN, /* 502: the upstream proxy wants credentials, or others */
	GR_ANSWER_NOT_ASSIGNED, /* 503 */
	GR_ANSWER_NO_AUDIT, /* 503 */
	GR_ANSWER_BUSY, /* 503 */
	GR_ANSWER_TIMEOUT, /* 504 */
	GR_ANSWERS
};

/* Appends the whole response, with "Connection: close"; without its body for HEAD. GR_ENOMEM, GR_EFULL. */
int gr_answer_write(enum gr_answer answer, int head_only, struct gr_buffer *out);

/* Its HTTP status. */
unsigned gr_answer_status(enum gr_answer answer);

#endif
