#include "broker/encode/motion.h"

#include <stdlib.h>
#include <string.h>

#define RECT_MIN 64u /* pixels, either side: below this the stream of the history is as good */

/*
 * Probes: a coarse grid of short rows, to see whether something changed, and whether a vector explains it. The columns of the
 * grid stand at different heights, or all probes could fall into the gaps between lines of text.
 */
#define PROBE 16u /* pixels */
#define PROBES_ACROSS 16ul
#define PROBES_DOWN 32ul
#define PROBES (PROBES_ACROSS * PROBES_DOWN)
#define STAGGER 7u /* has no factor in common with PROBES_ACROSS */
#define CHANGED_MIN 16u /* of PROBES: with less, there is little to be gained */
#define EXPLAINED_MIN 8u

/* A browser eases into a scroll and out of it: the same few vectors come again and again. */
#define RECENT 8u

/* So many probes are looked for along their whole column, and along their whole row, before both axes are searched. */
#define SCANNED 8ul
#define SCANNED_MIN 3u /* of those must agree */

/* Where nothing is found for some frames, as in a video, the search in both axes is made only now and then. */
#define FAILURES_MIN 4u
#define PAUSE 7u

/*
 * Anchors: rows of the old screen at every OLD_STEP-th y are compared with groups of OLD_STEP neighbouring rows of the new
 * one, one group every GROUP_STEP rows: whatever the vertical offset, one row of each group meets its old place.
 */
#define OLD_STEP 4ul
#define GROUP_STEP 48ul
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

/* A short row of the new screen that differs from what stood there, and is not flat. */
struct probe {
	uint16_t x, y;
	uint32_t now[PROBE];
};

