#include "broker/encode/photo.h"
#include "common/error.h"

#include <stdlib.h>
#include <turbojpeg.h>

#define NOTES_LOG2 15u
#define NOTES ((size_t)1 << NOTES_LOG2)
#define SAMPLE_MASK 3u /* a quarter of all row parts is noted, chosen by content, so that looking finds the same ones */
#define JFIF_BYTES 18u /* the APP0 segment that libjpeg writes behind SOI */
/* 4:2:0 works on blocks: up to 15 columns and 15 rows are added, each as long as the longer side can be. */
#define BLOCK 16u
#define PADDED_PIXELS_MAX (GR_PHOTO_PIXELS_MAX + BLOCK * 2u * (GR_SCREEN_MAX + BLOCK))
#define AT_UNIT 12u /* log2 of the bytes that a note's place is counted in */

struct note {
	uint32_t hash; /* 0: none */
	uint32_t at; /* in 1 << AT_UNIT bytes */
};

struct gr_photo {
	const struct gr_kernels *kernels;
	tjhandle jpeg;
	unsigned char *buffer;
	unsigned long buffer_size;
	struct note notes[NOTES];
};

struct gr_photo *gr_photo_create(const struct gr_kernels *kernels)
{
	struct gr_photo *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->kernels = kernels;
	p->jpeg = tjInitCompress();
	p->buffer_size = tjBufSize(BLOCK, (int)(PADDED_PIXELS_MAX / BLOCK), TJSAMP_420);
	p->buffer = malloc(p->buffer_size);
	if (!p->jpeg || !p->buffer) {
		gr_photo_destroy(p);
		return NULL;
	}
	return p;
}

void gr_photo_destroy(struct gr_photo *p)
{
	if (!p)
		return;
	if (p->jpeg)
		tjDestroy(p->jpeg);
	free(p->buffer);
	free(p);
}

ptrdiff_t gr_photo_compress(struct gr_photo *p, const uint32_t *pixels, size_t stride, struct gr_rect rect,
			    unsigned quality, const uint8_t **jpeg_out)
{
	const unsigned char *first = (const unsigned char *)(pixels + (size_t)rect.y * stride + rect.x);
	unsigned long size = p->buffer_size;
	if (size < tjBufSize(rect.w, rect.h, TJSAMP_420))
		return GR_ENOMEM;
	if (tjCompress2(p->jpeg, first, rect.w, (int)(stride * sizeof(uint32_t)), rect.h, TJPF_BGRX, &p->buffer, &size,
			TJSAMP_420, (int)quality, TJFLAG_NOREALLOC | TJFLAG_FASTDCT) < 0)
		return GR_ENOMEM;
	/* The JFIF header says nothing that the viewer needs, and the guard permits no application segments. */
	if (size < 2 + JFIF_BYTES || p->buffer[2] != 0xff || p->buffer[3] != 0xe0 || p->buffer[5] != JFIF_BYTES - 2)
		return GR_ENOMEM;
	uint8_t *jpeg = p->buffer + JFIF_BYTES;
	jpeg[0] = 0xff;
	jpeg[1] = 0xd8;
	*jpeg_out = jpeg;
	return (ptrdiff_t)(size - JFIF_BYTES);
}

/* Calls for each part of a row that is noted: those that begin at a multiple of the chunk and are whole. */
static uint32_t chunk_hash(const struct gr_photo *p, const uint32_t *pixels, size_t stride, size_t x, size_t y)
{
	uint32_t hash = p->kernels->hash(pixels + y * stride + x, GR_PHOTO_CHUNK);
	return hash && ((hash >> NOTES_LOG2) & SAMPLE_MASK) == 0 ? hash : 0;
}

static size_t first_chunk(struct gr_rect rect)
{
	return ((size_t)rect.x + GR_PHOTO_CHUNK - 1) / GR_PHOTO_CHUNK * GR_PHOTO_CHUNK;
}

void gr_photo_note(struct gr_photo *p, const uint32_t *pixels, size_t stride, struct gr_rect rect, uint64_t at)
{
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++) {
		for (size_t x = first_chunk(rect); x + GR_PHOTO_CHUNK <= (size_t)rect.x + rect.w; x += GR_PHOTO_CHUNK) {
			uint32_t hash = chunk_hash(p, pixels, stride, x, y);
			if (hash)
				p->notes[hash % NOTES] = (struct note){ hash, (uint32_t)(at >> AT_UNIT) };
		}
	}
}

int gr_photo_known(const struct gr_photo *p, const uint32_t *pixels, size_t stride, struct gr_rect rect, uint64_t since)
{
	uint32_t oldest = (uint32_t)(since >> AT_UNIT);
	unsigned looked = 0, known = 0;
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++) {
		for (size_t x = first_chunk(rect); x + GR_PHOTO_CHUNK <= (size_t)rect.x + rect.w; x += GR_PHOTO_CHUNK) {
			uint32_t hash = chunk_hash(p, pixels, stride, x, y);
			if (!hash)
				continue;
			const struct note *n = &p->notes[hash % NOTES];
			looked++;
			known += n->hash == hash && n->at >= oldest;
		}
	}
	return known * 2 > looked;
}
