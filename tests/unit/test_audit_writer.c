/* The audit record's files: batches, segments, full disks, torn ends, and what does not hold. test_audit_crash.c has faults at every call. */
#include "broker/audit/head.h"
#include "broker/audit/reserve.h"
#include "broker/audit/segment.h"
#include "broker/audit/writer.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BOOT "00112233445566778899aabbccddeeff"
#define FIRST "00000000.log"

static char folder[] = "/tmp/test_audit_writer.XXXXXX";
static int directory = -1, logs = -1;
static EVP_PKEY *key;

static int try_open(struct gr_audit_writer **writer, struct gr_error *err)
{
	struct gr_audit_places places = { .directory = directory, .log = logs, .key = key, .boot = BOOT };
	return gr_audit_writer_open(writer, &places, err);
}

static struct gr_audit_writer *open_writer(void)
{
	struct gr_audit_writer *writer = NULL;
	struct gr_error err = { .code = 0 };
	if (try_open(&writer, &err) != 0)
		fail_msg("%s", err.text);
	return writer;
}

static void refuses_to_open(const char *why)
{
	struct gr_audit_writer *writer = NULL;
	struct gr_error err = { .code = 0 };
	assert_int_equal(try_open(&writer, &err), GR_EPROTO);
	if (!strstr(err.text, why) || !strstr(err.text, "keep the folder as evidence"))
		fail_msg("%s", err.text);
}

static void add(struct gr_audit_writer *writer, const char *detail, uint32_t permit, uint64_t *sequence)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_CUTOFF, .permit = permit };
	snprintf(event.detail, sizeof(event.detail), "%s", detail);
	assert_int_equal(gr_audit_writer_add(writer, &event, sequence), 0);
}

/* Adds one event and commits. Returns what became of it. */
static uint64_t write_one(struct gr_audit_writer *writer, const char *detail, uint32_t permit)
{
	uint64_t sequence = 77;
	add(writer, detail, permit, &sequence);
	gr_audit_writer_commit(writer);
	return sequence;
}

/* How many lines there are, all segments verified. */
static uint64_t count_lines(void)
{
	struct gr_audit_record record = { .length = 0 };
	struct gr_error err = { .code = 0 };
	uint8_t last[GR_TREE_HASH] = { 0 };
	int status;
	for (uint64_t number = 0;; number++) {
		struct gr_audit_segment *segment;
		if (gr_audit_segment_open(&segment, logs, -1, number, last, &err) != 0)
			return record.line.sequence;
		while ((status = gr_audit_segment_next(segment, &record, &err)) == 1)
			memcpy(last, record.leaf, sizeof(last));
		if (status != 0)
			fail_msg("%s", err.text);
		assert_int_equal(gr_audit_segment_torn(segment), 0);
		gr_audit_segment_close(segment);
	}
}

static size_t read_file(int where, const char *name, char *out, size_t cap)
{
	int fd = openat(where, name, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, out, cap - 1);
	assert_true(n >= 0);
	close(fd);
	out[n] = 0;
	return (size_t)n;
}

static void write_file(int where, const char *name, int flags, const char *bytes, size_t n)
{
	int fd = openat(where, name, O_WRONLY | O_CREAT | flags, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static void append_raw(const char *text)
{
	write_file(logs, FIRST, O_APPEND, text, strlen(text));
}

static void a_batch_is_written_and_goes_on_after_a_restart(void **state)
{
	struct stat status;
	uint64_t a = 0, b = 0;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(gr_audit_writer_has_batch(writer), 0);
	add(writer, "a", 1, &a);
	add(writer, "b", 0, &b);
	gr_audit_writer_commit(writer);
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 2);
	assert_int_equal(fstatat(logs, FIRST, &status, 0), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	/* The reserve takes its room at once, also when the first time there was too little. */
	for (int turn = 0; turn < 2; turn++) {
		assert_int_equal(fstatat(directory, GR_AUDIT_RESERVE_FILE, &status, 0), 0);
		assert_int_equal(status.st_size, (off_t)GR_AUDIT_RESERVE_SLOTS * 1024);
		assert_true(status.st_blocks * 512 >= (off_t)GR_AUDIT_RESERVE_SLOTS * 1024);
		write_file(directory, GR_AUDIT_RESERVE_FILE, O_TRUNC, "short", 5);
		gr_audit_writer_close(open_writer());
	}
	writer = open_writer();
	assert_int_equal(write_one(writer, "c", 1), 3);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 3);
}

static void a_second_writer_is_refused(void **state)
{
	struct gr_audit_writer *second = NULL;
	struct gr_error err;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(try_open(&second, &err), GR_EEXIST);
	gr_audit_writer_close(writer);
}

static void a_batch_past_its_bound_is_refused(void **state)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT }, unknown = { .kind = GR_AUDIT_KINDS };
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(gr_audit_writer_add(writer, &unknown, NULL), GR_EINVAL);
	for (unsigned i = 0; i < 20; i++)
		gr_audit_writer_add_fault(writer, "own");
	for (unsigned i = 0; i < GR_AUDIT_BATCH_MAX; i++)
		add(writer, "x", 0, NULL);
	assert_int_equal(gr_audit_writer_add(writer, &event, NULL), GR_EFULL);
	gr_audit_writer_add_fault(writer, "own");
	gr_audit_writer_commit(writer);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), GR_AUDIT_BATCH_MAX + 16);
}

