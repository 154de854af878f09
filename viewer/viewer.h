/*
 * The state of one session as the window process sees it, with a window or headless: what the two other
 * processes reported, checked, and the input on its way to the decoder.
 */
#ifndef GARASU_VIEWER_VIEWER_H
#define GARASU_VIEWER_VIEWER_H

#include "viewer/channel.h"
#include "viewer/messages.h"

enum gr_viewer_state {
	GR_VIEWER_CONNECTING,
	GR_VIEWER_ASKED, /* the broker wants a second factor: gr_viewer_answer */
	GR_VIEWER_JUDGED, /* it was given; the broker has not answered yet */
	GR_VIEWER_WAITING, /* the broker is starting a container */
	GR_VIEWER_OPEN, /* READY came; no picture yet */
	GR_VIEWER_SHOWN, /* there is a picture */
	GR_VIEWER_ENDED, /* failure and reason say why */
};

#define GR_VIEWER_QUEUE 256 /* inputs that the decoder has not taken yet */

struct gr_viewer {
	/* Set by the creator. */
	int decoder; /* SOCK_SEQPACKET; -1 when closed */
	int transport; /* SOCK_SEQPACKET; -1 when closed */
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
	struct {
		uint64_t
			since_us; /* of gr_viewer_awake_us; when the connection was lost; 0: it is there, or was never */
		uint64_t until_us; /* so long the session waits */
		uint64_t next_us; /* the next try; 0: one is being made */
		unsigned tries;
		int text_lost; /* text was under way of which nobody knows whether it was delivered */
	} away; /* reconnect.h */
	unsigned returned; /* how often it came back */
	int ticketed, ticket_given; /* ticket is there; it was the last answer */
	uint8_t ticket[GR_TICKET_BYTES]; /* stands for the second factor, once */
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

	uint32_t synced; /* the last sequence that SYNCED told */
	uint32_t text_sent, text_answered; /* sequences */
	uint32_t text_result; /* of text_answered */

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
/* Valid UTF-8; long text is cut into several records at character boundaries. Returns the last one's sequence. */
uint32_t gr_viewer_text(struct gr_viewer *viewer, const char *text, size_t length);
void gr_viewer_want_size(struct gr_viewer *viewer, uint16_t width, uint16_t height);

/* In GR_VIEWER_ASKED: gives the second factor. Wipes it. */
void gr_viewer_answer(struct gr_viewer *viewer, struct gr_viewer_factors *factors);

/* Between two connections: what belonged to the one that has ended is forgotten. The picture and what it is of stay. */
void gr_viewer_begin_again(struct gr_viewer *viewer);

/* Seconds from now until then, rounded up; 0 when it is past. */
unsigned gr_viewer_seconds_until(uint64_t then_us);

/* Ends the session on our side. */
void gr_viewer_end(struct gr_viewer *viewer, enum gr_failure failure, unsigned reason, const char *detail);

/* Closes the sockets, which ends both processes. */
void gr_viewer_finish(struct gr_viewer *viewer);

/* Prints the line of --report. */
void gr_viewer_report(const struct gr_viewer *viewer, int exit_code);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t gr_viewer_now_us(void);
/* The same with the time in which the machine slept: the broker's clock goes on then. */
uint64_t gr_viewer_awake_us(void);

/* Between a cut and the return: seconds for which the session waits still, rounded up. */
unsigned gr_viewer_away_seconds(const struct gr_viewer *viewer);

#endif
