/*
 * Traces of a screen (.gsft, version 1): what an X server reported as damaged, and what its pixels were, frame by frame.
 *
 * A file, little endian, is a header of 64 bytes, JSON, and one zstd frame up to the file's end:
 *
 *     0   8  magic "GSFTRC01"
 *     8   4  version, 1
 *     12  4  width        16  4  height
 *     20  4  form of the pixels, 1
 *     24  4  number of records; the last is an empty one that carries a hash
 *     28  4  zstd's windowLog, at most 27
 *     32  8  duration, microseconds
 *     40  8  length of the unpacked stream
 *     48  4  length of the JSON (what was recorded, of interest to people only)
 *     52  12 zero
 *
 * The unpacked stream is one record after the other:
 *
 *     u32 magic 0x314D5246, u32 sequence, u64 microseconds since the start,
 *     u16 n_damage, u16 n_changed, u32 flags, u64 hash (0: none),
 *     n_damage and then n_changed rectangles of four i16, x y w h,
 *     then w * h * 3 bytes for each changed rectangle: G, B-G, R-G modulo 256,
 *       flags bit 0 clear: by turns, each less the same component of the pixel to its left
 *       flags bit 0 set: as three planes, each less its MED prediction (JPEG-LS, ISO/IEC 14495-1 A.4.1)
 *
 * Pixels are BGRX8888, 4 bytes each, rows of the width without a gap; X is 0xff when read and ignored when written.
 */
#ifndef GARASU_BENCH_TRACE_H
#define GARASU_BENCH_TRACE_H

#include "common/error.h"
#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

#define GR_TRACE_JSON_MAX (1u << 20) /* bytes */
#define GR_TRACE_RECTS_MAX 65535u /* of each kind in one record */

struct gr_trace;
struct gr_trace_writer;

struct gr_trace_info {
	uint16_t width, height; /* 1..GR_SCREEN_MAX; their product is even */
	uint32_t records;
	uint64_t duration_us;
	const char *json; /* terminated; borrowed */
};

struct gr_trace_frame {
	uint32_t sequence; /* from 0 */
	uint64_t time_us; /* never less than the frame's before */
	const struct gr_rect *damage; /* borrowed until the next call; clipped to the screen, not empty */
	size_t damage_count;
	const struct gr_rect *changed; /* borrowed until the next call; inside the screen, not empty */
	size_t changed_count;
};

/* Stores up to n bytes and returns how many; 0 at the end, a negative gr_status on failure. */
typedef ptrdiff_t (*gr_trace_read)(void *context, void *into, size_t n);

/*
 * Reads the header. Returns an owned trace in *out; context is borrowed for its life. GR_EPROTO when it is no such file,
 * GR_ENOMEM, or read's error.
 */
int gr_trace_open(gr_trace_read read, void *context, struct gr_trace **out, struct gr_error *err);
/* The same from a file. GR_EIO when it cannot be opened. */
int gr_trace_open_file(const char *path, struct gr_trace **out, struct gr_error *err);
void gr_trace_close(struct gr_trace *trace); /* NULL allowed */

void gr_trace_info(const struct gr_trace *trace, struct gr_trace_info *out);

/*
 * Applies the next record to the picture. pixels: width * height, kept by the caller as it is between the calls (the first
 * record paints all of it). Returns 1, 0 at the end of a whole file, GR_EPROTO when the file is corrupt or cut or the
 * picture is not the one that its hash is of (pixels are then undefined), GR_ENOMEM, or read's error.
 */
int gr_trace_next(struct gr_trace *trace, uint32_t *pixels, struct gr_trace_frame *out, struct gr_error *err);

enum gr_trace_form { GR_TRACE_INTERLEAVED, GR_TRACE_PLANAR };

/*
 * Begins a file (which is replaced) of w by h pixels. json: terminated, copied to the file. Returns an owned writer in *out.
 * GR_EINVAL: a size outside 1..GR_SCREEN_MAX or with an odd number of pixels, too much JSON; GR_EIO, GR_ENOMEM.
 */
int gr_trace_create(const char *path, uint16_t w, uint16_t h, const char *json, struct gr_trace_writer **out,
		    struct gr_error *err);

/*
 * Writes one record: what changed since the one before is found here. damage: borrowed, inside the screen; more than
 * GR_TRACE_RECTS_MAX are written as the whole screen. pixels: borrowed, rows stride bytes apart. GR_EIO, GR_ENOMEM.
 */
int gr_trace_write(struct gr_trace_writer *writer, enum gr_trace_form form, uint64_t time_us,
		   const struct gr_rect *damage, size_t damage_count, const uint8_t *pixels, size_t stride,
		   struct gr_error *err);

/*
 * Writes the last record and completes the header: only now is the file a trace. Destroys the writer, on failure too
 * (GR_EIO: the file is then no good). Nothing written yet is GR_EINVAL.
 */
int gr_trace_finish(struct gr_trace_writer *writer, uint64_t time_us, struct gr_error *err);
/* Gives up: destroys the writer and leaves what is in the file. NULL allowed. */
void gr_trace_abandon(struct gr_trace_writer *writer);

/* The hash of a picture: the upper byte of each pixel does not count; count is even. */
uint64_t gr_trace_hash(const uint32_t *pixels, size_t count);

#endif
