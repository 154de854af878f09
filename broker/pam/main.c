/*
 * garasu-pam <config file>: asks PAM about persons on behalf of the identity process (broker/pam/pam.h). Started only where a
 * factor is PAM's. fd 3 is the control socket; GR_IPC_PEER brings the socket that the questions come from.
 *
 * PAM's modules need files and sockets that nobody knows beforehand, so this process keeps root's user id, though next to none of
 * root's capabilities (docs/decisions/0013-pam.md). It reads only fixed-size packets of the identity process, and no module runs in it: each
 * question has a child, which is killed after ANSWER_MS.
 */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/pam/authenticate.h"
#include "broker/pam/policy.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 16 /* at once; what comes meanwhile waits in the socket */
#define ANSWER_MS 20000
#define ORPHANS_MAX 64 /* of one question */
#define CHILD_DESCRIPTORS 256
#define CHILD_SECONDS 10 /* of the processor */

struct asking {
	pid_t pid; /* 0 = free */
	uint64_t number;
	int fd; /* the child's answer */
	struct gr_loop_watch *watch;
	struct gr_loop_timer *deadline;
};

static struct {
	struct gr_config config;
	struct gr_loop *loop;
	int identity; /* -1 = there is none now */
	struct gr_loop_watch *watch;
	struct asking asking[CHILDREN_MAX];
} pam;

static struct asking *free_place(void)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (!pam.asking[i].pid)
			return &pam.asking[i];
	return NULL;
}

static void send_answer(const struct gr_pam_answer *answer)
{
	if (pam.identity >= 0 && gr_io_send(pam.identity, answer, sizeof(*answer), -1) < 0)
		gr_log_warning("the identity process does not take an answer");
}

static void send_unavailable(uint64_t number, const char *why)
{
	struct gr_pam_answer answer = { .number = number, .verdict = GR_PAM_UNAVAILABLE };

	snprintf(answer.why, sizeof(answer.why), "%s", why);
	send_answer(&answer);
}

static int is_asking(pid_t pid)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (pam.asking[i].pid == pid)
			return 1;
	return 0;
}

