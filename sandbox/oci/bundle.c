#include "sandbox/oci/bundle.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define AGENT "/usr/lib/garasu/garasu-agent"
#define HOME_POLICY "/etc/chromium/policies/managed/home.json"

static json_t *load(const char *directory, const char *name, struct gr_error *err)
{
	char path[PATH_MAX];
	json_error_t why;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path)) {
		gr_error_set(err, GR_EINVAL, "path too long: %s/%s", directory, name);
		return NULL;
	}
	json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!json)
		gr_error_set(err, GR_EINVAL, "%s:%d: %s", path, why.line, why.text);
	return json;
}

static int save(const char *directory, const char *name, const json_t *json, struct gr_error *err)
{
	char path[PATH_MAX];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
		return gr_error_set(err, GR_EINVAL, "path too long: %s/%s", directory, name);
	errno = 0;
	if (json_dump_file(json, path, JSON_COMPACT) < 0)
		return gr_error_errno(err, "write %s", path);
	/* The container reads home.json through its bind; its ids own nothing here. */
	if (chmod(path, 0644) < 0)
		return gr_error_errno(err, "chmod %s", path);
	return 0;
}

/* The arguments of process.args: the caller's, or the agent's. New reference or NULL. */
static json_t *arguments(const struct gr_bundle_settings *s)
{
	if (!s->arguments) {
		char size[16], max[16];
		snprintf(size, sizeof(size), "%ux%u", s->width, s->height);
		snprintf(max, sizeof(max), "%ux%u", s->max_width, s->max_height);
		return json_pack("[s, s, s, s, s]", AGENT, "--size", size, "--max", max);
	}
	json_t *list = json_array();
	for (size_t i = 0; list && s->arguments[i]; i++)
		json_array_append_new(list, json_string(s->arguments[i]));
	return list;
}

static json_t *limits(const struct gr_bundle_settings *s)
{
	json_int_t bytes = (json_int_t)s->memory_mib << 20;
	json_t *memory = s->limit_swap ? json_pack("{s:I, s:I}", "limit", bytes, "swap", bytes)
				       : json_pack("{s:I}", "limit", bytes);
	return json_pack("{s:o, s:{s:I}, s:{s:I, s:I}}", "memory", memory, "pids", "limit", (json_int_t)s->pids, "cpu",
			 "quota", (json_int_t)s->cpu_percent * 1000, "period", (json_int_t)100000);
}

static json_t *id_map(const struct gr_bundle_settings *s)
{
	return json_pack("[{s:i, s:I, s:I}]", "containerID", 0, "hostID", (json_int_t)s->uid_first, "size",
			 (json_int_t)GR_BUNDLE_IDS);
}

static json_t *read_only_bind(const char *source, const char *destination)
{
	return json_pack("{s:s, s:s, s:s, s:[s, s, s, s, s, s]}", "destination", destination, "type", "bind", "source",
			 source, "options", "bind", "ro", "nosuid", "nodev", "noexec", "private");
}

/* Puts what differs between containers into the base. */
static int fill(json_t *config, json_t *seccomp, const char *directory, const struct gr_bundle_settings *s)
{
	json_t *process = json_object_get(config, "process"), *root = json_object_get(config, "root");
	json_t *mounts = json_object_get(config, "mounts"), *linux_part = json_object_get(config, "linux");
	json_t *resources = json_object_get(linux_part, "resources");
	if (!json_is_object(process) || !json_is_object(root) || !json_is_array(mounts) || !json_is_object(resources))
		return GR_EINVAL;
	char home[PATH_MAX];
	if ((size_t)snprintf(home, sizeof(home), "%s/home.json", directory) >= sizeof(home))
		return GR_EINVAL;
	int failed = json_object_set_new(process, "args", arguments(s)) ||
		     json_object_set_new(root, "path", json_string(s->rootfs)) ||
		     json_object_update_new(resources, limits(s)) ||
		     json_object_set_new(linux_part, "uidMappings", id_map(s)) ||
		     json_object_set_new(linux_part, "gidMappings", id_map(s)) ||
		     json_object_set_new(linux_part, "cgroupsPath", json_string(s->cgroup)) ||
		     json_object_set(linux_part, "seccomp", seccomp) ||
		     json_array_append_new(mounts, read_only_bind(s->io_directory, "/run/garasu")) ||
		     (s->home_url && json_array_append_new(mounts, read_only_bind(home, HOME_POLICY)));
	return failed ? GR_ENOMEM : 0;
}

/* Something that is no profile at all is refused here; whether it denies what it should is for tests/escape to see. */
static int check_seccomp(const json_t *seccomp)
{
	const char *action = json_string_value(json_object_get(seccomp, "defaultAction"));
	return action && json_is_array(json_object_get(seccomp, "syscalls")) ? 0 : GR_EINVAL;
}

int gr_bundle_write(const char *directory, const struct gr_bundle_settings *settings, struct gr_error *err)
{
	json_t *seccomp = NULL, *home = NULL;
	json_t *config = load(settings->share_directory, "config.json", err);
	if (!config)
		return GR_EINVAL;
	int status = GR_EINVAL;
	if (!(seccomp = load(settings->share_directory, "seccomp.json", err)))
		goto out;
	if (check_seccomp(seccomp) || (status = fill(config, seccomp, directory, settings))) {
		status = gr_error_set(err, status, "%s: config.json or seccomp.json is not what it should be",
				      settings->share_directory);
		goto out;
	}
	if (settings->home_url) {
		json_t *trusted = json_array();
		for (size_t i = 0; trusted && settings->trusted_ca && settings->trusted_ca[i]; i++)
			json_array_append_new(trusted, json_string(settings->trusted_ca[i]));
		home = json_pack("{s:s, s:s, s:o}", "HomepageLocation", settings->home_url, "NewTabPageLocation",
				 settings->home_url, "CACertificates", trusted);
		status = home ? save(directory, "home.json", home, err)
			      : gr_error_set(err, GR_EINVAL, "the home page's URL is not UTF-8");
		if (status)
			goto out;
	}
	status = save(directory, "config.json", config, err);
out:
	json_decref(home);
	json_decref(seccomp);
	json_decref(config);
	return status;
}
