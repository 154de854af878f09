#include "viewer/window.h"
#include "common/log.h"
#include "viewer/dialog_draw.h"
#include "viewer/keys.h"
#include "viewer/window_state.h"

#include <SDL_syswm.h>
#include <stdlib.h>
#include <string.h>

enum {
	IME_POLL_MS = 10,
	IME_POLL_US = 1500000, /* an input method answers outside the display's connection: look for a while */
	BLIND_POLL_MS = 5, /* displays without a descriptor */
};

/* The descriptor of the display's connection. SDL's own waiting cannot watch other descriptors. */
static int display_fd(SDL_Window *window)
{
	SDL_SysWMinfo info;
	SDL_VERSION(&info.version);
	if (!SDL_GetWindowWMInfo(window, &info))
		return -1;
#ifdef SDL_VIDEO_DRIVER_X11
	if (info.subsystem == SDL_SYSWM_X11)
		return ConnectionNumber(info.info.x11.display);
#endif
	return -1;
}

/* What the person's desktop is set to, as its programs see it: 100 % are 96 dots an inch. */
static int display_scale(void)
{
	int scale = 100;
#ifdef SDL_VIDEO_DRIVER_X11
	const char *driver = SDL_GetCurrentVideoDriver();
	Display *display = driver && !strcmp(driver, "x11") ? XOpenDisplay(NULL) : NULL;
	if (display) {
		const char *dpi = XGetDefault(display, "Xft", "dpi");
		int given = dpi ? (int)(strtod(dpi, NULL) * 100 / 96 + 0.5) : 0;
		if (given > GR_SCALE_MIN)
			scale = given < GR_SCALE_MAX ? given : GR_SCALE_MAX;
		XCloseDisplay(display);
	}
#endif
	return scale;
}

static void want_area(struct gr_window *window)
{
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	SDL_Rect area = gr_draw_area(window->draw, width, height);
	if (area.w >= GR_SCREEN_MIN && area.h >= GR_SCREEN_MIN && area.w <= GR_SCREEN_MAX && area.h <= GR_SCREEN_MAX)
		gr_viewer_want_size(window->viewer, (uint16_t)area.w, (uint16_t)area.h);
	window->redraw = 1;
}

static void set_title(struct gr_window *window)
{
	char title[500];
	const struct gr_viewer *viewer = window->viewer;
	int recorded = viewer->ready & GR_READY_RECORDED && viewer->state != GR_VIEWER_ENDED;
	SDL_snprintf(title, sizeof(title), "%s画面転送・インターネット - %s%s%s",
		     recorded ? gr_text("[録画中] ", "[REC] ") : "", viewer->person, *viewer->person ? " @ " : "",
		     viewer->host);
	SDL_SetWindowTitle(window->window, title);
}

