#include "broker/forward/message.h"

#include "broker/audit/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FACILITY 13 /* "log audit", RFC 5424 §6.2.1 */
#define SD_ID "garasu@32473"
#define COUNT_ROOM 8 /* for the octet count and its space in front */

enum severity { ALERT = 1, CRITICAL = 2, ERROR = 3, WARNING = 4, NOTICE = 5, INFORMATIONAL = 6 };

struct text {
	char *bytes;
	size_t used;
	int full;
};

static void put(struct text *text, const char *bytes, size_t n)
{
	if (text->full || n > GR_FORWARD_MESSAGE_MAX - text->used) {
		text->full = 1;
		return;
	}
	memcpy(text->bytes + text->used, bytes, n);
	text->used += n;
}

static void __attribute__((format(printf, 2, 3))) print(struct text *text, const char *format, ...)
{
	size_t room = GR_FORWARD_MESSAGE_MAX - text->used;
	va_list arguments;
	va_start(arguments, format);
	int n = text->full ? 0 : vsnprintf(text->bytes + text->used, room, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= room)
		text->full = 1;
	else
		text->used += (size_t)n;
}

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* A value of a record: %XX of printable ASCII is undone, and what is in escaped gets a backslash in front. */
static void put_value(struct text *text, const char *value, size_t n, const char *escaped)
{
	for (size_t i = 0; i < n; i++) {
		char byte = value[i];
		if (byte == '%' && n - i >= 3) {
			int plain = hex_digit(value[i + 1]) << 4 | hex_digit(value[i + 2]);
			if (plain < ' ' || plain > '~' || plain == '%') {
				put(text, value + i, 3);
				i += 2;
				continue;
			}
			byte = (char)plain;
			i += 2;
		}
		if (byte && strchr(escaped, byte))
			put(text, "\\", 1);
		put(text, &byte, 1);
	}
}

/* Text that is no value of a record: control characters and what is not ASCII become "?". */
static void put_text(struct text *text, const char *value, const char *escaped)
{
	for (; *value; value++) {
		char byte = *value < ' ' || *value > '~' ? '?' : *value;
		if (strchr(escaped, byte))
			put(text, "\\", 1);
		put(text, &byte, 1);
	}
}

#define IN_PARAMETER "\"\\]" /* RFC 5424 §6.3.3 */
#define IN_EXTENSION "\\="
#define IN_CEF_HEADER "\\|"

static enum severity severity_of(uint32_t kind)
{
	switch (kind) {
	case GR_AUDIT_GUARD: return CRITICAL;
	case GR_AUDIT_FAULT:
	case GR_AUDIT_RECORDING_FAILED: return ERROR;
	case GR_AUDIT_LOGIN_REFUSED:
	case GR_AUDIT_LOGIN_FAILED:
	case GR_AUDIT_EGRESS_REFUSED:
	case GR_AUDIT_CLIPBOARD:
	case GR_AUDIT_CUTOFF: return WARNING;
	case GR_AUDIT_CONTAINER_START:
	case GR_AUDIT_CONTAINER_END:
	case GR_AUDIT_EGRESS_REQUEST:
	case GR_AUDIT_EGRESS_END:
	case GR_AUDIT_RECORDING_MARK: return INFORMATIONAL;
	default: return NOTICE;
	}
}

/* CEF counts from 0 to 10, the worst. */
static unsigned cef_severity(enum severity severity)
{
	static const unsigned char of[] = {
		[ALERT] = 10, [CRITICAL] = 9, [ERROR] = 7, [WARNING] = 5, [NOTICE] = 3, [INFORMATIONAL] = 1
	};
	return of[severity];
}

static enum severity severity_of_name(const char *name, size_t n)
{
	for (uint32_t kind = 1; kind < GR_AUDIT_KINDS; kind++) {
		const char *known = gr_audit_kind_name(kind);
		if (known && strlen(known) == n && memcmp(known, name, n) == 0)
			return severity_of(kind);
	}
	return NOTICE;
}

/* From PRI to the structured data, which follow. */
static void put_header(struct text *text, const struct gr_forward_form *form, enum severity severity, const char *time,
		       size_t time_length, const char *kind, size_t kind_length)
{
	text->used = COUNT_ROOM;
	text->full = 0;
	print(text, "<%u>1 ", FACILITY * 8u + severity);
	put(text, time, time_length);
	print(text, " %s garasu - ", form->host);
	for (size_t i = 0; i < kind_length && i < 32; i++) /* MSGID */
		put(text, kind[i] > ' ' && kind[i] <= '~' ? kind + i : "?", 1);
	print(text, " ");
}

