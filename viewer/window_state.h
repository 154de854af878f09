/* The state of the window, shared by window.c and the window_*.c. */
#ifndef GARASU_VIEWER_WINDOW_STATE_H
#define GARASU_VIEWER_WINDOW_STATE_H

#include "viewer/dialog.h"
#include "viewer/draw.h"
#include "viewer/ime.h"
#include "viewer/options.h"
#include "viewer/platform.h"
#include "viewer/print_panel.h"
#include "viewer/touch.h"
#include "viewer/viewer.h"

#define GR_WINDOW_WIDTH 1280
#define GR_WINDOW_HEIGHT 800 /* of the picture */

struct gr_window {
	struct gr_viewer *viewer;
	SDL_Window *window;
	struct gr_draw *draw;
	SDL_Cursor *remote, *arrow;
	SDL_Rect remote_box; /* what can be seen of it, from its hot spot */
	int fd;
	int closed;
	int full_screen;
	int redraw; /* everything */
	int over_picture; /* the pointer is over the picture */
	uint32_t held[SDL_NUM_SCANCODES]; /* keysym sent with the press, 0: not held */
	uint8_t held_sent[SDL_NUM_SCANCODES]; /* a press was sent, maybe by keycode only */
	uint64_t last_key_us;
	struct gr_ime *ime; /* NULL: SDL speaks to the input method */
	enum gr_window_input input;
	int takes_text; /* SDL's text input is on */
	uint32_t platform_keysym; /* of the press whose event is next; 0: unknown */
	uint32_t offered[SDL_NUM_SCANCODES]; /* keysyms of the presses that the input method was offered; 0: none */
	uint32_t refused_told; /* the text whose loss was told last */
	char composing[256];
	char told[300]; /* what gr_window_tell was given */
	uint64_t told_until_us; /* 0: nothing is told */
	struct gr_dialog dialog;
	uint64_t asked_us; /* ask.from_us and this tell one question from the next */
	int answered; /* the question is answered by somebody else */
	uint64_t redraw_at_us; /* although nothing happens; 0: not */
	int scale_given; /* by an option, in percent; 0: as the desktop has it */
	int zoom; /* percent, on top */
	int browser_scale, scale_sent; /* percent; 0: none was sent on this connection */
	int contrast; /* black, white and yellow */
	int resized; /* since the events were looked at last */
	struct gr_menu menu;
	unsigned menu_key; /* scancode of the key that the menu took last; it is held yet */
	int minutes_told; /* of the time left: the last number that a line was shown for */
	struct gr_touch touch;
	float wheel_x, wheel_y; /* turned, but no notch yet */
	uint16_t sent_x, sent_y; /* where on the picture the session has the pointer */
	int motion_waits; /* a move not yet sent */
	int motion_x, motion_y;
	const char *save_directory, *print_command; /* of the options; borrowed */
	struct gr_print_panel panel;
	struct {
		SDL_Surface *frozen; /* the picture as it was last, greyed; NULL: the picture itself is shown */
		uint64_t thaw_us; /* by then at the latest; 0: pages still come */
		int paper; /* the job's file is to be printed, not to be kept */
		struct gr_platform_job job; /* what prints file, which is removed behind it */
		char file[4096];
	} printing;
};

/* Draws all of the window. */
void gr_window_draw(struct gr_window *window, SDL_Surface *surface);

/* Opens the dialogue for a new question, and closes it when there is none any more. */
void gr_window_follow_question(struct gr_window *window);

/*
 * Until there is a session keys and clicks are the dialogue's, or nobody's: a password typed too early goes nowhere. Whether the
 * event was one of those.
 */
int gr_window_before_session(struct gr_window *window, const SDL_Event *event);

/* Asks the session for a picture of the size that there is room for. */
void gr_window_want_area(struct gr_window *window);

/* A line that tells the person what has happened, in the window for some seconds; copied. The newest replaces the one before. */
void gr_window_tell(struct gr_window *window, const char *text);

/* window_keys.c */
void gr_window_key(struct gr_window *window, const SDL_KeyboardEvent *event); /* SDL_KEYDOWN, SDL_KEYUP */
void gr_window_platform_key(struct gr_window *window, const SDL_SysWMEvent *event); /* of gr_platform_watch_keys */
void gr_window_text(struct gr_window *window, const char *text); /* the input method has committed it */
void gr_window_editing(struct gr_window *window, const char *text);
void gr_window_release_keys(struct gr_window *window); /* all that are held: the window loses the focus */

/* window_print.c */
void gr_window_print(struct gr_window *window); /* the person wants the page printed: Ctrl+Alt+P */
void gr_window_save_picture(struct gr_window *window); /* the person wants the picture saved: Ctrl+Alt+S */
/* Whether the event was for the panel. */
int gr_window_print_event(struct gr_window *window, const SDL_Event *event);
/* Follows the job: opens and closes the panel, freezes the picture, tells the end. Returns ms until it must be called again, or -1. */
int gr_window_follow_print(struct gr_window *window);
void gr_window_end_print(struct gr_window *window); /* nothing temporary stays */

/* window_input.c */
void gr_window_set_input(struct gr_window *window,
			 enum gr_window_input input); /* whose input method; tells the person */
/* Whom keys belong to now: after a change of the state, the dialogue, the focus. */
void gr_window_follow_input(struct gr_window *window);
void gr_window_place_caret(struct gr_window *window); /* it, the picture or the window has moved */
void gr_window_tell_refused(struct gr_window *window); /* of texts that were not delivered */
void gr_window_start_ime(struct gr_window *window); /* before SDL_Init */

/* window_pointer.c */
void gr_window_motion(struct gr_window *window, int x, int y);
void gr_window_send_motion(struct gr_window *window); /* the last move that was not sent yet */
void gr_window_button(struct gr_window *window, const SDL_MouseButtonEvent *event);
void gr_window_finger(struct gr_window *window, const SDL_TouchFingerEvent *event);
void gr_window_wheel(struct gr_window *window, const SDL_MouseWheelEvent *event);
void gr_window_choose_cursor(struct gr_window *window); /* the remote one or the arrow, by where the pointer is */
void gr_window_update_cursor(struct gr_window *window); /* the session's image has changed */

/* window_menu.c: whether the event was a key of the viewer's own, or its menu's */
int gr_window_menu_event(struct gr_window *window, const SDL_Event *event);

/* window_scale.c */
int gr_window_own_scale(int desktop, int zoom); /* of bar, border and messages, in percent */
void gr_window_rescale(struct gr_window *window); /* the desktop's scale or the zoom may have changed */
void gr_window_send_scale(struct gr_window *window); /* when the session has not heard of it yet */
void gr_window_zoom(struct gr_window *window, int direction); /* a step; 0: back to 100 % */

#endif
