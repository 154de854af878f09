#include "broker/audit/tree.h"

#include <openssl/evp.h>
#include <string.h>

/*
 * One context a thread, set up once: a hash with a context of its own takes three times as long, and verifying a year's
 * record is little else.
 */
static EVP_MD_CTX *begin_hash(void)
{
	static _Thread_local EVP_MD_CTX *context;
	if (context)
		return EVP_DigestInit_ex(context, NULL, NULL) == 1 ? context : NULL;
	context = EVP_MD_CTX_new();
	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		return context;
	EVP_MD_CTX_free(context);
	context = NULL;
	return NULL;
}

static int hash_parts(uint8_t prefix, const void *first, size_t n, const void *second, size_t m,
		      uint8_t out[GR_TREE_HASH])
{
	EVP_MD_CTX *context = begin_hash();
	unsigned size = 0;
	if (!context || EVP_DigestUpdate(context, &prefix, 1) != 1 || EVP_DigestUpdate(context, first, n) != 1 ||
	    EVP_DigestUpdate(context, second, m) != 1 || EVP_DigestFinal_ex(context, out, &size) != 1)
		return GR_EIO;
	return 0;
}

int gr_tree_leaf(const void *bytes, size_t n, uint8_t out[GR_TREE_HASH])
{
	return hash_parts(0, bytes, n, NULL, 0, out);
}

int gr_tree_node(const uint8_t left[GR_TREE_HASH], const uint8_t right[GR_TREE_HASH], uint8_t out[GR_TREE_HASH])
{
	return hash_parts(1, left, GR_TREE_HASH, right, GR_TREE_HASH, out);
}

/* ---- the tree that grows ---- */

int gr_tree_append(struct gr_tree *tree, unsigned height, const uint8_t root[GR_TREE_HASH])
{
	uint8_t hash[GR_TREE_HASH];
	unsigned at = height;
	if (height >= GR_TREE_DEPTH_MAX || tree->size >> GR_TREE_DEPTH_MAX ||
	    tree->size & ((UINT64_C(1) << height) - 1))
		return GR_EINVAL;
	memcpy(hash, root, sizeof(hash));
	for (; tree->size >> at & 1; at++)
		if (gr_tree_node(tree->peaks[at], hash, hash) != 0)
			return GR_EIO;
	memcpy(tree->peaks[at], hash, sizeof(hash));
	tree->size += UINT64_C(1) << height;
	return 0;
}

int gr_tree_root(const struct gr_tree *tree, uint8_t out[GR_TREE_HASH])
{
	uint8_t hash[GR_TREE_HASH];
	int begun = 0;
	if (tree->size == 0) {
		EVP_MD_CTX *context = begin_hash();
		return context && EVP_DigestFinal_ex(context, out, NULL) == 1 ? 0 : GR_EIO;
	}
	for (unsigned at = 0; at <= GR_TREE_DEPTH_MAX; at++) {
		if (!(tree->size >> at & 1))
			continue;
		if (!begun)
			memcpy(hash, tree->peaks[at], sizeof(hash));
		else if (gr_tree_node(tree->peaks[at], hash, hash) != 0)
			return GR_EIO;
		begun = 1;
	}
	memcpy(out, hash, sizeof(hash));
	return 0;
}

/* ---- proofs ---- */

struct proof {
	gr_tree_subtree subtree;
	void *context;
	uint8_t (*hashes)[GR_TREE_HASH];
	size_t count;
};

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* Puts MTH(D[first:first + count]) into the proof. first is a multiple of every perfect subtree in it. */
static int put_range(struct proof *proof, uint64_t first, uint64_t count)
{
	uint8_t *hash = proof->hashes[proof->count], left[GR_TREE_HASH];
	uint64_t end = first + count;
	int begun = 0;
	for (unsigned height = 0; count >> height; height++) {
		if (!(count >> height & 1))
			continue;
		end -= UINT64_C(1) << height;
		int status = proof->subtree(proof->context, end, height, begun ? left : hash);
		if (status == 0 && begun)
			status = gr_tree_node(left, hash, hash);
		if (status != 0)
			return status;
		begun = 1;
	}
	proof->count++;
	return 0;
}

static void reverse(struct proof *proof)
{
	for (size_t i = 0; i < proof->count / 2; i++) {
		uint8_t hash[GR_TREE_HASH];
		memcpy(hash, proof->hashes[i], sizeof(hash));
		memcpy(proof->hashes[i], proof->hashes[proof->count - 1 - i], sizeof(hash));
		memcpy(proof->hashes[proof->count - 1 - i], hash, sizeof(hash));
	}
}

/* Both go down from the root, as the RFC's definitions do, and so find the hashes in the opposite order. */

