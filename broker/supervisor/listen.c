#include "broker/supervisor/listen.h"

#include "common/io.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16
#define PAUSE_MS 1000 /* when the system has no descriptor or memory for another connection */

struct gr_listener {
	struct gr_loop_watch *watch;
	struct gr_loop_timer *pause; /* armed while accepting is paused */
	gr_listen_accepted accepted;
	void *context;
	char name[64];
	int sock;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void describe(const union address *address, struct gr_peer *out)
{
	char text[INET6_ADDRSTRLEN] = "?";

	memset(out, 0, sizeof(*out));
	if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof(text));
		snprintf(out->text, sizeof(out->text), "%s:%u", text, ntohs(address->v4.sin_port));
		out->network[10] = out->network[11] = 0xff;
		memcpy(&out->network[12], &address->v4.sin_addr, 4);
	} else if (address->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof(text));
		snprintf(out->text, sizeof(out->text), "[%s]:%u", text, ntohs(address->v6.sin6_port));
		if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
			memcpy(out->network, &address->v6.sin6_addr, 16);
		else
			memcpy(out->network, &address->v6.sin6_addr, 8);
	}
}

static void pause_over(void *context)
{
	struct gr_listener *listener = context;

	gr_loop_change(listener->watch, GR_LOOP_READ);
}

static void sock_ready(void *context, int fd, unsigned events)
{
	struct gr_listener *listener = context;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		union address address = { 0 };
		struct gr_peer peer;
		socklen_t size = sizeof(address);
		const int on = 1;
		int connection = accept4(fd, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (connection < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
				gr_log_error("cannot accept a connection: %s", strerror(errno));
				gr_loop_change(listener->watch, 0);
				gr_loop_timer_set(listener->pause, PAUSE_MS);
			}
			return; /* EAGAIN, or one that has gone already */
		}
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		describe(&address, &peer);
		listener->accepted(listener->context, connection, &peer);
	}
}

static int parse(const char *text, uint16_t port, union address *out, socklen_t *size_out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(port);
		*size_out = sizeof(out->v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons(port);
		*size_out = sizeof(out->v6);
		return 0;
	}
	return GR_EINVAL;
}

int gr_listener_create(struct gr_loop *loop, const char *address, uint16_t port, gr_listen_accepted accepted,
		       void *context, struct gr_listener **out, struct gr_error *err)
{
	struct gr_listener *listener;
	union address where;
	struct gr_peer name;
	socklen_t size;
	const int on = 1;
	int rc;

	if (parse(address, port, &where, &size) < 0)
		return gr_error_set(err, GR_EINVAL, "\"%s\" is not a numeric IPv4 or IPv6 address", address);
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	listener->accepted = accepted;
	listener->context = context;
	listener->sock = socket(where.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener->sock < 0) {
		rc = gr_error_errno(err, "cannot make a socket");
		goto failed;
	}
	setsockopt(listener->sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->sock, &where.any, size) < 0 || listen(listener->sock, 128) < 0) {
		rc = gr_error_errno(err, "cannot listen on %s port %u", address, port);
		goto failed;
	}
	getsockname(listener->sock, &where.any, &size);
	describe(&where, &name);
	snprintf(listener->name, sizeof(listener->name), "%s", name.text);
	listener->watch = gr_loop_add(loop, listener->sock, GR_LOOP_READ, sock_ready, listener);
	listener->pause = gr_loop_timer_add(loop, pause_over, listener);
	if (!listener->watch || !listener->pause) {
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
		goto failed;
	}
	*out = listener;
	return 0;
failed:
	gr_listener_destroy(listener);
	return rc;
}

void gr_listener_destroy(struct gr_listener *listener)
{
	if (!listener)
		return;
	gr_loop_remove(listener->watch);
	gr_loop_timer_remove(listener->pause);
	gr_io_close(&listener->sock);
	free(listener);
}

const char *gr_listener_name(const struct gr_listener *listener)
{
	return listener->name;
}
