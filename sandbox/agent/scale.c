#include "sandbox/agent/scale.h"

#include <stdlib.h>
#include <string.h>

#define NAME "Xft/DPI" /* in 1024ths */
enum { DPI = 96, NARROWEST = 500 /* of Chromium's window, in its own pixels */ };

/* The property: a header, and one setting that is a number. The server is of this machine's byte order. */
struct property {
	uint8_t order, unused[3];
	uint32_t serial, count;
	uint8_t type, unused_too;
	uint16_t name_length;
	char name[8];
	uint32_t last_change;
	int32_t value;
};
_Static_assert(sizeof(struct property) == 32, "no padding");

static xcb_atom_t atom(xcb_connection_t *x, const char *name)
{
	xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(x, xcb_intern_atom(x, 0, (uint16_t)strlen(name), name),
							       NULL);
	xcb_atom_t value = reply ? reply->atom : XCB_ATOM_NONE;
	free(reply);
	return value;
}

static void announce(struct gr_scale *scale, uint32_t percent)
{
	struct property property = {
		.order = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
		.serial = ++scale->serial,
		.count = 1,
		.name_length = sizeof(NAME) - 1,
		.name = NAME,
		.last_change = scale->serial,
		.value = (int32_t)((DPI * 1024 * percent + 50) / 100),
	};
	scale->percent = percent;
	xcb_change_property(scale->x, XCB_PROP_MODE_REPLACE, scale->window, scale->settings, scale->settings, 8,
			    sizeof(property), &property);
	xcb_flush(scale->x);
}

int gr_scale_init(struct gr_scale *scale, xcb_connection_t *x, xcb_window_t root, struct gr_error *err)
{
	xcb_atom_t selection = atom(x, "_XSETTINGS_S0"), manager = atom(x, "MANAGER");
	*scale = (struct gr_scale){ .x = x, .window = xcb_generate_id(x), .settings = atom(x, "_XSETTINGS_SETTINGS") };
	if (!selection || !manager || !scale->settings)
		return gr_error_set(err, GR_EIO, "the X server does not answer");
	xcb_create_window(x, 0, scale->window, root, -1, -1, 1, 1, 0, XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT,
			  0, NULL);
	scale->wanted = 100;
	announce(scale, 100);
	xcb_set_selection_owner(x, scale->window, selection, XCB_CURRENT_TIME);
	xcb_client_message_event_t news = { .response_type = XCB_CLIENT_MESSAGE,
					    .format = 32,
					    .window = root,
					    .type = manager,
					    .data.data32 = { XCB_CURRENT_TIME, selection, scale->window } };
	xcb_send_event(x, 0, root, XCB_EVENT_MASK_STRUCTURE_NOTIFY, (const char *)&news);
	xcb_flush(x);
	return 0;
}

void gr_scale_follow(struct gr_scale *scale, uint16_t width)
{
	uint32_t most = (uint32_t)width * 100 / NARROWEST, percent = scale->wanted;
	/* A window wider than the screen stays so when the scale is small again: that is never let happen. */
	if (percent > most)
		percent = most < 100 ? 100 : most;
	if (percent > scale->wanted)
		percent = scale->wanted;
	if (percent != scale->percent)
		announce(scale, percent);
}

int gr_scale_set(struct gr_scale *scale, uint32_t percent, uint16_t width)
{
	if (percent < GR_BROWSER_SCALE_MIN || percent > GR_BROWSER_SCALE_MAX)
		return GR_EINVAL;
	scale->wanted = percent;
	gr_scale_follow(scale, width);
	return 0;
}
