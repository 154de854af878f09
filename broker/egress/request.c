#include "broker/egress/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static int set_address(struct gr_target *target, const char *text)
{
	if (gr_address_parse(text, &target->address) != 0)
		return GR_EPROTO;
	gr_address_text(&target->address, target->host, sizeof(target->host));
	target->is_address = 1;
	return 0;
}

int gr_target_set_host(struct gr_target *target, const char *untrusted_host, size_t n)
{
	char host[256];
	if (n == 0 || n >= sizeof(host))
		return GR_EPROTO;
	if (untrusted_host[0] == '[') {
		if (n < 3 || untrusted_host[n - 1] != ']')
			return GR_EPROTO;
		untrusted_host++;
		n -= 2;
		if (!memchr(untrusted_host, ':', n))
			return GR_EPROTO;
	}
	for (size_t i = 0; i < n; i++) {
		char c = untrusted_host[i];
		host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		if (host[i] == 0)
			return GR_EPROTO;
	}
	host[n] = 0;
	if (strchr(host, ':'))
		return set_address(target, host);
	if (host[n - 1] == '.')
		host[--n] = 0;
	/* Labels of 1..63 bytes; n <= 253 (RFC 1035). */
	const char *label = host;
	if (n == 0 || n > 253)
		return GR_EPROTO;
	for (const char *at = host;; at++) {
		if (*at == '.' || *at == 0) {
			if (at == label || at - label > 63)
				return GR_EPROTO;
			if (*at == 0)
				break;
			label = at + 1;
		} else if (!is_name_byte(*at)) {
			return GR_EPROTO;
		}
	}
	/*
	 * A name whose last label is a number is an IPv4 address to many parsers, in forms such as 127.1 and 0x7f.0.0.1
	 * (WHATWG URL, "ends in a number"): only the strict form passes.
	 */
	if (strspn(label, "0123456789") == strlen(label) || strncmp(label, "0x", 2) == 0)
		return set_address(target, host);
	memcpy(target->host, host, n + 1);
	target->is_address = 0;
	return 0;
}

int gr_target_parse_authority(struct gr_target *target, const char *untrusted_text, size_t n, uint16_t default_port)
{
	struct gr_target result = { .port = default_port };
	size_t host = n;
	/* The port stands behind the last colon, unless that is inside the brackets. */
	for (size_t i = n; i > 0 && untrusted_text[i - 1] != ']'; i--)
		if (untrusted_text[i - 1] == ':') {
			host = i - 1;
			break;
		}
	if (host < n) {
		unsigned port = 0;
		size_t digits = n - host - 1;
		if (digits == 0 || digits > 5)
			return GR_EPROTO;
		for (size_t i = host + 1; i < n; i++) {
			if (!is_digit(untrusted_text[i]))
				return GR_EPROTO;
			port = port * 10 + (unsigned)(untrusted_text[i] - '0');
		}
		if (port == 0 || port > 65535)
			return GR_EPROTO;
		result.port = (uint16_t)port;
	}
	if (result.port == 0)
		return GR_EPROTO;
	/* Without brackets a second colon is an ambiguity, not an address. */
	if (host > 0 && untrusted_text[0] != '[' && memchr(untrusted_text, ':', host))
		return GR_EPROTO;
	if (gr_target_set_host(&result, untrusted_text, host) != 0)
		return GR_EPROTO;
	*target = result;
	return 0;
}

