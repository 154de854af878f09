/* garasu-session <config file> <container slot>: broker/ipc/ipc.h says what is on its descriptors. */
#include "broker/ipc/ipc.h"
#include "broker/session/session.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS 64 /* libvncserver keeps its descriptor in an fd_set: far below FD_SETSIZE */

static int confine(const struct gr_config *config, unsigned slot, struct gr_error *err)
{
	char root[PATH_MAX + 8];
	struct gr_confine_settings settings = { .descriptors = DESCRIPTORS, .file_size = UINT64_MAX };
	if (geteuid() == 0) {
		snprintf(root, sizeof(root), "%s/empty", config->broker.run_directory);
		settings.uid = config->broker.uid_base + GR_UID_SESSIONS + slot;
		settings.root = root;
	}
	return gr_confine(&settings, err);
}

static int run(const struct gr_config *config, unsigned slot, struct gr_error *err)
{
	struct gr_loop *loop = gr_loop_create();
	if (!loop)
		return gr_error_errno(err, "event loop");
	int status = gr_io_set_nonblocking(GR_IPC_CONTROL_FD, 1);
	struct gr_session *session = status ? NULL : gr_session_create(loop, config, slot, GR_IPC_CONTROL_FD, err);
	if (session) {
		struct gr_ipc_message ready = { .type = GR_IPC_READY, .container = slot + 1 };
		status = gr_ipc_send(GR_IPC_CONTROL_FD, &ready, -1);
		if (status)
			gr_error_set(err, status, "READY: %s", gr_status_text(status));
		else if ((status = gr_loop_run(loop)))
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
	gr_config_init(&config);
	if (gr_config_load(&config, argv[1], &err) || (gr_log_init("garasu-session", config.broker.log_level), 0) ||
	    confine(&config, (unsigned)slot, &err) || run(&config, (unsigned)slot, &err)) {
		gr_log_error("%s", err.text);
		return 1;
	}
	return 0;
}
