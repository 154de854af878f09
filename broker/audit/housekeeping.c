#include "broker/audit/housekeeping.h"

#include "broker/audit/index.h"
#include "broker/audit/prune.h"
#include "common/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INDEX_MS 1000
#define INDEX_LINES 8192 /* of one turn: some 50 ms */

struct gr_audit_housekeeping {
	int log;
	struct gr_audit_index *index; /* NULL: it has failed */
	struct gr_loop_timer *update;
	int update_armed;
	struct gr_audit_pruner *pruner;
};

static void index_failed(struct gr_audit_housekeeping *housekeeping, const struct gr_error *err)
{
	gr_log_error("the index is given up until the next start: %s", err->text);
	gr_audit_index_close(housekeeping->index);
	housekeeping->index = NULL;
}

static void update(void *context)
{
	struct gr_audit_housekeeping *housekeeping = context;
	struct gr_error err = { .code = 0 };
	int more = 0;
	housekeeping->update_armed = 0;
	if (!housekeeping->index)
		return;
	if (gr_audit_index_update(housekeeping->index, housekeeping->log, INDEX_LINES, &more, &err) != 0) {
		index_failed(housekeeping, &err);
	} else if (more) { /* of a long record that has no index yet */
		housekeeping->update_armed = 1;
		gr_loop_timer_set(housekeeping->update, 1);
	}
}

void gr_audit_housekeeping_wake(struct gr_audit_housekeeping *housekeeping)
{
	if (!housekeeping || !housekeeping->index || housekeeping->update_armed)
		return;
	housekeeping->update_armed = 1;
	gr_loop_timer_set(housekeeping->update, INDEX_MS);
}

/* One that does not fit is made anew. */
static void open_index(struct gr_audit_housekeeping *housekeeping, const char *directory)
{
	char path[PATH_MAX], wal[PATH_MAX];
	struct gr_error err = { .code = 0 };
	snprintf(path, sizeof(path), "%.4000s/%s", directory, GR_AUDIT_INDEX_FILE);
	snprintf(wal, sizeof(wal), "%.4080s-wal", path);
	int status = gr_audit_index_open(&housekeeping->index, path, 0, &err);
	if (status == 0)
		status = gr_audit_index_check(housekeeping->index, housekeeping->log, &err);
	if (status == GR_EPROTO) {
		gr_log_warning("the index is made anew: %s", err.text);
		gr_audit_index_close(housekeeping->index);
		housekeeping->index = NULL;
		unlinkat(AT_FDCWD, path, 0);
		unlinkat(AT_FDCWD, wal, 0);
		status = gr_audit_index_open(&housekeeping->index, path, 0, &err);
	}
	if (status != 0)
		index_failed(housekeeping, &err);
}

static void segment_changed(void *context, uint64_t segment)
{
	struct gr_audit_housekeeping *housekeeping = context;
	struct gr_error err = { .code = 0 };
	if (housekeeping->index && gr_audit_index_forget(housekeeping->index, segment, &err) != 0)
		index_failed(housekeeping, &err);
	gr_audit_housekeeping_wake(housekeeping);
}

static void answer(void *context, const struct gr_ipc_message *message)
{
	(void)context;
	if (gr_ipc_send(GR_IPC_CONTROL_FD, message, -1) != 0)
		gr_log_error("the answer about pruning could not be sent: %s", message->text);
}

struct gr_audit_housekeeping *gr_audit_housekeeping_create(struct gr_loop *loop, int log, const char *directory,
							   int (*record)(void *context,
									 const struct gr_audit_event *event),
							   void *context)
{
	struct gr_audit_housekeeping *housekeeping = calloc(1, sizeof(*housekeeping));
	if (!housekeeping)
		return NULL;
	struct gr_audit_pruner_hooks hooks = {
		.record = record,
		.record_context = context,
		.changed = segment_changed,
		.answer = answer,
		.context = housekeeping,
	};
	housekeeping->log = log;
	housekeeping->update = gr_loop_timer_add(loop, update, housekeeping);
	housekeeping->pruner = gr_audit_pruner_create(loop, log, &hooks);
	if (!housekeeping->update || !housekeeping->pruner) {
		gr_audit_housekeeping_destroy(housekeeping);
		return NULL;
	}
	open_index(housekeeping, directory);
	gr_audit_housekeeping_wake(housekeeping);
	return housekeeping;
}

void gr_audit_housekeeping_destroy(struct gr_audit_housekeeping *housekeeping)
{
	if (!housekeeping)
		return;
	gr_audit_pruner_destroy(housekeeping->pruner);
	gr_loop_timer_remove(housekeeping->update);
	gr_audit_index_close(housekeeping->index);
	free(housekeeping);
}

void gr_audit_housekeeping_prune(struct gr_audit_housekeeping *housekeeping, const struct gr_ipc_message *message)
{
	gr_audit_pruner_start(housekeeping->pruner, message);
}
