#include "broker/audit/writer.h"

#include "broker/audit/recover.h"
#include "broker/audit/reserve.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_MAX 16 /* faults of this process itself */
#define ITEMS_MAX (GR_AUDIT_BATCH_MAX + OWN_MAX)
static_assert(ITEMS_MAX * GR_AUDIT_LINE_MAX <= GR_AUDIT_BATCH_BYTES, "recovery knows how much one write is at most");

struct item {
	struct gr_audit_stamp stamp;
	struct gr_audit_event event;
	uint64_t *sequence; /* NULL: nobody asks */
	int own;
};

struct gr_audit_writer {
	int log;
	EVP_PKEY *key;
	char boot[33];
	/* what is durable */
	struct gr_audit_position position;
	struct gr_append segment, heads; /* segment.fd -1: the next one is not made yet */
	uint64_t head_size;
	struct gr_reserve reserve;
	unsigned moved; /* of the reserve's events, from the first: they are in the record already */
	/* the batch */
	struct item items[ITEMS_MAX];
	unsigned count, own;
	uint64_t last_mono;
	/* what does not work */
	int failing, heads_failing; /* errno, 0 = it works */
	uint64_t refused; /* events since it began to fail */
	/* scratch */
	struct item taken[ITEMS_MAX]; /* from the reserve */
	char lines[ITEMS_MAX * GR_AUDIT_LINE_MAX];
};

/* ---- the batch ---- */

static void stamp_item(struct gr_audit_writer *writer, struct item *item)
{
	struct timespec mono;
	memcpy(item->stamp.boot, writer->boot, sizeof(item->stamp.boot));
	clock_gettime(CLOCK_REALTIME, &item->stamp.time);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	item->stamp.mono = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
	/* Strictly upwards: by it the reserve's events are known again in the record. */
	if (item->stamp.mono <= writer->last_mono)
		item->stamp.mono = writer->last_mono + 1;
	writer->last_mono = item->stamp.mono;
}

int gr_audit_writer_add(struct gr_audit_writer *writer, const struct gr_audit_event *event, uint64_t *sequence_out)
{
	struct item *item = &writer->items[writer->count];
	char time[GR_AUDIT_TIME_TEXT];
	if (writer->count - writer->own == GR_AUDIT_BATCH_MAX)
		return GR_EFULL;
	stamp_item(writer, item);
	if (!gr_audit_kind_name(event->kind) || gr_audit_time_format(&item->stamp.time, time) != 0)
		return GR_EINVAL;
	item->event = *event;
	item->sequence = sequence_out;
	item->own = 0;
	writer->count++;
	return 0;
}

void gr_audit_writer_add_fault(struct gr_audit_writer *writer, const char *detail)
{
	struct item *item = &writer->items[writer->count];
	if (writer->own == OWN_MAX) { /* replaces the last of them */
		for (item = &writer->items[writer->count - 1]; !item->own; item--)
			;
	} else {
		writer->count++;
		writer->own++;
		item->event = (struct gr_audit_event){ .kind = GR_AUDIT_FAULT };
		item->sequence = NULL;
		item->own = 1;
		stamp_item(writer, item);
	}
	snprintf(item->event.detail, sizeof(item->event.detail), "%s", detail);
}

int gr_audit_writer_has_batch(const struct gr_audit_writer *writer)
{
	return writer->count > 0 || writer->reserve.count > 0;
}

int gr_audit_writer_waits(const struct gr_audit_writer *writer)
{
	return writer->failing || writer->heads_failing || writer->reserve.count > 0;
}

/* ---- writing ---- */

static int open_segment(struct gr_audit_writer *writer)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	struct gr_error err;
	gr_audit_segment_name(gr_audit_position_segment(&writer->position), "log", name);
	if (gr_append_open(&writer->segment, writer->log, name, &err) != 0)
		return GR_EIO;
	if (writer->segment.length == 0)
		return 0;
	gr_append_close(&writer->segment);
	errno = EEXIST;
	return GR_EIO;
}

