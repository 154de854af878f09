/* The viewer's own keys and its menu: while it is open nothing goes to the session. */
#include "viewer/menu_draw.h"
#include "viewer/window_state.h"

static SDL_Rect area_of(struct gr_window *window)
{
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	return gr_draw_area(window->draw, width, height);
}

static void close_menu(struct gr_window *window)
{
	window->menu.page = GR_MENU_CLOSED;
	window->redraw = 1;
}

static void open_menu(struct gr_window *window)
{
	struct gr_viewer *viewer = window->viewer;
	gr_window_release_keys(window);
	gr_window_send_motion(window);
	if (viewer->buttons) { /* a press that the session has seen ends where it is */
		gr_viewer_pointer(viewer, window->sent_x, window->sent_y, 0);
		SDL_CaptureMouse(SDL_FALSE);
	}
	window->over_picture = 0;
	/* What only a session has; whether printing is permitted. */
	window->menu.unusable = viewer->state != GR_VIEWER_SHOWN          ? 1u << GR_MENU_PRINT | 1u << GR_MENU_SAVE
				: viewer->terms.flags & GR_TERMS_PRINTING ? 0u
									  : 1u << GR_MENU_PRINT;
	gr_menu_open(&window->menu);
	window->redraw = 1;
}

static void toggle_full_screen(struct gr_window *window)
{
	gr_window_release_keys(window);
	window->full_screen = !window->full_screen;
	SDL_SetWindowFullscreen(window->window, window->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

static void check_entries(struct gr_window *window)
{
	window->menu.checked = (unsigned)(window->full_screen != 0) << GR_MENU_FULL_SCREEN |
			       (unsigned)(window->contrast != 0) << GR_MENU_CONTRAST |
			       (unsigned)(window->input == GR_IME_SESSION) << GR_MENU_INPUT;
}

static void act(struct gr_window *window, enum gr_menu_action action)
{
	window->redraw = 1;
	switch (action) {
	case GR_MENU_NOTHING: break;
	case GR_MENU_OPEN:
		if (window->menu.page == GR_MENU_CLOSED)
			open_menu(window);
		else
			close_menu(window);
		break;
	case GR_MENU_FULL_SCREEN: toggle_full_screen(window); break;
	case GR_MENU_LARGER: gr_window_zoom(window, 1); break;
	case GR_MENU_SMALLER: gr_window_zoom(window, -1); break;
	case GR_MENU_USUAL_SIZE: gr_window_zoom(window, 0); break;
	case GR_MENU_CONTRAST:
		window->contrast = !window->contrast;
		gr_draw_set_contrast(window->draw, window->contrast);
		break;
	case GR_MENU_INPUT:
		gr_window_set_input(window, window->input == GR_IME_SESSION ? GR_IME_LOCAL : GR_IME_SESSION);
		break;
	case GR_MENU_PRINT:
	case GR_MENU_SAVE:
		if (window->viewer->state != GR_VIEWER_SHOWN)
			break;
		gr_window_release_keys(window);
		if (action == GR_MENU_PRINT)
			gr_window_print(window);
		else
			gr_window_save_picture(window);
		break;
	case GR_MENU_KEYS:
		open_menu(window);
		window->menu.page = GR_MENU_KEY_LIST;
		break;
	case GR_MENU_LEAVE: window->closed = 1; break;
	}
	check_entries(window);
}

static int on_key(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	SDL_Keycode key = event->keysym.sym;
	unsigned scancode = event->keysym.scancode;
	enum gr_menu_action action = gr_menu_shortcut(key, event->keysym.mod);
	int open = window->menu.page != GR_MENU_CLOSED;
	if (event->type == SDL_KEYUP) {
		int ours = window->menu_key == scancode;
		if (ours)
			window->menu_key = SDL_SCANCODE_UNKNOWN;
		return ours || open;
	}
	if (event->repeat && window->menu_key == scancode && action != GR_MENU_LARGER && action != GR_MENU_SMALLER &&
	    !open)
		return 1; /* of the key that closed it */
	if (!action && !open) {
		window->menu_key = SDL_SCANCODE_UNKNOWN;
		return 0;
	}
	window->menu_key = scancode;
	if (action == GR_MENU_NOTHING)
		act(window, gr_menu_key(&window->menu, key, event->keysym.mod));
	else if (!event->repeat || action == GR_MENU_LARGER || action == GR_MENU_SMALLER)
		act(window, action);
	return 1;
}

static int is_inside(SDL_Rect rect, int x, int y)
{
	return rect.w && x >= rect.x && y >= rect.y && x < rect.x + rect.w && y < rect.y + rect.h;
}

static int on_pointer(struct gr_window *window, int x, int y, int pressed)
{
	int width, height;
	SDL_GetWindowSize(window->window, &width, &height);
	if (pressed && is_inside(gr_bar_button(gr_draw_paint(window->draw), width), x, y)) {
		act(window, GR_MENU_OPEN);
		return 1;
	}
	if (window->menu.page == GR_MENU_CLOSED)
		return 0;
	struct gr_menu_layout layout;
	gr_menu_draw(&window->menu, gr_draw_paint(window->draw), NULL, area_of(window), &layout);
	if (pressed && !is_inside(layout.panel, x, y)) {
		close_menu(window);
		return 1;
	}
	for (size_t i = 0; i < GR_MENU_ROWS; i++) {
		if (!is_inside(layout.rows[i], x, y) || !gr_menu_is_usable(&window->menu, i))
			continue;
		if (pressed)
			act(window, gr_menu_choose(&window->menu, i));
		else if (window->menu.focus != i)
			window->redraw = 1;
		window->menu.focus = i;
	}
	return 1;
}

int gr_window_menu_event(struct gr_window *window, const SDL_Event *event)
{
	int open = window->menu.page != GR_MENU_CLOSED, width, height;
	switch (event->type) {
	case SDL_KEYDOWN: window->last_key_us = gr_viewer_now_us(); return on_key(window, &event->key);
	case SDL_KEYUP: return on_key(window, &event->key);
	/* What a key of ours also types is nobody's; what was being composed before the menu opened is committed. */
	case SDL_TEXTINPUT: return (open || window->menu_key) && !*window->composing;
	case SDL_MOUSEMOTION: return open && on_pointer(window, event->motion.x, event->motion.y, 0);
	case SDL_MOUSEBUTTONDOWN:
		return on_pointer(window, event->button.x, event->button.y, event->button.button == SDL_BUTTON_LEFT) ||
		       open;
	case SDL_MOUSEBUTTONUP:
	case SDL_MOUSEWHEEL: return open;
	case SDL_FINGERDOWN:
		SDL_GetWindowSize(window->window, &width, &height);
		return on_pointer(window, (int)(event->tfinger.x * (float)width),
				  (int)(event->tfinger.y * (float)height), 1);
	case SDL_FINGERMOTION: return open;
	default: return 0;
	}
}
