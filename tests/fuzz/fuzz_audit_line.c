/* The parsers of the audit record's lines, heads and sums; what it accepts must come back from the escaping unchanged. */
#include "broker/audit/head.h"
#include "broker/audit/segment.h"

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
		assert(line.sequence > 0);
		uint8_t leaf[GR_TREE_HASH];
		assert(gr_audit_line_leaf(exact, size, &line, leaf) == 0);
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
	struct gr_head head;
	int known = 1;
	reason = NULL;
	if (gr_head_read(exact, size, NULL, 0, &head, &known, &reason) == 0)
		assert(known == 0 && head.size > 0);
	else
		assert(reason);
	struct gr_audit_sum sum;
	char sum_text[GR_AUDIT_SUM_MAX];
	if (gr_audit_sum_parse(exact, size, &sum) == 0)
		assert(gr_audit_sum_format(&sum, sum_text) == size + 1 && memcmp(sum_text, exact, size) == 0);
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
