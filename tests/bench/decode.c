/*
 * What the viewer's decoder process takes for each update: decode_time CAPTURE HISTORY QUALITY
 *
 * CAPTURE is what garasu-viewer --capture kept, HISTORY and QUALITY the options of that viewer. Guard and decoder are those of
 * viewer/decoder.c, and are given the bytes in pieces of a TLS record, as there. Prints one line for each update: its CPU time in
 * microseconds, and the pixels of its rectangles.
 */
#include "broker/guard/guard.h"
#include "viewer/channel.h"
#include "viewer/rfb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PIECE 16384u

struct bench {
	FILE *file;
	struct gr_guard *guard;
	uint64_t began_ns, reading_ns;
};

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct bench *bench = context;
	for (;;) {
		size_t n = 0;
		const uint8_t *passed = gr_guard_down_passed(bench->guard, &n);
		if (n) {
			*got = n < room ? n : room;
			memcpy(into, passed, *got);
			gr_guard_down_sent(bench->guard, *got);
			return 0;
		}
		uint8_t *to = gr_guard_down_room(bench->guard, &n);
		if (!to)
			return GR_EPROTO;
		uint64_t before = cpu_ns();
		n = fread(to, 1, n < PIECE ? n : PIECE, bench->file);
		bench->reading_ns += cpu_ns() - before;
		if (!n)
			return GR_ECLOSED;
		int status = gr_guard_down_took(bench->guard, n);
		if (status)
			return status;
	}
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	(void)flags;
	struct bench *bench = context;
	uint64_t took = cpu_ns() - bench->began_ns - bench->reading_ns;
	size_t pixels = 0;
	for (size_t i = 0; i < count; i++)
		pixels += (size_t)rects[i].w * rects[i].h;
	printf("%.1f %zu\n", (double)took / 1000.0, pixels);
	bench->reading_ns = 0;
	bench->began_ns = cpu_ns();
	return 0;
}

static int on_size(void *context, uint16_t width, uint16_t height)
{
	(void)context, (void)width, (void)height;
	return 0;
}

static int on_cursor(void *context, uint16_t width, uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	(void)context, (void)width, (void)height, (void)hot_x, (void)hot_y;
	return 0;
}

static int on_notice(void *context, unsigned reason)
{
	(void)context, (void)reason;
	return 0;
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	(void)context, (void)known, (void)rect;
	return 0;
}

static int on_text_result(void *context, uint32_t sequence, unsigned result)
{
	(void)context, (void)sequence, (void)result;
	return 0;
}

static int send_nothing(void *context, const void *bytes, size_t n)
{
	(void)context, (void)bytes, (void)n;
	return 0;
}

int main(int argc, char **argv)
{
	struct bench bench = { .file = argc == 4 ? fopen(argv[1], "rb") : NULL };
	if (!bench.file) {
		fputs("usage: decode_time CAPTURE HISTORY QUALITY\n", stderr);
		return 2;
	}
	uint32_t *picture = mmap(NULL, GR_PICTURE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct gr_rfb_memory memory = { .pixels = picture,
					.stride = GR_PICTURE_STRIDE,
					.max_width = GR_SCREEN_MAX,
					.max_height = GR_SCREEN_MAX,
					.cursor = picture + GR_PICTURE_PIXELS };
	struct gr_rfb_settings settings = { .history_log2 = (unsigned)atoi(argv[2]),
					    .quality = atoi(argv[3]),
					    .send = send_nothing };
	struct gr_guard_settings guard = { .max_width = GR_SCREEN_MAX,
					   .max_height = GR_SCREEN_MAX,
					   .history_log2 = settings.history_log2 };
	struct gr_rfb_events events = { .size = on_size,
					.size_refused = on_size,
					.update = on_update,
					.cursor = on_cursor,
					.notice = on_notice,
					.caret = on_caret,
					.text_result = on_text_result };
	struct gr_reader reader;
	struct gr_error err = { 0 };
	bench.guard = gr_guard_create(&guard);
	if (picture == MAP_FAILED || !bench.guard || gr_reader_init(&reader, refill, &bench))
		return 1;
	gr_guard_assume_viewer(bench.guard, settings.quality > 0);
	struct gr_rfb *rfb = gr_rfb_create(&reader, &memory, &events, &settings, &bench);
	int status = rfb ? gr_rfb_begin(rfb, &err) : GR_ENOMEM;
	while (!status && !(status = gr_reader_wait(&reader))) {
		if (!bench.began_ns)
			bench.began_ns = cpu_ns();
		status = gr_rfb_read(rfb, &err);
	}
	if (status != GR_ECLOSED)
		fprintf(stderr, "decode: %s\n", err.text);
	return status == GR_ECLOSED ? 0 : 1;
}
