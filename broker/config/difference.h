/*
 * What differs between two configurations, in words, one difference a line, as the audit record and administrators get them:
 *
 *     limits idle_minutes: 60 -> 30
 *     group "広報課" recording: none -> required
 *     group "広報課" persons: added "sato"
 *     egress deny: removed ".example", ".sns.example:443"
 *
 * Lists are compared as sets: the order of their entries means nothing anywhere. Of a group that only one of the two has, every
 * value of its own follows behind a line `group "…": added`.
 */
#ifndef GARASU_BROKER_CONFIG_DIFFERENCE_H
#define GARASU_BROKER_CONFIG_DIFFERENCE_H

#include "broker/config/config.h"

#define GR_DIFFERENCE_TEXT 240 /* bytes of one difference with its terminator; long values are cut, with "…" */

/* restart: it is of what counts only for a broker that is started anew. */
typedef void (*gr_difference_found)(void *context, int restart, const char *text);

/* Tells every difference, sections in the order of config.c, then groups. GR_ENOMEM; something may be told already then. */
int gr_config_difference(const struct gr_config *before, const struct gr_config *after, gr_difference_found found,
			 void *context);

/* Gives config what counts at once (the differences with restart = 0) of next, and next what config had. */
void gr_config_apply(struct gr_config *config, struct gr_config *next);

#endif
