/* A viewer's stream after the handshake: messages in bounds, and only records that an agent accepts come out of it. */
#include "broker/guard/messages.h"
#include "broker/session/input.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_input input;
	union gr_record record;
	gr_input_init(&input);
	while (size) {
		struct gr_viewer_message m;
		int status = gr_viewer_message_parse(data, size, &m);
		if (status) {
			require(status == GR_EAGAIN || status == GR_EPROTO);
			/* Incomplete only as long as the longest message is. */
			require(status == GR_EPROTO || size < GR_VIEWER_MESSAGE_MAX ||
				size < 4 + 4 * GR_VIEWER_ENCODINGS_MAX);
			break;
		}
		require(m.size >= 1 && m.size <= size);
		switch (m.kind) {
		case GR_VIEWER_ENCODINGS:
			require(m.encodings.count <= GR_VIEWER_ENCODINGS_MAX);
			require(m.encodings.quality >= -1 && m.encodings.quality <= 9);
			require(!m.encodings.history_log2 ||
				(m.encodings.history_log2 >= 20 && m.encodings.history_log2 <= 25));
			break;
		case GR_VIEWER_FENCE:
			require(m.fence.length <= GR_FENCE_PAYLOAD_MAX && m.size == 9 + m.fence.length);
			require(m.fence.payload == data + 9);
			break;
		case GR_VIEWER_KEY:
		case GR_VIEWER_POINTER:
		case GR_VIEWER_TEXT:
			if (gr_input_record(&input, &m, &record))
				break;
			if (record.type == GR_RECORD_TEXT)
				require(record.text.length >= 1 && record.text.length <= GR_TEXT_MAX);
			if (record.type == GR_RECORD_KEY)
				require(record.key.down <= 1 && record.key.keycode <= 255);
			break;
		case GR_VIEWER_PRINT:
			require(m.print.action >= GR_PRINT_START && m.print.action <= GR_PRINT_CANCEL);
			require(m.print.first <= GR_PRINT_PAGES_MAX && m.print.last <= GR_PRINT_PAGES_MAX);
			break;
		case GR_VIEWER_SCALE:
			require(m.scale >= GR_BROWSER_SCALE_MIN && m.scale <= GR_BROWSER_SCALE_MAX);
			break;
		case GR_VIEWER_CLIPBOARD: require(m.skip >= 1 && m.skip <= GR_CLIPBOARD_MAX); break;
		default: break;
		}
		size_t taken = m.size;
		if (m.kind == GR_VIEWER_CUT_TEXT || m.kind == GR_VIEWER_CLIPBOARD)
			taken += m.skip < size - m.size ? m.skip : size - m.size;
		data += taken;
		size -= taken;
	}
	unsigned released = 0;
	uint32_t sequence;
	while (gr_input_release(&input, &record))
		require(++released <= GR_INPUT_KEYS_MAX + 1);
	while (gr_input_text_pending(&input, &sequence))
		;
	return 0;
}
