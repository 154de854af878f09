/* The file of a recording: what was sealed is opened by an auditor's key, and by nothing else, up to the last whole chunk. */
#include "broker/recording/file.h"
#include "broker/recording/open.h"
#include "broker/recording/seal.h"
#include "common/io.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

static char folder[] = "/tmp/garasu-test-recording-XXXXXX";
static char pem[80];
static EVP_PKEY *ec, *rsa, *stranger, *strange_rsa;

#define CHUNKS 4
static const char *const contents[CHUNKS] = { "ServerInit and so on", "x", "a third one, longer than the others are",
					      "" };

static X509 *certificate_of(EVP_PKEY *key, const char *uri)
{
	X509 *certificate = X509_new();
	X509_EXTENSION *names;
	assert_non_null(certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), random());
	X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
	X509_gmtime_adj(X509_getm_notAfter(certificate), -3600); /* its dates do not count */
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)"a",
				   -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, uri);
	assert_non_null(names);
	assert_int_equal(X509_add_ext(certificate, names, -1), 1);
	X509_EXTENSION_free(names);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

static void write_certificates(EVP_PKEY *const *keys, const char *uri, size_t count)
{
	FILE *f = fopen(pem, "w");
	assert_non_null(f);
	for (size_t i = 0; i < count; i++) {
		X509 *certificate = certificate_of(keys[i], uri);
		PEM_write_X509(f, certificate);
		X509_free(certificate);
	}
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(pem, sizeof pem, "%s/auditors.pem", folder);
	ec = EVP_EC_gen("P-256");
	stranger = EVP_EC_gen("P-256");
	rsa = EVP_RSA_gen(2048);
	strange_rsa = EVP_RSA_gen(2048);
	return ec && stranger && rsa && strange_rsa ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(ec);
	EVP_PKEY_free(stranger);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(strange_rsa);
	unlink(pem);
	return rmdir(folder);
}

static const struct gr_recording_header about = { .session = 0x0123456789abcdef,
						  .connection = 7,
						  .garasu = 1,
						  .mono_us = 5,
						  .wall_us = 1790000000000000,
						  .person = "hanako" };

/* A whole recording; *size_out its bytes. chain_out: what its writer says. */
static uint8_t *make(size_t *size_out, size_t header_out[1], char chain_out[GR_RECORDING_HASH_TEXT])
{
	struct gr_recording_auditors *auditors;
	struct gr_recording_seal *seal;
	struct gr_error err;
	const uint8_t *header;
	size_t size;

	write_certificates((EVP_PKEY *[]){ ec, rsa }, "URI:garasu:auditor/kansa", 2);
	assert_int_equal(gr_recording_auditors_load(pem, &auditors, &err), 0);
	assert_int_equal(gr_recording_seal_create(auditors, &about, &seal, &header, &size, &err), 0);
	gr_recording_auditors_destroy(auditors);
	uint8_t *bytes = malloc(size + (size_t)CHUNKS * 128);
	assert_non_null(bytes);
	memcpy(bytes, header, size);
	*header_out = size;
	for (size_t i = 0; i < CHUNKS; i++) {
		struct gr_recording_chunk chunk = { .bytes = (uint32_t)strlen(contents[i]),
						    .mono_us = 10 + i,
						    .wall_us = 20 + i };
		assert_int_equal(gr_recording_seal_chunk(seal, &chunk, contents[i], bytes + size), 0);
		size += chunk.bytes + GR_RECORDING_CHUNK_ADDED;
	}
	assert_int_equal(gr_recording_seal_chunks(seal), CHUNKS);
	gr_recording_hash_text(gr_recording_seal_chain(seal), chain_out);
	gr_recording_seal_destroy(seal);
	*size_out = size;
	return bytes;
}

