/*
 * The reader of traces. The first byte chooses: an even one is followed by a file as it is; an odd one by a file whose stream
 * is not packed yet, which is packed here (or no change would get past zstd's checksum), with the right length in its
 * header unless bit 1 is set.
 */
#include "bench/trace.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { HEADER = 64, LENGTH_AT = 40, JSON_AT = 48, PIXELS_MAX = 256 * 256, RECORDS_MAX = 64 };

struct input {
	const uint8_t *data;
	size_t size, at;
};

static ptrdiff_t read_input(void *context, void *into, size_t n)
{
	struct input *input = context;
	size_t left = input->size - input->at;
	n = n < left ? n : left;
	memcpy(into, input->data + input->at, n);
	input->at += n;
	return (ptrdiff_t)n;
}

static void read_trace(const uint8_t *data, size_t size)
{
	struct input input = { data, size, 0 };
	struct gr_trace *trace = NULL;
	struct gr_trace_info info;
	struct gr_trace_frame frame;
	struct gr_error err;
	if (gr_trace_open(read_input, &input, &trace, &err))
		return;
	gr_trace_info(trace, &info);
	size_t area = (size_t)info.width * info.height;
	uint32_t *pixels = area <= PIXELS_MAX ? calloc(area, sizeof(*pixels)) : NULL;
	for (unsigned i = 0; pixels && i < RECORDS_MAX && gr_trace_next(trace, pixels, &frame, &err) == 1; i++) {
		for (size_t k = 0; k < frame.damage_count; k++)
			if (!frame.damage[k].w || !frame.damage[k].h ||
			    frame.damage[k].x + frame.damage[k].w > info.width ||
			    frame.damage[k].y + frame.damage[k].h > info.height)
				abort();
		for (size_t k = 0; k < frame.changed_count; k++)
			if (!frame.changed[k].w || !frame.changed[k].h ||
			    frame.changed[k].x + frame.changed[k].w > info.width ||
			    frame.changed[k].y + frame.changed[k].h > info.height)
				abort();
	}
	free(pixels);
	gr_trace_close(trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	unsigned choice = *data++;
	size--;
	if (choice % 2 == 0) {
		read_trace(data, size);
		return 0;
	}
	if (size < HEADER)
		return 0;
	size_t json = (size_t)data[JSON_AT] | (size_t)data[JSON_AT + 1] << 8;
	size_t head = json < size - HEADER ? HEADER + json : size, stream = size - head;
	size_t capacity = head + ZSTD_compressBound(stream);
	uint8_t *file = malloc(capacity);
	if (!file)
		return 0;
	memcpy(file, data, head);
	for (size_t i = 0; i < 8 && !(choice & 2); i++)
		file[LENGTH_AT + i] = (uint8_t)((uint64_t)stream >> 8 * i);
	size_t n = ZSTD_compress(file + head, capacity - head, data + head, stream, 1);
	if (!ZSTD_isError(n))
		read_trace(file, head + n);
	free(file);
	return 0;
}
