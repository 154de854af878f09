/* What the agent reads of a document that was printed, and how large it makes its pages. */
#include "common/error.h"
#include "sandbox/agent/print_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gr_print_info info;

static void pages_and_sizes_are_read(void **state)
{
	(void)state;
	uint16_t w, h;
	assert_int_equal(gr_print_info_read("Title:          Page 1 size: 9 x 9 pts\nPages:          2\nEncrypted: no\n"
					    "Page    1 size: 594.96 x 841.92 pts (A4)\nPage    1 rot:  0\n"
					    "Page    2 size: 594.96 x 841.92 pts (A4)\nPage    2 rot:  90\n",
					    &info),
			 0);
	assert_int_equal(info.pages, 2);
	assert_int_equal(info.described, 2);
	assert_true(gr_print_info_scale(&info, 0, 200, &w, &h) == 200.0);
	assert_int_equal(w, 1653);
	assert_int_equal(h, 2339);
	gr_print_info_scale(&info, 1, 200, &w, &h);
	assert_int_equal(w, 2339);
	assert_int_equal(h, 1653);
}

static void a_page_too_large_is_drawn_smaller(void **state)
{
	(void)state;
	uint16_t w, h;
	assert_int_equal(gr_print_info_read("Pages: 3\nPage 1 size: 14400 x 14400 pts\nPage 2 size: 14400 x 1 pts\n"
					    "Page 3 size: 0.01 x 0.01 pts\n",
					    &info),
			 0);
	gr_print_info_scale(&info, 0, 300, &w, &h);
	assert_true(w == h && w > 5000 && (size_t)w * h <= GR_PRINT_PIXELS_MAX);
	gr_print_info_scale(&info, 1, 300, &w, &h);
	assert_true(w <= GR_PRINT_SIDE_MAX && w > GR_PRINT_SIDE_MAX - 3 && h == 1);
	gr_print_info_scale(&info, 2, 300, &w, &h);
	assert_true(w == 1 && h == 1);
}

static void what_is_no_document_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"Pages: 3\n",
		"Pages: 0\nPage 1 size: 5 x 5 pts\n",
		"Pages: 1\nPage 2 size: 5 x 5 pts\n",
		"Pages: 1\nPage 1 size: nan x 5 pts\n",
		"Pages: 1\nPage 1 size: inf x 5 pts\n",
		"Pages: 1\nPage 1 size: -5 x 5 pts\n",
		"Pages: 1\nPage 1 size: 5 x 1e99 pts\n",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(gr_print_info_read(texts[i], &info), GR_EINVAL);
}

static void only_so_many_pages_are_described(void **state)
{
	(void)state;
	static char text[64 * 1100];
	size_t n = (size_t)sprintf(text, "Pages: 1050\n");
	for (unsigned i = 1; i <= 1050; i++)
		n += (size_t)sprintf(text + n, "Page %4u size: 595 x 842 pts (A4)\nPage %4u rot: 0\n", i, i);
	assert_int_equal(gr_print_info_read(text, &info), 0);
	assert_int_equal(info.pages, 1050);
	assert_int_equal(info.described, GR_PRINT_PAGES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_and_sizes_are_read),
		cmocka_unit_test(a_page_too_large_is_drawn_smaller),
		cmocka_unit_test(what_is_no_document_is_refused),
		cmocka_unit_test(only_so_many_pages_are_described),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
