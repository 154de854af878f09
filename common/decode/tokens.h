/*
 * The tokens of a unit: what a HISTORY rectangle's payload is once it is inflated (docs/PROTOCOL.md, "Garasu rectangles").
 * Encoder and decoder share these numbers and no code.
 *
 * A unit is a sequence of pieces, each x, y, w, h (u16, big-endian; on the screen, inside the RFB rectangle) and then h rows,
 * each of tokens for exactly w pixels. The two upper bits of a token's first byte say what follows.
 */
#ifndef GARASU_COMMON_DECODE_TOKENS_H
#define GARASU_COMMON_DECODE_TOKENS_H

#define GR_UNIT_MAX (128u << 10) /* bytes of one unit: the size of a zstd block */
#define GR_PIECE_HEADER 8u /* bytes */

#define GR_TOKEN_LEFT 0x00u /* run of the pixel to the left */
#define GR_TOKEN_ABOVE 0x40u /* run of the pixels above, not in a piece's first row */
#define GR_TOKEN_GREY 0x80u /* 1..64 grey pixels, one byte each: the level */
#define GR_TOKEN_COLOUR 0xc0u /* 1..64 pixels, three bytes each, mod 256: G, B - G, R - G */
#define GR_TOKEN_KIND 0xc0u
#define GR_TOKEN_LITERALS_MAX 64u

/*
 * In w's upper bit: this piece is a photograph. The bytes of COLOUR are then of the pixel less the one expected, component by
 * component: what the median predictor of JPEG-LS (ITU-T T.87, A.4.2) makes of the pixels to the left, above, and above left;
 * the pixel above where there is none to the left, the one to the left where there is none above.
 */
#define GR_PIECE_MEDIAN 0x8000u

/* The lower six bits of a run: 0..60 = length - 1; otherwise bytes follow, big-endian. */
#define GR_TOKEN_RUN_SHORT 61u /* the longest without a byte of its own */
#define GR_TOKEN_RUN_BYTE 61u /* u8: length - 62 */
#define GR_TOKEN_RUN_BYTE_MAX 317u
#define GR_TOKEN_RUN_WORD 62u /* u16: length - 318 */
#define GR_TOKEN_RUN_WORD_MAX (318u + 65535u)

#define GR_TOKEN_FIRST_LEFT 0x00ffffffu /* what is to the left of a row's first pixel: white, as pages are */

#endif
