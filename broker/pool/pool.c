#include "broker/pool/pool.h"
#include "broker/ipc/ipc.h"
#include "broker/pool/folder.h"
#include "broker/pool/leftovers.h"
#include "common/io.h"
#include "sandbox/oci/bundle.h"
#include "sandbox/oci/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	KILL_MS = 10000, /* from SIGKILL to the end of the first process */
	DELETE_MS = 20000,
	SHUT_DOWN_MS = 45000,
	SEND_MS = 2000, /* the supervisor reads nothing for so long: give up */
	RELAY_RETRY_MS = 1000,
	AGENT_PAUSE_MS = 200, /* between two connections of one container */
	RETRY_MAX_MS = 30000,
	FORCE_TRIES = 3, /* deletes by the runtime before its state is removed by hand */
};

enum slot_state { FREE, STARTING, RUNNING, DYING, DELETING };

struct slot {
	struct gr_pool *pool;
	uint32_t number; /* from 1 */
	enum slot_state state;
	int announced; /* STARTED was sent, so GONE is owed */
	int ready; /* an agent connected */
	int assigned;
	int doomed; /* DESTROY came while the runtime was starting it */
	uint32_t reason; /* why it ends */
	unsigned tries; /* of deleting */
	uint64_t began, ended; /* gr_io_now_ms */
	struct gr_folder folder;
	struct gr_runtime_job job;
	struct gr_loop_watch *job_watch, *init_watch, *agent_watch;
	struct gr_loop_timer *timer; /* the deadline or the next try of the present state */
	struct gr_loop_timer *agent_timer; /* when agents may connect again */
	int output; /* reading end of what it writes; never read here, kept for a log process that has to be started again */
	pid_t init; /* the container's first process, ours to reap */
	int pidfd;
};

struct gr_pool {
	struct gr_pool_settings settings;
	char containers[PATH_MAX]; /* run_directory/c */
	char cgroup[32]; /* parent of the containers' groups */
	struct gr_runtime runtime;
	struct gr_relay relay;
	struct gr_loop_watch *relay_watch;
	struct gr_loop_timer *relay_retry;
	int limit_swap;
	unsigned starts_at_once;
	unsigned failures; /* in a row */
	int backing_off, shutting_down;
	struct gr_loop_timer *retry, *give_up;
	uint32_t last; /* slot begun last: numbers are used in turn, so that a late message meets no newer container */
	struct slot *slots; /* config.pool.maximum */
};

static void begin_delete(struct slot *slot);

static void tell(struct gr_pool *pool, const struct gr_ipc_message *message, int fd)
{
	int status = gr_ipc_send(pool->settings.control, message, fd);
	if (status == GR_EAGAIN) {
		struct pollfd poller = { .fd = pool->settings.control, .events = POLLOUT };
		poll(&poller, 1, SEND_MS);
		status = gr_ipc_send(pool->settings.control, message, fd);
	}
	if (!status || pool->shutting_down)
		return;
	gr_log_error("the supervisor cannot be told: %s", gr_status_text(status));
	gr_pool_shut_down(pool);
}

