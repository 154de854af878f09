/*
 * What differs by operating system, behind one header: platform_linux.c has it for Linux and X11 (Wayland through SDL), and
 * nothing else of the viewer names a system. Windows is a file of its own.
 */
#ifndef GARASU_VIEWER_PLATFORM_H
#define GARASU_VIEWER_PLATFORM_H

#include "common/error.h"

#include <SDL2/SDL.h>
#include <stddef.h>

#define GR_PLATFORM_SCALE_MIN 100
#define GR_PLATFORM_SCALE_MAX 300

/* Percent of the size that 96 dots an inch have, 100..300, of the display that the window is on (NULL: the first one). */
int gr_platform_scale(SDL_Window *window);

/* Has SDL report when the scale may have changed, as an event that gr_platform_is_scale_event knows. */
void gr_platform_watch_scale(SDL_Window *window);
int gr_platform_is_scale_event(const SDL_Event *event);

/* The descriptor that says that events of the display wait; -1: there is none, SDL is to be asked now and then. */
int gr_platform_display_fd(SDL_Window *window);

/* Has SDL_SYSWMEVENT queued for each press of a key, where there is something to learn from it. */
void gr_platform_watch_keys(void);

/*
 * Of SDL_SYSWMEVENT, which comes right before the key's own event: the X keysym that the key makes with the modifiers that are down
 * (0: unknown), and X11's keycode.
 */
uint32_t gr_platform_keysym(const SDL_SysWMEvent *event, uint32_t *keycode);

/*
 * The folder for what the person saves, when the configuration names none: XDG's Documents or the home folder. Written to out with its end.
 * GR_ENOENT when there is none.
 */
int gr_platform_documents(char *out, size_t cap);

/* A file of this name, which nobody else can read, in the place for temporary files; made anew, empty. GR_EIO with *err. */
int gr_platform_temporary(char *out, size_t cap, struct gr_error *err);

/*
 * Hands a PDF to the local printing: runs command (words with spaces between them) with the file behind it, without a shell, and does
 * not wait. GR_EIO with *err.
 */
struct gr_platform_job {
	long process; /* 0: there is none */
};
int gr_platform_print(const char *command, const char *file, struct gr_platform_job *job, struct gr_error *err);

/* GR_EAGAIN while it runs, then once 0, or GR_EIO when it has failed; the file is not needed any more. */
int gr_platform_printed(struct gr_platform_job *job);

#endif
