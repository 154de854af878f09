#include "common/decode/decode.h"
#include "common/decode/jpeg.h"
#include "common/decode/tokens.h"
#include "common/decode/unit.h"
#include "common/error.h"

#include <stdlib.h>
#include <turbojpeg.h>
#include <zstd.h>

struct gr_decode {
	ZSTD_DCtx *stream;
	tjhandle jpeg; /* NULL: not permitted */
	uint8_t unit[GR_UNIT_MAX + 1]; /* one more shows that there is more */
};

struct gr_decode *gr_decode_create(unsigned history_log2, int permit_photo)
{
	struct gr_decode *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->stream = ZSTD_createDCtx();
	if (permit_photo)
		d->jpeg = tjInitDecompress();
	if (!d->stream || (permit_photo && !d->jpeg) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(d->stream, ZSTD_d_windowLogMax, (int)history_log2))) {
		gr_decode_destroy(d);
		return NULL;
	}
	return d;
}

void gr_decode_destroy(struct gr_decode *d)
{
	if (!d)
		return;
	ZSTD_freeDCtx(d->stream);
	if (d->jpeg)
		tjDestroy(d->jpeg);
	free(d);
}

/* The payload must be used up, inflate to at most one unit, and leave nothing behind. */
static int history(struct gr_decode *d, const uint8_t *payload, size_t n, uint32_t *pixels, size_t stride,
		   struct gr_rect rect, const char **why)
{
	ZSTD_inBuffer in = { payload, n, 0 };
	ZSTD_outBuffer unit = { d->unit, sizeof(d->unit), 0 };
	for (;;) {
		size_t taken = in.pos, made = unit.pos;
		size_t status = ZSTD_decompressStream(d->stream, &unit, &in);
		if (ZSTD_isError(status)) {
			*why = "history: broken compressed data";
			return GR_EPROTO;
		}
		if (status == 0) {
			*why = "history: the stream ends";
			return GR_EPROTO;
		}
		/* With room left in the unit, what was in the payload is all inflated. */
		if (in.pos == n && unit.pos < unit.size)
			break;
		if (unit.pos == unit.size || (in.pos == taken && unit.pos == made)) {
			*why = "history: a unit too large";
			return GR_EPROTO;
		}
	}
	if (!unit.pos) {
		*why = "history: an empty unit";
		return GR_EPROTO;
	}
	return gr_unit_draw(d->unit, unit.pos, pixels, stride, rect, why);
}

static int photo(struct gr_decode *d, const uint8_t *payload, size_t n, uint32_t *pixels, size_t stride,
		 struct gr_rect rect, const char **why)
{
	if (!d->jpeg) {
		*why = "a photograph that was not asked for";
		return GR_EPROTO;
	}
	*why = gr_jpeg_check(payload, n, rect.w, rect.h);
	if (*why)
		return GR_EPROTO;
	unsigned char *to = (unsigned char *)(pixels + (size_t)rect.y * stride + rect.x);
	/* A warning (data that ends early, say) leaves every pixel set. */
	if (tjDecompress2(d->jpeg, payload, n, to, rect.w, (int)(stride * sizeof(uint32_t)), rect.h, TJPF_BGRA, 0) <
		    0 &&
	    tjGetErrorCode(d->jpeg) != TJERR_WARNING) {
		*why = "JPEG: broken";
		return GR_EPROTO;
	}
	return 0;
}

int gr_decode_rectangle(struct gr_decode *d, int32_t encoding, const uint8_t *payload, size_t n, uint32_t *pixels,
			size_t stride, struct gr_rect rect, const char **why)
{
	switch (encoding) {
	case GR_ENCODING_HISTORY: return history(d, payload, n, pixels, stride, rect, why);
	case GR_ENCODING_PHOTO: return photo(d, payload, n, pixels, stride, rect, why);
	default: *why = "an encoding that is not ours"; return GR_EPROTO;
	}
}
