/*
 * The configuration files of garasu-viewer, in libconfuse's grammar as the broker's: the system's first, then the person's. Their keys
 * are the long options with _ for -, and mean the same. What the system's file lists in `fixed` nobody else changes: not the person's file, not
 * the command line.
 */
#ifndef GARASU_VIEWER_SETTINGS_H
#define GARASU_VIEWER_SETTINGS_H

#include "common/error.h"
#include "viewer/options.h"

#define GR_SETTINGS_SYSTEM "/etc/garasu/viewer.conf"

/*
 * Reads a file into *options, over what is there; `fixed` counts in the system's only. A key that is fixed already is left as it is, with a
 * warning. GR_ENOENT: there is no such file; else *err begins with the file and, where it is known, the line.
 */
int gr_settings_read(struct gr_viewer_options *options, const char *file, int is_system, struct gr_error *err);

/* The person's file, $XDG_CONFIG_HOME or ~/.config: garasu/viewer.conf. GR_ENOENT: nobody knows where. */
int gr_settings_of_person(char *out, size_t cap);

/* Whether the system's file fixes the long option of this name ("host": what the command line ends with). */
int gr_settings_is_fixed(const struct gr_viewer_options *options, const char *option);

#endif
