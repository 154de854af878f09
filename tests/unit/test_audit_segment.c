/* Reading the record's segments and sums: what holds is read, and the first line that does not is named. */
#include "broker/audit/segment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES 5

static char folder[] = "/tmp/test_audit_segment.XXXXXX";
static int directory = -1;
static char text[LINES * GR_AUDIT_LINE_MAX];
static size_t starts[LINES + 1]; /* of the lines in text */

static void write_segment(const char *bytes, size_t n)
{
	int fd = openat(directory, "00000000.log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* Reads it all. Returns the last call's result; how many lines held, and the torn bytes. */
static int read_segment(uint64_t number, const uint8_t *last, unsigned *count, uint64_t *torn, struct gr_error *err)
{
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	int status;
	*count = 0;
	assert_int_equal(gr_audit_segment_open(&segment, directory, -1, number, last, err), 0);
	while ((status = gr_audit_segment_next(segment, &record, err)) == 1) {
		if (!record.line.pruned)
			assert_memory_equal(record.bytes, text + starts[*count], record.length);
		++*count;
	}
	*torn = gr_audit_segment_torn(segment);
	gr_audit_segment_close(segment);
	return status;
}

static int read_all(const char *bytes, size_t n, struct gr_error *err)
{
	unsigned count;
	uint64_t torn;
	write_segment(bytes, n);
	int status = read_segment(0, NULL, &count, &torn, err);
	if (status == 0)
		assert_int_equal(torn, 0);
	return status;
}

static void whole_lines_are_read_and_a_torn_end_is_told(void **state)
{
	struct gr_error err = { .code = 0 };
	unsigned count;
	uint64_t torn;
	(void)state;
	for (size_t n = 0; n <= starts[LINES]; n++) {
		unsigned whole = 0;
		while (whole < LINES && starts[whole + 1] <= n)
			whole++;
		write_segment(text, n);
		assert_int_equal(read_segment(0, NULL, &count, &torn, &err), 0);
		assert_int_equal(count, whole);
		assert_int_equal(torn, n - starts[whole]);
	}
}

static void every_flipped_bit_is_named_by_its_line_or_the_next(void **state)
{
	struct gr_error err = { .code = 0 };
	char name[64];
	(void)state;
	for (size_t i = 0; i < starts[LINES - 1]; i++) {
		unsigned line = 0;
		while (starts[line + 1] <= i)
			line++;
		text[i] = (char)(text[i] ^ 1);
		assert_int_equal(read_all(text, starts[LINES], &err), GR_EPROTO);
		text[i] = (char)(text[i] ^ 1);
		snprintf(name, sizeof(name), "line with seq %u: ", line + 1);
		if (strncmp(err.text, name, strlen(name)) != 0) {
			snprintf(name, sizeof(name), "line with seq %u: it does not follow", line + 2);
			assert_memory_equal(err.text, name, strlen(name));
		}
	}
}

static void removed_repeated_and_moved_lines_are_found(void **state)
{
	struct gr_error err = { .code = 0 };
	char changed[2 * sizeof(text)];
	(void)state;
	for (unsigned line = 0; line + 1 < LINES; line++) {
		size_t at = starts[line], next = starts[line + 1], end = starts[LINES];
		memcpy(changed, text, at);
		memcpy(changed + at, text + next, end - next);
		assert_int_equal(read_all(changed, end - (next - at), &err), GR_EPROTO);
		memcpy(changed, text, next);
		memcpy(changed + next, text + at, end - at);
		assert_int_equal(read_all(changed, end + (next - at), &err), GR_EPROTO);
	}
	memcpy(changed, text, starts[2]);
	changed[starts[2]] = '\n';
	memcpy(changed + starts[2] + 1, text + starts[2], starts[LINES] - starts[2]);
	assert_int_equal(read_all(changed, starts[LINES] + 1, &err), GR_EPROTO);
	memset(changed, 'x', GR_AUDIT_LINE_MAX);
	assert_int_equal(read_all(changed, GR_AUDIT_LINE_MAX, &err), GR_EPROTO);
}

static void a_pruned_line_holds_the_chain(void **state)
{
	struct gr_error err = { .code = 0 };
	struct gr_audit_line line;
	uint8_t leaf[GR_TREE_HASH];
	char changed[sizeof(text)];
	const char *reason;
	unsigned count;
	uint64_t torn;
	(void)state;
	size_t length = starts[2] - starts[1] - 1;
	memcpy(changed, text, starts[1]);
	assert_int_equal(gr_audit_line_parse(text + starts[1], length, &line, &reason), 0);
	assert_int_equal(gr_audit_line_leaf(text + starts[1], length, &line, leaf), 0);
	size_t n = starts[1] + gr_audit_line_prune(&line, leaf, changed + starts[1]);
	memcpy(changed + n, text + starts[2], starts[LINES] - starts[2]);
	write_segment(changed, n + starts[LINES] - starts[2]);
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	assert_int_equal(gr_audit_segment_open(&segment, directory, -1, 0, NULL, &err), 0);
	for (unsigned i = 1; i <= LINES; i++) {
		assert_int_equal(gr_audit_segment_next(segment, &record, &err), 1);
		assert_int_equal(record.line.pruned, i == 2);
		assert_int_equal(record.line.sequence, i);
	}
	assert_int_equal(gr_audit_segment_next(segment, &record, &err), 0);
	gr_audit_segment_close(segment);
	/* With another leaf the next line does not follow. */
	leaf[0] ^= 1;
	gr_audit_line_prune(&line, leaf, changed + starts[1]);
	changed[n] = 's'; /* where the terminator stands */
	write_segment(changed, n + starts[LINES] - starts[2]);
	assert_int_equal(read_segment(0, NULL, &count, &torn, &err), GR_EPROTO);
	assert_memory_equal(err.text, "line with seq 3: it does not follow", 35);
}

static void a_later_segment_follows_the_one_before(void **state)
{
	struct gr_error err = { .code = 0 };
	struct gr_audit_stamp stamp = { .sequence = GR_AUDIT_SEGMENT_LINES + 1, .time = { 1, 0 } };
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
	struct gr_audit_segment *segment;
	struct gr_audit_record record;
	uint8_t last[GR_TREE_HASH], leaf[GR_TREE_HASH];
	char line[GR_AUDIT_LINE_MAX];
	size_t n;
	(void)state;
	memset(last, 5, sizeof(last));
	memcpy(leaf, last, sizeof(leaf));
	assert_int_equal(gr_audit_line_format(&stamp, &event, leaf, line, &n), 0);
	int fd = openat(directory, "00000001.log", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, line, n), n);
	close(fd);
	for (int known = 0; known < 3; known++) {
		last[0] = known == 2 ? 6 : 5;
		assert_int_equal(gr_audit_segment_open(&segment, directory, -1, 1, known ? last : NULL, &err), 0);
		assert_int_equal(gr_audit_segment_next(segment, &record, &err), known == 2 ? GR_EPROTO : 1);
		gr_audit_segment_close(segment);
	}
	assert_int_equal(gr_audit_segment_open(&segment, directory, -1, 2, NULL, &err), GR_ENOENT);
	unlinkat(directory, "00000001.log", 0);
}

static void a_sum_has_one_form(void **state)
{
	struct gr_audit_sum sum = { .segment = 7 }, again;
	struct gr_error err = { .code = 0 };
	char line[GR_AUDIT_SUM_MAX + 1];
	(void)state;
	memset(sum.tree, 0xab, sizeof(sum.tree));
	memset(sum.last, 0xcd, sizeof(sum.last));
	size_t n = gr_audit_sum_format(&sum, line);
	assert_memory_equal(line, "segment=7 first=458753 count=65536 tree=abab", 44);
	assert_int_equal(gr_audit_sum_parse(line, n - 1, &again), 0);
	assert_memory_equal(&again, &sum, sizeof(sum));
	for (size_t i = 0; i < n - 1; i++) {
		char byte = line[i];
		line[i] = byte == 'g' ? 'h' : 'g';
		assert_int_equal(gr_audit_sum_parse(line, n - 1, &again), GR_EPROTO);
		line[i] = byte;
		assert_int_equal(gr_audit_sum_parse(line, i, &again), GR_EPROTO);
	}
	int fd = openat(directory, "00000007.sum", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, line, n), n);
	assert_int_equal(gr_audit_sum_read(directory, 7, &again, &err), 0);
	assert_memory_equal(&again, &sum, sizeof(sum));
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(gr_audit_sum_read(directory, 7, &again, &err), GR_EPROTO);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(gr_audit_sum_read(directory, 7, &again, &err), GR_EPROTO);
	close(fd);
	assert_int_equal(gr_audit_sum_read(directory, 8, &again, &err), GR_ENOENT);
	sum.segment = 0;
	n = gr_audit_sum_format(&sum, line);
	assert_int_equal(gr_audit_sum_parse(line, n - 1, &again), 0);
	unlinkat(directory, "00000007.sum", 0);
}

