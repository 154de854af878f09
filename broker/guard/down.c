#include "broker/guard/history.h"
#include "broker/guard/state.h"
#include "broker/guard/tight.h"
#include "common/decode/decode.h"
#include "common/error.h"
#include "common/record.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define USUAL ((size_t)128 * 1024) /* bytes of the buffer, unless an element needs more */
#define TILE 16u /* Hextile's, pixels */
#define COUNT_OPEN 65535u /* LastRect ends the update */

enum encoding {
	RAW = 0,
	COPY_RECT = 1,
	HEXTILE = 5,
	TIGHT = 7,
	DESKTOP_SIZE = -223,
	LAST_RECT = -224,
	CURSOR = -239,
	QEMU_KEY = -258,
	EXTENDED_SIZE = -308,
};

#define FENCE_REQUEST 0x80000000u
#define FENCE_BLOCK_BEFORE 1u

enum state { INIT, MESSAGE, RECTANGLE, RAW_ROWS, HEXTILE_TILES, ENDED };

/*
 * Each function that judges an element gets what is there of it, n bytes, and returns how many belong to it; or sets `need` to more than n
 * and returns 0; or sets `rule` and returns 0.
 */
struct gr_guard_down {
	struct gr_guard *guard;
	struct gr_guard_buffer buffer;
	enum state state;
	size_t need; /* bytes of the element to be there before it is looked at again */
	const char *rule; /* static text: what was broken */
	uint16_t width, height; /* of the screen */
	uint32_t rectangles; /* left in the update */
	bool open; /* the update ends with LastRect */
	uint16_t w, h; /* of the rectangle whose rows or tiles come */
	size_t raw_left; /* bytes */
	uint32_t tile_x, tile_y; /* pixels from the rectangle's corner */
	bool background, foreground; /* of Hextile: the ones of earlier tiles count */
	bool fenced; /* the server has sent a fence: the next one has this number */
	uint32_t fence_next;
	uint32_t document; /* of the last OFFER; 0: there was none */
	struct gr_guard_history *history; /* made when first needed */
	struct gr_guard_jpeg *jpeg;
	struct gr_guard_tight *tight;
	struct gr_guard_tally tally;
};

int gr_guard_down_create(struct gr_guard *guard)
{
	struct gr_guard_down *d = calloc(1, sizeof(*d));
	guard->down = d;
	if (!d)
		return GR_ENOMEM;
	d->guard = guard;
	d->need = 1;
	return 0;
}

void gr_guard_down_destroy(struct gr_guard *guard)
{
	struct gr_guard_down *d = guard->down;
	if (!d)
		return;
	gr_guard_history_destroy(d->history);
	gr_guard_tight_destroy(d->tight);
	gr_guard_jpeg_destroy(d->jpeg);
	free(d->buffer.data);
	free(d);
}

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)u16(p) << 16 | u16(p + 2);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p) {
		p++;
		n--;
	}
	return !n;
}

static const char out_of_memory[] = "out of memory";

static size_t refuse(struct gr_guard_down *d, const char *rule)
{
	d->rule = rule;
	return 0;
}

static size_t counted(uint64_t *counter, size_t used)
{
	++*counter;
	return used;
}

/* n bytes of the element are there; at least `least` are needed. */
static bool lacks(struct gr_guard_down *d, size_t n, size_t least)
{
	d->need = least;
	return n < least;
}

static bool listed(const struct gr_guard_down *d, uint32_t what)
{
	return (d->guard->listed & what) != 0;
}

static bool inside(const struct gr_guard_down *d, uint16_t x, uint16_t y, uint16_t w, uint16_t h)
{
	return (uint32_t)x + w <= d->width && (uint32_t)y + h <= d->height;
}

/* ---- sizes ---- */

static bool set_size(struct gr_guard_down *d, uint16_t w, uint16_t h)
{
	if (!w || !h || w > d->guard->settings.max_width || h > d->guard->settings.max_height)
		return false;
	d->width = w;
	d->height = h;
	d->tally.sizes++;
	return true;
}