static int64_t back_off_ms(unsigned failures)
{
	unsigned shift = failures > 6 ? 5 : failures ? failures - 1 : 0;
	int64_t ms = INT64_C(1000) << shift;
	return ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

/* A container could not be had: the next one only after a while. */
static void trouble(struct gr_pool *pool, const struct gr_error *err)
{
	if (pool->shutting_down)
		return;
	struct gr_ipc_message message = { .type = GR_IPC_POOL_TROUBLE, .reason = GR_REASON_CONTAINER_FAILED };
	gr_log_escape(message.text, sizeof(message.text), err->text, strlen(err->text));
	int64_t ms = back_off_ms(++pool->failures);
	gr_log_error("%s; next try in %d s", err->text, (int)(ms / 1000));
	pool->backing_off = 1;
	gr_loop_timer_set(pool->retry, ms);
	tell(pool, &message, -1);
}

/*
 * As subreaper the pool also inherits what the runtime leaves behind. The first processes of containers are reaped by
 * their slots; while the runtime starts one, its number is not known yet, so all wait.
 */
void gr_pool_reap(struct gr_pool *pool)
{
	for (;;) {
		siginfo_t info = { 0 };
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		for (unsigned i = 0; i < pool->settings.config->pool.maximum; i++) {
			const struct slot *slot = &pool->slots[i];
			if (slot->state == STARTING || info.si_pid == slot->init || info.si_pid == slot->job.pid)
				return;
		}
		waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
	}
}

static void drop_job(struct slot *slot)
{
	gr_loop_remove(slot->job_watch);
	slot->job_watch = NULL;
	gr_runtime_abort(&slot->job);
}

static void drop_agent(struct slot *slot)
{
	gr_loop_remove(slot->agent_watch);
	slot->agent_watch = NULL;
	if (slot->agent_timer)
		gr_loop_timer_set(slot->agent_timer, -1);
}

static void drop_init(struct slot *slot)
{
	gr_loop_remove(slot->init_watch);
	slot->init_watch = NULL;
	gr_io_close(&slot->pidfd);
	slot->init = 0;
}

static void begin_kill(struct slot *slot)
{
	drop_agent(slot);
	if (slot->pidfd < 0) {
		begin_delete(slot);
		return;
	}
	slot->state = DYING;
	pidfd_send_signal(slot->pidfd, SIGKILL, NULL, 0);
	gr_loop_timer_set(slot->timer, KILL_MS);
}

static void end_slot(struct slot *slot, uint32_t reason)
{
	if (slot->state == FREE || slot->state == DYING || slot->state == DELETING)
		return;
	slot->reason = reason;
	slot->ended = gr_io_now_ms();
	if (slot->state == STARTING)
		slot->doomed = 1; /* interrupting the runtime half-way leaves more to clear than waiting for it */
	else
		begin_kill(slot);
}

static void slot_is_free(struct slot *slot)
{
	struct gr_pool *pool = slot->pool;
	uint64_t now = gr_io_now_ms();
	gr_log_info("container %u: gone (%s), everything of it is removed, after %u ms", slot->number,
		    gr_reason_name(slot->reason), (unsigned)(now - slot->ended));
	struct gr_ipc_message gone = { .type = GR_IPC_GONE, .container = slot->number, .reason = slot->reason };
	int announced = slot->announced;
	slot->state = FREE;
	slot->announced = slot->ready = slot->assigned = slot->doomed = 0;
	slot->tries = 0;
	if (announced)
		tell(pool, &gone, -1);
	if (pool->shutting_down)
		gr_pool_shut_down(pool);
	else
		gr_pool_fill(pool);
}

/* After a delete, and again after a while: is nothing left? */
static void check_deleted(struct slot *slot)
{
	struct gr_pool *pool = slot->pool;
	struct gr_error err;
	if (slot->tries >= FORCE_TRIES && access(slot->folder.runtime_state, F_OK) == 0) {
		gr_log_warning("container %u: the runtime does not forget it; removing its state", slot->number);
		if (gr_cgroup_remove(pool->settings.layout, slot->folder.cgroup) == 0)
			gr_folder_clear(slot->folder.runtime_state, NULL);
	}
	rmdir(slot->folder.runtime_state); /* empty when the runtime has forgotten the container */
	int state_left = access(slot->folder.runtime_state, F_OK) == 0;
	int group_left = gr_cgroup_remove(pool->settings.layout, slot->folder.cgroup) != 0;
	int folder_left = gr_folder_remove(&slot->folder, &err) != 0;
	gr_loop_timer_set(slot->timer, -1);
	if (!state_left && !group_left && !folder_left) {
		gr_pool_reap(pool);
		slot_is_free(slot);
		return;
	}
	int64_t ms = slot->tries < 5 ? 200 : back_off_ms(slot->tries - 4);
	if (slot->tries >= 2)
		gr_log_error("container %u: not gone yet:%s%s%s; next try in %d ms", slot->number,
			     state_left ? " runtime state" : "", group_left ? " control group" : "",
			     folder_left ? " folder" : "", (int)ms);
	gr_loop_timer_set(slot->timer, ms);
}

static void delete_ended(void *context, int fd, unsigned events)
{
	struct slot *slot = context;
	struct gr_error err;
	(void)fd;
	(void)events;
	gr_loop_remove(slot->job_watch);
	slot->job_watch = NULL;
	if (gr_runtime_finish(&slot->job, &err))
		gr_log_debug("container %u: %s", slot->number, err.text);
	check_deleted(slot);
}

static void begin_delete(struct slot *slot)
{
	struct gr_error err;
	drop_agent(slot);
	drop_init(slot);
	gr_io_close(&slot->output);
	slot->state = DELETING;
	slot->tries++;
	gr_loop_timer_set(slot->timer, DELETE_MS);
	char log[PATH_MAX];
	snprintf(log, sizeof(log), "%.4000s/%u.log", slot->pool->containers,
		 slot->number); /* its folder may be gone already */
	if (access(slot->folder.runtime_state, F_OK) < 0) {
		check_deleted(slot); /* the runtime knows nothing of it */
		return;
	}
	if (gr_runtime_delete(&slot->pool->runtime, slot->folder.id, log, &slot->job, &err)) {
		gr_log_error("container %u: %s", slot->number, err.text);
		gr_loop_timer_set(slot->timer, 1000);
		return;
	}
	slot->job_watch = gr_loop_add(slot->pool->settings.loop, slot->job.pidfd, GR_LOOP_READ, delete_ended, slot);
}

static void init_ended(void *context, int fd, unsigned events)
{
	struct slot *slot = context;
	struct gr_pool *pool = slot->pool;
	siginfo_t info = { 0 };
	(void)fd;
	(void)events;
	waitid(P_PID, (id_t)slot->init, &info, WEXITED | WNOHANG);
	if (slot->state != DYING) { /* by itself */
		uint64_t kills = gr_cgroup_oom_kills(pool->settings.layout, slot->folder.cgroup);
		slot->reason = kills ? GR_REASON_OUT_OF_MEMORY : GR_REASON_CONTAINER_FAILED;
		slot->ended = gr_io_now_ms();
		struct gr_error err;
		gr_error_set(&err, GR_EIO, "container %u: ended %s with %s %d%s", slot->number,
			     slot->ready ? "by itself" : "before its browser was ready",
			     info.si_code == CLD_EXITED ? "exit status" : "signal", info.si_status,
			     kills ? " after passing its memory limit" : "");
		if (slot->assigned)
			gr_log_warning("%s", err.text);
		else
			trouble(pool, &err); /* nothing of a page: the next will very likely do the same */
	}
	begin_delete(slot);
}

static void agents_again(void *context)
{
	struct slot *slot = context;
	if (slot->agent_watch)
		gr_loop_change(slot->agent_watch, GR_LOOP_READ);
}

static void agent_connects(void *context, int fd, unsigned events)
{
	struct slot *slot = context;
	struct gr_pool *pool = slot->pool;
	(void)events;
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock < 0)
		return;
	/* A container that connects without pause costs no more than this. */
	gr_loop_change(slot->agent_watch, 0);
	gr_loop_timer_set(slot->agent_timer, AGENT_PAUSE_MS);
	struct ucred peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){ sizeof(peer) }) < 0 ||
	    peer.uid - slot->folder.uid_first >=
		    GR_BUNDLE_IDS) { /* under runsc it is not the user: a process in front of it */
		gr_log_warning("container %u: refused a connection to its agent socket by uid %u", slot->number,
			       (unsigned)peer.uid);
		close(sock);
		return;
	}
	if (!slot->ready) {
		slot->ready = 1;
		pool->failures = 0;
		gr_loop_timer_set(slot->timer, -1);
		gr_log_info("container %u: ready after %u ms", slot->number, (unsigned)(gr_io_now_ms() - slot->began));
	} else {
		gr_log_debug("container %u: its agent connected again", slot->number);
	}
	struct gr_ipc_message message = { .type = GR_IPC_AGENT, .container = slot->number };
	tell(pool, &message, sock);
	close(sock);
	gr_pool_fill(pool);
}

