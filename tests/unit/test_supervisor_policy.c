/* A whole supervisor: limits in force, changes of policy, roles, the emergency. Its children are stand-ins, its clock the test's. */
#include "tests/unit/supervisor_driver.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MINUTE UINT64_C(60000)

static char rows[32][256]; /* texts of the last answer */
static struct gr_ipc_message row_messages[32];
static unsigned row_count;

/* Asks and keeps the ROWs; returns DONE. */
static struct gr_ipc_message request(uint32_t type, const char *actor, const char *subject, const char *text)
{
	struct gr_ipc_message message = { .type = type, .number = 77 };

	snprintf(message.actor, sizeof(message.actor), "%s", actor);
	snprintf(message.subject, sizeof(message.subject), "%s", subject);
	snprintf(message.text, sizeof(message.text), "%s", text);
	assert_true(send(services[GR_IPC_KIND_ADMIN], &message, sizeof(message), MSG_NOSIGNAL) > 0);
	row_count = 0;
	for (;;) {
		assert_true(readable(services[GR_IPC_KIND_ADMIN], PATIENCE_MS));
		if (recv(services[GR_IPC_KIND_ADMIN], &message, sizeof(message), 0) != sizeof(message))
			continue;
		if (message.type == GR_IPC_ADMIN_DONE)
			return message;
		assert_true(row_count < 32);
		row_messages[row_count] = message;
		snprintf(rows[row_count++], sizeof(rows[0]), "%s", message.text);
	}
}

static void answered(struct gr_ipc_message done, uint32_t reason, const char *text)
{
	if (done.reason != reason || !strstr(done.text, text))
		fail_msg("answered %u \"%s\"", done.reason, done.text);
}

/* The children's copy. */
static void copy_is(const char *text)
{
	char path[128], bytes[4096] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/run/policy.conf", folder);
	file = fopen(path, "re");
	assert_non_null(file);
	bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(bytes, text);
}

static void attached(int session, const struct viewer *viewer)
{
	assert_true(say(session,
			(struct gr_ipc_message){ .type = GR_IPC_ATTACHED, .connection = (uint32_t)viewer->number }));
	let_hear(); /* before the clock goes on: who has not attached in time is let go */
}

/* The next session process has done what it was for. */
static void close_next_session(void)
{
	close(take_child(GR_IPC_KIND_SESSION, NULL));
}

/* ---- limits ---- */

static void who_does_nothing_is_ended_when_the_policy_says(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	attached(session, &viewer);
	advance(4 * MINUTE);
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_ACTIVITY }));
	let_hear();
	advance(5 * MINUTE);
	stays(session);
	advance(GR_LIMITS_ACTIVITY_MS + 1);
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_IDLE);
	close(session);
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_IDLE);
}

static void a_session_lasts_no_longer_than_the_policy_says(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	attached(session, &viewer);
	for (int minute = 0; minute < 11; minute++) {
		advance(MINUTE);
		assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_ACTIVITY }));
		let_hear();
	}
	stays(session);
	advance(MINUTE);
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_TIME_LIMIT);
	close(session);
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_TIME_LIMIT);
}

static void a_new_limit_holds_for_sessions_that_are_there(void **state)
{
	struct viewer viewer;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	attached(session, &viewer);
	advance(3 * MINUTE);
	write_policy("limits { idle_minutes = 2 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "会議"), GR_REASON_NONE, "2 differences in force");
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_IDLE);
	close(session);
	leave(&viewer);
}

