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
};

/* Writes one record. reason: a gr_reason, 0 unless REFUSED. */
void gr_open_record(uint8_t out[GR_OPEN_BYTES], enum gr_open_kind kind, uint32_t reason);

/* The reason in words for viewers that are not ours. ASCII, ≤ GR_RFB_REFUSAL_MAX bytes, never NULL. */
const char *gr_open_refusal_text(uint32_t reason);

#endif