/* The runtime said that the container runs. */
static int adopt(struct slot *slot, struct gr_error *err)
{
	struct gr_loop *loop = slot->pool->settings.loop;
	int status = gr_runtime_pid(slot->folder.pid_file, &slot->init, err);
	if (status)
		return status;
	slot->pidfd = pidfd_open(slot->init, 0); /* not reaped by anyone but us, so the number is still its own */
	if (slot->pidfd < 0)
		return gr_error_errno(err, "pidfd_open");
	fcntl(slot->pidfd, F_SETFD, FD_CLOEXEC);
	slot->init_watch = gr_loop_add(loop, slot->pidfd, GR_LOOP_READ, init_ended, slot);
	slot->agent_watch = gr_loop_add(loop, slot->folder.agent, GR_LOOP_READ, agent_connects, slot);
	return slot->init_watch && slot->agent_watch ? 0 : gr_error_set(err, GR_ENOMEM, "event loop");
}

static void run_ended(void *context, int fd, unsigned events)
{
	struct slot *slot = context;
	struct gr_pool *pool = slot->pool;
	struct gr_error err;
	(void)fd;
	(void)events;
	gr_loop_remove(slot->job_watch);
	slot->job_watch = NULL;
	int status = gr_runtime_finish(&slot->job, &err);
	if (!status)
		status = adopt(slot, &err);
	if (status) {
		gr_error_wrap(&err, "container %u: cannot be started", slot->number);
		slot->reason = GR_REASON_CONTAINER_FAILED;
		slot->ended = gr_io_now_ms();
		trouble(pool, &err);
		begin_kill(slot);
		return;
	}
	slot->state = RUNNING;
	gr_pool_reap(pool);
	gr_log_info("container %u: runs after %u ms, process %d", slot->number,
		    (unsigned)(gr_io_now_ms() - slot->began), (int)slot->init);
	if (slot->doomed) {
		begin_kill(slot);
		return;
	}
	struct gr_ipc_message message = { .type = GR_IPC_STARTED, .container = slot->number };
	slot->announced = 1;
	tell(pool, &message, slot->folder.egress);
	gr_io_close(&slot->folder.egress);
}

