/*
 * A print job, as the viewer sees it: a document of which the browser offers pages, those that the person wants, put together from
 * pieces of the picture into a PDF of images. No window and no drawing: who shows it looks at `state` when `changed` is set.
 *
 *     idle ── OFFER ── offered ── gr_print_accept ── running ── END ── idle
 *                         └────── gr_print_cancel ── stopping ── END ──┘
 */
#ifndef GARASU_VIEWER_PRINT_H
#define GARASU_VIEWER_PRINT_H

#include "viewer/pdf.h"
#include "viewer/viewer.h"

enum gr_print_state {
	GR_PRINT_IDLE,
	GR_PRINT_OFFERED,
	GR_PRINT_RUNNING,
	GR_PRINT_STOPPING, /* END is awaited */
};

/* How the last job ended. */
enum gr_print_outcome {
	GR_PRINTED_NOTHING, /* there was none, or the person did not want it */
	GR_PRINTED, /* `file` is there, with `done` pages */
	GR_PRINT_WITHDRAWN, /* nobody accepted in time */
	GR_PRINT_FAILED, /* in the browser */
	GR_PRINT_REFUSED, /* by the broker */
	GR_PRINT_NO_FILE, /* err says why it cannot be written */
	GR_PRINT_LOST, /* the connection ended */
};

struct gr_print {
	struct gr_viewer *viewer;
	/* Set by the owner, or NULL: lays the watermark over a page. */
	void (*mark)(void *context, uint32_t *pixels, unsigned width, unsigned height, unsigned dpi);
	void *mark_context;

	int changed; /* set when anything below has changed; the owner sets it to 0 */
	enum gr_print_state state;
	enum gr_print_outcome outcome; /* in IDLE */
	struct gr_error err; /* of NO_FILE */
	char file[4096]; /* of the last job that was accepted */
	uint32_t document;
	uint16_t width, height; /* of the first page offered, in pixels */
	unsigned dpi, pages; /* how many may be fetched */
	int more; /* the document has more */
	unsigned first, last; /* of the pages that are fetched */
	unsigned done; /* pages that are in the PDF */

	uint64_t due_us; /* in RUNNING and STOPPING: when the broker must have said something */
	struct gr_pdf *pdf; /* in RUNNING */
	struct {
		uint32_t *pixels; /* NULL between two pages */
		uint16_t width, height;
		uint16_t x, y; /* of the next piece */
		uint16_t screen_width, screen_height; /* into which it is cut */
	} page;
};

/* Begins to listen to what viewer is told of pages. Both are borrowed from each other until gr_print_finish. */
void gr_print_init(struct gr_print *print, struct gr_viewer *viewer);
void gr_print_finish(struct gr_print *print); /* nothing that is not finished stays */

/* Asks the browser to print. Whether it was asked: not so when printing is not permitted, or something is printed already. */
int gr_print_start(struct gr_print *print);

/* In OFFERED: fetches pages first to last (1..pages) into this file. GR_EINVAL, GR_EIO with *err: then it is offered still. */
int gr_print_accept(struct gr_print *print, unsigned first, unsigned last, const char *file, struct gr_error *err);

/* In OFFERED and RUNNING: the person does not want it (any more). No file stays. */
void gr_print_cancel(struct gr_print *print);

/* Call when anything happened: notices that the session is gone, or says nothing any more. Returns ms until the next call is due, or -1. */
int gr_print_step(struct gr_print *print);

/* What gr_viewer.on_page calls. A record that is out of turn ends the session. */
void gr_print_page(struct gr_print *print, const struct gr_record_page *page);

#endif