/* One whole segment and a little more: the sum is there, the next process starts from it and signs the same root. */
static void a_full_segment_is_summed_up(void **state)
{
	struct gr_audit_sum sum;
	struct gr_error err = { .code = 0 };
	char heads[4 * GR_HEAD_LINE_MAX], sum_text[GR_AUDIT_SUM_MAX];
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	for (unsigned written = 0; written < GR_AUDIT_SEGMENT_LINES + 100; written += 193) {
		for (unsigned i = 0; i < 193; i++)
			add(writer, "x", 0, NULL);
		gr_audit_writer_commit(writer);
	}
	uint64_t lines = count_lines();
	assert_true(lines > GR_AUDIT_SEGMENT_LINES + 100);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(gr_audit_sum_read(logs, 0, &sum, &err), 0);
	/* From the sum, and once more without it: then all is read and the sum made again. */
	size_t n = read_file(logs, "00000000.sum", sum_text, sizeof(sum_text));
	for (int turn = 0; turn < 2; turn++) {
		writer = open_writer();
		assert_int_equal(gr_audit_writer_unsigned(writer), 0);
		gr_audit_writer_close(writer);
		unlinkat(logs, "00000000.sum", 0);
	}
	writer = open_writer();
	assert_int_equal(write_one(writer, "next", 1), lines + 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	gr_audit_writer_close(writer);
	char again[GR_AUDIT_SUM_MAX];
	assert_int_equal(read_file(logs, "00000000.sum", again, sizeof(again)), n);
	assert_memory_equal(again, sum_text, n);
	read_file(directory, GR_AUDIT_HEADS_FILE, heads, sizeof(heads));
	assert_memory_equal(heads, "head size=65", 12);
	/* A sum that does not fit is found by the head's root. */
	sum.tree[7] ^= 1;
	n = gr_audit_sum_format(&sum, sum_text);
	write_file(logs, "00000000.sum", O_TRUNC, sum_text, n);
	refuses_to_open("has not the root that was signed");
}

/* RLIMIT_FSIZE stands for the full disk, with the reserve below it: the write stops in the middle of a line. */
static void a_full_disk_refuses_what_permits_and_keeps_the_rest(void **state)
{
	static char text[1 << 20];
	struct rlimit before, small;
	struct stat status;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	struct gr_audit_writer *writer = open_writer();
	/* As long as the reserve, so that one limit is above the one and below the other. */
	while (fstatat(logs, FIRST, &status, 0) < 0 || status.st_size < (off_t)GR_AUDIT_RESERVE_SLOTS * 1024) {
		for (unsigned i = 0; i < GR_AUDIT_BATCH_MAX; i++)
			add(writer,
			    "a line of some length, so that this does not take as long as it would with shorter ones",
			    0, NULL);
		gr_audit_writer_commit(writer);
	}
	uint64_t lines = count_lines();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	unsigned kept = 0;
	for (rlim_t room = 0; room < 300; room += 23) {
		uint64_t permit = 77, keep = 77;
		fstatat(logs, FIRST, &status, 0);
		small = before;
		small.rlim_cur = (rlim_t)status.st_size + room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		add(writer, "refused", 1, &permit);
		add(writer, "kept", 0, &keep);
		gr_audit_writer_commit(writer);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(permit, 0);
		assert_true(keep == GR_AUDIT_KEPT);
		assert_int_equal(count_lines(), lines);
		struct gr_audit_acknowledgement told = gr_audit_writer_state(writer);
		assert_int_equal(told.state, GR_AUDIT_UNWRITABLE);
		assert_int_equal(told.cause, EFBIG);
		assert_int_equal(told.kept, ++kept + 1); /* and that it began */
	}
	assert_int_equal(gr_audit_writer_waits(writer), 1);
	/* The process ends before it is any better. */
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), lines);
	writer = open_writer();
	assert_int_equal(write_one(writer, "again", 1), lines + kept + 2);
	assert_int_equal(gr_audit_writer_waits(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), lines + kept + 2);
	int fd = openat(logs, FIRST, O_RDONLY);
	ssize_t n = pread(fd, text, sizeof(text) - 1, status.st_size);
	close(fd);
	assert_true(n > 0);
	text[n] = 0;
	char *first = strstr(text, "detail=kept "), *begun = strstr(text, "the%20record%20could%20not%20be%20written");
	assert_true(first && begun && first < begun && strstr(begun, "detail=kept "));
	assert_null(strstr(text, "detail=refused"));
}

