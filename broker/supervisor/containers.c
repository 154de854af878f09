#include "broker/supervisor/containers.h"

#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <string.h>

void gr_containers_init(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++)
		supervisor->containers[i] = (struct gr_container){ .number = i + 1, .listener = -1, .agent = -1 };
}

void gr_containers_finish(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		gr_io_close(&supervisor->containers[i].listener);
		gr_io_close(&supervisor->containers[i].agent);
	}
}

static void record(struct gr_supervisor *supervisor, enum gr_audit_kind kind, const struct gr_container *container,
		   uint32_t reason)
{
	struct gr_audit_event event = { .kind = kind, .reason = reason, .container = container->number };

	gr_supervisor_record(supervisor, &event);
}

static void tell_egress(struct gr_supervisor *supervisor, const struct gr_container *container)
{
	struct gr_ipc_message message = { .type = GR_IPC_EGRESS_CONTAINER, .container = container->number };

	gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &message, container->listener);
}

static void assign_egress(struct gr_supervisor *supervisor, const struct gr_container *container)
{
	struct gr_ipc_message message = { .type = GR_IPC_EGRESS_ASSIGN,
					  .container = container->number,
					  .session = container->session->id };

	memcpy(message.person, container->session->person, sizeof(container->session->person));
	gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &message, -1);
}

void gr_containers_tell_egress(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		const struct gr_container *container = &supervisor->containers[i];

		if (container->listener < 0)
			continue;
		tell_egress(supervisor, container);
		if (container->session && container->session->recorded)
			assign_egress(supervisor, container);
	}
}

/* Everything of it is gone, or was never to be had. */
static void gone(struct gr_supervisor *supervisor, struct gr_container *container, uint32_t reason)
{
	struct gr_session *session = container->session;
	struct gr_ipc_message forget = { .type = GR_IPC_EGRESS_FORGET, .container = container->number };

	if (container->state != GR_CONTAINER_DESTROYING)
		gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &forget, -1);
	gr_io_close(&container->listener);
	gr_io_close(&container->agent);
	container->session = NULL;
	container->state = GR_CONTAINER_FREE;
	record(supervisor, GR_AUDIT_CONTAINER_END, container, reason);
	if (session)
		gr_session_container_gone(session, reason ? reason : GR_REASON_CONTAINER_FAILED);
}

static int started(struct gr_supervisor *supervisor, struct gr_container *container, int *fd)
{
	container->listener = *fd;
	*fd = -1;
	container->state = GR_CONTAINER_STARTING;
	record(supervisor, GR_AUDIT_CONTAINER_START, container, 0);
	tell_egress(supervisor, container);
	return 0;
}

static int agent(struct gr_supervisor *supervisor, struct gr_container *container, int *fd)
{
	if (container->state == GR_CONTAINER_DESTROYING)
		return 0;
	gr_io_close(&container->agent); /* an earlier connection of the same agent, which it has given up */
	container->agent = *fd;
	*fd = -1;
	if (container->state == GR_CONTAINER_USED) {
		gr_session_agent(container->session);
	} else if (container->state == GR_CONTAINER_STARTING) {
		container->state = GR_CONTAINER_WARM;
		gr_log_info("container %u is warm", container->number);
		gr_supervisor_container_warm(supervisor);
	}
	return 0;
}

int gr_containers_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message, int *fd)
{
	struct gr_container *container;

	if (message->type == GR_IPC_POOL_TROUBLE) {
		gr_log_error("pool: %s (%s)", message->text, gr_reason_name(message->reason));
		return 0;
	}
	if (message->container < 1 || message->container > GR_CONTAINERS_MAX)
		return GR_EPROTO;
	container = &supervisor->containers[message->container - 1];
	if (!gr_container_permits(container->state, message->type))
		return GR_EPROTO;
	switch (message->type) {
	case GR_IPC_STARTED: return started(supervisor, container, fd);
	case GR_IPC_AGENT: return agent(supervisor, container, fd);
	case GR_IPC_GONE:
		if (container->state != GR_CONTAINER_FREE) {
			gr_log_info("container %u is gone (%s)", container->number, gr_reason_name(message->reason));
			gone(supervisor, container, message->reason);
		}
		return 0;
	default: return GR_EPROTO;
	}
}

void gr_containers_pool_gone(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++)
		if (supervisor->containers[i].state != GR_CONTAINER_FREE)
			gone(supervisor, &supervisor->containers[i],
			     gr_supervisor_stopping(supervisor) ? GR_REASON_SHUTTING_DOWN : GR_REASON_CONTAINER_FAILED);
}

struct gr_container *gr_containers_warm(struct gr_supervisor *supervisor)
{
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++)
		if (supervisor->containers[i].state == GR_CONTAINER_WARM)
			return &supervisor->containers[i];
	return NULL;
}

void gr_container_reserve(struct gr_container *container, struct gr_session *session)
{
	container->state = GR_CONTAINER_USED;
	container->session = session;
}

void gr_container_return(struct gr_container *container)
{
	container->state = GR_CONTAINER_WARM;
	container->session = NULL;
}

void gr_container_assign(struct gr_supervisor *supervisor, const struct gr_container *container)
{
	struct gr_ipc_message message = { .type = GR_IPC_ASSIGN,
					  .container = container->number,
					  .session = container->session->id };

	assign_egress(supervisor, container);
	gr_services_send(supervisor, GR_IPC_KIND_POOL, &message, -1);
}

void gr_container_destroy(struct gr_supervisor *supervisor, struct gr_container *container)
{
	struct gr_ipc_message forget = { .type = GR_IPC_EGRESS_FORGET, .container = container->number };
	struct gr_ipc_message destroy = { .type = GR_IPC_DESTROY, .container = container->number };

	container->session = NULL;
	container->state = GR_CONTAINER_DESTROYING;
	gr_io_close(&container->agent);
	gr_io_close(&container->listener);
	gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &forget, -1);
	/* At the end of the broker the pool removes all of them at once, and warms up no other in this one's place. */
	if (!gr_supervisor_stopping(supervisor))
		gr_services_send(supervisor, GR_IPC_KIND_POOL, &destroy, -1);
}

void gr_containers_count(const struct gr_supervisor *supervisor, struct gr_container_counts *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		switch (supervisor->containers[i].state) {
		case GR_CONTAINER_STARTING: out->starting++; break;
		case GR_CONTAINER_WARM: out->warm++; break;
		case GR_CONTAINER_USED: out->used++; break;
		case GR_CONTAINER_DESTROYING: out->destroying++; break;
		default: break;
		}
	}
}
