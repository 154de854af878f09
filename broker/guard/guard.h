/*
 * The guard: an independent parser of what may cross between a viewer and the broker (docs/PROTOCOL.md §3–§5), both ways. Pure: bytes
 * in, verdict out; no I/O, no clock, no globals; shares no code with broker/encode/. For the gateway, the viewer's decoder,
 * garasu-guard, the tests and the fuzzers.
 *
 * A direction is a buffer. The caller puts the peer's bytes behind what is there (room, took), the guard looks at them and
 * lets an element through (passed, sent) when it has all of it and all of it is in the grammar: a message, a rectangle with its whole
 * payload, a tile. Nothing of an element that is not permitted is ever let through. After the first violation
 * nothing more is taken or let through in either direction.
 *
 * Downstream begins with ServerInit, upstream with ClientInit: the handshake before them is the caller's
 * (broker/gateway/rfb_handshake.h). What the viewer asked for upstream decides what may come downstream: encodings, the pixel format, the
 * answers to its fences. Where there is no upstream (the viewer itself, a captured stream), gr_guard_assume_viewer says what it asked for.
 */
#ifndef GARASU_BROKER_GUARD_H
#define GARASU_BROKER_GUARD_H

#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_GUARD_PAYLOAD_MAX (4u << 20) /* bytes of one compressed payload */
#define GR_GUARD_CUT_TEXT_MAX 65536u /* bytes of a ClientCutText, which is dropped; a longer one is a violation */
#define GR_GUARD_ENCODINGS_MAX 128 /* in one SetEncodings */
#define GR_GUARD_SCREENS_MAX 16 /* in one SetDesktopSize */
#define GR_GUARD_FENCE_MAX 64 /* bytes of a fence's payload */
#define GR_GUARD_REASON_MAX 22 /* docs/PROTOCOL.md §6; broker/ipc/ipc.h has the same */
#define GR_GUARD_FENCES_MAX 16 /* of the viewer's, unanswered; then the guard takes nothing more upstream */

struct gr_guard;

struct gr_guard_settings {
	uint16_t max_width, max_height; /* pixels, of any screen size that the server may announce */
	unsigned history_log2; /* 20..25: the largest window of HISTORY's stream that the server may use */
	bool strict; /* inflate compressed payloads, walk JPEG's coded data: each must give exactly its pixels */
	uint32_t
		clipboard_up_max; /* bytes of one text that the policy lets up, at most GR_CLIPBOARD_MAX; 0: none. More is dropped */
	uint32_t clipboard_down_max; /* likewise down. More is a violation: the session knows the policy too */
	bool printing; /* PAGE may come down */
};

/* Returns owned, or NULL when out of memory. */
struct gr_guard *gr_guard_create(const struct gr_guard_settings *settings);
void gr_guard_destroy(struct gr_guard *guard); /* NULL allowed */

/*
 * Down without an upstream: what garasu-viewer asks for (docs/PROTOCOL.md §5, "Our viewer's encodings"). jpeg: also what it asks for only
 * when a picture may come inexact at first. The policy is not known there either: texts of GR_CLIPBOARD_MAX and printing are permitted.
 */
void gr_guard_assume_viewer(struct gr_guard *guard, bool jpeg);

/* ---- downstream ---- */

/*
 * Where the next bytes go: *n >= 1 of room at the returned address, valid until the next call of this direction. NULL: what was let
 * through must be sent first, or (GR_ENOMEM of took, a violation) nothing is taken any more.
 */
uint8_t *gr_guard_down_room(struct gr_guard *guard, size_t *n);
/* n bytes were put there. 0; GR_EPROTO: a violation; GR_ENOMEM. */
int gr_guard_down_took(struct gr_guard *guard, size_t n);
/* What may be sent to the viewer, in order; *n = 0: nothing. */
const uint8_t *gr_guard_down_passed(const struct gr_guard *guard, size_t *n);
/* The first n bytes of it were. */
void gr_guard_down_sent(struct gr_guard *guard, size_t n);
/* Bytes taken that are not let through yet: at the stream's end, other than 0 means that an element is cut short. */
size_t gr_guard_down_held(const struct gr_guard *guard);

/* What was let through. */
struct gr_guard_tally {
	uint64_t bytes;
	uint64_t updates;
	uint64_t histories, photos, tights, copies, raws, hextiles; /* rectangles */
	uint64_t cursors, sizes, fences, carets, text_results, notices, pages,
		clipboards; /* pages: PAGE of any state */
};
const struct gr_guard_tally *gr_guard_down_tally(const struct gr_guard *guard);

/* ---- upstream: the same. now_ms: of a monotonic clock ---- */

uint8_t *gr_guard_up_room(struct gr_guard *guard, size_t *n);
int gr_guard_up_took(struct gr_guard *guard, size_t n, uint64_t now_ms);
const uint8_t *gr_guard_up_passed(const struct gr_guard *guard, size_t *n);
void gr_guard_up_sent(struct gr_guard *guard, size_t n);
/*
 * Rates are bounded by letting nothing through for a while: milliseconds until gr_guard_up_took (with n = 0) is to be called again
 * for what is held; -1: it waits for no time. It may still wait for bytes, or for answers to the viewer's fences: call
 * gr_guard_up_took with n = 0 after downstream went on, too.
 */
int64_t gr_guard_up_wait(const struct gr_guard *guard, uint64_t now_ms);

enum gr_guard_direction { GR_GUARD_DOWN, GR_GUARD_UP };

/* ---- texts of the clipboard ---- */

/*
 * For the record: a text was let through, or (up alone: CLIPBOARD longer than clipboard_up_max, any ClientCutText) dropped. Called from
 * within gr_guard_down_took and gr_guard_up_took; the text, n >= 1 bytes, is borrowed.
 */
typedef void (*gr_guard_clipboard)(void *context, enum gr_guard_direction direction, bool passed,
				   const uint8_t *untrusted_text, size_t n);
void gr_guard_on_clipboard(struct gr_guard *guard, gr_guard_clipboard clipboard, void *context);

/* ---- violations ---- */

struct gr_guard_violation {
	enum gr_guard_direction direction;
	uint64_t offset; /* of the element that is not permitted: bytes from ServerInit's or ClientInit's first */
	const char *rule; /* static text: what was broken, "JPEG: a segment that is not permitted" */
	const uint8_t *bytes; /* what is there of that element and behind it, borrowed from the guard */
	size_t n;
};

/* The first violation, or NULL while there is none. */
const struct gr_guard_violation *gr_guard_violation(const struct gr_guard *guard);

#endif
