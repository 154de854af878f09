#include "broker/supervisor/reload.h"

#include "broker/supervisor/state.h"
#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- one change ---- */

static void forget(struct gr_reload *reload)
{
	gr_policy_text_finish(&reload->text);
	if (reload->has_config)
		gr_config_finish(&reload->config);
	free(reload->differences);
	*reload = (struct gr_reload){ .state = GR_RELOAD_NONE };
}

/* Where differences go: into the change, or why they cannot. */
struct collection {
	struct gr_reload *reload;
	struct gr_supervisor *supervisor; /* of restarts: told to whoever asked; NULL: taken as the others */
	uint64_t number;
	unsigned restarts;
	int failed;
};

static void row(struct gr_supervisor *supervisor, uint64_t number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void row(struct gr_supervisor *supervisor, uint64_t number, const char *format, ...)
{
	struct gr_ipc_message message = { .type = GR_IPC_ADMIN_ROW, .number = number };
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message.text, sizeof(message.text), format, arguments);
	va_end(arguments);
	gr_request_answer(supervisor, &message);
}

static void collect(void *context, int restart, const char *text)
{
	struct collection *collection = context;
	struct gr_reload *reload = collection->reload;
	void *larger;

	if (restart && collection->supervisor) {
		if (collection->restarts++ < GR_RELOAD_ROWS_MAX)
			row(collection->supervisor, collection->number, "needs a restart: %.220s", text);
		return;
	}
	if (reload->count == GR_RELOAD_DIFFERENCES_MAX) {
		collection->failed = GR_EFULL;
		return;
	}
	if (reload->count % 64 == 0) {
		larger = realloc(reload->differences, (reload->count + 64u) * sizeof(reload->differences[0]));
		if (!larger) {
			collection->failed = GR_ENOMEM;
			return;
		}
		reload->differences = larger;
	}
	snprintf(reload->differences[reload->count++], GR_DIFFERENCE_TEXT, "%s", text);
}

/* Both are parsed anew: what differs is what the files say. */
static int compare(struct collection *collection, const struct gr_policy_text *before, struct gr_error *err)
{
	static struct gr_config old; /* large */
	struct gr_reload *reload = collection->reload;
	int rc = gr_policy_text_parse(before, "the policy in force", &old, err);

	if (rc == 0)
		rc = gr_config_difference(&old, &reload->config, collect, collection);
	gr_config_finish(&old);
	return rc ? rc : collection->failed;
}

/* ---- the record ---- */

static struct gr_audit_event event_of(const struct gr_reload *reload, enum gr_audit_kind kind)
{
	struct gr_audit_event event = { .kind = kind };

	memcpy(event.target, reload->id, sizeof(reload->id));
	memcpy(event.actor, reload->proposer, sizeof(reload->proposer));
	return event;
}

static void conclude(struct gr_supervisor *supervisor);

static void answered(void *context, uint64_t number, int recorded)
{
	struct gr_supervisor *supervisor = context;

	(void)number;
	supervisor->reload.not_recorded |= !recorded;
	if (--supervisor->reload.unanswered == 0)
		conclude(supervisor);
}

static void ask_for(struct gr_supervisor *supervisor, const struct gr_audit_event *event)
{
	struct gr_reload *reload = &supervisor->reload;

	if (gr_audit_client_permit(supervisor->audit, event, answered, supervisor, 0, NULL) == 0)
		reload->unanswered++;
	else
		reload->not_recorded = 1;
}

/* The proposal or the change; the differences are recorded once, with the first of them. */
static void record(struct gr_supervisor *supervisor, int change)
{
	struct gr_reload *reload = &supervisor->reload;
	struct gr_audit_event event = event_of(reload, change ? GR_AUDIT_POLICY_CHANGE : GR_AUDIT_POLICY_PROPOSED);
	int first = reload->state == GR_RELOAD_NONE;

	if (reload->approver[0])
		snprintf(event.detail, sizeof(event.detail), "approved by %s: %.200s", reload->approver,
			 reload->reason);
	else
		snprintf(event.detail, sizeof(event.detail), "%s", reload->reason);
	reload->state = GR_RELOAD_RECORDING;
	reload->change = change;
	reload->not_recorded = 0;
	ask_for(supervisor, &event);
	for (unsigned i = 0; first && i < reload->count && !reload->not_recorded; i++) {
		event = event_of(reload, GR_AUDIT_POLICY_DIFFERENCE);
		snprintf(event.detail, sizeof(event.detail), "%s", reload->differences[i]);
		ask_for(supervisor, &event);
	}
	if (reload->unanswered == 0)
		conclude(supervisor);
}

