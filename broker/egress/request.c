#include "broker/egress/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int gr_target_parse_authority(struct gr_target *target, const char *untrusted_text, size_t n, uint16_t default_port)
{
	struct gr_target result = { .port = 0 };
	if (gr_host_port_normal(untrusted_text, n, result.host, &result.is_address, &result.port) != 0 ||
	    (result.is_address && gr_address_parse(result.host, &result.address) != 0))
		return GR_EPROTO;
	if (result.port == 0)
		result.port = default_port;
	if (result.port == 0)
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
		     const char *authorization, struct gr_buffer *out)
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
	if (status == 0 && authorization)
		status = gr_buffer_print(out, "Proxy-Authorization: %s\r\n", authorization);
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
