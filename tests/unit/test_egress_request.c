/* Where a request goes, whether that is permitted, and the heads that are passed on. */
#include "broker/egress/answer.h"
#include "broker/egress/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void public_addresses_are_permitted_and_all_others_are_not(void **state)
{
	static const struct {
		const char *text;
		int permitted;
	} cases[] = {
		{ "8.8.8.8", 1 },
		{ "1.1.1.1", 1 },
		{ "9.255.255.255", 1 },
		{ "11.0.0.0", 1 },
		{ "100.63.255.255", 1 },
		{ "100.128.0.0", 1 },
		{ "172.15.255.255", 1 },
		{ "172.32.0.0", 1 },
		{ "192.167.255.255", 1 },
		{ "198.17.255.255", 1 },
		{ "198.20.0.0", 1 },
		{ "223.255.255.255", 1 },
		{ "0.0.0.0", 0 },
		{ "0.1.2.3", 0 },
		{ "10.0.0.1", 0 },
		{ "100.64.0.1", 0 },
		{ "100.127.255.255", 0 },
		{ "127.0.0.1", 0 },
		{ "127.255.255.254", 0 },
		{ "169.254.169.254", 0 },
		{ "172.16.0.1", 0 },
		{ "172.31.255.255", 0 },
		{ "192.0.0.8", 0 },
		{ "192.0.2.1", 0 },
		{ "192.88.99.1", 0 },
		{ "192.168.1.1", 0 },
		{ "198.18.0.1", 0 },
		{ "198.51.100.7", 0 },
		{ "203.0.113.7", 0 },
		{ "224.0.0.1", 0 },
		{ "239.255.255.255", 0 },
		{ "240.0.0.1", 0 },
		{ "255.255.255.255", 0 },
		{ "2001:4860:4860::8888", 1 },
		{ "2606:4700::1", 1 },
		{ "2400:cb00::1", 1 },
		{ "64:ff9b::8.8.8.8", 1 },
		{ "64:ff9b::10.0.0.1", 0 },
		{ "64:ff9b:1::1", 0 },
		{ "::", 0 },
		{ "::1", 0 },
		{ "::2", 0 },
		{ "::8.8.8.8", 0 },
		{ "::ffff:8.8.8.8", 0 },
		{ "::ffff:127.0.0.1", 0 },
		{ "100::1", 0 },
		{ "2001::1", 0 },
		{ "2001:1ff::1", 0 },
		{ "2001:db8::1", 0 },
		{ "2002:7f00:1::", 0 },
		{ "3fff::1", 0 },
		{ "5f00::1", 0 },
		{ "fc00::1", 0 },
		{ "fdff::1", 0 },
		{ "fe80::1", 0 },
		{ "febf::1", 0 },
		{ "fec0::1", 0 },
		{ "ff02::1", 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct gr_address address;
		assert_int_equal(gr_address_parse(cases[i].text, &address), 0);
		if (cases[i].permitted != (gr_address_refused(&address) == NULL))
			fail_msg("%s", cases[i].text);
	}
	struct gr_address unknown = { .family = AF_UNIX };
	assert_non_null(gr_address_refused(&unknown));
}

static void authorities_have_one_normal_form(void **state)
{
	static const struct {
		const char *text;
		uint16_t default_port;
		const char *normal; /* NULL: refused */
	} cases[] = {
		{ "Example.COM:443", 0, "example.com:443" },
		{ "example.com", 80, "example.com:80" },
		{ "example.com.:8080", 0, "example.com:8080" },
		{ "xn--lckwg.jp:443", 0, "xn--lckwg.jp:443" },
		{ "a_b.example:443", 0, "a_b.example:443" },
		{ "127.0.0.1:80", 0, "127.0.0.1:80" },
		{ "[::1]:443", 0, "[::1]:443" },
		{ "[0:0:0:0:0:0:0:1]:443", 0, "[::1]:443" },
		{ "[2001:DB8::1]", 80, "[2001:db8::1]:80" },
		{ "[::ffff:127.0.0.1]:80", 0, "[::ffff:127.0.0.1]:80" },
		{ "example.com", 0, NULL },
		{ "example.com:", 80, NULL },
		{ "example.com:0", 80, NULL },
		{ "example.com:65536", 80, NULL },
		{ "example.com:+80", 80, NULL },
		{ "example.com:80 ", 80, NULL },
		{ ":80", 0, NULL },
		{ "", 80, NULL },
		{ ".", 80, NULL },
		{ "..", 80, NULL },
		{ "a..b", 80, NULL },
		{ ".a", 80, NULL },
		{ "user@example.com", 80, NULL },
		{ "exa%6dple.com", 80, NULL },
		{ "\xe7\xa1\x9d.jp", 80, NULL },
		{ "127.1", 80, NULL },
		{ "0x7f.0.0.1", 80, NULL },
		{ "0x7f000001", 80, NULL },
		{ "2130706433", 80, NULL },
		{ "0177.0.0.1", 80, NULL },
		{ "127.0.0.1.", 80, "127.0.0.1:80" },
		{ "a.0x7f", 80, NULL },
		{ "a.1", 80, NULL },
		{ "::1", 80, NULL },
		{ "::1:443", 0, NULL },
		{ "[::1", 80, NULL },
		{ "[::1]x:80", 80, NULL },
		{ "[fe80::1%25eth0]:80", 80, NULL },
		{ "[127.0.0.1]:80", 80, NULL },
		{ "[example.com]:80", 80, NULL },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", 80, NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct gr_target target;
		char text[GR_TARGET_TEXT];
		int status = gr_target_parse_authority(&target, cases[i].text, strlen(cases[i].text),
						       cases[i].default_port);
		if (!cases[i].normal != (status != 0))
			fail_msg("%s", cases[i].text);
		if (status == 0)
			assert_string_equal(gr_target_text(&target, text), cases[i].normal);
	}
}

static void only_absolute_http_urls_are_plain_targets(void **state)
{
	static const char *const refused[] = { "/index.html",
					       "https://a.example/",
					       "ftp://a.example/",
					       "http:///x",
					       "http://u:p@a.example/",
					       "http://a.example:x/",
					       "*",
					       "",
					       "http:/a.example",
					       "http://a.example/\x7f" };
	struct gr_target target;
	const char *path;
	(void)state;
	assert_int_equal(gr_target_parse_url(&target, "HTTP://A.example:8080/p?q=1#f", &path), 0);
	assert_string_equal(target.host, "a.example");
	assert_int_equal(target.port, 8080);
	assert_string_equal(path, "/p?q=1#f");
	assert_int_equal(gr_target_parse_url(&target, "http://a.example?x", &path), 0);
	assert_string_equal(path, "?x");
	assert_int_equal(target.port, 80);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(gr_target_parse_url(&target, refused[i], &path), GR_EPROTO);
}

static int keep_body(void *context, const char *bytes, size_t n)
{
	return gr_buffer_append(context, bytes, n);
}

/* Parses text fed in pieces of step bytes. Returns the first error. */
static int parse(struct gr_message *message, const char *text, size_t n, size_t step)
{
	size_t at = 0, used;
	while (at < n && !message->done) {
		size_t piece = n - at < step ? n - at : step;
		int status = gr_message_parse(message, text + at, piece, &used);
		if (status != 0)
			return status;
		if (used == 0 && piece == n - at && !message->head_done)
			break;
		at += used;
	}
	return 0;
}

static char *rewrite_request(const char *text, int absolute, size_t step, struct gr_buffer *body)
{
	struct gr_message message = { .text = NULL };
	struct gr_buffer out = { .bytes = NULL };
	struct gr_target target;
	const char *path;
	char *result = NULL;
	gr_message_begin(&message, HTTP_REQUEST, keep_body, body);
	if (parse(&message, text, strlen(text), step) == 0 && message.done &&
	    gr_target_parse_url(&target, gr_message_target(&message), &path) == 0 &&
	    gr_request_write(&message, &target, path, absolute, absolute ? "Basic eQ==" : NULL, &out) == 0)
		result = strndup(out.bytes + out.start, out.length);
	gr_buffer_clear(&out);
	gr_message_finish(&message);
	return result;
}

static void a_request_is_rewritten_without_hop_by_hop_fields(void **state)
{
	static const char text[] = "POST http://A.example:80/p?q#f HTTP/1.1\r\nHost: other.example\r\nConnection: "
				   "keep-alive, X-Drop, Content-Length\r\n"
				   "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: "
				   "trailers\r\nX-Drop: 1\r\nX-Empty:\r\n"
				   "Upgrade: h2c\r\nContent-Length: 5\r\nAccept: */*\r\n\r\nhello";
	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		struct gr_buffer body = { .bytes = NULL };
		char *head = rewrite_request(text, 0, step, &body);
		assert_non_null(head);
		assert_string_equal(head, "POST /p?q HTTP/1.1\r\nHost: a.example\r\nX-Empty: \r\nContent-Length: "
					  "5\r\nAccept: */*\r\n\r\n");
		assert_int_equal(body.length, 5);
		assert_memory_equal(body.bytes, "hello", 5);
		gr_buffer_clear(&body);
		free(head);
	}
	struct gr_buffer body = { .bytes = NULL };
	char *head = rewrite_request("GET http://a.example:8080 HTTP/1.1\r\nHost: a.example:8080\r\n"
				     "Proxy-Authorization: Basic bWluZQ==\r\n\r\n",
				     1, 99, &body);
	assert_string_equal(head, "GET http://a.example:8080/ HTTP/1.1\r\nHost: a.example:8080\r\n"
				  "Proxy-Authorization: Basic eQ==\r\n\r\n");
	free(head);
	gr_buffer_clear(&body);
}

