#include "broker/supervisor/services.h"

#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READY_MS 15000
#define POOL_READY_MS 120000 /* it may have a whole broker's containers of an earlier life to remove */
#define WINDOW_MS 60000
#define RENEW_MS 3000
#define AGAIN_FIRST_MS 200 /* doubled with each death in the window; the first time at once */

static void start(struct gr_service *service);

struct gr_child *gr_service_child(struct gr_supervisor *supervisor, enum gr_ipc_kind kind)
{
	return &supervisor->services[kind].child;
}

int gr_service_ready(const struct gr_supervisor *supervisor, enum gr_ipc_kind kind)
{
	return supervisor->services[kind].child.state == GR_CHILD_READY;
}

int gr_service_alive(const struct gr_supervisor *supervisor, enum gr_ipc_kind kind)
{
	return gr_child_alive(&supervisor->services[kind].child);
}

int gr_service_wanted(const struct gr_config *config, enum gr_ipc_kind kind)
{
	if (kind == GR_IPC_KIND_FORWARD)
		return config->syslog.server.host[0] || config->timestamp.url[0];
	if (kind == GR_IPC_KIND_PAM)
		return config->identity.password == GR_FACTOR_PAM || config->identity.code == GR_FACTOR_PAM;
	return 1;
}

int gr_services_ready(const struct gr_supervisor *supervisor)
{
	for (unsigned kind = 0; kind < GR_SERVICES; kind++)
		if (gr_service_wanted(&supervisor->config, kind) && !gr_service_ready(supervisor, kind))
			return 0;
	return 1;
}

void gr_services_send(struct gr_supervisor *supervisor, enum gr_ipc_kind kind, const struct gr_ipc_message *message,
		      int fd)
{
	/* Before READY it is not told anything: all that it must know is sent then. */
	if (gr_service_ready(supervisor, kind))
		gr_child_send(gr_service_child(supervisor, kind), message, fd);
}

void gr_service_finish(struct gr_supervisor *supervisor, enum gr_ipc_kind kind, int64_t ms)
{
	gr_child_finish(gr_service_child(supervisor, kind), ms);
}

void gr_service_renew(struct gr_supervisor *supervisor, enum gr_ipc_kind kind)
{
	supervisor->services[kind].renewed = gr_service_alive(supervisor, kind);
	gr_child_finish(gr_service_child(supervisor, kind), RENEW_MS);
}

static void tell_revocations(struct gr_supervisor *supervisor)
{
	struct gr_ipc_message message = { .type = GR_IPC_REVOCATIONS };
	const char *file = supervisor->config.tls.client_crl;
	const struct stat *last = &supervisor->revocations;
	struct stat now;
	int fd;

	/* One that cannot be read now refuses people in their gateways, which say so. */
	if (!gr_service_ready(supervisor, GR_IPC_KIND_IDENTITY) || stat(file, &now) < 0 ||
	    (now.st_ino == last->st_ino && now.st_dev == last->st_dev && now.st_size == last->st_size &&
	     now.st_mtim.tv_sec == last->st_mtim.tv_sec && now.st_mtim.tv_nsec == last->st_mtim.tv_nsec))
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &now) < 0) {
		gr_io_close(&fd);
		return;
	}
	gr_services_send(supervisor, GR_IPC_KIND_IDENTITY, &message, fd);
	gr_io_close(&fd);
	supervisor->revocations = now;
	gr_connections_forget_unknown(supervisor, gr_service_child(supervisor, GR_IPC_KIND_IDENTITY)->pid);
}

void gr_services_tell_session_over(struct gr_supervisor *supervisor, const char *person)
{
	struct gr_ipc_message message = { .type = GR_IPC_SESSION_OVER };

	if (supervisor->config.identity.password == GR_FACTOR_NONE &&
	    supervisor->config.identity.code == GR_FACTOR_NONE)
		return;
	snprintf(message.person, sizeof(message.person), "%s", person);
	gr_services_send(supervisor, GR_IPC_KIND_IDENTITY, &message, -1);
}

void gr_services_tell_revocations(struct gr_supervisor *supervisor)
{
	if (!supervisor->config.tls.client_crl[0])
		return;
	tell_revocations(supervisor);
	gr_loop_timer_set(supervisor->look, GR_REVOCATIONS_MS);
}

