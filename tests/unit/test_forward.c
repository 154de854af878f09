/* garasu-forward: what a syslog server is told, what it remembers, what it holds against the record, and which stamps it takes. */
#include "broker/audit/text.h"
#include "broker/forward/message.h"
#include "broker/forward/stamp.h"
#include "broker/forward/state.h"
#include "broker/forward/witness.h"
#include "common/io.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define LINE(fields)                                                                                                   \
	"seq=7 time=2026-11-22T03:04:05.678901Z mono=1234567890123 boot=00112233445566778899aabbccddeeff " fields      \
	" prev=" ZEROS

static const char *message_of(enum gr_config_format format, const char *text)
{
	static char out[GR_FORWARD_MESSAGE_MAX + 1];
	struct gr_forward_form form;
	struct gr_audit_line line;
	const char *reason;
	size_t count;
	int used;
	gr_forward_form_init(&form, format, "broker1");
	assert_int_equal(gr_audit_line_parse(text, strlen(text), &line, &reason), 0);
	size_t n = gr_forward_record(&form, &line, text, strlen(text), out);
	assert_true(n > 0);
	out[n] = 0;
	/* RFC 5425 §4.3.1: the octets behind the space. */
	assert_int_equal(sscanf(out, "%zu %n", &count, &used), 1);
	assert_int_equal(count, n - (size_t)used);
	assert_true(out[0] != '0');
	return out + used;
}

static void a_record_is_a_message_of_rfc_5424(void **state)
{
	(void)state;
	assert_string_equal(message_of(GR_FORMAT_RFC5424, LINE("kind=login session=0123456789abcdef person=yamada")),
			    "<109>1 2026-11-22T03:04:05.678901Z broker1 garasu - login "
			    "[garasu@32473 seq=\"7\" time=\"2026-11-22T03:04:05.678901Z\" mono=\"1234567890123\" "
			    "boot=\"00112233445566778899aabbccddeeff\" kind=\"login\" session=\"0123456789abcdef\" "
			    "person=\"yamada\" prev=\"" ZEROS
			    "\"] " LINE("kind=login session=0123456789abcdef person=yamada"));
}

/* RFC 5424 §6.3.3: ", \ and ] and nothing else; what is no printable ASCII stays as the record has it. */
static void structured_data_are_escaped(void **state)
{
	(void)state;
	const char *message = message_of(
		GR_FORMAT_RFC5424, LINE("kind=fault target=a%20%22b%22%5C%5D%5Bc%3Dd detail=%0A%25%7F%C2%9B硝子%FF"));
	assert_non_null(strstr(message, " target=\"a \\\"b\\\"\\\\\\][c=d\" detail=\"%0A%25%7F%C2%9B硝子%FF\" prev="));
	assert_null(strchr(message, '\n'));
}

static void cef_has_each_field_and_its_escapes(void **state)
{
	(void)state;
	assert_string_equal(
		message_of(GR_FORMAT_CEF,
			   LINE("kind=session.detach session=0123456789abcdef container=2 connection=3 person=yamada "
				"group=%7C広報課%5C actor=root peer=192.0.2.1:5000 target=a%3Db%7Cc%5Cd "
				"reason=time-over detail=%0Ax down=10 up=20")),
		"<109>1 2026-11-22T03:04:05.678901Z broker1 garasu - session.detach - "
		"CEF:0|Garasu|garasu|" GARASU_VERSION "|session.detach|session detach|3|"
		"externalId=7 rt=1795316645678 cn3Label=mono cn3=1234567890123 "
		"cs6Label=boot cs6=00112233445566778899aabbccddeeff "
		"cs1Label=session cs1=0123456789abcdef cn1Label=container cn1=2 cn2Label=connection cn2=3 "
		"suser=yamada cs2Label=group cs2=|広報課\\\\ cs3Label=actor cs3=root src=192.0.2.1 spt=5000 "
		"cs4Label=target cs4=a\\=b|c\\\\d reason=time-over msg=%0Ax out=10 in=20 cs5Label=prev cs5=" ZEROS);
	assert_non_null(strstr(message_of(GR_FORMAT_CEF, LINE("kind=login peer=%5B2001:db8::1%5D:5000")),
			       " c6a2Label=Source IPv6 Address c6a2=2001:db8::1 spt=5000 "));
	assert_non_null(strstr(message_of(GR_FORMAT_CEF, LINE("kind=login peer=local")), " shost=local "));
}

