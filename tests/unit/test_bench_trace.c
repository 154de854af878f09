/* Traces: what is written is read; what is corrupt or cut off is refused. */
#include "bench/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { W = 70, H = 41 * 2, FRAMES = 40, STRIDE = (W + 5) * 4 };

static char path[] = "/tmp/garasu-test-trace-XXXXXX";
static uint8_t pixels[STRIDE * H];
static uint32_t truth[FRAMES][W * H];

static void put(size_t x, size_t y, uint32_t pixel)
{
	memcpy(pixels + y * STRIDE + x * 4, &pixel, 4);
}

/* Each frame changes something else: noise, ramps, a single pixel at each edge, nothing. */
static void draw(unsigned frame)
{
	uint32_t seed = frame * 2654435761u + 1;
	if (frame % 5 == 4)
		return;
	for (size_t y = frame % 7; y < H; y += 1 + frame % 3)
		for (size_t x = frame % 11; x < W; x += 1 + frame % 4) {
			seed = seed * 1664525u + 1013904223u;
			put(x, y, frame % 2 ? seed : (uint32_t)(x * 3 + y * 513 + frame * 65793u));
			if (frame % 6 == 5) {
				put(W - 1, H - 1, seed);
				return;
			}
		}
}

static void record(enum gr_trace_form form)
{
	struct gr_error err = { 0 };
	struct gr_trace_writer *writer = NULL;
	const struct gr_rect damage[2] = { { 0, 0, W, H }, { 3, 4, 1, 2 } };
	memset(pixels, 0, sizeof(pixels));
	assert_int_equal(gr_trace_create(path, W, H, "{\"scenario\":\"test\"}", &writer, &err), 0);
	for (unsigned frame = 0; frame < FRAMES; frame++) {
		draw(frame);
		for (size_t i = 0; i < (size_t)W * H; i++) {
			memcpy(&truth[frame][i], pixels + i / W * STRIDE + i % W * 4, 4);
			truth[frame][i] |= 0xff000000u;
		}
		assert_int_equal(gr_trace_write(writer, frame % 3 ? form : GR_TRACE_PLANAR, 1000000 + frame * 20000u,
						damage, frame % 3, pixels, STRIDE, &err),
				 0);
	}
	assert_int_equal(gr_trace_finish(writer, 1000000 + FRAMES * 20000u, &err), 0);
}

/* Reads all of the file; the code of what ended it. */
static int read_all(const char *file, struct gr_error *err)
{
	struct gr_trace *trace = NULL;
	struct gr_trace_frame frame;
	struct gr_trace_info info;
	int code = gr_trace_open_file(file, &trace, err);
	if (code)
		return code;
	gr_trace_info(trace, &info);
	uint32_t *picture = calloc((size_t)info.width * info.height, 4);
	assert_non_null(picture);
	while ((code = gr_trace_next(trace, picture, &frame, err)) == 1)
		;
	free(picture);
	gr_trace_close(trace);
	return code;
}

static void round_trip(enum gr_trace_form form)
{
	struct gr_error err = { 0 };
	struct gr_trace *trace = NULL;
	struct gr_trace_info info;
	struct gr_trace_frame frame;
	static uint32_t picture[W * H];
	record(form);
	assert_int_equal(gr_trace_open_file(path, &trace, &err), 0);
	gr_trace_info(trace, &info);
	assert_int_equal(info.width, W);
	assert_int_equal(info.height, H);
	assert_int_equal(info.records, FRAMES + 1);
	assert_int_equal(info.duration_us, FRAMES * 20000);
	assert_string_equal(info.json, "{\"scenario\":\"test\"}");
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_int_equal(gr_trace_next(trace, picture, &frame, &err), 1);
		assert_int_equal(frame.sequence, i);
		assert_int_equal(frame.time_us, i * 20000);
		assert_int_equal(frame.damage_count, i % 3);
		if (i % 3 == 2)
			assert_memory_equal(&frame.damage[1], (&(struct gr_rect){ 3, 4, 1, 2 }),
					    sizeof(struct gr_rect));
		if (i % 5 == 4)
			assert_int_equal(frame.changed_count, 0);
		assert_memory_equal(picture, truth[i], sizeof(picture));
	}
	assert_int_equal(gr_trace_next(trace, picture, &frame, &err), 1);
	assert_int_equal(frame.changed_count, 0);
	assert_int_equal(gr_trace_next(trace, picture, &frame, &err), 0);
	gr_trace_close(trace);
}

