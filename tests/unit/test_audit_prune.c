/* Pruning: what is old goes, who did it is recorded, and the record holds wherever it is interrupted. */
#include "audit_log.h"
#include "broker/audit/prune.h"
#include "broker/audit/tool/checker.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define YOUNG "2026-09-21T20:00:00.000000Z" /* of records that a second each brings from 14:13:20 on */

#define LATE "2099-01-01T00:00:00.000000Z"

static struct audit_log audit;
static struct gr_loop *loop;
static struct gr_ipc_message answered;
static unsigned recorded, refuse_after, changed;

static void begin(unsigned records)
{
	audit_log_begin(&audit);
	for (unsigned i = 1; i <= records; i++) {
		struct gr_audit_event event = audit_log_request("hanako", 7, "CONNECT a.example.jp:443");
		if (i % 3 == 0)
			event.kind = GR_AUDIT_SESSION_START;
		audit_log_add(&audit, &event);
		if (i % 5000 == 0)
			audit_log_head(&audit);
	}
	audit_log_flush(&audit);
	answered.type = recorded = changed = 0;
	refuse_after = 1000;
}

static void assert_holds(uint64_t pruned)
{
	struct gr_check_result result;
	struct gr_check_options options = { .keys = &audit.key, .key_count = 1 };
	struct gr_error err;
	audit_log_flush(&audit);
	int status = gr_check_log(audit.directory, &options, &result, &err);
	if (status != 0)
		print_error("%s: record %u: %s\n", result.file, (unsigned)result.sequence, result.what);
	assert_int_equal(status, 0);
	assert_int_equal(result.pruned, pruned);
	assert_int_equal(result.count, audit.count);
}

/* ---- the audit process's side ---- */

static int record(void *context, const struct gr_audit_event *event)
{
	(void)context;
	if (recorded == refuse_after)
		return GR_EIO;
	recorded++;
	assert_int_equal(event->kind, GR_AUDIT_PRUNE);
	assert_string_equal(event->actor, "kansa");
	assert_non_null(strstr(event->detail, ": 保存期間満了"));
	audit_log_add(&audit, event);
	return 0;
}

static void note_change(void *context, uint64_t segment)
{
	(void)context;
	(void)segment;
	changed++;
}

static void take_answer(void *context, const struct gr_ipc_message *message)
{
	(void)context;
	answered = *message;
	gr_loop_stop(loop, 0);
}

