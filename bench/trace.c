#include "bench/trace.h"
#include "bench/trace_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

struct gr_trace {
	gr_trace_read read;
	void *context;
	int fd; /* of gr_trace_open_file, or -1 */

	struct gr_trace_info info;
	uint64_t length; /* of the unpacked stream, as the header says */
	char *json;

	ZSTD_DCtx *unpack;
	ZSTD_inBuffer in;
	uint8_t *in_buffer;
	uint64_t taken; /* unpacked bytes */
	int frame_ended;

	uint32_t next;
	uint64_t time_us;
	struct gr_rect *damage, *changed; /* GR_TRACE_RECTS_MAX each */
	uint8_t *packed; /* at least 3 * packed_pixels */
	size_t packed_pixels;
};

uint64_t gr_trace_hash(const uint32_t *pixels, size_t count)
{
	uint64_t hash = 0x243F6A8885A308D3u;
	for (size_t i = 0; i + 1 < count; i += 2) {
		uint64_t pair = (pixels[i] & 0xffffffu) | (uint64_t)(pixels[i + 1] & 0xffffffu) << 32;
		hash = (hash ^ pair) * 0x9E3779B97F4A7C15u;
		hash = hash << 31 | hash >> 33;
	}
	return hash;
}

static ptrdiff_t read_file(void *context, void *into, size_t n)
{
	const struct gr_trace *trace = context;
	for (;;) {
		ssize_t got = read(trace->fd, into, n);
		if (got >= 0)
			return got;
		if (errno != EINTR)
			return GR_EIO;
	}
}

/* Exactly n bytes of the file as it is. */
static int read_exactly(struct gr_trace *trace, uint8_t *into, size_t n, struct gr_error *err)
{
	while (n > 0) {
		ptrdiff_t got = trace->read(trace->context, into, n);
		if (got < 0)
			return gr_error_set(err, (int)got, "cannot be read");
		if (got == 0)
			return gr_error_set(err, GR_EPROTO, "ends inside its header");
		into += got;
		n -= (size_t)got;
	}
	return 0;
}

static int read_header(struct gr_trace *trace, struct gr_error *err)
{
	uint8_t header[GR_TRACE_HEADER_SIZE] = { 0 };
	int code = read_exactly(trace, header, sizeof(header), err);
	if (code)
		return code;
	if (memcmp(header, GR_TRACE_MAGIC, 8) != 0)
		return gr_error_set(err, GR_EPROTO, "is no trace: it does not begin with " GR_TRACE_MAGIC);
	uint32_t version = gr_trace_get32(header + 8), pixels = gr_trace_get32(header + 20);
	if (version != GR_TRACE_VERSION || pixels != GR_TRACE_PIXELS_FILTERED_RGB)
		return gr_error_set(err, GR_EPROTO, "is of version %u with pixels of form %u: only 1 and 1 are known",
				    version, pixels);
	uint32_t untrusted_width = gr_trace_get32(header + 12), untrusted_height = gr_trace_get32(header + 16);
	uint32_t untrusted_records = gr_trace_get32(header + 24), untrusted_window = gr_trace_get32(header + 28);
	uint32_t untrusted_json = gr_trace_get32(header + 48);
	/* --- checks --- */
	if (untrusted_width < 1 || untrusted_width > GR_SCREEN_MAX || untrusted_height < 1 ||
	    untrusted_height > GR_SCREEN_MAX || untrusted_width * untrusted_height % 2 != 0)
		return gr_error_set(err, GR_EPROTO,
				    "is of %u by %u pixels: each side must be 1 to %d, and their product even",
				    untrusted_width, untrusted_height, GR_SCREEN_MAX);
	if (untrusted_records < 1)
		return gr_error_set(err, GR_EPROTO, "has no records: was its recording cut off?");
	if (untrusted_window > GR_TRACE_WINDOW_LOG)
		return gr_error_set(err, GR_EPROTO, "wants a window of 2^%u bytes, more than 2^%u", untrusted_window,
				    GR_TRACE_WINDOW_LOG);
	if (untrusted_json > GR_TRACE_JSON_MAX)
		return gr_error_set(err, GR_EPROTO, "has %u bytes of JSON, more than %u", untrusted_json,
				    GR_TRACE_JSON_MAX);
	/* --- end of checks --- */
	trace->info.width = (uint16_t)untrusted_width;
	trace->info.height = (uint16_t)untrusted_height;
	trace->info.records = untrusted_records;
	trace->info.duration_us = gr_trace_get64(header + 32);
	trace->length = gr_trace_get64(header + 40);
	trace->json = calloc(1, (size_t)untrusted_json + 1);
	if (!trace->json)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	trace->info.json = trace->json;
	return read_exactly(trace, (uint8_t *)trace->json, untrusted_json, err);
}

