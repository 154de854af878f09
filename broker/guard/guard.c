#include "broker/guard/guard.h"
#include "broker/guard/state.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

/* ServerInit's: 32 bits, depth 24, little-endian, shifts 16, 8, 0 (docs/PROTOCOL.md §3). */
static const struct gr_guard_format first_format = { .bytes = 4, .used = { 0xff, 0xff, 0xff, 0 }, .tight = true };

struct gr_guard *gr_guard_create(const struct gr_guard_settings *settings)
{
	struct gr_guard *guard = calloc(1, sizeof(*guard));
	if (!guard)
		return NULL;
	guard->settings = *settings;
	guard->format = first_format;
	guard->listed = GR_LISTED_RAW;
	if (gr_guard_down_create(guard) || gr_guard_up_create(guard)) {
		gr_guard_destroy(guard);
		return NULL;
	}
	return guard;
}

void gr_guard_destroy(struct gr_guard *guard)
{
	if (!guard)
		return;
	gr_guard_down_destroy(guard);
	gr_guard_up_destroy(guard);
	free(guard);
}

void gr_guard_assume_viewer(struct gr_guard *guard, bool jpeg)
{
	guard->listed = GR_LISTED_COPY_RECT | GR_LISTED_TIGHT | GR_LISTED_GARASU | GR_LISTED_CURSOR |
			GR_LISTED_DESKTOP_SIZE | GR_LISTED_EXTENDED_SIZE | GR_LISTED_LAST_RECT | GR_LISTED_QEMU_KEY |
			GR_LISTED_FENCE | GR_LISTED_CONTINUOUS | (jpeg ? GR_LISTED_QUALITY : 0u);
	guard->history_log2 = guard->settings.history_log2;
	guard->ends_due = 1; /* it never turns continuous updates off */
	guard->settings.clipboard_down_max = GR_CLIPBOARD_MAX;
	guard->settings.printing = true;
}

void gr_guard_on_clipboard(struct gr_guard *guard, gr_guard_clipboard clipboard, void *context)
{
	guard->clipboard = clipboard;
	guard->clipboard_context = context;
}

void gr_guard_tell_clipboard(struct gr_guard *guard, enum gr_guard_direction direction, bool passed,
			     const uint8_t *untrusted_text, size_t n)
{
	if (guard->clipboard)
		guard->clipboard(guard->clipboard_context, direction, passed, untrusted_text, n);
}

int gr_guard_refuse(struct gr_guard *guard, enum gr_guard_direction direction, uint64_t offset, const char *rule,
		    const uint8_t *bytes, size_t n)
{
	if (!guard->violated)
		guard->violation = (struct gr_guard_violation){ direction, offset, rule, bytes, n };
	guard->violated = true;
	return GR_EPROTO;
}

const struct gr_guard_violation *gr_guard_violation(const struct gr_guard *guard)
{
	return guard->violated ? &guard->violation : NULL;
}

int gr_guard_buffer_reserve(struct gr_guard_buffer *buffer, size_t least)
{
	if (buffer->start == buffer->end)
		buffer->start = buffer->passed = buffer->end = 0;
	if (buffer->size - buffer->end >= least)
		return 0;
	if (buffer->start) {
		memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
		buffer->passed -= buffer->start;
		buffer->end -= buffer->start;
		buffer->start = 0;
	}
	if (buffer->size - buffer->end >= least)
		return 0;
	size_t size = buffer->end + least; /* both far below SIZE_MAX: bounded by the callers */
	uint8_t *data = realloc(buffer->data, size);
	if (!data)
		return GR_ENOMEM;
	buffer->data = data;
	buffer->size = size;
	return 0;
}

struct gr_guard_format gr_guard_format_of(const uint8_t format[16])
{
	struct gr_guard_format out = { .bytes = format[0] / 8 };
	bool big_endian = format[2] != 0;
	unsigned eights = 0;
	uint32_t used = 0;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t maximum = (uint32_t)format[4 + 2 * i] << 8 | format[5 + 2 * i];
		used |= maximum << format[10 + i];
		eights += maximum == 255;
	}
	for (unsigned i = 0; i < out.bytes; i++)
		out.used[i] = (uint8_t)(used >> 8 * (big_endian ? out.bytes - 1u - i : i));
	out.tight = out.bytes == 4 && format[1] == 24 && eights == 3;
	return out;
}
