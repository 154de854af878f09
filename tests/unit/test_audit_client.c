/* Events in flight: what waits for the record, what is kept for it. */
#include "broker/audit/client.h"
#include "common/io.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct gr_loop *loop;
static struct gr_audit_client *client;
static int other = -1; /* the audit process's end */
static int answers, recorded_answers;
static uint64_t last_number;

static void answered(void *context, uint64_t number, int recorded)
{
	(void)context;
	answers++;
	recorded_answers += recorded;
	last_number = number;
}

static void stop(void *context)
{
	(void)context;
	gr_loop_stop(loop, 0);
}

static void turn(int64_t ms)
{
	struct gr_loop_timer *timer = gr_loop_timer_add(loop, stop, NULL);

	gr_loop_timer_set(timer, ms);
	gr_loop_run(loop);
	gr_loop_timer_remove(timer);
}

static void connect_audit(void)
{
	int pair[2];

	gr_io_close(&other);
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	other = pair[1];
	gr_audit_client_connect(client, pair[0]);
}

static int begin(void **state)
{
	(void)state;
	loop = gr_loop_create();
	client = gr_audit_client_create(loop, GR_AUDIT_SOURCE_SUPERVISOR);
	answers = recorded_answers = 0;
	connect_audit();
	return 0;
}

static int end(void **state)
{
	(void)state;
	gr_audit_client_destroy(client);
	gr_loop_destroy(loop);
	gr_io_close(&other);
	return 0;
}

static struct gr_audit_event event(uint32_t kind)
{
	struct gr_audit_event out;

	memset(&out, 0, sizeof(out));
	out.kind = kind;
	return out;
}

static int permit(uint32_t kind, uint64_t number, uint64_t *token)
{
	struct gr_audit_event what = event(kind);

	return gr_audit_client_permit(client, &what, answered, NULL, number, token);
}

static void keep(uint32_t kind)
{
	struct gr_audit_event what = event(kind);

	gr_audit_client_keep(client, &what);
}

/* The next event at the audit process's end: its kind, 0 for none. */
static uint32_t next(uint64_t *token)
{
	struct gr_audit_event got;
	size_t size;

	if (gr_io_receive(other, &got, sizeof(got), &size, NULL) < 0)
		return 0;
	assert_int_equal(size, sizeof(got));
	assert_int_not_equal(got.token, 0);
	assert_int_equal(got.permit, got.kind == GR_AUDIT_LOGIN || got.kind == GR_AUDIT_EGRESS_REQUEST);
	*token = got.token;
	return got.kind;
}

static void acknowledge(uint64_t token, uint64_t sequence)
{
	struct gr_audit_acknowledgement answer = {
		.token = token,
		.sequence = sequence,
		.state = sequence && sequence != GR_AUDIT_KEPT ? GR_AUDIT_WRITABLE : GR_AUDIT_UNWRITABLE,
		.cause = ENOSPC,
		.kept = sequence == GR_AUDIT_KEPT,
	};

	assert_int_equal(gr_io_send(other, &answer, sizeof(answer), -1), 0);
}

static const char *state_text(uint64_t *sequence)
{
	static char text[128];

	gr_audit_client_state(client, text, sizeof(text), sequence);
	return text;
}

static void permission_comes_with_the_acknowledgement_only(void **state)
{
	uint64_t token = 0, sequence;

	(void)state;
	assert_int_equal(permit(GR_AUDIT_LOGIN, 5, NULL), 0);
	assert_int_equal(next(&token), GR_AUDIT_LOGIN);
	turn(20);
	assert_int_equal(answers, 0);
	acknowledge(token, 17);
	turn(20);
	assert_int_equal(answers, 1);
	assert_int_equal(recorded_answers, 1);
	assert_int_equal(last_number, 5);
	assert_string_equal(state_text(&sequence), "ok");
	assert_int_equal(sequence, 17);
	acknowledge(token, 17); /* a second one finds nothing */
	acknowledge(4711, 18);
	turn(20);
	assert_int_equal(answers, 1);
}

static void full_disk_refuses_permission_and_keeps_reports(void **state)
{
	uint64_t token = 0, sequence;

	(void)state;
	permit(GR_AUDIT_LOGIN, 1, NULL);
	keep(GR_AUDIT_SESSION_END);
	assert_int_equal(next(&token), GR_AUDIT_LOGIN);
	acknowledge(token, 0);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 0);
	turn(20);
	assert_int_equal(answers, 1);
	assert_int_equal(recorded_answers, 0);
	assert_string_equal(state_text(&sequence), "cannot be written: No space left on device (0 events kept)");
	assert_int_equal(gr_audit_client_pending(client), 1);
	/* Not at every new event, but with the first that can be written. */
	permit(GR_AUDIT_LOGIN, 3, NULL);
	assert_int_equal(next(&token), GR_AUDIT_LOGIN);
	assert_int_equal(next(&sequence), 0);
	acknowledge(token, 18);
	turn(20);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 19);
	turn(20);
	assert_int_equal(gr_audit_client_pending(client), 0);
	assert_int_equal(recorded_answers, 1);
}

