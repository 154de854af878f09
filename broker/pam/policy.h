/* What garasu-pam keeps of root's powers: docs/decisions/0013-pam.md. */
#ifndef GARASU_BROKER_PAM_POLICY_H
#define GARASU_BROKER_PAM_POLICY_H

#include "common/confine.h"

#include <linux/capability.h>

/* libpam writes each login into the kernel's audit log, and fails as root when that is refused. */
#define GR_PAM_CAPABILITIES (1ull << CAP_AUDIT_WRITE)

#endif