static void slot_expired(void *context)
{
	struct slot *slot = context;
	struct gr_pool *pool = slot->pool;
	struct gr_error err;
	switch (slot->state) {
	case STARTING:
	case RUNNING:
		gr_error_set(&err, GR_ETIMEOUT, "container %u: not ready after %u s", slot->number,
			     pool->settings.config->pool.start_seconds);
		slot->reason = GR_REASON_CONTAINER_FAILED;
		slot->ended = gr_io_now_ms();
		trouble(pool, &err);
		if (slot->state == STARTING)
			drop_job(slot);
		begin_kill(slot);
		break;
	case DYING:
		gr_log_error("container %u: its first process does not die", slot->number);
		begin_delete(slot);
		break;
	case DELETING:
		if (slot->job.pidfd >= 0) {
			gr_log_error("container %u: the runtime does not finish deleting it", slot->number);
			drop_job(slot);
		}
		begin_delete(slot);
		break;
	case FREE: break;
	}
}

/* The log process never sends: this is its end. The containers' pipes are still here, so nothing of them breaks. */
static void relay_ended(void *context, int fd, unsigned events)
{
	struct gr_pool *pool = context;
	(void)fd;
	(void)events;
	gr_loop_remove(pool->relay_watch);
	pool->relay_watch = NULL;
	gr_relay_stop(&pool->relay);
	if (pool->shutting_down)
		return;
	gr_log_warning("the process for the containers' log lines is gone; starting it again");
	gr_loop_timer_set(pool->relay_retry, RELAY_RETRY_MS);
}

static int start_relay(struct gr_pool *pool, struct gr_error *err)
{
	const struct gr_config *config = pool->settings.config;
	int status = gr_relay_start(&pool->relay, config->broker.uid_base + GR_UID_CONTAINER_LOG, pool->containers,
				    config->broker.log_level, err);
	if (status)
		return status;
	pool->relay_watch = gr_loop_add(pool->settings.loop, pool->relay.control, GR_LOOP_READ, relay_ended, pool);
	for (unsigned i = 0; i < config->pool.maximum; i++)
		if (pool->slots[i].output >= 0)
			gr_relay_add(&pool->relay, pool->slots[i].number, pool->slots[i].output);
	return pool->relay_watch ? 0 : gr_error_set(err, GR_ENOMEM, "event loop");
}

static void start_relay_again(void *context)
{
	struct gr_pool *pool = context;
	struct gr_error err;
	gr_pool_reap(pool);
	if (pool->shutting_down || !start_relay(pool, &err))
		return;
	gr_log_error("%s", err.text);
	gr_loop_timer_set(pool->relay_retry, RETRY_MAX_MS);
}

/* The reading end goes to the log process, and stays; *out: the writing end, owned. */
static int open_output(struct slot *slot, int *out, struct gr_error *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return gr_error_errno(err, "pipe");
	slot->output = ends[0];
	*out = ends[1];
	int status = gr_relay_add(&slot->pool->relay, slot->number, ends[0]);
	if (status)
		gr_log_warning("container %u: its output is not logged for now: %s", slot->number,
			       gr_status_text(status));
	return 0;
}

