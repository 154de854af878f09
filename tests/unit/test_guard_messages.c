/* The messages of a viewer: complete and permitted, or not taken at all. */
#include "broker/guard/messages.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const void *bytes, size_t n, struct gr_viewer_message *out)
{
	static uint8_t *copy;
	free(copy);
	copy = malloc(n ? n : 1);
	memcpy(copy, bytes, n);
	return gr_viewer_message_parse(copy, n, out);
}

/* Every prefix of a good message is incomplete, the whole is taken, and no byte behind it. */
static void good(const uint8_t *bytes, size_t n, struct gr_viewer_message *out)
{
	uint8_t longer[4096] = { 0 };
	for (size_t i = 0; i < n; i++)
		assert_int_equal(parse(bytes, i, out), GR_EAGAIN);
	memcpy(longer, bytes, n);
	assert_int_equal(parse(longer, n + 7, out), 0);
	assert_int_equal(out->size, n);
}

static void refused(const uint8_t *bytes, size_t n)
{
	struct gr_viewer_message m;
	assert_int_equal(parse(bytes, n, &m), GR_EPROTO);
}

static void keys_and_pointer_are_taken_as_sent(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t key[] = { 4, 1, 0, 0, 0, 0, 0xff, 0x0d };
	good(key, sizeof(key), &m);
	assert_int_equal(m.kind, GR_VIEWER_KEY);
	assert_int_equal(m.key.keysym, 0xff0d);
	assert_int_equal(m.key.down, 1);
	assert_int_equal(m.key.keycode, 0);
	const uint8_t qemu[] = { 255, 0, 0, 0, 0, 0, 0, 0x61, 0, 0, 0, 0x9d };
	good(qemu, sizeof(qemu), &m);
	assert_int_equal(m.key.keysym, 0x61);
	assert_int_equal(m.key.keycode, 0x9d);
	assert_int_equal(m.key.down, 0);
	const uint8_t pointer[] = { 5, 0x81, 1, 2, 3, 4 };
	good(pointer, sizeof(pointer), &m);
	assert_int_equal(m.pointer.buttons, 0x81);
	assert_int_equal(m.pointer.x, 0x102);
	assert_int_equal(m.pointer.y, 0x304);
	const uint8_t size[24] = { 251, 0, 4, 0, 3, 0, 1 };
	good(size, sizeof(size), &m);
	assert_int_equal(m.desktop_size.width, 1024);
	assert_int_equal(m.desktop_size.height, 768);
	const uint8_t request[10] = { 3, 1, 0, 1, 0, 2, 1, 3, 1, 4 };
	good(request, sizeof(request), &m);
	assert_int_equal(m.kind, GR_VIEWER_UPDATE_REQUEST);
	assert_int_equal(m.update_request.incremental, 1);
	assert_true(m.update_request.rect.x == 1 && m.update_request.rect.y == 2 && m.update_request.rect.w == 0x103 &&
		    m.update_request.rect.h == 0x104);
}

static void fences_and_continuous_updates_are_bounded(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t enable[10] = { 150, 1, 0, 1, 0, 2, 1, 3, 1, 4 };
	good(enable, sizeof(enable), &m);
	assert_int_equal(m.kind, GR_VIEWER_CONTINUOUS);
	assert_int_equal(m.continuous.on, 1);
	assert_true(m.continuous.rect.x == 1 && m.continuous.rect.h == 0x104);
	const uint8_t fence[12] = { 248, 9, 9, 9, 0xc0, 0, 0, 0x0d, 3, 'a', 'b', 'c' };
	good(fence, sizeof(fence), &m);
	assert_int_equal(m.kind, GR_VIEWER_FENCE);
	/* Flags that nobody knows are cleared. */
	assert_int_equal(m.fence.flags, (uint32_t)GR_FENCE_REQUEST | GR_FENCE_BLOCK_BEFORE | GR_FENCE_SYNC_NEXT);
	assert_int_equal(m.fence.length, 3);
	assert_memory_equal(m.fence.payload, "abc", 3);
	const uint8_t empty[9] = { 248 };
	good(empty, sizeof(empty), &m);
	assert_int_equal(m.fence.length, 0);
	uint8_t longest[9 + GR_FENCE_PAYLOAD_MAX] = { 248, 0, 0, 0, 0, 0, 0, 0, GR_FENCE_PAYLOAD_MAX };
	good(longest, sizeof(longest), &m);
	longest[8]++;
	refused(longest, 9);
}

