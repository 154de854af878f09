/* Landlock (docs.kernel.org/userspace-api/landlock.html): takes files, TCP and other processes away from a process for good. */
#ifndef GARASU_COMMON_LANDLOCK_H
#define GARASU_COMMON_LANDLOCK_H

#include "common/error.h"

/*
 * From now on no file can be opened, made, renamed, removed or run; beneath directory (borrowed; -1 = no such place) files
 * may still be made, read, written and removed. No TCP port can be bound, and none connected to unless tcp_connect. No signal
 * and no connection to an abstract UNIX socket reaches a process outside. As far as the running kernel knows these; when it
 * has no Landlock that is logged, and it is no failure. Needs no_new_privs or CAP_SYS_ADMIN. GR_EIO.
 */
int gr_landlock(int directory, int tcp_connect, struct gr_error *err);

/* The version of Landlock in the running kernel; 0 = none. */
int gr_landlock_version(void);

#endif
