/* Upstream through the guard: what is in the grammar goes on, normalised; the rest ends it; floods wait. No time but the one given. */
#include "broker/guard/messages.h"
#include "broker/guard/state.h"
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000u

static const uint8_t key[8] = { 4, 1, 0, 0, 0, 0, 0, 'a' };
static const uint8_t pointer[6] = { 5, 1, 0, 10, 0, 20 };

static struct {
	unsigned count;
	bool passed; /* the last one */
	size_t length;
	uint8_t text[GR_CLIPBOARD_MAX];
} told_texts;

static uint64_t told; /* bytes to the last guard */

static void on_clipboard(void *context, enum gr_guard_direction direction, bool through, const uint8_t *text, size_t n)
{
	assert_ptr_equal(context, &told_texts);
	assert_int_equal(direction, GR_GUARD_UP);
	told_texts.count++;
	told_texts.passed = through;
	told_texts.length = n;
	memcpy(told_texts.text, text, n);
}

static struct gr_guard *create(uint32_t clipboard_up_max)
{
	struct gr_guard_settings settings = { .max_width = 3840,
					      .max_height = 2160,
					      .history_log2 = 24,
					      .strict = true,
					      .clipboard_up_max = clipboard_up_max };
	struct gr_guard *guard = gr_guard_create(&settings);
	assert_non_null(guard);
	memset(&told_texts, 0, sizeof(told_texts));
	told = 0;
	gr_guard_on_clipboard(guard, on_clipboard, &told_texts);
	return guard;
}

static int give_at(struct gr_guard *guard, const void *bytes, size_t n, uint64_t now_ms)
{
	const uint8_t *p = bytes;
	int status = 0;
	told += n;
	while (n && !status) {
		size_t room;
		uint8_t *to = gr_guard_up_room(guard, &room);
		assert_non_null(to);
		size_t part = n < room ? n : room;
		memcpy(to, p, part);
		p += part;
		n -= part;
		status = gr_guard_up_took(guard, part, now_ms);
	}
	return status;
}

static int give(struct gr_guard *guard, const void *bytes, size_t n)
{
	return give_at(guard, bytes, n, NOW);
}

/* Exactly these bytes were let through, and are taken. */
static void passed(struct gr_guard *guard, const void *bytes, size_t n)
{
	size_t have;
	const uint8_t *p = gr_guard_up_passed(guard, &have);
	assert_int_equal(have, n);
	if (n)
		assert_memory_equal(p, bytes, n);
	gr_guard_up_sent(guard, n);
}

static size_t take_all(struct gr_guard *guard)
{
	size_t n;
	gr_guard_up_passed(guard, &n);
	gr_guard_up_sent(guard, n);
	return n;
}

/* A guard whose ClientInit is over. */
static struct gr_guard *begun_with(uint32_t clipboard_up_max)
{
	struct gr_guard *guard = create(clipboard_up_max);
	assert_int_equal(give(guard, "\1", 1), 0);
	passed(guard, "\1", 1);
	return guard;
}

static struct gr_guard *begun(void)
{
	return begun_with(0);
}

static size_t encodings(uint8_t *out, const int32_t *list, size_t n)
{
	memcpy(out, (uint8_t[]){ 2, 0, (uint8_t)(n >> 8), (uint8_t)n }, 4);
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < 4; k++)
			out[4 + 4 * i + (size_t)k] = (uint8_t)((uint32_t)list[i] >> (24 - 8 * k));
	return 4 + 4 * n;
}

static void list(struct gr_guard *guard, const int32_t *numbers, size_t n)
{
	uint8_t message[4 + 4 * 128];
	size_t size = encodings(message, numbers, n);
	assert_int_equal(give(guard, message, size), 0);
	passed(guard, message, size);
}

