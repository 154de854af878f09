#include "broker/session/print.h"
#include "common/error.h"

#include <string.h>

void gr_print_init(struct gr_print *p, unsigned pages_max)
{
	memset(p, 0, sizeof(*p));
	p->pages_max = pages_max;
}

static int order(struct gr_print *p, uint32_t action, uint16_t first, uint16_t last)
{
	p->order = (struct gr_record_print){ .type = GR_RECORD_PRINT,
					     .action = action,
					     .document = action == GR_PRINT_START ? 0 : p->document,
					     .first = first,
					     .last = last };
	return GR_PRINT_DO_ORDER;
}

static int tell_end(struct gr_print *p, uint16_t why)
{
	p->told = (struct gr_record_page){ .type = GR_RECORD_PAGE,
					   .state = GR_PAGE_END,
					   .document = p->document,
					   .page = (uint16_t)p->whole,
					   .x = why };
	return GR_PRINT_DO_TELL;
}

/* The supervisor's record has a beginning: here is the end. Once. */
static int ended(struct gr_print *p, uint32_t why)
{
	if (!p->recorded)
		return 0;
	p->recorded = 0;
	p->ended.document = p->document;
	p->ended.reason = why;
	p->ended.whole = p->whole;
	p->ended.part = p->part;
	return GR_PRINT_DO_ENDED;
}

static int stop(struct gr_print *p, int tell)
{
	p->state = GR_PRINT_STOPPING;
	p->piece = GR_PIECE_NONE;
	p->tell_end = tell;
	return order(p, GR_PRINT_CANCEL, 0, 0);
}

/* ---- the agent ---- */

static int take_offer(struct gr_print *p, const struct gr_record_page *page, int listens)
{
	if (p->state != GR_PRINT_NONE || page->document <= p->document || page->pages > p->pages_max)
		return GR_EPROTO;
	p->document = page->document;
	p->offer = *page;
	p->whole = 0;
	p->part = p->recorded = 0;
	p->piece = GR_PIECE_NONE;
	if (!listens)
		return stop(p, 0);
	p->state = GR_PRINT_OFFERED;
	p->told = *page;
	return GR_PRINT_DO_TELL;
}

/* In their order, so that there is an end to them. */
static int take_piece(struct gr_print *p, const struct gr_record_page *page)
{
	if (page->document != p->document || page->pages != p->offer.pages)
		return GR_EPROTO;
	if (p->state == GR_PRINT_STOPPING)
		return 0; /* it crossed our CANCEL */
	if (p->state != GR_PRINT_RUNNING || p->piece != GR_PIECE_NONE || page->x != p->next_x || page->y != p->next_y)
		return GR_EPROTO;
	if (page->page != p->first + p->whole || page->page > p->last)
		return GR_EPROTO;
	p->at = *page;
	p->piece = GR_PIECE_ANNOUNCED;
	return 0;
}

static int take_end(struct gr_print *p, const struct gr_record_page *page)
{
	if (p->state == GR_PRINT_NONE || page->document != p->document)
		return GR_EPROTO;
	int tell = p->state != GR_PRINT_STOPPING || p->tell_end, result = ended(p, page->x);
	p->state = GR_PRINT_NONE;
	p->piece = GR_PIECE_NONE;
	/* How many pages there are is what we know, not what it says. */
	return result | (tell ? tell_end(p, page->x) : 0);
}

