/*
 * The session's side of the connection to the container's agent (common/record.h): the sealed memfd, the records, and
 * what is outstanding. Everything that comes is checked by agent_records.h before it is seen here.
 *
 * `lost` comes from the event loop, never from inside a call of the session's; the others from the loop too.
 */
#ifndef GARASU_BROKER_SESSION_AGENT_H
#define GARASU_BROKER_SESSION_AGENT_H

#include "common/error.h"
#include "common/loop.h"
#include "common/record.h"

struct gr_agent;

struct gr_agent_events {
	/* It answered HELLO; w, h: the screen's present size. Nothing is outstanding. */
	void (*ready)(void *context, uint16_t w, uint16_t h);
	/* The answer to gr_agent_want. frame->rects are inside the present size; count can be 0. */
	void (*frame)(void *context, const struct gr_record_frame *frame);
	/* As gr_update_cursor. w = 0: none. */
	void (*cursor)(void *context, const struct gr_record_cursor *cursor, const uint32_t *colours,
		       const uint8_t *mask);
	/* The answer to gr_agent_resize: the size that the screen now has. */
	void (*resized)(void *context, uint16_t w, uint16_t h);
	void (*caret)(void *context, const struct gr_record_caret *caret);
	void (*text_result)(void *context, const struct gr_record_text_result *result);
	/* A piece of what the browser has copied. Not 0: it does not fit to the one before, the agent is lost. */
	int (*clipboard)(void *context, const struct gr_record_clipboard *clipboard);
	void (*page)(void *context, const struct gr_record_page *page);
	/* It takes records again after gr_agent_send returned GR_EAGAIN. */
	void (*writable)(void *context);
	/* The connection is over. violation: what it did against the protocol, or for too long did not do (borrowed); NULL when it just ended. */
	void (*lost)(void *context, const char *violation);
};

/* Makes and seals the memfd for this geometry and maps it read-only. Returns owned, or NULL with *err. */
struct gr_agent *gr_agent_create(struct gr_loop *loop, uint16_t max_width, uint16_t max_height,
				 const struct gr_agent_events *events, void *context, struct gr_error *err);
void gr_agent_destroy(struct gr_agent *agent); /* NULL allowed */

/*
 * A connection of the agent (taken): says HELLO. An earlier one is closed. flags: gr_hello_flags; pages, dpi: with PRINTING, otherwise 0.
 */
void gr_agent_connect(struct gr_agent *agent, int fd, uint32_t flags, unsigned pages, unsigned dpi);

/* It has done what its caller knows to be against the protocol: `lost` follows. violation: borrowed, a literal. */
void gr_agent_violated(struct gr_agent *agent, const char *violation);

/* It draws pages and not the screen (on), which may take longer than the answer for a whole screen. */
void gr_agent_draws_pages(struct gr_agent *agent, int on);

/* Whether it has answered HELLO and is still there. */
int gr_agent_ready(const struct gr_agent *agent);

/* Asks for a frame unless one is asked for; whole: everything, at once (with the next request if one is outstanding). */
void gr_agent_want(struct gr_agent *agent, int whole);

/* Asks for a size (inside the geometry); while an answer is outstanding the newest is kept and asked for after it. */
void gr_agent_resize(struct gr_agent *agent, uint16_t w, uint16_t h);

/* Whether a RESIZE is unanswered. */
int gr_agent_resizing(const struct gr_agent *agent);

/*
 * Sends KEY, POINTER, TEXT, SET_CLIPBOARD or PRINT. GR_EAGAIN: taken, but send no more until `writable`. GR_ECLOSED: not there, dropped.
 * GR_EFULL: dropped, because somebody did not heed GR_EAGAIN for long.
 */
int gr_agent_send(struct gr_agent *agent, const union gr_record *record);

/* The memfd's pixels, written by the container at any time; stride in bytes. */
const uint8_t *gr_agent_untrusted_pixels(const struct gr_agent *agent);
size_t gr_agent_stride(const struct gr_agent *agent);

#endif
