/* sandbox/oci/bundle: what stands in a container's config.json. */
#include "sandbox/oci/bundle.h"

#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/garasu-test-bundle-XXXXXX";
static json_t *config;

static const struct gr_bundle_settings defaults = {
	.share_directory = SHARE,
	.rootfs = "/images/1/rootfs",
	.io_directory = "/run/garasu/c/3/io",
	.cgroup = "/garasu-test/c3",
	.home_url = "https://example.jp/\"quoted\"",
	.trusted_ca = (const char *const[]){ "MIIB", "MIIC", NULL },
	.uid_first = 1000000,
	.memory_mib = 1536,
	.pids = 400,
	.cpu_percent = 150,
	.limit_swap = 1,
	.width = 1280,
	.height = 800,
	.max_width = 3840,
	.max_height = 2160,
};

static char *in_directory(const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int write_bundle(void **state)
{
	(void)state;
	struct gr_error err;
	if (!mkdtemp(directory) || gr_bundle_write(directory, &defaults, &err))
		return -1;
	config = json_load_file(in_directory("config.json"), 0, NULL);
	return config ? 0 : -1;
}

static int remove_bundle(void **state)
{
	(void)state;
	json_decref(config);
	unlink(in_directory("config.json"));
	unlink(in_directory("home.json"));
	return rmdir(directory);
}

static json_t *part(const char *outer, const char *inner)
{
	return json_object_get(json_object_get(config, outer), inner);
}

static void the_agent_runs_as_browser_without_any_capability(void **state)
{
	(void)state;
	json_t *args = part("process", "args"), *user = part("process", "user"), *set;
	const char *kind;
	const char *expected[] = { "/usr/lib/garasu/garasu-agent", "--size", "1280x800", "--max", "3840x2160" };
	assert_int_equal(json_array_size(args), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(json_string_value(json_array_get(args, i)), expected[i]);
	assert_int_equal(json_integer_value(json_object_get(user, "uid")), GR_BUNDLE_USER);
	assert_int_equal(json_integer_value(json_object_get(user, "gid")), GR_BUNDLE_USER);
	assert_true(json_is_true(part("process", "noNewPrivileges")));
	assert_int_equal(json_object_size(part("process", "capabilities")), 5);
	json_object_foreach(part("process", "capabilities"), kind, set) assert_int_equal(json_array_size(set), 0);
}

static void every_namespace_is_its_own(void **state)
{
	(void)state;
	const char *const kinds[] = { "user", "pid", "mount", "ipc", "uts", "cgroup", "network" };
	json_t *namespaces = part("linux", "namespaces"), *entry;
	size_t i;
	assert_int_equal(json_array_size(namespaces), 7);
	json_array_foreach(namespaces, i, entry)
	{
		assert_string_equal(json_string_value(json_object_get(entry, "type")), kinds[i]);
		assert_null(json_object_get(entry, "path")); /* a path would join another's */
	}
}

static void ids_root_and_limits_are_those_asked_for(void **state)
{
	(void)state;
	const char *const maps[] = { "uidMappings", "gidMappings" };
	for (size_t i = 0; i < 2; i++) {
		json_t *map = json_array_get(part("linux", maps[i]), 0);
		assert_int_equal(json_array_size(part("linux", maps[i])), 1);
		assert_int_equal(json_integer_value(json_object_get(map, "containerID")), 0);
		assert_int_equal(json_integer_value(json_object_get(map, "hostID")), 1000000);
		assert_int_equal(json_integer_value(json_object_get(map, "size")), 65536);
	}
	assert_string_equal(json_string_value(part("root", "path")), "/images/1/rootfs");
	assert_true(json_is_true(part("root", "readonly")));
	assert_string_equal(json_string_value(part("linux", "cgroupsPath")), "/garasu-test/c3");
	json_int_t memory, swap, pids, quota, period;
	assert_int_equal(json_unpack(part("linux", "resources"), "{s:{s:I,s:I}, s:{s:I}, s:{s:I,s:I}}", "memory",
				     "limit", &memory, "swap", &swap, "pids", "limit", &pids, "cpu", "quota", &quota,
				     "period", &period),
			 0);
	assert_true(memory == (json_int_t)1536 << 20 && swap == memory && pids == 400 && quota == 150000 &&
		    period == 100000);
}

static int has(const json_t *list, const char *text)
{
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry) if (!strcmp(json_string_value(entry), text)) return 1;
	return 0;
}

static void what_is_bound_is_read_only_and_what_is_writable_is_bounded(void **state)
{
	(void)state;
	size_t i, binds = 0;
	json_t *mount;
	json_array_foreach(json_object_get(config, "mounts"), i, mount)
	{
		const char *type = json_string_value(json_object_get(mount, "type"));
		json_t *options = json_object_get(mount, "options");
		assert_true(has(options, "nosuid") && has(options, "noexec"));
		if (!strcmp(type, "bind")) {
			binds++;
			assert_true(has(options, "ro") && has(options, "nodev"));
		} else if (!strcmp(type, "tmpfs")) {
			int sized = 0;
			size_t k;
			json_t *option;
			json_array_foreach(options, k, option) sized |= !strncmp(json_string_value(option), "size=", 5);
			assert_true(sized);
		} else {
			assert_string_equal(type, "proc");
		}
	}
	assert_int_equal(binds, 2);
}

static void the_home_page_cannot_write_more_policy(void **state)
{
	(void)state;
	json_t *home = json_load_file(in_directory("home.json"), 0, NULL);
	assert_non_null(home);
	assert_string_equal(json_string_value(json_object_get(home, "HomepageLocation")), defaults.home_url);
	json_t *trusted = json_object_get(home, "CACertificates");
	assert_int_equal(json_array_size(trusted), 2);
	assert_string_equal(json_string_value(json_array_get(trusted, 1)), "MIIC");
	assert_int_equal(json_object_size(home), 3);
	json_decref(home);
}

static void the_profile_lists_what_is_permitted_and_nothing_forbidden(void **state)
{
	(void)state;
	static const char *const forbidden[] = {
		"acct",
		"add_key",
		"bpf",
		"clone3",
		"delete_module",
		"fanotify_init",
		"finit_module",
		"fsconfig",
		"fsmount",
		"fsopen",
		"fspick",
		"init_module",
		"io_setup",
		"io_uring_enter",
		"io_uring_register",
		"io_uring_setup",
		"ioperm",
		"iopl",
		"kcmp",
		"kexec_file_load",
		"kexec_load",
		"keyctl",
		"mknod",
		"mknodat",
		"modify_ldt",
		"mount",
		"mount_setattr",
		"move_mount",
		"name_to_handle_at",
		"open_by_handle_at",
		"open_tree",
		"perf_event_open",
		"pidfd_getfd",
		"pivot_root",
		"process_madvise",
		"process_vm_readv",
		"process_vm_writev",
		"ptrace",
		"quotactl",
		"reboot",
		"request_key",
		"sethostname",
		"setns",
		"settimeofday",
		"swapon",
		"syslog",
		"umount2",
		"userfaultfd",
		"vmsplice",
	};
	json_t *seccomp = part("linux", "seccomp"), *rule, *name;
	assert_string_equal(json_string_value(json_object_get(seccomp, "defaultAction")), "SCMP_ACT_ERRNO");
	assert_int_equal(json_array_size(json_object_get(seccomp, "architectures")), 1);
	assert_true(has(json_object_get(seccomp, "architectures"), "SCMP_ARCH_X86_64"));
	size_t i, k;
	json_array_foreach(json_object_get(seccomp, "syscalls"), i, rule)
	{
		json_t *names = json_object_get(rule, "names");
		int allowed = !strcmp(json_string_value(json_object_get(rule, "action")), "SCMP_ACT_ALLOW");
		const char *previous = "";
		json_array_foreach(names, k, name)
		{
			const char *text = json_string_value(name);
			assert_true(strcmp(previous, text) < 0); /* sorted: a change is seen in a diff */
			previous = text;
			for (size_t f = 0; allowed && f < sizeof(forbidden) / sizeof(*forbidden); f++)
				assert_string_not_equal(text, forbidden[f]);
		}
		/* Calls whose arguments decide are never in the list without conditions. */
		if (allowed && !json_object_get(rule, "args"))
			assert_false(has(names, "clone") || has(names, "unshare") || has(names, "socket") ||
				     has(names, "socketpair") || has(names, "personality") || has(names, "setsockopt"));
	}
}

static void a_share_directory_without_a_profile_is_refused(void **state)
{
	(void)state;
	struct gr_bundle_settings settings = defaults;
	struct gr_error err = { 0 };
	settings.share_directory = directory; /* has a config.json, no seccomp.json */
	assert_int_equal(gr_bundle_write(directory, &settings, &err), GR_EINVAL);
	assert_non_null(strstr(err.text, "seccomp.json"));
	settings.share_directory = "/nonexistent";
	assert_int_equal(gr_bundle_write(directory, &settings, &err), GR_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_agent_runs_as_browser_without_any_capability),
		cmocka_unit_test(every_namespace_is_its_own),
		cmocka_unit_test(ids_root_and_limits_are_those_asked_for),
		cmocka_unit_test(what_is_bound_is_read_only_and_what_is_writable_is_bounded),
		cmocka_unit_test(the_home_page_cannot_write_more_policy),
		cmocka_unit_test(the_profile_lists_what_is_permitted_and_nothing_forbidden),
		cmocka_unit_test(a_share_directory_without_a_profile_is_refused),
	};
	return cmocka_run_group_tests(tests, write_bundle, remove_bundle);
}
