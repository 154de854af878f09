/* The recorder: what it was given is in the file, what it tells is what the file holds, wherever the disk gives up. */
#include "broker/gateway/recorder.h"
#include "broker/ipc/ipc.h"
#include "broker/recording/file.h"
#include "common/io.h"
#include "common/log.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

static char folder[] = "/tmp/garasu-test-recorder-XXXXXX";
static char path[80];
static struct gr_config config;
static EVP_PKEY *key;
static int control; /* the supervisor's end */
static struct gr_loop *loop;
static struct gr_recorder *recorder;
static const struct gr_recording_header header = { .session = 5, .connection = 9, .person = "hanako" };

static int set_up(void **state)
{
	int pair[2];
	(void)state;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.grec", folder);
	gr_config_init(&config);
	snprintf(config.recording.auditors, sizeof config.recording.auditors, "%s/pem", folder);
	key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "URI:garasu:auditor/kansa");
	assert_true(key && certificate && names);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 60);
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, names, -1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	FILE *f = fopen(config.recording.auditors, "w");
	PEM_write_X509(f, certificate);
	fclose(f);
	X509_EXTENSION_free(names);
	X509_free(certificate);

	/* The recorder speaks to its own control socket. */
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	control = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
	close(pair[1]);
	if (pair[0] != GR_IPC_CONTROL_FD) {
		assert_int_equal(dup2(pair[0], GR_IPC_CONTROL_FD), GR_IPC_CONTROL_FD);
		close(pair[0]);
	}
	signal(SIGXFSZ, SIG_IGN);
	gr_log_init("test", GR_LOG_ERROR);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	unlink(config.recording.auditors);
	unlink(path);
	return rmdir(folder);
}

static int begin(void **state)
{
	(void)state;
	loop = gr_loop_create();
	recorder = gr_recorder_create(&config);
	return loop && recorder ? 0 : -1;
}

static int end(void **state)
{
	struct gr_ipc_message message;
	int fd;
	(void)state;

	gr_recorder_destroy(recorder);
	gr_loop_destroy(loop);
	while (gr_ipc_receive(control, &message, &fd) == 0)
		;
	return 0;
}

static int new_file(void)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void over(void *context)
{
	gr_loop_stop(context, 0);
}

static void live(int ms)
{
	struct gr_loop_timer *timer = gr_loop_timer_add(loop, over, loop);
	gr_loop_timer_set(timer, ms);
	gr_loop_run(loop);
	gr_loop_timer_remove(timer);
}

/* What it told last; lives until there is something. */
static struct gr_ipc_message told(void)
{
	struct gr_ipc_message message;
	int fd, rc = GR_EAGAIN;

	for (int i = 0; i < 1000 && (rc = gr_ipc_receive(control, &message, &fd)) == GR_EAGAIN; i++)
		live(10);
	assert_int_equal(rc, 0);
	assert_int_equal(message.type, GR_IPC_RECORDED);
	return message;
}

/* Loads the file, and compares what was told with it. Returns the content, owned. */
static uint8_t *check(const struct gr_ipc_message *message, struct gr_recording_file *file, size_t *n)
{
	char text[GR_RECORDING_HASH_TEXT + 8] = "sha256=";
	struct gr_recording_opened *opened;
	struct gr_error err;

	assert_int_equal(gr_recording_file_load(file, open(path, O_RDONLY | O_CLOEXEC), &err), 0);
	assert_int_equal(file->count, message->number);
	assert_int_equal(file->size, message->bytes_down);
	gr_recording_hash_text(file->count ? file->places[file->count - 1].chain : file->chain, text + 7);
	assert_int_equal(strncmp(message->text, text, strlen(text)), 0);
	uint8_t *content = malloc((file->count + 1) * GR_RECORDING_CHUNK_MAX);
	assert_non_null(content);
	assert_int_equal(gr_recording_open(file->header_bytes, file->header_size, key, &opened), 0);
	*n = 0;
	for (size_t i = 0; i < file->count; i++) {
		assert_int_equal(gr_recording_file_read(file, opened, i, content + *n), 0);
		*n += file->places[i].chunk.bytes;
	}
	gr_recording_close(opened);
	return content;
}

static uint8_t pattern[3 * GR_RECORDING_CHUNK_MAX + 7];

static void give(size_t total)
{
	static const size_t pieces[] = { 1, 70000, 16384, 65536, 5 };

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)(i * 31 + i / 251);
	for (size_t at = 0, i = 0; at < total; i++) {
		size_t n = pieces[i % 5] < total - at ? pieces[i % 5] : total - at;
		gr_recorder_add(recorder, pattern + at, n);
		at += n;
	}
}

static void what_was_sent_is_in_the_file(void **state)
{
	struct gr_recording_file file;
	struct gr_ipc_message message;
	size_t n;
	(void)state;

	gr_recorder_begin(recorder, loop, new_file(), &header);
	assert_true(gr_recorder_runs(recorder));
	message = told(); /* its header is on the disk */
	assert_int_equal(message.number, 0);
	assert_int_equal(message.bytes_up, 0);
	free(check(&message, &file, &n));
	assert_int_equal(file.header.session, 5);
	assert_string_equal(file.header.person, "hanako");
	gr_recording_file_finish(&file);

	give(sizeof pattern);
	gr_recorder_end(recorder);
	assert_false(gr_recorder_runs(recorder));
	message = told();
	assert_int_equal(message.bytes_up, 1);
	assert_int_equal(message.reason, GR_REASON_NONE);
	uint8_t *content = check(&message, &file, &n);
	assert_true(file.ended);
	assert_int_equal(n, sizeof pattern);
	assert_memory_equal(content, pattern, n);
	free(content);
	gr_recording_file_finish(&file);
}

