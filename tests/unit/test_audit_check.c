/* T39: whatever is done to a record, the check names the first record that is not as it was. */
#include "audit_log.h"
#include "broker/audit/tool/checker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS 9
#define SEGMENT "log/00000000.log"
#define HEADS "heads.log"

static struct audit_log audit;
static char *good;
static size_t good_size;
static size_t begins[RECORDS + 2]; /* of record i + 1; then the end */

static void begin(uint64_t records, uint64_t each)
{
	audit_log_begin(&audit);
	for (uint64_t i = 1; i <= records; i++) {
		struct gr_audit_event event = audit_log_request(i % 2 ? "hanako" : "taro", 0x1234 + i % 3,
								"CONNECT www.example.jp:443");
		event.down = 7 * i;
		audit_log_add(&audit, &event);
		if (i % each == 0)
			audit_log_head(&audit);
	}
	audit_log_flush(&audit);
	good = audit_log_read(&audit, SEGMENT, &good_size);
	size_t count = 0;
	for (size_t at = 0; at < good_size && count < RECORDS + 1; count++) {
		begins[count] = at;
		at = (size_t)((char *)memchr(good + at, '\n', good_size - at) - good) + 1;
	}
	begins[count] = good_size;
}

static void end(void)
{
	free(good);
	audit_log_end(&audit);
}

static int check_with(const char *known, struct gr_check_result *result)
{
	struct gr_error err = { .code = 0 };
	struct gr_check_options options = {
		.keys = &audit.key, .key_count = 1, .known = known, .known_name = "known heads"
	};
	int status = gr_check_log(audit.directory, &options, result, &err);
	if (status != 0 && status != GR_EPROTO)
		print_error("%s\n", err.text);
	return status;
}

/* It does not hold, and the first bad record is this one. */
static void assert_first_bad(uint64_t sequence, const char *what, size_t at)
{
	struct gr_check_result result;
	int status = check_with(NULL, &result);
	if (status != GR_EPROTO || result.sequence != sequence || result.until != sequence) {
		print_error("%s at %zu: status %d, record %u to %u instead of %u: %s:%u: %s\n", what, at, status,
			    (unsigned)result.sequence, (unsigned)result.until, (unsigned)sequence, result.file,
			    (unsigned)result.line, result.what);
		fail();
	}
}

static void assert_holds(uint64_t records)
{
	struct gr_check_result result;
	int status = check_with(NULL, &result);
	if (status != 0)
		print_error("%s:%u: %s\n", result.file, (unsigned)result.line, result.what);
	assert_int_equal(status, 0);
	assert_int_equal(result.count, records);
}

static uint64_t record_at(size_t offset)
{
	uint64_t i = 0;
	while (begins[i + 1] <= offset)
		i++;
	return i + 1;
}

static void every_flipped_byte_is_named(uint64_t each)
{
	begin(RECORDS, each);
	assert_holds(RECORDS);
	for (size_t i = 0; i < good_size; i++) {
		static const char flips[] = { 1, 4, 0x20, (char)0x80 };
		char flip = flips[(i + each) % sizeof(flips)];
		good[i] ^= flip;
		audit_log_write(&audit, SEGMENT, good, good_size);
		assert_first_bad(record_at(i), "flip", i);
		good[i] ^= flip;
	}
	end();
}

static void a_flipped_byte_is_named(void **state)
{
	(void)state;
	every_flipped_byte_is_named(1);
	every_flipped_byte_is_named(3);
	every_flipped_byte_is_named(RECORDS);
}

/* The lines in this order, each by its number from 1; 0 ends the list. */
static void write_lines(const unsigned *order)
{
	char *bytes = malloc(2 * good_size + GR_AUDIT_LINE_MAX);
	size_t used = 0;
	for (; *order; order++) {
		size_t n = begins[*order] - begins[*order - 1];
		memcpy(bytes + used, good + begins[*order - 1], n);
		used += n;
	}
	audit_log_write(&audit, SEGMENT, bytes, used);
	free(bytes);
}

