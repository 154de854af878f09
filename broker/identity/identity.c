#include "broker/identity/identity.h"

#include <string.h>

static int is_small(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int gr_identity_is_person(const char *untrusted_id, size_t length)
{
	if (length < 1 || length > GR_PERSON_MAX || !is_small(untrusted_id[0]))
		return 0;
	for (size_t i = 1; i < length; i++)
		if (!is_small(untrusted_id[i]) && untrusted_id[i] != '.' && untrusted_id[i] != '_' &&
		    untrusted_id[i] != '-')
			return 0;
	return 1;
}

int gr_identity_person_of_uri(const char *untrusted_uri, size_t length, char *id_out)
{
	static const char prefix[] = "garasu:user/";
	const size_t prefix_length = sizeof prefix - 1;

	if (length <= prefix_length || memcmp(untrusted_uri, prefix, prefix_length) != 0 ||
	    !gr_identity_is_person(untrusted_uri + prefix_length, length - prefix_length))
		return GR_EINVAL;
	memcpy(id_out, untrusted_uri + prefix_length, length - prefix_length);
	id_out[length - prefix_length] = '\0';
	return 0;
}

int gr_identity_factors_check(const struct gr_identity_factors *untrusted, size_t size, uint32_t asked)
{
	if (size != sizeof *untrusted || untrusted->password_length > sizeof untrusted->password ||
	    untrusted->code_length > sizeof untrusted->code || untrusted->ticketed > 1 ||
	    (untrusted->ticketed && (untrusted->password_length || untrusted->code_length)) ||
	    (untrusted->password_length && !(asked & GR_ASK_PASSWORD)) ||
	    (untrusted->code_length && !(asked & GR_ASK_CODE)))
		return GR_EPROTO;
	for (uint32_t i = 0; i < untrusted->code_length; i++)
		if (untrusted->code[i] < ' ' || untrusted->code[i] > '~')
			return GR_EPROTO;
	return 0;
}
