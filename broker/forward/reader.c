#include "broker/forward/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void gr_forward_reader_reopen(struct gr_forward_reader *reader)
{
	gr_audit_segment_close(reader->segment);
	reader->segment = NULL;
}

void gr_forward_reader_seek(struct gr_forward_reader *reader, uint64_t sequence, const uint8_t *last)
{
	gr_forward_reader_reopen(reader);
	reader->full = 0;
	reader->next = sequence + 1;
	reader->linked = last != NULL;
	if (last)
		memcpy(reader->last, last, sizeof(reader->last));
}

void gr_forward_reader_finish(struct gr_forward_reader *reader)
{
	gr_forward_reader_reopen(reader);
}

static int open_segment(struct gr_forward_reader *reader, struct gr_error *err)
{
	uint64_t number = (reader->next - 1) / GR_AUDIT_SEGMENT_LINES;
	int at_start = (reader->next - 1) % GR_AUDIT_SEGMENT_LINES == 0;
	return gr_audit_segment_open(&reader->segment, reader->log, -1, number,
				     at_start && number > 0 && reader->linked ? reader->last : NULL, err);
}

int gr_forward_reader_next(struct gr_forward_reader *reader, struct gr_audit_record *out, struct gr_error *err)
{
	if (reader->next == 0)
		reader->next = 1;
	for (;;) {
		struct gr_audit_record record;
		/* A full one is closed here and not before: its last record was in its buffer. */
		if (reader->full) {
			gr_forward_reader_reopen(reader);
			reader->full = 0;
		}
		if (!reader->segment) {
			int status = open_segment(reader, err);
			if (status != 0)
				return status == GR_ENOENT ? 0 : status;
		}
		int status = gr_audit_segment_next(reader->segment, &record, err);
		if (status <= 0)
			return status;
		if (record.line.sequence < reader->next) {
			/* What was read before, on the way to where we were. */
			if (record.line.sequence + 1 == reader->next && reader->linked &&
			    memcmp(record.leaf, reader->last, sizeof(record.leaf)) != 0)
				return gr_error_set(err, GR_EPROTO,
						    "the record with seq %" PRIu64 " is not what it was",
						    record.line.sequence);
			continue;
		}
		reader->next = record.line.sequence + 1;
		reader->linked = 1;
		memcpy(reader->last, record.leaf, sizeof(reader->last));
		*out = record;
		reader->full = record.line.sequence % GR_AUDIT_SEGMENT_LINES == 0;
		return 1;
	}
}

int gr_forward_head_read(int directory, uint64_t offset, struct gr_forward_head *out, struct gr_error *err)
{
	struct gr_forward_head head;
	char text[GR_HEAD_LINE_MAX];
	const char *reason;
	int known;
	int fd = openat(directory, GR_AUDIT_HEADS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && offset == 0)
		return 0;
	struct stat status;
	ssize_t n = fd < 0 || fstat(fd, &status) < 0 ? -1 : pread(fd, text, sizeof(text), (off_t)offset);
	if (n < 0)
		gr_error_errno(err, "cannot read %s", GR_AUDIT_HEADS_FILE);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return GR_EIO;
	if ((uint64_t)status.st_size < offset)
		return gr_error_set(err, GR_EPROTO, "%s is shorter than it was", GR_AUDIT_HEADS_FILE);
	const char *newline = memchr(text, '\n', (size_t)n);
	if (!newline && (size_t)n < sizeof(text))
		return 0;
	head.length = newline ? (size_t)(newline - text) : sizeof(text);
	if (gr_head_read(text, head.length, NULL, 0, &head.head, &known, &reason) != 0)
		return gr_error_set(err, GR_EPROTO, "%s at byte %" PRIu64 ": %s", GR_AUDIT_HEADS_FILE, offset, reason);
	memcpy(head.line, text, head.length);
	head.line[head.length] = 0;
	head.end = offset + head.length + 1;
	*out = head;
	return 1;
}