static void a_record_removed_repeated_or_moved_is_named(void **state)
{
	(void)state;
	begin(RECORDS, 4);
	audit_log_head(&audit);
	audit_log_flush(&audit);
	for (unsigned at = 1; at <= RECORDS; at++) {
		unsigned order[2 * RECORDS] = { 0 }, n = 0;
		for (unsigned i = 1; i <= RECORDS; i++)
			if (i != at)
				order[n++] = i;
		write_lines(order);
		assert_first_bad(at, "removed", at);
		for (unsigned copy = 1; copy <= RECORDS; copy++) {
			n = 0;
			for (unsigned i = 1; i <= RECORDS; i++) {
				order[n++] = i;
				if (i == at)
					order[n++] = copy;
			}
			order[n] = 0;
			write_lines(order);
			assert_first_bad(copy == at + 1 ? at + 2 : at + 1, "repeated", 100 * at + copy);
		}
		for (unsigned other = at + 1; other <= RECORDS; other++) {
			for (unsigned i = 1; i <= RECORDS; i++)
				order[i - 1] = i == at ? other : i == other ? at : i;
			order[RECORDS] = 0;
			write_lines(order);
			assert_first_bad(at, "swapped", 100 * at + other);
		}
	}
	end();
}

/* A line that fits what stands before it, put in the place of record at, which moves behind it. */
static void a_forged_record_is_named(void **state)
{
	(void)state;
	begin(RECORDS, 4);
	audit_log_head(&audit);
	audit_log_flush(&audit);
	for (unsigned at = 1; at < RECORDS; at++) {
		struct gr_audit_event event = audit_log_request("mallory", 1, "GET evil.example:80");
		struct gr_audit_stamp stamp = { .sequence = at, .time = audit.now };
		struct gr_audit_line line;
		uint8_t leaf[GR_TREE_HASH] = { 0 };
		char forged[GR_AUDIT_LINE_MAX], *bytes = malloc(good_size + GR_AUDIT_LINE_MAX);
		const char *reason;
		size_t n, before = begins[at - 1];
		if (at > 1) {
			size_t length = begins[at - 1] - begins[at - 2] - 1;
			assert_int_equal(gr_audit_line_parse(good + begins[at - 2], length, &line, &reason), 0);
			assert_int_equal(gr_audit_line_leaf(good + begins[at - 2], length, &line, leaf), 0);
		}
		assert_int_equal(gr_audit_line_format(&stamp, &event, leaf, forged, &n), 0);
		memcpy(bytes, good, before);
		memcpy(bytes + before, forged, n);
		memcpy(bytes + before + n, good + before, good_size - before);
		audit_log_write(&audit, SEGMENT, bytes, good_size + n);
		assert_first_bad(at, "forged", at);
		free(bytes);
	}
	end();
}

static void a_cut_record_is_named(void **state)
{
	(void)state;
	begin(RECORDS, 4);
	audit_log_head(&audit);
	audit_log_flush(&audit);
	for (size_t n = 0; n < good_size; n++) {
		audit_log_write(&audit, SEGMENT, good, n);
		assert_first_bad(record_at(n), "cut", n);
	}
	unlinkat(audit.log, "00000000.log", 0);
	assert_first_bad(1, "removed whole", 0);
	end();
}

/* A flipped byte in the heads is their fault and not that of a record; head of which line is bad is told. */
static void a_changed_head_is_named(void **state)
{
	size_t n, line = 1;
	struct gr_check_result result;
	(void)state;
	begin(RECORDS, 3);
	char *heads = audit_log_read(&audit, HEADS, &n);
	for (size_t i = 0; i < n; i++) {
		static const char flips[] = { 1, 0x10, (char)0x80 };
		heads[i] ^= flips[i % 3];
		audit_log_write(&audit, HEADS, heads, n);
		assert_int_equal(check_with(NULL, &result), GR_EPROTO);
		assert_string_equal(result.file, HEADS);
		assert_int_equal(result.line, line);
		assert_int_equal(result.sequence, 0);
		heads[i] ^= flips[i % 3];
		line += heads[i] == '\n';
	}
	/* Cut inside a line. */
	for (size_t cut = 1; cut < n; cut++) {
		if (heads[cut - 1] == '\n')
			continue;
		audit_log_write(&audit, HEADS, heads, cut);
		assert_int_equal(check_with(NULL, &result), GR_EPROTO);
		assert_string_equal(result.file, HEADS);
	}
	/* Moved and repeated. */
	size_t first = strcspn(heads, "\n") + 1, second = strcspn(heads + first, "\n") + 1;
	char *moved = malloc(2 * n + 1);
	memcpy(moved, heads + first, second);
	memcpy(moved + second, heads, first);
	memcpy(moved + first + second, heads + first + second, n - first - second);
	audit_log_write(&audit, HEADS, moved, n);
	assert_int_equal(check_with(NULL, &result), GR_EPROTO);
	assert_int_equal(result.line, 2);
	memcpy(moved, heads, first);
	memcpy(moved + first, heads, n);
	audit_log_write(&audit, HEADS, moved, n + first);
	assert_int_equal(check_with(NULL, &result), GR_EPROTO);
	assert_int_equal(result.line, 2);
	/* One of them, the last two, or all removed: the others bind what they bind. */
	audit_log_write(&audit, HEADS, heads + first, n - first);
	assert_holds(RECORDS);
	audit_log_write(&audit, HEADS, heads, first);
	assert_int_equal(check_with(NULL, &result), 0);
	assert_int_equal(result.bound, 3);
	free(moved);
	free(heads);
	end();
}

