/* A print job: what is put together, what is said to the broker, and what is out of turn. */
#include "common/io.h"
#include "viewer/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

enum { WIDTH = 100, HEIGHT = 70, DPI = 200, PAGES = 5 };

static struct gr_viewer viewer;
static struct gr_print print;
static uint32_t *picture;
static int decoder; /* the other end */
static char folder[64], file[100];
static unsigned marked, wrong; /* pages that mark() saw; pixels of them that were not the page's */

static uint32_t page_pixel(unsigned page, unsigned x, unsigned y)
{
	return page * 0x10000u + y * 0x101u + x * 7u;
}

static void mark(void *context, uint32_t *pixels, unsigned width, unsigned height, unsigned dpi)
{
	(void)context;
	assert_int_equal(dpi, DPI);
	marked++;
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = 0; x < width; x++)
			wrong += pixels[y * width + x] != page_pixel(print.first + print.done, x, y);
}

static int set_up(void **state)
{
	(void)state;
	int pair[2];
	snprintf(folder, sizeof(folder), "/tmp/garasu-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/a.pdf", folder);
	picture = mmap(NULL, GR_PICTURE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0);
	assert_true(picture != MAP_FAILED);
	assert_int_equal(gr_io_pair(SOCK_SEQPACKET, pair), 0);
	decoder = pair[1];
	viewer = (struct gr_viewer){ .decoder = pair[0],
				     .transport = -1,
				     .picture = picture,
				     .state = GR_VIEWER_SHOWN,
				     .width = WIDTH,
				     .height = HEIGHT,
				     .terms = { .flags = GR_TERMS_PRINTING } };
	gr_print_init(&print, &viewer);
	print.mark = mark;
	marked = wrong = 0;
	return 0;
}

/* Whatever happened, nothing but the file is left. */
static int tear_down(void **state)
{
	(void)state;
	gr_print_finish(&print);
	gr_io_close(&viewer.decoder);
	gr_io_close(&decoder);
	munmap(picture, GR_PICTURE_BYTES);
	unlink(file);
	return rmdir(folder);
}

static void expect_request(uint32_t action, uint32_t document, uint16_t first, uint16_t last)
{
	struct gr_viewer_input input;
	size_t size;
	assert_int_equal(gr_io_receive(decoder, &input, sizeof(input), &size, NULL), 0);
	assert_int_equal(input.type, GR_INPUT_PRINT);
	assert_int_equal(input.down, action);
	assert_int_equal(input.sequence, document);
	assert_int_equal(input.x, first);
	assert_int_equal(input.y, last);
}

static void expect_silence(void)
{
	struct gr_viewer_input input;
	size_t size;
	assert_int_equal(gr_io_receive(decoder, &input, sizeof(input), &size, NULL), GR_EAGAIN);
}

/* A record, the way it comes: through the viewer. */
static void say(struct gr_record_page page)
{
	struct gr_viewer_event event = { .type = GR_EVENT_PAGE, .page = page };
	assert_int_equal(gr_io_send(decoder, &event, GR_EVENT_BYTES(0), -1), 0);
	gr_viewer_read_decoder(&viewer);
}

static void offer(uint32_t document)
{
	say((struct gr_record_page){
		.state = GR_PAGE_OFFER, .document = document, .pages = PAGES, .width = 250, .height = 71, .y = DPI });
}

static void paint(unsigned page, unsigned left, unsigned top)
{
	for (unsigned y = 0; y < viewer.height; y++)
		for (unsigned x = 0; x < viewer.width; x++)
			picture[y * GR_PICTURE_STRIDE + x] = page_pixel(page, left + x, top + y);
}

static void piece(uint32_t document, unsigned page, unsigned width, unsigned height, unsigned x, unsigned y)
{
	paint(page, x, y);
	say((struct gr_record_page){ .state = GR_PAGE_PIECE,
				     .document = document,
				     .page = (uint16_t)page,
				     .pages = PAGES,
				     .width = (uint16_t)width,
				     .height = (uint16_t)height,
				     .x = (uint16_t)x,
				     .y = (uint16_t)y });
}

static void show(uint32_t document, unsigned page, unsigned width, unsigned height)
{
	for (unsigned y = 0; y < height; y += HEIGHT)
		for (unsigned x = 0; x < width; x += WIDTH) {
			piece(document, page, width, height, x, y);
			expect_request(GR_PRINT_TAKEN, document, (uint16_t)page, 0);
		}
}

static void say_end(uint32_t document, unsigned shown, unsigned why)
{
	say((struct gr_record_page){
		.state = GR_PAGE_END, .document = document, .page = (uint16_t)shown, .x = (uint16_t)why });
}