#define LIST(guard, ...)                                                                                               \
	list(guard, (const int32_t[]){ __VA_ARGS__ }, sizeof((const int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t))

/* The message ends it: the one before went on, nothing of it or behind it does. */
static void violates(struct gr_guard *guard, const uint8_t *bytes, size_t n, const char *rule)
{
	uint8_t stream[4096];
	assert_int_equal(give(guard, key, sizeof(key)), 0);
	memcpy(stream, bytes, n);
	memcpy(stream + n, key, sizeof(key));
	assert_int_equal(give(guard, stream, n + sizeof(key)), GR_EPROTO);
	const struct gr_guard_violation *v = gr_guard_violation(guard);
	assert_non_null(v);
	assert_int_equal(v->direction, GR_GUARD_UP);
	assert_int_equal(v->offset, told - n - sizeof(key));
	assert_non_null(strstr(v->rule, rule));
	assert_int_equal(v->n, n + sizeof(key));
	assert_memory_equal(v->bytes, stream, v->n);
	passed(guard, key, sizeof(key));
	size_t room;
	assert_null(gr_guard_up_room(guard, &room));
	assert_int_equal(gr_guard_up_took(guard, 0, NOW + 10000), GR_EPROTO);
	passed(guard, NULL, 0);
	assert_int_equal(gr_guard_up_wait(guard, NOW), -1);
	gr_guard_destroy(guard);
}

#define VIOLATES(guard, rule, ...)                                                                                     \
	violates(guard, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), rule)

static void client_init_comes_first_and_says_one(void **state)
{
	(void)state;
	struct gr_guard *guard = create(0);
	assert_int_equal(give(guard, "\7\4", 2), 0); /* then half a message */
	passed(guard, "\1", 1);
	assert_int_equal(give(guard, key + 1, 7), 0);
	passed(guard, key, 8);
	gr_guard_destroy(guard);
}