int gr_print_page(struct gr_print *p, const struct gr_record_page *page, int listens)
{
	if (!p->pages_max)
		return GR_EPROTO;
	switch (page->state) {
	case GR_PAGE_OFFER: return take_offer(p, page, listens);
	case GR_PAGE_PIECE: return take_piece(p, page);
	default: return take_end(p, page);
	}
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

int gr_print_frame(struct gr_print *p, const struct gr_record_frame *frame, uint16_t w, uint16_t h)
{
	const struct gr_rect *r = frame->rects;
	if (p->piece != GR_PIECE_ANNOUNCED)
		return 0;
	if (frame->count != 1 || r->x || r->y || r->w != least(w, (unsigned)p->at.width - p->at.x) ||
	    r->h != least(h, (unsigned)p->at.height - p->at.y))
		return GR_EPROTO;
	p->piece = GR_PIECE_PAINTING;
	p->part = 1;
	return 0;
}

int gr_print_agent_gone(struct gr_print *p)
{
	int tell = p->state != GR_PRINT_NONE && (p->state != GR_PRINT_STOPPING || p->tell_end);
	int result = ended(p, GR_PAGE_FAILED);
	p->state = GR_PRINT_NONE;
	p->piece = GR_PIECE_NONE;
	return result | (tell ? tell_end(p, GR_PAGE_FAILED) : 0);
}

/* ---- the viewer ---- */

int gr_print_painted(struct gr_print *p)
{
	if (p->piece != GR_PIECE_PAINTING)
		return 0;
	p->piece = GR_PIECE_SENT;
	p->told = p->at;
	return GR_PRINT_DO_TELL;
}

static int accept(struct gr_print *p, uint16_t first, uint16_t last)
{
	/* One answer at a time: what was asked for an earlier one may still be on its way. */
	if (p->state != GR_PRINT_OFFERED || p->asked || !first || first > last || last > p->offer.pages)
		return 0;
	p->first = first;
	p->last = last;
	p->state = GR_PRINT_ASKED;
	p->asked = p->document;
	return GR_PRINT_DO_ASK;
}

/* The piece that the viewer was sent is its own now. */
static int taken(struct gr_print *p, uint16_t page, uint16_t w, uint16_t h)
{
	if (p->piece != GR_PIECE_SENT || page != p->at.page)
		return 0;
	p->piece = GR_PIECE_NONE;
	if (p->at.width - p->at.x > w) {
		p->next_x = (uint16_t)(p->at.x + w);
	} else if (p->at.height - p->at.y > h) {
		p->next_x = 0;
		p->next_y = (uint16_t)(p->at.y + h);
	} else {
		p->next_x = p->next_y = 0;
		p->whole++;
		p->part = 0;
	}
	return order(p, GR_PRINT_TAKEN, page, 0);
}

int gr_print_order(struct gr_print *p, const struct gr_viewer_message *m, uint16_t w, uint16_t h)
{
	if (!p->pages_max)
		return 0;
	if (m->print.action == GR_PRINT_START)
		return p->state == GR_PRINT_NONE ? order(p, GR_PRINT_START, 0, 0) : 0;
	if (m->print.document != p->document)
		return 0;
	switch (m->print.action) {
	case GR_PRINT_ACCEPT: return accept(p, m->print.first, m->print.last);
	case GR_PRINT_TAKEN: return taken(p, m->print.first, w, h);
	default: return p->state >= GR_PRINT_OFFERED && p->state < GR_PRINT_STOPPING ? stop(p, 1) : 0;
	}
}

int gr_print_answered(struct gr_print *p, uint32_t document, int recorded)
{
	if (!p->asked || document != p->asked)
		return 0;
	p->asked = 0;
	if (document != p->document || p->state != GR_PRINT_ASKED) {
		/* It ended meanwhile: nothing of it has crossed. */
		if (!recorded)
			return 0;
		p->ended.document = document;
		p->ended.reason = GR_PAGE_CANCELLED;
		p->ended.whole = 0;
		p->ended.part = 0;
		return GR_PRINT_DO_ENDED;
	}
	if (!recorded)
		return tell_end(p, GR_PAGE_REFUSED) | stop(p, 0);
	p->recorded = 1;
	p->next_x = p->next_y = 0;
	p->state = GR_PRINT_RUNNING;
	return order(p, GR_PRINT_ACCEPT, p->first, p->last);
}

void gr_print_resized(struct gr_print *p)
{
	p->piece = GR_PIECE_NONE;
	p->next_x = p->next_y = 0;
}

int gr_print_viewer_gone(struct gr_print *p)
{
	if (p->state == GR_PRINT_NONE)
		return 0;
	int result = ended(p, GR_PAGE_CANCELLED);
	if (p->state == GR_PRINT_STOPPING) {
		p->tell_end = 0;
		return result;
	}
	return result | stop(p, 0);
}
