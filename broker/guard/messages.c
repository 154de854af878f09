#include "broker/guard/messages.h"
#include "common/error.h"
#include "common/utf8.h"

#include <string.h>

#define GARASU_ENCODING 0x47415201
#define HISTORY_ENCODING 0x47415210
#define PHOTO_ENCODING 0x47415211
#define HISTORY_SIZE 0x47415220 /* + 20..25 */
#define TIGHT_ENCODING 7
#define COPY_RECT_ENCODING 1
#define QEMU_KEY_ENCODING (-258)
#define FENCE_ENCODING (-312)
#define CONTINUOUS_ENCODING (-313)
#define QUALITY_LOWEST (-32)
#define QUALITY_HIGHEST (-23)

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The maximum of one colour must be 2^bits - 1 and lie inside the pixel. */
static int colour_good(uint16_t untrusted_max, uint8_t untrusted_shift, unsigned bits_per_pixel)
{
	if (!untrusted_max || untrusted_max > 1023 || (untrusted_max & (untrusted_max + 1)))
		return 0;
	return untrusted_shift < bits_per_pixel && ((uint64_t)untrusted_max << untrusted_shift) >> bits_per_pixel == 0;
}

static int pixel_format_good(const uint8_t *untrusted)
{
	unsigned bits = untrusted[0];
	if (bits != 8 && bits != 16 && bits != 32)
		return 0;
	/* A colour map would be answered by SetColourMapEntries, which is not in our grammar. */
	return untrusted[1] >= 1 && untrusted[1] <= bits && untrusted[3] &&
	       colour_good(u16(untrusted + 4), untrusted[10], bits) &&
	       colour_good(u16(untrusted + 6), untrusted[11], bits) &&
	       colour_good(u16(untrusted + 8), untrusted[12], bits);
}

/*
 * What is not here is not passed on to libvncserver: names of the server, xvp, clipboard, LED state, pointer position … Nor
 * Tight and its quality, which are our own encoder's: the streams of two encoders on one connection would spoil each other.
 * Nor ZRLE and zlib, which could not be checked on their way without inflating them (docs/decisions/0009-guard.md).
 */
static int encoding_passed_on(int32_t encoding)
{
	switch (encoding) {
	case 0: /* Raw */
	case 5: /* Hextile */
	case -223: /* DesktopSize */
	case -224: /* LastRect */
	case -239: /* Cursor */
	case -308: /* ExtendedDesktopSize */ return 1;
	default: return encoding >= -256 && encoding <= -247 /* compression */;
	}
}

static unsigned history_log2(int32_t encoding)
{
	return encoding >= HISTORY_SIZE + 20 && encoding <= HISTORY_SIZE + 25 ? (unsigned)(encoding - HISTORY_SIZE) : 0;
}

int gr_viewer_encoding_known(int32_t encoding)
{
	switch (encoding) {
	case GARASU_ENCODING:
	case HISTORY_ENCODING:
	case PHOTO_ENCODING:
	case TIGHT_ENCODING:
	case COPY_RECT_ENCODING:
	case QEMU_KEY_ENCODING:
	case FENCE_ENCODING:
	case CONTINUOUS_ENCODING: return 1;
	default:
		return encoding_passed_on(encoding) || history_log2(encoding) ||
		       (encoding >= QUALITY_LOWEST && encoding <= QUALITY_HIGHEST);
	}
}

static void take_encoding(int32_t encoding, struct gr_viewer_message *out)
{
	if (encoding == GARASU_ENCODING)
		out->encodings.garasu = 1;
	else if (encoding == QEMU_KEY_ENCODING)
		out->encodings.qemu_key = 1;
	else if (encoding == FENCE_ENCODING)
		out->encodings.fence = 1;
	else if (encoding == CONTINUOUS_ENCODING)
		out->encodings.continuous = 1;
	else if (encoding == TIGHT_ENCODING)
		out->encodings.tight = 1;
	else if (encoding == COPY_RECT_ENCODING)
		out->encodings.copy_rect = 1;
	else if (encoding >= QUALITY_LOWEST && encoding <= QUALITY_HIGHEST)
		out->encodings.quality = encoding - QUALITY_LOWEST;
	else if (history_log2(encoding) > out->encodings.history_log2)
		out->encodings.history_log2 = history_log2(encoding);
	else if (encoding_passed_on(encoding))
		out->encodings.kept[out->encodings.count++] = encoding;
}