/* docs/PROTOCOL.md §3. */
static size_t server_init(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	static const uint8_t rest[] = { 32, 24, 0, 1, 0, 255, 0, 255, 0,   255, 16,  8,   0,
					0,  0,  0, 0, 0, 0,   6, 'G', 'a', 'r', 'a', 's', 'u' };
	if (lacks(d, n, 4 + sizeof(rest)))
		return 0;
	if (memcmp(untrusted + 4, rest, sizeof(rest)) != 0)
		return refuse(d, "ServerInit: another pixel format or name");
	if (!set_size(d, u16(untrusted), u16(untrusted + 2)))
		return refuse(d, "ServerInit: a screen size outside the limits");
	d->state = MESSAGE;
	return 4 + sizeof(rest);
}

static size_t desktop_size(struct gr_guard_down *d, const uint8_t *untrusted)
{
	if (!listed(d, GR_LISTED_DESKTOP_SIZE))
		return refuse(d, "DesktopSize that was not asked for");
	if (u32(untrusted) || !set_size(d, u16(untrusted + 4), u16(untrusted + 6)))
		return refuse(d, "DesktopSize: a size outside the limits");
	return 12;
}

/* RFB registry, -308: x the reason, y the status, then the one screen, which is the whole. */
static size_t extended_size(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (!listed(d, GR_LISTED_EXTENDED_SIZE))
		return refuse(d, "ExtendedDesktopSize that was not asked for");
	if (u16(untrusted) > 2 || u16(untrusted + 2) > 3)
		return refuse(d, "ExtendedDesktopSize: an unknown reason or status");
	if (lacks(d, n, 32))
		return 0;
	const uint8_t *screen = untrusted + 16;
	if (u32(untrusted + 12) != 0x01000000 || u32(screen) != 1 || u32(screen + 4) != 0 ||
	    memcmp(screen + 8, untrusted + 4, 4) != 0 || u32(screen + 12) != 0)
		return refuse(d, "ExtendedDesktopSize: other than one screen");
	if (!set_size(d, u16(untrusted + 4), u16(untrusted + 6)))
		return refuse(d, "ExtendedDesktopSize: a size outside the limits");
	return 32;
}

/* ---- rectangles ---- */

/* Bits that no colour sets say nothing that can be seen. */
static bool pixels_good(const struct gr_guard_format *format, const uint8_t *untrusted, size_t bytes)
{
	uint8_t stray = 0;
	for (unsigned k = 0; k < format->bytes; k++) {
		uint8_t unused = (uint8_t)~format->used[k];
		for (size_t i = k; unused && i < bytes; i += format->bytes)
			stray |= untrusted[i] & unused;
	}
	return !stray;
}

static size_t cursor(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	uint16_t hot_x = u16(untrusted), hot_y = u16(untrusted + 2), w = u16(untrusted + 4), h = u16(untrusted + 6);
	if (!listed(d, GR_LISTED_CURSOR))
		return refuse(d, "Cursor that was not asked for");
	if (w > GR_CURSOR_MAX || h > GR_CURSOR_MAX)
		return refuse(d, "Cursor: larger than 64 by 64");
	if (!w || !h)
		return all_zero(untrusted, 8) ? counted(&d->tally.cursors, 12)
					      : refuse(d, "Cursor: an empty one that is not 0 by 0 at 0, 0");
	if (hot_x >= w || hot_y >= h)
		return refuse(d, "Cursor: a hot spot outside of it");
	size_t pixels = (size_t)w * h * d->guard->format.bytes, row = ((size_t)w + 7) / 8;
	if (lacks(d, n, 12 + pixels + row * h))
		return 0;
	if (!pixels_good(&d->guard->format, untrusted + 12, pixels))
		return refuse(d, "Cursor: bits beside the colours");
	const uint8_t *mask = untrusted + 12 + pixels;
	for (size_t i = 1; w % 8 && i <= h; i++)
		if (mask[i * row - 1] & (0xff >> w % 8))
			return refuse(d, "Cursor: bits beside the mask");
	return counted(&d->tally.cursors, 12 + pixels + row * h);
}

