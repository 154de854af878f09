/*
 * Typed, bounded reading from a stream that arrives in pieces. When the buffer is empty the reader calls its
 * refill function, which may wait; so a parser is written straight down, and in a test or a fuzzer the refill
 * function simply has no more bytes.
 *
 * Errors stick: after the first failure every getter returns 0 (or NULL) and gr_reader_status() the error, so a
 * parser checks once per group of fields, and always before it uses a count or a length.
 */
#ifndef GARASU_VIEWER_READER_H
#define GARASU_VIEWER_READER_H

#include <stddef.h>
#include <stdint.h>

#define GR_READER_CAPACITY 65536u /* the most that gr_reader_take can return at once */

/*
 * Stores 1..room bytes into `into` and their number in *got, waiting for them if need be. Anything but 0 ends
 * the stream: GR_ECLOSED, GR_ETIMEOUT, GR_EIO.
 */
typedef int (*gr_reader_refill)(void *context, uint8_t *into, size_t room, size_t *got);

struct gr_reader {
	uint8_t *buffer;
	size_t begin, end;
	int status;
	uint64_t total; /* bytes read so far */
	gr_reader_refill refill;
	void *context;
};

/* GR_ENOMEM. The context is borrowed. */
int gr_reader_init(struct gr_reader *reader, gr_reader_refill refill, void *context);
void gr_reader_finish(struct gr_reader *reader);

int gr_reader_status(const struct gr_reader *reader);
/* Makes the status this error, unless it is one already; returns the status. */
int gr_reader_fail(struct gr_reader *reader, int status);
/* Makes the status GR_EPROTO, unless it is an error already; returns the status. */
int gr_reader_refuse(struct gr_reader *reader);

uint8_t gr_reader_u8(struct gr_reader *reader);
uint16_t gr_reader_u16(struct gr_reader *reader); /* big-endian, as are all numbers */
uint32_t gr_reader_u32(struct gr_reader *reader);

/* n bytes (1..GR_READER_CAPACITY) in one piece, borrowed until the next call; NULL on failure. */
const uint8_t *gr_reader_take(struct gr_reader *reader, size_t n);

/*
 * What is there, at least `least` and at most `most` bytes (both 1..GR_READER_CAPACITY), in a multiple of
 * `least`, borrowed until the next call; their number in *n. NULL on failure.
 */
const uint8_t *gr_reader_some(struct gr_reader *reader, size_t least, size_t most, size_t *n);

/* The next n bytes into `into`, however many; the status. */
int gr_reader_copy(struct gr_reader *reader, uint8_t *into, size_t n);

void gr_reader_skip(struct gr_reader *reader, size_t n);

/* Waits until there is at least one byte, without taking it; the status. */
int gr_reader_wait(struct gr_reader *reader);

#endif
