#include "viewer/replay/evidence.h"

#include "broker/audit/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 1000000

struct reading {
	struct gr_evidence *evidence;
	const struct gr_recording_file *file;
	char session[17], connection[12];
	int started, ended, other, cut;
};

static int is(const struct gr_audit_line *line, enum gr_audit_field field, const char *text)
{
	return line->fields[field].start && line->fields[field].length == strlen(text) &&
	       !memcmp(line->fields[field].start, text, strlen(text));
}

/* Unescaped, "" when absent or longer. */
static void value_of(const struct gr_audit_line *line, enum gr_audit_field field, char *out, size_t cap)
{
	char text[GR_AUDIT_LINE_MAX];
	size_t length = 0;

	out[0] = '\0';
	if (line->fields[field].start && line->fields[field].length < sizeof text &&
	    gr_audit_unescape(text, &length, line->fields[field].start, line->fields[field].length) == 0)
		snprintf(out, cap, "%.*s", (int)length, text);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

static uint64_t time_of(const struct gr_audit_line *line)
{
	char text[40];
	struct tm parts = { 0 };
	unsigned micro = 0;

	value_of(line, GR_AUDIT_FIELD_TIME, text, sizeof text);
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	if (!rest || sscanf(rest, ".%6uZ", &micro) != 1)
		return 0;
	return (uint64_t)timegm(&parts) * 1000000 + micro;
}

/* "chunks=N sha256=…": whether the file's chain says the same. */
static void compare(struct reading *reading, const struct gr_audit_line *line)
{
	const struct gr_recording_file *file = reading->file;
	char detail[300], hash[GR_RECORDING_HASH_TEXT], found[GR_RECORDING_HASH_TEXT];
	uint64_t chunks;

	value_of(line, GR_AUDIT_FIELD_DETAIL, detail, sizeof detail);
	if (sscanf(detail, "chunks=%" SCNu64 " sha256=%64[0-9a-f]", &chunks, hash) != 2)
		return; /* it failed before there was a chain */
	if (chunks > file->count) {
		reading->cut = 1;
		return;
	}
	gr_recording_hash_text(chunks ? file->places[chunks - 1].chain : file->chain, found);
	if (strcmp(hash, found) != 0) {
		reading->other = 1;
		return;
	}
	if (chunks >= reading->evidence->marked_chunks) {
		reading->evidence->marked_chunks = chunks;
		reading->evidence->marked_us = time_of(line);
	}
}

static void take_recording(struct reading *reading, const struct gr_audit_line *line, const char *kind)
{
	struct gr_evidence *evidence = reading->evidence;

	if (!is(line, GR_AUDIT_FIELD_CONNECTION, reading->connection))
		return;
	if (strcmp(kind, gr_audit_kind_name(GR_AUDIT_RECORDING_START)) == 0)
		reading->started = 1;
	else if (strcmp(kind, gr_audit_kind_name(GR_AUDIT_RECORDING_END)) == 0)
		reading->ended = 1;
	else if (strcmp(kind, gr_audit_kind_name(GR_AUDIT_RECORDING_FAILED)) == 0)
		value_of(line, GR_AUDIT_FIELD_DETAIL, evidence->failure, sizeof evidence->failure);
	else if (strcmp(kind, gr_audit_kind_name(GR_AUDIT_RECORDING_MARK)) != 0)
		return;
	compare(reading, line);
}

static int take(struct reading *reading, const struct gr_audit_line *line, struct gr_error *err)
{
	struct gr_evidence *evidence = reading->evidence;
	struct gr_evidence_event event = { 0 };
	char target[320], reason[40], detail[256];

	if (!is(line, GR_AUDIT_FIELD_SESSION, reading->session))
		return 0;
	value_of(line, GR_AUDIT_FIELD_KIND, event.kind, sizeof event.kind);
	if (!strncmp(event.kind, "recording.", 10))
		take_recording(reading, line, event.kind);
	if (strcmp(event.kind, gr_audit_kind_name(GR_AUDIT_RECORDING_MARK)) == 0 ||
	    strcmp(event.kind, gr_audit_kind_name(GR_AUDIT_EGRESS_END)) == 0)
		return 0; /* nothing that somebody who watches wants to see */
	value_of(line, GR_AUDIT_FIELD_TARGET, target, sizeof target);
	value_of(line, GR_AUDIT_FIELD_REASON, reason, sizeof reason);
	value_of(line, GR_AUDIT_FIELD_DETAIL, detail, sizeof detail);
	if (!strncmp(event.kind, "recording.", 10))
		detail[0] = '\0';
	snprintf(event.text, sizeof event.text, "%.200s%s%.30s%s%.80s", target, *target && *reason ? " " : "", reason,
		 (*target || *reason) && *detail ? " " : "", detail);
	event.wall_us = time_of(line);
	if (evidence->count >= EVENTS_MAX)
		return gr_error_set(err, GR_EFULL, "too many events of one session");
	if (evidence->count % 256 == 0) {
		void *events = reallocarray(evidence->events, evidence->count + 256, sizeof *evidence->events);
		if (!events)
			return gr_error_set(err, GR_ENOMEM, "no memory");
		evidence->events = events;
	}
	evidence->events[evidence->count++] = event;
	return 0;
}

static int read_segment(struct reading *reading, const char *path, struct gr_error *err)
{
	char text[GR_AUDIT_LINE_MAX + 2];
	FILE *stream = fopen(path, "re");
	unsigned long number = 0;
	int rc = 0;

	if (!stream)
		return gr_error_errno(err, "cannot read %s", path);
	while (!rc && fgets(text, sizeof text, stream)) {
		struct gr_audit_line line;
		const char *why = "";
		size_t length = strcspn(text, "\n");

		number++;
		if (text[length] != '\n') /* the last one, torn */
			break;
		/* Most lines are of other sessions. */
		if (!memmem(text, length, reading->session, 16))
			continue;
		if (gr_audit_line_parse(text, length, &line, &why))
			rc = gr_error_set(err, GR_EPROTO, "%s, line %lu: %s", path, number, why);
		else
			rc = take(reading, &line, err);
	}
	fclose(stream);
	return rc;
}

int gr_evidence_load(struct gr_evidence *evidence, const char *directory, const struct gr_recording_file *file,
		     struct gr_error *err)
{
	struct reading reading = { .evidence = evidence, .file = file };
	unsigned segments = 0;
	char path[4096];
	int rc = 0;

	memset(evidence, 0, sizeof *evidence);
	snprintf(reading.session, sizeof reading.session, "%016" PRIx64, file->header.session);
	snprintf(reading.connection, sizeof reading.connection, "%" PRIu32, file->header.connection);
	for (unsigned k = 0; !rc; k++) {
		snprintf(path, sizeof path, "%s/log/%08u.log", directory, k);
		if (access(path, F_OK) < 0 && errno == ENOENT)
			break;
		rc = read_segment(&reading, path, err);
		segments++;
	}
	if (!rc && !segments)
		rc = gr_error_set(err, GR_ENOENT, "%s is no audit directory: it has no log/00000000.log", directory);
	if (rc) {
		gr_evidence_finish(evidence);
		return rc;
	}
	int whole = reading.ended && !reading.cut && evidence->marked_chunks == file->count && !file->behind;
	if (reading.other || (reading.ended && !reading.cut && !whole)) /* the latter: more than was recorded */
		evidence->verdict = GR_EVIDENCE_OTHER;
	else if (!reading.started)
		evidence->verdict = GR_EVIDENCE_NONE;
	else if (reading.cut)
		evidence->verdict = GR_EVIDENCE_CUT;
	else
		evidence->verdict = whole ? GR_EVIDENCE_WHOLE : GR_EVIDENCE_SO_FAR;
	return 0;
}

void gr_evidence_finish(struct gr_evidence *evidence)
{
	free(evidence->events);
	memset(evidence, 0, sizeof *evidence);
}
