/* garasu-session <config file> <container slot>: broker/ipc/ipc.h says what is on its descriptors. */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/session/policy.h"
#include "broker/session/session.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run(struct gr_loop *loop, const struct gr_config *config, unsigned slot, struct gr_error *err)
{
	int status = gr_io_set_nonblocking(GR_IPC_CONTROL_FD, 1);
	struct gr_session *session = status ? NULL : gr_session_create(loop, config, slot, GR_IPC_CONTROL_FD, err);
	if (session) {
		status = gr_ipc_child_ready(err);
		if (!status && (status = gr_loop_run(loop)))
			gr_error_set(err, GR_EIO, "the session could not go on");
	} else {
		status = status ? gr_error_errno(err, "control socket") : err->code;
	}
	gr_session_destroy(session);
	return status;
}

int main(int argc, char **argv)
{
	static struct gr_config config;
	struct gr_error err = { 0 };
	struct gr_loop *loop;
	char *end = NULL;
	int status;
	gr_log_init("garasu-session", GR_LOG_INFO);
	unsigned long slot = argc == 3 ? strtoul(argv[2], &end, 10) : GR_CONTAINERS_MAX;
	if (argc != 3 || !*argv[2] || *end || slot >= GR_CONTAINERS_MAX) {
		gr_log_error("usage: garasu-session CONFIG SLOT (started by garasu-broker)");
		return 2;
	}
	loop = gr_loop_create(); /* before the confinement, which lets no other be made */
	status = loop ? 0 : gr_error_errno(&err, "event loop");
	if (!status)
		status = gr_ipc_child_configure("garasu-session", argv[1], &config, &err);
	if (!status)
		status = gr_ipc_child_confine(&config, &gr_session_policy, GR_UID_SESSIONS + (uint32_t)slot, &err);
	if (!status)
		status = run(loop, &config, (unsigned)slot, &err);
	gr_loop_destroy(loop);
	if (status)
		gr_log_error("%s", err.text);
	return status ? 1 : 0;
}
