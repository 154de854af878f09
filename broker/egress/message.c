#include "broker/egress/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum last { LAST_NOTHING, LAST_TARGET, LAST_NAME, LAST_VALUE };

static int fail(struct gr_message *message, int status)
{
	if (!message->failed)
		message->failed = status;
	return -1;
}

/* Appends n bytes and a terminator; with joined, in place of the terminator that is there. */
static int add_text(struct gr_message *message, const char *bytes, size_t n, int joined)
{
	if (joined)
		message->used--;
	if (n + 1 > GR_HEAD_MAX - message->used)
		return fail(message, GR_EFULL);
	unsigned need = message->used + (unsigned)n + 1;
	if (need > message->cap) {
		unsigned cap = message->cap ? message->cap : 2048;
		while (cap < need)
			cap *= 2;
		char *grown = realloc(message->text, cap);
		if (!grown)
			return fail(message, GR_ENOMEM);
		message->text = grown;
		message->cap = cap;
	}
	if (n)
		memcpy(message->text + message->used, bytes, n);
	message->text[message->used + n] = 0;
	message->used = need;
	return 0;
}

static int on_url(http_parser *parser, const char *bytes, size_t n)
{
	struct gr_message *message = parser->data;
	int joined = message->last == LAST_TARGET;
	message->last = LAST_TARGET;
	return add_text(message, bytes, n, joined);
}

/* A field without a value that the parser left out: an empty one. */
static int close_field(struct gr_message *message)
{
	if (message->last != LAST_NAME)
		return 0;
	message->fields[message->count - 1].value = message->used;
	return add_text(message, "", 0, 0);
}

static int on_field(http_parser *parser, const char *bytes, size_t n)
{
	struct gr_message *message = parser->data;
	if (message->head_done) /* a trailer behind the last chunk: not passed on */
		return 0;
	if (message->last == LAST_NAME)
		return add_text(message, bytes, n, 1);
	if (message->count == message->fields_cap) {
		unsigned cap = message->fields_cap ? message->fields_cap * 2 : 32;
		if (cap > GR_FIELDS_MAX)
			return fail(message, GR_EFULL);
		struct gr_message_field *grown = realloc(message->fields, cap * sizeof(*grown));
		if (!grown)
			return fail(message, GR_ENOMEM);
		message->fields = grown;
		message->fields_cap = cap;
	}
	message->fields[message->count++] = (struct gr_message_field){ message->used, 0 };
	message->last = LAST_NAME;
	return add_text(message, bytes, n, 0);
}

static int on_value(http_parser *parser, const char *bytes, size_t n)
{
	struct gr_message *message = parser->data;
	if (message->head_done)
		return 0;
	if (message->last == LAST_VALUE)
		return add_text(message, bytes, n, 1);
	message->fields[message->count - 1].value = message->used;
	message->last = LAST_VALUE;
	return add_text(message, bytes, n, 0);
}

static int on_head(http_parser *parser)
{
	struct gr_message *message = parser->data;
	if (close_field(message) != 0)
		return -1;
	if (parser->http_major != 1) /* the parser also takes HTTP/0.9, which has no fields, and any number */
		return fail(message, GR_EPROTO);
	/* Now: the parser's flags change with what a trailer says. */
	message->chunked = (parser->flags & F_CHUNKED) != 0;
	message->has_length = (parser->flags & F_CONTENTLENGTH) != 0;
	message->head_done = 1;
	http_parser_pause(parser, 1);
	/* The parser leaves it to us that these have no body, whatever their fields say (RFC 9112 6.3). */
	if (parser->type == HTTP_RESPONSE && !message->without_body &&
	    (parser->status_code < 200 || parser->status_code == 204 || parser->status_code == 304))
		return 1;
	return message->without_body;
}

static int on_body(http_parser *parser, const char *bytes, size_t n)
{
	struct gr_message *message = parser->data;
	return message->body && message->body(message->context, bytes, n) != 0 ? fail(message, GR_ENOMEM) : 0;
}

static int on_done(http_parser *parser)
{
	struct gr_message *message = parser->data;
	message->done = 1;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_done,
};

void gr_message_begin(struct gr_message *message, enum http_parser_type type, gr_message_body body, void *context)
{
	gr_message_finish(message);
	http_parser_init(&message->parser, type);
	message->parser.data = message;
	message->body = body;
	message->context = context;
}

void gr_message_finish(struct gr_message *message)
{
	free(message->text);
	free(message->fields);
	*message = (struct gr_message){ .text = NULL };
}

int gr_message_parse(struct gr_message *message, const char *untrusted_bytes, size_t n, size_t *used_out)
{
	*used_out = 0;
	if (message->failed)
		return message->failed;
	if (message->done)
		return 0;
	if (HTTP_PARSER_ERRNO(&message->parser) == HPE_PAUSED)
		http_parser_pause(&message->parser, 0);
	size_t used = http_parser_execute(&message->parser, &settings, untrusted_bytes, n);
	enum http_errno error = HTTP_PARSER_ERRNO(&message->parser);
	if (error != HPE_OK && error != HPE_PAUSED && !message->failed)
		message->failed = error == HPE_HEADER_OVERFLOW ? GR_EFULL : GR_EPROTO;
	if (message->failed)
		return message->failed;
	*used_out = used;
	return 0;
}

const char *gr_message_target(const struct gr_message *message)
{
	return message->text ? message->text : "";
}

const char *gr_message_value(const struct gr_message *message, const char *name)
{
	for (unsigned i = 0; i < message->count; i++)
		if (strcasecmp(message->text + message->fields[i].name, name) == 0)
			return message->text + message->fields[i].value;
	return NULL;
}