static void messages_outside_the_grammar_are_refused(void **state)
{
	(void)state;
	static const uint8_t known[] = { 0, 2, 3, 4, 5, 6, 71, 150, 248, 251, 255 };
	for (unsigned type = 0; type < 256; type++) {
		uint8_t bytes[64] = { (uint8_t)type };
		if (!memchr(known, (int)type, sizeof(known)))
			refused(bytes,
				1); /* file transfer 7, text chat 11, scaling 8 and 15, xvp 250, colour map 1 … */
	}
	const uint8_t audio[12] = { 255, 1 };
	refused(audio, sizeof(audio));
	const uint8_t screens[8] = { 251, 0, 4, 0, 3, 0, 17 };
	refused(screens, sizeof(screens));
}

static void cut_text_is_skipped_and_one_of_4_gib_is_refused(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t cut[8] = { 6, 0, 0, 0, 0, 0, 1, 0 };
	assert_int_equal(parse(cut, 8, &m), 0);
	assert_int_equal(m.kind, GR_VIEWER_CUT_TEXT);
	assert_int_equal(m.skip, 256);
	const uint8_t huge[8] = { 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	refused(huge, sizeof(huge));
}

static void garasu_records_have_known_values(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t accept[16] = { 71, 2, 0, 2, 0, 0, 0, 7, 0, 1, 0, 3, 9, 9, 9, 9 };
	good(accept, sizeof(accept), &m);
	assert_int_equal(m.kind, GR_VIEWER_PRINT);
	assert_int_equal(m.print.action, GR_PRINT_ACCEPT);
	assert_int_equal(m.print.document, 7);
	assert_int_equal(m.print.first, 1);
	assert_int_equal(m.print.last, 3);
	/* What an action has no use for is nothing. */
	const uint8_t start[16] = { 71, 2, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9 },
		      taken[16] = { 71, 2, 0, 3, 0, 0, 0, 7, 0, 2, 9, 9 };
	good(start, sizeof(start), &m);
	assert_true(!m.print.document && !m.print.first && !m.print.last);
	good(taken, sizeof(taken), &m);
	assert_true(m.print.document == 7 && m.print.first == 2 && !m.print.last);
	const uint8_t scale[8] = { 71, 4, 0, 125 };
	good(scale, sizeof(scale), &m);
	assert_int_equal(m.kind, GR_VIEWER_SCALE);
	assert_int_equal(m.scale, 125);
	const uint8_t clipboard[8] = { 71, 3, 0, 0, 0, 1, 0, 0 };
	assert_int_equal(parse(clipboard, 8, &m), 0);
	assert_int_equal(m.kind, GR_VIEWER_CLIPBOARD);
	assert_int_equal(m.size, 8);
	assert_int_equal(m.skip, GR_CLIPBOARD_MAX);
	static const uint8_t bad[][16] = { { 71, 3, 0, 0, 0, 1, 0, 1 },
					   { 71, 3 },
					   { 71, 4, 0, 49 },
					   { 71, 4, 1, 0x91 },
					   { 71, 2, 0, 0 },
					   { 71, 2, 0, 5 },
					   { 71, 2, 0, 2, 0, 0, 0, 7, 0, 2, 0, 1 },
					   { 71, 2, 0, 3, 0, 0, 0, 7 },
					   { 71, 5 },
					   { 71, 0 } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i], 16);
}

