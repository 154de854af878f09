/*
 * The audit record, opened, locked and verified, and appended to in batches: events are added, then committed by one write(2)
 * and one fdatasync(2). What cannot be written is refused when it permits something, and otherwise kept in the reserve,
 * which goes into the record, in order and before anything else, as soon as that can be written.
 */
#ifndef GARASU_BROKER_AUDIT_WRITER_H
#define GARASU_BROKER_AUDIT_WRITER_H

#include "broker/audit/chain.h"

#include <openssl/evp.h>

#define GR_AUDIT_BATCH_MAX 240 /* events of one commit */
#define GR_AUDIT_HEAD_RECORDS 1000 /* a tree head is due */
#define GR_AUDIT_HEAD_SECONDS 60

struct gr_audit_writer;

struct gr_audit_places {
	int directory; /* the audit directory, borrowed for the call */
	int log; /* the folder of segments in it, borrowed for ever */
	EVP_PKEY *key; /* signs the heads, borrowed for ever */
	char boot[33]; /* as in gr_audit_stamp */
};

/*
 * Opens what is there (recover.h), makes what is not, mode 0640. A torn end and so on are recorded with the next commit, which
 * also moves what the reserve holds. Errors as gr_audit_recover and gr_reserve_open.
 */
int gr_audit_writer_open(struct gr_audit_writer **out, const struct gr_audit_places *places, struct gr_error *err);
void gr_audit_writer_close(struct gr_audit_writer *writer); /* NULL allowed; what was not committed is lost */

/*
 * Adds an event to the batch. The next commit writes to *sequence_out (NULL: nobody asks) the number of its line,
 * GR_AUDIT_KEPT, or 0. GR_EFULL when the batch is full, GR_EINVAL for an event that cannot be written.
 */
int gr_audit_writer_add(struct gr_audit_writer *writer, const struct gr_audit_event *event, uint64_t *sequence_out);

/* Adds a GR_AUDIT_FAULT of this process itself, which stays in the batch until it is written. Past 16 the last one is replaced. */
void gr_audit_writer_add_fault(struct gr_audit_writer *writer, const char *detail);

/* Whether a commit has something to do, and whether it would only try again what could not be written. */
int gr_audit_writer_has_batch(const struct gr_audit_writer *writer);
int gr_audit_writer_waits(const struct gr_audit_writer *writer);

/* Writes the batch. Says in the log when writing begins to fail and when it works again. */
void gr_audit_writer_commit(struct gr_audit_writer *writer);

/* How many records are behind the last tree head; signs one over all. GR_EIO. */
uint64_t gr_audit_writer_unsigned(const struct gr_audit_writer *writer);
int gr_audit_writer_sign(struct gr_audit_writer *writer);

/* What works, as for an acknowledgement; token and sequence are 0. */
struct gr_audit_acknowledgement gr_audit_writer_state(const struct gr_audit_writer *writer);

#endif
