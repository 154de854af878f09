/* From the viewer: whole messages of docs/PROTOCOL.md §5, normalised; nothing else reaches the session process. */
#include "broker/guard/messages.h"
#include "broker/guard/state.h"
#include "common/error.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

/*
 * The buffer: the longest message there is, a text of the clipboard that is held until it is there as a whole, and some input behind it.
 * It has this size from the beginning; what is never used of it costs no memory.
 */
#define UP_SIZE 73728u

/*
 * A token bucket: each message costs some units. A mouse that reports 1,000 times a second and somebody who types leave
 * three quarters of it.
 */
#define UNITS_PER_MS 4u
#define UNITS_MAX 8000u

_Static_assert(UP_SIZE >= 8 + GR_CLIPBOARD_MAX && UP_SIZE >= GR_VIEWER_MESSAGE_MAX, "every message fits");
_Static_assert(GR_GUARD_CUT_TEXT_MAX <= GR_CLIPBOARD_MAX, "nor is this one longer");
_Static_assert(GR_GUARD_CUT_TEXT_MAX == GR_VIEWER_CUT_TEXT_MAX && GR_GUARD_ENCODINGS_MAX == GR_VIEWER_ENCODINGS_MAX,
	       "both headers say the same");

struct gr_guard_up {
	struct gr_guard_buffer buffer;
	bool initialised; /* ClientInit is through */
	bool continuous; /* the viewer's last EnableContinuousUpdates was on */
	bool texted;
	uint32_t sequence; /* of the last TEXT */
	bool filled; /* the bucket has been looked at */
	unsigned units; /* that are in it, */
	uint64_t filled_ms; /* at this time */
	uint64_t ready_ms; /* when there is enough for the message that waits; 0: none waits */
};

int gr_guard_up_create(struct gr_guard *guard)
{
	guard->up = calloc(1, sizeof(*guard->up));
	return guard->up ? gr_guard_buffer_reserve(&guard->up->buffer, UP_SIZE) : GR_ENOMEM;
}

void gr_guard_up_destroy(struct gr_guard *guard)
{
	if (!guard->up)
		return;
	free(guard->up->buffer.data);
	free(guard->up);
	guard->up = NULL;
}

/* ---- rates ---- */

/* A text of the clipboard makes a line of the audit record; those of 50 make the session or the browser start something over. */
static unsigned cost(enum gr_viewer_kind kind)
{
	switch (kind) {
	case GR_VIEWER_CUT_TEXT:
	case GR_VIEWER_CLIPBOARD: return 1000;
	case GR_VIEWER_SCALE:
	case GR_VIEWER_PIXEL_FORMAT:
	case GR_VIEWER_ENCODINGS:
	case GR_VIEWER_DESKTOP_SIZE: return 50;
	case GR_VIEWER_TEXT:
	case GR_VIEWER_PRINT:
	case GR_VIEWER_CONTINUOUS: return 4;
	default: return 1;
	}
}

/* Takes so many units, or notes when they will be there. */
static bool affordable(struct gr_guard_up *up, unsigned units, uint64_t now_ms)
{
	if (!up->filled) {
		up->filled = true;
		up->units = UNITS_MAX;
		up->filled_ms = now_ms;
	} else if (now_ms > up->filled_ms) {
		uint64_t more = now_ms - up->filled_ms;
		up->units = more > UNITS_MAX / UNITS_PER_MS || up->units + (unsigned)more * UNITS_PER_MS > UNITS_MAX
				    ? UNITS_MAX
				    : up->units + (unsigned)more * UNITS_PER_MS;
		up->filled_ms = now_ms;
	}
	if (up->units < units) {
		up->ready_ms = up->filled_ms + (units - up->units + UNITS_PER_MS - 1) / UNITS_PER_MS;
		return false;
	}
	up->units -= units;
	return true;
}

int64_t gr_guard_up_wait(const struct gr_guard *guard, uint64_t now_ms)
{
	uint64_t ready_ms = guard->violated ? 0 : guard->up->ready_ms;
	if (!ready_ms)
		return -1;
	return ready_ms > now_ms ? (int64_t)(ready_ms - now_ms) : 0;
}

/* ---- what a message means for the guard ---- */

static const char *unparsed_garasu(const uint8_t *untrusted)
{
	switch (untrusted[1]) {
	case 1: return "TEXT: a length or bytes that are not permitted";
	case 2: return "PRINT: an action or pages that there are not";
	case 3: return "CLIPBOARD: a length that is not permitted";
	case 4: return "SCALE: outside the limits";
	default: return "an unknown Garasu record";
	}
}

