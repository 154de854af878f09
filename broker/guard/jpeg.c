#include "broker/guard/jpeg.h"

#include <stdlib.h>
#include <string.h>

enum marker { SOF0 = 0xc0, DHT = 0xc4, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, DQT = 0xdb };

#define COMPONENTS 3u
#define TABLES 2u /* of a kind: luminance, chrominance */
#define CODE_MAX 16u /* bits */
#define LOOK 12u /* bits looked up at once; standard tables have few longer codes, and those are rare */
#define BLOCK 64u

/*
 * What a code does, by the LOOK bits that begin with it: how many bits it takes with the value bits behind it, and how many
 * coefficients it steps over. 0 bits: a longer code, or none.
 */
struct step {
	uint8_t bits, coefficients;
};

struct huffman {
	uint8_t definition[1 + 16 +
			   256]; /* as it came, to know it again: encoders send the same tables with each picture */
	size_t size; /* of it; 0: none */
	int32_t last[CODE_MAX + 1]; /* the greatest code of each length, -1: none */
	int32_t first[CODE_MAX + 1]; /* index of its first value less its first code */
	struct step look[1u << LOOK];
};

struct gr_guard_jpeg {
	struct huffman tables[2][TABLES]; /* DC, AC */
};

/* What is known of the picture under way. */
struct picture {
	unsigned quantisers, codes[2]; /* bit masks: which tables are defined */
	bool framed;
	uint8_t frame_quantiser[COMPONENTS];
	uint8_t scan_table[2][COMPONENTS];
};

struct gr_guard_jpeg *gr_guard_jpeg_create(void)
{
	return calloc(1, sizeof(struct gr_guard_jpeg));
}

void gr_guard_jpeg_destroy(struct gr_guard_jpeg *jpeg)
{
	free(jpeg);
}

static uint32_t u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* B.2.4.1: 8-bit tables 0 and 1, each once, no step of 0. */
static const char *quantisers(struct picture *p, const uint8_t *untrusted, size_t n)
{
	for (; n >= 1 + BLOCK; untrusted += 1 + BLOCK, n -= 1 + BLOCK) {
		if (untrusted[0] >= TABLES || p->quantisers >> untrusted[0] & 1)
			return "JPEG: a quantisation table that is not permitted";
		if (memchr(untrusted + 1, 0, BLOCK))
			return "JPEG: a quantisation step of 0";
		p->quantisers |= 1u << untrusted[0];
	}
	return n ? "JPEG: a broken quantisation table" : NULL;
}

/* What symbol means: F.1.2.1 for DC, F.1.2.2 for AC. bits 0: not permitted for 8-bit samples. */
static struct step step_of(unsigned kind, uint8_t symbol, unsigned length)
{
	unsigned size = symbol & 15u, run = symbol >> 4;
	if (kind == 0)
		return symbol <= 11 ? (struct step){ (uint8_t)(length + symbol), 1 } : (struct step){ 0, 0 };
	if (size)
		return size <= 10 ? (struct step){ (uint8_t)(length + size), (uint8_t)(run + 1) }
				  : (struct step){ 0, 0 };
	if (run == 0)
		return (struct step){ (uint8_t)length, BLOCK }; /* the block ends */
	return run == 15 ? (struct step){ (uint8_t)length, 16 } : (struct step){ 0, 0 };
}

/* Annex C: the codes of each length follow each other. definition: class and number, 16 counts, the values. */
static const char *define(struct huffman *table, unsigned kind, const uint8_t *untrusted, size_t size)
{
	if (table->size == size && memcmp(table->definition, untrusted, size) == 0)
		return NULL;
	table->size = 0;
	memset(table->look, 0, sizeof(table->look));
	const uint8_t *values = untrusted + 17;
	uint32_t code = 0, index = 0;
	for (unsigned length = 1; length <= CODE_MAX; length++, code <<= 1) {
		uint32_t count = untrusted[length];
		table->first[length] = (int32_t)index - (int32_t)code;
		table->last[length] = count ? (int32_t)(code + count - 1) : -1;
		/* A code of ones only is reserved (C.2). */
		if (code + count > (1u << length) - (count ? 1u : 0u))
			return "JPEG: a Huffman table with too many codes";
		for (uint32_t i = 0; i < count; i++, code++, index++) {
			struct step step = step_of(kind, values[index], length);
			if (!step.bits)
				return "JPEG: a Huffman table with a symbol that is not permitted";
			if (length > LOOK)
				continue;
			struct step *to = table->look + (code << (LOOK - length));
			for (uint32_t k = 0; k < 1u << (LOOK - length); k++)
				to[k] = step;
		}
	}
	memcpy(table->definition, untrusted, size);
	table->size = size;
	return NULL;
}

