/*
 * What an X server shows, read by GetImage: screen_of [--pointer] SOCKET FILE.ppm
 * SOCKET is the path of the server's socket, which may be inside a container (/proc/PID/root/…). --pointer: with the pointer, which
 * GetImage leaves out.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <xcb/xcb.h>
#include <xcb/xfixes.h>

/* Draws the pointer into the pixels where it is not transparent. 0 or -1. */
static int draw_pointer(xcb_connection_t *x, uint8_t *pixels, int width, int height)
{
	free(xcb_xfixes_query_version_reply(x, xcb_xfixes_query_version(x, 1, 0), NULL));
	xcb_xfixes_get_cursor_image_reply_t *cursor =
		xcb_xfixes_get_cursor_image_reply(x, xcb_xfixes_get_cursor_image(x), NULL);
	if (!cursor)
		return -1;
	const uint32_t *image = xcb_xfixes_get_cursor_image_cursor_image(cursor);
	for (int row = 0; row < cursor->height; row++)
		for (int column = 0; column < cursor->width; column++) {
			int at_x = cursor->x - cursor->xhot + column, at_y = cursor->y - cursor->yhot + row;
			uint32_t pixel = image[row * cursor->width + column];
			if (pixel >> 24 && at_x >= 0 && at_y >= 0 && at_x < width && at_y < height)
				memcpy(pixels + 4 * ((size_t)at_y * (size_t)width + (size_t)at_x), &pixel, 4);
		}
	free(cursor);
	return 0;
}

int main(int argc, char **argv)
{
	int pointer = argc > 1 && strcmp(argv[1], "--pointer") == 0;
	argc -= pointer;
	argv += pointer;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: screen_of [--pointer] SOCKET FILE.ppm\n");
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(argv[1]);
		return 1;
	}
	xcb_connection_t *x = xcb_connect_to_fd(fd, NULL);
	if (xcb_connection_has_error(x)) {
		fprintf(stderr, "%s: the X server refuses\n", argv[1]);
		return 1;
	}
	const xcb_screen_t *screen = xcb_setup_roots_iterator(xcb_get_setup(x)).data;
	/* The root's geometry, not the setup's: RandR may have changed it since. */
	xcb_get_geometry_reply_t *size = xcb_get_geometry_reply(x, xcb_get_geometry(x, screen->root), NULL);
	xcb_get_image_reply_t *image = !size ? NULL
					     : xcb_get_image_reply(x,
								   xcb_get_image(x, XCB_IMAGE_FORMAT_Z_PIXMAP,
										 screen->root, 0, 0, size->width,
										 size->height, UINT32_MAX),
								   NULL);
	FILE *out = image ? fopen(argv[2], "wb") : NULL;
	if (!out) {
		fprintf(stderr, "%s: no image\n", argv[1]);
		return 1;
	}
	fprintf(out, "P6\n%u %u\n255\n", size->width, size->height);
	uint8_t *pixels = xcb_get_image_data(image);
	if (pointer && draw_pointer(x, pixels, size->width, size->height) < 0) {
		fprintf(stderr, "%s: no pointer\n", argv[1]);
		return 1;
	}
	for (size_t i = 0; i < (size_t)size->width * size->height; i++) {
		const uint8_t *p = pixels + i * 4;
		const uint8_t rgb[] = { p[2], p[1], p[0] };
		fwrite(rgb, 1, sizeof(rgb), out);
	}
	free(size);
	free(image);
	xcb_disconnect(x);
	return fclose(out) ? 1 : 0;
}