/* All records from one on made anew, chain and all: only heads show it, and between which two. */
static void a_record_made_anew_is_named_by_the_next_head(void **state)
{
	struct gr_check_result result;
	size_t n, heads_size;
	(void)state;
	for (uint64_t from = 1; from <= RECORDS; from++) {
		begin(RECORDS, 3);
		char *heads = audit_log_read(&audit, HEADS, &heads_size);
		struct audit_log genuine = audit;
		char *records = good;
		audit_log_begin(&audit);
		for (uint64_t i = 1; i <= RECORDS; i++) {
			struct gr_audit_event event = audit_log_request(i % 2 ? "hanako" : "taro", 0x1234 + i % 3,
									"CONNECT www.example.jp:443");
			event.down = i < from ? 7 * i : 7 * i + 1;
			audit_log_add(&audit, &event);
		}
		audit_log_flush(&audit);
		char *anew = audit_log_read(&audit, SEGMENT, &n);
		audit_log_end(&audit);
		audit = genuine;
		good = records;
		audit_log_write(&audit, SEGMENT, anew, n);
		assert_int_equal(check_with(NULL, &result), GR_EPROTO);
		assert_string_equal(result.file, HEADS);
		assert_int_equal(result.line, (from - 1) / 3 + 1);
		if (result.until == RECORDS)
			assert_non_null(strstr(result.what, "from record 7 on"));
		else
			assert_int_equal(result.sequence, (from - 1) / 3 * 3 + 1);
		assert_int_equal(result.until, (from - 1) / 3 * 3 + 3);
		free(heads);
		free(anew);
		end();
	}
}

static void an_older_copy_does_not_fit_a_known_head(void **state)
{
	struct gr_check_result result;
	size_t n;
	(void)state;
	begin(RECORDS, 3);
	char *heads = audit_log_read(&audit, HEADS, &n);
	char *last = heads;
	for (char *at; (at = strchr(last, '\n')) && at[1];)
		last = at + 1;
	char known[2 * GR_HEAD_LINE_MAX];
	snprintf(known, sizeof(known), "a line of a collector\n<110>1 2026 broker garasu - head [x] %.*s\" more\n",
		 (int)strcspn(last, "\n"), last);
	assert_int_equal(check_with(known, &result), 0);
	assert_int_equal(result.known, 1);
	/* Rolled back to record 6, heads and all. */
	audit_log_write(&audit, SEGMENT, good, begins[6]);
	audit_log_write(&audit, HEADS, heads, (size_t)(last - heads));
	assert_holds(6);
	assert_int_equal(check_with(known, &result), GR_EPROTO);
	assert_string_equal(result.file, "known heads");
	assert_int_equal(result.line, 2);
	assert_int_equal(result.sequence, 7);
	/* A known head that nobody signed is none. */
	*strstr(known, "root=") ^= 1;
	assert_int_equal(check_with(known, &result), GR_EPROTO);
	free(heads);
	end();
}

