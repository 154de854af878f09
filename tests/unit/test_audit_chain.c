/* The audit record's lines and their chain. */
#include "broker/audit/verify.h"

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
 *   printf %s 'seq=1 … prev=000…' | sha256sum
 * (the line without " hash="), and for the second line the same with the first line's hash as prev.
 */
#define HASH1 "bb9b072df584340a1ee9ffc467386ab8adf495622024dd9e862543738fad83b9"
#define HASH2 "9e0df338f88dec48c37f2c6cffc3bd6d16e82d2ef21afe0e7dde73c26546ce90"
#define LINE1                                                                                                          \
	"seq=1 time=2026-11-22T03:04:05.678901Z mono=1234567890123 boot=" BOOT                                         \
	" kind=session.start session=0123456789abcdef container=2 person=yamada prev=" ZEROS " hash=" HASH1 "\n"
#define LINE2                                                                                                          \
	"seq=2 time=2026-11-22T03:04:06.000000Z mono=1234567890124 boot=" BOOT                                         \
	" kind=egress.refused session=0123456789abcdef container=2 person=yamada target=GET%20127.0.0.1:80"            \
	" detail=%0Aa%25b%FF%C2%9B%E7%A1 down=7 prev=" HASH1 " hash=" HASH2 "\n"

static const struct gr_audit_event first = {
	.kind = GR_AUDIT_SESSION_START, .session = 0x0123456789abcdef, .container = 2, .person = "yamada", .token = 99
};
static const struct gr_audit_event second = { .kind = GR_AUDIT_EGRESS_REFUSED,
					      .session = 0x0123456789abcdef,
					      .container = 2,
					      .person = "yamada",
					      .target = "GET 127.0.0.1:80",
					      .detail = "\na%b\xff\xc2\x9b\xe7\xa1",
					      .down = 7 };

static void two_lines_match_the_hand_computed_vectors(void **state)
{
	struct gr_audit_hasher *hasher = gr_audit_hasher_create();
	struct gr_audit_stamp stamp = {
		.sequence = 1, .time = { 1795316645, 678901234 }, .mono = 1234567890123, .boot = BOOT
	};
	char chain[GR_AUDIT_HASH_TEXT] = ZEROS, line[GR_AUDIT_LINE_MAX];
	size_t length;
	(void)state;
	assert_int_equal(gr_audit_line_format(hasher, &stamp, &first, chain, line, &length), 0);
	assert_int_equal(length, strlen(LINE1));
	assert_memory_equal(line, LINE1, length);
	assert_string_equal(chain, HASH1);
	stamp = (struct gr_audit_stamp){
		.sequence = 2, .time = { 1795316646, 0 }, .mono = 1234567890124, .boot = BOOT
	};
	assert_int_equal(gr_audit_line_format(hasher, &stamp, &second, chain, line, &length), 0);
	assert_int_equal(length, strlen(LINE2));
	assert_memory_equal(line, LINE2, length);
	assert_string_equal(chain, HASH2);
	gr_audit_hasher_destroy(hasher);
}

static void every_kind_is_formatted_and_read_back(void **state)
{
	struct gr_audit_hasher *hasher = gr_audit_hasher_create();
	char chain[GR_AUDIT_HASH_TEXT] = ZEROS, line[GR_AUDIT_LINE_MAX];
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
						.peer = "[::1]:5",
						.target = "t",
						.detail = "d" };
		struct gr_audit_line parsed;
		const char *reason;
		size_t length;
		assert_int_equal(gr_audit_line_format(hasher, &stamp, &event, chain, line, &length), 0);
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
	assert_int_equal(gr_audit_line_format(hasher, &stamp, &unknown, chain, line, &length), GR_EINVAL);
	gr_audit_hasher_destroy(hasher);
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
	struct gr_audit_hasher *hasher = gr_audit_hasher_create();
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
	char chain[GR_AUDIT_HASH_TEXT] = ZEROS, line[GR_AUDIT_LINE_MAX];
	struct gr_audit_line parsed;
	const char *reason;
	size_t length;
	(void)state;
	memset(event.person, '\n', sizeof(event.person) - 1);
	memset(event.peer, '\n', sizeof(event.peer) - 1);
	memset(event.target, '\n', sizeof(event.target) - 1);
	memset(event.detail, '\n', sizeof(event.detail) - 1);
	assert_int_equal(gr_audit_line_format(hasher, &stamp, &event, chain, line, &length), 0);
	assert_int_equal(gr_audit_line_parse(line, length - 1, &parsed, &reason), 0);
	stamp.time.tv_sec = 253402300800; /* the year 10000 */
	assert_int_equal(gr_audit_line_format(hasher, &stamp, &event, chain, line, &length), GR_EINVAL);
	gr_audit_hasher_destroy(hasher);
}

