/*
 * The encoder: pixels and damage in, RFB rectangles out. No I/O, no globals, no allocation but where it is said, the same
 * output for the same input, times and settings.
 *
 * One encoder belongs to one browsing session and outlives its viewers: it keeps the private copy of the container's
 * screen, the shadow. The container can rewrite its pixels at any time; gr_encoder_take reads them once, and everything
 * that is sent comes from the shadow. What a viewer was shown is known per connection and starts anew with each, so that
 * nothing of one connection helps to compress another's.
 *
 *     create ─ take* ─ start ─ (take | write)* ─ stop ─ take* ─ start … ─ destroy
 *
 * Pixels are BGRX8888 in host memory: 4 bytes each, X ignored and never sent; x grows right, y down; widths and heights in
 * pixels, strides in bytes. Times are milliseconds of a monotonic clock, of which only differences matter.
 */
#ifndef GARASU_BROKER_ENCODE_ENCODE_H
#define GARASU_BROKER_ENCODE_ENCODE_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

/* What the viewer can decode. */
enum gr_encode_form {
	GR_ENCODE_TIGHT, /* RFB encodings 7 (Tight) and 1 (CopyRect): RFC 6143 and the RFB registry */
	GR_ENCODE_GARASU, /* docs/PROTOCOL.md, "Garasu rectangles", and CopyRect */
};

#define GR_ENCODE_HISTORY_MIN 20u /* log2 of bytes */
#define GR_ENCODE_HISTORY_MAX 25u
#define GR_ENCODE_OUT_MIN (1u << 20) /* bytes of output that one call must be able to write */

/*
 * For a viewer on a fast network. Photographs at 82, 4:2:0, are as like their original as libvncserver's Tight at 92, 4:4:4, when
 * judged by SSIM, within 0.005 (garasu-bench); whoever looks at one for longer than the pauses in scrolling sees it exactly.
 */
#define GR_ENCODE_HISTORY_LOG2 24u
#define GR_ENCODE_PHOTO_QUALITY 82u
#define GR_ENCODE_VIDEO_QUALITY 60u
#define GR_ENCODE_REFINE_AFTER_MS 1500u

struct gr_encode_settings {
	enum gr_encode_form form;
	int copy_rect; /* the viewer decodes CopyRect; always with GR_ENCODE_GARASU */
	unsigned history_log2; /* bytes of history that both sides keep, GARASU only: GR_ENCODE_HISTORY_MIN..MAX */
	unsigned
		photo_quality; /* JPEG quality of photographs shown for the first time, 1..100; 0 = everything lossless */
	unsigned video_quality; /* of what changes all the time; 1..100, ignored when photo_quality is 0 */
	unsigned refine_after_ms; /* how long a lossy area must be quiet before it is sent exactly; 0 = never */
};

struct gr_encoder;

/*
 * Returns an owned encoder for a screen of w by h pixels (1..GR_SCREEN_MAX each), all black, without a viewer; NULL: a size
 * out of its range, or out of memory.
 */
struct gr_encoder *gr_encoder_create(uint16_t w, uint16_t h);
void gr_encoder_destroy(struct gr_encoder *e); /* NULL allowed */

/*
 * Another size; what both have in common stays in the shadow, the rest is black. All of it counts as not yet sent.
 * GR_EINVAL, GR_ENOMEM: nothing changed.
 */
int gr_encoder_resize(struct gr_encoder *e, uint16_t w, uint16_t h);
uint16_t gr_encoder_width(const struct gr_encoder *e);
uint16_t gr_encoder_height(const struct gr_encoder *e);

/* The shadow, stride = width * 4, X undefined; borrowed, valid until the next resize. */
const uint32_t *gr_encoder_pixels(const struct gr_encoder *e);

/*
 * A viewer comes: an empty history, nothing sent yet. Allocates what the form needs. GR_EINVAL: a setting out of its range;
 * GR_ENOMEM: no viewer then. An earlier viewer is stopped first.
 */
int gr_encoder_start(struct gr_encoder *e, const struct gr_encode_settings *settings);
/* The viewer is gone: frees its history. Harmless without one. */
void gr_encoder_stop(struct gr_encoder *e);

/* Other qualities from now on, as in the settings; while a viewer is there. GR_EINVAL: out of range. */
int gr_encoder_quality(struct gr_encoder *e, unsigned photo_quality, unsigned video_quality);

/* From now on nothing is sent lossy, and what was is pending at once; or as the settings say again. */
void gr_encoder_exact(struct gr_encoder *e, int on);

/*
 * How many bytes a slice should take from now on: once it has so many, nothing more is begun (it may exceed them by a photograph,
 * or by what a history unit of 128 KiB of tokens is compressed to). 0, as at the start: only pixels count.
 */
void gr_encoder_slice(struct gr_encoder *e, size_t bytes);

/* Where the person looks, around the pointer or the caret: of a large change this part goes first. w = 0: nowhere. */
void gr_encoder_focus(struct gr_encoder *e, struct gr_rect focus);

/* Everything, or a rectangle of it (clipped), counts as not yet sent: a request that is not incremental. */
void gr_encoder_forget(struct gr_encoder *e, struct gr_rect rect);

/*
 * Looks at the damaged rectangles of the source and takes what really changed into the shadow. Finds what has merely moved.
 *
 * untrusted_source  borrowed, at least the shadow's size, stride bytes a row; may be rewritten by somebody else meanwhile:
 *                   what is kept of a pixel was read from it once. (The search for motion reads it before, as a guess.)
 * damage            borrowed, n entries; parts outside the screen are ignored.
 * Returns the number of pixels that changed and did not merely move.
 */
size_t gr_encoder_take(struct gr_encoder *e, const uint8_t *untrusted_source, size_t stride,
		       const struct gr_rect *damage, size_t n, uint64_t now_ms);

/* 1 when gr_encoder_write has something to write now: changes, or a refinement that is due. */
int gr_encoder_pending(const struct gr_encoder *e, uint64_t now_ms);

/* Milliseconds until a refinement is due (0: now), or -1: nothing lossy is on the viewer's screen. */
int64_t gr_encoder_refinement_in(const struct gr_encoder *e, uint64_t now_ms);

/*
 * Writes rectangles of a FramebufferUpdate (each with its 12-byte header, without the message's): all that is pending, or
 * as much as one slice takes, so that a large change's first part leaves while the next is made; gr_encoder_pending then
 * stays 1. Changes go before refinements.
 *
 * out       borrowed, cap bytes, cap >= GR_ENCODE_OUT_MIN
 * rects_out how many were written, at most 65534
 * Returns the bytes written; 0: nothing was pending. GR_EINVAL: no viewer or cap too small. GR_ENOMEM: a compressor
 * failed, the viewer must go. (libjpeg takes its working memory for each photograph; nothing else is allocated here.)
 */
ptrdiff_t gr_encoder_write(struct gr_encoder *e, uint64_t now_ms, uint8_t *out, size_t cap, unsigned *rects_out);

/* What was done since start, for figures and tests. */
struct gr_encode_counters {
	uint64_t copied, lossless, lossy, refined; /* pixels, since start */
	uint64_t history_bytes; /* what went into the history, since start */
};
void gr_encoder_counters(const struct gr_encoder *e, struct gr_encode_counters *out);

#endif
