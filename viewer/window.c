#include "viewer/window.h"
#include "common/log.h"
#include "viewer/dialog_draw.h"
#include "viewer/platform.h"
#include "viewer/window_state.h"

#include <stdlib.h>
#include <string.h>

enum {
	IME_POLL_MS = 10,
	IME_POLL_US = 1500000, /* an input method answers outside the display's connection: look for a while */
	TOLD_US = 8000000, /* to be read */
	BLIND_POLL_MS = 5, /* displays without a descriptor */
};

void gr_window_want_area(struct gr_window *window)
{
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	SDL_Rect area = gr_draw_area(window->draw, width, height);
	/* While pages come the picture keeps its size: they are cut by it. */
	if (!window->printing.frozen && area.w >= GR_SCREEN_MIN && area.h >= GR_SCREEN_MIN && area.w <= GR_SCREEN_MAX &&
	    area.h <= GR_SCREEN_MAX)
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
	SDL_SetHint(SDL_HINT_TOUCH_MOUSE_EVENTS, "0"); /* a finger is no mouse: touch.h */
	SDL_SetHint(SDL_HINT_APP_NAME, "garasu-viewer");
	struct gr_window *window = calloc(1, sizeof(*window));
	if (!window) {
		gr_error_set(err, GR_ENOMEM, "no memory for the window");
		return NULL;
	}
	window->viewer = viewer;
	window->save_directory = options->save_directory;
	window->print_command = options->print_command;
	window->fd = -1;
	gr_window_start_ime(window);
	if (SDL_Init(SDL_INIT_VIDEO) < 0) {
		gr_error_set(err, GR_EIO, "%s", SDL_GetError());
		gr_ime_destroy(window->ime);
		free(window);
		return NULL;
	}
	window->scale_given = options->scale;
	window->zoom = options->zoom;
	window->contrast = options->high_contrast;
	int desktop = options->scale ? options->scale : gr_platform_scale(NULL);
	window->draw = gr_draw_create(gr_window_own_scale(desktop, window->zoom));
	if (!window->draw) {
		gr_error_set(err, GR_ENOMEM, "no memory for the window");
		gr_window_destroy(window);
		return NULL;
	}
	gr_draw_set_contrast(window->draw, window->contrast);
	SDL_Point size = gr_draw_window_size(window->draw,
					     options->width ? options->width : GR_WINDOW_WIDTH * desktop / 100,
					     options->height ? options->height : GR_WINDOW_HEIGHT * desktop / 100);
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
	int scale = gr_draw_paint(window->draw)->scale;
	SDL_SetWindowMinimumSize(window->window, 320 * scale / 100, 240 * scale / 100);
	gr_platform_watch_scale(window->window);
	window->fd = gr_platform_display_fd(window->window);
	window->arrow = SDL_CreateSystemCursor(SDL_SYSTEM_CURSOR_ARROW);
	gr_platform_watch_keys();
	window->input = options->input;
	gr_window_follow_input(window);
	set_title(window);
	gr_window_want_area(window);
	gr_window_rescale(window); /* now it is known which display the window is on */
	return window;
}

void gr_window_destroy(struct gr_window *window)
{
	if (!window)
		return;
	gr_window_end_print(window);
	gr_dialog_close(&window->dialog);
	gr_ime_destroy(window->ime);
	gr_draw_destroy(window->draw);
	SDL_FreeCursor(window->remote);
	SDL_FreeCursor(window->arrow);
	if (window->window)
		SDL_DestroyWindow(window->window);
	SDL_Quit();
	free(window->crossed);
	free(window);
}

int gr_window_fd(const struct gr_window *window)
{
	return window->fd;
}

int gr_window_ime_fd(const struct gr_window *window)
{
	return gr_ime_fd(window->ime);
}

int gr_window_closed(const struct gr_window *window)
{
	return window->closed;
}