/* Why a message was not parsed. */
static const char *unparsed(const uint8_t *untrusted, size_t n)
{
	switch (untrusted[0]) {
	case 0: return "SetPixelFormat: a format that is not permitted";
	case 1: return "FixColourMapEntries is not permitted";
	case 2: return "SetEncodings: more encodings than permitted";
	case 6:
		return n > 4 && untrusted[4] & 0x80 ? "extended clipboard is not permitted"
						    : "ClientCutText: longer than permitted";
	case 7: return "FileTransfer is not permitted";
	case 8: return "SetScale is not permitted";
	case 9: return "SetServerInput is not permitted";
	case 10: return "SetSW is not permitted";
	case 11: return "TextChat is not permitted";
	case 15: return "PalmVNC SetScale is not permitted";
	case 71: return unparsed_garasu(untrusted);
	case 248: return "ClientFence: longer than permitted";
	case 250: return "Xvp is not permitted";
	case 251: return "SetDesktopSize: more screens than permitted";
	case 255: return "QEMU: a sub-type that is not permitted";
	default: return "a message type that is not permitted";
	}
}

static void take_encodings(struct gr_guard *guard, const struct gr_viewer_message *m)
{
	uint32_t listed = 0;
	if (m->encodings.garasu)
		listed |= GR_LISTED_GARASU;
	if (m->encodings.qemu_key)
		listed |= GR_LISTED_QEMU_KEY;
	if (m->encodings.fence)
		listed |= GR_LISTED_FENCE;
	if (m->encodings.continuous)
		listed |= GR_LISTED_CONTINUOUS;
	if (m->encodings.tight)
		listed |= GR_LISTED_TIGHT;
	if (m->encodings.copy_rect)
		listed |= GR_LISTED_COPY_RECT;
	if (m->encodings.quality >= 0)
		listed |= GR_LISTED_QUALITY;
	for (size_t i = 0; i < m->encodings.count; i++) {
		switch (m->encodings.kept[i]) {
		case 5: listed |= GR_LISTED_HEXTILE; break;
		case -223: listed |= GR_LISTED_DESKTOP_SIZE; break;
		case -224: listed |= GR_LISTED_LAST_RECT; break;
		case -239: listed |= GR_LISTED_CURSOR; break;
		case -308: listed |= GR_LISTED_EXTENDED_SIZE; break;
		default: break;
		}
	}
	unsigned history = m->encodings.history_log2;
	if (history > guard->settings.history_log2)
		history = guard->settings.history_log2;
	if (history > guard->history_log2)
		guard->history_log2 = history;
	if (listed & ~guard->listed & GR_LISTED_CONTINUOUS)
		guard->ends_due++; /* the server says that it understands (docs/PROTOCOL.md §4.3) */
	guard->listed |= listed;
}

/*
 * The server takes the new format when it comes to this message: behind every EndOfContinuousUpdates that it owes by then.
 * While updates come by themselves nobody could tell from which of them on.
 */
static const char *take_format(struct gr_guard *guard, const uint8_t *format)
{
	if (guard->up->continuous)
		return "SetPixelFormat: while updates come by themselves";
	if (guard->ends_seen == guard->ends_due) {
		guard->format = gr_guard_format_of(format);
		guard->next_format_from = 0;
		return NULL;
	}
	if (guard->next_format_from && guard->next_format_from != guard->ends_due)
		return "SetPixelFormat: while an earlier one has no effect yet";
	guard->next_format = gr_guard_format_of(format);
	guard->next_format_from = guard->ends_due;
	return NULL;
}

static const char *take_continuous(struct gr_guard *guard, const struct gr_viewer_message *m)
{
	if (!(guard->listed & GR_LISTED_CONTINUOUS))
		return "EnableContinuousUpdates: not listed";
	guard->up->continuous = m->continuous.on;
	if (!m->continuous.on)
		guard->ends_due++;
	return NULL;
}