static void severities_follow_the_kind(void **state)
{
	(void)state;
	static const struct {
		const char *kind, *start, *cef;
	} cases[] = { { "kind=guard.violation", "<106>", "|9|" }, { "kind=fault", "<107>", "|7|" },
		      { "kind=login.failed", "<108>", "|5|" },    { "kind=egress.request", "<110>", "|1|" },
		      { "kind=policy.change", "<109>", "|3|" },   { "kind=unknown.to.us", "<109>", "|3|" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[512];
		snprintf(line, sizeof(line),
			 "seq=7 time=2026-11-22T03:04:05.678901Z mono=1 boot=00112233445566778899aabbccddeeff %s "
			 "prev=" ZEROS,
			 cases[i].kind);
		assert_memory_equal(message_of(GR_FORMAT_RFC5424, line), cases[i].start, 5);
		assert_non_null(strstr(message_of(GR_FORMAT_CEF, line), cases[i].cef));
	}
}

static void the_longest_line_fits(void **state)
{
	(void)state;
	char line[GR_AUDIT_LINE_MAX], *at = line;
	at += sprintf(at, "seq=18446744073709551615 time=2026-11-22T03:04:05.678901Z kind=fault detail=");
	while (at + 3 + sizeof(" prev=" ZEROS) <= line + sizeof(line))
		at += sprintf(at, "%%5C");
	strcpy(at, " prev=" ZEROS);
	assert_true(strlen(line) > GR_AUDIT_LINE_MAX - 6);
	assert_true(strlen(message_of(GR_FORMAT_RFC5424, line)) > strlen(line));
	assert_true(strlen(message_of(GR_FORMAT_CEF, line)) > 2600);
}

static void a_pruned_record_is_told_as_such(void **state)
{
	(void)state;
	assert_string_equal(message_of(GR_FORMAT_RFC5424, "seq=12 pruned=egress.request leaf=" ZEROS),
			    "<109>1 - broker1 garasu - pruned [garasu@32473 seq=\"12\" pruned=\"egress.request\" "
			    "leaf=\"" ZEROS "\"] seq=12 pruned=egress.request leaf=" ZEROS);
	assert_non_null(strstr(message_of(GR_FORMAT_CEF, "seq=12 pruned=egress.request leaf=" ZEROS),
			       "|pruned|pruned|3|externalId=12 msg=egress.request cs5Label=leaf cs5=" ZEROS));
}

static void a_host_name_that_is_none_is_nil(void **state)
{
	(void)state;
	static const struct {
		const char *name, *host;
	} cases[] = { { "a.example", "a.example" }, { "", "-" }, { "a b", "-" }, { "硝子", "-" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct gr_forward_form form;
		gr_forward_form_init(&form, GR_FORMAT_CEF, cases[i].name);
		assert_string_equal(form.host, cases[i].host);
	}
}

/* ---- a record on the disk ---- */

static EVP_PKEY *key;
static char folder[64];
static int directory, log_folder;

struct record {
	uint64_t size;
	uint8_t leaf[GR_TREE_HASH];
	struct gr_tree tree;
};

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/garasu-forward-XXXXXX");
	assert_non_null(mkdtemp(folder));
	directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(directory, "log", 0700), 0);
	log_folder = openat(directory, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory < 0 || log_folder < 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlinkat(log_folder, "00000000.log", 0);
	unlinkat(log_folder, "00000001.log", 0);
	unlinkat(directory, "log", AT_REMOVEDIR);
	unlinkat(directory, "heads.log", 0);
	unlinkat(directory, "state", 0);
	close(log_folder);
	close(directory);
	return rmdir(folder);
}

static void append(int at, const char *name, const char *bytes, size_t n)
{
	int fd = openat(at, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(gr_io_write_all(fd, bytes, n), 0);
	close(fd);
}

static void add_records(struct record *record, unsigned count, const char *person)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_LOGIN };
	char *text = malloc((size_t)count * 512);
	snprintf(event.person, sizeof(event.person), "%s", person);
	while (count) {
		size_t used = 0;
		char name[GR_AUDIT_SEGMENT_NAME];
		gr_audit_segment_name(record->size / GR_AUDIT_SEGMENT_LINES, "log", name);
		do {
			struct gr_audit_stamp stamp = { .sequence = record->size + 1,
							.time = { 1795316645, 0 },
							.mono = 1 };
			char line[GR_AUDIT_LINE_MAX];
			size_t n;
			assert_int_equal(gr_audit_line_format(&stamp, &event, record->leaf, line, &n), 0);
			assert_int_equal(gr_tree_append(&record->tree, 0, record->leaf), 0);
			memcpy(text + used, line, n);
			used += n;
			record->size++;
			count--;
		} while (count && record->size % GR_AUDIT_SEGMENT_LINES);
		append(log_folder, name, text, used);
	}
	free(text);
}

