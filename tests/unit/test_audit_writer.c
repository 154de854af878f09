/* The audit record's file: batches, full disks, torn ends. */
#include "broker/audit/segment.h"
#include "broker/audit/writer.h"
#include "common/log.h"

#include <dirent.h>
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

static char folder[] = "/tmp/test_audit_writer.XXXXXX";
static int directory = -1;

static struct gr_audit_writer *open_writer(void)
{
	struct gr_audit_writer *writer = NULL;
	struct gr_error err = { .code = 0 };
	if (gr_audit_writer_open(&writer, directory, BOOT, &err) != 0)
		fail_msg("%s", err.text);
	return writer;
}

static uint64_t add(struct gr_audit_writer *writer, const char *detail)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
	uint64_t sequence = 0;
	snprintf(event.detail, sizeof(event.detail), "%s", detail);
	assert_int_equal(gr_audit_writer_add(writer, &event, &sequence), 0);
	return sequence;
}

static uint64_t count_lines(void)
{
	struct gr_audit_segment *segment;
	struct gr_audit_record record = { .bytes = NULL };
	struct gr_error err = { .code = 0 };
	int fd = openat(directory, GR_AUDIT_FILE, O_RDONLY), status;
	assert_true(fd >= 0);
	assert_int_equal(gr_audit_segment_open(&segment, -1, fd, 0, NULL, &err), 0);
	while ((status = gr_audit_segment_next(segment, &record, &err)) == 1)
		;
	if (status != 0)
		fail_msg("%s", err.text);
	assert_int_equal(gr_audit_segment_torn(segment), 0);
	gr_audit_segment_close(segment);
	close(fd);
	return record.line.sequence;
}

static void append_raw(const char *text)
{
	int fd = openat(directory, GR_AUDIT_FILE, O_WRONLY | O_APPEND);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_batch_is_written_and_goes_on_after_a_restart(void **state)
{
	struct stat status;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(gr_audit_writer_has_batch(writer), 0);
	assert_int_equal(add(writer, "a"), 1);
	assert_int_equal(add(writer, "b"), 2);
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 2);
	assert_int_equal(fstatat(directory, GR_AUDIT_FILE, &status, 0), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	writer = open_writer();
	assert_int_equal(add(writer, "c"), 3);
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 3);
}

static void a_second_writer_is_refused(void **state)
{
	struct gr_audit_writer *second = NULL;
	struct gr_error err;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	assert_int_equal(gr_audit_writer_open(&second, directory, BOOT, &err), GR_EEXIST);
	gr_audit_writer_close(writer);
}

static void a_batch_past_its_bound_is_refused(void **state)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
	uint64_t sequence;
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	for (unsigned i = 0; i < GR_AUDIT_BATCH_MAX; i++)
		add(writer, "x");
	assert_int_equal(gr_audit_writer_add(writer, &event, &sequence), GR_EFULL);
	for (unsigned i = 0; i < 20; i++)
		gr_audit_writer_owe_fault(writer, "owed");
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), GR_AUDIT_BATCH_MAX + 8);
}

/* RLIMIT_FSIZE stands for the full disk: the write stops in the middle of a line. */
static void a_failed_batch_leaves_no_trace_and_a_later_one_works(void **state)
{
	struct rlimit before, small;
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	struct gr_audit_writer *writer = open_writer();
	add(writer, "kept");
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (rlim_t room = 0; room < 300; room += 23) {
		struct stat status;
		fstatat(directory, GR_AUDIT_FILE, &status, 0);
		small = before;
		small.rlim_cur = (rlim_t)status.st_size + room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		add(writer, "lost 1");
		add(writer, "lost 2");
		int code = gr_audit_writer_commit(writer);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(code, GR_EFULL);
		assert_int_equal(count_lines(), 1);
	}
	gr_audit_writer_owe_fault(writer, "owed through the failure");
	assert_int_equal(add(writer, "again"), 3);
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	assert_int_equal(count_lines(), 3);
	gr_audit_writer_close(writer);
}

static void a_torn_end_is_moved_aside_and_recorded(void **state)
{
	char text[8192];
	(void)state;
	struct gr_audit_writer *writer = open_writer();
	add(writer, "whole");
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	append_raw("seq=2 time=2026-11");
	writer = open_writer();
	assert_int_equal(gr_audit_writer_has_batch(writer), 1);
	assert_int_equal(add(writer, "next"), 3);
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	assert_int_equal(count_lines(), 3);
	int fd = openat(directory, GR_AUDIT_FILE, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n > 0);
	text[n] = 0;
	char *found = strstr(text, "moved%20to%20audit.log.torn-");
	assert_non_null(strstr(text, "kind=fault detail=torn%20line%20of%2018%20bytes%20after%20seq%201"));
	assert_non_null(found);
	found += strlen("moved%20to%20");
	*strchr(found, ' ') = 0;
	fd = openat(directory, found, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 18);
	close(fd);
	assert_memory_equal(text, "seq=2 time=2026-11", 18);
}

static void a_broken_chain_is_not_continued(void **state)
{
	struct gr_audit_writer *writer = open_writer();
	struct gr_error err = { .code = 0 };
	(void)state;
	add(writer, "whole");
	assert_int_equal(gr_audit_writer_commit(writer), 0);
	gr_audit_writer_close(writer);
	append_raw("not a line\n");
	writer = NULL;
	assert_int_equal(gr_audit_writer_open(&writer, directory, BOOT, &err), GR_EPROTO);
	assert_non_null(strstr(err.text, "audit.log: line with seq 2: "));
	assert_non_null(strstr(err.text, "keep the file as evidence"));
}

static int empty_folder(void **state)
{
	(void)state;
	DIR *dir = opendir(folder);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(directory, entry->d_name, 0);
	return dir ? closedir(dir) : -1;
}

static int make_folder(void **state)
{
	(void)state;
	gr_log_init("test", GR_LOG_ERROR);
	if (!mkdtemp(folder))
		return -1;
	directory = open(folder, O_RDONLY | O_DIRECTORY);
	return directory < 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
	empty_folder(state);
	close(directory);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_batch_is_written_and_goes_on_after_a_restart, empty_folder),
		cmocka_unit_test_teardown(a_second_writer_is_refused, empty_folder),
		cmocka_unit_test_teardown(a_batch_past_its_bound_is_refused, empty_folder),
		cmocka_unit_test_teardown(a_failed_batch_leaves_no_trace_and_a_later_one_works, empty_folder),
		cmocka_unit_test_teardown(a_torn_end_is_moved_aside_and_recorded, empty_folder),
		cmocka_unit_test_teardown(a_broken_chain_is_not_continued, empty_folder),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
