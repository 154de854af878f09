/* The supervisor's part of recordings: nothing is shown before the record has their start, and who must be recorded and is not sees nothing. */
#include "broker/supervisor/recordings.h"
#include "common/io.h"
#include "tests/unit/supervisor_driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH "sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct gr_ipc_message told(uint64_t chunks, uint64_t bytes, const char *text)
{
	struct gr_ipc_message message = { .type = GR_IPC_RECORDED, .number = chunks, .bytes_down = bytes };

	snprintf(message.text, sizeof(message.text), "%s", text);
	return message;
}

static struct gr_ipc_message last(struct gr_ipc_message message, uint32_t reason)
{
	message.bytes_up = 1;
	message.reason = reason;
	return message;
}

static void file_of(const struct gr_audit_event *event, char out[512])
{
	snprintf(out, 512, "%s/recordings/%s", folder, event->target);
}

/* Up to where only the recording is waited for. Returns the session process. */
static int wait_for_recording(struct viewer *viewer)
{
	struct gr_ipc_message record;
	int session;

	warm_up(1);
	*viewer = want("hanako");
	session = take_child(GR_IPC_KIND_SESSION, NULL);
	hear(session, GR_IPC_START);
	hear(session, GR_IPC_AGENT);
	record = hear(viewer->gateway, GR_IPC_RECORD);
	assert_string_equal(record.person, "hanako");
	assert_true(record.session != 0);
	return session;
}

static void see(const struct viewer *viewer, int session)
{
	assert_true(say(viewer->gateway, told(0, 900, HASH)));
	assert_int_equal(hear(session, GR_IPC_ATTACH).connection, viewer->number);
	hear(viewer->gateway, GR_IPC_OPEN);
}

static void nothing_is_shown_before_the_record_has_its_start(void **state)
{
	struct gr_audit_event event;
	struct viewer viewer;
	struct stat status;
	char file[512];
	int session = wait_for_recording(&viewer);

	(void)state;
	let_hear();
	assert_false(readable(session, 200)); /* no ATTACH */
	see(&viewer, session);
	event = recorded(GR_AUDIT_RECORDING_START);
	assert_string_equal(event.person, "hanako");
	assert_int_equal(event.connection, viewer.number);
	assert_string_equal(event.detail, "chunks=0 " HASH);
	file_of(&event, file);
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);

	assert_true(say(viewer.gateway, told(7, 5000, HASH)));
	event = recorded(GR_AUDIT_RECORDING_MARK);
	assert_string_equal(event.detail, "chunks=7 " HASH);
	assert_int_equal(event.down, 5000);
	assert_true(say(viewer.gateway, last(told(8, 5100, HASH), GR_REASON_NONE)));
	assert_string_equal(recorded(GR_AUDIT_RECORDING_END).detail, "chunks=8 " HASH);
	stays(viewer.gateway);
	say(viewer.gateway, told(9, 5200, HASH)); /* after its last word */
	gone(viewer.gateway);
	close(viewer.tcp);
	close(session);
}

static void what_cannot_be_true_ends_the_gateway(void **state)
{
	const struct gr_ipc_message wrong[] = {
		told(6, 6000, HASH), /* fewer chunks than before */
		told(8, 4999, HASH), /* a shorter file */
		told(8, 6000, "hash=00"),
		told(8, 6000, ""),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct viewer viewer;
		int session = wait_for_recording(&viewer);

		see(&viewer, session);
		assert_true(say(viewer.gateway, told(7, 5000, HASH)));
		recorded(GR_AUDIT_RECORDING_MARK);
		say(viewer.gateway, wrong[i]);
		gone(viewer.gateway);
		assert_non_null(strstr(recorded(GR_AUDIT_FAULT).detail, "gateway: sent "));
		assert_non_null(strstr(recorded(GR_AUDIT_RECORDING_FAILED).detail, "without a last word"));
		close(viewer.tcp);
		end_session("hanako", 1, session);
	}
}

static void a_start_that_is_not_recorded_shows_nothing(void **state)
{
	struct viewer viewer;
	char full[128];
	int session = wait_for_recording(&viewer);

	(void)state;
	let_hear();
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(say(viewer.gateway, told(0, 900, HASH)));
	assert_int_equal(hear(viewer.gateway, GR_IPC_REFUSE).reason, GR_REASON_AUDIT_UNAVAILABLE);
	unlink(full);
	assert_false(readable(session, 200));
	leave(&viewer);
	close(session);
}

static void who_must_be_recorded_and_is_not_sees_nothing(void **state)
{
	struct viewer viewer;
	int session = wait_for_recording(&viewer);

	(void)state;
	assert_true(say(viewer.gateway, last(told(0, 0, HASH " No space left on device"), GR_REASON_RECORDING_FAILED)));
	assert_int_equal(hear(viewer.gateway, GR_IPC_REFUSE).reason, GR_REASON_RECORDING_FAILED);
	assert_non_null(strstr(recorded(GR_AUDIT_RECORDING_FAILED).detail, HASH " No space left on device"));
	assert_int_equal(recorded(GR_AUDIT_LOGIN_REFUSED).reason, GR_REASON_RECORDING_FAILED);
	leave(&viewer);

	viewer = want("hanako");
	hear(viewer.gateway, GR_IPC_RECORD);
	see(&viewer, session);
	assert_true(say(viewer.gateway, last(told(3, 4000, HASH " Input/output error"), GR_REASON_RECORDING_FAILED)));
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_RECORDING_FAILED);
	leave(&viewer);
	close(session);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_RECORDING_FAILED);
}

