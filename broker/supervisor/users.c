#include "broker/supervisor/users.h"

#include "broker/supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>

static struct gr_users_pending *find(struct gr_supervisor *supervisor, uint64_t number)
{
	for (size_t i = 0; i < GR_USERS_PENDING_MAX; i++)
		if (supervisor->user_requests[i].used && supervisor->user_requests[i].request.number == number)
			return &supervisor->user_requests[i];
	return NULL;
}

static struct gr_users_pending *free_place(struct gr_supervisor *supervisor)
{
	for (size_t i = 0; i < GR_USERS_PENDING_MAX; i++)
		if (!supervisor->user_requests[i].used)
			return &supervisor->user_requests[i];
	return NULL;
}

static void refuse(struct gr_supervisor *supervisor, uint64_t number, uint32_t reason, const char *why)
{
	struct gr_ipc_message done = { .type = GR_IPC_ADMIN_DONE, .number = number, .reason = reason };
	struct gr_users_pending *pending = find(supervisor, number);

	if (pending)
		pending->used = 0;
	snprintf(done.text, sizeof(done.text), "%s", why);
	gr_services_send(supervisor, GR_IPC_KIND_ADMIN, &done, -1);
}

static void recorded(void *context, uint64_t number, int was_recorded)
{
	struct gr_supervisor *supervisor = context;
	struct gr_users_pending *pending = find(supervisor, number);

	if (!pending)
		return;
	if (!was_recorded) {
		refuse(supervisor, number, GR_REASON_AUDIT_UNAVAILABLE, "the audit record cannot be written");
	} else if (!gr_service_ready(supervisor, GR_IPC_KIND_IDENTITY)) {
		refuse(supervisor, number, GR_REASON_INTERNAL, "the identity process is being started again");
	} else {
		pending->sent = 1;
		gr_services_send(supervisor, GR_IPC_KIND_IDENTITY, &pending->request, -1);
	}
}

static int is_known(const char *subject)
{
	static const char *const subjects[] = { "add", "password", "code", "recovery", "unlock", "remove", "list" };

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(subjects[i], subject) == 0)
			return 1;
	return 0;
}

void gr_users_request(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_USER };
	struct gr_users_pending *pending = free_place(supervisor);

	if (!is_known(message->subject)) {
		refuse(supervisor, message->number, GR_REASON_NOT_PERMITTED, "this cannot be done with persons");
		return;
	}
	if (!message->text[0] && strcmp(message->subject, "list") != 0) {
		refuse(supervisor, message->number, GR_REASON_NOT_PERMITTED, "there must be a reason");
		return;
	}
	if (!pending) {
		refuse(supervisor, message->number, GR_REASON_NO_CAPACITY, "too much is being done with persons");
		return;
	}
	*pending = (struct gr_users_pending){ .used = 1, .request = *message };
	pending->request.type = GR_IPC_USER;
	memcpy(event.person, message->person, sizeof(event.person));
	memcpy(event.actor, message->actor, sizeof(event.actor));
	memcpy(event.target, message->subject, sizeof(message->subject));
	memcpy(event.detail, message->text, sizeof(event.detail));
	if (gr_audit_client_permit(supervisor->audit, &event, recorded, supervisor, message->number, NULL) < 0)
		refuse(supervisor, message->number, GR_REASON_AUDIT_UNAVAILABLE, "too many events wait for the record");
}

int gr_users_answer(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_users_pending *pending = find(supervisor, message->number);
	struct gr_ipc_message answer = *message;

	if (!pending || !pending->sent)
		return GR_EPROTO;
	answer.type = message->type == GR_IPC_USER_ROW ? GR_IPC_ADMIN_ROW : GR_IPC_ADMIN_DONE;
	if (message->type == GR_IPC_USER_DONE)
		pending->used = 0;
	gr_services_send(supervisor, GR_IPC_KIND_ADMIN, &answer, -1);
	explicit_bzero(&answer, sizeof(answer));
	return 0;
}

void gr_users_identity_gone(struct gr_supervisor *supervisor)
{
	for (size_t i = 0; i < GR_USERS_PENDING_MAX; i++) {
		struct gr_users_pending *pending = &supervisor->user_requests[i];

		if (pending->used && pending->sent)
			refuse(supervisor, pending->request.number, GR_REASON_INTERNAL,
			       "the identity process ended meanwhile: look with user list what was done");
	}
}
