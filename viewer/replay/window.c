#include "viewer/replay/window.h"

#include "common/io.h"
#include "viewer/draw.h"
#include "viewer/messages.h"
#include "viewer/replay/export.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WIDTH = 1280,
	HEIGHT = 800, /* of the picture, until the recording says otherwise */
	CONTROL = 68, /* rows of the control bar */
	MARGIN = 14,
	LINE = 22, /* rows of a line of text */
	GO_MS = 40, /* of decoding between two looks at the keyboard */
	PLAY_MS = 15,
	REST_MS = 200,
	OVERLAY_LINES = 6,
	OVERLAY_TEXT = 440,
	OVERLAY_US = 20000000, /* an event is shown so long */
};

#define SECOND UINT64_C(1000000)
#define SPEED_LEAST 0.25
#define SPEED_MOST 64.0

static const SDL_Color frame_colour = { 0x1e, 0x3a, 0x5f, 0xff }; /* not the orange of a living session */
static const SDL_Color bar_colour = { 0x16, 0x2a, 0x45, 0xff };
static const SDL_Color text_colour = { 0xff, 0xff, 0xff, 0xff };
static const SDL_Color pale_colour = { 0xb6, 0xc6, 0xdb, 0xff };
static const SDL_Color track_colour = { 0x3d, 0x59, 0x7f, 0xff };
static const SDL_Color played_colour = { 0x7d, 0xb4, 0xf0, 0xff };
static const SDL_Color event_colour = { 0xf0, 0xc2, 0x4b, 0xff };
static const SDL_Color alarm_colour = { 0xb9, 0x1c, 0x1c, 0xff };

struct screen {
	const struct gr_replay_window *settings;
	struct gr_player *player;
	SDL_Window *window;
	struct gr_draw *draw;
	uint64_t *events; /* positions of the record's events; owned */
	uint64_t target; /* microseconds */
	double speed;
	uint64_t ticked_us; /* when the clock last went on */
	bool playing, overlay, closed, redraw, reached, dragging;
	char trouble[300]; /* why it cannot go on; "" = nothing is wrong */
};

static void fill(SDL_Surface *surface, SDL_Rect rect, SDL_Color colour)
{
	SDL_FillRect(surface, &rect, SDL_MapRGB(surface->format, colour.r, colour.g, colour.b));
}

/* ---- what is drawn ---- */

static SDL_Rect track_of(int width, int height)
{
	return (SDL_Rect){ MARGIN + 40, height - CONTROL + 16, width - 2 * MARGIN - 40, 8 };
}

static int along(SDL_Rect track, uint64_t position, uint64_t duration)
{
	return duration ? track.x + (int)((uint64_t)track.w * (position < duration ? position : duration) / duration)
			: track.x;
}

static void clock_text(uint64_t position, char out[24])
{
	unsigned seconds = (unsigned)(position / SECOND);

	snprintf(out, 24, seconds >= 3600 ? "%u:%02u:%02u" : "%.0u%02u:%02u", seconds / 3600, seconds / 60 % 60,
		 seconds % 60);
}

static void draw_play_mark(SDL_Surface *surface, int x, int y, bool playing)
{
	if (playing) {
		fill(surface, (SDL_Rect){ x, y, 6, 20 }, text_colour);
		fill(surface, (SDL_Rect){ x + 11, y, 6, 20 }, text_colour);
		return;
	}
	for (int row = 0; row < 20; row++) /* a triangle */
		fill(surface, (SDL_Rect){ x, y + row, (row < 10 ? row + 1 : 20 - row) * 17 / 10, 1 }, text_colour);
}

static void draw_control(const struct screen *screen, SDL_Surface *surface)
{
	const struct gr_player *player = screen->player;
	SDL_Rect bar = { 0, surface->h - CONTROL, surface->w, CONTROL }, track = track_of(surface->w, surface->h);
	char position[24], duration[24], wall[32], text[200], speed[24];
	int reached = along(track, screen->target, player->duration);

	fill(surface, bar, bar_colour);
	draw_play_mark(surface, MARGIN, bar.y + 10, screen->playing);
	fill(surface, track, track_colour);
	fill(surface, (SDL_Rect){ track.x, track.y, reached - track.x, track.h }, played_colour);
	for (size_t i = 0; screen->settings->evidence && i < screen->settings->evidence->count; i++)
		fill(surface, (SDL_Rect){ along(track, screen->events[i], player->duration), track.y - 5, 2, 4 },
		     event_colour);
	fill(surface, (SDL_Rect){ reached - 3, track.y - 5, 6, track.h + 10 }, text_colour);

	clock_text(screen->target, position);
	clock_text(player->duration, duration);
	gr_export_clock(gr_player_wall(player, screen->target), 0, wall);
	snprintf(speed, sizeof speed, "×%g", screen->speed);
	snprintf(text, sizeof text, "%s / %s    %s    %s", position, duration, wall, speed);
	int x = MARGIN + gr_draw_text(screen->draw, surface, text, text_colour, MARGIN, bar.y + 38) + 28;
	const char *verdict = *screen->trouble   ? screen->trouble
			      : !screen->reached ? gr_text("復号しています…", "Decoding…")
						 : screen->settings->verdict;
	if (*screen->trouble || (screen->reached && screen->settings->alarm))
		fill(surface, (SDL_Rect){ x - 8, bar.y + 36, surface->w - x + 8, LINE + 6 }, alarm_colour);
	gr_draw_text(screen->draw, surface, verdict, text_colour, x, bar.y + 38);
}

