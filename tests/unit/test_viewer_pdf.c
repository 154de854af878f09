/* The PDF of a print job: nothing but images, exactly the pixels, whole or not at all. */
#include "viewer/pdf.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h> /* needs some of those above */

static char folder[64], file[100];
static uint8_t *text; /* the file */
static size_t size;

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/garasu-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/a.pdf", folder);
	return 0;
}

/* The folder is empty but for the file: nothing temporary stays. */
static int tear_down(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	unlink(file);
	return rmdir(folder);
}

static void read_file(void)
{
	FILE *stream = fopen(file, "rb");
	assert_non_null(stream);
	fseek(stream, 0, SEEK_END);
	size = (size_t)ftell(stream);
	rewind(stream);
	text = malloc(size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, size, stream), size);
	text[size] = '\0';
	fclose(stream);
}

static const char *find(const char *what, size_t from)
{
	const void *found = memmem(text + from, size - from, what, strlen(what));
	return found;
}

static uint32_t *noise(unsigned width, unsigned height, unsigned seed, int colour)
{
	uint32_t *pixels = malloc((size_t)width * height * 4);
	assert_non_null(pixels);
	uint32_t x = seed * 2654435761u + 1;
	for (size_t i = 0; i < (size_t)width * height; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		pixels[i] = colour ? x : (x & 0xff000000) | (x & 0xff) * 0x010101; /* the uppermost bits mean nothing */
	}
	return pixels;
}

/* The picture of the image that begins behind `at`, as 0x00RRGGBB. */
static uint32_t *decode(const char *at, unsigned width, unsigned height)
{
	unsigned w, h;
	size_t length, samples = strstr(at, "/DeviceGray") && strstr(at, "/DeviceGray") < strstr(at, "stream") ? 1 : 3;
	assert_int_equal(sscanf(strstr(at, "/Width"), "/Width %u /Height %u", &w, &h), 2);
	assert_true(w == width && h == height);
	assert_int_equal(sscanf(strstr(at, "/Length"), "/Length %zu", &length), 1);
	const uint8_t *data = (const uint8_t *)strstr(at, "stream\n") + 7;
	assert_memory_equal(data + length, "\nendstream\n", 11);
	uLongf n = (uLongf)((width * samples + 1) * height);
	uint8_t *raw = malloc(n);
	uint32_t *out = malloc((size_t)width * height * 4);
	if (!raw || !out)
		abort();
	assert_int_equal(uncompress(raw, &n, data, length), Z_OK);
	assert_int_equal(n, (width * samples + 1) * height);
	for (size_t y = 0; y < height; y++) {
		uint8_t *row = raw + y * (width * samples + 1) + 1;
		for (size_t i = 0; i < width * samples; i++) {
			uint8_t left = i >= samples ? row[i - samples] : 0;
			uint8_t above = y ? row[(ptrdiff_t)i - (ptrdiff_t)(width * samples + 1)] : 0;
			assert_true(row[-1] <= 2);
			row[i] = (uint8_t)(row[i] + (row[-1] == 1 ? left : row[-1] == 2 ? above : 0));
		}
		for (size_t x = 0; x < width; x++) {
			const uint8_t *p = row + x * samples;
			out[y * width + x] = samples == 1 ? p[0] * 0x010101u
							  : (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		}
	}
	free(raw);
	return out;
}

static void assert_pixels(const char *at, const uint32_t *pixels, unsigned stride, unsigned width, unsigned height)
{
	uint32_t *seen = decode(at, width, height);
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++)
			assert_int_equal(seen[y * width + x], pixels[y * stride + x] & 0xffffff);
	free(seen);
}

