/* sandbox/oci/runtime: commands with deadlines, and why they failed. The runtime is a shell script here. */
#include "common/io.h"
#include "sandbox/oci/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/garasu-test-runtime-XXXXXX";
static struct gr_runtime runtime;
static char log_file[64], pid_file[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(runtime.program, sizeof(runtime.program), "%s/runtime", directory);
	snprintf(runtime.root, sizeof(runtime.root), "%s/state", directory);
	snprintf(log_file, sizeof(log_file), "%s/log", directory);
	snprintf(pid_file, sizeof(pid_file), "%s/pid", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(runtime.program);
	unlink(pid_file);
	return rmdir(directory);
}

/* PROGRAM --root ROOT --log LOG run --detach --bundle BUNDLE --pid-file FILE ID */
static void runtime_is(const char *script)
{
	FILE *out = fopen(runtime.program, "we");
	assert_non_null(out);
	fprintf(out, "#!/bin/sh\n%s\n", script);
	fclose(out);
	assert_int_equal(chmod(runtime.program, 0700), 0);
}

static int run(int ms, struct gr_error *err)
{
	struct gr_runtime_job job;
	int status = gr_runtime_run(&runtime, "c1", directory, pid_file, 2, log_file, &job, err);
	if (!status)
		status = gr_runtime_wait(&job, ms, err);
	assert_int_equal(access(log_file, F_OK), -1);
	return status;
}

static void a_command_that_succeeds_is_reaped(void **state)
{
	(void)state;
	struct gr_error err;
	runtime_is("echo 4711 > \"${10}\"; exit 0");
	pid_t pid = 0;
	assert_int_equal(run(10000, &err), 0);
	assert_int_equal(gr_runtime_pid(pid_file, &pid, &err), 0);
	assert_int_equal(pid, 4711);
}

static void the_last_words_of_a_failure_are_the_reason(void **state)
{
	(void)state;
	struct gr_error err;
	runtime_is("printf 'first\\n2026-01-02T03:04:05.678Z: cgroups say no\\n' > \"$4\"; exit 7");
	assert_int_equal(run(10000, &err), GR_EIO);
	assert_string_equal(err.text, "run: exit status 7: cgroups say no");
	runtime_is("exit 7");
	assert_int_equal(run(10000, &err), GR_EIO);
	assert_string_equal(err.text, "run: exit status 7: it said nothing");
	runtime_is("kill -9 $$");
	assert_int_equal(run(10000, &err), GR_EIO);
	assert_string_equal(err.text, "run: killed by signal 9");
}

static void runsc_is_told_by_its_name_and_gets_its_options(void **state)
{
	(void)state;
	struct gr_error err;
	struct gr_runtime crun = runtime;
	assert_int_equal(gr_runtime_pids("/usr/bin/crun", 400), 400);
	assert_int_equal(gr_runtime_pids("/opt/runsc-2026/runsc", 400), 1600);
	snprintf(runtime.program, sizeof(runtime.program), "%s/runsc", directory);
	runtime_is("case \" $* \" in *' --network=none '*' run '*) exit 0 ;; esac; exit 7");
	assert_int_equal(run(10000, &err), 0);
	unlink(runtime.program);
	runtime = crun;
	runtime_is("case \" $* \" in *' --network=none '*) exit 7 ;; esac; exit 0");
	assert_int_equal(run(10000, &err), 0);
}

static void a_missing_program_is_told(void **state)
{
	(void)state;
	struct gr_error err;
	unlink(runtime.program);
	assert_int_equal(run(10000, &err), GR_EIO);
	assert_non_null(strstr(err.text, "cannot be executed"));
}

static void a_command_without_end_is_killed_at_its_deadline(void **state)
{
	(void)state;
	struct gr_error err;
	runtime_is("exec sleep 60");
	uint64_t began = gr_io_now_ms();
	assert_int_equal(run(300, &err), GR_ETIMEOUT);
	assert_true(gr_io_now_ms() - began < 10000);
}

static void a_pid_file_that_is_none_is_refused(void **state)
{
	(void)state;
	struct gr_error err;
	pid_t pid = -5;
	const char *const bad[] = { "", "x", "0", "1", "-4", "99999999999999" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		FILE *out = fopen(pid_file, "we");
		fputs(bad[i], out);
		fclose(out);
		assert_int_equal(gr_runtime_pid(pid_file, &pid, &err), GR_EIO);
	}
	assert_int_equal(pid, -5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_succeeds_is_reaped),
		cmocka_unit_test(the_last_words_of_a_failure_are_the_reason),
		cmocka_unit_test(runsc_is_told_by_its_name_and_gets_its_options),
		cmocka_unit_test(a_missing_program_is_told),
		cmocka_unit_test(a_command_without_end_is_killed_at_its_deadline),
		cmocka_unit_test(a_pid_file_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