static void accept_pages(unsigned first, unsigned last)
{
	struct gr_error err = { 0 };
	offer(7);
	assert_int_equal(print.state, GR_PRINT_OFFERED);
	assert_int_equal(gr_print_accept(&print, first, last, file, &err), 0);
	expect_request(GR_PRINT_ACCEPT, 7, (uint16_t)first, (uint16_t)last);
	assert_int_equal(print.state, GR_PRINT_RUNNING);
}

static void expect_end(enum gr_print_outcome outcome, int there)
{
	assert_int_equal(print.state, GR_PRINT_IDLE);
	assert_int_equal(print.outcome, outcome);
	assert_int_equal(access(file, F_OK), there ? 0 : -1);
	assert_int_equal(viewer.state, GR_VIEWER_SHOWN);
}

static void pages_are_put_together_from_their_pieces(void **state)
{
	(void)state;
	assert_true(gr_print_start(&print));
	expect_request(GR_PRINT_START, 0, 0, 0);
	accept_pages(2, 4);
	assert_false(gr_print_start(&print));
	expect_silence();
	show(7, 2, 250, 71);
	show(7, 3, WIDTH, HEIGHT);
	assert_int_equal(print.done, 2);
	show(7, 4, 1, 300);
	say_end(7, 3, GR_PAGE_DONE);
	expect_end(GR_PRINTED, 1);
	assert_int_equal(marked, 3);
	assert_int_equal(wrong, 0);
	assert_string_equal(print.file, file);
	offer(8); /* and anew */
	assert_int_equal(print.state, GR_PRINT_OFFERED);
}

static void pages_that_were_not_offered_cannot_be_accepted(void **state)
{
	(void)state;
	struct gr_error err = { 0 };
	assert_int_equal(gr_print_accept(&print, 1, 1, file, &err), GR_EINVAL);
	offer(1);
	assert_int_equal(gr_print_accept(&print, 0, 1, file, &err), GR_EINVAL);
	assert_int_equal(gr_print_accept(&print, 3, 2, file, &err), GR_EINVAL);
	assert_int_equal(gr_print_accept(&print, 1, PAGES + 1, file, &err), GR_EINVAL);
	assert_int_equal(gr_print_accept(&print, 1, 1, "/nonexistent/a.pdf", &err), GR_EIO);
	assert_int_equal(print.state, GR_PRINT_OFFERED);
	expect_silence();
}

static void cancelled_job_leaves_no_file(void **state)
{
	(void)state;
	offer(3);
	gr_print_cancel(&print);
	expect_request(GR_PRINT_CANCEL, 3, 0, 0);
	say_end(3, 0, GR_PAGE_CANCELLED);
	expect_end(GR_PRINTED_NOTHING, 0);
	accept_pages(1, 2);
	show(7, 1, 250, 71);
	piece(7, 2, 250, 71, 0, 0);
	expect_request(GR_PRINT_TAKEN, 7, 2, 0);
	gr_print_cancel(&print);
	gr_print_cancel(&print);
	expect_request(GR_PRINT_CANCEL, 7, 0, 0);
	piece(7, 2, 250, 71, WIDTH, 0); /* has crossed it */
	expect_silence();
	assert_int_equal(print.state, GR_PRINT_STOPPING);
	say_end(7, 1, GR_PAGE_CANCELLED);
	expect_end(GR_PRINTED_NOTHING, 0);
}

static void failed_job_leaves_no_file(void **state)
{
	(void)state;
	static const struct {
		unsigned why;
		enum gr_print_outcome outcome;
	} ends[] = { { GR_PAGE_DONE, GR_PRINT_FAILED }, /* with less than was asked for */
		     { GR_PAGE_CANCELLED, GR_PRINT_FAILED },
		     { GR_PAGE_FAILED, GR_PRINT_FAILED },
		     { GR_PAGE_REFUSED, GR_PRINT_REFUSED } };
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		accept_pages(1, 2);
		show(7, 1, 250, 71);
		say_end(7, 1, ends[i].why);
		expect_end(ends[i].outcome, 0);
	}
	accept_pages(1, 1);
	show(7, 1, 250, 71);
	say_end(7, 1, GR_PAGE_FAILED); /* although all of it came */
	expect_end(GR_PRINT_FAILED, 0);
	offer(9);
	say_end(9, 0, GR_PAGE_CANCELLED);
	expect_end(GR_PRINT_WITHDRAWN, 0);
	say_end(9, 0, GR_PAGE_CANCELLED); /* once more */
	assert_int_equal(viewer.state, GR_VIEWER_ENDED);
}

