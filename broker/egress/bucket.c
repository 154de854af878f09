#include "broker/egress/bucket.h"

#define FULL (GR_BUCKET_BURST * 1000u)

void gr_bucket_fill(struct gr_bucket *bucket, uint64_t now_ms)
{
	*bucket = (struct gr_bucket){ .at_ms = now_ms, .thousandths = FULL };
}

int gr_bucket_take(struct gr_bucket *bucket, uint64_t now_ms)
{
	uint64_t passed = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
	/* RATE requests a second are RATE thousandths a millisecond. */
	if (passed >= FULL / GR_BUCKET_RATE || bucket->thousandths + passed * GR_BUCKET_RATE >= FULL)
		bucket->thousandths = FULL;
	else
		bucket->thousandths += (uint32_t)passed * GR_BUCKET_RATE;
	bucket->at_ms = now_ms > bucket->at_ms ? now_ms : bucket->at_ms;
	if (bucket->thousandths < 1000)
		return 0;
	bucket->thousandths -= 1000;
	return 1;
}
