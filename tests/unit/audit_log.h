/* Makes a record's files for tests, in a folder of its own, with a key of its own. */
#ifndef GARASU_TESTS_AUDIT_LOG_H
#define GARASU_TESTS_AUDIT_LOG_H

#include "broker/audit/head.h"
#include "broker/audit/segment.h"

#include <stdio.h>

struct audit_log {
	char directory[64];
	int log; /* the folder of the segments */
	FILE *segment, *heads;
	EVP_PKEY *key;
	uint64_t count;
	uint8_t leaf[GR_TREE_HASH];
	struct gr_tree tree;
	struct timespec now; /* of the next record; it goes on by a second each */
};

void audit_log_begin(struct audit_log *log);
void audit_log_add(struct audit_log *log, const struct gr_audit_event *event);
void audit_log_head(struct audit_log *log); /* of what is there */
void audit_log_flush(struct audit_log *log);
void audit_log_end(struct audit_log *log); /* removes it */

/* A whole file of it, owned and terminated; and the other way. */
char *audit_log_read(const struct audit_log *log, const char *name, size_t *n_out);
void audit_log_write(const struct audit_log *log, const char *name, const char *bytes, size_t n);

/* An egress request of this person in this session. */
struct gr_audit_event audit_log_request(const char *person, uint64_t session, const char *target);

#endif
