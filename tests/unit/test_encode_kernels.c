/* The loops over pixels: as their header says, and the two versions alike. */
#include "broker/encode/kernels.h"
#include "common/decode/tokens.h"
#include "common/decode/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* Memory that ends where the row ends, and begins at every alignment that a row can have: AddressSanitizer sees the rest. */
struct row {
	uint32_t *memory, *pixels;
};

static struct row new_row(size_t n, size_t offset)
{
	struct row r = { malloc((n + offset) * sizeof(uint32_t)), NULL };
	assert_non_null(r.memory);
	r.pixels = r.memory + offset;
	return r;
}

enum kind { NOISE, GREYS, RUNS, TWO, ALTERNATING, PHOTO, FLAT, WHITE, AS_ABOVE, NEARLY_ABOVE, KINDS };

static uint32_t noise(void)
{
	return random_below(1u << 24);
}

static void paint(uint32_t *row, const uint32_t *above, size_t n, enum kind kind)
{
	uint32_t colour = noise(), other = noise();
	size_t run = 0;
	for (size_t i = 0; i < n; i++) {
		switch (kind) {
		case NOISE: row[i] = noise(); break;
		case GREYS: row[i] = random_below(256) * 0x010101; break;
		case RUNS: /* about the lengths at which a run takes another form */
			if (!run) {
				static const uint32_t lengths[] = { 1, 2, 3, 4, 60, 61, 62, 63, 64, 65, 317, 318, 319 };
				run = lengths[random_below(13)];
				colour = random_below(3) ? noise() : random_below(256) * 0x010101;
			}
			run--;
			row[i] = colour;
			break;
		case TWO: row[i] = random_below(2) ? colour : other; break;
		case ALTERNATING: row[i] = i & 1 ? noise() | 1u << 8 : random_below(256) * 0x010101; break;
		case PHOTO: row[i] = colour += random_below(2) ? 0x010203 : 0x00fffffe; break;
		case FLAT: row[i] = colour; break;
		case WHITE: row[i] = GR_TOKEN_FIRST_LEFT; break;
		case AS_ABOVE: row[i] = above[i]; break;
		case NEARLY_ABOVE: row[i] = random_below(9) ? above[i] : noise(); break;
		case KINDS: break;
		}
		row[i] &= GR_KERNEL_COLOUR;
	}
}

static size_t length_of(unsigned round)
{
	return round < 200 ? round + 1 : 201 + random_below(round % 8 ? 2000 : 8000);
}

/* ---- what each does, against a naive model ---- */

static void check_take(const struct gr_kernels *k, const uint32_t *row, const uint32_t *reference, size_t n,
		       size_t offset)
{
	struct row source = new_row(n, offset), line = new_row(n, offset / 2);
	for (size_t i = 0; i < n; i++)
		source.pixels[i] = row[i] | random_below(256) << 24;
	uint32_t result = k->take((const uint8_t *)source.pixels, reference, line.pixels, n);
	assert_memory_equal(line.pixels, row, n * sizeof(*row));
	assert_int_equal(result != 0, memcmp(row, reference, n * sizeof(*row)) != 0);
	free(source.memory);
	free(line.memory);
}

static void check_span(const struct gr_kernels *k, const uint32_t *a, const uint32_t *b, size_t n)
{
	size_t first = 0, end = n, got_first = 99999, got_end = 99999;
	if (!memcmp(a, b, n * sizeof(*a)))
		return;
	while (a[first] == b[first])
		first++;
	while (a[end - 1] == b[end - 1])
		end--;
	k->span(a, b, n, &got_first, &got_end);
	assert_int_equal(got_first, first);
	assert_int_equal(got_end, end);
}

static void check_literals(const struct gr_kernels *k, const uint32_t *row, const uint32_t *above, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += (!i || row[i] != row[i - 1]) && row[i] != above[i];
	assert_int_equal(k->literals(row, above, n), count);
}

