#include "broker/guard/state.h"
int gr_guard_up_create(struct gr_guard *guard)
{
	(void)guard;
	return 0;
}
void gr_guard_up_destroy(struct gr_guard *guard)
{
	(void)guard;
}