int gr_tree_inclusion(gr_tree_subtree subtree, void *context, uint64_t index, uint64_t size,
		      uint8_t hashes[GR_TREE_PROOF_MAX][GR_TREE_HASH], size_t *count_out)
{
	struct proof proof = { subtree, context, hashes, 0 };
	uint64_t first = 0;
	if (index >= size || size >> GR_TREE_DEPTH_MAX)
		return GR_EINVAL;
	while (size > 1) {
		uint64_t left = split(size);
		int right = index - first >= left;
		int status = right ? put_range(&proof, first, left) : put_range(&proof, first + left, size - left);
		if (status != 0)
			return status;
		first += right ? left : 0;
		size = right ? size - left : left;
	}
	reverse(&proof);
	*count_out = proof.count;
	return 0;
}

int gr_tree_consistency(gr_tree_subtree subtree, void *context, uint64_t old, uint64_t size,
			uint8_t hashes[GR_TREE_PROOF_MAX][GR_TREE_HASH], size_t *count_out)
{
	struct proof proof = { subtree, context, hashes, 0 };
	uint64_t first = 0;
	if (old == 0 || old > size || size >> GR_TREE_DEPTH_MAX)
		return GR_EINVAL;
	while (old < size) {
		uint64_t left = split(size);
		int right = old > left;
		int status = right ? put_range(&proof, first, left) : put_range(&proof, first + left, size - left);
		if (status != 0)
			return status;
		first += right ? left : 0;
		old -= right ? left : 0;
		size = right ? size - left : left;
	}
	/* Of the leftmost subtrees the old root itself is known to whoever checks. */
	if (first > 0) {
		int status = put_range(&proof, first, size);
		if (status != 0)
			return status;
	}
	reverse(&proof);
	*count_out = proof.count;
	return 0;
}

/* The step up of both verifications: past the levels where the node is the left one and has no right sibling. */
static void step_up(uint64_t *fn, uint64_t *sn)
{
	while (!(*fn & 1) && *fn) {
		*fn >>= 1;
		*sn >>= 1;
	}
}

int gr_tree_verify_inclusion(const uint8_t leaf[GR_TREE_HASH], uint64_t index, uint64_t size,
			     const uint8_t root[GR_TREE_HASH], const uint8_t (*untrusted_proof)[GR_TREE_HASH],
			     size_t count)
{
	uint8_t hash[GR_TREE_HASH];
	uint64_t fn = index, sn = size - 1;
	if (index >= size)
		return GR_EPROTO;
	memcpy(hash, leaf, sizeof(hash));
	for (size_t i = 0; i < count; i++) {
		int status;
		if (sn == 0)
			return GR_EPROTO;
		if (fn & 1 || fn == sn) {
			status = gr_tree_node(untrusted_proof[i], hash, hash);
			step_up(&fn, &sn);
		} else {
			status = gr_tree_node(hash, untrusted_proof[i], hash);
		}
		if (status != 0)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(hash, root, sizeof(hash)) == 0 ? 0 : GR_EPROTO;
}

int gr_tree_verify_consistency(uint64_t old, const uint8_t old_root[GR_TREE_HASH], uint64_t size,
			       const uint8_t root[GR_TREE_HASH], const uint8_t (*untrusted_proof)[GR_TREE_HASH],
			       size_t count)
{
	uint8_t first[GR_TREE_HASH], second[GR_TREE_HASH];
	size_t at = 0;
	if (old == 0 || old > size)
		return GR_EPROTO;
	if (old == size)
		return count == 0 && memcmp(old_root, root, GR_TREE_HASH) == 0 ? 0 : GR_EPROTO;
	if (count == 0)
		return GR_EPROTO;
	const uint8_t *begin = (old & (old - 1)) == 0 ? old_root : untrusted_proof[at++];
	uint64_t fn = old - 1, sn = size - 1;
	while (fn & 1) {
		fn >>= 1;
		sn >>= 1;
	}
	memcpy(first, begin, sizeof(first));
	memcpy(second, begin, sizeof(second));
	for (; at < count; at++) {
		int status;
		if (sn == 0)
			return GR_EPROTO;
		if (fn & 1 || fn == sn) {
			status = gr_tree_node(untrusted_proof[at], first, first);
			if (status == 0)
				status = gr_tree_node(untrusted_proof[at], second, second);
			step_up(&fn, &sn);
		} else {
			status = gr_tree_node(second, untrusted_proof[at], second);
		}
		if (status != 0)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(first, old_root, GR_TREE_HASH) == 0 && memcmp(second, root, GR_TREE_HASH) == 0
		       ? 0
		       : GR_EPROTO;
}
