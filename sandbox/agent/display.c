#include "sandbox/agent/display.h"
#include "sandbox/agent/randr.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xcb/shm.h>
#include <xcb/xfixes.h>
#include <xcb/xtest.h>

enum {
	DAMAGE_RECTS_MAX = 64, /* more rectangles than that are fetched as their bounding box */
	ALL_PLANES = -1,
};

static xcb_atom_t atom(xcb_connection_t *x, const char *name)
{
	xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply(x, xcb_intern_atom(x, 0, (uint16_t)strlen(name), name),
							       NULL);
	xcb_atom_t value = reply ? reply->atom : XCB_ATOM_NONE;
	free(reply);
	return value;
}

/* Every extension with a version of its own must be asked before it is used. */
static int init_extensions(struct gr_display *d, struct gr_error *err)
{
	xcb_connection_t *x = d->x;
	const xcb_query_extension_reply_t *damage = xcb_get_extension_data(x, &xcb_damage_id);
	const xcb_query_extension_reply_t *fixes = xcb_get_extension_data(x, &xcb_xfixes_id);
	const xcb_query_extension_reply_t *shm = xcb_get_extension_data(x, &xcb_shm_id);
	const xcb_query_extension_reply_t *test = xcb_get_extension_data(x, &xcb_test_id);
	if (!damage || !damage->present || !fixes || !fixes->present || !shm || !shm->present || !test ||
	    !test->present)
		return gr_error_set(err, GR_EIO, "the X server lacks DAMAGE, XFIXES, MIT-SHM or XTEST");
	d->damage_event = damage->first_event;
	d->fixes_event = fixes->first_event;
	free(xcb_damage_query_version_reply(x, xcb_damage_query_version(x, 1, 1), NULL));
	free(xcb_xfixes_query_version_reply(x, xcb_xfixes_query_version(x, 5, 0), NULL));
	xcb_shm_query_version_reply_t *version = xcb_shm_query_version_reply(x, xcb_shm_query_version(x), NULL);
	bool descriptors = version && (version->major_version > 1 || version->minor_version >= 2);
	free(version);
	return descriptors ? 0 : gr_error_set(err, GR_EIO, "the X server's MIT-SHM is older than 1.2");
}

static int init_segment(struct gr_display *d, struct gr_error *err)
{
	d->shm_size = (size_t)d->max_w * d->max_h * 4;
	int fd = memfd_create("garasu-screen", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)d->shm_size) < 0) {
		gr_error_errno(err, "shared memory of %zu bytes", d->shm_size);
		if (fd >= 0)
			close(fd);
		return GR_EIO;
	}
	d->shm = mmap(NULL, d->shm_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (d->shm == MAP_FAILED) {
		d->shm = NULL;
		close(fd);
		return gr_error_errno(err, "mmap of %zu bytes", d->shm_size);
	}
	d->segment = xcb_generate_id(d->x);
	/* Takes fd. */
	xcb_generic_error_t *refused = xcb_request_check(d->x, xcb_shm_attach_fd_checked(d->x, d->segment, fd, 0));
	if (refused) {
		free(refused);
		return gr_error_set(err, GR_EIO, "the X server does not take a shared memory descriptor");
	}
	return 0;
}