/* T24 */
static void every_type_outside_the_grammar_is_a_violation(void **state)
{
	(void)state;
	static const uint8_t known[] = { 0, 2, 3, 4, 5, 6, 71, 150, 248, 251, 255 };
	static const struct {
		uint8_t type;
		const char *rule;
	} named[] = { { 1, "FixColourMapEntries" },
		      { 7, "FileTransfer" },
		      { 8, "SetScale" },
		      { 9, "SetServerInput" },
		      { 10, "SetSW" },
		      { 11, "TextChat" },
		      { 15, "PalmVNC" },
		      { 250, "Xvp" },
		      { 127, "type" },
		      { 252, "type" },
		      { 253, "type" } };
	for (unsigned type = 0; type < 256; type++)
		if (!memchr(known, (int)type, sizeof(known)))
			VIOLATES(begun(), "not permitted", (uint8_t)type, 1, 2, 3);
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		VIOLATES(begun(), named[i].rule, named[i].type, 0, 0, 0, 0, 0, 0, 1, 9);
	VIOLATES(begun(), "sub-type", 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	VIOLATES(begun(), "extended clipboard", 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf8, 1, 0, 0, 1);
	VIOLATES(begun(), "screens", 251, 0, 4, 0, 3, 0, 17, 0);
	VIOLATES(begun(), "ClientFence: longer", 248, 0, 0, 0, 0, 0, 0, 1, 65);
}

/* T23. The header is enough: nothing is waited for or held. */
static void a_clipboard_of_a_length_that_is_not_permitted_is_a_violation_at_once(void **state)
{
	(void)state;
	VIOLATES(begun(), "clipboard", 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
	VIOLATES(begun(), "clipboard", 6, 0, 0, 0, 0x80, 0, 0, 0);
	VIOLATES(begun(), "ClientCutText", 6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff);
	VIOLATES(begun(), "ClientCutText", 6, 0, 0, 0, 0, 1, 0, 1);
	VIOLATES(begun_with(100), "ClientCutText", 6, 0, 0, 0, 0, 1, 0, 1);
	VIOLATES(begun(), "CLIPBOARD: a length", 71, 3, 0, 0, 0, 1, 0, 1);
	VIOLATES(begun(), "CLIPBOARD: a length", 71, 3, 0, 0, 0xff, 0xff, 0xff, 0xff);
	VIOLATES(begun(), "CLIPBOARD: a length", 71, 3, 0, 0, 0, 0, 0, 0);
	/* Byte by byte it is no other. */
	struct gr_guard *guard = begun();
	const uint8_t header[8] = { 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(give(guard, header + i, 1), 0);
	assert_int_equal(give(guard, header + 7, 1), GR_EPROTO);
	assert_int_equal(told_texts.count, 0);
	gr_guard_destroy(guard);
}

/* T27: kind × size × bytes × what the policy lets up. */
static void clipboards_go_up_only_as_the_policy_says(void **state)
{
	(void)state;
	static const size_t sizes[] = { 5, 99, 100, 101, 4096, 65535, 65536 };
	static const struct {
		const char *bytes;
		bool good;
	} texts[] = { { "x", true },
		      { "\t", true },
		      { "\n", true },
		      { "\xc3\xa9", true },
		      { "\xe6\x97\xa5", true },
		      { "\xf0\xa0\xae\xb7", true },
		      { "\r", false },
		      { "\0", false },
		      { "\x1b", false },
		      { "\x7f", false },
		      { "\xc2\x9b", false },
		      { "\xe6\x97", false },
		      { "\xed\xa0\x80", false } };
	static const uint32_t limits[] = { 0, 100, GR_CLIPBOARD_MAX };
	static uint8_t message[8 + 65536 + sizeof(key)];
	for (size_t l = 0; l < 3; l++) {
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			for (size_t b = 0; b < sizeof(texts) / sizeof(texts[0]); b++) {
				size_t n = sizes[s], part = texts[b].bytes[0] ? strlen(texts[b].bytes) : 1;
				struct gr_guard *guard = begun_with(limits[l]);
				LIST(guard, 0x47415201);
				memcpy(message,
				       (uint8_t[]){ 71, 3, 1, 2, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n },
				       8);
				memset(message + 8, 'x', n);
				memcpy(message + 8 + n - part, texts[b].bytes, part);
				memcpy(message + 8 + n, key, sizeof(key));
				int status = give(guard, message, 8 + n + sizeof(key));
				if (n <= limits[l] && !texts[b].good) {
					assert_int_equal(status, GR_EPROTO);
					assert_string_equal(gr_guard_violation(guard)->rule,
							    "CLIPBOARD: bytes that are not permitted");
					passed(guard, NULL, 0);
					assert_int_equal(told_texts.count, 0);
				} else {
					bool through = n <= limits[l];
					assert_int_equal(status, 0);
					memset(message + 2, 0, 2);
					passed(guard, through ? message : key, (through ? 8 + n : 0) + sizeof(key));
					assert_int_equal(told_texts.count, 1);
					assert_int_equal(told_texts.passed, through);
					assert_int_equal(told_texts.length, n);
					assert_memory_equal(told_texts.text, message + 8, n);
				}
				gr_guard_destroy(guard);
			}
		}
	}
}

/* Viewers send it unasked, in whatever encoding they like: our viewer has a record of its own. */
static void no_client_cut_text_goes_up(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 100, 65536 };
	static uint8_t message[8 + 65536 + sizeof(key)];
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s];
		struct gr_guard *guard = begun_with(GR_CLIPBOARD_MAX);
		LIST(guard, 0x47415201);
		memcpy(message, (uint8_t[]){ 6, 1, 2, 3, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n }, 8);
		memset(message + 8, 'x', n);
		memcpy(message + 8 + n, key, sizeof(key));
		assert_int_equal(give(guard, message, 8 + n + sizeof(key)), 0);
		passed(guard, key, sizeof(key));
		assert_int_equal(told_texts.count, 1);
		assert_false(told_texts.passed);
		assert_int_equal(told_texts.length, n);
		assert_memory_equal(told_texts.text, message + 8, n);
		gr_guard_destroy(guard);
	}
	/* An empty one is nothing to tell of. */
	struct gr_guard *guard = begun_with(100);
	assert_int_equal(give(guard, (const uint8_t[8]){ 6 }, 8), 0);
	passed(guard, NULL, 0);
	assert_int_equal(told_texts.count, 0);
	gr_guard_destroy(guard);
}

