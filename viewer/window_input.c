/* Whose input method makes Japanese of the keys, and what it says. */
#include "viewer/platform.h"
#include "viewer/window_state.h"

#include <string.h>

#define KEYSYM_EISU 0xff30u /* 英数: ends the conversion in the session (sandbox/agent/input.c) */

static void on_commit(void *context, const char *text)
{
	gr_window_text(context, text);
}

static void on_preedit(void *context, const char *text)
{
	gr_window_editing(context, text);
}

void gr_window_start_ime(struct gr_window *window)
{
	window->ime = gr_ime_create(&(struct gr_ime_events){ window, on_commit, on_preedit });
}

static int in_session(const struct gr_window *window)
{
	return window->viewer->state == GR_VIEWER_OPEN || window->viewer->state == GR_VIEWER_SHOWN;
}

void gr_window_follow_input(struct gr_window *window)
{
	const int open = in_session(window), takes_text = !(open && window->input == GR_IME_SESSION);
	if (takes_text != window->takes_text) {
		window->takes_text = takes_text;
		if (takes_text)
			SDL_StartTextInput();
		else
			SDL_StopTextInput(); /* SDL's own clients of input methods see no key then */
	}
	/* Not for the dialogue: a password is nothing for an input method. */
	gr_ime_focus(window->ime, open && takes_text && SDL_GetKeyboardFocus() == window->window);
	if (open)
		gr_window_place_caret(window);
}

void gr_window_set_input(struct gr_window *window, enum gr_window_input input)
{
	gr_window_release_keys(window);
	gr_window_editing(window, "");
	window->input = input;
	gr_window_follow_input(window);
	if (!in_session(window))
		return;
	if (input == GR_IME_SESSION) {
		gr_window_tell(
			window,
			gr_text("日本語入力: 接続先の入力方式を使います(半角/全角キーか "
				"Ctrl+スペースで切り替え)。Ctrl+Alt+J で戻ります。",
				"Input method: the session's (Zenkaku/Hankaku or Ctrl+Space switches it on and off). "
				"Ctrl+Alt+J goes back."));
	} else {
		gr_viewer_key(window->viewer, KEYSYM_EISU, 0, 1);
		gr_viewer_key(window->viewer, KEYSYM_EISU, 0, 0);
		gr_window_tell(window, gr_text("日本語入力: この端末の入力方式を使います。Ctrl+Alt+J "
					       "で接続先の入力方式に切り替わります。",
					       "Input method: this computer's. Ctrl+Alt+J changes to the session's."));
	}
}

void gr_window_place_caret(struct gr_window *window)
{
	int width, height, x, y;
	SDL_GetWindowSize(window->window, &width, &height);
	SDL_Rect caret = gr_draw_caret(window->draw, window->viewer, width, height);
	if (SDL_RectEmpty(&caret))
		return;
	SDL_GetWindowPosition(window->window, &x, &y);
	gr_ime_caret(window->ime, x + caret.x, y + caret.y, caret.w, caret.h);
	if (!window->ime)
		SDL_SetTextInputRect(&caret);
}

void gr_window_tell_refused(struct gr_window *window)
{
	if (window->refused_told == window->viewer->text_refused)
		return;
	window->refused_told = window->viewer->text_refused;
	/* Not which text: it may have been meant for a field that hides it. */
	gr_window_tell(window, gr_text("いま入力した文字は届きませんでした。パスワードの欄では日本語入力をオフにしてか"
				       "ら入力してください。"
				       "そのほかの場合は、入力する欄をクリックしてから、もう一度入力してください。",
				       "What you just entered was not delivered. In a password field, switch the input "
				       "method off before you "
				       "type. Otherwise click the field that it is for and enter it again."));
}
