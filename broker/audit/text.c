#include "broker/audit/text.h"

#include <stdio.h>
#include <string.h>

void gr_audit_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = 0;
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

int gr_audit_is_hex(const char *untrusted_text, size_t length, size_t n)
{
	if (length != n)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (hex_digit(untrusted_text[i]) < 0)
			return 0;
	return 1;
}

int gr_audit_unhex(const char *untrusted_text, size_t length, size_t n, uint8_t *out)
{
	if (!gr_audit_is_hex(untrusted_text, length, n))
		return GR_EPROTO;
	for (size_t i = 0; i < n / 2; i++)
		out[i] = (uint8_t)((unsigned)hex_digit(untrusted_text[2 * i]) << 4 |
				   (unsigned)hex_digit(untrusted_text[2 * i + 1]));
	return 0;
}

uint64_t gr_audit_number(const char *untrusted_text, size_t n)
{
	uint64_t result = 0;
	if (n == 0 || n > 20 || untrusted_text[0] == '0')
		return 0;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(unsigned char)untrusted_text[i] - '0';
		if (digit > 9 || __builtin_mul_overflow(result, 10u, &result) ||
		    __builtin_add_overflow(result, digit, &result))
			return 0;
	}
	return result;
}

int gr_audit_time_format(const struct timespec *time, char out[GR_AUDIT_TIME_TEXT])
{
	struct tm tm;
	if (time->tv_sec < 0 || time->tv_sec > 253402300799 || !gmtime_r(&time->tv_sec, &tm))
		return GR_EINVAL;
	size_t n = strftime(out, GR_AUDIT_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, GR_AUDIT_TIME_TEXT - n, ".%06uZ", (unsigned)(time->tv_nsec / 1000) % 1000000);
	return 0;
}

int gr_audit_is_time(const char *untrusted_text, size_t n)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
	if (n != sizeof(form) - 1)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (form[i] == 'd' ? untrusted_text[i] < '0' || untrusted_text[i] > '9' : untrusted_text[i] != form[i])
			return 0;
	return 1;
}

int gr_audit_take_field(const char **text, size_t *n, const char *name, const char **value_out, size_t *length_out)
{
	size_t name_length = strlen(name);
	if (*n <= name_length || memcmp(*text, name, name_length) != 0 || (*text)[name_length] != '=')
		return GR_EPROTO;
	const char *value = *text + name_length + 1, *end = *text + *n;
	const char *stop = memchr(value, ' ', (size_t)(end - value));
	if (stop && stop + 1 == end)
		return GR_EPROTO;
	*value_out = value;
	*length_out = (size_t)((stop ? stop : end) - value);
	*text = stop ? stop + 1 : end;
	*n = (size_t)(end - *text);
	return 0;
}
