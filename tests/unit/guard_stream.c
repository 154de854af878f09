#include "tests/unit/guard_stream.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <zlib.h>

void put(struct stream *s, const void *bytes, size_t n)
{
	if (n > STREAM_MAX - s->n)
		abort();
	memcpy(s->bytes + s->n, bytes, n);
	s->n += n;
}

void put8(struct stream *s, size_t value)
{
	uint8_t byte = (uint8_t)value;
	put(s, &byte, 1);
}

void put16(struct stream *s, unsigned value)
{
	put8(s, value >> 8 & 255);
	put8(s, value & 255);
}

void put32(struct stream *s, uint32_t value)
{
	put16(s, value >> 16);
	put16(s, value & 0xffff);
}

void put_fill(struct stream *s, uint8_t byte, size_t n)
{
	while (n--)
		put8(s, byte);
}

void put_init(struct stream *s, unsigned w, unsigned h)
{
	static const uint8_t format[16] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0 };
	put16(s, w);
	put16(s, h);
	put(s, format, sizeof(format));
	put32(s, 6);
	put(s, "Garasu", 6);
}

void put_update(struct stream *s, unsigned rectangles)
{
	put16(s, 0);
	put16(s, rectangles);
}

void put_rectangle(struct stream *s, unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding)
{
	put16(s, x);
	put16(s, y);
	put16(s, w);
	put16(s, h);
	put32(s, (uint32_t)encoding);
}

void put_history(struct stream *s, const void *unit, size_t n, int first)
{
	static const uint8_t header[6] = { 0x28, 0xb5, 0x2f, 0xfd, 0, (20 - 10) << 3 };
	put32(s, (uint32_t)((first ? 6u : 0u) + 3 + n));
	if (first)
		put(s, header, sizeof(header));
	put8(s, (unsigned)(n << 3 & 255));
	put8(s, (unsigned)(n >> 5 & 255));
	put8(s, (unsigned)(n >> 13 & 255));
	put(s, unit, n);
}

size_t white_unit(uint8_t *unit, unsigned x, unsigned y, unsigned w, unsigned h)
{
	const unsigned place[4] = { x, y, w, h };
	uint8_t *to = unit;
	for (unsigned i = 0; i < 4; i++) {
		*to++ = (uint8_t)(place[i] >> 8);
		*to++ = (uint8_t)place[i];
	}
	for (unsigned i = 0; i < h; i++)
		for (unsigned left = w; left;) {
			unsigned run = left < 61 ? left : 61;
			*to++ = (uint8_t)(run - 1);
			left -= run;
		}
	return (size_t)(to - unit);
}

size_t make_jpeg(uint8_t *out, size_t cap, unsigned w, unsigned h, int quality)
{
	enum { APP0 = 18 };
	uint8_t *pixels = malloc((size_t)w * h * 4);
	unsigned char *jpeg = NULL;
	unsigned long size = 0;
	tjhandle handle = tjInitCompress();
	uint32_t noise = 1;
	if (!pixels || !handle)
		abort();
	for (size_t i = 0; i < (size_t)w * h * 4; i++) {
		noise = noise * 1664525 + 1013904223;
		pixels[i] = (uint8_t)(i / 40 + (noise >> 27));
	}
	if (tjCompress2(handle, pixels, (int)w, 0, (int)h, TJPF_BGRX, &jpeg, &size, TJSAMP_420, quality, 0) < 0 ||
	    size - APP0 > cap)
		abort();
	memcpy(out, jpeg + APP0, size - APP0);
	out[0] = 0xff;
	out[1] = 0xd8;
	tjFree(jpeg);
	tjDestroy(handle);
	free(pixels);
	return size - APP0;
}

size_t deflate_piece(void **state, const void *bytes, size_t n, uint8_t *out, size_t cap)
{
	z_stream *z = *state;
	if (!z) {
		*state = z = calloc(1, sizeof(*z));
		if (!z || deflateInit(z, 6) != Z_OK)
			abort();
	}
	z->next_in = (Bytef *)(uintptr_t)bytes;
	z->avail_in = (uInt)n;
	z->next_out = out;
	z->avail_out = (uInt)cap;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || !z->avail_out)
		abort();
	return cap - z->avail_out;
}

void end_deflate(void **state)
{
	if (*state)
		deflateEnd(*state);
	free(*state);
	*state = NULL;
}

struct verdict send_down(struct gr_guard *guard, const struct stream *s, size_t chunk)
{
	struct verdict v = { .faithful = 1 };
	for (size_t at = 0; at < s->n && !v.status;) {
		size_t room, passed;
		uint8_t *to = gr_guard_down_room(guard, &room);
		if (!to)
			abort();
		size_t n = chunk && chunk < room ? chunk : room;
		if (n > s->n - at)
			n = s->n - at;
		memcpy(to, s->bytes + at, n);
		at += n;
		v.status = gr_guard_down_took(guard, n);
		const uint8_t *bytes = gr_guard_down_passed(guard, &passed);
		if (passed && (v.passed + passed > s->n || memcmp(bytes, s->bytes + v.passed, passed) != 0))
			v.faithful = 0;
		gr_guard_down_sent(guard, passed);
		v.passed += passed;
	}
	const struct gr_guard_violation *violation = gr_guard_violation(guard);
	if (violation) {
		v.rule = violation->rule;
		v.offset = violation->offset;
	}
	return v;
}
