/*
 * garasu-forward <config file>: carries the record off the machine: to a syslog server over TLS, and tree heads to a time-stamp
 * server; and sees whether the record only grows (witness.h). Reads the record's files by itself, and is woken by the kernel
 * (inotify) when they change: without new records it sleeps.
 *
 * fd 3 is the control socket, on which it says READY and GR_IPC_FORWARD_STATE. When that ends it waits a moment for the tree head that
 * the audit process makes at its own end, and sends it. Signals that a terminal or an init system sends to the whole group do not
 * stop it before.
 */
#include "broker/forward/policy.h"
#include "broker/forward/stamper.h"
#include "broker/forward/syslog.h"
#include "broker/forward/witness.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LAST_WORDS_MS 2000
#define LAST_LOOK_MS 20
#define SYSTEM_CAS "/etc/ssl/certs/ca-certificates.crt" /* of Debian's ca-certificates */

struct forward {
	struct gr_config config;
	struct gr_loop *loop;
	struct gr_loop_watch *control;
	struct gr_loop_timer *more; /* the witness has more to do */
	struct gr_loop_timer *ending;
	struct gr_resolver *resolver;
	int directory, log, own, tokens; /* folders */
	int changes, log_watch; /* inotify */
	int unread; /* that the record cannot be read was said */
	struct gr_forward_state state;
	struct gr_forward_witness witness;
	struct gr_syslog syslog;
	struct gr_stamper stamper;
	struct gr_target server;
	SSL_CTX *syslog_tls, *stamper_tls;
	int to_syslog, to_stamper;
	int unreached, unstamped, alarmed; /* as the supervisor was told */
	uint64_t end_by; /* ms; 0 = not ending */
	uint64_t end_size; /* of the head when the end began */
	int code;
};

/* ---- what others are told ---- */

static void tell(struct forward *forward, uint32_t reason, const char *text)
{
	struct gr_ipc_message message = { .type = GR_IPC_FORWARD_STATE, .reason = reason };
	const char *word = forward->alarmed     ? "alarm"
			   : forward->unreached ? "unreachable"
			   : forward->unstamped ? "unstamped"
						: "ok";
	snprintf(message.subject, sizeof(message.subject), "%s", word);
	snprintf(message.text, sizeof(message.text), "%s", text);
	if (!forward->end_by)
		gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1);
}

static void reached(void *context, const char *detail)
{
	struct forward *forward = context;
	char name[GR_TARGET_TEXT];
	gr_target_text(&forward->server, name);
	if (detail)
		gr_log_warning("the syslog server %s is not reached (%s): tried again, and nothing is lost meanwhile",
			       name, detail);
	else
		gr_log_info("the syslog server %s is reached", name);
	forward->unreached = detail != NULL;
	tell(forward, GR_REASON_NONE, "");
}

static void save(void *context)
{
	struct forward *forward = context;
	struct gr_error err;
	if (gr_forward_state_save(forward->own, &forward->state, &err) != 0)
		gr_log_error("%s", err.text); /* an older one only sends more again */
}

static void stamped(void *context, const char *detail)
{
	struct forward *forward = context;
	int before = forward->unstamped;
	if (detail)
		gr_log_warning("the time-stamp server gave no stamp for the head of %" PRIu64 " records: %s",
			       forward->stamper.asked, detail);
	else
		gr_log_info("the head of %" PRIu64 " records is time-stamped", forward->stamper.stamped);
	forward->unstamped = detail != NULL;
	if (before != forward->unstamped)
		tell(forward, GR_REASON_NONE, "");
}

static void raise_alarm(struct forward *forward)
{
	forward->alarmed = 1;
	gr_log_error("ALARM: %s. Nothing is forwarded any more: see garasu-broker(8), ALARM", forward->witness.alarm);
	tell(forward, GR_REASON_INTERNAL, forward->witness.alarm);
	if (forward->to_syslog)
		gr_syslog_alarm(&forward->syslog, forward->witness.alarm);
	if (forward->to_stamper)
		gr_stamper_stop(&forward->stamper);
}

