/*
 * RFB towards the one viewer of a session, by libvncserver: the handshake, the viewer's pixel format and encodings, the
 * pseudo-rectangles of the pointer and of the screen's size, and whole pictures for viewers that our own encoder does not
 * suit. It is used as a codec: it never sees the viewer's socket, messages come in whole, bytes go into a gr_outflow, pixels
 * come from the encoder's shadow. It listens nowhere, and has neither threads nor an event loop here.
 */
#ifndef GARASU_BROKER_SESSION_RFB_SERVER_H
#define GARASU_BROKER_SESSION_RFB_SERVER_H

#include "broker/encode/encode.h"
#include "broker/session/outflow.h"

struct gr_rfb_server;

/* Returns owned; encoder is borrowed for its shadow. NULL: out of memory. */
struct gr_rfb_server *gr_rfb_server_create(struct gr_encoder *encoder);
void gr_rfb_server_destroy(struct gr_rfb_server *server); /* NULL allowed */

/* As gr_update_open and _close. */
int gr_rfb_server_open(struct gr_rfb_server *server, struct gr_outflow *out);
void gr_rfb_server_close(struct gr_rfb_server *server);

/*
 * Gives one complete message of the viewer: ProtocolVersion, security type, ClientInit in turn, then SetPixelFormat,
 * SetEncodings or FramebufferUpdateRequest that gr_viewer_message_parse accepted. The answer is appended to the outflow.
 * GR_EPROTO: the viewer must go.
 */
int gr_rfb_server_feed(struct gr_rfb_server *server, const void *message, size_t n);

/* What the viewer has asked for and not got: is there anything, is it the whole screen; add to it (clipped), forget it. */
int gr_rfb_server_requested(const struct gr_rfb_server *server);
int gr_rfb_server_requested_whole(const struct gr_rfb_server *server);
void gr_rfb_server_request(struct gr_rfb_server *server, struct gr_rect rect);
void gr_rfb_server_answered(struct gr_rfb_server *server);

/*
 * Whether pictures of our own encoder suit the viewer: it shows the pointer itself, follows a change of the screen's size,
 * and its pixels have 8 bits of each colour in 32.
 */
int gr_rfb_server_suits(const struct gr_rfb_server *server);

/* The viewer has yet to be told the present size. */
int gr_rfb_server_size_pending(const struct gr_rfb_server *server);
uint16_t gr_rfb_server_width(const struct gr_rfb_server *server);
uint16_t gr_rfb_server_height(const struct gr_rfb_server *server);

/* As the functions of the same names in update.h. */
void gr_rfb_server_changed(struct gr_rfb_server *server, const struct gr_rect *rects, size_t n);
void gr_rfb_server_resized(struct gr_rfb_server *server);
void gr_rfb_server_size_answer(struct gr_rfb_server *server, int status);
int gr_rfb_server_cursor(struct gr_rfb_server *server, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
			 const uint32_t *colours, const uint8_t *mask);
void gr_rfb_server_pointer(struct gr_rfb_server *server, uint16_t x, uint16_t y);

/* The pixels are somebody else's business: what changed until now is not sent from here. */
void gr_rfb_server_unchanged(struct gr_rfb_server *server);
/* There is something to send: a pseudo-rectangle, or pixels that changed. */
int gr_rfb_server_pending(const struct gr_rfb_server *server);
/*
 * Sends what is pending of what was requested: pixels count as answering. *n_out = bytes, 0 when nothing was to be sent.
 * GR_EFULL, GR_ENOMEM: the viewer must go.
 */
int gr_rfb_server_send(struct gr_rfb_server *server, size_t *n_out);

#endif