int gr_trace_open(gr_trace_read read, void *context, struct gr_trace **out, struct gr_error *err)
{
	struct gr_trace *trace = calloc(1, sizeof(*trace));
	if (!trace)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	trace->read = read;
	trace->context = context;
	trace->fd = -1;
	int code = read_header(trace, err);
	if (!code) {
		trace->unpack = ZSTD_createDCtx();
		trace->in_buffer = malloc(ZSTD_DStreamInSize());
		trace->damage = calloc(GR_TRACE_RECTS_MAX, sizeof(*trace->damage));
		trace->changed = calloc(GR_TRACE_RECTS_MAX, sizeof(*trace->changed));
		if (!trace->unpack || !trace->in_buffer || !trace->damage || !trace->changed)
			code = gr_error_set(err, GR_ENOMEM, "out of memory");
		else
			ZSTD_DCtx_setParameter(trace->unpack, ZSTD_d_windowLogMax, (int)GR_TRACE_WINDOW_LOG);
		trace->in.src = trace->in_buffer;
	}
	if (code) {
		gr_trace_close(trace);
		return code;
	}
	*out = trace;
	return 0;
}

int gr_trace_open_file(const char *path, struct gr_trace **out, struct gr_error *err)
{
	/* The file's descriptor lives in the trace, which does not exist yet. */
	struct gr_trace opening = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) };
	if (opening.fd < 0)
		return gr_error_errno(err, "cannot be opened");
	struct gr_trace *trace = NULL;
	int code = gr_trace_open(read_file, &opening, &trace, err);
	if (code || !trace) {
		close(opening.fd);
		return code;
	}
	trace->fd = opening.fd;
	trace->context = trace;
	*out = trace;
	return 0;
}

void gr_trace_close(struct gr_trace *trace)
{
	if (!trace)
		return;
	if (trace->fd >= 0)
		close(trace->fd);
	ZSTD_freeDCtx(trace->unpack);
	free(trace->in_buffer);
	free(trace->json);
	free(trace->damage);
	free(trace->changed);
	free(trace->packed);
	free(trace);
}

void gr_trace_info(const struct gr_trace *trace, struct gr_trace_info *out)
{
	*out = trace->info;
}

/* More of the packed stream; 0 also at the file's end, with nothing in trace->in. */
static int refill(struct gr_trace *trace, struct gr_error *err)
{
	ptrdiff_t got = trace->read(trace->context, trace->in_buffer, ZSTD_DStreamInSize());
	if (got < 0)
		return gr_error_set(err, (int)got, "cannot be read");
	trace->in.size = (size_t)got;
	trace->in.pos = 0;
	return 0;
}

/* Exactly n bytes of the unpacked stream. */
static int unpack(struct gr_trace *trace, void *into, size_t n, struct gr_error *err)
{
	if (n > trace->length - trace->taken)
		return gr_error_set(err, GR_EPROTO, "record %u: reaches beyond the length in the header", trace->next);
	ZSTD_outBuffer out = { into, n, 0 };
	while (out.pos < n) {
		if (trace->frame_ended)
			return gr_error_set(err, GR_EPROTO, "record %u: the packed stream ends inside it", trace->next);
		size_t before = out.pos;
		size_t status = ZSTD_decompressStream(trace->unpack, &out, &trace->in);
		if (ZSTD_isError(status))
			return gr_error_set(err, GR_EPROTO, "record %u: %s", trace->next, ZSTD_getErrorName(status));
		trace->frame_ended = status == 0;
		if (out.pos == before && !trace->frame_ended && trace->in.pos == trace->in.size) {
			int code = refill(trace, err);
			if (code)
				return code;
			if (trace->in.size == 0)
				return gr_error_set(err, GR_EPROTO, "record %u: the file ends inside it", trace->next);
		}
	}
	trace->taken += n;
	return 0;
}