static void record_configuration(struct gr_supervisor *supervisor, const char *more)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_CONFIGURATION };

	snprintf(event.target, sizeof(event.target), "%.300s", supervisor->config.file);
	snprintf(event.detail, sizeof(event.detail), "sha256=%s %s", supervisor->text.sha256, more);
	gr_supervisor_record(supervisor, &event);
}

/* ---- what is in force ---- */

static void keep(struct gr_supervisor *supervisor)
{
	struct gr_error err;

	if (gr_state_write(supervisor->state, GR_POLICY_COPY, supervisor->text.bytes, supervisor->text.size, &err) < 0)
		gr_log_error("%s: the next start will not know what was in force now", err.text);
}

static void tell_egress(struct gr_supervisor *supervisor)
{
	struct gr_ipc_message message = { .type = GR_IPC_POLICY };
	int fd = open(supervisor->copy, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		gr_child_kill(gr_service_child(supervisor, GR_IPC_KIND_EGRESS),
			      "cannot be given the new policy: %s: started again it reads it", strerror(errno));
	else
		gr_services_send(supervisor, GR_IPC_KIND_EGRESS, &message, fd);
	gr_io_close(&fd);
}

static int same_persons(const struct gr_config_persons *a, const struct gr_config_persons *b)
{
	if (a->count != b->count)
		return 0;
	for (unsigned i = 0; i < a->count; i++)
		if (strcmp(a->list[i], b->list[i]) != 0)
			return 0;
	return 1;
}

static void apply(struct gr_supervisor *supervisor)
{
	struct gr_reload *reload = &supervisor->reload;
	struct gr_config *config = &supervisor->config, *next = &reload->config;
	struct gr_policy_text old = supervisor->text;
	char id[sizeof(reload->id)], more[64];
	uint64_t number = reload->number;
	unsigned count = reload->count;
	struct gr_error err;
	int admins = !same_persons(&config->admin.administrators, &next->admin.administrators) ||
		     !same_persons(&config->admin.auditors, &next->admin.auditors);

	memcpy(id, reload->id, sizeof(id));
	if (gr_policy_text_copy(&reload->text, supervisor->copy, &err) < 0) {
		struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };

		gr_log_error("policy %s is not applied: %s", id, err.text);
		snprintf(event.detail, sizeof(event.detail), "policy %s is recorded but not applied: %.180s", id,
			 err.text);
		gr_supervisor_record(supervisor, &event);
		forget(reload);
		gr_request_done(supervisor, number, GR_REASON_INTERNAL, "not applied: %s", err.text);
		return;
	}
	gr_config_apply(config, next);
	supervisor->text = reload->text;
	reload->text = old;
	forget(reload);
	keep(supervisor);
	snprintf(more, sizeof(more), "policy %s", id);
	record_configuration(supervisor, more);
	tell_egress(supervisor);
	gr_sessions_limit(supervisor);
	gr_log_info("policy %s is in force", id);
	gr_request_done(supervisor, number, GR_REASON_NONE, "%u difference%s in force (%s)", count,
			count == 1 ? "" : "s", id);
	if (admins)
		gr_service_renew(supervisor, GR_IPC_KIND_ADMIN);
}

static void rows_of(struct gr_supervisor *supervisor, uint64_t number)
{
	const struct gr_reload *reload = &supervisor->reload;

	for (unsigned i = 0; i < reload->count && i < GR_RELOAD_ROWS_MAX; i++)
		row(supervisor, number, "%s", reload->differences[i]);
	if (reload->count > GR_RELOAD_ROWS_MAX)
		row(supervisor, number, "… and %u more, which the record has", reload->count - GR_RELOAD_ROWS_MAX);
}

