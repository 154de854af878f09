#include "viewer/factors.h"
#include "common/utf8.h"
#include "viewer/platform_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static int open_file(const char *file, struct gr_error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return gr_error_errno(err, "%s", file);
	int status = gr_platform_private_descriptor(fd, file, err);
	if (status) {
		close(fd);
		return status;
	}
	return fd;
}

/* Takes one line off. */
static size_t take_line(const char **text, size_t *left, const char **line)
{
	const char *end = memchr(*text, '\n', *left);
	size_t n = end ? (size_t)(end - *text) : *left, all = end ? n + 1 : n;
	*line = *text;
	*text += all;
	*left -= all;
	return n && (*line)[n - 1] == '\r' ? n - 1 : n;
}

int gr_factors_read(const char *file, struct gr_viewer_factors *out, struct gr_error *err)
{
	char buffer[GR_PASSWORD_MAX + GR_CODE_MAX + 5]; /* and their line ends, and one too many */
	const char *text = buffer, *password, *code;
	size_t used = 0;
	ssize_t n;
	memset(out, 0, sizeof(*out));
	int fd = open_file(file, err);
	if (fd < 0)
		return fd;
	while (used < sizeof(buffer) && (n = read(fd, buffer + used, sizeof(buffer) - used)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = gr_error_errno(err, "%s", file);
			close(fd);
			explicit_bzero(buffer, sizeof(buffer));
			return (int)n;
		}
		used += (size_t)n;
	}
	close(fd);
	int status = used < sizeof(buffer) ? 0 : GR_EINVAL;
	size_t password_length = take_line(&text, &used, &password), code_length = take_line(&text, &used, &code);
	if (used || password_length > GR_PASSWORD_MAX || code_length > GR_CODE_MAX ||
	    !gr_utf8_is_text((const uint8_t *)password, password_length))
		status = GR_EINVAL;
	for (size_t i = 0; i < code_length; i++)
		if (code[i] < ' ' || code[i] > '~')
			status = GR_EINVAL;
	if (!status) {
		memcpy(out->password, password, password_length);
		memcpy(out->code, code, code_length);
		out->password_length = (uint32_t)password_length;
		out->code_length = (uint32_t)code_length;
	}
	explicit_bzero(buffer, sizeof(buffer));
	return status ? gr_error_set(err, status, "%s: not two lines of text, a password and a code", file) : 0;
}