static void lost_session_leaves_no_file(void **state)
{
	(void)state;
	accept_pages(1, 2);
	show(7, 1, 250, 71);
	gr_viewer_end(&viewer, GR_FAIL_LOST, 0, NULL);
	gr_print_step(&print);
	assert_int_equal(print.state, GR_PRINT_IDLE);
	assert_int_equal(print.outcome, GR_PRINT_LOST);
	assert_int_equal(access(file, F_OK), -1);
}

static void silence_ends_a_job(void **state)
{
	(void)state;
	accept_pages(1, 2);
	assert_true(gr_print_step(&print) > 0);
	print.due_us = 1;
	gr_print_step(&print);
	assert_int_equal(print.state, GR_PRINT_STOPPING);
	expect_request(GR_PRINT_CANCEL, 7, 0, 0);
	print.due_us = 1;
	gr_print_step(&print);
	assert_int_equal(viewer.state, GR_VIEWER_ENDED);
}

static void another_size_of_the_picture_begins_the_page_anew(void **state)
{
	(void)state;
	accept_pages(1, 1);
	piece(7, 1, 250, 71, 0, 0);
	expect_request(GR_PRINT_TAKEN, 7, 1, 0);
	viewer.width = 125;
	for (unsigned y = 0; y < 71; y += HEIGHT)
		for (unsigned x = 0; x < 250; x += 125) {
			piece(7, 1, 250, 71, x, y);
			expect_request(GR_PRINT_TAKEN, 7, 1, 0);
		}
	say_end(7, 1, GR_PAGE_DONE);
	expect_end(GR_PRINTED, 1);
	assert_int_equal(wrong, 0);
	accept_pages(1, 1);
	piece(7, 1, 250, 71, 0, 0);
	expect_request(GR_PRINT_TAKEN, 7, 1, 0);
	viewer.width = 50;
	piece(7, 1, 250, 71, 50, 0); /* not where it begins */
	assert_int_equal(viewer.state, GR_VIEWER_ENDED);
}

enum when { IDLE, OFFERED, RUNNING, AT_SECOND_PIECE, AT_SECOND_PAGE, ALL_SHOWN };

static void what_is_out_of_turn_ends_the_session(void **state)
{
	const struct gr_record_page a_piece = {
		.state = GR_PAGE_PIECE, .document = 7, .page = 1, .pages = PAGES, .width = 250, .height = 71
	};
	const struct gr_record_page an_offer = {
		.state = GR_PAGE_OFFER, .document = 8, .pages = PAGES, .width = 250, .height = 71, .y = DPI
	};
	const struct gr_record_page an_end = { .state = GR_PAGE_END, .document = 7 };
	struct {
		enum when when;
		struct gr_record_page page;
	} bad[] = {
		{ IDLE, a_piece },
		{ IDLE, an_end },
		{ OFFERED, a_piece },
		{ OFFERED, an_offer },
		{ RUNNING, an_offer },
		{ RUNNING, an_end },
		{ RUNNING, a_piece },
		{ RUNNING, a_piece },
		{ RUNNING, a_piece },
		{ RUNNING, a_piece },
		{ AT_SECOND_PIECE, a_piece },
		{ AT_SECOND_PIECE, a_piece },
		{ AT_SECOND_PIECE, a_piece },
		{ AT_SECOND_PAGE, a_piece },
		{ ALL_SHOWN, a_piece },
	};
	bad[5].page.document = 6;
	bad[6].page.document = 6;
	bad[7].page.page = 2; /* too early */
	bad[8].page.pages = PAGES + 1;
	bad[9].page.y = HEIGHT;
	bad[11].page.width = 251, bad[11].page.x = WIDTH;
	bad[12].page.height = 72, bad[12].page.x = WIDTH;
	bad[14].page.page = 3; /* more than was accepted */
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (i) {
			assert_int_equal(tear_down(state), 0);
			set_up(state);
		}
		if (bad[i].when == OFFERED)
			offer(7);
		else if (bad[i].when > OFFERED)
			accept_pages(1, 2);
		if (bad[i].when == AT_SECOND_PIECE)
			piece(7, 1, 250, 71, 0, 0);
		if (bad[i].when >= AT_SECOND_PAGE)
			show(7, 1, 250, 71);
		if (bad[i].when == ALL_SHOWN)
			show(7, 2, 250, 71);
		assert_int_equal(viewer.state, GR_VIEWER_SHOWN);
		say(bad[i].page);
		assert_int_equal(viewer.state, GR_VIEWER_ENDED);
		assert_int_equal(viewer.failure, GR_FAIL_PROTOCOL);
		assert_int_equal(print.state, GR_PRINT_IDLE);
	}
}

