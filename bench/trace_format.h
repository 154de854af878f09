/* What reader and writer of traces (trace.h) share: numbers of the format and access to little-endian fields. */
#ifndef GARASU_BENCH_TRACE_FORMAT_H
#define GARASU_BENCH_TRACE_FORMAT_H

#include <stdint.h>

#define GR_TRACE_MAGIC "GSFTRC01"
#define GR_TRACE_VERSION 1u
#define GR_TRACE_PIXELS_FILTERED_RGB 1u
#define GR_TRACE_WINDOW_LOG 27u
#define GR_TRACE_RECORD_MAGIC 0x314D5246u
#define GR_TRACE_HASH_EVERY 30u /* records */
#define GR_TRACE_FLAG_PLANAR 1u

enum {
	GR_TRACE_HEADER_SIZE = 64,
	GR_TRACE_RECORD_SIZE = 32, /* without its rectangles */
	GR_TRACE_RECT_SIZE = 8,
};

static inline uint16_t gr_trace_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t gr_trace_get32(const uint8_t *p)
{
	return gr_trace_get16(p) | (uint32_t)gr_trace_get16(p + 2) << 16;
}

static inline uint64_t gr_trace_get64(const uint8_t *p)
{
	return gr_trace_get32(p) | (uint64_t)gr_trace_get32(p + 4) << 32;
}

static inline void gr_trace_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static inline void gr_trace_put32(uint8_t *p, uint32_t value)
{
	gr_trace_put16(p, (uint16_t)value);
	gr_trace_put16(p + 2, (uint16_t)(value >> 16));
}

static inline void gr_trace_put64(uint8_t *p, uint64_t value)
{
	gr_trace_put32(p, (uint32_t)value);
	gr_trace_put32(p + 4, (uint32_t)(value >> 32));
}

/* The MED prediction of JPEG-LS from the samples to the left, above, and left above. */
static inline uint8_t gr_trace_predict(uint8_t left, uint8_t above, uint8_t corner)
{
	uint8_t larger = left > above ? left : above, smaller = left > above ? above : left;
	if (corner >= larger)
		return smaller;
	if (corner <= smaller)
		return larger;
	return (uint8_t)(left + above - corner);
}

#endif
