/*
 * What garasu-forward remembers: the newest tree head that it has checked, and how far the syslog server has the record. One
 * small file in a folder of its own, audit.directory/forward/state, lines "name=value" in this order:
 *
 *   sent=N          the record up to N was handed over
 *   sent_heads=N    and heads.log up to this byte
 *   heads=N         heads.log up to the end of the head that was checked last
 *   leaf=HEX        the leaf hash of the last record under it
 *   tree=HEX…       the roots of the perfect subtrees under it, the largest first (tree.h)
 *   head=LINE       itself
 *
 * Before the first head the last four are missing. Reading and writing the text is pure.
 */
#ifndef GARASU_BROKER_FORWARD_STATE_H
#define GARASU_BROKER_FORWARD_STATE_H

#include "broker/audit/head.h"

#define GR_FORWARD_DIRECTORY "forward"
#define GR_FORWARD_STATE_FILE "state"
#define GR_FORWARD_STATE_MAX 6144 /* bytes of the file */

struct gr_forward_state {
	uint64_t sent, sent_heads;
	uint64_t heads; /* 0 = no head yet */
	uint8_t leaf[GR_TREE_HASH];
	struct gr_tree tree; /* size = the head's */
	size_t length;
	char head[GR_HEAD_LINE_MAX]; /* without newline, terminated */
};

/* Returns the length. */
size_t gr_forward_state_format(const struct gr_forward_state *state, char out[GR_FORWARD_STATE_MAX]);
/* GR_EPROTO: it is not what was written. */
int gr_forward_state_parse(const char *untrusted_text, size_t n, struct gr_forward_state *out);

/* From the folder (borrowed). Zeroed when there is no such file yet. GR_EPROTO, GR_EIO. */
int gr_forward_state_load(int directory, struct gr_forward_state *out, struct gr_error *err);
/* Replaces the file: after a crash it is the old or the new one, whole. GR_EIO. */
int gr_forward_state_save(int directory, const struct gr_forward_state *state, struct gr_error *err);

/* The same of any small file, by way of a file ".new". GR_EIO. */
int gr_forward_write_file(int directory, const char *name, const void *bytes, size_t n, struct gr_error *err);

#endif
