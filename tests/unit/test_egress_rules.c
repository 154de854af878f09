/* Whom the lists let reach what, the addresses that nobody reaches, how many requests, and the upstream proxy's credentials. */
#include "broker/egress/bucket.h"
#include "broker/egress/credentials.h"
#include "broker/egress/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct gr_config config;
static struct gr_rules rules;

static void configure(const char *text)
{
	struct gr_error err;
	FILE *stream = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	gr_config_finish(&config);
	gr_config_init(&config);
	if (gr_config_read(&config, stream, "test", &err) != 0)
		fail_msg("%s", err.text);
	fclose(stream);
	gr_rules_finish(&rules);
	assert_int_equal(gr_rules_init(&rules, &config, &err), 0);
}

static int unconfigure(void **state)
{
	(void)state;
	gr_config_finish(&config);
	gr_rules_finish(&rules);
	return 0;
}

struct asked {
	const char *person, *target;
	const char *reason; /* NULL: permitted */
	int listed;
};

static void judge(const struct asked *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct gr_target target;
		char reason[400] = "";
		int listed = 0;
		assert_int_equal(gr_target_parse_authority(&target, cases[i].target, strlen(cases[i].target), 443), 0);
		int permitted = gr_rules_permit(&rules, gr_config_group_of(&config, cases[i].person), &target, &listed,
						reason, sizeof(reason));
		if (permitted != !cases[i].reason || (!permitted && strcmp(reason, cases[i].reason) != 0) ||
		    (permitted && listed != cases[i].listed))
			fail_msg("%s to %s: %d %s", cases[i].person, cases[i].target, permitted, reason);
	}
}
#define JUDGE(...)                                                                                                     \
	do {                                                                                                           \
		static const struct asked c[] = __VA_ARGS__;                                                           \
		judge(c, sizeof(c) / sizeof(*c));                                                                      \
	} while (0)

static void a_domain_ends_at_a_label(void **state)
{
	(void)state;
	configure("egress { default = \"deny\" allow = {\"exact.example\", \".lg.jp\", \"8.8.8.8\", \"[2400::8]\"} }");
	JUDGE({
		{ "hanako", "exact.example", NULL, 0 },
		{ "hanako", "EXACT.example.", NULL, 0 },
		{ "hanako", "a.exact.example", "egress default: deny", 0 },
		{ "hanako", "exact.example.evil.example", "egress default: deny", 0 },
		{ "hanako", "lg.jp", NULL, 0 },
		{ "hanako", "city.lg.jp", NULL, 0 },
		{ "hanako", "www.city.LG.JP", NULL, 0 },
		{ "hanako", "evillg.jp", "egress default: deny", 0 },
		{ "hanako", "g.jp", "egress default: deny", 0 },
		{ "hanako", "jp", "egress default: deny", 0 },
		{ "hanako", "lg.jp.evil.example", "egress default: deny", 0 },
		{ "hanako", "8.8.8.8", NULL, 0 },
		{ "hanako", "8.8.8.9", "egress default: deny", 0 },
		{ "hanako", "[2400:0::8]", NULL, 0 },
	});
}

static void the_first_list_that_says_something_counts(void **state)
{
	(void)state;
	/* Every combination of group deny, group allow, common deny, common allow, group default, common default. */
	for (unsigned bits = 0; bits < 64; bits++) {
		char text[600];
		snprintf(text, sizeof(text),
			 "egress { default = \"%s\" allow = {%s} deny = {%s} }\n"
			 "group \"g\" { persons = {\"in\"} %s allow = {%s} deny = {%s} }",
			 bits & 32 ? "deny" : "permit", bits & 8 ? "\".example\"" : "", bits & 4 ? "\".example\"" : "",
			 bits & 16 ? "default = \"deny\"" : "", bits & 2 ? "\"a.example\"" : "",
			 bits & 1 ? "\"a.example\"" : "");
		configure(text);
		int common = bits & 4 ? 0 : bits & 8 ? 1 : !(bits & 32);
		int group = bits & 1 ? 0 : bits & 2 ? 1 : bits & 4 ? 0 : bits & 8 ? 1 : !(bits & 48);
		struct gr_target target;
		char reason[400];
		int listed;
		assert_int_equal(gr_target_parse_authority(&target, "a.example:443", 13, 0), 0);
		int in = gr_rules_permit(&rules, gr_config_group_of(&config, "in"), &target, &listed, reason, 400);
		int out = gr_rules_permit(&rules, gr_config_group_of(&config, "out"), &target, &listed, reason, 400);
		if (in != group || out != common)
			fail_msg("%s\nin %d, wanted %d; out %d, wanted %d", text, in, group, out, common);
	}
	configure("egress { default = \"deny\" } group \"広報課\" { persons = {\"in\"} default = \"permit\" deny = "
		  "{\".b\"} }");
	JUDGE({
		{ "in", "a.example", NULL, 0 },
		{ "in", "a.b", "group 広報課 deny: .b", 0 },
		{ "out", "a.example", "egress default: deny", 0 },
	});
}

