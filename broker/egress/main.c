/*
 * garasu-egress <config file>: carries the containers' requests to the internet. It holds no file, and no secret but
 * what the upstream proxy is shown, if any.
 *
 * fd 3 is the control socket. The supervisor sends, after READY:
 *   PEER                number = GR_AUDIT_SOURCE_EGRESS: the socket to the audit process; again when that was restarted
 *   POLICY              the configuration that counts for new requests from now on
 *   EGRESS_CONTAINER    a container's listening socket; EGRESS_ASSIGN, EGRESS_FORGET as in ipc.h
 * When the control socket ends all connections are closed, what they carried is sent to the audit process, and after its
 * acknowledgements (or a second) this process ends: the audit process must so be stopped after it. Signals
 * that a terminal or an init system sends to the whole group do not stop it before.
 */
#include "broker/config/difference.h"
#include "broker/egress/container.h"
#include "broker/egress/credentials.h"
#include "broker/egress/policy.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_WORDS_MS 1000
#define LAST_LOOK_MS 10
#define POLICY_MAX (16u << 20) /* bytes */

struct state {
	struct gr_loop *loop;
	struct gr_resolver *resolver;
	struct gr_audit_client *audit;
	struct gr_loop_watch *control;
	struct gr_loop_timer *ending;
	uint64_t end_by; /* ms; 0 = not ending */
	int code;
	struct gr_egress egress;
	struct gr_config config;
	struct gr_rules rules;
	char authorization[GR_CREDENTIALS_HEADER]; /* "" = none */
};

static void look_for_end(void *context)
{
	struct state *state = context;
	if (gr_audit_client_pending(state->audit) == 0 || gr_io_now_ms() >= state->end_by)
		gr_loop_stop(state->loop, state->code);
	else
		gr_loop_timer_set(state->ending, LAST_LOOK_MS);
}

static void begin_end(struct state *state, int code)
{
	gr_loop_remove(state->control);
	state->control = NULL;
	state->code = code;
	state->end_by = gr_io_now_ms() + LAST_WORDS_MS;
	gr_egress_finish(&state->egress);
	look_for_end(state);
}

/* All of it, with a line end behind, so that it is never empty; owned. NULL: too long, or it cannot be read. */
static char *read_all(int fd, size_t *size_out)
{
	size_t room = 65536, size = 0;
	char *bytes = malloc(room);
	while (bytes) {
		ssize_t n = read(fd, bytes + size, room - size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0) {
			bytes[size++] = '\n';
			*size_out = size;
			return bytes;
		}
		size += n > 0 ? (size_t)n : 0;
		if (n < 0 || size > POLICY_MAX)
			break;
		if (size + 1 == room) {
			char *larger = realloc(bytes, room *= 2);
			if (!larger)
				break;
			bytes = larger;
		}
	}
	free(bytes);
	return NULL;
}

/* The supervisor has checked it. One that cannot be read ends this process, and the next one reads the file. */
static int take_policy(struct state *state, int fd)
{
	static struct gr_config next; /* large */
	struct gr_error err = { .text = "it cannot be read" };
	size_t size = 0;
	char *bytes = read_all(fd, &size);
	FILE *stream = bytes ? fmemopen(bytes, size, "r") : NULL;
	gr_config_init(&next);
	int status = stream ? gr_config_read(&next, stream, state->config.file, &err) : GR_EIO;
	if (status != 0)
		gr_log_error("the new policy: %s", err.text);
	else
		gr_config_apply(&state->config, &next);
	gr_egress_regroup(&state->egress);
	gr_config_finish(&next);
	if (stream)
		fclose(stream);
	free(bytes);
	close(fd);
	return status;
}

static int obey(struct state *state, const struct gr_ipc_message *message, int fd)
{
	switch (message->type) {
	case GR_IPC_PEER:
		if (message->number != GR_AUDIT_SOURCE_EGRESS) {
			close(fd);
			return GR_EPROTO;
		}
		gr_audit_client_connect(state->audit, fd);
		return 0;
	case GR_IPC_POLICY: return take_policy(state, fd);
	case GR_IPC_EGRESS_CONTAINER:
		gr_egress_forget(&state->egress, message->container); /* the newer one holds */
		return gr_egress_add(&state->egress, message->container, fd);
	case GR_IPC_EGRESS_ASSIGN:
		/* Its listener may just have been forgotten: nobody can ask through it, so nothing is lost. */
		if (gr_egress_assign(&state->egress, message->container, message->session, message->person) != 0)
			gr_log_warning("container %u is assigned, but not here", (unsigned)message->container);
		return 0;
	case GR_IPC_EGRESS_FORGET: return gr_egress_forget(&state->egress, message->container);
	default: gr_io_close(&fd); return GR_EPROTO;
	}
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct state *state = context;
	(void)events;
	for (;;) {
		struct gr_ipc_message message;
		int received = -1;
		int status = gr_ipc_receive(fd, &message, &received);
		if (status == GR_EAGAIN)
			return;
		if (status == GR_ECLOSED) {
			begin_end(state, 0);
			return;
		}
		if (status == 0)
			status = obey(state, &message, received);
		if (status != 0) {
			gr_log_error("control socket: %s", gr_status_text(status));
			begin_end(state, 1);
			return;
		}
	}
}

static int start(struct state *state, const char *file, struct gr_error *err)
{
	if (gr_ipc_child_configure("garasu-egress", file, &state->config, err) != 0)
		return err->code;
	const char *credentials = state->config.egress.upstream_credentials;
	if (credentials[0] && gr_credentials_read(credentials, state->authorization, err) != 0)
		return gr_error_wrap(err, "egress.upstream_credentials");
	if (gr_rules_init(&state->rules, &state->config, err) != 0)
		return err->code;
	state->loop = gr_loop_create();
	if (!state->loop)
		return gr_error_errno(err, "cannot make the event loop");
	if (gr_resolver_create(&state->resolver, state->loop, err) != 0)
		return err->code;
	state->audit = gr_audit_client_create(state->loop, GR_AUDIT_SOURCE_EGRESS);
	state->ending = gr_loop_timer_add(state->loop, look_for_end, state);
	if (!state->audit || !state->ending ||
	    gr_egress_init(&state->egress, state->loop, state->resolver, state->audit, &state->rules,
			   state->authorization[0] ? state->authorization : NULL) != 0)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	if (gr_io_set_nonblocking(GR_IPC_CONTROL_FD, 1) != 0)
		return gr_error_errno(err, "no control socket");
	state->control = gr_loop_add(state->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, state);
	if (!state->control)
		return gr_error_errno(err, "cannot watch the control socket");
	if (gr_ipc_child_confine(&state->config, &gr_egress_policy, GR_UID_EGRESS, err) != 0)
		return err->code;
	return gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	static struct state state;
	struct gr_error err = { .code = 0 };
	gr_log_init("garasu-egress", GR_LOG_INFO);
	if (argc != 2) {
		gr_log_error("usage: garasu-egress <config file>, with a control socket as descriptor 3 (garasu-broker "
			     "starts it)");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	int code = 1;
	if (start(&state, argv[1], &err) != 0)
		gr_log_error("%s", err.text);
	else
		code = gr_loop_run(state.loop) == 0 ? state.code : 1;
	if (state.egress.accept_again)
		gr_egress_finish(&state.egress);
	gr_rules_finish(&state.rules);
	gr_audit_client_destroy(state.audit);
	gr_resolver_destroy(state.resolver);
	if (state.loop)
		gr_loop_destroy(state.loop);
	return code;
}
