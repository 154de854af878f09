/* broker/config/check: what is found out about a configuration before anything is started. */
#include "broker/config/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/garasu-check-XXXXXX";
static char path[64];
static char findings[32][1024];
static unsigned count;

static void keep(void *context, int warning, const char *finding)
{
	(void)context;
	(void)warning;
	assert_true(count < 32);
	snprintf(findings[count++], sizeof(findings[0]), "%s", finding);
}

/* What is found in a file with this text; returns what gr_check does. */
static unsigned check(const char *text)
{
	static struct gr_config config;
	struct gr_error err;
	FILE *file = fopen(path, "we");
	unsigned problems;

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	gr_config_init(&config);
	if (gr_config_load(&config, path, &err) != 0)
		fail_msg("%s", err.text);
	count = 0;
	problems = gr_check(&config, keep, NULL);
	gr_config_finish(&config);
	return problems;
}

/* Whether the file's line (0 = whatever) has this finding. */
static int found(unsigned line, const char *text)
{
	char full[1200];

	if (line)
		snprintf(full, sizeof(full), "%s:%u: %s", path, line, text);
	else
		snprintf(full, sizeof(full), "%s: %s", path, text);
	for (unsigned i = 0; i < count; i++)
		if (strncmp(findings[i], full, strlen(full)) == 0)
			return 1;
	return 0;
}

static void names_of_this_machine_are_looked_up(void **state)
{
	(void)state;
	check("admin {\n administrators = {\"daemon\", \"no-such-user\"}\n auditors = {\"daemon\", \"root\"}\n}\n");
	assert_true(found(2, "admin.administrators: this machine has no user \"no-such-user\""));
	assert_true(found(3, "admin.auditors: \"daemon\" is an administrator: nobody can be both"));
	assert_true(found(3, "admin.auditors: \"root\" is an administrator always: nobody can be both"));
}

static void what_is_risky_is_a_warning_and_no_problem(void **state)
{
	unsigned before;

	(void)state;
	before = check("");
	assert_false(found(0, "warning: identity.code"));
	assert_int_equal(check("admin {\n two_person = 1\n}\nidentity {\n code = \"none\"\n}\n"
			       "group \"広報課\" {\n recording = \"on\"\n}\n"
			       "group \"税務課\" {\n}\n"
			       "recording {\n directory = \"/tmp\"\n}\n"),
			 before + 1); /* the recording that nobody can see */
	assert_true(found(2, "warning: admin.two_person: there are fewer than two administrators"));
	assert_true(found(5, "warning: identity.code: no one-time code"));
	assert_true(found(8, "group \"広報課\".recording: sessions are to be recorded, but for nobody to see"));
	for (unsigned i = 0; i < count; i++)
		assert_null(strstr(findings[i], "税務課")); /* what it has not set itself is told once */
}

static void new_sections_name_files_that_must_be_there(void **state)
{
	char text[1024];

	(void)state;
	check("syslog {\n server = \"log.example:6514\"\n key = \"/nonexistent/key\"\n}\n"
	      "timestamp {\n url = \"http://tsa.example/\"\n ca = \"/nonexistent/ca\"\n}\n"
	      "recording {\n auditors = \"/nonexistent/auditors\"\n}\n"
	      "identity {\n password = \"pam\"\n pam_service = \"no-such-service\"\n}\n");
	assert_true(found(0, "syslog.ca (default): a server without the CA"));
	assert_true(found(0, "syslog.certificate (default): a certificate and its key go together"));
	assert_true(found(3, "syslog.key: cannot read /nonexistent/key"));
	assert_true(found(7, "timestamp.ca: cannot read /nonexistent/ca"));
	assert_true(found(10, "recording.auditors: "));
	assert_true(found(14, "identity.pam_service: cannot read /etc/pam.d/no-such-service"));

	snprintf(text, sizeof(text), "audit {\n signing_key = \"%s\"\n}\n", path);
	check(text); /* this very file, which is no key and which others may read */
	assert_true(found(2, "audit.signing_key: "));
}

static void key_is_found_on_its_line_in_its_section(void **state)
{
	char name[] = "/tmp/garasu-check-XXXXXX";
	int fd = mkstemp(name);
	FILE *file = fdopen(fd, "w");

	(void)state;
	assert_non_null(file);
	fputs("# key = 1\nlisten {\n\tport = 1\n}\n\ntls {\n\t# key = \"no\"\n\tkey = \"/x\"\n}\npool { images = "
	      "\"/y\" }\ngroup \"広報課\" {\n\tclipboard_up = 1\n}\n",
	      file);
	fclose(file);
	assert_int_equal(gr_check_line(name, "listen", "port"), 3);
	assert_int_equal(gr_check_line(name, "tls", "key"), 8);
	assert_int_equal(gr_check_line(name, "pool", "images"), 10);
	assert_int_equal(gr_check_line(name, "listen", "key"), 0);
	assert_int_equal(gr_check_line(name, "tls", "port"), 0);
	assert_int_equal(gr_check_line(name, "group \"広報課\"", "clipboard_up"), 12);
	assert_int_equal(gr_check_line("/nonexistent", "tls", "port"), 0);
	unlink(name);
}

static int begin(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/garasu.conf", folder);
	return 0;
}

static int end(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_this_machine_are_looked_up),
		cmocka_unit_test(what_is_risky_is_a_warning_and_no_problem),
		cmocka_unit_test(new_sections_name_files_that_must_be_there),
		cmocka_unit_test(key_is_found_on_its_line_in_its_section),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
