/*
 * garasu-audit <config file>: writes the audit record (docs/AUDIT.md). The only process that can.
 *
 * fd 3 is the control socket; GR_IPC_PEER brings the sockets that events come from. Every wake-up takes the waiting events
 * of all peers, writes them by one write and one fdatasync, and then acknowledges: while the disk is busy the next batch
 * gathers. Then come the tree head, when one is due. It ends when the supervisor closes the control socket, after what was
 * sent until then is written and signed; signals that a terminal or an init system sends to the whole group do not stop it
 * before.
 */
#include "broker/audit/head.h"
#include "broker/audit/housekeeping.h"
#include "broker/audit/policy.h"
#include "broker/audit/segment.h"
#include "broker/audit/signing.h"
#include "broker/audit/writer.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEERS_MAX 8
#define PEER_BATCH_MAX (GR_AUDIT_BATCH_MAX / 2) /* so that no peer fills a batch alone */
#define RETRY_MS 1000 /* of what could not be written */

struct peer {
	struct audit *audit;
	struct gr_loop_watch *watch;
	int fd; /* -1 = free */
	uint32_t source;
	/* Acknowledgements of one batch; the peer's next events are read when all are sent. */
	struct gr_audit_acknowledgement acknowledgements[PEER_BATCH_MAX];
	unsigned count, sent;
};

struct audit {
	struct gr_loop *loop;
	struct gr_audit_writer *writer;
	EVP_PKEY *key;
	struct gr_loop_timer *sign; /* armed while there are records behind the last tree head */
	struct gr_loop_timer *retry; /* armed while something could not be written */
	struct gr_audit_housekeeping *housekeeping; /* the index and pruning */
	struct peer peers[PEERS_MAX];
	unsigned first; /* the peer whose turn is first */
	int sign_armed;
	uint32_t told_state, told_cause; /* what the peers know */
};

#define KIND(kind) (UINT64_C(1) << (kind))
#define EGRESS_KINDS (KIND(GR_AUDIT_EGRESS_REQUEST) | KIND(GR_AUDIT_EGRESS_REFUSED) | KIND(GR_AUDIT_EGRESS_END))
#define ALL_KINDS ((KIND(GR_AUDIT_KINDS) - 1) & ~UINT64_C(1))

/* Which kinds a source may send. */
static const uint64_t permitted[] = {
	[GR_AUDIT_SOURCE_SUPERVISOR] = ALL_KINDS & ~EGRESS_KINDS,
	[GR_AUDIT_SOURCE_EGRESS] = EGRESS_KINDS,
};
#define SOURCES (sizeof(permitted) / sizeof(*permitted))

static const char *source_name(uint32_t source)
{
	return source == GR_AUDIT_SOURCE_SUPERVISOR ? "supervisor" : "egress";
}

static void close_peer(struct peer *peer)
{
	gr_loop_remove(peer->watch);
	peer->watch = NULL;
	gr_io_close(&peer->fd);
}

static void fault(struct peer *peer, const char *what)
{
	char detail[256];
	snprintf(detail, sizeof(detail), "audit peer %s sent %s: closed", source_name(peer->source), what);
	gr_log_error("%s", detail);
	gr_audit_writer_add_fault(peer->audit->writer, detail);
	close_peer(peer);
}

static const char *check_event(const struct gr_audit_event *untrusted_event, size_t size, uint32_t source)
{
	if (size != sizeof(*untrusted_event))
		return "a packet of a wrong size";
	if (untrusted_event->kind >= GR_AUDIT_KINDS || !(permitted[source] & KIND(untrusted_event->kind)))
		return "an event that it may not send";
	if (!memchr(untrusted_event->person, 0, sizeof(untrusted_event->person)) ||
	    !memchr(untrusted_event->group, 0, sizeof(untrusted_event->group)) ||
	    !memchr(untrusted_event->actor, 0, sizeof(untrusted_event->actor)) ||
	    !memchr(untrusted_event->peer, 0, sizeof(untrusted_event->peer)) ||
	    !memchr(untrusted_event->target, 0, sizeof(untrusted_event->target)) ||
	    !memchr(untrusted_event->detail, 0, sizeof(untrusted_event->detail)))
		return "an event with a string that does not end";
	return NULL;
}

