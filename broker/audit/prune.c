#include "broker/audit/prune.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 18)

enum gr_audit_prune_sort gr_audit_prune_sort_of(const char *word)
{
	if (strcmp(word, "egress") == 0)
		return GR_AUDIT_PRUNE_EGRESS;
	return strcmp(word, "records") == 0 ? GR_AUDIT_PRUNE_RECORDS : 0;
}

static int goes(const struct gr_audit_line *line, enum gr_audit_prune_sort sort, const char *before)
{
	const char *kind = line->fields[GR_AUDIT_FIELD_KIND].start;
	size_t n = line->fields[GR_AUDIT_FIELD_KIND].length;
	if (line->pruned || memcmp(line->fields[GR_AUDIT_FIELD_TIME].start, before, GR_AUDIT_TIME_TEXT - 1) >= 0)
		return 0;
	int egress = n > 7 && memcmp(kind, "egress.", 7) == 0, prune = n == 5 && memcmp(kind, "prune", 5) == 0;
	return sort == GR_AUDIT_PRUNE_EGRESS ? egress : !egress && !prune;
}

static int failed(struct gr_error *err, const char *what)
{
	int full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
	gr_error_errno(err, "%s", what);
	return full ? err->code = GR_EFULL : err->code;
}

struct output {
	int fd;
	size_t used;
	char bytes[CHUNK + GR_AUDIT_LINE_MAX];
};

static int put(struct output *output, const char *bytes, size_t n)
{
	memcpy(output->bytes + output->used, bytes, n);
	output->used += n;
	if (output->used < CHUNK)
		return 0;
	size_t used = output->used;
	output->used = 0;
	return gr_io_write_all(output->fd, output->bytes, used);
}

/* Copies the segment with what goes taken out. */
static int copy(struct gr_audit_segment *segment, struct output *output, enum gr_audit_prune_sort sort,
		const char *before, struct gr_audit_pruned *pruned, struct gr_error *err)
{
	struct gr_audit_record record;
	uint64_t lines = 0;
	int more;
	while ((more = gr_audit_segment_next(segment, &record, err)) == 1) {
		char left[GR_AUDIT_LINE_MAX + 1];
		size_t n = record.length + 1;
		lines++;
		if (goes(&record.line, sort, before)) {
			n = gr_audit_line_prune(&record.line, record.leaf, left);
			if (pruned->count++ == 0)
				pruned->first = record.line.sequence;
			pruned->last = record.line.sequence;
		} else {
			memcpy(left, record.bytes, n - 1);
			left[n - 1] = '\n';
		}
		if (put(output, left, n) != 0)
			return failed(err, "cannot write the pruned segment");
	}
	if (more < 0)
		return more;
	if (lines < GR_AUDIT_SEGMENT_LINES)
		return gr_error_set(err, GR_ENOENT, "the segment is not full");
	if (gr_io_write_all(output->fd, output->bytes, output->used) != 0 || fsync(output->fd) < 0)
		return failed(err, "cannot write the pruned segment");
	return 0;
}

/* Whether anything in it goes: most of the time nothing does, and then nothing needs to be written. */
static int look(int log, uint64_t number, enum gr_audit_prune_sort sort, const char *before, struct gr_error *err)
{
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	int found = 0;
	int more = gr_audit_segment_open(&segment, log, -1, number, NULL, err);
	while (more >= 0 && !found && (more = gr_audit_segment_next(segment, &record, err)) == 1)
		found = goes(&record.line, sort, before);
	gr_audit_segment_close(segment);
	return more < 0 ? more : found;
}

int gr_audit_prune_prepare(int log, uint64_t number, enum gr_audit_prune_sort sort,
			   const char before[GR_AUDIT_TIME_TEXT], struct gr_audit_pruned *out, struct gr_error *err)
{
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_pruned pruned = { .count = 0 };
	int status = look(log, number, sort, before, err);
	if (status <= 0) {
		*out = pruned;
		return status;
	}
	struct output *output = malloc(sizeof(*output));
	if (!output)
		return gr_error_set(err, GR_ENOMEM, "no memory to prune");
	output->used = 0;
	output->fd = openat(log, GR_AUDIT_PRUNE_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	status = output->fd < 0 ? failed(err, "cannot make " GR_AUDIT_PRUNE_FILE)
				: gr_audit_segment_open(&segment, log, -1, number, NULL, err);
	if (status == 0)
		status = copy(segment, output, sort, before, &pruned, err);
	gr_audit_segment_close(segment);
	gr_io_close(&output->fd);
	free(output);
	if (status != 0)
		unlinkat(log, GR_AUDIT_PRUNE_FILE, 0);
	else
		*out = pruned;
	return status;
}

int gr_audit_prune_apply(int log, uint64_t number, struct gr_error *err)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	gr_audit_segment_name(number, "log", name);
	if (renameat(log, GR_AUDIT_PRUNE_FILE, log, name) < 0 || fsync(log) < 0)
		return gr_error_errno(err, "cannot put the pruned segment %s in place", name);
	return 0;
}

