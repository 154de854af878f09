#include "viewer/reader.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

int gr_reader_init(struct gr_reader *reader, gr_reader_refill refill, void *context)
{
	*reader = (struct gr_reader){ .refill = refill, .context = context };
	reader->buffer = malloc(GR_READER_CAPACITY);
	return reader->buffer ? 0 : GR_ENOMEM;
}

void gr_reader_finish(struct gr_reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
}

int gr_reader_status(const struct gr_reader *reader)
{
	return reader->status;
}

int gr_reader_fail(struct gr_reader *reader, int status)
{
	if (!reader->status)
		reader->status = status;
	return reader->status;
}

int gr_reader_refuse(struct gr_reader *reader)
{
	return gr_reader_fail(reader, GR_EPROTO);
}

/* Makes n bytes contiguous at buffer + begin. */
static int need(struct gr_reader *reader, size_t n)
{
	if (reader->status)
		return reader->status;
	if (reader->end - reader->begin >= n)
		return 0;
	if (n > GR_READER_CAPACITY)
		return reader->status = GR_EINVAL;
	if (reader->begin == reader->end) {
		reader->begin = reader->end = 0;
	} else if (reader->begin + n > GR_READER_CAPACITY) {
		memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
		reader->end -= reader->begin;
		reader->begin = 0;
	}
	while (reader->end - reader->begin < n) {
		size_t room = GR_READER_CAPACITY - reader->end, got = 0;
		int status = reader->refill(reader->context, reader->buffer + reader->end, room, &got);
		if (!status && (got == 0 || got > room))
			status = GR_EIO;
		if (status)
			return reader->status = status;
		reader->end += got;
		reader->total += got;
	}
	return 0;
}

const uint8_t *gr_reader_take(struct gr_reader *reader, size_t n)
{
	if (need(reader, n))
		return NULL;
	const uint8_t *bytes = reader->buffer + reader->begin;
	reader->begin += n;
	return bytes;
}

const uint8_t *gr_reader_some(struct gr_reader *reader, size_t least, size_t most, size_t *n)
{
	if (need(reader, least))
		return NULL;
	size_t there = reader->end - reader->begin;
	if (there > most)
		there = most;
	*n = there - there % least;
	return gr_reader_take(reader, *n);
}

uint8_t gr_reader_u8(struct gr_reader *reader)
{
	const uint8_t *b = gr_reader_take(reader, 1);
	return b ? b[0] : 0;
}

uint16_t gr_reader_u16(struct gr_reader *reader)
{
	const uint8_t *b = gr_reader_take(reader, 2);
	return b ? (uint16_t)((unsigned)b[0] << 8 | b[1]) : 0;
}

uint32_t gr_reader_u32(struct gr_reader *reader)
{
	const uint8_t *b = gr_reader_take(reader, 4);
	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

int gr_reader_copy(struct gr_reader *reader, uint8_t *into, size_t n)
{
	while (n) {
		size_t got = 0;
		const uint8_t *bytes = gr_reader_some(reader, 1, n < GR_READER_CAPACITY ? n : GR_READER_CAPACITY, &got);
		if (!bytes)
			break;
		memcpy(into, bytes, got);
		into += got;
		n -= got;
	}
	return reader->status;
}

void gr_reader_skip(struct gr_reader *reader, size_t n)
{
	while (n && !reader->status) {
		size_t got = 0;
		if (!gr_reader_some(reader, 1, n < GR_READER_CAPACITY ? n : GR_READER_CAPACITY, &got))
			return;
		n -= got;
	}
}

int gr_reader_wait(struct gr_reader *reader)
{
	return need(reader, 1);
}
