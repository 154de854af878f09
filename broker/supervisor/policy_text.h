/*
 * The bytes of a configuration file, read once: they are parsed, hashed and copied from memory, so that what was checked is what
 * counts. The copy is what the broker's processes read: the file itself counts for nobody before it is applied.
 */
#ifndef GARASU_BROKER_SUPERVISOR_POLICY_TEXT_H
#define GARASU_BROKER_SUPERVISOR_POLICY_TEXT_H

#include "broker/config/config.h"

#define GR_POLICY_COPY "policy.conf" /* in run_directory and in the state folder */
#define GR_POLICY_TEXT_MAX (16u << 20) /* bytes */

/* Zeroed, or owned bytes with one zero behind them. */
struct gr_policy_text {
	char *bytes;
	size_t size;
	char sha256[65]; /* hexadecimal */
};

/* GR_ENOENT, GR_EIO, GR_ENOMEM; GR_EFULL: too long. */
int gr_policy_text_read(struct gr_policy_text *text, const char *file, struct gr_error *err);
/* From a copy of the bytes. GR_ENOMEM. */
int gr_policy_text_set(struct gr_policy_text *text, const char *bytes, size_t size);
void gr_policy_text_finish(struct gr_policy_text *text);

/* Parses it over the defaults, name standing for the file in errors. As gr_config_read. */
int gr_policy_text_parse(const struct gr_policy_text *text, const char *name, struct gr_config *out,
			 struct gr_error *err);

/* Puts it where path is, mode 0400, in place of what is there: whoever opens path sees one or the other. GR_EIO. */
int gr_policy_text_copy(const struct gr_policy_text *text, const char *path, struct gr_error *err);

#endif
