/* Compiled twice (CMakeLists.txt): GR_KERNELS_AVX2 is defined for the processors that have it. */
#include "broker/encode/kernels.h"
#include "common/decode/tokens.h"

#include <string.h>

#ifdef GR_KERNELS_AVX2
#define KERNELS kernels_with_avx2
#define NAME "AVX2"
#else
#define KERNELS gr_kernels_portable
#define NAME "portable"
#endif

/* Wide enough for two AVX2 registers; short enough that a text's runs, which are mostly shorter, waste little. */
#define CHUNK 16u

/* A register full of pixels, at any address that a pixel may have. */
#ifdef GR_KERNELS_AVX2
#define LANES 8u
#else
#define LANES 4u
#endif
typedef uint32_t pixels_t __attribute__((vector_size(LANES * sizeof(uint32_t)), aligned(4), may_alias));

/* GCC says it one way, Clang the other. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define UNDER_THREAD_SANITIZER
#endif
#elif defined(__SANITIZE_THREAD__)
#define UNDER_THREAD_SANITIZER
#endif

/*
 * Somebody else may write what is read here meanwhile. Whatever is read is in a register from then on: the asm statement
 * hides where it came from, so the compiler cannot go back for it.
 */
#ifdef UNDER_THREAD_SANITIZER
/* The same, in the one way that ThreadSanitizer knows as allowed. */
static inline pixels_t read_once(const uint32_t *untrusted)
{
	pixels_t result;
	for (size_t i = 0; i < LANES; i++)
		result[i] = __atomic_load_n(&untrusted[i], __ATOMIC_RELAXED);
	return result;
}
#else
static inline pixels_t read_once(const uint32_t *untrusted)
{
	pixels_t result = *(const pixels_t *)untrusted;
	__asm__ volatile("" : "+x"(result));
	return result;
}
#endif

static uint32_t take(const uint8_t *untrusted, const uint32_t *restrict reference, uint32_t *restrict line, size_t n)
{
	const uint32_t *source = (const uint32_t *)(const void *)untrusted;
	pixels_t differences = { 0 };
	size_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		pixels_t now = read_once(source + i) & GR_KERNEL_COLOUR;
		*(pixels_t *)(line + i) = now;
		differences |= now ^ *(const pixels_t *)(reference + i);
	}
	uint32_t difference = 0;
	for (; i < n; i++) {
		line[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED) & GR_KERNEL_COLOUR;
		difference |= line[i] ^ reference[i];
	}
	for (size_t k = 0; k < LANES; k++)
		difference |= differences[k];
	return difference;
}

static void span(const uint32_t *a, const uint32_t *b, size_t n, size_t *first, size_t *end)
{
	size_t i = 0;
	while (i < n && a[i] == b[i])
		i++;
	while (n > i && a[n - 1] == b[n - 1])
		n--;
	*first = i;
	*end = n;
}

static size_t literals(const uint32_t *row, const uint32_t *above, size_t n)
{
	uint32_t count = row[0] != above[0];
	for (size_t i = 1; i < n; i++)
		count += (row[i] != row[i - 1]) & (row[i] != above[i]);
	return count;
}

/* How many of the first n pixels are `colour`. */
static inline size_t same(const uint32_t *row, uint32_t colour, size_t n)
{
	size_t i = 0;
	for (; i + CHUNK <= n; i += CHUNK) {
		uint32_t difference = 0;
		for (size_t k = 0; k < CHUNK; k++)
			difference |= row[i + k] ^ colour;
		if (difference)
			break;
	}
	while (i < n && row[i] == colour)
		i++;
	return i;
}

