/*
 * The structure of JPEG. The input: width and height less 1, a byte each, then the picture. What the strict guard accepts the viewer's check
 * accepts too, and libjpeg decodes it without so much as a warning.
 */
#include "broker/guard/jpeg.h"
#include "common/decode/jpeg.h"

#include <stdlib.h>
#include <turbojpeg.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t pixels[256 * 256 * 4];
	static struct gr_guard_jpeg *jpeg; /* used again, as for the pictures of a connection */
	static tjhandle decoder;
	if (!jpeg)
		jpeg = gr_guard_jpeg_create();
	if (!decoder)
		decoder = tjInitDecompress();
	if (!jpeg || !decoder)
		abort();
	if (size < 2)
		return 0;
	uint16_t w = (uint16_t)(data[0] + 1), h = (uint16_t)(data[1] + 1);
	const char *lax = gr_guard_jpeg_check(jpeg, data + 2, size - 2, w, h, false);
	const char *strict = gr_guard_jpeg_check(jpeg, data + 2, size - 2, w, h, true);
	if (lax && strict != lax)
		abort();
	if (strict)
		return 0;
	if (gr_jpeg_check(data + 2, size - 2, w, h) ||
	    tjDecompress2(decoder, data + 2, size - 2, pixels, w, 0, h, TJPF_BGRX, 0) < 0)
		abort();
	return 0;
}
