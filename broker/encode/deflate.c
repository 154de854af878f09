#include "broker/encode/deflate.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 32768u
#define CAPACITY (WINDOW + GR_DEFLATE_PIECE_MAX + WINDOW) /* the last part is there to move the window less often */
#define HASH_BITS 14
#define MATCH_MIN 4u /* what is looked for; deflate's own is 3 */
#define MATCH_MAX 258u
#define FAR_MATCH_MIN                                                                                                  \
	6u /* shorter ones that are neither in the pixel before nor in the row above cost more than literals */
#define SKIP_LOG2 5 /* after so many literals (log2) the search goes in longer steps */
#define SEQUENCES 16384u /* of one block */
#define LITERALS 286u /* and end of block, and lengths */
#define DISTANCES 30u
#define LENGTH_CODES 19u
#define END_OF_BLOCK 256u
#define CODE_MAX 15u /* bits */
#define LENGTH_CODE_MAX 7u

/* Literals, then one match; length 0: the block ends behind the literals. */
struct sequence {
	uint32_t literals;
	uint16_t length, distance_minus_1;
};

struct stream {
	uint32_t lowest, at; /* in bytes: where the history begins, and ends */
	uint32_t base; /* bytes[0] is this far from the stream's beginning, plus more than a window; wraps */
	int begun;
	uint32_t last[1u << HASH_BITS]; /* base + index of where a hash was seen last */
	uint8_t bytes[CAPACITY + 16];
};

struct code {
	uint16_t bits[LITERALS];
	uint8_t length[LITERALS];
};

struct gr_deflate {
	uint8_t length_symbol[256]; /* of a match's length - 3; minus 257 */
	uint8_t distance_symbol[512]; /* of distance - 1 below 256, and of (distance - 1) >> 7 behind that */
	struct code literal, distance, fixed_literal, fixed_distance;
	uint32_t literal_count[LITERALS], distance_count[DISTANCES];
	struct sequence sequences[SEQUENCES];
	struct stream streams[GR_DEFLATE_STREAMS];
};