/* ---- between the events ---- */

struct gr_audit_pruner {
	struct gr_audit_pruner_hooks hooks;
	struct gr_loop_timer *turn;
	int log;
	int busy;
	struct gr_ipc_message asked;
	enum gr_audit_prune_sort sort;
	char before[GR_AUDIT_TIME_TEXT];
	uint64_t segment; /* the next one */
	uint64_t records, segments; /* pruned */
};

static void __attribute__((format(printf, 4, 5)))
answer(struct gr_audit_pruner *pruner, const struct gr_ipc_message *asked, uint32_t reason, const char *format, ...)
{
	struct gr_ipc_message message = { .type = GR_IPC_PRUNED, .number = asked->number, .reason = reason };
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message.text, sizeof(message.text), format, arguments);
	va_end(arguments);
	pruner->hooks.answer(pruner->hooks.context, &message);
}

static int record(struct gr_audit_pruner *pruner, const struct gr_audit_pruned *pruned)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_PRUNE, .permit = 1 };
	snprintf(event.target, sizeof(event.target), "%s", pruner->asked.subject);
	snprintf(event.actor, sizeof(event.actor), "%s", pruner->asked.actor);
	/* A reason that does not fit any more is cut, never the numbers. */
	snprintf(event.detail, sizeof(event.detail), "first=%" PRIu64 " last=%" PRIu64 " count=%" PRIu64 "%s%.160s",
		 pruned->first, pruned->last, pruned->count, pruner->asked.text[0] ? ": " : "", pruner->asked.text);
	return pruner->hooks.record(pruner->hooks.record_context, &event);
}

/* One segment; in between, the audit process does what it is there for. */
static void take_turn(void *context)
{
	struct gr_audit_pruner *pruner = context;
	struct gr_audit_pruned pruned = { .count = 0 };
	struct gr_error err = { .code = 0 };
	int status = gr_audit_prune_prepare(pruner->log, pruner->segment, pruner->sort, pruner->before, &pruned, &err);
	if (status == 0 && pruned.count) {
		if (record(pruner, &pruned) != 0) {
			unlinkat(pruner->log, GR_AUDIT_PRUNE_FILE, 0);
			status = gr_error_set(&err, GR_EIO, "the prune record cannot be written");
		} else {
			status = gr_audit_prune_apply(pruner->log, pruner->segment, &err);
		}
		if (status == 0) {
			pruner->records += pruned.count;
			pruner->segments++;
			if (pruner->hooks.changed)
				pruner->hooks.changed(pruner->hooks.context, pruner->segment);
		}
	}
	if (status == 0) {
		pruner->segment++;
		gr_loop_timer_set(pruner->turn, 0);
		return;
	}
	pruner->busy = 0;
	answer(pruner, &pruner->asked, status == GR_ENOENT ? GR_REASON_NONE : GR_REASON_INTERNAL,
	       "%" PRIu64 " records in %" PRIu64 " segments were pruned%s%.120s", pruner->records, pruner->segments,
	       status == GR_ENOENT ? "" : "; then: ", status == GR_ENOENT ? "" : err.text);
}

struct gr_audit_pruner *gr_audit_pruner_create(struct gr_loop *loop, int log, const struct gr_audit_pruner_hooks *hooks)
{
	struct gr_audit_pruner *pruner = calloc(1, sizeof(*pruner));
	if (!pruner)
		return NULL;
	pruner->hooks = *hooks;
	pruner->log = log;
	pruner->turn = gr_loop_timer_add(loop, take_turn, pruner);
	if (!pruner->turn) {
		free(pruner);
		return NULL;
	}
	unlinkat(log, GR_AUDIT_PRUNE_FILE, 0); /* of a life that ended in between */
	return pruner;
}

void gr_audit_pruner_destroy(struct gr_audit_pruner *pruner)
{
	if (!pruner)
		return;
	gr_loop_timer_remove(pruner->turn);
	free(pruner);
}

void gr_audit_pruner_start(struct gr_audit_pruner *pruner, const struct gr_ipc_message *message)
{
	struct timespec now;
	enum gr_audit_prune_sort sort = gr_audit_prune_sort_of(message->subject);
	clock_gettime(CLOCK_REALTIME, &now);
	if (pruner->busy) {
		answer(pruner, message, GR_REASON_NOT_PERMITTED, "the record is being pruned already");
		return;
	}
	if (!sort || !message->actor[0] || message->bytes_up == 0 || message->bytes_up >= (uint64_t)now.tv_sec) {
		answer(pruner, message, GR_REASON_INTERNAL, "what is to be pruned is not said");
		return;
	}
	pruner->asked = *message;
	pruner->sort = sort;
	now.tv_sec -= (time_t)message->bytes_up;
	now.tv_nsec = 0;
	gr_audit_time_format(&now, pruner->before);
	pruner->segment = pruner->records = pruner->segments = 0;
	pruner->busy = 1;
	gr_loop_timer_set(pruner->turn, 0);
}
