#include "broker/supervisor/policy_text.h"

#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int gr_policy_text_set(struct gr_policy_text *text, const char *bytes, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	*text = (struct gr_policy_text){ .bytes = malloc(size + 1), .size = size };
	if (!text->bytes || EVP_Digest(bytes, size, digest, &length, EVP_sha256(), NULL) != 1 || length != 32) {
		gr_policy_text_finish(text);
		return GR_ENOMEM;
	}
	memcpy(text->bytes, bytes, size);
	text->bytes[size] = '\0';
	for (unsigned i = 0; i < length; i++)
		snprintf(text->sha256 + 2 * (size_t)i, 3, "%02x", digest[i]);
	return 0;
}

void gr_policy_text_finish(struct gr_policy_text *text)
{
	free(text->bytes);
	*text = (struct gr_policy_text){ .bytes = NULL };
}

int gr_policy_text_read(struct gr_policy_text *text, const char *file, struct gr_error *err)
{
	FILE *stream = fopen(file, "re");
	size_t size = 0, room = 65536, n = 1;
	char *bytes, *larger;
	int rc = 0;

	if (!stream) {
		int missing = errno == ENOENT;

		rc = gr_error_errno(err, "cannot read the configuration %s", file);
		return missing ? err->code = GR_ENOENT : rc;
	}
	bytes = malloc(room);
	while (rc == 0 && bytes && n > 0) {
		n = fread(bytes + size, 1, room - size, stream);
		size += n;
		if (ferror(stream)) {
			rc = gr_error_errno(err, "cannot read the configuration %s", file);
		} else if (size > GR_POLICY_TEXT_MAX) {
			rc = gr_error_set(err, GR_EFULL, "the configuration %s is too long", file);
		} else if (size == room) {
			larger = realloc(bytes, room *= 2);
			if (!larger)
				free(bytes);
			bytes = larger;
		}
	}
	if (!bytes || (rc == 0 && gr_policy_text_set(text, bytes, size) < 0))
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	free(bytes);
	fclose(stream);
	return rc;
}

int gr_policy_text_parse(const struct gr_policy_text *text, const char *name, struct gr_config *out,
			 struct gr_error *err)
{
	/* An empty file is good, but an empty stream cannot be opened. */
	FILE *stream = text->size ? fmemopen(text->bytes, text->size, "r") : fopen("/dev/null", "re");
	int rc;

	gr_config_init(out);
	if (!stream)
		return gr_error_errno(err, "cannot read the configuration %s", name);
	rc = gr_config_read(out, stream, name, err);
	fclose(stream);
	return rc;
}

int gr_policy_text_copy(const struct gr_policy_text *text, const char *path, struct gr_error *err)
{
	char fresh[PATH_MAX + 8];
	int fd, rc = 0;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	if (unlink(fresh) < 0 && errno != ENOENT)
		return gr_error_errno(err, "cannot remove %s", fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0 || gr_io_write_all(fd, text->bytes, text->size) < 0 || rename(fresh, path) < 0)
		rc = gr_error_errno(err, "cannot write %s", path);
	gr_io_close(&fd);
	return rc;
}
