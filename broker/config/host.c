#include "broker/config/host.h"

#include "common/error.h"

#include <arpa/inet.h>
#include <string.h>

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

static int take_address(const char *text, char out[GR_HOST_TEXT], int *is_address)
{
	unsigned char address[16];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, address) != 1 || !inet_ntop(family, address, out, GR_HOST_TEXT))
		return GR_EINVAL;
	*is_address = 1;
	return 0;
}

int gr_host_normal(const char *untrusted_host, size_t n, char out[GR_HOST_TEXT], int *is_address)
{
	char host[GR_HOST_TEXT];
	if (n == 0 || n >= sizeof(host))
		return GR_EINVAL;
	if (untrusted_host[0] == '[') {
		if (n < 3 || untrusted_host[n - 1] != ']')
			return GR_EINVAL;
		untrusted_host++;
		n -= 2;
		if (!memchr(untrusted_host, ':', n))
			return GR_EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		char c = untrusted_host[i];
		host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		if (host[i] == 0)
			return GR_EINVAL;
	}
	host[n] = 0;
	if (strchr(host, ':'))
		return take_address(host, out, is_address);
	if (host[n - 1] == '.')
		host[--n] = 0;
	/* Labels of 1..63 bytes; n <= 253 (RFC 1035). */
	const char *label = host;
	if (n == 0 || n > 253)
		return GR_EINVAL;
	for (const char *at = host;; at++) {
		if (*at == '.' || *at == 0) {
			if (at == label || at - label > 63)
				return GR_EINVAL;
			if (*at == 0)
				break;
			label = at + 1;
		} else if (!is_name_byte(*at)) {
			return GR_EINVAL;
		}
	}
	/*
	 * A name whose last label is a number is an IPv4 address to many parsers, in forms such as 127.1 and 0x7f.0.0.1
	 * (WHATWG URL, "ends in a number"): only the strict form passes.
	 */
	if (strspn(label, "0123456789") == strlen(label) || strncmp(label, "0x", 2) == 0)
		return take_address(host, out, is_address);
	memcpy(out, host, n + 1);
	*is_address = 0;
	return 0;
}

int gr_host_port_normal(const char *untrusted_text, size_t n, char out[GR_HOST_TEXT], int *is_address,
			unsigned short *port)
{
	size_t host = n;
	unsigned number = 0;
	/* The port stands behind the last colon, unless that is inside the brackets. */
	for (size_t i = n; i > 0 && untrusted_text[i - 1] != ']'; i--)
		if (untrusted_text[i - 1] == ':') {
			host = i - 1;
			break;
		}
	if (host < n) {
		size_t digits = n - host - 1;
		if (digits == 0 || digits > 5)
			return GR_EINVAL;
		for (size_t i = host + 1; i < n; i++) {
			if (!is_digit(untrusted_text[i]))
				return GR_EINVAL;
			number = number * 10 + (unsigned)(untrusted_text[i] - '0');
		}
		if (number == 0 || number > 65535)
			return GR_EINVAL;
	}
	/* Without brackets a second colon is an ambiguity, not an address. */
	if (host > 0 && untrusted_text[0] != '[' && memchr(untrusted_text, ':', host))
		return GR_EINVAL;
	if (gr_host_normal(untrusted_text, host, out, is_address) != 0)
		return GR_EINVAL;
	*port = (unsigned short)number;
	return 0;
}
