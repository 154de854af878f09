/*
 * One line of the audit record: how an event becomes a line, how a line is read back, and the hash that chains it to the
 * one before. The format is in audit.h. No input or output here.
 */
#ifndef GARASU_BROKER_AUDIT_CHAIN_H
#define GARASU_BROKER_AUDIT_CHAIN_H

#include "broker/audit/audit.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define GR_AUDIT_LINE_MAX                                                                                              \
	4096 /* bytes of a line with its newline; the longest event, every byte escaped, is well below */
#define GR_AUDIT_HASH_TEXT 65 /* 64 hexadecimal digits, terminated */

/* The fields in their order in a line; each at most once. */
enum gr_audit_field {
	GR_AUDIT_FIELD_SEQ,
	GR_AUDIT_FIELD_TIME,
	GR_AUDIT_FIELD_MONO,
	GR_AUDIT_FIELD_BOOT,
	GR_AUDIT_FIELD_KIND,
	GR_AUDIT_FIELD_SESSION, /* 16 hexadecimal digits */
	GR_AUDIT_FIELD_CONTAINER,
	GR_AUDIT_FIELD_CONNECTION,
	GR_AUDIT_FIELD_PERSON,
	GR_AUDIT_FIELD_GROUP,
	GR_AUDIT_FIELD_ACTOR,
	GR_AUDIT_FIELD_PEER,
	GR_AUDIT_FIELD_TARGET,
	GR_AUDIT_FIELD_REASON,
	GR_AUDIT_FIELD_DETAIL,
	GR_AUDIT_FIELD_DOWN,
	GR_AUDIT_FIELD_UP,
	GR_AUDIT_FIELD_PREV,
	GR_AUDIT_FIELD_HASH,
	GR_AUDIT_FIELDS
};
extern const char *const gr_audit_fields[GR_AUDIT_FIELDS];

/* SHA-256, set up once for many lines. */
struct gr_audit_hasher;
struct gr_audit_hasher *gr_audit_hasher_create(void); /* owned; NULL when libcrypto refuses */
void gr_audit_hasher_destroy(struct gr_audit_hasher *hasher); /* NULL allowed */
/* The hash of n bytes as text. GR_EIO when libcrypto fails. */
int gr_audit_hash(struct gr_audit_hasher *hasher, const void *bytes, size_t n, char out[GR_AUDIT_HASH_TEXT]);

/* What the audit process adds to an event. */
struct gr_audit_stamp {
	uint64_t sequence; /* from 1 */
	struct timespec time; /* CLOCK_REALTIME */
	uint64_t mono; /* CLOCK_MONOTONIC, nanoseconds */
	char boot[33]; /* the boot's id, 32 hexadecimal digits */
};

/*
 * Writes the line of an event, newline included, into out (GR_AUDIT_LINE_MAX bytes). chain: in, the hash of the line
 * before (64 zeros before the first); out, this line's. The event's strings may hold any bytes but must be terminated.
 * Returns 0; GR_EINVAL for an unknown kind or a time outside years 1970..9999; GR_EIO from the hash. chain is written only on success.
 */
int gr_audit_line_format(struct gr_audit_hasher *hasher, const struct gr_audit_stamp *stamp,
			 const struct gr_audit_event *event, char chain[GR_AUDIT_HASH_TEXT], char *out,
			 size_t *length_out);

/* A line that was read; the pointers are into the line. An absent field has start NULL. */
struct gr_audit_line {
	uint64_t sequence;
	size_t hashed; /* bytes from the line's start that its hash covers */
	struct {
		const char *start;
		size_t length;
	} fields[GR_AUDIT_FIELDS];
};

/*
 * Reads one line of n bytes, without its newline. Checks everything that one line can show by itself but the hash.
 * GR_EPROTO with *reason_out (static text) set.
 */
int gr_audit_line_parse(const char *untrusted_line, size_t n, struct gr_audit_line *out, const char **reason_out);

/* Percent-encodes at most cap - 1 bytes into out, terminated, never a partial escape. Returns the length written. */
size_t gr_audit_escape(char *out, size_t cap, const char *untrusted_text, size_t n);

/* The other way; out has room for n + 1. GR_EPROTO for a wrong escape. */
int gr_audit_unescape(char *out, size_t *length_out, const char *untrusted_value, size_t n);

#endif
