#include "broker/gateway/factors.h"

#include "common/utf8.h"

#include <stdbool.h>
#include <string.h>

#define PASSWORD_AT 16
#define TICKET_AT 16
#define CODE_AT (PASSWORD_AT + GR_IDENTITY_PASSWORD_MAX)

_Static_assert(CODE_AT + GR_IDENTITY_CODE_MAX == GR_ANSWER_BYTES, "an ANSWER ends behind its code");

static bool is_zero(const uint8_t *bytes, size_t n)
{
	uint8_t all = 0;

	for (size_t i = 0; i < n; i++)
		all |= bytes[i];
	return all == 0;
}

static bool is_printable(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] < 0x20 || bytes[i] > 0x7e)
			return false;
	return true;
}

static int ticket_of_answer(const uint8_t untrusted[GR_ANSWER_BYTES], struct gr_identity_factors *out)
{
	static const uint8_t head[TICKET_AT] = { 'G', 'R', 'S', 'A', 1, 2 };

	if (memcmp(untrusted, head, sizeof head) != 0 ||
	    !is_zero(untrusted + TICKET_AT + GR_IDENTITY_TICKET, GR_ANSWER_BYTES - TICKET_AT - GR_IDENTITY_TICKET))
		return GR_EPROTO;
	out->ticketed = 1;
	memcpy(out->ticket, untrusted + TICKET_AT, GR_IDENTITY_TICKET);
	return 0;
}

int gr_factors_of_answer(const uint8_t untrusted[GR_ANSWER_BYTES], uint32_t ask, struct gr_identity_factors *out)
{
	static const uint8_t head[8] = { 'G', 'R', 'S', 'A', 1, 1, 0, 0 };
	size_t password = (size_t)untrusted[8] << 8 | untrusted[9], code = (size_t)untrusted[10] << 8 | untrusted[11];

	memset(out, 0, sizeof *out);
	if (untrusted[5] == 2)
		return ticket_of_answer(untrusted, out);
	if (memcmp(untrusted, head, sizeof head) != 0 || !is_zero(untrusted + 12, 4) ||
	    password > (ask & GR_ASK_PASSWORD ? GR_IDENTITY_PASSWORD_MAX : 0) ||
	    code > (ask & GR_ASK_CODE ? GR_IDENTITY_CODE_MAX : 0))
		return GR_EPROTO;
	if (!is_zero(untrusted + PASSWORD_AT + password, GR_IDENTITY_PASSWORD_MAX - password) ||
	    !is_zero(untrusted + CODE_AT + code, GR_IDENTITY_CODE_MAX - code) ||
	    !gr_utf8_is_text(untrusted + PASSWORD_AT, password) || !is_printable(untrusted + CODE_AT, code))
		return GR_EPROTO;
	out->password_length = (uint32_t)password;
	out->code_length = (uint32_t)code;
	memcpy(out->password, untrusted + PASSWORD_AT, password);
	memcpy(out->code, untrusted + CODE_AT, code);
	return 0;
}

/* How many of the last bytes are the code. */
static size_t code_in(const uint8_t *bytes, size_t n, uint32_t ask)
{
	if (!(ask & GR_ASK_CODE))
		return 0;
	if (!(ask & GR_ASK_PASSWORD))
		return n;
	if (n < GR_FACTORS_CODE_DIGITS)
		return 0;
	for (size_t i = n - GR_FACTORS_CODE_DIGITS; i < n; i++)
		if (bytes[i] < '0' || bytes[i] > '9')
			return 0;
	return GR_FACTORS_CODE_DIGITS;
}

int gr_factors_of_plain(const uint8_t *untrusted, size_t n, uint32_t ask, struct gr_identity_factors *out)
{
	size_t code = code_in(untrusted, n, ask), password = n - code;

	memset(out, 0, sizeof *out);
	if (password > GR_IDENTITY_PASSWORD_MAX || code > GR_IDENTITY_CODE_MAX ||
	    !gr_utf8_is_text(untrusted, password) || !is_printable(untrusted + password, code))
		return GR_EINVAL;
	out->password_length = (uint32_t)password;
	out->code_length = (uint32_t)code;
	memcpy(out->password, untrusted, password);
	memcpy(out->code, untrusted + password, code);
	return 0;
}
