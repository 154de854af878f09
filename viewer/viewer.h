/*
 * The state of one session as the window process sees it, with a window or headless: what the two other
 * processes reported, checked, and the input on its way to the decoder.
 */
#ifndef GARASU_VIEWER_VIEWER_H
#define GARASU_VIEWER_VIEWER_H

#include "viewer/channel.h"
#include "viewer/messages.h"

#include <sys/types.h>

struct gr_print;

enum gr_viewer_state {
	GR_VIEWER_CONNECTING,
	GR_VIEWER_ASKED, /* the broker wants a second factor: gr_viewer_answer */
	GR_VIEWER_JUDGED, /* it was given; the broker has not answered yet */
	GR_VIEWER_WAITING, /* the broker is starting a container */
	GR_VIEWER_OPEN, /* READY came; no picture yet */
	GR_VIEWER_SHOWN, /* there is a picture */
	GR_VIEWER_ENDED, /* failure and reason say why */
};

#define GR_VIEWER_QUEUE                                                                                                \
	4096 /* inputs that the decoder has not taken yet: a burst of keys and texts is longer than its socket */

struct gr_viewer {
	/* Set by the creator. */
	int decoder; /* SOCK_SEQPACKET; -1 when closed */
	int transport; /* SOCK_SEQPACKET; -1 when closed */
	pid_t decoder_pid, transport_pid;
	const uint32_t *picture; /* GR_PICTURE_BYTES, read-only, written by the decoder at any time */
	const struct gr_viewer_counters *counters;
	const char *host;

	enum gr_viewer_state state;
	uint16_t width, height;
	int full; /* the whole picture of the wanted size was painted */
	int exact; /* no part of it is a photograph that is yet to come exactly */
	int size_refused; /* the last size asked for was refused */
	int closing; /* the transport has ended: the decoder's END is awaited until closing_at_us */
	uint64_t closing_at_us;
	enum gr_failure failure; /* why it ended, GR_FAIL_NONE: no failure (yet) */
	unsigned reason; /* of GR_FAIL_REASON */
	uint64_t again_us; /* with reason: when to come again; 0: unknown */
	char detail[300]; /* for the curious, below the message: printable ASCII */
	char person[40];

	struct {
		unsigned what; /* gr_viewer_ask */
		unsigned reason; /* why the last answer was not accepted; 0: there was none */
		unsigned tries; /* wrong answers that are left; 255: that or more */
		uint64_t from_us; /* no answer is judged before */
	} ask; /* in GR_VIEWER_ASKED */
	unsigned ready; /* gr_viewer_ready */
	struct gr_viewer_terms terms;
	uint64_t over_us; /* when the session's time is over; 0: no limit */

	/* What changed since the owner of these fields last set them to 0. */
	unsigned dirty; /* gr_viewer_dirty */
	struct gr_rect damage; /* bounding box; w == 0: none */

	struct {
		uint16_t width, height, hot_x, hot_y;
		uint32_t pixels[GR_CURSOR_MAX * GR_CURSOR_MAX];
	} cursor;
	struct {
		int known;
		struct gr_rect rect;
	} caret;

	uint64_t connect_us, tls_us, ready_us, first_frame_us; /* CLOCK_MONOTONIC; 0: not yet */
	uint64_t frames; /* updates that painted something */
	uint64_t last_change_us, last_input_us;
	uint64_t frames_at_input; /* frames when the last input was given */
	uint64_t change_after_input_us; /* the first change after the last input; 0: none yet */

	/* Set by gr_print_init, or NULL: what PAGE said, each field within its bounds. PIECE: the picture has its pixels during the call. */
	void (*on_page)(struct gr_print *print, const struct gr_record_page *page);
	struct gr_print *print; /* viewer/print.h */
	/* What the browser has copied, when left is 0 and length is not: text, gr_utf8_is_text, with its end. */
	struct {
		uint32_t length, left; /* bytes; left: are still to come */
		char text[GR_CLIPBOARD_MAX + 1];
	} clipboard;

