/*
 * What differs by operating system, behind one header: platform_linux.c has it for Linux and X11 (Wayland through SDL), and
 * nothing else of the viewer names a system (scripts/check-source looks). Its parts platform_process.h and platform_net.h need no SDL.
 * Windows is files of its own. What stands outside and a port's compiler must give: open, read, write, close, poll of descriptors.
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

/* The descriptor that says that events of the display wait; -1: there is none, SDL is to be asked now and then. */
int gr_platform_display_fd(SDL_Window *window);

/*
 * The folder for what the person saves, when the configuration names none: XDG's Documents or the home folder. Written to out with its end.
 * GR_ENOENT when there is none.
 */
int gr_platform_documents(char *out, size_t cap);

/* Hands a PDF to the local printing: runs command with the file behind it, without a shell, and does not wait. GR_EIO with *err. */
int gr_platform_print(const char *command, const char *file, struct gr_error *err);

#endif
