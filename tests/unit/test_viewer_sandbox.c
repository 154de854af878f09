/* The decoder's system call filter: what decoding needs works, everything that could reach out kills. */
#include "common/confine.h"
#include "common/decode/decode.h"
#include "viewer/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

typedef void (*deed)(void);

/* The wait status of a process that put itself under the filter and then did it. */
static int status_of(int (*filter)(struct gr_error *), deed what)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct gr_confine_settings settings = { .uid = geteuid() == 0 ? 65534 : 0,
							.descriptors = 16,
							.file_size = 0 };
		if (gr_confine(&settings, NULL) || filter(NULL))
			_exit(99);
		what();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_killed(deed what)
{
	int status = status_of(gr_sandbox_decoder, what);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void do_open(void)
{
	(void)open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static void do_open_old(void)
{
#ifdef SYS_open
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
#endif
}

static void do_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void do_unix_socket(void)
{
	(void)socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void do_execve(void)
{
	char *const arguments[] = { (char *)(uintptr_t) "/bin/true", NULL };
	execve("/bin/true", arguments, arguments + 1);
}

static void do_fork(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void do_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void do_kill(void)
{
	kill(getppid(), 0);
}

static void do_executable_memory(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_make_executable(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

/* Other ways to a file, a program, another process's memory, the kernel. */
static long other_call;

static void do_other_call(void)
{
	syscall(other_call, -1, NULL, NULL, 0, 0, 0);
}

static const long other_calls[] = {
	SYS_openat2,          SYS_execveat,    SYS_clone3,   SYS_memfd_create,   SYS_unlinkat,
	SYS_connect,          SYS_bind,        SYS_sendmmsg, SYS_io_uring_setup, SYS_bpf,
	SYS_process_vm_readv, SYS_pidfd_getfd, SYS_keyctl,   SYS_prctl,          SYS_seccomp,
	SYS_setrlimit,        SYS_prlimit64,   SYS_dup,      SYS_fcntl,          SYS_ioctl
};

static void reaching_out_kills_the_decoder(void **state)
{
	(void)state;
	assert_killed(do_open);
	assert_killed(do_open_old);
	assert_killed(do_socket);
	assert_killed(do_unix_socket);
	assert_killed(do_execve);
	assert_killed(do_fork);
	assert_killed(do_ptrace);
	assert_killed(do_kill);
	assert_killed(do_executable_memory);
	assert_killed(do_make_executable);
	for (size_t i = 0; i < sizeof(other_calls) / sizeof(*other_calls); i++) {
		other_call = other_calls[i];
		int status = status_of(gr_sandbox_decoder, do_other_call);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("system call %ld: wait status %#x", other_call, (unsigned)status);
	}
}

static void do_work(void)
{
	struct timespec now;
	struct pollfd nothing = { .fd = -1 };
	char *volatile small = malloc(100), *volatile large = malloc(8 << 20);
	if (!small || !large || clock_gettime(CLOCK_MONOTONIC, &now) < 0 || poll(&nothing, 1, 1) < 0)
		_exit(1);
	memset(large, 1, 8 << 20);
	large = realloc(large, 16 << 20);
	free(large);
	free(small);
}

/* The largest history, and a photograph. */
static void do_decode(void)
{
	/* One pixel in a stream with a window of 32 MiB: RFC 8878, a block as it is. */
	static const uint8_t begin[] = "\x28\xb5\x2f\xfd\0\x78\x60\0\0\0\0\0\0\0\1\0\1\xc0\x10\1\2";
	static uint32_t pixels[64 * 64];
	static uint8_t grey[64 * 64 * 3];
	const char *why = NULL;
	struct gr_rect all = { 0, 0, 64, 64 };
	struct gr_decode *decode = gr_decode_create(25, 1);
	if (!decode ||
	    gr_decode_rectangle(decode, GR_ENCODING_HISTORY, begin, sizeof(begin) - 1, pixels, 64, all, &why) ||
	    pixels[0] != 0xff121011u)
		_exit(1);
	tjhandle jpeg = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long size = 0;
	if (tjCompress2(jpeg, grey, 64, 0, 64, TJPF_RGB, &data, &size, TJSAMP_420, 80, 0))
		_exit(2);
	size_t app0 = 2 + ((size_t)data[4] << 8 | data[5]); /* not in our form */
	memmove(data + 2, data + 2 + app0, size - 2 - app0);
	if (gr_decode_rectangle(decode, GR_ENCODING_PHOTO, data, size - app0, pixels, 64, all, &why))
		_exit(3);
	tjFree(data);
	tjDestroy(jpeg);
	gr_decode_destroy(decode);
}

static void decoding_works_under_the_filter(void **state)
{
	(void)state;
	assert_int_equal(status_of(gr_sandbox_decoder, do_work), 0);
	assert_int_equal(status_of(gr_sandbox_decoder, do_decode), 0);
	assert_int_equal(status_of(gr_sandbox_transport, do_work), 0);
}

static void do_refused(void)
{
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		_exit(1);
	char *const arguments[] = { (char *)(uintptr_t) "/bin/true", NULL };
	execve("/bin/true", arguments, arguments + 1);
}

static void the_transport_opens_nothing_more(void **state)
{
	(void)state;
	assert_int_equal(status_of(gr_sandbox_transport, do_refused), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reaching_out_kills_the_decoder),
		cmocka_unit_test(decoding_works_under_the_filter),
		cmocka_unit_test(the_transport_opens_nothing_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
