/* What a user of this machine sends to the admin process. */
#include "broker/admin/admin.h"
#include "broker/admin/request.h"

#include <stdlib.h>
#include <string.h>

static void demand(int condition)
{
	if (!condition)
		abort();
}

/* What goes on ends, and makes no terminal and no record do anything: no control characters of ASCII, none of C1, no broken UTF-8. */
static void check_text(const char *text, size_t cap)
{
	const unsigned char *at = (const unsigned char *)text;

	demand(memchr(text, 0, cap) != NULL);
	for (; *at; at++) {
		demand(*at >= ' ' && *at != 0x7f && *at != 0xc0 && *at != 0xc1 && *at < 0xf5);
		demand(!(at[0] == 0xc2 && at[1] < 0xa0));
		if (*at >= 0xc0)
			demand((at[1] & 0xc0) == 0x80);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_ipc_message message;

	if (gr_admin_request_read(data, size, &message) < 0)
		return 0;
	demand(size == sizeof(struct gr_admin_request));
	demand(gr_ipc_permitted(GR_IPC_KIND_ADMIN, message.type));
	demand(!message.actor[0] && !message.number && !message.reason);
	check_text(message.person, sizeof(message.person));
	check_text(message.subject, sizeof(message.subject));
	check_text(message.text, sizeof(message.text));
	return 0;
}
