#include "viewer/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gr_print_init(struct gr_print *print, struct gr_viewer *viewer)
{
	*print = (struct gr_print){ .viewer = viewer };
	viewer->print = print;
	viewer->on_page = gr_print_page;
}

enum {
	PIECE_US = 120000000, /* for the browser to paint a page */
	END_US = 60000000,
};

static void forget_page(struct gr_print *print)
{
	free(print->page.pixels);
	memset(&print->page, 0, sizeof(print->page));
}

static void change(struct gr_print *print, enum gr_print_state state)
{
	print->state = state;
	print->changed = 1;
	if (state == GR_PRINT_RUNNING || state == GR_PRINT_STOPPING)
		print->due_us = gr_viewer_now_us() + (state == GR_PRINT_RUNNING ? PIECE_US : END_US);
}

static void forget_all(struct gr_print *print)
{
	forget_page(print);
	gr_pdf_destroy(print->pdf);
	print->pdf = NULL;
}

static void end(struct gr_print *print, enum gr_print_outcome outcome)
{
	forget_all(print);
	print->outcome = outcome;
	print->viewer->damage = (struct gr_rect){ 0 }; /* what comes from here on is the screen again */
	change(print, GR_PRINT_IDLE);
}

void gr_print_finish(struct gr_print *print)
{
	forget_all(print);
	if (print->viewer) {
		print->viewer->on_page = NULL;
		print->viewer->print = NULL;
	}
}

static int is_permitted(const struct gr_print *print)
{
	return (print->viewer->terms.flags & GR_TERMS_PRINTING) != 0;
}

int gr_print_start(struct gr_print *print)
{
	if (print->state != GR_PRINT_IDLE || !is_permitted(print) || print->viewer->state != GR_VIEWER_SHOWN)
		return 0;
	gr_viewer_print(print->viewer, GR_PRINT_START, 0, 0, 0);
	return 1;
}

int gr_print_accept(struct gr_print *print, unsigned first, unsigned last, const char *file, struct gr_error *err)
{
	if (print->state != GR_PRINT_OFFERED || first < 1 || first > last || last > print->pages)
		return gr_error_set(err, GR_EINVAL, "no such pages");
	if (strlen(file) >= sizeof(print->file))
		return gr_error_set(err, GR_EINVAL, "the file's name is too long");
	print->pdf = gr_pdf_create(file, err);
	if (!print->pdf)
		return GR_EIO;
	snprintf(print->file, sizeof(print->file), "%s", file);
	print->first = first;
	print->last = last;
	print->done = 0;
	gr_viewer_print(print->viewer, GR_PRINT_ACCEPT, print->document, (uint16_t)first, (uint16_t)last);
	change(print, GR_PRINT_RUNNING);
	return 0;
}

/* What it ends with is known already; the browser's END is awaited. */
static void stop(struct gr_print *print, enum gr_print_outcome outcome)
{
	forget_all(print);
	print->outcome = outcome;
	gr_viewer_print(print->viewer, GR_PRINT_CANCEL, print->document, 0, 0);
	change(print, GR_PRINT_STOPPING);
}

void gr_print_cancel(struct gr_print *print)
{
	if (print->state == GR_PRINT_OFFERED || print->state == GR_PRINT_RUNNING)
		stop(print, GR_PRINTED_NOTHING);
}

/* The decoder, or who took it over, or the broker says what cannot be. */
static void out_of_turn(struct gr_print *print, const char *what)
{
	end(print, GR_PRINT_LOST);
	gr_viewer_end(print->viewer, GR_FAIL_PROTOCOL, 0, what);
}

int gr_print_step(struct gr_print *print)
{
	if (print->state != GR_PRINT_IDLE && (print->viewer->state != GR_VIEWER_SHOWN || print->viewer->decoder < 0))
		end(print, GR_PRINT_LOST);
	if (print->state != GR_PRINT_RUNNING && print->state != GR_PRINT_STOPPING)
		return -1;
	uint64_t now = gr_viewer_now_us();
	if (now < print->due_us)
		return (int)((print->due_us - now) / 1000 + 1);
	if (print->state == GR_PRINT_RUNNING)
		stop(print, GR_PRINT_FAILED);
	else
		out_of_turn(print, "the end of the pages did not come");
	return 0;
}

static void on_offer(struct gr_print *print, const struct gr_record_page *offer)
{
	if (print->state != GR_PRINT_IDLE || !is_permitted(print)) {
		out_of_turn(print, "pages were offered out of turn");
		return;
	}
	print->document = offer->document;
	print->pages = offer->pages;
	print->width = offer->width;
	print->height = offer->height;
	print->more = offer->x;
	print->dpi = offer->y;
	print->outcome = GR_PRINTED_NOTHING;
	change(print, GR_PRINT_OFFERED);
}

