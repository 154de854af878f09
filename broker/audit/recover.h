/*
 * What is in the audit directory when the audit process starts: verified as far as it can be in a second, a torn end put
 * aside, and where to go on.
 */
#ifndef GARASU_BROKER_AUDIT_RECOVER_H
#define GARASU_BROKER_AUDIT_RECOVER_H

#include "broker/audit/append.h"
#include "broker/audit/head.h"
#include "broker/audit/position.h"

#define GR_AUDIT_BATCH_BYTES (1u << 20) /* at most what one write leaves behind when it is cut short */

struct gr_audit_recovered {
	struct gr_audit_position position;
	struct gr_append segment; /* the one that is not full; fd -1 when there is none yet */
	struct gr_append heads; /* heads.log, locked */
	uint64_t head_size; /* of the last head, 0 when there is none */
	char boot[33]; /* of the last line; "" when there is none */
	uint64_t mono;
	char note[256]; /* what must be recorded of it; "" = nothing */
};

/*
 * directory is the audit directory, log the folder of the segments in it (both borrowed, log for ever). key: that of the heads.
 * Checked: every line of the last segment and of the segment that the last head ends in; of the others their sums; the last
 * head's signature, when it was made with key, and its root over all of it. A sum that is missing is made anew.
 *
 * GR_EPROTO: something does not hold, or the record is shorter than the last head; GR_EEXIST: another process has it open;
 * GR_EIO, GR_ENOMEM, GR_EDENIED. err says what to do.
 */
int gr_audit_recover(int directory, int log, EVP_PKEY *key, struct gr_audit_recovered *out, struct gr_error *err);

#endif
