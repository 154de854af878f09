#include "broker/audit/recover.h"

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

/* ---- heads.log ---- */

static int open_heads(int directory, EVP_PKEY *key, struct gr_audit_recovered *state, struct gr_head *head,
		      struct gr_error *err)
{
	char tail[2 * GR_HEAD_LINE_MAX];
	const char *reason;
	int known, status = gr_append_open(&state->heads, directory, GR_AUDIT_HEADS_FILE, err);
	if (status != 0)
		return status;
	if (flock(state->heads.fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? gr_error_set(err, GR_EEXIST, "the record is in use: another garasu-audit is running")
			       : gr_error_errno(err, "cannot lock " GR_AUDIT_HEADS_FILE);
	uint64_t size = state->heads.length, start = size > sizeof(tail) ? size - sizeof(tail) : 0;
	ssize_t n = pread(state->heads.fd, tail, sizeof(tail), (off_t)start);
	if (n < 0 || (uint64_t)n != size - start)
		return gr_error_errno(err, "cannot read " GR_AUDIT_HEADS_FILE);
	const char *end = memrchr(tail, '\n', (size_t)n), *line;
	for (;;) {
		line = end ? memrchr(tail, '\n', (size_t)(end - tail)) : NULL;
		line = line ? line + 1 : tail;
		/* A block that a power cut kept from the disk is zeros. */
		if (!end || !memchr(line, 0, (size_t)(end - line)))
			break;
		end = line > tail ? line - 1 : NULL;
	}
	if (!end && size >= sizeof(tail))
		return gr_error_set(err, GR_EPROTO, GR_AUDIT_HEADS_FILE ": its end is no tree head");
	state->heads.length = end ? start + (uint64_t)(end - tail) + 1 : 0;
	if (size != state->heads.length) {
		gr_log_warning(GR_AUDIT_HEADS_FILE ": the last tree head is torn: cut off");
		if (gr_append_cut(&state->heads) != 0)
			return gr_error_errno(err, "cannot cut the torn head off " GR_AUDIT_HEADS_FILE);
	}
	if (!end)
		return 0;
	if (gr_head_read(line, (size_t)(end - line), &key, 1, head, &known, &reason) != 0)
		return gr_error_set(err, GR_EPROTO, GR_AUDIT_HEADS_FILE ": its last line: %s", reason);
	if (!known)
		gr_log_warning("the last tree head was signed with another key, %s", head->key);
	state->head_size = head->size;
	return 0;
}

/* ---- segments ---- */

/* Bytes of a segment's file, -1 when there is none. */
static off_t segment_size(int log, uint64_t number)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	struct stat status;
	gr_audit_segment_name(number, "log", name);
	int fd = openat(log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	off_t size = fd >= 0 && fstat(fd, &status) == 0 ? status.st_size : -1;
	gr_io_close(&fd);
	return size;
}

static int check_root(const struct gr_audit_position *position, const struct gr_head *head, struct gr_error *err)
{
	uint8_t root[GR_TREE_HASH];
	if (gr_audit_position_count(position) != head->size || head->size == 0)
		return 0;
	if (gr_audit_position_root(position, root) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	if (memcmp(root, head->root, sizeof(root)) != 0)
		return gr_error_set(err, GR_EPROTO,
				    "the tree over the first %" PRIu64
				    " records has not the root that was signed at %s: something before was changed",
				    head->size, head->time);
	return 0;
}

static void note_line(struct gr_audit_recovered *state, const struct gr_audit_line *line)
{
	const size_t length = line->fields[GR_AUDIT_FIELD_BOOT].length;
	state->boot[0] = 0;
	state->mono = gr_audit_number(line->fields[GR_AUDIT_FIELD_MONO].start,
				      line->fields[GR_AUDIT_FIELD_MONO].length);
	if (line->fields[GR_AUDIT_FIELD_BOOT].start && length < sizeof(state->boot)) {
		memcpy(state->boot, line->fields[GR_AUDIT_FIELD_BOOT].start, length);
		state->boot[length] = 0;
	}
}

/* Whether what stands from offset on can be what a power cut leaves of one write: blocks that never reached the disk are zeros. */
static int is_lost_write(int fd, uint64_t offset)
{
	char *bytes = malloc(GR_AUDIT_BATCH_BYTES + 1);
	ssize_t n = bytes ? pread(fd, bytes, GR_AUDIT_BATCH_BYTES + 1, (off_t)offset) : -1;
	int lost = n > 0 && n <= GR_AUDIT_BATCH_BYTES && memchr(bytes, 0, (size_t)n);
	free(bytes);
	return lost;
}

/*
 * Reads the lines of the open segment into the tree. 1 when it is full (its sum in *sum_out), 0, or an error; *torn_out: something is
 * behind the lines that hold.
 */
static int read_lines(struct gr_audit_recovered *state, int last, const struct gr_head *head,
		      struct gr_audit_sum *sum_out, int *torn_out, struct gr_error *err)
{
	struct gr_audit_position *position = &state->position;
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	uint64_t length = 0;
	int full = 0, status = gr_audit_segment_open(&segment, -1, state->segment.fd,
						     gr_audit_position_segment(position), position->last, err);
	if (status != 0)
		return status;
	while ((status = gr_audit_segment_next(segment, &record, err)) == 1) {
		full = gr_audit_position_add(position, record.leaf, sum_out);
		status = full < 0 ? gr_error_set(err, full, "SHA-256 failed") : check_root(position, head, err);
		if (status != 0)
			break;
		note_line(state, &record.line);
		length = record.offset + record.length + 1;
	}
	int torn = gr_audit_segment_torn(segment) > 0;
	gr_audit_segment_close(segment);
	if (status == GR_EPROTO && last && !full && gr_audit_position_count(position) >= head->size &&
	    is_lost_write(state->segment.fd, length)) {
		torn = 1;
		status = 0;
	}
	state->segment.length = length;
	*torn_out = torn;
	return status != 0 ? status : full;
}

/* Copies what stands behind the segment's lines into a new file, durably. Returns its bytes, or -1 with errno. */
static ssize_t copy_torn_end(int log, const struct gr_append *file, const char *segment, char name[96])
{
	char stamp[32], *bytes = malloc(GR_AUDIT_BATCH_BYTES);
	time_t now = time(NULL);
	struct tm tm;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	ssize_t n = bytes ? pread(file->fd, bytes, GR_AUDIT_BATCH_BYTES, (off_t)file->length) : -1;
	int fd = -1;
	for (unsigned attempt = 0; n >= 0 && attempt < 1000 && fd < 0; attempt++) {
		snprintf(name, 96, "%s-%s-%u", segment, stamp, attempt);
		fd = openat(log, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	int kept = fd >= 0 && gr_io_write_all(fd, bytes, (size_t)n) == 0 && fsync(fd) == 0 && fsync(log) == 0;
	int cause = errno;
	if (fd >= 0 && !kept)
		unlinkat(log, name, 0);
	gr_io_close(&fd);
	free(bytes);
	errno = cause;
	return kept ? n : -1;
}

/* Puts what stands behind the segment's lines aside and cuts it off. Nothing of it was acknowledged: a full disk is no reason to stop. */
static int move_torn_end(int log, struct gr_audit_recovered *state, struct gr_error *err)
{
	char name[96] = "", segment[GR_AUDIT_SEGMENT_NAME];
	gr_audit_segment_name(gr_audit_position_segment(&state->position), "torn", segment);
	ssize_t n = copy_torn_end(log, &state->segment, segment, name);
	if ((n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG) || gr_append_cut(&state->segment) != 0)
		return gr_error_errno(err, "cannot put the torn end aside into %s", name);
	if (n >= 0)
		snprintf(state->note, sizeof(state->note), "torn end of %zd bytes after seq %" PRIu64 " moved to %s", n,
			 gr_audit_position_count(&state->position), name);
	else
		snprintf(state->note, sizeof(state->note), "torn end after seq %" PRIu64 " cut off: no room to keep it",
			 gr_audit_position_count(&state->position));
	gr_log_warning("%s: the broker or the machine was stopped while writing; nothing that was acknowledged is lost",
		       state->note);
	return 0;
}

/* A full segment's own sum against the one in its file, which is made anew when the process was stopped before it was written. */
static int check_sum(int log, const struct gr_audit_sum *sum, struct gr_error *err)
{
	struct gr_audit_sum given;
	int status = gr_audit_sum_read(log, sum->segment, &given, err);
	if (status == GR_EIO)
		return status;
	if (status == 0 && memcmp(&given, sum, sizeof(given)) != 0)
		return gr_error_set(err, GR_EPROTO, "segment %" PRIu64 " does not fit its sum: one of them was changed",
				    sum->segment);
	if (status != 0 && gr_audit_sum_write(log, sum) != 0)
		gr_log_warning("cannot write the sum of segment %" PRIu64 ": %s", sum->segment, strerror(errno));
	return 0;
}

static int read_segment(int log, struct gr_audit_recovered *state, uint64_t number, int last,
			const struct gr_head *head, struct gr_error *err)
{
	struct gr_audit_sum sum = { .segment = 0 };
	char name[GR_AUDIT_SEGMENT_NAME];
	int torn = 0;
	gr_audit_segment_name(number, "log", name);
	int status = gr_append_open(&state->segment, log, name, err);
	if (status != 0)
		return status;
	int full = read_lines(state, last, head, &sum, &torn, err);
	if (full < 0)
		return gr_error_wrap(err, "%s", name);
	if (!full && !last)
		return gr_error_set(err, GR_EPROTO, "%s is not full, but another segment follows it", name);
	if (!full)
		return torn ? move_torn_end(log, state, err) : 0;
	gr_append_close(&state->segment);
	if (torn)
		return gr_error_set(err, GR_EPROTO, "%s: something stands behind its last line", name);
	return check_sum(log, &sum, err);
}

/*
 * Every segment from the first; last line and last head must be met. The segment before an empty one is read, too: its last
 * line says whether what is in the reserve is in the record already.
 */
static int read_segments(int log, struct gr_audit_recovered *state, const struct gr_head *head, struct gr_error *err)
{
	struct gr_audit_position *position = &state->position;
	struct gr_audit_sum sum;
	off_t size = segment_size(log, 0), next;
	for (uint64_t number = 0; size >= 0; number++, size = next) {
		uint64_t first = number * GR_AUDIT_SEGMENT_LINES;
		next = segment_size(log, number + 1);
		int inside = head->size > first && head->size < first + GR_AUDIT_SEGMENT_LINES;
		int status;
		if (next > 0 && !inside && size > 0 && gr_audit_sum_read(log, number, &sum, err) == 0) {
			status = gr_audit_position_add_segment(position, &sum) == 0
					 ? 0
					 : gr_error_set(err, GR_EIO, "SHA-256 failed");
		} else {
			status = read_segment(log, state, number, next < 0, head, err);
		}
		if (status == 0)
			status = check_root(position, head, err);
		if (status != 0)
			return status;
	}
	return 0;
}

int gr_audit_recover(int directory, int log, EVP_PKEY *key, struct gr_audit_recovered *out, struct gr_error *err)
{
	struct gr_head head = { .size = 0 };
	*out = (struct gr_audit_recovered){ .heads = { .fd = -1 }, .segment = { .fd = -1 } };
	int status = open_heads(directory, key, out, &head, err);
	if (status == 0)
		status = read_segments(log, out, &head, err);
	uint64_t count = gr_audit_position_count(&out->position);
	if (status == 0 && count < head.size)
		status = gr_error_set(err, GR_EPROTO,
				      "the record ends with seq %" PRIu64 ", but %" PRIu64
				      " were signed at %s: the end was removed, or an older copy put back",
				      count, head.size, head.time);
	if (status == 0)
		return 0;
	gr_append_close(&out->heads);
	gr_append_close(&out->segment);
	if (status != GR_EPROTO)
		return status;
	char reason[sizeof(err->text)];
	snprintf(reason, sizeof(reason), "%s", err->text);
	return gr_error_set(
		err, status,
		"%.330s. Nothing is appended to a record that does not hold: keep the folder as evidence (move "
		"it elsewhere) and start again for a new one",
		reason);
}
