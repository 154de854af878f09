#include "broker/supervisor/state.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int gr_state_open(const char *audit_directory, int *out, struct gr_error *err)
{
	int directory = open(audit_directory, O_PATH | O_DIRECTORY | O_CLOEXEC), folder = -1, rc = 0;
	struct stat status;

	if (directory < 0)
		return gr_error_errno(err, "cannot open %s", audit_directory);
	if (mkdirat(directory, GR_STATE_FOLDER, 0700) < 0 && errno != EEXIST)
		rc = gr_error_errno(err, "cannot make %s/" GR_STATE_FOLDER, audit_directory);
	else if ((folder = openat(directory, GR_STATE_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		rc = gr_error_errno(err, "cannot open %s/" GR_STATE_FOLDER, audit_directory);
	/* The directory is the audit process's: what stands here must not be its work. */
	else if (fstat(folder, &status) < 0 || status.st_uid != geteuid() || (status.st_mode & 077))
		rc = gr_error_set(err, GR_EDENIED, "%s/" GR_STATE_FOLDER " must be root's alone (mode 0700)",
				  audit_directory);
	close(directory);
	if (rc < 0)
		gr_io_close(&folder);
	else
		*out = folder;
	return rc;
}

int gr_state_read(int folder, const char *name, size_t most, char **bytes_out, size_t *size_out, struct gr_error *err)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	char *bytes = NULL;
	size_t size = 0;
	struct stat status;

	if (fd < 0) {
		int missing = errno == ENOENT;

		rc = gr_error_errno(err, "cannot read " GR_STATE_FOLDER "/%s", name);
		return missing ? err->code = GR_ENOENT : rc;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < 0)
		rc = gr_error_errno(err, "cannot read " GR_STATE_FOLDER "/%s", name);
	else if ((size_t)status.st_size > most)
		rc = gr_error_set(err, GR_EFULL, GR_STATE_FOLDER "/%s is too long", name);
	else if (!(bytes = calloc(1, (size_t)status.st_size + 1)))
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	while (rc == 0 && size < (size_t)status.st_size) {
		ssize_t n = read(fd, bytes + size, (size_t)status.st_size - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = gr_error_errno(err, "cannot read " GR_STATE_FOLDER "/%s", name);
		else
			size += (size_t)n;
	}
	close(fd);
	if (rc < 0) {
		free(bytes);
		return rc;
	}
	*bytes_out = bytes;
	*size_out = size;
	return 0;
}

int gr_state_write(int folder, const char *name, const void *bytes, size_t size, struct gr_error *err)
{
	char fresh[64];
	int fd, rc = 0;

	snprintf(fresh, sizeof(fresh), "%s.new", name);
	fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || gr_io_write_all(fd, bytes, size) < 0 || fsync(fd) < 0 ||
	    renameat(folder, fresh, folder, name) < 0 || fsync(folder) < 0)
		rc = gr_error_errno(err, "cannot write " GR_STATE_FOLDER "/%s", name);
	gr_io_close(&fd);
	return rc;
}
