/*
 * What a container sends to the egress process and a server answers: any bytes, in pieces. A head that is passed on must
 * read the same when it is parsed again, and a target that is accepted has one normal form.
 */
#include "broker/egress/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *context, const char *bytes, size_t n)
{
	*(size_t *)context += n;
	(void)bytes;
	return 0;
}

#define ADDED_FIELDS 2u /* Transfer-Encoding, and Host or Connection */

static int parse(struct gr_message *message, const char *bytes, size_t n, size_t step)
{
	for (size_t at = 0, used; at < n && !message->done; at += used) {
		int had_head = message->head_done;
		size_t piece = n - at < step ? n - at : step;
		char *exact = malloc(piece);
		memcpy(exact, bytes + at, piece);
		int status = gr_message_parse(message, exact, piece, &used);
		free(exact);
		if (status != 0)
			return status;
		assert(used == piece || message->done || (message->head_done && !had_head));
	}
	return message->head_done ? 0 : GR_EAGAIN;
}

static void check_target(const char *text, size_t n, uint16_t default_port)
{
	struct gr_target target, again;
	char normal[GR_TARGET_TEXT];
	if (gr_target_parse_authority(&target, text, n, default_port) != 0)
		return;
	gr_target_text(&target, normal);
	assert(gr_target_parse_authority(&again, normal, strlen(normal), 0) == 0);
	assert(gr_target_equal(&target, &again) && target.is_address == again.is_address);
	if (target.is_address)
		gr_address_refused(&target.address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_message message = { .text = NULL }, again = { .text = NULL };
	struct gr_buffer out = { .bytes = NULL };
	struct gr_target target;
	const char *path;
	size_t body = 0;
	if (size < 2)
		return 0;
	int response = data[0] & 1;
	size_t step = (size_t)data[1] + 1;
	const char *bytes = (const char *)data + 2;
	size -= 2;
	check_target(bytes, size, data[0] & 2 ? 80 : 0);
	gr_message_begin(&message, response ? HTTP_RESPONSE : HTTP_REQUEST, count, &body);
	message.without_body = response ? (data[0] >> 2) % 3 : 0;
	int status = parse(&message, bytes, size, step);
	assert(body <= size);
	/* With as many fields as there may be, those that are added are more than our own parser takes. */
	if (message.count + ADDED_FIELDS > GR_FIELDS_MAX)
		status = GR_EFULL;
	if (status == 0 && response) {
		if (gr_response_write(&message, message.chunked, data[0] & 2, &out) == 0) {
			gr_message_begin(&again, HTTP_RESPONSE, NULL, NULL);
			again.without_body = 1;
			assert(parse(&again, out.bytes + out.start, out.length, SIZE_MAX) == 0);
			assert(again.done && again.parser.status_code == message.parser.status_code);
		}
	} else if (status == 0) {
		const char *text = gr_message_target(&message);
		check_target(text, strlen(text), 0);
		if (gr_target_parse_url(&target, text, &path) == 0 && message.parser.method != HTTP_CONNECT &&
		    gr_request_write(&message, &target, path, 0, NULL, &out) == 0) {
			gr_message_begin(&again, HTTP_REQUEST, NULL, NULL);
			assert(parse(&again, out.bytes + out.start, out.length, SIZE_MAX) == 0);
			assert(again.head_done && again.parser.method == message.parser.method);
			assert(gr_message_target(&again)[0] == '/');
			assert(again.chunked == message.chunked);
			assert(again.has_length == message.has_length);
			assert(!gr_message_value(&again, "proxy-authorization") &&
			       !gr_message_value(&again, "connection"));
		}
	}
	gr_buffer_clear(&out);
	gr_message_finish(&message);
	gr_message_finish(&again);
	return 0;
}
