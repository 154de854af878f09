#include "broker/coordination/coordination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct claim {
	char person[GR_PERSON_MAX + 1]; /* empty: free */
	uint64_t epoch;
};

struct gr_coordination {
	char node[GR_COORDINATION_NODE_MAX];
	uint64_t last_epoch;
	struct claim claims[GR_COORDINATION_CLAIMS_MAX];
};

struct gr_coordination *gr_coordination_create(const char *node)
{
	struct gr_coordination *coordination = calloc(1, sizeof(*coordination));
	struct timespec now;

	if (!coordination)
		return NULL;
	snprintf(coordination->node, sizeof(coordination->node), "%s", node);
	/* Epochs must grow over a restart of the broker too, without a file to keep the last one in. */
	clock_gettime(CLOCK_REALTIME, &now);
	coordination->last_epoch = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
	return coordination;
}

void gr_coordination_destroy(struct gr_coordination *coordination)
{
	free(coordination);
}

static struct claim *find(struct gr_coordination *coordination, const char *person)
{
	for (size_t i = 0; i < GR_COORDINATION_CLAIMS_MAX; i++)
		if (strcmp(coordination->claims[i].person, person) == 0)
			return &coordination->claims[i];
	return NULL;
}

static void describe(const struct gr_coordination *coordination, const struct claim *claim, struct gr_claim *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->owner, coordination->node, sizeof(out->owner));
	out->epoch = claim->epoch;
	out->mine = 1;
}

void gr_coordination_claim(struct gr_coordination *coordination, const char *person, gr_coordination_answered answered,
			   void *context, uint64_t number)
{
	struct gr_claim answer;
	struct claim *claim;

	if (!*person || strlen(person) > GR_PERSON_MAX) {
		answered(context, number, GR_EINVAL, NULL);
		return;
	}
	claim = find(coordination, person);
	if (!claim) {
		claim = find(coordination, "");
		if (!claim) {
			answered(context, number, GR_EFULL, NULL);
			return;
		}
		snprintf(claim->person, sizeof(claim->person), "%s", person);
		claim->epoch = ++coordination->last_epoch;
	}
	describe(coordination, claim, &answer);
	answered(context, number, 0, &answer);
}

int gr_coordination_release(struct gr_coordination *coordination, const char *person, uint64_t epoch)
{
	struct claim *claim = *person ? find(coordination, person) : NULL;

	if (!claim || claim->epoch != epoch)
		return GR_ENOENT;
	memset(claim, 0, sizeof(*claim));
	return 0;
}

int gr_coordination_lookup(struct gr_coordination *coordination, const char *person, struct gr_claim *out)
{
	struct claim *claim = *person ? find(coordination, person) : NULL;

	if (!claim)
		return GR_ENOENT;
	describe(coordination, claim, out);
	return 0;
}