static int start(struct slot *slot, struct gr_error *err)
{
	struct gr_pool *pool = slot->pool;
	struct gr_folder *folder = &slot->folder;
	int output = -1;
	int status = gr_folder_make(folder, pool->settings.config, pool->settings.share_directory, pool->limit_swap,
				    err);
	if (!status)
		status = open_output(slot, &output, err);
	if (status)
		return status;
	status = gr_runtime_run(&pool->runtime, folder->id, folder->bundle, folder->pid_file, output, folder->log,
				&slot->job, err);
	gr_io_close(&output);
	if (status)
		return status;
	slot->job_watch = gr_loop_add(pool->settings.loop, slot->job.pidfd, GR_LOOP_READ, run_ended, slot);
	return slot->job_watch ? 0 : gr_error_set(err, GR_ENOMEM, "event loop");
}

static void begin(struct slot *slot)
{
	struct gr_pool *pool = slot->pool;
	struct gr_error err;
	pool->last = slot->number;
	slot->state = STARTING;
	slot->reason = GR_REASON_NONE;
	slot->began = gr_io_now_ms();
	gr_loop_timer_set(slot->timer, (int64_t)pool->settings.config->pool.start_seconds * 1000);
	gr_log_info("container %u: starting", slot->number);
	if (start(slot, &err)) {
		gr_error_wrap(&err, "container %u: cannot be started", slot->number);
		slot->reason = GR_REASON_CONTAINER_FAILED;
		slot->ended = gr_io_now_ms();
		drop_job(slot);
		trouble(pool, &err);
		begin_delete(slot);
	}
}

void gr_pool_fill(struct gr_pool *pool)
{
	unsigned maximum = pool->settings.config->pool.maximum, warm = pool->settings.config->pool.warm;
	unsigned spare = 0, starting = 0;
	for (unsigned i = 0; i < maximum; i++) {
		const struct slot *slot = &pool->slots[i];
		int living = (slot->state == STARTING || slot->state == RUNNING) && !slot->doomed;
		spare += living && !slot->assigned;
		starting += living && !slot->ready;
	}
	for (unsigned i = 0; i < maximum && !pool->shutting_down && !pool->backing_off; i++) {
		struct slot *slot = &pool->slots[(pool->last + i) % maximum];
		if (spare >= warm || starting >= pool->starts_at_once)
			return;
		if (slot->state != FREE)
			continue;
		spare++;
		starting++;
		begin(slot);
	}
}

static void try_again(void *context)
{
	struct gr_pool *pool = context;
	pool->backing_off = 0;
	gr_pool_fill(pool);
}

static struct slot *find(struct gr_pool *pool, uint32_t container)
{
	if (container < 1 || container > pool->settings.config->pool.maximum)
		return NULL;
	struct slot *slot = &pool->slots[container - 1];
	return slot->state == FREE ? NULL : slot;
}

void gr_pool_assign(struct gr_pool *pool, uint32_t container, uint64_t session)
{
	struct slot *slot = find(pool, container);
	if (!slot)
		return;
	slot->assigned = 1;
	gr_log_info("container %u: in use by session %016llx", slot->number, (unsigned long long)session);
	gr_pool_fill(pool);
}

void gr_pool_end(struct gr_pool *pool, uint32_t container)
{
	struct slot *slot = find(pool, container);
	if (slot)
		end_slot(slot, GR_REASON_NONE);
}

static void give_up(void *context)
{
	struct gr_pool *pool = context;
	gr_log_error("not every container could be removed in %d s; the next start clears them", SHUT_DOWN_MS / 1000);
	gr_loop_stop(pool->settings.loop, 1);
}

/* Called again whenever a slot is free. */
void gr_pool_shut_down(struct gr_pool *pool)
{
	unsigned left = 0;
	if (!pool->shutting_down) {
		pool->shutting_down = 1;
		gr_loop_timer_set(pool->give_up, SHUT_DOWN_MS);
		for (unsigned i = 0; i < pool->settings.config->pool.maximum; i++)
			end_slot(&pool->slots[i], GR_REASON_SHUTTING_DOWN);
	}
	for (unsigned i = 0; i < pool->settings.config->pool.maximum; i++)
		left += pool->slots[i].state != FREE;
	if (left == 0)
		gr_loop_stop(pool->settings.loop, 0);
}