static void look_over(void *context)
{
	struct gr_supervisor *supervisor = context;

	if (gr_connections_left(supervisor) > 0)
		gr_services_tell_revocations(supervisor);
}

/* A way to the audit process for one source; -1 when there is none to be had. */
static int audit_peer(struct gr_supervisor *supervisor, enum gr_audit_source source)
{
	struct gr_ipc_message message = { .type = GR_IPC_PEER, .number = source };
	int pair[2];

	if (gr_io_pair(SOCK_SEQPACKET, pair) < 0)
		return -1;
	gr_services_send(supervisor, GR_IPC_KIND_AUDIT, &message, pair[1]);
	gr_io_close(&pair[1]);
	return pair[0];
}

static void connect_egress(struct gr_supervisor *supervisor)
{
	struct gr_ipc_message message = { .type = GR_IPC_PEER, .number = GR_AUDIT_SOURCE_EGRESS };
	int fd;

	if (!gr_service_ready(supervisor, GR_IPC_KIND_AUDIT) || !gr_service_ready(supervisor, GR_IPC_KIND_EGRESS))
		return;
	fd = audit_peer(supervisor, GR_AUDIT_SOURCE_EGRESS);
	if (fd < 0) {
		gr_child_kill(gr_service_child(supervisor, GR_IPC_KIND_EGRESS),
			      "no descriptor is left for its audit socket");
		return;
	}
	gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &message, fd);
	gr_io_close(&fd);
}

/* A way between identity and pam, whenever one of them is new. */
static void connect_pam(struct gr_supervisor *supervisor)
{
	struct gr_ipc_message message = { .type = GR_IPC_PEER };
	int pair[2];

	if (!gr_service_ready(supervisor, GR_IPC_KIND_IDENTITY) || !gr_service_ready(supervisor, GR_IPC_KIND_PAM))
		return;
	if (gr_io_pair(SOCK_SEQPACKET, pair) < 0) {
		gr_child_kill(gr_service_child(supervisor, GR_IPC_KIND_PAM), "no descriptor is left for its socket");
		return;
	}
	gr_services_send(supervisor, GR_IPC_KIND_PAM, &message, pair[0]);
	gr_services_send(supervisor, GR_IPC_KIND_IDENTITY, &message, pair[1]);
	gr_io_close(&pair[0]);
	gr_io_close(&pair[1]);
}

static int identity_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	switch (message->type) {
	case GR_IPC_IDENTIFIED: return gr_connection_identified(supervisor, message);
	case GR_IPC_LOGIN_FAILED: return gr_connection_login_failed(supervisor, message);
	case GR_IPC_REVOKED: return gr_connection_revoked(supervisor, message);
	default: return gr_users_answer(supervisor, message);
	}
}

static void child_ready(struct gr_child *child)
{
	struct gr_service *service = child->context;
	struct gr_supervisor *supervisor = service->supervisor;
	int first = !service->was_ready;

	service->was_ready = 1;
	gr_log_debug("garasu-%s is ready", gr_ipc_kind_name(child->kind));
	if (child->kind == GR_IPC_KIND_FORWARD)
		supervisor->forward = "ok"; /* until it says otherwise */
	if (child->kind == GR_IPC_KIND_AUDIT) {
		int fd = audit_peer(supervisor, GR_AUDIT_SOURCE_SUPERVISOR);

		if (fd >= 0)
			gr_audit_client_connect(supervisor->audit, fd);
		connect_egress(supervisor);
		if (first && !gr_supervisor_stopping(supervisor))
			for (unsigned kind = GR_IPC_KIND_AUDIT + 1; kind < GR_SERVICES; kind++)
				if (gr_service_wanted(&supervisor->config, kind))
					start(&supervisor->services[kind]);
	} else if (child->kind == GR_IPC_KIND_EGRESS) {
		connect_egress(supervisor);
		gr_containers_tell_egress(supervisor);
	} else if (child->kind == GR_IPC_KIND_IDENTITY || child->kind == GR_IPC_KIND_PAM) {
		connect_pam(supervisor);
	}
	gr_supervisor_service_ready(supervisor);
}

