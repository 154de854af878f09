/* The viewer's window: SDL events to input, the picture to the screen. */
#ifndef GARASU_VIEWER_WINDOW_H
#define GARASU_VIEWER_WINDOW_H

#include "common/error.h"
#include "viewer/options.h"
#include "viewer/viewer.h"

struct gr_window;

/* Opens the window. viewer is borrowed. NULL with err set. */
struct gr_window *gr_window_create(struct gr_viewer *viewer, const struct gr_viewer_options *options,
				   struct gr_error *err);
void gr_window_destroy(struct gr_window *window); /* NULL allowed */

/* The descriptor that becomes readable with the display's events; -1 when there is none and time must do. */
int gr_window_fd(const struct gr_window *window);

/* The same of the person's input method. It may change with each gr_window_step. */
int gr_window_ime_fd(const struct gr_window *window);

/*
 * Handles all events, sends the input they mean, shows what changed. Call before every poll(2). Returns the longest time
 * in ms to wait before the next call, or -1.
 */
int gr_window_step(struct gr_window *window);

/* The person has closed the window. */
int gr_window_closed(const struct gr_window *window);

/* Whether the dialogue waits for the person; it answers viewer by itself. */
int gr_window_asks(const struct gr_window *window);
/* Whether the present question is answered by somebody else: there is no dialogue for it. */
void gr_window_answered(struct gr_window *window, int answered);

/* For gr_script_host; context is the window. */
void gr_window_resize(void *context, uint16_t width, uint16_t height);
int gr_window_screenshot(void *context, const char *file, struct gr_error *err);
int gr_window_picture(void *context, const char *file, struct gr_error *err);
int gr_window_dialog_key(void *context, uint32_t keysym, int shift, int control);
int gr_window_dialog_text(void *context, const char *utf8);

/* The same pictures without any window, for a viewer that has none. scale in percent. */
int gr_window_screenshot_headless(const struct gr_viewer *viewer, int scale, const char *file, struct gr_error *err);
int gr_window_picture_headless(const struct gr_viewer *viewer, int scale, const char *file, struct gr_error *err);

#endif