/* After the last record: the stream's own end with its checksum, and the file's. */
static int finish(struct gr_trace *trace, struct gr_error *err)
{
	if (trace->taken != trace->length)
		return gr_error_set(err, GR_EPROTO, "has %" PRIu64 " bytes of records, its header says %" PRIu64,
				    trace->taken, trace->length);
	while (!trace->frame_ended) {
		uint8_t surplus;
		ZSTD_outBuffer out = { &surplus, 1, 0 };
		size_t before = trace->in.pos, status = ZSTD_decompressStream(trace->unpack, &out, &trace->in);
		if (ZSTD_isError(status))
			return gr_error_set(err, GR_EPROTO, "end: %s", ZSTD_getErrorName(status));
		if (out.pos)
			return gr_error_set(err, GR_EPROTO, "has more than its records");
		trace->frame_ended = status == 0;
		if (trace->in.pos == before && !trace->frame_ended) {
			int code = refill(trace, err);
			if (code)
				return code;
			if (trace->in.size == 0)
				return gr_error_set(err, GR_EPROTO, "is cut off at its end");
		}
	}
	if (trace->in.pos == trace->in.size) {
		int code = refill(trace, err);
		if (code)
			return code;
	}
	if (trace->in.pos != trace->in.size)
		return gr_error_set(err, GR_EPROTO, "has something behind its end");
	return 0;
}

static struct gr_rect clip(const struct gr_trace *trace, const uint8_t *from)
{
	int x = (int16_t)gr_trace_get16(from), y = (int16_t)gr_trace_get16(from + 2);
	int right = x + (int16_t)gr_trace_get16(from + 4), bottom = y + (int16_t)gr_trace_get16(from + 6);
	x = x < 0 ? 0 : x;
	y = y < 0 ? 0 : y;
	right = right > trace->info.width ? trace->info.width : right;
	bottom = bottom > trace->info.height ? trace->info.height : bottom;
	if (x >= right || y >= bottom)
		return (struct gr_rect){ 0 };
	return (struct gr_rect){ (uint16_t)x, (uint16_t)y, (uint16_t)(right - x), (uint16_t)(bottom - y) };
}

static int read_damage(struct gr_trace *trace, size_t n, size_t *count_out, struct gr_error *err)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t raw[GR_TRACE_RECT_SIZE] = { 0 };
		int code = unpack(trace, raw, sizeof(raw), err);
		if (code)
			return code;
		struct gr_rect rect = clip(trace, raw);
		if (rect.w)
			trace->damage[count++] = rect;
	}
	*count_out = count;
	return 0;
}

/* Rectangles that changed do not overlap, so together they are no more than the screen: it bounds a record's work. */
static int read_changed(struct gr_trace *trace, size_t n, struct gr_error *err)
{
	size_t area = 0, most = (size_t)trace->info.width * trace->info.height;
	for (size_t i = 0; i < n; i++) {
		uint8_t raw[GR_TRACE_RECT_SIZE] = { 0 };
		int code = unpack(trace, raw, sizeof(raw), err);
		if (code)
			return code;
		struct gr_rect rect = clip(trace, raw);
		if (!rect.w || rect.x != gr_trace_get16(raw) || rect.y != gr_trace_get16(raw + 2) ||
		    rect.w != gr_trace_get16(raw + 4) || rect.h != gr_trace_get16(raw + 6))
			return gr_error_set(err, GR_EPROTO, "record %u: a changed rectangle lies outside the screen",
					    trace->next);
		area += (size_t)rect.w * rect.h;
		if (area > most)
			return gr_error_set(err, GR_EPROTO,
					    "record %u: its changed rectangles are larger than the screen",
					    trace->next);
		trace->changed[i] = rect;
	}
	return 0;
}

static uint32_t pixel(uint8_t green, uint8_t blue, uint8_t red)
{
	return 0xff000000u | (uint32_t)(uint8_t)(red + green) << 16 | (uint32_t)green << 8 | (uint8_t)(blue + green);
}

static void paint_interleaved(const struct gr_trace *trace, struct gr_rect rect, uint32_t *pixels)
{
	const uint8_t *from = trace->packed;
	for (size_t y = 0; y < rect.h; y++) {
		uint32_t *row = pixels + (rect.y + y) * trace->info.width + rect.x;
		uint8_t green = 0, blue = 0, red = 0;
		for (size_t x = 0; x < rect.w; x++, from += 3) {
			green = (uint8_t)(green + from[0]);
			blue = (uint8_t)(blue + from[1]);
			red = (uint8_t)(red + from[2]);
			row[x] = pixel(green, blue, red);
		}
	}
}

