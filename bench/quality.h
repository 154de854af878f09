/*
 * How much a picture differs from the one that it should be.
 *
 * PSNR in dB over the red, green and blue of the whole picture. SSIM (Wang et al. 2004) over the luma (ITU-R BT.601, full
 * range), in windows of 8 by 8 pixels, 4 apart, equally weighted; its mean over all windows of the picture. Windows without
 * a difference are exactly 1 and are not computed. Columns and rows beyond a multiple of 4 count for the PSNR only.
 */
#ifndef GARASU_BENCH_QUALITY_H
#define GARASU_BENCH_QUALITY_H

#include <stddef.h>
#include <stdint.h>

struct gr_quality {
	double psnr; /* not when nothing differs */
	double ssim; /* 1 when nothing differs */
	size_t differing; /* pixels */
};

/*
 * Both pictures: w * h BGRX8888 pixels. scratch: gr_quality_scratch_size(w) bytes, aligned for a long. Returns whether they
 * differ, and writes *out then.
 */
size_t gr_quality_scratch_size(uint16_t w);
int gr_quality_compare(const uint32_t *truth, const uint32_t *shown, uint16_t w, uint16_t h, void *scratch,
		       struct gr_quality *out);

#endif
