/* A token bucket: how many requests a container may make. Pure: the clock is the caller's. */
#ifndef GARASU_BROKER_EGRESS_BUCKET_H
#define GARASU_BROKER_EGRESS_BUCKET_H

#include <stdint.h>

/*
 * Each request makes two records of some 350 bytes: what a hostile container adds to the record in the long run is so bounded to 35 kB a
 * second. A person with a full page of plain http images stays far below it.
 */
#define GR_BUCKET_BURST 1000u /* requests at once */
#define GR_BUCKET_RATE 50u /* requests a second after that */

struct gr_bucket {
	uint64_t at_ms; /* when it was last looked into */
	uint32_t thousandths; /* of requests that are left */
};

/* A full one. */
void gr_bucket_fill(struct gr_bucket *bucket, uint64_t now_ms);
/* Takes one request out. 0 when there is none. */
int gr_bucket_take(struct gr_bucket *bucket, uint64_t now_ms);

#endif