static int load(struct gr_recording_file *file, const uint8_t *bytes, size_t n)
{
	struct gr_error err;
	int fd = memfd_create("recording", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(gr_io_write_all(fd, bytes, n), 0);
	return gr_recording_file_load(file, fd, &err);
}

/* How many chunks from the first on open and are what was sealed. */
static size_t readable(const struct gr_recording_file *file, EVP_PKEY *key)
{
	struct gr_recording_opened *opened;
	uint8_t *out = malloc(GR_RECORDING_CHUNK_MAX);
	size_t i = 0;
	if (gr_recording_open(file->header_bytes, file->header_size, key, &opened)) {
		free(out);
		return 0;
	}
	for (; i < file->count && !gr_recording_file_read(file, opened, i, out); i++) {
		assert_true(i < CHUNKS);
		assert_int_equal(file->places[i].chunk.bytes, strlen(contents[i]));
		assert_memory_equal(out, contents[i], strlen(contents[i]));
	}
	gr_recording_close(opened);
	free(out);
	return i;
}

static void each_auditor_reads_what_was_sealed(void **state)
{
	EVP_PKEY *keys[] = { ec, rsa };
	struct gr_recording_file file;
	char chain[GR_RECORDING_HASH_TEXT], found[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain);
	(void)state;

	assert_int_equal(load(&file, bytes, size), 0);
	assert_int_equal(file.count, CHUNKS);
	assert_true(file.ended);
	assert_int_equal(file.behind, 0);
	assert_int_equal(file.size, size);
	assert_int_equal(file.header.session, about.session);
	assert_int_equal(file.header.connection, about.connection);
	assert_int_equal(file.header.wall_us, about.wall_us);
	assert_true(file.header.garasu);
	assert_string_equal(file.header.person, "hanako");
	assert_int_equal(file.places[2].chunk.mono_us, 12);
	assert_int_equal(file.places[2].chunk.wall_us, 22);
	gr_recording_hash_text(file.places[CHUNKS - 1].chain, found);
	assert_string_equal(chain, found);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(readable(&file, keys[i]), CHUNKS);
	gr_recording_file_finish(&file);
	free(bytes);
}

static void nobody_else_reads_it(void **state)
{
	struct gr_recording_opened *opened;
	struct gr_recording_file file;
	char chain[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain);
	(void)state;

	assert_int_equal(load(&file, bytes, size), 0);
	assert_int_equal(gr_recording_open(file.header_bytes, file.header_size, stranger, &opened), GR_EDENIED);
	assert_int_equal(readable(&file, strange_rsa), 0);
	gr_recording_file_finish(&file);
	free(bytes);
}

static void wherever_it_is_cut_all_before_is_read(void **state)
{
	char chain[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain);
	(void)state;

	for (size_t n = 0; n < size; n++) {
		struct gr_recording_file file;
		size_t whole = 0, end = header;
		int rc = load(&file, bytes, n);
		if (n < header) {
			assert_int_equal(rc, GR_EPROTO);
			continue;
		}
		while (whole < CHUNKS && end + strlen(contents[whole]) + GR_RECORDING_CHUNK_ADDED <= n)
			end += strlen(contents[whole++]) + GR_RECORDING_CHUNK_ADDED;
		assert_int_equal(rc, 0);
		assert_int_equal(file.count, whole);
		assert_false(file.ended);
		assert_int_equal(file.behind, n - end);
		assert_int_equal(readable(&file, ec), whole);
		gr_recording_file_finish(&file);
	}
	free(bytes);
}

/* Every byte of header and chunks: nothing at or behind it opens, and its chain is another one. */
static void no_byte_can_be_changed(void **state)
{
	char chain[GR_RECORDING_HASH_TEXT], found[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain);
	(void)state;

	for (size_t at = 0; at < size; at++) {
		struct gr_recording_file file;
		size_t before = 0, end = header;
		bytes[at] ^= (uint8_t)(1u << (at % 8));
		if (!load(&file, bytes, size)) {
			while (at >= header && end + strlen(contents[before]) + GR_RECORDING_CHUNK_ADDED <= at)
				end += strlen(contents[before++]) + GR_RECORDING_CHUNK_ADDED;
			assert_int_equal(readable(&file, ec), before);
			gr_recording_hash_text(file.count ? file.places[file.count - 1].chain : file.chain, found);
			assert_string_not_equal(chain, found);
			gr_recording_file_finish(&file);
		}
		bytes[at] ^= (uint8_t)(1u << (at % 8));
	}
	free(bytes);
}

static void chunks_cannot_be_left_out_swapped_or_taken_from_elsewhere(void **state)
{
	struct gr_recording_opened *opened;
	struct gr_recording_file file, other;
	char chain[GR_RECORDING_HASH_TEXT];
	size_t size, header, size2, header2;
	uint8_t *bytes = make(&size, &header, chain), *bytes2 = make(&size2, &header2, chain);
	uint8_t *out = malloc(GR_RECORDING_CHUNK_MAX), stored[256];
	(void)state;

	assert_int_equal(load(&file, bytes, size), 0);
	assert_int_equal(load(&other, bytes2, size2), 0);
	assert_int_equal(gr_recording_open(file.header_bytes, file.header_size, ec, &opened), 0);
	for (uint64_t number = 1; number <= CHUNKS; number++) {
		for (size_t i = 0; i < CHUNKS; i++) {
			size_t n = file.places[i].chunk.bytes + GR_RECORDING_CHUNK_ADDED;
			memcpy(stored, bytes + file.places[i].offset, n);
			assert_int_equal(
				gr_recording_open_chunk(opened, number, stored, stored + GR_RECORDING_CHUNK_HEAD, out),
				number == i + 1 ? 0 : GR_EPROTO);
			memcpy(stored, bytes2 + other.places[i].offset, n);
			assert_int_equal(
				gr_recording_open_chunk(opened, number, stored, stored + GR_RECORDING_CHUNK_HEAD, out),
				GR_EPROTO);
		}
	}
	gr_recording_close(opened);
	gr_recording_file_finish(&file);
	gr_recording_file_finish(&other);
	free(bytes);
	free(bytes2);
	free(out);
}

/* The same key with a header that says something else. */
static void the_header_is_bound_to_the_chunks(void **state)
{
	struct gr_recording_opened *opened;
	struct gr_recording_file file;
	char chain[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain), *out = malloc(GR_RECORDING_CHUNK_MAX);
	(void)state;

	bytes[40] = 'j'; /* janako */
	assert_int_equal(load(&file, bytes, size), 0);
	assert_int_equal(gr_recording_open(file.header_bytes, file.header_size, ec, &opened), 0);
	assert_int_equal(gr_recording_file_read(&file, opened, 0, out), GR_EPROTO);
	gr_recording_close(opened);
	gr_recording_file_finish(&file);
	free(bytes);
	free(out);
}

/* Ways of CMS that we do not write do not reach libcrypto, whose code for this one writes out of bounds (OpenSSL 3.0.19). */
static void other_ways_to_wrap_a_key_are_refused(void **state)
{
	static const uint8_t wrap[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2d }; /* id-aes256-wrap */
	struct gr_recording_opened *opened;
	char chain[GR_RECORDING_HASH_TEXT];
	size_t size, header;
	uint8_t *bytes = make(&size, &header, chain);
	uint8_t *at = memmem(bytes, header, wrap, sizeof wrap);
	(void)state;

	assert_non_null(at);
	assert_int_equal(gr_recording_open(bytes, header, stranger, &opened), GR_EDENIED);
	at[sizeof wrap - 1] = 0x30; /* id-aes256-wrap-pad */
	assert_int_equal(gr_recording_open(bytes, header, stranger, &opened), GR_EPROTO);
	free(bytes);
}

static void only_auditors_are_encrypted_to(void **state)
{
	static const char *const others[] = { "URI:garasu:admin/kanri", "URI:garasu:user/hanako", "DNS:garasu.auditor",
					      "URI:garasu:auditor/" };
	struct gr_recording_auditors *auditors;
	struct gr_error err;
	(void)state;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		write_certificates(&ec, others[i], 1);
		assert_int_equal(gr_recording_auditors_load(pem, &auditors, &err), GR_EINVAL);
		assert_non_null(strstr(err.text, "certificate 1 does not name an auditor"));
	}
	FILE *f = fopen(pem, "w");
	fclose(f);
	assert_int_equal(gr_recording_auditors_load(pem, &auditors, &err), GR_EINVAL);
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *certificate = certificate_of(ec, "URI:garasu:auditor/kansa");
	X509_set_pubkey(certificate, ed);
	f = fopen(pem, "w");
	PEM_write_X509(f, certificate);
	fclose(f);
	assert_int_equal(gr_recording_auditors_load(pem, &auditors, &err), GR_EINVAL);
	assert_non_null(strstr(err.text, "neither EC nor RSA"));
	X509_free(certificate);
	EVP_PKEY_free(ed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_auditor_reads_what_was_sealed),
		cmocka_unit_test(nobody_else_reads_it),
		cmocka_unit_test(wherever_it_is_cut_all_before_is_read),
		cmocka_unit_test(no_byte_can_be_changed),
		cmocka_unit_test(chunks_cannot_be_left_out_swapped_or_taken_from_elsewhere),
		cmocka_unit_test(the_header_is_bound_to_the_chunks),
		cmocka_unit_test(other_ways_to_wrap_a_key_are_refused),
		cmocka_unit_test(only_auditors_are_encrypted_to),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
