#include "viewer/touch.h"

static const struct gr_touch_act nothing;

static struct gr_touch_act at(enum gr_touch_what what, int x, int y)
{
	return (struct gr_touch_act){ .what = what, .x = x, .y = y };
}

struct gr_touch_act gr_touch_down(struct gr_touch *touch, int64_t finger, int x, int y, uint64_t now_ms)
{
	if (touch->fingers++) {
		int dragged = touch->state == GR_TOUCH_DRAGS;
		touch->state = GR_TOUCH_CALLED_OFF;
		return dragged ? at(GR_TOUCH_RELEASE, touch->x, touch->y) : nothing;
	}
	*touch = (struct gr_touch){ .state = GR_TOUCH_DOWN,
				    .finger = finger,
				    .fingers = 1,
				    .from_x = x,
				    .from_y = y,
				    .x = x,
				    .y = y,
				    .from_ms = now_ms };
	return nothing;
}

static int is_held(const struct gr_touch *touch, uint64_t now_ms)
{
	return now_ms - touch->from_ms >= GR_TOUCH_HOLD_MS;
}

/* The page follows the finger: it moves up when the finger does, which is a notch down. */
static struct gr_touch_act scroll(struct gr_touch *touch, int dx, int dy, int notch)
{
	struct gr_touch_act act = at(GR_TOUCH_WHEEL, touch->from_x, touch->from_y);
	touch->rest_x -= dx;
	touch->rest_y -= dy;
	act.notches_x = touch->rest_x / notch;
	act.notches_y = touch->rest_y / notch;
	touch->rest_x -= act.notches_x * notch;
	touch->rest_y -= act.notches_y * notch;
	return act.notches_x || act.notches_y ? act : nothing;
}

struct gr_touch_act gr_touch_move(struct gr_touch *touch, int64_t finger, int x, int y, uint64_t now_ms, int slop,
				  int notch)
{
	if (finger != touch->finger)
		return nothing;
	int dx = x - touch->x, dy = y - touch->y;
	if (touch->state == GR_TOUCH_DOWN) {
		int far_x = x - touch->from_x, far_y = y - touch->from_y;
		if (far_x * far_x + far_y * far_y <= slop * slop)
			return nothing;
		touch->state = is_held(touch, now_ms) ? GR_TOUCH_DRAGS : GR_TOUCH_SCROLLS;
		if (touch->state == GR_TOUCH_DRAGS) {
			touch->x = x;
			touch->y = y;
			return (struct gr_touch_act){
				.what = GR_TOUCH_PRESS, .x = touch->from_x, .y = touch->from_y, .to_x = x, .to_y = y
			};
		}
	}
	touch->x = x;
	touch->y = y;
	if (touch->state == GR_TOUCH_DRAGS)
		return at(GR_TOUCH_DRAG, x, y);
	return touch->state == GR_TOUCH_SCROLLS ? scroll(touch, dx, dy, notch) : nothing;
}

struct gr_touch_act gr_touch_up(struct gr_touch *touch, int64_t finger, uint64_t now_ms)
{
	struct gr_touch_act act = nothing;
	if (touch->fingers == 0)
		return act;
	touch->fingers--;
	if (finger == touch->finger) {
		if (touch->state == GR_TOUCH_DOWN)
			act = at(is_held(touch, now_ms) ? GR_TOUCH_CONTEXT : GR_TOUCH_CLICK, touch->from_x,
				 touch->from_y);
		else if (touch->state == GR_TOUCH_DRAGS)
			act = at(GR_TOUCH_RELEASE, touch->x, touch->y);
		touch->state = GR_TOUCH_CALLED_OFF;
	}
	if (touch->fingers == 0)
		touch->state = GR_TOUCH_IDLE;
	return act;
}
