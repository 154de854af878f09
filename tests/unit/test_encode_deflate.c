/* The deflate compressor against zlib's inflate. */
#include "broker/encode/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h> /* needs some of those above */

static struct {
	struct gr_deflate *deflate;
	z_stream inflate[GR_DEFLATE_STREAMS];
	uint8_t in[GR_DEFLATE_PIECE_MAX], back[GR_DEFLATE_PIECE_MAX + 1];
	uint8_t out[GR_DEFLATE_BOUND(GR_DEFLATE_PIECE_MAX) + GR_DEFLATE_SLACK];
	uint32_t seed;
} t;

static uint32_t random_number(void)
{
	t.seed ^= t.seed << 13;
	t.seed ^= t.seed >> 17;
	t.seed ^= t.seed << 5;
	return t.seed;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.seed = 2463534242u;
	t.deflate = gr_deflate_create();
	assert_non_null(t.deflate);
	for (unsigned i = 0; i < GR_DEFLATE_STREAMS; i++)
		assert_int_equal(inflateInit(&t.inflate[i]), Z_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gr_deflate_destroy(t.deflate);
	for (unsigned i = 0; i < GR_DEFLATE_STREAMS; i++)
		inflateEnd(&t.inflate[i]);
	return 0;
}

/* Compresses the first n bytes of t.in and unpacks them again; returns the compressed bytes. */
static size_t round_trip(unsigned stream, size_t n, size_t row_bytes)
{
	size_t room = GR_DEFLATE_BOUND(n) + GR_DEFLATE_SLACK;
	uint8_t *out = malloc(room); /* so that AddressSanitizer sees what goes beyond */
	assert_non_null(out);
	memcpy(gr_deflate_room(t.deflate, stream), t.in, n);
	size_t bytes = gr_deflate_piece(t.deflate, stream, n, row_bytes, stream ? 1 : 3, out);
	assert_true(bytes <= GR_DEFLATE_BOUND(n));
	z_stream *z = &t.inflate[stream];
	z->next_in = out;
	z->avail_in = (uInt)bytes;
	z->next_out = t.back;
	z->avail_out = (uInt)n + 1;
	int status = inflate(z, Z_SYNC_FLUSH);
	assert_int_equal(status, Z_OK);
	assert_int_equal(z->avail_in, 0);
	assert_int_equal(z->avail_out, 1);
	assert_memory_equal(t.back, t.in, n);
	free(out);
	return bytes;
}

static void every_short_piece_comes_back(void **state)
{
	(void)state;
	for (size_t n = 1; n < 700; n++) {
		for (size_t i = 0; i < n; i++)
			t.in[i] = (uint8_t)(random_number() % (1 + n % 7 * 40));
		round_trip((unsigned)n % GR_DEFLATE_STREAMS, n, 1 + random_number() % 40);
	}
}

static void noise_takes_no_more_than_the_bound(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(t.in); i++)
		t.in[i] = (uint8_t)(random_number() >> 11);
	for (size_t n = 1; n < sizeof(t.in); n = n * 3 + 1)
		round_trip(0, n, 100);
	for (unsigned i = 0; i < 3; i++)
		round_trip(0, sizeof(t.in), 1);
	for (size_t n = 65533; n < 65540; n++)
		round_trip(1, n, 6144);
	for (size_t n = 131068; n < 131073; n++)
		round_trip(1, n, 6144);
}

static void one_byte_over_and_over_is_nearly_free(void **state)
{
	(void)state;
	memset(t.in, 77, sizeof(t.in));
	assert_true(round_trip(0, sizeof(t.in), 512) < 400);
	assert_true(round_trip(0, sizeof(t.in), 512) < 400);
	assert_true(round_trip(1, 13, 13) < 20);
}

/* What was sent before in the same stream, up to a window ago, is found again. */
static void history_is_used(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3000; i++)
		t.in[i] = (uint8_t)(random_number() >> 9);
	assert_true(round_trip(2, 3000, 100) > 3000);
	for (unsigned i = 0; i < 500; i++)
		assert_true(round_trip(2, 3000, 100) < (i < 20 ? 400 : 60));
	for (size_t i = 1; i <= 20; i++) { /* short pieces between do not lose it for long */
		round_trip(2, i, i);
		size_t bytes = 0;
		for (unsigned k = 0; k < 10; k++)
			bytes = round_trip(2, 3000, 100);
		assert_true(bytes < 60);
	}
}

/* Counts as Fibonacci numbers make the longest codes: they must be cut to 15 bits, those of the lengths to 7. */
static void skewed_counts_come_back(void **state)
{
	(void)state;
	for (unsigned shuffled = 0; shuffled < 2; shuffled++) {
		size_t n = 0;
		for (unsigned symbol = 0, a = 1, b = 1; symbol < 24 && n + a < sizeof(t.in); symbol++) {
			for (unsigned i = 0; i < a; i++)
				t.in[n++] = (uint8_t)(symbol * 9);
			unsigned sum = a + b;
			a = b;
			b = sum;
		}
		for (size_t i = n; shuffled && i > 1; i--) {
			size_t k = random_number() % i;
			uint8_t own = t.in[k];
			t.in[k] = t.in[i - 1];
			t.in[i - 1] = own;
		}
		round_trip(0, n, 300);
	}
}

static void mixed_pieces_of_all_streams_come_back(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		size_t n = 1 + random_number() % (round % 10 ? 5000 : GR_DEFLATE_PIECE_MAX);
		size_t row = 1 + random_number() % 2000;
		unsigned kind = random_number() % 5, colours = 1 + random_number() % 256;
		for (size_t i = 0; i < n;) {
			if (kind == 0 || i < row || random_number() % 3 == 0) {
				uint8_t value = (uint8_t)(random_number() % colours);
				for (size_t run = 1 + random_number() % (kind == 1 ? 400 : 4); run && i < n; run--)
					t.in[i++] = value;
			} else {
				size_t from = i - (kind == 2 ? row : 1 + random_number() % i);
				for (size_t run = 1 + random_number() % 300; run && i < n; run--)
					t.in[i++] = t.in[from++];
			}
		}
		round_trip(random_number() % GR_DEFLATE_STREAMS, n, row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_short_piece_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(noise_takes_no_more_than_the_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(one_byte_over_and_over_is_nearly_free, setup, teardown),
		cmocka_unit_test_setup_teardown(history_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(skewed_counts_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(mixed_pieces_of_all_streams_come_back, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
