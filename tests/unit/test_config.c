/* broker/config: the configuration file, and what is said about a wrong one. */
#include "broker/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct gr_config config;
static struct gr_error err;
static char path[64];

static int load(const char *text)
{
	strcpy(path, "/tmp/garasu-test-config-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	gr_config_init(&config);
	int status = gr_config_load(&config, path, &err);
	unlink(path);
	return status;
}

static void refused(const char *text, int line, const char *reason)
{
	char expected[600];
	assert_int_equal(load(text), GR_EINVAL);
	if (line)
		snprintf(expected, sizeof(expected), "%s:%d: %s", path, line, reason);
	else
		snprintf(expected, sizeof(expected), "%s: %s", path, reason);
	assert_string_equal(err.text, expected);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	(void)state;
	struct gr_config defaults;
	gr_config_init(&defaults);
	assert_int_equal(load(""), 0);
	memcpy(defaults.file, config.file, sizeof(defaults.file));
	assert_memory_equal(&defaults, &config, sizeof(config));
}

static void every_value_is_taken(void **state)
{
	(void)state;
	assert_int_equal(load("listen { address = \"::1\" port = 6000 vencrypt_port = 0\n"
			      "standard_viewers = \"permit\" failures_per_minute = 0 }\n"
			      "session { home_url = \"http://127.0.0.1:8000/\" max_width = 1920 history_mib = 4 }\n"
			      "pool { warm = 2 uid_first = 2000000 }\n"
			      "egress { upstream = \"proxy.example:8080\" allow = {\"127.0.0.1:8000\", \"[::1]:81\"}\n"
			      "default = \"deny\" }\n"
			      "broker { log_level = \"debug\" }\n"),
			 0);
	assert_string_equal(config.listen.address, "::1");
	assert_int_equal(config.listen.port, 6000);
	assert_int_equal(config.listen.vencrypt_port, 0);
	assert_int_equal(config.listen.standard_deny, 0);
	assert_int_equal(config.listen.failures_per_minute, 0);
	assert_string_equal(config.session.home_url, "http://127.0.0.1:8000/");
	assert_int_equal(config.session.max_width, 1920);
	assert_int_equal(config.session.max_height, 2160);
	assert_int_equal(config.session.history_mib, 4);
	assert_int_equal(config.pool.warm, 2);
	assert_int_equal(config.pool.uid_first, 2000000);
	assert_string_equal(config.egress.upstream.host, "proxy.example");
	assert_int_equal(config.egress.upstream.port, 8080);
	assert_int_equal(config.egress.allow_count, 2);
	assert_string_equal(config.egress.allow[1].host, "::1");
	assert_int_equal(config.egress.allow[1].port, 81);
	assert_int_equal(config.egress.default_deny, 1);
	assert_int_equal(config.broker.log_level, GR_LOG_DEBUG);
	assert_int_equal(load("egress { default = \"permit\" }"), 0);
	assert_int_equal(config.egress.default_deny, 0);
}

static void the_example_is_complete_and_shows_the_defaults(void **state)
{
	(void)state;
	FILE *file = fopen(EXAMPLE, "r");
	assert_non_null(file);
	char text[16384], line[512];
	size_t n = 0;
	unsigned keys = 0;
	while (fgets(line, sizeof(line), file)) { /* take the comment sign off every "key = value" */
		char *hash = strchr(line, '#');
		int key = line[0] == '\t' && hash && strstr(line, " = ") &&
			  !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", hash[2]) &&
			  strstr(line, " = ") < strchr(hash + 2, ' ') + 1;
		if (key)
			*hash = ' ';
		keys += (unsigned)key;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", line);
	}
	fclose(file);
	struct gr_config defaults;
	gr_config_init(&defaults);
	assert_int_equal(keys, 32);
	if (load(text))
		fail_msg("%s", err.text);
	memcpy(defaults.file, config.file, sizeof(defaults.file));
	assert_memory_equal(&defaults, &config, sizeof(config));
}

static void a_wrong_line_gives_file_line_and_reason(void **state)
{
	(void)state;
	refused("listen {\n\tport = 70000\n}\n", 2, "port = 70000: must be 1 to 65535");
	refused("\n\nlisten { address = \"localhost\" }\n", 3,
		"address = \"localhost\": must be a numeric IPv4 or IPv6 address");
	refused("session { home_url = \"file:///etc/passwd\" }", 1,
		"home_url = \"file:///etc/passwd\": must be an http: or https: URL without spaces");
	refused("egress {\nallow = {\"127.0.0.1:80\",\n\"127.0.0.1\"} }", 3,
		"allow = \"127.0.0.1\": must be host:port");
	refused("pool {\n\twarm = 0\n}", 2,
		"warm = 0: must be 1 to 256"); /* a session takes a container that is ready */
	refused("egress { upstream = \"a:b:80\" }", 1, "upstream = \"a:b:80\": must be host:port");
	refused("egress {\n\tdefault = \"allow\"\n}", 2, "default = \"allow\": must be permit or deny");
	refused("listen { standard_viewers = \"yes\" }", 1, "standard_viewers = \"yes\": must be permit or deny");
	refused("tls { key = \"server.key\" }", 1, "key = \"server.key\": must be an absolute path");
	refused("broker { log_level = \"loud\" }", 1, "log_level = \"loud\": must be error, warning, info or debug");
	refused("listen {\n\tprot = 1\n}\n", 2, "no such option 'prot'");
	refused("lisden {\n", 1, "no such option 'lisden'");
	refused("listen {\n\tport = x\n}\n", 2, "invalid integer value for option 'port'");
}

static void values_that_do_not_go_together_are_refused(void **state)
{
	(void)state;
	refused("session { width = 1920 max_width = 1280 }", 0,
		"session: width and height must not be larger than max_width and max_height");
	refused("session { history_mib = 12 }", 0, "session: history_mib must be 1, 2, 4, 8, 16 or 32");
	refused("pool { warm = 9 }", 0, "pool: warm must not be larger than maximum");
	refused("listen { port = 5911 }", 0, "listen: port and vencrypt_port must differ");
	refused("broker { uid_base = 1050000 }", 0,
		"broker: the user ids from uid_base overlap those of the containers from pool's uid_first");
	char text[300] = "broker { run_directory = \"/";
	memset(text + strlen(text), 'a', 100);
	strcat(text, "\" }");
	refused(text, 0, "broker: run_directory is too long for the paths of sockets");
}

static void a_missing_file_is_named(void **state)
{
	(void)state;
	assert_int_equal(gr_config_load(&config, "/nonexistent/garasu.conf", &err), GR_ENOENT);
	assert_string_equal(err.text,
			    "cannot read the configuration /nonexistent/garasu.conf: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(every_value_is_taken),
		cmocka_unit_test(the_example_is_complete_and_shows_the_defaults),
		cmocka_unit_test(a_wrong_line_gives_file_line_and_reason),
		cmocka_unit_test(values_that_do_not_go_together_are_refused),
		cmocka_unit_test(a_missing_file_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
