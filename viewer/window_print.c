/* Printing and saving, as the person meets them: the panel, the frozen picture, where files go, what is told. */
#include "viewer/window.h"
#include "viewer/window_state.h"

#include <time.h>
#include <unistd.h>

enum {
	THAW_US = 1500000, /* for the whole screen to come again */
	PRINTER_POLL_MS = 100,
	PRINTER_LAST_MS = 5000, /* for the print command, when the window closes */
};

static int is_permitted(const struct gr_window *window)
{
	return (window->viewer->terms.flags & GR_TERMS_PRINTING) != 0;
}

/* A name that nothing of the internet side has part in, and that no file has yet. */
static int new_name(const struct gr_window *window, const char *what, const char *ending, char *out, size_t cap)
{
	char folder[4096] = "", stamp[32] = "", number[8] = "";
	time_t now = time(NULL);
	struct tm local;
	if (window->save_directory)
		SDL_strlcpy(folder, window->save_directory, sizeof(folder));
	else if (gr_platform_documents(folder, sizeof(folder)))
		return GR_ENOENT;
	if (localtime_r(&now, &local))
		strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
	for (int i = 2; i < 100; i++) {
		if (SDL_snprintf(out, cap, "%s/%s-%s%s%s", folder, what, stamp, number, ending) >= (int)cap)
			return GR_ENOENT;
		if (access(out, F_OK) != 0)
			return 0;
		SDL_snprintf(number, sizeof(number), "-%d", i);
	}
	return GR_ENOENT;
}

static void tell(struct gr_window *window, const char *text, const char *detail)
{
	char line[sizeof(window->told)];
	const char *name = SDL_strrchr(detail, '/');
	/* Of a name that is too long the end: a character must not be cut. */
	if (SDL_snprintf(line, sizeof(line), "%s%s%s", text, *detail ? "\n" : "", detail) >= (int)sizeof(line) &&
	    SDL_snprintf(line, sizeof(line), "%s%s%s", text, name ? "\n" : "", name ? name + 1 : "") >=
		    (int)sizeof(line))
		SDL_snprintf(line, sizeof(line), "%s", text);
	gr_window_tell(window, line);
}

static void tell_not_permitted(struct gr_window *window)
{
	tell(window,
	     gr_text("利用ルールにより、印刷と画像の保存はできません。",
		     "The rules do not permit printing and saving."),
	     "");
}

static void tell_no_folder(struct gr_window *window)
{
	tell(window, gr_text("保存先のフォルダーがありません。", "There is no folder to save to."),
	     window->save_directory ? window->save_directory : "");
}

void gr_window_print(struct gr_window *window)
{
	struct gr_print *print = window->viewer->print;
	if (!is_permitted(window))
		tell_not_permitted(window);
	else if (gr_print_start(print))
		tell(window, gr_text("印刷するページを準備しています…", "Preparing the pages…"), "");
}

void gr_window_save_picture(struct gr_window *window)
{
	char file[4096];
	struct gr_error err = { 0 };
	if (window->viewer->state != GR_VIEWER_SHOWN || window->printing.frozen)
		return;
	if (!is_permitted(window))
		tell_not_permitted(window);
	else if (new_name(window, "画面", ".png", file, sizeof(file)))
		tell_no_folder(window);
	else if (gr_window_picture(window, file, &err))
		tell(window, gr_text("画像を保存できませんでした。", "The picture could not be saved."), err.text);
	else
		tell(window, gr_text("画面を画像で保存しました。", "The picture was saved."), file);
}