static int parse_encodings(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (n < 4)
		return GR_EAGAIN;
	size_t untrusted_count = u16(untrusted + 2);
	if (untrusted_count > GR_VIEWER_ENCODINGS_MAX)
		return GR_EPROTO;
	out->size = 4 + untrusted_count * 4;
	if (n < out->size)
		return GR_EAGAIN;
	out->kind = GR_VIEWER_ENCODINGS;
	out->encodings.quality = -1;
	for (size_t i = 0; i < untrusted_count; i++)
		take_encoding((int32_t)u32(untrusted + 4 + i * 4), out);
	return 0;
}

static int parse_text(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	uint16_t untrusted_length = u16(untrusted + 2);
	if (untrusted_length < 1 || untrusted_length > GR_TEXT_MAX)
		return GR_EPROTO;
	out->size = 8u + untrusted_length;
	if (n < out->size)
		return GR_EAGAIN;
	if (!gr_utf8_is_text(untrusted + 8, untrusted_length)) /* control characters: text is no way to press keys */
		return GR_EPROTO;
	out->kind = GR_VIEWER_TEXT;
	out->text.length = untrusted_length;
	out->text.sequence = u32(untrusted + 4);
	out->text.utf8 = untrusted + 8;
	return 0;
}

static int parse_print(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	uint16_t untrusted_action = u16(untrusted + 2);
	if (untrusted_action < GR_PRINT_START || untrusted_action > GR_PRINT_CANCEL)
		return GR_EPROTO;
	out->size = 16;
	if (n < out->size)
		return GR_EAGAIN;
	out->kind = GR_VIEWER_PRINT;
	out->print.action = untrusted_action;
	if (untrusted_action != GR_PRINT_START)
		out->print.document = u32(untrusted + 4);
	if (untrusted_action == GR_PRINT_ACCEPT || untrusted_action == GR_PRINT_TAKEN) {
		uint16_t untrusted_first = u16(untrusted + 8), untrusted_last = u16(untrusted + 10);
		if (untrusted_action == GR_PRINT_TAKEN)
			untrusted_last = untrusted_first;
		if (untrusted_first < 1 || untrusted_last < untrusted_first || untrusted_last > GR_PRINT_PAGES_MAX)
			return GR_EPROTO;
		out->print.first = untrusted_first;
		out->print.last = untrusted_action == GR_PRINT_ACCEPT ? untrusted_last : 0;
	}
	return 0;
}

/* Its bytes are judged when they are all there: by the guard, which alone sees them so. */
static int parse_clipboard(const uint8_t *untrusted, struct gr_viewer_message *out)
{
	uint32_t untrusted_length = u32(untrusted + 4);
	if (untrusted_length < 1 || untrusted_length > GR_CLIPBOARD_MAX)
		return GR_EPROTO;
	out->kind = GR_VIEWER_CLIPBOARD;
	out->size = 8;
	out->skip = untrusted_length;
	return 0;
}

static int parse_scale(const uint8_t *untrusted, struct gr_viewer_message *out)
{
	uint16_t untrusted_percent = u16(untrusted + 2);
	if (untrusted_percent < GR_BROWSER_SCALE_MIN || untrusted_percent > GR_BROWSER_SCALE_MAX)
		return GR_EPROTO;
	out->kind = GR_VIEWER_SCALE;
	out->size = 8;
	out->scale = untrusted_percent;
	return 0;
}

static int parse_garasu(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (n < 8)
		return GR_EAGAIN;
	switch (untrusted[1]) {
	case 1: return parse_text(untrusted, n, out);
	case 2: return parse_print(untrusted, n, out);
	case 3: return parse_clipboard(untrusted, out);
	case 4: return parse_scale(untrusted, out);
	default: return GR_EPROTO;
	}
}