int gr_display_init(struct gr_display *d, struct gr_error *err)
{
	*d = (struct gr_display){ 0 };
	int number = 0;
	d->x = xcb_connect(NULL, &number);
	if (xcb_connection_has_error(d->x)) {
		xcb_disconnect(d->x);
		d->x = NULL;
		return gr_error_set(err, GR_EIO, "no connection to the X server");
	}
	xcb_screen_iterator_t screens = xcb_setup_roots_iterator(xcb_get_setup(d->x));
	d->root = screens.data->root;
	d->max_w = d->w = screens.data->width_in_pixels;
	d->max_h = d->h = screens.data->height_in_pixels;
	int code = 0;
	if (screens.data->root_depth != 24 || d->max_w > GR_SCREEN_MAX || d->max_h > GR_SCREEN_MAX)
		code = gr_error_set(err, GR_EIO, "the X server's screen is %ux%u of depth %u", d->max_w, d->max_h,
				    screens.data->root_depth);
	if (!code)
		code = init_extensions(d, err);
	if (!code)
		code = init_segment(d, err);
	if (!code && !(d->tiles = gr_tiles_create(d->max_w, d->max_h)))
		code = gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!code)
		code = gr_randr_init(d, err);
	if (code) {
		gr_display_finish(d);
		return code;
	}

	d->net_client_list = atom(d->x, "_NET_CLIENT_LIST");
	d->net_manager = atom(d->x, "_NET_SUPPORTING_WM_CHECK");
	const uint32_t mask = XCB_EVENT_MASK_PROPERTY_CHANGE;
	xcb_change_window_attributes(d->x, d->root, XCB_CW_EVENT_MASK, &mask);
	xcb_xfixes_select_cursor_input(d->x, d->root, XCB_XFIXES_CURSOR_NOTIFY_MASK_DISPLAY_CURSOR);
	d->region = xcb_generate_id(d->x);
	xcb_xfixes_create_region(d->x, d->region, 0, NULL);
	d->damage = xcb_generate_id(d->x);
	/* One event when the damage becomes non-empty, and none more until it is taken: a page that moves while nobody asks
	   for frames wakes this process once. */
	xcb_damage_create(d->x, d->damage, d->root, XCB_DAMAGE_REPORT_LEVEL_NON_EMPTY);
	xcb_flush(d->x);
	d->news.cursor = d->news.keymap = true;
	return 0;
}

void gr_display_finish(struct gr_display *d)
{
	if (d->x)
		xcb_disconnect(d->x); /* the server frees what we had there */
	if (d->shm)
		munmap(d->shm, d->shm_size);
	gr_tiles_destroy(d->tiles);
	*d = (struct gr_display){ 0 };
}

int gr_display_fd(const struct gr_display *d)
{
	return xcb_get_file_descriptor(d->x);
}

int gr_display_dispatch(struct gr_display *d)
{
	int count = 0;
	xcb_flush(d->x);
	for (xcb_generic_event_t *event; (event = xcb_poll_for_event(d->x)); free(event), count++) {
		uint8_t type = event->response_type & 0x7f;
		if (d->event)
			d->event(d->event_context, event);
		if (type == d->damage_event + XCB_DAMAGE_NOTIFY) {
			d->news.damaged = true;
		} else if (type == d->fixes_event + XCB_XFIXES_CURSOR_NOTIFY) {
			d->news.cursor = true;
		} else if (type == XCB_MAPPING_NOTIFY) {
			d->news.keymap = true;
		} else if (type == XCB_PROPERTY_NOTIFY) {
			const xcb_property_notify_event_t *property = (const xcb_property_notify_event_t *)event;
			if (property->atom == d->net_client_list)
				d->news.clients = true;
			else if (property->atom == d->net_manager)
				d->news.manager = true;
		}
	}
	return xcb_connection_has_error(d->x) ? GR_ECLOSED : count;
}

int gr_display_resize(struct gr_display *d, uint16_t w, uint16_t h)
{
	if (w < GR_SCREEN_MIN || h < GR_SCREEN_MIN || w > d->max_w || h > d->max_h)
		return GR_EINVAL;
	int code = gr_randr_resize(d, w, h);
	d->news.damaged = true;
	return code;
}

/* Clips a rectangle, as the server words them, to the present screen. */
static struct gr_rect clip(const struct gr_display *d, const xcb_rectangle_t *from)
{
	int left = from->x < 0 ? 0 : from->x, top = from->y < 0 ? 0 : from->y;
	int right = from->x + from->width, bottom = from->y + from->height;
	if (right > d->w)
		right = d->w;
	if (bottom > d->h)
		bottom = d->h;
	if (left >= right || top >= bottom)
		return (struct gr_rect){ 0 };
	return (struct gr_rect){ (uint16_t)left, (uint16_t)top, (uint16_t)(right - left), (uint16_t)(bottom - top) };
}