static int make_directory(const char *path, mode_t mode, struct gr_error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return gr_error_errno(err, "make %s", path);
	return 0;
}

static int make_slots(struct gr_pool *pool, struct gr_error *err)
{
	const struct gr_config *config = pool->settings.config;
	pool->slots = calloc(config->pool.maximum, sizeof(*pool->slots));
	if (!pool->slots)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	for (unsigned i = 0; i < config->pool.maximum;
	     i++) { /* all of them before the first failure: gr_pool_destroy closes */
		struct slot *slot = &pool->slots[i];
		slot->pool = pool;
		slot->number = i + 1;
		slot->pidfd = slot->job.pidfd = slot->output = slot->folder.agent = slot->folder.egress = -1;
	}
	for (unsigned i = 0; i < config->pool.maximum; i++) {
		struct slot *slot = &pool->slots[i];
		slot->timer = gr_loop_timer_add(pool->settings.loop, slot_expired, slot);
		slot->agent_timer = gr_loop_timer_add(pool->settings.loop, agents_again, slot);
		if (!slot->timer || !slot->agent_timer)
			return gr_error_set(err, GR_ENOMEM, "out of memory");
		int status = gr_folder_name(&slot->folder, config, pool->cgroup, slot->number, err);
		if (status)
			return status;
	}
	return 0;
}

int gr_pool_create(const struct gr_pool_settings *settings, struct gr_pool **out, struct gr_error *err)
{
	const struct gr_config *config = settings->config;
	struct gr_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	pool->settings = *settings;
	pool->relay.control = -1;
	pool->limit_swap = gr_cgroup_has_swap(settings->layout);
	pool->starts_at_once = get_nprocs() > 3 ? (unsigned)get_nprocs() / 2 : 1;
	/* One parent group per run directory (FNV-1a of its name): two brokers on one machine do not meet. */
	uint32_t hash = 2166136261u;
	for (const char *p = config->broker.run_directory; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	snprintf(pool->cgroup, sizeof(pool->cgroup), "/garasu-%08x", hash);
	snprintf(pool->containers, sizeof(pool->containers), "%.4000s/c", config->broker.run_directory);
	snprintf(pool->runtime.root, sizeof(pool->runtime.root), "%.4000s/crun", config->broker.run_directory);
	snprintf(pool->runtime.program, sizeof(pool->runtime.program), "%s", config->pool.runtime);
	pool->retry = gr_loop_timer_add(settings->loop, try_again, pool);
	pool->give_up = gr_loop_timer_add(settings->loop, give_up, pool);
	pool->relay_retry = gr_loop_timer_add(settings->loop, start_relay_again, pool);
	int status = pool->retry && pool->give_up && pool->relay_retry ? make_slots(pool, err)
								       : gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!status)
		status = make_directory(config->broker.run_directory, 0755, err);
	if (!status)
		status = gr_leftovers_clear(&pool->runtime, settings->layout, pool->cgroup, pool->containers, err);
	if (!status)
		status = make_directory(pool->containers, 0711, err);
	if (!status)
		status = make_directory(pool->runtime.root, 0700, err);
	if (!status)
		status = start_relay(pool, err);
	if (status) {
		gr_pool_destroy(pool);
		return status;
	}
	*out = pool;
	return 0;
}

void gr_pool_destroy(struct gr_pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; pool->slots && i < pool->settings.config->pool.maximum; i++) {
		struct slot *slot = &pool->slots[i];
		drop_job(slot);
		drop_agent(slot);
		drop_init(slot);
		gr_io_close(&slot->output);
		gr_io_close(&slot->folder.agent);
		gr_io_close(&slot->folder.egress);
		gr_loop_timer_remove(slot->timer);
		gr_loop_timer_remove(slot->agent_timer);
	}
	gr_loop_remove(pool->relay_watch);
	gr_relay_stop(&pool->relay);
	gr_loop_timer_remove(pool->relay_retry);
	gr_loop_timer_remove(pool->retry);
	gr_loop_timer_remove(pool->give_up);
	gr_cgroup_remove(pool->settings.layout, pool->cgroup);
	rmdir(pool->containers);
	rmdir(pool->runtime.root);
	free(pool->slots);
	free(pool);
}