static size_t copy_rect(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (!listed(d, GR_LISTED_COPY_RECT | GR_LISTED_GARASU))
		return refuse(d, "CopyRect that was not asked for");
	if (lacks(d, n, 16))
		return 0;
	if (!inside(d, u16(untrusted + 12), u16(untrusted + 14), u16(untrusted + 4), u16(untrusted + 6)))
		return refuse(d, "CopyRect: from outside the screen");
	return counted(&d->tally.copies, 16);
}

static size_t tight(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	uint16_t w = u16(untrusted + 4), h = u16(untrusted + 6);
	if (!listed(d, GR_LISTED_TIGHT) || !d->guard->format.tight)
		return refuse(d, "Tight that was not asked for");
	if (!d->jpeg)
		d->jpeg = gr_guard_jpeg_create();
	if (!d->tight && d->jpeg)
		d->tight = gr_guard_tight_create(d->jpeg, d->guard->settings.strict);
	if (!d->tight)
		return refuse(d, out_of_memory);
	size_t size;
	const char *rule = gr_guard_tight_measure(untrusted + 12, n - 12, w, h, &size);
	if (rule)
		return refuse(d, rule);
	if (lacks(d, n, 12 + size))
		return 0;
	rule = gr_guard_tight_check(d->tight, untrusted + 12, size, w, h, listed(d, GR_LISTED_QUALITY));
	return rule ? refuse(d, rule) : counted(&d->tally.tights, 12 + size);
}

/* HISTORY, PHOTO: a length and as many bytes. */
static size_t garasu(struct gr_guard_down *d, const uint8_t *untrusted, size_t n, int32_t encoding)
{
	struct gr_rect rect = { u16(untrusted), u16(untrusted + 2), u16(untrusted + 4), u16(untrusted + 6) };
	const char *rule;
	if (!d->guard->history_log2 || !d->guard->format.tight)
		return refuse(d, "a Garasu rectangle that was not asked for");
	if (lacks(d, n, 16))
		return 0;
	uint32_t length = u32(untrusted + 12);
	if (!length || length > GR_GUARD_PAYLOAD_MAX)
		return refuse(d, "a Garasu rectangle whose payload is empty or too long");
	if (lacks(d, n, 16 + (size_t)length))
		return 0;
	if (encoding == GR_ENCODING_PHOTO) {
		if (!listed(d, GR_LISTED_QUALITY))
			return refuse(d, "PHOTO that was not asked for");
		if (!d->jpeg)
			d->jpeg = gr_guard_jpeg_create();
		if (!d->jpeg)
			return refuse(d, out_of_memory);
		rule = gr_guard_jpeg_check(d->jpeg, untrusted + 16, length, rect.w, rect.h, d->guard->settings.strict);
	} else {
		if (!d->history)
			d->history = gr_guard_history_create(d->guard->history_log2, d->guard->settings.strict);
		if (!d->history)
			return refuse(d, out_of_memory);
		rule = gr_guard_history_check(d->history, untrusted + 16, length, rect);
	}
	if (rule)
		return refuse(d, rule);
	return counted(encoding == GR_ENCODING_PHOTO ? &d->tally.photos : &d->tally.histories, 16 + (size_t)length);
}

/* Rows and tiles come as elements of their own: what is there is let through. */
static size_t raw_rows(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	size_t pixel = d->guard->format.bytes, bytes = n - n % pixel;
	if (bytes > d->raw_left)
		bytes = d->raw_left;
	if (lacks(d, bytes, pixel))
		return 0;
	if (!pixels_good(&d->guard->format, untrusted, bytes))
		return refuse(d, "Raw: bits beside the colours");
	d->raw_left -= bytes;
	if (!d->raw_left)
		d->state = RECTANGLE;
	return bytes;
}

