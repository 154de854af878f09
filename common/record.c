#include "common/record.h"

/* Fixed layouts without padding: both ends may be built by different compilers. */
_Static_assert(sizeof(struct gr_rect) == 8, "rect");
_Static_assert(sizeof(struct gr_record_hello) == 24, "hello");
_Static_assert(sizeof(struct gr_record_want_frame) == 8, "want_frame");
_Static_assert(sizeof(struct gr_record_resize) == 8, "resize");
_Static_assert(sizeof(struct gr_record_key) == 16, "key");
_Static_assert(sizeof(struct gr_record_pointer) == 12, "pointer");
_Static_assert(sizeof(struct gr_record_text) == 12 + GR_TEXT_MAX, "text");
_Static_assert(sizeof(struct gr_record_frame) == 8 + 8 * GR_FRAME_RECTS_MAX, "frame");
_Static_assert(sizeof(struct gr_record_cursor) == 12, "cursor");
_Static_assert(sizeof(struct gr_record_resized) == 8, "resized");
_Static_assert(sizeof(struct gr_record_caret) == 16, "caret");
_Static_assert(sizeof(struct gr_record_text_result) == 12, "text_result");
_Static_assert(sizeof(struct gr_record_state) == 12, "state");
_Static_assert(sizeof(struct gr_record_scale) == 8, "scale");
_Static_assert(sizeof(struct gr_record_print) == 16, "print");
_Static_assert(sizeof(struct gr_record_clipboard) == 12 + GR_TEXT_MAX, "clipboard");
_Static_assert(sizeof(struct gr_record_page) == 24, "page");

size_t gr_record_size(uint32_t type)
{
	switch (type) {
	case GR_RECORD_HELLO: return sizeof(struct gr_record_hello);
	case GR_RECORD_WANT_FRAME: return sizeof(struct gr_record_want_frame);
	case GR_RECORD_RESIZE: return sizeof(struct gr_record_resize);
	case GR_RECORD_KEY: return sizeof(struct gr_record_key);
	case GR_RECORD_POINTER: return sizeof(struct gr_record_pointer);
	case GR_RECORD_TEXT: return sizeof(struct gr_record_text);
	case GR_RECORD_FRAME: return sizeof(struct gr_record_frame);
	case GR_RECORD_CURSOR: return sizeof(struct gr_record_cursor);
	case GR_RECORD_RESIZED: return sizeof(struct gr_record_resized);
	case GR_RECORD_CARET: return sizeof(struct gr_record_caret);
	case GR_RECORD_TEXT_RESULT: return sizeof(struct gr_record_text_result);
	case GR_RECORD_STATE: return sizeof(struct gr_record_state);
	case GR_RECORD_SCALE: return sizeof(struct gr_record_scale);
	case GR_RECORD_PRINT: return sizeof(struct gr_record_print);
	case GR_RECORD_SET_CLIPBOARD:
	case GR_RECORD_CLIPBOARD: return sizeof(struct gr_record_clipboard);
	case GR_RECORD_PAGE: return sizeof(struct gr_record_page);
	default: return 0;
	}
}

size_t gr_record_memory(uint16_t max_width, uint16_t max_height)
{
	return (size_t)max_width * max_height * 4 + (size_t)GR_CURSOR_MAX * GR_CURSOR_MAX * 4;
}
