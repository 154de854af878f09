#include "broker/audit/tool/check.h"

int gr_check_tokens_list(struct gr_check *check, struct gr_error *err)
{
	(void)check;
	(void)err;
	return 0;
}

int gr_check_token(struct gr_check *check, const struct gr_check_heads *heads, struct gr_error *err)
{
	(void)check;
	(void)heads;
	(void)err;
	return 0;
}