/* T25 */
static void encodings_are_bounded_and_filtered(void **state)
{
	(void)state;
	VIOLATES(begun(), "SetEncodings", 2, 0, 0xff, 0xff, 0, 0, 0, 7);
	VIOLATES(begun(), "SetEncodings", 2, 0, 0, 129);
	struct gr_guard *guard = begun();
	static const int32_t wishes[] = {
		7,          16,         6,    -307, 0x47415201, (int32_t)0xc0a1e5ceu, 5, 0, 9, -309, 1,
		0x47415238, 0x4741523a, -239, -247, -24,        (int32_t)0xfffe0000u
	};
	static const int32_t kept[] = { 7, 0x47415201, 5, 0, 1, 0x47415238, -239, -247, -24 };
	uint8_t message[4 + 4 * 128], expected[sizeof(message)];
	size_t n = encodings(message, wishes, sizeof(wishes) / sizeof(wishes[0]));
	message[1] = 0xaa;
	for (size_t i = 0; i < n; i++) {
		passed(guard, NULL, 0);
		assert_int_equal(give(guard, message + i, 1), 0);
	}
	passed(guard, expected, encodings(expected, kept, sizeof(kept) / sizeof(kept[0])));
	assert_int_equal(guard->listed, GR_LISTED_RAW | GR_LISTED_TIGHT | GR_LISTED_GARASU | GR_LISTED_HEXTILE |
						GR_LISTED_COPY_RECT | GR_LISTED_CURSOR | GR_LISTED_QUALITY);
	assert_int_equal(guard->history_log2, 24);
	assert_int_equal(guard->ends_due, 0);
	/* What was listed once may still come. */
	LIST(guard, 0);
	assert_true(guard->listed & GR_LISTED_TIGHT);
	int32_t many[128];
	for (size_t i = 0; i < 128; i++)
		many[i] = -999;
	assert_int_equal(give(guard, message, encodings(message, many, 128)), 0);
	passed(guard, "\2\0\0\0", 4);
	LIST(guard, -223, -224, -308, -258, -312, -313);
	assert_true((guard->listed & 0x7e0) == 0x7e0);
	assert_int_equal(guard->ends_due, 1);
	LIST(guard, -313);
	assert_int_equal(guard->ends_due, 1);
	gr_guard_destroy(guard);

	/* A history larger than the broker's own is no larger than that; a smaller one is what it is. */
	guard = begun();
	LIST(guard, 0x47415235);
	assert_int_equal(guard->history_log2, 21);
	LIST(guard, 0x47415239);
	assert_int_equal(guard->history_log2, 24);
	gr_guard_destroy(guard);
}

/* T25 */
static void pixel_formats_are_checked_and_take_effect(void **state)
{
	(void)state;
	static const uint8_t ours[20] = { 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = { { 4, 7 }, { 4, 24 }, { 7, 0 }, { 9, 0 }, { 14, 255 }, { 15, 25 } };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bad[20];
		memcpy(bad, ours, 20);
		bad[wrong[i].at] = wrong[i].value;
		violates(begun(), bad, 20, "SetPixelFormat");
	}
	struct gr_guard *guard = begun();
	uint8_t dirty[20];
	memcpy(dirty, ours, 20);
	memset(dirty + 1, 0xcc, 3);
	memset(dirty + 17, 0xcc, 3);
	dirty[7] = 0xff;
	assert_int_equal(give(guard, dirty, 20), 0);
	passed(guard, ours, 20);
	assert_true(guard->format.tight && guard->format.bytes == 4);
	static const uint8_t rgb565[20] = { 0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };
	assert_int_equal(give(guard, rgb565, 20), 0);
	assert_true(!guard->format.tight && guard->format.bytes == 2);
	assert_int_equal(guard->next_format_from, 0);
	gr_guard_destroy(guard);
}

