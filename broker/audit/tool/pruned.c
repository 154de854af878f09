#include "broker/audit/tool/check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is(const struct gr_audit_line *line, enum gr_audit_field field, const char *value)
{
	size_t n = strlen(value);
	return line->fields[field].start && line->fields[field].length == n &&
	       memcmp(line->fields[field].start, value, n) == 0;
}

static int is_egress(const struct gr_audit_line *line)
{
	return line->fields[GR_AUDIT_FIELD_PRUNED].length > 7 &&
	       memcmp(line->fields[GR_AUDIT_FIELD_PRUNED].start, "egress.", 7) == 0;
}

int gr_check_prune_read(const struct gr_audit_line *line, struct gr_check_prune *out)
{
	char text[GR_AUDIT_LINE_MAX];
	size_t n;
	const char *at = text, *value;
	struct gr_check_prune prune = { .sequence = line->sequence };
	if (!line->fields[GR_AUDIT_FIELD_DETAIL].start ||
	    gr_audit_unescape(text, &n, line->fields[GR_AUDIT_FIELD_DETAIL].start,
			      line->fields[GR_AUDIT_FIELD_DETAIL].length) != 0)
		return GR_EPROTO;
	char *colon = memchr(text, ':', n);
	size_t left = colon ? (size_t)(colon - text) : n, length;
	prune.egress = is(line, GR_AUDIT_FIELD_TARGET, "egress");
	if ((!prune.egress && !is(line, GR_AUDIT_FIELD_TARGET, "records")) ||
	    gr_audit_take_field(&at, &left, "first", &value, &length) != 0 ||
	    !(prune.first = gr_audit_number(value, length)) ||
	    gr_audit_take_field(&at, &left, "last", &value, &length) != 0 ||
	    !(prune.last = gr_audit_number(value, length)) ||
	    gr_audit_take_field(&at, &left, "count", &value, &length) != 0 ||
	    !(prune.count = gr_audit_number(value, length)) || left != 0)
		return GR_EPROTO;
	*out = prune;
	return 0;
}

static int note_segment(struct gr_check *check, struct gr_error *err)
{
	if (check->number >= check->segment_room) {
		size_t room = check->number + 1024;
		uint8_t *more = realloc(check->pruned_segments, room);
		if (!more)
			return gr_error_set(err, GR_ENOMEM, "no memory to check the record");
		memset(more + check->segment_room, 0, room - check->segment_room);
		check->pruned_segments = more;
		check->segment_room = room;
	}
	check->pruned_segments[check->number] = 1;
	return 0;
}

int gr_check_pruned_note(struct gr_check *check, const struct gr_audit_line *line, struct gr_error *err)
{
	struct gr_check_prune prune;
	if (line->pruned) {
		check->result->pruned++;
		return note_segment(check, err);
	}
	/* Recordings' removal has records of its own kind. */
	if (!is(line, GR_AUDIT_FIELD_KIND, "prune") || gr_check_prune_read(line, &prune) != 0)
		return 0;
	if (check->prune_count == check->prune_room) {
		size_t room = check->prune_room ? 2 * check->prune_room : 64;
		struct gr_check_prune *more = reallocarray(check->prunes, room, sizeof(*more));
		if (!more)
			return gr_error_set(err, GR_ENOMEM, "no memory to check the record");
		check->prunes = more;
		check->prune_room = room;
	}
	check->prunes[check->prune_count++] = prune;
	return 0;
}

/* The lines of one segment, against the records that cover it; taken counts how many each has accounted for. */
static int check_segment(struct gr_check *check, uint64_t number, uint64_t *taken, struct gr_error *err)
{
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	char name[GR_AUDIT_SEGMENT_NAME], path[64];
	int status = gr_audit_segment_open(&segment, check->log, -1, number, NULL, err), more = 0;
	gr_audit_segment_name(number, "log", name);
	snprintf(path, sizeof(path), GR_AUDIT_LOG_DIRECTORY "/%s", name);
	while (status == 0 && (more = gr_audit_segment_next(segment, &record, err)) == 1) {
		uint64_t sequence = record.line.sequence;
		int covered = !record.line.pruned;
		for (size_t i = 0; i < check->prune_count && !covered; i++) {
			const struct gr_check_prune *prune = &check->prunes[i];
			covered = prune->egress == is_egress(&record.line) && prune->sequence > sequence &&
				  prune->first <= sequence && sequence <= prune->last && taken[i] < prune->count;
			taken[i] += (uint64_t)covered;
		}
		if (!covered || is(&record.line, GR_AUDIT_FIELD_PRUNED, "prune"))
			status = gr_check_bad(check, path, (sequence - 1) % GR_AUDIT_SEGMENT_LINES + 1, sequence,
					      sequence, "it was pruned, but no later prune record says so");
	}
	gr_audit_segment_close(segment);
	return status == 0 && more < 0 ? more : status;
}

int gr_check_pruned_end(struct gr_check *check, struct gr_error *err)
{
	if (check->result->pruned == 0)
		return 0;
	uint64_t *taken = calloc(check->prune_count + 1, sizeof(*taken));
	int status = 0;
	if (!taken)
		return gr_error_set(err, GR_ENOMEM, "no memory to check the record");
	for (uint64_t number = 0; number < check->segment_room && status == 0; number++)
		if (check->pruned_segments[number])
			status = check_segment(check, number, taken, err);
	free(taken);
	return status;
}