/* Records and heads made anew by who has the key: a head that was kept elsewhere does not fit. */
static void a_record_made_anew_with_its_heads_does_not_fit_a_known_head(void **state)
{
	struct gr_check_result result;
	size_t n;
	(void)state;
	begin(RECORDS, 3);
	char *known = audit_log_read(&audit, HEADS, &n);
	end();
	begin(RECORDS, 3);
	struct gr_check_options options = { .known = known, .known_name = "known heads" };
	struct gr_error err;
	/* The same events, so that what differs must be made to. */
	assert_int_equal(gr_check_log(audit.directory, &options, &result, &err), 0);
	assert_int_equal(result.known, 3);
	end();
	audit_log_begin(&audit);
	for (uint64_t i = 1; i <= RECORDS; i++) {
		struct gr_audit_event event = audit_log_request(i % 2 ? "hanako" : "taro", 0x1234 + i % 3,
								"CONNECT www.example.jp:443");
		event.down = i == 5 ? 1 : 7 * i;
		audit_log_add(&audit, &event);
		if (i % 3 == 0)
			audit_log_head(&audit);
	}
	audit_log_flush(&audit);
	assert_int_equal(gr_check_log(audit.directory, &options, &result, &err), GR_EPROTO);
	assert_string_equal(result.file, "known heads");
	assert_int_equal(result.line, 2);
	assert_int_equal(result.sequence, 4);
	assert_int_equal(result.until, 6);
	/* Behind one of the same size that fits it is one of two that contradict each other. */
	char *fitting = audit_log_read(&audit, HEADS, &n), *both;
	assert_true(asprintf(&both, "%s%s", fitting, known) > 0);
	options.known = both;
	assert_int_equal(gr_check_log(audit.directory, &options, &result, &err), GR_EPROTO);
	assert_int_equal(result.line, 3 + 2);
	assert_int_equal(result.sequence, 6);
	assert_int_equal(result.until, 6);
	assert_non_null(strstr(result.what, "another known tree head of 6 records fits"));
	free(both);
	free(fitting);
	free(known);
	audit_log_end(&audit);
}

static void a_head_of_another_key_is_refused(void **state)
{
	struct gr_check_result result;
	(void)state;
	begin(RECORDS, 3);
	EVP_PKEY *own = audit.key, *other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	audit.key = other;
	assert_int_equal(check_with(NULL, &result), GR_EPROTO);
	assert_non_null(strstr(result.what, "none of those given"));
	audit.key = own;
	EVP_PKEY_free(other);
	end();
}

/* ---- what was pruned ---- */

/* Record at becomes what pruning leaves of it. */
static char *prune_line(unsigned at, size_t *n_out)
{
	char line[GR_AUDIT_LINE_MAX];
	struct gr_audit_line parsed;
	uint8_t leaf[GR_TREE_HASH];
	const char *reason;
	size_t length = begins[at] - begins[at - 1] - 1;
	assert_int_equal(gr_audit_line_parse(good + begins[at - 1], length, &parsed, &reason), 0);
	assert_int_equal(gr_audit_line_leaf(good + begins[at - 1], length, &parsed, leaf), 0);
	size_t n = gr_audit_line_prune(&parsed, leaf, line);
	char *bytes = malloc(good_size + n);
	memcpy(bytes, good, begins[at - 1]);
	memcpy(bytes + begins[at - 1], line, n);
	memcpy(bytes + begins[at - 1] + n, good + begins[at], good_size - begins[at]);
	*n_out = good_size - (begins[at] - begins[at - 1]) + n;
	return bytes;
}

static void a_pruned_record_needs_its_prune_record(void **state)
{
	static const struct {
		const char *target, *detail;
		int covers;
	} cases[] = {
		{ "egress", "first=2 last=4 count=1: 保存期間満了", 1 },
		{ "egress", "first=4 last=4 count=1", 1 },
		{ "records", "first=2 last=4 count=1: of another kind", 0 },
		{ "egress", "first=5 last=7 count=1: another one", 0 },
		{ "egress", "first=1 last=3 count=1: another one", 0 },
		{ "egress", "not a list", 0 },
	};
	size_t n;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(RECORDS, 4);
		struct gr_audit_event event = { .kind = GR_AUDIT_PRUNE };
		snprintf(event.actor, sizeof(event.actor), "kansa");
		snprintf(event.target, sizeof(event.target), "%s", cases[i].target);
		snprintf(event.detail, sizeof(event.detail), "%s", cases[i].detail);
		audit_log_add(&audit, &event);
		audit_log_head(&audit);
		audit_log_flush(&audit);
		free(good);
		good = audit_log_read(&audit, SEGMENT, &good_size);
		begins[RECORDS + 1] = good_size;
		assert_holds(RECORDS + 1);
		char *bytes = prune_line(4, &n);
		audit_log_write(&audit, SEGMENT, bytes, n);
		if (cases[i].covers)
			assert_holds(RECORDS + 1);
		else
			assert_first_bad(4, "pruned", i);
		/* Its leaf hash cannot be another one, nor may a second line go by the same record. */
		char *leaf = strstr(bytes, "leaf=") + 5;
		*leaf = *leaf == '0' ? '1' : '0';
		audit_log_write(&audit, SEGMENT, bytes, n);
		assert_first_bad(4, "leaf of a pruned one", i);
		free(bytes);
		free(good);
		good = audit_log_read(&audit, SEGMENT, &good_size);
		end();
	}
}