static uint8_t *put_tokens(const struct gr_kernels *k, const uint32_t *row, const uint32_t *above, size_t n, int median,
			   size_t *size)
{
	uint8_t *out = malloc(GR_KERNEL_TOKENS_MAX(n));
	struct row errors = new_row(n, 0);
	assert_non_null(out);
	*size = (size_t)(k->tokens(row, above, n, median ? errors.pixels : NULL, out) - out);
	assert_true(*size > 0 && *size <= GR_KERNEL_TOKENS_MAX(n));
	free(errors.memory);
	return out;
}

/* Two rows as one piece, drawn by the decoder. */
static void check_tokens(const struct gr_kernels *k, const uint32_t *above, const uint32_t *row, size_t n, int median)
{
	size_t first_size, second_size;
	uint8_t *first = put_tokens(k, above, NULL, n, median, &first_size);
	uint8_t *second = put_tokens(k, row, above, n, median, &second_size);
	size_t size = GR_PIECE_HEADER + first_size + second_size;
	uint8_t *unit = malloc(size);
	uint32_t *drawn = malloc(2 * n * sizeof(*drawn));
	assert_non_null(unit);
	assert_non_null(drawn);
	uint8_t header[] = { 0, 0, 0, 0, (uint8_t)(n >> 8 | (median ? GR_PIECE_MEDIAN >> 8 : 0)), (uint8_t)n, 0, 2 };
	memcpy(unit, header, sizeof(header));
	memcpy(unit + GR_PIECE_HEADER, first, first_size);
	memcpy(unit + GR_PIECE_HEADER + first_size, second, second_size);
	const char *why = "";
	if (gr_unit_draw(unit, size, drawn, n, (struct gr_rect){ 0, 0, (uint16_t)n, 2 }, &why))
		fail_msg("%s, %zu pixels: %s", k->name, n, why);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(drawn[i], above[i] | 0xff000000u);
		assert_int_equal(drawn[n + i], row[i] | 0xff000000u);
	}
	free(first);
	free(second);
	free(unit);
	free(drawn);
}

static void check_all(const struct gr_kernels *k)
{
	for (unsigned round = 0; round < 260; round++) {
		size_t n = length_of(round);
		for (unsigned kind = 0; kind < KINDS; kind++) {
			size_t offset = random_below(9);
			struct row above = new_row(n, random_below(9)), row = new_row(n, offset);
			paint(above.pixels, above.pixels, n, random_below(AS_ABOVE));
			paint(row.pixels, above.pixels, n, kind);
			check_take(k, row.pixels, above.pixels, n, offset);
			check_span(k, row.pixels, above.pixels, n);
			check_literals(k, row.pixels, above.pixels, n);
			check_tokens(k, above.pixels, row.pixels, n, 0);
			check_tokens(k, above.pixels, row.pixels, n, 1);
			free(above.memory);
			free(row.memory);
		}
	}
}

static void the_portable_kernels_do_what_their_header_says(void **state)
{
	(void)state;
	seed = 1;
	check_all(&gr_kernels_portable);
}

static const struct gr_kernels *avx2_or_skip(void)
{
	const struct gr_kernels *avx2 = gr_kernels_avx2();
	if (!avx2) {
		print_message("skipped: this processor has no AVX2\n");
		skip();
	}
	return avx2;
}

static void the_kernels_with_avx2_do_what_their_header_says(void **state)
{
	(void)state;
	seed = 2;
	check_all(avx2_or_skip());
}

/* Each pixel on its own may be the only one that differs. */
static void a_single_pixel_is_noticed_wherever_it_is(void **state)
{
	(void)state;
	const struct gr_kernels *both[] = { &gr_kernels_portable, gr_kernels_best() };
	for (size_t k = 0; k < 2; k++) {
		for (size_t n = 1; n <= 70; n++) {
			for (size_t offset = 0; offset < 8; offset++) {
				struct row a = new_row(n, offset), b = new_row(n, 0), line = new_row(n, 0);
				memset(a.pixels, 0, n * sizeof(uint32_t));
				memset(b.pixels, 0, n * sizeof(uint32_t));
				for (size_t i = 0; i < n; i++) {
					size_t first, end;
					for (unsigned bit = 0; bit < 32; bit += 5) {
						a.pixels[i] = 1u << bit;
						uint32_t result = both[k]->take((const uint8_t *)a.pixels, b.pixels,
										line.pixels, n);
						assert_int_equal(result != 0, bit < 24);
					}
					a.pixels[i] = 1;
					both[k]->span(a.pixels, b.pixels, n, &first, &end);
					assert_int_equal(first, i);
					assert_int_equal(end, i + 1);
					a.pixels[i] = 0;
				}
				free(a.memory);
				free(b.memory);
				free(line.memory);
			}
		}
	}
}

