/*
 * Errors: every function that can fail returns 0 or one of these negative codes; one that a person may
 * have to read about also fills a struct gr_error, each caller adding in front what it was doing:
 *
 *     cannot start the container: crun run: exit status 1: cgroup not found
 */
#ifndef GARASU_COMMON_ERROR_H
#define GARASU_COMMON_ERROR_H

#include <stddef.h>

enum gr_status {
	GR_OK = 0,
	GR_EINVAL = -1, /* an argument or a configured value is outside its range */
	GR_ENOMEM = -2,
	GR_EIO = -3, /* the system refused; errno's text is in the gr_error */
	GR_EPROTO = -4, /* the peer sent what the protocol does not permit */
	GR_ECLOSED = -5, /* the peer closed the connection in good order */
	GR_ETIMEOUT = -6,
	GR_EDENIED = -7, /* a policy, a certificate or a permission says no */
	GR_EFULL = -8, /* a bound is reached: queue, sessions, disk */
	GR_ENOENT = -9,
	GR_EEXIST = -10,
	GR_EAGAIN = -11, /* nothing to read, or no room to write, now */
};

struct gr_error {
	int code; /* a gr_status */
	char text[512]; /* UTF-8, one line, no trailing newline */
};

/* Sets *err (which may be NULL) and returns code, so that a caller can write `return gr_error_set(…)`. */
int gr_error_set(struct gr_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with ": " and strerror(errno) behind; the code is GR_ENOMEM for ENOMEM, GR_EIO otherwise. */
int gr_error_errno(struct gr_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "format: " in front of what *err says and returns its code. */
int gr_error_wrap(struct gr_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short English name of a status ("timed out"); never NULL. */
const char *gr_status_text(int code);

#endif
