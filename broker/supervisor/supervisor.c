#include "broker/supervisor/supervisor.h"

#include "common/io.h"
#include "common/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SESSIONS_END_MS 6000
#define POOL_END_MS 10000
#define RECORD_END_MS 3000
#define SERVICES_END_MS 3000
#define DESCRIPTORS 16384 /* 1024 connections, 256 sessions, two for each container, and room */

int gr_supervisor_stopping(const struct gr_supervisor *supervisor)
{
	return supervisor->phase >= GR_SUPERVISOR_ENDING_SESSIONS;
}

void gr_supervisor_record(struct gr_supervisor *supervisor, const struct gr_audit_event *event)
{
	gr_audit_client_keep(supervisor->audit, event);
}

void gr_supervisor_group(const struct gr_supervisor *supervisor, struct gr_audit_event *event)
{
	const struct gr_config_group *group = event->person[0] ? gr_config_group_of(&supervisor->config, event->person)
							       : NULL;

	snprintf(event->group, sizeof(event->group), "%s", group ? group->name : "");
}

/* ---- the end, step by step ---- */

static int step_over(const struct gr_supervisor *supervisor)
{
	switch (supervisor->phase) {
	case GR_SUPERVISOR_ENDING_SESSIONS:
		return gr_sessions_left(supervisor) == 0 && gr_connections_left(supervisor) == 0;
	case GR_SUPERVISOR_ENDING_POOL:
		return !gr_service_alive(supervisor, GR_IPC_KIND_POOL) &&
		       !gr_service_alive(supervisor, GR_IPC_KIND_EGRESS);
	case GR_SUPERVISOR_ENDING_RECORD: return gr_audit_client_pending(supervisor->audit) == 0;
	case GR_SUPERVISOR_ENDING_SERVICES:
		for (unsigned kind = 0; kind < GR_SERVICES; kind++)
			if (gr_service_alive(supervisor, kind))
				return 0;
		return 1;
	default: return 0;
	}
}

static void recorded(void *context, uint64_t number, int was_recorded)
{
	(void)number;
	(void)was_recorded;
	gr_supervisor_something_ended(context);
}

static void enter(struct gr_supervisor *supervisor, enum gr_supervisor_phase phase)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_BROKER_STOP };

	supervisor->phase = phase;
	switch (phase) {
	case GR_SUPERVISOR_ENDING_SESSIONS:
		gr_listener_destroy(supervisor->tls);
		gr_listener_destroy(supervisor->vencrypt);
		supervisor->tls = supervisor->vencrypt = NULL;
		gr_loop_timer_set(supervisor->ready, -1);
		gr_loop_timer_set(supervisor->serve, -1);
		gr_connections_refuse_all(supervisor, GR_REASON_SHUTTING_DOWN);
		gr_sessions_end_all(supervisor, GR_REASON_SHUTTING_DOWN);
		gr_loop_timer_set(supervisor->stop, SESSIONS_END_MS);
		break;
	case GR_SUPERVISOR_ENDING_POOL:
		/* The pool removes every container on its way out; egress records what its connections carried. */
		gr_service_finish(supervisor, GR_IPC_KIND_POOL, POOL_END_MS);
		gr_service_finish(supervisor, GR_IPC_KIND_EGRESS, SERVICES_END_MS);
		gr_service_finish(supervisor, GR_IPC_KIND_ADMIN, SERVICES_END_MS);
		gr_loop_timer_set(supervisor->stop, POOL_END_MS + 1000);
		break;
	case GR_SUPERVISOR_ENDING_RECORD:
		snprintf(event.detail, sizeof(event.detail), "%s", supervisor->failed ? "after a failure" : "");
		if (gr_service_ready(supervisor, GR_IPC_KIND_AUDIT))
			gr_audit_client_permit(supervisor->audit, &event, recorded, supervisor, 0, NULL);
		gr_loop_timer_set(supervisor->stop,
				  gr_service_ready(supervisor, GR_IPC_KIND_AUDIT) ? RECORD_END_MS : 0);
		break;
	default:
		for (unsigned kind = 0; kind < GR_SERVICES; kind++)
			gr_service_finish(supervisor, kind, SERVICES_END_MS);
		gr_loop_timer_set(supervisor->stop, SERVICES_END_MS + 1000);
		break;
	}
}

static void next_step(struct gr_supervisor *supervisor)
{
	if (supervisor->phase == GR_SUPERVISOR_ENDING_SERVICES)
		gr_loop_stop(supervisor->loop, supervisor->failed ? GR_EIO : 0);
	else
		enter(supervisor, supervisor->phase + 1);
}

