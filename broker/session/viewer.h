/*
 * One viewer's connection, as the gateway hands it on: RFB in plain over a stream socket. Frames its messages, keeps
 * its output flowing, and has a deadline for everything that it waits for.
 *
 * No function here calls back into the caller but from the event loop; `gone` is the last call for a viewer.
 */
#ifndef GARASU_BROKER_SESSION_VIEWER_H
#define GARASU_BROKER_SESSION_VIEWER_H

#include "broker/guard/messages.h"
#include "broker/ipc/ipc.h"
#include "broker/session/update.h"
#include "common/loop.h"

struct gr_viewer;

struct gr_viewer_events {
	/* The RFB handshake is done. */
	void (*ready)(void *context);
	/* It may be that an update can be sent or should be asked for: a request or an answer came, output has drained, or it is time. */
	void (*pump)(void *context);
	/* KEY, POINTER, DESKTOP_SIZE, TEXT or PRINT. Pausing the viewer here takes effect at once. */
	void (*input)(void *context, const struct gr_viewer_message *message);
	/* n bytes of a CLIPBOARD's text, `left` follow. GR_EPROTO: it must go. */
	int (*clipboard)(void *context, const uint8_t *untrusted, size_t n, size_t left);
	/* It left or had to go (gr_reason); destroy it. After gr_viewer_leave: all is sent, or the time is over. */
	void (*gone)(void *context, struct gr_viewer *viewer, uint32_t reason);
};

/*
 * Takes fd, in error too. out_size: bound of its output in bytes. update, loop, events are borrowed. Opens a viewer at
 * update, which must have none. NULL when the system refuses.
 */
struct gr_viewer *gr_viewer_create(struct gr_loop *loop, struct gr_update *update, size_t out_size, int fd,
				   const struct gr_viewer_events *events, void *context);
void gr_viewer_destroy(struct gr_viewer *viewer); /* NULL allowed */

/*
 * Sends what the viewer waits for, as far as its flow permits (flow.h). 1 when the next change should be fetched now: it could
 * go at once, or it could still become part of a picture of which a slice went. Otherwise `pump` comes when that is so.
 */
int gr_viewer_pump(struct gr_viewer *viewer);

/* Stops and resumes reading from it: the agent does not take more. */
void gr_viewer_pause(struct gr_viewer *viewer, int on);

/* Records of docs/PROTOCOL.md, section 4.2, for a viewer that listed them; nothing otherwise. */
void gr_viewer_caret(struct gr_viewer *viewer, int known, struct gr_rect rect);
void gr_viewer_text_result(struct gr_viewer *viewer, uint32_t sequence, uint32_t status);
/* PAGE, behind what was sent. Whether it knows our records. */
void gr_viewer_page(struct gr_viewer *viewer, const struct gr_record_page *page);
int gr_viewer_knows_records(const struct gr_viewer *viewer);
/* Whether it was taken; otherwise try again at the next `pump`. To be followed by gr_viewer_pump. */
int gr_viewer_clipboard(struct gr_viewer *viewer, const uint8_t *text, size_t n);

/*
 * Its end: takes nothing more from it, closes update's side, sends what is queued and a NOTICE, then says `gone`, with this
 * reason, at the latest after ms.
 */
void gr_viewer_leave(struct gr_viewer *viewer, uint32_t reason, int64_t ms);

/* Bytes to and from the viewer. */
uint64_t gr_viewer_bytes_down(const struct gr_viewer *viewer);
uint64_t gr_viewer_bytes_up(const struct gr_viewer *viewer);

#endif
