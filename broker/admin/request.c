#include "broker/admin/request.h"

#include "broker/admin/admin.h"
#include "common/log.h"

#include <stdbool.h>
#include <string.h>

_Static_assert(sizeof(((struct gr_admin_request *)0)->subject) == sizeof(((struct gr_ipc_message *)0)->subject) &&
		       sizeof(((struct gr_admin_request *)0)->text) == sizeof(((struct gr_ipc_message *)0)->text),
	       "what fits here fits there");

static const uint32_t types[GR_ADMIN_REQUESTS] = {
	[GR_ADMIN_STATUS] = GR_IPC_ADMIN_STATUS,   [GR_ADMIN_SESSIONS] = GR_IPC_ADMIN_SESSIONS,
	[GR_ADMIN_KILL] = GR_IPC_ADMIN_KILL,       [GR_ADMIN_CUTOFF] = GR_IPC_ADMIN_CUTOFF,
	[GR_ADMIN_RESTORE] = GR_IPC_ADMIN_RESTORE, [GR_ADMIN_RELOAD] = GR_IPC_ADMIN_RELOAD,
	[GR_ADMIN_PENDING] = GR_IPC_ADMIN_PENDING, [GR_ADMIN_APPROVE] = GR_IPC_ADMIN_APPROVE,
	[GR_ADMIN_REJECT] = GR_IPC_ADMIN_REJECT,   [GR_ADMIN_PRUNE] = GR_IPC_ADMIN_PRUNE,
};

/* The bytes of one character of UTF-8 (RFC 3629) that is no control character; 0 = it is none. */
static size_t character(const unsigned char *at)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	uint32_t code = n == 1 ? at[0] : at[0] & (0x7fu >> n);

	if (n > 1 && (at[0] < 0xc0 || at[0] > 0xf7))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80) /* the zero behind the end is none either */
			return 0;
		code = code << 6 | (at[i] & 0x3fu);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < ' ' ||
	    (code >= 0x7f && code < 0xa0))
		return 0;
	return n;
}

/* cap: of the array, whose last bytes may be anything. */
static bool is_text(const char *untrusted, size_t cap)
{
	const unsigned char *at = (const unsigned char *)untrusted;

	if (!memchr(untrusted, 0, cap))
		return false;
	for (size_t n; *at; at += n) {
		n = character(at);
		if (n == 0)
			return false;
	}
	return true;
}

int gr_admin_request_read(const void *untrusted_packet, size_t size, struct gr_ipc_message *out)
{
	struct gr_admin_request untrusted;

	if (size != sizeof(untrusted))
		return GR_EPROTO;
	memcpy(&untrusted, untrusted_packet, sizeof(untrusted));
	/* ---- checked from here ---- */
	if (untrusted.version != GR_ADMIN_VERSION || untrusted.kind == 0 || untrusted.kind >= GR_ADMIN_REQUESTS ||
	    !memchr(untrusted.person, 0, sizeof(untrusted.person)) ||
	    !is_text(untrusted.subject, sizeof(untrusted.subject)) || !is_text(untrusted.text, sizeof(untrusted.text)))
		return GR_EPROTO;
	/* ---- to here ---- */
	memset(out, 0, sizeof(*out));
	out->type = types[untrusted.kind];
	out->session = untrusted.session;
	gr_log_escape(out->person, sizeof(out->person), untrusted.person, strlen(untrusted.person));
	/* What stands behind the ends is nobody's business. */
	memcpy(out->subject, untrusted.subject, strlen(untrusted.subject));
	memcpy(out->text, untrusted.text, strlen(untrusted.text));
	return 0;
}
