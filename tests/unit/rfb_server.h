/* A server made of bytes, for tests of the viewer's RFB client: what it says, and what the client said and reported. */
#ifndef GARASU_TESTS_RFB_SERVER_H
#define GARASU_TESTS_RFB_SERVER_H

#include "viewer/rfb.h"

#include <stddef.h>
#include <stdint.h>

enum { MAX = 300, STRIDE = MAX + 7, HISTORY_LOG2 = 20 };

struct rfb_test {
	/* what the server says */
	uint8_t in[400000];
	size_t in_size, in_at, piece;
	/* what the client said */
	uint8_t out[100000];
	size_t out_size;
	/* what it reported */
	unsigned sizes, refusals, updates, cursors, notices, carets, results, pages, clipboards, full, exact;
	uint16_t width, height;
	struct gr_rect rects[GR_FRAME_RECTS_MAX];
	size_t count;
	unsigned notice;
	uint32_t sequence, result;
	struct gr_record_page page;
	uint8_t clipboard[GR_CLIPBOARD_MAX];
	size_t clipboard_length;
	uint32_t pixels[STRIDE * MAX], cursor[GR_CURSOR_MAX * GR_CURSOR_MAX];
	struct gr_reader reader;
	struct gr_rfb *rfb;
	struct gr_error err;
};
extern struct rfb_test t;

/* Begins anew; with a width, behind the handshake. */
void start(unsigned width, unsigned height, int quality, uint16_t want_width, uint16_t want_height);
int stop(void **state);

/* What the server says. */
void say(const void *bytes, size_t n);
void say8(unsigned v);
void say16(unsigned v);
void say32(uint32_t v);
void say_handshake(unsigned width, unsigned height);
void say_update(unsigned count);
void say_rect(unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding);
void say_compact(size_t n); /* a length of Tight */

/* Reads one message, and wants this status. */
void expect(int status);
/* Reads one message whose words are already said, and wants it refused; stops. */
void expect_refused(void);

uint32_t pixel(unsigned x, unsigned y);

#endif