static void a_group_has_its_bound(void **state)
{
	struct gr_audit_event event;
	struct viewer viewer, second, again;
	int session = open_session("hanako", 1, &viewer);

	(void)state;
	event = recorded(GR_AUDIT_LOGIN);
	assert_string_equal(event.group, "税務課");
	assert_string_equal(recorded(GR_AUDIT_SESSION_START).group, "税務課");
	assert_string_equal(recorded(GR_AUDIT_SESSION_ATTACH).group, "税務課");
	warm_up(2);
	second = want("taro");
	assert_int_equal(hear(second.gateway, GR_IPC_REFUSE).reason, GR_REASON_NOT_PERMITTED);
	event = recorded(GR_AUDIT_LOGIN_REFUSED);
	assert_int_equal(event.reason, GR_REASON_NOT_PERMITTED);
	assert_string_equal(event.person, "taro");
	assert_string_equal(event.group, "税務課");
	assert_non_null(strstr(event.detail, "the group has its 1 sessions"));
	leave(&second);
	/* Who has one may come back to it, and somebody of no group has nothing to do with it. */
	again = want("hanako");
	assert_int_equal(hear(session, GR_IPC_ATTACH).connection, again.number);
	second = want("jiro");
	hear(second.gateway, GR_IPC_OPEN);
	close_next_session();
	leave(&second);
	leave(&again);
	leave(&viewer);
	close(session);
}

static void those_who_wait_count_for_the_bound(void **state)
{
	struct viewer first = want("hanako"), second = want("taro");

	(void)state;
	assert_int_equal(hear(second.gateway, GR_IPC_REFUSE).reason, GR_REASON_NOT_PERMITTED);
	stays(first.gateway);
	leave(&first);
	leave(&second);
}

static void a_higher_priority_takes_the_place_of_who_is_gone(void **state)
{
	struct viewer watched, detached, mayor;
	int session = open_session("hanako", 1, &watched), other = open_session("saburo", 2, &detached);

	(void)state;
	attached(session, &watched);
	attached(other, &detached);
	leave(&detached);
	recorded(GR_AUDIT_SESSION_DETACH);
	/* Done something just now, and so had hanako: but somebody watches hers. */
	mayor = want("mayor");
	assert_int_equal(hear(other, GR_IPC_END).reason, GR_REASON_DISPLACED);
	stays(session);
	close(other);
	assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, 2);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_DISPLACED);
	assert_true(say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 2 }));
	stays(mayor.gateway);
	warm_up(2);
	hear(mayor.gateway, GR_IPC_OPEN);
	close_next_session();
	leave(&mayor);
	leave(&watched);
	close(session);
}

static void of_two_who_watch_the_longest_idle_gives_way(void **state)
{
	struct viewer first, second, mayor, low;
	int session = open_session("hanako", 1, &first), other = open_session("saburo", 2, &second);

	(void)state;
	attached(session, &first);
	attached(other, &second);
	advance(MINUTE);
	assert_true(say(session, (struct gr_ipc_message){ .type = GR_IPC_ACTIVITY }));
	let_hear();
	/* Nobody gives way to an equal, or to a lower one. */
	low = want("jiro");
	assert_int_equal(hear(low.gateway, GR_IPC_REFUSE).reason, GR_REASON_NO_CAPACITY);
	leave(&low);
	stays(session);
	mayor = want("mayor");
	assert_int_equal(hear(other, GR_IPC_END).reason, GR_REASON_DISPLACED);
	assert_true(say(other, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
							.connection = (uint32_t)second.number,
							.reason = GR_REASON_DISPLACED }));
	let_hear();
	stays(session);
	close(other);
	leave(&second);
	assert_int_equal(recorded(GR_AUDIT_SESSION_DETACH).reason, GR_REASON_DISPLACED);
	leave(&mayor);
	leave(&first);
	close(session);
}

/* ---- changes of policy ---- */

static void a_change_is_recorded_and_counts_at_once(void **state)
{
	static const char changed[] = "limits { idle_minutes = 7 }\ngroup \"広報課\" { persons = {\"hanako\"} }\n";
	struct gr_audit_event event;
	char id[16];

	(void)state;
	write_policy(changed);
	let_hear();
	copy_is(policy); /* the file counts for nobody yet */
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", ""), GR_REASON_NOT_PERMITTED, "there must be a reason");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "人事異動"), GR_REASON_NONE, "4 differences in force");
	assert_string_equal(rows[0], "limits idle_minutes: 5 -> 7");
	assert_string_equal(rows[1], "limits absolute_minutes: 12 -> 720");
	assert_string_equal(rows[2], "group \"広報課\": added");
	assert_string_equal(rows[3], "group \"広報課\" persons: added \"hanako\"");
	copy_is(changed);
	event = recorded(GR_AUDIT_POLICY_CHANGE);
	assert_string_equal(event.actor, "root");
	assert_string_equal(event.detail, "人事異動");
	snprintf(id, sizeof(id), "%.8s", event.target);
	for (int i = 0; i < 4; i++) {
		event = recorded(GR_AUDIT_POLICY_DIFFERENCE);
		assert_string_equal(event.target, id);
		assert_string_equal(event.detail, rows[i]);
	}
	event = recorded(GR_AUDIT_CONFIGURATION);
	assert_non_null(strstr(event.detail, id));
	hear(services[GR_IPC_KIND_EGRESS], GR_IPC_POLICY);
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "again"), GR_REASON_NONE, "nothing differs");
}

