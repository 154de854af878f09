#include "tests/unit/encode_viewer.h"

#include <stdlib.h>
#include <string.h>

#define ENCODING_COPY_RECT 1
#define ENCODING_TIGHT 7
#define TIGHT_JPEG 0x90

/* ---- pictures ---- */

uint32_t picture_hash(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t h = a * 0x9e3779b1u ^ b * 0x85ebca77u ^ c * 0xc2b2ae3du;
	h = (h ^ h >> 15) * 0x2c1b3c6du;
	h = (h ^ h >> 12) * 0x297a2d39u;
	return h ^ h >> 15;
}

static uint32_t text(uint32_t seed, uint32_t x, uint32_t y)
{
	uint32_t line = y / 20, column = x / 9, cell = picture_hash(seed, line, column);
	if (y % 20 >= 13 || x % 9 >= 7 || cell % 6 == 0 || picture_hash(seed, line, 77) % 5 == 0 || x % 1000 < 60)
		return 0xffffff;
	uint32_t dot = picture_hash(cell / 6 % 40, x % 9, y % 20);
	return dot % 3 ? 0xffffff : (dot >> 8) % 6 * 40 * 0x010101;
}

static uint32_t limited(uint32_t value, uint32_t grain)
{
	return (value & 255) * 200 / 256 + 20 + grain % 24;
}

static uint32_t photo(uint32_t seed, uint32_t x, uint32_t y)
{
	uint32_t grain = picture_hash(seed, x, y);
	uint32_t slow = (x * 3 + y) / 7 + seed, other = (y * 5 + 2 * x) / 11;
	uint32_t up = slow & 256 ? ~slow : slow, down = other & 256 ? ~other : other;
	return limited(up, grain) << 16 | limited(down, grain >> 8) << 8 | limited(up / 2 + down / 2, grain >> 16);
}

uint32_t picture_pixel(enum picture picture, uint32_t seed, uint32_t x, uint32_t y)
{
	switch (picture) {
	case PICTURE_TEXT: return text(seed, x, y);
	case PICTURE_COLOURS:
		return x % 90 == 0 || y % 24 == 0 ? 0xd0d0d0 : picture_hash(seed, x / 90, y / 24) % 7 * 0x1f2a33;
	case PICTURE_PHOTO: return photo(seed, x, y);
	case PICTURE_NOISE: return picture_hash(seed, x, y);
	case PICTURE_BLACK_WHITE: return picture_hash(seed, x, y) & 1 ? 0xffffff : 0;
	case PICTURE_FLAT:
	case PICTURES: break;
	}
	return seed * 0x9e3779b1u;
}

void picture_draw(uint32_t *pixels, size_t stride, struct gr_rect r, enum picture picture, uint32_t seed,
		  uint32_t from_x, uint32_t from_y)
{
	for (uint32_t y = 0; y < r.h; y++)
		for (uint32_t x = 0; x < r.w; x++)
			pixels[(r.y + y) * stride + r.x + x] = picture_pixel(picture, seed, from_x + x, from_y + y);
}

void picture_scroll(uint32_t *pixels, size_t stride, struct gr_rect r, int dx, int dy)
{
	unsigned across = (unsigned)abs(dx), down = (unsigned)abs(dy);
	if (across >= r.w || down >= r.h)
		return;
	for (uint32_t i = 0; i < r.h - down; i++) {
		uint32_t to = dy >= 0 ? i : r.h - 1 - i, from = (uint32_t)((int)to + dy);
		uint32_t *row = pixels + (r.y + to) * stride + r.x;
		const uint32_t *origin = pixels + (r.y + from) * stride + r.x;
		memmove(row + (dx < 0 ? across : 0), origin + (dx > 0 ? across : 0), (r.w - across) * sizeof(*row));
	}
}

/* ---- the viewer ---- */

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct encode_viewer *v = context;
	if (!v->in_size)
		return -1;
	size_t n = v->in_size < room ? v->in_size : room;
	memcpy(into, v->in, n);
	v->in += n;
	v->in_size -= n;
	*got = n;
	return 0;
}

int encode_viewer_resize(struct encode_viewer *v, uint16_t w, uint16_t h)
{
	size_t stride = w + 2u * VIEWER_MARGIN, rows = h + 2u * VIEWER_MARGIN;
	uint32_t *memory = malloc(stride * rows * sizeof(*memory));
	if (!memory)
		return -1;
	for (size_t i = 0; i < stride * rows; i++)
		memory[i] = VIEWER_GUARD;
	free(v->memory);
	v->memory = memory;
	v->pixels = memory + VIEWER_MARGIN * stride + VIEWER_MARGIN;
	v->stride = stride;
	v->w = w;
	v->h = h;
	return 0;
}

int encode_viewer_init(struct encode_viewer *v, enum gr_encode_form form, unsigned history_log2, uint16_t w, uint16_t h)
{
	*v = (struct encode_viewer){ .form = form };
	if (form == GR_ENCODE_GARASU)
		v->decode = gr_decode_create(history_log2, 1);
	else
		v->tight = gr_tight_create(1);
	if ((!v->decode && !v->tight) || gr_reader_init(&v->reader, refill, v) || encode_viewer_resize(v, w, h)) {
		encode_viewer_finish(v);
		return -1;
	}
	return 0;
}

void encode_viewer_finish(struct encode_viewer *v)
{
	gr_decode_destroy(v->decode);
	gr_tight_destroy(v->tight);
	if (v->reader.buffer)
		gr_reader_finish(&v->reader);
	free(v->memory);
	*v = (struct encode_viewer){ 0 };
}

