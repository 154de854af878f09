#include "viewer/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct gr_viewer_options options;
static struct gr_error err;
static char file[] = "/tmp/garasu-settings-XXXXXX";

static int begin(void **state)
{
	(void)state;
	options = (struct gr_viewer_options){ .port = "5910", .zoom = 100 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	gr_viewer_options_finish(&options);
	return 0;
}

static int read_text(const char *text, int is_system)
{
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return gr_settings_read(&options, file, is_system, &err);
}

static void the_example_is_understood(void **state)
{
	(void)state;
	assert_int_equal(gr_settings_read(&options, EXAMPLE, 1, &err), 0);
	assert_string_equal(options.host, "glass.example.lg.jp");
	assert_string_equal(options.ca, "/etc/garasu/ca.pem");
	assert_int_equal(options.quality, 8);
	assert_true(options.certificate[0] == '/'); /* ~ is somebody's folder */
	assert_true(gr_settings_is_fixed(&options, "server-name"));
	assert_false(gr_settings_is_fixed(&options, "zoom"));
}

static void the_persons_file_changes_what_is_not_fixed(void **state)
{
	(void)state;
	assert_int_equal(read_text("host = one\nzoom = 125\nhigh_contrast = yes\nfixed = { host }\n", 1), 0);
	assert_int_equal(read_text("host = two\nzoom = 150\nhigh_contrast = no\nfixed = { zoom }\n", 0), 0);
	assert_string_equal(options.host, "one");
	assert_int_equal(options.zoom, 150);
	assert_false(options.high_contrast);
	assert_true(gr_settings_is_fixed(&options, "host"));
	assert_false(gr_settings_is_fixed(&options, "zoom")); /* only the system's file fixes */
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int line;
	} wrong[] = {
		{ "zoom = 100\nzoom = 1000\n", 2 },
		{ "\n\nport = 0\n", 3 },
		{ "no_such_key = 1\n", 1 },
		{ "full_screen = maybe\n", 1 },
		{ "size = \"8x8\"\n", 1 },
		{ "host = a\nfixed = { nothing }\n", 2 },
		{ "host = a\nhost = {\"b\", \"c\"}\n", 2 },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char begin_of_it[80];
		assert_int_not_equal(read_text(wrong[i].text, 1), 0);
		snprintf(begin_of_it, sizeof(begin_of_it), "%s:%d: ", file, wrong[i].line);
		assert_memory_equal(err.text, begin_of_it, strlen(begin_of_it));
	}
}

static void a_file_that_is_not_there_is_told_apart(void **state)
{
	(void)state;
	assert_int_equal(gr_settings_read(&options, "/nonexistent/viewer.conf", 0, &err), GR_ENOENT);
}

static void the_command_line_goes_first_and_the_file_can_have_all(void **state)
{
	(void)state;
	char program[] = "garasu-viewer", config[] = "--config", zoom[] = "--zoom", value[] = "200",
	     other[] = "host.example:1";
	char *alone[] = { program, config, file, NULL }, *more[] = { program, config, file, zoom, value, other, NULL };
	assert_int_equal(read_text("host = broker.example\nport = 4000\nca = /ca.pem\nzoom = 125\n", 0), 0);
	gr_viewer_options_finish(&options);
	assert_int_equal(gr_viewer_options_parse(&options, 3, alone), 0);
	assert_string_equal(options.host, "broker.example");
	assert_string_equal(options.port, "4000");
	assert_string_equal(options.ca, "/ca.pem");
	assert_int_equal(options.zoom, 125);
	gr_viewer_options_finish(&options);
	assert_int_equal(gr_viewer_options_parse(&options, 6, more), 0);
	assert_string_equal(options.host, "host.example");
	assert_string_equal(options.port, "1");
	assert_int_equal(options.zoom, 200);
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(file);
	close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_example_is_understood, begin, end),
		cmocka_unit_test_setup_teardown(the_persons_file_changes_what_is_not_fixed, begin, end),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_its_line, begin, end),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_told_apart, begin, end),
		cmocka_unit_test_setup_teardown(the_command_line_goes_first_and_the_file_can_have_all, begin, end),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
