/* A bandwidth ceiling: a token bucket, in bits. Pure: the clock is the caller's. */
#ifndef GARASU_BROKER_GATEWAY_RATE_H
#define GARASU_BROKER_GATEWAY_RATE_H

#include <stddef.h>
#include <stdint.h>

#define GR_RATE_CHUNK 1400u /* bytes: nothing is sent before there is room for so many, a packet's worth */
#define GR_RATE_BURST_MS 100 /* what may go at once after a pause: as much as in this time, but at least … */
#define GR_RATE_BURST_MIN 16384u /* … so many bytes */

struct gr_rate {
	uint64_t kbit; /* per second, that is bits per millisecond; 0 = no ceiling */
	uint64_t bits; /* that may go now */
	uint64_t at_ms; /* when that was so */
};

/* Begins with a full burst. */
void gr_rate_init(struct gr_rate *rate, unsigned kbit, uint64_t now_ms);

/* Bytes that may go now; SIZE_MAX without a ceiling. */
size_t gr_rate_room(struct gr_rate *rate, uint64_t now_ms);
/* n of them went. */
void gr_rate_spend(struct gr_rate *rate, size_t n);
/* Milliseconds until there is room; 0 = there is. */
int64_t gr_rate_wait(struct gr_rate *rate, uint64_t now_ms);

#endif