/* Every event of the proposal or the change is answered. */
static void conclude(struct gr_supervisor *supervisor)
{
	struct gr_reload *reload = &supervisor->reload;
	uint64_t number = reload->number;

	if (reload->not_recorded) {
		if (reload->approver[0]) {
			reload->state = GR_RELOAD_PENDING;
			reload->approver[0] = '\0';
		} else {
			forget(reload);
		}
		gr_request_done(supervisor, number, GR_REASON_AUDIT_UNAVAILABLE,
				"the record cannot be written: nothing has changed");
		return;
	}
	if (!reload->approver[0])
		rows_of(supervisor, number);
	if (reload->change) {
		apply(supervisor);
		return;
	}
	reload->state = GR_RELOAD_PENDING;
	gr_request_done(supervisor, number, GR_REASON_NONE,
			"proposed as %s: it counts when another administrator has approved it", reload->id);
}

/* ---- requests ---- */

struct findings {
	struct gr_supervisor *supervisor;
	uint64_t number;
	unsigned rows;
};

static void found(void *context, int warning, const char *finding)
{
	struct findings *findings = context;

	(void)warning;
	if (findings->rows++ < GR_RELOAD_ROWS_MAX)
		row(findings->supervisor, findings->number, "%.250s", finding);
}

static int new_id(struct gr_reload *reload)
{
	uint32_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return GR_EIO;
	snprintf(reload->id, sizeof(reload->id), "%08x", id);
	return 0;
}

void gr_reload_request(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_reload *reload = &supervisor->reload;
	struct collection collection = { reload, supervisor, request->number, 0, 0 };
	struct findings findings = { supervisor, request->number, 0 };
	struct gr_error err = { .code = 0 };
	int rc;

	if (reload->state != GR_RELOAD_NONE) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED,
				  "policy %s waits: approve or reject it first", reload->id);
		return;
	}
	memcpy(reload->proposer, request->actor, sizeof(reload->proposer));
	memcpy(reload->reason, request->text, sizeof(reload->reason));
	reload->number = request->number;
	reload->since = time(NULL);
	rc = gr_policy_text_read(&reload->text, supervisor->config.file, &err);
	if (rc == 0) {
		reload->has_config = 1;
		rc = gr_policy_text_parse(&reload->text, supervisor->config.file, &reload->config, &err);
	}
	if (rc == 0 && supervisor->check(&reload->config, found, &findings) > 0)
		rc = gr_error_set(&err, GR_EINVAL, "the configuration has errors");
	if (rc == 0) {
		rc = compare(&collection, &supervisor->text, &err);
		if (rc == GR_EFULL)
			gr_error_set(&err, rc, "these are too many differences for one change (%u): make it in parts",
				     GR_RELOAD_DIFFERENCES_MAX);
		else if (rc == GR_ENOMEM)
			gr_error_set(&err, rc, "out of memory");
	}
	if (rc == 0 && collection.restarts > 0)
		rc = gr_error_set(&err, GR_EDENIED, "nothing has changed: %u of the differences need a restart",
				  collection.restarts);
	if (rc == 0)
		rc = new_id(reload);
	if (rc < 0) {
		forget(reload);
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "%s", err.text);
		return;
	}
	if (reload->count == 0) {
		forget(reload);
		gr_request_done(supervisor, request->number, GR_REASON_NONE, "nothing differs from what is in force");
		return;
	}
	record(supervisor, !supervisor->config.admin.two_person);
}

void gr_reload_pending(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	const struct gr_reload *reload = &supervisor->reload;
	struct gr_ipc_message head = { .type = GR_IPC_ADMIN_ROW, .number = request->number };

	if (reload->state == GR_RELOAD_PENDING) {
		memcpy(head.subject, reload->id, sizeof(reload->id));
		memcpy(head.actor, reload->proposer, sizeof(reload->proposer));
		memcpy(head.text, reload->reason, sizeof(head.text));
		gr_request_time(reload->since, head.person, sizeof(head.person));
		gr_request_answer(supervisor, &head);
		rows_of(supervisor, request->number);
	}
	gr_request_done(supervisor, request->number, GR_REASON_NONE, "%s", "");
}

