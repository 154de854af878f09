#include "broker/audit/tool/tool.h"

#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE 262144 /* records of one transaction */
#define LAG_MAX 2000000 /* records: more are taken faster by beginning anew */

int gr_tool_log_open(struct gr_tool_log *log, const char *directory, struct gr_error *err)
{
	memset(log, 0, sizeof(*log));
	log->path = directory;
	log->segment = log->log = -1;
	log->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->directory < 0)
		return gr_error_errno(err, "cannot open the directory %s", directory);
	log->log = openat(log->directory, GR_AUDIT_LOG_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->log < 0) {
		gr_error_errno(err, "%s: cannot open its folder %s: is it a copy of the broker's audit directory?",
			       directory, GR_AUDIT_LOG_DIRECTORY);
		gr_io_close(&log->directory);
		return err->code;
	}
	return 0;
}

void gr_tool_log_close(struct gr_tool_log *log)
{
	gr_audit_index_close(log->index);
	if (log->temporary)
		unlink(log->index_path);
	log->index = NULL;
	gr_io_close(&log->segment);
	gr_io_close(&log->log);
	gr_io_close(&log->directory);
}

/* Bytes of all segments. */
static uint64_t measure(const struct gr_tool_log *log, uint64_t *segments_out)
{
	uint64_t bytes = 0;
	*segments_out = 0;
	for (;; ++*segments_out) {
		char name[GR_AUDIT_SEGMENT_NAME];
		struct stat file;
		gr_audit_segment_name(*segments_out, "log", name);
		if (fstatat(log->log, name, &file, AT_SYMLINK_NOFOLLOW) < 0)
			return bytes;
		bytes += (uint64_t)file.st_size;
	}
}

static int fill(struct gr_tool_log *log, struct gr_error *err)
{
	uint64_t segments, total = measure(log, &segments);
	int more = 1, status = 0;
	while (more && status == 0) {
		status = gr_audit_index_update(log->index, log->log, SLICE, &more, err);
		uint64_t last = gr_audit_index_last(log->index);
		if (segments)
			gr_tool_progress(
				"indexing",
				(uint64_t)((double)total * (double)last / ((double)segments * GR_AUDIT_SEGMENT_LINES)),
				total);
	}
	gr_tool_progress("", 0, 0);
	return status;
}

/* Where the index is to be. */
static int choose_path(struct gr_tool_log *log, const char *file, struct gr_error *err)
{
	const char *folder = getenv("TMPDIR");
	if (file || faccessat(log->directory, ".", W_OK, AT_EACCESS) == 0) {
		int n = file ? snprintf(log->index_path, sizeof(log->index_path), "%s", file)
			     : snprintf(log->index_path, sizeof(log->index_path), "%s/%s", log->path,
					GR_AUDIT_INDEX_FILE);
		return n < (int)sizeof(log->index_path) - 8 ? 0 : gr_error_set(err, GR_EINVAL, "the path is too long");
	}
	snprintf(log->index_path, sizeof(log->index_path), "%s/garasu-audit-XXXXXX",
		 folder && *folder ? folder : "/tmp");
	int fd = mkostemp(log->index_path, O_CLOEXEC);
	if (fd < 0)
		return gr_error_errno(err, "cannot make a temporary index %s", log->index_path);
	close(fd);
	log->temporary = 1;
	fprintf(stderr, "garasu-audit: %s cannot be written: the index is temporary (--index FILE keeps one)\n",
		log->path);
	return 0;
}

/* Into a file of its own, which takes the old one's place when it is whole. */
static int build(struct gr_tool_log *log, struct gr_error *err)
{
	char path[sizeof(log->index_path) + 8];
	snprintf(path, sizeof(path), "%s.new", log->index_path);
	unlink(path);
	int status = gr_audit_index_open(&log->index, path, 1, err);
	if (status == 0)
		status = fill(log, err);
	if (status == 0) {
		if (isatty(STDERR_FILENO))
			fputs("sorting the index ...", stderr);
		status = gr_audit_index_finish(log->index, err);
		if (isatty(STDERR_FILENO))
			fputs("\r\033[K", stderr);
	}
	gr_audit_index_close(log->index);
	log->index = NULL;
	if (status == 0 && rename(path, log->index_path) < 0)
		status = gr_error_errno(err, "cannot put the index at %s", log->index_path);
	if (status != 0) {
		unlink(path);
		return status;
	}
	snprintf(path, sizeof(path), "%s-wal", log->index_path);
	unlink(path); /* of the old one */
	return gr_audit_index_open(&log->index, log->index_path, 0, err);
}

int gr_tool_log_rebuild(struct gr_tool_log *log, const char *file, struct gr_error *err)
{
	int status = choose_path(log, file, err);
	return status == 0 ? build(log, err) : status;
}

