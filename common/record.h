/*
 * The records between the broker's session process and the agent, the container's first process, over one
 * SOCK_SEQPACKET connection. Host byte order: both ends run on one machine.
 *
 * Every record is one packet of exactly the size that its type has, and begins with its type. A packet of
 * another size, of an unknown type, or (towards the broker) with a file descriptor ends the connection.
 * The container chooses no length: counts and rectangles are checked and clipped by the receiver against the
 * geometry that the broker chose.
 *
 * The pixels are in a memfd that the broker makes, seals (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) and
 * sends with HELLO. Layout: max_height rows of max_width BGRX8888 pixels (stride max_width * 4 bytes,
 * whatever the present size), then GR_CURSOR_MAX rows of GR_CURSOR_MAX BGRA pixels, alpha premultiplied.
 *
 * Order: the agent connects when the browser has painted its first window, so a connection means "ready".
 * The broker sends HELLO first. The agent writes into the memfd only while a WANT_FRAME is unanswered;
 * the answer, FRAME, comes as soon as something changed: at once after HELLO (the whole screen), otherwise
 * when the X server reports damage that really changed a tile. So back-pressure reaches the browser, and
 * an idle page wakes nobody. CURSOR, CARET, RESIZED, TEXT_RESULT come only while a WANT_FRAME is unanswered
 * too (they do not answer it), except TEXT_RESULT and RESIZED, which come at once.
 * An agent has at most 2000 records a second to say: the broker takes no more in it, and after five such seconds ends
 * the connection; likewise when for ten seconds a record lies unread, or the answer to HELLO, to a RESIZE or to a WANT_FRAME
 * for the whole screen is due.
 * When the connection ends the agent releases all keys and buttons, waits, and connects again (every 200 ms).
 */
#ifndef GARASU_COMMON_RECORD_H
#define GARASU_COMMON_RECORD_H

#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define GR_RECORD_VERSION 1u

/* x, y of the left upper corner, w, h: pixels of the screen. */
struct gr_rect {
	uint16_t x, y, w, h;
};

enum gr_record_type {
	/* broker to agent */
	GR_RECORD_HELLO = 1, /* with the memfd */
	GR_RECORD_WANT_FRAME,
	GR_RECORD_RESIZE,
	GR_RECORD_KEY,
	GR_RECORD_POINTER,
	GR_RECORD_TEXT,
	GR_RECORD_SCALE,
	GR_RECORD_PRINT,
	GR_RECORD_SET_CLIPBOARD,
	/* agent to broker */
	GR_RECORD_FRAME = 64,
	GR_RECORD_CURSOR,
	GR_RECORD_RESIZED,
	GR_RECORD_CARET,
	GR_RECORD_TEXT_RESULT,
	GR_RECORD_STATE,
	GR_RECORD_PAGE,
	GR_RECORD_CLIPBOARD,
};

enum gr_hello_flags {
	GR_HELLO_OPEN_HOME = 1, /* a person gets this container for the first time: go to the home page */
	GR_HELLO_CLIPBOARD =
		2, /* what the browser copies is to be told by CLIPBOARD records: the broker knows what of it may go on */
	GR_HELLO_PRINTING = 4, /* documents are to be offered by PAGE records; otherwise a print job is thrown away */
};

struct gr_record_hello {
	uint32_t type, version;
	uint16_t max_width, max_height; /* the memfd's geometry */
	uint32_t flags; /* gr_hello_flags */
	uint32_t print_pages, print_dpi; /* with PRINTING: the configuration's */
};

/* Asks for one FRAME. A second one before the answer is a protocol error. */
struct gr_record_want_frame {
	uint32_t type;
	uint32_t whole; /* 1: answer at once with the whole screen, changed or not */
};

/* Answered by RESIZED with the size that the screen then has, which on failure is the old one. */
struct gr_record_resize {
	uint32_t type;
	uint16_t width, height; /* GR_SCREEN_MIN .. HELLO's maximum */
};

struct gr_record_key {
	uint32_t type;
	uint32_t keysym; /* X keysym, as RFB KeyEvent; 0 = unknown, use keycode */
	uint32_t
		keycode; /* XT scancode as in the QEMU extended key event (0xe0-prefixed ones as 0x80 | code); 0 = unknown */
	uint32_t down; /* 0 or 1 */
};

struct gr_record_pointer {
	uint32_t type;
	uint16_t x, y; /* clipped to the screen by the agent */
	uint32_t buttons; /* RFB mask: bit 0 left, 1 middle, 2 right, 3..6 wheel up, down, left, right, 7 back */
};

/* Committed text, delivered in the order of keys and text as sent. */
struct gr_record_text {
	uint32_t type;
	uint32_t sequence; /* chosen by the broker, +1 each time */
	uint32_t length; /* bytes, 1..GR_TEXT_MAX, valid UTF-8 */
	uint8_t text[GR_TEXT_MAX];
};

/* How large the browser draws, in percent (GR_BROWSER_SCALE_MIN .. _MAX); 100 until one comes. Not answered. */
struct gr_record_scale {
	uint32_t type;
	uint32_t percent;
};