/* The picture as it is now, greyed: pages will be painted over it, and nobody is to see their pieces flash by. */
static void freeze(struct gr_window *window)
{
	const struct gr_viewer *viewer = window->viewer;
	if (window->printing.frozen || !viewer->width)
		return;
	SDL_Surface *frozen = SDL_CreateRGBSurfaceWithFormat(0, viewer->width, viewer->height, 32,
							     SDL_PIXELFORMAT_RGB888);
	for (int y = 0; frozen && y < frozen->h; y++) {
		const uint32_t *from = viewer->picture + (size_t)y * GR_PICTURE_STRIDE;
		uint32_t *to = (uint32_t *)(void *)((Uint8 *)frozen->pixels + (ptrdiff_t)y * frozen->pitch);
		for (int x = 0; x < frozen->w; x++) {
			uint32_t pixel = from[x];
			uint32_t light =
				((pixel >> 16 & 0xff) * 77 + (pixel >> 8 & 0xff) * 151 + (pixel & 0xff) * 28) >> 8;
			to[x] = (light / 2 + 0x58) * 0x010101;
		}
	}
	if (frozen)
		SDL_SetSurfaceBlendMode(frozen, SDL_BLENDMODE_NONE);
	window->printing.frozen = frozen;
	window->printing.thaw_us = 0;
}

static void thaw(struct gr_window *window)
{
	SDL_FreeSurface(window->printing.frozen);
	window->printing.frozen = NULL;
	window->printing.thaw_us = 0;
	gr_window_want_area(window); /* it may have been resized meanwhile */
	window->redraw = 1;
}

/* The file that is made, or being printed. */
static void remove_temporary(struct gr_window *window)
{
	if (*window->printing.file)
		unlink(window->printing.file);
	window->printing.file[0] = '\0';
	window->printing.paper = 0;
}

static void accept(struct gr_window *window, int paper)
{
	struct gr_print *print = window->viewer->print;
	struct gr_error err = { 0 };
	char file[4096];
	if (window->printing.job.process) {
		tell(window,
		     gr_text("前の印刷をプリンターに送っています。",
			     "The last job is still being sent to the printer."),
		     "");
		return;
	}
	if (paper && gr_platform_temporary(file, sizeof(file), &err)) {
		tell(window, gr_text("印刷できませんでした。", "It could not be printed."), err.text);
		return;
	}
	if (!paper && new_name(window, "画面印刷", ".pdf", file, sizeof(file))) {
		tell_no_folder(window);
		return;
	}
	if (paper) {
		SDL_strlcpy(window->printing.file, file, sizeof(window->printing.file));
		window->printing.paper = 1;
	}
	freeze(window);
	if (gr_print_accept(print, window->panel.pages[GR_PRINT_FROM], window->panel.pages[GR_PRINT_TO], file, &err)) {
		thaw(window);
		remove_temporary(window);
		tell(window, gr_text("ファイルを作れません。", "The file cannot be made."), err.text);
	}
}

static void to_printer(struct gr_window *window)
{
	struct gr_error err = { 0 };
	if (!gr_platform_print(window->print_command, window->printing.file, &window->printing.job, &err))
		return;
	remove_temporary(window);
	tell(window, gr_text("印刷できませんでした。", "It could not be printed."), err.text);
}

static void tell_outcome(struct gr_window *window)
{
	const struct gr_print *print = window->viewer->print;
	const char *none = gr_text("ファイルは保存されていません。", "No file was kept.");
	if (print->outcome == GR_PRINTED && window->printing.paper) {
		to_printer(window);
		return;
	}
	remove_temporary(window);
	switch (print->outcome) {
	case GR_PRINTED: {
		char text[100];
		SDL_snprintf(text, sizeof(text),
			     print->done == 1 ? gr_text("%uページを保存しました。", "%u page was saved.")
					      : gr_text("%uページを保存しました。", "%u pages were saved."),
			     print->done);
		tell(window, text, print->file);
		break;
	}
	case GR_PRINT_WITHDRAWN:
		tell(window,
		     gr_text("時間が過ぎたため、印刷を取り消しました。",
			     "Nobody answered: the pages were thrown away."),
		     "");
		break;
	case GR_PRINT_FAILED:
		tell(window, gr_text("印刷できませんでした。", "The pages could not be made."), none);
		break;
	case GR_PRINT_REFUSED:
		tell(window, gr_text("サーバーが印刷を拒否しました。", "The broker refused to print."), none);
		break;
	case GR_PRINT_NO_FILE:
		tell(window, gr_text("ファイルを書き込めませんでした。", "The file could not be written."),
		     print->err.text);
		break;
	case GR_PRINT_LOST:
		tell(window,
		     gr_text("接続が切れたため、印刷を中止しました。", "The connection was lost while printing."),
		     none);
		break;
	default: break;
	}
}

