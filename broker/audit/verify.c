#include "broker/audit/verify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (1u << 18)

static const char zeros[GR_AUDIT_HASH_TEXT] = "0000000000000000000000000000000000000000000000000000000000000000";

static void copy_time(char out[32], const struct gr_audit_line *line)
{
	size_t n = line->fields[GR_AUDIT_FIELD_TIME].length;
	assert(n < 32);
	memcpy(out, line->fields[GR_AUDIT_FIELD_TIME].start, n);
	out[n] = 0;
}

static int check_line(struct gr_audit_hasher *hasher, const char *untrusted_line, size_t n, const char *expected,
		      struct gr_audit_verified *state, struct gr_error *err)
{
	struct gr_audit_line line;
	const char *reason;
	char hash[GR_AUDIT_HASH_TEXT];
	uint64_t number = state->count + 1;
	if (gr_audit_line_parse(untrusted_line, n, &line, &reason) != 0)
		return gr_error_set(err, GR_EPROTO, "line %" PRIu64 ": %s", number, reason);
	if (gr_audit_hash(hasher, untrusted_line, line.hashed, hash) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	if (memcmp(line.fields[GR_AUDIT_FIELD_HASH].start, hash, 64) != 0)
		return gr_error_set(err, GR_EPROTO,
				    "line %" PRIu64 ": its hash does not fit its contents: the line was changed",
				    number);
	if (memcmp(line.fields[GR_AUDIT_FIELD_PREV].start, state->last, 64) != 0)
		return gr_error_set(err, GR_EPROTO,
				    "line %" PRIu64
				    ": it does not follow the line before: lines were removed, added or moved here",
				    number);
	if (line.sequence != number)
		return gr_error_set(err, GR_EPROTO, "line %" PRIu64 ": its seq is %" PRIu64, number, line.sequence);
	memcpy(state->last, hash, sizeof(hash));
	if (state->count == 0)
		copy_time(state->first_time, &line);
	copy_time(state->last_time, &line);
	if (expected && strcmp(expected, hash) == 0)
		state->head_found = 1;
	state->count++;
	state->length += n + 1;
	return 0;
}

static int verify_with(int fd, struct gr_audit_hasher *hasher, char *buffer, const char *expected,
		       struct gr_audit_verified *state, struct gr_error *err)
{
	size_t held = 0;
	off_t offset = 0;
	for (;;) {
		ssize_t n = pread(fd, buffer + held, CHUNK, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return gr_error_errno(err, "line %" PRIu64 ": cannot read", state->count + 1);
		if (n == 0)
			break;
		offset += n;
		held += (size_t)n;
		char *at = buffer, *newline;
		while ((newline = memchr(at, '\n', held - (size_t)(at - buffer))) != NULL) {
			int status = check_line(hasher, at, (size_t)(newline - at), expected, state, err);
			if (status != 0)
				return status;
			at = newline + 1;
		}
		held -= (size_t)(at - buffer);
		/* More than a line without a newline is no line that was being written. */
		if (held >= GR_AUDIT_LINE_MAX)
			return gr_error_set(err, GR_EPROTO, "line %" PRIu64 ": the line is too long", state->count + 1);
		memmove(buffer, at, held);
	}
	state->torn = held;
	return 0;
}

int gr_audit_verify(int fd, const char *expected, struct gr_audit_verified *out, struct gr_error *err)
{
	struct gr_audit_verified state = { .count = 0 };
	struct gr_audit_hasher *hasher = gr_audit_hasher_create();
	char *buffer = malloc(CHUNK + GR_AUDIT_LINE_MAX);
	int status;
	memcpy(state.last, zeros, sizeof(zeros));
	if (expected && strcmp(expected, zeros) == 0)
		state.head_found = 1;
	if (!hasher || !buffer)
		status = gr_error_set(err, GR_ENOMEM, "no memory to read the record");
	else
		status = verify_with(fd, hasher, buffer, expected, &state, err);
	free(buffer);
	gr_audit_hasher_destroy(hasher);
	if (status == 0)
		*out = state;
	return status;
}

int gr_audit_verify_file(const char *file, const char *expected_last, uint64_t *count_out, char last_out[65],
			 struct gr_error *err)
{
	struct gr_audit_verified verified;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		int missing = errno == ENOENT;
		int status = gr_error_errno(err, "cannot open");
		return missing ? GR_ENOENT : status;
	}
	int status = gr_audit_verify(fd, expected_last, &verified, err);
	close(fd);
	if (status != 0)
		return status;
	if (verified.torn)
		return gr_error_set(err, GR_EPROTO,
				    "line %" PRIu64 ": it is torn: %" PRIu64 " bytes without a newline at the end",
				    verified.count + 1, verified.torn);
	if (expected_last && !verified.head_found)
		return gr_error_set(err, GR_EPROTO,
				    "line %" PRIu64
				    ": the record ends and no line had the expected hash: it was cut or replaced",
				    verified.count);
	*count_out = verified.count;
	memcpy(last_out, verified.last, GR_AUDIT_HASH_TEXT);
	return 0;
}
