#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int gr_error_set(struct gr_error *err, int code, const char *format, ...)
{
	if (err) {
		va_list args;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
		err->code = code;
	}
	return code;
}

int gr_error_errno(struct gr_error *err, const char *format, ...)
{
	int saved = errno;
	int code = saved == ENOMEM ? GR_ENOMEM : GR_EIO;
	if (err) {
		va_list args;
		va_start(args, format);
		int n = vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
		if (n >= 0 && (size_t)n < sizeof(err->text))
			snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", strerror(saved));
		err->code = code;
	}
	return code;
}

int gr_error_wrap(struct gr_error *err, const char *format, ...)
{
	if (!err)
		return GR_EIO;
	char cause[sizeof(err->text)];
	memcpy(cause, err->text, sizeof(cause));
	va_list args;
	va_start(args, format);
	int n = vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(err->text)) {
		size_t room = sizeof(err->text) - (size_t)n;
		if (room > 2) {
			memcpy(err->text + n, ": ", 2);
			size_t length = strnlen(cause, sizeof(cause) - 1);
			if (length > room - 3)
				length = room - 3;
			memcpy(err->text + n + 2, cause, length);
			err->text[(size_t)n + 2 + length] = '\0';
		}
	}
	return err->code;
}

const char *gr_status_text(int code)
{
	switch (code) {
	case GR_OK: return "ok";
	case GR_EINVAL: return "invalid value";
	case GR_ENOMEM: return "out of memory";
	case GR_EIO: return "input/output error";
	case GR_EPROTO: return "protocol violation";
	case GR_ECLOSED: return "connection closed";
	case GR_ETIMEOUT: return "timed out";
	case GR_EDENIED: return "denied";
	case GR_EFULL: return "full";
	case GR_ENOENT: return "not found";
	case GR_EEXIST: return "exists already";
	case GR_EAGAIN: return "not ready";
	default: return "unknown error";
	}
}