int gr_target_parse_url(struct gr_target *target, const char *untrusted_url, const char **path_out)
{
	if (strncasecmp(untrusted_url, "http://", 7) != 0)
		return GR_EPROTO;
	const char *authority = untrusted_url + 7;
	size_t n = strcspn(authority, "/?#");
	for (const char *at = authority + n; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return GR_EPROTO;
	if (gr_target_parse_authority(target, authority, n, 80) != 0)
		return GR_EPROTO;
	*path_out = authority + n;
	return 0;
}

const char *gr_target_text(const struct gr_target *target, char out[GR_TARGET_TEXT])
{
	int v6 = target->is_address && target->address.family == AF_INET6;
	snprintf(out, GR_TARGET_TEXT, "%s%s%s:%u", v6 ? "[" : "", target->host, v6 ? "]" : "", (unsigned)target->port);
	return out;
}

int gr_target_equal(const struct gr_target *a, const struct gr_target *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

int gr_target_allowed(const struct gr_target *target, const struct gr_config_endpoint *allow, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct gr_target listed;
		if (gr_target_set_host(&listed, allow[i].host, strlen(allow[i].host)) == 0 &&
		    allow[i].port == target->port && strcmp(listed.host, target->host) == 0)
			return 1;
	}
	return 0;
}

int gr_target_port_is_usual(const struct gr_target *target, int tunnel)
{
	return target->port == (tunnel ? 443 : 80);
}

int gr_target_is_localhost(const struct gr_target *target)
{
	size_t n = strlen(target->host);
	return strcmp(target->host, "localhost") == 0 || (n > 10 && strcmp(target->host + n - 10, ".localhost") == 0);
}

/* ---- heads ---- */

/* Whether the Connection field (RFC 9110 7.6.1) names this field. */
static int listed_in_connection(const struct gr_message *message, const char *name)
{
	size_t n = strlen(name);
	for (unsigned i = 0; i < message->count; i++) {
		if (strcasecmp(message->text + message->fields[i].name, "connection") != 0)
			continue;
		const char *at = message->text + message->fields[i].value;
		while (*at) {
			at += strspn(at, ", \t");
			size_t token = strcspn(at, ", \t");
			if (token == n && strncasecmp(at, name, n) == 0)
				return 1;
			at += token;
		}
	}
	return 0;
}

static int is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcasecmp(name, *names) == 0)
			return 1;
	return 0;
}

static int write_fields(const struct gr_message *message, int request, struct gr_buffer *out)
{
	/* RFC 9110 7.6.1, and what browsers and old proxies send besides. */
	static const char *const hop_by_hop[] = {
		"connection",
		"proxy-connection",
		"keep-alive",
		"proxy-authenticate",
		"proxy-authorization",
		"proxy-authentication-info",
		"te",
		"trailer",
		"transfer-encoding",
		"upgrade",
		"http2-settings",
		NULL,
	};
	/* A Connection field that names one of these would change what the message means (request smuggling). */
	static const char *const never_removed[] = { "content-length", "host", NULL };
	int status = 0;
	for (unsigned i = 0; i < message->count && status == 0; i++) {
		const char *name = message->text + message->fields[i].name,
			   *value = message->text + message->fields[i].value;
		if (strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
			return GR_EPROTO;
		if (strcasecmp(name, "transfer-encoding") == 0 && strcasecmp(value, "chunked") != 0)
			return GR_EPROTO;
		if (is_one_of(name, hop_by_hop) || (request && strcasecmp(name, "host") == 0) ||
		    (!is_one_of(name, never_removed) && listed_in_connection(message, name)))
			continue;
		status = gr_buffer_append(out, name, strlen(name));
		if (status == 0)
			status = gr_buffer_append(out, ": ", 2);
		if (status == 0)
			status = gr_buffer_append(out, value, strlen(value));
		if (status == 0)
			status = gr_buffer_append(out, "\r\n", 2);
	}
	return status;
}

int gr_request_write(const struct gr_message *message, const struct gr_target *target, const char *path, int absolute,
		     struct gr_buffer *out)
{
	char host[GR_TARGET_TEXT];
	gr_target_text(target, host);
	if (target->port == 80)
		*strrchr(host, ':') = 0;
	int status = gr_buffer_print(out, "%s %s%s%s", http_method_str((enum http_method)message->parser.method),
				     absolute ? "http://" : "", absolute ? host : "", path[0] == '/' ? "" : "/");
	if (status == 0)
		status = gr_buffer_append(out, path, strcspn(path, "#"));
	if (status == 0)
		status = gr_buffer_print(out, " HTTP/1.1\r\nHost: %s\r\n", host);
	if (status == 0)
		status = write_fields(message, 1, out);
	if (status == 0 && message->chunked)
		status = gr_buffer_print(out, "Transfer-Encoding: chunked\r\n");
	return status == 0 ? gr_buffer_append(out, "\r\n", 2) : status;
}

int gr_response_write(const struct gr_message *message, int chunked, int close, struct gr_buffer *out)
{
	int status = gr_buffer_print(out, "HTTP/1.1 %u %s\r\n", (unsigned)message->parser.status_code,
				     http_status_str((enum http_status)message->parser.status_code));
	if (status == 0)
		status = write_fields(message, 0, out);
	if (status == 0 && chunked)
		status = gr_buffer_print(out, "Transfer-Encoding: chunked\r\n");
	if (status == 0 && close)
		status = gr_buffer_print(out, "Connection: close\r\n");
	return status == 0 ? gr_buffer_append(out, "\r\n", 2) : status;
}
