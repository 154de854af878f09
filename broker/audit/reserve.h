/*
 * Room for events while the record cannot be written: a file of a fixed size, written full of zeros when it is made, so that
 * a full disk does not matter to it. Slots of 1 KiB, each bound by its hash to the one before; the first that does not fit
 * ends them. Emptied by wiping the first.
 */
#ifndef GARASU_BROKER_AUDIT_RESERVE_H
#define GARASU_BROKER_AUDIT_RESERVE_H

#include "broker/audit/chain.h"

#define GR_AUDIT_RESERVE_FILE "reserve"
#ifndef GR_AUDIT_RESERVE_SLOTS
#define GR_AUDIT_RESERVE_SLOTS 8192u
#endif

struct gr_reserve {
	int fd;
	unsigned count; /* events that are durably there */
	unsigned added; /* behind them, in the file but not flushed */
	uint8_t last[GR_TREE_HASH]; /* hash of the last one, added ones included */
	uint8_t durable[GR_TREE_HASH]; /* of the last of count */
};

/* Opens or makes the file in the directory (borrowed for the call). GR_EIO, GR_EDENIED. */
int gr_reserve_open(struct gr_reserve *reserve, int directory, struct gr_error *err);
void gr_reserve_close(struct gr_reserve *reserve);

/* Adds one; durable after gr_reserve_flush. GR_EFULL, GR_EIO. */
int gr_reserve_add(struct gr_reserve *reserve, const struct gr_audit_stamp *stamp, const struct gr_audit_event *event);
/* GR_EIO: what was added since the last flush is not there. */
int gr_reserve_flush(struct gr_reserve *reserve);

/* The index-th of count; its strings are terminated. GR_EIO, GR_EPROTO when it changed on the disk. */
int gr_reserve_get(struct gr_reserve *reserve, unsigned index, struct gr_audit_stamp *stamp_out,
		   struct gr_audit_event *event_out);

/* Durably empties it. GR_EIO. */
int gr_reserve_clear(struct gr_reserve *reserve);

#endif
