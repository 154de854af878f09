/* What the viewer's two processes that meet the broker's bytes may still do once they are confined. */
#ifndef GARASU_VIEWER_POLICY_H
#define GARASU_VIEWER_POLICY_H

#include "common/confine.h"

/* Before the first byte of the server: no files, no network, no other process. */
extern const struct gr_confine_policy gr_decoder_policy;

/* Once it is connected and has its certificates: the same, and what a TCP socket and a stream take. */
extern const struct gr_confine_policy gr_transport_policy;

#endif
