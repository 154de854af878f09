/*
 * What garasu-forward reads: a line of the record or a head, which become frames without a line feed or other control characters
 * and of the length that they say; and its own state, of which there is one way to write it.
 */
#include "broker/forward/message.h"
#include "broker/forward/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const char *frame, size_t n)
{
	size_t at = 0, count = 0;
	assert(n > 0 && n <= GR_FORWARD_MESSAGE_MAX);
	while (frame[at] != ' ')
		count = count * 10 + (size_t)(frame[at++] - '0');
	assert(count == n - at - 1 && frame[at + 1] == '<');
	for (size_t i = 0; i < n; i++)
		assert((unsigned char)frame[i] >= ' ' && frame[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char frame[GR_FORWARD_MESSAGE_MAX];
	struct gr_audit_line line;
	struct gr_head head;
	struct gr_forward_state state;
	const char *reason;
	int known;
	char *exact = malloc(size + 1); /* so that a byte too far is seen */
	memcpy(exact, data, size);
	char *text = realloc(exact, size ? size : 1);
	for (int format = GR_FORMAT_RFC5424; format <= GR_FORMAT_CEF; format++) {
		struct gr_forward_form form;
		gr_forward_form_init(&form, (enum gr_config_format)format, "host");
		if (gr_audit_line_parse(text, size, &line, &reason) == 0)
			check_frame(frame, gr_forward_record(&form, &line, text, size, frame));
		if (gr_head_read(text, size, NULL, 0, &head, &known, &reason) == 0)
			check_frame(frame, gr_forward_head(&form, &head, text, size, frame));
	}
	if (size <= GR_FORWARD_STATE_MAX && gr_forward_state_parse(text, size, &state) == 0) {
		char again[GR_FORWARD_STATE_MAX];
		assert(gr_forward_state_format(&state, again) == size && memcmp(again, text, size) == 0);
	}
	free(text);
	return 0;
}
