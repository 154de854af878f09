/* Where the record ends: the tree over it, segment by segment. */
#ifndef GARASU_BROKER_AUDIT_POSITION_H
#define GARASU_BROKER_AUDIT_POSITION_H

#include "broker/audit/segment.h"

/* Zeroed: an empty record. */
struct gr_audit_position {
	struct gr_tree full; /* over the full segments */
	struct gr_tree part; /* over the lines of the one behind them; never full */
	uint8_t last[GR_TREE_HASH]; /* the last leaf hash */
};

uint64_t gr_audit_position_count(const struct gr_audit_position *position);
/* The segment that the next line goes to, and how many it still takes. */
uint64_t gr_audit_position_segment(const struct gr_audit_position *position);
unsigned gr_audit_position_room(const struct gr_audit_position *position);

/* Adds a line. 1 when it filled its segment, whose sum is then in *sum_out; 0; GR_EIO, and position is as before. */
int gr_audit_position_add(struct gr_audit_position *position, const uint8_t leaf[GR_TREE_HASH],
			  struct gr_audit_sum *sum_out);
/* Adds a full segment. GR_EIO, GR_EINVAL when the one before is not full. */
int gr_audit_position_add_segment(struct gr_audit_position *position, const struct gr_audit_sum *sum);

/* The root over all lines. GR_EIO. */
int gr_audit_position_root(const struct gr_audit_position *position, uint8_t out[GR_TREE_HASH]);

#endif
