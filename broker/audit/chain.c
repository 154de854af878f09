#include "broker/audit/chain.h"

#include "broker/ipc/ipc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const gr_audit_fields[GR_AUDIT_FIELDS] = {
	[GR_AUDIT_FIELD_SEQ] = "seq",
	[GR_AUDIT_FIELD_TIME] = "time",
	[GR_AUDIT_FIELD_MONO] = "mono",
	[GR_AUDIT_FIELD_BOOT] = "boot",
	[GR_AUDIT_FIELD_KIND] = "kind",
	[GR_AUDIT_FIELD_SESSION] = "session",
	[GR_AUDIT_FIELD_CONTAINER] = "container",
	[GR_AUDIT_FIELD_CONNECTION] = "connection",
	[GR_AUDIT_FIELD_PERSON] = "person",
	[GR_AUDIT_FIELD_GROUP] = "group",
	[GR_AUDIT_FIELD_ACTOR] = "actor",
	[GR_AUDIT_FIELD_PEER] = "peer",
	[GR_AUDIT_FIELD_TARGET] = "target",
	[GR_AUDIT_FIELD_REASON] = "reason",
	[GR_AUDIT_FIELD_DETAIL] = "detail",
	[GR_AUDIT_FIELD_DOWN] = "down",
	[GR_AUDIT_FIELD_UP] = "up",
	[GR_AUDIT_FIELD_PREV] = "prev",
	[GR_AUDIT_FIELD_PRUNED] = "pruned",
	[GR_AUDIT_FIELD_LEAF] = "leaf",
};

static const char *const kind_names[GR_AUDIT_KINDS] = {
	[GR_AUDIT_BROKER_START] = "broker.start",
	[GR_AUDIT_BROKER_STOP] = "broker.stop",
	[GR_AUDIT_LOGIN] = "login",
	[GR_AUDIT_LOGIN_REFUSED] = "login.refused",
	[GR_AUDIT_SESSION_START] = "session.start",
	[GR_AUDIT_SESSION_ATTACH] = "session.attach",
	[GR_AUDIT_SESSION_DETACH] = "session.detach",
	[GR_AUDIT_SESSION_END] = "session.end",
	[GR_AUDIT_CONTAINER_START] = "container.start",
	[GR_AUDIT_CONTAINER_END] = "container.end",
	[GR_AUDIT_EGRESS_REQUEST] = "egress.request",
	[GR_AUDIT_EGRESS_REFUSED] = "egress.refused",
	[GR_AUDIT_EGRESS_END] = "egress.end",
	[GR_AUDIT_ADMIN] = "admin",
	[GR_AUDIT_GUARD] = "guard.violation",
	[GR_AUDIT_CLIPBOARD] = "clipboard.refused",
	[GR_AUDIT_FAULT] = "fault",
	[GR_AUDIT_LOGIN_FAILED] = "login.failed",
	[GR_AUDIT_USER] = "user",
	[GR_AUDIT_POLICY_CHANGE] = "policy.change",
	[GR_AUDIT_POLICY_DIFFERENCE] = "policy.difference",
	[GR_AUDIT_POLICY_PROPOSED] = "policy.proposed",
	[GR_AUDIT_POLICY_REJECTED] = "policy.rejected",
	[GR_AUDIT_CONFIGURATION] = "configuration",
	[GR_AUDIT_KEY] = "key",
	[GR_AUDIT_CUTOFF] = "cutoff",
	[GR_AUDIT_RESTORE] = "restore",
	[GR_AUDIT_RECORDING_START] = "recording.start",
	[GR_AUDIT_RECORDING_MARK] = "recording.mark",
	[GR_AUDIT_RECORDING_END] = "recording.end",
	[GR_AUDIT_RECORDING_FAILED] = "recording.failed",
	[GR_AUDIT_RECORDING_REMOVED] = "recording.removed",
	[GR_AUDIT_PRUNE] = "prune",
	[GR_AUDIT_PRINT] = "print",
	[GR_AUDIT_PRINT_END] = "print.end",
	[GR_AUDIT_CLIPBOARD_PASSED] = "clipboard",
};

