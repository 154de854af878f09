#include "broker/audit/position.h"

#include <string.h>

uint64_t gr_audit_position_count(const struct gr_audit_position *position)
{
	return position->full.size + position->part.size;
}

uint64_t gr_audit_position_segment(const struct gr_audit_position *position)
{
	return position->full.size / GR_AUDIT_SEGMENT_LINES;
}

unsigned gr_audit_position_room(const struct gr_audit_position *position)
{
	return (unsigned)(GR_AUDIT_SEGMENT_LINES - position->part.size);
}

int gr_audit_position_add(struct gr_audit_position *position, const uint8_t leaf[GR_TREE_HASH],
			  struct gr_audit_sum *sum_out)
{
	struct gr_tree part = position->part;
	struct gr_audit_sum sum = { .segment = gr_audit_position_segment(position) };
	if (gr_tree_append(&part, 0, leaf) != 0)
		return GR_EIO;
	if (part.size < GR_AUDIT_SEGMENT_LINES) {
		position->part = part;
		memcpy(position->last, leaf, sizeof(position->last));
		return 0;
	}
	memcpy(sum.tree, part.peaks[GR_AUDIT_SEGMENT_HEIGHT], sizeof(sum.tree));
	memcpy(sum.last, leaf, sizeof(sum.last));
	if (gr_tree_append(&position->full, GR_AUDIT_SEGMENT_HEIGHT, sum.tree) != 0)
		return GR_EIO;
	position->part.size = 0;
	memcpy(position->last, leaf, sizeof(position->last));
	*sum_out = sum;
	return 1;
}

int gr_audit_position_add_segment(struct gr_audit_position *position, const struct gr_audit_sum *sum)
{
	if (position->part.size != 0)
		return GR_EINVAL;
	int status = gr_tree_append(&position->full, GR_AUDIT_SEGMENT_HEIGHT, sum->tree);
	if (status == 0)
		memcpy(position->last, sum->last, sizeof(position->last));
	return status;
}

int gr_audit_position_root(const struct gr_audit_position *position, uint8_t out[GR_TREE_HASH])
{
	struct gr_tree all = position->full;
	memcpy(all.peaks, position->part.peaks, GR_AUDIT_SEGMENT_HEIGHT * sizeof(*all.peaks));
	all.size |= position->part.size;
	return gr_tree_root(&all, out);
}
