/*
 * The connection to the broker's session process: records (common/record.h) in and out, and the memfd that they talk of.
 * Connects, and connects again when it ends. What comes is checked for size, order and geometry here.
 */
#ifndef GARASU_AGENT_LINK_H
#define GARASU_AGENT_LINK_H

#include "common/loop.h"
#include "common/record.h"

#include <stdbool.h>

struct gr_link;

struct gr_link_owner {
	void *context;
	void (*hello)(void *context, const struct gr_record_hello *hello); /* checked; the memory is mapped */
	/* RESIZE, KEY, POINTER, TEXT, PRINT of the right size. Anything but 0 ends the connection. */
	int (*record)(void *context, const union gr_record *untrusted_record);
	bool (*is_full)(void *context); /* reading pauses while it is; gr_link_resume goes on */
	void (*served)(void *context); /* all that was there has been handed over */
	void (*lost)(void *context);
};

/* *owner is copied, path borrowed. Does nothing before gr_link_start. NULL: out of memory. */
struct gr_link *gr_link_create(struct gr_loop *loop, const char *path, const struct gr_link_owner *owner);
void gr_link_destroy(struct gr_link *link); /* NULL allowed */

/* Connects now, and whenever there is no connection, every 200 ms. */
void gr_link_start(struct gr_link *link);
void gr_link_resume(struct gr_link *link);

/* The memory's pixels, cursor area and stride in bytes; NULL while there is no HELLO. */
uint8_t *gr_link_pixels(struct gr_link *link, size_t *stride_out);
uint8_t *gr_link_cursor(struct gr_link *link);

/* Whether a WANT_FRAME is unanswered, so that the memory may be written; *whole_out: it wants everything. */
bool gr_link_is_wanted(const struct gr_link *link, bool *whole_out);
/* Whether records wait because the broker does not read; then nothing that can wait should be sent. */
bool gr_link_is_congested(const struct gr_link *link);

/*
 * Sends a record; FRAME answers the WANT_FRAME. Without HELLO it is dropped. What the socket does not take is queued;
 * a broker that lets the queue fill loses the connection.
 */
void gr_link_send(struct gr_link *link, const union gr_record *record);

#endif
