/* What the guard found, to the supervisor, for the audit record. */
#ifndef GARASU_BROKER_GATEWAY_REPORT_H
#define GARASU_BROKER_GATEWAY_REPORT_H

#include "broker/guard/guard.h"

#include <stdint.h>

#define GR_REPORT_BYTES_MAX 65536 /* of a violation that are kept */

/* Nothing of it is asked for again: failures are logged. */
void gr_report_violation(uint32_t connection, const struct gr_guard_violation *violation);
/* A text that was dropped: its size and its SHA-256. */
void gr_report_clipboard(uint32_t connection, enum gr_guard_direction direction, bool passed,
			 const uint8_t *untrusted_text, size_t n);

#endif
