/* broker/supervisor/cutoff: who is cut off, and the file that keeps it. */
#include "broker/supervisor/cutoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gr_cutoffs cutoffs;

static int cut(const char *group)
{
	return gr_cutoffs_cut(&cutoffs, group, "root", "不審な通信", 1790000000);
}

static int back(const char *group)
{
	return gr_cutoffs_restore(&cutoffs, group, "alice", "済み", 1790000001);
}

/* Of persons of group a, of group b, and of none. */
static void held(int a, int b, int none)
{
	assert_int_equal(gr_cutoffs_find(&cutoffs, "a") != NULL, a);
	assert_int_equal(gr_cutoffs_find(&cutoffs, "b") != NULL, b);
	assert_int_equal(gr_cutoffs_find(&cutoffs, NULL) != NULL, none);
	assert_int_equal(gr_cutoffs_find(&cutoffs, "") != NULL, none);
}

static void the_last_word_counts(void **state)
{
	(void)state;
	cutoffs.count = 0;
	held(0, 0, 0);
	assert_int_equal(back(""), GR_ENOENT);
	assert_int_equal(back("a"), GR_ENOENT);
	assert_int_equal(cut("a"), 0);
	assert_int_equal(cut("a"), GR_EEXIST);
	held(1, 0, 0);
	assert_int_equal(back("b"), GR_ENOENT);
	assert_int_equal(cut(""), 0);
	assert_int_equal(cut(""), GR_EEXIST);
	assert_int_equal(cut("b"), GR_EEXIST);
	held(1, 1, 1);
	/* A group is let back while everybody else is not, and can be cut off again. */
	assert_int_equal(back("a"), 0);
	held(0, 1, 1);
	assert_int_equal(back("a"), GR_ENOENT);
	assert_int_equal(cut("a"), 0);
	held(1, 1, 1);
	assert_int_equal(back("b"), 0);
	held(1, 0, 1);
	assert_int_equal(cut(""), 0); /* nobody is excepted any more */
	held(1, 1, 1);
	assert_int_equal(back(""), 0);
	held(0, 0, 0);
	assert_int_equal(cut("a"), 0);
	assert_int_equal(cut("b"), 0);
	assert_int_equal(back("a"), 0);
	held(0, 1, 0);
	assert_int_equal(back(""), 0); /* everybody: groups too */
	held(0, 0, 0);
}

static void more_groups_than_there_can_be_are_refused(void **state)
{
	char name[16];

	(void)state;
	cutoffs.count = 0;
	for (int i = 0; i < GR_CUTOFF_MAX; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		assert_int_equal(cut(name), 0);
	}
	assert_int_equal(cut("one more"), GR_EFULL);
}

static void the_file_brings_it_all_back(void **state)
{
	static struct gr_cutoffs again;
	size_t size;
	char *bytes;

	(void)state;
	cutoffs.count = 0;
	assert_int_equal(cut(""), 0);
	assert_int_equal(gr_cutoffs_restore(&cutoffs, "広報課", "alice", "a\tb\nc", 1), 0);
	bytes = gr_cutoffs_write(&cutoffs, &size);
	assert_non_null(bytes);
	assert_string_equal(bytes, "cut\t1790000000\troot\t\t不審な通信\nback\t1\talice\t広報課\ta?b?c\n");
	assert_int_equal(gr_cutoffs_read(&again, bytes, size), 0);
	free(bytes);
	assert_int_equal(again.count, 2);
	assert_null(gr_cutoffs_find(&again, "広報課"));
	assert_string_equal(gr_cutoffs_find(&again, "x")->reason, "不審な通信");
	assert_int_equal(gr_cutoffs_find(&again, "x")->since, 1790000000);

	cutoffs.count = 0;
	bytes = gr_cutoffs_write(&cutoffs, &size);
	assert_int_equal(size, 0);
	bytes[size] = '\0';
	assert_int_equal(gr_cutoffs_read(&again, bytes, size), 0);
	assert_int_equal(again.count, 0);
	free(bytes);
}

static void another_file_is_not_understood(void **state)
{
	static const char *const wrong[] = {
		"cut\t1\troot\t\twhy", /* cut short */
		"cut\t1\troot\twhy\n",
		"cut\t1\troot\t\twhy\tmore\n",
		"cut\tsoon\troot\t\twhy\n",
		"cut\t\troot\t\twhy\n",
		"kill\t1\troot\t\twhy\n",
		"back\t1\troot\t\twhy\n", /* everybody cannot be excepted */
		"cut\t1\troot\ta\twhy\ncut\t1\troot\ta\twhy\n",
		"cut\t1\t0123456789012345678901234567890123456789\ta\twhy\n",
		"cut\t99999999999999999999999\troot\t\twhy\n",
		"\n",
	};
	char bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		strcpy(bytes, wrong[i]);
		assert_int_equal(gr_cutoffs_read(&cutoffs, bytes, strlen(wrong[i])), GR_EPROTO);
	}
	memcpy(bytes, "cut\t1\troot\t\tw\0hy\n", 18);
	assert_int_equal(gr_cutoffs_read(&cutoffs, bytes, 17), GR_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(more_groups_than_there_can_be_are_refused),
		cmocka_unit_test(the_file_brings_it_all_back),
		cmocka_unit_test(another_file_is_not_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
