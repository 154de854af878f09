/* A forked child that puts itself under a policy and then does something: what became of it. */
#ifndef GARASU_TESTS_UNIT_POLICY_CHILD_H
#define GARASU_TESTS_UNIT_POLICY_CHILD_H

#include "common/confine.h"

/* Ends by _exit with another status than 0 when something that must work does not. */
typedef void (*policy_deed)(void);

/* The wait status of the child; 99 as exit status: it could not be confined. As another user when this is root. */
int policy_child(const struct gr_confine_policy *policy, int directory, policy_deed deed);

/* What no process here may do, each by a call that would harm nobody; ends with name NULL. */
struct policy_forbidden {
	const char *name;
	policy_deed deed;
};
extern const struct policy_forbidden policy_forbidden[];

/* Each of policy_forbidden must kill by SIGSYS, but those named in except (NULL ends). */
void policy_assert_kills(const struct gr_confine_policy *policy, const char *const *except);

/* Memory, clocks, random bytes, a log line, abort(3): what every process may. */
void policy_assert_common(const struct gr_confine_policy *policy);

#endif
