/*
 * Reading the record: its segments line by line, and their sums (docs/AUDIT.md §1, §2, §4). For the audit process's start and
 * for garasu-audit.
 */
#ifndef GARASU_BROKER_AUDIT_SEGMENT_H
#define GARASU_BROKER_AUDIT_SEGMENT_H

#include "broker/audit/chain.h"

#include <stddef.h>
#include <stdint.h>

#define GR_AUDIT_LOG_DIRECTORY "log"
#define GR_AUDIT_HEADS_FILE "heads.log"
#ifndef GR_AUDIT_SEGMENT_HEIGHT /* a test has smaller ones */
#define GR_AUDIT_SEGMENT_HEIGHT 16
#endif
#define GR_AUDIT_SEGMENT_LINES (1u << GR_AUDIT_SEGMENT_HEIGHT)
#define GR_AUDIT_SEGMENT_NAME 32 /* room for a name, terminated */

/* "00000000.log"; suffix is "log" or "sum". */
void gr_audit_segment_name(uint64_t number, const char *suffix, char out[GR_AUDIT_SEGMENT_NAME]);

struct gr_audit_segment; /* one that is being read */

struct gr_audit_record { /* a line that holds; the pointers last until the next call */
	const char *bytes; /* without the newline */
	size_t length;
	uint64_t offset; /* of its first byte in the segment */
	struct gr_audit_line line;
	uint8_t leaf[GR_TREE_HASH];
};

/*
 * Opens segment number of the folder log (borrowed, needed only during the call), or takes fd (borrowed) for it unless it is
 * -1. last: the last leaf hash of the segment before, which the first line must name; NULL: not known, not checked (segment 0:
 * zeros). Returns owned in *out. GR_ENOENT when there is no such segment; GR_EIO, GR_ENOMEM.
 */
int gr_audit_segment_open(struct gr_audit_segment **out, int log, int fd, uint64_t number,
			  const uint8_t last[GR_TREE_HASH], struct gr_error *err);
void gr_audit_segment_close(struct gr_audit_segment *segment); /* NULL allowed */

/*
 * The next line, checked: its form, its sequence number, and that it names the leaf hash of the line before. Returns 1; 0 at the end,
 * or before bytes at the end that have no newline; GR_EPROTO with "line with seq N: …"; GR_EIO.
 */
int gr_audit_segment_next(struct gr_audit_segment *segment, struct gr_audit_record *out, struct gr_error *err);

/* After the last line: bytes behind it without a newline, a line that was being written when the process or machine stopped. */
uint64_t gr_audit_segment_torn(const struct gr_audit_segment *segment);

/* ---- the sum of a full segment ---- */

#define GR_AUDIT_SUM_MAX 256 /* bytes with the newline */

struct gr_audit_sum {
	uint64_t segment;
	uint8_t tree[GR_TREE_HASH], last[GR_TREE_HASH];
};

/* Writes the line, newline included. Returns its length. */
size_t gr_audit_sum_format(const struct gr_audit_sum *sum, char out[GR_AUDIT_SUM_MAX]);
/* n bytes without the newline. GR_EPROTO. */
int gr_audit_sum_parse(const char *untrusted_line, size_t n, struct gr_audit_sum *out);
/* Writes it durably into its file. GR_EIO, with errno. */
int gr_audit_sum_write(int log, const struct gr_audit_sum *sum);
/* That of segment number, which it must name. GR_ENOENT, GR_EPROTO, GR_EIO. */
int gr_audit_sum_read(int log, uint64_t number, struct gr_audit_sum *out, struct gr_error *err);

#endif
