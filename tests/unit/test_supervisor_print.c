/* The whole supervisor, what it does when a session prints. */
#include "common/io.h"
#include "tests/unit/supervisor_driver.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void printing_is_recorded_before_it_begins(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);
	struct gr_ipc_message print = {
		.type = GR_IPC_PRINT, .number = 3, .bytes_up = 1, .bytes_down = 2, .text = "pages=1-2 of=5"
	};
	struct gr_audit_event event;

	(void)state;
	assert_true(say(session, print));
	event = recorded(GR_AUDIT_PRINT);
	assert_string_equal(event.person, "hanako");
	assert_string_equal(event.target, "document 3");
	assert_string_equal(event.detail, "pages=1-2 of=5");
	assert_int_equal(event.connection, viewer.number);
	struct gr_ipc_message answer = hear(session, GR_IPC_PRINT);
	assert_true(answer.number == 3 && answer.reason == GR_REASON_NONE);
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_PRINTED,
							  .number = 3,
							  .bytes_down = 1,
							  .bytes_up = 1,
							  .reason = GR_REASON_VIEWER_LEFT }));
	event = recorded(GR_AUDIT_PRINT_END);
	assert_string_equal(event.detail, "pages=1 and a part of one more");
	assert_int_equal(event.reason, GR_REASON_VIEWER_LEFT);

	/* More pages than the policy permits, whatever the session's process believes. */
	print.number = 4;
	print.bytes_down = 101;
	assert_true(say(session, print));
	answer = hear(session, GR_IPC_PRINT);
	assert_true(answer.number == 4 && answer.reason == GR_REASON_NOT_PERMITTED);

	/* Its process dies in the middle: the record has an end all the same. */
	print.bytes_down = 2;
	assert_true(say(session, print));
	recorded(GR_AUDIT_PRINT);
	hear(session, GR_IPC_PRINT);
	close(session);
	event = recorded(GR_AUDIT_PRINT_END);
	assert_string_equal(event.target, "document 4");
	assert_int_equal(event.reason, GR_REASON_INTERNAL);
	leave(&viewer);
}

static void a_session_that_prints_out_of_turn_is_ended(void **state)
{
	static const struct gr_ipc_message wrong[] = {
		{ .type = GR_IPC_PRINT, .number = 0, .bytes_up = 1, .bytes_down = 1 },
		{ .type = GR_IPC_PRINT, .number = 1, .bytes_up = 0, .bytes_down = 1 },
		{ .type = GR_IPC_PRINT, .number = 1, .bytes_up = 2, .bytes_down = 1 },
		{ .type = GR_IPC_PRINTED, .number = 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct viewer viewer;
		int session = open_session(i % 2 ? "hanako" : "taro", 1, &viewer);

		say(session, wrong[i]);
		gone(session);
		leave(&viewer);
		assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, 1);
		say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1 });
	}
}

static void without_a_record_nothing_is_printed(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);
	char full[512];

	(void)state;
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY, 0600));
	assert_true(say(session,
			(struct gr_ipc_message){ .type = GR_IPC_PRINT, .number = 1, .bytes_up = 1, .bytes_down = 1 }));
	assert_int_equal(hear(session, GR_IPC_PRINT).reason, GR_REASON_AUDIT_UNAVAILABLE);
	unlink(full);
	stays(session);
	leave(&viewer);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(printing_is_recorded_before_it_begins, begin, end),
		cmocka_unit_test_setup_teardown(a_session_that_prints_out_of_turn_is_ended, begin, end),
		cmocka_unit_test_setup_teardown(without_a_record_nothing_is_printed, begin, end),
	};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strncmp(name, "garasu-", 7) == 0 && argc >= 2)
		return stand_in(name + 7, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
