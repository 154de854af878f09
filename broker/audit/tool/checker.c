#include "broker/audit/tool/check.h"

#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_BYTES (16u << 20)

int gr_check_bad(struct gr_check *check, const char *file, uint64_t line, uint64_t sequence, uint64_t until,
		 const char *format, ...)
{
	struct gr_check_result *result = check->result;
	va_list arguments;
	snprintf(result->file, sizeof(result->file), "%s", file);
	result->line = line;
	result->sequence = sequence;
	result->until = until;
	va_start(arguments, format);
	vsnprintf(result->what, sizeof(result->what), format, arguments);
	va_end(arguments);
	return GR_EPROTO;
}

static int open_segment(const struct gr_check *check, uint64_t number, char name[GR_AUDIT_SEGMENT_NAME])
{
	gr_audit_segment_name(number, "log", name);
	return openat(check->log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* The segments that there are, from 0 without gaps, and their bytes. One that has no place among them does not hold. */
static int count_segments(struct gr_check *check, struct gr_error *err)
{
	uint64_t highest = 0, files = 0;
	int copy = openat(check->log, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	if (!folder)
		return gr_error_errno(err, "cannot read the folder %s", GR_AUDIT_LOG_DIRECTORY);
	for (struct dirent *entry; (entry = readdir(folder));) {
		char name[GR_AUDIT_SEGMENT_NAME];
		struct stat file;
		uint64_t number = strtoull(entry->d_name, NULL, 10);
		gr_audit_segment_name(number, "log", name);
		if (strcmp(name, entry->d_name) != 0)
			continue;
		if (fstatat(check->log, name, &file, AT_SYMLINK_NOFOLLOW) == 0)
			check->total += (uint64_t)file.st_size;
		files++;
		if (number > highest)
			highest = number;
	}
	closedir(folder);
	if (files == 0 || highest == files - 1) {
		check->result->segments = files;
		return 0;
	}
	for (uint64_t number = 0;; number++) {
		char name[GR_AUDIT_SEGMENT_NAME], path[64];
		int fd = open_segment(check, number, name);
		if (fd < 0) {
			/* What stands before it is checked first. */
			check->result->segments = number;
			snprintf(path, sizeof(path), GR_AUDIT_LOG_DIRECTORY "/%s", name);
			return gr_check_bad(check, path, 0, number * GR_AUDIT_SEGMENT_LINES + 1,
					    number * GR_AUDIT_SEGMENT_LINES + 1, "the segment is missing");
		}
		close(fd);
	}
}

int gr_check_root(const struct gr_check *check, uint8_t out[GR_TREE_HASH])
{
	struct gr_tree whole = check->tree;
	for (unsigned height = GR_AUDIT_SEGMENT_HEIGHT + 1; height-- > 0;)
		if (check->segment.size >> height & 1 &&
		    gr_tree_append(&whole, height, check->segment.peaks[height]) != 0)
			return GR_EIO;
	return gr_tree_root(&whole, out);
}

static int check_sum(struct gr_check *check, struct gr_error *err)
{
	struct gr_audit_sum sum;
	const char *why = NULL;
	int status = gr_audit_sum_read(check->log, check->number, &sum, err);
	if (status == GR_ENOENT) {
		check->result->sums_missing++;
		return 0;
	}
	if (status == GR_EPROTO)
		why = "the sum is malformed";
	else if (status != 0)
		return status;
	else if (memcmp(sum.tree, check->segment.peaks[GR_AUDIT_SEGMENT_HEIGHT], GR_TREE_HASH) != 0 ||
		 memcmp(sum.last, check->last, GR_TREE_HASH) != 0)
		why = "the sum is not that of its segment";
	check->result->sums++;
	if (why && !check->bad_sum) {
		check->bad_sum = check->number + 1;
		check->bad_sum_why = why;
	}
	return 0;
}

static void note_time(struct gr_check_result *result, const struct gr_audit_line *line)
{
	if (line->pruned)
		return;
	memcpy(result->last_time, line->fields[GR_AUDIT_FIELD_TIME].start, GR_AUDIT_TIME_TEXT - 1);
	if (!result->first_time[0])
		memcpy(result->first_time, result->last_time, sizeof(result->first_time));
}

static int take_record(struct gr_check *check, const struct gr_audit_record *record, struct gr_error *err)
{
	struct gr_check_result *result = check->result;
	if (gr_tree_append(&check->segment, 0, record->leaf) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	memcpy(check->last, record->leaf, sizeof(check->last));
	result->count++;
	result->bytes += record->length + 1;
	check->end = record->offset + record->length + 1;
	note_time(result, &record->line);
	int status = gr_check_pruned_note(check, &record->line, err);
	if (status == 0)
		status = gr_check_heads_here(check, err);
	if (check->options->progress && result->bytes - check->reported >= REPORT_BYTES) {
		check->reported = result->bytes;
		check->options->progress(check->options->context, result->bytes, check->total);
	}
	return status;
}

static int check_segment(struct gr_check *check, struct gr_error *err)
{
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	struct gr_error why = { .code = 0 };
	char name[GR_AUDIT_SEGMENT_NAME];
	int fd = open_segment(check, check->number, name);
	check->fd = fd;
	check->end = 0;
	if (fd < 0)
		return gr_error_errno(err, "cannot open %s/%s", GR_AUDIT_LOG_DIRECTORY, name);
	int status = gr_audit_segment_open(&segment, check->log, fd, check->number, check->number ? check->last : NULL,
					   err);
	memset(&check->segment, 0, sizeof(check->segment));
	while (status == 0) {
		int more = gr_audit_segment_next(segment, &record, &why);
		if (more == GR_EPROTO)
			status = gr_check_blame(check, why.text);
		else if (more < 0)
			status = gr_error_set(err, more, "%s", why.text);
		else if (more == 0)
			break;
		else
			status = take_record(check, &record, err);
	}
	int last = check->number + 1 == check->result->segments;
	if (status == 0 && gr_audit_segment_torn(segment))
		status = gr_check_blame(check, "it is torn: its newline is missing");
	if (status == 0 && check->segment.size == GR_AUDIT_SEGMENT_LINES) {
		status = check_sum(check, err);
		if (status == 0 && gr_tree_append(&check->tree, GR_AUDIT_SEGMENT_HEIGHT,
						  check->segment.peaks[GR_AUDIT_SEGMENT_HEIGHT]) != 0)
			status = gr_error_set(err, GR_EIO, "SHA-256 failed");
		memset(&check->segment, 0, sizeof(check->segment));
	} else if (status == 0 && !last) {
		char path[64];
		snprintf(path, sizeof(path), GR_AUDIT_LOG_DIRECTORY "/%s", name);
		status = gr_check_bad(check, path, check->segment.size + 1, check->result->count + 1,
				      check->result->count + 1, "the segment ends here, and another one follows");
	}
	gr_audit_segment_close(segment);
	close(fd);
	return status;
}

static int check_all(struct gr_check *check, struct gr_error *err)
{
	struct gr_check_result *result = check->result;
	/* A gap among the files is the first fault only if nothing before it is. */
	int gap = count_segments(check, err);
	if (gap != 0 && gap != GR_EPROTO)
		return gap;
	struct gr_check_result missing = *result;
	int status = gr_check_tokens_list(check, err);
	if (status == 0)
		status = gr_check_heads_known(check, err);
	if (status == 0 && (status = gr_check_heads_next(check, &check->known, err)) >= 0)
		status = gr_check_heads_next(check, &check->heads, err);
	for (check->number = 0; status >= 0 && check->number < result->segments; check->number++)
		status = check_segment(check, err);
	if (status >= 0 && gap != 0)
		return gr_check_bad(check, missing.file, 0, missing.sequence, missing.until, "%s", missing.what);
	if (status >= 0)
		status = gr_check_heads_end(check, err);
	if (status >= 0)
		status = gr_check_pruned_end(check, err);
	if (status >= 0 && check->bad_sum) {
		char name[GR_AUDIT_SEGMENT_NAME], path[64];
		gr_audit_segment_name(check->bad_sum - 1, "sum", name);
		snprintf(path, sizeof(path), GR_AUDIT_LOG_DIRECTORY "/%s", name);
		return gr_check_bad(check, path, 1, 0, 0, "%s", check->bad_sum_why);
	}
	if (status >= 0 && gr_check_root(check, result->root) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	return status < 0 ? status : 0;
}

int gr_check_log(const char *directory, const struct gr_check_options *options, struct gr_check_result *out,
		 struct gr_error *err)
{
	struct gr_check *check = calloc(1, sizeof(*check));
	int status = 0;
	memset(out, 0, sizeof(*out));
	if (!check)
		return gr_error_set(err, GR_ENOMEM, "no memory to check the record");
	check->options = options;
	check->result = out;
	check->log = -1;
	check->heads.fd = -1;
	check->heads.name = GR_AUDIT_HEADS_FILE;
	check->known.name = options->known_name;
	check->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (check->directory < 0)
		status = gr_error_errno(err, "cannot open the directory %s", directory);
	if (status == 0) {
		check->log = openat(check->directory, GR_AUDIT_LOG_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (check->log < 0)
			status = gr_error_errno(err, "%s: cannot open its folder %s", directory,
						GR_AUDIT_LOG_DIRECTORY);
	}
	if (status == 0) {
		check->heads.fd = openat(check->directory, GR_AUDIT_HEADS_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (check->heads.fd < 0 && errno != ENOENT)
			status = gr_error_errno(err, "cannot open %s", GR_AUDIT_HEADS_FILE);
	}
	if (status == 0)
		status = check_all(check, err);
	gr_io_close(&check->heads.fd);
	gr_io_close(&check->log);
	gr_io_close(&check->directory);
	free(check->known.known);
	free(check->tokens);
	free(check->prunes);
	free(check->pruned_segments);
	free(check);
	return status;
}
