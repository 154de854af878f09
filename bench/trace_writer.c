#include "bench/trace.h"
#include "bench/trace_format.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum {
	CELL = 16, /* pixels, either side, of what is compared as one */
	LEVEL = 1, /* of zstd: a recording must keep up with the screen */
};

struct gr_trace_writer {
	int fd;
	uint16_t w, h;
	uint32_t records;
	uint32_t json_length;
	uint64_t length; /* unpacked */
	uint64_t first_us; /* time of the first record, which is written as 0 */
	uint32_t *picture; /* as a reader has it after the last record */
	struct gr_rect *changed; /* GR_TRACE_RECTS_MAX */
	uint8_t *filtered; /* 3 * w * h */
	uint8_t *packed;
	ZSTD_CCtx *pack;
};

static int put(struct gr_trace_writer *writer, const void *data, size_t n, ZSTD_EndDirective end, struct gr_error *err)
{
	ZSTD_inBuffer in = { data, n, 0 };
	for (;;) {
		ZSTD_outBuffer out = { writer->packed, ZSTD_CStreamOutSize(), 0 };
		size_t left = ZSTD_compressStream2(writer->pack, &out, &in, end);
		if (ZSTD_isError(left))
			return gr_error_set(err, GR_EIO, "zstd: %s", ZSTD_getErrorName(left));
		for (size_t at = 0; at < out.pos;) {
			ssize_t written = write(writer->fd, writer->packed + at, out.pos - at);
			if (written < 0)
				return gr_error_errno(err, "cannot be written");
			at += (size_t)written;
		}
		if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
			break;
	}
	writer->length += n;
	return 0;
}

static void put_header(const struct gr_trace_writer *writer, uint64_t duration_us, uint8_t header[GR_TRACE_HEADER_SIZE])
{
	static const uint8_t magic[] = GR_TRACE_MAGIC;
	memset(header, 0, GR_TRACE_HEADER_SIZE);
	memcpy(header, magic, sizeof(magic) - 1);
	gr_trace_put32(header + 8, GR_TRACE_VERSION);
	gr_trace_put32(header + 12, writer->w);
	gr_trace_put32(header + 16, writer->h);
	gr_trace_put32(header + 20, GR_TRACE_PIXELS_FILTERED_RGB);
	gr_trace_put32(header + 24, writer->records);
	gr_trace_put32(header + 28, GR_TRACE_WINDOW_LOG);
	gr_trace_put64(header + 32, duration_us);
	gr_trace_put64(header + 40, writer->length);
	gr_trace_put32(header + 48, writer->json_length);
}

