/* --factors: a second factor for automation, from a file of two lines (password, code) that nobody else may read. */
#ifndef GARASU_VIEWER_FACTORS_H
#define GARASU_VIEWER_FACTORS_H

#include "common/error.h"
#include "viewer/channel.h"

/* Opens the file and checks its mode; its text is not read yet. The descriptor, or an error with err set. */
int gr_factors_open(const char *file, struct gr_error *err);

/* Reads it and closes fd. A missing line is empty. GR_EINVAL: too long, or no text. */
int gr_factors_read(int fd, struct gr_viewer_factors *out, struct gr_error *err);

#endif
