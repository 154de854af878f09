/* The commands of --script: read line by line, each answered by one line on standard output. */
#ifndef GARASU_VIEWER_SCRIPT_H
#define GARASU_VIEWER_SCRIPT_H

#include "common/error.h"
#include "viewer/viewer.h"

#include <stddef.h>

struct gr_script;

/* What a script can ask of whoever owns the window; each may be NULL. */
struct gr_script_host {
	void *context;
	/* Writes the window with title and border; 0 or an error with err set. */
	int (*screenshot_window)(void *context, const char *file, struct gr_error *err);
	/* Writes the picture alone, with the watermark; used only where that must be shown. */
	int (*picture)(void *context, const char *file, struct gr_error *err);
	/* A key or text for the dialogue that asks for the second factor; 0 when none is open. */
	int (*dialog_key)(void *context, uint32_t keysym, int shift, int control);
	int (*dialog_text)(void *context, const char *utf8);
	/* Makes the window fit a picture of this size; without it the size is asked of the broker directly. */
	void (*resize)(void *context, uint16_t width, uint16_t height);
};

/*
 * Reads commands from file ("-": standard input). deadline_ms: of each waiting command. quiet: answer "ok" to nothing
 * (the commands of --screenshot). NULL with a message on standard error when the file cannot be opened.
 */
struct gr_script *gr_script_create(struct gr_viewer *viewer, const struct gr_script_host *host, const char *file,
				   int deadline_ms);
/* A script of the given lines (borrowed), silent as far as all goes well. NULL when out of memory. */
struct gr_script *gr_script_create_fixed(struct gr_viewer *viewer, const struct gr_script_host *host, const char *lines,
					 int deadline_ms);
void gr_script_destroy(struct gr_script *script); /* NULL allowed */

/* The descriptor to wait for, -1 when a command is being carried out or all was read. */
int gr_script_fd(const struct gr_script *script);

/*
 * Goes on as far as possible: reads, carries out, answers. Call after anything happened. Returns ms until the next
 * call is due, or -1 for "when something happens".
 */
int gr_script_step(struct gr_script *script);

/* All commands were carried out, or `quit` was one. */
int gr_script_done(const struct gr_script *script);
/* Of a fixed script: why it gave up; GR_FAIL_NONE otherwise. */
enum gr_failure gr_script_failure(const struct gr_script *script);

#endif