/* ---- the record has changed ---- */

static void look(struct forward *forward, int replaced)
{
	struct gr_error err;
	int checked, more;
	if (replaced)
		gr_forward_reader_reopen(&forward->witness.reader);
	more = gr_forward_witness_look(&forward->witness, &checked, &err);
	if (more < 0 && !forward->unread)
		gr_log_error("%s", err.text);
	forward->unread = more < 0;
	if (checked)
		save(forward);
	if (forward->witness.alarm[0] && !forward->alarmed)
		raise_alarm(forward);
	if (more > 0)
		gr_loop_timer_set(forward->more, 0);
	if (forward->to_syslog)
		gr_syslog_wake(&forward->syslog, replaced);
	if (!more && forward->to_stamper)
		gr_stamper_wake(&forward->stamper);
}

static void more_over(void *context)
{
	look(context, 0);
}

static void changed(void *context, int fd, unsigned events)
{
	struct forward *forward = context;
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int grown = 0, replaced = 0;
	ssize_t n;
	(void)events;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const void *)at;
			int overflow = (event->mask & IN_Q_OVERFLOW) != 0, in_log = event->wd == forward->log_watch;
			grown |= overflow || in_log || (event->len && strcmp(event->name, GR_AUDIT_HEADS_FILE) == 0);
			replaced |= overflow || (in_log && (event->mask & (IN_CREATE | IN_MOVED_TO)));
			at += sizeof(*event) + event->len;
		}
	if (grown)
		look(forward, replaced);
}

/* ---- the end ---- */

static void look_for_end(void *context)
{
	struct forward *forward = context;
	int sent = !forward->to_syslog || !forward->syslog.ssl ||
		   (forward->state.tree.size > forward->end_size && gr_syslog_idle(&forward->syslog));
	if (sent || forward->alarmed || gr_io_now_ms() >= forward->end_by)
		gr_loop_stop(forward->loop, forward->code);
	else
		gr_loop_timer_set(forward->ending, LAST_LOOK_MS);
}

static void begin_end(struct forward *forward, int code)
{
	gr_loop_remove(forward->control);
	forward->control = NULL;
	forward->code = code;
	forward->end_by = gr_io_now_ms() + LAST_WORDS_MS;
	forward->end_size = forward->state.tree.size;
	look_for_end(forward);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct forward *forward = context;
	struct gr_ipc_message message;
	int received = -1;
	(void)events;
	int status = gr_ipc_receive(fd, &message, &received);
	if (status == GR_EAGAIN)
		return;
	gr_io_close(&received);
	/* Nobody has anything to say to it. */
	if (status != GR_ECLOSED)
		gr_log_error("control socket: %s", gr_status_text(status ? status : GR_EPROTO));
	begin_end(forward, status == GR_ECLOSED ? 0 : 1);
}

/* ---- the beginning ---- */

/* A folder of its own in the record's. */
static int own_folder(const struct forward *forward, const char *name, uid_t uid, mode_t mode, int *out,
		      struct gr_error *err)
{
	if (mkdirat(forward->directory, name, mode) < 0 && errno != EEXIST)
		return gr_error_errno(err, "%s: cannot make %s", forward->config.audit.directory, name);
	*out = openat(forward->directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out < 0 || (uid && fchown(*out, uid, (gid_t)uid) < 0) || fchmod(*out, mode) < 0)
		return gr_error_errno(err, "%s: cannot own %s", forward->config.audit.directory, name);
	return 0;
}

