/* What garasu-session may still do once it is confined: docs/THREATS.md lists all of them. */
#ifndef GARASU_BROKER_SESSION_POLICY_H
#define GARASU_BROKER_SESSION_POLICY_H

#include "common/confine.h"

extern const struct gr_confine_policy gr_session_policy;

#endif