static void fields_outside_their_bounds_end_the_session(void **state)
{
	const struct gr_record_page a_piece = {
		.state = GR_PAGE_PIECE, .document = 7, .page = 1, .pages = PAGES, .width = 250, .height = 71
	};
	struct gr_record_page bad[] = { a_piece, a_piece, a_piece, a_piece, a_piece, a_piece };
	bad[0].x = WIDTH / 2;
	bad[1].width = GR_PRINT_SIDE_MAX + 1;
	bad[2].x = 300;
	bad[3].page = 0;
	bad[4].state = 4;
	bad[5].height = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (i) {
			assert_int_equal(tear_down(state), 0);
			set_up(state);
		}
		accept_pages(1, 2);
		say(bad[i]);
		assert_int_equal(viewer.state, GR_VIEWER_ENDED);
		assert_int_equal(viewer.failure, GR_FAIL_DECODER); /* which should have seen it */
		gr_print_step(&print);
		assert_int_equal(print.outcome, GR_PRINT_LOST);
	}
}

static void without_permission_nothing_is_printed(void **state)
{
	(void)state;
	viewer.terms.flags = GR_TERMS_CLIPBOARD_DOWN;
	assert_false(gr_print_start(&print));
	expect_silence();
	offer(1);
	assert_int_equal(viewer.state, GR_VIEWER_ENDED);
}

/* The clipboard takes the same way between the two processes. */
static void texts_of_the_clipboard_come_whole_or_end_the_session(void **state)
{
	(void)state;
	struct gr_viewer_event event = { .type = GR_EVENT_CLIPBOARD };
	for (unsigned left = 2500; left;) {
		event.length = left < GR_TEXT_MAX ? left : GR_TEXT_MAX;
		event.value = left -= event.length;
		memset(event.text, 'a' + (int)(left % 26), event.length);
		assert_false(viewer.dirty & GR_DIRTY_CLIPBOARD);
		assert_int_equal(gr_io_send(decoder, &event, GR_EVENT_BYTES(event.length), -1), 0);
		gr_viewer_read_decoder(&viewer);
	}
	assert_true(viewer.dirty & GR_DIRTY_CLIPBOARD);
	assert_int_equal(viewer.clipboard.length, 2500);
	assert_int_equal(strlen(viewer.clipboard.text), 2500);
	assert_true(viewer.clipboard.text[0] == 'a' + 1476 % 26 && viewer.clipboard.text[2499] == 'a');
	event.length = 10,
	event.value = 10; /* another one begins; its second piece is of another length than was said */
	assert_int_equal(gr_io_send(decoder, &event, GR_EVENT_BYTES(10), -1), 0);
	gr_viewer_read_decoder(&viewer);
	assert_false(viewer.dirty & GR_DIRTY_CLIPBOARD);
	assert_int_equal(viewer.state, GR_VIEWER_SHOWN);
	event.value = 5;
	assert_int_equal(gr_io_send(decoder, &event, GR_EVENT_BYTES(10), -1), 0);
	gr_viewer_read_decoder(&viewer);
	assert_int_equal(viewer.state, GR_VIEWER_ENDED);
}

static void texts_for_the_clipboard_go_in_pieces(void **state)
{
	(void)state;
	static char text[GR_CLIPBOARD_MAX + 1];
	memset(text, 'x', sizeof(text));
	assert_false(gr_viewer_clipboard(&viewer, text, 0));
	assert_false(gr_viewer_clipboard(&viewer, text, sizeof(text)));
	assert_false(gr_viewer_clipboard(&viewer, "\x1b", 1));
	assert_true(gr_viewer_clipboard(&viewer, text, GR_CLIPBOARD_MAX));
	size_t got = 0;
	while (got < GR_CLIPBOARD_MAX) {
		struct gr_viewer_input input;
		size_t size;
		gr_viewer_flush(&viewer);
		assert_int_equal(gr_io_receive(decoder, &input, sizeof(input), &size, NULL), 0);
		assert_int_equal(input.type, GR_INPUT_CLIPBOARD);
		got += input.length;
		assert_int_equal(input.bytes, GR_CLIPBOARD_MAX - got);
	}
	expect_silence();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(pages_are_put_together_from_their_pieces),
		TEST(pages_that_were_not_offered_cannot_be_accepted),
		TEST(cancelled_job_leaves_no_file),
		TEST(failed_job_leaves_no_file),
		TEST(lost_session_leaves_no_file),
		TEST(silence_ends_a_job),
		TEST(another_size_of_the_picture_begins_the_page_anew),
		TEST(what_is_out_of_turn_ends_the_session),
		TEST(fields_outside_their_bounds_end_the_session),
		TEST(without_permission_nothing_is_printed),
		TEST(texts_of_the_clipboard_come_whole_or_end_the_session),
		TEST(texts_for_the_clipboard_go_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
