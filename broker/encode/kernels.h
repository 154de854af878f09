/*
 * The loops over pixels that take the encoder's time, compiled twice: for any x86-64 (or other) processor, and for AVX2.
 * Which of them runs is chosen once, when an encoder is made; both do exactly the same.
 *
 * Pixels are BGRX8888. Lengths in pixels.
 */
#ifndef GARASU_BROKER_ENCODE_KERNELS_H
#define GARASU_BROKER_ENCODE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define GR_KERNEL_COLOUR 0x00ffffffu /* the part of a pixel that counts */

/* The most bytes of tokens (common/decode/decode.h) that one row of n pixels takes. */
#define GR_KERNEL_TOKENS_MAX(n) ((size_t)(n)*3 + (size_t)(n) / 2 + 8)

struct gr_kernels {
	const char *name;

	/*
	 * Reads n pixels of untrusted memory once into line, X cleared, and compares them with reference (X clear) on the way.
	 * Returns 0 when all are the same. reference may be any private memory but line.
	 */
	uint32_t (*take)(const uint8_t *untrusted, const uint32_t *reference, uint32_t *line, size_t n);

	/* Of two rows that differ, a[0..n) and b[0..n): the first and one past the last pixel that differs. */
	void (*span)(const uint32_t *a, const uint32_t *b, size_t n, size_t *first, size_t *end);

	/* How many of n pixels equal neither the one to their left (row[-1] is not read: the first counts) nor the one above. */
	size_t (*literals)(const uint32_t *row, const uint32_t *above, size_t n);

	/*
	 * Writes the tokens of one row; above is NULL for the first row of a piece. errors: n numbers of scratch when the piece
	 * is a photograph (GR_PIECE_MEDIAN), otherwise NULL. Returns one past the last byte.
	 */
	uint8_t *(*tokens)(const uint32_t *row, const uint32_t *above, size_t n, uint32_t *errors, uint8_t *out);

	/*
	 * A hash of each pixel's next GR_KERNEL_HASHED pixels, for the search for motion: hashes[0 .. n - GR_KERNEL_HASHED].
	 * scratch: 2 * n numbers. n >= GR_KERNEL_HASHED.
	 */
	void (*hashes)(const uint32_t *row, size_t n, uint32_t *hashes, uint32_t *scratch);

	/* A hash of n pixels. */
	uint32_t (*hash)(const uint32_t *row, size_t n);
};

#define GR_KERNEL_HASHED 32u

extern const struct gr_kernels gr_kernels_portable;
/* NULL when this processor has no AVX2. */
const struct gr_kernels *gr_kernels_avx2(void);

/* The faster of the two that this processor can run. */
const struct gr_kernels *gr_kernels_best(void);

#endif
