/*
 * Between the agent and our input-method module in Chromium's browser process, over a SOCK_SEQPACKET socket in the
 * container's /tmp. Both ends come from one build. The module is in a process that reads the internet: the agent
 * checks what it says, and at worst reports a wrong caret or a wrong result for text of this same container.
 *
 * One text at a time. The agent sends TEXT, then presses and releases the key that belongs to its sequence; the module
 * commits when it sees the key, and reports. Text so has its place in the X event queue, in order with real keys.
 * When nothing came back in time the agent sends CANCEL: the module forgets the text unless it is committed already,
 * and reports either way. So a text that was called not delivered never appears afterwards.
 */
#ifndef GARASU_AGENT_IM_MESSAGE_H
#define GARASU_AGENT_IM_MESSAGE_H

#include "common/record.h"

#define GR_IM_SOCKET "/tmp/garasu-im.sock" /* mode 0600 */
#define GR_IM_SOCKET_VARIABLE "GARASU_IM_SOCKET" /* environment: another path, for tests */

/* Hardware keycodes that no keyboard under Xvfb has; text n belongs to [n % 4], so no key can take another's text. */
#define GR_IM_KEYCODES                                                                                                 \
	{                                                                                                              \
		183, 184, 197, 202                                                                                     \
	}

/*
 * One more such key, which nobody sees: Chromium tells a module where the caret is only when a key comes, and then where it was
 * after the last frame. Pressed a moment after what moved the caret, it brings the place where the caret is now.
 */
#define GR_IM_PROBE_KEYCODE 248

/* PLAIN: kana-kanji conversion is over, whatever its state; keys take no detour until one asks for it again. */
enum gr_im_request_type { GR_IM_TEXT = 1, GR_IM_CANCEL, GR_IM_PLAIN };

struct gr_im_request {
	uint32_t type;
	uint32_t sequence;
	uint32_t length; /* bytes; 0 for CANCEL, PLAIN */
	uint8_t text[GR_TEXT_MAX]; /* UTF-8 */
};

enum gr_im_report_type { GR_IM_COMMITTED = 1, GR_IM_FORGOTTEN, GR_IM_FOCUS, GR_IM_CARET };

struct gr_im_report {
	uint32_t type;
	uint32_t sequence; /* COMMITTED, FORGOTTEN */
	uint32_t focused; /* FOCUS: 1 a field that takes text has the focus */
	int32_t x, y, w, h; /* CARET: pixels of the screen, unchecked */
};

#endif
