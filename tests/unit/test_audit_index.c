/* The index finds what stands in the record, and nothing else, however it was filled. */
#include "audit_log.h"
#include "broker/audit/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS 5000

static struct audit_log audit;
static char path[128];

static struct gr_audit_event event_of(unsigned i)
{
	static const char *const persons[] = { "hanako", "taro", "jiro" };
	static const char *const targets[] = { "CONNECT www.Example.jp:443", "GET [2001:db8::1]:80", "GET b.jp:80" };
	struct gr_audit_event event = audit_log_request(persons[i % 3], 0xffffffff00000000 + i / 100,
							targets[i % 7 % 3]);
	if (i % 500 == 0)
		event.kind = GR_AUDIT_LOGIN_FAILED;
	else if (i % 2)
		event.kind = GR_AUDIT_EGRESS_END;
	return event;
}

static void begin(unsigned records)
{
	audit_log_begin(&audit);
	for (unsigned i = 1; i <= records; i++) {
		struct gr_audit_event event = event_of(i);
		audit_log_add(&audit, &event);
	}
	audit_log_flush(&audit);
	snprintf(path, sizeof(path), "%s/index.db", audit.directory);
}

static struct gr_audit_index *open_index(int build)
{
	struct gr_audit_index *index;
	struct gr_error err;
	int status = gr_audit_index_open(&index, path, build, &err);
	if (status != 0)
		print_error("%s\n", err.text);
	assert_int_equal(status, 0);
	return index;
}

static void update(struct gr_audit_index *index, uint64_t slice)
{
	struct gr_error err;
	int more = 1;
	while (more) {
		int status = gr_audit_index_update(index, audit.log, slice, &more, &err);
		if (status != 0)
			print_error("%s\n", err.text);
		assert_int_equal(status, 0);
	}
}

/* What the index finds is what reading everything finds. */
static void assert_finds(struct gr_audit_index *index, const struct gr_audit_criteria *criteria)
{
	struct gr_audit_search *search;
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	struct gr_error err;
	uint64_t found = 0, place = 0, count = 0, segments = (audit.count - 1) / GR_AUDIT_SEGMENT_LINES + 1;
	assert_int_equal(gr_audit_search_open(&search, index, criteria, &err), 0);
	int more = gr_audit_search_next(search, 0, &found, &place);
	for (uint64_t number = 0; number < segments; number++) {
		assert_int_equal(gr_audit_segment_open(&segment, audit.log, -1, number, NULL, &err), 0);
		while (gr_audit_segment_next(segment, &record, &err) == 1) {
			while (more == 1 && found < record.line.sequence)
				more = gr_audit_search_next(search, found, &found, &place);
			if (!gr_audit_matches(criteria, &record.line))
				continue;
			assert_int_equal(more, 1);
			assert_int_equal(found, record.line.sequence);
			assert_int_equal(place, record.offset);
			count++;
		}
		gr_audit_segment_close(segment);
	}
	gr_audit_search_close(search);
	assert_true(count > 0);
}

