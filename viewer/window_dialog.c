#include "viewer/dialog_input.h"
#include "viewer/reconnect.h"
#include "viewer/window.h"
#include "viewer/window_state.h"

void gr_window_follow_question(struct gr_window *window)
{
	const struct gr_viewer *viewer = window->viewer;
	int there = viewer->state == GR_VIEWER_ASKED && !window->answered;
	if (there && (!window->dialog.open || window->asked_us != viewer->ask.from_us)) {
		window->asked_us = viewer->ask.from_us;
		gr_dialog_ask(&window->dialog, viewer->ask.what);
		window->dialog.caps_lock = (SDL_GetModState() & KMOD_CAPS) != 0;
		SDL_RaiseWindow(window->window);
	} else if (!there && viewer->state != GR_VIEWER_JUDGED && window->dialog.open) {
		gr_dialog_close(&window->dialog);
	}
}

static void leave_or_give(struct gr_window *window, enum gr_dialog_action action)
{
	struct gr_viewer_factors factors;
	if (action != GR_DIALOG_NOTHING)
		window->redraw = 1;
	if (action == GR_DIALOG_LEAVE)
		window->closed = 1;
	if (action != GR_DIALOG_GIVE || window->viewer->state != GR_VIEWER_ASKED ||
	    gr_viewer_seconds_until(window->viewer->ask.from_us))
		return;
	gr_dialog_give(&window->dialog, &factors);
	gr_viewer_answer(window->viewer, &factors);
}

int gr_window_asks(const struct gr_window *window)
{
	return window->viewer->state == GR_VIEWER_ASKED && window->dialog.open;
}

void gr_window_answered(struct gr_window *window, int answered)
{
	window->answered = answered;
}

int gr_window_dialog_key(void *context, uint32_t keysym, int shift, int control)
{
	struct gr_window *window = context;
	gr_window_follow_question(window); /* a script is faster than the next drawing */
	if (!gr_window_asks(window))
		return 0;
	leave_or_give(window, gr_dialog_input_keysym(&window->dialog, keysym, shift, control));
	return 1;
}

int gr_window_dialog_text(void *context, const char *utf8)
{
	struct gr_window *window = context;
	gr_window_follow_question(window); /* a script is faster than the next drawing */
	if (!gr_window_asks(window))
		return 0;
	leave_or_give(window, gr_dialog_text(&window->dialog, utf8));
	return 1;
}

int gr_window_before_session(struct gr_window *window, const SDL_Event *event)
{
	int away = window->viewer->away.since_us && window->viewer->state != GR_VIEWER_ENDED;
	if (window->viewer->state >= GR_VIEWER_OPEN && !away)
		return 0;
	int input = event->type == SDL_KEYDOWN || event->type == SDL_KEYUP || event->type == SDL_TEXTINPUT ||
		    event->type == SDL_TEXTEDITING || event->type == SDL_MOUSEBUTTONDOWN ||
		    event->type == SDL_MOUSEBUTTONUP || event->type == SDL_MOUSEMOTION || event->type == SDL_MOUSEWHEEL;
	if (!input)
		return 0;
	if (event->type == SDL_KEYDOWN)
		window->last_key_us = gr_viewer_now_us();
	if (gr_window_asks(window)) {
		int width, height;
		SDL_GetWindowSize(window->window, &width, &height);
		leave_or_give(window,
			      gr_dialog_input(&window->dialog, gr_draw_paint(window->draw),
					      gr_draw_area(window->draw, width, height), window->viewer, event));
	} else if (event->type == SDL_KEYDOWN && event->key.keysym.scancode == SDL_SCANCODE_ESCAPE) {
		window->closed = 1;
	} else if (event->type == SDL_KEYDOWN && (event->key.keysym.scancode == SDL_SCANCODE_RETURN ||
						  event->key.keysym.scancode == SDL_SCANCODE_KP_ENTER)) {
		gr_reconnect_now(window->viewer);
	}
	return 1;
}
