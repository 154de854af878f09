/* garasu-admin: takes requests of the machine's administrators and relays them to the supervisor. Holds nothing itself. */
#include "broker/admin/admin.h"
#include "broker/admin/policy.h"
#include "broker/admin/request.h"
#include "broker/config/config.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define CLIENT_MS 10000 /* from its connection to its last answer */
#define STRANGER_MS 10000 /* one that is told to the supervisor, of those that may not ask */
#define USERS_MAX 130

struct client {
	int sock; /* -1: free */
	uint64_t number; /* of its request; 0 = none asked yet */
	const char *user; /* its name */
	struct gr_loop_watch *watch;
	struct gr_loop_timer *deadline;
};

static struct {
	struct gr_loop *loop;
	int listener;
	struct gr_loop_watch *accepting;
	uint64_t last_number;
	struct {
		uid_t uid;
		char name[GR_PERSON_MAX + 1];
	} users[USERS_MAX]; /* who may ask */
	size_t user_count;
	uint64_t stranger_told; /* ms; 0 = never */
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
	struct client *client = context;
	struct gr_ipc_message message;
	struct gr_admin_request untrusted_request;
	size_t size;
	int rc = gr_io_receive(fd, &untrusted_request, sizeof(untrusted_request), &size, NULL);

	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (rc == 0)
		rc = client->number ? GR_EPROTO : gr_admin_request_read(&untrusted_request, size, &message);
	if (rc == 0) {
		message.number = client->number = ++admin.last_number;
		snprintf(message.actor, sizeof(message.actor), "%s", client->user);
		rc = gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1);
	}
	if (rc < 0)
		drop(client);
}

/* NULL: it may not ask. */
static const char *user_of(uid_t uid)
{
	for (size_t i = 0; i < admin.user_count; i++)
		if (admin.users[i].uid == uid)
			return admin.users[i].name;
	return NULL;
}

/* Without a request, and so without a number to answer. */
static void tell_stranger(uid_t uid)
{
	struct gr_ipc_message message = { .type = GR_IPC_ADMIN_STATUS, .reason = GR_REASON_NOT_PERMITTED };
	uint64_t now = gr_io_now_ms();

	if (admin.stranger_told && now - admin.stranger_told < STRANGER_MS)
		return;
	admin.stranger_told = now;
	snprintf(message.actor, sizeof(message.actor), "uid:%u", (unsigned)uid);
	if (gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1) < 0)
		gr_log_warning("the supervisor does not hear of a user who may not ask (%s)", message.actor);
}

static void accept_ready(void *context, int fd, unsigned events)
{
	struct client *client = NULL;
	const char *user;
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
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		gr_io_close(&sock);
		return;
	}
	user = user_of(peer.uid);
	if (!user) {
		tell_stranger(peer.uid);
		gr_io_close(&sock);
		return;
	}
	client->watch = gr_loop_add(admin.loop, sock, GR_LOOP_READ, client_ready, client);
	if (!client->watch) {
		gr_io_close(&sock);
		return;
	}
	client->sock = sock;
	client->user = user;
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
		if (admin.clients[i].sock >= 0 && message.number && admin.clients[i].number == message.number)
			client = &admin.clients[i];
	if (!client)
		return; /* it did not wait */
	answer.kind = message.type == GR_IPC_ADMIN_ROW ? GR_ADMIN_ROW : GR_ADMIN_DONE;
	answer.reason = message.reason;
	answer.container = message.container;
	answer.connection = message.connection;
	answer.session = message.session;
	memcpy(answer.person, message.person, sizeof(answer.person));
	memcpy(answer.actor, message.actor, sizeof(answer.actor));
	memcpy(answer.subject, message.subject, sizeof(answer.subject));
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

static int add_user(uid_t uid, const char *name)
{
	if (user_of(uid))
		return 0; /* two names of one user: the first counts */
	if (admin.user_count == USERS_MAX)
		return GR_EFULL;
	admin.users[admin.user_count].uid = uid;
	snprintf(admin.users[admin.user_count++].name, sizeof(admin.users[0].name), "%s", name);
	return 0;
}

/* The names that the configuration has, as the ids that sockets tell. Asks the system's user database. */
static int find_users(const struct gr_config *config, struct gr_error *err)
{
	const struct gr_config_persons *lists[] = { &config->admin.administrators, &config->admin.auditors };
	int rc = add_user(0, "root");

	/* In tests, without root, whoever runs them. */
	if (rc == 0 && geteuid() != 0)
		rc = add_user(geteuid(), "root");
	for (size_t l = 0; l < 2; l++) {
		for (unsigned i = 0; rc == 0 && i < lists[l]->count; i++) {
			const struct passwd *user = getpwnam(lists[l]->list[i]);

			if (!user)
				return gr_error_set(err, GR_ENOENT, "admin: this machine has no user \"%s\"",
						    lists[l]->list[i]);
			rc = add_user(user->pw_uid, lists[l]->list[i]);
		}
	}
	return rc < 0 ? gr_error_set(err, rc, "admin: there are too many users") : 0;
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
	mask = umask(admin.user_count > 1 ? 0111 : 0177); /* from the first moment */
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
	admin.last_number = gr_io_now_us(); /* above those of a process before this one, whose answers may still come */
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
	if (gr_ipc_child_configure("garasu-admin", argv[1], &config, &err) < 0 || find_users(&config, &err) < 0 ||
	    open_listener(&config, &err) < 0 || prepare(&err) < 0 ||
	    gr_ipc_child_confine(&config, &gr_admin_policy, GR_UID_ADMIN, &err) < 0 || gr_ipc_child_ready(&err) < 0) {
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
