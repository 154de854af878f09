#include "common/io.h"
#include "common/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int gr_io_send(int sock, const void *packet, size_t size, int fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)packet, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)size)
		return 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		return GR_EAGAIN;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN || errno == ECONNREFUSED))
		return GR_ECLOSED;
	return GR_EIO;
}

int gr_io_receive(int sock, void *packet, size_t cap, size_t *size_out, int *fd_out)
{
	enum {
		RIGHTS_MAX = 253
	}; /* SCM_MAX_FD of the kernel: room for all of them, so that none is left installed unseen */
	struct iovec iov = { .iov_base = packet, .iov_len = cap };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * RIGHTS_MAX)];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	ssize_t n;
	do
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return GR_EAGAIN;
		return errno == ECONNRESET ? GR_ECLOSED : GR_EIO;
	}

	int kept = -1;
	int bad = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (fd_out && kept < 0 && count == 1) {
				kept = fd;
			} else {
				close(fd);
				bad = 1;
			}
		}
	}
	if (bad) {
		gr_io_close(&kept);
		return GR_EPROTO;
	}
	if (n == 0 && cap > 0) { /* no packet here is empty, so this is the end */
		gr_io_close(&kept);
		return GR_ECLOSED;
	}
	*size_out = (size_t)n;
	if (fd_out)
		*fd_out = kept;
	return 0;
}

int gr_io_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;
	while (n > 0) {
		ssize_t written = write(fd, p, n);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			return GR_EIO;
		}
		p += written;
		n -= (size_t)written;
	}
	return 0;
}

int gr_io_set_nonblocking(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return GR_EIO;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? GR_EIO : 0;
}

void gr_io_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int gr_io_pair(int type, int pair_out[2])
{
	return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair_out) < 0 ? GR_EIO : 0;
}

uint64_t gr_io_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t gr_io_now_ms(void)
{
	return gr_io_now_us() / 1000;
}
