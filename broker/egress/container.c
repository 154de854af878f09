#include "broker/egress/container.h"

#include "broker/egress/proxy.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_AGAIN_MS 500
#define ACCEPTS_PER_TURN 16

static int has_room(const struct gr_egress_container *container)
{
	return container->count < GR_CONTAINER_CONNECTIONS_MAX && container->egress->count < GR_EGRESS_CONNECTIONS_MAX;
}

static void pause_accepting(struct gr_egress_container *container, const char *why)
{
	gr_log_warning("container %u: %s: its new connections wait", (unsigned)container->number, why);
	gr_loop_change(container->watch, 0);
	gr_loop_timer_set(container->egress->accept_again, ACCEPT_AGAIN_MS);
}

static void listener_ready(void *context, int fd, unsigned events)
{
	struct gr_egress_container *container = context;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		if (!has_room(container)) {
			gr_loop_change(container->watch, 0); /* on again when a connection ends */
			return;
		}
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				pause_accepting(container, strerror(errno));
			return;
		}
		if (gr_connection_create(container, client) != 0)
			gr_log_error("no memory for a connection");
	}
}

static void accept_again(void *context)
{
	struct gr_egress *egress = context;
	for (uint32_t i = 1; i <= GR_CONTAINERS_MAX; i++)
		if (egress->containers[i].watch && has_room(&egress->containers[i]))
			gr_loop_change(egress->containers[i].watch, GR_LOOP_READ);
}

void gr_egress_connection_ended(struct gr_egress_container *container)
{
	struct gr_egress *egress = container->egress;
	container->count--;
	if (egress->count-- == GR_EGRESS_CONNECTIONS_MAX)
		accept_again(egress);
	else if (container->watch)
		gr_loop_change(container->watch, GR_LOOP_READ);
}

static void note_held_back(void *context)
{
	struct gr_egress_container *container = context;
	struct gr_audit_event event = { .kind = GR_AUDIT_EGRESS_REFUSED,
					.session = container->session,
					.container = container->number };
	if (container->held_back == 0)
		return;
	memcpy(event.person, container->person, sizeof(event.person));
	snprintf(event.detail, sizeof(event.detail), "%u requests held back: more than %u a second",
		 container->held_back, GR_BUCKET_RATE);
	gr_audit_client_keep(container->egress->audit, &event);
	container->held_back = 0;
}

int gr_egress_take_request(struct gr_egress_container *container)
{
	if (gr_bucket_take(&container->bucket, gr_io_now_ms()))
		return 1;
	if (container->held_back++ == 0)
		gr_loop_timer_set(container->held_back_timer, GR_HELD_BACK_MS);
	return 0;
}

int gr_egress_init(struct gr_egress *egress, struct gr_loop *loop, struct gr_resolver *resolver,
		   struct gr_audit_client *audit, const struct gr_rules *rules, const char *authorization)
{
	memset(egress, 0, sizeof(*egress));
	egress->loop = loop;
	egress->resolver = resolver;
	egress->audit = audit;
	egress->rules = rules;
	egress->authorization = authorization;
	for (uint32_t i = 0; i <= GR_CONTAINERS_MAX; i++) {
		egress->containers[i].egress = egress;
		egress->containers[i].number = i;
		egress->containers[i].listener = -1;
	}
	egress->accept_again = gr_loop_timer_add(loop, accept_again, egress);
	return egress->accept_again ? 0 : GR_ENOMEM;
}

void gr_egress_finish(struct gr_egress *egress)
{
	for (uint32_t i = 1; i <= GR_CONTAINERS_MAX; i++)
		gr_egress_forget(egress, i);
	gr_loop_timer_remove(egress->accept_again);
	egress->accept_again = NULL;
}

int gr_egress_add(struct gr_egress *egress, uint32_t number, int listener)
{
	struct gr_egress_container *container = number >= 1 && number <= GR_CONTAINERS_MAX ? &egress->containers[number]
											   : NULL;
	if (!container || container->listener >= 0) {
		close(listener);
		return container ? GR_EEXIST : GR_EINVAL;
	}
	container->watch = NULL;
	container->held_back_timer = gr_loop_timer_add(egress->loop, note_held_back, container);
	if (container->held_back_timer && gr_io_set_nonblocking(listener, 1) == 0)
		container->watch = gr_loop_add(egress->loop, listener, GR_LOOP_READ, listener_ready, container);
	if (!container->watch) {
		gr_loop_timer_remove(container->held_back_timer);
		container->held_back_timer = NULL;
		close(listener);
		return GR_ENOMEM;
	}
	container->listener = listener;
	gr_bucket_fill(&container->bucket, gr_io_now_ms());
	return 0;
}

int gr_egress_assign(struct gr_egress *egress, uint32_t number, uint64_t session, const char *person)
{
	if (number < 1 || number > GR_CONTAINERS_MAX || egress->containers[number].listener < 0)
		return GR_ENOENT;
	struct gr_egress_container *container = &egress->containers[number];
	note_held_back(container); /* those were nobody's */
	container->session = session;
	snprintf(container->person, sizeof(container->person), "%s", person);
	container->group = gr_config_group_of(egress->rules->config, person);
	return 0;
}

void gr_egress_regroup(struct gr_egress *egress)
{
	for (uint32_t i = 1; i <= GR_CONTAINERS_MAX; i++) {
		struct gr_egress_container *container = &egress->containers[i];
		if (container->session)
			container->group = gr_config_group_of(egress->rules->config, container->person);
	}
}

int gr_egress_forget(struct gr_egress *egress, uint32_t number)
{
	if (number < 1 || number > GR_CONTAINERS_MAX)
		return GR_EINVAL;
	struct gr_egress_container *container = &egress->containers[number];
	gr_loop_remove(container->watch);
	container->watch = NULL;
	gr_io_close(&container->listener);
	while (container->connections)
		gr_connection_destroy(container->connections);
	note_held_back(container);
	gr_loop_timer_remove(container->held_back_timer);
	container->held_back_timer = NULL;
	container->session = 0;
	container->person[0] = 0;
	container->group = NULL;
	return 0;
}