int gr_tool_log_index(struct gr_tool_log *log, const char *file, struct gr_error *err)
{
	uint64_t segments;
	int status = choose_path(log, file, err);
	if (status != 0)
		return status;
	measure(log, &segments);
	if (log->temporary || access(log->index_path, F_OK) < 0)
		return build(log, err);
	status = gr_audit_index_open(&log->index, log->index_path, 0, err);
	if (status == 0)
		status = gr_audit_index_check(log->index, log->log, err);
	if (status == 0 && segments * GR_AUDIT_SEGMENT_LINES > gr_audit_index_last(log->index) + LAG_MAX)
		status = GR_EPROTO;
	if (status == 0)
		status = fill(log, err);
	if (status != GR_EPROTO)
		return status == GR_EEXIST
			       ? gr_error_set(err, GR_EEXIST,
					      "%s is in use by another process; --index FILE makes one elsewhere",
					      log->index_path)
			       : status;
	/* Damaged, old, or of another record. */
	gr_audit_index_close(log->index);
	log->index = NULL;
	return build(log, err);
}

/* ---- queries ---- */

int gr_tool_query_open(struct gr_tool_query *query, struct gr_tool_log *log, const struct gr_audit_criteria *criteria,
		       struct gr_error *err)
{
	uint64_t first;
	memset(query, 0, sizeof(*query));
	query->log = log;
	query->criteria = *criteria;
	int status = gr_audit_search_open(&query->search, log->index, criteria, err);
	if (status != 0)
		return status;
	gr_audit_search_range(query->search, &first, &query->end);
	query->last = first - 1;
	query->reading = !criteria->person && !criteria->host && !criteria->session &&
			 (!criteria->kind || criteria->kind == GR_AUDIT_EGRESS_REQUEST ||
			  criteria->kind == GR_AUDIT_EGRESS_END);
	return 0;
}

void gr_tool_query_limit(struct gr_tool_query *query, uint64_t first, uint64_t last)
{
	gr_audit_search_limit(query->search, first, last);
	gr_audit_search_range(query->search, &first, &query->end);
	query->last = first - 1;
}

void gr_tool_query_close(struct gr_tool_query *query)
{
	gr_audit_search_close(query->search);
	gr_audit_segment_close(query->segment);
	query->search = NULL;
	query->segment = NULL;
}

static int read_record(struct gr_tool_log *log, uint64_t sequence, uint64_t place, struct gr_tool_record *out,
		       struct gr_error *err)
{
	uint64_t number = (sequence - 1) / GR_AUDIT_SEGMENT_LINES;
	const char *reason;
	if (log->segment < 0 || log->number != number) {
		char name[GR_AUDIT_SEGMENT_NAME];
		gr_io_close(&log->segment);
		gr_audit_segment_name(number, "log", name);
		log->segment = openat(log->log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (log->segment < 0)
			return gr_error_errno(err, "cannot open %s/%s", GR_AUDIT_LOG_DIRECTORY, name);
		log->number = number;
	}
	ssize_t n = pread(log->segment, log->bytes, sizeof(log->bytes), (off_t)place);
	if (n < 0)
		return gr_error_errno(err, "cannot read record %" PRIu64, sequence);
	const char *newline = memchr(log->bytes, '\n', (size_t)n);
	out->bytes = log->bytes;
	out->length = newline ? (size_t)(newline - log->bytes) : 0;
	if (!newline || gr_audit_line_parse(out->bytes, out->length, &out->line, &reason) != 0 ||
	    out->line.sequence != sequence)
		return gr_error_set(err, GR_EPROTO,
				    "the index does not fit the record at record %" PRIu64
				    ": verify the record, then make the index anew with garasu-audit index %s",
				    sequence, log->path);
	return 0;
}

/* As gr_tool_query_next, without the index. */
static int read_on(struct gr_tool_query *query, struct gr_tool_record *out, struct gr_error *err)
{
	struct gr_audit_record record;
	while (query->last < query->end) {
		uint64_t number = query->last / GR_AUDIT_SEGMENT_LINES;
		if (!query->segment) {
			int status = gr_audit_segment_open(&query->segment, query->log->log, -1, number, NULL, err);
			if (status != 0)
				return status == GR_ENOENT ? 0 : status;
		}
		int more = gr_audit_segment_next(query->segment, &record, err);
		if (more < 0)
			return more;
		if (more == 0) {
			gr_audit_segment_close(query->segment);
			query->segment = NULL;
			/* last stands at the segment's end, and so in front of the next one; or this was the last one. */
			if (query->last % GR_AUDIT_SEGMENT_LINES != 0)
				return 0;
			continue;
		}
		/* The first segment begins before what is looked for. */
		if (record.line.sequence <= query->last)
			continue;
		query->last = record.line.sequence;
		out->bytes = record.bytes;
		out->length = record.length;
		out->line = record.line;
		if (query->last <= query->end && gr_audit_matches(&query->criteria, &out->line))
			return 1;
	}
	return 0;
}

int gr_tool_query_next(struct gr_tool_query *query, struct gr_tool_record *out, struct gr_error *err)
{
	uint64_t sequence, place;
	int found;
	if (query->reading)
		return read_on(query, out, err);
	while ((found = gr_audit_search_next(query->search, query->last, &sequence, &place)) == 1) {
		query->last = sequence;
		int status = read_record(query->log, sequence, place, out, err);
		if (status != 0)
			return status;
		if (gr_audit_matches(&query->criteria, &out->line))
			return 1;
	}
	return found == 0 ? 0 : gr_error_set(err, GR_EIO, "the index cannot be read");
}
