/*
 * One document at a time that the container has printed and offers: who has to say something next. Pure: records and messages in,
 * what is to be done out. What comes from the container is checked here against what was offered and accepted; its bounds were
 * checked by agent_records.h.
 *
 *     NONE ── OFFER ──► OFFERED ── viewer's ACCEPT ──► ASKED ── recorded ──► RUNNING ── END ──► NONE
 *                          └───────────── cancelled ─────┴─────────────────────┴──► STOPPING ──┘
 */
#ifndef GARASU_BROKER_SESSION_PRINT_H
#define GARASU_BROKER_SESSION_PRINT_H

#include "broker/guard/messages.h"
#include "common/record.h"

enum gr_print_state {
	GR_PRINT_NONE,
	GR_PRINT_OFFERED, /* the viewer was told */
	GR_PRINT_ASKED, /* the record is being written */
	GR_PRINT_RUNNING,
	GR_PRINT_STOPPING, /* CANCEL was sent, END is awaited */
};

enum gr_print_piece {
	GR_PIECE_NONE,
	GR_PIECE_ANNOUNCED, /* the next FRAME is it */
	GR_PIECE_PAINTING, /* its pixels are on their way to the viewer */
	GR_PIECE_SENT, /* the viewer's TAKEN is awaited: nothing may be painted over it */
};

/* What the caller is to do; may be several. */
enum gr_print_do {
	GR_PRINT_DO_TELL = 1, /* send `told` to the viewer as it is */
	GR_PRINT_DO_ORDER = 2, /* send `order` to the agent */
	GR_PRINT_DO_ASK = 4, /* the supervisor: document, first, last */
	GR_PRINT_DO_ENDED = 8, /* the supervisor: `ended`, whose record there is, is over */
};

struct gr_print {
	unsigned pages_max; /* 0: not permitted */
	enum gr_print_state state;
	enum gr_print_piece piece;
	uint32_t document; /* the last one */
	struct gr_record_page offer, at; /* at: the present piece */
	uint16_t first, last;
	uint16_t next_x, next_y; /* where the next piece begins */
	unsigned whole; /* pages that crossed */
	int part; /* and something of one more */
	uint32_t asked; /* a document of which the answer is not here; 0 = none */
	int recorded; /* RUNNING or STOPPING: its end must be told */
	int tell_end; /* STOPPING: the viewer waits for END */

	/* For the caller, as what was returned says. */
	struct gr_record_page told;
	struct gr_record_print order;
	struct {
		uint32_t document, reason; /* gr_page_end */
		unsigned whole;
		int part;
	} ended;
};

void gr_print_init(struct gr_print *print, unsigned pages_max);

/* A PAGE of the agent's; listens: there is a viewer who knows our records. gr_print_do, or GR_EPROTO. */
int gr_print_page(struct gr_print *print, const struct gr_record_page *page, int listens);
/* A FRAME of the agent's; w, h: the screen. 0, or GR_EPROTO: a piece was announced and this is not it. */
int gr_print_frame(struct gr_print *print, const struct gr_record_frame *frame, uint16_t w, uint16_t h);
/* A PRINT of the viewer's. */
int gr_print_order(struct gr_print *print, const struct gr_viewer_message *message, uint16_t w, uint16_t h);
/* The supervisor's answer. */
int gr_print_answered(struct gr_print *print, uint32_t document, int recorded);
/* The viewer has all of the piece that is PAINTING: `told` is for it. */
int gr_print_painted(struct gr_print *print);
/* The screen has another size: the page that was not taken whole is cut anew. */
void gr_print_resized(struct gr_print *print);
/* The viewer is gone; the agent is. */
int gr_print_viewer_gone(struct gr_print *print);
int gr_print_agent_gone(struct gr_print *print);

#endif