/* One more of the processes that modules had started and that are ours since theirs is dead; 0 = there is none. */
static pid_t orphan(void)
{
	char path[64];
	FILE *stream;
	int pid, found = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	stream = fopen(path, "re");
	while (stream && !found && fscanf(stream, "%d", &pid) == 1)
		found = is_asking(pid) ? 0 : pid;
	if (stream)
		fclose(stream);
	return found;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void done(struct asking *asking)
{
	pid_t pid;

	gr_loop_remove(asking->watch);
	asking->watch = NULL;
	gr_io_close(&asking->fd);
	gr_loop_timer_set(asking->deadline, -1);
	end_process(asking->pid); /* it has nothing more to do; a module's thread may think otherwise */
	asking->pid = 0;
	for (int i = 0; i < ORPHANS_MAX && (pid = orphan()) > 0; i++)
		end_process(pid);
	if (pam.watch)
		gr_loop_change(pam.watch, GR_LOOP_READ);
}

static void deadline_over(void *context)
{
	struct asking *asking = context;

	gr_log_warning("PAM did not answer within %d s", ANSWER_MS / 1000);
	send_unavailable(asking->number, "no answer in time");
	done(asking);
}

static void child_answered(void *context, int fd, unsigned events)
{
	struct asking *asking = context;
	struct gr_pam_answer answer;
	size_t size;
	int rc = gr_io_receive(fd, &answer, sizeof(answer), &size, NULL);

	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (!rc && size == sizeof(answer) && answer.number == asking->number &&
	    memchr(answer.why, 0, sizeof(answer.why))) {
		send_answer(&answer);
	} else {
		gr_log_error("PAM's modules ended the process that asked them");
		send_unavailable(asking->number, "its modules failed");
	}
	done(asking);
}

static void __attribute__((noreturn)) be_child(const struct gr_pam_request *request, int fd)
{
	struct rlimit descriptors = { CHILD_DESCRIPTORS, CHILD_DESCRIPTORS },
		      seconds = { CHILD_SECONDS, CHILD_SECONDS };
	struct gr_pam_answer answer;
	sigset_t none;

	if (dup2(fd, GR_IPC_CONTROL_FD) < 0)
		_exit(1);
	close_range(GR_IPC_CONTROL_FD + 1, ~0U, 0);
	fcntl(GR_IPC_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_NOFILE, &descriptors);
	setrlimit(RLIMIT_CPU, &seconds);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	gr_pam_authenticate(pam.config.identity.pam_service, request, &answer);
	gr_io_send(GR_IPC_CONTROL_FD, &answer, sizeof(answer), -1);
	_exit(0);
}

static void start(struct asking *asking, const struct gr_pam_request *request)
{
	int pair[2];

	if (gr_io_pair(SOCK_SEQPACKET, pair) < 0) {
		send_unavailable(request->number, "no descriptor is left");
		return;
	}
	asking->pid = fork();
	if (asking->pid == 0)
		be_child(request, pair[1]);
	gr_io_close(&pair[1]);
	if (asking->pid < 0) {
		asking->pid = 0;
		gr_io_close(&pair[0]);
		send_unavailable(request->number, "no process could be started");
		return;
	}
	asking->number = request->number;
	asking->fd = pair[0];
	asking->watch = gr_loop_add(pam.loop, asking->fd, GR_LOOP_READ, child_answered, asking);
	gr_loop_timer_set(asking->deadline, asking->watch ? ANSWER_MS : 0);
}

static int is_request(const struct gr_pam_request *untrusted, size_t size)
{
	if (size != sizeof(*untrusted) || !memchr(untrusted->person, 0, sizeof(untrusted->person)) ||
	    untrusted->count > GR_PAM_ANSWERS_MAX)
		return 0;
	for (uint32_t i = 0; i < untrusted->count; i++)
		if (untrusted->length[i] > GR_PAM_ANSWER_MAX)
			return 0;
	return 1;
}

static void disconnect(void)
{
	gr_loop_remove(pam.watch);
	pam.watch = NULL;
	gr_io_close(&pam.identity);
}

static void identity_asks(void *context, int fd, unsigned events)
{
	struct asking *asking = free_place();
	struct gr_pam_request untrusted;
	size_t size;

	(void)context;
	(void)events;
	if (!asking) {
		gr_loop_change(pam.watch, 0); /* until one is done */
		return;
	}
	int rc = gr_io_receive(fd, &untrusted, sizeof(untrusted), &size, NULL);
	if (rc == GR_EAGAIN)
		return;
	if (!rc && is_request(&untrusted, size)) {
		start(asking, &untrusted);
	} else {
		if (rc != GR_ECLOSED)
			gr_log_error("the identity process sent what is no question");
		disconnect();
	}
	explicit_bzero(&untrusted, sizeof(untrusted));
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_ipc_message message;
	int peer = -1;
	int rc = gr_ipc_receive(fd, &message, &peer);

	(void)context;
	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (!rc && message.type == GR_IPC_PEER) {
		disconnect();
		pam.identity = peer;
		pam.watch = gr_loop_add(pam.loop, peer, GR_LOOP_READ, identity_asks, NULL);
		if (pam.watch)
			return;
		rc = GR_ENOMEM;
	}
	gr_io_close(&peer);
	pam.identity = -1;
	if (rc != GR_ECLOSED)
		gr_log_error("control socket: %s", rc ? gr_status_text(rc) : "unexpected message");
	gr_loop_stop(pam.loop, rc == GR_ECLOSED ? 0 : 1);
}

/* Without a file of its own PAM takes the service "other", which on many systems lets in whoever has a password there. */
static int find_service(struct gr_error *err)
{
	static const char *const folders[] = { "/etc/pam.d", "/usr/lib/pam.d" };
	const char *service = pam.config.identity.pam_service;
	char path[128];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], service);
		if (access(path, R_OK) == 0)
			return 0;
	}
	return gr_error_set(err, GR_ENOENT, "identity.pam_service: there is no /etc/pam.d/%s", service);
}

static int prepare(const char *file, struct gr_error *err)
{
	int rc = gr_ipc_child_configure("garasu-pam", file, &pam.config, err);

	if (!rc)
		rc = find_service(err);
	if (rc)
		return rc;
	pam.loop = gr_loop_create();
	if (!pam.loop || !gr_loop_add(pam.loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, NULL))
		return gr_error_errno(err, "cannot watch the control socket");
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		pam.asking[i].fd = -1;
		pam.asking[i].deadline = gr_loop_timer_add(pam.loop, deadline_over, &pam.asking[i]);
		if (!pam.asking[i].deadline)
			return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	/* What modules start and leave behind becomes our child. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return gr_error_errno(err, "cannot be its modules' reaper");
	rc = gr_confine_privileged(GR_PAM_CAPABILITIES, err);
	return rc ? rc : gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	struct gr_error err;
	int code = 1;

	gr_log_init("garasu-pam", GR_LOG_INFO);
	if (argc != 2) {
		fprintf(stderr, "usage: garasu-pam CONFIG (started by garasu-broker)\n");
		return 2;
	}
	pam.identity = -1;
	close_range(GR_IPC_CONTROL_FD + 1, ~0U, 0);
	signal(SIGPIPE, SIG_IGN);
	if (prepare(argv[1], &err))
		gr_log_error("%s", err.text);
	else
		code = gr_loop_run(pam.loop);
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (pam.asking[i].pid)
			done(&pam.asking[i]);
	disconnect();
	gr_loop_destroy(pam.loop);
	return code < 0 ? 1 : code;
}
