#include "broker/supervisor/requests.h"

#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADMINISTRATOR 1u
#define AUDITOR 2u

/* Who may ask for what, what it is called in the record, and whether it changes something, so that there must be a reason why. */
static const struct {
	uint32_t type;
	unsigned roles;
	const char *name;
	int needs_reason;
} commands[] = {
	{ GR_IPC_ADMIN_STATUS, ADMINISTRATOR | AUDITOR, "status", 0 },
	{ GR_IPC_ADMIN_SESSIONS, ADMINISTRATOR | AUDITOR, "sessions", 0 },
	{ GR_IPC_ADMIN_PENDING, ADMINISTRATOR | AUDITOR, "pending", 0 },
	{ GR_IPC_ADMIN_KILL, ADMINISTRATOR, "kill", 0 },
	{ GR_IPC_ADMIN_CUTOFF, ADMINISTRATOR, "cutoff", 1 },
	{ GR_IPC_ADMIN_RESTORE, ADMINISTRATOR, "restore", 1 },
	{ GR_IPC_ADMIN_RELOAD, ADMINISTRATOR, "reload", 1 },
	{ GR_IPC_ADMIN_APPROVE, ADMINISTRATOR, "approve", 1 },
	{ GR_IPC_ADMIN_REJECT, ADMINISTRATOR, "reject", 1 },
	{ GR_IPC_ADMIN_USER, ADMINISTRATOR, "user", 0 },
	{ GR_IPC_ADMIN_PRUNE, AUDITOR, "prune", 1 },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int is_among(const struct gr_config_persons *persons, const char *name)
{
	for (unsigned i = 0; i < persons->count; i++)
		if (strcmp(persons->list[i], name) == 0)
			return 1;
	return 0;
}

static unsigned role_of(const struct gr_supervisor *supervisor, const char *actor)
{
	if (strcmp(actor, "root") == 0 || is_among(&supervisor->config.admin.administrators, actor))
		return ADMINISTRATOR;
	return is_among(&supervisor->config.admin.auditors, actor) ? AUDITOR : 0;
}

/* ---- answers ---- */

void gr_request_answer(struct gr_supervisor *supervisor, const struct gr_ipc_message *row)
{
	gr_services_send(supervisor, GR_IPC_KIND_ADMIN, row, -1);
}

static void done(struct gr_supervisor *supervisor, uint64_t number, uint32_t reason, const char *text)
{
	struct gr_ipc_message message = { .type = GR_IPC_ADMIN_DONE, .number = number, .reason = reason };

	snprintf(message.text, sizeof(message.text), "%s", text);
	gr_request_answer(supervisor, &message);
}

void gr_request_done(struct gr_supervisor *supervisor, uint64_t number, uint32_t reason, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	done(supervisor, number, reason, text);
}

static const char *name_of(uint32_t type)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].type == type)
			return commands[i].name;
	return "?";
}

static struct gr_audit_event event_of(const struct gr_ipc_message *request)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_ADMIN, .session = request->session };

	memcpy(event.actor, request->actor, sizeof(event.actor));
	memcpy(event.person, request->person, sizeof(event.person));
	snprintf(event.target, sizeof(event.target), "%s%s%s", name_of(request->type), request->subject[0] ? " " : "",
		 request->subject);
	return event;
}

void gr_request_refuse(struct gr_supervisor *supervisor, const struct gr_ipc_message *request, uint32_t reason,
		       const char *format, ...)
{
	struct gr_audit_event event = event_of(request);
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	event.reason = reason;
	snprintf(event.detail, sizeof(event.detail), "refused: %.240s", text);
	gr_supervisor_record(supervisor, &event);
	gr_log_warning("%s of %s is refused: %s", event.target, request->actor, text);
	if (request->number)
		done(supervisor, request->number, reason, text);
}