static void what_needs_a_restart_changes_nothing(void **state)
{
	(void)state;
	write_policy("pool { maximum = 5 }\nlimits { idle_minutes = 7 absolute_minutes = 12 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_NOT_PERMITTED,
		 "1 of the differences need a restart");
	assert_int_equal(row_count, 1);
	assert_string_equal(rows[0], "needs a restart: pool maximum: 8 -> 5");
	copy_is(policy);
	write_policy("limits {\n idle_minutes = many\n}\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_NOT_PERMITTED, "garasu.conf:2: ");
	copy_is(policy);
	write_policy("limits { idle_minutes = 7 absolute_minutes = 12 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_NONE, "1 difference in force");
}

static void a_change_that_cannot_be_recorded_does_not_count(void **state)
{
	char full[128];

	(void)state;
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	write_policy("limits { idle_minutes = 7 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_AUDIT_UNAVAILABLE, "nothing has changed");
	copy_is(policy);
	unlink(full);
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_NONE, "in force");
	copy_is("limits { idle_minutes = 7 }\n");
}

#define TWO_PERSONS                                                                                                    \
	"admin { administrators = {\"alice\", \"bob\"} auditors = {\"carol\"} two_person = 1 }\n"                      \
	"limits { idle_minutes = 5 absolute_minutes = 12 }\n"

static void two_persons_change_the_policy(void **state)
{
	static const char proposed[] =
		"admin { administrators = {\"alice\", \"bob\"} auditors = {\"carol\"} two_person = 0 }\n"
		"limits { idle_minutes = 5 absolute_minutes = 12 }\n";
	struct gr_audit_event event;
	char id[16], full[128];

	(void)state;
	/* Doing away with two persons is a change as any other. */
	write_policy(proposed);
	answered(request(GR_IPC_ADMIN_RELOAD, "alice", "", "too slow"), GR_REASON_NONE, "proposed as ");
	assert_string_equal(rows[0], "admin two_person: 1 -> 0");
	event = recorded(GR_AUDIT_POLICY_PROPOSED);
	assert_string_equal(event.actor, "alice");
	assert_string_equal(event.detail, "too slow");
	snprintf(id, sizeof(id), "%.8s", event.target);
	assert_string_equal(recorded(GR_AUDIT_POLICY_DIFFERENCE).detail, rows[0]);
	copy_is(policy);

	answered(request(GR_IPC_ADMIN_APPROVE, "alice", id, "mine"), GR_REASON_NOT_PERMITTED, "another administrator");
	event = recorded(GR_AUDIT_ADMIN);
	assert_string_equal(event.actor, "alice");
	assert_non_null(strstr(event.detail, "refused: "));
	answered(request(GR_IPC_ADMIN_APPROVE, "carol", id, "?"), GR_REASON_NOT_PERMITTED, "is an auditor");
	answered(request(GR_IPC_ADMIN_APPROVE, "bob", "00000000", "?"), GR_REASON_NOT_PERMITTED, "no change");
	answered(request(GR_IPC_ADMIN_APPROVE, "bob", id, ""), GR_REASON_NOT_PERMITTED, "a reason");
	answered(request(GR_IPC_ADMIN_RELOAD, "bob", "", "?"), GR_REASON_NOT_PERMITTED, "approve or reject it first");
	answered(request(GR_IPC_ADMIN_PENDING, "carol", "", ""), GR_REASON_NONE, "");
	assert_int_equal(row_count, 2);
	assert_string_equal(row_messages[0].subject, id);
	assert_string_equal(row_messages[0].actor, "alice");
	assert_string_equal(rows[1], "admin two_person: 1 -> 0");
	copy_is(policy);

	/* One whose approval cannot be recorded waits on. */
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	answered(request(GR_IPC_ADMIN_APPROVE, "bob", id, "yes"), GR_REASON_AUDIT_UNAVAILABLE, "nothing has changed");
	unlink(full);
	copy_is(policy);

	/* What was proposed is what counts, whatever the file says by now. */
	write_policy("limits { idle_minutes = 1 }\n");
	answered(request(GR_IPC_ADMIN_APPROVE, "bob", id, "seen it"), GR_REASON_NONE, "in force");
	copy_is(proposed);
	do
		event = recorded(GR_AUDIT_POLICY_CHANGE);
	while (strstr(event.detail, ": yes")); /* which was not acknowledged */
	assert_string_equal(event.target, id);
	assert_string_equal(event.actor, "alice");
	assert_string_equal(event.detail, "approved by bob: seen it");
	answered(request(GR_IPC_ADMIN_PENDING, "bob", "", ""), GR_REASON_NONE, "");
	assert_int_equal(row_count, 0);
}

static void a_second_person_can_say_no(void **state)
{
	struct gr_audit_event event;
	char id[16];

	(void)state;
	write_policy("admin { administrators = {\"alice\", \"bob\"} auditors = {\"carol\"} two_person = 1 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "alice", "", "why"), GR_REASON_NONE, "proposed as ");
	snprintf(id, sizeof(id), "%.8s", recorded(GR_AUDIT_POLICY_PROPOSED).target);
	answered(request(GR_IPC_ADMIN_REJECT, "bob", id, "no"), GR_REASON_NONE, "is rejected");
	event = recorded(GR_AUDIT_POLICY_REJECTED);
	assert_string_equal(event.target, id);
	assert_string_equal(event.actor, "bob");
	assert_string_equal(event.detail, "no");
	answered(request(GR_IPC_ADMIN_APPROVE, "bob", id, "yes"), GR_REASON_NOT_PERMITTED, "no change");
	copy_is(policy);
}

static void new_administrators_count_at_once(void **state)
{
	(void)state;
	answered(request(GR_IPC_ADMIN_KILL, "dave", "", ""), GR_REASON_NOT_PERMITTED, "neither");
	write_policy("admin { administrators = {\"dave\"} }\nlimits { idle_minutes = 5 absolute_minutes = 12 }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "root", "", "why"), GR_REASON_NONE, "in force");
	/* The admin process knows users by their ids, which it found when it started. */
	gone(services[GR_IPC_KIND_ADMIN]);
	services[GR_IPC_KIND_ADMIN] = take_child(GR_IPC_KIND_ADMIN, NULL);
	write_policy("admin { administrators = {\"dave\"} }\n");
	answered(request(GR_IPC_ADMIN_RELOAD, "dave", "", "why"), GR_REASON_NONE, "in force");
}

/* ---- roles ---- */

static void each_role_may_what_is_its_own(void **state)
{
	static const struct {
		uint32_t type;
		int administrator, auditor; /* may */
	} commands[] = {
		{ GR_IPC_ADMIN_STATUS, 1, 1 },  { GR_IPC_ADMIN_SESSIONS, 1, 1 }, { GR_IPC_ADMIN_PENDING, 1, 1 },
		{ GR_IPC_ADMIN_KILL, 1, 0 },    { GR_IPC_ADMIN_RELOAD, 1, 0 },   { GR_IPC_ADMIN_CUTOFF, 1, 0 },
		{ GR_IPC_ADMIN_RESTORE, 1, 0 }, { GR_IPC_ADMIN_APPROVE, 1, 0 },  { GR_IPC_ADMIN_REJECT, 1, 0 },
		{ GR_IPC_ADMIN_USER, 1, 0 },    { GR_IPC_ADMIN_PRUNE, 0, 1 },
	};
	static const char *const actors[] = { "root", "alice", "carol", "mallory", "uid:1000", "" };

	(void)state;
	for (size_t c = 0; c < sizeof(commands) / sizeof(commands[0]); c++) {
		for (size_t a = 0; a < sizeof(actors) / sizeof(actors[0]); a++) {
			int may = a < 2 ? commands[c].administrator : a == 2 ? commands[c].auditor : 0;
			struct gr_ipc_message done;
			struct gr_audit_event event;

			if (may && commands[c].type != GR_IPC_ADMIN_STATUS)
				continue; /* what it does then is shown elsewhere */
			done = request(commands[c].type, actors[a], "", "why");
			if ((done.reason != GR_REASON_NOT_PERMITTED) != may)
				fail_msg("%s, message %u: %u", actors[a], commands[c].type, done.reason);
			if (may)
				continue;
			event = recorded(GR_AUDIT_ADMIN);
			assert_string_equal(event.actor, actors[a]);
			assert_int_equal(event.reason, GR_REASON_NOT_PERMITTED);
			assert_int_equal(strncmp(event.detail, "refused: ", 9), 0);
		}
	}
}

static void an_auditor_prunes_what_is_past_its_time(void **state)
{
	struct gr_ipc_message message = {
		.type = GR_IPC_ADMIN_PRUNE, .number = 5, .actor = "carol", .subject = "egress", .text = "保存期間満了"
	};
	struct gr_ipc_message pruned;

	(void)state;
	answered(request(GR_IPC_ADMIN_PRUNE, "carol", "everything", "x"), GR_REASON_NOT_PERMITTED,
		 "egress, records or");
	assert_true(send(services[GR_IPC_KIND_ADMIN], &message, sizeof(message), MSG_NOSIGNAL) > 0);
	pruned = hear(services[GR_IPC_KIND_AUDIT], GR_IPC_PRUNE);
	assert_string_equal(pruned.subject, "egress");
	assert_string_equal(pruned.actor, "carol");
	assert_string_equal(pruned.text, "保存期間満了");
	assert_int_equal(pruned.bytes_up, 400u * 86400);
	pruned.type = GR_IPC_PRUNED;
	snprintf(pruned.text, sizeof(pruned.text), "3 records");
	assert_true(say(services[GR_IPC_KIND_AUDIT], pruned));
	pruned = hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_DONE);
	assert_int_equal(pruned.number, 5);
	assert_string_equal(pruned.text, "3 records");
}

/* ---- the emergency ---- */

static void a_group_is_cut_off_and_let_back(void **state)
{
	struct gr_audit_event event;
	struct viewer viewer, other, again;
	int session = open_session("hanako", 1, &viewer), untouched = open_session("jiro", 2, &other);

	(void)state;
	answered(request(GR_IPC_ADMIN_CUTOFF, "root", "税務科", "ransomware"), GR_REASON_NOT_PERMITTED, "no group");
	freeze();
	answered(request(GR_IPC_ADMIN_CUTOFF, "root", "税務課", "ransomware"), GR_REASON_NONE, "1 session ended");
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_CUT_OFF);
	event = recorded(GR_AUDIT_CUTOFF);
	assert_string_equal(event.group, "税務課");
	assert_string_equal(event.actor, "root");
	assert_string_equal(event.detail, "ransomware");
	/* A process that does not end by itself does so within the second. */
	advance(950);
	gone(session);
	leave(&viewer);
	assert_int_equal(recorded(GR_AUDIT_SESSION_END).reason, GR_REASON_CUT_OFF);
	stays(untouched);

	again = want("hanako");
	assert_int_equal(hear(again.gateway, GR_IPC_REFUSE).reason, GR_REASON_CUT_OFF);
	assert_int_equal(recorded(GR_AUDIT_LOGIN_REFUSED).reason, GR_REASON_CUT_OFF);
	leave(&again);
	request(GR_IPC_ADMIN_STATUS, "carol", "", "");
	assert_int_equal(row_count, 1);
	assert_string_equal(row_messages[0].subject, "税務課");
	assert_string_equal(row_messages[0].actor, "root");
	assert_int_equal(row_messages[0].reason, GR_REASON_CUT_OFF);
	assert_string_equal(rows[0], "ransomware");

	answered(request(GR_IPC_ADMIN_RESTORE, "root", "", "done"), GR_REASON_NONE, "let back");
	assert_string_equal(recorded(GR_AUDIT_RESTORE).detail, "done");
	answered(request(GR_IPC_ADMIN_RESTORE, "root", "", "done"), GR_REASON_NOT_PERMITTED, "not cut off");
	assert_true(say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1 }));
	warm_up(1);
	again = want("hanako");
	hear(again.gateway, GR_IPC_OPEN);
	close_next_session();
	leave(&again);
	leave(&other);
	close(untouched);
}