/* RFC 6143 §7.7.4. */
static size_t hextile(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	enum { RAW_TILE = 1, BACKGROUND = 2, FOREGROUND = 4, SUBRECTS = 8, COLOURED = 16 };
	const struct gr_guard_format *format = &d->guard->format;
	uint32_t w = d->w - d->tile_x < TILE ? d->w - d->tile_x : TILE;
	uint32_t h = d->h - d->tile_y < TILE ? d->h - d->tile_y : TILE;
	size_t pixel = format->bytes, used = 1;
	if (lacks(d, n, 1))
		return 0;
	unsigned mask = untrusted[0];
	if (mask > 31 || (mask & RAW_TILE && mask != RAW_TILE) || (mask & COLOURED && !(mask & SUBRECTS)) ||
	    (mask & FOREGROUND && (mask & COLOURED || !(mask & SUBRECTS))))
		return refuse(d, "Hextile: a tile of an unknown kind");
	if (mask == RAW_TILE) {
		used += pixel * w * h;
		if (lacks(d, n, used))
			return 0;
		if (!pixels_good(format, untrusted + 1, used - 1))
			return refuse(d, "Hextile: bits beside the colours");
		d->background = d->foreground = false;
	} else {
		size_t colours = (mask & BACKGROUND ? pixel : 0) + (mask & FOREGROUND ? pixel : 0), count = 0;
		used += colours;
		if (lacks(d, n, used + (mask & SUBRECTS ? 1 : 0)))
			return 0;
		if (!pixels_good(format, untrusted + 1, colours))
			return refuse(d, "Hextile: bits beside the colours");
		if (mask & SUBRECTS)
			count = untrusted[used++];
		size_t each = (mask & COLOURED ? pixel : 0) + 2;
		if (lacks(d, n, used + count * each))
			return 0;
		d->background |= (mask & BACKGROUND) != 0;
		/* After coloured subrectangles there is no foreground any more. */
		d->foreground = !(mask & COLOURED) && (d->foreground || mask & FOREGROUND);
		if (!d->background || (mask & SUBRECTS && !(mask & COLOURED) && !d->foreground))
			return refuse(d, "Hextile: a tile without its colours");
		for (size_t i = 0; i < count; i++, used += each) {
			const uint8_t *place = untrusted + used + each - 2;
			if (!pixels_good(format, untrusted + used, each - 2))
				return refuse(d, "Hextile: bits beside the colours");
			if ((place[0] >> 4) + (place[1] >> 4) + 1u > w || (place[0] & 15u) + (place[1] & 15u) + 1u > h)
				return refuse(d, "Hextile: a subrectangle outside its tile");
		}
	}
	d->tile_x += TILE;
	if (d->tile_x >= d->w) {
		d->tile_x = 0;
		d->tile_y += TILE;
	}
	if (d->tile_y >= d->h)
		d->state = RECTANGLE;
	return used;
}

static size_t begin_raw(struct gr_guard_down *d, const uint8_t *untrusted)
{
	if (!listed(d, GR_LISTED_RAW))
		return refuse(d, "Raw that was not asked for");
	d->raw_left = (size_t)u16(untrusted + 4) * u16(untrusted + 6) * d->guard->format.bytes;
	d->state = RAW_ROWS;
	return counted(&d->tally.raws, 12);
}

static size_t begin_hextile(struct gr_guard_down *d, const uint8_t *untrusted)
{
	if (!listed(d, GR_LISTED_HEXTILE))
		return refuse(d, "Hextile that was not asked for");
	d->w = u16(untrusted + 4);
	d->h = u16(untrusted + 6);
	d->tile_x = d->tile_y = 0;
	d->background = d->foreground = false;
	d->state = HEXTILE_TILES;
	return counted(&d->tally.hextiles, 12);
}

static size_t pixels(struct gr_guard_down *d, const uint8_t *untrusted, size_t n, int32_t encoding)
{
	uint16_t w = u16(untrusted + 4), h = u16(untrusted + 6);
	if (!w || !h || !inside(d, u16(untrusted), u16(untrusted + 2), w, h))
		return refuse(d, "a rectangle that is empty or outside the screen");
	switch (encoding) {
	case RAW: return begin_raw(d, untrusted);
	case HEXTILE: return begin_hextile(d, untrusted);
	case COPY_RECT: return copy_rect(d, untrusted, n);
	case TIGHT: return tight(d, untrusted, n);
	default: return garasu(d, untrusted, n, encoding);
	}
}

