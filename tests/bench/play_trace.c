/*
 * Shows a recorded screen (bench/trace.h) on an X server as a browser would, at a steady pace: play_trace SOCKET TRACE FROM COUNT FPS SECONDS
 *
 * At most COUNT records from FROM on are unpacked into memory that the server shares, and then put into a window that covers all, forwards and
 * backwards in turns. Each frame is as large as what was reported damaged when it was recorded, and carries its number, in 16 squares of
 * 8 by 8 pixels at 16,320, for screen_watch. SOCKET as there. Answers "ready" and waits for a line, plays, and prints "NUMBER:MICROSECONDS"
 * (CLOCK_MONOTONIC) of every frame.
 */
#include "bench/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>

enum { BIT = 8, BITS = 16, NUMBER_X = 16, NUMBER_Y = 320, RECTS_MAX = 64 };

struct frame {
	struct gr_rect damage[RECTS_MAX];
	size_t count;
};

static xcb_connection_t *x;
static xcb_window_t window;
static xcb_gcontext_t gc;
static xcb_shm_seg_t segment;

static int connect_server(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	x = xcb_connect_to_fd(fd, NULL);
	return xcb_connection_has_error(x) ? -1 : 0;
}

/* Reads up to so many pictures, one behind the other, and what was damaged between each and the one before. */
static int read_frames(const char *file, unsigned from, unsigned *count_in_out, struct gr_trace_info *info,
		       struct frame *frames, int *memory_out)
{
	struct gr_trace *trace;
	struct gr_error err = { 0 };
	if (gr_trace_open_file(file, &trace, &err) < 0) {
		fprintf(stderr, "play_trace: %s\n", err.text);
		return -1;
	}
	gr_trace_info(trace, info);
	const unsigned count = *count_in_out;
	size_t size = (size_t)info->width * info->height * 4;
	int memory = memfd_create("play-trace", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, (off_t)(size * count)) < 0)
		return -1;
	uint8_t *pictures = mmap(NULL, size * count, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	uint32_t *pixels = calloc(1, size);
	if (pictures == MAP_FAILED || !pixels)
		return -1;
	unsigned have = 0;
	struct gr_trace_frame frame;
	while (have < count && gr_trace_next(trace, pixels, &frame, &err) > 0) {
		if (frame.sequence < from || (frame.changed_count == 0 && frame.sequence > from))
			continue;
		frames[have].count = frame.damage_count < RECTS_MAX ? frame.damage_count : 1;
		frames[have].damage[0] = (struct gr_rect){ 0, 0, info->width, info->height };
		if (frame.damage_count < RECTS_MAX)
			memcpy(frames[have].damage, frame.damage, frame.damage_count * sizeof(*frame.damage));
		memcpy(pictures + size * have++, pixels, size);
	}
	free(pixels);
	gr_trace_close(trace);
	munmap(pictures, size * count);
	*memory_out = memory;
	*count_in_out = have;
	return have > 1 ? 0 : -1;
}

static void put(const struct gr_trace_info *info, struct gr_rect rect, unsigned picture)
{
	xcb_shm_put_image(x, window, gc, info->width, info->height, rect.x, rect.y, rect.w, rect.h, (int16_t)rect.x,
			  (int16_t)rect.y, 24, XCB_IMAGE_FORMAT_Z_PIXMAP, 0, segment,
			  (uint32_t)((size_t)picture * info->width * info->height * 4));
}

static void put_number(unsigned number)
{
	uint32_t pixels[BIT][BITS * BIT];
	for (unsigned bit = 0; bit < BITS; bit++)
		for (unsigned y = 0; y < BIT; y++)
			for (unsigned i = 0; i < BIT; i++)
				pixels[y][bit * BIT + i] = number >> bit & 1 ? 0xffffff : 0;
	xcb_put_image(x, XCB_IMAGE_FORMAT_Z_PIXMAP, window, gc, BITS * BIT, BIT, NUMBER_X, NUMBER_Y, 0, 24,
		      sizeof(pixels), (const uint8_t *)pixels);
}

static void open_window(const struct gr_trace_info *info, int memory)
{
	xcb_screen_t *screen = xcb_setup_roots_iterator(xcb_get_setup(x)).data;
	window = xcb_generate_id(x);
	const uint32_t override = 1;
	xcb_create_window(x, XCB_COPY_FROM_PARENT, window, screen->root, 0, 0, info->width, info->height, 0,
			  XCB_WINDOW_CLASS_INPUT_OUTPUT, screen->root_visual, XCB_CW_OVERRIDE_REDIRECT, &override);
	gc = xcb_generate_id(x);
	xcb_create_gc(x, gc, window, 0, NULL);
	free(xcb_shm_query_version_reply(x, xcb_shm_query_version(x), NULL));
	segment = xcb_generate_id(x);
	xcb_shm_attach_fd(x, segment, memory, 1);
	xcb_map_window(x, window);
	put(info, (struct gr_rect){ 0, 0, info->width, info->height }, 0);
	free(xcb_get_input_focus_reply(x, xcb_get_input_focus(x), NULL));
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fputs("usage: play_trace SOCKET TRACE FROM COUNT FPS SECONDS\n", stderr);
		return 2;
	}
	unsigned count = (unsigned)atoi(argv[4]), fps = (unsigned)atoi(argv[5]), total = fps * (unsigned)atoi(argv[6]);
	struct gr_trace_info info;
	struct frame *frames = calloc(count ? count : 1, sizeof(*frames));
	int memory;
	/* The segment's offset has 32 bits. */
	if (!frames || count < 2 || count > 500 || !fps || total > 65535 ||
	    read_frames(argv[2], (unsigned)atoi(argv[3]), &count, &info, frames, &memory) < 0 ||
	    connect_server(argv[1]) < 0) {
		fputs("play_trace: no such server, or no such trace\n", stderr);
		return 1;
	}
	open_window(&info, memory);
	puts("ready");
	fflush(stdout);
	char line[20];
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	for (unsigned n = 1; n <= total; n++) {
		unsigned turn = n % (2 * (count - 1)), now = turn < count ? turn : 2 * (count - 1) - turn;
		const struct frame *frame = &frames[turn < count ? now : now + 1];
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		struct timespec shown;
		clock_gettime(CLOCK_MONOTONIC, &shown);
		for (size_t i = 0; i < frame->count; i++)
			put(&info, frame->damage[i], now);
		put_number(n);
		xcb_flush(x);
		printf("%u:%llu ", n,
		       (unsigned long long)shown.tv_sec * 1000000u + (unsigned long long)shown.tv_nsec / 1000u);
		at.tv_nsec += 1000000000 / (long)fps;
		if (at.tv_nsec >= 1000000000)
			at.tv_sec++, at.tv_nsec -= 1000000000;
	}
	putchar('\n');
	return xcb_connection_has_error(x);
}
