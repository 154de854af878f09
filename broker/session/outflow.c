#include "broker/session/outflow.h"
#include "common/error.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEP (4u << 20) /* bytes of memory that stay for the next update; what a large one took beyond goes back */

struct gr_outflow {
	int fd;
	uint8_t *map; /* size bytes, read-only */
	size_t size;
	size_t head, tail; /* the bytes from head to tail are not yet sent; the file offset is tail */
	uint64_t sent;
};

struct gr_outflow *gr_outflow_create(size_t size)
{
	struct gr_outflow *out = calloc(1, sizeof(*out));
	if (!out)
		return NULL;
	out->size = size;
	out->map = MAP_FAILED;
	out->fd = memfd_create("garasu-outflow", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Sealed against shrinking too: the mapping can never fault. */
	if (out->fd < 0 || ftruncate(out->fd, (off_t)size) < 0 ||
	    fcntl(out->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto failed;
	out->map = mmap(NULL, size, PROT_READ, MAP_SHARED, out->fd, 0);
	if (out->map == MAP_FAILED)
		goto failed;
	return out;
failed:
	gr_outflow_destroy(out);
	return NULL;
}

void gr_outflow_destroy(struct gr_outflow *out)
{
	if (!out)
		return;
	if (out->map != MAP_FAILED)
		munmap(out->map, out->size);
	gr_io_close(&out->fd);
	free(out);
}

int gr_outflow_append(struct gr_outflow *out, const void *data, size_t n)
{
	if (n > out->size - out->tail)
		return GR_EFULL;
	if (gr_io_write_all(out->fd, data, n))
		return GR_EFULL;
	out->tail += n;
	return 0;
}

int gr_outflow_sink(struct gr_outflow *out, int *fd_out)
{
	/* A duplicate shares the file offset; libvncserver closes what it was given when a write fails. */
	int fd = fcntl(out->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return GR_EIO;
	*fd_out = fd;
	return 0;
}

int gr_outflow_written(struct gr_outflow *out, size_t *n_out)
{
	off_t offset = lseek(out->fd, 0, SEEK_CUR);
	if (offset < 0 || (size_t)offset < out->tail || (size_t)offset > out->size)
		return GR_EIO;
	*n_out = (size_t)offset - out->tail;
	out->tail = (size_t)offset;
	return 0;
}

int gr_outflow_flush(struct gr_outflow *out, int sock)
{
	while (out->head < out->tail) {
		ssize_t n = send(sock, out->map + out->head, out->tail - out->head, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
				return GR_EAGAIN;
			return errno == EPIPE || errno == ECONNRESET ? GR_ECLOSED : GR_EIO;
		}
		out->head += (size_t)n;
		out->sent += (uint64_t)n;
	}
	if (out->tail > KEEP)
		fallocate(out->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, KEEP, (off_t)(out->tail - KEEP));
	if (out->tail && lseek(out->fd, 0, SEEK_SET) < 0)
		return GR_EIO;
	out->head = out->tail = 0;
	return 0;
}

size_t gr_outflow_left(const struct gr_outflow *out)
{
	return out->tail - out->head;
}

uint64_t gr_outflow_sent(const struct gr_outflow *out)
{
	return out->sent;
}
