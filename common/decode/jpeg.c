#include "common/decode/jpeg.h"

enum marker { SOF0 = 0xc0, DHT = 0xc4, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, DQT = 0xdb };

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* SOF0: length, precision, height, width, number of components, three bytes for each. */
static int frame_good(const uint8_t *segment, size_t length, uint16_t w, uint16_t h)
{
	return length == 8 + 3 * 3 && segment[2] == 8 && u16(segment + 3) == h && u16(segment + 5) == w &&
	       segment[7] == 3;
}

/*
 * SOS: length, number of components, two bytes for each, 0, 63, 0. With a scan for each component libjpeg would wait for the
 * next one, and keep the whole picture's coefficients meanwhile.
 */
static int scan_good(const uint8_t *segment, size_t length)
{
	return length == 6 + 3 * 2 && segment[2] == 3 && segment[9] == 0 && segment[10] == 63 && segment[11] == 0;
}

/* Entropy-coded data: 0xff only in front of a stuffed 0, up to EOI, which must be the last two bytes. */
static int data_good(const uint8_t *data, size_t n)
{
	if (n < 2 || data[n - 2] != 0xff || data[n - 1] != EOI)
		return 0;
	for (size_t i = 0; i < n - 2; i++)
		if (data[i] == 0xff && data[++i] != 0)
			return 0;
	return 1;
}

const char *gr_jpeg_check(const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h)
{
	int frames = 0;
	if (n < 4 || untrusted[0] != 0xff || untrusted[1] != SOI)
		return "JPEG: no SOI";
	for (size_t at = 2; n - at >= 4;) {
		const uint8_t *segment = untrusted + at + 2;
		size_t length = u16(segment);
		if (untrusted[at] != 0xff || length < 2 || length > n - at - 2)
			return "JPEG: a broken segment";
		switch (untrusted[at + 1]) {
		case DQT:
		case DHT: break;
		case SOF0:
			if (frames++ || !frame_good(segment, length, w, h))
				return "JPEG: another frame than its rectangle";
			break;
		case SOS:
			if (!frames)
				return "JPEG: a scan before the frame";
			if (!scan_good(segment, length))
				return "JPEG: a scan of another kind";
			at += 2 + length;
			return data_good(untrusted + at, n - at) ? NULL : "JPEG: broken data, or bytes behind its end";
		default: return "JPEG: a segment that is not permitted";
		}
		at += 2 + length;
	}
	return "JPEG: no scan";
}
