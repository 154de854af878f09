/*
 * Proofs (RFC 9162 §2.1.3, §2.1.4) as text, which can be checked without the record. Lines:
 *
 *   garasu-audit proof: inclusion          or: consistency
 *   record <the record's line>             or: head <the older tree head>
 *   head <the tree head>                       head <the newer tree head>
 *   hash <64 hex>                          as many as the proof has, in its order
 */
#ifndef GARASU_AUDIT_TOOL_PROOF_H
#define GARASU_AUDIT_TOOL_PROOF_H

#include "broker/audit/tool/tool.h"

#define GR_PROOF_MAX (64u << 10) /* bytes of the text */

struct gr_proof_head {
	struct gr_head head;
	char text[GR_HEAD_LINE_MAX]; /* its line, terminated */
};

struct gr_proof {
	uint64_t sequence; /* of the record; 0: a proof of consistency */
	char record[GR_AUDIT_LINE_MAX];
	uint8_t leaf[GR_TREE_HASH];
	struct gr_proof_head old, head;
	uint8_t hashes[GR_TREE_PROOF_MAX][GR_TREE_HASH];
	size_t count;
};

/* size 0: the newest tree head. GR_ENOENT: there is no such record or head; GR_EPROTO: the record is not what the head binds. */
int gr_proof_inclusion(struct gr_proof *out, struct gr_tool_log *log, uint64_t sequence, uint64_t size,
		       struct gr_error *err);
int gr_proof_consistency(struct gr_proof *out, struct gr_tool_log *log, uint64_t old, uint64_t size,
			 struct gr_error *err);

/* Reads a text. With keys the heads must be signed with one of them. GR_EPROTO. */
int gr_proof_read(struct gr_proof *out, const char *untrusted_text, size_t n, EVP_PKEY *const *keys, size_t count,
		  struct gr_error *err);
/* Whether it proves what it says. GR_EPROTO. */
int gr_proof_check(const struct gr_proof *proof, struct gr_error *err);

#endif