static void ports_are_those_configured_or_listed_with_the_host(void **state)
{
	(void)state;
	configure(
		"egress { allow = {\".a.example:8443\", \"b.example\", \"c.example:80\"} deny = {\"d.example:443\"} }");
	JUDGE({
		{ "x", "e.example:80", NULL, 0 },
		{ "x", "e.example:443", NULL, 0 },
		{ "x", "e.example:8080", "port not permitted", 0 },
		{ "x", "e.example:22", "port not permitted", 0 },
		{ "x", "w.a.example:8443", NULL, 0 },
		{ "x", "w.a.example:8444", "port not permitted", 0 },
		{ "x", "b.example:8443", "port not permitted", 0 },
		{ "x", "c.example:443", NULL, 0 },
		{ "x", "d.example:80", NULL, 0 },
		{ "x", "d.example:443", "egress deny: d.example", 0 },
	});
	configure("egress { ports = {8443} }");
	JUDGE({ { "x", "e.example:8443", NULL, 0 }, { "x", "e.example:443", "port not permitted", 0 } });
}

static void special_addresses_are_opened_by_host_and_port_alone(void **state)
{
	(void)state;
	configure("egress { allow = {\"10.1.2.3:80\", \"10.1.2.4\", \".intra.example:80\", \"www.intra.example:8080\", "
		  "\"127.0.0.1:8000\","
		  "\"localhost:80\", \"203.0.113.9:80\", \"127.0.0.1:5910\", \"127.0.0.9:5911\"}"
		  " networks_refused = {\"203.0.113.0/24\", \"8.8.0.0/15\", \"2400:db8::/32\"} }"
		  "group \"g\" { persons = {\"in\"} allow = {\"10.1.2.5:443\"} }");
	JUDGE({
		{ "x", "10.1.2.3:80", NULL, 1 },
		{ "x", "10.1.2.3:443", "private address", 0 },
		{ "x", "10.1.2.4:80", "private address", 0 },
		{ "x", "a.intra.example:80", NULL, 0 },
		{ "x", "www.intra.example:8080", NULL, 1 },
		{ "x", "www.intra.example:80", NULL, 0 },
		{ "x", "127.0.0.1:8000", NULL, 1 },
		{ "x", "127.0.0.1:80", "loopback address", 0 },
		{ "x", "localhost:80", NULL, 1 },
		{ "x", "localhost:443", "loopback address", 0 },
		{ "x", "a.localhost:80", "loopback address", 0 },
		{ "x", "[::ffff:10.0.0.1]:80", "v4-mapped address", 0 },
		/* Nothing opens these. */
		{ "x", "203.0.113.9:80", "networks_refused address", 0 },
		{ "x", "8.9.255.255:443", "networks_refused address", 0 },
		{ "x", "8.10.0.0:443", NULL, 0 },
		{ "x", "[64:ff9b::8.8.8.8]:443", "networks_refused address", 0 },
		{ "x", "[64:ff9b::8.10.0.0]:443", NULL, 0 },
		{ "x", "[2400:db8:ffff::1]:443", "networks_refused address", 0 },
		{ "x", "[2400:db9::1]:443", NULL, 0 },
		{ "x", "127.0.0.1:5910", "broker address", 0 },
		{ "x", "127.0.0.9:5911", "broker address", 0 },
		{ "x", "10.1.2.5:443", "private address", 0 },
		{ "in", "10.1.2.5:443", NULL, 1 },
	});
}

static void this_machine_is_refused_by_all_of_its_addresses(void **state)
{
	(void)state;
	configure("egress { allow = {\"8.8.4.4:5910\", \"8.8.4.4:8000\"} }");
	struct gr_address own, nat64;
	unsigned before = rules.own_count;
	assert_true(before >= 1); /* lo */
	free(rules.own);
	rules.own = calloc(1, sizeof(*rules.own));
	rules.own_count = 1;
	assert_int_equal(gr_address_parse("8.8.4.4", &rules.own[0]), 0);
	assert_int_equal(gr_address_parse("8.8.4.4", &own), 0);
	assert_int_equal(gr_address_parse("64:ff9b::8.8.4.4", &nat64), 0);
	assert_string_equal(gr_rules_address_refused(&rules, &own, 443, 0), "this-machine");
	assert_string_equal(gr_rules_address_refused(&rules, &nat64, 443, 0), "this-machine");
	JUDGE({
		{ "x", "8.8.4.4:443", "this-machine address", 0 },
		{ "x", "8.8.4.4:8000", NULL, 1 },
		{ "x", "8.8.4.4:5910", "broker address", 0 },
		{ "x", "8.8.4.5:443", NULL, 0 },
	});
}

