#include "broker/supervisor/emergency.h"

#include "broker/supervisor/state.h"
#include "broker/supervisor/supervisor.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int gr_emergency_begin(struct gr_supervisor *supervisor, struct gr_error *err)
{
	struct gr_cutoffs *cutoffs = &supervisor->emergency.cutoffs;
	char *bytes;
	size_t size;
	int rc = gr_state_read(supervisor->state, GR_CUTOFF_FILE, (size_t)GR_CUTOFF_MAX * GR_CUTOFF_LINE, &bytes, &size,
			       err);

	if (rc == GR_ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (gr_cutoffs_read(cutoffs, bytes, size) < 0)
		rc = gr_error_set(err, GR_EPROTO,
				  "%s/" GR_STATE_FOLDER "/" GR_CUTOFF_FILE
				  " cannot be understood: who is cut off is not known. Remove it to let everybody in",
				  supervisor->config.audit.directory);
	free(bytes);
	for (unsigned i = 0; rc == 0 && i < cutoffs->count; i++)
		if (!cutoffs->list[i].back)
			gr_log_warning("%s%s is cut off since an earlier life of the broker: %s",
				       cutoffs->list[i].group[0] ? "group " : "everybody", cutoffs->list[i].group,
				       cutoffs->list[i].reason);
	return rc;
}

int gr_emergency_holds(const struct gr_supervisor *supervisor, const char *person)
{
	const struct gr_config_group *group = gr_config_group_of(&supervisor->config, person);

	return gr_cutoffs_find(&supervisor->emergency.cutoffs, group ? group->name : NULL) != NULL;
}

/* On the disk before it is answered. NULL, or what is to be said of it. */
static const char *keep(struct gr_supervisor *supervisor)
{
	size_t size;
	char *bytes = gr_cutoffs_write(&supervisor->emergency.cutoffs, &size);
	struct gr_error err = { .text = "out of memory" };
	int rc = bytes ? gr_state_write(supervisor->state, GR_CUTOFF_FILE, bytes, size, &err) : GR_ENOMEM;

	free(bytes);
	if (rc == 0)
		return NULL;
	gr_log_error("who is cut off is not kept over a restart: %s", err.text);
	return "; but it could not be kept over a restart of the broker";
}

static struct gr_audit_event event_of(const struct gr_ipc_message *request, enum gr_audit_kind kind)
{
	struct gr_audit_event event = { .kind = kind };

	memcpy(event.group, request->subject, sizeof(event.group));
	memcpy(event.actor, request->actor, sizeof(event.actor));
	memcpy(event.detail, request->text, sizeof(event.detail));
	return event;
}

static int knows_group(const struct gr_supervisor *supervisor, const char *name)
{
	for (unsigned g = 0; g < supervisor->config.group_count; g++)
		if (strcmp(supervisor->config.groups[g].name, name) == 0)
			return 1;
	return !*name;
}

void gr_emergency_cutoff(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	const struct gr_audit_event event = event_of(request, GR_AUDIT_CUTOFF);
	const char *warning;
	unsigned ended;
	int rc;

	if (!knows_group(supervisor, request->subject)) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "there is no group \"%s\"",
				  request->subject);
		return;
	}
	rc = gr_cutoffs_cut(&supervisor->emergency.cutoffs, request->subject, request->actor, request->text,
			    time(NULL));
	if (rc < 0) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "%s",
				  rc == GR_EEXIST ? "cut off already" : "too many groups are cut off");
		return;
	}
	supervisor->emergency.restore.type = 0; /* one that is being recorded comes too late */
	/* Taking sessions away lets nobody do anything: it waits neither for the record nor for the disk. */
	ended = gr_sessions_end_held(supervisor);
	gr_connections_refuse_held(supervisor);
	gr_supervisor_record(supervisor, &event);
	gr_log_warning("%s%s is cut off by %s: %s", request->subject[0] ? "group " : "everybody", request->subject,
		       request->actor, request->text);
	warning = keep(supervisor);
	gr_request_done(supervisor, request->number, GR_REASON_NONE, "cut off: %u session%s ended%s", ended,
			ended == 1 ? "" : "s", warning ? warning : "");
}

static void restore_recorded(void *context, uint64_t number, int recorded)
{
	struct gr_supervisor *supervisor = context;
	struct gr_ipc_message *request = &supervisor->emergency.restore;
	const char *warning;

	if (!recorded || !request->type) {
		gr_request_done(supervisor, number, recorded ? GR_REASON_CUT_OFF : GR_REASON_AUDIT_UNAVAILABLE,
				recorded ? "a cut-off came meanwhile: nobody is let back"
					 : "the record cannot be written: nothing has changed");
		request->type = 0;
		return;
	}
	request->type = 0;
	gr_cutoffs_restore(&supervisor->emergency.cutoffs, request->subject, request->actor, request->text, time(NULL));
	gr_log_warning("%s%s is let back by %s: %s", request->subject[0] ? "group " : "everybody", request->subject,
		       request->actor, request->text);
	warning = keep(supervisor);
	gr_request_done(supervisor, number, GR_REASON_NONE, "let back%s", warning ? warning : "");
}

void gr_emergency_restore(struct gr_supervisor *supervisor, const struct gr_ipc_message *request)
{
	const struct gr_audit_event event = event_of(request, GR_AUDIT_RESTORE);
	struct gr_emergency *emergency = &supervisor->emergency;

	if (emergency->restore.type) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "another restore is being recorded");
	} else if (request->subject[0] ? !gr_cutoffs_find(&emergency->cutoffs, request->subject)
				       : emergency->cutoffs.count == 0) {
		gr_request_refuse(supervisor, request, GR_REASON_NOT_PERMITTED, "not cut off");
	} else if (gr_audit_client_permit(supervisor->audit, &event, restore_recorded, supervisor, request->number,
					  NULL) < 0) {
		gr_request_done(supervisor, request->number, GR_REASON_AUDIT_UNAVAILABLE,
				"too many events wait for the record: nothing has changed");
	} else {
		emergency->restore = *request;
	}
}

void gr_emergency_rows(struct gr_supervisor *supervisor, uint64_t number)
{
	const struct gr_cutoffs *cutoffs = &supervisor->emergency.cutoffs;

	for (unsigned i = 0; i < cutoffs->count; i++) {
		const struct gr_cutoff *entry = &cutoffs->list[i];
		struct gr_ipc_message row = { .type = GR_IPC_ADMIN_ROW, .number = number };

		row.reason = entry->back ? GR_REASON_NONE : GR_REASON_CUT_OFF;
		memcpy(row.subject, entry->group, sizeof(row.subject));
		memcpy(row.actor, entry->actor, sizeof(row.actor));
		gr_request_time((time_t)entry->since, row.person, sizeof(row.person));
		snprintf(row.text, sizeof(row.text), "%s", entry->reason);
		gr_request_answer(supervisor, &row);
	}
}
