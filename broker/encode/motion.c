#include "broker/encode/motion.h"

#include <stdlib.h>
#include <string.h>

#define RECT_MIN 64u /* pixels, either side: below this the stream of the history is as good */

/* Probes: a coarse grid of short rows, to see whether something changed, and whether a vector explains it. */
#define PROBE 16u /* pixels */
#define PROBES_ACROSS 16u
#define PROBES_DOWN 32u
#define CHANGED_MIN 16u /* of PROBES_ACROSS * PROBES_DOWN: with less, there is little to be gained */

/*
 * Anchors: rows of the old screen at every OLD_STEP-th y are compared with groups of OLD_STEP neighbouring rows of the new
 * one, one group every GROUP_STEP rows: whatever the vertical offset, one row of each group meets its old place.
 */
#define OLD_STEP 4u
#define GROUP_STEP 48u
#define ANCHOR_MASK 63u /* one position in 64 is an anchor, chosen by its content, so that both screens choose alike */
#define TABLE_LOG2 14u
#define TABLE ((size_t)1 << TABLE_LOG2)
#define CHAIN_MAX 8u /* places looked at in the table for one anchor */
#define VOTES_LOG2 10u
#define VOTES ((size_t)1 << VOTES_LOG2)
#define VOTES_MIN 6u

struct anchor {
	uint32_t hash; /* 0 = free */
	uint16_t x, y;
	uint32_t seen; /* more than once: repeats itself, says nothing */
};

struct vote {
	int32_t dx, dy;
	uint32_t count; /* 0 = free */
};

struct gr_motion {
	const struct gr_kernels *kernels;
	struct gr_vector last;
	size_t width;
	uint32_t *line, *hashes, *scratch; /* width, width, 2 * width */
	struct anchor table[TABLE];
	struct vote votes[VOTES];
};

struct gr_motion *gr_motion_create(uint16_t width, const struct gr_kernels *kernels)
{
	struct gr_motion *motion = calloc(1, sizeof(*motion));
	if (!motion)
		return NULL;
	motion->kernels = kernels;
	motion->width = width;
	motion->line = calloc(width, 4 * sizeof(uint32_t));
	if (!motion->line) {
		free(motion);
		return NULL;
	}
	motion->hashes = motion->line + width;
	motion->scratch = motion->hashes + width;
	return motion;
}

void gr_motion_destroy(struct gr_motion *motion)
{
	if (!motion)
		return;
	free(motion->line);
	free(motion);
}

struct search {
	const uint32_t *before;
	size_t stride;
	const uint8_t *untrusted_now;
	size_t untrusted_stride;
	struct gr_rect rect;
};

static const uint8_t *untrusted_at(const struct search *s, size_t x, size_t y)
{
	return s->untrusted_now + y * s->untrusted_stride + x * sizeof(uint32_t);
}

/* 1 when a short row of the new screen is what stood at the vector's other end. Flat rows say nothing: 0. */
static int explained(const struct search *s, const uint32_t *now, size_t x, size_t y, struct gr_vector v)
{
	long from_x = (long)x + v.dx, from_y = (long)y + v.dy;
	if (from_x < s->rect.x || from_y < s->rect.y || from_x + (long)PROBE > (long)s->rect.x + s->rect.w ||
	    from_y >= (long)s->rect.y + s->rect.h)
		return 0;
	return memcmp(now, s->before + (size_t)from_y * s->stride + (size_t)from_x, PROBE * sizeof(uint32_t)) == 0;
}

static int flat(const uint32_t *row, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (row[i] != row[0])
			return 0;
	return 1;
}

struct probing {
	unsigned changed; /* probes that differ from what stood there */
	unsigned telling; /* of those, not flat */
	unsigned explained; /* of the telling */
};

static struct probing probe(struct gr_motion *m, const struct search *s, struct gr_vector v)
{
	struct probing result = { 0 };
	for (size_t j = 0; j < PROBES_DOWN; j++) {
		size_t y = s->rect.y + (2 * j + 1) * s->rect.h / (2 * PROBES_DOWN);
		for (size_t i = 0; i < PROBES_ACROSS; i++) {
			uint32_t now[PROBE];
			size_t x = s->rect.x + (2 * i + 1) * (s->rect.w - PROBE) / (2 * PROBES_ACROSS);
			const uint32_t *before = s->before + y * s->stride + x;
			if (!m->kernels->take(untrusted_at(s, x, y), before, now, PROBE))
				continue;
			result.changed++;
			if (flat(now, PROBE))
				continue;
			result.telling++;
			result.explained += (unsigned)explained(s, now, x, y, v);
		}
	}
	return result;
}

/* At least three changes of colour: less is an edge that could be anywhere. */
static int distinct(const uint32_t *row)
{
	unsigned changes = 0;
	for (size_t i = 1; i < GR_KERNEL_HASHED && changes < 3; i++)
		changes += row[i] != row[i - 1];
	return changes == 3;
}