static void only_encodings_that_are_used_are_kept(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t list[] = {
		2,    0,    0,    18,   0,    0,    0,    7, /* Tight: our own encoder's */
		0xff, 0xff, 0xff, 0x18, /* -232 pointer position */
		0x47, 0x41, 0x52, 0x01, 0xff, 0xff, 0xfe, 0xfe, /* ours, QEMU keys */
		0xff, 0xff, 0xfe, 0xcb, /* -309 xvp */
		0xc0, 0xa1, 0xe5, 0xce, /* extended clipboard */
		0xff, 0xff, 0xfe, 0xcc, /* -308 */
		0,    0,    0,    9, /* Ultra */
		0,    0,    0,    16, /* ZRLE: nothing that would have to be inflated in order to be checked */
		0,    0,    0,    6, /* zlib */
		0,    0,    0,    5, /* Hextile */
		0xff, 0xff, 0xff, 0xe8, /* quality 8 */
		0xff, 0xff, 0xfe, 0xc8, 0xff, 0xff, 0xfe, 0xc7, /* fences, continuous updates */
		0,    0,    0,    1, /* CopyRect */
		0x47, 0x41, 0x52, 0x38, 0x47, 0x41, 0x52, 0x37, /* a history of 2^24 and 2^23 bytes */
		0x47, 0x41, 0x52, 0x3a
	}; /* and a larger one than there is */
	good(list, sizeof(list), &m);
	assert_int_equal(m.encodings.count, 2);
	assert_int_equal(m.encodings.kept[0], -308);
	assert_int_equal(m.encodings.kept[1], 5);
	assert_true(m.encodings.garasu && m.encodings.qemu_key && m.encodings.fence && m.encodings.continuous);
	assert_true(m.encodings.tight && m.encodings.copy_rect);
	assert_int_equal(m.encodings.quality, 8);
	assert_int_equal(m.encodings.history_log2, 24);
	const uint8_t none[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0x47, 0x41, 0x52, 0x33 };
	good(none, sizeof(none), &m);
	assert_int_equal(m.encodings.quality, -1);
	assert_int_equal(m.encodings.history_log2, 0);
	assert_false(m.encodings.tight || m.encodings.copy_rect || m.encodings.fence || m.encodings.continuous);
	const uint8_t many[4] = { 2, 0, 0, GR_VIEWER_ENCODINGS_MAX + 1 };
	refused(many, sizeof(many));
}

static void pixel_formats_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	const uint8_t ours[20] = { 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };
	const uint8_t rgb565[20] = { 0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };
	good(ours, sizeof(ours), &m);
	good(rgb565, sizeof(rgb565), &m);
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = { { 4, 24 }, { 4, 0 },   { 5, 0 },   { 5, 33 },  { 7, 0 },   { 9, 0 },
		      { 8, 7 },  { 9, 254 }, { 14, 32 }, { 14, 25 }, { 16, 255 } };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bad[20];
		memcpy(bad, ours, 20);
		bad[wrong[i].at] = wrong[i].value;
		refused(bad, 20);
	}
}

static int text(const char *utf8, size_t n, struct gr_viewer_message *m)
{
	uint8_t bytes[8 + 2000] = { 71, 1, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 1, 2 };
	memcpy(bytes + 8, utf8, n);
	return parse(bytes, 8 + n, m);
}

static void committed_text_must_be_short_and_valid(void **state)
{
	(void)state;
	struct gr_viewer_message m;
	assert_int_equal(text("日本語\t🍣", 14, &m), 0);
	assert_int_equal(m.text.sequence, 0x102);
	assert_int_equal(m.text.length, 14);
	assert_memory_equal(m.text.utf8, "日本語\t🍣", 14);
	static const char *const bad[] = {
		"\x80",    "\xc0\xaf", "\xe3\x81", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
		"a\x1b[A", "\x7f",     "\xc2\x85", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\r"
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text(bad[i], strlen(bad[i]), &m), GR_EPROTO);
	char longest[GR_TEXT_MAX + 1];
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(text(longest, GR_TEXT_MAX, &m), 0);
	assert_int_equal(m.size, GR_VIEWER_MESSAGE_MAX);
	assert_int_equal(text(longest, GR_TEXT_MAX + 1, &m), GR_EPROTO);
	assert_int_equal(text("", 0, &m), GR_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_pointer_are_taken_as_sent),
		cmocka_unit_test(fences_and_continuous_updates_are_bounded),
		cmocka_unit_test(messages_outside_the_grammar_are_refused),
		cmocka_unit_test(cut_text_is_skipped_and_one_of_4_gib_is_refused),
		cmocka_unit_test(garasu_records_have_known_values),
		cmocka_unit_test(only_encodings_that_are_used_are_kept),
		cmocka_unit_test(pixel_formats_that_do_not_fit_are_refused),
		cmocka_unit_test(committed_text_must_be_short_and_valid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
