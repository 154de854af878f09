#include "audit_log.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void audit_log_begin(struct audit_log *log)
{
	char path[128];
	memset(log, 0, sizeof(*log));
	snprintf(log->directory, sizeof(log->directory), "/tmp/garasu-audit-XXXXXX");
	assert(mkdtemp(log->directory));
	snprintf(path, sizeof(path), "%s/log", log->directory);
	assert(mkdir(path, 0700) == 0);
	log->log = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(log->log >= 0);
	snprintf(path, sizeof(path), "%s/heads.log", log->directory);
	log->heads = fopen(path, "we");
	assert(log->heads);
	log->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert(log->key);
	log->now.tv_sec = 1790000000; /* 2026-09-21T14:13:20Z */
}

static void write_sum(struct audit_log *log, uint64_t number)
{
	char name[GR_AUDIT_SEGMENT_NAME], text[GR_AUDIT_SUM_MAX];
	struct gr_tree tree = { .size = 0 };
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	struct gr_audit_sum sum = { .segment = number };
	struct gr_error err;
	assert(gr_audit_segment_open(&segment, log->log, -1, number, NULL, &err) == 0);
	while (gr_audit_segment_next(segment, &record, &err) == 1)
		assert(gr_tree_append(&tree, 0, record.leaf) == 0);
	gr_audit_segment_close(segment);
	memcpy(sum.tree, tree.peaks[GR_AUDIT_SEGMENT_HEIGHT], GR_TREE_HASH);
	memcpy(sum.last, log->leaf, GR_TREE_HASH);
	gr_audit_segment_name(number, "sum", name);
	int fd = openat(log->log, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	size_t n = gr_audit_sum_format(&sum, text);
	assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

void audit_log_add(struct audit_log *log, const struct gr_audit_event *event)
{
	struct gr_audit_stamp stamp = { .sequence = log->count + 1, .time = log->now, .mono = 1 + log->count };
	char line[GR_AUDIT_LINE_MAX];
	size_t n;
	if (!log->segment) {
		char name[GR_AUDIT_SEGMENT_NAME];
		gr_audit_segment_name(log->count / GR_AUDIT_SEGMENT_LINES, "log", name);
		int fd = openat(log->log, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		log->segment = fdopen(fd, "a");
		assert(log->segment);
	}
	memset(stamp.boot, 'b', 32);
	assert(gr_audit_line_format(&stamp, event, log->leaf, line, &n) == 0);
	assert(fwrite(line, 1, n, log->segment) == n);
	assert(gr_tree_append(&log->tree, 0, log->leaf) == 0);
	log->count++;
	log->now.tv_sec++;
	if (log->count % GR_AUDIT_SEGMENT_LINES == 0) {
		fclose(log->segment);
		log->segment = NULL;
		write_sum(log, log->count / GR_AUDIT_SEGMENT_LINES - 1);
	}
}

void audit_log_head(struct audit_log *log)
{
	uint8_t root[GR_TREE_HASH];
	char line[GR_HEAD_LINE_MAX];
	size_t n;
	assert(gr_tree_root(&log->tree, root) == 0);
	assert(gr_head_sign(log->key, log->count, root, &log->now, line, &n) == 0);
	assert(fwrite(line, 1, n, log->heads) == n);
}

void audit_log_flush(struct audit_log *log)
{
	assert(!log->segment || fflush(log->segment) == 0);
	assert(fflush(log->heads) == 0);
}

static int remove_entry(const char *path, const struct stat *file, int kind, struct FTW *place)
{
	(void)file;
	(void)kind;
	(void)place;
	return remove(path);
}

void audit_log_end(struct audit_log *log)
{
	if (log->segment)
		fclose(log->segment);
	fclose(log->heads);
	close(log->log);
	EVP_PKEY_free(log->key);
	assert(nftw(log->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

char *audit_log_read(const struct audit_log *log, const char *name, size_t *n_out)
{
	char path[160];
	struct stat file;
	snprintf(path, sizeof(path), "%s/%s", log->directory, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert(fd >= 0 && fstat(fd, &file) == 0);
	char *bytes = malloc((size_t)file.st_size + 1);
	assert(bytes && read(fd, bytes, (size_t)file.st_size) == file.st_size);
	close(fd);
	bytes[file.st_size] = 0;
	*n_out = (size_t)file.st_size;
	return bytes;
}

void audit_log_write(const struct audit_log *log, const char *name, const char *bytes, size_t n)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", log->directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

struct gr_audit_event audit_log_request(const char *person, uint64_t session, const char *target)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_EGRESS_REQUEST, .session = session, .container = 1 };
	snprintf(event.person, sizeof(event.person), "%s", person);
	snprintf(event.target, sizeof(event.target), "%s", target);
	return event;
}