/* The change of this id that waits; NULL: refused. */
static struct gr_reload *waiting(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_reload *reload = &supervisor->reload;

	if (reload->state == GR_RELOAD_PENDING && strcmp(reload->id, request->subject) == 0)
		return reload;
	gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "no change \"%s\" waits for approval",
			  request->subject);
	return NULL;
}

void gr_reload_approve(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_reload *reload = waiting(supervisor, request);

	if (!reload)
		return;
	if (strcmp(reload->proposer, request->actor) == 0) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED,
				  "%s proposed it: another administrator must approve it", reload->proposer);
		return;
	}
	memcpy(reload->approver, request->actor, sizeof(reload->approver));
	memcpy(reload->reason, request->text, sizeof(reload->reason));
	reload->number = request->number;
	record(supervisor, 1);
}

void gr_reload_reject(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	struct gr_reload *reload = waiting(supervisor, request);
	struct gr_audit_event event;

	if (!reload)
		return;
	event = event_of(reload, GR_AUDIT_POLICY_REJECTED);
	memcpy(event.actor, request->actor, sizeof(event.actor));
	snprintf(event.detail, sizeof(event.detail), "%s", request->text);
	gr_supervisor_record(supervisor, &event); /* it lets nobody do anything: it need not wait */
	gr_request_done(supervisor, request->number, GR_REASON_NONE, "%s is rejected", reload->id);
	forget(reload);
}

/* ---- the beginning ---- */

static void tell_difference(void *context, int restart, const char *text)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_POLICY_DIFFERENCE, .target = "start" };

	(void)restart;
	snprintf(event.detail, sizeof(event.detail), "%s", text);
	gr_supervisor_record(context, &event);
}

/* What the last life had in force, if it can still be read. */
static void tell_start(struct gr_supervisor *supervisor, const struct gr_policy_text *last)
{
	static struct gr_config old, now; /* large */
	struct gr_error err;
	int known = gr_policy_text_parse(last, "the last policy", &old, &err) == 0;
	int two_person = known && old.admin.two_person;

	record_configuration(supervisor, two_person
						 ? "differs from the last policy; no second administrator approved it"
						 : "differs from the last policy");
	gr_log_warning(
		"the configuration differs from the policy that was in force last%s: the record has the differences",
		two_person ? ", and no second administrator has approved it" : "");
	if (known && gr_policy_text_parse(&supervisor->text, supervisor->config.file, &now, &err) == 0)
		gr_config_difference(&old, &now, tell_difference, supervisor);
	gr_config_finish(&old);
	gr_config_finish(&now);
}

int gr_reload_begin(struct gr_supervisor *supervisor, struct gr_error *err)
{
	struct gr_policy_text last = { .bytes = NULL };
	char *bytes = NULL;
	size_t size;
	int rc = gr_state_open(supervisor->config.audit.directory, &supervisor->state, err);

	if (rc < 0)
		return rc;
	rc = gr_state_read(supervisor->state, GR_POLICY_COPY, GR_POLICY_TEXT_MAX, &bytes, &size, err);
	if (rc == 0)
		rc = gr_policy_text_set(&last, bytes, size);
	free(bytes);
	if (rc < 0 && rc != GR_ENOENT)
		return rc;
	if (!last.bytes)
		record_configuration(supervisor, "the first policy here");
	else if (strcmp(last.sha256, supervisor->text.sha256) == 0)
		record_configuration(supervisor, "the last policy");
	else
		tell_start(supervisor, &last);
	gr_policy_text_finish(&last);
	keep(supervisor);
	return 0;
}

void gr_reload_finish(struct gr_supervisor *supervisor)
{
	forget(&supervisor->reload);
	gr_policy_text_finish(&supervisor->text);
	gr_io_close(&supervisor->state);
}
