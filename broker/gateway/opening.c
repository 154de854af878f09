#include "broker/gateway/opening.h"

#include "broker/ipc/ipc.h"

#include <string.h>

void gr_open_record(uint8_t out[GR_OPEN_BYTES], const struct gr_open *open)
{
	uint32_t seconds = open->seconds < UINT16_MAX ? open->seconds : UINT16_MAX;

	memset(out, 0, GR_OPEN_BYTES);
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t) "GRSU"[i];
	out[4] = 1;
	out[5] = (uint8_t)open->kind;
	out[6] = (uint8_t)(open->reason >> 8);
	out[7] = (uint8_t)open->reason;
	out[8] = (uint8_t)open->flags;
	out[9] = (uint8_t)(open->tries < UINT8_MAX ? open->tries : UINT8_MAX);
	out[10] = (uint8_t)(seconds >> 8);
	out[11] = (uint8_t)seconds;
	if (open->kind == GR_OPEN_TERMS) {
		uint32_t minutes = open->minutes < UINT16_MAX ? open->minutes : UINT16_MAX;

		out[6] = (uint8_t)(minutes >> 8);
		out[7] = (uint8_t)minutes;
		for (int i = 0; i < 4; i++)
			out[12 + i] = (uint8_t)(open->clipboard_up >> (24 - 8 * i));
	}
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
	case GR_REASON_TIME_OVER: return "No password and code came in time.";
	case GR_REASON_WRONG_FACTOR: return "The password or the one-time code is wrong.";
	case GR_REASON_LOCKED_OUT: return "Too many wrong passwords or codes. Please try again later.";
	case GR_REASON_CUT_OFF: return "Sessions were stopped in an emergency.";
	case GR_REASON_NOT_PERMITTED: return "The policy permits no further session, or not by this viewer.";
	case GR_REASON_RECORDING_FAILED: return "Sessions must be recorded, and the recording cannot be made.";
	case GR_REASON_SHUTTING_DOWN: return "The broker is shutting down.";
	default: return "No session can be opened: an internal error.";
	}
}
