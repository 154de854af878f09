/* The Merkle tree of RFC 9162: its vectors, and everything against an implementation that follows the definitions literally. */
#include "broker/audit/text.h"
#include "broker/audit/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAVES 300

static uint8_t leaves[LEAVES][GR_TREE_HASH];

/* MTH(D[first:first + n]) as RFC 9162 §2.1.1 defines it. */
static void naive_root(uint64_t first, uint64_t n, uint8_t out[GR_TREE_HASH])
{
	uint8_t left[GR_TREE_HASH], right[GR_TREE_HASH];
	uint64_t k = 1;
	if (n == 1) {
		memcpy(out, leaves[first], GR_TREE_HASH);
		return;
	}
	while (k * 2 < n)
		k *= 2;
	naive_root(first, k, left);
	naive_root(first + k, n - k, right);
	assert_int_equal(gr_tree_node(left, right, out), 0);
}

static int subtree(void *context, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH])
{
	uint64_t size = *(uint64_t *)context;
	assert_int_equal(first % (UINT64_C(1) << height), 0);
	assert_true(first + (UINT64_C(1) << height) <= size);
	naive_root(first, UINT64_C(1) << height, out);
	return 0;
}

static void grow(struct gr_tree *tree, uint64_t n)
{
	memset(tree, 0, sizeof(*tree));
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(gr_tree_append(tree, 0, leaves[i]), 0);
}

