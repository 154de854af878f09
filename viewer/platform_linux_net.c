/* Linux: sockets. */
#include "common/io.h"
#include "viewer/platform_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int gr_platform_resolve(const char *host, const char *port, struct gr_platform_addresses **out, struct gr_error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV },
			*list = NULL;
	int error = getaddrinfo(host, port, &hints, &list);
	if (error)
		return gr_error_set(err, GR_ENOENT, "%s", gai_strerror(error));
	*out = (struct gr_platform_addresses *)(void *)list;
	return 0;
}

void gr_platform_addresses_free(struct gr_platform_addresses *addresses)
{
	freeaddrinfo((struct addrinfo *)(void *)addresses);
}

static void set_options(int sock)
{
	int on = 1, idle = 20, interval = 5, count = 2;
	/* Of bytes that nobody acknowledges, and of a probe that nobody answers. */
	unsigned user_ms = 10000;
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(sock, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(sock, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(sock, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

int gr_platform_connect(const struct gr_platform_addresses *addresses, gr_platform_wait wait, void *context,
			uint64_t deadline_ms, int *out, enum gr_failure *failure, struct gr_error *err)
{
	for (const struct addrinfo *one = (const struct addrinfo *)(const void *)addresses; one; one = one->ai_next) {
		int sock = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, one->ai_protocol);
		int error = sock < 0 || connect(sock, one->ai_addr, one->ai_addrlen) < 0 ? errno : 0;
		if (sock >= 0 && error == EINPROGRESS) {
			int status = wait(context, sock, deadline_ms);
			if (status) {
				gr_io_close(&sock);
				return status;
			}
			socklen_t size = sizeof(error);
			if (getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
				error = errno;
		}
		if (!error) {
			set_options(sock);
			*out = sock;
			return 0;
		}
		gr_io_close(&sock);
		errno = error;
		gr_error_errno(err, "connect");
		*failure = error == ECONNREFUSED ? GR_FAIL_REFUSED
			   : error == ETIMEDOUT  ? GR_FAIL_TIMEOUT
						 : GR_FAIL_UNREACHABLE;
	}
	return GR_EIO;
}

ssize_t gr_platform_peek(int sock, uint8_t *into, size_t room)
{
	return recv(sock, into, room, MSG_PEEK | MSG_DONTWAIT);
}

static int stream_status(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? GR_EAGAIN : GR_ECLOSED;
}

int gr_platform_stream_send(int fd, const uint8_t *bytes, size_t n, size_t *sent)
{
	ssize_t done;
	do
		done = send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return stream_status();
	*sent = (size_t)done;
	return 0;
}

int gr_platform_stream_receive(int fd, uint8_t *into, size_t room, size_t *got)
{
	ssize_t n;
	do
		n = recv(fd, into, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? stream_status() : GR_ECLOSED;
	*got = (size_t)n;
	return 0;
}

int gr_platform_is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}