static void the_process_that_failed_records_when_it_ended(void **state)
{
	static char text[1 << 16];
	struct rlimit before, none;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0; /* the reserve is not writable either */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(write_one(writer, "refused", 1), 0);
	assert_int_equal(write_one(writer, "not even kept", 0), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(gr_audit_writer_state(writer).kept, 0);
	assert_int_equal(gr_audit_writer_waits(writer), 1);
	gr_audit_writer_commit(writer);
	assert_int_equal(gr_audit_writer_waits(writer), 0);
	assert_int_equal(gr_audit_writer_state(writer).state, GR_AUDIT_WRITABLE);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 2);
	read_file(logs, FIRST, text, sizeof(text));
	assert_non_null(strstr(text, "detail=the%20record%20could%20not%20be%20written:%20File%20too%20large"));
	assert_non_null(strstr(text, "detail=the%20record%20is%20written%20again%3B%202%20events%20were%20refused"));
}

static void a_head_that_cannot_be_written_is_told_and_made_later(void **state)
{
	char heads[4 * GR_HEAD_LINE_MAX];
	struct rlimit before, small;
	struct stat status;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	struct gr_audit_writer *writer = open_writer();
	write_one(writer, "one", 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	write_one(writer, "two", 1);
	assert_int_equal(fstatat(directory, GR_AUDIT_HEADS_FILE, &status, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = (rlim_t)status.st_size + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(gr_audit_writer_sign(writer), GR_EIO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(read_file(directory, GR_AUDIT_HEADS_FILE, heads, sizeof(heads)), status.st_size);
	assert_int_equal(gr_audit_writer_state(writer).state, GR_AUDIT_UNSIGNED);
	assert_int_equal(gr_audit_writer_waits(writer), 1);
	assert_int_equal(gr_audit_writer_unsigned(writer), 1);
	assert_int_equal(write_one(writer, "three", 1), 3); /* the record goes on */
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	assert_int_equal(gr_audit_writer_state(writer).state, GR_AUDIT_WRITABLE);
	assert_int_equal(gr_audit_writer_waits(writer), 0);
	gr_audit_writer_close(writer);
	gr_audit_writer_close(open_writer());
}

static void a_torn_end_is_moved_aside_and_recorded(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} ends[] = {
		{ "seq=2 time=2026-11", 18 },
		{ "seq=2 time=2026-11\0\0\0\0\0\0\nseq=3\n", 31 }, /* a block that never reached the disk */
	};
	char text[8192];
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char expected[64];
		struct gr_audit_writer *writer = open_writer();
		uint64_t sequence = write_one(writer, "whole", 1);
		gr_audit_writer_close(writer);
		write_file(logs, FIRST, O_APPEND, ends[i].bytes, ends[i].n);
		writer = open_writer();
		assert_int_equal(gr_audit_writer_has_batch(writer), 1);
		assert_int_equal(write_one(writer, "next", 1), sequence + 2);
		gr_audit_writer_close(writer);
		assert_int_equal(count_lines(), sequence + 2);
		read_file(logs, FIRST, text, sizeof(text));
		snprintf(expected, sizeof(expected), "torn%%20end%%20of%%20%zu%%20bytes%%20after%%20seq%%20%d",
			 ends[i].n, (int)sequence);
		char *found = strstr(text, expected);
		assert_non_null(found);
		found = strstr(found, "moved%20to%20") + strlen("moved%20to%20");
		*strchr(found, ' ') = 0;
		assert_int_equal(read_file(logs, found, text, sizeof(text)), ends[i].n);
		assert_memory_equal(text, ends[i].bytes, ends[i].n);
	}
}

static void a_broken_chain_is_not_continued(void **state)
{
	char before[8192], after[8192];
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	write_one(writer, "whole", 1);
	gr_audit_writer_close(writer);
	append_raw("not a line\n");
	size_t n = read_file(logs, FIRST, before, sizeof(before));
	refuses_to_open(FIRST ": line with seq 2: ");
	assert_int_equal(read_file(logs, FIRST, after, sizeof(after)), n);
	assert_memory_equal(after, before, n);
}

/* Everything that a chain alone does not show: the last head does. */
static void a_record_that_its_last_head_does_not_know_is_not_continued(void **state)
{
	char older[8192], newer[8192], heads[4096];
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	write_one(writer, "one", 1);
	size_t n = read_file(logs, FIRST, older, sizeof(older));
	write_one(writer, "two", 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	assert_int_equal(gr_audit_writer_sign(writer), 0); /* nothing new */
	gr_audit_writer_close(writer);
	size_t m = read_file(logs, FIRST, newer, sizeof(newer));
	/* Cut at a line's end, or an older copy put back. */
	write_file(logs, FIRST, O_TRUNC, older, n);
	refuses_to_open("the record ends with seq 1, but 2 were signed");
	/* All gone. */
	unlinkat(logs, FIRST, 0);
	refuses_to_open("the record ends with seq 0, but 2 were signed");
	/* Another history of the same length, with a chain that holds. */
	char saved[4096];
	size_t h = read_file(directory, GR_AUDIT_HEADS_FILE, saved, sizeof(saved));
	unlinkat(directory, GR_AUDIT_HEADS_FILE, 0);
	writer = open_writer();
	write_one(writer, "one", 1);
	write_one(writer, "too", 1);
	gr_audit_writer_close(writer);
	write_file(directory, GR_AUDIT_HEADS_FILE, O_TRUNC, saved, h);
	refuses_to_open("the tree over the first 2 records has not the root that was signed");
	write_file(logs, FIRST, O_TRUNC, newer, m);
	writer = open_writer();
	gr_audit_writer_close(writer);
	/* A head that was changed. */
	memcpy(heads, saved, h);
	heads[h - 20] = heads[h - 20] == 'A' ? 'B' : 'A';
	write_file(directory, GR_AUDIT_HEADS_FILE, O_TRUNC, heads, h);
	refuses_to_open(GR_AUDIT_HEADS_FILE ": its last line: the tree head's signature does not fit");
	/* A torn one is only cut off: the record goes further than any head that was finished. */
	write_file(directory, GR_AUDIT_HEADS_FILE, O_TRUNC, saved, h);
	write_file(directory, GR_AUDIT_HEADS_FILE, O_APPEND, saved, 100);
	writer = open_writer();
	assert_int_equal(write_one(writer, "three", 1), 3);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	gr_audit_writer_close(writer);
	writer = open_writer();
	gr_audit_writer_close(writer);
}

static void another_key_goes_on_with_the_record(void **state)
{
	EVP_PKEY *before = key;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	write_one(writer, "one", 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	gr_audit_writer_close(writer);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	writer = open_writer();
	write_one(writer, "two", 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	gr_audit_writer_close(writer);
	EVP_PKEY_free(key);
	key = before;
}

static void empty(int where)
{
	DIR *dir = fdopendir(openat(where, ".", O_RDONLY | O_DIRECTORY));
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "log") != 0)
			unlinkat(where, entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static int empty_folder(void **state)
{
	(void)state;
	empty(logs);
	empty(directory);
	return 0;
}

static int make_folder(void **state)
{
	(void)state;
	gr_log_init("test", GR_LOG_ERROR);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!key || !mkdtemp(folder))
		return -1;
	directory = open(folder, O_RDONLY | O_DIRECTORY);
	if (directory < 0 || mkdirat(directory, "log", 0700) < 0)
		return -1;
	logs = openat(directory, "log", O_RDONLY | O_DIRECTORY);
	return logs < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
	empty_folder(state);
	EVP_PKEY_free(key);
	close(logs);
	unlinkat(directory, "log", AT_REMOVEDIR);
	close(directory);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_batch_is_written_and_goes_on_after_a_restart, empty_folder),
		cmocka_unit_test_teardown(a_second_writer_is_refused, empty_folder),
		cmocka_unit_test_teardown(a_batch_past_its_bound_is_refused, empty_folder),
		cmocka_unit_test_teardown(a_full_segment_is_summed_up, empty_folder),
		cmocka_unit_test_teardown(a_full_disk_refuses_what_permits_and_keeps_the_rest, empty_folder),
		cmocka_unit_test_teardown(the_process_that_failed_records_when_it_ended, empty_folder),
		cmocka_unit_test_teardown(a_head_that_cannot_be_written_is_told_and_made_later, empty_folder),
		cmocka_unit_test_teardown(a_torn_end_is_moved_aside_and_recorded, empty_folder),
		cmocka_unit_test_teardown(a_broken_chain_is_not_continued, empty_folder),
		cmocka_unit_test_teardown(a_record_that_its_last_head_does_not_know_is_not_continued, empty_folder),
		cmocka_unit_test_teardown(another_key_goes_on_with_the_record, empty_folder),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
