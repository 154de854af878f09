/*
 * What the guard lets up is in the grammar: it parses as whole messages of permitted types, normalised, with nothing in it that is
 * dropped. However the bytes are cut, the same goes through. The input's first byte chooses the policy and how it is cut.
 */
#include "broker/guard/messages.h"
#include "broker/guard/state.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

struct output {
	uint8_t *bytes;
	size_t n, room;
};

static void append(struct output *out, const uint8_t *bytes, size_t n)
{
	if (!out->bytes || out->room - out->n < n) {
		out->room = 2 * (out->n + n);
		out->bytes = realloc(out->bytes, out->room);
		require(out->bytes);
	}
	memcpy(out->bytes + out->n, bytes, n);
	out->n += n;
}

/* The other half's part: fences are answered, EndOfContinuousUpdates comes. */
static void answer(struct gr_guard *guard, unsigned turn)
{
	require(guard->fence_count <= GR_GUARD_FENCES_MAX && guard->ends_seen <= guard->ends_due);
	if (guard->fence_count && turn % 3 == 0) {
		require(guard->fences[guard->fence_first].length <= 64 && guard->fences[guard->fence_first].flags <= 7);
		guard->fence_first = (guard->fence_first + 1) % GR_GUARD_FENCES_MAX;
		guard->fence_count--;
	}
	if (guard->ends_seen < guard->ends_due && ++guard->ends_seen == guard->next_format_from) {
		guard->format = guard->next_format;
		guard->next_format_from = 0;
	}
}

static void collect(struct gr_guard *guard, struct output *out, size_t at_most)
{
	size_t n;
	const uint8_t *bytes = gr_guard_up_passed(guard, &n);
	if (n > at_most)
		n = at_most;
	if (n)
		append(out, bytes, n);
	gr_guard_up_sent(guard, n);
}

/* Gives the bytes in pieces, and time, until nothing waits. */
static bool run(const uint8_t *data, size_t size, uint32_t clipboard_up_max, size_t piece, struct output *out)
{
	struct gr_guard_settings settings = { .max_width = 1000,
					      .max_height = 1000,
					      .history_log2 = 24,
					      .strict = true,
					      .clipboard_up_max = clipboard_up_max };
	struct gr_guard *guard = gr_guard_create(&settings);
	require(guard);
	uint64_t now_ms = 1;
	unsigned turn = 0;
	int status = 0;
	while (!status && (size || guard->fence_count || gr_guard_up_wait(guard, now_ms) >= 0)) {
		size_t room = 0;
		uint8_t *to = gr_guard_up_room(guard, &room);
		size_t n = room < piece ? room : piece;
		if (n > size)
			n = size;
		require(!to == !room);
		if (to && n)
			memcpy(to, data, n);
		data += n;
		size -= n;
		status = gr_guard_up_took(guard, n, now_ms);
		collect(guard, out, piece);
		if (!n) { /* only now, so that it does not depend on the pieces when a format takes effect */
			answer(guard, turn++);
			int64_t wait = gr_guard_up_wait(guard, now_ms);
			require(wait <= 3000);
			now_ms += wait > 0 ? (uint64_t)wait : 0;
		}
	}
	require(!status || status == GR_EPROTO);
	require(!status == !gr_guard_violation(guard));
	if (status) {
		const struct gr_guard_violation *v = gr_guard_violation(guard);
		require(v->direction == GR_GUARD_UP && v->rule[0] && v->n >= 1);
	}
	collect(guard, out, SIZE_MAX);
	gr_guard_destroy(guard);
	return status == 0;
}

static void zero(const uint8_t *bytes, size_t n)
{
	while (n--)
		require(bytes[n] == 0);
}

static size_t whole_message(const uint8_t *bytes, size_t n, uint32_t clipboard_up_max)
{
	struct gr_viewer_message m;
	require(gr_viewer_message_parse(bytes, n, &m) == 0);
	size_t message = m.size;
	switch (m.kind) {
	case GR_VIEWER_CUT_TEXT: require(false); break;
	case GR_VIEWER_CLIPBOARD:
		require(m.skip >= 1 && m.skip <= clipboard_up_max && m.skip <= n - m.size);
		message += m.skip;
		zero(bytes + 2, 2);
		for (size_t i = m.size; i < message; i++)
			require(bytes[i] != 0 && bytes[i] != 27 && bytes[i] != 127 && bytes[i] != 0xff);
		break;
	case GR_VIEWER_SCALE: zero(bytes + 4, 4); break;
	case GR_VIEWER_PRINT:
		zero(bytes + 12, 4);
		require(m.print.action == GR_PRINT_ACCEPT || !(bytes[10] | bytes[11]));
		break;
	case GR_VIEWER_ENCODINGS:
		zero(bytes + 1, 1);
		for (size_t i = 4; i < message; i += 4)
			require(gr_viewer_encoding_known((int32_t)((uint32_t)bytes[i] << 24 |
								   (uint32_t)bytes[i + 1] << 16 |
								   (uint32_t)bytes[i + 2] << 8 | bytes[i + 3])));
		break;
	case GR_VIEWER_PIXEL_FORMAT:
		zero(bytes + 1, 3);
		zero(bytes + 17, 3);
		require(bytes[6] <= 1 && bytes[7] == 1);
		break;
	case GR_VIEWER_KEY:
		zero(bytes + 2, 1);
		require(bytes[1] <= 1 && bytes[3] <= 1);
		break;
	case GR_VIEWER_UPDATE_REQUEST:
	case GR_VIEWER_CONTINUOUS: require(bytes[1] <= 1); break;
	case GR_VIEWER_FENCE:
		zero(bytes + 1, 3);
		require((bytes[4] & 0x7f) == 0 && !bytes[5] && !bytes[6] && bytes[7] <= 7);
		break;
	default: break;
	}
	return message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t limits[] = { 0, 0, 100, GR_CLIPBOARD_MAX };
	struct output all = { 0 }, pieces = { 0 };
	if (!size)
		return 0;
	uint32_t limit = limits[data[0] & 3];
	bool good = run(data + 1, size - 1, limit, SIZE_MAX, &all);
	for (size_t at = 0; at < all.n;) {
		if (at == 0) {
			require(all.bytes[0] == 1);
			at = 1;
		} else {
			at += whole_message(all.bytes + at, all.n - at, limit);
		}
	}
	require(run(data + 1, size - 1, limit, 1 + (data[0] >> 2), &pieces) == good);
	require(all.n == pieces.n && (!all.n || memcmp(all.bytes, pieces.bytes, all.n) == 0));
	free(all.bytes);
	free(pieces.bytes);
	return 0;
}