static void chunks_are_taken_apart(void **state)
{
	static const char text[] = "POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: "
				   "chunked\r\n\r\n5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		struct gr_buffer body = { .bytes = NULL };
		char *head = rewrite_request(text, 0, step, &body);
		assert_non_null(head);
		assert_string_equal(head, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
		assert_int_equal(body.length, 11);
		assert_memory_equal(body.bytes, "hello world", 11);
		gr_buffer_clear(&body);
		free(head);
	}
}

/* RFC 9112 5.2: refused, or made one line of. */
static void a_folded_field_is_one_line(void **state)
{
	static const struct {
		const char *text, *head; /* NULL: refused */
	} cases[] = {
		{ "GET http://a.example/ HTTP/1.1\r\nX: 1\r\n Y: 2\r\n\r\n",
		  "GET / HTTP/1.1\r\nHost: a.example\r\nX: 1 Y: 2\r\n\r\n" },
		{ "POST http://a.example/ HTTP/1.1\r\nX: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "POST / HTTP/1.1\r\nHost: a.example\r\nX: 1\tTransfer-Encoding: chunked\r\n\r\n" },
		{ "POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		  "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chun\r\n ked\r\n\r\n0\r\n\r\n", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t step = 1; step < strlen(cases[i].text); step++) {
			struct gr_buffer body = { .bytes = NULL };
			char *head = rewrite_request(cases[i].text, 0, step, &body);
			if (!head != !cases[i].head || (head && strcmp(head, cases[i].head) != 0))
				fail_msg("%s became %s", cases[i].text, head ? head : "nothing");
			gr_buffer_clear(&body);
			free(head);
		}
	}
}

static void ambiguous_requests_are_refused(void **state)
{
	static const char *const texts[] = {
		"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\nhello",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding:\013chunked\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		/* RFC 9112 5.1: no white space before the colon; 2.2: no bare CR */
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
		"GET http://a/ HTTP/1.1\r\n X: 1\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nX: 1\rY: 2\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\n: 1\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nX\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
		"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"GET http://a/ b HTTP/1.1\r\n\r\n",
		"GET http://a/ HTTP/1.1 x\r\n\r\n",
		"GET\thttp://a/\tHTTP/1.1\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nX\x01: 1\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nX: a\x01z\r\n\r\n",
		"POST http://a/\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", /* HTTP/0.9 with fields */
		"GET http://a/ HTTP/2.0\r\n\r\n",
		"\x16\x03\x01\x02",
		"SSH-2.0-x\r\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct gr_buffer body = { .bytes = NULL };
		char *head = rewrite_request(texts[i], 0, 7, &body);
		if (head)
			fail_msg("%s became %s", texts[i], head);
		gr_buffer_clear(&body);
	}
}

static void a_head_beyond_its_bounds_is_refused(void **state)
{
	struct gr_message message = { .text = NULL };
	static char text[GR_HEAD_MAX + 4096];
	size_t used;
	(void)state;
	int n = snprintf(text, sizeof(text), "GET http://a.example/ HTTP/1.1\r\nX: ");
	memset(text + n, 'a', sizeof(text) - (size_t)n);
	gr_message_begin(&message, HTTP_REQUEST, NULL, NULL);
	assert_int_equal(gr_message_parse(&message, text, sizeof(text), &used), GR_EFULL);
	gr_message_begin(&message, HTTP_REQUEST, NULL, NULL);
	n = snprintf(text, sizeof(text), "GET http://a.example/ HTTP/1.1\r\n");
	for (unsigned i = 0; i <= GR_FIELDS_MAX; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "X: 1\r\n");
	assert_int_equal(gr_message_parse(&message, text, (size_t)n, &used), GR_EFULL);
	gr_message_finish(&message);
}

static void a_tunnel_request_ends_with_its_head(void **state)
{
	/* RFC 9110 9.3.6: a body of CONNECT has no meaning, so what announces one changes nothing. */
	static const char *const fields[] = { "", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
					      "Upgrade: h2c\r\nConnection: Upgrade\r\n" };
	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		struct gr_message message = { .text = NULL };
		char text[256];
		int n = snprintf(text, sizeof(text),
				 "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n%s\r\n"
				 "\x16\x03\x01tls",
				 fields[i]);
		size_t used, at = 0, length = (size_t)n;
		gr_message_begin(&message, HTTP_REQUEST, NULL, NULL);
		assert_int_equal(gr_message_parse(&message, text, length, &used), 0);
		assert_true(message.head_done && !message.done);
		assert_string_equal(gr_message_target(&message), "a.example:443");
		assert_string_equal(gr_message_value(&message, "HOST"), "a.example:443");
		at += used;
		assert_int_equal(gr_message_parse(&message, text + at, length - at, &used), 0);
		assert_true(message.done);
		assert_string_equal(text + at + used, "\x16\x03\x01tls");
		gr_message_finish(&message);
	}
}

