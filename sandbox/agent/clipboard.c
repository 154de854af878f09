#include "sandbox/agent/clipboard.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xfixes.h>

struct text {
	uint32_t length, left; /* left: of the broker's, still to come; of ours, still to be sent */
	uint8_t bytes[GR_CLIPBOARD_MAX];
};

struct gr_clipboard {
	struct gr_display *display;
	xcb_connection_t *x;
	xcb_window_t window; /* ours: owner and requestor */
	xcb_atom_t clipboard, targets, utf8, plain, property;
	bool watching;
	bool again; /* the browser has copied something while the one before was being sent */
	struct text coming, owned, copied;
};

static xcb_atom_t atom(xcb_connection_t *x, const char *name)
{
	xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(x, xcb_intern_atom(x, 0, (uint16_t)strlen(name), name),
							       NULL);
	xcb_atom_t value = reply ? reply->atom : XCB_ATOM_NONE;
	free(reply);
	return value;
}

/* ---- the browser pastes ---- */

static void answer(struct gr_clipboard *c, const xcb_selection_request_event_t *request)
{
	/* Of a client of before ICCCM 2. */
	xcb_atom_t property = request->property ? request->property : request->target;
	union {
		xcb_selection_notify_event_t notify;
		char bytes[32];
	} event = { .notify = { .response_type = XCB_SELECTION_NOTIFY,
				.time = request->time,
				.requestor = request->requestor,
				.selection = request->selection,
				.target = request->target } };
	if (request->selection == c->clipboard && c->owned.length) {
		const xcb_atom_t targets[] = { c->targets, c->utf8, c->plain };
		if (request->target == c->targets) {
			xcb_change_property(c->x, XCB_PROP_MODE_REPLACE, request->requestor, property, XCB_ATOM_ATOM,
					    32, sizeof(targets) / sizeof(targets[0]), targets);
			event.notify.property = property;
		} else if (request->target == c->utf8 || request->target == c->plain) {
			/* One request can always carry it: the protocol's shortest maximum is four times as long. */
			xcb_change_property(c->x, XCB_PROP_MODE_REPLACE, request->requestor, property, request->target,
					    8, c->owned.length, c->owned.bytes);
			event.notify.property = property;
		}
	}
	xcb_send_event(c->x, 0, request->requestor, 0, event.bytes);
}

void gr_clipboard_set(struct gr_clipboard *c, const uint8_t *text, uint32_t n)
{
	memcpy(c->owned.bytes, text, n);
	c->owned.length = n;
	xcb_set_selection_owner(c->x, c->window, c->clipboard, XCB_CURRENT_TIME);
}

/* ---- the browser copies ---- */

static void fetch(struct gr_clipboard *c, xcb_timestamp_t time)
{
	xcb_convert_selection(c->x, c->window, c->clipboard, c->utf8, c->property, time);
}

static void owner_changed(struct gr_clipboard *c, const xcb_xfixes_selection_notify_event_t *event)
{
	if (event->selection != c->clipboard || event->owner == c->window)
		return;
	c->owned.length = 0;
	if (event->owner && c->watching)
		fetch(c, event->selection_timestamp);
}

static void converted(struct gr_clipboard *c, const xcb_selection_notify_event_t *event)
{
	if (event->property == XCB_ATOM_NONE || !c->watching)
		return;
	if (c->copied.left) { /* what has begun is finished, then the newest is fetched */
		xcb_delete_property(c->x, c->window, c->property);
		c->again = true;
		return;
	}
	xcb_get_property_reply_t *reply = xcb_get_property_reply(
		c->x,
		xcb_get_property(c->x, 1, c->window, c->property, XCB_GET_PROPERTY_TYPE_ANY, 0, GR_CLIPBOARD_MAX / 4),
		NULL);
	if (!reply)
		return;
	if (reply->bytes_after)
		xcb_delete_property(c->x, c->window, c->property);
	size_t n = (size_t)xcb_get_property_value_length(reply);
	if (reply->type == c->utf8 && reply->format == 8 && !reply->bytes_after && n <= GR_CLIPBOARD_MAX) {
		memcpy(c->copied.bytes, xcb_get_property_value(reply), n);
		c->copied.length = (uint32_t)gr_utf8_clean(c->copied.bytes, n);
		c->copied.left = gr_utf8_is_text(c->copied.bytes, c->copied.length) ? c->copied.length : 0;
	}
	free(reply);
}

