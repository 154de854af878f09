/* The inside of a guard, which guard.c, down.c and up.c share. Nobody else. */
#ifndef GARASU_BROKER_GUARD_STATE_H
#define GARASU_BROKER_GUARD_STATE_H

#include "broker/guard/guard.h"

/*
 * One direction's bytes: [start, passed) may be sent, [passed, end) is not judged yet. Grows up to a bound when an element needs it,
 * and goes back to its usual size when nothing is in it.
 */
struct gr_guard_buffer {
	uint8_t *data;
	size_t size, start, passed, end;
	uint64_t offset; /* of data[passed] in the stream, as it came */
};

/* Room for at least `least` bytes behind end. GR_ENOMEM. */
int gr_guard_buffer_reserve(struct gr_guard_buffer *buffer, size_t least);

/* A pixel format, as far as a parser needs it. */
struct gr_guard_format {
	uint8_t bytes; /* of a pixel: 1, 2, 4 */
	uint8_t used[4]; /* bits of each byte, as they come, that a colour may set */
	bool tight; /* 32 bits with 8 of each colour, depth 24: Tight's three-byte pixels */
};

/* Which encodings the viewer listed, as bits. */
enum gr_guard_listed {
	GR_LISTED_COPY_RECT = 1 << 0,
	GR_LISTED_TIGHT = 1 << 1,
	GR_LISTED_HEXTILE = 1 << 2,
	GR_LISTED_GARASU = 1 << 3, /* 0x47415201: records */
	GR_LISTED_CURSOR = 1 << 4,
	GR_LISTED_DESKTOP_SIZE = 1 << 5,
	GR_LISTED_EXTENDED_SIZE = 1 << 6,
	GR_LISTED_LAST_RECT = 1 << 7,
	GR_LISTED_QEMU_KEY = 1 << 8,
	GR_LISTED_FENCE = 1 << 9,
	GR_LISTED_CONTINUOUS = 1 << 10,
	GR_LISTED_QUALITY = 1 << 11, /* any level: JPEG */
	GR_LISTED_RAW = 1 << 12, /* every viewer takes it (RFC 6143 §7.7.1), listed or not; ours does not */
};

/* A fence of the viewer's that the server has not answered yet. */
struct gr_guard_fence {
	uint32_t flags; /* without Request */
	uint8_t length;
	uint8_t payload[64];
};

struct gr_guard_down; /* down.c */
struct gr_guard_up; /* up.c */

struct gr_guard {
	struct gr_guard_settings settings;
	struct gr_guard_violation violation;
	bool violated;
	/* What upstream said and downstream must keep to: written by up.c, read and used up by down.c. */
	uint32_t listed; /* gr_guard_listed, of every SetEncodings until now */
	unsigned history_log2; /* the largest that the viewer listed, at most the settings'; 0: none */
	struct gr_guard_format format; /* of the pixels that come */
	struct gr_guard_format next_format; /* from the EndOfContinuousUpdates on whose number is next_format_from */
	uint64_t next_format_from; /* 0: none is pending */
	uint64_t ends_due, ends_seen; /* EndOfContinuousUpdates: that the server owes in all, that came */
	struct gr_guard_fence fences[GR_GUARD_FENCES_MAX]; /* in the order in which they are to be answered */
	unsigned fence_first, fence_count;
	gr_guard_clipboard clipboard; /* NULL: nobody wants to know */
	void *clipboard_context;
	struct gr_guard_down *down;
	struct gr_guard_up *up;
};

int gr_guard_down_create(struct gr_guard *guard);
void gr_guard_down_destroy(struct gr_guard *guard);
int gr_guard_up_create(struct gr_guard *guard);
void gr_guard_up_destroy(struct gr_guard *guard);

/* Notes the first violation and returns GR_EPROTO. bytes, n: of the element, borrowed for the guard's life. */
int gr_guard_refuse(struct gr_guard *guard, enum gr_guard_direction direction, uint64_t offset, const char *rule,
		    const uint8_t *bytes, size_t n);

/* To whom it was asked for. */
void gr_guard_tell_clipboard(struct gr_guard *guard, enum gr_guard_direction direction, bool passed,
			     const uint8_t *untrusted_text, size_t n);

/* Of the 16 bytes of a pixel format that was checked (broker/guard/messages.h). */
struct gr_guard_format gr_guard_format_of(const uint8_t format[16]);

#endif
