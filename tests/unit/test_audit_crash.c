/*
 * The audit writer ended at each of its system calls, by SIGKILL or by a power cut, and with each of them failing: what was
 * acknowledged is in the record, once, and the record, its sums and its heads hold. Segments have 16 lines here.
 */
#include "broker/audit/head.h"
#include "broker/audit/position.h"
#include "broker/audit/writer.h"
#include "tests/unit/audit_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKENS 4096 /* of one folder */
#define PLACES_MIN 1000
#define UNTOLD (UINT64_MAX - 1)
#define NEED(condition) ((condition) ? (void)0 : abort()) /* in the process that is ended, cmocka has no place */

enum fate { NOT_SENT, SENT, RECORDED, KEPT, REFUSED };

static char folder[] = "/tmp/test_audit_crash.XXXXXX";
static int directory = -1, logs = -1;
static EVP_PKEY *key;
static struct shared { /* with the process that dies */
	uint64_t token;
	unsigned boot; /* of the machine, which a power cut ends */
	uint8_t fates[TOKENS];
} * shared;

static unsigned chance(unsigned n)
{
	return (unsigned)random() % n;
}

/* ---- the process ---- */

static struct gr_audit_writer *open_writer(struct gr_error *err)
{
	struct gr_audit_places places = { .directory = directory, .log = logs, .key = key };
	snprintf(places.boot, sizeof(places.boot), "%032x", shared->boot);
	struct gr_audit_writer *writer = NULL;
	return gr_audit_writer_open(&writer, &places, err) == 0 ? writer : NULL;
}

static void run_batch(struct gr_audit_writer *writer, unsigned n)
{
	uint64_t sequences[16], first = shared->token;
	int permits[16];
	for (unsigned i = 0; i < n; i++) {
		struct gr_audit_event event = { .kind = GR_AUDIT_EGRESS_REQUEST, .permit = chance(2) };
		uint64_t token = shared->token++;
		permits[i] = event.permit != 0;
		NEED(token < TOKENS);
		snprintf(event.detail, sizeof(event.detail), "token:%" PRIu64, token);
		snprintf(event.target, sizeof(event.target), "GET %.*s.example:80", (int)chance(300),
			 "a-name-that-is-long-enough-to-fill-more-than-a-sector-with-few-of-them-"
			 "a-name-that-is-long-enough-to-fill-more-than-a-sector-with-few-of-them-"
			 "a-name-that-is-long-enough-to-fill-more-than-a-sector-with-few-of-them-"
			 "a-name-that-is-long-enough-to-fill-more-than-a-sector-with-few-of-them");
		shared->fates[token] = SENT;
		sequences[i] = UNTOLD;
		NEED(gr_audit_writer_add(writer, &event, &sequences[i]) == 0);
	}
	gr_audit_writer_commit(writer);
	for (unsigned i = 0; i < n; i++) {
		NEED(sequences[i] != UNTOLD && !(permits[i] && sequences[i] == GR_AUDIT_KEPT));
		shared->fates[first + i] = sequences[i] == GR_AUDIT_KEPT ? KEPT
					   : sequences[i] != 0           ? RECORDED
									 : REFUSED;
	}
}

static void session(void)
{
	struct gr_error err = { .code = 0 };
	struct gr_audit_writer *writer = open_writer(&err);
	if (!writer)
		return; /* what a failing disk may do */
	gr_audit_writer_commit(writer);
	for (unsigned batch = 0; batch < 7; batch++) {
		disk.clock_step -= chance(3) == 0 ? 3600 : 0;
		run_batch(writer, 1 + chance(7));
		if (batch % 2)
			(void)gr_audit_writer_sign(writer);
	}
	gr_audit_writer_commit(writer);
	(void)gr_audit_writer_sign(writer);
	gr_audit_writer_close(writer);
}

/* ---- the auditor ---- */

struct heads {
	char text[1 << 16];
	size_t length, at;
	struct gr_head next;
	uint64_t checked;
};