static int parse_desktop_size(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (n < 8)
		return GR_EAGAIN;
	if (untrusted[6] > 16) /* screens; a viewer on several monitors may describe them, only the whole counts */
		return GR_EPROTO;
	out->size = 8u + untrusted[6] * 16u;
	if (n < out->size)
		return GR_EAGAIN;
	out->kind = GR_VIEWER_DESKTOP_SIZE;
	out->desktop_size.width = u16(untrusted + 2);
	out->desktop_size.height = u16(untrusted + 4);
	return 0;
}

static int parse_cut_text(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (n < 8)
		return GR_EAGAIN;
	uint32_t untrusted_length = u32(untrusted + 4);
	if (untrusted_length > GR_VIEWER_CUT_TEXT_MAX)
		return GR_EPROTO;
	out->kind = GR_VIEWER_CUT_TEXT;
	out->size = 8;
	out->skip = untrusted_length;
	return 0;
}

static int parse_fence(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (n < 9)
		return GR_EAGAIN;
	uint8_t untrusted_length = untrusted[8];
	if (untrusted_length > GR_FENCE_PAYLOAD_MAX)
		return GR_EPROTO;
	out->size = 9u + untrusted_length;
	if (n < out->size)
		return GR_EAGAIN;
	out->kind = GR_VIEWER_FENCE;
	out->fence.flags = u32(untrusted + 4) & (GR_FENCE_BLOCK_BEFORE | GR_FENCE_BLOCK_AFTER | GR_FENCE_SYNC_NEXT |
						 (uint32_t)GR_FENCE_REQUEST);
	out->fence.length = untrusted_length;
	out->fence.payload = untrusted + 9;
	return 0;
}

static struct gr_rect rect(const uint8_t *p)
{
	return (struct gr_rect){ u16(p), u16(p + 2), u16(p + 4), u16(p + 6) };
}

static int parse_fixed(const uint8_t *untrusted, struct gr_viewer_message *out)
{
	switch (untrusted[0]) {
	case 0: out->kind = GR_VIEWER_PIXEL_FORMAT; return pixel_format_good(untrusted + 4) ? 0 : GR_EPROTO;
	case 3:
		out->kind = GR_VIEWER_UPDATE_REQUEST;
		out->update_request.incremental = untrusted[1] != 0;
		out->update_request.rect = rect(untrusted + 2);
		return 0;
	case 4:
		out->kind = GR_VIEWER_KEY;
		out->key.down = untrusted[1] != 0;
		out->key.keysym = u32(untrusted + 4);
		return 0;
	case 5:
		out->kind = GR_VIEWER_POINTER;
		out->pointer.buttons = untrusted[1];
		out->pointer.x = u16(untrusted + 2);
		out->pointer.y = u16(untrusted + 4);
		return 0;
	case 150:
		out->kind = GR_VIEWER_CONTINUOUS;
		out->continuous.on = untrusted[1] != 0;
		out->continuous.rect = rect(untrusted + 2);
		return 0;
	default: /* 255 */
		if (untrusted[1] != 0)
			return GR_EPROTO;
		out->kind = GR_VIEWER_KEY;
		out->key.down = u16(untrusted + 2) != 0;
		out->key.keysym = u32(untrusted + 4);
		out->key.keycode = u32(untrusted + 8);
		/* XT scancodes are one byte, the 0xe0-prefixed ones with bit 7: anything else is no key that we know. */
		if (out->key.keycode > 255)
			out->key.keycode = 0;
		return 0;
	}
}

int gr_viewer_message_parse(const uint8_t *untrusted, size_t n, struct gr_viewer_message *out)
{
	if (!n)
		return GR_EAGAIN;
	memset(out, 0, sizeof(*out));
	switch (untrusted[0]) {
	case 0: out->size = 20; break;
	case 2: return parse_encodings(untrusted, n, out);
	case 3: out->size = 10; break;
	case 4: out->size = 8; break;
	case 5: out->size = 6; break;
	case 6: return parse_cut_text(untrusted, n, out);
	case 71: return parse_garasu(untrusted, n, out);
	case 150: out->size = 10; break;
	case 248: return parse_fence(untrusted, n, out);
	case 251: return parse_desktop_size(untrusted, n, out);
	case 255: out->size = 12; break;
	default: return GR_EPROTO;
	}
	return n < out->size ? GR_EAGAIN : parse_fixed(untrusted, out);
}