struct gr_motion {
	const struct gr_kernels *kernels;
	size_t width;
	struct gr_vector recent[RECENT]; /* the last one first */
	unsigned failures, pause; /* of the search in both axes, in a row; searches still to be left out */
	uint32_t *line, *hashes, *scratch; /* width, width, 2 * width */
	struct probe probes[PROBES];
	size_t probe_count;
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

void gr_motion_reset(struct gr_motion *motion)
{
	memset(motion->recent, 0, sizeof(motion->recent));
	motion->failures = motion->pause = 0;
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

static int flat(const uint32_t *row, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (row[i] != row[0])
			return 0;
	return 1;
}

/* Fills the probes; returns how many places of the grid differ from what stood there, flat or not. */
static unsigned probe(struct gr_motion *m, const struct search *s)
{
	unsigned changed = 0;
	m->probe_count = 0;
	for (size_t j = 0; j < PROBES_DOWN; j++) {
		for (size_t i = 0; i < PROBES_ACROSS; i++) {
			struct probe *p = &m->probes[m->probe_count];
			size_t y = s->rect.y + (j * PROBES_ACROSS + i * STAGGER % PROBES_ACROSS) * s->rect.h / PROBES;
			size_t x = s->rect.x + (2 * i + 1) * (s->rect.w - PROBE) / (2 * PROBES_ACROSS);
			if (!m->kernels->take(untrusted_at(s, x, y), s->before + y * s->stride + x, p->now, PROBE))
				continue;
			changed++;
			p->x = (uint16_t)x;
			p->y = (uint16_t)y;
			m->probe_count += !flat(p->now, PROBE);
		}
	}
	return changed;
}

/* How many probes stand at the vector's other end; gives up early when it cannot be the needed number any more. */
static size_t explained(const struct gr_motion *m, const struct search *s, struct gr_vector v, size_t needed)
{
	size_t count = 0;
	for (size_t i = 0; i < m->probe_count && count + (m->probe_count - i) >= needed; i++) {
		const struct probe *p = &m->probes[i];
		long x = (long)p->x + v.dx, y = (long)p->y + v.dy;
		if (x < s->rect.x || y < s->rect.y || x + (long)PROBE > (long)s->rect.x + s->rect.w ||
		    y >= (long)s->rect.y + s->rect.h)
			continue;
		count += !memcmp(p->now, s->before + (size_t)y * s->stride + (size_t)x, sizeof(p->now));
	}
	return count;
}

/* A fifth of what changed and tells something: the rest may have scrolled in, or plays a video. */
static size_t enough(const struct gr_motion *m)
{
	size_t fifth = (m->probe_count + 4) / 5;
	return fifth > EXPLAINED_MIN ? fifth : EXPLAINED_MIN;
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

static void count_offset(int *offsets, unsigned *counts, size_t *n, int offset)
{
	for (size_t i = 0; i < *n; i++) {
		if (offsets[i] == offset) {
			counts[i]++;
			return;
		}
	}
	if (*n == SCANNED * 2) /* what stands in many places says little */
		return;
	offsets[*n] = offset;
	counts[(*n)++] = 1;
}

static int most_common(const int *offsets, const unsigned *counts, size_t n)
{
	size_t best = 0;
	for (size_t i = 1; i < n; i++)
		if (counts[i] > counts[best])
			best = i;
	return n && counts[best] >= SCANNED_MIN ? offsets[best] : 0;
}

static int matches(const uint32_t *row, const uint32_t *now)
{
	return row[0] == now[0] && !memcmp(row, now, PROBE * sizeof(*now));
}

/* Looks for some of the probes in their own columns, and in their own rows. */
static void scan(const struct gr_motion *m, const struct search *s, struct gr_vector *down, struct gr_vector *across)
{
	int offsets[2][SCANNED * 2];
	unsigned counts[2][SCANNED * 2];
	size_t n[2] = { 0, 0 };
	const struct gr_rect *r = &s->rect;
	for (size_t k = 0; k < SCANNED; k++) {
		const struct probe *p = &m->probes[(2 * k + 1) * m->probe_count / (2 * SCANNED)];
		for (size_t y = r->y; y < (size_t)r->y + r->h; y++)
			if (matches(s->before + y * s->stride + p->x, p->now))
				count_offset(offsets[0], counts[0], &n[0], (int)y - (int)p->y);
		for (size_t x = r->x; x + PROBE <= (size_t)r->x + r->w; x++)
			if (matches(s->before + p->y * s->stride + x, p->now))
				count_offset(offsets[1], counts[1], &n[1], (int)x - (int)p->x);
	}
	*down = (struct gr_vector){ 0, most_common(offsets[0], counts[0], n[0]) };
	*across = (struct gr_vector){ most_common(offsets[1], counts[1], n[1]), 0 };
}

/* Puts the vector in front of the recent ones. */
static void found(struct gr_motion *m, struct gr_vector v)
{
	size_t i = 0;
	while (i + 1 < RECENT && (m->recent[i].dx != v.dx || m->recent[i].dy != v.dy))
		i++;
	memmove(m->recent + 1, m->recent, i * sizeof(*m->recent));
	m->recent[0] = v;
}

static int is_zero(struct gr_vector v)
{
	return !v.dx && !v.dy;
}

/* Tries a vector; keeps it when it explains more than the best so far. */
static void consider(const struct gr_motion *m, const struct search *s, struct gr_vector v, struct gr_vector *best,
		     size_t *best_count)
{
	if (is_zero(v))
		return;
	size_t needed = *best_count + 1 > enough(m) ? *best_count + 1 : enough(m);
	size_t count = explained(m, s, v, needed);
	if (count >= needed) {
		*best = v;
		*best_count = count;
	}
}

int gr_motion_find(struct gr_motion *m, const uint32_t *before, size_t stride, const uint8_t *untrusted_now,
		   size_t untrusted_stride, struct gr_rect rect, struct gr_vector *out)
{
	if (rect.w < RECT_MIN || rect.h < RECT_MIN || rect.w > m->width)
		return 0;
	struct search s = { before, stride, untrusted_now, untrusted_stride, rect };
	if (probe(m, &s) < CHANGED_MIN || m->probe_count < EXPLAINED_MIN)
		return 0;
	struct gr_vector best = { 0, 0 };
	size_t count = 0;
	for (size_t i = 0; i < RECENT && count * 2 < m->probe_count; i++)
		consider(m, &s, m->recent[i], &best, &count);
	if (count * 2 < m->probe_count) {
		struct gr_vector down, across;
		scan(m, &s, &down, &across);
		consider(m, &s, down, &best, &count);
		consider(m, &s, across, &best, &count);
	}
	if (count * 2 < m->probe_count && m->pause) {
		m->pause--;
	} else if (count * 2 < m->probe_count) {
		struct gr_vector both;
		if (vote_of_anchors(m, &s, &both))
			consider(m, &s, both, &best, &count);
		if (!count && ++m->failures > FAILURES_MIN)
			m->pause = PAUSE;
	}
	if (!count)
		return 0;
	m->failures = m->pause = 0;
	found(m, best);
	*out = best;
	return 1;
}