static void malformed_lines_are_refused(void **state)
{
	/* In parentheses: clang takes a literal of several parts in a list for a forgotten comma. */
	static const char *const lines[] = {
		"",
		"seq=1",
		"seq",
		"=1",
		("time=2026-11-22T03:04:05.678901Z seq=1 kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=1 seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=01 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=18446744073709551616 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05Z kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind= prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a what=b prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a detail=%zz prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a detail=\xff prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a session=1 prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z  kind=a prev=" ZEROS " hash=" ZEROS),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=" ZEROS " "),
		("seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS " hash=00"),
		"seq=1 time=2026-11-22T03:04:05.678901Z kind=a prev=" ZEROS,
	};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct gr_audit_line parsed;
		const char *reason = NULL;
		assert_int_equal(gr_audit_line_parse(lines[i], strlen(lines[i]), &parsed, &reason), GR_EPROTO);
		assert_non_null(reason);
	}
}

/* ---- whole files ---- */

static char path[] = "/tmp/test_audit_chain.XXXXXX";

static void write_file(const char *text, size_t n)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static int verify(const char *text, const char *head, struct gr_error *err)
{
	uint64_t count = 0;
	char last[65];
	write_file(text, strlen(text));
	return gr_audit_verify_file(path, head, &count, last, err);
}

static void a_whole_record_verifies(void **state)
{
	uint64_t count = 0;
	char last[65];
	struct gr_error err;
	(void)state;
	write_file(LINE1 LINE2, strlen(LINE1 LINE2));
	assert_int_equal(gr_audit_verify_file(path, NULL, &count, last, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(last, HASH2);
	assert_int_equal(gr_audit_verify_file(path, HASH1, &count, last, &err), 0);
	assert_int_equal(verify("", NULL, &err), 0);
	assert_int_equal(gr_audit_verify_file("/nonexistent/file", NULL, &count, last, &err), GR_ENOENT);
}

static void every_flipped_bit_is_found(void **state)
{
	char text[] = LINE1 LINE2;
	struct gr_error err;
	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		text[i] = (char)(text[i] ^ 1);
		write_file(text, sizeof(text) - 1);
		uint64_t count;
		char last[65];
		assert_int_equal(gr_audit_verify_file(path, NULL, &count, last, &err), GR_EPROTO);
		assert_memory_equal(err.text, i < strlen(LINE1) ? "line 1: " : "line 2: ", 8);
		text[i] = (char)(text[i] ^ 1);
	}
}

static void removed_repeated_moved_and_torn_lines_are_found(void **state)
{
	struct gr_error err;
	(void)state;
	assert_int_equal(verify(LINE2, NULL, &err), GR_EPROTO);
	assert_int_equal(verify(LINE1 LINE1, NULL, &err), GR_EPROTO);
	assert_int_equal(verify(LINE2 LINE1, NULL, &err), GR_EPROTO);
	assert_int_equal(verify(LINE1 LINE1 LINE2, NULL, &err), GR_EPROTO);
	assert_int_equal(verify(LINE1 "\n" LINE2, NULL, &err), GR_EPROTO);
	char text[sizeof(LINE1 LINE2)];
	for (size_t n = strlen(LINE1) + 1; n < strlen(LINE1 LINE2); n++) {
		memcpy(text, LINE1 LINE2, n);
		text[n] = 0;
		assert_int_equal(verify(text, NULL, &err), GR_EPROTO);
		assert_non_null(strstr(err.text, "line 2: it is torn"));
	}
	/* Cut at a line's end: only a hash from elsewhere shows it. */
	assert_int_equal(verify(LINE1, NULL, &err), 0);
	assert_int_equal(verify(LINE1, HASH2, &err), GR_EPROTO);
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_lines_match_the_hand_computed_vectors),
		cmocka_unit_test(every_kind_is_formatted_and_read_back),
		cmocka_unit_test(hostile_bytes_are_escaped_and_come_back),
		cmocka_unit_test(the_longest_hostile_event_fits_a_line),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(a_whole_record_verifies),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(removed_repeated_moved_and_torn_lines_are_found),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