/* Takes the damage and returns it as rectangles, or a negative code. */
static int take_damage(struct gr_display *d, struct gr_rect out[DAMAGE_RECTS_MAX])
{
	xcb_damage_subtract(d->x, d->damage, XCB_NONE, d->region);
	xcb_xfixes_fetch_region_reply_t *region =
		xcb_xfixes_fetch_region_reply(d->x, xcb_xfixes_fetch_region(d->x, d->region), NULL);
	if (!region)
		return GR_ECLOSED;
	const xcb_rectangle_t *rects = xcb_xfixes_fetch_region_rectangles(region);
	int n = xcb_xfixes_fetch_region_rectangles_length(region);
	if (n > DAMAGE_RECTS_MAX) {
		rects = &region->extents;
		n = 1;
	}
	int count = 0;
	for (int i = 0; i < n; i++) {
		struct gr_rect rect = clip(d, &rects[i]);
		if (rect.w)
			out[count++] = rect;
	}
	free(region);
	return count;
}

/* The pixels of the rectangles, one behind the other, into the segment. All requests go out before the first wait. */
static int fetch(struct gr_display *d, const struct gr_rect *rects, int n)
{
	xcb_shm_get_image_cookie_t cookies[DAMAGE_RECTS_MAX];
	size_t offset = 0;
	for (int i = 0; i < n; i++) {
		cookies[i] = xcb_shm_get_image(d->x, d->root, (int16_t)rects[i].x, (int16_t)rects[i].y, rects[i].w,
					       rects[i].h, (uint32_t)ALL_PLANES, XCB_IMAGE_FORMAT_Z_PIXMAP, d->segment,
					       (uint32_t)offset);
		/* Rectangles of one region do not overlap, so together they fit; the server checks it again. */
		offset += (size_t)rects[i].w * rects[i].h * 4;
	}
	int code = 0;
	for (int i = 0; i < n; i++) {
		xcb_shm_get_image_reply_t *reply = xcb_shm_get_image_reply(d->x, cookies[i], NULL);
		if (!reply)
			code = GR_ECLOSED;
		free(reply);
	}
	return code;
}

int gr_display_capture(struct gr_display *d, uint8_t *target, size_t target_stride, bool whole,
		       struct gr_rect out[GR_FRAME_RECTS_MAX])
{
	struct gr_rect rects[DAMAGE_RECTS_MAX];
	/* News that come while we look are news again afterwards. */
	d->news.damaged = false;
	int n;
	if (whole) {
		xcb_damage_subtract(d->x, d->damage, XCB_NONE, XCB_NONE);
		rects[0] = (struct gr_rect){ 0, 0, d->w, d->h };
		n = 1;
	} else {
		n = take_damage(d, rects);
	}
	if (n > 0 && fetch(d, rects, n) < 0)
		return GR_ECLOSED;
	if (n <= 0)
		return n;

	gr_tiles_clear(d->tiles);
	const uint8_t *pixels = d->shm;
	for (int i = 0; i < n; i++) {
		size_t stride = (size_t)rects[i].w * 4;
		gr_tiles_update(d->tiles, target, target_stride, pixels, stride, &rects[i]);
		pixels += stride * rects[i].h;
	}
	if (whole) {
		out[0] = rects[0];
		return 1;
	}
	return (int)gr_tiles_rects(d->tiles, d->w, d->h, out);
}

int gr_display_cursor(struct gr_display *d, uint8_t *target, struct gr_record_cursor *out)
{
	d->news.cursor = false;
	xcb_xfixes_get_cursor_image_reply_t *image =
		xcb_xfixes_get_cursor_image_reply(d->x, xcb_xfixes_get_cursor_image(d->x), NULL);
	if (!image)
		return GR_ECLOSED;
	const uint32_t *pixels = xcb_xfixes_get_cursor_image_cursor_image(image);
	size_t w = image->width < GR_CURSOR_MAX ? image->width : GR_CURSOR_MAX;
	size_t h = image->height < GR_CURSOR_MAX ? image->height : GR_CURSOR_MAX;
	/* Of a larger one the part that the hot spot lies in. */
	size_t left = image->xhot >= w && image->xhot < image->width ? (size_t)image->xhot - w + 1 : 0;
	size_t top = image->yhot >= h && image->yhot < image->height ? (size_t)image->yhot - h + 1 : 0;
	bool visible = false;
	memset(target, 0, (size_t)GR_CURSOR_MAX * GR_CURSOR_MAX * 4);
	for (size_t y = 0; y < h; y++) {
		const uint32_t *row = pixels + (top + y) * image->width + left;
		memcpy(target + y * GR_CURSOR_MAX * 4, row, w * 4);
		for (size_t x = 0; x < w && !visible; x++)
			visible = row[x] >> 24 != 0;
	}
	*out = (struct gr_record_cursor){ .type = GR_RECORD_CURSOR };
	if (visible) {
		out->width = (uint16_t)w;
		out->height = (uint16_t)h;
		out->hot_x = image->xhot < left + w ? (uint16_t)(image->xhot - left) : 0;
		out->hot_y = image->yhot < top + h ? (uint16_t)(image->yhot - top) : 0;
	}
	free(image);
	return 0;
}