static size_t rectangle(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (lacks(d, n, 12))
		return 0;
	int32_t encoding = (int32_t)u32(untrusted + 8);
	size_t used;
	switch (encoding) {
	case RAW:
	case COPY_RECT:
	case HEXTILE:
	case TIGHT:
	case GR_ENCODING_HISTORY:
	case GR_ENCODING_PHOTO: used = pixels(d, untrusted, n, encoding); break;
	case CURSOR: used = cursor(d, untrusted, n); break;
	case DESKTOP_SIZE: used = desktop_size(d, untrusted); break;
	case EXTENDED_SIZE: used = extended_size(d, untrusted, n); break;
	case LAST_RECT:
		if (!d->open || !listed(d, GR_LISTED_LAST_RECT) || !all_zero(untrusted, 8))
			return refuse(d, "LastRect where there is none");
		d->open = false;
		d->rectangles = 0;
		return 12;
	case QEMU_KEY:
		if (!listed(d, GR_LISTED_QEMU_KEY) || !all_zero(untrusted, 8))
			return refuse(d, "an acknowledgement of QEMU's key events that was not asked for");
		used = 12;
		break;
	default: return refuse(d, "an encoding that is not in the grammar");
	}
	if (used && !d->open)
		d->rectangles--;
	return used;
}

/* ---- messages ---- */

static size_t update(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (lacks(d, n, 4))
		return 0;
	if (untrusted[1])
		return refuse(d, "FramebufferUpdate: a padding that is not 0");
	d->rectangles = u16(untrusted + 2);
	d->open = d->rectangles == COUNT_OPEN;
	d->state = RECTANGLE;
	d->tally.updates++;
	return 4;
}

/* §4.3: a request of the server carries a number that counts up; an answer is the viewer's own fence, in its turn. */
static size_t fence(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	struct gr_guard *guard = d->guard;
	if (!listed(d, GR_LISTED_FENCE))
		return refuse(d, "ServerFence that was not asked for");
	if (lacks(d, n, 9) || lacks(d, n, 9u + untrusted[8]))
		return 0;
	uint32_t flags = u32(untrusted + 4);
	uint8_t length = untrusted[8];
	const uint8_t *payload = untrusted + 9;
	if (!all_zero(untrusted + 1, 3) || length > GR_GUARD_FENCE_MAX)
		return refuse(d, "ServerFence: a padding that is not 0, or too long");
	if (flags & FENCE_REQUEST) {
		if (flags != (FENCE_REQUEST | FENCE_BLOCK_BEFORE) || length != 4 ||
		    (d->fenced && u32(payload) != d->fence_next))
			return refuse(d, "ServerFence: a number that does not count up");
		d->fenced = true;
		d->fence_next = u32(payload) + 1;
		return counted(&d->tally.fences, 9u + length);
	}
	const struct gr_guard_fence *asked = &guard->fences[guard->fence_first];
	if (!guard->fence_count || flags != asked->flags || length != asked->length ||
	    memcmp(payload, asked->payload, length) != 0)
		return refuse(d, "ServerFence: an answer to what the viewer did not send");
	guard->fence_first = (guard->fence_first + 1) % GR_GUARD_FENCES_MAX;
	guard->fence_count--;
	return counted(&d->tally.fences, 9u + length);
}

static size_t end_of_continuous(struct gr_guard_down *d)
{
	struct gr_guard *guard = d->guard;
	if (guard->ends_seen == guard->ends_due)
		return refuse(d, "EndOfContinuousUpdates that is not due");
	guard->ends_seen++;
	if (guard->next_format_from == guard->ends_seen) {
		guard->format = guard->next_format;
		guard->next_format_from = 0;
	}
	return 1;
}

