/*
 * RFB towards the one viewer of a session: the handshake and FramebufferUpdates. This header is the seam: today
 * update_libvncserver.c stands behind it, whose own Tight encoder carries the pixels; the encoder of broker/encode/ takes
 * their place behind the same functions.
 *
 * Nothing here blocks, reads a socket of somebody else, or looks at the container's memory: messages come in whole, bytes
 * go out into a gr_outflow, pixels come from the shadow.
 */
#ifndef GARASU_BROKER_SESSION_UPDATE_H
#define GARASU_BROKER_SESSION_UPDATE_H

#include "broker/encode/shadow.h"
#include "broker/session/outflow.h"
#include "common/record.h"

struct gr_update;

/* Returns owned; shadow is borrowed and must outlive it. NULL: out of memory. */
struct gr_update *gr_update_create(struct gr_shadow *shadow);
void gr_update_destroy(struct gr_update *update); /* NULL allowed */

/*
 * A viewer comes: writes the ProtocolVersion. out is borrowed until gr_update_close. One at a time: GR_EEXIST otherwise;
 * GR_EIO.
 */
int gr_update_open(struct gr_update *update, struct gr_outflow *out);
/* The viewer is gone, or is not served any more. Harmless without one. */
void gr_update_close(struct gr_update *update);

/*
 * Gives one complete message of the viewer: ProtocolVersion, security type, ClientInit in turn, then SetPixelFormat,
 * SetEncodings or FramebufferUpdateRequest that gr_viewer_message_parse accepted. The answer is appended to out.
 * GR_EPROTO: the viewer must go.
 */
int gr_update_feed(struct gr_update *update, const void *message, size_t n);

/* 1 when the viewer has asked for an update and not got it. */
int gr_update_waiting(const struct gr_update *update);

/* Whether the viewer has yet to be told the present size, and whether a rectangle lies inside that size. */
int gr_update_size_pending(const struct gr_update *update);
int gr_update_shows(const struct gr_update *update, struct gr_rect rect);

/* The shadow changed in these rectangles. */
void gr_update_changed(struct gr_update *update, const struct gr_rect *rects, size_t n);
/* The shadow has another size: the viewer is told, everything counts as changed. */
void gr_update_resized(struct gr_update *update);
/* Answers a SetDesktopSize: status of ExtendedDesktopSize (0 done, 2 out of resources, 3 invalid layout), with the next update. */
void gr_update_size_answer(struct gr_update *update, int status);

/* The pointer's image: 0x00RRGGBB and mask as gr_agent_cursor_flatten makes them, copied; w = 0: none. GR_ENOMEM. */
int gr_update_cursor(struct gr_update *update, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
		     const uint32_t *colours, const uint8_t *mask);
/* Where the viewer's pointer is, for viewers that have it drawn into the picture. */
void gr_update_pointer(struct gr_update *update, uint16_t x, uint16_t y);

/*
 * Sends what the viewer waits for, if there is something: encodes it into out. *n_out = bytes, 0 when nothing was to be
 * sent. GR_EFULL, GR_ENOMEM: the viewer must go.
 */
int gr_update_send(struct gr_update *update, size_t *n_out);

#endif
