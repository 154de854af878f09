/* The viewer's reading of an OPEN record: what it takes, made a record again, must be the same bytes. */
#include "viewer/opening.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_opening o;

	if (size != GR_OPENING_BYTES || gr_opening_parse(data, &o))
		return 0;
	const uint8_t again[GR_OPENING_BYTES] = { 'G',
						  'R',
						  'S',
						  'U',
						  1,
						  (uint8_t)o.kind,
						  (uint8_t)(o.reason >> 8),
						  (uint8_t)o.reason,
						  (uint8_t)o.flags,
						  (uint8_t)o.tries,
						  (uint8_t)(o.seconds >> 8),
						  (uint8_t)o.seconds,
						  (uint8_t)(o.terms.clipboard_up >> 24),
						  (uint8_t)(o.terms.clipboard_up >> 16),
						  (uint8_t)(o.terms.clipboard_up >> 8),
						  (uint8_t)o.terms.clipboard_up };
	if (memcmp(again, data, sizeof(again)) != 0)
		abort();
	return 0;
}
