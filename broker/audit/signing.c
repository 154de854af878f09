#include "broker/audit/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_password(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return -1; /* otherwise OpenSSL would ask on the terminal */
}

int gr_audit_key_load(const char *file, EVP_PKEY **out, struct gr_error *err)
{
	struct stat status;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return gr_error_set(err, GR_ENOENT, "there is no %s; \"garasu-ca audit-key %s\" makes one", file, file);
	if (fd < 0)
		return gr_error_errno(err, "cannot open %s", file);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return gr_error_set(err, GR_EINVAL, "%s is not a regular file", file);
	}
	if (status.st_mode & 077) {
		close(fd);
		return gr_error_set(err, GR_EDENIED, "others may read %s (mode %04o); chmod 600 it", file,
				    (unsigned)status.st_mode & 07777);
	}
	BIO *stream = BIO_new_fd(fd, BIO_CLOSE);
	if (!stream) {
		close(fd);
		return gr_error_set(err, GR_ENOMEM, "no memory");
	}
	EVP_PKEY *key = PEM_read_bio_PrivateKey(stream, NULL, no_password, NULL);
	BIO_free(stream);
	ERR_clear_error();
	if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
		EVP_PKEY_free(key);
		return gr_error_set(err, GR_EINVAL, "%s is no unencrypted Ed25519 key in PEM form", file);
	}
	*out = key;
	return 0;
}
