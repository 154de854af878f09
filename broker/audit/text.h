/* The small values of the record's files: numbers, times, hashes as text. */
#ifndef GARASU_BROKER_AUDIT_TEXT_H
#define GARASU_BROKER_AUDIT_TEXT_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define GR_AUDIT_HASH_TEXT 65 /* 64 hexadecimal digits, terminated */
#define GR_AUDIT_TIME_TEXT 28 /* 2026-11-22T03:04:05.678901Z, terminated */

/* n bytes as 2n lower-case digits, terminated. */
void gr_audit_hex(const uint8_t *bytes, size_t n, char *out);
/* Exactly n lower-case digits, n even, into n / 2 bytes. GR_EPROTO. */
int gr_audit_unhex(const char *untrusted_text, size_t length, size_t n, uint8_t *out);
int gr_audit_is_hex(const char *untrusted_text, size_t length, size_t n);

/* A decimal number without leading zeros, not 0; returns 0 when it is none. */
uint64_t gr_audit_number(const char *untrusted_text, size_t n);

/* UTC with microseconds. GR_EINVAL outside the years 1970..9999. */
int gr_audit_time_format(const struct timespec *time, char out[GR_AUDIT_TIME_TEXT]);
int gr_audit_is_time(const char *untrusted_text, size_t n);

/*
 * Takes "name=value" and the space behind it off the front of *text (*n bytes left). The last one has no space behind it.
 * GR_EPROTO when another name stands there.
 */
int gr_audit_take_field(const char **text, size_t *n, const char *name, const char **value_out, size_t *length_out);

#endif
