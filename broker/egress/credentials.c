#include "broker/egress/credentials.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_base64(char *out, const unsigned char *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		unsigned long group = (unsigned long)bytes[i] << 16 | (i + 1 < n ? bytes[i + 1] : 0ul) << 8 |
				      (i + 2 < n ? bytes[i + 2] : 0ul);
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[group & 63] : '=';
	}
	*out = 0;
}

/* One line of user:password, its end not counted; 0 when it is not. */
static size_t line_length(const char *text, size_t n)
{
	const char *colon = memchr(text, ':', n);
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (!colon || colon == text || n > GR_CREDENTIALS_MAX)
		return 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return 0;
	return n;
}

int gr_credentials_read(const char *path, char out[GR_CREDENTIALS_HEADER], struct gr_error *err)
{
	char text[GR_CREDENTIALS_MAX + 2];
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), code = 0;
	if (fd < 0)
		return gr_error_errno(err, "cannot read %s", path);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		code = gr_error_set(err, GR_EINVAL, "%s is not a file", path);
	} else if (status.st_mode & 077) {
		code = gr_error_set(err, GR_EDENIED, "%s can be read by others (mode %04o): chmod 600 %s", path,
				    (unsigned)(status.st_mode & 07777), path);
	} else {
		ssize_t n = read(fd, text, sizeof(text));
		size_t length = n > 0 ? line_length(text, (size_t)n) : 0;
		if (n < 0) {
			code = gr_error_errno(err, "cannot read %s", path);
		} else if (length == 0) {
			code = gr_error_set(err, GR_EINVAL, "%s must hold one line: user:password", path);
		} else {
			write_base64(stpcpy(out, "Basic "), (const unsigned char *)text, length);
		}
	}
	explicit_bzero(text, sizeof(text));
	close(fd);
	return code;
}