void gr_window_tell(struct gr_window *window, const char *text)
{
	SDL_strlcpy(window->told, text, sizeof(window->told));
	window->told_until_us = gr_viewer_now_us() + TOLD_US;
	window->redraw = 1;
}

void gr_window_resize(void *context, uint16_t width, uint16_t height)
{
	struct gr_window *window = context;
	SDL_Point size = gr_draw_window_size(window->draw, width, height);
	SDL_SetWindowSize(window->window, size.x, size.y);
	gr_window_want_area(window);
}

/* Events. */

static void on_window_event(struct gr_window *window, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_SIZE_CHANGED: window->resized = 1; break; /* of a row of them the last counts */
	case SDL_WINDOWEVENT_MOVED: gr_window_place_caret(window); break;
	case SDL_WINDOWEVENT_FOCUS_GAINED: gr_window_follow_input(window); break;
	case SDL_WINDOWEVENT_EXPOSED: window->redraw = 1; break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		gr_window_release_keys(window);
		gr_window_follow_input(window);
		gr_window_editing(window, "");
		break;
	case SDL_WINDOWEVENT_LEAVE:
		if (!window->viewer->buttons) {
			window->over_picture = 0;
			gr_window_choose_cursor(window);
		}
		break;
	default: break;
	}
}

static void on_event(struct gr_window *window, const SDL_Event *event)
{
	if (gr_platform_is_scale_event(event))
		gr_window_rescale(window);
	else if (event->type == SDL_SYSWMEVENT)
		gr_window_platform_key(window, &event->syswm);
	if (event->type == SDL_SYSWMEVENT)
		return;
	if (gr_window_menu_event(window, event) || gr_window_before_session(window, event) ||
	    gr_window_print_event(window, event))
		return;
	if (event->type != SDL_MOUSEMOTION)
		gr_window_send_motion(window); /* a row of moves counts as one, but not across a press */
	switch (event->type) {
	case SDL_QUIT: window->closed = 1; break;
	case SDL_WINDOWEVENT: on_window_event(window, &event->window); break;
	case SDL_KEYDOWN:
		/* A message is dismissed by the keys that dismiss dialogs. */
		if (window->viewer->state == GR_VIEWER_ENDED && (event->key.keysym.scancode == SDL_SCANCODE_ESCAPE ||
								 event->key.keysym.scancode == SDL_SCANCODE_RETURN))
			window->closed = 1;
		gr_window_key(window, &event->key);
		break;
	case SDL_KEYUP: gr_window_key(window, &event->key); break;
	case SDL_TEXTINPUT: gr_window_text(window, event->text.text); break;
	case SDL_TEXTEDITING: gr_window_editing(window, event->edit.text); break;
	case SDL_MOUSEMOTION: gr_window_motion(window, event->motion.x, event->motion.y); break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP: gr_window_button(window, &event->button); break;
	case SDL_MOUSEWHEEL: gr_window_wheel(window, &event->wheel); break;
	case SDL_FINGERDOWN:
	case SDL_FINGERMOTION:
	case SDL_FINGERUP: gr_window_finger(window, &event->tfinger); break;
	default: break;
	}
}

/* What the connection took with it. */
static void follow_cut(struct gr_window *window)
{
	const struct gr_viewer *viewer = window->viewer;
	int away = viewer->away.since_us && viewer->state != GR_VIEWER_ENDED;
	if (away == window->away)
		return;
	window->away = away;
	window->redraw = 1;
	if (away) {
		gr_window_forget_keys(window);
		window->motion_waits = 0;
		window->told_until_us = 0;
		window->told[0] = '\0';
	} else if (viewer->state == GR_VIEWER_SHOWN && viewer->away.text_lost) {
		gr_window_tell(window, gr_text("再接続しました。切れる直前に入力した文字は、届いていないことがあります"
					       "。画面で確認してください。",
					       "Connected again. Text entered right before the cut may not have "
					       "arrived: please check."));
	} else if (viewer->state == GR_VIEWER_SHOWN) {
		gr_window_tell(window, gr_text("再接続しました。", "Connected again."));
	}
}

