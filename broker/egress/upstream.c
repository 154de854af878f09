#include "broker/egress/upstream.h"

#include "common/io.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct gr_upstream {
	struct gr_loop *loop;
	struct gr_resolver *resolver;
	const struct gr_rules *rules; /* NULL: any address */
	struct gr_target target;
	int listed;
	gr_upstream_ended ended;
	void *context;
	struct gr_loop_timer *timer;
	struct gr_loop_watch *watch;
	struct gr_resolve_query *query;
	int fd;
	uint64_t deadline; /* ms */
	struct gr_address addresses[GR_RESOLVE_MAX];
	unsigned count, next;
	int last_errno;
	int started;
};

static void release(struct gr_upstream *upstream)
{
	gr_loop_remove(upstream->watch);
	gr_loop_timer_remove(upstream->timer);
	gr_resolve_cancel(upstream->query);
	gr_io_close(&upstream->fd);
	free(upstream);
}

static void end(struct gr_upstream *upstream, int status, const char *detail)
{
	gr_upstream_ended ended = upstream->ended;
	void *context = upstream->context;
	int fd = -1;
	gr_loop_remove(upstream->watch);
	upstream->watch = NULL;
	if (status == 0) {
		fd = upstream->fd;
		upstream->fd = -1;
	}
	release(upstream);
	ended(context, status, fd, detail);
}

static void connect_next(struct gr_upstream *upstream);

static void connected(struct gr_upstream *upstream)
{
	int one = 1;
	setsockopt(upstream->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(upstream->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	end(upstream, 0, "");
}

static void attempt_failed(struct gr_upstream *upstream, int cause)
{
	upstream->last_errno = cause;
	gr_loop_remove(upstream->watch);
	upstream->watch = NULL;
	gr_io_close(&upstream->fd);
	connect_next(upstream);
}

static void socket_ready(void *context, int fd, unsigned events)
{
	struct gr_upstream *upstream = context;
	int cause = 0;
	socklen_t size = sizeof(cause);
	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &size) < 0)
		cause = errno;
	if (cause)
		attempt_failed(upstream, cause);
	else
		connected(upstream);
}

static void connect_next(struct gr_upstream *upstream)
{
	uint64_t now = gr_io_now_ms();
	if (now >= upstream->deadline) {
		end(upstream, GR_ETIMEOUT, "connect timed out");
		return;
	}
	while (upstream->next < upstream->count) {
		struct sockaddr_storage address;
		socklen_t size = gr_address_socket(&upstream->addresses[upstream->next++], upstream->target.port,
						   &address);
		upstream->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
		if (upstream->fd >= 0 &&
		    (connect(upstream->fd, (const struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS)) {
			upstream->watch = gr_loop_add(upstream->loop, upstream->fd, GR_LOOP_WRITE, socket_ready,
						      upstream);
			if (!upstream->watch) {
				end(upstream, GR_EIO, "no memory");
				return;
			}
			uint64_t left = upstream->deadline - now;
			gr_loop_timer_set(upstream->timer,
					  (int64_t)(left < GR_UPSTREAM_ATTEMPT_MS ? left : GR_UPSTREAM_ATTEMPT_MS));
			return;
		}
		upstream->last_errno = errno;
		gr_io_close(&upstream->fd);
	}
	char detail[128];
	snprintf(detail, sizeof(detail), "cannot connect: %s", strerror(upstream->last_errno));
	end(upstream, upstream->last_errno == ETIMEDOUT ? GR_ETIMEOUT : GR_EIO, detail);
}

static void check_and_connect(struct gr_upstream *upstream, const struct gr_address *addresses, unsigned count)
{
	char detail[128] = "";
	for (unsigned i = 0; i < count; i++) {
		const char *refused = upstream->rules
					      ? gr_rules_address_refused(upstream->rules, &addresses[i],
									 upstream->target.port, upstream->listed)
					      : NULL;
		if (!refused) {
			upstream->addresses[upstream->count++] = addresses[i];
		} else if (!detail[0]) {
			char text[INET6_ADDRSTRLEN];
			snprintf(detail, sizeof(detail), "%s address %s", refused,
				 gr_address_text(&addresses[i], text, sizeof(text)));
		}
	}
	if (upstream->count == 0)
		end(upstream, GR_EDENIED, detail);
	else
		connect_next(upstream);
}

static void resolved(void *context, int status, const struct gr_address *addresses, unsigned count)
{
	struct gr_upstream *upstream = context;
	upstream->query = NULL;
	if (status == 0)
		check_and_connect(upstream, addresses, count);
	else
		end(upstream, status,
		    status == GR_ENOENT     ? "no such name"
		    : status == GR_ETIMEOUT ? "name resolution timed out"
					    : "name resolution failed");
}

static void begin(struct gr_upstream *upstream)
{
	if (upstream->target.is_address) {
		check_and_connect(upstream, &upstream->target.address, 1);
		return;
	}
	struct gr_resolve_query *query = NULL;
	gr_loop_timer_set(upstream->timer, GR_UPSTREAM_MS);
	int status = gr_resolver_ask(upstream->resolver, upstream->target.host, resolved, upstream, &query);
	if (status != 0)
		end(upstream, GR_EIO, "no memory");
	else if (query) /* else it has called back, and upstream may be gone */
		upstream->query = query;
}

static void timer_expired(void *context)
{
	struct gr_upstream *upstream = context;
	if (!upstream->started) {
		upstream->started = 1;
		begin(upstream);
	} else if (upstream->fd >= 0) {
		attempt_failed(upstream, ETIMEDOUT);
	} else {
		end(upstream, GR_ETIMEOUT, "name resolution timed out");
	}
}

int gr_upstream_start(struct gr_upstream **out, struct gr_loop *loop, struct gr_resolver *resolver,
		      const struct gr_rules *rules, const struct gr_target *target, int listed, gr_upstream_ended ended,
		      void *context)
{
	struct gr_upstream *upstream = calloc(1, sizeof(*upstream));
	if (!upstream)
		return GR_ENOMEM;
	upstream->loop = loop;
	upstream->resolver = resolver;
	upstream->target = *target;
	upstream->rules = rules;
	upstream->listed = listed;
	upstream->ended = ended;
	upstream->context = context;
	upstream->fd = -1;
	upstream->deadline = gr_io_now_ms() + GR_UPSTREAM_MS;
	upstream->timer = gr_loop_timer_add(loop, timer_expired, upstream);
	if (!upstream->timer) {
		free(upstream);
		return GR_ENOMEM;
	}
	gr_loop_timer_set(upstream->timer, 0); /* so that no failure calls back from here */
	*out = upstream;
	return 0;
}

void gr_upstream_cancel(struct gr_upstream *upstream)
{
	if (upstream)
		release(upstream);
}
