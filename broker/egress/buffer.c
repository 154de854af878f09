#include "broker/egress/buffer.h"

#include "common/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gr_buffer_append(struct gr_buffer *buffer, const void *bytes, size_t n)
{
	if (n > GR_BUFFER_MAX - buffer->length)
		return GR_EFULL;
	if (buffer->start + buffer->length + n > buffer->cap) {
		if (buffer->start) {
			memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->length);
			buffer->start = 0;
		}
		if (buffer->length + n > buffer->cap) {
			size_t cap = buffer->cap ? buffer->cap : 4096;
			while (cap < buffer->length + n)
				cap *= 2;
			char *grown = realloc(buffer->bytes, cap);
			if (!grown)
				return GR_ENOMEM;
			buffer->bytes = grown;
			buffer->cap = cap;
		}
	}
	if (n)
		memcpy(buffer->bytes + buffer->start + buffer->length, bytes, n);
	buffer->length += n;
	return 0;
}

int gr_buffer_print(struct gr_buffer *buffer, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(text))
		return GR_EFULL;
	return gr_buffer_append(buffer, text, (size_t)n);
}

void gr_buffer_consume(struct gr_buffer *buffer, size_t n)
{
	assert(n <= buffer->length);
	buffer->start += n;
	buffer->length -= n;
	if (buffer->length == 0)
		gr_buffer_clear(buffer);
}

void gr_buffer_clear(struct gr_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct gr_buffer){ .bytes = NULL };
}