static void who_may_be_recorded_goes_on_without(void **state)
{
	struct viewer viewer;
	int session = wait_for_recording(&viewer);

	(void)state;
	assert_true(say(viewer.gateway, last(told(0, 0, HASH " No space left on device"), GR_REASON_RECORDING_FAILED)));
	assert_int_equal(hear(session, GR_IPC_ATTACH).connection, viewer.number);
	hear(viewer.gateway, GR_IPC_OPEN);
	assert_int_equal(recorded(GR_AUDIT_RECORDING_FAILED).reason, GR_REASON_RECORDING_FAILED);
	leave(&viewer);

	viewer = want("hanako");
	hear(viewer.gateway, GR_IPC_RECORD);
	see(&viewer, session);
	recorded(GR_AUDIT_RECORDING_START);
	assert_true(say(viewer.gateway, last(told(3, 4000, HASH " Input/output error"), GR_REASON_RECORDING_FAILED)));
	assert_non_null(strstr(recorded(GR_AUDIT_RECORDING_FAILED).detail, "chunks=3"));
	let_hear();
	assert_false(readable(session, 200));
	stays(viewer.gateway);
	leave(&viewer);
	close(session);
}

static void make_recording(const char *day, const char *name, off_t size, int days_old)
{
	struct timespec times[2];
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/recordings", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/recordings/%s", folder, day);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/recordings/%s/%s", folder, day, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= (time_t)days_old * 86400;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int is_there(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/recordings/%s", folder, name);
	return access(path, F_OK) == 0;
}

/* In all, however it is spread over the folder. */
static void quota_bounds_the_folder(void **state)
{
	struct gr_ipc_message stop;
	struct viewer viewer;
	int session;

	(void)state;
	make_recording("2026-01-01", "a.grec", 1 << 29, 1);
	session = wait_for_recording(&viewer);
	see(&viewer, session);
	make_recording("2026-01-02", "b.grec", 1 << 29, 1);
	usleep(2100000); /* a count holds for two seconds */
	assert_true(say(viewer.gateway, told(7, 5000, HASH)));
	stop = hear(viewer.gateway, GR_IPC_RECORDED);
	assert_int_equal(stop.reason, GR_REASON_RECORDING_FAILED);
	assert_non_null(strstr(stop.text, "quota"));
	assert_true(say(viewer.gateway, last(told(8, 5001, HASH " quota"), GR_REASON_RECORDING_FAILED)));
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_RECORDING_FAILED);
	leave(&viewer);
	close(session);
	recorded(GR_AUDIT_SESSION_END);

	assert_true(say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1 }));
	warm_up(2);
	viewer = want("taro");
	assert_int_equal(hear(viewer.gateway, GR_IPC_REFUSE).reason, GR_REASON_RECORDING_FAILED);
	leave(&viewer);
}

static void old_recordings_go_when_their_removal_is_recorded(void **state)
{
	struct gr_ipc_message request = { .type = GR_IPC_ADMIN_PRUNE,
					  .number = 5,
					  .actor = "kansa",
					  .subject = "recordings",
					  .text = "保存期間満了" };
	struct gr_ipc_message done;
	struct gr_audit_event event;
	char full[128], name[40];

	(void)state;

	make_recording("2026-01-01", "old.grec", 10, 91);
	make_recording("2026-01-02", "young.grec", 10, 89);
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	done = ask(request);
	assert_int_equal(done.reason, GR_REASON_AUDIT_UNAVAILABLE);
	assert_int_equal(done.number, 5);
	assert_true(is_there("2026-01-01/old.grec"));
	unlink(full);

	done = ask(request);
	assert_int_equal(done.reason, GR_REASON_NONE);
	assert_non_null(strstr(done.text, "1 recordings"));
	do
		event = recorded(GR_AUDIT_RECORDING_REMOVED); /* the first was not written */
	while (readable(services[GR_IPC_KIND_AUDIT], 200));
	assert_string_equal(event.target, "2026-01-01/old.grec");
	assert_string_equal(event.actor, "kansa");
	assert_string_equal(event.detail, "保存期間満了");
	assert_false(is_there("2026-01-01"));
	assert_true(is_there("2026-01-02/young.grec"));
	assert_non_null(strstr(ask(request).text, "0 recordings"));

	for (int i = 0; i < 200; i++) { /* more than wait for the record at once */
		snprintf(name, sizeof(name), "%d.grec", i);
		make_recording("2026-01-03", name, 1, 100);
	}
	assert_non_null(strstr(ask(request).text, "200 recordings"));
	assert_false(is_there("2026-01-03"));
}

static int begin_required(void **state)
{
	recording = GR_RECORDING_REQUIRED;
	policy = "admin { auditors = {\"kansa\"} }\n";
	return begin(state);
}

static int begin_on(void **state)
{
	recording = GR_RECORDING_ON;
	return begin(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_shown_before_the_record_has_its_start, begin_required, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_true_ends_the_gateway, begin_required, end),
		cmocka_unit_test_setup_teardown(a_start_that_is_not_recorded_shows_nothing, begin_on, end),
		cmocka_unit_test_setup_teardown(who_must_be_recorded_and_is_not_sees_nothing, begin_required, end),
		cmocka_unit_test_setup_teardown(who_may_be_recorded_goes_on_without, begin_on, end),
		cmocka_unit_test_setup_teardown(quota_bounds_the_folder, begin_required, end),
		cmocka_unit_test_setup_teardown(old_recordings_go_when_their_removal_is_recorded, begin_required, end),
	};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strncmp(name, "garasu-", 7) == 0 && argc >= 2)
		return stand_in(name + 7, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
