#include "viewer/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>

/* Common to both. None takes a path, makes a descriptor or reaches another process. */
static const int common_calls[] = {
	SCMP_SYS(read),         SCMP_SYS(readv),          SCMP_SYS(write),         SCMP_SYS(writev),
	SCMP_SYS(recvmsg),      SCMP_SYS(sendmsg),        SCMP_SYS(recvfrom),      SCMP_SYS(sendto),
	SCMP_SYS(shutdown),     SCMP_SYS(poll),           SCMP_SYS(ppoll),         SCMP_SYS(close),
	SCMP_SYS(brk),          SCMP_SYS(munmap),         SCMP_SYS(mremap),        SCMP_SYS(madvise),
	SCMP_SYS(futex),        SCMP_SYS(sched_yield),    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(time),         SCMP_SYS(getrandom),      SCMP_SYS(getpid),        SCMP_SYS(gettid),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack),   SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

/* Only reads of the socket's own state and options of a connected socket. */
static const int transport_calls[] = { SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getpeername),
				       SCMP_SYS(getsockname) };

static int add_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int status = 0;
	for (size_t i = 0; i < count && !status; i++)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return status;
}

static int install(uint32_t otherwise, const int *more, size_t more_count, struct gr_error *err)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	if (!filter)
		return gr_error_set(err, GR_ENOMEM, "seccomp: no memory");
	int status = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!status)
		status = add_all(filter, common_calls, sizeof(common_calls) / sizeof(*common_calls));
	if (!status)
		status = add_all(filter, more, more_count);
	/* Memory, but never executable. */
	if (!status)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
					  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!status)
		status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!status)
		status = seccomp_load(filter);
	seccomp_release(filter);
	if (status) {
		errno = -status;
		return gr_error_errno(err, "seccomp");
	}
	return 0;
}

int gr_sandbox_decoder(struct gr_error *err)
{
	return install(SCMP_ACT_KILL_PROCESS, NULL, 0, err);
}

int gr_sandbox_transport(struct gr_error *err)
{
	return install(SCMP_ACT_ERRNO(EPERM), transport_calls, sizeof(transport_calls) / sizeof(*transport_calls), err);
}
