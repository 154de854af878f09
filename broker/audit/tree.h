/*
 * The Merkle tree of RFC 9162 §2.1 over leaf hashes: its root while it grows, and proofs. No input or output here.
 */
#ifndef GARASU_BROKER_AUDIT_TREE_H
#define GARASU_BROKER_AUDIT_TREE_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define GR_TREE_HASH 32 /* bytes */
#define GR_TREE_DEPTH_MAX 63
#define GR_TREE_PROOF_MAX 126 /* hashes of one proof */

/* A tree that grows: the roots of the perfect subtrees that it consists of, the largest first. Zeroed = empty. */
struct gr_tree {
	uint64_t size; /* leaves */
	uint8_t peaks[GR_TREE_DEPTH_MAX + 1][GR_TREE_HASH]; /* by height: that of bit h of size */
};

/* SHA-256(0x00 ‖ bytes) and SHA-256(0x01 ‖ left ‖ right). out may be left or right. GR_EIO when libcrypto fails. */
int gr_tree_leaf(const void *bytes, size_t n, uint8_t out[GR_TREE_HASH]);
int gr_tree_node(const uint8_t left[GR_TREE_HASH], const uint8_t right[GR_TREE_HASH], uint8_t out[GR_TREE_HASH]);

/* Adds a perfect subtree of 2^height leaves (0: one leaf); size must be a multiple of 2^height. GR_EINVAL, GR_EIO. */
int gr_tree_append(struct gr_tree *tree, unsigned height, const uint8_t root[GR_TREE_HASH]);

/* Of an empty tree: SHA-256 of nothing. GR_EIO. */
int gr_tree_root(const struct gr_tree *tree, uint8_t out[GR_TREE_HASH]);

/*
 * Where proofs get hashes from: the root of the perfect subtree of 2^height leaves that begins with leaf first (from 0), a
 * multiple of 2^height. Returns 0 or an error, which the proof returns.
 */
typedef int (*gr_tree_subtree)(void *context, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH]);

/* RFC 9162 §2.1.3.1 and §2.1.4.1. index from 0. GR_EINVAL when index ≥ size, or old is 0 or > size. */
int gr_tree_inclusion(gr_tree_subtree subtree, void *context, uint64_t index, uint64_t size,
		      uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH], size_t *count_out);
int gr_tree_consistency(gr_tree_subtree subtree, void *context, uint64_t old, uint64_t size,
			uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH], size_t *count_out);

/* RFC 9162 §2.1.3.2 and §2.1.4.2. GR_EPROTO when the proof does not show it. */
int gr_tree_verify_inclusion(const uint8_t leaf[GR_TREE_HASH], uint64_t index, uint64_t size,
			     const uint8_t root[GR_TREE_HASH], const uint8_t (*untrusted_proof)[GR_TREE_HASH],
			     size_t count);
int gr_tree_verify_consistency(uint64_t old, const uint8_t old_root[GR_TREE_HASH], uint64_t size,
			       const uint8_t root[GR_TREE_HASH], const uint8_t (*untrusted_proof)[GR_TREE_HASH],
			       size_t count);

#endif
