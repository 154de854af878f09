/* --factors: a second factor for automation, from a file of two lines (password, code) that nobody else may read. */
#ifndef GARASU_VIEWER_FACTORS_H
#define GARASU_VIEWER_FACTORS_H

#include "common/error.h"
#include "viewer/channel.h"

/* Reads it. A missing line is empty. GR_EDENIED: others may read it; GR_EINVAL: too long, or no text; GR_EIO, GR_ENOMEM. */
int gr_factors_read(const char *file, struct gr_viewer_factors *out, struct gr_error *err);

#endif
