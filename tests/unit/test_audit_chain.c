/* The audit record's lines and their chain. */
#include "broker/audit/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define BOOT "00112233445566778899aabbccddeeff"

/*
 * Computed by hand, with
 *   printf '\0seq=1 … prev=000…' | sha256sum
 * and for the second line the same with the first line's hash as prev.
 */
#define LEAF1 "2721bd1a7585d431cfc9e6772641e5081052c3ec9c46338ad44e12c131b9fdbf"
#define LEAF2 "72848806ce7027d8c7438b95046230929d23723501720f0fbb4d04c019d3502e"
#define LINE1                                                                                                          \
	"seq=1 time=2026-11-22T03:04:05.678901Z mono=1234567890123 boot=" BOOT                                         \
	" kind=session.start session=0123456789abcdef container=2 person=yamada prev=" ZEROS "\n"
#define LINE2                                                                                                          \
	"seq=2 time=2026-11-22T03:04:06.000000Z mono=1234567890124 boot=" BOOT                                         \
	" kind=egress.refused session=0123456789abcdef container=2 person=yamada group=広報課"                      \
	" target=GET%20127.0.0.1:80 detail=%0Aa%25b%FF%C2%9B%E7%A1 down=7 prev=" LEAF1 "\n"

static const struct gr_audit_event first = {
	.kind = GR_AUDIT_SESSION_START, .session = 0x0123456789abcdef, .container = 2, .person = "yamada", .token = 99
};
static const struct gr_audit_event second = { .kind = GR_AUDIT_EGRESS_REFUSED,
					      .session = 0x0123456789abcdef,
					      .container = 2,
					      .person = "yamada",
					      .group = "広報課",
					      .target = "GET 127.0.0.1:80",
					      .detail = "\na%b\xff\xc2\x9b\xe7\xa1",
					      .down = 7 };

