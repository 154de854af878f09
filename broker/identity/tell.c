#include "broker/identity/tell.h"

#include <poll.h>

#define CONTROL_WAIT_MS 2000

int gr_identity_tell(const struct gr_ipc_message *message)
{
	struct pollfd room = { .fd = GR_IPC_CONTROL_FD, .events = POLLOUT };
	int rc = gr_ipc_send(GR_IPC_CONTROL_FD, message, -1);

	if (rc == GR_EAGAIN && poll(&room, 1, CONTROL_WAIT_MS) == 1)
		rc = gr_ipc_send(GR_IPC_CONTROL_FD, message, -1);
	return rc;
}