/* Nobody asks for it: a process that is killed then has it all in the file. */
static void a_chunk_is_written_soon(void **state)
{
	struct stat before, now = { 0 };
	(void)state;

	gr_recorder_begin(recorder, loop, new_file(), &header);
	told();
	assert_int_equal(stat(path, &before), 0);
	gr_recorder_add(recorder, (const uint8_t *)"abc", 3);
	for (int i = 0; i < 200 && (stat(path, &now) || now.st_size == before.st_size); i++)
		live(10);
	assert_int_equal(now.st_size, before.st_size + 3 + GR_RECORDING_CHUNK_ADDED);
	gr_recorder_end(recorder);
}

/* ENOSPC, EIO and EFBIG are one to it: a write that does not take everything. */
static void wherever_the_disk_is_full_it_tells_what_the_file_holds(void **state)
{
	struct rlimit unlimited, limit;
	struct stat status;
	(void)state;

	getrlimit(RLIMIT_FSIZE, &unlimited);
	gr_recorder_begin(recorder, loop, new_file(), &header);
	told();
	give(sizeof pattern);
	gr_recorder_end(recorder);
	assert_int_equal(stat(path, &status), 0);
	for (off_t full = 100; full < status.st_size; full += full < 2000 ? 300 : 7001) {
		struct gr_recording_file file;
		struct gr_ipc_message message;
		size_t n;

		end(NULL);
		begin(NULL);
		int fd = new_file();
		limit = unlimited;
		limit.rlim_cur = (rlim_t)full;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		gr_recorder_begin(recorder, loop, fd, &header);
		if (gr_recorder_runs(recorder))
			assert_int_equal(told().number, 0);
		give(sizeof pattern);
		gr_recorder_end(recorder);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
		assert_false(gr_recorder_runs(recorder));
		message = told();
		assert_int_equal(message.reason, GR_REASON_RECORDING_FAILED);
		assert_int_equal(message.bytes_up, 1);
		assert_non_null(strstr(message.text, " File too large"));
		if (message.bytes_down == 0)
			continue; /* not even its header */
		free(check(&message, &file, &n));
		assert_false(file.ended);
		gr_recording_file_finish(&file);
	}
}

static void what_cannot_be_flushed_is_no_recording(void **state)
{
	struct gr_ipc_message message;
	int ends[2];
	(void)state;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* takes bytes, but is on no disk */
	gr_recorder_begin(recorder, loop, ends[1], &header);
	message = told();
	assert_int_equal(message.reason, GR_REASON_RECORDING_FAILED);
	assert_false(gr_recorder_runs(recorder));
	close(ends[0]);
}

static void nothing_is_recorded_for_nobody(void **state)
{
	struct gr_config other = config;
	struct gr_ipc_message message;
	(void)state;

	for (int i = 0; i < 2; i++) {
		snprintf(other.recording.auditors, sizeof other.recording.auditors, "%s", i ? "/nonexistent" : "");
		gr_recorder_destroy(recorder);
		recorder = gr_recorder_create(&other);
		gr_recorder_begin(recorder, loop, new_file(), &header);
		message = told();
		assert_int_equal(message.reason, GR_REASON_RECORDING_FAILED);
		assert_int_equal(message.bytes_down, 0);
		assert_non_null(strstr(message.text, i ? "No such file" : "names no certificate"));
	}
}

static void the_supervisor_can_end_it(void **state)
{
	struct gr_recording_file file;
	struct gr_ipc_message message;
	size_t n;
	(void)state;

	gr_recorder_begin(recorder, loop, new_file(), &header);
	told();
	gr_recorder_add(recorder, (const uint8_t *)"abc", 3);
	gr_recorder_fail(recorder, "quota");
	message = told();
	assert_int_equal(message.reason, GR_REASON_RECORDING_FAILED);
	assert_non_null(strstr(message.text, " quota"));
	uint8_t *content = check(&message, &file, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(content, "abc", 3);
	free(content);
	gr_recording_file_finish(&file);
	gr_recorder_add(recorder, (const uint8_t *)"def", 3);
	gr_recorder_end(recorder); /* it says nothing more */
	struct pollfd more = { .fd = control, .events = POLLIN };
	assert_int_equal(poll(&more, 1, 50), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_sent_is_in_the_file, begin, end),
		cmocka_unit_test_setup_teardown(a_chunk_is_written_soon, begin, end),
		cmocka_unit_test_setup_teardown(wherever_the_disk_is_full_it_tells_what_the_file_holds, begin, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_flushed_is_no_recording, begin, end),
		cmocka_unit_test_setup_teardown(nothing_is_recorded_for_nobody, begin, end),
		cmocka_unit_test_setup_teardown(the_supervisor_can_end_it, begin, end),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
