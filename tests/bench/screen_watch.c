/*
 * When a pixel of an X server changes, as any client of it sees it: screen_watch SOCKET
 *
 * SOCKET is the path of the server's socket, which may be inside a container (/proc/PID/root/…). Lines on standard input:
 *
 *     watch X Y W H   the part of the screen that the next commands look at
 *     press KEYCODE   presses and releases a key (XTest), and answers with the milliseconds from before the press until that part of
 *                     the screen is another one: damage is reported, and reading it gives other pixels
 *     still MS        waits until nothing was damaged there for so long
 *     colour RRGGBB MS  waits until the first pixel is of that colour, and answers with the microsecond of CLOCK_MONOTONIC
 *     frames MS       reads there the numbers that play_trace shows, and answers with "NUMBER:MICROSECONDS" (CLOCK_MONOTONIC) of each
 *                     that was seen
 *
 * Each is answered by a line, "ok …" or "error …".
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xcb/damage.h>
#include <xcb/xcb.h>
#include <xcb/xtest.h>

enum { CHANGE_MS = 10000, STILL_MS = 30000, BIT = 8, BITS = 16, PIXELS_MAX = 1 << 20 };

static xcb_connection_t *x;
static xcb_window_t root;
static uint8_t damage_event;
static xcb_rectangle_t part;
static uint32_t before[PIXELS_MAX], now[PIXELS_MAX];

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int open_display(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	x = xcb_connect_to_fd(fd, NULL);
	if (xcb_connection_has_error(x))
		return -1;
	root = xcb_setup_roots_iterator(xcb_get_setup(x)).data->root;
	const xcb_query_extension_reply_t *damage = xcb_get_extension_data(x, &xcb_damage_id);
	if (!damage || !damage->present)
		return -1;
	damage_event = damage->first_event;
	free(xcb_damage_query_version_reply(x, xcb_damage_query_version(x, 1, 1), NULL));
	free(xcb_test_get_version_reply(x, xcb_test_get_version(x, 2, 2), NULL));
	xcb_damage_create(x, xcb_generate_id(x), root, XCB_DAMAGE_REPORT_LEVEL_RAW_RECTANGLES);
	xcb_flush(x);
	return 0;
}

static int touches(const xcb_rectangle_t *a)
{
	return a->x < part.x + part.width && a->x + a->width > part.x && a->y < part.y + part.height &&
	       a->y + a->height > part.y;
}

/* Whether the part was damaged; what else there is is thrown away. */
static int take_events(void)
{
	int damaged = 0;
	for (xcb_generic_event_t *event; (event = xcb_poll_for_event(x)); free(event))
		if ((event->response_type & 0x7f) == damage_event + XCB_DAMAGE_NOTIFY)
			damaged |= touches(&((const xcb_damage_notify_event_t *)event)->area);
	return damaged;
}

/* Until the part is damaged or the deadline has come: 1, 0; -1 when the server is gone. */
static int wait_damage(uint64_t until_us)
{
	for (;;) {
		if (take_events())
			return 1;
		uint64_t at = now_us();
		if (xcb_connection_has_error(x))
			return -1;
		if (at >= until_us)
			return 0;
		struct pollfd fd = { xcb_get_file_descriptor(x), POLLIN, 0 };
		poll(&fd, 1, (int)((until_us - at) / 1000 + 1));
	}
}

static int look(uint32_t *into)
{
	xcb_get_image_reply_t *image = xcb_get_image_reply(
		x,
		xcb_get_image(x, XCB_IMAGE_FORMAT_Z_PIXMAP, root, part.x, part.y, part.width, part.height, UINT32_MAX),
		NULL);
	size_t size = (size_t)part.width * part.height * 4;
	int good = image && (size_t)xcb_get_image_data_length(image) == size;
	if (good)
		memcpy(into, xcb_get_image_data(image), size);
	free(image);
	return good ? 0 : -1;
}

static int same(void)
{
	for (size_t i = 0; i < (size_t)part.width * part.height; i++)
		if ((before[i] ^ now[i]) & 0xffffffu)
			return 0;
	return 1;
}

static void press(unsigned keycode)
{
	if (look(before) < 0) {
		puts("error the screen cannot be read");
		return;
	}
	take_events();
	uint64_t began = now_us(), until = began + CHANGE_MS * 1000u, seen = 0;
	xcb_test_fake_input(x, XCB_KEY_PRESS, (uint8_t)keycode, XCB_CURRENT_TIME, root, 0, 0, 0);
	xcb_flush(x);
	while (!seen && wait_damage(until) > 0)
		if (look(now) == 0 && !same())
			seen = now_us();
	xcb_test_fake_input(x, XCB_KEY_RELEASE, (uint8_t)keycode, XCB_CURRENT_TIME, root, 0, 0, 0);
	xcb_flush(x);
	if (seen)
		printf("ok %.3f\n", (double)(seen - began) / 1000.0);
	else
		puts("error nothing changed");
}

static void still(unsigned ms)
{
	uint64_t until = now_us() + STILL_MS * 1000u;
	int damaged = 1;
	while (damaged > 0 && now_us() < until)
		damaged = wait_damage(now_us() + (uint64_t)ms * 1000u);
	puts(damaged ? "error it does not come to rest" : "ok");
}

static void colour(unsigned wanted, unsigned ms)
{
	uint64_t until = now_us() + (uint64_t)ms * 1000u;
	do {
		if (look(now) == 0 && (now[0] & 0xffffffu) == wanted) {
			printf("ok %llu\n", (unsigned long long)now_us());
			return;
		}
	} while (wait_damage(until) > 0);
	puts("error it never was");
}

static void frames(unsigned ms)
{
	uint64_t until = now_us() + (uint64_t)ms * 1000u;
	int last = -1;
	fputs("ok", stdout);
	while (wait_damage(until) > 0 && look(now) == 0) {
		int number = 0;
		for (unsigned bit = 0; bit < BITS; bit++)
			number |= ((now[bit * BIT + BIT / 2 + part.width * (BIT / 2u)] & 0xff) > 127) << bit;
		if (number != last)
			printf(" %d:%llu", number, (unsigned long long)now_us());
		last = number;
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: screen_watch SOCKET\n", stderr);
		return 2;
	}
	if (open_display(argv[1]) < 0) {
		fprintf(stderr, "%s: no X server with DAMAGE and XTEST\n", argv[1]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	for (char line[200]; fgets(line, sizeof(line), stdin);) {
		unsigned a, b, w, h;
		if (sscanf(line, "watch %u %u %u %u", &a, &b, &w, &h) == 4 && w && h && w <= 4096 &&
		    h <= PIXELS_MAX / w) {
			part = (xcb_rectangle_t){ (int16_t)a, (int16_t)b, (uint16_t)w, (uint16_t)h };
			puts("ok");
		} else if (part.width && sscanf(line, "press %u", &a) == 1) {
			press(a);
		} else if (part.width && sscanf(line, "still %u", &a) == 1) {
			still(a);
		} else if (part.width && sscanf(line, "colour %x %u", &a, &b) == 2) {
			colour(a, b);
		} else if (part.width >= BIT * BITS && part.height >= BIT && sscanf(line, "frames %u", &a) == 1) {
			frames(a);
		} else {
			puts("error no such command");
		}
	}
	return 0;
}
