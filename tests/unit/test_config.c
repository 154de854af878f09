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
	gr_config_finish(&config);
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
			      "session { home_url = \"http://127.0.0.1:8000/\" max_width = 1920 history_mib = 4 "
			      "strict_guard = 0 }\n"
			      "pool { warm = 2 uid_first = 2000000 }\n"
			      "egress { upstream = \"Proxy.example:8080\" allow = {\"127.0.0.1:8000\", \"[::1]:81\"}\n"
			      "default = \"deny\" deny = {\".Example.JP\"} ports = {443, 8443}\n"
			      "networks_refused = {\"203.0.113.0/25\", \"2001:db8::/33\", \"192.0.2.1\"}\n"
			      "upstream_credentials = \"/etc/garasu/upstream\" }\n"
			      "broker { log_level = \"debug\" }\n"),
			 0);
	assert_string_equal(config.listen.address, "::1");
	assert_int_equal(config.listen.port, 6000);
	assert_int_equal(config.listen.vencrypt_port, 0);
	assert_int_equal(config.listen.standard_viewers, GR_CONFIG_PERMIT);
	assert_int_equal(config.listen.failures_per_minute, 0);
	assert_string_equal(config.session.home_url, "http://127.0.0.1:8000/");
	assert_int_equal(config.session.max_width, 1920);
	assert_int_equal(config.session.max_height, 2160);
	assert_int_equal(config.session.history_mib, 4);
	assert_int_equal(config.session.strict_guard, 0);
	assert_int_equal(config.pool.warm, 2);
	assert_int_equal(config.pool.uid_first, 2000000);
	assert_string_equal(config.egress.upstream.host, "proxy.example");
	assert_int_equal(config.egress.upstream.port, 8080);
	assert_string_equal(config.egress.upstream_credentials, "/etc/garasu/upstream");
	assert_int_equal(config.egress.reach.allow.count, 2);
	assert_string_equal(config.egress.reach.allow.list[1].host, "::1");
	assert_int_equal(config.egress.reach.allow.list[1].port, 81);
	assert_int_equal(config.egress.reach.deny.count, 1);
	assert_string_equal(config.egress.reach.deny.list[0].host, ".example.jp");
	assert_int_equal(config.egress.reach.deny.list[0].port, 0);
	assert_int_equal(config.egress.reach.otherwise, GR_CONFIG_DENY);
	assert_int_equal(config.egress.ports.count, 2);
	assert_int_equal(config.egress.ports.list[1], 8443);
	assert_int_equal(config.egress.networks_refused.count, 3);
	assert_int_equal(config.egress.networks_refused.list[0].bits, 25);
	assert_int_equal(config.egress.networks_refused.list[1].family, AF_INET6);
	assert_int_equal(config.egress.networks_refused.list[2].bits, 32);
	assert_int_equal(config.broker.log_level, GR_LOG_DEBUG);
	assert_int_equal(load("egress { default = \"permit\" }"), 0);
	assert_int_equal(config.egress.reach.otherwise, GR_CONFIG_PERMIT);
}

static void names_have_one_form_whatever_the_file_writes(void **state)
{
	static const struct {
		const char *written, *host;
		uint16_t port;
	} cases[] = {
		{ "Example.LG.jp", "example.lg.jp", 0 },         { ".go.jp", ".go.jp", 0 },
		{ "example.jp.:8443", "example.jp", 8443 },      { ".総務省.jp", ".xn--lhr645fjve.jp", 0 },
		{ "総務省.jp:8443", "xn--lhr645fjve.jp", 8443 }, { "ＡＢＣ.example", "abc.example", 0 },
		{ "[2001:DB8:0::1]", "2001:db8::1", 0 },         { "192.0.2.1:81", "192.0.2.1", 81 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[200];
		snprintf(text, sizeof(text), "egress { deny = {\"%s\"} }", cases[i].written);
		assert_int_equal(load(text), 0);
		assert_string_equal(config.egress.reach.deny.list[0].host, cases[i].host);
		assert_int_equal(config.egress.reach.deny.list[0].port, cases[i].port);
	}
}

static void a_group_has_persons_and_lists_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(
		load("group \"広報課\" {\n persons = {\"tanaka\", \"suzuki\"}\n allow = {\".sns.example\"}\n}\n"
		     "group \"学校教育課\" { persons = {\"sato\"} default = \"deny\" deny = {\"a.example:80\"} }\n"
		     "group \"空\" { }\n"),
		0);
	assert_int_equal(config.group_count, 3);
	const struct gr_config_group *group = gr_config_group_of(&config, "suzuki");
	assert_string_equal(group->name, "広報課");
	assert_int_equal(group->reach.otherwise, GR_CONFIG_UNSET);
	assert_int_equal(group->reach.allow.count, 1);
	group = gr_config_group_of(&config, "sato");
	assert_string_equal(group->name, "学校教育課");
	assert_int_equal(group->reach.otherwise, GR_CONFIG_DENY);
	assert_int_equal(group->reach.deny.list[0].port, 80);
	assert_null(gr_config_group_of(&config, "hanako"));
	assert_null(gr_config_group_of(&config, ""));
	refused("group \"a\" { persons = {\"tanaka\"} }\ngroup \"b\" {\n\tpersons = {\"suzuki\",\n\"tanaka\"}\n}\n", 4,
		"persons = \"tanaka\": is in a group already");
	refused("group \"a\" { persons = {\"Tanaka\"} }", 1,
		"persons = \"Tanaka\": is no person's id, as certificates have it (a-z, 0-9, \".\", \"_\", \"-\")");
	refused("group \"\" {\n}\n", 2, "group \"\": must be 1 to 96 bytes long");
	assert_int_equal(load("group \"a\" { }\ngroup \"a\" { }"), GR_EINVAL);
	assert_int_equal(load("group { }"), GR_EINVAL);
}

