/* What garasuctl shows of answers about the policy: for people, and (json) for programs. */
#ifndef GARASU_BROKER_ADMIN_SHOW_H
#define GARASU_BROKER_ADMIN_SHOW_H

#include "broker/admin/admin.h"

#include <stddef.h>

/* Of STATUS: who is cut off, since when, by whom and why; json: as a member behind others. */
void gr_show_cutoffs(const struct gr_admin_answer *rows, size_t count, int json);
/* Of PENDING. */
void gr_show_pending(const struct gr_admin_answer *rows, size_t count, int json);
/* Of RELOAD and all others that change something: findings or differences, then what became of it. */
void gr_show_done(const struct gr_admin_answer *rows, size_t count, const struct gr_admin_answer *done, int json);

/* garasuctl check: looks at the file without a broker; returns the exit status. */
int gr_show_check(const char *file);

#endif