/* Takes what the peer has sent into the batch. Returns the number of events taken. */
static unsigned take_events(struct peer *peer)
{
	unsigned taken = 0;
	while (peer->fd >= 0 && taken < PEER_BATCH_MAX) {
		struct gr_audit_event untrusted_event;
		size_t size;
		int status = gr_io_receive(peer->fd, &untrusted_event, sizeof(untrusted_event), &size, NULL);
		if (status == GR_EAGAIN)
			break;
		if (status == GR_ECLOSED || status == GR_EIO) {
			close_peer(peer);
			break;
		}
		const char *wrong = status != 0 ? "a malformed packet"
						: check_event(&untrusted_event, size, peer->source);
		if (wrong) {
			fault(peer, wrong);
			break;
		}
		struct gr_audit_acknowledgement *acknowledgement = &peer->acknowledgements[peer->count];
		*acknowledgement = (struct gr_audit_acknowledgement){ .token = untrusted_event.token };
		status = gr_audit_writer_add(peer->audit->writer, &untrusted_event,
					     acknowledgement->token ? &acknowledgement->sequence : NULL);
		if (status != 0)
			gr_log_error("an event could not be formatted: %s", gr_status_text(status));
		taken++;
		if (acknowledgement->token)
			peer->count++;
	}
	return taken;
}

static void send_acknowledgements(struct peer *peer)
{
	while (peer->fd >= 0 && peer->sent < peer->count) {
		int status = gr_io_send(peer->fd, &peer->acknowledgements[peer->sent],
					sizeof(peer->acknowledgements[0]), -1);
		if (status == GR_EAGAIN)
			break;
		if (status != 0)
			close_peer(peer);
		else
			peer->sent++;
	}
	if (peer->sent == peer->count)
		peer->sent = peer->count = 0;
	if (peer->fd >= 0)
		gr_loop_change(peer->watch, peer->count ? GR_LOOP_WRITE : GR_LOOP_READ);
}

/* The timers as what is there wants them. */
static void arm_timers(struct audit *audit)
{
	int due = gr_audit_writer_unsigned(audit->writer) > 0;
	if (due != audit->sign_armed)
		gr_loop_timer_set(audit->sign, due ? GR_AUDIT_HEAD_SECONDS * 1000 : -1);
	audit->sign_armed = due;
	gr_loop_timer_set(audit->retry, gr_audit_writer_waits(audit->writer) ? RETRY_MS : -1);
}

/* A state that changed is told to all; who cannot take it now is told with the next acknowledgement. */
static void tell_state(struct audit *audit)
{
	struct gr_audit_acknowledgement state = gr_audit_writer_state(audit->writer);
	if (state.state == audit->told_state && state.cause == audit->told_cause)
		return;
	audit->told_state = state.state;
	audit->told_cause = state.cause;
	for (unsigned at = 0; at < PEERS_MAX; at++)
		if (audit->peers[at].fd >= 0)
			(void)gr_io_send(audit->peers[at].fd, &state, sizeof(state), -1);
}

/* Writes what has come. Nobody is acknowledged here. */
static void commit(struct audit *audit)
{
	gr_audit_writer_commit(audit->writer);
	gr_audit_housekeeping_wake(audit->housekeeping);
}

/* What follows a commit, once everybody is acknowledged. */
static void after_commit(struct audit *audit)
{
	if (gr_audit_writer_unsigned(audit->writer) >= GR_AUDIT_HEAD_RECORDS)
		(void)gr_audit_writer_sign(audit->writer); /* the writer says so, and the timer tries again */
	tell_state(audit);
	arm_timers(audit);
}

static void sign_over(void *context)
{
	struct audit *audit = context;
	audit->sign_armed = 0;
	(void)gr_audit_writer_sign(audit->writer);
	after_commit(audit);
}

static void retry_over(void *context)
{
	struct audit *audit = context;
	commit(audit);
	if (gr_audit_writer_state(audit->writer).state == GR_AUDIT_UNSIGNED)
		(void)gr_audit_writer_sign(audit->writer);
	after_commit(audit);
}

/* One batch of everybody's events. Returns how many there were. */
static unsigned run_batch(struct audit *audit)
{
	unsigned taken = 0;
	unsigned fresh[PEERS_MAX] = { 0 };
	for (unsigned i = 0, busy = 0; i < PEERS_MAX && busy < 2; i++) {
		unsigned at = (audit->first + i) % PEERS_MAX;
		struct peer *peer = &audit->peers[at];
		if (peer->fd < 0 || peer->count)
			continue;
		fresh[at] = take_events(peer);
		taken += fresh[at];
		busy += fresh[at] > 0;
	}
	audit->first = (audit->first + 1) % PEERS_MAX;
	commit(audit);
	struct gr_audit_acknowledgement state = gr_audit_writer_state(audit->writer);
	for (unsigned at = 0; at < PEERS_MAX; at++) {
		struct peer *peer = &audit->peers[at];
		if (!fresh[at])
			continue;
		for (unsigned i = 0; i < peer->count; i++) {
			peer->acknowledgements[i].state = state.state;
			peer->acknowledgements[i].cause = state.cause;
			peer->acknowledgements[i].kept = state.kept;
		}
		send_acknowledgements(peer);
	}
	after_commit(audit);
	return taken;
}

