/* The parser of the audit record's lines; what it accepts must come back from the escaping unchanged. */
#include "broker/audit/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_audit_line line;
	const char *reason = NULL;
	char *exact = malloc(size + 1); /* so that a byte too far is seen */
	memcpy(exact, data, size);
	char *text = malloc(size + 1), *again = malloc(3 * size + 1);
	if (gr_audit_line_parse(exact, size, &line, &reason) == 0) {
		assert(line.sequence > 0 && line.hashed < size);
		for (int i = 0; i < GR_AUDIT_FIELDS; i++) {
			size_t n;
			if (!line.fields[i].start)
				continue;
			assert(line.fields[i].start >= exact &&
			       line.fields[i].start + line.fields[i].length <= exact + size);
			assert(gr_audit_unescape(text, &n, line.fields[i].start, line.fields[i].length) == 0);
		}
	} else {
		assert(reason);
	}
	/* Whatever the bytes are: escaped they are one well-formed value, and come back. */
	size_t length = gr_audit_escape(again, 3 * size + 1, exact, size), n;
	assert(memchr(again, '\n', length) == NULL && memchr(again, ' ', length) == NULL &&
	       memchr(again, '=', length) == NULL);
	assert(gr_audit_unescape(again, &n, again, length) == 0 && n == size && memcmp(again, exact, size) == 0);
	free(exact);
	free(text);
	free(again);
	return 0;
}