static void a_bucket_gives_its_burst_and_then_its_rate(void **state)
{
	struct gr_bucket bucket;
	uint64_t now = 1000000;
	unsigned taken = 0;
	(void)state;
	gr_bucket_fill(&bucket, now);
	while (gr_bucket_take(&bucket, now))
		taken++;
	assert_int_equal(taken, GR_BUCKET_BURST);
	/* A flood of a minute, asked a hundred times a millisecond. */
	for (taken = 0; now < 1000000 + 60000; now++)
		for (int i = 0; i < 100; i++)
			taken += (unsigned)gr_bucket_take(&bucket, now);
	assert_in_range(taken, 60 * GR_BUCKET_RATE - 1, 60 * GR_BUCKET_RATE);
	/* A rest fills it, and no more than that; however long it is. */
	now += UINT64_C(1) << 60;
	for (taken = 0; gr_bucket_take(&bucket, now);)
		taken++;
	assert_int_equal(taken, GR_BUCKET_BURST);
	assert_false(gr_bucket_take(&bucket, now - 5000)); /* a clock that goes back gives nothing */
	now += 1000;
	for (taken = 0; gr_bucket_take(&bucket, now);)
		taken++;
	assert_int_equal(taken, GR_BUCKET_RATE);
}

static void credentials_come_from_a_file_that_is_its_owners_alone(void **state)
{
	static const struct {
		const char *content;
		mode_t mode;
		const char *header; /* NULL: refused */
	} cases[] = {
		{ "Aladdin:open sesame\n", 0600, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }, /* RFC 7617 */
		{ "a:b", 0400, "Basic YTpi" },
		{ "a:bc\n", 0600, "Basic YTpiYw==" },
		{ "a:", 0600, "Basic YTo=" },
		{ "a:p\xc3\xa4:x", 0600, "Basic YTpww6Q6eA==" },
		{ "a:b\n", 0640, NULL },
		{ "a:b\n", 0604, NULL },
		{ "", 0600, NULL },
		{ "nocolon\n", 0600, NULL },
		{ ":password\n", 0600, NULL },
		{ "a:b\nc:d\n", 0600, NULL },
		{ "a:b\r\n", 0600, NULL },
	};
	char path[] = "/tmp/garasu-test-credentials-XXXXXX", out[GR_CREDENTIALS_HEADER];
	struct gr_error err;
	(void)state;
	int fd = mkstemp(path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = strlen(cases[i].content);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, cases[i].content, n, 0), (ssize_t)n);
		assert_int_equal(fchmod(fd, cases[i].mode), 0);
		int status = gr_credentials_read(path, out, &err);
		if ((status == 0) != !!cases[i].header || (status == 0 && strcmp(out, cases[i].header) != 0))
			fail_msg("%s: %d %s", cases[i].content, status, status == 0 ? out : err.text);
		assert_true(status == 0 || (n < 3 || !strstr(err.text, cases[i].content)));
	}
	char longest[GR_CREDENTIALS_MAX + 2];
	memset(longest, 'x', sizeof(longest));
	longest[1] = ':';
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(pwrite(fd, longest, GR_CREDENTIALS_MAX, 0), GR_CREDENTIALS_MAX);
	assert_int_equal(gr_credentials_read(path, out, &err), 0);
	assert_int_equal(strlen(out), 6 + (GR_CREDENTIALS_MAX + 2) / 3 * 4);
	assert_int_equal(pwrite(fd, longest, GR_CREDENTIALS_MAX + 1, 0), GR_CREDENTIALS_MAX + 1);
	assert_int_equal(gr_credentials_read(path, out, &err), GR_EINVAL);
	close(fd);
	unlink(path);
	assert_int_equal(gr_credentials_read(path, out, &err), GR_EIO);
	assert_int_equal(gr_credentials_read("/tmp", out, &err), GR_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_ends_at_a_label),
		cmocka_unit_test(the_first_list_that_says_something_counts),
		cmocka_unit_test(ports_are_those_configured_or_listed_with_the_host),
		cmocka_unit_test(special_addresses_are_opened_by_host_and_port_alone),
		cmocka_unit_test(this_machine_is_refused_by_all_of_its_addresses),
		cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
		cmocka_unit_test(credentials_come_from_a_file_that_is_its_owners_alone),
	};
	return cmocka_run_group_tests(tests, NULL, unconfigure);
}
