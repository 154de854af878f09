/* garasu-admin: takes requests of the machine's administrators and relays them to the supervisor. Holds nothing itself. */
#include "broker/admin/admin.h"
#include "broker/admin/policy.h"
#include "broker/config/config.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define CLIENT_MS 10000 /* from its connection to its last answer */

struct client {
	int sock; /* -1: free */
	uint64_t number; /* of its request; 0 = none asked yet */
	uid_t uid;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *deadline;
};

static struct {
	struct gr_loop *loop;
	int listener;
	struct gr_loop_watch *accepting;
	uint64_t last_number;
	struct client clients[CLIENTS_MAX];
} admin;

static void drop(struct client *client)
{
	gr_loop_remove(client->watch);
	gr_loop_timer_set(client->deadline, -1);
	gr_io_close(&client->sock);
	client->watch = NULL;
	client->number = 0;
	gr_loop_change(admin.accepting, GR_LOOP_READ);
}

static void deadline_over(void *context)
{
	drop(context);
}

static void client_ready(void *context, int fd, unsigned events)
{
	static const uint32_t types[] = {
		[GR_ADMIN_STATUS] = GR_IPC_ADMIN_STATUS,
		[GR_ADMIN_SESSIONS] = GR_IPC_ADMIN_SESSIONS,
		[GR_ADMIN_KILL] = GR_IPC_ADMIN_KILL,
		[GR_ADMIN_USER] = GR_IPC_ADMIN_USER,
	};
	struct client *client = context;
	struct gr_ipc_message message = { 0 };
	struct gr_admin_request untrusted_request;
	size_t size;
	int rc = gr_io_receive(fd, &untrusted_request, sizeof(untrusted_request), &size, NULL);

	(void)events;
	if (rc == GR_EAGAIN)
		return;
	/* ---- checked from here ---- */
	if (rc < 0 || size != sizeof(untrusted_request) || client->number ||
	    untrusted_request.version != GR_ADMIN_VERSION || untrusted_request.kind < GR_ADMIN_STATUS ||
	    untrusted_request.kind > GR_ADMIN_USER ||
	    !memchr(untrusted_request.person, 0, sizeof(untrusted_request.person)) ||
	    !memchr(untrusted_request.subject, 0, sizeof(untrusted_request.subject)) ||
	    !memchr(untrusted_request.text, 0, sizeof(untrusted_request.text))) {
		drop(client);
		return;
	}
	/* ---- to here ---- */
	message.type = types[untrusted_request.kind];
	message.session = untrusted_request.session;
	gr_log_escape(message.person, sizeof(message.person), untrusted_request.person,
		      strlen(untrusted_request.person));
	message.number = client->number = ++admin.last_number;
	snprintf(message.actor, sizeof(message.actor), client->uid == 0 ? "root" : "uid:%u", (unsigned)client->uid);
	if (message.type == GR_IPC_ADMIN_USER) {
		memcpy(message.subject, untrusted_request.subject, sizeof(message.subject));
		memcpy(message.text, untrusted_request.text, sizeof(message.text));
	} else {
		memcpy(message.text, message.actor, sizeof(message.actor));
	}
	if (gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1) < 0)
		drop(client);
}

