/* What can be found out about a configuration without starting anything: garasu-broker --check, garasuctl check, every reload. */
#ifndef GARASU_BROKER_CONFIG_CHECK_H
#define GARASU_BROKER_CONFIG_CHECK_H

#include "broker/config/config.h"

/*
 * One finding: "FILE:LINE: section.key: what is wrong"; without the line when the file leaves the default. warning: the broker
 * can run with it, but somebody should know.
 */
typedef void (*gr_check_found)(void *context, int warning, const char *finding);

/*
 * Looks at the files, folders and users that the configuration names; returns the number of findings that are not warnings. Asks the
 * system's user database.
 */
unsigned gr_check(const struct gr_config *config, gr_check_found found, void *context);

/*
 * The line of file on which section's key is set; 0 = it is not, or the file cannot be read. A group's section is
 * `group "NAME"`.
 */
unsigned gr_check_line(const char *file, const char *section, const char *key);

#endif
