#include "broker/egress/bucket.h"

#define FULL (1000 * GR_BUCKET_BURST) /* thousandths */
#define FULL_AFTER_MS (FULL / GR_BUCKET_RATE)

void gr_bucket_fill(struct gr_bucket *bucket, uint64_t now_ms)
{
	*bucket = (struct gr_bucket){ .at_ms = now_ms, .thousandths = FULL };
}

int gr_bucket_take(struct gr_bucket *bucket, uint64_t now_ms)
{
	uint64_t passed = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
	uint32_t ms = passed < FULL_AFTER_MS ? (uint32_t)passed : FULL_AFTER_MS;
	/* RATE requests a second are RATE thousandths a millisecond. */
	uint32_t level = bucket->thousandths + ms * GR_BUCKET_RATE;
	bucket->thousandths = level < FULL ? level : FULL;
	bucket->at_ms += passed;
	if (bucket->thousandths < 1000)
		return 0;
	bucket->thousandths -= 1000;
	return 1;
}
