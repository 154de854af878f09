#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "garasu";
static enum gr_log_level log_level = GR_LOG_INFO;

void gr_log_init(const char *program, enum gr_log_level level)
{
	log_program = program;
	log_level = level;
}

void gr_log(enum gr_log_level level, const char *format, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	if (level > log_level)
		return;
	int saved = errno;
	char text[900];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	/* Control characters would let a peer's text forge a line; UTF-8 above ASCII passes. */
	char line[4 * sizeof(text) + 128];
	int head = snprintf(line, 128, "%s[%d]: %s: ", log_program, (int)getpid(), names[level]);
	size_t n = head > 0 && head < 128 ? (size_t)head : 0;
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(line + n, 5, "\\x%02x", c);
		else
			line[n++] = (char)c;
	}
	line[n++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, n);
	(void)written; /* nowhere left to complain */
	errno = saved;
}

char *gr_log_escape(char *out, size_t cap, const void *untrusted, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *in = untrusted;
	size_t used = 0;
	if (cap == 0)
		return out;
	for (size_t i = 0; i < n; i++) {
		int plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\';
		if (used + (plain ? 1 : 4) >= cap)
			break;
		if (plain) {
			out[used++] = (char)in[i];
		} else {
			out[used++] = '\\';
			out[used++] = 'x';
			out[used++] = hex[in[i] >> 4];
			out[used++] = hex[in[i] & 15];
		}
	}
	out[used] = '\0';
	return out;
}