static void draw_title(const struct screen *screen, SDL_Surface *surface)
{
	const struct gr_recording_header *header = &screen->player->file->header;
	char text[160];

	fill(surface, (SDL_Rect){ 0, 0, surface->w, GR_DRAW_BAR }, frame_colour);
	snprintf(text, sizeof text,
		 gr_text("録画の再生    %s    セッション %016" PRIx64, "Recording    %s    session %016" PRIx64),
		 header->person, header->session);
	int x = 12 + gr_draw_text(screen->draw, surface, text, text_colour, 12, 4) + 28;
	gr_draw_text(screen->draw, surface,
		     gr_text("スペース: 再生/停止  ←→: 5秒  +−: 速さ  E: 記録の表示  Esc: 終了",
			     "space: play/pause  arrows: 5 s  +/−: speed  E: events  Esc: quit"),
		     pale_colour, x, 4);
}

/* Lines of the record's last events up to now, the same one after the other in one line. Returns their number. */
static int overlay_lines(const struct screen *screen, char lines[OVERLAY_LINES][OVERLAY_TEXT])
{
	const struct gr_evidence *evidence = screen->settings->evidence;
	const struct gr_evidence_event *last = NULL;
	int count = 0, times = 0;

	for (size_t i = 0; evidence && i < evidence->count; i++) {
		const struct gr_evidence_event *event = &evidence->events[i];
		char clock[32], more[16] = "";

		if (screen->events[i] > screen->target || screen->target - screen->events[i] >= OVERLAY_US)
			continue;
		bool same = last && !strcmp(last->kind, event->kind) && !strcmp(last->text, event->text);
		if (!same && count == OVERLAY_LINES)
			memmove(lines[0], lines[1], sizeof lines[0] * (OVERLAY_LINES - 1));
		else if (!same)
			count++;
		times = same ? times + 1 : 1;
		if (times > 1)
			snprintf(more, sizeof more, "  ×%d", times);
		gr_export_clock(event->wall_us, 0, clock);
		snprintf(lines[count - 1], OVERLAY_TEXT, "%s  %s  %s%s", clock + 11, event->kind, event->text, more);
		last = event;
	}
	return count;
}

/* Over the lower left of the picture. */
static void draw_overlay(const struct screen *screen, SDL_Surface *surface)
{
	char lines[OVERLAY_LINES][OVERLAY_TEXT];
	int count = overlay_lines(screen, lines), width = 0, most = surface->w - 2 * GR_DRAW_BORDER - 20;
	SDL_Surface *panel = NULL;

	if (count && most > 0)
		panel = SDL_CreateRGBSurfaceWithFormat(0, most, count * LINE + 12, 32, SDL_PIXELFORMAT_RGB888);
	if (!panel)
		return;
	fill(panel, (SDL_Rect){ 0, 0, panel->w, panel->h }, (SDL_Color){ 0x10, 0x1c, 0x2e, 0xff });
	for (int i = 0; i < count; i++) {
		int drawn = 16 + gr_draw_text(screen->draw, panel, lines[i], text_colour, 8, 6 + i * LINE);
		width = drawn > width ? drawn : width;
	}
	SDL_Rect part = { 0, 0, width < most ? width : most, panel->h };
	SDL_Rect place = { GR_DRAW_BORDER + 10, surface->h - CONTROL - panel->h - 14, part.w, part.h };
	SDL_SetSurfaceBlendMode(panel, SDL_BLENDMODE_BLEND);
	SDL_SetSurfaceAlphaMod(panel, 0xd8);
	SDL_BlitSurface(panel, &part, surface, &place);
	SDL_FreeSurface(panel);
}

