/* UTF-8 from outside. */
#ifndef GARASU_COMMON_UTF8_H
#define GARASU_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3629, without control characters (C0 but tab and newline, DEL, C1). Zero bytes of it are good. */
bool gr_utf8_is_text(const uint8_t *untrusted, size_t n);

/* In place: CR LF and CR become LF, other control characters go; the rest stays, text or not. Returns the new length, at most n. */
size_t gr_utf8_clean(uint8_t *untrusted, size_t n);

#endif
