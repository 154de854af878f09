/* garasu-broker --check: what can be found out about a configuration without starting anything. */
#ifndef GARASU_BROKER_SUPERVISOR_CHECK_H
#define GARASU_BROKER_SUPERVISOR_CHECK_H

#include "broker/config/config.h"

/* One problem: "FILE:LINE: section.key: what is wrong"; without the line when the file leaves the default. */
typedef void (*gr_check_found)(void *context, const char *problem);

/* Looks at the files and folders that the configuration names; returns the number of problems told. */
unsigned gr_check(const struct gr_config *config, gr_check_found found, void *context);

/* The line of file on which section's key is set; 0 = it is not, or the file cannot be read. */
unsigned gr_check_line(const char *file, const char *section, const char *key);

#endif
