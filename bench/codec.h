/*
 * What the benchmark measures: something that is told of changes and writes FramebufferUpdate messages. Two stand behind
 * this table: our encoder (encoder.c) and libvncserver's (peer.c). Each runs in a process of its own (worker.h).
 */
#ifndef GARASU_BENCH_CODEC_H
#define GARASU_BENCH_CODEC_H

#include "common/error.h"
#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

/* Settings of either; each looks at its own. */
struct gr_codec_settings {
	int garasu; /* our encoder's form: Garasu's own rectangles, not Tight */
	unsigned history_log2;
	unsigned photo_quality, video_quality, refine_after_ms; /* as broker/encode/encode.h has them */
};

/* Memory that the codec's process shares with the one that replays. */
struct gr_codec_memory {
	uint16_t w, h;
	const uint32_t *pixels; /* the screen, rows of w BGRX8888 pixels */
	uint8_t *out; /* capacity bytes; the mapping of out_fd from offset 0 */
	size_t capacity;
	int out_fd;
};

struct gr_codec {
	const char *name;
	int take_counts; /* take's time is part of the encoding */
	/* memory and settings are borrowed until close. Returns an owned state in *out; a negative gr_status. */
	int (*open)(const struct gr_codec_memory *memory, const struct gr_codec_settings *settings, void **out,
		    struct gr_error *err);
	void (*close)(void *state);
	/* The screen was damaged in these rectangles (borrowed). */
	void (*take)(void *state, const struct gr_rect *rects, size_t n, uint64_t now_ms);
	/* 1: write has something to write. */
	int (*pending)(void *state, uint64_t now_ms);
	/* Milliseconds until a refinement is due; -1: none is. */
	int64_t (*refinement_in)(void *state, uint64_t now_ms);
	/* Writes one whole FramebufferUpdate to out + at; its length, 0 when nothing was pending, or a negative gr_status. */
	ptrdiff_t (*write)(void *state, size_t at, uint64_t now_ms);
	/* Bytes that belong to the session and not to the codec: its private copy of the screen. */
	size_t (*shadow_size)(void *state);
};

/* The most that one write may need behind `at`, for a screen of w by h. */
static inline size_t gr_codec_room(uint16_t w, uint16_t h)
{
	return (size_t)w * h * 5 + (4u << 20);
}

#endif