static void everybody_is_cut_off_who_waits_too(void **state)
{
	struct viewer viewer, waiting, back;
	int session = open_session("jiro", 1, &viewer);
	char full[128];

	(void)state;
	waiting = want("hanako");
	answered(request(GR_IPC_ADMIN_CUTOFF, "alice", "", "test"), GR_REASON_NONE, "1 session ended");
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_CUT_OFF);
	assert_int_equal(hear(waiting.gateway, GR_IPC_REFUSE).reason, GR_REASON_CUT_OFF);
	close(session);
	leave(&viewer);
	leave(&waiting);
	/* Nobody is let back without a record of it. */
	snprintf(full, sizeof(full), "%s/full", folder);
	close(open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	answered(request(GR_IPC_ADMIN_RESTORE, "alice", "税務課", "over"), GR_REASON_AUDIT_UNAVAILABLE,
		 "nothing has changed");
	unlink(full);
	warm_up(2);
	back = want("hanako");
	assert_int_equal(hear(back.gateway, GR_IPC_REFUSE).reason, GR_REASON_CUT_OFF);
	leave(&back);
	answered(request(GR_IPC_ADMIN_RESTORE, "alice", "税務課", "over"), GR_REASON_NONE, "let back");
	back = want("hanako");
	hear(back.gateway, GR_IPC_OPEN);
	close_next_session();
	viewer = want("jiro");
	assert_int_equal(hear(viewer.gateway, GR_IPC_REFUSE).reason, GR_REASON_CUT_OFF);
	leave(&back);
	leave(&viewer);
}

