/* The whole supervisor, what it does with the second factor and with administrators' requests about persons. */
#include "common/io.h"
#include "tests/unit/supervisor_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void say_of(uint32_t type, const struct viewer *viewer, const char *person, uint32_t reason, const char *text)
{
	struct gr_ipc_message message = { .type = type, .connection = (uint32_t)viewer->number, .reason = reason };

	snprintf(message.person, sizeof(message.person), "%s", person);
	snprintf(message.text, sizeof(message.text), "%s", text);
	assert_true(say(services[GR_IPC_KIND_IDENTITY], message));
}

static void wrong_answers_are_recorded_and_the_right_one_with_its_factors(void **state)
{
	struct viewer viewer;
	struct gr_audit_event event;

	(void)state;
	warm_up(1);
	viewer = arrive();
	say_of(GR_IPC_LOGIN_FAILED, &viewer, "hanako", GR_REASON_WRONG_FACTOR, "password=wrong code=right");
	event = recorded(GR_AUDIT_LOGIN_FAILED);
	assert_int_equal(event.reason, GR_REASON_WRONG_FACTOR);
	assert_int_equal(event.connection, viewer.number);
	assert_string_equal(event.person, "hanako");
	assert_string_equal(event.detail, "password=wrong code=right");
	assert_true(event.peer[0]);
	say_of(GR_IPC_IDENTIFIED, &viewer, "hanako", GR_REASON_NONE, "serial=1 factors=certificate,password,totp");
	assert_true(say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_WANT_SESSION }));
	event = recorded(GR_AUDIT_LOGIN);
	assert_string_equal(event.detail, "serial=1 factors=certificate,password,totp");
	leave(&viewer);
}

static void wrong_answers_bar_their_address_for_a_while(void **state)
{
	struct viewer viewer = arrive();
	char byte;

	(void)state;
	for (int i = 0; i < FAILURES_PER_MINUTE; i++)
		say_of(GR_IPC_LOGIN_FAILED, &viewer, "hanako", GR_REASON_WRONG_FACTOR, "password=wrong");
	assert_non_null(strstr(recorded(GR_AUDIT_LOGIN_REFUSED).detail, "not served for 10 s"));
	int tcp = connect_viewer();
	assert_true(readable(tcp, PATIENCE_MS));
	assert_int_equal(recv(tcp, &byte, 1, 0), 0);
	close(tcp);
	/* Who is being asked may answer. */
	stays(viewer.gateway);
	say_of(GR_IPC_LOGIN_FAILED, &viewer, "hanako", GR_REASON_LOCKED_OUT, "password=wrong");
	say_of(GR_IPC_IDENTIFIED, &viewer, "hanako", GR_REASON_LOCKED_OUT, "serial=1 locked out");
	struct gr_audit_event event = recorded(GR_AUDIT_LOGIN_REFUSED);
	assert_int_equal(event.reason, GR_REASON_LOCKED_OUT);
	assert_string_equal(event.detail, "second factor refused serial=1 locked out");
	leave(&viewer);
}

static void identity_may_not_say_it_of_who_was_let_in_or_unasked(void **state)
{
	struct viewer viewer = arrive();

	(void)state;
	identify(&viewer, "hanako");
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ .type = GR_IPC_LOGIN_FAILED,
								     .connection = (uint32_t)viewer.number,
								     .person = "hanako" });
	gone(services[GR_IPC_KIND_IDENTITY]);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
	leave(&viewer);
	/* Nobody asked anything about persons. */
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ .type = GR_IPC_USER_ROW, .number = 7 });
	gone(services[GR_IPC_KIND_IDENTITY]);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
}

static const struct gr_ipc_message add = { .type = GR_IPC_ADMIN_USER,
					   .number = 5,
					   .person = "hanako",
					   .actor = "root",
					   .subject = "add",
					   .text = "\xe7\x95\xb0\xe5\x8b\x95" };

static void send_request(const struct gr_ipc_message *request)
{
	assert_true(send(services[GR_IPC_KIND_ADMIN], request, sizeof(*request), MSG_NOSIGNAL) > 0);
}

