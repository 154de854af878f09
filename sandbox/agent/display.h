/*
 * The container's X server, as a client of it sees it: what was damaged, the pixels, the cursor's image, the windows.
 * Requests that need an answer wait for it: the X server is a child in the same container that answers in well below a
 * millisecond; one that hangs hangs the container, which the broker ends.
 *
 * Single-threaded. After any call the X connection may have read events that its descriptor no longer announces:
 * call gr_display_dispatch, until it finds nothing, before going back to waiting.
 */
#ifndef GARASU_AGENT_DISPLAY_H
#define GARASU_AGENT_DISPLAY_H

#include "common/error.h"
#include "sandbox/agent/keymap.h"
#include "sandbox/agent/tiles.h"

#include <stdbool.h>
#include <xcb/damage.h>
#include <xcb/xcb.h>

/* What happened since the owner looked last; the owner clears what it has dealt with. */
struct gr_display_news {
	bool damaged; /* pixels may have changed. Stays set, and silent, until gr_display_capture has looked */
	bool cursor; /* another cursor image is shown */
	bool manager; /* the window manager has announced itself */
	bool clients; /* the window manager's list of clients changed */
	bool keymap; /* the keyboard map changed */
};

struct gr_display {
	xcb_connection_t *x; /* owned */
	xcb_window_t root;
	uint16_t max_w, max_h; /* the screen that the X server was started with */
	uint16_t w, h; /* the present size */
	struct gr_display_news news;
	void (*event)(void *context, const xcb_generic_event_t *event); /* sees all events too; NULL: nobody wants to */
	void *event_context;

	/* Private from here on. */
	struct gr_tiles *tiles;
	uint8_t *shm; /* max_w * max_h pixels, shared with the X server */
	size_t shm_size;
	uint32_t segment;
	xcb_damage_damage_t damage;
	uint32_t region; /* XFixes region that takes the damage */
	uint8_t damage_event, fixes_event;
	xcb_atom_t net_client_list, net_manager;
	uint32_t output, crtc, mode; /* RandR; mode 0: the one the server was started with */
	unsigned modes; /* made so far: their names differ */
};

/*
 * Connects to the server named by $DISPLAY and prepares everything. GR_EIO with what is missing; then nothing is held.
 */
int gr_display_init(struct gr_display *display, struct gr_error *err);
void gr_display_finish(struct gr_display *display);

int gr_display_fd(const struct gr_display *display);

/* Sends what is buffered and takes the events that are there into news. Returns their number, or GR_ECLOSED: the server is gone. */
int gr_display_dispatch(struct gr_display *display);

/*
 * Sets the screen to w by h (within GR_SCREEN_MIN and the maximum) by RandR. Afterwards the whole screen counts as
 * damaged. GR_EINVAL, GR_EIO; the size is then as it was.
 */
int gr_display_resize(struct gr_display *display, uint16_t w, uint16_t h);

/*
 * Fetches what was damaged since the last call, compares it with target (borrowed; rows of target_stride bytes, large
 * enough for the present screen) and copies what differs into it. With whole the full screen is copied and reported.
 * Returns the number of rectangles in out (0: nothing really changed), or GR_ECLOSED.
 */
int gr_display_capture(struct gr_display *display, uint8_t *target, size_t target_stride, bool whole,
		       struct gr_rect out[GR_FRAME_RECTS_MAX]);

/*
 * The cursor's image into target: GR_CURSOR_MAX rows of GR_CURSOR_MAX BGRA pixels, alpha premultiplied; larger ones are
 * cut off around the hot spot. GR_ECLOSED.
 */
int gr_display_cursor(struct gr_display *display, uint8_t *target, struct gr_record_cursor *out);

/* The number of windows that the window manager looks after. */
unsigned gr_display_clients(struct gr_display *display);

/* Whether the screen shows a picture (several colours) rather than an empty window; forgets the damage so far. */
bool gr_display_is_painted(struct gr_display *display);

/* Reads the keyboard map. GR_ECLOSED. */
int gr_display_keymap(struct gr_display *display, struct gr_keymap *out);

#endif
