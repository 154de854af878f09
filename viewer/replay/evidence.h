/* What the audit record says of a recording and of its session. */
#ifndef GARASU_VIEWER_REPLAY_EVIDENCE_H
#define GARASU_VIEWER_REPLAY_EVIDENCE_H

#include "broker/recording/file.h"
#include "common/error.h"

enum gr_evidence_verdict {
	GR_EVIDENCE_NONE, /* the record does not know this recording */
	GR_EVIDENCE_WHOLE, /* it is what was recorded, from beginning to end */
	GR_EVIDENCE_SO_FAR, /* it is what was recorded up to the last mark; the record has no end of it */
	GR_EVIDENCE_CUT, /* it is, but more was recorded than is here */
	GR_EVIDENCE_OTHER, /* it is not what was recorded */
};

struct gr_evidence_event {
	uint64_t wall_us;
	char kind[40];
	char text[320]; /* what it says besides, UTF-8 */
};

struct gr_evidence {
	enum gr_evidence_verdict verdict;
	uint64_t marked_chunks; /* that the record vouches for */
	uint64_t marked_us; /* wall clock of that mark */
	char failure[256]; /* the recording's RECORDING_FAILED; "" = none */
	struct gr_evidence_event *events; /* of the session, in their order; owned */
	size_t count;
};

/*
 * Reads the log of an audit directory, a line at a time. Whether the record itself is whole is garasu-audit verify's to say.
 * GR_ENOENT: there is none; GR_EIO; GR_EPROTO: a line is none; GR_ENOMEM.
 */
int gr_evidence_load(struct gr_evidence *evidence, const char *directory, const struct gr_recording_file *file,
		     struct gr_error *err);
void gr_evidence_finish(struct gr_evidence *evidence);

#endif