static void requests_about_persons_are_recorded_first_and_passed_on(void **state)
{
	struct gr_ipc_message message;
	struct gr_audit_event event;

	(void)state;
	send_request(&add);
	event = recorded(GR_AUDIT_USER);
	assert_string_equal(event.person, "hanako");
	assert_string_equal(event.actor, "root");
	assert_string_equal(event.target, "add");
	assert_string_equal(event.detail, add.text);
	message = hear(services[GR_IPC_KIND_IDENTITY], GR_IPC_USER);
	assert_string_equal(message.person, "hanako");
	assert_string_equal(message.subject, "add");
	assert_true(say(services[GR_IPC_KIND_IDENTITY],
			(struct gr_ipc_message){ .type = GR_IPC_USER_ROW, .number = 5, .text = "secret" }));
	message = hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_ROW);
	assert_int_equal(message.number, 5);
	assert_string_equal(message.text, "secret");
	assert_true(say(services[GR_IPC_KIND_IDENTITY],
			(struct gr_ipc_message){ .type = GR_IPC_USER_DONE, .number = 5, .text = "done" }));
	message = hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_DONE);
	assert_int_equal(message.number, 5);
	assert_int_equal(message.reason, GR_REASON_NONE);
}

static void requests_about_persons_that_cannot_be_done_are_answered(void **state)
{
	struct gr_ipc_message request = add, message;
	char full[128];

	(void)state;
	snprintf(request.subject, sizeof(request.subject), "promote");
	message = ask(request);
	assert_int_equal(message.reason, GR_REASON_NOT_PERMITTED);

	request = add;
	request.text[0] = '\0';
	message = ask(request);
	assert_int_equal(message.reason, GR_REASON_NOT_PERMITTED);
	assert_string_equal(message.text, "there must be a reason");

	/* The identity process dies meanwhile. */
	send_request(&add);
	hear(services[GR_IPC_KIND_IDENTITY], GR_IPC_USER);
	say(services[GR_IPC_KIND_IDENTITY], (struct gr_ipc_message){ .type = SHORT_PACKET });
	gone(services[GR_IPC_KIND_IDENTITY]);
	message = hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_DONE);
	assert_int_equal(message.number, 5);
	assert_int_equal(message.reason, GR_REASON_INTERNAL);
	services[GR_IPC_KIND_IDENTITY] = take_child(GR_IPC_KIND_IDENTITY, NULL);
	let_hear();

	/* It cannot be recorded: the identity process hears nothing of it. */
	snprintf(full, sizeof(full), "%s/full", folder);
	FILE *stream = fopen(full, "we");
	assert_non_null(stream);
	fclose(stream);
	message = ask(add);
	assert_int_equal(message.reason, GR_REASON_AUDIT_UNAVAILABLE);
	assert_false(readable(services[GR_IPC_KIND_IDENTITY], 100));
	unlink(full);
}

static int begin_with_pam(void **state)
{
	code_factor = GR_FACTOR_PAM;
	int rc = begin(state);
	code_factor = GR_FACTOR_LOCAL;
	return rc;
}

static void identity_and_pam_are_connected_whenever_one_is_new(void **state)
{
	static const int both[] = { GR_IPC_KIND_IDENTITY, GR_IPC_KIND_PAM };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(hear(services[both[i]], GR_IPC_PEER).connection, 0);
	for (size_t dead = 0; dead < 2; dead++) {
		say(services[both[dead]], (struct gr_ipc_message){ .type = SHORT_PACKET });
		gone(services[both[dead]]);
		services[both[dead]] = take_child(both[dead], NULL);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(hear(services[both[i]], GR_IPC_PEER).connection, 0);
	}
}

#define login_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		login_test(wrong_answers_are_recorded_and_the_right_one_with_its_factors),
		login_test(wrong_answers_bar_their_address_for_a_while),
		login_test(identity_may_not_say_it_of_who_was_let_in_or_unasked),
		login_test(requests_about_persons_are_recorded_first_and_passed_on),
		login_test(requests_about_persons_that_cannot_be_done_are_answered),
		cmocka_unit_test_setup_teardown(identity_and_pam_are_connected_whenever_one_is_new, begin_with_pam,
						end),
	};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strncmp(name, "garasu-", 7) == 0 && argc >= 2)
		return stand_in(name + 7, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