static void a_response_ends_where_it_says(void **state)
{
	static const struct {
		const char *text;
		int without_body;
		size_t rest;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabXY", 0, 2 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nXY", 1, 2 },
		{ "HTTP/1.1 204 No Content\r\n\r\nXY", 0, 2 },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nXY", 0, 2 },
		{ "HTTP/1.1 100 Continue\r\n\r\nXY", 0, 2 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nXY", 0, 2 },
		{ "HTTP/1.1 200 Connection established\r\n\r\nXY", 2, 2 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct gr_message message = { .text = NULL };
		size_t used, at = 0, n = strlen(cases[i].text);
		gr_message_begin(&message, HTTP_RESPONSE, NULL, NULL);
		message.without_body = cases[i].without_body;
		while (at < n && !message.done) {
			assert_int_equal(gr_message_parse(&message, cases[i].text + at, n - at, &used), 0);
			at += used;
		}
		assert_true(message.done);
		assert_int_equal(n - at, cases[i].rest);
		gr_message_finish(&message);
	}
}

static void our_pages_have_no_words_of_others(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GR_ANSWERS; i++) {
		struct gr_buffer out = { .bytes = NULL }, head = { .bytes = NULL };
		assert_int_equal(gr_answer_write((enum gr_answer)i, 0, &out), 0);
		assert_int_equal(gr_answer_write((enum gr_answer)i, 1, &head), 0);
		assert_true(gr_answer_status((enum gr_answer)i) >= 400);
		assert_int_equal(gr_buffer_append(&out, "", 1), 0);
		char *end = strstr(out.bytes, "\r\n\r\n"), *length = strstr(out.bytes, "Content-Length: ");
		assert_non_null(end);
		assert_int_equal(strlen(end + 4), strtoul(length + 16, NULL, 10));
		assert_int_equal(head.length, end + 4 - out.bytes);
		gr_buffer_clear(&out);
		gr_buffer_clear(&head);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_addresses_are_permitted_and_all_others_are_not),
		cmocka_unit_test(authorities_have_one_normal_form),
		cmocka_unit_test(only_absolute_http_urls_are_plain_targets),
		cmocka_unit_test(a_request_is_rewritten_without_hop_by_hop_fields),
		cmocka_unit_test(chunks_are_taken_apart),
		cmocka_unit_test(a_folded_field_is_one_line),
		cmocka_unit_test(ambiguous_requests_are_refused),
		cmocka_unit_test(a_head_beyond_its_bounds_is_refused),
		cmocka_unit_test(a_tunnel_request_ends_with_its_head),
		cmocka_unit_test(a_response_ends_where_it_says),
		cmocka_unit_test(our_pages_have_no_words_of_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
