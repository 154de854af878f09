#include "viewer/reconnect.h"
#include "viewer/platform_process.h"

#include <stdlib.h>
#include <string.h>

static int is_cut(const struct gr_viewer *viewer)
{
	int away = viewer->away.since_us != 0;
	if (!viewer->terms.grace_seconds || (!away && !viewer->first_frame_us))
		return 0;
	switch (viewer->failure) {
	case GR_FAIL_LOST: return 1;
	case GR_FAIL_REASON: /* the broker's side of the connection died, or gave us up; the session lives on */
		return viewer->reason == GR_MESSAGE_INTERNAL || viewer->reason == GR_MESSAGE_VIEWER_LEFT;
	case GR_FAIL_NAME: /* of a try, while the network is away */
	case GR_FAIL_REFUSED:
	case GR_FAIL_UNREACHABLE:
	case GR_FAIL_TIMEOUT:
	case GR_FAIL_NOT_BROKER: return away;
	default: return 0;
	}
}

/* 0.2 s, then twice as long each time, a quarter more or less by chance: not everybody of an office at once. */
static uint64_t pause_us(unsigned tries)
{
	uint64_t ms = tries < 5 ? (uint64_t)GR_RECONNECT_FIRST_MS << tries : GR_RECONNECT_MOST_MS;
	if (ms > GR_RECONNECT_MOST_MS)
		ms = GR_RECONNECT_MOST_MS;
	return ms * 750 + ms * (gr_platform_random() % 501);
}

static void wait_for_next(struct gr_viewer *viewer, uint64_t now)
{
	if (!viewer->away.since_us) {
		viewer->away.since_us = now;
		viewer->away.until_us = now + (uint64_t)viewer->terms.grace_seconds * 1000000u;
		viewer->away.tries = 0;
		viewer->away.text_lost = 0;
	}
	gr_viewer_begin_again(viewer);
	viewer->away.next_us = now + pause_us(viewer->away.tries++);
}

int gr_reconnect_step(struct gr_viewer *viewer, int *wait_ms)
{
	uint64_t now = gr_viewer_awake_us();
	*wait_ms = -1;
	if (viewer->state == GR_VIEWER_ENDED && is_cut(viewer))
		wait_for_next(viewer, now);
	if (!viewer->away.since_us || viewer->state == GR_VIEWER_ENDED)
		return 0;
	if (viewer->state == GR_VIEWER_SHOWN && viewer->full) {
		viewer->away.since_us = viewer->away.next_us = 0;
		viewer->returned++;
		viewer->dirty |= GR_DIRTY_STATE;
		return 0;
	}
	if (viewer->state != GR_VIEWER_CONNECTING)
		return 0; /* the broker is there: a person who enters a code has time for it */
	if (now >= viewer->away.until_us) {
		gr_viewer_end(viewer, GR_FAIL_GRACE_OVER, 0, NULL);
		viewer->away.since_us = 0;
		return 0;
	}
	if (viewer->away.next_us && now >= viewer->away.next_us) {
		viewer->away.next_us = 0;
		return 1;
	}
	uint64_t until = viewer->away.next_us && viewer->away.next_us < viewer->away.until_us ? viewer->away.next_us
											      : viewer->away.until_us;
	*wait_ms = (int)((until - now) / 1000 + 1);
	return 0;
}

void gr_reconnect_now(struct gr_viewer *viewer)
{
	if (viewer->away.since_us && viewer->away.next_us)
		viewer->away.next_us = gr_viewer_awake_us();
}
