#include "broker/admin/request.h"

#include "broker/admin/admin.h"
#include "common/log.h"
#include "common/utf8.h"

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
	[GR_ADMIN_USER] = GR_IPC_ADMIN_USER,
};

/* cap: of the array, whose last bytes may be anything. */
static bool is_text(const char *untrusted, size_t cap)
{
	return memchr(untrusted, 0, cap) && !strpbrk(untrusted, "\t\n") &&
	       gr_utf8_is_text((const uint8_t *)untrusted, strlen(untrusted));
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
