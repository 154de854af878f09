/* broker/admin/request: what a user asks, before it goes to the supervisor. */
#include "broker/admin/request.h"

#include "broker/admin/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct gr_admin_request request(uint32_t kind, const char *subject, const char *text)
{
	struct gr_admin_request r = { .version = GR_ADMIN_VERSION, .kind = kind };

	memset(r.subject, 0x55, sizeof(r.subject));
	memset(r.text, 0x55, sizeof(r.text));
	strcpy(r.subject, subject);
	strcpy(r.text, text);
	return r;
}

static int read_it(const struct gr_admin_request *r, struct gr_ipc_message *out)
{
	return gr_admin_request_read(r, sizeof(*r), out);
}

static void every_command_becomes_its_message(void **state)
{
	static const uint32_t types[] = { GR_IPC_ADMIN_STATUS,  GR_IPC_ADMIN_SESSIONS, GR_IPC_ADMIN_KILL,
					  GR_IPC_ADMIN_CUTOFF,  GR_IPC_ADMIN_RESTORE,  GR_IPC_ADMIN_RELOAD,
					  GR_IPC_ADMIN_PENDING, GR_IPC_ADMIN_APPROVE,  GR_IPC_ADMIN_REJECT,
					  GR_IPC_ADMIN_PRUNE,   GR_IPC_ADMIN_USER };
	struct gr_ipc_message message;

	(void)state;
	for (uint32_t kind = GR_ADMIN_STATUS; kind < GR_ADMIN_REQUESTS; kind++) {
		struct gr_admin_request r = request(kind, "広報課", "訓練のため");

		assert_int_equal(read_it(&r, &message), 0);
		assert_int_equal(message.type, types[kind - 1]);
		assert_string_equal(message.subject, "広報課");
		assert_string_equal(message.text, "訓練のため");
		/* What stood behind the ends is not passed on, and who asks is not the asker's to say. */
		assert_int_equal(message.text[sizeof(message.text) - 1], 0);
		assert_int_equal(message.subject[sizeof(message.subject) - 1], 0);
		assert_int_equal(message.actor[0], 0);
		assert_int_equal(message.reason, 0);
	}
}

static void anything_else_is_refused(void **state)
{
	static const char *const wrong[] = { "a\nb",     "\x1b[2J",  "\x7f",         "\xc2\x85",
					     "\xff",     "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					     "\xe5\xba", "\x80" };
	struct gr_admin_request r = request(GR_ADMIN_KILL, "", "");
	struct gr_ipc_message message;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		r = request(GR_ADMIN_CUTOFF, wrong[i], "why");
		assert_int_equal(read_it(&r, &message), GR_EPROTO);
		r = request(GR_ADMIN_CUTOFF, "", wrong[i]);
		assert_int_equal(read_it(&r, &message), GR_EPROTO);
	}
	r = request(0, "", "");
	assert_int_equal(read_it(&r, &message), GR_EPROTO);
	r = request(GR_ADMIN_REQUESTS, "", "");
	assert_int_equal(read_it(&r, &message), GR_EPROTO);
	r = request(GR_ADMIN_STATUS, "", "");
	assert_int_equal(gr_admin_request_read(&r, sizeof(r) - 1, &message), GR_EPROTO);
	r.version++;
	assert_int_equal(read_it(&r, &message), GR_EPROTO);
	r = request(GR_ADMIN_STATUS, "", "");
	memset(r.text, 'a', sizeof(r.text));
	assert_int_equal(read_it(&r, &message), GR_EPROTO);
	r = request(GR_ADMIN_STATUS, "", "");
	memset(r.person, 'a', sizeof(r.person));
	assert_int_equal(read_it(&r, &message), GR_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_becomes_its_message),
		cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