void gr_supervisor_something_ended(struct gr_supervisor *supervisor)
{
	/* Looked at from the loop, not from within whoever ended. */
	if (gr_supervisor_stopping(supervisor))
		gr_loop_timer_set(supervisor->serve, 0);
}

static void stop_over(void *context)
{
	struct gr_supervisor *supervisor = context;

	if (supervisor->phase == GR_SUPERVISOR_ENDING_RECORD && gr_audit_client_pending(supervisor->audit) > 0)
		gr_log_error("%zu events of the end are not in the audit record: it could not be written",
			     gr_audit_client_pending(supervisor->audit));
	else
		gr_log_warning("the broker does not wait any longer for what is ending");
	next_step(supervisor);
}

static void serve_over(void *context)
{
	struct gr_supervisor *supervisor = context;

	if (!gr_supervisor_stopping(supervisor))
		gr_connections_serve(supervisor);
	else if (step_over(supervisor)) {
		next_step(supervisor);
		gr_loop_timer_set(supervisor->serve, 0); /* the next one may be over at once */
	}
}

static void stop(struct gr_supervisor *supervisor)
{
	if (gr_supervisor_stopping(supervisor))
		return;
	enter(supervisor, GR_SUPERVISOR_ENDING_SESSIONS);
	gr_supervisor_something_ended(supervisor);
}

void gr_supervisor_fail(struct gr_supervisor *supervisor)
{
	supervisor->failed = 1;
	stop(supervisor);
}

void gr_supervisor_room(struct gr_supervisor *supervisor)
{
	if (gr_supervisor_stopping(supervisor))
		gr_supervisor_something_ended(supervisor);
	else if (supervisor->queue.count > 0)
		gr_loop_timer_set(supervisor->serve, 0);
}

/* ---- the beginning ---- */

static void accepted_tls(void *context, int fd, const struct gr_peer *peer)
{
	gr_connection_accept(context, fd, peer, "tls");
}

static void accepted_vencrypt(void *context, int fd, const struct gr_peer *peer)
{
	gr_connection_accept(context, fd, peer, "vencrypt");
}

static int listen_for_viewers(struct gr_supervisor *supervisor, struct gr_error *err)
{
	const struct gr_config *config = &supervisor->config;
	int rc;

	rc = gr_listener_create(supervisor->loop, config->listen.address, config->listen.port, accepted_tls, supervisor,
				&supervisor->tls, err);
	if (rc == 0 && config->listen.vencrypt_port && config->listen.standard_viewers == GR_CONFIG_PERMIT)
		rc = gr_listener_create(supervisor->loop, config->listen.address, config->listen.vencrypt_port,
					accepted_vencrypt, supervisor, &supervisor->vencrypt, err);
	return rc;
}

static void tell_ready(struct gr_supervisor *supervisor)
{
	struct gr_container_counts counts;
	char line[256], vencrypt[96] = "";
	int size;

	gr_containers_count(supervisor, &counts);
	if (supervisor->ready_told || supervisor->phase != GR_SUPERVISOR_LISTENING || counts.warm + counts.used == 0)
		return;
	supervisor->ready_told = 1;
	gr_loop_timer_set(supervisor->ready, -1);
	if (supervisor->vencrypt)
		snprintf(vencrypt, sizeof(vencrypt), ", %s (VeNCrypt)", gr_listener_name(supervisor->vencrypt));
	size = snprintf(line, sizeof(line), "ready: %s (TLS)%s, %u warm container%s\n",
			gr_listener_name(supervisor->tls), vencrypt, counts.warm, counts.warm == 1 ? "" : "s");
	if (size > 0 && gr_io_write_all(STDOUT_FILENO, line, (size_t)size) < 0)
		gr_log_debug("nobody reads the standard output");
}

static void ready_over(void *context)
{
	struct gr_supervisor *supervisor = context;

	gr_log_error(
		"no container is ready after %u s; viewers wait until one is. What the pool said above is the reason",
		supervisor->config.pool.start_seconds);
}