unsigned gr_display_clients(struct gr_display *d)
{
	d->news.clients = false;
	xcb_get_property_reply_t *list = xcb_get_property_reply(
		d->x, xcb_get_property(d->x, 0, d->root, d->net_client_list, XCB_ATOM_WINDOW, 0, 64), NULL);
	unsigned count = list && list->format == 32 ? list->value_len : 0;
	free(list);
	return count;
}

bool gr_display_is_painted(struct gr_display *d)
{
	enum { COLOURS = 24, STEP_X = 3, STEP_Y = 2 };
	uint32_t seen[COLOURS];
	size_t count = 0;
	const struct gr_rect screen = { 0, 0, d->w, d->h };
	d->news.damaged = false;
	xcb_damage_subtract(d->x, d->damage, XCB_NONE, XCB_NONE);
	if (fetch(d, &screen, 1) < 0)
		return false;
	for (size_t y = 0; y < d->h; y += STEP_Y)
		for (size_t x = 0; x < d->w; x += STEP_X) {
			uint32_t pixel;
			memcpy(&pixel, d->shm + (y * d->w + x) * 4, 4);
			pixel &= 0x00ffffffu;
			size_t i = 0;
			while (i < count && seen[i] != pixel)
				i++;
			if (i < count)
				continue;
			seen[count++] = pixel;
			if (count == COLOURS)
				return true;
		}
	return false;
}

int gr_display_keymap(struct gr_display *d, struct gr_keymap *out)
{
	d->news.keymap = false;
	const xcb_setup_t *setup = xcb_get_setup(d->x);
	uint8_t first = setup->min_keycode;
	uint8_t n = (uint8_t)(setup->max_keycode - first + 1);
	xcb_get_keyboard_mapping_cookie_t keys = xcb_get_keyboard_mapping(d->x, first, n);
	xcb_get_modifier_mapping_cookie_t mods = xcb_get_modifier_mapping(d->x);
	xcb_get_keyboard_mapping_reply_t *keymap = xcb_get_keyboard_mapping_reply(d->x, keys, NULL);
	xcb_get_modifier_mapping_reply_t *modmap = xcb_get_modifier_mapping_reply(d->x, mods, NULL);
	if (!keymap || !modmap) {
		free(keymap);
		free(modmap);
		return GR_ECLOSED;
	}
	memset(out, 0, sizeof(*out));
	const xcb_keysym_t *syms = xcb_get_keyboard_mapping_keysyms(keymap);
	for (size_t key = 0; key < n; key++)
		for (size_t column = 0; column < GR_KEYMAP_COLUMNS && column < keymap->keysyms_per_keycode; column++)
			out->keysyms[first + key][column] = syms[key * keymap->keysyms_per_keycode + column];
	const xcb_keycode_t *codes = xcb_get_modifier_mapping_keycodes(modmap);
	for (unsigned bit = 0; bit < 8; bit++)
		for (unsigned i = 0; i < modmap->keycodes_per_modifier; i++)
			out->modifiers[codes[bit * modmap->keycodes_per_modifier + i]] |= (uint8_t)(1u << bit);
	out->modifiers[0] = 0;
	gr_keymap_finish(out);
	free(keymap);
	free(modmap);
	return 0;
}