/* Five minutes and one minute before the session's time is over. */
static void tell_time_left(struct gr_window *window)
{
	int minutes = gr_bar_minutes_left(window->viewer);
	if (minutes == window->minutes_told)
		return;
	window->minutes_told = minutes;
	if (minutes == 5)
		gr_window_tell(window, gr_text("あと5分でこの画面転送は終了します。作業を終えてください。",
					       "The session ends in 5 minutes. Please finish what you are doing."));
	if (minutes == 1)
		gr_window_tell(window,
			       gr_text("あと1分でこの画面転送は終了します。", "The session ends in one minute."));
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
		gr_window_follow_input(window);
		gr_window_send_scale(window);
	}
	follow_cut(window);
	if (window->redraw_at_us && gr_viewer_now_us() >= window->redraw_at_us)
		window->redraw = 1;
	tell_time_left(window);
	if (window->told_until_us && gr_viewer_now_us() >= window->told_until_us) {
		window->told_until_us = 0;
		window->told[0] = '\0';
		window->redraw = 1;
	}
	if (dirty & GR_DIRTY_CLIPBOARD)
		gr_window_take_clipboard(window);
	if (dirty & GR_DIRTY_CURSOR)
		gr_window_update_cursor(window);
	if (dirty & (GR_DIRTY_CARET | GR_DIRTY_SIZE))
		gr_window_place_caret(window);
	if (dirty & GR_DIRTY_TEXT)
		gr_window_tell_refused(window);
	if (dirty & GR_DIRTY_CARET && *window->composing)
		window->redraw = 1;
	if (window->printing.frozen)
		dirty &= ~(unsigned)GR_DIRTY_PICTURE;
	if (dirty & (GR_DIRTY_STATE | GR_DIRTY_SIZE) ||
	    (dirty & GR_DIRTY_PICTURE && (*window->composing || *window->told || window->panel.open || window->away ||
					  window->menu.page != GR_MENU_CLOSED)))
		window->redraw = 1;
	if (!window->redraw && !(dirty & GR_DIRTY_PICTURE))
		return;
	SDL_Surface *surface = SDL_GetWindowSurface(window->window);
	if (!surface)
		return;
	if (window->redraw) {
		gr_window_choose_cursor(window); /* the picture may end elsewhere now */
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
	if (!window->printing.frozen) /* until then it tells what has come of the picture */
		viewer->damage = (struct gr_rect){ 0 };
}

static int step(struct gr_window *window)
{
	SDL_Event event;
	gr_ime_read(window->ime);
	show(window);
	while (SDL_PollEvent(&event))
		on_event(window, &event);
	gr_window_send_motion(window);
	if (window->resized) {
		window->resized = 0;
		gr_window_want_area(window);
		gr_window_place_caret(window);
	}
	/* What the events asked to be drawn; then Xlib may have read ahead while it was drawn. */
	show(window);
	SDL_PumpEvents();
	if (SDL_PeepEvents(&event, 1, SDL_PEEKEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT) > 0)
		return 0;
	if (window->fd < 0)
		return BLIND_POLL_MS;
	uint64_t now = gr_viewer_now_us();
	if (!window->ime && window->last_key_us && now - window->last_key_us < IME_POLL_US)
		return IME_POLL_MS;
	uint64_t until = window->redraw_at_us;
	if (window->told_until_us && (!until || window->told_until_us < until))
		until = window->told_until_us;
	if (!until)
		return -1;
	return until > now ? (int)((until - now) / 1000 + 1) : 0;
}

int gr_window_step(struct gr_window *window)
{
	int print_ms = gr_window_follow_print(window), wait_ms = step(window);
	if (window->viewer->print->changed) /* by a key */
		return 0;
	return print_ms < 0 || (wait_ms >= 0 && wait_ms < print_ms) ? wait_ms : print_ms;
}