static const char *take_fence(struct gr_guard *guard, const struct gr_viewer_message *m)
{
	if (!(guard->listed & GR_LISTED_FENCE))
		return "ClientFence: not listed";
	if (!(m->fence.flags & (uint32_t)GR_FENCE_REQUEST)) /* our fences have four bytes, which the answer repeats */
		return m->fence.length == 4 ? NULL : "ClientFence: an answer to what was never asked";
	unsigned last = (guard->fence_first + guard->fence_count++) % GR_GUARD_FENCES_MAX;
	struct gr_guard_fence *fence = &guard->fences[last];
	fence->flags = m->fence.flags & ~(uint32_t)GR_FENCE_REQUEST;
	fence->length = (uint8_t)m->fence.length;
	memcpy(fence->payload, m->fence.payload, m->fence.length);
	return NULL;
}

static const char *take_text(struct gr_guard_up *up, const struct gr_viewer_message *m)
{
	if (up->texted && m->text.sequence != up->sequence + 1u)
		return "TEXT: a sequence number that is not the next one";
	up->texted = true;
	up->sequence = m->text.sequence;
	return NULL;
}

/* Whether it goes on is the policy's to say: drops(). */
static const char *take_clipboard(const struct gr_guard *guard, const struct gr_viewer_message *m, const uint8_t *text)
{
	if (m->skip <= guard->settings.clipboard_up_max && !gr_utf8_is_text(text, m->skip))
		return "CLIPBOARD: bytes that are not permitted";
	return NULL;
}

/* NULL, or the rule that it breaks. */
static const char *take(struct gr_guard *guard, const struct gr_viewer_message *m, const uint8_t *bytes)
{
	if (bytes[0] == 71 && !(guard->listed & GR_LISTED_GARASU))
		return "a Garasu record: not listed";
	switch (m->kind) {
	case GR_VIEWER_ENCODINGS: take_encodings(guard, m); return NULL;
	case GR_VIEWER_PIXEL_FORMAT: return take_format(guard, bytes + 4);
	case GR_VIEWER_CONTINUOUS: return take_continuous(guard, m);
	case GR_VIEWER_FENCE: return take_fence(guard, m);
	case GR_VIEWER_TEXT: return take_text(guard->up, m);
	case GR_VIEWER_CLIPBOARD: return take_clipboard(guard, m, bytes + 8);
	case GR_VIEWER_KEY:
		return bytes[0] == 255 && !(guard->listed & GR_LISTED_QEMU_KEY) ? "QEMU key event: not listed" : NULL;
	default: return NULL;
	}
}

/* ---- what goes on ---- */

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* SetEncodings without what we do not know. Returns its new size. */
static size_t filter_encodings(uint8_t *message, size_t size)
{
	size_t kept = 4;
	for (size_t i = 4; i < size; i += 4) {
		uint32_t encoding = (uint32_t)message[i] << 24 | (uint32_t)message[i + 1] << 16 |
				    (uint32_t)message[i + 2] << 8 | message[i + 3];
		if (!gr_viewer_encoding_known((int32_t)encoding))
			continue;
		put32(message + kept, encoding);
		kept += 4;
	}
	message[2] = 0;
	message[3] = (uint8_t)((kept - 4) / 4);
	return kept;
}

_Static_assert(GR_VIEWER_ENCODINGS_MAX < 256, "their number is one byte");

/* What viewers leave undefined is defined: paddings are zero, truths 0 or 1. Returns the new size. */
static size_t normalise(uint8_t *message, size_t size, const struct gr_viewer_message *m)
{
	switch (m->kind) {
	case GR_VIEWER_PIXEL_FORMAT:
		memset(message + 1, 0, 3);
		message[6] = message[6] != 0;
		message[7] = 1;
		memset(message + 17, 0, 3);
		break;
	case GR_VIEWER_ENCODINGS: message[1] = 0; return filter_encodings(message, size);
	case GR_VIEWER_UPDATE_REQUEST:
	case GR_VIEWER_CONTINUOUS: message[1] = message[1] != 0; break;
	case GR_VIEWER_FENCE:
		memset(message + 1, 0, 3);
		put32(message + 4, m->fence.flags);
		break;
	case GR_VIEWER_KEY:
		message[1] = message[0] == 4 && m->key.down;
		message[2] = 0;
		message[3] = message[0] == 255 && m->key.down;
		if (message[0] == 255)
			put32(message + 8, m->key.keycode);
		break;
	case GR_VIEWER_CLIPBOARD: memset(message + 2, 0, 2); break;
	case GR_VIEWER_SCALE: memset(message + 4, 0, 4); break;
	case GR_VIEWER_PRINT:
		put32(message + 4, m->print.document);
		put16(message + 8, m->print.first);
		put16(message + 10, m->print.last);
		memset(message + 12, 0, 4);
		break;
	case GR_VIEWER_DESKTOP_SIZE: message[1] = message[7] = 0; break;
	default: break;
	}
	return size;
}