/* How many of the first n pixels of two rows are equal. */
static inline size_t equal(const uint32_t *a, const uint32_t *b, size_t n)
{
	size_t i = 0;
	for (; i + CHUNK <= n; i += CHUNK) {
		uint32_t difference = 0;
		for (size_t k = 0; k < CHUNK; k++)
			difference |= a[i + k] ^ b[i + k];
		if (difference)
			break;
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

static inline uint8_t *put_run(uint8_t *out, unsigned kind, size_t n)
{
	while (n > GR_TOKEN_RUN_SHORT) {
		if (n <= GR_TOKEN_RUN_BYTE_MAX) {
			*out++ = (uint8_t)(kind | GR_TOKEN_RUN_BYTE);
			*out++ = (uint8_t)(n - GR_TOKEN_RUN_SHORT - 1);
			return out;
		}
		size_t some = n < GR_TOKEN_RUN_WORD_MAX ? n : GR_TOKEN_RUN_WORD_MAX;
		size_t beyond = some - GR_TOKEN_RUN_BYTE_MAX - 1;
		*out++ = (uint8_t)(kind | GR_TOKEN_RUN_WORD);
		*out++ = (uint8_t)(beyond >> 8);
		*out++ = (uint8_t)beyond;
		n -= some;
	}
	if (n)
		*out++ = (uint8_t)(kind | (n - 1));
	return out;
}

static inline int grey(uint32_t pixel)
{
	return ((pixel ^ (pixel >> 8)) & 0xffffu) == 0;
}

/* Shorter runs cost more than they save: a run's token, and a new token for the literals behind it. */
#define LEFT_RUN_MIN 3u
#define ABOVE_RUN_MIN 4u

/* Whether a run worth a token begins at row[i]. */
static inline int run_begins(const uint32_t *row, const uint32_t *above, size_t i, size_t n, uint32_t left)
{
	if (row[i] == left && i + LEFT_RUN_MIN <= n && row[i + 1] == left && row[i + 2] == left)
		return 1;
	return above && row[i] == above[i] && i + ABOVE_RUN_MIN <= n && row[i + 1] == above[i + 1] &&
	       row[i + 2] == above[i + 2] && row[i + 3] == above[i + 3];
}

/*
 * JPEG-LS's median predictor, byte by byte, and what the pixels differ from it: errors[i] for row[i]. The first pixel has none
 * to its left and is expected to be the one above.
 */
static void median_errors(const uint32_t *row, const uint32_t *above, size_t n, uint32_t *errors)
{
	const uint8_t *now = (const uint8_t *)(row + 1), *left = (const uint8_t *)row,
		      *up = (const uint8_t *)(above + 1), *corner = (const uint8_t *)above;
	uint8_t *out = (uint8_t *)(errors + 1);
	for (size_t i = 0; i < 4; i++)
		((uint8_t *)errors)[i] = (uint8_t)(left[i] - corner[i]);
	for (size_t i = 0; i < 4 * (n - 1); i++) {
		uint8_t low = left[i] < up[i] ? left[i] : up[i], high = left[i] < up[i] ? up[i] : left[i];
		uint8_t expected = (uint8_t)(left[i] + up[i] - corner[i]);
		expected = corner[i] >= high ? low : expected;
		expected = corner[i] <= low ? high : expected;
		out[i] = (uint8_t)(now[i] - expected);
	}
}

/* The three bytes of a coloured pixel, or of its error. */
static inline uint8_t *put_colour(uint32_t pixel, uint8_t *out)
{
	uint32_t green = pixel >> 8;
	out[0] = (uint8_t)green;
	out[1] = (uint8_t)(pixel - green);
	out[2] = (uint8_t)((pixel >> 16) - green);
	return out + 3;
}

/* What a coloured pixel without a row above is in a photograph: less the one to the left, byte by byte. */
static inline uint32_t left_error(uint32_t pixel, uint32_t left)
{
	return ((pixel - left) & 0xff) | ((((pixel >> 8) - (left >> 8)) & 0xff) << 8) |
	       ((((pixel >> 16) - (left >> 16)) & 0xff) << 16);
}

/* colours: what COLOUR's bytes are made from: the row itself, or its errors. */
static inline uint8_t *put_literals(const uint32_t *row, const uint32_t *above, const uint32_t *colours, size_t *at,
				    size_t n, uint32_t left, uint8_t *out)
{
	size_t i = *at;
	do {
		uint8_t *token = out++;
		unsigned kind = grey(row[i]) ? GR_TOKEN_GREY : GR_TOKEN_COLOUR, count = 0;
		if (kind == GR_TOKEN_GREY) {
			do {
				*out++ = (uint8_t)row[i];
				left = row[i++];
				count++;
			} while (i < n && count < GR_TOKEN_LITERALS_MAX && grey(row[i]) &&
				 !run_begins(row, above, i, n, left));
		} else {
			do {
				out = put_colour(colours[i], out);
				left = row[i++];
				count++;
			} while (i < n && count < GR_TOKEN_LITERALS_MAX && !grey(row[i]) &&
				 !run_begins(row, above, i, n, left));
		}
		*token = (uint8_t)(kind | (count - 1));
	} while (i < n && !run_begins(row, above, i, n, left));
	*at = i;
	return out;
}

static uint8_t *tokens(const uint32_t *row, const uint32_t *above, size_t n, uint32_t *errors, uint8_t *out)
{
	const uint32_t *colours = row;
	if (errors && above)
		median_errors(row, above, n, errors);
	else if (errors)
		for (size_t i = 0; i < n; i++)
			errors[i] = left_error(row[i], i ? row[i - 1] : GR_TOKEN_FIRST_LEFT);
	if (errors)
		colours = errors;
	uint32_t left = GR_TOKEN_FIRST_LEFT;
	for (size_t i = 0; i < n;) {
		size_t left_run = row[i] == left ? same(row + i, left, n - i) : 0;
		size_t above_run = above && row[i] == above[i] ? equal(row + i, above + i, n - i) : 0;
		if (left_run >= above_run && (left_run >= LEFT_RUN_MIN || (left_run && i + left_run == n))) {
			out = put_run(out, GR_TOKEN_LEFT, left_run);
			i += left_run;
		} else if (above_run >= ABOVE_RUN_MIN || (above_run && i + above_run == n)) {
			out = put_run(out, GR_TOKEN_ABOVE, above_run);
			i += above_run;
			left = row[i - 1];
		} else {
			out = put_literals(row, above, colours, &i, n, left, out);
			left = row[i - 1];
		}
	}
	return out;
}

static void hashes(const uint32_t *row, size_t n, uint32_t *hashes_out, uint32_t *scratch)
{
	static const uint32_t factors[5] = { 0x9e3779b1u, 0x85ebca77u, 0xc2b2ae3du, 0x27d4eb2fu, 0x165667b1u };
	uint32_t *from = scratch, *to = scratch + n;
	for (size_t i = 0; i < n; i++)
		from[i] = (row[i] & GR_KERNEL_COLOUR) * 0x2c1b3c6du + 0x297a2d39u;
	/* After step k each number covers 2^k pixels. */
	for (unsigned step = 0; step < 5; step++) {
		size_t reach = (size_t)1 << step;
		uint32_t factor = factors[step];
		uint32_t *into = step == 4 ? hashes_out : to;
		for (size_t i = 0; i + 2 * reach <= n; i++)
			into[i] = (from[i] ^ from[i] >> 15) * factor + from[i + reach];
		to = from;
		from = into;
	}
}

static uint32_t hash(const uint32_t *row, size_t n)
{
	/* Four chains, so that the multiplications do not wait for each other. */
	uint32_t chains[4] = { 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u };
	size_t i = 0;
	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			chains[k] = (chains[k] ^ (row[i + k] & GR_KERNEL_COLOUR)) * 0x9e3779b1u + (chains[k] >> 15);
	for (; i < n; i++)
		chains[0] = (chains[0] ^ (row[i] & GR_KERNEL_COLOUR)) * 0x9e3779b1u + (chains[0] >> 15);
	uint32_t result = chains[0] * 0x85ebca77u ^ chains[1] * 0xc2b2ae3du ^ chains[2] * 0x27d4eb2fu ^ chains[3];
	result ^= result >> 15;
	result *= 0x2c1b3c6du;
	return result ^ result >> 12;
}

#ifdef GR_KERNELS_AVX2
static
#endif
	const struct gr_kernels KERNELS = {
		.name = NAME,
		.take = take,
		.span = span,
		.literals = literals,
		.tokens = tokens,
		.hashes = hashes,
		.hash = hash,
	};

#ifdef GR_KERNELS_AVX2
const struct gr_kernels *gr_kernels_avx2(void)
{
	return __builtin_cpu_supports("avx2") ? &kernels_with_avx2 : NULL;
}

const struct gr_kernels *gr_kernels_best(void)
{
	const struct gr_kernels *avx2 = gr_kernels_avx2();
	return avx2 ? avx2 : &gr_kernels_portable;
}
#endif
