/* What the pool's process for the containers' log lines may still do once it is confined. */
#ifndef GARASU_BROKER_POOL_POLICY_H
#define GARASU_BROKER_POOL_POLICY_H

#include "common/confine.h"

extern const struct gr_confine_policy gr_relay_policy;

#endif
