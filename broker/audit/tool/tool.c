#include "broker/audit/tool/tool.h"

#include "common/io.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int gr_tool_usage(const struct gr_tool_command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "garasu-audit %s: ", command->name);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nusage: garasu-audit %s %s\n", command->name, command->arguments);
	return GR_TOOL_USAGE;
}

int gr_tool_fail(const struct gr_error *err)
{
	fprintf(stderr, "garasu-audit: %s\n", err->text);
	return GR_TOOL_FAILED;
}

void gr_tool_progress(const char *what, uint64_t done, uint64_t total)
{
	static uint64_t last;
	static int shown;
	uint64_t now = gr_io_now_ms();
	if (!isatty(STDERR_FILENO))
		return;
	if (total == 0) {
		if (shown)
			fputs("\r\033[K", stderr);
		shown = 0;
		return;
	}
	if (shown && now - last < 200)
		return;
	last = now;
	shown = 1;
	fprintf(stderr, "\r\033[K%s %3u %%, %.1f of %.1f GiB", what, (unsigned)(100.0 * (double)done / (double)total),
		(double)done / 0x1p30, (double)total / 0x1p30);
}

/* ---- times ---- */

int gr_tool_time_of(time_t seconds, char out[GR_AUDIT_TIME_TEXT])
{
	struct timespec time = { .tv_sec = seconds };
	return gr_audit_time_format(&time, out);
}

int gr_tool_time_read(const char *text, char out[GR_AUDIT_TIME_TEXT])
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
					     "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	struct tm tm = { .tm_isdst = -1 };
	const char *rest = NULL;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms) && !rest; i++) {
		memset(&tm, 0, sizeof(tm));
		rest = strptime(text, forms[i], &tm);
	}
	if (!rest)
		return GR_EINVAL;
	/* Parts of a second, as in a line, are dropped. */
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	tm.tm_isdst = -1;
	if (*rest == 0)
		return gr_tool_time_of(mktime(&tm), out);
	if (strcmp(rest, "Z") == 0)
		return gr_tool_time_of(timegm(&tm), out);
	unsigned hours, minutes;
	if ((*rest != '+' && *rest != '-') || strlen(rest) != 6 || !isdigit((unsigned char)rest[1]) ||
	    sscanf(rest + 1, "%2u:%2u", &hours, &minutes) != 2)
		return GR_EINVAL;
	time_t offset = (time_t)hours * 3600 + (time_t)minutes * 60;
	return gr_tool_time_of(timegm(&tm) + (*rest == '+' ? -offset : offset), out);
}

time_t gr_tool_time_seconds(const char *line_time)
{
	struct tm tm = { .tm_isdst = 0 };
	char text[GR_AUDIT_TIME_TEXT] = "";
	memcpy(text, line_time, sizeof(text) - 1);
	return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : -1;
}