static void pages_are_exactly_their_pixels(void **state)
{
	(void)state;
	static const struct {
		unsigned width, height;
		int colour;
	} pages[] = { { 1, 1, 1 }, { 70, 33, 1 }, { 128, 5, 0 }, { 3, 200, 1 }, { 8192, 2, 0 } };
	enum { PAGES = sizeof(pages) / sizeof(*pages) };
	uint32_t *pixels[PAGES];
	struct gr_error err = { 0 };
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	for (unsigned i = 0; i < PAGES; i++) {
		pixels[i] = noise(pages[i].width + 3, pages[i].height, i, pages[i].colour); /* rows are further apart */
		assert_int_equal(
			gr_pdf_page(pdf, pixels[i], pages[i].width + 3, pages[i].width, pages[i].height, 200, &err), 0);
	}
	assert_int_equal(access(file, F_OK), -1); /* not before it is whole */
	assert_int_equal(gr_pdf_finish(pdf, &err), 0);
	gr_pdf_destroy(pdf);
	struct stat status;
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	read_file();
	const char *at = (const char *)text;
	for (unsigned i = 0; i < PAGES; i++) {
		at = find("/Subtype /Image", (size_t)(at - (const char *)text));
		assert_non_null(at);
		assert_pixels(at, pixels[i], pages[i].width + 3, pages[i].width, pages[i].height);
		const char *colours = find("/ColorSpace /", (size_t)(at - (const char *)text));
		assert_memory_equal(colours + 13, pages[i].colour ? "DeviceRGB" : "DeviceGray", 9);
		at++;
		free(pixels[i]);
	}
	assert_null(find("/Subtype /Image", (size_t)(at - (const char *)text)));
	assert_non_null(find("/MediaBox [0 0 25.20 11.88]", 0)); /* 70 by 33 pixels, 200 an inch */
}

/* The table at the end tells where each object begins; readers repair a wrong one, which others would not. */
static void table_of_objects_is_right(void **state)
{
	(void)state;
	uint32_t pixels[6] = { 0, 1, 2, 3, 4, 5 };
	struct gr_error err = { 0 };
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(gr_pdf_page(pdf, pixels, 3, 3, 2, 150, &err), 0);
	assert_int_equal(gr_pdf_finish(pdf, &err), 0);
	gr_pdf_destroy(pdf);
	read_file();
	const char *start = find("startxref\n", 0);
	size_t table = strtoul(start + 10, NULL, 10);
	unsigned objects = 0;
	assert_memory_equal(text + table, "xref\n0 ", 7);
	sscanf((const char *)text + table, "xref\n0 %u", &objects);
	assert_int_equal(objects, 4 + 3 * 3);
	const char *entries = strchr((const char *)text + table + 5, '\n') + 1;
	for (unsigned i = 1; i < objects; i++) {
		char head[32];
		int n = snprintf(head, sizeof(head), "%u 0 obj\n", i);
		assert_memory_equal(text + strtoul(entries + (size_t)20 * i, NULL, 10), head, (size_t)n);
		assert_memory_equal(entries + (size_t)20 * i + 10, " 00000 n \n", 10);
	}
	assert_string_equal((const char *)text + size - 6, "%%EOF\n");
}