/* Where a page stands: its number, its size, and a place on it. */
static bool page_offer_good(const uint8_t *untrusted)
{
	uint16_t more = u16(untrusted + 16), dpi = u16(untrusted + 18);
	return !u16(untrusted + 8) && more <= 1 && dpi >= GR_PRINT_DPI_MIN && dpi <= GR_PRINT_DPI_MAX;
}

/* On the screen as it is: the picture shows one piece after the other. */
static bool page_piece_good(const struct gr_guard_down *d, const uint8_t *untrusted)
{
	return u16(untrusted + 16) % d->width == 0 && u16(untrusted + 18) % d->height == 0 && u16(untrusted + 8) >= 1 &&
	       u16(untrusted + 8) <= u16(untrusted + 10) && u16(untrusted + 16) < u16(untrusted + 12) &&
	       u16(untrusted + 18) < u16(untrusted + 14);
}

static bool page_sizes_good(const uint8_t *untrusted)
{
	uint16_t pages = u16(untrusted + 10), w = u16(untrusted + 12), h = u16(untrusted + 14);
	return pages >= 1 && pages <= GR_PRINT_PAGES_MAX && w >= 1 && w <= GR_PRINT_SIDE_MAX && h >= 1 &&
	       h <= GR_PRINT_SIDE_MAX;
}

static size_t page(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	uint32_t document = u32(untrusted + 4);
	if (!d->guard->settings.printing)
		return refuse(d, "PAGE: printing is not permitted");
	if (lacks(d, n, 24))
		return 0;
	if (!document || u32(untrusted + 20))
		return refuse(d, "PAGE: no document, or a padding that is not 0");
	switch (u16(untrusted + 2)) {
	case GR_PAGE_OFFER:
		if (document <= d->document)
			return refuse(d, "PAGE: a document whose number does not count up");
		if (!page_sizes_good(untrusted) || !page_offer_good(untrusted))
			return refuse(d, "PAGE: an offer outside the limits");
		d->document = document;
		break;
	case GR_PAGE_PIECE:
		if (document != d->document)
			return refuse(d, "PAGE: a piece of what was not offered");
		if (!page_sizes_good(untrusted) || !page_piece_good(d, untrusted))
			return refuse(d, "PAGE: a piece outside its page");
		break;
	case GR_PAGE_END:
		if (document != d->document)
			return refuse(d, "PAGE: the end of what was not offered");
		if (u16(untrusted + 8) > GR_PRINT_PAGES_MAX || u16(untrusted + 16) > GR_PAGE_REFUSED ||
		    !all_zero(untrusted + 10, 6) || u16(untrusted + 18))
			return refuse(d, "PAGE: an end outside the limits");
		break;
	default: return refuse(d, "PAGE: an unknown state");
	}
	return counted(&d->tally.pages, 24);
}

static size_t clipboard(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	uint32_t length = u32(untrusted + 4);
	if (u16(untrusted + 2) || !length)
		return refuse(d, "CLIPBOARD: empty, or a padding that is not 0");
	if (length > d->guard->settings.clipboard_down_max)
		return refuse(d, "CLIPBOARD: longer than the policy permits");
	if (lacks(d, n, 8 + (size_t)length))
		return 0;
	if (!gr_utf8_is_text(untrusted + 8, length))
		return refuse(d, "CLIPBOARD: bytes that are not permitted");
	gr_guard_tell_clipboard(d->guard, GR_GUARD_DOWN, true, untrusted + 8, length);
	return counted(&d->tally.clipboards, 8 + (size_t)length);
}