static void draw_all(struct screen *screen)
{
	SDL_Surface *surface = SDL_GetWindowSurface(screen->window);
	struct gr_viewer *viewer = &screen->player->viewer;

	if (!surface)
		return;
	/* The viewer's own drawing, in a window that ends above the control bar. */
	SDL_Surface *upper = SDL_CreateRGBSurfaceWithFormatFrom(surface->pixels, surface->w, surface->h - CONTROL,
								surface->format->BitsPerPixel, surface->pitch,
								surface->format->format);
	if (upper) {
		fill(upper, (SDL_Rect){ 0, 0, upper->w, upper->h }, frame_colour);
		gr_draw_damage(screen->draw, upper, viewer, (struct gr_rect){ 0, 0, viewer->width, viewer->height });
		SDL_FreeSurface(upper);
	}
	draw_title(screen, surface);
	if (screen->overlay)
		draw_overlay(screen, surface);
	draw_control(screen, surface);
	SDL_UpdateWindowSurface(screen->window);
	viewer->dirty = 0;
	viewer->damage = (struct gr_rect){ 0 };
	screen->redraw = false;
}

/* ---- what the person wants ---- */

static void seek(struct screen *screen, uint64_t target)
{
	screen->target = target < screen->player->duration ? target : screen->player->duration;
	screen->reached = false;
	screen->redraw = true;
	screen->trouble[0] = '\0';
}

static void skip(struct screen *screen, int64_t microseconds)
{
	if (microseconds < 0 && screen->target < (uint64_t)-microseconds)
		seek(screen, 0);
	else
		seek(screen, screen->target + (uint64_t)microseconds);
}

static void change_speed(struct screen *screen, double factor)
{
	double speed = screen->speed * factor;

	if (speed >= SPEED_LEAST && speed <= SPEED_MOST)
		screen->speed = speed;
	screen->redraw = true;
}

static void toggle(struct screen *screen)
{
	screen->playing = !screen->playing;
	if (screen->playing && screen->target == screen->player->duration)
		seek(screen, 0);
	screen->redraw = true;
}

/* The next or last event of the record from here. */
static void to_event(struct screen *screen, int forward)
{
	size_t count = screen->settings->evidence ? screen->settings->evidence->count : 0;
	uint64_t found = UINT64_MAX;

	for (size_t i = 0; i < count; i++) {
		uint64_t at = screen->events[i];
		if (forward ? at > screen->target && found == UINT64_MAX : at + SECOND < screen->target)
			found = at;
	}
	if (found != UINT64_MAX)
		seek(screen, found);
}

static void on_key(struct screen *screen, const SDL_Keysym *key)
{
	int64_t step = (key->mod & KMOD_SHIFT ? 60 : 5) * (int64_t)SECOND;

	switch (key->sym) {
	case SDLK_SPACE: toggle(screen); break;
	case SDLK_LEFT: skip(screen, -step); break;
	case SDLK_RIGHT: skip(screen, step); break;
	case SDLK_PLUS:
	case SDLK_SEMICOLON: /* + with Shift on a Japanese keyboard */
	case SDLK_EQUALS:
	case SDLK_KP_PLUS:
	case SDLK_UP: change_speed(screen, 2); break;
	case SDLK_MINUS:
	case SDLK_KP_MINUS:
	case SDLK_DOWN: change_speed(screen, 0.5); break;
	case SDLK_HOME: seek(screen, 0); break;
	case SDLK_END: seek(screen, screen->player->duration); break;
	case SDLK_PAGEUP: to_event(screen, 0); break;
	case SDLK_PAGEDOWN: to_event(screen, 1); break;
	case SDLK_e:
		screen->overlay = !screen->overlay;
		screen->redraw = true;
		break;
	case SDLK_ESCAPE:
	case SDLK_q: screen->closed = true; break;
	default: break;
	}
}

static void seek_to_pointer(struct screen *screen, int x)
{
	int width, height;

	SDL_GetWindowSize(screen->window, &width, &height);
	SDL_Rect track = track_of(width, height);
	int offset = x < track.x ? 0 : x > track.x + track.w ? track.w : x - track.x;
	seek(screen, track.w > 0 ? screen->player->duration * (uint64_t)offset / (uint64_t)track.w : 0);
}

static void on_event(struct screen *screen, const SDL_Event *event)
{
	int width, height;

	SDL_GetWindowSize(screen->window, &width, &height);
	switch (event->type) {
	case SDL_QUIT: screen->closed = true; break;
	case SDL_WINDOWEVENT: screen->redraw = true; break;
	case SDL_KEYDOWN: on_key(screen, &event->key.keysym); break;
	case SDL_MOUSEBUTTONDOWN:
		if (event->button.y < height - CONTROL || event->button.x < track_of(width, height).x - 6) {
			toggle(screen);
		} else if (event->button.y < height - CONTROL + 34) {
			screen->dragging = true;
			seek_to_pointer(screen, event->button.x);
		}
		break;
	case SDL_MOUSEBUTTONUP: screen->dragging = false; break;
	case SDL_MOUSEMOTION:
		if (screen->dragging)
			seek_to_pointer(screen, event->motion.x);
		break;
	default: break;
	}
}

/* ---- time ---- */

