/* The pointer: where it is on the picture, its image, buttons and wheel. */
#include "viewer/window_state.h"

#include <stdlib.h>

/* Window coordinates to the picture's. Returns 0 when outside; *x and *y are then the nearest pixel. */
static int to_picture(struct gr_window *window, int wx, int wy, uint16_t *x, uint16_t *y)
{
	const struct gr_viewer *viewer = window->viewer;
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	SDL_Rect place = gr_draw_place(window->draw, viewer, width, height);
	if (viewer->width == 0 || place.w <= 0 || place.h <= 0)
		return 0;
	int px = (int)((int64_t)(wx - place.x) * viewer->width / place.w),
	    py = (int)((int64_t)(wy - place.y) * viewer->height / place.h);
	int inside = wx >= place.x && wy >= place.y && wx < place.x + place.w && wy < place.y + place.h;
	px = px < 0 ? 0 : px >= viewer->width ? viewer->width - 1 : px;
	py = py < 0 ? 0 : py >= viewer->height ? viewer->height - 1 : py;
	*x = (uint16_t)px;
	*y = (uint16_t)py;
	return inside;
}

/* Whether the remote pointer, here, stays within the picture: a page could otherwise put an image of its own over bar and border. */
static int remote_cursor_fits(const struct gr_window *window)
{
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	SDL_Rect place = gr_draw_place(window->draw, window->viewer, width, height), box = window->remote_box;
	box.x += window->motion_x;
	box.y += window->motion_y;
	return box.x >= place.x && box.y >= place.y && box.x + box.w <= place.x + place.w &&
	       box.y + box.h <= place.y + place.h;
}

void gr_window_choose_cursor(struct gr_window *window)
{
	int remote = window->over_picture && window->remote && remote_cursor_fits(window);
	int hidden = remote && window->viewer->state == GR_VIEWER_SHOWN && window->viewer->cursor.width == 0;
	SDL_Cursor *cursor = remote ? window->remote : window->arrow;
	SDL_ShowCursor(hidden ? SDL_DISABLE : SDL_ENABLE);
	if (SDL_GetCursor() != cursor)
		SDL_SetCursor(cursor);
}

/* The smallest rectangle around its pixels that are not transparent, from the hot spot. */
static SDL_Rect box_of_cursor(const struct gr_viewer *viewer)
{
	int left = viewer->cursor.width, top = viewer->cursor.height, right = 0, bottom = 0;
	for (int y = 0; y < viewer->cursor.height; y++)
		for (int x = 0; x < viewer->cursor.width; x++) {
			if (!(viewer->cursor.pixels[y * viewer->cursor.width + x] >> 24))
				continue;
			left = x < left ? x : left;
			top = y < top ? y : top;
			right = x + 1 > right ? x + 1 : right;
			bottom = y + 1 > bottom ? y + 1 : bottom;
		}
	if (!right)
		return (SDL_Rect){ 0 };
	return (SDL_Rect){ left - viewer->cursor.hot_x, top - viewer->cursor.hot_y, right - left, bottom - top };
}

void gr_window_update_cursor(struct gr_window *window)
{
	struct gr_viewer *viewer = window->viewer;
	static const uint32_t nothing;
	int shown = viewer->cursor.width != 0;
	int width = shown ? viewer->cursor.width : 1, height = shown ? viewer->cursor.height : 1;
	SDL_Surface *image =
		SDL_CreateRGBSurfaceWithFormatFrom((void *)(uintptr_t)(shown ? viewer->cursor.pixels : &nothing), width,
						   height, 32, width * 4, SDL_PIXELFORMAT_ARGB8888);
	SDL_Cursor *cursor = image ? SDL_CreateColorCursor(image, viewer->cursor.hot_x, viewer->cursor.hot_y) : NULL;
	SDL_FreeSurface(image);
	SDL_Cursor *old = window->remote;
	window->remote = cursor;
	window->remote_box = box_of_cursor(viewer);
	gr_window_choose_cursor(window);
	SDL_FreeCursor(old);
}

void gr_window_send_motion(struct gr_window *window)
{
	if (!window->motion_waits)
		return;
	window->motion_waits = 0;
	uint16_t x = 0, y = 0;
	int inside = to_picture(window, window->motion_x, window->motion_y, &x, &y);
	window->over_picture = inside;
	gr_window_choose_cursor(window);
	/* A drag goes on outside the picture. */
	if (window->viewer->width && (inside || window->viewer->buttons))
		gr_viewer_pointer(window->viewer, x, y, window->viewer->buttons);
}

void gr_window_motion(struct gr_window *window, int x, int y)
{
	window->motion_waits = 1;
	window->motion_x = x;
	window->motion_y = y;
}

void gr_window_button(struct gr_window *window, const SDL_MouseButtonEvent *event)
{
	static const uint32_t masks[] = {
		[SDL_BUTTON_LEFT] = 1, [SDL_BUTTON_MIDDLE] = 2, [SDL_BUTTON_RIGHT] = 4, [SDL_BUTTON_X1] = 0x80
	};
	struct gr_viewer *viewer = window->viewer;
	uint16_t x = 0, y = 0;
	if (event->button >= sizeof(masks) / sizeof(*masks) || !masks[event->button])
		return;
	int inside = to_picture(window, event->x, event->y, &x, &y);
	uint32_t mask = masks[event->button];
	if (!viewer->width || (event->state == SDL_PRESSED && !inside))
		return;
	if (event->state == SDL_RELEASED && !(viewer->buttons & mask))
		return;
	gr_viewer_pointer(viewer, x, y, event->state == SDL_PRESSED ? viewer->buttons | mask : viewer->buttons & ~mask);
	SDL_CaptureMouse(viewer->buttons ? SDL_TRUE : SDL_FALSE);
}

void gr_window_wheel(struct gr_window *window, const SDL_MouseWheelEvent *event)
{
	struct gr_viewer *viewer = window->viewer;
	int wx, wy;
	uint16_t x = 0, y = 0;
	SDL_GetMouseState(&wx, &wy);
	if (!to_picture(window, wx, wy, &x, &y))
		return;
	for (int i = 0; i < abs(event->y) && i < 20; i++) {
		gr_viewer_pointer(viewer, x, y, viewer->buttons | (event->y > 0 ? 8u : 16u));
		gr_viewer_pointer(viewer, x, y, viewer->buttons & ~(8u | 16u));
	}
	for (int i = 0; i < abs(event->x) && i < 20; i++) {
		gr_viewer_pointer(viewer, x, y, viewer->buttons | (event->x < 0 ? 32u : 64u));
		gr_viewer_pointer(viewer, x, y, viewer->buttons & ~(32u | 64u));
	}
}