static void what_is_very_large_exactly_becomes_a_good_jpeg(void **state)
{
	(void)state;
	enum { SIDE = 1500, WIDE = 2 * SIDE };
	struct gr_error err = { 0 };
	uint32_t *pixels = noise(SIDE, SIDE / 2, 1, 1); /* 3.4 MB of what cannot be compressed, if it is exact */
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	uint32_t *more = noise(SIDE * 2, SIDE, 2, 1); /* 13.5 */
	assert_int_equal(gr_pdf_page(pdf, more, WIDE, WIDE, SIDE, 300, &err), 0);
	assert_int_equal(gr_pdf_page(pdf, pixels, SIDE, SIDE, SIDE / 2, 300, &err), 0);
	assert_int_equal(gr_pdf_finish(pdf, &err), 0);
	gr_pdf_destroy(pdf);
	read_file();
	const char *first = find("/DCTDecode", 0);
	assert_non_null(first);
	assert_null(find("/DCTDecode", (size_t)(first - (const char *)text) + 1)); /* the second one is small exactly */
	const char *data = strstr(first, "stream\n") + 7;
	size_t length = strtoul(strstr(find("/Length", 0), " "), NULL, 10);
	uint32_t *seen = malloc((size_t)SIDE * 2 * SIDE * 4);
	assert_non_null(seen);
	tjhandle handle = tjInitDecompress();
	assert_int_equal(tjDecompress2(handle, (const unsigned char *)data, length, (unsigned char *)seen, SIDE * 2, 0,
				       SIDE, TJPF_BGRX, 0),
			 0);
	uint64_t off = 0;
	for (size_t i = 0; i < (size_t)SIDE * 2 * SIDE; i++)
		off += (uint64_t)abs((int)(seen[i] & 0xff) - (int)(more[i] & 0xff));
	assert_true(off / ((size_t)SIDE * 2 * SIDE) < 20);
	tjDestroy(handle);
	free(seen);
	free(more);
	free(pixels);
}

static void what_is_not_finished_leaves_nothing(void **state)
{
	(void)state;
	uint32_t pixel = 0;
	struct gr_error err = { 0 };
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	assert_int_equal(gr_pdf_finish(pdf, &err), GR_EINVAL); /* no page */
	assert_int_equal(gr_pdf_page(pdf, &pixel, 1, 1, 1, 150, &err), 0);
	gr_pdf_destroy(pdf); /* tear_down finds the folder empty */
	assert_int_equal(access(file, F_OK), -1);
	gr_pdf_destroy(NULL);
}

static void what_is_out_of_bounds_is_refused(void **state)
{
	(void)state;
	static uint32_t pixels[8193];
	struct gr_error err = { 0 };
	assert_null(gr_pdf_create("/nonexistent/folder/a.pdf", &err));
	assert_non_null(strstr(err.text, "No such file"));
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	assert_int_equal(gr_pdf_page(pdf, pixels, 1, 0, 1, 150, &err), GR_EINVAL);
	assert_int_equal(gr_pdf_page(pdf, pixels, 1, 1, 0, 150, &err), GR_EINVAL);
	assert_int_equal(gr_pdf_page(pdf, pixels, 8193, 8193, 1, 150, &err), GR_EINVAL);
	assert_int_equal(gr_pdf_page(pdf, pixels, 1, 1, 8193, 150, &err), GR_EINVAL);
	assert_int_equal(gr_pdf_page(pdf, pixels, 1, 1, 1, 0, &err), GR_EINVAL);
	for (unsigned i = 0; i < GR_PRINT_PAGES_MAX; i++)
		assert_int_equal(gr_pdf_page(pdf, pixels, 1, 1, 1, 150, &err), 0);
	assert_int_equal(gr_pdf_page(pdf, pixels, 1, 1, 1, 150, &err), GR_EINVAL);
	assert_int_equal(gr_pdf_finish(pdf, &err), 0);
	gr_pdf_destroy(pdf);
	read_file();
	assert_non_null(find("/Count 999 ", 0));
}

/* As a full disk, by the limit of the process: EFBIG in place of ENOSPC. */
static void file_that_cannot_grow_is_an_error(void **state)
{
	(void)state;
	struct rlimit before, small = { 100000, 100000 };
	uint32_t *pixels = noise(500, 500, 1, 1);
	struct gr_error err = { 0 };
	struct gr_pdf *pdf = gr_pdf_create(file, &err);
	assert_non_null(pdf);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int status = gr_pdf_page(pdf, pixels, 500, 500, 500, 150, &err);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(status, GR_EIO);
	gr_pdf_destroy(pdf);
	assert_int_equal(access(file, F_OK), -1);
	free(pixels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_exactly_their_pixels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(table_of_objects_is_right, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_very_large_exactly_becomes_a_good_jpeg, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_finished_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_that_cannot_grow_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_out_of_bounds_is_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
