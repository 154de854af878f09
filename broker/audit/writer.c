#include "broker/audit/writer.h"

#include "broker/audit/segment.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWED_MAX 8

struct gr_audit_writer {
	int fd;
	char boot[33];
	/* what is durable */
	uint64_t sequence, length;
	uint8_t chain[GR_TREE_HASH];
	/* the batch */
	uint64_t next_sequence;
	uint8_t next_chain[GR_TREE_HASH];
	char *batch;
	size_t used;
	unsigned events, own_events;
	/* faults of our own that are not in the file yet */
	char owed[OWED_MAX][256];
	unsigned owed_count;
	int failing; /* the last commit failed */
	int dirty; /* a failed batch could not be taken back yet */
};

static void begin_batch(struct gr_audit_writer *writer)
{
	writer->next_sequence = writer->sequence + 1;
	memcpy(writer->next_chain, writer->chain, sizeof(writer->chain));
	writer->used = 0;
	writer->events = writer->own_events = 0;
}

/* Copies the torn end of the file aside, durably, then cuts it off. */
static int move_torn_end(struct gr_audit_writer *writer, int directory, uint64_t torn, struct gr_error *err)
{
	char name[64], stamp[32], bytes[GR_AUDIT_LINE_MAX], detail[256];
	time_t now = time(NULL);
	struct tm tm;
	if (torn > sizeof(bytes) || pread(writer->fd, bytes, torn, (off_t)writer->length) != (ssize_t)torn)
		return gr_error_errno(err, "cannot read the torn line at the end of " GR_AUDIT_FILE);
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	int fd = -1;
	for (int attempt = 0; attempt < 100 && fd < 0; attempt++) {
		if (attempt)
			snprintf(name, sizeof(name), GR_AUDIT_FILE ".torn-%s.%d", stamp, attempt);
		else
			snprintf(name, sizeof(name), GR_AUDIT_FILE ".torn-%s", stamp);
		fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		return gr_error_errno(err, "cannot put the torn line at the end of " GR_AUDIT_FILE " aside into %s",
				      name);
	int failed = gr_io_write_all(fd, bytes, torn) != 0 || fsync(fd) < 0 || fsync(directory) < 0;
	if (failed) {
		gr_error_errno(err, "cannot put the torn line at the end of " GR_AUDIT_FILE " aside into %s", name);
		close(fd);
		unlinkat(directory, name, 0);
		return GR_EIO;
	}
	close(fd);
	if (ftruncate(writer->fd, (off_t)writer->length) < 0 || fsync(writer->fd) < 0)
		return gr_error_errno(err, "cannot cut the torn line off " GR_AUDIT_FILE);
	snprintf(detail, sizeof(detail), "torn line of %" PRIu64 " bytes after seq %" PRIu64 " moved to %s", torn,
		 writer->sequence, name);
	gr_log_warning("%s: the broker or the machine was stopped while writing; nothing that was acknowledged is lost",
		       detail);
	gr_audit_writer_owe_fault(writer, detail);
	return 0;
}

static int verify(struct gr_audit_writer *writer, uint64_t *torn_out, struct gr_error *err)
{
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	int status = gr_audit_segment_open(&segment, -1, writer->fd, 0, NULL, err);
	if (status != 0)
		return status;
	while ((status = gr_audit_segment_next(segment, &record, err)) == 1) {
		writer->sequence = record.line.sequence;
		writer->length = record.offset + record.length + 1;
		memcpy(writer->chain, record.leaf, sizeof(writer->chain));
	}
	*torn_out = gr_audit_segment_torn(segment);
	gr_audit_segment_close(segment);
	return status;
}

static int open_and_verify(struct gr_audit_writer *writer, int directory, struct gr_error *err)
{
	struct stat status;
	writer->fd = openat(directory, GR_AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			    0600);
	if (writer->fd < 0)
		return gr_error_errno(err, "cannot open " GR_AUDIT_FILE);
	if (flock(writer->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? gr_error_set(err, GR_EEXIST,
							   GR_AUDIT_FILE " is in use: another garasu-audit is running")
					    : gr_error_errno(err, "cannot lock " GR_AUDIT_FILE);
	if (fstat(writer->fd, &status) < 0 || fchmod(writer->fd, 0600) < 0 || fsync(directory) < 0)
		return gr_error_errno(err, "cannot prepare " GR_AUDIT_FILE);
	if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
		return gr_error_set(err, GR_EDENIED, GR_AUDIT_FILE " is no regular file with one name");
	uint64_t torn = 0;
	if (verify(writer, &torn, err) != 0) {
		int code = gr_error_wrap(err, GR_AUDIT_FILE);
		char reason[sizeof(err->text)];
		snprintf(reason, sizeof(reason), "%s", err->text);
		return code != GR_EPROTO ? code
					 : gr_error_set(err, code,
							"%.300s. Nothing is appended to a broken record: keep the file "
							"as evidence (move it "
							"elsewhere) and start again for a new one",
							reason);
	}
	return torn ? move_torn_end(writer, directory, torn, err) : 0;
}

int gr_audit_writer_open(struct gr_audit_writer **out, int directory, const char boot[33], struct gr_error *err)
{
	struct gr_audit_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	writer->fd = -1;
	memcpy(writer->boot, boot, sizeof(writer->boot));
	writer->batch = malloc((size_t)(GR_AUDIT_BATCH_MAX + OWED_MAX) * GR_AUDIT_LINE_MAX);
	int status = writer->batch ? open_and_verify(writer, directory, err)
				   : gr_error_set(err, GR_ENOMEM, "no memory");
	if (status != 0) {
		gr_audit_writer_close(writer);
		return status;
	}
	begin_batch(writer);
	*out = writer;
	return 0;
}

void gr_audit_writer_close(struct gr_audit_writer *writer)
{
	if (!writer)
		return;
	gr_io_close(&writer->fd);
	free(writer->batch);
	free(writer);
}

static int append(struct gr_audit_writer *writer, const struct gr_audit_event *event)
{
	struct gr_audit_stamp stamp = { .sequence = writer->next_sequence };
	struct timespec mono;
	size_t length;
	memcpy(stamp.boot, writer->boot, sizeof(stamp.boot));
	clock_gettime(CLOCK_REALTIME, &stamp.time);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	stamp.mono = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
	int status = gr_audit_line_format(&stamp, event, writer->next_chain, writer->batch + writer->used, &length);
	if (status != 0)
		return status;
	writer->used += length;
	writer->next_sequence++;
	return 0;
}

static void append_owed(struct gr_audit_writer *writer)
{
	while (writer->own_events < writer->owed_count) {
		struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
		memcpy(event.detail, writer->owed[writer->own_events], sizeof(event.detail));
		if (append(writer, &event) != 0)
			return;
		writer->own_events++;
	}
}

int gr_audit_writer_add(struct gr_audit_writer *writer, const struct gr_audit_event *event, uint64_t *sequence_out)
{
	if (writer->events == GR_AUDIT_BATCH_MAX)
		return GR_EFULL;
	append_owed(writer);
	int status = append(writer, event);
	if (status != 0)
		return status;
	writer->events++;
	*sequence_out = writer->next_sequence - 1;
	return 0;
}

void gr_audit_writer_owe_fault(struct gr_audit_writer *writer, const char *detail)
{
	/* What is in the batch already must not change under it. */
	if (writer->owed_count == OWED_MAX && writer->own_events == OWED_MAX)
		return;
	unsigned place = writer->owed_count < OWED_MAX ? writer->owed_count++ : OWED_MAX - 1;
	snprintf(writer->owed[place], sizeof(writer->owed[place]), "%s", detail);
}

int gr_audit_writer_has_batch(const struct gr_audit_writer *writer)
{
	return writer->events > 0 || writer->owed_count > 0;
}

/* Takes a half-written batch out of the file again. */
static int cut_back(struct gr_audit_writer *writer)
{
	if (ftruncate(writer->fd, (off_t)writer->length) < 0) {
		writer->dirty = 1;
		return GR_EIO;
	}
	writer->dirty = 0;
	return 0;
}

static int write_batch(struct gr_audit_writer *writer)
{
	size_t written = 0;
	if (writer->dirty && cut_back(writer) != 0)
		return -1;
	while (written < writer->used) {
		ssize_t n = write(writer->fd, writer->batch + written, writer->used - written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = ENOSPC;
			return -1;
		}
		written += (size_t)n;
	}
	return fdatasync(writer->fd);
}

int gr_audit_writer_commit(struct gr_audit_writer *writer)
{
	append_owed(writer);
	if (writer->used == 0)
		return 0;
	if (write_batch(writer) < 0) {
		int cause = errno;
		cut_back(writer);
		if (!writer->failing)
			gr_log_error("cannot write the audit record: %s; whatever needs a record is refused until it "
				     "can be written again",
				     strerror(cause));
		writer->failing = 1;
		begin_batch(writer);
		return cause == ENOSPC || cause == EDQUOT || cause == EFBIG ? GR_EFULL : GR_EIO;
	}
	if (writer->failing)
		gr_log_warning("the audit record can be written again");
	writer->failing = 0;
	writer->length += writer->used;
	writer->sequence = writer->next_sequence - 1;
	memcpy(writer->chain, writer->next_chain, sizeof(writer->chain));
	memmove(writer->owed, writer->owed[writer->own_events],
		sizeof(*writer->owed) * (writer->owed_count - writer->own_events));
	writer->owed_count -= writer->own_events;
	begin_batch(writer);
	return 0;
}