	uint32_t synced; /* the last sequence that SYNCED told */
	uint32_t text_sent; /* the last one's sequence */
	uint32_t text_answers; /* so many were answered: each is once, not always in their order */
	uint32_t text_refused; /* the sequence of the last one that was not delivered; 0: all were */

	uint32_t buttons; /* held, as RFB mask */
	uint16_t want_width, want_height; /* last size asked for */
	struct gr_viewer_input *queue[GR_VIEWER_QUEUE]; /* owned */
	size_t queue_begin, queue_count;
};

enum gr_viewer_dirty {
	GR_DIRTY_STATE = 1, /* state, message, person, ask, ready */
	GR_DIRTY_SIZE = 2,
	GR_DIRTY_PICTURE = 4, /* damage */
	GR_DIRTY_CURSOR = 8,
	GR_DIRTY_CARET = 16,
	GR_DIRTY_TEXT = 32, /* a text was not delivered */
	GR_DIRTY_CLIPBOARD = 32, /* clipboard is whole */
};

/* Reads all that is there. Call when the descriptor is ready; harmless otherwise. */
void gr_viewer_read_decoder(struct gr_viewer *viewer);
void gr_viewer_read_transport(struct gr_viewer *viewer);

/* Call when time has passed: notices that the decoder did not report its end. Returns ms until the next call is due, or -1. */
int gr_viewer_tick(struct gr_viewer *viewer);

/* Whether input waits for the decoder's socket to become writable; gr_viewer_flush sends it. */
int gr_viewer_pending(const struct gr_viewer *viewer);
void gr_viewer_flush(struct gr_viewer *viewer);

/* Input. What does not fit into the queue is dropped (the decoder takes nothing for a long time then). */
void gr_viewer_key(struct gr_viewer *viewer, uint32_t keysym, uint32_t keycode, int down);
void gr_viewer_pointer(struct gr_viewer *viewer, uint16_t x, uint16_t y, uint32_t buttons);
/*
 * Valid UTF-8; long text is cut into several records at character boundaries. Returns the first one's sequence; the last one's is
 * text_sent. What cannot even be sent counts as not delivered.
 */
uint32_t gr_viewer_text(struct gr_viewer *viewer, const char *text, size_t length);
/* Whether one of the texts from this sequence on was not delivered. */
int gr_viewer_text_refused(const struct gr_viewer *viewer, uint32_t first);
void gr_viewer_want_size(struct gr_viewer *viewer, uint16_t width, uint16_t height);
/* How large the browser draws, in percent; what is out of its bounds is brought into them. */
void gr_viewer_scale(struct gr_viewer *viewer, unsigned percent);
/* As struct gr_record_print. */
void gr_viewer_print(struct gr_viewer *viewer, enum gr_print_action action, uint32_t document, uint16_t first,
		     uint16_t last);
/* Text for the browser's clipboard. Whether it was given: not so when it is no text, empty, too long, or does not fit. */
int gr_viewer_clipboard(struct gr_viewer *viewer, const char *text, size_t length);

/* In GR_VIEWER_ASKED: gives the second factor. Wipes it. */
void gr_viewer_answer(struct gr_viewer *viewer, struct gr_viewer_factors *factors);

/* Seconds from now until then, rounded up; 0 when it is past. */
unsigned gr_viewer_seconds_until(uint64_t then_us);

/* Ends the session on our side. */
void gr_viewer_end(struct gr_viewer *viewer, enum gr_failure failure, unsigned reason, const char *detail);

/* Closes the sockets, which ends both processes, and waits for them. */
void gr_viewer_finish(struct gr_viewer *viewer);

/* Prints the line of --report. */
void gr_viewer_report(const struct gr_viewer *viewer, int exit_code);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t gr_viewer_now_us(void);

#endif