static void what_the_reserve_has_is_settled_and_permits_nothing(void **state)
{
	uint64_t token = 0, sequence;

	(void)state;
	keep(GR_AUDIT_SESSION_END);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, GR_AUDIT_KEPT);
	permit(GR_AUDIT_LOGIN, 1, NULL);
	assert_int_equal(next(&token), GR_AUDIT_LOGIN);
	acknowledge(token, GR_AUDIT_KEPT); /* which the audit process does not answer */
	turn(20);
	assert_int_equal(gr_audit_client_pending(client), 0);
	assert_int_equal(answers, 1);
	assert_int_equal(recorded_answers, 0);
	assert_string_equal(state_text(&sequence), "cannot be written: No space left on device (1 events kept)");
	assert_int_equal(sequence, 0);
}

static void the_state_is_told_by_itself(void **state)
{
	struct gr_audit_acknowledgement told = { .state = GR_AUDIT_UNSIGNED, .cause = EIO };
	uint64_t token = 0, sequence;

	(void)state;
	keep(GR_AUDIT_SESSION_END);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 0);
	turn(20);
	assert_int_equal(next(&token), 0);
	assert_int_equal(gr_io_send(other, &told, sizeof(told), -1), 0);
	turn(20);
	assert_string_equal(state_text(&sequence), "cannot be signed: Input/output error");
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END); /* what was held is tried at once */
	gr_io_close(&other);
	turn(20);
	assert_string_equal(state_text(&sequence), "not running");
}

static void kept_report_is_tried_again_by_itself(void **state)
{
	uint64_t token = 0;

	(void)state;
	keep(GR_AUDIT_SESSION_END);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 0);
	turn(1200);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 1);
	turn(20);
	assert_int_equal(gr_audit_client_pending(client), 0);
}

static void events_wait_for_the_next_audit_process_in_order(void **state)
{
	uint64_t token = 0;

	(void)state;
	permit(GR_AUDIT_LOGIN, 1, NULL);
	keep(GR_AUDIT_FAULT);
	gr_io_close(&other); /* it dies with both unanswered */
	turn(20);
	assert_int_equal(answers, 0);
	keep(GR_AUDIT_SESSION_END);
	connect_audit();
	assert_int_equal(next(&token), GR_AUDIT_LOGIN);
	acknowledge(token, 1);
	assert_int_equal(next(&token), GR_AUDIT_FAULT);
	acknowledge(token, 2);
	assert_int_equal(next(&token), GR_AUDIT_SESSION_END);
	acknowledge(token, 3);
	turn(20);
	assert_int_equal(recorded_answers, 1);
	assert_int_equal(gr_audit_client_pending(client), 0);
}

static void silence_refuses_after_the_deadline(void **state)
{
	(void)state;
	permit(GR_AUDIT_LOGIN, 1, NULL);
	turn(GR_AUDIT_DEADLINE_MS - 500);
	assert_int_equal(answers, 0);
	turn(1000);
	assert_int_equal(answers, 1);
	assert_int_equal(recorded_answers, 0);
	assert_int_equal(gr_audit_client_pending(client), 0);
}

static void flood_of_reports_leaves_room_for_logins(void **state)
{
	uint64_t token = 0;
	size_t kept;

	(void)state;
	for (unsigned i = 0; i < GR_AUDIT_QUEUE_MAX; i++)
		keep(GR_AUDIT_LOGIN_REFUSED);
	kept = gr_audit_client_pending(client);
	assert_true(kept < GR_AUDIT_QUEUE_MAX);
	for (size_t i = kept; i < GR_AUDIT_QUEUE_MAX; i++)
		assert_int_equal(permit(GR_AUDIT_LOGIN, 2, NULL), 0);
	assert_int_equal(permit(GR_AUDIT_LOGIN, 2, NULL), GR_EFULL);
	/* Once half of it is written the record is told how many are missing. */
	for (uint32_t kind = GR_AUDIT_LOGIN_REFUSED; kind != GR_AUDIT_FAULT;) {
		kind = next(&token);
		if (!kind)
			turn(1);
		else
			acknowledge(token, token);
	}
	assert_true(gr_audit_client_pending(client) <= GR_AUDIT_QUEUE_MAX / 2 + 1);
}

static void who_asked_may_go(void **state)
{
	uint64_t sent, waiting, token = 0;

	(void)state;
	permit(GR_AUDIT_EGRESS_REQUEST, 1, &sent);
	assert_int_equal(next(&token), GR_AUDIT_EGRESS_REQUEST);
	gr_audit_client_cancel(client, sent);
	acknowledge(token, 1);
	turn(20);
	gr_io_close(&other);
	turn(20);
	permit(GR_AUDIT_EGRESS_REQUEST, 2, &waiting);
	gr_audit_client_cancel(client, waiting);
	assert_int_equal(gr_audit_client_pending(client), 0);
	connect_audit();
	assert_int_equal(next(&token), 0);
	assert_int_equal(answers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(permission_comes_with_the_acknowledgement_only, begin, end),
		cmocka_unit_test_setup_teardown(full_disk_refuses_permission_and_keeps_reports, begin, end),
		cmocka_unit_test_setup_teardown(what_the_reserve_has_is_settled_and_permits_nothing, begin, end),
		cmocka_unit_test_setup_teardown(the_state_is_told_by_itself, begin, end),
		cmocka_unit_test_setup_teardown(kept_report_is_tried_again_by_itself, begin, end),
		cmocka_unit_test_setup_teardown(events_wait_for_the_next_audit_process_in_order, begin, end),
		cmocka_unit_test_setup_teardown(silence_refuses_after_the_deadline, begin, end),
		cmocka_unit_test_setup_teardown(flood_of_reports_leaves_room_for_logins, begin, end),
		cmocka_unit_test_setup_teardown(who_asked_may_go, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
