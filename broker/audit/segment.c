#include "broker/audit/segment.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (1u << 18)

struct gr_audit_segment {
	int fd;
	int owned;
	int linked; /* last is known */
	uint64_t next, end; /* sequence numbers: of the next line, past the segment's last */
	uint64_t offset; /* of at in the file */
	uint8_t last[GR_TREE_HASH];
	char *at; /* in buffer: what was not given yet, held bytes of it */
	size_t held;
	char buffer[CHUNK + GR_AUDIT_LINE_MAX];
};

void gr_audit_segment_name(uint64_t number, const char *suffix, char out[GR_AUDIT_SEGMENT_NAME])
{
	snprintf(out, GR_AUDIT_SEGMENT_NAME, "%08" PRIu64 ".%s", number, suffix);
}

int gr_audit_segment_open(struct gr_audit_segment **out, int log, int fd, uint64_t number,
			  const uint8_t last[GR_TREE_HASH], struct gr_error *err)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	gr_audit_segment_name(number, "log", name);
	int own = fd < 0 ? openat(log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	if (fd < 0 && own < 0)
		return errno == ENOENT ? gr_error_set(err, GR_ENOENT, "there is no segment %s", name)
				       : gr_error_errno(err, "cannot open the segment %s", name);
	struct gr_audit_segment *segment = malloc(sizeof(*segment));
	if (!segment) {
		gr_io_close(&own);
		return gr_error_set(err, GR_ENOMEM, "no memory to read the record");
	}
	segment->fd = fd < 0 ? own : fd;
	segment->owned = fd < 0;
	segment->linked = last || number == 0;
	segment->next = number * GR_AUDIT_SEGMENT_LINES + 1;
	segment->end = segment->next + GR_AUDIT_SEGMENT_LINES;
	segment->offset = 0;
	memset(segment->last, 0, sizeof(segment->last));
	if (last)
		memcpy(segment->last, last, sizeof(segment->last));
	segment->at = segment->buffer;
	segment->held = 0;
	*out = segment;
	return 0;
}

void gr_audit_segment_close(struct gr_audit_segment *segment)
{
	if (!segment)
		return;
	if (segment->owned)
		gr_io_close(&segment->fd);
	free(segment);
}

/* Finds the next line's newline, reading on as needed. NULL at the end; *status is an error's code, or 0. */
static char *find_newline(struct gr_audit_segment *segment, int *status, struct gr_error *err)
{
	*status = 0;
	for (;;) {
		char *newline = memchr(segment->at, '\n', segment->held);
		if (newline)
			return newline;
		/* More than a line without a newline is no line that was being written. */
		if (segment->held >= GR_AUDIT_LINE_MAX) {
			*status = gr_error_set(err, GR_EPROTO, "line with seq %" PRIu64 ": the line is too long",
					       segment->next);
			return NULL;
		}
		memmove(segment->buffer, segment->at, segment->held);
		segment->at = segment->buffer;
		ssize_t n = pread(segment->fd, segment->buffer + segment->held, CHUNK,
				  (off_t)(segment->offset + segment->held));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			*status = gr_error_errno(err, "line with seq %" PRIu64 ": cannot read", segment->next);
		if (n <= 0)
			return NULL;
		segment->held += (size_t)n;
	}
}

static const char *check_line(const struct gr_audit_segment *segment, const struct gr_audit_line *line)
{
	uint8_t named[GR_TREE_HASH];
	if (segment->next == segment->end)
		return "it is one more than a segment holds";
	if (line->sequence != segment->next)
		return "another sequence number stands here: lines were removed, added or moved";
	if (line->pruned || !segment->linked)
		return NULL;
	gr_audit_unhex(line->fields[GR_AUDIT_FIELD_PREV].start, line->fields[GR_AUDIT_FIELD_PREV].length,
		       2 * sizeof(named), named);
	return memcmp(named, segment->last, sizeof(named)) == 0
		       ? NULL
		       : "it does not follow the line before: that was changed, or lines were removed, added or moved";
}

