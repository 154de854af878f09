/* Numbers and rectangle headers as RFB writes them: big-endian. */
#ifndef GARASU_BROKER_ENCODE_WIRE_H
#define GARASU_BROKER_ENCODE_WIRE_H

#include "common/record.h"

#include <stdint.h>

static inline void gr_wire_u16(uint8_t *out, uint32_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static inline void gr_wire_u32(uint8_t *out, uint32_t value)
{
	gr_wire_u16(out, value >> 16);
	gr_wire_u16(out + 2, value);
}

/* 8 bytes: x, y, w, h. */
static inline void gr_wire_rect_place(uint8_t *out, struct gr_rect rect)
{
	gr_wire_u16(out, rect.x);
	gr_wire_u16(out + 2, rect.y);
	gr_wire_u16(out + 4, rect.w);
	gr_wire_u16(out + 6, rect.h);
}

/* The 12 bytes in front of every rectangle (RFC 6143, 7.6.1). */
static inline void gr_wire_rect(uint8_t *out, struct gr_rect rect, int32_t encoding)
{
	gr_wire_rect_place(out, rect);
	gr_wire_u32(out + 8, (uint32_t)encoding);
}

#endif
