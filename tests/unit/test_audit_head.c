/* Signed tree heads, with real Ed25519 keys. */
#include "broker/audit/head.h"
#include "broker/audit/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *key, *other;
static uint8_t root[GR_TREE_HASH];
static const struct timespec now = { 1795316645, 678901234 };

static size_t sign(char line[GR_HEAD_LINE_MAX])
{
	size_t n;
	assert_int_equal(gr_head_sign(key, 1000, root, &now, line, &n), 0);
	assert_int_equal(line[n - 1], '\n');
	return n - 1;
}

static void a_head_is_signed_and_read_back(void **state)
{
	char line[GR_HEAD_LINE_MAX], id[GR_HEAD_KEY_TEXT];
	struct gr_head head;
	const char *reason;
	int known = 0;
	(void)state;
	size_t n = sign(line);
	assert_memory_equal(line, "head size=1000 time=2026-11-22T03:04:05.678901Z root=0707070707", 58);
	EVP_PKEY *keys[] = { other, key };
	assert_int_equal(gr_head_read(line, n, keys, 2, &head, &known, &reason), 0);
	assert_int_equal(known, 1);
	assert_int_equal(head.size, 1000);
	assert_string_equal(head.time, "2026-11-22T03:04:05.678901Z");
	assert_memory_equal(head.root, root, sizeof(root));
	assert_int_equal(gr_head_key_id(key, id), 0);
	assert_string_equal(head.key, id);
	assert_int_equal(gr_head_read(line, n, keys, 1, &head, &known, &reason), 0);
	assert_int_equal(known, 0);
}

static void no_changed_byte_passes(void **state)
{
	char line[GR_HEAD_LINE_MAX];
	struct gr_head head;
	const char *reason;
	int known;
	(void)state;
	size_t n = sign(line);
	for (size_t i = 0; i < n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			char byte = line[i];
			line[i] = (char)(line[i] ^ (1 << bit));
			/* Another key may be named, but then nobody says that it is signed by a known one. */
			int status = gr_head_read(line, n, &key, 1, &head, &known, &reason);
			assert_true(status == GR_EPROTO || (status == 0 && known == 0));
			if (status)
				assert_non_null(reason);
			line[i] = byte;
		}
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(gr_head_read(line, cut, &key, 1, &head, &known, &reason), GR_EPROTO);
	line[n] = ' ';
	assert_int_equal(gr_head_read(line, n + 1, &key, 1, &head, &known, &reason), GR_EPROTO);
}

static void a_signature_of_another_key_is_refused(void **state)
{
	char line[GR_HEAD_LINE_MAX], forged[GR_HEAD_LINE_MAX];
	struct gr_head head;
	const char *reason;
	size_t n;
	int known;
	(void)state;
	size_t good = sign(line);
	assert_int_equal(gr_head_sign(other, 1000, root, &now, forged, &n), 0);
	assert_int_equal(n - 1, good);
	memcpy(strstr(line, "signature="), strstr(forged, "signature="), 98);
	assert_int_equal(gr_head_read(line, good, &key, 1, &head, &known, &reason), GR_EPROTO);
	assert_non_null(strstr(reason, "signature does not fit"));
}

static void a_time_outside_the_years_is_refused(void **state)
{
	char line[GR_HEAD_LINE_MAX];
	struct timespec never = { -1, 0 };
	size_t n;
	(void)state;
	assert_int_equal(gr_head_sign(key, 1, root, &never, line, &n), GR_EINVAL);
}

static int make_keys(void **state)
{
	(void)state;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	memset(root, 7, sizeof(root));
	return key && other ? 0 : -1;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_signed_and_read_back),
		cmocka_unit_test(no_changed_byte_passes),
		cmocka_unit_test(a_signature_of_another_key_is_refused),
		cmocka_unit_test(a_time_outside_the_years_is_refused),
	};
	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
