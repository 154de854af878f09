/* Our encoder (broker/encode/encode.h) as the benchmark measures it: with its comparison, as a session would drive it. */
#ifndef GARASU_BENCH_ENCODER_H
#define GARASU_BENCH_ENCODER_H

#include "bench/codec.h"

extern const struct gr_codec gr_codec_encoder;

#endif
