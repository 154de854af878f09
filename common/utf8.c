#include "common/utf8.h"

bool gr_utf8_is_text(const uint8_t *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint8_t c = s[i];
		size_t more = c < 0x80                 ? 0
			      : c >= 0xc2 && c <= 0xdf ? 1
			      : (c & 0xf0) == 0xe0     ? 2
			      : c >= 0xf0 && c <= 0xf4 ? 3
						       : 4;
		if (more > 3 || more >= n - i)
			return false;
		if (!more && ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f))
			return false;
		for (size_t k = 1; k <= more; k++)
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
		if (more == 2 && ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f)))
			return false;
		if (more == 3 && ((c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f)))
			return false;
		if (c == 0xc2 && s[i + 1] < 0xa0)
			return false;
		i += more + 1;
	}
	return true;
}

size_t gr_utf8_clean(uint8_t *s, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = s[i];
		if (c == '\r') {
			if (i + 1 == n || s[i + 1] != '\n')
				s[kept++] = '\n';
		} else if (c == 0xc2 && i + 1 < n && s[i + 1] >= 0x80 && s[i + 1] < 0xa0) {
			i++; /* C1 */
		} else if ((c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n') {
			s[kept++] = c;
		}
	}
	return kept;
}
