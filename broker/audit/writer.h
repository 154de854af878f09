/*
 * The audit record's file, opened, locked and verified, and appended to in batches: events are added, then committed by one
 * write(2) and one fdatasync(2). A batch that cannot be written is taken back from the file and forgotten.
 */
#ifndef GARASU_BROKER_AUDIT_WRITER_H
#define GARASU_BROKER_AUDIT_WRITER_H

#include "broker/audit/chain.h"

#define GR_AUDIT_BATCH_MAX 256 /* events of one commit */
#define GR_AUDIT_FILE "audit.log"

struct gr_audit_writer;

/*
 * Opens (makes, mode 0600) audit.log in the directory (borrowed, needed only during the call), takes its lock, verifies it
 * and goes on where it ends. A torn last line is moved to audit.log.torn-<time>, and an event that says so stands first
 * in the next batch. boot: as in gr_audit_stamp. GR_EPROTO when the chain does not hold, GR_EEXIST when another
 * process has the lock, GR_EIO, GR_ENOMEM; err says what to do.
 */
int gr_audit_writer_open(struct gr_audit_writer **out, int directory, const char boot[33], struct gr_error *err);
void gr_audit_writer_close(struct gr_audit_writer *writer); /* NULL allowed; what was not committed is lost */

/*
 * Adds an event to the batch; *sequence_out is the number of its line if the commit succeeds. GR_EFULL when the batch is full,
 * GR_EINVAL for an event that cannot be written.
 */
int gr_audit_writer_add(struct gr_audit_writer *writer, const struct gr_audit_event *event, uint64_t *sequence_out);

/* Remembers a GR_AUDIT_FAULT of this process itself, to be written with the next batch. Past 8 the last one is replaced. */
void gr_audit_writer_owe_fault(struct gr_audit_writer *writer, const char *detail);

/* Whether a commit would write something. */
int gr_audit_writer_has_batch(const struct gr_audit_writer *writer);

/*
 * Writes the batch durably. GR_EFULL (no room) or GR_EIO: nothing of it stays in the file, and the numbers given are void. The
 * next commit tries anew. Says in the log when writing begins to fail and when it works again.
 */
int gr_audit_writer_commit(struct gr_audit_writer *writer);

#endif
