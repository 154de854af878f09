/* What the upstream proxy is shown: HTTP's Basic scheme (RFC 7617). */
#ifndef GARASU_BROKER_EGRESS_CREDENTIALS_H
#define GARASU_BROKER_EGRESS_CREDENTIALS_H

#include "common/error.h"

#define GR_CREDENTIALS_MAX 256u /* bytes of "user:password" */
#define GR_CREDENTIALS_HEADER (6 + (GR_CREDENTIALS_MAX + 2) / 3 * 4 + 1) /* "Basic …", terminated */

/*
 * Reads a file with one line "user:password" and writes the value of Proxy-Authorization. GR_EDENIED when others than its owner
 * may read it, GR_EINVAL when it is not such a line, GR_EIO. Nothing of the content gets into *err.
 */
int gr_credentials_read(const char *path, char out[GR_CREDENTIALS_HEADER], struct gr_error *err);

#endif
