/*
 * A deflate compressor (RFC 1950, RFC 1951) made for rows of small images: several streams that last, each with its 32 KiB of
 * history, fed piece by piece and flushed to a byte behind every piece. No I/O, no globals, no allocation but in create; it
 * cannot fail.
 *
 * It looks for a match in three places only: the byte before (runs), the row above, and where the same four bytes were
 * last. That takes a third of the time of zlib's level 1 and, on interfaces and text, fewer bytes.
 */
#ifndef GARASU_BROKER_ENCODE_DEFLATE_H
#define GARASU_BROKER_ENCODE_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#define GR_DEFLATE_STREAMS 3u
#define GR_DEFLATE_PIECE_MAX (192u << 10) /* bytes */

/* The most that a piece of n bytes takes, and what may be written behind that as scratch. */
#define GR_DEFLATE_BOUND(n) ((size_t)(n) + (size_t)(n) / 4096 + 20)
#define GR_DEFLATE_SLACK 16u

struct gr_deflate;

struct gr_deflate *gr_deflate_create(void); /* returns owned; NULL: out of memory */
void gr_deflate_destroy(struct gr_deflate *deflate); /* NULL allowed */

/*
 * Where the stream's next piece is to be put: room for GR_DEFLATE_PIECE_MAX bytes, borrowed until gr_deflate_piece of this
 * stream. What is put there and not compressed is forgotten.
 */
uint8_t *gr_deflate_room(struct gr_deflate *deflate, unsigned stream);

/*
 * Compresses the n bytes (1..GR_DEFLATE_PIECE_MAX) that were put into the stream's room, in rows of row_bytes whose pixels are
 * unit (1 or 3) bytes, into out, which has GR_DEFLATE_BOUND(n) + GR_DEFLATE_SLACK bytes. Returns how many it took.
 */
size_t gr_deflate_piece(struct gr_deflate *deflate, unsigned stream, size_t n, size_t row_bytes, unsigned unit,
			uint8_t *out);

#endif
