#include "viewer/opening.h"

#include <string.h>

_Static_assert(16 + GR_PASSWORD_MAX + GR_CODE_MAX == GR_ANSWER_BYTES, "an ANSWER ends behind its code");

int gr_opening_parse(const uint8_t untrusted[GR_OPENING_BYTES], struct gr_opening *out)
{
	uint32_t last = (uint32_t)untrusted[12] << 24 | (uint32_t)untrusted[13] << 16 | (uint32_t)untrusted[14] << 8 |
			untrusted[15];
	struct gr_opening opening = { .kind = (enum gr_opening_kind)untrusted[5],
				      .reason = (unsigned)untrusted[6] << 8 | untrusted[7],
				      .flags = untrusted[8],
				      .tries = untrusted[9],
				      .seconds = (unsigned)untrusted[10] << 8 | untrusted[11] };

	if (memcmp(untrusted, "GRSU\1", 5) != 0)
		return GR_EINVAL;
	/* What the kind has no use for must be zero: no place for anything else. */
	unsigned reason = 0, flags = 0, tries = 0, seconds = 0;
	switch (opening.kind) {
	case GR_OPENING_READY: flags = GR_READY_WATERMARK | GR_READY_RECORDED; break;
	case GR_OPENING_REFUSED: reason = seconds = 0xffff; break;
	case GR_OPENING_WAIT:
	case GR_OPENING_TICKET: break;
	case GR_OPENING_ASK:
		if (!opening.flags)
			return GR_EPROTO;
		reason = seconds = 0xffff;
		flags = GR_ASK_PASSWORD | GR_ASK_CODE;
		tries = 0xff;
		break;
	case GR_OPENING_TERMS:
		if (last > GR_CLIPBOARD_MAX)
			return GR_EPROTO;
		reason = seconds = 0xffff;
		flags = GR_TERMS_CLIPBOARD_DOWN | GR_TERMS_PRINTING;
		opening.terms = (struct gr_viewer_terms){ .grace_seconds = opening.seconds,
							  .minutes = opening.reason,
							  .flags = opening.flags,
							  .clipboard_up = last };
		last = 0;
		break;
	default: return GR_EPROTO;
	}
	if (opening.reason & ~reason || opening.flags & ~flags || opening.tries & ~tries ||
	    opening.seconds & ~seconds || last)
		return GR_EPROTO;
	*out = opening;
	return 0;
}

void gr_opening_answer(const struct gr_viewer_factors *factors, uint8_t out[GR_ANSWER_BYTES])
{
	memset(out, 0, GR_ANSWER_BYTES);
	memcpy(out, (const uint8_t[]){ 'G', 'R', 'S', 'A', 1, 1 }, 6);
	if (factors->ticketed) {
		out[5] = 2;
		memcpy(out + 16, factors->ticket, GR_TICKET_BYTES);
		return;
	}
	out[8] = (uint8_t)(factors->password_length >> 8);
	out[9] = (uint8_t)factors->password_length;
	out[10] = (uint8_t)(factors->code_length >> 8);
	out[11] = (uint8_t)factors->code_length;
	memcpy(out + 16, factors->password, factors->password_length);
	memcpy(out + 16 + GR_PASSWORD_MAX, factors->code, factors->code_length);
}
