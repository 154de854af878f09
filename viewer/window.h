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

/*
 * Handles all events, sends the input they mean, shows what changed. Call before every poll(2). Returns the longest time
 * in ms to wait before the next call, or -1.
 */
int gr_window_step(struct gr_window *window);

/* The person has closed the window. */
int gr_window_closed(const struct gr_window *window);

/* For gr_script_host; context is the window, or NULL in gr_window_screenshot's case when there is none (headless). */
void gr_window_resize(void *context, uint16_t width, uint16_t height);
int gr_window_screenshot(void *context, const char *file, struct gr_error *err);

/* The same picture without any window, for a viewer that has none. */
int gr_window_screenshot_headless(const struct gr_viewer *viewer, const char *file, struct gr_error *err);

#endif