static void a_pixel_format_waits_for_the_end_of_continuous_updates(void **state)
{
	(void)state;
	static const uint8_t rgb565[20] = { 0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };
	static const uint8_t on[10] = { 150, 1, 0, 0, 0, 0, 4, 0, 3, 0 }, off[10] = { 150 };
	VIOLATES(begun(), "EnableContinuousUpdates", 150, 1, 0, 0, 0, 0, 4, 0, 3, 0);
	struct gr_guard *guard = begun();
	LIST(guard, -313);
	assert_int_equal(guard->ends_due, 1);
	guard->ends_seen = 1; /* as the other direction does when it comes */
	assert_int_equal(give(guard, on, 10), 0);
	assert_int_equal(give(guard, off, 10), 0);
	assert_int_equal(guard->ends_due, 2);
	assert_int_equal(give(guard, rgb565, 20), 0);
	assert_int_equal(guard->format.bytes, 4);
	assert_int_equal(guard->next_format_from, 2);
	assert_int_equal(guard->next_format.bytes, 2);
	assert_int_equal(give(guard, on, 10), 0);
	take_all(guard);
	violates(guard, rgb565, 20, "while updates come by themselves");

	guard = begun();
	LIST(guard, -313);
	guard->ends_seen = 1;
	assert_int_equal(give(guard, off, 10), 0);
	assert_int_equal(give(guard, rgb565, 20), 0);
	assert_int_equal(give(guard, off, 10), 0);
	take_all(guard);
	violates(guard, rgb565, 20, "an earlier one");
}

static void what_viewers_leave_undefined_is_defined(void **state)
{
	(void)state;
	struct gr_guard *guard = begun();
	LIST(guard, -258, -312);
	static const struct {
		uint8_t sent[24], on[24];
		size_t n;
	} messages[] = {
		{ { 3, 0xff, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff }, { 3, 1, 0, 1, 0, 2, 0xff, 0xff, 0xff, 0xff }, 10 },
		{ { 4, 7, 8, 9, 1, 2, 3, 4 }, { 4, 1, 0, 0, 1, 2, 3, 4 }, 8 },
		{ { 4, 0, 8, 9, 1, 2, 3, 4 }, { 4, 0, 0, 0, 1, 2, 3, 4 }, 8 },
		{ { 5, 0xff, 1, 2, 3, 4 }, { 5, 0xff, 1, 2, 3, 4 }, 6 },
		{ { 255, 0, 1, 0, 0, 0, 0, 'a', 0, 0, 0, 0x1e }, { 255, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 0x1e }, 12 },
		{ { 255, 0, 0, 0, 0, 0, 0, 'a', 1, 0, 0, 0x1e }, { 255, 0, 0, 0, 0, 0, 0, 'a' }, 12 },
		{ { 251, 3, 0xff, 0xff, 0, 1, 1, 9 }, { 251, 0, 0xff, 0xff, 0, 1, 1, 0 }, 24 },
		{ { 248, 1, 2, 3, 0x7f, 0xff, 0xff, 0xff, 4, 1, 2, 3, 4 },
		  { 248, 0, 0, 0, 0, 0, 0, 7, 4, 1, 2, 3, 4 },
		  13 },
	};
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		assert_int_equal(give(guard, messages[i].sent, messages[i].n), 0);
		passed(guard, messages[i].on, messages[i].n);
	}
	gr_guard_destroy(guard);
	VIOLATES(begun(), "not listed", 255, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 0x1e);
}

