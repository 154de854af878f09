/*
 * What the viewer's window, transport and decoder say to each other.
 *
 *     broker ══ TLS ══ transport ── stream ── decoder ── packets + shared picture ── window
 *                          └──────────────── packets, shared counters ──────────────────┘
 *
 * Decoder and transport are forked, as often as the viewer connects, by a starter that was itself forked from the program before it
 * loaded a graphics, font or TLS library (platform_process.h): host byte order and the same structs on both ends. Packets are SOCK_SEQPACKET. The decoder is the process that may be taken over by what it
 * decodes: the window checks every field of gr_viewer_event against the limits and the size that it knows.
 */
#ifndef GARASU_VIEWER_CHANNEL_H
#define GARASU_VIEWER_CHANNEL_H

#include "common/record.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The picture: a sealed memfd, written by the decoder, read-only in the window process. GR_SCREEN_MAX rows, always
 * of this many pixels whatever the size (not a power of two: rows below each other then share no cache set), then
 * the cursor. Only what is used takes memory.
 */
#define GR_PICTURE_STRIDE (GR_SCREEN_MAX + 16u)
#define GR_PICTURE_PIXELS ((size_t)GR_PICTURE_STRIDE * GR_SCREEN_MAX)
#define GR_PICTURE_BYTES ((GR_PICTURE_PIXELS + (size_t)GR_CURSOR_MAX * GR_CURSOR_MAX) * 4)

/* Decoder to window. A packet ends behind `text[length]`. */
enum gr_viewer_event_type {
	GR_EVENT_SIZE = 1, /* width, height: of the picture from now on */
	GR_EVENT_SIZE_REFUSED, /* width, height: what stays */
	GR_EVENT_UPDATE, /* count, rects, value: gr_rfb_update_flags */
	GR_EVENT_CURSOR, /* width, height, hot_x, hot_y; the image is in the shared memory */
	GR_EVENT_NOTICE, /* value: reason of PROTOCOL.md §6 */
	GR_EVENT_CARET, /* value: known; rects[0] */
	GR_EVENT_TEXT_RESULT, /* sequence, value */
	GR_EVENT_END, /* value: the gr_status as a positive number; text: what was wrong. The decoder's last */
	GR_EVENT_SYNCED, /* sequence */
	GR_EVENT_CAPTURE_FAILED, /* text: why. The same, when the capture cannot be written */
	GR_EVENT_PAGE, /* page. PIECE: the picture shows it, whole and exact, and stays so until GR_INPUT_PRINT TAKEN */
	GR_EVENT_CLIPBOARD, /* length, text, value: bytes of the same text that follow in further events (as gr_record_clipboard) */
};

struct gr_viewer_event {
	uint32_t type, value, sequence;
	uint16_t width, height, hot_x, hot_y;
	uint32_t count;
	struct gr_rect rects[GR_FRAME_RECTS_MAX];
	struct gr_record_page page; /* as the agent's record, checked by the guard and the decoder */
	uint32_t length;
	char text[GR_TEXT_MAX];
};

#define GR_EVENT_BYTES(length) (offsetof(struct gr_viewer_event, text) + (length))

/* Window to decoder. A packet ends behind `text[length]`. */
enum gr_viewer_input_type {
	GR_INPUT_KEY = 1, /* keysym, keycode, down */
	GR_INPUT_POINTER, /* x, y, buttons */
	GR_INPUT_SIZE, /* x, y: the size wanted */
	GR_INPUT_TEXT, /* sequence, length, text */
	/* sequence, bytes: SYNCED is to come when so many bytes of the stream have been taken and all that they say is painted. Of a
	   recording only */
	GR_INPUT_SYNC,
	GR_INPUT_SCALE, /* x: percent */
	GR_INPUT_PRINT, /* down: gr_print_action, sequence: document, x: first, y: last */
	GR_INPUT_CLIPBOARD, /* length, text, bytes: those of the same text that follow in further inputs (as gr_record_clipboard) */
};

struct gr_viewer_input {
	uint32_t type;
	uint32_t keysym, keycode, down;
	uint16_t x, y;
	uint32_t buttons, sequence, length;
	uint64_t bytes;
	uint8_t text[GR_TEXT_MAX];
};

#define GR_INPUT_BYTES(length) (offsetof(struct gr_viewer_input, text) + (length))

/* Of READY and ASK (PROTOCOL.md §2). */
enum gr_viewer_ready { GR_READY_WATERMARK = 1, GR_READY_RECORDED = 2 };
enum gr_viewer_ask { GR_ASK_PASSWORD = 1, GR_ASK_CODE = 2 };

/* Of TERMS: what holds for this session. All 0 until they come. */
enum gr_viewer_terms_flags { GR_TERMS_CLIPBOARD_DOWN = 1, GR_TERMS_PRINTING = 2 };
struct gr_viewer_terms {
	uint32_t grace_seconds; /* so long the session waits for its viewer to come back */
	uint32_t minutes; /* until the session's time is over; 0: no limit */
	uint32_t flags; /* gr_viewer_terms_flags */
	uint32_t clipboard_up; /* bytes of one text; 0: none */
};

#define GR_TICKET_BYTES 32 /* stands for the second factor when the viewer comes back */

/* Transport to window. */
enum gr_viewer_status_type {
	GR_STATUS_PERSON = 1, /* text: the id in the person's certificate */
	GR_STATUS_CONNECTING, /* the name is resolved, connect(2) follows */
	GR_STATUS_TLS, /* the handshake is over on our side, which says nothing yet about the broker's verdict */
	GR_STATUS_WAIT, /* a container is being started */
	GR_STATUS_ASK, /* flags: gr_viewer_ask; reason, tries, seconds: as there. Answered by gr_viewer_factors */
	GR_STATUS_TERMS, /* terms; before READY */
	GR_STATUS_TICKET, /* ticket: for the next time; before TERMS */
	GR_STATUS_READY, /* flags: gr_viewer_ready */
	GR_STATUS_END, /* failure, reason, text: why. The transport's last */
};

struct gr_viewer_status {
	uint32_t type;
	uint32_t failure; /* gr_failure of messages.h */
	uint32_t reason; /* reason of PROTOCOL.md §6, with GR_FAIL_REASON and ASK */
	uint32_t flags, tries;
	uint32_t seconds; /* also of an END that a REFUSED brought: when to come again, 0 = unknown */
	struct gr_viewer_terms terms;
	uint64_t at_us; /* of CLOCK_MONOTONIC */
	char text[256]; /* UTF-8 or empty */
	uint8_t ticket[GR_TICKET_BYTES]; /* wiped at both ends */
};

/* Window to transport, once for each ASK: what the person gave. Wiped at both ends as soon as it is sent. */
#define GR_PASSWORD_MAX 256 /* bytes of UTF-8 */
#define GR_CODE_MAX 64 /* printable ASCII */

struct gr_viewer_factors {
	uint32_t password_length, code_length; /* what was not asked for is empty */
	char password[GR_PASSWORD_MAX];
	char code[GR_CODE_MAX];
	uint32_t ticketed; /* ticket is given, and nothing else */
	uint8_t ticket[GR_TICKET_BYTES];
};

/* Counters in shared memory, written by the transport: bytes on the wire, TLS included. */
struct gr_viewer_counters {
	_Atomic uint64_t received, sent;
};

#endif
