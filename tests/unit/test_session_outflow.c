/* Bytes to a viewer: in order, bounded, never waiting. */
#include "broker/session/outflow.h"
#include "common/error.h"
#include "common/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (8u << 20)

static void a_viewer_that_does_not_read_gets_everything_in_order_later(void **state)
{
	(void)state;
	int pair[2], sink;
	assert_int_equal(gr_io_pair(SOCK_STREAM, pair), 0);
	struct gr_outflow *out = gr_outflow_create(SIZE);
	assert_non_null(out);
	uint8_t *data = malloc(SIZE), *got = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (unsigned round = 0; round < 2; round++) { /* the second time in memory that was given back */
		size_t n, at = 0;
		assert_int_equal(gr_outflow_append(out, data, 1000), 0);
		assert_int_equal(gr_outflow_sink(out, &sink), 0);
		assert_int_equal(write(sink, data + 1000, SIZE - 2000), SIZE - 2000);
		close(sink);
		assert_int_equal(gr_outflow_written(out, &n), 0);
		assert_int_equal(n, SIZE - 2000);
		assert_int_equal(gr_outflow_append(out, data + SIZE - 1000, 1000), 0);
		assert_int_equal(gr_outflow_left(out), SIZE);
		assert_int_equal(gr_outflow_flush(out, pair[0]), GR_EAGAIN);
		while (at < SIZE) {
			ssize_t r = read(pair[1], got + at, SIZE - at);
			if (r > 0)
				at += (size_t)r;
			else
				assert_int_not_equal(gr_outflow_flush(out, pair[0]), GR_EIO);
		}
		assert_int_equal(gr_outflow_flush(out, pair[0]), 0);
		assert_memory_equal(got, data, SIZE);
		assert_int_equal(gr_outflow_left(out), 0);
	}
	assert_int_equal(gr_outflow_sent(out), 2 * SIZE);
	close(pair[1]);
	assert_int_equal(gr_outflow_append(out, data, 10), 0);
	assert_int_equal(gr_outflow_flush(out, pair[0]), GR_ECLOSED);
	close(pair[0]);
	gr_outflow_destroy(out);
	gr_outflow_destroy(NULL);
	free(data);
	free(got);
}

static void more_than_its_bound_is_refused(void **state)
{
	(void)state;
	int sink;
	static const uint8_t data[8192];
	struct gr_outflow *out = gr_outflow_create(8192);
	assert_int_equal(gr_outflow_append(out, data, 8000), 0);
	assert_int_equal(gr_outflow_append(out, data, 193), GR_EFULL);
	assert_int_equal(gr_outflow_sink(out, &sink), 0);
	assert_int_equal(write(sink, data, 192), 192);
	assert_int_equal(write(sink, data, 1), -1);
	close(sink);
	gr_outflow_destroy(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_viewer_that_does_not_read_gets_everything_in_order_later),
		cmocka_unit_test(more_than_its_bound_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
