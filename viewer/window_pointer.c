/* The pointer: where it is on the picture, its image, buttons and wheel. */
#include "viewer/window_state.h"

#include <stdlib.h>

enum {
	WHEEL_AT_ONCE = 20, /* notches of one event */
	NOTCH = 120, /* pixels at 100 % that a notch moves a page by */
	FINGER_SLOP = 12, /* pixels at 100 % */
};

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

static void point(struct gr_window *window, uint16_t x, uint16_t y, uint32_t buttons)
{
	window->sent_x = x;
	window->sent_y = y;
	gr_viewer_pointer(window->viewer, x, y, buttons);
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
		point(window, x, y, window->viewer->buttons);
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
	point(window, x, y, event->state == SDL_PRESSED ? viewer->buttons | mask : viewer->buttons & ~mask);
	SDL_CaptureMouse(viewer->buttons ? SDL_TRUE : SDL_FALSE);
}

/* Presses a button of the wheel's so often. */
static void turn(struct gr_window *window, uint16_t x, uint16_t y, int notches, uint32_t forward, uint32_t back)
{
	struct gr_viewer *viewer = window->viewer;
	for (int i = 0; i < abs(notches) && i < WHEEL_AT_ONCE; i++) {
		point(window, x, y, viewer->buttons | (notches > 0 ? forward : back));
		point(window, x, y, viewer->buttons & ~(forward | back));
	}
}

/* Whole notches of what was turned; the rest waits for more, unless the direction is another one now. */
static int notches_of(float *rest, float turned)
{
	if (*rest * turned < 0)
		*rest = 0;
	*rest += turned;
	int notches = (int)*rest;
	*rest -= (float)notches;
	return notches;
}

/*
 * A browser behind an X server without a wheel of its own, as in the container, knows whole notches only. The direction is
 * as the person's desktop has set it (SDL_MOUSEWHEEL_FLIPPED says that it was turned round, and is not to be turned back).
 */
void gr_window_wheel(struct gr_window *window, const SDL_MouseWheelEvent *event)
{
	int wx, wy;
	uint16_t x = 0, y = 0;
	SDL_GetMouseState(&wx, &wy);
	if (!to_picture(window, wx, wy, &x, &y))
		return;
	turn(window, x, y, notches_of(&window->wheel_y, event->preciseY), 8, 16);
	turn(window, x, y, notches_of(&window->wheel_x, event->preciseX), 64, 32);
}

static void press(struct gr_window *window, uint16_t x, uint16_t y, uint32_t button)
{
	point(window, x, y, window->viewer->buttons);
	point(window, x, y, window->viewer->buttons | button);
	point(window, x, y, window->viewer->buttons & ~button);
}

void gr_window_finger(struct gr_window *window, const SDL_TouchFingerEvent *event)
{
	const struct gr_viewer *viewer = window->viewer;
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	int wx = (int)(event->x * (float)width), wy = (int)(event->y * (float)height);
	int own = gr_draw_paint(window->draw)->scale;
	struct gr_touch_act act = { 0 };
	uint16_t x = 0, y = 0, to_x = 0, to_y = 0;
	if (event->type == SDL_FINGERDOWN && !window->touch.fingers && !to_picture(window, wx, wy, &x, &y))
		return;
	if (event->type == SDL_FINGERDOWN)
		act = gr_touch_down(&window->touch, event->fingerId, wx, wy, event->timestamp);
	else if (event->type == SDL_FINGERMOTION)
		act = gr_touch_move(&window->touch, event->fingerId, wx, wy, event->timestamp, FINGER_SLOP * own / 100,
				    NOTCH * window->browser_scale / 100);
	else
		act = gr_touch_up(&window->touch, event->fingerId, event->timestamp);
	if (act.what == GR_TOUCH_NOTHING || !viewer->width)
		return;
	to_picture(window, act.x, act.y, &x, &y);
	to_picture(window, act.to_x, act.to_y, &to_x, &to_y);
	switch (act.what) {
	case GR_TOUCH_NOTHING: break;
	case GR_TOUCH_CLICK: press(window, x, y, 1); break;
	case GR_TOUCH_CONTEXT: press(window, x, y, 4); break;
	case GR_TOUCH_PRESS:
		point(window, x, y, viewer->buttons);
		point(window, x, y, viewer->buttons | 1);
		point(window, to_x, to_y, viewer->buttons);
		break;
	case GR_TOUCH_DRAG: point(window, x, y, viewer->buttons); break;
	case GR_TOUCH_RELEASE: point(window, x, y, viewer->buttons & ~1u); break;
	case GR_TOUCH_WHEEL:
		turn(window, x, y, -act.notches_y, 8, 16);
		turn(window, x, y, act.notches_x, 64, 32);
		break;
	}
}