static void the_example_of_a_group_can_be_taken_as_it_stands(void **state)
{
	(void)state;
	FILE *file = fopen(EXAMPLE, "r");
	assert_non_null(file);
	char text[32768], line[512];
	size_t n = 0;
	int inside = 0;
	while (fgets(line, sizeof(line), file)) {
		inside |= strncmp(line, "# group ", 8) == 0;
		if (inside && line[0] == '#')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", line + 1);
		inside = inside && strncmp(line, "# }", 3) != 0;
	}
	fclose(file);
	if (load(text))
		fail_msg("%s", err.text);
	assert_non_null(gr_config_group_of(&config, "tanaka"));
}

static void the_example_is_complete_and_shows_the_defaults(void **state)
{
	(void)state;
	FILE *file = fopen(EXAMPLE, "r");
	assert_non_null(file);
	char text[32768], line[512];
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
	assert_int_equal(keys, 73);
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
	refused("egress {\nallow = {\"127.0.0.1:80\",\n\"*.example\"} }", 3,
		"allow = \"*.example\": must be a name, \".name\" for a whole domain, or an address; \":port\" may "
		"follow");
	refused("egress { deny = {\".192.0.2.1\"} }", 1,
		"deny = \".192.0.2.1\": must be a name, \".name\" for a whole domain, or an address; \":port\" may "
		"follow");
	refused("egress { deny = {\"http://a.example\"} }", 1,
		"deny = \"http://a.example\": must be a name, \".name\" for a whole domain, or an address; \":port\" "
		"may follow");
	refused("egress { deny = {\"-総.jp\"} }", 1,
		"deny = \"-総.jp\": is no internationalised domain name (IDNA 2008)");
	refused("egress { ports = {80,\n0} }", 2, "ports = 0: must be 1 to 65535");
	refused("egress { ports = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17} }", 1, "ports: there can be 16 entries");
	refused("egress { networks_refused = {\"203.0.113.5/24\"} }", 1,
		"networks_refused = \"203.0.113.5/24\": has bits set behind its prefix");
	refused("egress { networks_refused = {\"203.0.113.0/33\"} }", 1,
		"networks_refused = \"203.0.113.0/33\": must be a network such as 203.0.113.0/24 or 2001:db8::/32");
	refused("session { trusted_ca = \"city-ca.pem\" }", 1,
		"trusted_ca = \"city-ca.pem\": must be an absolute path");
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
	refused("egress { upstream_credentials = \"/etc/garasu/upstream\" }", 0,
		"egress: upstream_credentials without upstream");
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
		cmocka_unit_test(names_have_one_form_whatever_the_file_writes),
		cmocka_unit_test(a_group_has_persons_and_lists_of_its_own),
		cmocka_unit_test(the_example_of_a_group_can_be_taken_as_it_stands),
		cmocka_unit_test(the_example_is_complete_and_shows_the_defaults),
		cmocka_unit_test(a_wrong_line_gives_file_line_and_reason),
		cmocka_unit_test(values_that_do_not_go_together_are_refused),
		cmocka_unit_test(a_missing_file_is_named),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	gr_config_finish(&config);
	return failed;
}
