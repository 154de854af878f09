#include "broker/identity/identity.h"

#include <string.h>

static int is_small(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int gr_identity_person_of_uri(const char *untrusted_uri, size_t length, char *id_out)
{
	static const char prefix[] = "garasu:user/";
	const size_t prefix_length = sizeof prefix - 1;

	if (length <= prefix_length || memcmp(untrusted_uri, prefix, prefix_length) != 0)
		return GR_EINVAL;
	const char *id = untrusted_uri + prefix_length;
	size_t n = length - prefix_length;
	if (n > GR_PERSON_MAX || !is_small(id[0]))
		return GR_EINVAL;
	for (size_t i = 1; i < n; i++)
		if (!is_small(id[i]) && id[i] != '.' && id[i] != '_' && id[i] != '-')
			return GR_EINVAL;
	memcpy(id_out, id, n);
	id_out[n] = '\0';
	return 0;
}