static void peer_ready(void *context, int fd, unsigned events)
{
	struct peer *peer = context;
	(void)fd;
	(void)events;
	if (peer->count) {
		send_acknowledgements(peer);
		if (peer->count)
			return;
	}
	run_batch(peer->audit);
}

/* A prune record: written at once, or not at all. */
static int record_prune(void *context, const struct gr_audit_event *event)
{
	struct audit *audit = context;
	uint64_t sequence = 0;
	int status = gr_audit_writer_add(audit->writer, event, &sequence);
	if (status != 0)
		return status;
	commit(audit);
	after_commit(audit);
	return sequence && sequence != GR_AUDIT_KEPT ? 0 : GR_EIO;
}

static int add_peer(struct audit *audit, int fd, uint64_t source)
{
	if (source >= SOURCES || !permitted[source]) {
		close(fd);
		return GR_EPROTO;
	}
	/* A source that comes again was restarted: what its old socket still holds is written before. */
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &audit->peers[i];
		if (peer->fd >= 0)
			continue;
		peer->audit = audit;
		peer->fd = fd;
		peer->source = (uint32_t)source;
		peer->count = peer->sent = 0;
		peer->watch = gr_loop_add(audit->loop, fd, GR_LOOP_READ, peer_ready, peer);
		if (!peer->watch) {
			gr_io_close(&peer->fd);
			return GR_ENOMEM;
		}
		struct gr_audit_acknowledgement state = gr_audit_writer_state(audit->writer);
		if (state.state != GR_AUDIT_WRITABLE)
			(void)gr_io_send(fd, &state, sizeof(state), -1);
		return 0;
	}
	close(fd);
	return GR_EFULL;
}

static void finish(struct audit *audit, int code)
{
	/* What was sent before the end is written; each turn takes a batch, and a peer sends no faster than it is read. */
	for (unsigned turns = 0; turns < 64 && run_batch(audit) > 0; turns++)
		;
	(void)gr_audit_writer_sign(audit->writer);
	gr_loop_stop(audit->loop, code);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct audit *audit = context;
	struct gr_ipc_message message;
	int received = -1;
	(void)events;
	for (;;) {
		int status = gr_ipc_receive(fd, &message, &received);
		if (status == GR_EAGAIN)
			return;
		if (status == GR_ECLOSED) {
			finish(audit, 0);
			return;
		}
		if (status == 0 && message.type == GR_IPC_PEER)
			status = add_peer(audit, received, message.number);
		else if (status == 0 && message.type == GR_IPC_PRUNE)
			gr_audit_housekeeping_prune(audit->housekeeping, &message);
		else
			status = GR_EPROTO;
		if (status != 0) {
			gr_log_error("control socket: %s", gr_status_text(status));
			finish(audit, 1);
			return;
		}
	}
}

/*
 * Makes the directory (parents readable by all, itself the audit process's own) and the segments' in it, and opens both. Their group
 * is garasu-forward's, also that of files that are made in them (the bit 02000): it may read the segments and heads.
 */