static int forward_state(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	static const char *const words[] = { "ok", "unreachable", "unstamped", "alarm" };
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };

	supervisor->forward = NULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(message->subject, words[i]) == 0)
			supervisor->forward = words[i];
	if (!supervisor->forward)
		return GR_EPROTO;
	if (message->reason == GR_REASON_INTERNAL) {
		snprintf(event.detail, sizeof(event.detail), "forward: %.*s", (int)sizeof(event.detail) - 10,
			 message->text);
		gr_supervisor_record(supervisor, &event);
	}
	return 0;
}

static int child_message(struct gr_child *child, const struct gr_ipc_message *message, int *fd)
{
	struct gr_service *service = child->context;

	switch (child->kind) {
	case GR_IPC_KIND_IDENTITY: return identity_message(service->supervisor, message);
	case GR_IPC_KIND_POOL: return gr_containers_message(service->supervisor, message, fd);
	case GR_IPC_KIND_ADMIN: return gr_request_message(service->supervisor, message);
	case GR_IPC_KIND_AUDIT: gr_request_pruned(service->supervisor, message); return 0;
	case GR_IPC_KIND_FORWARD: return forward_state(service->supervisor, message);
	default: return GR_EPROTO;
	}
}

static void child_ended(struct gr_child *child, const struct gr_child_end *end)
{
	struct gr_service *service = child->context;
	struct gr_supervisor *supervisor = service->supervisor;
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
	const char *name = gr_ipc_kind_name(child->kind);
	uint64_t now = gr_io_now_ms();

	if (child->kind == GR_IPC_KIND_AUDIT)
		gr_audit_client_disconnect(supervisor->audit);
	if (child->kind == GR_IPC_KIND_POOL)
		gr_containers_pool_gone(supervisor);
	if (child->kind == GR_IPC_KIND_IDENTITY)
		gr_users_identity_gone(supervisor);
	if (gr_supervisor_stopping(supervisor)) {
		if (!end->in_order)
			gr_log_warning("garasu-%s: %s", name, end->text);
		gr_supervisor_something_ended(supervisor);
		return;
	}
	if (service->renewed) {
		service->renewed = 0;
		start(service);
		return;
	}
	if (!service->was_ready) {
		gr_log_error("garasu-%s could not start (%s): what it says above is the reason", name, end->text);
		gr_supervisor_fail(supervisor);
		return;
	}
	snprintf(event.detail, sizeof(event.detail), "%s: %s", name, end->text);
	gr_supervisor_record(supervisor, &event);
	if (now - service->first_death > WINDOW_MS) {
		service->first_death = now;
		service->deaths = 0;
	}
	if (++service->deaths > GR_SERVICE_DEATHS_MAX) {
		gr_log_error("garasu-%s ended %u times within a minute (%s): the broker ends", name, service->deaths,
			     end->text);
		gr_supervisor_fail(supervisor);
		return;
	}
	gr_log_error("garasu-%s ended (%s) and is started again", name, end->text);
	gr_loop_timer_set(service->again, service->deaths == 1 ? 0 : AGAIN_FIRST_MS << (service->deaths - 2));
}

static const struct gr_child_owner owner = { child_ready, child_message, child_ended };

static int start_child(struct gr_service *service, struct gr_error *err)
{
	struct gr_child_start settings = {
		.kind = (enum gr_ipc_kind)(service - service->supervisor->services),
		.owner = &owner,
		.context = service,
		.ready_ms = READY_MS,
	};

	if (settings.kind == GR_IPC_KIND_POOL)
		settings.ready_ms = POOL_READY_MS;
	return gr_child_start(&service->supervisor->children, &service->child, &settings, err);
}

static void start(struct gr_service *service)
{
	struct gr_error err;

	if (gr_supervisor_stopping(service->supervisor))
		return;
	if (start_child(service, &err) < 0) {
		gr_log_error("%s", err.text);
		gr_supervisor_fail(service->supervisor);
	}
}

static void again_over(void *context)
{
	start(context);
}

int gr_services_start(struct gr_supervisor *supervisor, struct gr_error *err)
{
	supervisor->look = gr_loop_timer_add(supervisor->loop, look_over, supervisor);
	if (!supervisor->look)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	for (unsigned kind = 0; kind < GR_SERVICES; kind++) {
		struct gr_service *service = &supervisor->services[kind];

		service->supervisor = supervisor;
		service->again = gr_loop_timer_add(supervisor->loop, again_over, service);
		if (!service->again)
			return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	return start_child(&supervisor->services[GR_IPC_KIND_AUDIT], err);
}
