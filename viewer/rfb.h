/*
 * The viewer's RFB client: RFC 6143, as far as docs/PROTOCOL.md lists it, and nothing more. No I/O and no
 * globals: bytes come from a gr_reader, bytes go to a function, pixels go into memory that the caller gives.
 */
#ifndef GARASU_VIEWER_RFB_H
#define GARASU_VIEWER_RFB_H

#include "common/error.h"
#include "common/record.h"
#include "viewer/reader.h"

struct gr_rfb;

/* Where pictures go; borrowed. BGRX8888; X as in viewer/canvas.h, of no meaning to whoever shows it. */
struct gr_rfb_memory {
	uint32_t *pixels; /* max_height rows */
	size_t stride; /* pixels from one row to the next, >= max_width */
	uint16_t max_width, max_height; /* at most GR_SCREEN_MAX */
	uint32_t *cursor; /* GR_CURSOR_MAX * GR_CURSOR_MAX pixels, BGRA, rows `width of the cursor` apart */
};

enum gr_rfb_update_flags {
	GR_RFB_FULL = 1, /* every pixel was painted since the last change of size, and no other size is awaited */
	GR_RFB_EXACT =
		2, /* no part of it is a photograph (GR_ENCODING_PHOTO) that the server has yet to send exactly */
};

/* What the client reports while it reads a message. Each returns 0, or an error that ends the reading. */
struct gr_rfb_events {
	int (*size)(void *context, uint16_t width, uint16_t height);
	int (*size_refused)(void *context, uint16_t width, uint16_t height); /* the size that stays */
	/* At the end of every FramebufferUpdate that painted something. count 1..GR_FRAME_RECTS_MAX. */
	int (*update)(void *context, const struct gr_rect *rects, size_t count, unsigned flags);
	int (*cursor)(void *context, uint16_t width, uint16_t height, uint16_t hot_x,
		      uint16_t hot_y); /* 0 by 0: none */
	int (*notice)(void *context, unsigned reason);
	int (*caret)(void *context, int known, struct gr_rect rect);
	int (*text_result)(void *context, uint32_t sequence, unsigned status);
	int (*page)(void *context,
		    const struct gr_record_page *page); /* PIECE: its pixels are those of the picture now */
	/* 1..GR_CLIPBOARD_MAX bytes, gr_utf8_is_text; borrowed. */
	int (*clipboard)(void *context, const uint8_t *text, size_t length);
};

/* Whether each field is within the bounds of PROTOCOL.md §4.2, for a picture of this size. */
int gr_rfb_page_is_sane(const struct gr_record_page *untrusted, uint16_t width, uint16_t height);

struct gr_rfb_settings {
	int quality; /* 1..10: lossy pictures are welcome, at this level; 0: everything lossless, JPEG is refused */
	unsigned history_log2; /* of the bytes of history kept for the server's compression, 20..25 */
	uint16_t width, height; /* the size wanted, 0 = as the server has it */
	/* Takes all n bytes or fails; must not wait long. */
	int (*send)(void *context, const void *bytes, size_t n);
};

/* reader, memory and events are borrowed for the client's life (events and memory copied). NULL when out of memory. */
struct gr_rfb *gr_rfb_create(struct gr_reader *reader, const struct gr_rfb_memory *memory,
			     const struct gr_rfb_events *events, const struct gr_rfb_settings *settings, void *context);
void gr_rfb_destroy(struct gr_rfb *rfb); /* NULL allowed */

/*
 * Reads and answers the handshake up to SecurityResult, and sends ClientInit. Takes no byte of what is behind it.
 * GR_EPROTO (err says what), GR_EDENIED when the server refuses (err has its reason, escaped), the reader's or send's error.
 */
int gr_rfb_handshake(struct gr_rfb *rfb, struct gr_error *err);

/* Reads ServerInit, reports size(), lists the encodings and asks for the first picture; errors as above. */
int gr_rfb_begin(struct gr_rfb *rfb, struct gr_error *err);

/* Reads one message of the server and reports what is in it; errors as above. Asks for the next picture by itself. */
int gr_rfb_read(struct gr_rfb *rfb, struct gr_error *err);

/* Input. Before gr_rfb_begin nothing is sent (0 is returned). Errors: GR_EINVAL, and send's. */
int gr_rfb_key(struct gr_rfb *rfb, uint32_t keysym, uint32_t keycode, int down);
int gr_rfb_pointer(struct gr_rfb *rfb, uint16_t x, uint16_t y, uint8_t buttons);
int gr_rfb_text(struct gr_rfb *rfb, uint32_t sequence, const uint8_t *text, size_t length);
/* As struct gr_record_print. The order of these is not looked at. */
int gr_rfb_print(struct gr_rfb *rfb, enum gr_print_action action, uint32_t document, uint16_t first, uint16_t last);
int gr_rfb_clipboard(struct gr_rfb *rfb, const uint8_t *text, size_t length); /* 1..GR_CLIPBOARD_MAX bytes */
int gr_rfb_scale(struct gr_rfb *rfb, unsigned percent); /* GR_BROWSER_SCALE_MIN .. _MAX */
/* The size wanted from now on; sent when the server can be asked, one at a time, the latest wins. */
int gr_rfb_want_size(struct gr_rfb *rfb, uint16_t width, uint16_t height);

#endif