static const uint16_t length_base[29] = { 3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
					  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
static const uint8_t length_extra[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
					  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
static const uint16_t distance_base[DISTANCES] = { 1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
						   33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
						   1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
static const uint8_t distance_extra[DISTANCES] = { 0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
						   6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13 };

struct bits {
	uint64_t pending;
	unsigned count; /* below 8 after bits_flush */
	uint8_t *out;
};

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void bits_put(struct bits *b, uint64_t value, unsigned n)
{
	b->pending |= value << b->count;
	b->count += n;
}

/* Up to 56 bits may be put between two of these. */
static inline void bits_flush(struct bits *b)
{
	uint64_t v = htole64(b->pending);
	memcpy(b->out, &v, sizeof(v));
	b->out += b->count >> 3;
	b->pending >>= b->count & ~7u;
	b->count &= 7;
}

/* The Huffman codes. */

static uint16_t reversed(uint16_t code, unsigned n)
{
	unsigned r = 0;
	for (unsigned i = 0; i < n; i++)
		r |= ((unsigned)code >> i & 1u) << (n - 1 - i);
	return (uint16_t)r;
}

/* RFC 1951, 3.2.2: from the lengths to the codes. */
static void code_assign(struct code *code, unsigned symbols)
{
	uint16_t next[CODE_MAX + 2] = { 0 };
	unsigned n[CODE_MAX + 1] = { 0 };
	for (unsigned i = 0; i < symbols; i++)
		n[code->length[i]]++;
	n[0] = 0;
	for (unsigned i = 1; i <= CODE_MAX; i++)
		next[i + 1] = (uint16_t)((next[i] + n[i]) << 1);
	for (unsigned i = 0; i < symbols; i++)
		code->bits[i] = reversed(next[code->length[i]]++, code->length[i]);
}

/* Sorts the used symbols by how often they are used: key = count << 9 | symbol, counts below 2^23. */
static unsigned sort_used(const uint32_t *count, unsigned symbols, uint32_t *keys)
{
	uint32_t other[LITERALS];
	unsigned n = 0;
	uint32_t all = 0;
	for (unsigned i = 0; i < symbols; i++)
		if (count[i]) {
			keys[n++] = count[i] << 9 | i;
			all |= count[i];
		}
	for (unsigned shift = 9; all; shift += 8, all >>= 8) {
		unsigned begin[256] = { 0 };
		for (unsigned i = 0; i < n; i++)
			begin[keys[i] >> shift & 255]++;
		for (unsigned i = 0, sum = 0; i < 256; i++) {
			unsigned own = begin[i];
			begin[i] = sum;
			sum += own;
		}
		for (unsigned i = 0; i < n; i++)
			other[begin[keys[i] >> shift & 255]++] = keys[i];
		memcpy(keys, other, n * sizeof(*keys));
	}
	return n;
}

/*
 * A. Moffat, J. Katajainen: In-place calculation of minimum-redundancy codes (WADS 1995). a: n >= 2 counts in ascending
 * order; becomes the lengths, the longest first.
 */
static void minimum_redundancy(uint32_t *a, unsigned n)
{
	unsigned root = 0, leaf = 2;
	a[0] += a[1];
	for (unsigned next = 1; next < n - 1; next++) {
		for (unsigned half = 0; half < 2; half++) {
			uint32_t value;
			if (leaf >= n || (root < next && a[root] < a[leaf])) {
				value = a[root];
				a[root++] = next;
			} else {
				value = a[leaf++];
			}
			a[next] = half ? a[next] + value : value;
		}
	}
	a[n - 2] = 0;
	for (unsigned i = n - 2; i-- > 0;)
		a[i] = a[a[i]] + 1;
	unsigned available = 1, used = 0, depth = 0, next = n;
	unsigned inner = n - 1; /* one behind the inner node that is looked at */
	while (available) {
		while (inner && a[inner - 1] == depth) {
			used++;
			inner--;
		}
		while (available > used) {
			a[--next] = depth;
			available--;
		}
		available = 2 * used;
		depth++;
		used = 0;
	}
}

/* Lengths of at most `most` bits; at least one symbol is used. */
static void code_build(struct code *code, const uint32_t *count, unsigned symbols, unsigned most)
{
	uint32_t keys[LITERALS], lengths[LITERALS] = { 0 };
	memset(code->length, 0, symbols);
	unsigned n = sort_used(count, symbols, keys);
	assert(n);
	if (n < 2) {
		code->length[keys[0] & 511] = 1;
		code->bits[keys[0] & 511] = 0;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		lengths[i] = keys[i] >> 9;
	minimum_redundancy(lengths, n);

	unsigned of_length[64] = { 0 };
	for (unsigned i = 0; i < n; i++)
		of_length[lengths[i] < most ? lengths[i] : most]++;
	/* Those that were cut to `most` took more than there is: lengthen shorter ones until it fits (Kraft). */
	uint32_t taken = 0;
	for (unsigned i = 1; i <= most; i++)
		taken += of_length[i] << (most - i);
	while (taken > 1u << most) {
		of_length[most]--;
		unsigned i = most - 1;
		while (!of_length[i])
			i--;
		of_length[i]--;
		of_length[i + 1] += 2;
		taken--;
	}
	for (unsigned length = most, i = 0; length; length--)
		for (unsigned k = 0; k < of_length[length]; k++)
			code->length[keys[i++] & 511] = (uint8_t)length;
	code_assign(code, symbols);
}

static void tables_init(struct gr_deflate *deflate)
{
	for (unsigned s = 0; s < 29; s++)
		for (unsigned i = 0; i < 1u << length_extra[s]; i++)
			if (length_base[s] + i <= MATCH_MAX)
				deflate->length_symbol[length_base[s] + i - 3] = (uint8_t)s; /* 258 is in the last */
	for (unsigned s = 0; s < DISTANCES; s++)
		for (unsigned i = 0; i < 1u << distance_extra[s]; i++) {
			unsigned d = distance_base[s] + i - 1;
			if (d < 256)
				deflate->distance_symbol[d] = (uint8_t)s;
			else
				deflate->distance_symbol[256 + (d >> 7)] = (uint8_t)s;
		}
	/* RFC 1951, 3.2.6. The code of literals has 288 symbols, of which two never occur; they are its last ones of 8. */
	for (unsigned i = 0; i < LITERALS; i++)
		deflate->fixed_literal.length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	for (unsigned i = 0; i < LITERALS; i++) {
		unsigned n = deflate->fixed_literal.length[i];
		unsigned code = i < 144 ? 0x30 + i : i < 256 ? 0x190 + i - 144 : i < 280 ? i - 256 : 0xc0 + i - 280;
		deflate->fixed_literal.bits[i] = reversed((uint16_t)code, n);
	}
	for (unsigned i = 0; i < DISTANCES; i++) {
		deflate->fixed_distance.length[i] = 5;
		deflate->fixed_distance.bits[i] = reversed((uint16_t)i, 5);
	}
}

struct gr_deflate *gr_deflate_create(void)
{
	struct gr_deflate *deflate = calloc(1, sizeof(*deflate));
	if (!deflate)
		return NULL;
	tables_init(deflate);
	for (unsigned i = 0; i < GR_DEFLATE_STREAMS; i++)
		deflate->streams[i].base = 2 * WINDOW;
	return deflate;
}

void gr_deflate_destroy(struct gr_deflate *deflate)
{
	free(deflate);
}

uint8_t *gr_deflate_room(struct gr_deflate *deflate, unsigned stream)
{
	assert(stream < GR_DEFLATE_STREAMS);
	struct stream *s = &deflate->streams[stream];
	if (s->at + GR_DEFLATE_PIECE_MAX > CAPACITY) {
		uint32_t moved = s->at - WINDOW;
		memmove(s->bytes, s->bytes + moved, WINDOW);
		s->at = WINDOW;
		s->base += moved;
		s->lowest = 0;
	}
	return s->bytes + s->at;
}

/* The searching. */

static inline unsigned distance_symbol(const struct gr_deflate *deflate, unsigned distance_minus_1)
{
	return distance_minus_1 < 256 ? deflate->distance_symbol[distance_minus_1]
				      : deflate->distance_symbol[256 + (distance_minus_1 >> 7)];
}

/* How many bytes are equal, `known` of them already, at most `most`. */
static inline unsigned match_length(const uint8_t *a, const uint8_t *b, unsigned known, unsigned most)
{
	unsigned n = known;
	while (n + 8 <= most) {
		uint64_t differs = load64(a + n) ^ load64(b + n);
		if (differs)
			return n + (unsigned)__builtin_ctzll(differs) / 8;
		n += 8;
	}
	while (n < most && a[n] == b[n])
		n++;
	return n;
}

struct found {
	unsigned length, distance;
};

/* Of the first FAR_MATCH_MIN bytes. */
static inline uint32_t hash(uint64_t eight)
{
	return (uint32_t)((eight << (64 - 8 * FAR_MATCH_MIN)) * 0x9e3779b97f4a7c15ull >> (64 - HASH_BITS));
}

/*
 * Makes the sequences of one block from *from on, at most up to `end`; the number of sequences. Sets *from to where the
 * block ends. A unit is a pixel: matches begin and end between two.
 */
static inline __attribute__((always_inline)) size_t find_units(struct gr_deflate *deflate, struct stream *s,
							       uint32_t *from, uint32_t end, uint32_t row_bytes,
							       uint32_t unit)
{
	const uint32_t mask = unit == 3 ? 0x00ffffff : 0xffffffff;
	const unsigned least = unit == 3 ? 3 : MATCH_MIN;
	const uint8_t *bytes = s->bytes;
	uint32_t i = *from, literals_from = i;
	size_t n = 0;
	uint32_t *literal_count = deflate->literal_count;

	if (i - s->lowest < unit && i < end)
		i += unit; /* nothing is before it */
	while (i + 8 <= end && n < SEQUENCES - 1) {
		uint64_t eight = load64(bytes + i);
		uint32_t four = (uint32_t)eight;
		unsigned most = end - i < MATCH_MAX ? end - i : MATCH_MAX;
		struct found best = { 0, 0 };
		uint32_t *slot = &s->last[hash(eight)];
		uint32_t distance = s->base + i - *slot;
		*slot = s->base + i;
		if (((load32(bytes + i - unit) ^ four) & mask) == 0)
			best = (struct found){ match_length(bytes + i, bytes + i - unit, least, most), unit };
		if (best.length < 32 && i - s->lowest >= row_bytes &&
		    ((load32(bytes + i - row_bytes) ^ four) & mask) == 0) {
			unsigned length = match_length(bytes + i, bytes + i - row_bytes, least, most);
			if (length > best.length + 1)
				best = (struct found){ length, row_bytes };
		}
		if (best.length < 16 && distance - 1 < WINDOW && load32(bytes + i - distance) == four) {
			unsigned length = match_length(bytes + i, bytes + i - distance, 4, most);
			if (length >= FAR_MATCH_MIN && length > best.length + 2)
				best = (struct found){ length, distance };
		}
		if (!best.length) {
			i += 1 + ((i - literals_from) >> SKIP_LOG2);
			continue;
		}
		for (uint32_t k = literals_from; k < i; k++)
			literal_count[bytes[k]]++;
		literal_count[257 + deflate->length_symbol[best.length - 3]]++;
		deflate->distance_count[distance_symbol(deflate, best.distance - 1)]++;
		deflate->sequences[n++] = (struct sequence){ i - literals_from, (uint16_t)best.length,
							     (uint16_t)(best.distance - 1) };
		/* Not every place of a match is remembered, only where one may be met again: what follows its ends. */
		s->last[hash(load64(bytes + i + 1))] = s->base + i + 1;
		i += best.length;
		s->last[hash(load64(bytes + i - 1))] = s->base + i - 1;
		literals_from = i;
	}
	if (n < SEQUENCES - 1)
		i = end;
	for (uint32_t k = literals_from; k < i; k++)
		literal_count[bytes[k]]++;
	deflate->sequences[n++] = (struct sequence){ i - literals_from, 0, 0 };
	literal_count[END_OF_BLOCK]++;
	*from = i;
	return n;
}

static size_t find(struct gr_deflate *deflate, struct stream *s, uint32_t *from, uint32_t end, uint32_t row_bytes,
		   uint32_t unit)
{
	return unit == 3 ? find_units(deflate, s, from, end, row_bytes, 3)
			 : find_units(deflate, s, from, end, row_bytes, 1);
}

/* The writing. */

static uint64_t cost(const struct gr_deflate *deflate, const struct code *literal, const struct code *distance)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < LITERALS; i++)
		bits += (uint64_t)deflate->literal_count[i] *
			(literal->length[i] + (i > 256 ? length_extra[i - 257] : 0u));
	for (unsigned i = 0; i < DISTANCES; i++)
		bits += (uint64_t)deflate->distance_count[i] * (distance->length[i] + distance_extra[i]);
	return bits;
}

struct lengths {
	uint8_t symbols[LITERALS + DISTANCES], extra[LITERALS + DISTANCES];
	unsigned n, literals, distances, written; /* written: of the code of lengths */
	uint32_t count[LENGTH_CODES];
	struct code code;
};

static const uint8_t length_order[LENGTH_CODES] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };

static void lengths_add(struct lengths *l, unsigned symbol, unsigned extra)
{
	l->symbols[l->n] = (uint8_t)symbol;
	l->extra[l->n++] = (uint8_t)extra;
	l->count[symbol]++;
}

/* RFC 1951, 3.2.7: how the two codes are told; returns the bits that takes. */
static unsigned lengths_make(struct lengths *l, const struct code *literal, const struct code *distance)
{
	uint8_t all[LITERALS + DISTANCES];
	l->n = 0;
	memset(l->count, 0, sizeof(l->count));
	l->literals = LITERALS;
	while (l->literals > 257 && !literal->length[l->literals - 1])
		l->literals--;
	l->distances = DISTANCES;
	while (l->distances > 1 && !distance->length[l->distances - 1])
		l->distances--;
	memcpy(all, literal->length, l->literals);
	memcpy(all + l->literals, distance->length, l->distances);
	unsigned total = l->literals + l->distances;
	for (unsigned i = 0; i < total;) {
		unsigned run = 1;
		while (i + run < total && all[i + run] == all[i])
			run++;
		i += run;
		unsigned length = all[i - 1];
		if (length) {
			lengths_add(l, length, 0);
			run--;
		}
		while (run >= 3) {
			unsigned most = length ? 6 : run > 10 ? 138 : 10, now = run < most ? run : most;
			if (length)
				lengths_add(l, 16, now - 3);
			else
				lengths_add(l, now > 10 ? 18 : 17, now > 10 ? now - 11 : now - 3);
			run -= now;
		}
		while (run--)
			lengths_add(l, length, 0);
	}
	code_build(&l->code, l->count, LENGTH_CODES, LENGTH_CODE_MAX);
	l->written = LENGTH_CODES;
	while (l->written > 4 && !l->code.length[length_order[l->written - 1]])
		l->written--;
	unsigned bits = 5 + 5 + 4 + 3 * l->written + 2 * l->count[16] + 3 * l->count[17] + 7 * l->count[18];
	for (unsigned i = 0; i < LENGTH_CODES; i++)
		bits += l->count[i] * l->code.length[i];
	return bits;
}

static void lengths_write(const struct lengths *l, struct bits *b)
{
	bits_put(b, l->literals - 257, 5);
	bits_put(b, l->distances - 1, 5);
	bits_put(b, l->written - 4, 4);
	bits_flush(b);
	for (unsigned i = 0; i < l->written; i++) {
		bits_put(b, l->code.length[length_order[i]], 3);
		bits_flush(b);
	}
	for (unsigned i = 0; i < l->n; i++) {
		unsigned symbol = l->symbols[i];
		bits_put(b, l->code.bits[symbol], l->code.length[symbol]);
		if (symbol >= 16)
			bits_put(b, l->extra[i], symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
		bits_flush(b);
	}
}

static void write_sequences(const struct gr_deflate *deflate, size_t n, const uint8_t *bytes,
			    const struct code *literal, const struct code *distance, struct bits *out)
{
	struct bits b = *out;
	for (size_t k = 0; k < n; k++) {
		const struct sequence *s = &deflate->sequences[k];
		uint32_t left = s->literals;
		for (; left >= 3; left -= 3, bytes += 3) {
			bits_put(&b, literal->bits[bytes[0]], literal->length[bytes[0]]);
			bits_put(&b, literal->bits[bytes[1]], literal->length[bytes[1]]);
			bits_put(&b, literal->bits[bytes[2]], literal->length[bytes[2]]);
			bits_flush(&b);
		}
		for (; left; left--, bytes++)
			bits_put(&b, literal->bits[*bytes], literal->length[*bytes]);
		bits_flush(&b);
		if (!s->length)
			break;
		unsigned symbol = deflate->length_symbol[s->length - 3];
		bits_put(&b, literal->bits[257 + symbol], literal->length[257 + symbol]);
		bits_put(&b, (unsigned)(s->length - length_base[symbol]), length_extra[symbol]);
		symbol = distance_symbol(deflate, s->distance_minus_1);
		bits_put(&b, distance->bits[symbol], distance->length[symbol]);
		bits_put(&b, (unsigned)(s->distance_minus_1 + 1 - distance_base[symbol]), distance_extra[symbol]);
		bits_flush(&b);
		bytes += s->length;
	}
	bits_put(&b, literal->bits[END_OF_BLOCK], literal->length[END_OF_BLOCK]);
	bits_flush(&b);
	*out = b;
}

/* Blocks of bytes as they are; also the empty one that ends a piece on a byte. */
static void write_stored(const uint8_t *bytes, size_t n, struct bits *b)
{
	do {
		size_t now = n < 65535 ? n : 65535;
		bits_put(b, 0, 3);
		bits_flush(b);
		if (b->count) {
			b->count = 8;
			bits_flush(b);
		}
		bits_put(b, now | (now ^ 0xffff) << 16, 32);
		bits_flush(b);
		memcpy(b->out, bytes, now);
		b->out += now;
		bytes += now;
		n -= now;
	} while (n);
}

size_t gr_deflate_piece(struct gr_deflate *deflate, unsigned stream, size_t n, size_t row_bytes, unsigned unit,
			uint8_t *out)
{
	assert(stream < GR_DEFLATE_STREAMS && n && n <= GR_DEFLATE_PIECE_MAX);
	assert(row_bytes && row_bytes <= WINDOW && (unit == 1 || unit == 3));
	struct stream *s = &deflate->streams[stream];
	struct bits b = { 0, 0, out };
	if (!s->begun) {
		bits_put(&b, 0x0178, 16); /* RFC 1950: deflate, window of 32 KiB, fastest */
		bits_flush(&b);
		s->begun = 1;
	}
	uint32_t at = s->at, end = s->at + (uint32_t)n;
	s->at = end;
	while (at < end) {
		uint32_t begin = at;
		memset(deflate->literal_count, 0, sizeof(deflate->literal_count));
		memset(deflate->distance_count, 0, sizeof(deflate->distance_count));
		size_t sequences = find(deflate, s, &at, end, (uint32_t)row_bytes, unit);
		uint64_t fixed = cost(deflate, &deflate->fixed_literal, &deflate->fixed_distance);
		uint64_t bytes = at - begin, stored = bytes * 8 + (bytes / 65535 + 1) * 40;
		code_build(&deflate->literal, deflate->literal_count, LITERALS, CODE_MAX);
		if (sequences == 1)
			deflate->distance_count[0] = 1; /* a code of none is not understood everywhere */
		code_build(&deflate->distance, deflate->distance_count, DISTANCES, CODE_MAX);
		struct lengths lengths;
		uint64_t dynamic = lengths_make(&lengths, &deflate->literal, &deflate->distance) +
				   cost(deflate, &deflate->literal, &deflate->distance);
		if (stored < fixed + 3 && stored < dynamic + 3) {
			write_stored(s->bytes + begin, at - begin, &b);
		} else if (fixed <= dynamic) {
			bits_put(&b, 1u << 1, 3);
			write_sequences(deflate, sequences, s->bytes + begin, &deflate->fixed_literal,
					&deflate->fixed_distance, &b);
		} else {
			bits_put(&b, 2u << 1, 3);
			lengths_write(&lengths, &b);
			write_sequences(deflate, sequences, s->bytes + begin, &deflate->literal, &deflate->distance,
					&b);
		}
	}
	write_stored(s->bytes, 0, &b);
	return (size_t)(b.out - out);
}
