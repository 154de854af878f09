/* broker/config/difference: what differs, in words, and what of it counts at once. */
#include "broker/config/difference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char differences[64][GR_DIFFERENCE_TEXT + 16];
static unsigned count;

static void keep(void *context, int restart, const char *text)
{
	(void)context;
	assert_true(count < 64);
	assert_true(strlen(text) < GR_DIFFERENCE_TEXT);
	snprintf(differences[count++], sizeof(differences[0]), "%s%s", restart ? "restart " : "", text);
}

static void read_text(struct gr_config *config, const char *text)
{
	struct gr_error err;
	FILE *stream = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(stream);
	gr_config_init(config);
	if (gr_config_read(config, stream, "test", &err) != 0)
		fail_msg("%s", err.text);
	fclose(stream);
}

static void compare(const char *before, const char *after)
{
	static struct gr_config old, new;

	read_text(&old, before);
	read_text(&new, after);
	count = 0;
	assert_int_equal(gr_config_difference(&old, &new, keep, NULL), 0);
	/* What counts at once is the same in both after it was applied, and only what needs a restart is left. */
	unsigned first = count;
	unsigned restarts = 0;
	for (unsigned i = 0; i < first; i++)
		restarts += strncmp(differences[i], "restart ", 8) == 0;
	gr_config_apply(&old, &new);
	gr_config_finish(&new);
	read_text(&new, after);
	assert_int_equal(gr_config_difference(&old, &new, keep, NULL), 0);
	assert_int_equal(count - first, restarts);
	for (unsigned i = first; i < count; i++)
		assert_int_equal(strncmp(differences[i], "restart ", 8), 0);
	count = first;
	gr_config_finish(&old);
	gr_config_finish(&new);
}

static void is(unsigned i, const char *text)
{
	assert_true(i < count);
	assert_string_equal(differences[i], text);
}

static void equal_files_do_not_differ(void **state)
{
	(void)state;
	compare("limits { idle_minutes = 60 }\n", "# the default\n");
	assert_int_equal(count, 0);
	compare("egress { deny = {\"a.example\", \".b.example\"} }\n",
		"egress { deny = {\".b.example\", \"a.example\"} }\n");
	assert_int_equal(count, 0);
}

static void every_sort_of_value_is_told_in_words(void **state)
{
	(void)state;
	compare("listen { port = 6000 failures_per_minute = 3 }\n"
		"egress { default = \"deny\" ports = {80, 443} networks_refused = {\"203.0.113.0/24\"} }\n",
		"listen { port = 6001 failures_per_minute = 4 }\n"
		"egress { default = \"permit\" ports = {443, 8443} allow = {\"[2001:db8::1]:81\", \".例え.jp\"}\n"
		"networks_refused = {\"2001:db8::/32\"} upstream = \"proxy.example:8080\" }\n"
		"limits { recording = \"required\" }\n"
		"admin { two_person = 1 auditors = {\"nobody\"} }\n"
		"broker { log_level = \"debug\" }\n");
	is(0, "restart listen port: 6000 -> 6001");
	is(1, "listen failures_per_minute: 3 -> 4");
	is(2, "egress default: deny -> permit");
	is(3, "egress allow: added \".xn--r8jz45g.jp\", \"[2001:db8::1]:81\"");
	is(4, "egress ports: removed 80");
	is(5, "egress ports: added 8443");
	is(6, "egress networks_refused: removed \"203.0.113.0/24\"");
	is(7, "egress networks_refused: added \"2001:db8::/32\"");
	is(8, "restart egress upstream: none -> proxy.example:8080");
	is(9, "limits recording: none -> required");
	is(10, "admin auditors: added \"nobody\"");
	is(11, "admin two_person: 0 -> 1");
	is(12, "restart broker log_level: info -> debug");
	assert_int_equal(count, 13);
}

static void groups_are_told_by_name(void **state)
{
	(void)state;
	compare("group \"広報課\" { persons = {\"tanaka\", \"suzuki\"} deny = {\".x.example\"} }\n"
		"group \"税務課\" { persons = {\"sato\"} maximum_sessions = 2 }\n",
		"group \"観光課\" { persons = {\"sato\"} default = \"permit\" }\n"
		"group \"広報課\" { persons = {\"suzuki\", \"yamada\"} recording = \"required\" default = \"deny\" "
		"}\n");
	is(0, "group \"広報課\" persons: removed \"tanaka\"");
	is(1, "group \"広報課\" persons: added \"yamada\"");
	is(2, "group \"広報課\" default: as for everybody -> deny");
	is(3, "group \"広報課\" deny: removed \".x.example\"");
	is(4, "group \"広報課\" recording: none -> required");
	is(5, "group \"税務課\": removed");
	is(6, "group \"税務課\" persons: removed \"sato\"");
	is(7, "group \"税務課\" maximum_sessions: 2 -> 0");
	is(8, "group \"観光課\": added");
	is(9, "group \"観光課\" persons: added \"sato\"");
	is(10, "group \"観光課\" default: as for everybody -> permit");
	assert_int_equal(count, 11);
}

/* A limit for everybody is one for each group that has none of its own: that is told too. */
static void what_a_group_takes_over_changes_with_it(void **state)
{
	(void)state;
	compare("group \"a\" { }\ngroup \"b\" { idle_minutes = 5 }\n",
		"limits { idle_minutes = 30 }\ngroup \"a\" { }\ngroup \"b\" { idle_minutes = 5 }\n");
	is(0, "limits idle_minutes: 60 -> 30");
	is(1, "group \"a\" idle_minutes: 60 -> 30");
	assert_int_equal(count, 2);
}

static void long_lists_and_values_keep_to_their_lines(void **state)
{
	char text[8192] = "egress { deny = {";
	unsigned entries = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		sprintf(text + strlen(text), "%s\"host-%02d.a-rather-long-name.example.lg.jp\"", i ? ", " : "", i);
	strcat(text, "} }\n");
	compare("", text);
	assert_true(count > 5 && count < 20);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(strncmp(differences[i], "egress deny: added \"host-", 25), 0);
		for (const char *at = differences[i]; (at = strstr(at, "\"host-")); at++)
			entries++;
		assert_int_equal(differences[i][strlen(differences[i]) - 1], '"');
	}
	assert_int_equal(entries, 60);

	snprintf(text, sizeof(text), "session { home_url = \"http://www.example.jp/%0400d\" }\n", 0);
	compare("", text);
	assert_int_equal(count, 1);
	assert_non_null(strstr(differences[0], "…"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_files_do_not_differ),
		cmocka_unit_test(every_sort_of_value_is_told_in_words),
		cmocka_unit_test(groups_are_told_by_name),
		cmocka_unit_test(what_a_group_takes_over_changes_with_it),
		cmocka_unit_test(long_lists_and_values_keep_to_their_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
