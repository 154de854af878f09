/* What garasu-egress may still do once it is confined: docs/THREATS.md lists all of them. */
#ifndef GARASU_BROKER_EGRESS_POLICY_H
#define GARASU_BROKER_EGRESS_POLICY_H

#include "common/confine.h"

extern const struct gr_confine_policy gr_egress_policy;

#endif