static void add_head(const struct record *record)
{
	struct timespec now = { 1795316645, 0 };
	uint8_t root[GR_TREE_HASH];
	char line[GR_HEAD_LINE_MAX];
	size_t n;
	assert_int_equal(gr_tree_root(&record->tree, root), 0);
	assert_int_equal(gr_head_sign(key, record->size, root, &now, line, &n), 0);
	append(directory, "heads.log", line, n);
}

/* All that a process would do that starts with this state. Returns why it raised an alarm, or NULL. */
static const char *look_at(struct gr_forward_state *state)
{
	static struct gr_forward_witness witness;
	struct gr_error err;
	int checked, more;
	gr_forward_witness_init(&witness, directory, log_folder, state);
	do
		more = gr_forward_witness_look(&witness, &checked, &err);
	while (more > 0);
	assert_int_equal(more, 0);
	gr_forward_witness_finish(&witness);
	return witness.alarm[0] ? witness.alarm : NULL;
}

static void a_record_that_grows_is_good(void **unused)
{
	(void)unused;
	struct record record = { 0 };
	struct gr_forward_state state = { 0 }, again;
	char text[GR_FORWARD_STATE_MAX];
	assert_null(look_at(&state)); /* nothing there yet */
	unsigned counts[] = {
		1, 2, 7, 90, 12000, 54000, 3
	}; /* over the end of a segment, and over more than one turn */
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		add_records(&record, counts[i], "yamada");
		add_head(&record);
		add_records(&record, 1, "suzuki"); /* beyond the head */
		assert_null(look_at(&state));
		assert_int_equal(state.tree.size, record.size - 1);
		/* As it would be after a restart. */
		size_t n = gr_forward_state_format(&state, text);
		assert_int_equal(gr_forward_state_parse(text, n, &again), 0);
		assert_string_equal(again.head, state.head);
		state = again;
	}
	assert_true(record.size > GR_AUDIT_SEGMENT_LINES);
}