static void next_head(struct heads *heads)
{
	const char *reason;
	int known = 0;
	heads->next.size = 0;
	if (heads->at == heads->length)
		return;
	const char *line = heads->text + heads->at, *end = memchr(line, '\n', heads->length - heads->at);
	assert_non_null(end);
	uint64_t before = heads->checked;
	if (gr_head_read(line, (size_t)(end - line), &key, 1, &heads->next, &known, &reason) != 0)
		fail_msg("heads.log: %s", reason);
	assert_true(known && heads->next.size > before);
	heads->at = (size_t)(end - heads->text) + 1;
}

static void check_heads(struct heads *heads, const struct gr_audit_position *position)
{
	uint8_t root[GR_TREE_HASH];
	if (heads->next.size != gr_audit_position_count(position))
		return;
	assert_int_equal(gr_audit_position_root(position, root), 0);
	assert_memory_equal(root, heads->next.root, sizeof(root));
	heads->checked = heads->next.size;
	next_head(heads);
}

static uint64_t token_of(const struct gr_audit_record *record)
{
	const char *detail = record->line.fields[GR_AUDIT_FIELD_DETAIL].start;
	return detail && strncmp(detail, "token:", 6) == 0 ? strtoull(detail + 6, NULL, 10) : TOKENS;
}

static uint8_t seen[TOKENS]; /* by the last verify */

/* Reads everything as an auditor would. Every token is in the record at most once, and those that were acknowledged are. */
static void verify(void)
{
	static struct heads heads;
	struct gr_audit_position position = { .full = { .size = 0 } };
	struct gr_audit_sum sum, file_sum;
	struct gr_error err = { .code = 0 };
	uint64_t mono = 0;
	memset(seen, 0, sizeof(seen));
	int fd = openat(directory, GR_AUDIT_HEADS_FILE, O_RDONLY | O_CLOEXEC);
	heads.at = heads.checked = 0;
	heads.length = (size_t)read(fd, heads.text, sizeof(heads.text));
	assert_true(heads.length < sizeof(heads.text));
	close(fd);
	next_head(&heads);
	for (uint64_t number = 0;; number++) {
		struct gr_audit_segment *segment;
		struct gr_audit_record record;
		int status = gr_audit_segment_open(&segment, logs, -1, number, position.last, &err), full = 0;
		if (status == GR_ENOENT)
			break;
		assert_int_equal(status, 0);
		assert_int_equal(gr_audit_position_segment(&position), number);
		while ((status = gr_audit_segment_next(segment, &record, &err)) == 1) {
			full = gr_audit_position_add(&position, record.leaf, &sum);
			check_heads(&heads, &position);
			uint64_t token = token_of(&record);
			assert_true(token == TOKENS || !seen[token]);
			if (token < TOKENS)
				seen[token] = 1;
			uint64_t now = gr_audit_number(record.line.fields[GR_AUDIT_FIELD_MONO].start,
						       record.line.fields[GR_AUDIT_FIELD_MONO].length);
			assert_true(now > mono);
			mono = now;
		}
		if (status != 0)
			fail_msg("%s", err.text);
		assert_int_equal(gr_audit_segment_torn(segment), 0);
		gr_audit_segment_close(segment);
		if (full == 1 && gr_audit_sum_read(logs, number, &file_sum, &err) == 0)
			assert_memory_equal(&sum, &file_sum, sizeof(sum));
	}
	assert_int_equal(heads.next.size, 0); /* none is left, of more than there is */
	assert_int_equal(heads.checked, gr_audit_position_count(&position));
	for (uint64_t token = 0; token < shared->token; token++) {
		if ((shared->fates[token] == RECORDED || shared->fates[token] == KEPT) && !seen[token])
			fail_msg("event %" PRIu64 " was acknowledged and is not in the record", token);
	}
}

/* The next process: with a good disk it starts, whatever happened before, and everything is written. */
static void restart_and_verify(const char *what, unsigned at)
{
	struct gr_error err = { .code = 0 };
	disk_begin(0);
	shared->boot += strcmp(what, "power lost") == 0;
	struct gr_audit_writer *writer = open_writer(&err);
	if (!writer)
		fail_msg("%s at call %u: %s", what, at, err.text);
	gr_audit_writer_commit(writer);
	run_batch(writer, 1);
	assert_int_equal(gr_audit_writer_sign(writer), 0);
	assert_int_equal(gr_audit_writer_waits(writer), 0);
	gr_audit_writer_close(writer);
	verify();
}