struct gr_window *gr_window_create(struct gr_viewer *viewer, const struct gr_viewer_options *options,
				   struct gr_error *err)
{
	/* Presenting goes straight to the X server's shared memory: no renderer, no wait for a vertical blank. */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	/* Without a display SDL would go on with one that nobody sees. The environment's SDL_VIDEODRIVER goes first. */
	SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11,wayland");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
	SDL_SetHint(SDL_HINT_APP_NAME, "garasu-viewer");
	struct gr_window *window = calloc(1, sizeof(*window));
	if (!window) {
		gr_error_set(err, GR_ENOMEM, "no memory for the window");
		return NULL;
	}
	window->viewer = viewer;
	window->fd = -1;
	if (SDL_Init(SDL_INIT_VIDEO) < 0) {
		gr_error_set(err, GR_EIO, "%s", SDL_GetError());
		free(window);
		return NULL;
	}
	window->draw = gr_draw_create(options->scale ? options->scale : display_scale());
	if (!window->draw) {
		gr_error_set(err, GR_ENOMEM, "no memory for the window");
		gr_window_destroy(window);
		return NULL;
	}
	SDL_Point size = gr_draw_window_size(window->draw, options->width ? options->width : GR_WINDOW_WIDTH,
					     options->height ? options->height : GR_WINDOW_HEIGHT);
	SDL_Rect usable;
	if (!options->width && SDL_GetDisplayUsableBounds(0, &usable) == 0) {
		size.x = size.x < usable.w ? size.x : usable.w;
		size.y = size.y < usable.h ? size.y : usable.h;
	}
	Uint32 flags = SDL_WINDOW_RESIZABLE | (options->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
	window->window = SDL_CreateWindow("画面転送・インターネット", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
					  size.x, size.y, flags);
	if (!window->window) {
		gr_error_set(err, GR_EIO, "%s", SDL_GetError());
		gr_window_destroy(window);
		return NULL;
	}
	window->full_screen = options->full_screen;
	SDL_SetWindowMinimumSize(window->window, 320, 240);
	window->fd = display_fd(window->window);
	window->arrow = SDL_CreateSystemCursor(SDL_SYSTEM_CURSOR_ARROW);
	SDL_StartTextInput();
	set_title(window);
	want_area(window);
	return window;
}

void gr_window_destroy(struct gr_window *window)
{
	if (!window)
		return;
	gr_dialog_close(&window->dialog);
	gr_draw_destroy(window->draw);
	SDL_FreeCursor(window->remote);
	SDL_FreeCursor(window->arrow);
	if (window->window)
		SDL_DestroyWindow(window->window);
	SDL_Quit();
	free(window);
}

int gr_window_fd(const struct gr_window *window)
{
	return window->fd;
}

int gr_window_closed(const struct gr_window *window)
{
	return window->closed;
}

void gr_window_resize(void *context, uint16_t width, uint16_t height)
{
	struct gr_window *window = context;
	SDL_Point size = gr_draw_window_size(window->draw, width, height);
	SDL_SetWindowSize(window->window, size.x, size.y);
	want_area(window);
}

/* Keyboard. */

static void send_key(struct gr_window *window, unsigned scancode, uint32_t keysym, int down)
{
	if (scancode >= SDL_NUM_SCANCODES)
		return;
	if (down) {
		window->held[scancode] = keysym;
		window->held_sent[scancode] = 1;
	} else {
		if (!window->held_sent[scancode])
			return;
		keysym = window->held[scancode]; /* what was pressed is released, whatever the modifiers are now */
		window->held_sent[scancode] = 0;
	}
	gr_viewer_key(window->viewer, keysym, gr_key_xt(scancode), down);
}

static void release_all(struct gr_window *window)
{
	for (unsigned i = 0; i < SDL_NUM_SCANCODES; i++)
		if (window->held_sent[i])
			send_key(window, i, 0, 0);
}

static void toggle_full_screen(struct gr_window *window)
{
	release_all(window);
	window->full_screen = !window->full_screen;
	SDL_SetWindowFullscreen(window->window, window->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

int gr_window_is_full_screen_key(const SDL_KeyboardEvent *event)
{
	SDL_Scancode scancode = event->keysym.scancode;
	Uint16 mod = event->keysym.mod;
	return scancode == SDL_SCANCODE_F11 || (scancode == SDL_SCANCODE_RETURN && mod & KMOD_CTRL && mod & KMOD_ALT);
}

/*
 * Keys go to the broker as they are pressed. Which character a key makes (layout, Shift, Caps Lock) only SDL's text event
 * tells, which stands right behind the press in the queue when no input method has taken the key.
 */
static void on_key_down(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	unsigned scancode = event->keysym.scancode;
	Uint16 mod = event->keysym.mod;
	if (gr_window_is_full_screen_key(event)) {
		if (!event->repeat)
			toggle_full_screen(window);
		return;
	}
	/* The lock keys' effect is in the keysyms already; sent too, it would come twice. */
	if (scancode == SDL_SCANCODE_CAPSLOCK || scancode == SDL_SCANCODE_NUMLOCKCLEAR ||
	    scancode == SDL_SCANCODE_SCROLLLOCK)
		return;
	const struct gr_key *key = gr_key_of_scancode(scancode);
	SDL_Event next;
	SDL_PumpEvents();
	int text_follows = SDL_PeepEvents(&next, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) == 1 &&
			   next.type == SDL_TEXTINPUT;
	uint32_t character = text_follows ? gr_one_character(next.text.text) : 0;
	int command = (mod & (KMOD_CTRL | KMOD_LALT | KMOD_GUI)) != 0;

	if (key) {
		/* Keys that steer an input method's conversion are its own. */
		if (!*window->composing || (scancode >= SDL_SCANCODE_LCTRL && scancode <= SDL_SCANCODE_RGUI))
			send_key(window, scancode, key->keysym, 1);
		return;
	}
	if (character) {
		if (character < 0x100) {
			SDL_PeepEvents(&next, 1, SDL_GETEVENT, SDL_TEXTINPUT, SDL_TEXTINPUT); /* said by the key */
			send_key(window, scancode, gr_keysym_of_unicode(character), 1);
		} /* else it is sent as text when its event comes */
		return;
	}
	if (*window->composing || text_follows)
		return;
	if (command) {
		/* Ctrl+C and the like make no text: the key's own character, in upper case with Shift as X has it. */
		SDL_Keycode code = event->keysym.sym;
		if (code >= 'a' && code <= 'z' && mod & KMOD_SHIFT)
			code -= 'a' - 'A';
		send_key(window, scancode, code >= 0x20 && code < 0x110000 ? gr_keysym_of_unicode((uint32_t)code) : 0,
			 1);
	}
	/* No text and no command: a dead key, or one that an input method has taken. */
}

static void on_text(struct gr_window *window, const char *text)
{
	window->composing[0] = '\0';
	window->redraw = 1;
	if (*text)
		gr_viewer_text(window->viewer, text, strlen(text));
}

static void on_editing(struct gr_window *window, const char *text)
{
	SDL_strlcpy(window->composing, text, sizeof(window->composing));
	window->redraw = 1;
}

/* Pointer. */

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

static void choose_cursor(struct gr_window *window)
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

static void update_cursor(struct gr_window *window)
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
	choose_cursor(window);
	SDL_FreeCursor(old);
}

static void send_motion(struct gr_window *window)
{
	if (!window->motion_waits)
		return;
	window->motion_waits = 0;
	uint16_t x = 0, y = 0;
	int inside = to_picture(window, window->motion_x, window->motion_y, &x, &y);
	window->over_picture = inside;
	choose_cursor(window);
	/* A drag goes on outside the picture. */
	if (window->viewer->width && (inside || window->viewer->buttons))
		gr_viewer_pointer(window->viewer, x, y, window->viewer->buttons);
}

static void on_motion(struct gr_window *window, int x, int y)
{
	window->motion_waits = 1;
	window->motion_x = x;
	window->motion_y = y;
}

static void on_button(struct gr_window *window, const SDL_MouseButtonEvent *event)
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

static void on_wheel(struct gr_window *window, const SDL_MouseWheelEvent *event)
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

/* Events. */

static void on_window_event(struct gr_window *window, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_SIZE_CHANGED: want_area(window); break;
	case SDL_WINDOWEVENT_EXPOSED: window->redraw = 1; break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		release_all(window);
		on_editing(window, "");
		break;
	case SDL_WINDOWEVENT_LEAVE:
		if (!window->viewer->buttons) {
			window->over_picture = 0;
			choose_cursor(window);
		}
		break;
	default: break;
	}
}

static void on_event(struct gr_window *window, const SDL_Event *event)
{
	if (gr_window_before_session(window, event))
		return;
	if (event->type != SDL_MOUSEMOTION)
		send_motion(window); /* a row of moves counts as one, but not across a press */
	switch (event->type) {
	case SDL_QUIT: window->closed = 1; break;
	case SDL_WINDOWEVENT: on_window_event(window, &event->window); break;
	case SDL_KEYDOWN:
		window->last_key_us = gr_viewer_now_us();
		/* A message is dismissed by the keys that dismiss dialogs. */
		if (window->viewer->state == GR_VIEWER_ENDED && (event->key.keysym.scancode == SDL_SCANCODE_ESCAPE ||
								 event->key.keysym.scancode == SDL_SCANCODE_RETURN))
			window->closed = 1;
		on_key_down(window, &event->key);
		break;
	case SDL_KEYUP:
		window->last_key_us = gr_viewer_now_us();
		send_key(window, event->key.keysym.scancode, 0, 0);
		break;
	case SDL_TEXTINPUT: on_text(window, event->text.text); break;
	case SDL_TEXTEDITING: on_editing(window, event->edit.text); break;
	case SDL_MOUSEMOTION: on_motion(window, event->motion.x, event->motion.y); break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP: on_button(window, &event->button); break;
	case SDL_MOUSEWHEEL: on_wheel(window, &event->wheel); break;
	default: break;
	}
}

/* Shows what changed. */
static void show(struct gr_window *window)
{
	struct gr_viewer *viewer = window->viewer;
	unsigned dirty = viewer->dirty;
	viewer->dirty = 0;
	if (dirty & GR_DIRTY_STATE) {
		set_title(window);
		gr_window_follow_question(window);
	}
	if (window->redraw_at_us && gr_viewer_now_us() >= window->redraw_at_us)
		window->redraw = 1;
	if (dirty & GR_DIRTY_CURSOR)
		update_cursor(window);
	if (dirty & GR_DIRTY_CARET && viewer->caret.known) {
		int width, height;
		SDL_GetWindowSize(window->window, &width, &height);
		SDL_Rect place = gr_draw_place(window->draw, viewer, width, height);
		SDL_Rect caret = { place.x + viewer->caret.rect.x, place.y + viewer->caret.rect.y, viewer->caret.rect.w,
				   viewer->caret.rect.h };
		SDL_SetTextInputRect(&caret);
	}
	if (dirty & (GR_DIRTY_STATE | GR_DIRTY_SIZE) || (dirty & GR_DIRTY_PICTURE && *window->composing))
		window->redraw = 1;
	if (!window->redraw && !(dirty & GR_DIRTY_PICTURE))
		return;
	SDL_Surface *surface = SDL_GetWindowSurface(window->window);
	if (!surface)
		return;
	if (window->redraw) {
		choose_cursor(window); /* the picture may end elsewhere now */
		gr_window_draw(window, surface);
		SDL_UpdateWindowSurface(window->window);
		int wait_ms = window->dialog.open ? gr_dialog_wait_ms(&window->dialog, viewer)
						  : gr_draw_wait_ms(viewer);
		window->redraw_at_us = wait_ms < 0 ? 0 : gr_viewer_now_us() + (uint64_t)wait_ms * 1000;
	} else {
		SDL_Rect changed = gr_draw_damage(window->draw, surface, viewer, viewer->damage);
		if (changed.w > 0 && changed.h > 0)
			SDL_UpdateWindowSurfaceRects(window->window, &changed, 1);
	}
	window->redraw = 0;
	viewer->damage = (struct gr_rect){ 0 };
}

int gr_window_step(struct gr_window *window)
{
	SDL_Event event;
	show(window);
	while (SDL_PollEvent(&event))
		on_event(window, &event);
	send_motion(window);
	/* What the events asked to be drawn; then Xlib may have read ahead while it was drawn. */
	show(window);
	SDL_PumpEvents();
	if (SDL_PeepEvents(&event, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) > 0)
		return 0;
	if (window->fd < 0)
		return BLIND_POLL_MS;
	uint64_t now = gr_viewer_now_us();
	if (window->last_key_us && now - window->last_key_us < IME_POLL_US)
		return IME_POLL_MS;
	if (!window->redraw_at_us)
		return -1;
	return window->redraw_at_us > now ? (int)((window->redraw_at_us - now) / 1000 + 1) : 0;
}