void gr_request_time(time_t when, char *out, size_t cap)
{
	struct tm parts;

	if (!gmtime_r(&when, &parts) || strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		snprintf(out, cap, "-");
}

/* ---- requests ---- */

/* What images/current points to: the version of the image that new containers get. */
static void image_version(const struct gr_supervisor *supervisor, char *out, size_t cap)
{
	char path[PATH_MAX + 16], target[PATH_MAX];
	const char *name;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/current", supervisor->config.pool.images);
	size = readlink(path, target, sizeof(target) - 1);
	if (size <= 0) {
		snprintf(out, cap, "-");
		return;
	}
	target[size] = '\0';
	while (size > 1 && target[size - 1] == '/')
		target[--size] = '\0';
	name = strrchr(target, '/');
	/* The answer is "key=value" pairs; the name is the administrator's, so only its length and blanks matter. */
	gr_log_escape(out, cap, name ? name + 1 : target, strnlen(name ? name + 1 : target, 40));
	for (char *c = out; *c; c++)
		if (*c == ' ')
			*c = '_';
}

static void status(struct gr_supervisor *supervisor, uint64_t number)
{
	struct gr_ipc_message message = { .type = GR_IPC_ADMIN_DONE, .number = number };
	struct gr_container_counts counts;
	char since[32], image[48];
	uint64_t records;
	char audit[80];

	gr_audit_client_state(supervisor->audit, audit, sizeof(audit), &records);
	for (char *c = audit; *c; c++)
		if (*c == ' ')
			*c = '_';
	gr_containers_count(supervisor, &counts);
	gr_request_time(supervisor->since, since, sizeof(since));
	image_version(supervisor, image, sizeof(image));
	int n = snprintf(message.text, sizeof(message.text),
			 "version=%s since=%s uptime=%" PRIu64
			 " warm=%u used=%u starting=%u maximum=%u sessions=%u viewers=%u "
			 "records=%" PRIu64 " image=%s tls=%s vencrypt=%s",
			 GARASU_VERSION, since, (gr_io_now_ms() - supervisor->since_ms) / 1000, counts.warm,
			 counts.used, counts.starting, supervisor->config.pool.maximum, gr_sessions_active(supervisor),
			 gr_connections_viewers(supervisor), records, image,
			 supervisor->tls ? gr_listener_name(supervisor->tls) : "-",
			 supervisor->vencrypt ? gr_listener_name(supervisor->vencrypt) : "-");
	/* Last, for it may be cut short. */
	if (n > 0 && (size_t)n < sizeof(message.text))
		snprintf(message.text + n, sizeof(message.text) - (size_t)n, " audit=%s", audit);
	snprintf(message.subject, sizeof(message.subject), "policy=%.16s two_person=%u pending=%s forward=%s",
		 supervisor->text.sha256, supervisor->config.admin.two_person,
		 supervisor->reload.state == GR_RELOAD_PENDING ? supervisor->reload.id : "-",
		 supervisor->forward ? supervisor->forward : "-");
	gr_emergency_rows(supervisor, number);
	gr_request_answer(supervisor, &message);
}

static void sessions(struct gr_supervisor *supervisor, uint64_t number)
{
	for (size_t i = 0; i < GR_CONTAINERS_MAX; i++) {
		const struct gr_session *session = &supervisor->sessions[i];
		struct gr_ipc_message row = { .type = GR_IPC_ADMIN_ROW, .number = number };

		if (session->state == GR_SESSION_FREE || session->state == GR_SESSION_ENDING)
			continue;
		row.session = session->id;
		row.container = session->container ? session->container->number : 0;
		row.connection = session->viewer;
		memcpy(row.person, session->person, sizeof(row.person));
		gr_request_time(session->since, row.text, sizeof(row.text));
		gr_request_answer(supervisor, &row);
	}
}

static void end_session(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_audit_event event = event_of(request);
	struct gr_session *session;
	int ending;

	session = request->session ? gr_session_find(supervisor, request->session)
				   : gr_session_of_person(supervisor, request->person, &ending);
	if (!session) {
		gr_request_refuse(supervisor, request, GR_REASON_CONTAINER_FAILED, "there is no such session");
		return;
	}
	memcpy(event.person, session->person, sizeof(event.person));
	event.session = session->id;
	event.container = session->container ? session->container->number : 0;
	memcpy(event.detail, request->text, sizeof(event.detail));
	/* Taking a session away lets nobody do anything: it does not wait for the record, which is kept until written. */
	gr_supervisor_record(supervisor, &event);
	gr_request_done(supervisor, request->number, GR_REASON_NONE, "session %016" PRIx64 " of %s is ended",
			session->id, session->person);
	gr_session_end(session, GR_REASON_ENDED_BY_ADMIN);
}

/* How long what is asked to be removed must have been kept, in days; 0: there is no such thing. */
static unsigned kept_days(const struct gr_config *config, const char *what)
{
	return strcmp(what, "egress") == 0       ? config->retention.egress_days
	       : strcmp(what, "records") == 0    ? config->retention.records_days
	       : strcmp(what, "recordings") == 0 ? config->retention.recordings_days
						 : 0;
}

static void prune(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_ipc_message message = { .type = GR_IPC_PRUNE, .number = request->number };
	unsigned days = kept_days(&supervisor->config, request->subject);

	if (!days) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED,
				  "what is to be removed: egress, records or recordings");
		return;
	}
	memcpy(message.subject, request->subject, sizeof(message.subject));
	memcpy(message.actor, request->actor, sizeof(message.actor));
	memcpy(message.text, request->text, sizeof(message.text));
	if (strcmp(request->subject, "recordings") == 0) {
		gr_recordings_prune(supervisor, request);
		return;
	}
	message.bytes_up = days * UINT64_C(86400);
	gr_services_send(supervisor, GR_IPC_KIND_AUDIT, &message, -1);
}

