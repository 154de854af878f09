/* The benchmark's figures: PSNR, SSIM, percentiles. */
#include "bench/quality.h"
#include "bench/result.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { W = 66, H = 50 };

static uint32_t truth[W * H], shown[W * H];

static void fill(void)
{
	for (size_t i = 0; i < (size_t)W * H; i++)
		truth[i] = shown[i] = 0xff000000u | (uint32_t)(i * 2654435761u >> 8 & 0xffffff);
}

static void equal_pictures_do_not_differ(void **state)
{
	(void)state;
	struct gr_quality quality = { 0 };
	void *scratch = malloc(gr_quality_scratch_size(W));
	fill();
	assert_int_equal(gr_quality_compare(truth, shown, W, H, scratch, &quality), 0);
	for (size_t i = 0; i < (size_t)W * H; i++)
		shown[i] &= 0xffffffu; /* X is no part of a picture */
	assert_int_equal(gr_quality_compare(truth, shown, W, H, scratch, &quality), 0);
	free(scratch);
}

static void psnr_is_that_of_the_formula(void **state)
{
	(void)state;
	struct gr_quality quality = { 0 };
	void *scratch = malloc(gr_quality_scratch_size(W));
	fill();
	truth[W + 1] = 0xff102030;
	shown[W + 1] = 0xff132030; /* 3 of red */
	assert_int_equal(gr_quality_compare(truth, shown, W, H, scratch, &quality), 1);
	assert_int_equal(quality.differing, 1);
	assert_true(fabs(quality.psnr - 10 * log10(255.0 * 255 / (9.0 / (W * H * 3)))) < 1e-9);
	free(scratch);
}

/* The formula, straight from the paper, over every window. */
static double slow_ssim(void)
{
	double sum = 0;
	size_t count = 0;
	for (size_t y = 0; y + 8 <= H / 4 * 4; y += 4)
		for (size_t x = 0; x + 8 <= W / 4 * 4; x += 4, count++) {
			double mean[2] = { 0 }, square[2] = { 0 }, product = 0;
			for (size_t i = 0; i < 64; i++) {
				size_t at = (y + i / 8) * W + x + i % 8;
				const uint32_t pixel[2] = { truth[at], shown[at] };
				double luma[2];
				for (size_t k = 0; k < 2; k++) {
					luma[k] = (77 * (pixel[k] >> 16 & 255) + 150 * (pixel[k] >> 8 & 255) +
						   29 * (pixel[k] & 255) + 128) >>
						  8;
					mean[k] += luma[k] / 64;
					square[k] += luma[k] * luma[k] / 64;
				}
				product += luma[0] * luma[1] / 64;
			}
			double c1 = 6.5025, c2 = 58.5225;
			sum += (2 * mean[0] * mean[1] + c1) * (2 * (product - mean[0] * mean[1]) + c2) /
			       ((mean[0] * mean[0] + mean[1] * mean[1] + c1) *
				(square[0] - mean[0] * mean[0] + square[1] - mean[1] * mean[1] + c2));
		}
	return sum / (double)count;
}

static void ssim_leaves_out_only_windows_that_are_one(void **state)
{
	(void)state;
	struct gr_quality quality = { 0 };
	void *scratch = malloc(gr_quality_scratch_size(W));
	fill();
	for (size_t y = 9; y < 14; y++)
		for (size_t x = 20; x < 41; x++)
			shown[y * W + x] ^= 0x1f1f1f;
	for (size_t x = 0; x < W; x++)
		shown[(size_t)30 * W + x] = 0xff808080;
	assert_int_equal(gr_quality_compare(truth, shown, W, H, scratch, &quality), 1);
	assert_true(quality.ssim < 0.999);
	assert_true(fabs(quality.ssim - slow_ssim()) < 1e-9);
	free(scratch);
}

static void percentiles_are_samples(void **state)
{
	(void)state;
	struct gr_samples samples = { 0 };
	assert_true(gr_samples_ms(&samples, 0.5) == 0);
	for (uint64_t i = 100; i > 0; i--)
		assert_int_equal(gr_samples_add(&samples, i * 1000000), 0);
	gr_samples_sort(&samples);
	assert_true(gr_samples_ms(&samples, 0.5) == 50);
	assert_true(gr_samples_ms(&samples, 0.99) == 99);
	assert_true(gr_samples_ms(&samples, 1) == 100);
	gr_samples_finish(&samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_pictures_do_not_differ),
		cmocka_unit_test(psnr_is_that_of_the_formula),
		cmocka_unit_test(ssim_leaves_out_only_windows_that_are_one),
		cmocka_unit_test(percentiles_are_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