/* Writes n lines, which the open segment has room for, all or none of them. GR_EIO, with errno. */
static int write_lines(struct gr_audit_writer *writer, struct item *items, unsigned n)
{
	struct gr_audit_position position = writer->position;
	struct gr_audit_sum sum;
	uint8_t leaf[GR_TREE_HASH];
	size_t used = 0, length;
	int full = 0;
	memcpy(leaf, position.last, sizeof(leaf));
	for (unsigned i = 0; i < n; i++) {
		items[i].stamp.sequence = gr_audit_position_count(&position) + 1;
		if (gr_audit_line_format(&items[i].stamp, &items[i].event, leaf, writer->lines + used, &length) != 0 ||
		    (full = gr_audit_position_add(&position, leaf, &sum)) < 0) {
			errno = ENOMEM; /* libcrypto says no more */
			return GR_EIO;
		}
		used += length;
	}
	if (gr_append_write(&writer->segment, writer->lines, used) != 0)
		return GR_EIO;
	writer->position = position;
	if (full) {
		gr_append_close(&writer->segment);
		/* It only spares reading when the process starts, which makes it when it is missing. */
		if (gr_audit_sum_write(writer->log, &sum) != 0)
			gr_log_warning("cannot write the sum of segment %" PRIu64 ": %s", sum.segment, strerror(errno));
	}
	return 0;
}

/* Writes as many of the n as it can, tells their numbers, and returns how many. errno says why not all. */
static unsigned write_items(struct gr_audit_writer *writer, struct item *items, unsigned n)
{
	unsigned done = 0;
	while (done < n) {
		unsigned room = gr_audit_position_room(&writer->position), take = n - done < room ? n - done : room;
		if ((writer->segment.fd < 0 && open_segment(writer) != 0) ||
		    write_lines(writer, items + done, take) != 0)
			break;
		for (; take > 0; take--, done++)
			if (items[done].sequence)
				*items[done].sequence = items[done].stamp.sequence;
	}
	return done;
}

/*
 * Moves the reserve's events into the record. Nothing else is written before all of them are there and the reserve is durably
 * empty: the last line then tells after a crash which of them are in the record. GR_EIO, with errno.
 */
static int move_reserve(struct gr_audit_writer *writer)
{
	while (writer->moved < writer->reserve.count) {
		unsigned n = 0;
		for (; n < ITEMS_MAX && writer->moved + n < writer->reserve.count; n++) {
			struct item *item = &writer->taken[n];
			item->sequence = NULL;
			if (gr_reserve_get(&writer->reserve, writer->moved + n, &item->stamp, &item->event) != 0)
				return GR_EIO;
		}
		unsigned written = write_items(writer, writer->taken, n);
		writer->moved += written;
		if (written < n)
			return GR_EIO;
	}
	if (writer->reserve.count > 0 && gr_reserve_clear(&writer->reserve) != 0)
		return GR_EIO;
	writer->moved = 0;
	return 0;
}

/* Puts the items that nothing waits for into the reserve, durably; the others are refused. What is our own stays if need be. */
static void keep_items(struct gr_audit_writer *writer, unsigned from)
{
	unsigned left = 0,
		 end = from; /* past the last one that is in the reserve; none behind one that is not, for the order */
	for (; end < writer->count; end++)
		if (!writer->items[end].event.permit &&
		    gr_reserve_add(&writer->reserve, &writer->items[end].stamp, &writer->items[end].event) != 0)
			break;
	if (gr_reserve_flush(&writer->reserve) != 0)
		end = from;
	for (unsigned i = from; i < writer->count; i++) {
		struct item *item = &writer->items[i];
		int safe = !item->event.permit && i < end;
		if (item->sequence)
			*item->sequence = safe ? GR_AUDIT_KEPT : 0;
		writer->refused += !safe && !item->own;
		if (item->own && !safe)
			writer->items[left++] = *item;
	}
	writer->count = writer->own = left;
}

static void begin_failing(struct gr_audit_writer *writer, int cause)
{
	char detail[200];
	if (!writer->failing) {
		gr_log_error("cannot write the audit record: %s; whatever needs a record is refused until it can be "
			     "written again",
			     strerror(cause));
		snprintf(detail, sizeof(detail), "the record could not be written: %s", strerror(cause));
		writer->refused = 0;
		gr_audit_writer_add_fault(writer, detail);
	}
	writer->failing = cause ? cause : EIO;
}

static void end_failing(struct gr_audit_writer *writer)
{
	char detail[200];
	writer->failing = 0;
	gr_log_warning("the audit record can be written again");
	snprintf(detail, sizeof(detail), "the record is written again; %" PRIu64 " events were refused",
		 writer->refused);
	gr_audit_writer_add_fault(writer, detail);
}