static void fences_wait_for_their_answers(void **state)
{
	(void)state;
	VIOLATES(begun(), "not listed", 248, 0, 0, 0, 0x80, 0, 0, 0, 0);
	struct gr_guard *guard = begun();
	LIST(guard, -312);
	violates(guard, (const uint8_t[]){ 248, 0, 0, 0, 0, 0, 0, 1, 3, 1, 2, 3 }, 12, "never asked");
	guard = begun();
	LIST(guard, -312);
	uint8_t fence[11] = { 248, 0, 0, 0, 0xc0, 0, 0, 5, 2, 'x', 0 };
	for (uint8_t i = 0; i < GR_GUARD_FENCES_MAX + 2; i++) {
		fence[10] = i;
		assert_int_equal(give(guard, fence, sizeof(fence)), 0);
	}
	assert_int_equal(give(guard, key, sizeof(key)), 0);
	assert_int_equal(take_all(guard), GR_GUARD_FENCES_MAX * sizeof(fence));
	assert_int_equal(guard->fence_count, GR_GUARD_FENCES_MAX);
	assert_int_equal(gr_guard_up_wait(guard, NOW), -1);
	for (unsigned i = 0; i < GR_GUARD_FENCES_MAX; i++) {
		const struct gr_guard_fence *f = &guard->fences[(guard->fence_first + i) % GR_GUARD_FENCES_MAX];
		assert_int_equal(f->flags, 5);
		assert_int_equal(f->length, 2);
		assert_int_equal(f->payload[1], i);
	}
	/* The other direction sees one answer: one goes on; two more: the last one, and the key behind it. */
	guard->fence_first += 1;
	guard->fence_count -= 1;
	assert_int_equal(gr_guard_up_took(guard, 0, NOW), 0);
	assert_int_equal(take_all(guard), sizeof(fence));
	guard->fence_first += 2;
	guard->fence_count -= 2;
	assert_int_equal(gr_guard_up_took(guard, 0, NOW), 0);
	assert_int_equal(take_all(guard), sizeof(fence) + sizeof(key));
	gr_guard_destroy(guard);
}

static int text(struct gr_guard *guard, uint8_t sequence)
{
	return give(guard, (const uint8_t[]){ 71, 1, 0, 1, 0, 0, 1, sequence, 'x' }, 9);
}

/* One that listed our records. */
static struct gr_guard *ours(void)
{
	struct gr_guard *guard = begun();
	LIST(guard, 0x47415201);
	return guard;
}

static void committed_text_counts_up(void **state)
{
	(void)state;
	struct gr_guard *guard = ours();
	assert_int_equal(text(guard, 7), 0);
	assert_int_equal(text(guard, 8), 0);
	assert_int_equal(take_all(guard), 18);
	assert_int_equal(text(guard, 10), GR_EPROTO);
	passed(guard, NULL, 0);
	gr_guard_destroy(guard);
	guard = ours();
	assert_int_equal(text(guard, 7), 0);
	assert_int_equal(text(guard, 7), GR_EPROTO);
	gr_guard_destroy(guard);
	VIOLATES(ours(), "TEXT", 71, 1, 0, 1, 0, 0, 0, 1, 27);
}