/* B.2.4.2: tables 0 and 1 of each kind, each once. */
static const char *huffman_tables(struct gr_guard_jpeg *jpeg, struct picture *p, const uint8_t *untrusted, size_t n)
{
	while (n) {
		unsigned kind = untrusted[0] >> 4, number = untrusted[0] & 15;
		size_t values = 0;
		if (n < 17 || kind > 1 || number >= TABLES || p->codes[kind] >> number & 1)
			return "JPEG: a Huffman table that is not permitted";
		for (unsigned i = 1; i <= CODE_MAX; i++)
			values += untrusted[i];
		if (values > 256 || 17 + values > n)
			return "JPEG: a broken Huffman table";
		const char *rule = define(&jpeg->tables[kind][number], kind, untrusted, 17 + values);
		if (rule)
			return rule;
		p->codes[kind] |= 1u << number;
		untrusted += 17 + values;
		n -= 17 + values;
	}
	return NULL;
}

/* B.2.2: 8 bits, this size, components 1, 2, 3 as YCbCr 4:2:0. */
static const char *frame(struct picture *p, const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h)
{
	static const uint8_t sampling[COMPONENTS] = { 0x22, 0x11, 0x11 };
	if (p->framed || n != 6 + 3 * COMPONENTS || untrusted[0] != 8 || untrusted[5] != COMPONENTS)
		return "JPEG: a frame that is not permitted";
	if (u16(untrusted + 1) != h || u16(untrusted + 3) != w)
		return "JPEG: another size than its rectangle";
	for (unsigned i = 0; i < COMPONENTS; i++) {
		const uint8_t *component = untrusted + 6 + 3 * (size_t)i;
		if (component[0] != i + 1 || component[1] != sampling[i] || component[2] >= TABLES)
			return "JPEG: components other than YCbCr 4:2:0";
		p->frame_quantiser[i] = component[2];
	}
	p->framed = true;
	return NULL;
}

/* B.2.3: all components in one scan, the whole block at full precision, and every table that it needs is there. */
static const char *scan(struct picture *p, const uint8_t *untrusted, size_t n)
{
	if (!p->framed || n != 4 + 2 * COMPONENTS || untrusted[0] != COMPONENTS || untrusted[n - 3] != 0 ||
	    untrusted[n - 2] != BLOCK - 1 || untrusted[n - 1] != 0)
		return "JPEG: a scan that is not permitted";
	for (unsigned i = 0; i < COMPONENTS; i++) {
		unsigned dc = untrusted[2 + 2 * i] >> 4, ac = untrusted[2 + 2 * i] & 15;
		if (untrusted[1 + 2 * i] != i + 1 || dc >= TABLES || ac >= TABLES || !(p->codes[0] >> dc & 1) ||
		    !(p->codes[1] >> ac & 1) || !(p->quantisers >> p->frame_quantiser[i] & 1))
			return "JPEG: a scan without its tables";
		p->scan_table[0][i] = (uint8_t)dc;
		p->scan_table[1][i] = (uint8_t)ac;
	}
	return NULL;
}

/* ---- coded data ---- */

/* Bits of coded data, the first ones uppermost; `have` of them are valid, zeros behind. */
struct bits {
	const uint8_t *at, *end; /* end: where EOI is */
	uint64_t window;
	unsigned have;
	bool broken; /* 0xff without the 0 that is stuffed behind it */
};

static bool has_ff(uint64_t eight)
{
	uint64_t inverted = ~eight;
	return ((inverted - 0x0101010101010101u) & ~inverted & 0x8080808080808080u) != 0;
}

static inline void refill(struct bits *b)
{
	if (b->end - b->at >= 8) {
		uint64_t eight;
		memcpy(&eight, b->at, sizeof(eight));
		if (!has_ff(eight)) {
			unsigned bytes = (64 - b->have) / 8;
			eight = __builtin_bswap64(eight);
			if (bytes < 8)
				eight &= ~(UINT64_MAX >> 8 * bytes);
			b->window |= eight >> b->have;
			b->at += bytes;
			b->have += 8 * bytes;
			return;
		}
	}
	while (b->have <= 56 && b->at < b->end) {
		uint8_t byte = *b->at++;
		if (byte == 0xff && (b->at == b->end || *b->at++ != 0)) {
			b->broken = true;
			return;
		}
		b->window |= (uint64_t)byte << (56 - b->have);
		b->have += 8;
	}
}