static int open_directories(const struct gr_config *config, uid_t uid, int *out, int *log_out, struct gr_error *err)
{
	gid_t gid = (gid_t)(config->broker.uid_base + GR_UID_FORWARD);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s", config->audit.directory);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return gr_error_errno(err, "audit.directory: cannot make %s", path);
		*slash = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return gr_error_errno(err, "audit.directory: cannot make %s", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return gr_error_errno(err, "audit.directory: cannot open %s", path);
	if ((mkdirat(fd, GR_AUDIT_LOG_DIRECTORY, 0700) < 0 && errno != EEXIST) ||
	    (*log_out = openat(fd, GR_AUDIT_LOG_DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
		gr_error_errno(err, "audit.directory: cannot make or open " GR_AUDIT_LOG_DIRECTORY " in %s", path);
		close(fd);
		return GR_EIO;
	}
	/* Without CAP_FSETID, which the broker does not have, that bit is only for who is in the group: the confinement leaves it again. */
	if ((uid && (setegid(gid) < 0 || fchown(fd, uid, gid) < 0 || fchown(*log_out, uid, gid) < 0)) ||
	    fchmod(fd, 02710) < 0 || fchmod(*log_out, 02750) < 0 || fsync(fd) < 0) {
		gr_error_errno(err, "audit.directory: cannot own %s", path);
		gr_io_close(log_out);
		close(fd);
		return GR_EIO;
	}
	*out = fd;
	return 0;
}

static void read_boot_id(char out[33])
{
	char text[64];
	size_t used = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	gr_io_close(&fd);
	for (ssize_t i = 0; i < n && used < 32; i++)
		if ((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))
			out[used++] = text[i];
	out[used == 32 ? 32 : 0] = 0;
}

/* Which key signs from now on: whoever has its public half can check the heads that follow. */
static void record_key(struct audit *audit)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_KEY, .target = "audit.signing_key" };
	char id[GR_HEAD_KEY_TEXT] = "";
	(void)gr_head_key_id(audit->key, id);
	snprintf(event.detail, sizeof(event.detail), "key=%s", id);
	(void)gr_audit_writer_add(audit->writer, &event, NULL);
}

static int start(struct audit *audit, const char *file, struct gr_error *err)
{
	static struct gr_config config;
	struct gr_audit_places places = { .log = -1 };
	int directory = -1;
	if (gr_ipc_child_configure("garasu-audit", file, &config, err) != 0)
		return err->code;
	read_boot_id(places.boot);
	int root = geteuid() == 0;
	uid_t uid = root ? (uid_t)(config.broker.uid_base + GR_UID_AUDIT) : 0;
	if (gr_audit_key_load(config.audit.signing_key, &places.key, err) != 0)
		return gr_error_wrap(err, "audit.signing_key");
	if (open_directories(&config, uid, &directory, &places.log, err) != 0)
		return err->code;
	audit->key = places.key;
	audit->loop = gr_loop_create();
	audit->sign = audit->loop ? gr_loop_timer_add(audit->loop, sign_over, audit) : NULL;
	audit->retry = audit->loop ? gr_loop_timer_add(audit->loop, retry_over, audit) : NULL;
	if (!audit->sign || !audit->retry || gr_io_set_nonblocking(GR_IPC_CONTROL_FD, 1) != 0 ||
	    !gr_loop_add(audit->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, audit)) {
		close(directory);
		return gr_error_errno(err, "cannot watch the control socket");
	}
	/* The record is read after the confinement: its contents may be anything. Its own directory is the process's root. */
	struct gr_confine_place place = {
		.uid = uid,
		.root = root ? config.audit.directory : NULL,
		.directory = directory,
	};
	int status = gr_confine(&gr_audit_policy, &place, err);
	places.directory = directory;
	if (status == 0 && gr_audit_writer_open(&audit->writer, &places, err) != 0)
		status = gr_error_wrap(err, "%s", config.audit.directory);
	close(directory);
	if (status != 0)
		return status;
	audit->housekeeping = gr_audit_housekeeping_create(audit->loop, places.log, root ? "" : config.audit.directory,
							   record_prune, audit);
	if (!audit->housekeeping)
		return gr_error_set(err, GR_ENOMEM, "no memory for the index");
	record_key(audit);
	run_batch(audit); /* and what the opening found */
	return gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	static struct audit audit;
	struct gr_error err = { .code = 0 };
	gr_log_init("garasu-audit", GR_LOG_INFO);
	if (argc != 2) {
		gr_log_error("usage: garasu-audit <config file>, with a control socket as descriptor 3 (garasu-broker "
			     "starts it)");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is then EFBIG, as a full disk is ENOSPC */
	umask(022);
	for (unsigned i = 0; i < PEERS_MAX; i++)
		audit.peers[i].fd = -1;
	int code = 1;
	if (start(&audit, argv[1], &err) != 0)
		gr_log_error("%s", err.text);
	else
		code = gr_loop_run(audit.loop) == 0 ? 0 : 1;
	for (unsigned i = 0; i < PEERS_MAX; i++)
		close_peer(&audit.peers[i]);
	gr_audit_housekeeping_destroy(audit.housekeeping);
	gr_audit_writer_close(audit.writer);
	EVP_PKEY_free(audit.key);
	gr_loop_destroy(audit.loop);
	return code;
}