static int guards_good(const struct encode_viewer *v)
{
	size_t rows = v->h + 2u * VIEWER_MARGIN;
	for (size_t y = 0; y < rows; y++) {
		const uint32_t *row = v->memory + y * v->stride;
		int inside = y >= VIEWER_MARGIN && y < VIEWER_MARGIN + (size_t)v->h;
		for (size_t x = 0; x < v->stride; x++) {
			if (inside && x == VIEWER_MARGIN)
				x += v->w;
			if (row[x] != VIEWER_GUARD)
				return 0;
		}
	}
	return 1;
}

static uint32_t number(const uint8_t *p, unsigned bytes)
{
	uint32_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | p[i];
	return value;
}

static const char *draw_copy(struct encode_viewer *v, const uint8_t *at, struct gr_rect r)
{
	uint32_t x = number(at, 2), y = number(at + 2, 2);
	if (x + r.w > v->w || y + r.h > v->h)
		return "a copy from beyond the picture";
	int down = r.y > y;
	for (size_t i = 0; i < r.h; i++) {
		size_t row = down ? r.h - 1u - i : i;
		memmove(v->pixels + (r.y + row) * v->stride + r.x, v->pixels + (y + row) * v->stride + x,
			r.w * sizeof(uint32_t));
	}
	v->copies++;
	v->copied += (uint64_t)r.w * r.h;
	return NULL;
}

static void note(struct encode_viewer *v, struct gr_rect r, int lossy)
{
	uint64_t pixels = (uint64_t)r.w * r.h;
	if (lossy) {
		v->lossy++;
		v->lossy_pixels += pixels;
		return;
	}
	v->exact++;
	v->exact_pixels += pixels;
	struct gr_rect b = v->exact_bounds;
	if (!b.w)
		b = r;
	unsigned right = (unsigned)b.x + b.w, bottom = (unsigned)b.y + b.h;
	right = right > (unsigned)r.x + r.w ? right : (unsigned)r.x + r.w;
	bottom = bottom > (unsigned)r.y + r.h ? bottom : (unsigned)r.y + r.h;
	b.x = b.x < r.x ? b.x : r.x;
	b.y = b.y < r.y ? b.y : r.y;
	b.w = (uint16_t)(right - b.x);
	b.h = (uint16_t)(bottom - b.y);
	v->exact_bounds = b;
}

/* *used: of the n bytes behind the rectangle's header. */
static const char *draw_tight(struct encode_viewer *v, const uint8_t *at, size_t n, struct gr_rect r, size_t *used)
{
	const char *why = "no bytes";
	if (!n)
		return why;
	v->in = at;
	v->in_size = n;
	int lossy = at[0] == TIGHT_JPEG;
	if (gr_tight_decode(v->tight, &v->reader, v->pixels, v->stride, r, &why))
		return why;
	*used = n - v->in_size - (v->reader.end - v->reader.begin);
	v->reader.begin = v->reader.end = 0;
	note(v, r, lossy);
	return NULL;
}

static const char *draw_garasu(struct encode_viewer *v, int32_t encoding, const uint8_t *at, size_t n, struct gr_rect r,
			       size_t *used)
{
	const char *why = "unknown";
	if (n < 4 || number(at, 4) > n - 4 || number(at, 4) > GR_DECODE_PAYLOAD_MAX)
		return "a payload's length";
	*used = 4 + number(at, 4);
	if (gr_decode_rectangle(v->decode, encoding, at + 4, *used - 4, v->pixels, v->stride, r, &why))
		return why;
	note(v, r, encoding == GR_ENCODING_PHOTO);
	return NULL;
}

const char *encode_viewer_draw(struct encode_viewer *v, const uint8_t *bytes, size_t n, unsigned rects)
{
	if (rects > 65534)
		return "too many rectangles";
	for (; rects; rects--) {
		if (n < 12)
			return "a rectangle's header is cut short";
		struct gr_rect r = { (uint16_t)number(bytes, 2), (uint16_t)number(bytes + 2, 2),
				     (uint16_t)number(bytes + 4, 2), (uint16_t)number(bytes + 6, 2) };
		int32_t encoding = (int32_t)number(bytes + 8, 4);
		bytes += 12;
		n -= 12;
		if (!r.w || !r.h || r.x + r.w > v->w || r.y + r.h > v->h)
			return "a rectangle outside the picture";
		size_t used = 4;
		const char *why = "an encoding of the other form";
		if (encoding == ENCODING_COPY_RECT)
			why = n >= 4 ? draw_copy(v, bytes, r) : "a copy is cut short";
		else if (encoding == ENCODING_TIGHT && v->tight)
			why = draw_tight(v, bytes, n, r, &used);
		else if (v->decode)
			why = draw_garasu(v, encoding, bytes, n, r, &used);
		if (why)
			return why;
		bytes += used;
		n -= used;
	}
	if (!guards_good(v))
		return "something was drawn outside the picture";
	return n ? "bytes behind the last rectangle" : NULL;
}

size_t encode_viewer_differs(const struct encode_viewer *v, const uint32_t *pixels)
{
	size_t count = 0;
	for (size_t y = 0; y < v->h; y++)
		for (size_t x = 0; x < v->w; x++)
			count += ((v->pixels[y * v->stride + x] ^ pixels[y * v->w + x]) & 0xffffff) != 0;
	return count;
}