static void assert_hash(const uint8_t hash[GR_TREE_HASH], const char *text)
{
	char got[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(hash, GR_TREE_HASH, got);
	assert_string_equal(got, text);
}

/* The leaves and roots that the RFC's reference implementation (certificate-transparency, merkle tree tests) has. */
static const char *const vector_leaves[8] = {
	"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
};
static const char *const vector_roots[9] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void vector_leaf(size_t i, uint8_t out[GR_TREE_HASH])
{
	uint8_t bytes[16];
	size_t n = strlen(vector_leaves[i]);
	assert_int_equal(gr_audit_unhex(vector_leaves[i], n, n, bytes), 0);
	assert_int_equal(gr_tree_leaf(bytes, n / 2, out), 0);
}

static void the_roots_of_0_to_8_leaves_are_those_published(void **state)
{
	struct gr_tree tree = { .size = 0 };
	uint8_t hash[GR_TREE_HASH];
	(void)state;
	for (size_t n = 0; n <= 8; n++) {
		assert_int_equal(tree.size, n);
		assert_int_equal(gr_tree_root(&tree, hash), 0);
		assert_hash(hash, vector_roots[n]);
		if (n == 8)
			break;
		vector_leaf(n, hash);
		assert_int_equal(gr_tree_append(&tree, 0, hash), 0);
	}
}

/* The proofs published with those leaves. */
static void the_published_proofs_are_made_and_verified(void **state)
{
	static const struct {
		uint64_t index, size;
		size_t count;
		const char *hashes[3];
	} inclusion[] = {
		{ 0, 1, 0, { NULL } },
		{ 0,
		  8,
		  3,
		  { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
		{ 5,
		  8,
		  3,
		  { "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
		    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
		{ 2, 3, 1, { "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" } },
		{ 1,
		  5,
		  3,
		  { "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } },
	};
	static const struct {
		uint64_t old, size;
		size_t count;
		const char *hashes[3];
	} consistency[] = {
		{ 1, 1, 0, { NULL } },
		{ 1,
		  8,
		  3,
		  { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
		{ 6,
		  8,
		  3,
		  { "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
		    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
		{ 2,
		  5,
		  2,
		  { "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } },
	};
	uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH], root[GR_TREE_HASH], old[GR_TREE_HASH];
	size_t count;
	(void)state;
	uint8_t saved[8][GR_TREE_HASH];
	memcpy(saved, leaves, sizeof(saved));
	for (size_t i = 0; i < 8; i++)
		vector_leaf(i, leaves[i]);
	for (size_t i = 0; i < sizeof(inclusion) / sizeof(*inclusion); i++) {
		uint64_t size = inclusion[i].size;
		assert_int_equal(gr_tree_inclusion(subtree, &size, inclusion[i].index, size, proof, &count), 0);
		assert_int_equal(count, inclusion[i].count);
		for (size_t j = 0; j < count; j++)
			assert_hash(proof[j], inclusion[i].hashes[j]);
		naive_root(0, size, root);
		assert_int_equal(gr_tree_verify_inclusion(leaves[inclusion[i].index], inclusion[i].index, size, root,
							  (const uint8_t(*)[GR_TREE_HASH])proof, count),
				 0);
	}
	for (size_t i = 0; i < sizeof(consistency) / sizeof(*consistency); i++) {
		uint64_t size = consistency[i].size;
		assert_int_equal(gr_tree_consistency(subtree, &size, consistency[i].old, size, proof, &count), 0);
		assert_int_equal(count, consistency[i].count);
		for (size_t j = 0; j < count; j++)
			assert_hash(proof[j], consistency[i].hashes[j]);
		naive_root(0, size, root);
		naive_root(0, consistency[i].old, old);
		assert_int_equal(gr_tree_verify_consistency(consistency[i].old, old, size, root,
							    (const uint8_t(*)[GR_TREE_HASH])proof, count),
				 0);
	}
	memcpy(leaves, saved, sizeof(saved));
}

static void a_growing_tree_has_the_naive_roots(void **state)
{
	struct gr_tree tree = { .size = 0 };
	uint8_t root[GR_TREE_HASH], expected[GR_TREE_HASH];
	(void)state;
	for (uint64_t n = 1; n <= LEAVES; n++) {
		assert_int_equal(gr_tree_append(&tree, 0, leaves[n - 1]), 0);
		assert_int_equal(gr_tree_root(&tree, root), 0);
		naive_root(0, n, expected);
		assert_memory_equal(root, expected, sizeof(root));
	}
}

static void whole_subtrees_can_be_appended(void **state)
{
	uint8_t root[GR_TREE_HASH], expected[GR_TREE_HASH], part[GR_TREE_HASH];
	(void)state;
	for (unsigned height = 0; height < 6; height++) {
		struct gr_tree tree = { .size = 0 };
		uint64_t size = UINT64_C(1) << height;
		for (uint64_t i = 0; i < 5; i++) {
			naive_root(i * size, size, part);
			assert_int_equal(gr_tree_append(&tree, height, part), 0);
		}
		assert_int_equal(gr_tree_append(&tree, 0, leaves[5 * size]), 0);
		assert_int_equal(gr_tree_root(&tree, root), 0);
		naive_root(0, 5 * size + 1, expected);
		assert_memory_equal(root, expected, sizeof(root));
	}
	struct gr_tree tree;
	grow(&tree, 3);
	assert_int_equal(gr_tree_append(&tree, 1, leaves[0]), GR_EINVAL);
	assert_int_equal(gr_tree_append(&tree, GR_TREE_DEPTH_MAX, leaves[0]), GR_EINVAL);
	assert_int_equal(tree.size, 3);
}

/* Each hash changed, one too few, one too many, another place: none shows it. */
static void inclusion_proofs_hold_and_wrong_ones_do_not(void **state)
{
	uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH], root[GR_TREE_HASH];
	const uint8_t(*shown)[GR_TREE_HASH] = (const uint8_t(*)[GR_TREE_HASH])proof;
	(void)state;
	for (uint64_t size = 1; size <= 66; size++) {
		naive_root(0, size, root);
		for (uint64_t index = 0; index < size; index++) {
			size_t count;
			assert_int_equal(gr_tree_inclusion(subtree, &size, index, size, proof, &count), 0);
			assert_int_equal(gr_tree_verify_inclusion(leaves[index], index, size, root, shown, count), 0);
			assert_int_equal(gr_tree_verify_inclusion(leaves[index + 1], index, size, root, shown, count),
					 GR_EPROTO);
			for (uint64_t other = 0; other < size; other++)
				if (other != index)
					assert_int_equal(gr_tree_verify_inclusion(leaves[index], other, size, root,
										  shown, count),
							 GR_EPROTO);
			for (size_t i = 0; i < count; i++) {
				proof[i][i % GR_TREE_HASH] ^= 1;
				assert_int_equal(
					gr_tree_verify_inclusion(leaves[index], index, size, root, shown, count),
					GR_EPROTO);
				proof[i][i % GR_TREE_HASH] ^= 1;
			}
			if (count)
				assert_int_equal(
					gr_tree_verify_inclusion(leaves[index], index, size, root, shown, count - 1),
					GR_EPROTO);
			memcpy(proof[count], leaves[0], GR_TREE_HASH);
			assert_int_equal(gr_tree_verify_inclusion(leaves[index], index, size, root, shown, count + 1),
					 GR_EPROTO);
		}
		size_t count;
		assert_int_equal(gr_tree_inclusion(subtree, &size, size, size, proof, &count), GR_EINVAL);
		assert_int_equal(gr_tree_verify_inclusion(leaves[0], size, size, root, shown, 0), GR_EPROTO);
	}
}

static void consistency_proofs_hold_and_wrong_ones_do_not(void **state)
{
	uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH], root[GR_TREE_HASH], old_root[GR_TREE_HASH];
	const uint8_t(*shown)[GR_TREE_HASH] = (const uint8_t(*)[GR_TREE_HASH])proof;
	size_t count;
	(void)state;
	for (uint64_t size = 1; size <= 64; size++) {
		naive_root(0, size, root);
		for (uint64_t old = 1; old <= size; old++) {
			naive_root(0, old, old_root);
			assert_int_equal(gr_tree_consistency(subtree, &size, old, size, proof, &count), 0);
			assert_int_equal(gr_tree_verify_consistency(old, old_root, size, root, shown, count), 0);
			old_root[0] ^= 1;
			assert_int_equal(gr_tree_verify_consistency(old, old_root, size, root, shown, count),
					 GR_EPROTO);
			old_root[0] ^= 1;
			root[5] ^= 1;
			assert_int_equal(gr_tree_verify_consistency(old, old_root, size, root, shown, count),
					 GR_EPROTO);
			root[5] ^= 1;
			if (old > 1)
				assert_int_equal(
					gr_tree_verify_consistency(old - 1, old_root, size, root, shown, count),
					GR_EPROTO);
			for (size_t i = 0; i < count; i++) {
				proof[i][i % GR_TREE_HASH] ^= 1;
				assert_int_equal(gr_tree_verify_consistency(old, old_root, size, root, shown, count),
						 GR_EPROTO);
				proof[i][i % GR_TREE_HASH] ^= 1;
			}
			if (count)
				assert_int_equal(
					gr_tree_verify_consistency(old, old_root, size, root, shown, count - 1),
					GR_EPROTO);
			memcpy(proof[count], leaves[0], GR_TREE_HASH);
			assert_int_equal(gr_tree_verify_consistency(old, old_root, size, root, shown, count + 1),
					 GR_EPROTO);
		}
		assert_int_equal(gr_tree_consistency(subtree, &size, 0, size, proof, &count), GR_EINVAL);
		assert_int_equal(gr_tree_consistency(subtree, &size, size + 1, size, proof, &count), GR_EINVAL);
		assert_int_equal(gr_tree_verify_consistency(0, root, size, root, shown, 0), GR_EPROTO);
	}
}

static int same(void *context, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH])
{
	(void)context;
	(void)first;
	memset(out, (int)height, GR_TREE_HASH);
	return 0;
}

static int failing(void *context, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH])
{
	(void)context;
	(void)first;
	(void)height;
	(void)out;
	return GR_EIO;
}

static void the_largest_trees_have_proofs_within_their_bound(void **state)
{
	uint8_t proof[GR_TREE_PROOF_MAX][GR_TREE_HASH];
	size_t count;
	(void)state;
	uint64_t size = (UINT64_C(1) << 63) - 1;
	assert_int_equal(gr_tree_inclusion(same, NULL, 0, size, proof, &count), 0);
	assert_int_equal(count, 63);
	assert_int_equal(gr_tree_consistency(same, NULL, size - 1, size, proof, &count), 0);
	assert_true(count <= GR_TREE_PROOF_MAX);
	assert_int_equal(gr_tree_inclusion(same, NULL, 0, size + 1, proof, &count), GR_EINVAL);
	assert_int_equal(gr_tree_inclusion(failing, NULL, 0, 3, proof, &count), GR_EIO);
	assert_int_equal(gr_tree_consistency(failing, NULL, 2, 3, proof, &count), GR_EIO);
}

static int make_leaves(void **state)
{
	(void)state;
	srandom(20261126);
	for (size_t i = 0; i < LEAVES; i++) {
		uint32_t bytes[8];
		for (size_t j = 0; j < 8; j++)
			bytes[j] = (uint32_t)random();
		if (gr_tree_leaf(bytes, (size_t)random() % sizeof(bytes), leaves[i]) != 0 ||
		    gr_tree_node(leaves[i], leaves[i ? i - 1 : 0], leaves[i]) != 0)
			return -1;
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_roots_of_0_to_8_leaves_are_those_published),
		cmocka_unit_test(the_published_proofs_are_made_and_verified),
		cmocka_unit_test(a_growing_tree_has_the_naive_roots),
		cmocka_unit_test(whole_subtrees_can_be_appended),
		cmocka_unit_test(inclusion_proofs_hold_and_wrong_ones_do_not),
		cmocka_unit_test(consistency_proofs_hold_and_wrong_ones_do_not),
		cmocka_unit_test(the_largest_trees_have_proofs_within_their_bound),
	};
	return cmocka_run_group_tests(tests, make_leaves, NULL);
}
