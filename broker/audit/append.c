#include "broker/audit/append.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int gr_append_open(struct gr_append *file, int directory, const char *name, struct gr_error *err)
{
	struct stat status;
	int fd = openat(directory, name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
	if (fd < 0)
		return gr_error_errno(err, "cannot open %s", name);
	if (fstat(fd, &status) < 0 || fchmod(fd, 0640) < 0 || fsync(directory) < 0) {
		gr_error_errno(err, "cannot prepare %s", name);
		close(fd);
		return GR_EIO;
	}
	if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
		close(fd);
		return gr_error_set(err, GR_EDENIED, "%s is no regular file with one name", name);
	}
	*file = (struct gr_append){ .fd = fd, .length = (uint64_t)status.st_size };
	return 0;
}

void gr_append_close(struct gr_append *file)
{
	gr_io_close(&file->fd);
}

int gr_append_cut(struct gr_append *file)
{
	file->dirty = 1;
	if (ftruncate(file->fd, (off_t)file->length) < 0 || fsync(file->fd) < 0)
		return GR_EIO;
	file->dirty = 0;
	return 0;
}

/* Not GR_EFULL for a full disk: errno has it. */
static int write_durably(struct gr_append *file, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(file->fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written == 0)
			errno = ENOSPC;
		if (written <= 0)
			return GR_EIO;
		bytes += written;
		n -= (size_t)written;
	}
	return fdatasync(file->fd) == 0 ? 0 : GR_EIO;
}

int gr_append_write(struct gr_append *file, const void *bytes, size_t n)
{
	if (file->dirty && gr_append_cut(file) != 0)
		return GR_EIO;
	if (write_durably(file, bytes, n) != 0) {
		int cause = errno;
		gr_append_cut(file);
		errno = cause;
		return GR_EIO;
	}
	file->length += n;
	return 0;
}