static int make_lines(void **state)
{
	uint8_t leaf[GR_TREE_HASH] = { 0 };
	(void)state;
	if (!mkdtemp(folder) || (directory = open(folder, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	for (unsigned i = 0; i < LINES; i++) {
		struct gr_audit_stamp stamp = { .sequence = i + 1, .time = { 1795316645 + i, 0 }, .mono = i + 1 };
		struct gr_audit_event event = { .kind = GR_AUDIT_EGRESS_REQUEST, .session = i, .person = "yamada" };
		size_t n;
		snprintf(event.target, sizeof(event.target), "GET %u.example:80", i);
		if (gr_audit_line_format(&stamp, &event, leaf, text + starts[i], &n) != 0)
			return -1;
		starts[i + 1] = starts[i] + n;
	}
	return 0;
}

static int clean_up(void **state)
{
	(void)state;
	unlinkat(directory, "00000000.log", 0);
	close(directory);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_lines_are_read_and_a_torn_end_is_told),
		cmocka_unit_test(every_flipped_bit_is_named_by_its_line_or_the_next),
		cmocka_unit_test(removed_repeated_and_moved_lines_are_found),
		cmocka_unit_test(a_pruned_line_holds_the_chain),
		cmocka_unit_test(a_later_segment_follows_the_one_before),
		cmocka_unit_test(a_sum_has_one_form),
	};
	return cmocka_run_group_tests(tests, make_lines, clean_up);
}