/* ---- more than one segment ---- */

static void segments_follow_each_other(void **state)
{
	struct gr_check_result result;
	(void)state;
	audit_log_begin(&audit);
	struct gr_audit_event event = audit_log_request("hanako", 5, "CONNECT a.jp:443");
	for (unsigned i = 1; i <= GR_AUDIT_SEGMENT_LINES + 3; i++) {
		audit_log_add(&audit, &event);
		if (i % 1000 == 0)
			audit_log_head(&audit);
	}
	audit_log_head(&audit);
	audit_log_flush(&audit);
	good = audit_log_read(&audit, "log/00000001.log", &good_size);
	assert_int_equal(check_with(NULL, &result), 0);
	assert_int_equal(result.segments, 2);
	assert_int_equal(result.sums, 1);
	assert_int_equal(result.heads, 66);

	/* The last record of the first one changed: the second one's first says so. */
	size_t n;
	char *first = audit_log_read(&audit, SEGMENT, &n);
	char *digit = strstr(first + n - 200, "prev=") - 2;
	*digit ^= 1;
	audit_log_write(&audit, SEGMENT, first, n);
	assert_first_bad(GR_AUDIT_SEGMENT_LINES, "last of a segment", 0);
	*digit ^= 1;
	/* The second one's first changed, cut off, and gone. */
	audit_log_write(&audit, SEGMENT, first, n);
	digit = strstr(good, "hanako");
	*digit = 'x';
	audit_log_write(&audit, "log/00000001.log", good, good_size);
	assert_first_bad(GR_AUDIT_SEGMENT_LINES + 1, "first of a segment", 0);
	*digit = 'h';
	audit_log_write(&audit, "log/00000001.log", good, good_size);
	audit_log_write(&audit, SEGMENT, first, n - (size_t)(first + n - 1 - (char *)memrchr(first, '\n', n - 1)));
	assert_first_bad(GR_AUDIT_SEGMENT_LINES, "cut segment", 0);
	unlinkat(audit.log, "00000000.log", 0);
	assert_first_bad(1, "no first segment", 0);
	audit_log_write(&audit, SEGMENT, first, n);
	assert_int_equal(check_with(NULL, &result), 0);

	/* The sum. */
	free(first);
	first = audit_log_read(&audit, "log/00000000.sum", &n);
	char *root = strstr(first, "tree=") + 7;
	*root = *root == 'a' ? 'b' : 'a';
	audit_log_write(&audit, "log/00000000.sum", first, n);
	assert_int_equal(check_with(NULL, &result), GR_EPROTO);
	assert_string_equal(result.file, "log/00000000.sum");
	free(first);
	unlinkat(audit.log, "00000000.sum", 0);
	assert_int_equal(check_with(NULL, &result), 0);
	assert_int_equal(result.sums_missing, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flipped_byte_is_named),
		cmocka_unit_test(a_record_removed_repeated_or_moved_is_named),
		cmocka_unit_test(a_forged_record_is_named),
		cmocka_unit_test(a_cut_record_is_named),
		cmocka_unit_test(a_changed_head_is_named),
		cmocka_unit_test(a_record_made_anew_is_named_by_the_next_head),
		cmocka_unit_test(an_older_copy_does_not_fit_a_known_head),
		cmocka_unit_test(a_record_made_anew_with_its_heads_does_not_fit_a_known_head),
		cmocka_unit_test(a_head_of_another_key_is_refused),
		cmocka_unit_test(a_pruned_record_needs_its_prune_record),
		cmocka_unit_test(segments_follow_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
