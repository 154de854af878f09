#include "broker/session/clipboard.h"
#include "common/error.h"
#include "common/utf8.h"

#include <string.h>

int gr_clipboard_take(struct gr_clipboard_text *text, const uint8_t *untrusted, size_t n, size_t untrusted_left)
{
	if (!text->left)
		text->length = 0;
	if (n < 1 || n > GR_CLIPBOARD_MAX || untrusted_left > GR_CLIPBOARD_MAX ||
	    text->length + n + untrusted_left > GR_CLIPBOARD_MAX || (text->left && text->left != n + untrusted_left)) {
		text->length = text->left = 0;
		return GR_EPROTO;
	}
	memcpy(text->text + text->length, untrusted, n);
	text->length += (uint32_t)n;
	text->left = (uint32_t)untrusted_left;
	if (text->left)
		return 0;
	return gr_utf8_is_text(text->text, text->length) ? 1 : GR_EPROTO;
}

size_t gr_clipboard_record(const struct gr_clipboard_text *text, size_t at, struct gr_record_clipboard *out)
{
	if (at >= text->length)
		return 0;
	size_t n = text->length - at < GR_TEXT_MAX ? text->length - at : GR_TEXT_MAX;
	memset(out, 0, sizeof(*out));
	out->type = GR_RECORD_SET_CLIPBOARD;
	out->left = (uint32_t)(text->length - at - n);
	out->length = (uint32_t)n;
	memcpy(out->text, text->text + at, n);
	return n;
}

void gr_clipboard_wait_for_viewer(struct gr_clipboard *clipboard)
{
	memcpy(clipboard->text, clipboard->down.text, clipboard->down.length);
	clipboard->waiting = clipboard->down.length;
}

int64_t gr_clipboard_wait(const struct gr_clipboard *clipboard, uint64_t now_ms)
{
	if (!clipboard->waiting)
		return -1;
	return clipboard->next_ms > now_ms ? (int64_t)(clipboard->next_ms - now_ms) : 0;
}

void gr_clipboard_sent(struct gr_clipboard *clipboard, uint64_t now_ms)
{
	clipboard->waiting = 0;
	clipboard->next_ms = now_ms + GR_CLIPBOARD_PACE_MS;
}