/* ---- */

static void empty(int where)
{
	int copy = openat(where, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(copy);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "log") != 0)
			unlinkat(where, entry->d_name, 0);
	closedir(dir);
}

static void empty_folders(void)
{
	empty(logs);
	empty(directory);
	memset(shared, 0, sizeof(*shared));
}

static void know_files(int where)
{
	int copy = openat(where, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(copy);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "log") != 0)
			disk_know(where, entry->d_name);
	closedir(dir);
}

/* A session in a process of its own, which ends as planned. Returns whether it was ended. */
static int session_ends(unsigned at, enum disk_end end, unsigned seed)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		srandom(seed);
		disk_begin(seed);
		know_files(directory);
		know_files(logs);
		disk.end_at = at;
		disk.end = end;
		if (seed % 2) { /* and the disk was failing meanwhile */
			disk.fail_from = 4 + chance(20);
			disk.fail_count = 1 + chance(12);
			disk.fail_gap = 1 + chance(12);
			disk.fail_cause = chance(2) ? ENOSPC : EIO;
		}
		session();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("the session ended with status 0x%x", (unsigned)status);
	return 1;
}

static unsigned end_everywhere(enum disk_end end, const char *what, unsigned seed)
{
	unsigned at = 1;
	for (; session_ends(at, end, seed + at * 2); at++) {
		if (at % 3 == 0) { /* and the next one fares no better */
			shared->boot += end == DISK_POWER_LOST;
			session_ends(1 + at % 31, end, seed + at);
		}
		restart_and_verify(what, at);
		if (at % 16 == 0)
			empty_folders();
	}
	restart_and_verify(what, at);
	empty_folders();
	return at - 1;
}

static void a_kill_at_any_call_loses_nothing(void **state)
{
	unsigned places = 0;
	(void)state;
	for (unsigned seed = 0; places < PLACES_MIN; seed++)
		for (enum disk_end end = DISK_KILLED_BEFORE; end <= DISK_KILLED_AFTER; end++)
			places += end_everywhere(end, "killed", seed);
	print_message("killed at %u places\n", places);
}

static void a_power_cut_at_any_call_loses_nothing(void **state)
{
	unsigned places = 0;
	(void)state;
	for (unsigned seed = 0; places < PLACES_MIN / 4; seed++)
		places += end_everywhere(DISK_POWER_LOST, "power lost", seed);
	print_message("power lost at %u places\n", places);
}

/* When one call fails and the process goes on, what was refused is not in the record either. */
static void any_call_may_fail(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		unsigned at = 1;
		for (;; at++) {
			disk_begin(at);
			srandom(at / 2);
			disk.fail_from = at;
			disk.fail_count = variant < 2 ? 1 : 3 + chance(9);
			disk.fail_gap = variant < 2 ? 0 : 1 + chance(9);
			disk.fail_cause = variant % 2 ? ENOSPC : EIO;
			session();
			int failed = disk.calls >= at;
			restart_and_verify("failed", at);
			for (uint64_t token = 0; variant < 2 && token < shared->token; token++)
				assert_false(shared->fates[token] == REFUSED && seen[token]);
			if (!failed)
				break;
			if (at % 8 == 0)
				empty_folders();
		}
		print_message("%u calls failed\n", at - 1);
		assert_true(at > 30);
		empty_folders();
	}
}

/* ---- */

static int prepare(void **state)
{
	(void)state;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!key || shared == MAP_FAILED || !mkdtemp(folder))
		return -1;
	directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || mkdirat(directory, "log", 0700) < 0)
		return -1;
	logs = openat(directory, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return logs < 0 ? -1 : 0;
}

static int clean_up(void **state)
{
	(void)state;
	empty_folders();
	disk_begin(0);
	EVP_PKEY_free(key);
	munmap(shared, sizeof(*shared));
	close(logs);
	unlinkat(directory, "log", AT_REMOVEDIR);
	close(directory);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_at_any_call_loses_nothing),
		cmocka_unit_test(a_power_cut_at_any_call_loses_nothing),
		cmocka_unit_test(any_call_may_fail),
	};
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