/*
 * Printing. The browser prints into a file of the container; PAGE OFFER tells the person's viewer of it. After ACCEPT the
 * agent shows, in place of the screen, one piece of a page after the other: FRAME answers WANT_FRAME as ever, its
 * rectangle is the piece, from the screen's upper left corner, and a PAGE PIECE record right before it says where on the page
 * it belongs. The next one follows TAKEN. After the last TAKEN, or CANCEL, PAGE END comes and the next FRAME is the whole
 * screen again. RESIZE in between: the piece that was not taken is cut anew. One document at a time: while one is offered or
 * under way another one is thrown away. A document that nobody accepts within 10 minutes is thrown away (END).
 */
enum gr_print_action {
	GR_PRINT_START = 1, /* press the browser's key for printing */
	GR_PRINT_ACCEPT, /* pages first to last, counted from 1, within the offer */
	GR_PRINT_TAKEN, /* the piece has arrived; first: its page */
	GR_PRINT_CANCEL,
};

struct gr_record_print {
	uint32_t type;
	uint32_t action; /* gr_print_action */
	uint32_t document; /* of the OFFER; 0 with START */
	uint16_t first, last;
};

/* A text for the browser's clipboard, in pieces: `left` bytes follow in further records. Whole, it is at most GR_CLIPBOARD_MAX. */
struct gr_record_clipboard {
	uint32_t type; /* GR_RECORD_SET_CLIPBOARD; to the broker GR_RECORD_CLIPBOARD: what the browser has copied */
	uint32_t left; /* bytes behind this record's */
	uint32_t length; /* of this record's, 1..GR_TEXT_MAX; GR_TEXT_MAX unless it is the last */
	uint8_t text[GR_TEXT_MAX]; /* together valid UTF-8 without control characters but tab and line feed */
};

struct gr_record_frame {
	uint32_t type;
	uint32_t count; /* rects used, 1..GR_FRAME_RECTS_MAX */
	struct gr_rect rects[GR_FRAME_RECTS_MAX]; /* do not overlap; inside the present size */
};

/* The image is in the memfd's cursor area. width = height = 0: no cursor is shown. */
struct gr_record_cursor {
	uint32_t type;
	uint16_t width, height; /* 0..GR_CURSOR_MAX */
	uint16_t hot_x, hot_y;
};

struct gr_record_resized {
	uint32_t type;
	uint16_t width, height;
};

/* Where text is typed, as far as known. */
struct gr_record_caret {
	uint32_t type;
	uint32_t visible; /* 0: none known */
	struct gr_rect rect;
};

enum gr_text_status {
	GR_TEXT_GIVEN = 0, /* handed to the browser */
	GR_TEXT_NOT_DELIVERED = 1, /* no focus, or a field that takes no input method (password): not shown anywhere */
};

struct gr_record_text_result {
	uint32_t type;
	uint32_t sequence;
	uint32_t status; /* gr_text_status */
};

enum gr_agent_state {
	GR_AGENT_READY = 1, /* answer to HELLO; the sizes are the present ones */
	GR_AGENT_BROWSER_RESTARTED = 2, /* Chromium ended and was started again */
	GR_AGENT_FAILED = 3, /* the X server or Chromium cannot be kept up; the container will end */
};

struct gr_record_state {
	uint32_t type;
	uint32_t state; /* gr_agent_state */
	uint16_t width, height; /* present size of the screen */
};

enum gr_page_state {
	GR_PAGE_OFFER =
		1, /* pages: how many may be printed; width, height of the first; x = 1: the document has more; y: pixels per inch */
	GR_PAGE_PIECE, /* the piece whose upper left corner is x, y of the page comes with the next FRAME */
	GR_PAGE_END, /* page: how many were shown whole; x: gr_page_end */
};

enum gr_page_end { GR_PAGE_DONE, GR_PAGE_CANCELLED, GR_PAGE_FAILED, GR_PAGE_REFUSED /* by the broker */ };

struct gr_record_page {
	uint32_t type;
	uint32_t state; /* gr_page_state */
	uint32_t document; /* from 1, +1 each */
	uint16_t page, pages; /* 0..GR_PRINT_PAGES_MAX */
	uint16_t width, height; /* of the page in pixels, 1..GR_PRINT_SIDE_MAX */
	uint16_t x, y;
};

union gr_record {
	uint32_t type;
	struct gr_record_hello hello;
	struct gr_record_want_frame want_frame;
	struct gr_record_resize resize;
	struct gr_record_key key;
	struct gr_record_pointer pointer;
	struct gr_record_text text;
	struct gr_record_frame frame;
	struct gr_record_cursor cursor;
	struct gr_record_resized resized;
	struct gr_record_caret caret;
	struct gr_record_text_result text_result;
	struct gr_record_state state;
	struct gr_record_scale scale;
	struct gr_record_print print;
	struct gr_record_clipboard clipboard;
	struct gr_record_page page;
};

/* The size of a record of this type in bytes; 0 for a type that does not exist. */
size_t gr_record_size(uint32_t type);

/* Bytes of the memfd for a geometry: max_width * max_height * 4 + the cursor area. */
size_t gr_record_memory(uint16_t max_width, uint16_t max_height);

/* Where the container finds the broker's two sockets. */
#define GR_AGENT_SOCKET "/run/garasu/agent.sock" /* SOCK_SEQPACKET, these records */
#define GR_EGRESS_SOCKET "/run/garasu/egress.sock" /* SOCK_STREAM, HTTP proxy */

#endif