void gr_clipboard_send(struct gr_clipboard *c, struct gr_link *link)
{
	while (c->copied.left && !gr_link_is_congested(link)) {
		union gr_record record = { .type = GR_RECORD_CLIPBOARD };
		uint32_t n = c->copied.left < GR_TEXT_MAX ? c->copied.left : GR_TEXT_MAX;
		memcpy(record.clipboard.text, c->copied.bytes + c->copied.length - c->copied.left, n);
		c->copied.left -= n;
		record.clipboard.left = c->copied.left;
		record.clipboard.length = n;
		gr_link_send(link, &record);
	}
	if (!c->copied.left && c->again) {
		c->again = false;
		fetch(c, XCB_CURRENT_TIME);
	}
}

/* ---- */

static void take_event(void *context, const xcb_generic_event_t *event)
{
	struct gr_clipboard *c = context;
	uint8_t type = event->response_type & 0x7f;
	if (type == XCB_SELECTION_REQUEST)
		answer(c, (const xcb_selection_request_event_t *)event);
	else if (type == XCB_SELECTION_NOTIFY)
		converted(c, (const xcb_selection_notify_event_t *)event);
	else if (type == c->display->fixes_event + XCB_XFIXES_SELECTION_NOTIFY)
		owner_changed(c, (const xcb_xfixes_selection_notify_event_t *)event);
}

int gr_clipboard_take(struct gr_clipboard *c, const struct gr_record_clipboard *untrusted, const uint8_t **text_out,
		      uint32_t *n_out)
{
	struct text *text = &c->coming;
	uint32_t n = untrusted->length, left = untrusted->left;
	if (!text->left)
		text->length = 0;
	if (n < 1 || n > GR_TEXT_MAX || left > GR_CLIPBOARD_MAX || text->length + n + left > GR_CLIPBOARD_MAX ||
	    (text->left && text->left != n + left))
		return GR_EPROTO;
	memcpy(text->bytes + text->length, untrusted->text, n);
	text->length += n;
	text->left = left;
	if (left)
		return 0;
	if (!gr_utf8_is_text(text->bytes, text->length))
		return GR_EPROTO;
	*text_out = text->bytes;
	*n_out = text->length;
	return 1;
}

void gr_clipboard_watch(struct gr_clipboard *c, bool on)
{
	c->watching = on;
}

void gr_clipboard_reset(struct gr_clipboard *c)
{
	c->coming.left = c->copied.left = 0;
	c->again = false;
}

struct gr_clipboard *gr_clipboard_create(struct gr_display *display)
{
	struct gr_clipboard *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->display = display;
	c->x = display->x;
	c->clipboard = atom(c->x, "CLIPBOARD");
	c->targets = atom(c->x, "TARGETS");
	c->utf8 = atom(c->x, "UTF8_STRING");
	c->plain = atom(c->x, "text/plain;charset=utf-8");
	c->property = atom(c->x, "GARASU_TEXT");
	c->window = xcb_generate_id(c->x);
	xcb_create_window(c->x, 0, c->window, display->root, -1, -1, 1, 1, 0, XCB_WINDOW_CLASS_INPUT_ONLY, 0, 0, NULL);
	xcb_xfixes_select_selection_input(c->x, c->window, c->clipboard,
					  XCB_XFIXES_SELECTION_EVENT_MASK_SET_SELECTION_OWNER);
	display->event = take_event;
	display->event_context = c;
	return c;
}

void gr_clipboard_destroy(struct gr_clipboard *c)
{
	if (c)
		c->display->event = NULL;
	free(c);
}
