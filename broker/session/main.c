/* garasu-session <config file> <container slot>: broker/ipc/ipc.h says what is on its descriptors. */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/session/session.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS 64 /* libvncserver keeps its descriptor in an fd_set: far below FD_SETSIZE */

static int run(const struct gr_config *config, unsigned slot, struct gr_error *err)
{
	struct gr_loop *loop = gr_loop_create();
	if (!loop)
		return gr_error_errno(err, "event loop");
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
	gr_loop_destroy(loop);
	return status;
}

int main(int argc, char **argv)
{
	static struct gr_config config;
	struct gr_error err = { 0 };
	char *end = NULL;
	gr_log_init("garasu-session", GR_LOG_INFO);
	unsigned long slot = argc == 3 ? strtoul(argv[2], &end, 10) : GR_CONTAINERS_MAX;
	if (argc != 3 || !*argv[2] || *end || slot >= GR_CONTAINERS_MAX) {
		gr_log_error("usage: garasu-session CONFIG SLOT (started by garasu-broker)");
		return 2;
	}
	if (gr_ipc_child_configure("garasu-session", argv[1], &config, &err) ||
	    gr_ipc_child_confine(&config, GR_UID_SESSIONS + (uint32_t)slot, DESCRIPTORS, &err) ||
	    run(&config, (unsigned)slot, &err)) {
		gr_log_error("%s", err.text);
		return 1;
	}
	return 0;
}
