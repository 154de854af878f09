#include "sandbox/agent/port.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	RELAYS_MAX = 512,
	BUFFER = 32 * 1024, /* bytes under way, each direction */
	RETRY_MS = 20, /* the egress process's accept queue is full */
	RETRIES = 250, /* 5 s, then the browser is told no */
	SPARE_DESCRIPTORS = 32,
};

/* What was read from one end and not yet written to the other. */
struct flow {
	size_t start, end;
	bool ended; /* the reading side said end of file */
	bool passed_on; /* and the other end was told */
	uint8_t bytes[BUFFER];
};

struct port;

struct relay {
	struct port *port;
	struct relay *next, *previous;
	int fds[2]; /* 0 the browser's, 1 the egress socket's (-1: not yet) */
	struct gr_loop_watch *watches[2];
	struct gr_loop_timer *retry;
	int retries;
	struct flow flows[2]; /* [i]: read from fds[i] */
};

struct port {
	struct gr_loop *loop;
	struct gr_loop_watch *listener;
	struct sockaddr_un egress;
	struct relay *relays;
	size_t count, limit;
};

static void close_relay(struct relay *relay)
{
	struct port *port = relay->port;
	for (int i = 0; i < 2; i++) {
		gr_loop_remove(relay->watches[i]);
		gr_io_close(&relay->fds[i]);
	}
	gr_loop_timer_remove(relay->retry);
	if (relay->previous)
		relay->previous->next = relay->next;
	else
		port->relays = relay->next;
	if (relay->next)
		relay->next->previous = relay->previous;
	free(relay);
	port->count--;
	gr_loop_change(port->listener, GR_LOOP_READ);
}

/* Reads into an empty buffer; false: the relay is at its end. */
static bool fill(struct flow *flow, int fd)
{
	ssize_t n;
	do
		n = recv(fd, flow->bytes, sizeof(flow->bytes), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN;
	flow->start = 0;
	flow->end = (size_t)n;
	flow->ended = n == 0;
	return true;
}

static bool drain(struct flow *flow, int fd)
{
	while (flow->start < flow->end) {
		ssize_t n = send(fd, flow->bytes + flow->start, flow->end - flow->start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		flow->start += (size_t)n;
	}
	if (flow->ended && !flow->passed_on) {
		shutdown(fd, SHUT_WR);
		flow->passed_on = true;
	}
	return true;
}

static void relay_ready(void *context, int fd, unsigned events)
{
	struct relay *relay = context;
	int side = fd == relay->fds[1];
	bool alive = true;
	if (events & GR_LOOP_READ) {
		struct flow *flow = &relay->flows[side];
		if (flow->start == flow->end && !flow->ended)
			alive = fill(flow, fd);
	}
	for (int i = 0; i < 2 && alive; i++)
		alive = drain(&relay->flows[i], relay->fds[1 - i]);
	if (!alive || (relay->flows[0].passed_on && relay->flows[1].passed_on)) {
		close_relay(relay);
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct flow *in = &relay->flows[i], *out = &relay->flows[1 - i];
		bool wants_read = in->start == in->end && !in->ended;
		bool wants_write = out->start < out->end;
		gr_loop_change(relay->watches[i],
			       (wants_read ? GR_LOOP_READ : 0u) | (wants_write ? GR_LOOP_WRITE : 0u));
	}
}

static void connect_relay(void *context)
{
	struct relay *relay = context;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&relay->port->egress, sizeof(relay->port->egress)) == 0) {
		relay->fds[1] = fd;
		for (int i = 0; i < 2; i++)
			relay->watches[i] = gr_loop_add(relay->port->loop, relay->fds[i], GR_LOOP_READ, relay_ready,
							relay);
		if (!relay->watches[0] || !relay->watches[1])
			close_relay(relay);
		return;
	}
	bool later = fd >= 0 && errno == EAGAIN && relay->retries++ < RETRIES;
	gr_io_close(&fd);
	if (later)
		gr_loop_timer_set(relay->retry, RETRY_MS);
	else
		close_relay(relay);
}

static void listener_ready(void *context, int fd, unsigned events)
{
	struct port *port = context;
	(void)events;
	int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0)
		return;
	struct relay *relay = calloc(1, sizeof(*relay));
	if (relay)
		relay->retry = gr_loop_timer_add(port->loop, connect_relay, relay);
	if (!relay || !relay->retry) {
		free(relay);
		close(accepted);
		return;
	}
	const int on = 1;
	setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	relay->port = port;
	relay->fds[0] = accepted;
	relay->fds[1] = -1;
	relay->next = port->relays;
	if (relay->next)
		relay->next->previous = relay;
	port->relays = relay;
	if (++port->count == port->limit)
		gr_loop_change(port->listener, 0); /* the others wait in the kernel's queue */
	connect_relay(relay);
}

int gr_port_listen(uint16_t port, struct gr_error *err)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return gr_error_errno(err, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0) {
		gr_error_errno(err, "127.0.0.1:%u", port);
		close(fd);
		return GR_EIO;
	}
	return fd;
}

static void stop(void *context, int signo)
{
	(void)signo;
	gr_loop_stop(context, 0);
}

/* As many connections as descriptors allow, two each. */
static size_t relay_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur <= SPARE_DESCRIPTORS + 2)
		return 1;
	rlim_t pairs = (limit.rlim_cur - SPARE_DESCRIPTORS) / 2;
	return pairs < RELAYS_MAX ? (size_t)pairs : RELAYS_MAX;
}

int gr_port_run(int listener, const char *path)
{
	struct port port = { .egress.sun_family = AF_UNIX, .limit = relay_limit() };
	if (strlen(path) >= sizeof(port.egress.sun_path))
		return 1;
	memcpy(port.egress.sun_path, path, strlen(path) + 1);
	port.loop = gr_loop_create();
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	int code = 1;
	if (port.loop && gr_loop_signals(port.loop, &set, stop, port.loop) == 0) {
		port.listener = gr_loop_add(port.loop, listener, GR_LOOP_READ, listener_ready, &port);
		if (port.listener)
			code = gr_loop_run(port.loop) < 0;
		for (struct relay *relay = port.relays, *next; relay; relay = next) {
			next = relay->next;
			close_relay(relay);
		}
	}
	gr_loop_destroy(port.loop);
	close(listener);
	return code;
}