static void assert_leaf(const uint8_t leaf[GR_TREE_HASH], const char *expected)
{
	char text[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(leaf, GR_TREE_HASH, text);
	assert_string_equal(text, expected);
}

static void two_lines_match_the_hand_computed_vectors(void **state)
{
	struct gr_audit_stamp stamp = {
		.sequence = 1, .time = { 1795316645, 678901234 }, .mono = 1234567890123, .boot = BOOT
	};
	uint8_t chain[GR_TREE_HASH] = { 0 };
	char line[GR_AUDIT_LINE_MAX];
	size_t length;
	(void)state;
	assert_int_equal(gr_audit_line_format(&stamp, &first, chain, line, &length), 0);
	assert_int_equal(length, strlen(LINE1));
	assert_memory_equal(line, LINE1, length);
	assert_leaf(chain, LEAF1);
	stamp = (struct gr_audit_stamp){
		.sequence = 2, .time = { 1795316646, 0 }, .mono = 1234567890124, .boot = BOOT
	};
	assert_int_equal(gr_audit_line_format(&stamp, &second, chain, line, &length), 0);
	assert_int_equal(length, strlen(LINE2));
	assert_memory_equal(line, LINE2, length);
	assert_leaf(chain, LEAF2);
}

static void every_kind_is_formatted_and_read_back(void **state)
{
	uint8_t chain[GR_TREE_HASH] = { 0 };
	char line[GR_AUDIT_LINE_MAX];
	(void)state;
	for (uint32_t kind = 1; kind < GR_AUDIT_KINDS; kind++) {
		struct gr_audit_stamp stamp = { .sequence = kind, .time = { 1, 0 }, .mono = 1, .boot = BOOT };
		struct gr_audit_event event = { .kind = kind,
						.session = 1,
						.container = 2,
						.connection = 3,
						.reason = 4,
						.down = UINT64_MAX,
						.up = 6,
						.person = "p",
						.group = "g",
						.actor = "a",
						.peer = "[::1]:5",
						.target = "t",
						.detail = "d" };
		struct gr_audit_line parsed;
		const char *reason;
		size_t length;
		assert_int_equal(gr_audit_line_format(&stamp, &event, chain, line, &length), 0);
		assert_int_equal(line[length - 1], '\n');
		assert_int_equal(gr_audit_line_parse(line, length - 1, &parsed, &reason), 0);
		assert_int_equal(parsed.sequence, kind);
		assert_memory_equal(parsed.fields[GR_AUDIT_FIELD_KIND].start, gr_audit_kind_name(kind),
				    parsed.fields[GR_AUDIT_FIELD_KIND].length);
		assert_memory_equal(parsed.fields[GR_AUDIT_FIELD_REASON].start, "audit-unavailable ", 18);
		assert_memory_equal(parsed.fields[GR_AUDIT_FIELD_DOWN].start, "18446744073709551615 ", 21);
	}
	struct gr_audit_stamp stamp = { .sequence = 1 };
	struct gr_audit_event unknown = { .kind = GR_AUDIT_KINDS };
	size_t length;
	assert_null(gr_audit_kind_name(0));
	assert_null(gr_audit_kind_name(GR_AUDIT_KINDS));
	assert_int_equal(gr_audit_line_format(&stamp, &unknown, chain, line, &length), GR_EINVAL);
}

static void hostile_bytes_are_escaped_and_come_back(void **state)
{
	static const struct {
		const char *text, *escaped;
	} cases[] = {
		{ "a b\n", "a%20b%0A" },
		{ "100%", "100%25" },
		{ "k=v", "k%3Dv" },
		{ "\x1b[2J", "%1B%5B2J" },
		{ "\xe7\xa1\x9d\xe5\xad\x90", "\xe7\xa1\x9d\xe5\xad\x90" }, /* 硝子 */
		{ "\xff\xfe", "%FF%FE" },
		{ "\xc0\xaf", "%C0%AF" }, /* overlong */
		{ "\xed\xa0\x80", "%ED%A0%80" }, /* surrogate */
		{ "\xf4\x90\x80\x80", "%F4%90%80%80" }, /* beyond U+10FFFF */
		{ "\xc2\x85\xc2\xa0", "%C2%85\xc2\xa0" }, /* a C1 control; a no-break space */
		{ "\xe7\xa1", "%E7%A1" }, /* cut short */
		{ "A-Za.z_~:/@,+-9", "A-Za.z_~:/@,+-9" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[128], back[128];
		size_t length = gr_audit_escape(out, sizeof(out), cases[i].text, strlen(cases[i].text)), n;
		assert_string_equal(out, cases[i].escaped);
		assert_int_equal(gr_audit_unescape(back, &n, out, length), 0);
		assert_string_equal(back, cases[i].text);
	}
	char small[6];
	assert_int_equal(gr_audit_escape(small, sizeof(small), "ab\n\n", 4), 5);
	assert_string_equal(small, "ab%0A");
	assert_int_equal(gr_audit_escape(small, sizeof(small), "abc\n", 4), 3);
	size_t n;
	char back[16];
	assert_int_equal(gr_audit_unescape(back, &n, "%4", 2), GR_EPROTO);
	assert_int_equal(gr_audit_unescape(back, &n, "%0a", 3), GR_EPROTO);
}

static void the_longest_hostile_event_fits_a_line(void **state)
{
	struct gr_audit_stamp stamp = {
		.sequence = UINT64_MAX, .time = { 253402300799, 999999999 }, .mono = UINT64_MAX, .boot = BOOT
	};
	struct gr_audit_event event = { .kind = GR_AUDIT_CONTAINER_START,
					.reason = 4,
					.session = UINT64_MAX,
					.container = UINT32_MAX,
					.connection = UINT32_MAX,
					.down = UINT64_MAX,
					.up = UINT64_MAX };
	uint8_t chain[GR_TREE_HASH] = { 0 };
	char line[GR_AUDIT_LINE_MAX];
	struct gr_audit_line parsed;
	const char *reason;
	size_t length;
	(void)state;
	memset(event.person, '\n', sizeof(event.person) - 1);
	memset(event.group, '\n', sizeof(event.group) - 1);
	memset(event.actor, '\n', sizeof(event.actor) - 1);
	memset(event.peer, '\n', sizeof(event.peer) - 1);
	memset(event.target, '\n', sizeof(event.target) - 1);
	memset(event.detail, '\n', sizeof(event.detail) - 1);
	assert_int_equal(gr_audit_line_format(&stamp, &event, chain, line, &length), 0);
	assert_int_equal(gr_audit_line_parse(line, length - 1, &parsed, &reason), 0);
	stamp.time.tv_sec = 253402300800; /* the year 10000 */
	assert_int_equal(gr_audit_line_format(&stamp, &event, chain, line, &length), GR_EINVAL);
}

static void malformed_lines_are_refused(void **state)
{
	/* In parentheses: clang takes a literal of several parts in a list for a forgotten comma. */
	static const char *const lines[] = {
		"",
		"seq=1",
		"seq",
		"=1",
		("time=2026-11-22T03:04:05.678901Z seq=1 kind=a prev=" ZEROS),
		("seq=1 seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS),
		("seq=01 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS),
		("seq=18446744073709551616 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05Z kind=a prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind= prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a what=b prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a detail=%zz prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a detail=\xff prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a session=1 prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z  kind=a prev=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " "),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=00"),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=" ZEROS),
		"seq=1 time=2026-11-22T03:04:05.678901Z kind=a",
		"seq=1 pruned=a",
		("seq=1 leaf=" ZEROS),
		("pruned=a leaf=" ZEROS),
		("seq=1 pruned=a leaf=" ZEROS " "),
		("seq=1 pruned=a leaf=A" ZEROS),
		("seq=1 kind=a pruned=a leaf=" ZEROS),
		("seq=1 detail=a pruned=a leaf=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " leaf=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " pruned=a leaf=" ZEROS),
	};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct gr_audit_line parsed;
		const char *reason = NULL;
		assert_int_equal(gr_audit_line_parse(lines[i], strlen(lines[i]), &parsed, &reason), GR_EPROTO);
		assert_non_null(reason);
	}
}

static void a_pruned_line_keeps_its_leaf(void **state)
{
	struct gr_audit_line line, pruned;
	uint8_t leaf[GR_TREE_HASH], again[GR_TREE_HASH];
	char text[GR_AUDIT_LINE_MAX];
	const char *reason;
	(void)state;
	assert_int_equal(gr_audit_line_parse(LINE2, strlen(LINE2) - 1, &line, &reason), 0);
	assert_int_equal(line.pruned, 0);
	assert_int_equal(gr_audit_line_leaf(LINE2, strlen(LINE2) - 1, &line, leaf), 0);
	size_t n = gr_audit_line_prune(&line, leaf, text);
	assert_int_equal(n, strlen("seq=2 pruned=egress.refused leaf=" LEAF2 "\n"));
	assert_memory_equal(text, "seq=2 pruned=egress.refused leaf=" LEAF2 "\n", n);
	assert_int_equal(gr_audit_line_parse(text, n - 1, &pruned, &reason), 0);
	assert_int_equal(pruned.pruned, 1);
	assert_int_equal(pruned.sequence, 2);
	assert_int_equal(gr_audit_line_leaf(text, n - 1, &pruned, again), 0);
	assert_memory_equal(again, leaf, sizeof(leaf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_lines_match_the_hand_computed_vectors),
		cmocka_unit_test(every_kind_is_formatted_and_read_back),
		cmocka_unit_test(hostile_bytes_are_escaped_and_come_back),
		cmocka_unit_test(the_longest_hostile_event_fits_a_line),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(a_pruned_line_keeps_its_leaf),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