static int begin_page(struct gr_print *print, const struct gr_record_page *piece)
{
	print->page.pixels = malloc((size_t)piece->width * piece->height * sizeof(uint32_t));
	if (!print->page.pixels) {
		gr_error_set(&print->err, GR_ENOMEM, "no memory for a page");
		stop(print, GR_PRINT_NO_FILE);
		return 0;
	}
	print->page.width = piece->width;
	print->page.height = piece->height;
	print->page.screen_width = print->viewer->width;
	print->page.screen_height = print->viewer->height;
	return 1;
}

static void copy_piece(struct gr_print *print, const struct gr_record_page *piece)
{
	const struct gr_viewer *viewer = print->viewer;
	size_t width = piece->width - piece->x, height = piece->height - piece->y;
	width = width < viewer->width ? width : viewer->width;
	height = height < viewer->height ? height : viewer->height;
	for (size_t y = 0; y < height; y++)
		memcpy(print->page.pixels + (piece->y + y) * print->page.width + piece->x,
		       viewer->picture + y * GR_PICTURE_STRIDE, width * sizeof(uint32_t));
}

/* Whether the page goes on. */
static int to_next_piece(struct gr_print *print)
{
	unsigned x = (unsigned)print->page.x + print->page.screen_width,
		 y = (unsigned)print->page.y + print->page.screen_height;
	if (x < print->page.width) {
		print->page.x = (uint16_t)x;
		return 1;
	}
	print->page.x = 0;
	print->page.y = (uint16_t)(y < print->page.height ? y : 0);
	return y < print->page.height;
}

static void on_piece(struct gr_print *print, const struct gr_record_page *piece)
{
	struct gr_viewer *viewer = print->viewer;
	if (piece->document == print->document && print->state == GR_PRINT_STOPPING)
		return; /* it has crossed the CANCEL */
	unsigned page = print->first + print->done;
	if (print->state != GR_PRINT_RUNNING || piece->document != print->document || piece->pages != print->pages ||
	    piece->page != page || page > print->last) {
		out_of_turn(print, "a page came that nobody asked for");
		return;
	}
	if (print->page.pixels &&
	    (print->page.screen_width != viewer->width || print->page.screen_height != viewer->height)) {
		/* The screen has another size after all: the page is cut anew. */
		forget_page(print);
	}
	if (piece->x != print->page.x || piece->y != print->page.y ||
	    (print->page.pixels && (piece->width != print->page.width || piece->height != print->page.height))) {
		out_of_turn(print, "a piece of a page came out of turn");
		return;
	}
	if (!print->page.pixels && !begin_page(print, piece))
		return;
	copy_piece(print, piece);
	print->due_us = gr_viewer_now_us() + PIECE_US;
	/* The next one is on its way while this page is compressed. */
	gr_viewer_print(viewer, GR_PRINT_TAKEN, print->document, piece->page, 0);
	if (to_next_piece(print))
		return;
	if (print->mark)
		print->mark(print->mark_context, print->page.pixels, print->page.width, print->page.height, print->dpi);
	int status = gr_pdf_page(print->pdf, print->page.pixels, print->page.width, print->page.width,
				 print->page.height, print->dpi, &print->err);
	forget_page(print);
	if (status) {
		stop(print, GR_PRINT_NO_FILE);
		return;
	}
	print->done++;
	print->changed = 1;
}

static void on_end(struct gr_print *print, const struct gr_record_page *last)
{
	if (print->state == GR_PRINT_IDLE || last->document != print->document) {
		out_of_turn(print, "the end of pages came that were not offered");
		return;
	}
	if (print->state == GR_PRINT_STOPPING) {
		end(print, print->outcome);
	} else if (print->state == GR_PRINT_OFFERED) {
		end(print, last->x == GR_PAGE_CANCELLED ? GR_PRINT_WITHDRAWN
			   : last->x == GR_PAGE_REFUSED ? GR_PRINT_REFUSED
							: GR_PRINT_FAILED);
	} else if (last->x == GR_PAGE_DONE && print->first + print->done == print->last + 1) {
		int status = gr_pdf_finish(print->pdf, &print->err);
		end(print, status ? GR_PRINT_NO_FILE : GR_PRINTED);
	} else {
		end(print, last->x == GR_PAGE_REFUSED ? GR_PRINT_REFUSED : GR_PRINT_FAILED);
	}
}

void gr_print_page(struct gr_print *print, const struct gr_record_page *page)
{
	switch (page->state) {
	case GR_PAGE_OFFER: on_offer(print, page); break;
	case GR_PAGE_PIECE: on_piece(print, page); break;
	default: on_end(print, page); break;
	}
}
