/*
 * The bytes that the guard of a connection did not let through, kept for the administrator: files in the folder "violations"
 * of the audit directory, which only root can read. Nothing here looks into them.
 */
#ifndef GARASU_BROKER_SUPERVISOR_EVIDENCE_H
#define GARASU_BROKER_SUPERVISOR_EVIDENCE_H

#include "common/error.h"

#include <stdint.h>

#define GR_EVIDENCE_MAX 65536 /* bytes of one file */
#define GR_EVIDENCE_FILES_MAX                                                                                          \
	100 /* the first are the most telling: then no more are kept until somebody removes some */
#define GR_EVIDENCE_FOLDER "violations"

/*
 * Copies a memfd that is sealed against every change (borrowed) to a new file. name: of the file, relative to the audit
 * directory. GR_EPROTO: no such memfd, or too large a one; GR_EFULL: there are enough; GR_EIO.
 */
int gr_evidence_keep(const char *audit_directory, uint32_t connection, int untrusted_fd, char name[64],
		     struct gr_error *err);

#endif