static void garasu_records_are_of_who_listed_them_and_of_known_values(void **state)
{
	(void)state;
	static const struct {
		uint8_t sent[16], on[16];
		size_t n;
		const char *rule;
	} records[] = {
		{ { 71, 2, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9 }, { 71, 2, 0, 1 }, 16, NULL },
		{ { 71, 2, 0, 2, 0, 0, 1, 2, 0, 1, 3, 0xe7, 9 }, { 71, 2, 0, 2, 0, 0, 1, 2, 0, 1, 3, 0xe7 }, 16, NULL },
		{ { 71, 2, 0, 3, 0, 0, 1, 2, 0, 7, 9, 9, 9 }, { 71, 2, 0, 3, 0, 0, 1, 2, 0, 7 }, 16, NULL },
		{ { 71, 2, 0, 4, 0, 0, 1, 2, 9, 9, 9, 9, 9 }, { 71, 2, 0, 4, 0, 0, 1, 2 }, 16, NULL },
		{ { 71, 2, 0, 0 }, { 0 }, 16, "PRINT" },
		{ { 71, 2, 0, 5 }, { 0 }, 16, "PRINT" },
		{ { 71, 2, 0, 2, 0, 0, 1, 2, 0, 0, 0, 1 }, { 0 }, 16, "PRINT" },
		{ { 71, 2, 0, 2, 0, 0, 1, 2, 0, 2, 0, 1 }, { 0 }, 16, "PRINT" },
		{ { 71, 2, 0, 2, 0, 0, 1, 2, 0, 1, 3, 0xe8 }, { 0 }, 16, "PRINT" },
		{ { 71, 2, 0, 3, 0, 0, 1, 2, 0, 0, 0, 0 }, { 0 }, 16, "PRINT" },
		{ { 71, 4, 0, 50, 1, 2, 3, 4 }, { 71, 4, 0, 50 }, 8, NULL },
		{ { 71, 4, 1, 0x90 }, { 71, 4, 1, 0x90 }, 8, NULL },
		{ { 71, 4, 0, 49 }, { 0 }, 8, "SCALE" },
		{ { 71, 4, 1, 0x91 }, { 0 }, 8, "SCALE" },
		{ { 71, 0 }, { 0 }, 8, "unknown" },
		{ { 71, 5 }, { 0 }, 8, "unknown" },
	};
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		if (records[i].rule) {
			violates(ours(), records[i].sent, records[i].n, records[i].rule);
			continue;
		}
		struct gr_guard *guard = ours();
		assert_int_equal(give(guard, records[i].sent, records[i].n), 0);
		passed(guard, records[i].on, records[i].n);
		gr_guard_destroy(guard);
		violates(begun(), records[i].sent, records[i].n, "not listed");
	}
	VIOLATES(begun(), "not listed", 71, 1, 0, 1, 0, 0, 0, 1, 'x');
	VIOLATES(begun_with(100), "not listed", 71, 3, 0, 0, 0, 0, 0, 1, 'x');
}

/* T28 */
static void a_flood_waits_and_nothing_of_it_is_lost(void **state)
{
	(void)state;
	struct gr_guard *guard = begun();
	uint64_t now = NOW;
	size_t given = 0, through = 0, total = 60000;
	uint8_t event[6];
	while (through < total) {
		size_t room;
		uint8_t *to = gr_guard_up_room(guard, &room);
		size_t put = 0;
		for (; to && given < total && put + 6 <= room; put += 6, given++)
			memcpy(to + put,
			       (uint8_t[]){ 5, 0, (uint8_t)(given >> 16), (uint8_t)(given >> 8), (uint8_t)given, 0 },
			       6);
		assert_int_equal(gr_guard_up_took(guard, put, now), 0);
		size_t n;
		const uint8_t *p = gr_guard_up_passed(guard, &n);
		assert_int_equal(n % 6, 0);
		for (size_t i = 0; i < n; i += 6, through++) {
			memcpy(event, p + i, 6);
			assert_int_equal((size_t)(event[2] << 16 | event[3] << 8 | event[4]), through);
		}
		gr_guard_up_sent(guard, n);
		int64_t wait = gr_guard_up_wait(guard, now);
		if (through == total)
			break;
		if (wait < 0)
			continue; /* room was the bound */
		assert_true(wait > 0);
		/* Too early it goes on waiting. */
		assert_int_equal(gr_guard_up_took(guard, 0, now + (uint64_t)wait - 1), 0);
		passed(guard, NULL, 0);
		now += (uint64_t)wait;
		assert_int_equal(gr_guard_up_wait(guard, now), 0);
	}
	/* 8,000 at once, 4 in each millisecond from then on. */
	assert_int_equal(now - NOW, (60000 - 8000) / 4);
	gr_guard_destroy(guard);
}

static void a_fast_mouse_is_no_flood(void **state)
{
	(void)state;
	struct gr_guard *guard = begun();
	for (uint64_t ms = 0; ms < 60000; ms++) {
		assert_int_equal(give_at(guard, pointer, sizeof(pointer), NOW + ms), 0);
		assert_int_equal(give_at(guard, key, sizeof(key), NOW + ms), 0);
		passed(guard, (const uint8_t[]){ 5, 1, 0, 10, 0, 20, 4, 1, 0, 0, 0, 0, 0, 'a' }, 14);
	}
	/* A clock that stands still or runs backwards gives nothing, and takes nothing away. */
	assert_int_equal(give_at(guard, key, sizeof(key), 0), 0);
	passed(guard, key, sizeof(key));
	gr_guard_destroy(guard);
}

