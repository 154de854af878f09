/* What a viewer does, as records: what is held down is released, each text gets its result. */
#include "broker/session/input.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void press(struct gr_input *input, uint32_t keysym, uint32_t down, int expected)
{
	struct gr_viewer_message m = { .kind = GR_VIEWER_KEY, .key = { keysym, 0, down } };
	union gr_record r;
	assert_int_equal(gr_input_record(input, &m, &r), expected);
}

static void what_a_viewer_held_is_released_when_it_goes(void **state)
{
	(void)state;
	struct gr_input input;
	union gr_record r;
	gr_input_init(&input);
	press(&input, 'a', 1, 0);
	press(&input, 0xffe1, 1, 0);
	press(&input, 'a', 1, 0); /* repeats */
	press(&input, 'a', 0, 0);
	press(&input, 'q', 0, 0); /* was never down */
	struct gr_viewer_message m = { .kind = GR_VIEWER_POINTER, .pointer = { 5, 6, 1 } };
	assert_int_equal(gr_input_record(&input, &m, &r), 0);
	assert_int_equal(gr_input_release(&input, &r), 1);
	assert_int_equal(r.key.keysym, 0xffe1);
	assert_int_equal(r.key.down, 0);
	assert_int_equal(gr_input_release(&input, &r), 1);
	assert_int_equal(r.pointer.type, GR_RECORD_POINTER);
	assert_int_equal(r.pointer.buttons, 0);
	assert_int_equal(r.pointer.x, 5);
	assert_int_equal(gr_input_release(&input, &r), 0);
	for (uint32_t i = 0; i < GR_INPUT_KEYS_MAX; i++)
		press(&input, i + 1, 1, 0);
	press(&input, 999, 1, GR_EFULL);
}

static void a_text_result_finds_its_text_once(void **state)
{
	(void)state;
	struct gr_input input;
	union gr_record r;
	uint32_t sequence;
	gr_input_init(&input);
	struct gr_viewer_message m = { .kind = GR_VIEWER_TEXT,
				       .text = { .sequence = 70, .length = 1, .utf8 = (const uint8_t *)"x" } };
	for (unsigned i = 0; i < GR_INPUT_TEXTS_MAX; i++, m.text.sequence++)
		assert_int_equal(gr_input_record(&input, &m, &r), 0);
	assert_int_equal(r.text.sequence, GR_INPUT_TEXTS_MAX);
	assert_int_equal(gr_input_record(&input, &m, &r), GR_EFULL);
	assert_int_equal(gr_input_text_done(&input, 2, &sequence), 0);
	assert_int_equal(sequence, 71);
	assert_int_equal(gr_input_text_done(&input, 2, &sequence), GR_ENOENT);
	assert_int_equal(gr_input_text_pending(&input, &sequence), 1);
	assert_int_equal(sequence, 70);
	assert_int_equal(gr_input_text_pending(&input, &sequence), 1);
	assert_int_equal(sequence, 72);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_viewer_held_is_released_when_it_goes),
		cmocka_unit_test(a_text_result_finds_its_text_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
