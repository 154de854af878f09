/*
 * What a viewer may send after the RFB handshake (docs/PROTOCOL.md, section 5), and nothing else. Pure: bytes in, struct
 * out. libvncserver knows many more messages (file transfer, text chat, scaling, xvp …), each of which had its CVEs;
 * nothing reaches it that did not pass here as one complete message: once in the gateway process, where the guard looks at
 * every byte that a viewer sent, and again in the session process, which works the messages off.
 */
#ifndef GARASU_BROKER_GUARD_MESSAGES_H
#define GARASU_BROKER_GUARD_MESSAGES_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

#define GR_VIEWER_ENCODINGS_MAX 128 /* in one SetEncodings */
#define GR_VIEWER_CUT_TEXT_MAX 65536u /* bytes of a ClientCutText: it is dropped as a whole */
#define GR_FENCE_PAYLOAD_MAX 64 /* bytes */
#define GR_VIEWER_MESSAGE_MAX (8 + GR_TEXT_MAX) /* bytes of the longest message that is taken as a whole */

/* The flags of a fence (rfbproto, "Fence"). Those that are not here are not understood by anybody. */
enum gr_fence_flags {
	GR_FENCE_BLOCK_BEFORE = 1, /* what came before the fence is done before it is answered */
	GR_FENCE_BLOCK_AFTER = 2, /* what comes behind it waits until it is answered */
	GR_FENCE_SYNC_NEXT = 4, /* nothing stands between the answer and the effects of the message behind the fence */
	GR_FENCE_REQUEST = (int)0x80000000, /* to be answered; an answer has it not */
};

enum gr_viewer_kind {
	GR_VIEWER_PIXEL_FORMAT, /* 20 bytes, sane: true colour, 8, 16 or 32 bits, maxima and shifts that fit */
	GR_VIEWER_ENCODINGS,
	GR_VIEWER_UPDATE_REQUEST, /* 10 bytes */
	GR_VIEWER_CONTINUOUS, /* EnableContinuousUpdates */
	GR_VIEWER_FENCE, /* a request of the viewer's, or its answer to one of ours */
	GR_VIEWER_KEY,
	GR_VIEWER_POINTER,
	GR_VIEWER_CUT_TEXT, /* its header: so many bytes of text follow it, which the guard drops */
	GR_VIEWER_DESKTOP_SIZE,
	GR_VIEWER_TEXT,
	GR_VIEWER_SCALE,
	GR_VIEWER_PRINT,
	GR_VIEWER_CLIPBOARD, /* our viewer's, UTF-8: its header; so many bytes follow it */
};

struct gr_viewer_message {
	enum gr_viewer_kind kind;
	size_t size; /* bytes of the message, at most GR_VIEWER_MESSAGE_MAX; CUT_TEXT, CLIPBOARD: of its header */
	union {
		struct {
			size_t count; /* of those kept */
			/* Those that libvncserver is to know of, in the viewer's order (docs/PROTOCOL.md, section 4.1). */
			int32_t kept[GR_VIEWER_ENCODINGS_MAX];
			int garasu; /* it listed our records */
			int qemu_key; /* it listed -258 */
			int fence, continuous; /* -312, -313 */
			int tight, copy_rect;
			int quality; /* the JPEG level, 0..9; -1: everything lossless */
			unsigned history_log2; /* the largest history of our own rectangles, 20..25; 0: it knows none */
		} encodings;
		struct {
			int incremental;
			struct gr_rect rect; /* unchecked against the screen */
		} update_request;
		struct {
			int on;
			struct gr_rect rect; /* as above */
		} continuous;
		struct {
			uint32_t flags; /* gr_fence_flags; others are cleared */
			size_t length; /* 0..GR_FENCE_PAYLOAD_MAX */
			const uint8_t *payload; /* borrowed from the input */
		} fence;
		struct {
			uint32_t keysym, keycode; /* as in struct gr_record_key */
			uint32_t down;
		} key;
		struct {
			uint16_t x, y;
			uint8_t buttons;
		} pointer;
		struct {
			uint16_t width, height;
		} desktop_size;
		struct {
			uint32_t sequence;
			uint32_t length; /* 1..GR_TEXT_MAX */
			const uint8_t *
				utf8; /* borrowed from the input; valid UTF-8 without control characters but \t and \n */
		} text;
		uint16_t scale; /* percent, GR_BROWSER_SCALE_MIN .. _MAX */
		struct {
			uint16_t action; /* gr_print_action */
			uint16_t first, last; /* ACCEPT: 1 <= first <= last <= GR_PRINT_PAGES_MAX; TAKEN: first alone */
			uint32_t document; /* what the action has no use for is 0 */
		} print;
		size_t skip; /* of CUT_TEXT, CLIPBOARD (1..GR_CLIPBOARD_MAX): the bytes behind the header */
	};
};

/* Whether docs/PROTOCOL.md, sections 4.1 and 5, knows an encoding: all that a SetEncodings is left with. */
int gr_viewer_encoding_known(int32_t encoding);

/* Takes the first message of n bytes. GR_EAGAIN: not yet complete. GR_EPROTO: not permitted, the viewer must go. */
int gr_viewer_message_parse(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out);

#endif