void gr_tool_time_show(time_t seconds, char out[32])
{
	struct tm tm;
	out[0] = 0;
	if (localtime_r(&seconds, &tm))
		strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

const char *gr_tool_time_zone(void)
{
	static char text[32];
	time_t now = time(NULL);
	struct tm tm;
	if (!text[0] && localtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Z (%z)", &tm);
	return text;
}

/* ---- files ---- */

char *gr_tool_read(const char *file, size_t limit, size_t *n_out, struct gr_error *err)
{
	FILE *stream = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	size_t used = 0, room = 65536;
	char *bytes = malloc(room + 1);
	if (!stream) {
		gr_error_errno(err, "cannot open %s", file);
		free(bytes);
		return NULL;
	}
	while (bytes && !feof(stream) && !ferror(stream)) {
		used += fread(bytes + used, 1, room - used, stream);
		if (used < room)
			continue;
		char *more = room <= limit ? realloc(bytes, 2 * room + 1) : NULL;
		if (!more)
			break;
		bytes = more;
		room *= 2;
	}
	int good = bytes && feof(stream) && used <= limit;
	if (!good)
		gr_error_set(err, GR_EIO, "cannot read %s%s", file, ferror(stream) ? "" : ": it is too long");
	if (stream != stdin)
		fclose(stream);
	if (!good) {
		free(bytes);
		return NULL;
	}
	bytes[used] = 0;
	*n_out = used;
	return bytes;
}

EVP_PKEY *gr_tool_key(const char *file, struct gr_error *err)
{
	BIO *bio = BIO_new_file(file, "rb");
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	if (bio && !key && BIO_reset(bio) == 0)
		key = d2i_PUBKEY_bio(bio, NULL);
	BIO_free(bio);
	if (key && EVP_PKEY_is_a(key, "ED25519"))
		return key;
	EVP_PKEY_free(key);
	gr_error_set(err, GR_EINVAL, "%s: there is no public Ed25519 key in it", file);
	return NULL;
}

/* ---- values ---- */

void gr_tool_value(const struct gr_audit_line *line, enum gr_audit_field field, char *out, size_t cap)
{
	char text[GR_AUDIT_LINE_MAX] = "";
	size_t n;
	if (line->fields[field].start &&
	    gr_audit_unescape(text, &n, line->fields[field].start, line->fields[field].length) != 0)
		text[0] = 0;
	snprintf(out, cap, "%s", text);
}

uint64_t gr_tool_number(const struct gr_audit_line *line, enum gr_audit_field field)
{
	return line->fields[field].start ? gr_audit_number(line->fields[field].start, line->fields[field].length) : 0;
}

int gr_tool_host(const char *text, char out[GR_AUDIT_HOST_MAX])
{
	const char *scheme = strstr(text, "://"), *host = scheme ? scheme + 3 : text, *end;
	size_t length = strcspn(host, "/?#"), used = 0;
	const char *at = memchr(host, '@', length);
	if (at) {
		length -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (*host == '[') {
		host++;
		end = memchr(host, ']', length - 1);
		if (!end)
			return GR_EINVAL;
	} else {
		end = memchr(host, ':', length);
		/* An IPv6 address without brackets has more than one colon. */
		if (!end || memchr(end + 1, ':', length - (size_t)(end + 1 - host)))
			end = host + length;
	}
	for (; host < end; host++) {
		if (used == GR_AUDIT_HOST_MAX - 1)
			return GR_EINVAL;
		out[used++] = (char)tolower((unsigned char)*host);
	}
	if (used && out[used - 1] == '.')
		used--;
	out[used] = 0;
	return used ? 0 : GR_EINVAL;
}

/* Bytes of the UTF-8 sequence at text, 0 when it is none. */
static size_t utf8(const unsigned char *text)
{
	size_t n = text[0] < 0x80                      ? 1
		   : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
		   : (text[0] & 0xf0) == 0xe0          ? 3
		   : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
						       : 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return n;
}

void gr_tool_json(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	fputc('"', out);
	while (*at) {
		size_t n = utf8(at);
		if (*at == '"' || *at == '\\')
			fprintf(out, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(out, "\\u%04x", *at);
		else if (n == 0)
			fputs("\\ufffd", out);
		else
			fwrite(at, 1, n, out);
		at += n ? n : 1;
	}
	fputc('"', out);
}

int gr_tool_option(struct gr_tool_options *options, int option, const char *value)
{
	struct gr_audit_criteria *criteria = &options->criteria;
	switch (option) {
	case 'p': criteria->person = value; break;
	case 'H':
		criteria->host = options->host;
		if (gr_tool_host(value, options->host) != 0)
			options->wrong = "--host wants a host's name";
		break;
	case 'k':
		criteria->kind = gr_audit_kind_of(value, strlen(value));
		if (!criteria->kind)
			options->wrong = "--kind wants a kind of record, such as session.start or egress.request";
		break;
	case 's':
		criteria->session = strlen(value) == 16 && strspn(value, "0123456789abcdef") == 16
					    ? strtoull(value, NULL, 16)
					    : 0;
		if (!criteria->session)
			options->wrong = "--session wants 16 hexadecimal digits";
		break;
	case 'f':
		if (gr_tool_time_read(value, criteria->from) != 0)
			options->wrong = "--from wants a time, such as 2026-10-01 or 2026-10-01T09:00";
		break;
	case 't':
		if (gr_tool_time_read(value, criteria->to) != 0)
			options->wrong = "--to wants a time, such as 2026-11-01 or 2026-10-01T17:15";
		break;
	case 'i': options->index = value; break;
	default: return 0;
	}
	return 1;
}
