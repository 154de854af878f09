/* What the broker itself says to a viewer before a session is there: OPEN records (docs/PROTOCOL.md §2) and refusals in words. */
#ifndef GARASU_BROKER_GATEWAY_OPENING_H
#define GARASU_BROKER_GATEWAY_OPENING_H

#include <stdint.h>

#define GR_OPEN_BYTES 16
#define GR_OPEN_WAIT_MAX 600 /* WAIT records, one a second */

enum gr_open_kind {
	GR_OPEN_READY = 1,
	GR_OPEN_REFUSED = 2,
	GR_OPEN_WAIT = 3,
	GR_OPEN_REDIRECT = 4, /* reserved */
	GR_OPEN_ASK = 5,
	GR_OPEN_TERMS = 6,
	GR_OPEN_TICKET = 7, /* the ticket itself follows the record */
};

/* flags of READY; those of ASK are gr_identity_ask. */
enum gr_open_ready { GR_OPEN_WATERMARK = 1, GR_OPEN_RECORDED = 2 };

/* flags of TERMS. */
enum gr_open_terms { GR_OPEN_CLIPBOARD_DOWN = 1, GR_OPEN_PRINTING = 2 };

struct gr_open {
	enum gr_open_kind kind;
	uint32_t reason; /* gr_reason, of REFUSED and ASK */
	uint32_t flags;
	uint32_t tries; /* 255 stands for more */
	uint32_t seconds; /* 65535 stands for more; of TERMS: the grace time */
	uint32_t minutes; /* of TERMS: until the session's time is over, 0 = no limit; 65535 stands for more */
	uint32_t clipboard_up; /* of TERMS: bytes of one text, 0 = none */
};

/* Writes one record. */
void gr_open_record(uint8_t out[GR_OPEN_BYTES], const struct gr_open *open);

/* The reason in words for viewers that are not ours. ASCII, ≤ GR_RFB_REFUSAL_MAX bytes, never NULL. */
const char *gr_open_refusal_text(uint32_t reason);

#endif
