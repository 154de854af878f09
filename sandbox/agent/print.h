/*
 * Printing: takes what the browser has printed into its folder, offers it to the broker, and shows its pages piece by piece in
 * place of the screen (common/record.h). Pages are counted by pdfinfo and drawn by pdftoppm, children with limits whose output is
 * read from a pipe; the next page is drawn while pieces of this one are fetched. One document at a time: what is printed
 * meanwhile is thrown away, and so is everything while the broker has not permitted printing.
 */
#ifndef GARASU_AGENT_PRINT_H
#define GARASU_AGENT_PRINT_H

#include "common/error.h"
#include "common/loop.h"
#include "common/record.h"

#include <stdbool.h>
#include <sys/types.h>

struct gr_print;

struct gr_print_owner {
	void *context;
	void (*say)(void *context, const struct gr_record_page *page); /* OFFER, END */
	void (*start)(void *context); /* START: press the key */
	/* Pages are shown from now on, or the screen again; or a piece has become ready. May come from within calls. */
	void (*changed)(void *context);
};

/* Watches folder, which exists (borrowed). *owner is copied. NULL with *err set. */
struct gr_print *gr_print_create(struct gr_loop *loop, const char *folder, const struct gr_print_owner *owner,
				 struct gr_error *err);
void gr_print_destroy(struct gr_print *print); /* NULL allowed */

/* The broker is connected: how many pages of a document may be offered (0: none is), in which resolution. GR_EPROTO. */
int gr_print_hello(struct gr_print *print, const struct gr_record_hello *untrusted_hello);
/* Its connection has ended: so has what is under way. */
void gr_print_lost(struct gr_print *print);
/* A PRINT record. GR_EPROTO: a field is out of its range. What comes out of turn is ignored: it may have crossed an END. */
int gr_print_take(struct gr_print *print, const struct gr_record_print *untrusted);

/* Whether pages are shown, and not the screen. */
bool gr_print_is_shown(const struct gr_print *print);
/*
 * Draws the next piece into pixels (rows of stride bytes), as much of the page as fits into w by h. Returns whether there was one;
 * *page_out: its PAGE PIECE. The following one comes after TAKEN.
 */
bool gr_print_piece(struct gr_print *print, uint8_t *pixels, size_t stride, uint16_t w, uint16_t h,
		    struct gr_record_page *page_out, struct gr_rect *rect_out);
/* The screen's size changes: the page that is not taken whole is cut anew. */
void gr_print_resized(struct gr_print *print);

/* A child has ended. */
void gr_print_reaped(struct gr_print *print, pid_t pid);

#endif