void gr_request_pruned(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	gr_request_done(supervisor, message->number, message->reason, "%s", message->text);
}

/* Whether the one who asks may ask for it; if not, that is recorded and answered. */
static int permitted(struct gr_supervisor *supervisor, const struct gr_ipc_message *request, size_t command)
{
	unsigned role = role_of(supervisor, request->actor);

	if (!(commands[command].roles & role) || request->reason == GR_REASON_NOT_PERMITTED)
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "%s %s", request->actor,
				  role == ADMINISTRATOR ? "is an administrator: this is an auditor's"
				  : role == AUDITOR     ? "is an auditor: this is an administrator's"
							: "is neither administrator nor auditor");
	else if (commands[command].needs_reason && !request->text[0])
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "there must be a reason");
	else
		return 1;
	return 0;
}

int gr_request_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	size_t command = 0;

	while (command < COMMANDS && commands[command].type != message->type)
		command++;
	if (command == COMMANDS)
		return GR_EPROTO;
	if (!permitted(supervisor, message, command))
		return 0;
	switch (message->type) {
	case GR_IPC_ADMIN_STATUS: status(supervisor, message->number); break;
	case GR_IPC_ADMIN_SESSIONS:
		sessions(supervisor, message->number);
		gr_request_done(supervisor, message->number, GR_REASON_NONE, "%s", "");
		break;
	case GR_IPC_ADMIN_KILL: end_session(supervisor, message); break;
	case GR_IPC_ADMIN_CUTOFF: gr_emergency_cutoff(supervisor, message); break;
	case GR_IPC_ADMIN_RESTORE: gr_emergency_restore(supervisor, message); break;
	case GR_IPC_ADMIN_RELOAD: gr_reload_request(supervisor, message); break;
	case GR_IPC_ADMIN_PENDING: gr_reload_pending(supervisor, message); break;
	case GR_IPC_ADMIN_APPROVE: gr_reload_approve(supervisor, message); break;
	case GR_IPC_ADMIN_REJECT: gr_reload_reject(supervisor, message); break;
	case GR_IPC_ADMIN_PRUNE: prune(supervisor, message); break;
	case GR_IPC_ADMIN_USER: gr_users_request(supervisor, message); break;
	default: return GR_EPROTO;
	}
	return 0;
}