static void assert_finds_all(struct gr_audit_index *index)
{
	static const struct gr_audit_criteria cases[] = {
		{ .person = NULL },
		{ .person = "hanako" },
		{ .host = "www.example.jp" },
		{ .host = "2001:db8::1" },
		{ .kind = GR_AUDIT_LOGIN_FAILED },
		{ .kind = GR_AUDIT_EGRESS_REQUEST, .person = "taro" },
		{ .session = 0xffffffff00000007 },
		{ .session = 0xffffffff00000007, .person = "jiro", .host = "b.jp", .kind = GR_AUDIT_EGRESS_END },
		{ .from = "2026-09-21T14:30:00.000000Z", .to = "2026-09-21T14:30:10.000000Z" },
		{ .from = "2026-09-21T15:00:00.000000Z", .person = "hanako" },
		{ .to = "2026-09-21T14:14:00.000000Z" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_finds(index, &cases[i]);
}

static void finds_what_stands_in_the_record(void **state)
{
	(void)state;
	begin(RECORDS);
	struct gr_audit_index *index = open_index(0);
	update(index, 777);
	assert_int_equal(gr_audit_index_last(index), RECORDS);
	assert_finds_all(index);
	/* It goes on where it ended. */
	for (unsigned i = RECORDS + 1; i < RECORDS + 50; i++) {
		struct gr_audit_event event = event_of(i);
		audit_log_add(&audit, &event);
	}
	audit_log_flush(&audit);
	gr_audit_index_close(index);
	index = open_index(0);
	assert_int_equal(gr_audit_index_last(index), RECORDS);
	update(index, 10);
	assert_finds_all(index);
	gr_audit_index_close(index);
	audit_log_end(&audit);
}

static void built_at_once_it_is_the_same(void **state)
{
	(void)state;
	begin(RECORDS);
	struct gr_audit_index *index = open_index(1);
	struct gr_error err;
	update(index, 0);
	assert_int_equal(gr_audit_index_finish(index, &err), 0);
	assert_finds_all(index);
	gr_audit_index_close(index);
	index = open_index(0);
	assert_finds_all(index);
	gr_audit_index_close(index);
	audit_log_end(&audit);
}

/* The wall clock may step: a time is found wherever it stands. */
static void a_clock_that_steps_back_hides_nothing(void **state)
{
	struct gr_audit_criteria criteria = { .from = "2026-09-21T14:20:00.000000Z",
					      .to = "2026-09-21T14:21:00.000000Z" };
	(void)state;
	begin(RECORDS);
	audit.now.tv_sec = 1790000000;
	for (unsigned i = 1; i <= 1000; i++) {
		struct gr_audit_event event = event_of(i);
		audit_log_add(&audit, &event);
	}
	audit_log_flush(&audit);
	struct gr_audit_index *index = open_index(0);
	update(index, 0);
	assert_finds(index, &criteria);
	gr_audit_index_close(index);
	audit_log_end(&audit);
}

/* A segment that became shorter is taken anew. */
static void a_pruned_segment_is_taken_anew(void **state)
{
	struct gr_error err;
	size_t n, used = 0;
	(void)state;
	begin(GR_AUDIT_SEGMENT_LINES + 100);
	struct gr_audit_index *index = open_index(0);
	update(index, 0);
	char *bytes = audit_log_read(&audit, "log/00000000.log", &n), *out = malloc(n);
	for (char *at = bytes; at < bytes + n;) {
		struct gr_audit_line line;
		uint8_t leaf[GR_TREE_HASH];
		const char *reason;
		size_t length = (size_t)((char *)memchr(at, '\n', n) - at);
		assert_int_equal(gr_audit_line_parse(at, length, &line, &reason), 0);
		assert_int_equal(gr_audit_line_leaf(at, length, &line, leaf), 0);
		if (line.sequence % 10 == 0) {
			char pruned[GR_AUDIT_LINE_MAX];
			size_t left = gr_audit_line_prune(&line, leaf, pruned);
			memcpy(out + used, pruned, left);
			used += left;
		} else {
			memcpy(out + used, at, length + 1);
			used += length + 1;
		}
		at += length + 1;
	}
	audit_log_write(&audit, "log/00000000.log", out, used);
	assert_int_equal(gr_audit_index_check(index, audit.log, &err), 0);
	assert_int_equal(gr_audit_index_last(index), 0);
	update(index, 30000);
	assert_int_equal(gr_audit_index_last(index), GR_AUDIT_SEGMENT_LINES + 100);
	assert_finds(index, &(struct gr_audit_criteria){ .person = "hanako" });
	assert_finds(index, &(struct gr_audit_criteria){ .host = "b.jp" });
	gr_audit_index_close(index);
	free(bytes);
	free(out);
	audit_log_end(&audit);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct gr_audit_index *index, *second;
	struct gr_error err;
	int more;
	(void)state;
	begin(10);
	index = open_index(0);
	update(index, 0);
	/* Two at once. */
	assert_int_equal(gr_audit_index_open(&second, path, 0, &err), GR_EEXIST);
	gr_audit_index_close(index);
	/* Another record in its place. */
	size_t n;
	char *bytes = audit_log_read(&audit, "index.db", &n);
	audit_log_end(&audit);
	audit_log_begin(&audit);
	snprintf(path, sizeof(path), "%s/index.db", audit.directory);
	struct gr_audit_event event = audit_log_request("mallory", 1, "GET evil.example:80");
	audit_log_add(&audit, &event);
	audit_log_flush(&audit);
	audit_log_write(&audit, "index.db", bytes, n);
	index = open_index(0);
	assert_int_equal(gr_audit_index_check(index, audit.log, &err), 0);
	assert_int_equal(gr_audit_index_update(index, audit.log, 0, &more, &err), GR_EPROTO);
	assert_non_null(strstr(err.text, "another record"));
	gr_audit_index_close(index);
	/* Bytes. */
	memset(bytes, 'x', n);
	audit_log_write(&audit, "index.db", bytes, n);
	assert_int_equal(gr_audit_index_open(&index, path, 0, &err), GR_EPROTO);
	free(bytes);
	audit_log_end(&audit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_stands_in_the_record),
		cmocka_unit_test(built_at_once_it_is_the_same),
		cmocka_unit_test(a_clock_that_steps_back_hides_nothing),
		cmocka_unit_test(a_pruned_segment_is_taken_anew),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