static void put_cef(struct text *text, enum severity severity, const char *kind, size_t kind_length)
{
	print(text, "- CEF:0|Garasu|garasu|");
	put_text(text, GARASU_VERSION, IN_CEF_HEADER);
	print(text, "|");
	put_value(text, kind, kind_length, IN_CEF_HEADER);
	print(text, "|");
	for (size_t i = 0; i < kind_length; i++) /* the name for people */
		put(text, kind[i] == '.' ? " " : kind + i, 1);
	print(text, "|%u|", cef_severity(severity));
}

/* Puts the octet count in front. */
static size_t finish(struct text *text)
{
	char count[COUNT_ROOM + 16];
	if (text->full)
		return 0;
	size_t size = text->used - COUNT_ROOM;
	size_t n = (size_t)snprintf(count, sizeof(count), "%zu ", size);
	memmove(text->bytes + n, text->bytes + COUNT_ROOM, size);
	memcpy(text->bytes, count, n);
	return n + size;
}

void gr_forward_form_init(struct gr_forward_form *form, enum gr_config_format format, const char *name)
{
	size_t n = 0;
	form->format = format;
	for (; name[n] && n < GR_FORWARD_HOST - 1; n++)
		form->host[n] = name[n];
	form->host[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (form->host[i] <= ' ' || form->host[i] > '~')
			n = 0;
	if (n == 0)
		memcpy(form->host, "-", 2);
}

/* ---- records ---- */

static void put_parameters(struct text *text, const struct gr_audit_line *line)
{
	print(text, "[" SD_ID);
	for (int i = 0; i < GR_AUDIT_FIELDS; i++) {
		if (!line->fields[i].start)
			continue;
		print(text, " %s=\"", gr_audit_fields[i]);
		put_value(text, line->fields[i].start, line->fields[i].length, IN_PARAMETER);
		print(text, "\"");
	}
	print(text, "]");
}

/* Milliseconds since 1970 of a time that the parser has let pass; the day may be no day. */
static int64_t milliseconds(const char *time)
{
	struct tm tm = { .tm_year = atoi(time) - 1900,
			 .tm_mon = atoi(time + 5) - 1,
			 .tm_mday = atoi(time + 8),
			 .tm_hour = atoi(time + 11),
			 .tm_min = atoi(time + 14),
			 .tm_sec = atoi(time + 17) };
	return (int64_t)timegm(&tm) * 1000 + atoi(time + 20) / 1000;
}

/* "192.0.2.1:5000" or "[2001:db8::1]:5000"; anything else as it is, under a name of ours. */
static void put_peer(struct text *text, const char *value, size_t n)
{
	char peer[80];
	size_t length;
	char *colon = NULL;
	if (n < sizeof(peer) && gr_audit_unescape(peer, &length, value, n) == 0)
		colon = strrchr(peer, ':');
	if (!colon || colon[1] == 0 || colon[1 + strspn(colon + 1, "0123456789")] != 0) {
		print(text, "shost=");
		put_value(text, value, n, IN_EXTENSION);
		print(text, " ");
		return;
	}
	*colon = 0;
	if (peer[0] == '[' && colon[-1] == ']') {
		colon[-1] = 0;
		print(text, "c6a2Label=Source IPv6 Address c6a2=");
		put_text(text, peer + 1, IN_EXTENSION);
	} else {
		print(text, "src=");
		put_text(text, peer, IN_EXTENSION);
	}
	print(text, " spt=%s ", colon + 1);
}

/* The fields of CEF that mean what ours do, or its custom ones with our names as labels. */
static const char *const extension[GR_AUDIT_FIELDS] = {
	[GR_AUDIT_FIELD_SEQ] = "externalId",
	[GR_AUDIT_FIELD_MONO] = "cn3Label=mono cn3",
	[GR_AUDIT_FIELD_BOOT] = "cs6Label=boot cs6",
	[GR_AUDIT_FIELD_SESSION] = "cs1Label=session cs1",
	[GR_AUDIT_FIELD_CONTAINER] = "cn1Label=container cn1",
	[GR_AUDIT_FIELD_CONNECTION] = "cn2Label=connection cn2",
	[GR_AUDIT_FIELD_PERSON] = "suser",
	[GR_AUDIT_FIELD_GROUP] = "cs2Label=group cs2",
	[GR_AUDIT_FIELD_ACTOR] = "cs3Label=actor cs3",
	[GR_AUDIT_FIELD_TARGET] = "cs4Label=target cs4",
	[GR_AUDIT_FIELD_REASON] = "reason",
	[GR_AUDIT_FIELD_DETAIL] = "msg",
	[GR_AUDIT_FIELD_DOWN] = "out", /* towards the person, who is the source */
	[GR_AUDIT_FIELD_UP] = "in",
	[GR_AUDIT_FIELD_PREV] = "cs5Label=prev cs5",
	[GR_AUDIT_FIELD_PRUNED] = "msg",
	[GR_AUDIT_FIELD_LEAF] = "cs5Label=leaf cs5",
};

static void put_extension(struct text *text, const struct gr_audit_line *line)
{
	for (int i = 0; i < GR_AUDIT_FIELDS; i++) {
		const char *value = line->fields[i].start;
		size_t n = line->fields[i].length;
		if (!value)
			continue;
		if (i == GR_AUDIT_FIELD_TIME) {
			print(text, "rt=%" PRId64 " ", milliseconds(value));
		} else if (i == GR_AUDIT_FIELD_PEER) {
			put_peer(text, value, n);
		} else if (extension[i]) {
			print(text, "%s=", extension[i]);
			put_value(text, value, n, IN_EXTENSION);
			print(text, " ");
		}
	}
	text->used--; /* the last space */
}

size_t gr_forward_record(const struct gr_forward_form *form, const struct gr_audit_line *line, const char *bytes,
			 size_t n, char out[GR_FORWARD_MESSAGE_MAX])
{
	struct text text = { .bytes = out };
	const char *time = line->fields[GR_AUDIT_FIELD_TIME].start;
	const char *kind = line->pruned ? "pruned" : line->fields[GR_AUDIT_FIELD_KIND].start;
	size_t kind_length = line->pruned ? strlen(kind) : line->fields[GR_AUDIT_FIELD_KIND].length;
	enum severity severity = severity_of_name(kind, kind_length);
	put_header(&text, form, severity, time ? time : "-", time ? line->fields[GR_AUDIT_FIELD_TIME].length : 1, kind,
		   kind_length);
	if (form->format == GR_FORMAT_CEF) {
		put_cef(&text, severity, kind, kind_length);
		put_extension(&text, line);
	} else {
		put_parameters(&text, line);
		print(&text, " ");
		put(&text, bytes, n);
	}
	return finish(&text);
}

/* ---- heads and alarms ---- */

size_t gr_forward_head(const struct gr_forward_form *form, const struct gr_head *head, const char *bytes, size_t n,
		       char out[GR_FORWARD_MESSAGE_MAX])
{
	struct text text = { .bytes = out };
	char root[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(head->root, GR_TREE_HASH, root);
	put_header(&text, form, NOTICE, head->time, strlen(head->time), "head", 4);
	if (form->format == GR_FORMAT_CEF) {
		put_cef(&text, NOTICE, "head", 4);
		print(&text,
		      "rt=%" PRId64 " cn1Label=size cn1=%" PRIu64 " cs1Label=root cs1=%s cs2Label=key cs2=%s msg=",
		      milliseconds(head->time), head->size, root, head->key);
		put_value(&text, bytes, n, IN_EXTENSION); /* a head has no percent sign */
	} else {
		print(&text, "[" SD_ID " size=\"%" PRIu64 "\" time=\"%s\" root=\"%s\" key=\"%s\"] ", head->size,
		      head->time, root, head->key);
		put(&text, bytes, n);
	}
	return finish(&text);
}

size_t gr_forward_alarm(const struct gr_forward_form *form, const char *time, const char *reason,
			char out[GR_FORWARD_MESSAGE_MAX])
{
	struct text text = { .bytes = out };
	put_header(&text, form, ALERT, time, strlen(time), "alarm", 5);
	if (form->format == GR_FORMAT_CEF) {
		put_cef(&text, ALERT, "alarm", 5);
		print(&text, "rt=%" PRId64 " msg=", milliseconds(time));
		put_text(&text, reason, IN_EXTENSION);
	} else {
		print(&text, "- ");
		put_text(&text, reason, "");
	}
	return finish(&text);
}