static int begin_limited(void **state)
{
	policy = "limits { idle_minutes = 5 absolute_minutes = 12 }\n";
	return begin(state);
}

static int begin_grouped(void **state)
{
	policy = "admin { administrators = {\"alice\"} auditors = {\"carol\"} }\n"
		 "group \"税務課\" { persons = {\"hanako\", \"taro\"} maximum_sessions = 1 }\n";
	return begin(state);
}

static int begin_ranked(void **state)
{
	policy = "group \"市長室\" { persons = {\"mayor\"} priority = 9 }\n";
	return begin(state);
}

static int begin_two_persons(void **state)
{
	policy = TWO_PERSONS;
	return begin(state);
}

#define policy_test(function, with) cmocka_unit_test_setup_teardown(function, begin_##with, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		policy_test(who_does_nothing_is_ended_when_the_policy_says, limited),
		policy_test(a_session_lasts_no_longer_than_the_policy_says, limited),
		policy_test(a_new_limit_holds_for_sessions_that_are_there, limited),
		policy_test(a_group_has_its_bound, grouped),
		policy_test(those_who_wait_count_for_the_bound, grouped),
		policy_test(a_higher_priority_takes_the_place_of_who_is_gone, ranked),
		policy_test(of_two_who_watch_the_longest_idle_gives_way, ranked),
		policy_test(a_change_is_recorded_and_counts_at_once, limited),
		policy_test(what_needs_a_restart_changes_nothing, limited),
		policy_test(a_change_that_cannot_be_recorded_does_not_count, limited),
		policy_test(two_persons_change_the_policy, two_persons),
		policy_test(a_second_person_can_say_no, two_persons),
		policy_test(new_administrators_count_at_once, limited),
		policy_test(each_role_may_what_is_its_own, grouped),
		policy_test(an_auditor_prunes_what_is_past_its_time, grouped),
		policy_test(a_group_is_cut_off_and_let_back, grouped),
		policy_test(everybody_is_cut_off_who_waits_too, grouped),
	};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (strncmp(name, "garasu-", 7) == 0 && argc >= 2)
		return stand_in(name + 7, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
