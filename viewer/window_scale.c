/* How large all is: the desktop's scale times the zoom, for the viewer's own parts and for the browser; the picture is never stretched. */
#include "viewer/platform.h"
#include "viewer/window_state.h"

#include <stdio.h>

enum { OWN_LEAST = 80, OWN_MOST = 400 }; /* percent: below, nobody can read it */

static const int steps[] = { 50, 67, 75, 80, 90, 100, 110, 125, 150, 175, 200, 250, 300 };
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static int within(int value, int least, int most)
{
	return value < least ? least : value > most ? most : value;
}

int gr_window_own_scale(int desktop, int zoom)
{
	return within(desktop * zoom / 100, OWN_LEAST, OWN_MOST);
}

void gr_window_rescale(struct gr_window *window)
{
	int desktop = window->scale_given ? window->scale_given : gr_platform_scale(window->window);
	int own = gr_window_own_scale(desktop, window->zoom);
	window->browser_scale = within(desktop * window->zoom / 100, GR_BROWSER_SCALE_MIN, GR_BROWSER_SCALE_MAX);
	gr_window_send_scale(window);
	if (own == gr_draw_paint(window->draw)->scale || gr_draw_rescale(window->draw, own))
		return;
	SDL_SetWindowMinimumSize(window->window, 320 * own / 100, 240 * own / 100);
	gr_window_want_area(window); /* bar and border leave another area now */
}

void gr_window_send_scale(struct gr_window *window)
{
	const struct gr_viewer *viewer = window->viewer;
	if (viewer->state < GR_VIEWER_OPEN)
		window->scale_sent = 0; /* another connection is to hear of it again */
	else if (viewer->state != GR_VIEWER_ENDED && window->scale_sent != window->browser_scale)
		gr_viewer_scale(window->viewer, (unsigned)(window->scale_sent = window->browser_scale));
}

void gr_window_zoom(struct gr_window *window, int direction)
{
	int zoom = 100;
	if (direction > 0)
		for (int i = STEPS - 1; i >= 0; i--)
			zoom = steps[i] > window->zoom || i == STEPS - 1 ? steps[i] : zoom;
	else if (direction < 0)
		for (int i = 0; i < STEPS; i++)
			zoom = steps[i] < window->zoom || i == 0 ? steps[i] : zoom;
	window->zoom = zoom;
	gr_window_rescale(window);
	char text[80];
	snprintf(text, sizeof(text), gr_messages_japanese() ? "表示の大きさ: %d%%" : "Zoom: %d%%", zoom);
	gr_window_tell(window, text);
}