/* The text behind a header: 0 for a message that has none. */
static size_t behind(const struct gr_viewer_message *m)
{
	return m->kind == GR_VIEWER_CUT_TEXT || m->kind == GR_VIEWER_CLIPBOARD ? m->skip : 0;
}

/* Viewers send ClientCutText unasked, ours sends CLIPBOARD when it goes by a policy that is not in force any more: no violations. */
static bool drops(const struct gr_guard *guard, const struct gr_viewer_message *m)
{
	return m->kind == GR_VIEWER_CUT_TEXT ||
	       (m->kind == GR_VIEWER_CLIPBOARD && m->skip > guard->settings.clipboard_up_max);
}

/*
 * The first message of n bytes: how many bytes it has, and how many of it were put at out, which lies at it or before it. GR_EAGAIN:
 * not whole, or it has to wait; GR_EPROTO with a rule.
 */
static int judge(struct gr_guard *guard, const uint8_t *untrusted, size_t n, uint64_t now_ms, uint8_t *out,
		 size_t *taken, size_t *put, const char **rule)
{
	struct gr_guard_up *up = guard->up;
	if (!up->initialised) {
		if (!n)
			return GR_EAGAIN;
		up->initialised = true;
		*out = 1; /* the shared flag: whatever it is, the newest viewer wins */
		*taken = *put = 1;
		return 0;
	}
	struct gr_viewer_message m;
	int status = gr_viewer_message_parse(untrusted, n, &m);
	if (status == GR_EPROTO)
		*rule = unparsed(untrusted, n);
	if (status)
		return status;
	size_t size = m.size + behind(&m);
	if (size > n || guard->fence_count == GR_GUARD_FENCES_MAX || !affordable(up, cost(m.kind), now_ms))
		return GR_EAGAIN;
	*taken = size;
	*rule = take(guard, &m, untrusted);
	if (*rule)
		return GR_EPROTO;
	if (behind(&m))
		gr_guard_tell_clipboard(guard, GR_GUARD_UP, !drops(guard, &m), untrusted + m.size, behind(&m));
	if (drops(guard, &m)) {
		*put = 0;
		return 0;
	}
	memmove(out, untrusted, size);
	*put = normalise(out, size, &m);
	return 0;
}

uint8_t *gr_guard_up_room(struct gr_guard *guard, size_t *n)
{
	struct gr_guard_buffer *b = &guard->up->buffer;
	/* Moves what is there to the front when that is little, or when nothing else can make room. */
	if (b->start == b->end || (b->end == b->size && (b->start > b->size / 2 || b->start == b->passed)))
		gr_guard_buffer_reserve(b, b->start ? b->size - b->end + 1 : 0);
	*n = b->size - b->end;
	return guard->violated || !*n ? NULL : b->data + b->end;
}

int gr_guard_up_took(struct gr_guard *guard, size_t n, uint64_t now_ms)
{
	struct gr_guard_up *up = guard->up;
	struct gr_guard_buffer *b = &up->buffer;
	if (guard->violated)
		return GR_EPROTO;
	b->end += n;
	up->ready_ms = 0;
	size_t at = b->passed; /* of the bytes that came; what goes on is put together at b->passed */
	int status = 0;
	while (!status) {
		size_t taken = 0, put = 0;
		const char *rule = NULL;
		status = judge(guard, b->data + at, b->end - at, now_ms, b->data + b->passed, &taken, &put, &rule);
		if (status == GR_EPROTO)
			return gr_guard_refuse(guard, GR_GUARD_UP, b->offset, rule, b->data + at, b->end - at);
		if (status)
			break;
		at += taken;
		b->offset += taken;
		b->passed += put;
	}
	if (at != b->passed)
		memmove(b->data + b->passed, b->data + at, b->end - at);
	b->end -= at - b->passed;
	return 0;
}

const uint8_t *gr_guard_up_passed(const struct gr_guard *guard, size_t *n)
{
	const struct gr_guard_buffer *b = &guard->up->buffer;
	*n = b->passed - b->start;
	return b->data + b->start;
}

void gr_guard_up_sent(struct gr_guard *guard, size_t n)
{
	guard->up->buffer.start += n;
}
