#include "broker/supervisor/check.h"

#include "broker/audit/signing.h"
#include "broker/config/trust.h"
#include "broker/egress/credentials.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
	const struct gr_config *config;
	gr_check_found found;
	void *context;
	unsigned count;
};

/* Whether line, its blanks skipped, begins with word and then, blanks skipped, has mark. */
static int begins(const char *line, const char *word, char mark)
{
	size_t length = strlen(word);

	line += strspn(line, " \t");
	if (strncmp(line, word, length) != 0)
		return 0;
	line += length;
	line += strspn(line, " \t");
	return *line == mark;
}

unsigned gr_check_line(const char *file, const char *section, const char *key)
{
	FILE *stream = fopen(file, "re");
	char line[4096];
	unsigned number = 0, found = 0;
	int inside = 0;

	if (!stream)
		return 0;
	/* Good enough for a pointer to a place: the configuration itself was parsed by its own parser. */
	while (!found && fgets(line, sizeof(line), stream)) {
		const char *body = line;

		number++;
		if (begins(line, section, '{')) {
			inside = 1;
			body = strchr(line, '{') + 1;
		}
		if (inside && begins(body, key, '='))
			found = number;
		if (inside && strchr(body, '}') && !strchr(body, '{'))
			inside = 0;
	}
	fclose(stream);
	return found;
}

static void __attribute__((format(printf, 4, 5)))
problem(struct check *check, const char *section, const char *key, const char *format, ...)
{
	char text[1024], line[PATH_MAX + 1280], place[16] = "";
	unsigned number = gr_check_line(check->config->file, section, key);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (number)
		snprintf(place, sizeof(place), ":%u", number);
	snprintf(line, sizeof(line), "%s%s: %s.%s%s: %s", check->config->file, place, section, key,
		 number ? "" : " (default)", text);
	check->count++;
	check->found(check->context, line);
}

static void check_pem(struct check *check, const char *key, const char *path, const char *marker, int secret)
{
	char *content = NULL;
	struct stat status;
	FILE *stream;
	size_t size;

	stream = fopen(path, "re");
	if (!stream || fstat(fileno(stream), &status) < 0) {
		problem(check, "tls", key, "cannot read %s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(status.st_mode)) {
		problem(check, "tls", key, "%s is not a file", path);
		goto out;
	}
	if (secret && (status.st_mode & 077))
		problem(check, "tls", key, "%s can be read by others (mode %04o): chmod 600 %s", path,
			(unsigned)(status.st_mode & 07777), path);
	content = calloc(1, 1 << 20);
	size = content ? fread(content, 1, (1 << 20) - 1, stream) : 0;
	if (content && !memmem(content, size, marker, strlen(marker)))
		problem(check, "tls", key, "%s holds no PEM block that has \"%s\"", path, marker);
out:
	if (content)
		explicit_bzero(content, 1 << 20);
	free(content);
	if (stream)
		fclose(stream);
}

/* The folder is there, or its parent is, so that it can be made. */
static void check_directory(struct check *check, const char *section, const char *key, const char *path)
{
	char parent[PATH_MAX];
	struct stat status;
	char *slash;

	if (stat(path, &status) == 0) {
		if (!S_ISDIR(status.st_mode))
			problem(check, section, key, "%s is not a folder", path);
		return;
	}
	if (errno != ENOENT) {
		problem(check, section, key, "cannot look at %s: %s", path, strerror(errno));
		return;
	}
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	if (stat(parent[0] ? parent : "/", &status) < 0 || !S_ISDIR(status.st_mode))
		problem(check, section, key, "%s cannot be made: the folder %s is not there", path, parent);
}

static void check_pool(struct check *check)
{
	const struct gr_config *config = check->config;
	char current[PATH_MAX + 16];
	struct stat status;

	if (access(config->pool.runtime, X_OK) < 0)
		problem(check, "pool", "runtime", "cannot run %s: %s", config->pool.runtime, strerror(errno));
	snprintf(current, sizeof(current), "%s/current", config->pool.images);
	if (stat(current, &status) < 0)
		problem(check, "pool", "images", "no image: %s: %s (sandbox/image/build makes one)", current,
			strerror(errno));
	else if (!S_ISDIR(status.st_mode))
		problem(check, "pool", "images", "%s is not a folder", current);
}

/* With the same functions that read them later. */
static void check_egress_credentials(struct check *check)
{
	char header[GR_CREDENTIALS_HEADER];
	struct gr_error err;

	if (gr_credentials_read(check->config->egress.upstream_credentials, header, &err) != 0)
		problem(check, "egress", "upstream_credentials", "%s", err.text);
	explicit_bzero(header, sizeof(header));
}

static void check_audit_key(struct check *check)
{
	struct gr_error err;
	EVP_PKEY *key;

	if (gr_audit_key_load(check->config->audit.signing_key, &key, &err) != 0)
		problem(check, "audit", "signing_key", "%s", err.text);
	else
		EVP_PKEY_free(key);
}

static void check_trusted_ca(struct check *check)
{
	char **list = NULL;
	struct gr_error err;

	if (gr_trust_load(check->config->session.trusted_ca, &list, &err) != 0)
		problem(check, "session", "trusted_ca", "%s", err.text);
	gr_trust_free(list);
}

unsigned gr_check(const struct gr_config *config, gr_check_found found, void *context)
{
	struct check check = { config, found, context, 0 };
	struct sockaddr_un socket_path;
	unsigned char address[16];

	if (inet_pton(AF_INET, config->listen.address, address) != 1 &&
	    inet_pton(AF_INET6, config->listen.address, address) != 1)
		problem(&check, "listen", "address", "\"%s\" is not a numeric address", config->listen.address);
	check_pem(&check, "certificate", config->tls.certificate, "BEGIN CERTIFICATE", 0);
	check_pem(&check, "key", config->tls.key, "PRIVATE KEY", 1);
	check_pem(&check, "client_ca", config->tls.client_ca, "BEGIN CERTIFICATE", 0);
	if (config->tls.client_crl[0])
		check_pem(&check, "client_crl", config->tls.client_crl, "BEGIN X509 CRL", 0);
	if (config->session.trusted_ca[0])
		check_trusted_ca(&check);
	if (config->egress.upstream_credentials[0])
		check_egress_credentials(&check);
	check_pool(&check);
	check_directory(&check, "audit", "directory", config->audit.directory);
	check_audit_key(&check);
	check_directory(&check, "broker", "run_directory", config->broker.run_directory);
	if (gr_config_socket(config, "admin.sock", &socket_path) < 0)
		problem(&check, "broker", "run_directory", "%s is too long for a socket's path",
			config->broker.run_directory);
	return check.count;
}
