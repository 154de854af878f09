#include "broker/gateway/opening.h"

#include "broker/ipc/ipc.h"

#include <string.h>

void gr_open_record(uint8_t out[GR_OPEN_BYTES], enum gr_open_kind kind, uint32_t reason)
{
	memset(out, 0, GR_OPEN_BYTES);
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t) "GRSU"[i];
	out[4] = 1;
	out[5] = (uint8_t)kind;
	out[6] = (uint8_t)(reason >> 8);
	out[7] = (uint8_t)reason;
}

const char *gr_open_refusal_text(uint32_t reason)
{
	switch (reason) {
	case GR_REASON_UNKNOWN_PERSON: return "This certificate names nobody who is known here.";
	case GR_REASON_REVOKED: return "This certificate was revoked.";
	case GR_REASON_BAD_CERTIFICATE: return "This certificate is not accepted.";
	case GR_REASON_NO_CAPACITY: return "All containers are in use. Please try again later.";
	case GR_REASON_AUDIT_UNAVAILABLE: return "The audit record cannot be written, so no session is opened.";
	case GR_REASON_CONTAINER_FAILED: return "The container could not be started.";
	case GR_REASON_CUT_OFF: return "All sessions, or those of your group, are stopped for now.";
	case GR_REASON_NOT_PERMITTED: return "The rules do not permit one more session.";
	case GR_REASON_SHUTTING_DOWN: return "The broker is shutting down.";
	default: return "No session can be opened: an internal error.";
	}
}
