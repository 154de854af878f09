/*
 * T43 of the session process: the N-th allocation of our own code after READY fails (libvncserver does not look at its own), for many N of a session with a viewer. Each try is a
 * process of its own, whose failing assertion only says that the session went no further; what counts is how garasu-session
 * itself ended: in good order or with an error, never by a signal or a sanitizer's complaint.
 */
#include "tests/integration/session_parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TRIES 40u
#define SESSION_EXITS_MS 15000.0

static uint64_t *starve; /* as tests/faults/starve.c has it */

static struct rig r;

static void whole_session(uint64_t number, uint64_t following)
{
	start_process(&r);
	starve[1] = 0;
	starve[2] = following;
	starve[3] = 1;
	starve[0] = number;
	r.w = 640;
	r.h = 480;
	order(&r, GR_IPC_START, 0, 0, -1);
	agent_connects(&r);
	agent_hears(&r, GR_RECORD_WANT_FRAME);
	draw(&r, (struct gr_rect){ 0, 0, r.w, r.h });
	draw(&r, (struct gr_rect){ 100, 50, 300, 200 });
	whole_frame(&r);
	rfbClient *c = libvncclient_attach(&r, 5, "tight copyrect");
	pictures_are_equal(&r, c);
	assert_true(SendIncrementalFramebufferUpdateRequest(c));
	want_with(&r, c);
	draw(&r, (struct gr_rect){ 10, 300, 600, 100 });
	frame(&r, (struct gr_rect){ 10, 300, 600, 100 });
	pictures_are_equal(&r, c);
	libvncclient_close(c);
	heard(&r, GR_IPC_DETACHED);
	order(&r, GR_IPC_END, GR_REASON_ENDED_BY_ADMIN, 0, -1);
	finish(&r);
	starve[0] = 0;
}

/* What is left of one try: its own process, and the session process, which is ours once that has ended. 1 = it went to its end. */
static int collect(pid_t player, uint64_t number)
{
	double start = now_us();
	int done = 0, status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0) {
		if (pid == 0) {
			if (now_us() - start > SESSION_EXITS_MS * 1e3)
				fail_msg("allocation %llu: a process does not end", (unsigned long long)number);
			usleep(1000);
		} else if (pid == player) {
			done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		} else if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
			fail_msg("allocation %llu: the session process ended with status %#x",
				 (unsigned long long)number, (unsigned)status);
		}
	}
	return done;
}

static int try_once(uint64_t number, uint64_t following)
{
	fflush(NULL);
	pid_t player = fork();
	if (player == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (!getenv("GARASU_TEST_LOG"))
			dup2(null, STDERR_FILENO);
		dup2(null, STDOUT_FILENO);
		whole_session(number, following);
		_exit(0);
	}
	return collect(player, number);
}

static void no_allocation_that_fails_is_a_crash(void **state)
{
	(void)state;
	assert_true(try_once(0, 0));
	uint64_t total = starve[1];
	const char *given = getenv("GARASU_STARVE_STEP");
	uint64_t step = given ? strtoull(given, NULL, 10) : total / TRIES + 1, tries = 0, whole = 0;
	for (uint64_t following = 0; following < 2; following++)
		for (uint64_t number = 1; number <= total; number += step) {
			whole += (unsigned)try_once(number, following ? UINT64_MAX / 2 : 0);
			tries++;
		}
	printf("%llu allocations; %llu of %llu sessions went to their end\n", (unsigned long long)total,
	       (unsigned long long)whole, (unsigned long long)tries);
	assert_true(whole < tries); /* something did fail */
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: session_starved_test GARASU-SESSION STARVE.SO\n");
		return 2;
	}
	program = argv[1];
	preloaded = argv[2];
	char name[] = "/tmp/garasu-starve-XXXXXX";
	int fd = mkstemp(name);
	if (fd < 0 || ftruncate(fd, 32) < 0 || fchmod(fd, 0666) < 0)
		return 2;
	starve = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	setenv("GARASU_STARVE", name, 1);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_allocation_that_fails_is_a_crash),
	};
	pid_t self = getpid();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (getpid() != self) { /* a try whose assertion failed comes here too */
		clean(&r);
		_exit(1);
	}
	unlink(name);
	return failed;
}