/* The clock goes on only while the picture keeps up with it. */
static void tick(struct screen *screen)
{
	uint64_t now = gr_io_now_us(), passed = now - screen->ticked_us;
	struct gr_error err = { 0 };

	screen->ticked_us = now;
	if (*screen->trouble)
		return;
	if (screen->playing && screen->reached && !screen->dragging) {
		uint64_t before = screen->target / SECOND;
		screen->target += (uint64_t)((double)passed * screen->speed);
		if (screen->target >= screen->player->duration) {
			screen->target = screen->player->duration;
			screen->playing = false;
			screen->redraw = true;
		}
		screen->redraw |= screen->target / SECOND != before;
	}
	bool had = screen->reached;
	int rc = gr_player_go(screen->player, screen->target, GO_MS, &err);
	screen->reached = rc == 1;
	if (rc < 0) {
		snprintf(screen->trouble, sizeof screen->trouble, "%s %.250s",
			 gr_text("ここから先は表示できません:", "It cannot be shown from here on:"), err.text);
		screen->playing = false;
	}
	screen->redraw |= had != screen->reached || *screen->trouble || screen->player->viewer.dirty;
}

/* Where the record's events are on the recording's time line. */
static int place_events(struct screen *screen)
{
	const struct gr_evidence *evidence = screen->settings->evidence;
	const struct gr_recording_file *file = screen->player->file;
	size_t count = evidence ? evidence->count : 0, chunk = 0;

	screen->events = calloc(count + 1, sizeof *screen->events);
	if (!screen->events)
		return GR_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		uint64_t wall = evidence->events[i].wall_us, base = file->header.wall_us, at = 0;
		while (chunk < file->count && file->places[chunk].chunk.wall_us <= wall)
			chunk++;
		if (chunk) {
			base = file->places[chunk - 1].chunk.wall_us;
			at = screen->player->positions[chunk - 1];
		}
		uint64_t most = chunk < file->count ? screen->player->positions[chunk] : screen->player->duration;
		screen->events[i] = wall > base && at + (wall - base) < most ? at + (wall - base)
				    : wall > base                            ? most
									     : at;
	}
	return 0;
}

static int open_window(struct screen *screen, struct gr_error *err)
{
	struct gr_viewer *viewer = &screen->player->viewer;
	SDL_Rect usable;
	int width, height;

	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	/* Without a display SDL would go on with one that nobody sees. */
	SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11,wayland");
	SDL_SetHint(SDL_HINT_APP_NAME, "garasu-replay");
	if (SDL_Init(SDL_INIT_VIDEO) < 0)
		return gr_error_set(err, GR_EIO, "no window: %s", SDL_GetError());
	width = (viewer->width ? viewer->width : WIDTH) + 2 * GR_DRAW_BORDER;
	height = (viewer->height ? viewer->height : HEIGHT) + GR_DRAW_BAR + GR_DRAW_BORDER + CONTROL;
	if (SDL_GetDisplayUsableBounds(0, &usable) == 0) {
		width = width < usable.w ? width : usable.w;
		height = height < usable.h ? height : usable.h;
	}
	screen->window = SDL_CreateWindow(gr_text("録画の再生", "Recording"), SDL_WINDOWPOS_CENTERED,
					  SDL_WINDOWPOS_CENTERED, width, height, SDL_WINDOW_RESIZABLE);
	screen->draw = screen->window ? gr_draw_create(100) : NULL;
	if (!screen->draw)
		return gr_error_set(err, GR_EIO, "no window: %s", SDL_GetError());
	SDL_SetWindowMinimumSize(screen->window, 480, 320);
	return 0;
}

int gr_replay_window_run(const struct gr_replay_window *settings, struct gr_error *err)
{
	struct screen screen = { .settings = settings,
				 .player = settings->player,
				 .target = settings->from,
				 .speed = settings->speed,
				 .playing = true,
				 .overlay = true,
				 .redraw = true };
	SDL_Event event;
	int rc = place_events(&screen);

	if (rc)
		return gr_error_set(err, rc, "no memory");
	/* The first picture says how large the window is to be. Trouble is told in the window. */
	gr_player_go(screen.player, settings->from, 500, err);
	rc = open_window(&screen, err);
	screen.ticked_us = gr_io_now_us();
	while (!rc && !screen.closed) {
		tick(&screen);
		if (screen.redraw)
			draw_all(&screen);
		int wait_ms = screen.playing ? PLAY_MS : REST_MS;
		if (SDL_WaitEventTimeout(&event, screen.reached || *screen.trouble ? wait_ms : 1)) {
			on_event(&screen, &event);
			while (SDL_PollEvent(&event))
				on_event(&screen, &event);
		}
	}
	gr_draw_destroy(screen.draw);
	/* The process ends, and its window with it: SDL would take it away by one connection and speak of it by another (BadWindow, exit 1). */
	free(screen.events);
	return rc;
}
