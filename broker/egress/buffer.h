/* Bytes that wait to be written or parsed: memory only while there are some. */
#ifndef GARASU_BROKER_EGRESS_BUFFER_H
#define GARASU_BROKER_EGRESS_BUFFER_H

#include <stddef.h>

#define GR_BUFFER_MAX (1u << 20) /* bytes; the callers stop reading long before */

/* All zero is an empty buffer. bytes + start is the first of length bytes. */
struct gr_buffer {
	char *bytes;
	size_t start, length, cap;
};

/* Appends n bytes. GR_ENOMEM; GR_EFULL past GR_BUFFER_MAX. */
int gr_buffer_append(struct gr_buffer *buffer, const void *bytes, size_t n);
/* The same for text. */
int gr_buffer_print(struct gr_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes n bytes off the front; gives the memory back when none is left. */
void gr_buffer_consume(struct gr_buffer *buffer, size_t n);
void gr_buffer_clear(struct gr_buffer *buffer);

#endif