void gr_supervisor_service_ready(struct gr_supervisor *supervisor)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_BROKER_START };
	struct gr_error err;

	if (supervisor->phase != GR_SUPERVISOR_STARTING || !gr_services_ready(supervisor))
		return;
	snprintf(event.detail, sizeof(event.detail), "version=%s", GARASU_VERSION);
	gr_supervisor_record(supervisor, &event);
	if (gr_reload_begin(supervisor, &err) < 0 || gr_emergency_begin(supervisor, &err) < 0 ||
	    listen_for_viewers(supervisor, &err) < 0) {
		gr_log_error("%s", err.text);
		gr_supervisor_fail(supervisor);
		return;
	}
	supervisor->phase = GR_SUPERVISOR_LISTENING;
	gr_log_info("listening on %s (TLS)%s%s%s", gr_listener_name(supervisor->tls), supervisor->vencrypt ? ", " : "",
		    supervisor->vencrypt ? gr_listener_name(supervisor->vencrypt) : "",
		    supervisor->vencrypt ? " (VeNCrypt)" : "");
	gr_loop_timer_set(supervisor->ready, (int64_t)supervisor->config.pool.start_seconds * 1000);
	tell_ready(supervisor);
}

void gr_supervisor_container_warm(struct gr_supervisor *supervisor)
{
	tell_ready(supervisor);
	gr_supervisor_room(supervisor);
}

static void signalled(void *context, int signo)
{
	struct gr_supervisor *supervisor = context;

	if (signo == SIGCHLD) {
		gr_children_reap(&supervisor->children);
		return;
	}
	if (!gr_supervisor_stopping(supervisor))
		gr_log_info("signal %d: the broker ends", signo);
	stop(supervisor);
}

int gr_supervisor_create(const struct gr_config *config, struct gr_policy_text *text, const char *programs,
			 struct gr_supervisor **out, struct gr_error *err)
{
	struct gr_supervisor *supervisor = calloc(1, sizeof(*supervisor));
	int rc;

	if (!supervisor)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	supervisor->config = *config;
	supervisor->text = *text;
	*text = (struct gr_policy_text){ .bytes = NULL };
	supervisor->check = gr_check;
	supervisor->state = -1;
	supervisor->since = time(NULL);
	supervisor->since_ms = gr_io_now_ms();
	gr_containers_init(supervisor);
	supervisor->loop = gr_loop_create();
	if (!supervisor->loop) {
		rc = gr_error_errno(err, "cannot make an event loop");
		goto failed;
	}
	supervisor->stop = gr_loop_timer_add(supervisor->loop, stop_over, supervisor);
	supervisor->serve = gr_loop_timer_add(supervisor->loop, serve_over, supervisor);
	supervisor->ready = gr_loop_timer_add(supervisor->loop, ready_over, supervisor);
	supervisor->audit = gr_audit_client_create(supervisor->loop, GR_AUDIT_SOURCE_SUPERVISOR);
	supervisor->coordination = gr_coordination_create("local");
	if (!supervisor->stop || !supervisor->serve || !supervisor->ready || !supervisor->audit ||
	    !supervisor->coordination) {
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
		goto failed;
	}
	if (snprintf(supervisor->copy, sizeof(supervisor->copy), "%s/" GR_POLICY_COPY, config->broker.run_directory) >=
		    (int)sizeof(supervisor->copy) ||
	    gr_children_init(&supervisor->children, supervisor->loop, programs, supervisor->copy) < 0) {
		rc = gr_error_set(err, GR_EINVAL, "the path of the programs or of run_directory is too long");
		goto failed;
	}
	rc = gr_policy_text_copy(&supervisor->text, supervisor->copy, err);
	if (rc < 0)
		goto failed;
	*out = supervisor;
	return 0;
failed:
	gr_supervisor_destroy(supervisor);
	return rc;
}

void gr_supervisor_destroy(struct gr_supervisor *supervisor)
{
	if (!supervisor)
		return;
	gr_containers_finish(supervisor);
	gr_reload_finish(supervisor);
	gr_config_finish(&supervisor->config);
	gr_recordings_finish(supervisor);
	gr_listener_destroy(supervisor->tls);
	gr_listener_destroy(supervisor->vencrypt);
	gr_audit_client_destroy(supervisor->audit);
	gr_coordination_destroy(supervisor->coordination);
	gr_loop_destroy(supervisor->loop);
	free(supervisor);
}

int gr_supervisor_run(struct gr_supervisor *supervisor)
{
	struct rlimit limit;
	struct gr_error err;
	sigset_t signals;
	int rc;

	/* After gr_children_init, which keeps what the children are to start with. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
		limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	if (gr_loop_signals(supervisor->loop, &signals, signalled, supervisor) < 0) {
		gr_log_error("cannot watch signals");
		return GR_EIO;
	}
	if (gr_services_start(supervisor, &err) < 0) {
		gr_log_error("%s", err.text);
		return GR_EIO;
	}
	rc = gr_loop_run(supervisor->loop);
	gr_children_end_all(&supervisor->children);
	return rc;
}
