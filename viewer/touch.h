/*
 * What a finger on a touch screen means, as people know it from a tablet: a tap is a click, one finger that moves scrolls, one that was
 * held still first is the right button when it is lifted and the left button held when it moves (to mark text, to move a slider).
 * A second finger calls it off. Pure: places and times in, what to do out. A pen comes as a mouse and needs none of this.
 */
#ifndef GARASU_VIEWER_TOUCH_H
#define GARASU_VIEWER_TOUCH_H

#include <stdint.h>

enum { GR_TOUCH_HOLD_MS = 600 };

enum gr_touch_what {
	GR_TOUCH_NOTHING,
	GR_TOUCH_CLICK, /* left button down and up, at x, y */
	GR_TOUCH_CONTEXT, /* right button down and up */
	GR_TOUCH_PRESS, /* left button down at x, y and from there to to_x, to_y */
	GR_TOUCH_DRAG, /* still held, now at x, y */
	GR_TOUCH_RELEASE, /* left button up at x, y */
	GR_TOUCH_WHEEL, /* at x, y, where the finger began; notches_x to the right and notches_y down, both may be negative */
};

struct gr_touch_act {
	enum gr_touch_what what;
	int x, y, to_x, to_y, notches_x, notches_y;
};

struct gr_touch {
	enum { GR_TOUCH_IDLE, GR_TOUCH_DOWN, GR_TOUCH_SCROLLS, GR_TOUCH_DRAGS, GR_TOUCH_CALLED_OFF } state;
	int64_t finger; /* that began; others are only counted */
	int fingers;
	int from_x, from_y, x, y;
	int rest_x, rest_y; /* pixels that are no notch yet */
	uint64_t from_ms;
};

/* slop: so far a finger that is held still may wander; notch: pixels that a notch of the wheel moves a page by. */
struct gr_touch_act gr_touch_down(struct gr_touch *touch, int64_t finger, int x, int y, uint64_t now_ms);
struct gr_touch_act gr_touch_move(struct gr_touch *touch, int64_t finger, int x, int y, uint64_t now_ms, int slop,
				  int notch);
struct gr_touch_act gr_touch_up(struct gr_touch *touch, int64_t finger, uint64_t now_ms);

#endif
