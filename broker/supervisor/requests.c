#include "broker/supervisor/requests.h"

#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void answer(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	gr_services_send(supervisor, GR_IPC_KIND_ADMIN, message, -1);
}

static void time_text(time_t when, char *out, size_t cap)
{
	struct tm parts;

	if (!gmtime_r(&when, &parts) || strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		snprintf(out, cap, "-");
}

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

static void status(struct gr_supervisor *supervisor, struct gr_ipc_message *message)
{
	struct gr_container_counts counts;
	char since[32], image[48];
	uint64_t records;
	char audit[80];

	gr_audit_client_state(supervisor->audit, audit, sizeof(audit), &records);
	for (char *c = audit; *c; c++)
		if (*c == ' ')
			*c = '_';
	gr_containers_count(supervisor, &counts);
	time_text(supervisor->since, since, sizeof(since));
	image_version(supervisor, image, sizeof(image));
	int n = snprintf(message->text, sizeof(message->text),
			 "version=%s since=%s uptime=%" PRIu64
			 " warm=%u used=%u starting=%u maximum=%u sessions=%u viewers=%u "
			 "records=%" PRIu64 " forward=%s image=%s tls=%s vencrypt=%s",
			 GARASU_VERSION, since, (gr_io_now_ms() - supervisor->since_ms) / 1000, counts.warm,
			 counts.used, counts.starting, supervisor->config.pool.maximum, gr_sessions_active(supervisor),
			 gr_connections_viewers(supervisor), records, supervisor->forward ? supervisor->forward : "-",
			 image, supervisor->tls ? gr_listener_name(supervisor->tls) : "-",
			 supervisor->vencrypt ? gr_listener_name(supervisor->vencrypt) : "-");
	/* Last, for it may be cut short. */
	if (n > 0 && (size_t)n < sizeof(message->text))
		snprintf(message->text + n, sizeof(message->text) - (size_t)n, " audit=%s", audit);
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
		time_text(session->since, row.text, sizeof(row.text));
		answer(supervisor, &row);
	}
}

static void end_session(struct gr_supervisor *supervisor, const struct gr_ipc_message *request,
			struct gr_ipc_message *done)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_ADMIN };
	struct gr_session *session;
	int ending;

	session = request->session ? gr_session_find(supervisor, request->session)
				   : gr_session_of_person(supervisor, request->person, &ending);
	snprintf(event.person, sizeof(event.person), "%.*s", GR_PERSON_MAX, request->text);
	event.session = session ? session->id : request->session;
	event.container = session && session->container ? session->container->number : 0;
	snprintf(event.target, sizeof(event.target), "kill %s", session ? session->person : request->person);
	snprintf(event.detail, sizeof(event.detail), "%s", session ? "" : "there is no such session");
	/* Taking a session away lets nobody do anything: it does not wait for the record, which is kept until written. */
	gr_supervisor_record(supervisor, &event);
	if (!session) {
		done->reason = GR_REASON_CONTAINER_FAILED;
		snprintf(done->text, sizeof(done->text), "there is no such session");
		return;
	}
	snprintf(done->text, sizeof(done->text), "session %016" PRIx64 " of %s is ended", session->id, session->person);
	gr_session_end(session, GR_REASON_ENDED_BY_ADMIN);
}

int gr_request_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_ipc_message done = { .type = GR_IPC_ADMIN_DONE, .number = message->number };

	switch (message->type) {
	case GR_IPC_ADMIN_STATUS: status(supervisor, &done); break;
	case GR_IPC_ADMIN_SESSIONS: sessions(supervisor, message->number); break;
	case GR_IPC_ADMIN_KILL: end_session(supervisor, message, &done); break;
	default: return GR_EPROTO;
	}
	answer(supervisor, &done);
	return 0;
}
