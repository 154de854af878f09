#include "broker/audit/tool/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct seen {
	int there; /* a line that is well formed */
	char bytes[GR_AUDIT_LINE_MAX];
	size_t length;
	struct gr_audit_line line;
	uint8_t leaf[GR_TREE_HASH], prev[GR_TREE_HASH];
};

static int read_line(int fd, uint64_t offset, struct seen *out)
{
	const char *reason;
	memset(out, 0, sizeof(*out));
	ssize_t n = pread(fd, out->bytes, sizeof(out->bytes), (off_t)offset);
	const char *newline = n > 0 ? memchr(out->bytes, '\n', (size_t)n) : NULL;
	if (!newline)
		return 0;
	out->length = (size_t)(newline - out->bytes);
	if (gr_audit_line_parse(out->bytes, out->length, &out->line, &reason) != 0 ||
	    gr_audit_line_leaf(out->bytes, out->length, &out->line, out->leaf) != 0)
		return 0;
	if (!out->line.pruned)
		gr_audit_unhex(out->line.fields[GR_AUDIT_FIELD_PREV].start,
			       out->line.fields[GR_AUDIT_FIELD_PREV].length, 2 * (size_t)GR_TREE_HASH, out->prev);
	out->there = 1;
	return 1;
}

/* The line at offset, or the first of the next segment when so many lines stand before it. */
static void read_behind(struct gr_check *check, uint64_t offset, uint64_t lines, struct seen *out)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	if (read_line(check->fd, offset, out) || lines < GR_AUDIT_SEGMENT_LINES)
		return;
	gr_audit_segment_name(check->number + 1, "log", name);
	int next = openat(check->log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (next < 0)
		return;
	read_line(next, 0, out);
	close(next);
}

/*
 * The last record's leaf hash is not the one that the record behind it names, and nothing behind that one says which of the two was
 * changed. A head that binds both does: it fits when the last one's leaf hash is as it was named. Returns 1 when that is so.
 */
static int head_says_changed(struct gr_check *check, const struct seen *line)
{
	struct gr_check again = *check;
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	struct gr_error ignored;
	uint8_t root[GR_TREE_HASH];
	uint64_t inside = check->segment.size;
	const struct gr_check_heads *heads = check->heads.present ? &check->heads : &check->known;
	if (!heads->present || heads->head.size != check->result->count + 1 || inside == 0)
		return 0;
	/* The segment's tree anew, without its last record. */
	memset(&again.segment, 0, sizeof(again.segment));
	if (gr_audit_segment_open(&segment, check->log, -1, check->number, NULL, &ignored) != 0)
		return 0;
	while (again.segment.size + 1 < inside && gr_audit_segment_next(segment, &record, &ignored) == 1)
		if (gr_tree_append(&again.segment, 0, record.leaf) != 0)
			break;
	gr_audit_segment_close(segment);
	return again.segment.size + 1 == inside && gr_tree_append(&again.segment, 0, line->prev) == 0 &&
	       gr_tree_append(&again.segment, 0, line->leaf) == 0 && gr_check_root(&again, root) == 0 &&
	       memcmp(root, heads->head.root, sizeof(root)) == 0;
}

int gr_check_blame_head(struct gr_check *check, const struct gr_check_heads *heads)
{
	static struct seen behind;
	uint64_t size = heads->head.size, first = check->result->bound + 1;
	int anew = 0;
	if (heads == &check->known && check->known.last == size)
		return gr_check_bad(check, heads->name, heads->line, size, size,
				    "another known tree head of %" PRIu64
				    " records fits, and this one does not: one of the two is not what was signed",
				    size);
	if (heads == &check->known) {
		/* A head in the record that fits where a known one does not was made anew with it. */
		anew = check->result->bound == size;
		first = check->known.last + 1;
	}
	/* One that the record behind it does not follow was changed; the last one of all may have been changed alone. */
	read_behind(check, check->end, check->segment.size, &behind);
	if (!anew && (check->total == check->result->bytes ||
		      (behind.there && !behind.line.pruned && memcmp(behind.prev, check->last, GR_TREE_HASH) != 0)))
		return gr_check_bad(check, heads->name, heads->line, size, size,
				    "the record is not what the tree head of %" PRIu64
				    " records binds: it was changed, or all from record %" PRIu64 " on made anew",
				    size, first);
	return gr_check_bad(check, heads->name, heads->line, first, size,
			    "the records %" PRIu64 " to %" PRIu64
			    " are not what the tree head binds: one of them was changed, and those behind it made anew",
			    first, size);
}

int gr_check_blame(struct gr_check *check, const char *reason)
{
	static struct seen line, behind;
	uint64_t next = check->result->count + 1, at = check->segment.size + 1;
	char path[64], before[64], name[GR_AUDIT_SEGMENT_NAME];
	const char *colon = strstr(reason, ": ");
	gr_audit_segment_name(check->number, "log", name);
	snprintf(path, sizeof(path), GR_AUDIT_LOG_DIRECTORY "/%s", name);
	snprintf(before, sizeof(before), "%s", path);
	if (at == 1 && check->number > 0) {
		gr_audit_segment_name(check->number - 1, "log", name);
		snprintf(before, sizeof(before), GR_AUDIT_LOG_DIRECTORY "/%s", name);
	}
	uint64_t before_at = at == 1 ? GR_AUDIT_SEGMENT_LINES : at - 1;
	if (colon && strncmp(reason, "line with seq", 13) == 0)
		reason = colon + 2;

	if (!read_line(check->fd, check->end, &line) || at > GR_AUDIT_SEGMENT_LINES)
		return gr_check_bad(check, path, at, next, next, "%s", reason);
	if (line.line.sequence > next)
		return gr_check_bad(check, path, at, next, next,
				    "record %" PRIu64 " stands here: records were removed, or moved",
				    line.line.sequence);
	read_behind(check, check->end + line.length + 1, at, &behind);
	int confirmed = behind.there && !behind.line.pruned && memcmp(behind.prev, line.leaf, GR_TREE_HASH) == 0;
	if (line.line.sequence < next) {
		if (memcmp(line.leaf, check->last, GR_TREE_HASH) == 0)
			return gr_check_bad(check, path, at, next, next, "record %" PRIu64 " stands here once more",
					    next - 1);
		/* The next line follows this one, and so it is the line before that does not belong here. */
		if (confirmed && line.line.sequence == next - 1 && next > 1)
			return gr_check_bad(check, before, before_at, next - 1, next - 1,
					    "it was put in: the record that stood here is behind it");
		return gr_check_bad(check, path, at, next, next,
				    "record %" PRIu64 " stands here: records were put in, or moved",
				    line.line.sequence);
	}
	/* Its number is right, but it names another leaf hash than the line before has: one of the two was changed. */
	if (next == 1)
		return gr_check_bad(check, path, at, 1, 1, "the first record names one before it");
	int bound = check->result->bound == next - 1; /* the one before is what a head binds */
	if (!bound && (confirmed || head_says_changed(check, &line)))
		return gr_check_bad(check, before, before_at, next - 1, next - 1,
				    "it was changed: its hash is not the one that record %" PRIu64 " names", next);
	if (bound || (behind.there && !behind.line.pruned))
		return gr_check_bad(check, path, at, next, next,
				    "it was changed: it does not follow the record before");
	int head = check->heads.present && check->heads.head.size == next;
	return gr_check_bad(check, path, at, head ? next : next - 1, next,
			    head ? "it was changed: it does not follow the record before"
				 : "one of the two was changed: this one does not name the hash of the one before");
}
