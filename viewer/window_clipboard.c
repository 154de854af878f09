/*
 * The clipboard, as the policy permits: the terminal's text goes up when the person pastes, and only then; what is copied in the session comes
 * down. Both are told. What stands here was in one of the two clipboards; it is shown nowhere but by its length.
 */
#include "common/utf8.h"
#include "viewer/window_state.h"

#include <stdlib.h>
#include <string.h>

static unsigned characters(const char *text, size_t n)
{
	unsigned count = 0;
	for (size_t i = 0; i < n; i++)
		count += ((uint8_t)text[i] & 0xc0) != 0x80;
	return count;
}

/* What both clipboards hold now. */
static void crossed(struct gr_window *window, const char *text, size_t n)
{
	free(window->crossed);
	window->crossed = malloc(n + 1);
	if (!window->crossed)
		return;
	memcpy(window->crossed, text, n);
	window->crossed[n] = '\0';
}

static void send_up(struct gr_window *window, const char *text, size_t n)
{
	char line[300];
	unsigned most = window->viewer->terms.clipboard_up;
	if (n > most) {
		SDL_snprintf(
			line, sizeof(line),
			gr_text("クリップボードの文字が長すぎるため送りませんでした（%u バイト、上限は %u バイト）",
				"The clipboard's text is too long and was not sent (%u bytes, at most %u)"),
			(unsigned)n, most);
	} else if (!gr_viewer_clipboard(window->viewer, text, n)) {
		SDL_snprintf(
			line, sizeof(line), "%s",
			gr_text("クリップボードの文字を送れませんでした", "The clipboard's text could not be sent"));
	} else {
		crossed(window, text, n);
		SDL_snprintf(line, sizeof(line),
			     gr_text("クリップボードの文字を送りました（%u文字）",
				     "The clipboard's text was sent (%u characters)"),
			     characters(text, n));
	}
	gr_window_tell(window, line);
}

static int pastes(const SDL_KeyboardEvent *event)
{
	Uint16 mod = event->keysym.mod;
	if (event->repeat)
		return 0;
	if (event->keysym.scancode == SDL_SCANCODE_PASTE)
		return 1;
	if (event->keysym.scancode == SDL_SCANCODE_INSERT)
		return mod & KMOD_SHIFT && !(mod & (KMOD_CTRL | KMOD_ALT | KMOD_GUI));
	return event->keysym.sym == SDLK_v && mod & KMOD_CTRL && !(mod & (KMOD_ALT | KMOD_GUI));
}

void gr_window_paste(struct gr_window *window, const SDL_KeyboardEvent *event)
{
	if (!pastes(event) || window->viewer->state != GR_VIEWER_SHOWN)
		return;
	uint32_t most = window->viewer->terms.clipboard_up;
	if (!most && window->paste_hinted)
		return;
	char *text = SDL_GetClipboardText();
	size_t n = text ? gr_utf8_clean((uint8_t *)text, strlen(text)) : 0;
	if (text)
		text[n] = '\0';
	if (n && (!window->crossed || strcmp(text, window->crossed) != 0)) {
		if (most) {
			send_up(window, text, n);
		} else {
			window->paste_hinted = 1;
			gr_window_tell(
				window,
				gr_text("この端末のクリップボードの文字は、インターネット側へは送れません",
					"The text of this terminal's clipboard may not be sent to the internet side"));
		}
	}
	SDL_free(text);
}

void gr_window_take_clipboard(struct gr_window *window)
{
	struct gr_viewer *viewer = window->viewer;
	if (viewer->clipboard.left || !viewer->clipboard.length || !(viewer->terms.flags & GR_TERMS_CLIPBOARD_DOWN))
		return;
	if (SDL_SetClipboardText(viewer->clipboard.text) < 0)
		return;
	crossed(window, viewer->clipboard.text, viewer->clipboard.length);
	char line[300];
	SDL_snprintf(line, sizeof(line),
		     gr_text("クリップボードの文字を受け取りました（%u文字）",
			     "The clipboard's text was received (%u characters)"),
		     characters(viewer->clipboard.text, viewer->clipboard.length));
	gr_window_tell(window, line);
}
