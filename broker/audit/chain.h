/*
 * One line of the audit record: how an event becomes a line, how a line is read back, and the leaf hash that chains the next
 * one to it (docs/AUDIT.md §2). No input or output here.
 */
#ifndef GARASU_BROKER_AUDIT_CHAIN_H
#define GARASU_BROKER_AUDIT_CHAIN_H

#include "broker/audit/audit.h"
#include "broker/audit/text.h"
#include "broker/audit/tree.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define GR_AUDIT_LINE_MAX                                                                                              \
	4096 /* bytes of a line with its newline; the longest event, every byte escaped, is well below */

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
	GR_AUDIT_FIELD_PRUNED, /* with seq and leaf alone: the kind of the record that stood here */
	GR_AUDIT_FIELD_LEAF,
	GR_AUDIT_FIELDS
};
extern const char *const gr_audit_fields[GR_AUDIT_FIELDS];

/* What the audit process adds to an event. */
struct gr_audit_stamp {
	uint64_t sequence; /* from 1 */
	struct timespec time; /* CLOCK_REALTIME */
	uint64_t mono; /* CLOCK_MONOTONIC, nanoseconds */
	char boot[33]; /* the boot's id, 32 hexadecimal digits */
};

/*
 * Writes the line of an event, newline included, into out (GR_AUDIT_LINE_MAX bytes). leaf: in, the leaf hash of the line
 * before (zeros before the first); out, this line's, on success only. The event's strings may hold any bytes but must be
 * terminated. GR_EINVAL for an unknown kind or a time outside the years 1970..9999; GR_EIO from the hash.
 */
int gr_audit_line_format(const struct gr_audit_stamp *stamp, const struct gr_audit_event *event,
			 uint8_t leaf[GR_TREE_HASH], char *out, size_t *length_out);

/* A line that was read; the pointers are into the line. An absent field has start NULL. */
struct gr_audit_line {
	uint64_t sequence;
	int pruned; /* only seq, pruned and leaf are there */
	struct {
		const char *start;
		size_t length;
	} fields[GR_AUDIT_FIELDS];
};

/*
 * Reads one line of n bytes, without its newline. Checks everything that one line can show by itself.
 * GR_EPROTO with *reason_out (static text) set.
 */
int gr_audit_line_parse(const char *untrusted_line, size_t n, struct gr_audit_line *out, const char **reason_out);

/* The leaf hash of a line that was parsed from these n bytes: the one it names when it is pruned. GR_EIO. */
int gr_audit_line_leaf(const char *bytes, size_t n, const struct gr_audit_line *line, uint8_t out[GR_TREE_HASH]);

/* Writes what is left of a line that is pruned, newline included, into out (GR_AUDIT_LINE_MAX bytes). Returns its length. */
size_t gr_audit_line_prune(const struct gr_audit_line *line, const uint8_t leaf[GR_TREE_HASH], char *out);

/* Percent-encodes at most cap - 1 bytes into out, terminated, never a partial escape. Returns the length written. */
size_t gr_audit_escape(char *out, size_t cap, const char *untrusted_text, size_t n);

/* The other way; out has room for n + 1. GR_EPROTO for a wrong escape. */
int gr_audit_unescape(char *out, size_t *length_out, const char *untrusted_value, size_t n);

#endif
