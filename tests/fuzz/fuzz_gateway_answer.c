/*
 * The second factor as viewers send it. Input: what is asked for, then an ANSWER or, with bit 2, the password field of a viewer of
 * another make. What is taken must be text, in its bounds, and made of the input again it must be the same bytes.
 */
#include "broker/gateway/factors.h"
#include "common/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void demand(bool condition)
{
	if (!condition)
		abort();
}

static void check(const struct gr_identity_factors *f, uint32_t ask)
{
	demand(f->password_length <= (ask & GR_ASK_PASSWORD ? GR_IDENTITY_PASSWORD_MAX : 0));
	demand(f->code_length <= (ask & GR_ASK_CODE ? GR_IDENTITY_CODE_MAX : 0));
	demand(gr_utf8_is_text((const uint8_t *)f->password, f->password_length));
	for (size_t i = 0; i < f->code_length; i++)
		demand(f->code[i] >= ' ' && f->code[i] <= '~');
	for (size_t i = f->password_length; i < sizeof f->password; i++)
		demand(!f->password[i]);
	for (size_t i = f->code_length; i < sizeof f->code; i++)
		demand(!f->code[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gr_identity_factors none;
	struct gr_identity_factors f;
	uint8_t again[GR_ANSWER_BYTES] = { 'G', 'R', 'S', 'A', 1, 1 };

	if (size < 1 || size > 1024)
		return 0;
	uint32_t ask = data[0] & 3;
	bool plain = data[0] & 4;
	data++;
	size--;
	memset(&f, 0xff, sizeof f);
	if (plain) {
		if (!ask) /* then nobody looks at what was given */
			return 0;
		if (gr_factors_of_plain(data, size, ask, &f)) {
			demand(memcmp(&f, &none, sizeof f) == 0);
			return 0;
		}
		check(&f, ask);
		demand(f.password_length + f.code_length == size);
		demand(memcmp(f.password, data, f.password_length) == 0);
		demand(memcmp(f.code, data + f.password_length, f.code_length) == 0);
		return 0;
	}
	if (size != GR_ANSWER_BYTES)
		return 0;
	if (gr_factors_of_answer(data, ask, &f)) {
		demand(memcmp(&f, &none, sizeof f) == 0);
		return 0;
	}
	if (f.ticketed) {
		again[5] = 2;
		memcpy(again + 16, f.ticket, sizeof f.ticket);
		demand(f.password_length == 0 && f.code_length == 0 && memcmp(again, data, sizeof again) == 0);
		return 0;
	}
	check(&f, ask);
	again[8] = (uint8_t)(f.password_length >> 8);
	again[9] = (uint8_t)f.password_length;
	again[11] = (uint8_t)f.code_length;
	memcpy(again + 16, f.password, sizeof f.password);
	memcpy(again + 16 + sizeof f.password, f.code, sizeof f.code);
	demand(memcmp(again, data, sizeof again) == 0);
	return 0;
}
