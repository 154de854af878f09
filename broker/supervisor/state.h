/*
 * What the supervisor must know after a restart: the policy that was in force last, and who is cut off. In the folder "policy" of the
 * audit directory, root's alone.
 */
#ifndef GARASU_BROKER_SUPERVISOR_STATE_H
#define GARASU_BROKER_SUPERVISOR_STATE_H

#include "common/error.h"

#include <stddef.h>

#define GR_STATE_FOLDER "policy"

/* Makes and opens the folder; owned in *out. GR_EDENIED when it is not this user's; GR_EIO. */
int gr_state_open(const char *audit_directory, int *out, struct gr_error *err);

/* The file's bytes, owned, with one zero behind them. GR_ENOENT, GR_EFULL (longer than most), GR_EIO, GR_ENOMEM. */
int gr_state_read(int folder, const char *name, size_t most, char **bytes_out, size_t *size_out, struct gr_error *err);

/* Writes it anew, mode 0600; on the disk when it returns, and whole or not at all after a crash. GR_EIO. */
int gr_state_write(int folder, const char *name, const void *bytes, size_t size, struct gr_error *err);

#endif