/* A code that is longer than LOOK bits, or none at all. */
static struct step long_step(const struct huffman *table, unsigned kind, uint64_t window)
{
	for (unsigned length = LOOK + 1; length <= CODE_MAX; length++) {
		int32_t code = (int32_t)(window >> (64 - length));
		if (code <= table->last[length])
			return step_of(kind, table->definition[17 + code + table->first[length]], length);
	}
	return (struct step){ 0, 0 };
}

/* The longest code with its value: 16 + 11 bits, so that two fit into what refill leaves at least. */
static inline struct step take(struct bits *b, const struct huffman *table, unsigned kind)
{
	if (b->have < 32)
		refill(b);
	struct step step = table->look[b->window >> (64 - LOOK)];
	if (!step.bits)
		step = long_step(table, kind, b->window);
	if (step.bits > b->have)
		return (struct step){ 0, 0 };
	b->window <<= step.bits; /* at most 27 */
	b->have -= step.bits;
	return step;
}

static inline bool block(struct bits *b, const struct huffman *dc, const struct huffman *ac)
{
	if (!take(b, dc, 0).bits)
		return false;
	for (unsigned k = 1; k < BLOCK;) {
		struct step step = take(b, ac, 1);
		if (!step.bits)
			return false;
		if (step.coefficients == BLOCK)
			return true;
		k += step.coefficients;
		if (k > BLOCK)
			return false;
	}
	return true;
}

/* A.2: of each 16 by 16 pixels four blocks of the first component and one of each of the others. */
static const char *coded(const struct gr_guard_jpeg *jpeg, const struct picture *p, const uint8_t *untrusted, size_t n,
			 uint16_t w, uint16_t h)
{
	struct bits b = { .at = untrusted, .end = untrusted + n };
	size_t units = (size_t)((w + 15u) / 16) * ((h + 15u) / 16);
	for (size_t i = 0; i < units; i++)
		for (unsigned k = 0; k < 6; k++) {
			unsigned component = k < 4 ? 0 : k - 3;
			if (!block(&b, &jpeg->tables[0][p->scan_table[0][component]],
				   &jpeg->tables[1][p->scan_table[1][component]]))
				return "JPEG: broken coded data";
		}
	if (b.broken || b.at != b.end || b.have >= 8)
		return "JPEG: more coded data than the picture has";
	if (b.have && b.window >> (64 - b.have) != (1u << b.have) - 1)
		return "JPEG: coded data that is not padded by ones";
	return NULL;
}

/* No marker in the coded data: 0xff only with a 0 behind it. */
static bool is_stuffed(const uint8_t *untrusted, size_t n)
{
	const uint8_t *end = untrusted + n, *ff = untrusted;
	while (ff < end && (ff = memchr(ff, 0xff, (size_t)(end - ff)))) {
		if (ff + 1 == end || ff[1] != 0)
			return false;
		ff += 2;
	}
	return true;
}

const char *gr_guard_jpeg_check(struct gr_guard_jpeg *jpeg, const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h,
				bool strict)
{
	struct picture p = { 0 };
	if (n < 4 || untrusted[0] != 0xff || untrusted[1] != SOI || untrusted[n - 2] != 0xff || untrusted[n - 1] != EOI)
		return "JPEG: no SOI or no EOI";
	size_t end = n - 2; /* where EOI is */
	for (size_t at = 2; end - at >= 4;) {
		const uint8_t *segment = untrusted + at + 4;
		size_t length = u16(untrusted + at + 2);
		if (untrusted[at] != 0xff || length < 2 || length > end - at - 2)
			return "JPEG: a broken segment";
		const char *rule;
		switch (untrusted[at + 1]) {
		case DQT: rule = quantisers(&p, segment, length - 2); break;
		case DHT: rule = huffman_tables(jpeg, &p, segment, length - 2); break;
		case SOF0: rule = frame(&p, segment, length - 2, w, h); break;
		case SOS:
			rule = scan(&p, segment, length - 2);
			at += 2 + length;
			if (!rule && !is_stuffed(untrusted + at, end - at))
				rule = "JPEG: a marker in the coded data";
			if (!rule && strict)
				rule = coded(jpeg, &p, untrusted + at, end - at, w, h);
			return rule;
		default: rule = "JPEG: a segment that is not permitted";
		}
		if (rule)
			return rule;
		at += 2 + length;
	}
	return "JPEG: no scan";
}