static void empty_file(int at, const char *name)
{
	int fd = openat(at, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

/* T41: every way to take something back after a head was seen. */
static void a_record_that_was_taken_back_is_an_alarm(void **unused)
{
	(void)unused;
	struct record record = { 0 };
	struct gr_forward_state seen = { 0 }, state;
	const char *alarm;
	add_records(&record, 10, "yamada");
	add_head(&record);
	add_records(&record, 10, "yamada");
	add_head(&record);
	assert_null(look_at(&seen));
	assert_int_equal(seen.tree.size, 20);

	/* The whole of it put back to a copy. */
	empty_file(log_folder, "00000000.log");
	empty_file(directory, "heads.log");
	struct record other = { 0 };
	add_records(&other, 10, "yamada");
	add_head(&other);
	state = seen;
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "of 20 records, seen before, is missing"));
	empty_file(directory, "heads.log");
	state = seen;
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "heads.log is shorter than it was"));
	add_head(&other);
	/* … and grown beyond what it was, with other records. */
	add_records(&other, 10, "suzuki");
	add_head(&other);
	add_records(&other, 10, "suzuki");
	add_head(&other);
	state = seen;
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "of 20 records, seen before, is missing"));

	/* Heads kept, records gone. */
	empty_file(log_folder, "00000000.log");
	empty_file(directory, "heads.log");
	record = (struct record){ 0 };
	add_records(&record, 10, "yamada");
	add_head(&record);
	add_records(&record, 10, "yamada");
	add_head(&record);
	state = (struct gr_forward_state){ 0 };
	assert_null(look_at(&state));
	empty_file(log_folder, "00000000.log");
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "ends before seq 20"));
	/* Heads kept, records others. */
	other = (struct record){ 0 };
	add_records(&other, 20, "suzuki");
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "seq 20 is another one"));

	/* The last record as it was, one below it another: the head that follows does not fit what is under the one before. */
	empty_file(log_folder, "00000000.log");
	record = (struct record){ 0 };
	add_records(&record, 20, "yamada");
	struct record forged = record;
	add_records(&record, 1, "yamada");
	forged.tree.peaks[4][0] ^= 1; /* as if the first 16 were others */
	forged.size = 21;
	assert_int_equal(gr_tree_append(&forged.tree, 0, record.leaf), 0);
	add_head(&forged);
	assert_non_null(alarm = look_at(&state));
	assert_non_null(strstr(alarm, "of 21 records does not fit"));
	assert_int_equal(state.tree.size, 20);
}

/* A full disk: what was written behind a head is taken back, and other records come in its place. */
static void lines_taken_back_behind_a_head_are_no_alarm(void **unused)
{
	(void)unused;
	static struct gr_forward_witness witness;
	struct record record = { 0 };
	struct gr_forward_state state = { 0 };
	struct gr_error err;
	struct stat status;
	char path[128];
	int checked;
	snprintf(path, sizeof(path), "%s/log/00000000.log", folder);
	gr_forward_witness_init(&witness, directory, log_folder, &state);
	for (int turn = 0; turn < 3; turn++) {
		add_records(&record, 5, "yamada");
		add_head(&record);
		struct record kept = record;
		assert_int_equal(stat(path, &status), 0);
		add_records(&record, 2, turn == 1 ? "of another length" : "suzuki");
		while (gr_forward_witness_look(&witness, &checked, &err) > 0)
			;
		assert_string_equal(witness.alarm, "");
		assert_int_equal(state.tree.size, kept.size);
		assert_int_equal(truncate(path, status.st_size), 0);
		record = kept;
	}
	gr_forward_witness_finish(&witness);
}

static void a_head_without_its_records_is_an_alarm(void **unused)
{
	(void)unused;
	struct record record = { 0 };
	struct gr_forward_state state = { 0 };
	add_records(&record, 3, "yamada");
	record.size = 5;
	record.tree.size = 4;
	add_head(&record);
	assert_non_null(strstr(look_at(&state), "ends before seq 5"));
}

static void a_line_that_is_being_written_waits(void **unused)
{
	(void)unused;
	struct record record = { 0 };
	struct gr_forward_reader reader = { .log = log_folder };
	struct gr_audit_record got;
	struct gr_error err;
	add_records(&record, 2, "yamada");
	append(log_folder, "00000000.log", "seq=3 to", 8);
	assert_int_equal(gr_forward_reader_next(&reader, &got, &err), 1);
	assert_int_equal(gr_forward_reader_next(&reader, &got, &err), 1);
	assert_int_equal(got.line.sequence, 2);
	assert_int_equal(gr_forward_reader_next(&reader, &got, &err), 0);
	/* Taken back, and another one in its place. */
	char path[128];
	snprintf(path, sizeof(path), "%s/log/00000000.log", folder);
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(truncate(path, status.st_size - 8), 0);
	add_records(&record, 1, "suzuki");
	assert_int_equal(gr_forward_reader_next(&reader, &got, &err), GR_EPROTO);
	gr_forward_reader_seek(&reader, 2, NULL);
	assert_int_equal(gr_forward_reader_next(&reader, &got, &err), 1);
	assert_int_equal(got.line.sequence, 3);
	gr_forward_reader_finish(&reader);
}

