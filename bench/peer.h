/*
 * The peer: the Tight encoder of libvncserver, as its viewers get it: quality level 8, compression level 2, CopyRect,
 * LastRect, one thread, no comparison and no scroll detection of its own. It is given its best: updates are written to
 * memory, and maxRectsPerUpdate, above which libvncserver sends the bounding box instead (50), is as high as RFB permits.
 */
#ifndef GARASU_BENCH_PEER_H
#define GARASU_BENCH_PEER_H

#include "bench/codec.h"

extern const struct gr_codec gr_codec_peer;

#endif