static int open_record(struct forward *forward, uid_t uid, struct gr_error *err)
{
	char path[PATH_MAX + 16];
	const char *directory = forward->config.audit.directory;
	forward->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (forward->directory >= 0)
		forward->log = openat(forward->directory, GR_AUDIT_LOG_DIRECTORY,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (forward->directory < 0 || forward->log < 0)
		return gr_error_errno(err, "%s: cannot open the record", directory);
	if (own_folder(forward, GR_FORWARD_DIRECTORY, uid, 0700, &forward->own, err) != 0 ||
	    own_folder(forward, GR_STAMPER_DIRECTORY, uid, 0755, &forward->tokens, err) != 0)
		return err->code;
	forward->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof(path), "%s/" GR_AUDIT_LOG_DIRECTORY, directory);
	/* Each batch of records wakes it only when records are sent. */
	uint32_t records = forward->config.syslog.content == GR_CONTENT_ALL && forward->to_syslog ? IN_MODIFY : 0;
	if (forward->changes < 0 ||
	    inotify_add_watch(forward->changes, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0 ||
	    (forward->log_watch = inotify_add_watch(forward->changes, path, records | IN_CREATE | IN_MOVED_TO)) < 0 ||
	    !gr_loop_add(forward->loop, forward->changes, GR_LOOP_READ, changed, forward))
		return gr_error_errno(err, "%s: cannot watch the record", directory);
	return 0;
}

static int open_syslog(struct forward *forward, struct gr_error *err)
{
	const struct gr_config *config = &forward->config;
	struct gr_syslog *syslog = &forward->syslog;
	struct utsname machine;
	if (!config->syslog.ca[0])
		return gr_error_set(err, GR_EINVAL, "syslog.ca: it must say whom the server's certificate is from");
	if (!config->syslog.certificate[0] != !config->syslog.key[0])
		return gr_error_set(err, GR_EINVAL, "syslog.certificate, syslog.key: one without the other");
	forward->syslog_tls = gr_link_context(config->syslog.ca, NULL,
					      config->syslog.certificate[0] ? config->syslog.certificate : NULL,
					      config->syslog.key, err);
	if (!forward->syslog_tls)
		return gr_error_wrap(err, "section syslog");
	if (gr_target_parse_authority(&forward->server, config->syslog.server.host, strlen(config->syslog.server.host),
				      config->syslog.server.port) != 0)
		return gr_error_set(err, GR_EINVAL, "syslog.server: it is no host");
	uname(&machine);
	gr_forward_form_init(&syslog->form, config->syslog.format, machine.nodename);
	syslog->server = (struct gr_link_settings){ forward->loop, forward->resolver, &forward->server,
						    forward->syslog_tls };
	syslog->content = config->syslog.content;
	syslog->directory = forward->directory;
	syslog->log = forward->log;
	syslog->state = &forward->state;
	syslog->settled = save;
	syslog->reached = reached;
	syslog->context = forward;
	if (gr_syslog_start(syslog) != 0)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	return 0;
}

static int open_stamper(struct forward *forward, struct gr_error *err)
{
	const struct gr_config *config = &forward->config;
	struct gr_stamper *stamper = &forward->stamper;
	int tls;
	if (!config->timestamp.ca[0])
		return gr_error_set(err, GR_EINVAL, "timestamp.ca: it must say whom the stamps are from");
	if (gr_stamper_url(stamper, config->timestamp.url, &tls) != 0)
		return gr_error_set(err, GR_EINVAL, "timestamp.url: it is no http: or https: URL");
	stamper->trust = X509_STORE_new();
	if (!stamper->trust || X509_STORE_load_file(stamper->trust, config->timestamp.ca) != 1)
		return gr_error_set(err, GR_EINVAL, "timestamp.ca: %s: %s", config->timestamp.ca, gr_link_error());
	/* A stamp is believed for its signature, whoever carried it: TLS only keeps the question from others. */
	if (tls && !(forward->stamper_tls = gr_link_context(config->timestamp.ca, SYSTEM_CAS, NULL, NULL, err)))
		return gr_error_wrap(err, "section timestamp");
	stamper->server.loop = forward->loop;
	stamper->server.resolver = forward->resolver;
	stamper->server.context = forward->stamper_tls;
	stamper->state = &forward->state;
	stamper->directory = forward->tokens;
	stamper->interval_ms = (int64_t)config->timestamp.interval_minutes * 60000;
	stamper->told = stamped;
	stamper->context = forward;
	return gr_stamper_start(stamper) == 0 ? 0 : gr_error_set(err, GR_ENOMEM, "no memory");
}

static int start(struct forward *forward, const char *file, struct gr_error *err)
{
	if (gr_ipc_child_configure("garasu-forward", file, &forward->config, err) != 0)
		return err->code;
	int root = geteuid() == 0;
	uid_t uid = root ? (uid_t)(forward->config.broker.uid_base + GR_UID_FORWARD) : 0;
	forward->to_syslog = forward->config.syslog.server.host[0] != 0;
	forward->to_stamper = forward->config.timestamp.url[0] != 0;
	forward->loop = gr_loop_create();
	if (!forward->loop)
		return gr_error_errno(err, "cannot make the event loop");
	forward->more = gr_loop_timer_add(forward->loop, more_over, forward);
	forward->ending = gr_loop_timer_add(forward->loop, look_for_end, forward);
	if (!forward->more || !forward->ending)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	if (gr_resolver_create(&forward->resolver, forward->loop, err) != 0 || open_record(forward, uid, err) != 0 ||
	    (forward->to_syslog && open_syslog(forward, err) != 0) ||
	    (forward->to_stamper && open_stamper(forward, err) != 0))
		return err->code;
	if (gr_io_set_nonblocking(GR_IPC_CONTROL_FD, 1) != 0)
		return gr_error_errno(err, "no control socket");
	forward->control = gr_loop_add(forward->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, forward);
	if (!forward->control)
		return gr_error_errno(err, "cannot watch the control socket");
	/* What is in the record anybody may have caused: read after the confinement. */
	struct gr_confine_place place = {
		.uid = uid,
		.root = root ? forward->config.audit.directory : NULL,
		.directory = forward->directory,
	};
	if (gr_confine(&gr_forward_policy, &place, err) != 0)
		return err->code;
	gr_forward_witness_init(&forward->witness, forward->directory, forward->log, &forward->state);
	int status = gr_forward_state_load(forward->own, &forward->state, err);
	if (status == GR_EPROTO)
		snprintf(forward->witness.alarm, sizeof(forward->witness.alarm), "%.*s",
			 (int)sizeof(forward->witness.alarm) - 1, err->text);
	else if (status != 0)
		return status;
	if (gr_ipc_child_ready(err) != 0)
		return err->code;
	gr_loop_timer_set(forward->more, 0);
	return 0;
}

int main(int argc, char **argv)
{
	static struct forward forward = { .directory = -1, .log = -1, .own = -1, .tokens = -1, .changes = -1 };
	struct gr_error err = { .code = 0 };
	gr_log_init("garasu-forward", GR_LOG_INFO);
	if (argc != 2) {
		gr_log_error(
			"usage: garasu-forward <config file>, with a control socket as descriptor 3 (garasu-broker "
			"starts it)");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	umask(022);
	int code = 1;
	if (start(&forward, argv[1], &err) != 0) {
		gr_log_error("%s", err.text);
		return 1;
	}
	code = gr_loop_run(forward.loop) == 0 ? forward.code : 1;
	if (forward.to_syslog)
		gr_syslog_finish(&forward.syslog);
	if (forward.to_stamper)
		gr_stamper_finish(&forward.stamper);
	gr_forward_witness_finish(&forward.witness);
	SSL_CTX_free(forward.syslog_tls);
	SSL_CTX_free(forward.stamper_tls);
	gr_resolver_destroy(forward.resolver);
	gr_loop_destroy(forward.loop);
	return code;
}