static void a_state_that_was_changed_is_refused(void **unused)
{
	(void)unused;
	struct record record = { 0 };
	struct gr_forward_state state = { .sent = 3, .sent_heads = 300 }, again;
	struct gr_error err;
	char text[GR_FORWARD_STATE_MAX];
	assert_int_equal(gr_forward_state_load(directory, &again, &err), 0); /* none yet */
	assert_int_equal(again.sent, 0);
	add_records(&record, 5, "yamada");
	add_head(&record);
	assert_null(look_at(&state));
	assert_int_equal(gr_forward_state_save(directory, &state, &err), 0);
	assert_int_equal(gr_forward_state_load(directory, &again, &err), 0);
	assert_int_equal(again.sent, 3);
	assert_int_equal(again.sent_heads, 300);
	assert_string_equal(again.head, state.head);
	size_t n = gr_forward_state_format(&state, text);
	const char *places[] = { "sent=", "leaf=", "tree=", "root=" };
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		char *at = strstr(text, places[i]) + strlen(places[i]), before = *at;
		*at = before == 'f' ? 'e' : 'f';
		if (i != 1) /* a wrong leaf only shows beside the record */
			assert_int_equal(gr_forward_state_parse(text, n, &again), GR_EPROTO);
		*at = before;
	}
	for (size_t cut = 0; cut < n; cut++)
		if (cut != (size_t)(strstr(text, "heads=") + 0 - text) &&
		    cut != (size_t)(strstr(strstr(text, "sent_heads=") + 11, "heads=") - text))
			assert_int_equal(gr_forward_state_parse(text, cut, &again), GR_EPROTO);
}

/* ---- time stamps ---- */

static void nonces_differ_and_garbage_is_refused(void **unused)
{
	(void)unused;
	X509_STORE *trust = X509_STORE_new();
	struct gr_error err;
	TS_REQ *one = gr_stamp_ask("head", 4), *two = gr_stamp_ask("head", 4);
	assert_true(one && two && trust);
	assert_int_not_equal(ASN1_INTEGER_cmp(TS_REQ_get_nonce(one), TS_REQ_get_nonce(two)), 0);
	assert_int_equal(TS_REQ_get_cert_req(one), 1);
	static const unsigned char hash[] = { 0x30, 0x03, 0x02, 0x01, 0x02 };
	assert_int_equal(gr_stamp_check(one, hash, sizeof(hash), trust, &err), GR_EPROTO);
	assert_int_equal(gr_stamp_check(one, "", 0, trust, &err), GR_EPROTO);
	/* PKIStatusInfo rejection, without a token. */
	static const unsigned char rejection[] = { 0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02 };
	assert_int_equal(gr_stamp_check(one, rejection, sizeof(rejection), trust, &err), GR_EPROTO);
	TS_REQ_free(one);
	TS_REQ_free(two);
	X509_STORE_free(trust);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_a_message_of_rfc_5424),
		cmocka_unit_test(structured_data_are_escaped),
		cmocka_unit_test(cef_has_each_field_and_its_escapes),
		cmocka_unit_test(severities_follow_the_kind),
		cmocka_unit_test(the_longest_line_fits),
		cmocka_unit_test(a_pruned_record_is_told_as_such),
		cmocka_unit_test(a_host_name_that_is_none_is_nil),
		WITH_FOLDER(a_record_that_grows_is_good),
		WITH_FOLDER(a_record_that_was_taken_back_is_an_alarm),
		WITH_FOLDER(lines_taken_back_behind_a_head_are_no_alarm),
		WITH_FOLDER(a_head_without_its_records_is_an_alarm),
		WITH_FOLDER(a_line_that_is_being_written_waits),
		WITH_FOLDER(a_state_that_was_changed_is_refused),
		cmocka_unit_test(nonces_differ_and_garbage_is_refused),
	};
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	int failed = key ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
	EVP_PKEY_free(key);
	return failed;
}