static void accept_ready(void *context, int fd, unsigned events)
{
	struct client *client = NULL;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int sock;

	(void)context;
	(void)events;
	for (size_t i = 0; i < CLIENTS_MAX && !client; i++)
		if (admin.clients[i].sock < 0)
			client = &admin.clients[i];
	if (!client) {
		gr_loop_change(admin.accepting, 0); /* until one goes */
		return;
	}
	sock = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (sock < 0)
		return;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || (peer.uid != 0 && peer.uid != geteuid())) {
		gr_io_close(&sock);
		return;
	}
	client->watch = gr_loop_add(admin.loop, sock, GR_LOOP_READ, client_ready, client);
	if (!client->watch) {
		gr_io_close(&sock);
		return;
	}
	client->sock = sock;
	client->uid = peer.uid;
	client->number = 0;
	gr_loop_timer_set(client->deadline, CLIENT_MS);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_admin_answer answer = { .version = GR_ADMIN_VERSION };
	struct gr_ipc_message message;
	struct client *client = NULL;
	int unexpected = -1;
	int rc = gr_ipc_receive(fd, &message, &unexpected);

	(void)context;
	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (rc < 0 || (message.type != GR_IPC_ADMIN_ROW && message.type != GR_IPC_ADMIN_DONE)) {
		gr_io_close(&unexpected);
		gr_loop_stop(admin.loop, rc == GR_ECLOSED ? 0 : GR_EPROTO);
		return;
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (admin.clients[i].sock >= 0 && admin.clients[i].number == message.number)
			client = &admin.clients[i];
	if (!client)
		return; /* it did not wait */
	answer.kind = message.type == GR_IPC_ADMIN_ROW ? GR_ADMIN_ROW : GR_ADMIN_DONE;
	answer.reason = message.reason;
	answer.container = message.container;
	answer.connection = message.connection;
	answer.session = message.session;
	memcpy(answer.person, message.person, sizeof(answer.person));
	memcpy(answer.text, message.text, sizeof(answer.text));
	rc = gr_io_send(client->sock, &answer, sizeof(answer), -1);
	/* A password, perhaps. */
	explicit_bzero(answer.text, sizeof(answer.text));
	explicit_bzero(&message, sizeof(message));
	if (rc < 0) {
		drop(client); /* it does not read */
		return;
	}
	if (answer.kind == GR_ADMIN_DONE)
		client->number = 0;
}

static int open_listener(const struct gr_config *config, struct gr_error *err)
{
	struct sockaddr_un address;
	int rc = gr_config_socket(config, GR_ADMIN_SOCKET, &address);
	mode_t mask;

	if (rc < 0)
		return gr_error_set(err, rc, "broker.run_directory is too long for a socket's path");
	admin.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (admin.listener < 0)
		return gr_error_errno(err, "cannot make a socket");
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return gr_error_errno(err, "cannot remove %s", address.sun_path);
	mask = umask(0117); /* 0660 from the first moment */
	rc = bind(admin.listener, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0 || listen(admin.listener, CLIENTS_MAX) < 0)
		return gr_error_errno(err, "cannot listen on %s", address.sun_path);
	return 0;
}

static int prepare(struct gr_error *err)
{
	admin.loop = gr_loop_create();
	if (!admin.loop)
		return gr_error_errno(err, "cannot make the event loop");
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		admin.clients[i].sock = -1;
		admin.clients[i].deadline = gr_loop_timer_add(admin.loop, deadline_over, &admin.clients[i]);
		if (!admin.clients[i].deadline)
			return gr_error_set(err, GR_ENOMEM, "no memory");
	}
	admin.accepting = gr_loop_add(admin.loop, admin.listener, GR_LOOP_READ, accept_ready, NULL);
	if (!admin.accepting || !gr_loop_add(admin.loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, NULL))
		return gr_error_errno(err, "cannot watch the sockets");
	return 0;
}

int main(int argc, char **argv)
{
	static struct gr_config config;
	struct gr_error err;
	int rc;

	gr_log_init("garasu-admin", GR_LOG_INFO);
	if (argc < 2) {
		gr_log_error("is started by garasu-broker only");
		return 2;
	}
	if (gr_ipc_child_configure("garasu-admin", argv[1], &config, &err) < 0 || open_listener(&config, &err) < 0 ||
	    prepare(&err) < 0 || gr_ipc_child_confine(&config, &gr_admin_policy, GR_UID_ADMIN, &err) < 0 ||
	    gr_ipc_child_ready(&err) < 0) {
		gr_log_error("%s", err.text);
		return 1;
	}
	rc = gr_loop_run(admin.loop);
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		gr_io_close(&admin.clients[i].sock);
	gr_loop_destroy(admin.loop);
	gr_io_close(&admin.listener);
	return rc < 0 ? 1 : 0;
}
