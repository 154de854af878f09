/*
 * FramebufferUpdates towards the one viewer of a session: which of our encoder's forms its pictures have, or libvncserver's
 * encodings when none suits, and what goes into one update. This header is the seam between the connection (viewer.h) and
 * both.
 *
 * Nothing here blocks, reads a socket of somebody else, or looks at the container's memory: messages come in whole, bytes
 * go out into a gr_outflow, pixels come from the encoder's shadow. Times are milliseconds of a monotonic clock.
 */
#ifndef GARASU_BROKER_SESSION_UPDATE_H
#define GARASU_BROKER_SESSION_UPDATE_H

#include "broker/encode/encode.h"
#include "broker/guard/messages.h"
#include "broker/session/outflow.h"

struct gr_update;

/*
 * Returns owned; encoder is borrowed and must outlive it. history_log2: the largest history that a viewer may have,
 * GR_ENCODE_HISTORY_MIN..MAX. NULL: out of memory.
 */
struct gr_update *gr_update_create(struct gr_encoder *encoder, unsigned history_log2);
void gr_update_destroy(struct gr_update *update); /* NULL allowed */

/*
 * A viewer comes: writes the ProtocolVersion. out is borrowed until gr_update_close. One at a time: GR_EEXIST otherwise;
 * GR_EIO.
 */
int gr_update_open(struct gr_update *update, struct gr_outflow *out);
/* The viewer is gone, or is not served any more. Harmless without one. */
void gr_update_close(struct gr_update *update);

/*
 * Gives one complete message of the viewer: ProtocolVersion, security type, ClientInit in turn, then SetPixelFormat. The
 * answer is appended to out. GR_EPROTO: the viewer must go.
 */
int gr_update_feed(struct gr_update *update, const void *message, size_t n);
/* SetEncodings, FramebufferUpdateRequest (bytes: the message itself) and EnableContinuousUpdates. As gr_update_feed. */
int gr_update_encodings(struct gr_update *update, const struct gr_viewer_message *encodings);
int gr_update_request(struct gr_update *update, const struct gr_viewer_message *request, const void *bytes);
void gr_update_continuous(struct gr_update *update, const struct gr_viewer_message *continuous);

/* 1 when the viewer has asked for an update and not got it, or wants them continuously. */
int gr_update_waiting(const struct gr_update *update);
/* 1 when gr_update_send has something to send now. */
int gr_update_pending(struct gr_update *update, uint64_t now_ms);
/* 1 when the last one was a slice of a picture whose next slice is pending. */
int gr_update_continues(const struct gr_update *update);
/* Milliseconds until something is pending by the passing of time alone, a refinement; -1: nothing will be. */
int64_t gr_update_pending_in(const struct gr_update *update, uint64_t now_ms);

/* Whether the viewer has yet to be told the present size, and whether a rectangle lies inside that size. */
int gr_update_size_pending(const struct gr_update *update);
int gr_update_shows(const struct gr_update *update, struct gr_rect rect);

/* The encoder took these damaged rectangles. */
void gr_update_changed(struct gr_update *update, const struct gr_rect *damage, size_t n);
/* The encoder has another size: the viewer is told, everything counts as changed. */
void gr_update_resized(struct gr_update *update);
/* Answers a SetDesktopSize: status of ExtendedDesktopSize (0 done, 2 out of resources, 3 invalid layout), with the next update. */
void gr_update_size_answer(struct gr_update *update, int status);

/* The pointer's image: 0x00RRGGBB and mask as gr_agent_cursor_flatten makes them, copied; w = 0: none. GR_ENOMEM. */
int gr_update_cursor(struct gr_update *update, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
		     const uint32_t *colours, const uint8_t *mask);
/* Where the viewer's pointer is: there the person looks, and there it is drawn for viewers that cannot do it themselves. */
void gr_update_pointer(struct gr_update *update, uint16_t x, uint16_t y);
/* Where the text caret is: there the person looks. */
void gr_update_caret(struct gr_update *update, struct gr_rect caret);

/* What may be under way to the viewer: a slice should not be larger. */
void gr_update_window(struct gr_update *update, uint64_t bytes);
/* JPEG qualities (1..100) that suit the viewer's bandwidth; it may have asked for lower ones, or for none at all. */
void gr_update_quality(struct gr_update *update, unsigned photo, unsigned video);

/* Everything exactly from now on, or as the viewer and its bandwidth ask for again (0). */
void gr_update_exact(struct gr_update *update, int on);
/* Whether the viewer was sent all that the screen shows, as our encoder knows it. */
int gr_update_all_sent(const struct gr_update *update, uint64_t now_ms);

/*
 * Sends one update of what is pending into out, or its next slice. *n_out = bytes, 0 when nothing was to be sent. GR_EFULL,
 * GR_ENOMEM: the viewer must go.
 */
int gr_update_send(struct gr_update *update, uint64_t now_ms, size_t *n_out);

#endif
