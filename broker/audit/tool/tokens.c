#include "broker/audit/tool/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "tokens"
#define TOKEN_MAX 65536

static int by_number(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return *left < *right ? -1 : *left > *right;
}

int gr_check_tokens_list(struct gr_check *check, struct gr_error *err)
{
	size_t room = 0;
	if (!check->options->tsa_ca)
		return 0;
	int fd = openat(check->directory, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder)
		return errno == ENOENT ? 0 : gr_error_errno(err, "cannot read the folder %s", FOLDER);
	for (struct dirent *entry; (entry = readdir(folder));) {
		size_t n = strcspn(entry->d_name, ".");
		uint64_t size = gr_audit_number(entry->d_name, n);
		if (size == 0 || strcmp(entry->d_name + n, ".tsr") != 0)
			continue;
		if (check->token_count == room) {
			room = room ? 2 * room : 256;
			uint64_t *more = reallocarray(check->tokens, room, sizeof(*more));
			if (!more) {
				closedir(folder);
				return gr_error_set(err, GR_ENOMEM, "no memory for the tokens");
			}
			check->tokens = more;
		}
		check->tokens[check->token_count++] = size;
	}
	closedir(folder);
	if (check->token_count)
		qsort(check->tokens, check->token_count, sizeof(*check->tokens), by_number);
	return 0;
}

/* The signer's chain must have been valid when the token was made: that a certificate has expired since changes nothing. */
static X509_STORE *trust_of(const struct gr_check *check, TS_RESP *answer)
{
	const ASN1_GENERALIZEDTIME *made = TS_TST_INFO_get_time(TS_RESP_get_tst_info(answer));
	X509_STORE *store = X509_STORE_new();
	struct tm tm;
	if (store && made && ASN1_TIME_to_tm((const ASN1_TIME *)made, &tm) == 1 &&
	    X509_STORE_load_locations(store, check->options->tsa_ca, NULL) == 1) {
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), timegm(&tm));
		return store;
	}
	X509_STORE_free(store);
	return NULL;
}

/* NULL when it holds, or why not. */
static const char *verify(const struct gr_check *check, const struct gr_check_heads *heads, const uint8_t *bytes,
			  size_t n)
{
	const unsigned char *at = bytes;
	const char *why = "it is no answer of RFC 3161";
	unsigned char *hash = NULL;
	TS_VERIFY_CTX *context = NULL;
	X509_STORE *store = NULL;
	TS_RESP *answer = d2i_TS_RESP(NULL, &at, (long)n);
	if (!answer || at != bytes + n || !TS_RESP_get_tst_info(answer))
		goto out;
	why = "the certificates of --tsa-ca cannot be read";
	store = trust_of(check, answer);
	if (!store)
		goto out;
	why = "no memory";
	hash = OPENSSL_malloc(EVP_MAX_MD_SIZE);
	context = TS_VERIFY_CTX_new();
	if (!hash || !context || EVP_Digest(heads->bytes, heads->length, hash, NULL, EVP_sha256(), NULL) != 1)
		goto out;
	TS_VERIFY_CTX_set_imprint(context, hash, 32);
	hash = NULL; /* the context's */
	TS_VERIFY_CTX_set_store(context, store);
	store = NULL;
	TS_VERIFY_CTX_set_flags(context, TS_VFY_VERSION | TS_VFY_IMPRINT | TS_VFY_SIGNATURE);
	why = NULL;
	if (TS_RESP_verify_response(context, answer) != 1) {
		const char *reason = ERR_reason_error_string(ERR_peek_error());
		why = reason ? reason : "it is refused";
	}
out:
	ERR_clear_error();
	OPENSSL_free(hash);
	X509_STORE_free(store);
	TS_VERIFY_CTX_free(context);
	TS_RESP_free(answer);
	return why;
}

int gr_check_token(struct gr_check *check, const struct gr_check_heads *heads, struct gr_error *err)
{
	static uint8_t bytes[TOKEN_MAX];
	char path[64];
	uint64_t *found = check->token_count ? bsearch(&heads->head.size, check->tokens, check->token_count,
						       sizeof(*check->tokens), by_number)
					     : NULL;
	if (!found)
		return 0;
	snprintf(path, sizeof(path), FOLDER "/%" PRIu64 ".tsr", heads->head.size);
	int fd = openat(check->directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	if (n < 0) {
		int status = gr_error_errno(err, "cannot read %s", path);
		if (fd >= 0)
			close(fd);
		return status;
	}
	close(fd);
	const char *why = verify(check, heads, bytes, (size_t)n);
	if (why)
		return gr_check_bad(check, path, 0, 0, 0, "the time-stamp token does not hold: %s", why);
	*found = 0;
	check->result->tokens++;
	return 0;
}