static void follow_state(struct gr_window *window)
{
	const struct gr_print *print = window->viewer->print;
	window->redraw = 1;
	switch (print->state) {
	case GR_PRINT_OFFERED:
		if (window->panel.open)
			break;
		gr_window_release_keys(window);
		gr_window_editing(window, "");
		gr_window_tell(window, "");
		gr_print_panel_open(&window->panel, print);
		window->over_picture = 0;
		break;
	case GR_PRINT_RUNNING:
		freeze(window);
		window->panel.open = 1;
		window->panel.focus = GR_PRINT_STOP;
		break;
	case GR_PRINT_STOPPING: window->panel.open = window->printing.frozen != NULL; break;
	default:
		window->panel.open = 0;
		if (window->printing.frozen)
			window->printing.thaw_us = gr_viewer_now_us() + THAW_US;
		tell_outcome(window);
	}
}

static int is_whole_again(const struct gr_viewer *viewer)
{
	const struct gr_rect *damage = &viewer->damage;
	return damage->x == 0 && damage->y == 0 && damage->w == viewer->width && damage->h == viewer->height;
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

int gr_window_follow_print(struct gr_window *window)
{
	struct gr_viewer *viewer = window->viewer;
	struct gr_print *print = viewer->print;
	int wait_ms = gr_print_step(print);
	if (print->changed) {
		print->changed = 0;
		follow_state(window);
	}
	/* Of a connection that has ended it stays: the picture may have a piece of a page. */
	if (window->printing.thaw_us && viewer->state == GR_VIEWER_SHOWN && viewer->decoder >= 0) {
		uint64_t now = gr_viewer_now_us();
		if (is_whole_again(viewer) || now >= window->printing.thaw_us)
			thaw(window);
		else
			wait_ms = sooner(wait_ms, (int)((window->printing.thaw_us - now) / 1000 + 1));
	}
	if (window->printing.job.process) {
		int status = gr_platform_printed(&window->printing.job);
		if (status == GR_EAGAIN)
			return sooner(wait_ms, PRINTER_POLL_MS);
		remove_temporary(window);
		tell(window,
		     status ? gr_text("印刷できませんでした。プリンターの設定を確認してください。",
				      "It could not be printed. Check the printer's settings.")
			    : gr_text("プリンターに送りました。", "Sent to the printer."),
		     "");
	}
	return wait_ms;
}

void gr_window_end_print(struct gr_window *window)
{
	uint64_t until_us = gr_viewer_now_us() + (uint64_t)PRINTER_LAST_MS * 1000;
	while (window->printing.job.process && gr_platform_printed(&window->printing.job) == GR_EAGAIN &&
	       gr_viewer_now_us() < until_us)
		SDL_Delay(10);
	remove_temporary(window);
	SDL_FreeSurface(window->printing.frozen);
	window->printing.frozen = NULL;
}

static int is_input(const SDL_Event *event)
{
	switch (event->type) {
	case SDL_KEYDOWN:
	case SDL_KEYUP:
	case SDL_TEXTINPUT:
	case SDL_TEXTEDITING:
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
	case SDL_MOUSEMOTION:
	case SDL_MOUSEWHEEL: return 1;
	default: return 0;
	}
}

int gr_window_print_event(struct gr_window *window, const SDL_Event *event)
{
	struct gr_print *print = window->viewer->print;
	int width, height;
	if (window->viewer->state != GR_VIEWER_SHOWN || !is_input(event))
		return 0;
	if (!window->panel.open)
		return 0;
	SDL_GetWindowSize(window->window, &width, &height);
	enum gr_print_action_wanted wanted = gr_print_panel_event(&window->panel, print, gr_draw_paint(window->draw),
								  gr_draw_area(window->draw, width, height), event);
	if (wanted != GR_PANEL_NOTHING)
		window->redraw = 1;
	if (wanted == GR_PANEL_SAVE || wanted == GR_PANEL_PAPER)
		accept(window, wanted == GR_PANEL_PAPER);
	else if (wanted == GR_PANEL_STOP)
		gr_print_cancel(print);
	return 1;
}
