#include "broker/pool/folder.h"

#include "broker/config/trust.h"
#include "common/io.h"
#include "sandbox/oci/bundle.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int gr_folder_name(struct gr_folder *folder, const struct gr_config *config, const char *parent, uint32_t number,
		   struct gr_error *err)
{
	struct gr_folder named = { .agent = -1, .egress = -1 };
	const char *run_directory = config->broker.run_directory;
	named.uid_first = config->pool.uid_first + (number - 1) * GR_BUNDLE_IDS;
	named.user = gr_bundle_user(named.uid_first);
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/egress.sock");
	snprintf(named.id, sizeof(named.id), "c%u", number);
	int too_long = (size_t)snprintf(named.cgroup, sizeof(named.cgroup), "%s/%s", parent, named.id) >=
			       sizeof(named.cgroup) ||
		       (size_t)snprintf(named.bundle, sizeof(named.bundle), "%s/c/%u", run_directory, number) >=
			       sizeof(named.bundle) ||
		       (size_t)snprintf(named.io, sizeof(named.io), "%s/c/%u/io", run_directory, number) > room ||
		       (size_t)snprintf(named.pid_file, sizeof(named.pid_file), "%s/c/%u/pid", run_directory, number) >=
			       sizeof(named.pid_file) ||
		       (size_t)snprintf(named.log, sizeof(named.log), "%s/c/%u/log", run_directory, number) >=
			       sizeof(named.log) ||
		       (size_t)snprintf(named.runtime_state, sizeof(named.runtime_state), "%s/crun/%s", run_directory,
					named.id) >= sizeof(named.runtime_state);
	if (too_long)
		return gr_error_set(err, GR_EINVAL, "run_directory is too long for the paths of sockets");
	*folder = named;
	return 0;
}

/* Returns the listening socket, owned, or GR_EIO. */
static int listen_at(const char *io, const char *name, int type, uid_t uid, struct gr_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", io, name) >= sizeof(address.sun_path))
		return gr_error_set(err, GR_EIO, "path too long: %s/%s", io, name);
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return gr_error_errno(err, "socket %s", name);
	/* Nobody connects between bind and chmod: nothing of the container runs yet. */
	if (bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(address.sun_path, 0600) < 0 ||
	    chown(address.sun_path, uid, uid) < 0 || listen(sock, type == SOCK_STREAM ? 128 : 1) < 0) {
		int status = gr_error_errno(err, "socket %s", address.sun_path);
		close(sock);
		return status;
	}
	return sock;
}

static int write_bundle(const struct gr_folder *folder, const struct gr_config *config, const char *share_directory,
			int limit_swap, struct gr_error *err)
{
	char link[PATH_MAX], image[PATH_MAX], rootfs[PATH_MAX];
	snprintf(link, sizeof(link), "%.4000s/current", config->pool.images);
	/* The version that is current now, for this container's whole life. */
	if (!realpath(link, image))
		return gr_error_errno(err, "no image for the containers: %s", link);
	if ((size_t)snprintf(rootfs, sizeof(rootfs), "%s/rootfs", image) >= sizeof(rootfs))
		return gr_error_set(err, GR_EINVAL, "path too long: %s", image);
	char **trusted_ca = NULL;
	if (config->session.trusted_ca[0] && gr_trust_load(config->session.trusted_ca, &trusted_ca, err) != 0)
		return err->code;
	struct gr_bundle_settings bundle = {
		.share_directory = share_directory,
		.rootfs = rootfs,
		.io_directory = folder->io,
		.cgroup = folder->cgroup,
		.home_url = config->session.home_url,
		.trusted_ca = (const char *const *)trusted_ca,
		.uid_first = folder->uid_first,
		.memory_mib = config->pool.memory_mib,
		.pids = config->pool.pids,
		.cpu_percent = config->pool.cpu_percent,
		.limit_swap = limit_swap,
		.width = config->session.width,
		.height = config->session.height,
		.max_width = config->session.max_width,
		.max_height = config->session.max_height,
	};
	int status = gr_bundle_write(folder->bundle, &bundle, err);
	gr_trust_free(trusted_ca);
	return status;
}

int gr_folder_make(struct gr_folder *folder, const struct gr_config *config, const char *share_directory,
		   int limit_swap, struct gr_error *err)
{
	/* 0711: the container's ids come to what is bound, and list nothing. */
	if (mkdir(folder->bundle, 0711) < 0 || mkdir(folder->io, 0711) < 0 || chmod(folder->bundle, 0711) < 0 ||
	    chmod(folder->io, 0711) < 0)
		return gr_error_errno(err, "make %s", folder->io);
	folder->agent = listen_at(folder->io, "agent.sock", SOCK_SEQPACKET, folder->user, err);
	if (folder->agent < 0)
		return GR_EIO;
	folder->egress = listen_at(folder->io, "egress.sock", SOCK_STREAM, folder->user, err);
	if (folder->egress < 0)
		return GR_EIO;
	return write_bundle(folder, config, share_directory, limit_swap, err);
}

int gr_folder_remove(struct gr_folder *folder, struct gr_error *err)
{
	gr_io_close(&folder->agent);
	gr_io_close(&folder->egress);
	return gr_folder_clear(folder->bundle, err);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

int gr_folder_clear(const char *path, struct gr_error *err)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	struct stat st;
	if (lstat(path, &st) == 0)
		return gr_error_set(err, GR_EIO, "%s cannot be removed", path);
	return errno == ENOENT ? 0 : gr_error_errno(err, "%s", path);
}