const char *gr_audit_kind_name(uint32_t kind)
{
	return kind < GR_AUDIT_KINDS ? kind_names[kind] : NULL;
}

/* [A-Za-z0-9._~:/@,+-]: these stand in a value as they are. */
static const uint8_t plain[256] = {
	['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['0' ... '9'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1,
	[':'] = 1,         ['/'] = 1,         ['@'] = 1,         [','] = 1, ['+'] = 1, ['-'] = 1,
};

/*
 * Bytes of the valid UTF-8 sequence (RFC 3629) at text that may stand as it is, 0 when there is none. U+0080..U+009F are
 * control characters, which a terminal would obey.
 */
static size_t utf8_length(const unsigned char *text, size_t n)
{
	unsigned char first = text[0];
	size_t length = first >= 0xc2 && first <= 0xdf   ? 2
			: (first & 0xf0) == 0xe0         ? 3
			: first >= 0xf0 && first <= 0xf4 ? 4
							 : 0;
	if (length == 0 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((first == 0xc2 && text[1] < 0xa0) || /* C1 controls */
	    (first == 0xe0 && text[1] < 0xa0) || /* overlong */
	    (first == 0xed && text[1] > 0x9f) || /* surrogates */
	    (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

size_t gr_audit_escape(char *out, size_t cap, const char *untrusted_text, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *text = (const unsigned char *)untrusted_text;
	size_t used = 0;
	if (cap == 0)
		return 0;
	for (size_t i = 0; i < n;) {
		size_t whole = plain[text[i]] ? 1 : utf8_length(text + i, n - i);
		size_t need = whole ? whole : 3;
		if (used + need >= cap)
			break;
		if (whole) {
			memcpy(out + used, text + i, whole);
			i += whole;
		} else {
			out[used] = '%';
			out[used + 1] = digits[text[i] >> 4];
			out[used + 2] = digits[text[i] & 15];
			i++;
		}
		used += need;
	}
	out[used] = 0;
	return used;
}

/* The value of an upper-case hexadecimal digit, -1 for another byte. */
static int upper_hex(unsigned char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

int gr_audit_unescape(char *out, size_t *length_out, const char *untrusted_value, size_t n)
{
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		if (untrusted_value[i] != '%') {
			out[used++] = untrusted_value[i];
			continue;
		}
		if (n - i < 3)
			return GR_EPROTO;
		int high = upper_hex((unsigned char)untrusted_value[i + 1]),
		    low = upper_hex((unsigned char)untrusted_value[i + 2]);
		if (high < 0 || low < 0)
			return GR_EPROTO;
		out[used++] = (char)(high << 4 | low);
		i += 2;
	}
	out[used] = 0;
	*length_out = used;
	return 0;
}

/* ---- from event to line ---- */

/* Every string escaped threefold, and what stands around them, fits. */
static_assert(3 * (2 * sizeof(((struct gr_audit_event *)0)->person) + sizeof(((struct gr_audit_event *)0)->group) +
		   sizeof(((struct gr_audit_event *)0)->peer) + sizeof(((struct gr_audit_event *)0)->target) +
		   sizeof(((struct gr_audit_event *)0)->detail)) +
			      700 <
		      GR_AUDIT_LINE_MAX,
	      "the longest event fits a line");

struct line {
	char *bytes;
	size_t used;
};

static void put_text(struct line *line, enum gr_audit_field field, const char *value)
{
	int n = snprintf(line->bytes + line->used, GR_AUDIT_LINE_MAX - line->used, "%s%s=%s", line->used ? " " : "",
			 gr_audit_fields[field], value);
	assert(n > 0 && (size_t)n < GR_AUDIT_LINE_MAX - line->used);
	line->used += (size_t)n;
}

static void put_number(struct line *line, enum gr_audit_field field, uint64_t value)
{
	char text[24];
	if (value == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_text(line, field, text);
}

static void put_escaped(struct line *line, enum gr_audit_field field, const char *untrusted_value)
{
	char text[3 * 320 + 1];
	if (untrusted_value[0] == 0)
		return;
	gr_audit_escape(text, sizeof(text), untrusted_value, strlen(untrusted_value));
	put_text(line, field, text);
}

int gr_audit_line_format(const struct gr_audit_stamp *stamp, const struct gr_audit_event *event,
			 uint8_t leaf[GR_TREE_HASH], char *out, size_t *length_out)
{
	struct line line = { out, 0 };
	char text[GR_AUDIT_HASH_TEXT], time[GR_AUDIT_TIME_TEXT];
	const char *kind = gr_audit_kind_name(event->kind);
	if (!kind || gr_audit_time_format(&stamp->time, time) != 0)
		return GR_EINVAL;
	put_number(&line, GR_AUDIT_FIELD_SEQ, stamp->sequence);
	put_text(&line, GR_AUDIT_FIELD_TIME, time);
	put_number(&line, GR_AUDIT_FIELD_MONO, stamp->mono);
	if (stamp->boot[0])
		put_text(&line, GR_AUDIT_FIELD_BOOT, stamp->boot);
	put_text(&line, GR_AUDIT_FIELD_KIND, kind);
	if (event->session) {
		snprintf(text, sizeof(text), "%016" PRIx64, event->session);
		put_text(&line, GR_AUDIT_FIELD_SESSION, text);
	}
	put_number(&line, GR_AUDIT_FIELD_CONTAINER, event->container);
	put_number(&line, GR_AUDIT_FIELD_CONNECTION, event->connection);
	put_escaped(&line, GR_AUDIT_FIELD_PERSON, event->person);
	put_escaped(&line, GR_AUDIT_FIELD_GROUP, event->group);
	put_escaped(&line, GR_AUDIT_FIELD_ACTOR, event->actor);
	put_escaped(&line, GR_AUDIT_FIELD_PEER, event->peer);
	put_escaped(&line, GR_AUDIT_FIELD_TARGET, event->target);
	if (event->reason)
		put_text(&line, GR_AUDIT_FIELD_REASON, gr_reason_name(event->reason));
	put_escaped(&line, GR_AUDIT_FIELD_DETAIL, event->detail);
	put_number(&line, GR_AUDIT_FIELD_DOWN, event->down);
	put_number(&line, GR_AUDIT_FIELD_UP, event->up);
	gr_audit_hex(leaf, GR_TREE_HASH, text);
	put_text(&line, GR_AUDIT_FIELD_PREV, text);
	if (gr_tree_leaf(line.bytes, line.used, leaf) != 0)
		return GR_EIO;
	line.bytes[line.used++] = '\n';
	*length_out = line.used;
	return 0;
}

/* ---- from line to fields ---- */

static int value_is_well_formed(const char *value, size_t n)
{
	const unsigned char *bytes = (const unsigned char *)value;
	for (size_t i = 0; i < n;) {
		if (plain[bytes[i]]) {
			i++;
		} else if (bytes[i] == '%') {
			if (n - i < 3 || upper_hex(bytes[i + 1]) < 0 || upper_hex(bytes[i + 2]) < 0)
				return 0;
			i += 3;
		} else {
			size_t whole = utf8_length(bytes + i, n - i);
			if (!whole)
				return 0;
			i += whole;
		}
	}
	return n > 0;
}

static const char *check_field(enum gr_audit_field field, const char *value, size_t n)
{
	switch (field) {
	case GR_AUDIT_FIELD_PREV: return gr_audit_is_hex(value, n, 64) ? NULL : "prev is not 64 hexadecimal digits";
	case GR_AUDIT_FIELD_LEAF: return gr_audit_is_hex(value, n, 64) ? NULL : "hash is not 64 hexadecimal digits";
	case GR_AUDIT_FIELD_BOOT: return gr_audit_is_hex(value, n, 32) ? NULL : "boot is not 32 hexadecimal digits";
	case GR_AUDIT_FIELD_SESSION:
		return gr_audit_is_hex(value, n, 16) ? NULL : "session is not 16 hexadecimal digits";
	case GR_AUDIT_FIELD_TIME:
		return gr_audit_is_time(value, n) ? NULL : "time is not in the form 2026-11-22T03:04:05.678901Z";
	case GR_AUDIT_FIELD_SEQ:
	case GR_AUDIT_FIELD_MONO:
	case GR_AUDIT_FIELD_CONTAINER:
	case GR_AUDIT_FIELD_CONNECTION:
	case GR_AUDIT_FIELD_DOWN:
	case GR_AUDIT_FIELD_UP: return gr_audit_number(value, n) ? NULL : "a number is malformed";
	default: return value_is_well_formed(value, n) ? NULL : "a value holds bytes that must be escaped";
	}
}

static int has(const struct gr_audit_line *line, enum gr_audit_field field)
{
	return line->fields[field].start != NULL;
}

int gr_audit_line_parse(const char *untrusted_line, size_t n, struct gr_audit_line *out, const char **reason_out)
{
	const char *at = untrusted_line, *end = untrusted_line + n;
	struct gr_audit_line line = { .sequence = 0 };
	int last = -1;
	*reason_out = "the line is too long";
	if (n >= GR_AUDIT_LINE_MAX)
		return GR_EPROTO;
	while (at < end) {
		const char *stop = memchr(at, ' ', (size_t)(end - at));
		if (!stop)
			stop = end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		*reason_out = "a field is not of the form name=value";
		if (!equals)
			return GR_EPROTO;
		size_t name = (size_t)(equals - at);
		int field = last + 1;
		while (field < GR_AUDIT_FIELDS &&
		       (strlen(gr_audit_fields[field]) != name || memcmp(gr_audit_fields[field], at, name) != 0))
			field++;
		*reason_out = "a field is unknown or out of its order";
		if (field == GR_AUDIT_FIELDS)
			return GR_EPROTO;
		line.fields[field].start = equals + 1;
		line.fields[field].length = (size_t)(stop - equals - 1);
		const char *wrong = check_field((enum gr_audit_field)field, equals + 1, (size_t)(stop - equals - 1));
		if (wrong) {
			*reason_out = wrong;
			return GR_EPROTO;
		}
		last = field;
		if (stop == end)
			break;
		at = stop + 1;
		*reason_out = "the line ends in a space";
		if (at == end)
			return GR_EPROTO;
	}
	line.pruned = line.fields[GR_AUDIT_FIELD_PRUNED].start != NULL;
	*reason_out = "a field that every line has (seq, time, kind, prev; or seq, pruned, leaf) is missing";
	if (!has(&line, GR_AUDIT_FIELD_SEQ) || has(&line, GR_AUDIT_FIELD_LEAF) != line.pruned ||
	    has(&line, GR_AUDIT_FIELD_TIME) == line.pruned || has(&line, GR_AUDIT_FIELD_KIND) == line.pruned ||
	    has(&line, GR_AUDIT_FIELD_PREV) == line.pruned)
		return GR_EPROTO;
	*reason_out = "a pruned line has more than seq, pruned and leaf";
	for (int field = GR_AUDIT_FIELD_SEQ + 1; line.pruned && field < GR_AUDIT_FIELD_PRUNED; field++)
		if (has(&line, (enum gr_audit_field)field))
			return GR_EPROTO;
	line.sequence = gr_audit_number(line.fields[GR_AUDIT_FIELD_SEQ].start, line.fields[GR_AUDIT_FIELD_SEQ].length);
	*out = line;
	*reason_out = NULL;
	return 0;
}

int gr_audit_line_leaf(const char *bytes, size_t n, const struct gr_audit_line *line, uint8_t out[GR_TREE_HASH])
{
	if (!line->pruned)
		return gr_tree_leaf(bytes, n, out);
	return gr_audit_unhex(line->fields[GR_AUDIT_FIELD_LEAF].start, line->fields[GR_AUDIT_FIELD_LEAF].length,
			      2 * (size_t)GR_TREE_HASH, out);
}

size_t gr_audit_line_prune(const struct gr_audit_line *line, const uint8_t leaf[GR_TREE_HASH], char *out)
{
	char text[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(leaf, GR_TREE_HASH, text);
	int n = snprintf(out, GR_AUDIT_LINE_MAX, "seq=%" PRIu64 " pruned=%.*s leaf=%s\n", line->sequence,
			 (int)line->fields[GR_AUDIT_FIELD_KIND].length, line->fields[GR_AUDIT_FIELD_KIND].start, text);
	assert(n > 0 && n < GR_AUDIT_LINE_MAX);
	return (size_t)n;
}
