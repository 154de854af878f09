/*
 * What a viewer may send after the RFB handshake (docs/PROTOCOL.md, section 5), and nothing else. Pure: bytes in, struct
 * out. libvncserver knows many more messages (file transfer, text chat, scaling, xvp …), each of which had its CVEs;
 * nothing reaches it that did not pass here as one complete message.
 */
#ifndef GARASU_BROKER_SESSION_VIEWER_MESSAGES_H
#define GARASU_BROKER_SESSION_VIEWER_MESSAGES_H

#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define GR_VIEWER_ENCODINGS_MAX 128 /* in one SetEncodings */
#define GR_VIEWER_CUT_TEXT_MAX (16u << 20) /* bytes of a ClientCutText that are skipped without complaint */
#define GR_VIEWER_MESSAGE_MAX (8 + GR_TEXT_MAX) /* bytes of the longest message that is taken as a whole */

enum gr_viewer_kind {
	GR_VIEWER_PIXEL_FORMAT, /* 20 bytes, sane: true colour, 8, 16 or 32 bits, maxima and shifts that fit */
	GR_VIEWER_ENCODINGS,
	GR_VIEWER_UPDATE_REQUEST, /* 10 bytes */
	GR_VIEWER_KEY,
	GR_VIEWER_POINTER,
	GR_VIEWER_CUT_TEXT, /* ignored: skip so many bytes behind the header */
	GR_VIEWER_DESKTOP_SIZE,
	GR_VIEWER_TEXT,
};

struct gr_viewer_message {
	enum gr_viewer_kind kind;
	size_t size; /* bytes of the message, at most GR_VIEWER_MESSAGE_MAX; cut text: of its header */
	union {
		struct {
			size_t count; /* of those kept */
			/* Those that this broker uses, in the viewer's order (docs/PROTOCOL.md, section 4.1). */
			int32_t kept[GR_VIEWER_ENCODINGS_MAX];
			int garasu; /* it listed our records */
			int qemu_key; /* it listed -258 */
		} encodings;
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
		size_t skip;
	};
};

/* Takes the first message of n bytes. GR_EAGAIN: not yet complete. GR_EPROTO: not permitted, the viewer must go. */
int gr_viewer_message_parse(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out);

#endif