static void clipboards_are_few(void **state)
{
	(void)state;
	static const uint8_t cut[9] = { 6, 0, 0, 0, 0, 0, 0, 1, 'x' }, ours_is[9] = { 71, 3, 0, 0, 0, 0, 0, 1, 'x' };
	for (unsigned kind = 0; kind < 2; kind++) {
		struct gr_guard *guard = begun_with(100);
		LIST(guard, 0x47415201); /* costs 50, which 20 ms give back */
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(give_at(guard, kind ? ours_is : cut, 9, NOW + 1000), 0);
		assert_int_equal(told_texts.count, 8);
		assert_int_equal(told_texts.passed, kind);
		assert_int_equal(gr_guard_up_wait(guard, NOW + 1000), 250);
		assert_int_equal(gr_guard_up_took(guard, 0, NOW + 2000), 0);
		assert_int_equal(told_texts.count, 12);
		gr_guard_destroy(guard);
	}
}

/* The room never shrinks for good, however the bytes are taken away. */
static void every_message_finds_room(void **state)
{
	(void)state;
	static uint8_t longest[8 + 65536] = { 71, 3, 0, 0, 0, 1, 0, 0 };
	struct gr_guard *guard = begun_with(GR_CLIPBOARD_MAX);
	LIST(guard, 0x47415201);
	memset(longest + 8, 'x', 65536);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t now = NOW + i * 1000;
		assert_int_equal(give_at(guard, pointer, sizeof(pointer), now), 0);
		gr_guard_up_sent(guard, 5);
		assert_int_equal(give_at(guard, longest, 8000 + i, now), 0);
		gr_guard_up_sent(guard, 1);
		assert_int_equal(give_at(guard, longest + 8000 + i, sizeof(longest) - 8000 - i, now), 0);
		passed(guard, longest, sizeof(longest));
	}
	/* Its first byte comes behind much that is sent soon. */
	static uint8_t many[1700 * sizeof(pointer) + 1];
	for (size_t i = 0; i < 1700; i++)
		memcpy(many + i * sizeof(pointer), pointer, sizeof(pointer));
	many[sizeof(many) - 1] = longest[0];
	assert_int_equal(give_at(guard, many, sizeof(many), NOW + 60000), 0);
	passed(guard, many, sizeof(many) - 1);
	assert_int_equal(give_at(guard, longest + 1, sizeof(longest) - 1, NOW + 60000), 0);
	passed(guard, longest, sizeof(longest));
	gr_guard_destroy(guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_init_comes_first_and_says_one),
		cmocka_unit_test(every_type_outside_the_grammar_is_a_violation),
		cmocka_unit_test(a_clipboard_of_a_length_that_is_not_permitted_is_a_violation_at_once),
		cmocka_unit_test(clipboards_go_up_only_as_the_policy_says),
		cmocka_unit_test(no_client_cut_text_goes_up),
		cmocka_unit_test(encodings_are_bounded_and_filtered),
		cmocka_unit_test(pixel_formats_are_checked_and_take_effect),
		cmocka_unit_test(a_pixel_format_waits_for_the_end_of_continuous_updates),
		cmocka_unit_test(what_viewers_leave_undefined_is_defined),
		cmocka_unit_test(fences_wait_for_their_answers),
		cmocka_unit_test(committed_text_counts_up),
		cmocka_unit_test(garasu_records_are_of_who_listed_them_and_of_known_values),
		cmocka_unit_test(a_flood_waits_and_nothing_of_it_is_lost),
		cmocka_unit_test(a_fast_mouse_is_no_flood),
		cmocka_unit_test(clipboards_are_few),
		cmocka_unit_test(every_message_finds_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