static void interleaved_frames_are_read_as_written(void **state)
{
	(void)state;
	round_trip(GR_TRACE_INTERLEAVED);
}

static void planar_frames_are_read_as_written(void **state)
{
	(void)state;
	round_trip(GR_TRACE_PLANAR);
}

static uint8_t *load(size_t *n)
{
	struct stat status;
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	*n = (size_t)status.st_size;
	uint8_t *data = malloc(*n + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *n, file), *n);
	fclose(file);
	return data;
}

static void store(const uint8_t *data, size_t n)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, n, file), n);
	fclose(file);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	struct gr_error err = { 0 };
	size_t n;
	record(GR_TRACE_INTERLEAVED);
	uint8_t *data = load(&n);
	for (size_t cut = 1; cut < n; cut += 1 + cut / 2) {
		store(data, n - cut);
		assert_int_equal(read_all(path, &err), GR_EPROTO);
	}
	data[n] = 0;
	store(data, n + 1);
	assert_int_equal(read_all(path, &err), GR_EPROTO);
	free(data);
}

static void a_changed_byte_is_found(void **state)
{
	(void)state;
	struct gr_error err = { 0 };
	size_t n;
	record(GR_TRACE_INTERLEAVED);
	uint8_t *data = load(&n);
	for (size_t i = 0; i < n; i += i < 64 ? 3 : n / 16) {
		if (i >= 24 && i < 28)
			continue; /* fewer or more records: below */
		if ((i >= 28 && i < 40) || (i >= 52 && i < 84))
			continue; /* window, duration, zeros and JSON: nothing depends on them */
		data[i] ^= 0x40;
		store(data, n);
		int code = read_all(path, &err);
		if (code != GR_EPROTO)
			fail_msg("byte %zu: %d", i, code);
		data[i] ^= 0x40;
	}
	for (int difference = -1; difference <= 1; difference += 2) {
		data[24] = (uint8_t)(FRAMES + 1 + difference);
		store(data, n);
		assert_int_equal(read_all(path, &err), GR_EPROTO);
	}
	free(data);
}

static void sizes_outside_the_limits_are_refused(void **state)
{
	(void)state;
	struct gr_error err = { 0 };
	struct gr_trace_writer *writer = NULL;
	assert_int_equal(gr_trace_create(path, 0, 2, "{}", &writer, &err), GR_EINVAL);
	assert_int_equal(gr_trace_create(path, 3, 3, "{}", &writer, &err), GR_EINVAL);
	assert_int_equal(gr_trace_create(path, GR_SCREEN_MAX + 1, 2, "{}", &writer, &err), GR_EINVAL);
	assert_int_equal(gr_trace_create("/nonexistent/file", 2, 2, "{}", &writer, &err), GR_EIO);
	assert_int_equal(gr_trace_create(path, 2, 2, "{}", &writer, &err), 0);
	gr_trace_abandon(writer);
	assert_int_equal(read_all(path, &err), GR_EPROTO);
	assert_non_null(strstr(err.text, "cut off"));
	assert_int_equal(read_all("/nonexistent", &err), GR_EIO);
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interleaved_frames_are_read_as_written),
		cmocka_unit_test(planar_frames_are_read_as_written),
		cmocka_unit_test(a_file_cut_anywhere_is_refused),
		cmocka_unit_test(a_changed_byte_is_found),
		cmocka_unit_test(sizes_outside_the_limits_are_refused),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