/* ---- both alike, to the byte ---- */

static void compare_tokens(const uint32_t *row, const uint32_t *above, size_t n, int median)
{
	size_t sizes[2];
	uint8_t *outs[2] = { put_tokens(&gr_kernels_portable, row, above, n, median, &sizes[0]),
			     put_tokens(gr_kernels_avx2(), row, above, n, median, &sizes[1]) };
	assert_int_equal(sizes[0], sizes[1]);
	assert_memory_equal(outs[0], outs[1], sizes[0]);
	free(outs[0]);
	free(outs[1]);
}

static void compare_hashes(const uint32_t *row, size_t n)
{
	const struct gr_kernels *avx2 = gr_kernels_avx2();
	assert_int_equal(gr_kernels_portable.hash(row, n), avx2->hash(row, n));
	if (n < GR_KERNEL_HASHED)
		return;
	size_t count = n - GR_KERNEL_HASHED + 1;
	struct row a = new_row(count, 0), b = new_row(count, 0), scratch = new_row(2 * n, 0);
	gr_kernels_portable.hashes(row, n, a.pixels, scratch.pixels);
	avx2->hashes(row, n, b.pixels, scratch.pixels);
	assert_memory_equal(a.pixels, b.pixels, count * sizeof(uint32_t));
	free(a.memory);
	free(b.memory);
	free(scratch.memory);
}

static void both_kernels_write_the_same_tokens_and_hashes(void **state)
{
	(void)state;
	seed = 3;
	avx2_or_skip();
	for (unsigned round = 0; round < 260; round++) {
		size_t n = length_of(round);
		for (unsigned kind = 0; kind < KINDS; kind++) {
			struct row above = new_row(n, random_below(9)), row = new_row(n, random_below(9));
			paint(above.pixels, above.pixels, n, random_below(AS_ABOVE));
			paint(row.pixels, above.pixels, n, kind);
			for (int median = 0; median < 2; median++) {
				compare_tokens(row.pixels, above.pixels, n, median);
				compare_tokens(row.pixels, NULL, n, median);
			}
			compare_hashes(row.pixels, n);
			free(above.memory);
			free(row.memory);
		}
	}
}

/* What equals must have equal hashes wherever it stands, whatever X says, and nothing else should. */
static void a_hash_is_of_the_colours_alone(void **state)
{
	(void)state;
	const struct gr_kernels *k = gr_kernels_best();
	enum { N = 500, AT = 123 };
	uint32_t row[N], other[N], hashes[N], others[N], scratch[2 * N];
	for (size_t i = 0; i < N; i++)
		row[i] = noise();
	for (size_t i = 0; i < N; i++)
		other[i] = i >= AT && i < 2 * AT ? row[i - AT] | 0xab000000u : noise();
	k->hashes(row, N, hashes, scratch);
	k->hashes(other, N, others, scratch);
	assert_memory_equal(hashes, others + AT, (AT - GR_KERNEL_HASHED + 1) * sizeof(uint32_t));
	assert_int_equal(k->hash(row, AT), k->hash(other + AT, AT));
	assert_int_not_equal(k->hash(row, AT), k->hash(row + 1, AT));
	size_t equal = 0;
	for (size_t i = 1; i + GR_KERNEL_HASHED <= N; i++)
		equal += hashes[i] == hashes[i - 1];
	assert_int_equal(equal, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_portable_kernels_do_what_their_header_says),
		cmocka_unit_test(the_kernels_with_avx2_do_what_their_header_says),
		cmocka_unit_test(a_single_pixel_is_noticed_wherever_it_is),
		cmocka_unit_test(both_kernels_write_the_same_tokens_and_hashes),
		cmocka_unit_test(a_hash_is_of_the_colours_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
