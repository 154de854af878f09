#include "sandbox/agent/randr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/randr.h>

enum {
	RATE = 60, /* Hz; Chromium paints at the rate that the mode claims */
	DPI = 96,
};

int gr_randr_init(struct gr_display *d, struct gr_error *err)
{
	const xcb_query_extension_reply_t *randr = xcb_get_extension_data(d->x, &xcb_randr_id);
	if (!randr || !randr->present)
		return gr_error_set(err, GR_EIO, "the X server lacks RANDR");
	free(xcb_randr_query_version_reply(d->x, xcb_randr_query_version(d->x, 1, 4), NULL));
	xcb_randr_get_screen_resources_current_reply_t *resources = xcb_randr_get_screen_resources_current_reply(
		d->x, xcb_randr_get_screen_resources_current(d->x, d->root), NULL);
	if (resources && resources->num_outputs > 0 && resources->num_crtcs > 0) {
		d->output = xcb_randr_get_screen_resources_current_outputs(resources)[0];
		d->crtc = xcb_randr_get_screen_resources_current_crtcs(resources)[0];
	}
	free(resources);
	return d->output ? 0 : gr_error_set(err, GR_EIO, "the X server has no RandR output");
}

static uint32_t make_mode(struct gr_display *d, uint16_t w, uint16_t h)
{
	char name[40];
	int length = snprintf(name, sizeof(name), "garasu-%ux%u-%u", w, h, d->modes++);
	xcb_randr_mode_info_t info = {
		.width = w,
		.height = h,
		.dot_clock = (uint32_t)w * h * RATE,
		.hsync_start = w,
		.hsync_end = w,
		.htotal = w,
		.vsync_start = h,
		.vsync_end = h,
		.vtotal = h,
		.name_len = (uint16_t)length,
	};
	xcb_randr_create_mode_reply_t *reply = xcb_randr_create_mode_reply(
		d->x, xcb_randr_create_mode(d->x, d->root, info, (uint32_t)length, name), NULL);
	uint32_t mode = reply ? reply->mode : 0;
	free(reply);
	if (mode)
		xcb_randr_add_output_mode(d->x, d->output, mode);
	return mode;
}

static void forget_mode(struct gr_display *d, uint32_t mode)
{
	if (!mode)
		return;
	xcb_randr_delete_output_mode(d->x, d->output, mode);
	xcb_randr_destroy_mode(d->x, mode);
}

static bool set_crtc(struct gr_display *d, uint32_t mode)
{
	xcb_randr_set_crtc_config_reply_t *reply = xcb_randr_set_crtc_config_reply(
		d->x,
		xcb_randr_set_crtc_config(d->x, d->crtc, XCB_CURRENT_TIME, XCB_CURRENT_TIME, 0, 0, mode,
					  XCB_RANDR_ROTATION_ROTATE_0, mode ? 1 : 0, &d->output),
		NULL);
	bool done = reply && reply->status == XCB_RANDR_SET_CONFIG_SUCCESS;
	free(reply);
	return done;
}

static bool set_screen(struct gr_display *d, uint16_t w, uint16_t h)
{
	uint32_t mm_w = (w * 254u + DPI * 5u) / (DPI * 10u), mm_h = (h * 254u + DPI * 5u) / (DPI * 10u);
	xcb_generic_error_t *refused = xcb_request_check(
		d->x, xcb_randr_set_screen_size_checked(d->x, d->root, w, h, mm_w ? mm_w : 1, mm_h ? mm_h : 1));
	bool done = !refused;
	free(refused);
	return done;
}

int gr_randr_resize(struct gr_display *d, uint16_t w, uint16_t h)
{
	if (w == d->w && h == d->h)
		return 0;
	uint32_t mode = make_mode(d, w, h);
	if (!mode)
		return GR_EIO;
	uint16_t old_w = d->w, old_h = d->h;
	/* The CRTC must lie inside the screen at every moment: the screen grows before it and shrinks after it. Grabbed, so
	   that no other client sees a state in between. */
	uint16_t both_w = w > old_w ? w : old_w, both_h = h > old_h ? h : old_h;
	xcb_grab_server(d->x);
	bool done = ((both_w == old_w && both_h == old_h) || set_screen(d, both_w, both_h)) && set_crtc(d, mode) &&
		    ((both_w == w && both_h == h) || set_screen(d, w, h));
	if (!done && d->mode) {
		set_crtc(d, d->mode);
		set_screen(d, old_w, old_h);
	}
	xcb_ungrab_server(d->x);
	forget_mode(d, done ? d->mode : mode);
	if (!done)
		return GR_EIO;
	d->mode = mode;
	d->w = w;
	d->h = h;
	return 0;
}