int gr_audit_segment_next(struct gr_audit_segment *segment, struct gr_audit_record *out, struct gr_error *err)
{
	const char *reason = NULL;
	int status;
	char *newline = find_newline(segment, &status, err);
	if (!newline)
		return status;
	struct gr_audit_record record = {
		.bytes = segment->at,
		.length = (size_t)(newline - segment->at),
		.offset = segment->offset,
	};
	if (gr_audit_line_parse(record.bytes, record.length, &record.line, &reason) == 0)
		reason = check_line(segment, &record.line);
	if (reason)
		return gr_error_set(err, GR_EPROTO, "line with seq %" PRIu64 ": %s", segment->next, reason);
	if (gr_audit_line_leaf(record.bytes, record.length, &record.line, record.leaf) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	memcpy(segment->last, record.leaf, sizeof(segment->last));
	segment->linked = 1;
	segment->next++;
	segment->at = newline + 1;
	segment->held -= record.length + 1;
	segment->offset += record.length + 1;
	*out = record;
	return 1;
}

uint64_t gr_audit_segment_torn(const struct gr_audit_segment *segment)
{
	return segment->held;
}

/* ---- sums ---- */

size_t gr_audit_sum_format(const struct gr_audit_sum *sum, char out[GR_AUDIT_SUM_MAX])
{
	char tree[GR_AUDIT_HASH_TEXT], last[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(sum->tree, GR_TREE_HASH, tree);
	gr_audit_hex(sum->last, GR_TREE_HASH, last);
	return (size_t)snprintf(out, GR_AUDIT_SUM_MAX,
				"segment=%" PRIu64 " first=%" PRIu64 " count=%u tree=%s last=%s\n", sum->segment,
				sum->segment * GR_AUDIT_SEGMENT_LINES + 1, GR_AUDIT_SEGMENT_LINES, tree, last);
}

int gr_audit_sum_parse(const char *untrusted_line, size_t n, struct gr_audit_sum *out)
{
	struct gr_audit_sum sum = { .segment = 0 };
	const char *at = untrusted_line, *value;
	char again[GR_AUDIT_SUM_MAX];
	size_t left = n, length;
	if (gr_audit_take_field(&at, &left, "segment", &value, &length) != 0)
		return GR_EPROTO;
	sum.segment = gr_audit_number(value, length); /* 0 is not one for it, but what is left when it is none */
	if (sum.segment > UINT64_MAX / GR_AUDIT_SEGMENT_LINES - 1 ||
	    gr_audit_take_field(&at, &left, "first", &value, &length) != 0 ||
	    gr_audit_take_field(&at, &left, "count", &value, &length) != 0 ||
	    gr_audit_take_field(&at, &left, "tree", &value, &length) != 0 ||
	    gr_audit_unhex(value, length, 2 * (size_t)GR_TREE_HASH, sum.tree) != 0 ||
	    gr_audit_take_field(&at, &left, "last", &value, &length) != 0 ||
	    gr_audit_unhex(value, length, 2 * (size_t)GR_TREE_HASH, sum.last) != 0)
		return GR_EPROTO;
	/* There is one way to write it. */
	if (gr_audit_sum_format(&sum, again) != n + 1 || memcmp(again, untrusted_line, n) != 0)
		return GR_EPROTO;
	*out = sum;
	return 0;
}

int gr_audit_sum_write(int log, const struct gr_audit_sum *sum)
{
	char name[GR_AUDIT_SEGMENT_NAME], text[GR_AUDIT_SUM_MAX];
	size_t n = gr_audit_sum_format(sum, text);
	gr_audit_segment_name(sum->segment, "sum", name);
	int fd = openat(log, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return GR_EIO;
	int failed = gr_io_write_all(fd, text, n) != 0 || fsync(fd) < 0 || fsync(log) < 0;
	int cause = errno;
	close(fd);
	errno = cause;
	return failed ? GR_EIO : 0;
}

int gr_audit_sum_read(int log, uint64_t number, struct gr_audit_sum *out, struct gr_error *err)
{
	char name[GR_AUDIT_SEGMENT_NAME], text[GR_AUDIT_SUM_MAX + 1];
	struct gr_audit_sum sum;
	gr_audit_segment_name(number, "sum", name);
	int fd = openat(log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? gr_error_set(err, GR_ENOENT, "%s is missing", name)
				       : gr_error_errno(err, "cannot open %s", name);
	ssize_t n = pread(fd, text, sizeof(text), 0);
	close(fd);
	if (n < 0)
		return gr_error_errno(err, "cannot read %s", name);
	if (n == 0 || text[n - 1] != '\n' || gr_audit_sum_parse(text, (size_t)n - 1, &sum) != 0 ||
	    sum.segment != number)
		return gr_error_set(err, GR_EPROTO, "%s is malformed", name);
	*out = sum;
	return 0;
}