static struct anchor *look(struct gr_motion *m, uint32_t hash)
{
	size_t slot = (hash * 0x9e3779b1u) >> (32 - TABLE_LOG2);
	for (unsigned i = 0; i < CHAIN_MAX; i++) {
		struct anchor *a = &m->table[(slot + i) % TABLE];
		if (a->hash == hash || !a->hash)
			return a;
	}
	return NULL;
}

static void remember(struct gr_motion *m, uint32_t hash, size_t x, size_t y)
{
	struct anchor *a = look(m, hash);
	if (!a)
		return;
	if (!a->seen) {
		a->hash = hash;
		a->x = (uint16_t)x;
		a->y = (uint16_t)y;
	}
	a->seen++;
}

static void vote(struct gr_motion *m, int dx, int dy)
{
	uint32_t key = (uint32_t)dx * 0x9e3779b1u ^ (uint32_t)dy * 0x85ebca77u;
	size_t slot = (key ^ key >> 15) % VOTES;
	for (unsigned i = 0; i < CHAIN_MAX; i++) {
		struct vote *v = &m->votes[(slot + i) % VOTES];
		if (!v->count) {
			v->dx = dx;
			v->dy = dy;
		}
		if (v->dx == dx && v->dy == dy) {
			v->count++;
			return;
		}
	}
}

static int anchor_hash(uint32_t hash)
{
	return hash != 0 && ((hash >> 20) & ANCHOR_MASK) == ANCHOR_MASK;
}

static int vote_of_anchors(struct gr_motion *m, const struct search *s, struct gr_vector *out)
{
	const struct gr_rect *r = &s->rect;
	size_t positions = r->w - GR_KERNEL_HASHED + 1;
	memset(m->table, 0, sizeof(m->table));
	memset(m->votes, 0, sizeof(m->votes));
	for (size_t y = (r->y + OLD_STEP - 1) / OLD_STEP * OLD_STEP; y < (size_t)r->y + r->h; y += OLD_STEP) {
		const uint32_t *row = s->before + y * s->stride + r->x;
		m->kernels->hashes(row, r->w, m->hashes, m->scratch);
		for (size_t x = 0; x < positions; x++)
			if (anchor_hash(m->hashes[x]) && distinct(row + x))
				remember(m, m->hashes[x], r->x + x, y);
	}
	for (size_t group = r->y; group < (size_t)r->y + r->h; group += GROUP_STEP) {
		for (size_t y = group; y < group + OLD_STEP && y < (size_t)r->y + r->h; y++) {
			const uint32_t *before = s->before + y * s->stride + r->x;
			if (!m->kernels->take(untrusted_at(s, r->x, y), before, m->line, r->w))
				continue;
			m->kernels->hashes(m->line, r->w, m->hashes, m->scratch);
			for (size_t x = 0; x < positions; x++) {
				if (!anchor_hash(m->hashes[x]))
					continue;
				const struct anchor *a = look(m, m->hashes[x]);
				/* What has not moved votes too: a page of which most stands still has no vector. */
				if (a && a->seen == 1)
					vote(m, (int)a->x - (int)(r->x + x), (int)a->y - (int)y);
			}
		}
	}
	const struct vote *best = NULL;
	for (size_t i = 0; i < VOTES; i++)
		if (m->votes[i].count && (m->votes[i].dx || m->votes[i].dy) &&
		    (!best || m->votes[i].count > best->count))
			best = &m->votes[i];
	if (!best || best->count < VOTES_MIN)
		return 0;
	*out = (struct gr_vector){ best->dx, best->dy };
	return 1;
}

/* A fifth of what changed and tells something: the rest may have scrolled in, or plays a video. */
static int good(const struct probing *p)
{
	return p->explained >= 8 && p->explained * 5 >= p->telling;
}

int gr_motion_find(struct gr_motion *m, const uint32_t *before, size_t stride, const uint8_t *untrusted_now,
		   size_t untrusted_stride, struct gr_rect rect, struct gr_vector *out)
{
	if (rect.w < RECT_MIN || rect.h < RECT_MIN || rect.w > m->width)
		return 0;
	struct search s = { before, stride, untrusted_now, untrusted_stride, rect };
	struct probing first = probe(m, &s, m->last);
	if (first.changed < CHANGED_MIN)
		return 0;
	if (first.telling && first.explained * 2 >= first.telling && first.explained >= 8) {
		*out = m->last;
		return 1;
	}
	struct gr_vector found;
	if (vote_of_anchors(m, &s, &found)) {
		struct probing second = probe(m, &s, found);
		if (good(&second) && second.explained > first.explained) {
			m->last = found;
			*out = found;
			return 1;
		}
	}
	if (!good(&first))
		return 0;
	*out = m->last;
	return 1;
}
