/* What stands before RFB (PROTOCOL.md §2): the broker's OPEN records and our ANSWER. Pure. */
#ifndef GARASU_VIEWER_OPENING_H
#define GARASU_VIEWER_OPENING_H

#include "common/error.h"
#include "viewer/channel.h"

#include <stdint.h>

#define GR_OPENING_BYTES 16
#define GR_ANSWER_BYTES 336

enum gr_opening_kind {
	GR_OPENING_READY = 1,
	GR_OPENING_REFUSED = 2,
	GR_OPENING_WAIT = 3,
	GR_OPENING_ASK = 5,
	GR_OPENING_TERMS = 6,
	GR_OPENING_TICKET = 7 /* GR_TICKET_BYTES follow */
};

struct gr_opening {
	enum gr_opening_kind kind;
	unsigned reason; /* of REFUSED, ASK */
	unsigned flags; /* of READY: gr_viewer_ready; of ASK: gr_viewer_ask, at least one */
	unsigned tries; /* of ASK: 255 = that or more */
	unsigned seconds; /* of REFUSED, ASK */
	struct gr_viewer_terms terms; /* of TERMS */
};

/* Takes one record. GR_EINVAL: it is none of Garasu's. GR_EPROTO: a field has what it must not have. */
int gr_opening_parse(const uint8_t untrusted[GR_OPENING_BYTES], struct gr_opening *out);

/* Makes the ANSWER of factors, which are within their bounds. The caller wipes both. */
void gr_opening_answer(const struct gr_viewer_factors *factors, uint8_t out[GR_ANSWER_BYTES]);

#endif