/* §4.2. */
static size_t record(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (!listed(d, GR_LISTED_GARASU))
		return refuse(d, "a Garasu record that was not asked for");
	if (lacks(d, n, 8))
		return 0;
	unsigned value = u16(untrusted + 2);
	switch (untrusted[1]) {
	case 1:
		if (value < 1 || value > GR_GUARD_REASON_MAX || u32(untrusted + 4))
			return refuse(d, "NOTICE: an unknown reason");
		d->state = ENDED;
		return counted(&d->tally.notices, 8);
	case 2:
		if (lacks(d, n, 12))
			return 0;
		if (value > 1 || (!value && !all_zero(untrusted + 4, 8)) ||
		    !inside(d, u16(untrusted + 4), u16(untrusted + 6), u16(untrusted + 8), u16(untrusted + 10)))
			return refuse(d, "CARET: outside the screen");
		return counted(&d->tally.carets, 12);
	case 3:
		if (value > 1)
			return refuse(d, "TEXT_RESULT: an unknown result");
		return counted(&d->tally.text_results, 8);
	case 4: return page(d, untrusted, n);
	case 5: return clipboard(d, untrusted, n);
	default: return refuse(d, "an unknown Garasu record");
	}
}

static size_t message(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	switch (untrusted[0]) {
	case 0: return update(d, untrusted, n);
	case 71: return record(d, untrusted, n);
	case 150: return end_of_continuous(d);
	case 248: return fence(d, untrusted, n);
	default: return refuse(d, "a message that is not in the grammar");
	}
}

/* ---- the stream ---- */

static size_t element(struct gr_guard_down *d, const uint8_t *untrusted, size_t n)
{
	if (d->state == RECTANGLE && !d->rectangles && !d->open)
		d->state = MESSAGE;
	switch (d->state) {
	case INIT: return server_init(d, untrusted, n);
	case MESSAGE: return message(d, untrusted, n);
	case RECTANGLE: return rectangle(d, untrusted, n);
	case RAW_ROWS: return raw_rows(d, untrusted, n);
	case HEXTILE_TILES: return hextile(d, untrusted, n);
	default: return refuse(d, "bytes behind NOTICE, which is the last message");
	}
}

int gr_guard_down_took(struct gr_guard *guard, size_t n)
{
	struct gr_guard_down *d = guard->down;
	struct gr_guard_buffer *b = &d->buffer;
	b->end += n;
	while (!guard->violated && !d->rule && b->end - b->passed >= d->need) {
		const uint8_t *untrusted = b->data + b->passed;
		size_t used = element(d, untrusted, b->end - b->passed);
		if (used)
			d->need = 1;
		b->passed += used;
		b->offset += used;
		d->tally.bytes += used;
	}
	if (d->rule == out_of_memory)
		return GR_ENOMEM;
	if (d->rule)
		return gr_guard_refuse(guard, GR_GUARD_DOWN, b->offset, d->rule, b->data + b->passed,
				       b->end - b->passed);
	return guard->violated ? GR_EPROTO : 0;
}

uint8_t *gr_guard_down_room(struct gr_guard *guard, size_t *n)
{
	struct gr_guard_down *d = guard->down;
	struct gr_guard_buffer *b = &d->buffer;
	size_t held = b->end - b->passed;
	*n = 0;
	if (guard->violated || d->rule)
		return NULL;
	if (b->start == b->end && b->size > USUAL) { /* a large element is gone */
		free(b->data);
		*b = (struct gr_guard_buffer){ .offset = b->offset };
	}
	/* While something waits to be sent, it is not moved and there is only the room behind it. */
	if (b->start == b->passed) {
		size_t least = d->need > held ? d->need - held : 1;
		if (b->size < USUAL && least < USUAL)
			least = USUAL;
		if (gr_guard_buffer_reserve(b, least)) {
			d->rule = out_of_memory;
			return NULL;
		}
	}
	*n = b->size - b->end;
	return *n ? b->data + b->end : NULL;
}

const uint8_t *gr_guard_down_passed(const struct gr_guard *guard, size_t *n)
{
	const struct gr_guard_buffer *b = &guard->down->buffer;
	*n = b->passed - b->start;
	return *n ? b->data + b->start : NULL;
}

void gr_guard_down_sent(struct gr_guard *guard, size_t n)
{
	guard->down->buffer.start += n;
}

size_t gr_guard_down_held(const struct gr_guard *guard)
{
	return guard->down->buffer.end - guard->down->buffer.passed;
}

const struct gr_guard_tally *gr_guard_down_tally(const struct gr_guard *guard)
{
	return &guard->down->tally;
}
