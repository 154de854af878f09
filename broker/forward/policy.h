/* What garasu-forward may still do once it is confined: docs/THREATS.md lists all of them. */
#ifndef GARASU_BROKER_FORWARD_POLICY_H
#define GARASU_BROKER_FORWARD_POLICY_H

#include "common/confine.h"

extern const struct gr_confine_policy gr_forward_policy;

#endif
