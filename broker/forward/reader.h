/* A place in the record of another process's: its lines one after the other over all segments, and its heads. Only reads. */
#ifndef GARASU_BROKER_FORWARD_READER_H
#define GARASU_BROKER_FORWARD_READER_H

#include "broker/audit/head.h"
#include "broker/audit/segment.h"

/* Zeroed but for log: before the first record. */
struct gr_forward_reader {
	int log; /* the folder of segments; borrowed */
	struct gr_audit_segment *segment; /* NULL: none is open */
	uint64_t next; /* sequence number of the next record; 0 = 1 */
	int full; /* the segment that is open has been read to its end */
	int linked; /* whether last is known */
	uint8_t last[GR_TREE_HASH]; /* leaf hash of the record before */
};

/* Goes behind the record with this sequence number (0: to the beginning); last: its leaf hash, or NULL when it is not known. */
void gr_forward_reader_seek(struct gr_forward_reader *reader, uint64_t sequence, const uint8_t *last);

/* Files are opened again at the next call: they may have been replaced. What was read stays read. */
void gr_forward_reader_reopen(struct gr_forward_reader *reader);

/*
 * As gr_audit_segment_next, across segments: 1 with the record, which lasts until the next call; 0 when there is none yet;
 * GR_EPROTO when the line does not follow what was read before: it, or what was read, was taken back or changed; GR_EIO, GR_ENOMEM.
 */
int gr_forward_reader_next(struct gr_forward_reader *reader, struct gr_audit_record *out, struct gr_error *err);

void gr_forward_reader_finish(struct gr_forward_reader *reader);

/* A line of heads.log. */
struct gr_forward_head {
	struct gr_head head;
	size_t length;
	char line[GR_HEAD_LINE_MAX]; /* without its newline */
	uint64_t end; /* offset in the file of the line behind it */
};

/*
 * The head that begins at offset. 1; 0 when there is none, or not all of it; GR_EPROTO when it is none, or the file is shorter;
 * GR_EIO.
 * directory: the record's, borrowed.
 */
int gr_forward_head_read(int directory, uint64_t offset, struct gr_forward_head *out, struct gr_error *err);

#endif