static void paint_planar(const struct gr_trace *trace, struct gr_rect rect, uint32_t *pixels)
{
	size_t w = rect.w, area = w * rect.h;
	for (size_t plane = 0; plane < 3; plane++) {
		uint8_t *at = trace->packed + plane * area;
		for (size_t x = 1; x < w; x++)
			at[x] = (uint8_t)(at[x] + at[x - 1]);
		for (size_t y = 1; y < rect.h; y++) {
			const uint8_t *above = at;
			at += w;
			at[0] = (uint8_t)(at[0] + above[0]);
			for (size_t x = 1; x < w; x++)
				at[x] = (uint8_t)(at[x] + gr_trace_predict(at[x - 1], above[x], above[x - 1]));
		}
	}
	const uint8_t *green = trace->packed, *blue = green + area, *red = blue + area;
	for (size_t y = 0; y < rect.h; y++) {
		uint32_t *row = pixels + (rect.y + y) * trace->info.width + rect.x;
		for (size_t x = 0; x < w; x++)
			row[x] = pixel(green[y * w + x], blue[y * w + x], red[y * w + x]);
	}
}

static int paint(struct gr_trace *trace, struct gr_rect rect, int planar, uint32_t *pixels, struct gr_error *err)
{
	size_t area = (size_t)rect.w * rect.h; /* at most GR_SCREEN_MAX squared */
	if (area > trace->packed_pixels) {
		uint8_t *packed = realloc(trace->packed, area * 3);
		if (!packed)
			return gr_error_set(err, GR_ENOMEM, "out of memory");
		trace->packed = packed;
		trace->packed_pixels = area;
	}
	int code = unpack(trace, trace->packed, area * 3, err);
	if (code)
		return code;
	if (planar)
		paint_planar(trace, rect, pixels);
	else
		paint_interleaved(trace, rect, pixels);
	return 0;
}

int gr_trace_next(struct gr_trace *trace, uint32_t *pixels, struct gr_trace_frame *out, struct gr_error *err)
{
	if (trace->next == trace->info.records)
		return finish(trace, err);
	uint8_t head[GR_TRACE_RECORD_SIZE] = { 0 };
	int code = unpack(trace, head, sizeof(head), err);
	if (code)
		return code;
	uint64_t time_us = gr_trace_get64(head + 8), hash = gr_trace_get64(head + 24);
	uint32_t flags = gr_trace_get32(head + 20);
	size_t changed_count = gr_trace_get16(head + 18), damage_count = 0;
	if (gr_trace_get32(head) != GR_TRACE_RECORD_MAGIC || gr_trace_get32(head + 4) != trace->next)
		return gr_error_set(err, GR_EPROTO, "record %u: something else stands in its place", trace->next);
	if (time_us < trace->time_us)
		return gr_error_set(err, GR_EPROTO, "record %u: its time is before the last one's", trace->next);
	if (flags & ~GR_TRACE_FLAG_PLANAR)
		return gr_error_set(err, GR_EPROTO, "record %u: unknown flags 0x%x", trace->next, flags);
	code = read_damage(trace, gr_trace_get16(head + 16), &damage_count, err);
	if (!code)
		code = read_changed(trace, changed_count, err);
	if (code)
		return code;
	if (trace->next == 0 && (changed_count != 1 || trace->changed[0].w != trace->info.width ||
				 trace->changed[0].h != trace->info.height))
		return gr_error_set(err, GR_EPROTO, "record 0: it is not the whole screen");
	for (size_t i = 0; i < changed_count && !code; i++)
		code = paint(trace, trace->changed[i], (flags & GR_TRACE_FLAG_PLANAR) != 0, pixels, err);
	if (code)
		return code;
	if (hash && hash != gr_trace_hash(pixels, (size_t)trace->info.width * trace->info.height))
		return gr_error_set(err, GR_EPROTO, "record %u: the picture is not the one that its hash is of",
				    trace->next);
	trace->time_us = time_us;
	*out = (struct gr_trace_frame){ trace->next++, time_us,        trace->damage,
					damage_count,  trace->changed, changed_count };
	return 1;
}
