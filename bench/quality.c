#include "bench/quality.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 4 /* pixels, either side; a window is two by two */ };

/* Of one block: sums over its 16 pixels of both lumas, of their squares, of their products. */
struct sums {
	uint32_t a, b, squares, products;
};

size_t gr_quality_scratch_size(uint16_t w)
{
	return 2 * ((size_t)w / BLOCK + 1) * sizeof(struct sums);
}

static uint32_t luma(uint32_t pixel)
{
	return (77 * (pixel >> 16 & 0xff) + 150 * (pixel >> 8 & 0xff) + 29 * (pixel & 0xff) + 128) >> 8;
}

static void sum_band(const uint32_t *truth, const uint32_t *shown, size_t w, struct sums *out)
{
	for (size_t block = 0; block < w / BLOCK; block++) {
		struct sums sums = { 0 };
		for (size_t y = 0; y < BLOCK; y++)
			for (size_t x = 0; x < BLOCK; x++) {
				uint32_t a = luma(truth[y * w + block * BLOCK + x]);
				uint32_t b = luma(shown[y * w + block * BLOCK + x]);
				sums.a += a;
				sums.b += b;
				sums.squares += a * a + b * b;
				sums.products += a * b;
			}
		out[block] = sums;
	}
}

static double window(const struct sums *upper, const struct sums *lower)
{
	static const double count = 64, c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
	double a = (double)(upper[0].a + upper[1].a + lower[0].a + lower[1].a) / count;
	double b = (double)(upper[0].b + upper[1].b + lower[0].b + lower[1].b) / count;
	double squares = (double)(upper[0].squares + upper[1].squares + lower[0].squares + lower[1].squares) / count;
	double products = (double)(upper[0].products + upper[1].products + lower[0].products + lower[1].products) /
			  count;
	double variances = squares - a * a - b * b, covariance = products - a * b;
	return (2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2));
}

static int differs(const uint32_t *truth, const uint32_t *shown, size_t w, size_t rows)
{
	return memcmp(truth, shown, w * rows * 4) != 0;
}

static double mean_ssim(const uint32_t *truth, const uint32_t *shown, size_t w, size_t h, struct sums *scratch)
{
	size_t bands = h / BLOCK, blocks = w / BLOCK;
	if (bands < 2 || blocks < 2)
		return 1;
	struct sums *upper = scratch, *lower = scratch + blocks + 1;
	size_t last_summed = bands; /* whose sums are in `lower`; bands: none */
	double lost = 0;
	int upper_differs = differs(truth, shown, w, BLOCK);
	for (size_t band = 0; band + 1 < bands; band++) {
		size_t at = band * BLOCK * w, below = at + BLOCK * w;
		int lower_differs = differs(truth + below, shown + below, w, BLOCK);
		if (upper_differs || lower_differs) {
			struct sums *free_one = upper;
			if (last_summed == band) {
				upper = lower;
				lower = free_one;
			} else {
				sum_band(truth + at, shown + at, w, upper);
			}
			sum_band(truth + below, shown + below, w, lower);
			last_summed = band + 1;
			for (size_t block = 0; block + 1 < blocks; block++)
				lost += 1 - window(upper + block, lower + block);
		}
		upper_differs = lower_differs;
	}
	return 1 - lost / (double)((bands - 1) * (blocks - 1));
}

int gr_quality_compare(const uint32_t *truth, const uint32_t *shown, uint16_t w, uint16_t h, void *scratch,
		       struct gr_quality *out)
{
	uint64_t squares = 0;
	size_t differing = 0;
	for (size_t y = 0; y < h; y++) {
		const uint32_t *a = truth + y * w, *b = shown + y * w;
		if (!differs(a, b, w, 1))
			continue;
		uint32_t row = 0, pixels = 0; /* at most 8192 * 3 * 255² */
		for (size_t x = 0; x < w; x++) {
			int32_t blue = (int32_t)(a[x] & 0xff) - (int32_t)(b[x] & 0xff);
			int32_t green = (int32_t)(a[x] >> 8 & 0xff) - (int32_t)(b[x] >> 8 & 0xff);
			int32_t red = (int32_t)(a[x] >> 16 & 0xff) - (int32_t)(b[x] >> 16 & 0xff);
			row += (uint32_t)(blue * blue + green * green + red * red);
			pixels += ((a[x] ^ b[x]) & 0xffffffu) != 0;
		}
		squares += row;
		differing += pixels;
	}
	if (!differing)
		return 0;
	double mean = (double)squares / ((double)w * h * 3);
	*out = (struct gr_quality){ .psnr = 10 * log10(255.0 * 255.0 / mean),
				    .ssim = mean_ssim(truth, shown, w, h, scratch),
				    .differing = differing };
	return 1;
}