int gr_trace_create(const char *path, uint16_t w, uint16_t h, const char *json, struct gr_trace_writer **out,
		    struct gr_error *err)
{
	size_t area = (size_t)w * h, json_length = strlen(json);
	if (w < 1 || h < 1 || w > GR_SCREEN_MAX || h > GR_SCREEN_MAX || area % 2)
		return gr_error_set(err, GR_EINVAL, "%ux%u: each side must be 1 to %d pixels, and their product even",
				    w, h, GR_SCREEN_MAX);
	if (json_length > GR_TRACE_JSON_MAX)
		return gr_error_set(err, GR_EINVAL, "%zu bytes of JSON are more than %u", json_length,
				    GR_TRACE_JSON_MAX);
	struct gr_trace_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	writer->w = w;
	writer->h = h;
	writer->json_length = (uint32_t)json_length;
	writer->fd = -1;
	writer->picture = calloc(area, 4);
	writer->changed = calloc(GR_TRACE_RECTS_MAX, sizeof(*writer->changed));
	writer->filtered = calloc(area, 3);
	writer->packed = malloc(ZSTD_CStreamOutSize());
	writer->pack = ZSTD_createCCtx();
	if (!writer->picture || !writer->changed || !writer->filtered || !writer->packed || !writer->pack) {
		gr_trace_abandon(writer);
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	ZSTD_CCtx_setParameter(writer->pack, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(writer->pack, ZSTD_c_windowLog, (int)GR_TRACE_WINDOW_LOG);
	ZSTD_CCtx_setParameter(writer->pack, ZSTD_c_enableLongDistanceMatching, 1);
	ZSTD_CCtx_setParameter(writer->pack, ZSTD_c_checksumFlag, 1);
	writer->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (writer->fd < 0) {
		gr_error_errno(err, "cannot be created");
		gr_trace_abandon(writer);
		return GR_EIO;
	}
	uint8_t header[GR_TRACE_HEADER_SIZE];
	put_header(writer, 0, header);
	if (write(writer->fd, header, sizeof(header)) != (ssize_t)sizeof(header) ||
	    write(writer->fd, json, json_length) != (ssize_t)json_length) {
		gr_error_errno(err, "cannot be written");
		gr_trace_abandon(writer);
		return GR_EIO;
	}
	*out = writer;
	return 0;
}

void gr_trace_abandon(struct gr_trace_writer *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0)
		close(writer->fd);
	free(writer->picture);
	free(writer->changed);
	free(writer->filtered);
	free(writer->packed);
	ZSTD_freeCCtx(writer->pack);
	free(writer);
}

/* Copies w pixels that differ in more than X; returns whether any did. */
static int take(uint32_t *to, const uint8_t *from, size_t w)
{
	uint32_t differs = 0;
	for (size_t x = 0; x < w; x++) {
		uint32_t pixel;
		memcpy(&pixel, from + 4 * x, 4);
		pixel |= 0xff000000u;
		differs |= pixel ^ to[x];
		to[x] = pixel;
	}
	return differs != 0;
}

/* Takes the pixels into the picture; what changed, as runs of cells in bands, goes to writer->changed. Returns how many. */
static size_t take_changes(struct gr_trace_writer *writer, const uint8_t *pixels, size_t stride)
{
	size_t count = 0, bands = ((size_t)writer->h + CELL - 1) / CELL;
	for (size_t y = 0, band = 0; y < writer->h; y += CELL, band++) {
		size_t h = writer->h - y < CELL ? writer->h - y : CELL;
		struct gr_rect run = { 0 };
		for (size_t x = 0; x < writer->w; x += CELL) {
			size_t w = writer->w - x < CELL ? writer->w - x : CELL;
			int differs = 0;
			for (size_t row = y; row < y + h; row++)
				differs |= take(writer->picture + row * writer->w + x, pixels + row * stride + 4 * x,
						w);
			if (!differs)
				continue;
			/* Room for one run of each band below must remain: the last run of this one takes all the rest. */
			if (run.w && (run.x + run.w == (int)x || count + 1 + bands - band >= GR_TRACE_RECTS_MAX)) {
				run.w = (uint16_t)(x + w - run.x);
				continue;
			}
			if (run.w)
				writer->changed[count++] = run;
			run = (struct gr_rect){ (uint16_t)x, (uint16_t)y, (uint16_t)w, (uint16_t)h };
		}
		if (run.w)
			writer->changed[count++] = run;
	}
	return count;
}

static size_t filter_interleaved(struct gr_trace_writer *writer, struct gr_rect rect)
{
	uint8_t *to = writer->filtered;
	for (size_t y = 0; y < rect.h; y++) {
		const uint32_t *row = writer->picture + (rect.y + y) * writer->w + rect.x;
		uint8_t last[3] = { 0 };
		for (size_t x = 0; x < rect.w; x++) {
			uint8_t green = (uint8_t)(row[x] >> 8);
			uint8_t now[3] = { green, (uint8_t)(row[x] - green), (uint8_t)((row[x] >> 16) - green) };
			for (size_t i = 0; i < 3; i++) {
				*to++ = (uint8_t)(now[i] - last[i]);
				last[i] = now[i];
			}
		}
	}
	return (size_t)(to - writer->filtered);
}

static uint8_t component(uint32_t pixel, size_t plane)
{
	uint8_t green = (uint8_t)(pixel >> 8);
	if (plane == 0)
		return green;
	return (uint8_t)((plane == 1 ? pixel : pixel >> 16) - green);
}

static size_t filter_planar(struct gr_trace_writer *writer, struct gr_rect rect)
{
	uint8_t *to = writer->filtered;
	for (size_t plane = 0; plane < 3; plane++)
		for (size_t y = 0; y < rect.h; y++) {
			const uint32_t *row = writer->picture + (rect.y + y) * writer->w + rect.x;
			const uint32_t *above = row - (y ? writer->w : 0); /* not read at y = 0 */
			for (size_t x = 0; x < rect.w; x++) {
				uint8_t prediction = 0;
				if (x && y)
					prediction = gr_trace_predict(component(row[x - 1], plane),
								      component(above[x], plane),
								      component(above[x - 1], plane));
				else if (x)
					prediction = component(row[x - 1], plane);
				else if (y)
					prediction = component(above[x], plane);
				*to++ = (uint8_t)(component(row[x], plane) - prediction);
			}
		}
	return (size_t)(to - writer->filtered);
}

static int put_rects(struct gr_trace_writer *writer, const struct gr_rect *rects, size_t n, struct gr_error *err)
{
	int code = 0;
	for (size_t i = 0; i < n && !code; i++) {
		uint8_t raw[GR_TRACE_RECT_SIZE];
		gr_trace_put16(raw, rects[i].x);
		gr_trace_put16(raw + 2, rects[i].y);
		gr_trace_put16(raw + 4, rects[i].w);
		gr_trace_put16(raw + 6, rects[i].h);
		code = put(writer, raw, sizeof(raw), ZSTD_e_continue, err);
	}
	return code;
}

static int put_record(struct gr_trace_writer *writer, uint64_t time_us, size_t damage_count, size_t changed_count,
		      uint32_t flags, int with_hash, struct gr_error *err)
{
	uint8_t head[GR_TRACE_RECORD_SIZE];
	gr_trace_put32(head, GR_TRACE_RECORD_MAGIC);
	gr_trace_put32(head + 4, writer->records);
	gr_trace_put64(head + 8, time_us - writer->first_us);
	gr_trace_put16(head + 16, (uint16_t)damage_count);
	gr_trace_put16(head + 18, (uint16_t)changed_count);
	gr_trace_put32(head + 20, flags);
	gr_trace_put64(head + 24, with_hash ? gr_trace_hash(writer->picture, (size_t)writer->w * writer->h) : 0);
	writer->records++;
	return put(writer, head, sizeof(head), ZSTD_e_continue, err);
}

int gr_trace_write(struct gr_trace_writer *writer, enum gr_trace_form form, uint64_t time_us,
		   const struct gr_rect *damage, size_t damage_count, const uint8_t *pixels, size_t stride,
		   struct gr_error *err)
{
	const struct gr_rect screen = { 0, 0, writer->w, writer->h };
	size_t changed_count = take_changes(writer, pixels, stride);
	if (writer->records == 0) {
		writer->first_us = time_us;
		writer->changed[0] = screen;
		changed_count = 1;
	}
	if (damage_count > GR_TRACE_RECTS_MAX) {
		damage = &screen;
		damage_count = 1;
	}
	int code = put_record(writer, time_us, damage_count, changed_count,
			      form == GR_TRACE_PLANAR ? GR_TRACE_FLAG_PLANAR : 0,
			      writer->records % GR_TRACE_HASH_EVERY == 0, err);
	if (!code)
		code = put_rects(writer, damage, damage_count, err);
	if (!code)
		code = put_rects(writer, writer->changed, changed_count, err);
	for (size_t i = 0; i < changed_count && !code; i++) {
		size_t n = form == GR_TRACE_PLANAR ? filter_planar(writer, writer->changed[i])
						   : filter_interleaved(writer, writer->changed[i]);
		code = put(writer, writer->filtered, n, ZSTD_e_continue, err);
	}
	return code;
}

int gr_trace_finish(struct gr_trace_writer *writer, uint64_t time_us, struct gr_error *err)
{
	if (writer->records == 0) {
		gr_trace_abandon(writer);
		return gr_error_set(err, GR_EINVAL, "nothing was recorded");
	}
	int code = put_record(writer, time_us, 0, 0, 0, 1, err);
	if (!code)
		code = put(writer, NULL, 0, ZSTD_e_end, err);
	if (!code) {
		uint8_t header[GR_TRACE_HEADER_SIZE];
		put_header(writer, time_us - writer->first_us, header);
		if (pwrite(writer->fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
			code = gr_error_errno(err, "cannot be written");
		int fd = writer->fd;
		writer->fd = -1;
		if (close(fd) && !code)
			code = gr_error_errno(err, "cannot be written");
	}
	gr_trace_abandon(writer);
	return code;
}