void gr_audit_writer_commit(struct gr_audit_writer *writer)
{
	if (!gr_audit_writer_has_batch(writer))
		return;
	unsigned written = move_reserve(writer) == 0 ? write_items(writer, writer->items, writer->count) : 0;
	if (writer->reserve.count > 0 || written < writer->count) {
		begin_failing(writer, errno);
		keep_items(writer, written);
		return;
	}
	writer->count = writer->own = 0;
	if (writer->failing) {
		end_failing(writer);
		gr_audit_writer_commit(writer); /* that it ended */
	}
}

/* ---- heads ---- */

uint64_t gr_audit_writer_unsigned(const struct gr_audit_writer *writer)
{
	return gr_audit_position_count(&writer->position) - writer->head_size;
}

int gr_audit_writer_sign(struct gr_audit_writer *writer)
{
	uint8_t root[GR_TREE_HASH];
	char line[GR_HEAD_LINE_MAX];
	struct timespec now;
	size_t n;
	uint64_t size = gr_audit_position_count(&writer->position);
	if (size == writer->head_size)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	errno = EIO;
	if (gr_audit_position_root(&writer->position, root) != 0 ||
	    gr_head_sign(writer->key, size, root, &now, line, &n) != 0 ||
	    gr_append_write(&writer->heads, line, n) != 0) {
		if (!writer->heads_failing)
			gr_log_error("cannot sign the audit record or write " GR_AUDIT_HEADS_FILE ": %s",
				     strerror(errno));
		writer->heads_failing = errno;
		return GR_EIO;
	}
	writer->head_size = size;
	writer->heads_failing = 0;
	return 0;
}

/* ---- opening and closing ---- */

struct gr_audit_acknowledgement gr_audit_writer_state(const struct gr_audit_writer *writer)
{
	struct gr_audit_acknowledgement state = { .state = GR_AUDIT_WRITABLE };
	if (writer->failing)
		state.state = GR_AUDIT_UNWRITABLE;
	else if (writer->heads_failing)
		state.state = GR_AUDIT_UNSIGNED;
	state.cause = (uint32_t)(writer->failing ? writer->failing : writer->heads_failing);
	state.kept = writer->reserve.count - writer->moved;
	return state;
}

/* What was moved before a crash, but not wiped: the last line has the stamp of one of the events, or of a later one. */
static int find_moved(struct gr_audit_writer *writer, const struct gr_audit_recovered *found, struct gr_error *err)
{
	struct item *item = &writer->taken[0];
	for (; writer->moved < writer->reserve.count; writer->moved++) {
		if (gr_reserve_get(&writer->reserve, writer->moved, &item->stamp, &item->event) != 0)
			return gr_error_errno(err, "cannot read " GR_AUDIT_RESERVE_FILE);
		if (strcmp(item->stamp.boot, found->boot) != 0 || item->stamp.mono > found->mono)
			break;
	}
	return 0;
}

int gr_audit_writer_open(struct gr_audit_writer **out, const struct gr_audit_places *places, struct gr_error *err)
{
	struct gr_audit_recovered found;
	struct gr_audit_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	writer->segment.fd = writer->heads.fd = writer->reserve.fd = -1;
	writer->log = places->log;
	writer->key = places->key;
	memcpy(writer->boot, places->boot, sizeof(writer->boot));
	int status = gr_audit_recover(places->directory, places->log, places->key, &found, err);
	if (status == 0) {
		writer->position = found.position;
		writer->segment = found.segment;
		writer->heads = found.heads;
		writer->head_size = found.head_size;
		status = gr_reserve_open(&writer->reserve, places->directory, err);
	}
	if (status == 0)
		status = find_moved(writer, &found, err);
	if (status != 0) {
		gr_audit_writer_close(writer);
		return status;
	}
	if (strcmp(found.boot, writer->boot) == 0)
		writer->last_mono = found.mono;
	if (found.note[0])
		gr_audit_writer_add_fault(writer, found.note);
	*out = writer;
	return 0;
}

void gr_audit_writer_close(struct gr_audit_writer *writer)
{
	if (!writer)
		return;
	gr_append_close(&writer->segment);
	gr_append_close(&writer->heads);
	gr_reserve_close(&writer->reserve);
	free(writer);
}
