/*
 * Whether the record only grows: each new tree head is compared with the root over the records that this process has read itself,
 * on top of the head before. What does not fit is an alarm for good: a record that was rolled back, shortened or rewritten.
 */
#ifndef GARASU_BROKER_FORWARD_WITNESS_H
#define GARASU_BROKER_FORWARD_WITNESS_H

#include "broker/forward/reader.h"
#include "broker/forward/state.h"

struct gr_forward_witness {
	int directory; /* the record's; borrowed */
	struct gr_forward_state *state; /* borrowed; heads, leaf, tree and head are kept here */
	struct gr_forward_reader reader;
	int begun; /* what the state says was compared with the record */
	struct gr_forward_head wanted; /* the head that is being checked */
	struct gr_tree tree; /* under way towards it */
	int checking;
	int again; /* the files are read anew for it */
	char alarm[256]; /* why the record is not to be trusted any more; "" = it is */
};

void gr_forward_witness_init(struct gr_forward_witness *witness, int directory, int log,
			     struct gr_forward_state *state);
void gr_forward_witness_finish(struct gr_forward_witness *witness);

/*
 * Goes on, for some thousand records at most. Returns 1 when there is more to do at once; 0 when not, or there is an alarm.
 * *checked_out: 1 when a head was found good, and the state is to be saved. GR_EIO, GR_ENOMEM: try again at the next change.
 */
int gr_forward_witness_look(struct gr_forward_witness *witness, int *checked_out, struct gr_error *err);

#endif