static void prune(const char *what)
{
	struct gr_audit_pruner_hooks hooks = { .record = record, .changed = note_change, .answer = take_answer };
	struct gr_ipc_message message = { .type = GR_IPC_PRUNE, .number = 9, .actor = "kansa", .text = "保存期間満了" };
	struct timespec now;
	struct tm tm = { 0 };
	loop = gr_loop_create();
	struct gr_audit_pruner *pruner = gr_audit_pruner_create(loop, audit.log, &hooks);
	assert_non_null(pruner);
	clock_gettime(CLOCK_REALTIME, &now);
	strptime(YOUNG, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(message.subject, sizeof(message.subject), "%s", what);
	message.bytes_up = (uint64_t)(now.tv_sec - timegm(&tm));
	answered.type = 0;
	gr_audit_pruner_start(pruner, &message);
	if (!answered.type) {
		gr_audit_pruner_start(pruner, &message); /* a second one meanwhile */
		assert_int_equal(answered.reason, GR_REASON_NOT_PERMITTED);
		gr_loop_run(loop);
	}
	assert_int_equal(answered.type, GR_IPC_PRUNED);
	assert_int_equal(answered.number, 9);
	gr_audit_pruner_destroy(pruner);
	gr_loop_destroy(loop);
}

/* The records of the first segment that are older than YOUNG: one a second from the beginning. */
static uint64_t old_records(void)
{
	return 20 * 3600 - (14 * 3600 + 13 * 60 + 20);
}

static void what_is_old_goes_and_the_record_holds(void **state)
{
	(void)state;
	begin(GR_AUDIT_SEGMENT_LINES + 100);
	assert_holds(0);
	uint64_t old = old_records(), egress = old - old / 3;
	prune("egress");
	assert_int_equal(answered.reason, GR_REASON_NONE);
	assert_int_equal(recorded, 1);
	assert_int_equal(changed, 1);
	assert_holds(egress);
	/* Again: there is nothing more. */
	prune("egress");
	assert_non_null(strstr(answered.text, "0 records in 0 segments"));
	assert_int_equal(recorded, 1);
	/* The other sort. */
	prune("records");
	assert_int_equal(recorded, 2);
	assert_holds(old);
	/* Nothing young, and no other file. */
	size_t n;
	char *bytes = audit_log_read(&audit, "log/00000000.log", &n);
	char *last = bytes;
	for (char *at = bytes; at < bytes + n; at = (char *)memchr(at, '\n', n) + 1)
		if (memmem(at, 40, " pruned=", 8))
			last = at;
	assert_int_equal(strtoull(last + 4, NULL, 10), old);
	free(bytes);
	assert_int_equal(faccessat(audit.log, GR_AUDIT_PRUNE_FILE, F_OK, 0), -1);
	audit_log_end(&audit);
}

/* As if it had ended after each of the three steps. */
static void it_holds_wherever_it_is_interrupted(void **state)
{
	struct gr_audit_pruned pruned;
	struct gr_error err;
	(void)state;
	begin(GR_AUDIT_SEGMENT_LINES + 100);
	uint64_t egress = old_records() - old_records() / 3;
	assert_int_equal(gr_audit_prune_prepare(audit.log, 0, GR_AUDIT_PRUNE_EGRESS, YOUNG, &pruned, &err), 0);
	assert_int_equal(pruned.count, egress);
	assert_int_equal(pruned.first, 1);
	assert_holds(0);
	/* The next life takes the file away. */
	refuse_after = 0;
	prune("egress");
	assert_int_equal(answered.reason, GR_REASON_INTERNAL);
	assert_int_equal(faccessat(audit.log, GR_AUDIT_PRUNE_FILE, F_OK, 0), -1);
	assert_holds(0);
	/* The prune record is there, the segment not yet: the next one says it once more and does it. */
	struct gr_audit_event event = { .kind = GR_AUDIT_PRUNE, .actor = "kansa", .target = "egress" };
	snprintf(event.detail, sizeof(event.detail), "first=%u last=%u count=%u: 保存期間満了", (unsigned)pruned.first,
		 (unsigned)pruned.last, (unsigned)pruned.count);
	audit_log_add(&audit, &event);
	assert_holds(0);
	refuse_after = 1000;
	prune("egress");
	assert_holds(egress);
	/* Of a segment that is not full nothing goes; of one that was changed neither. */
	assert_int_equal(gr_audit_prune_prepare(audit.log, 1, GR_AUDIT_PRUNE_EGRESS, LATE, &pruned, &err), GR_ENOENT);
	assert_int_equal(gr_audit_prune_prepare(audit.log, 7, GR_AUDIT_PRUNE_EGRESS, YOUNG, &pruned, &err), GR_ENOENT);
	size_t n;
	char *bytes = audit_log_read(&audit, "log/00000000.log", &n);
	*strstr(bytes + n - 3000, "hanako") = 'x';
	audit_log_write(&audit, "log/00000000.log", bytes, n);
	assert_int_equal(gr_audit_prune_prepare(audit.log, 0, GR_AUDIT_PRUNE_RECORDS, YOUNG, &pruned, &err), GR_EPROTO);
	free(bytes);
	audit_log_end(&audit);
}

static void what_is_not_said_is_refused(void **state)
{
	(void)state;
	begin(10);
	prune("recordings");
	assert_int_equal(answered.reason, GR_REASON_INTERNAL);
	prune("");
	assert_int_equal(answered.reason, GR_REASON_INTERNAL);
	assert_int_equal(recorded, 0);
	audit_log_end(&audit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_old_goes_and_the_record_holds),
		cmocka_unit_test(it_holds_wherever_it_is_interrupted),
		cmocka_unit_test(what_is_not_said_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
