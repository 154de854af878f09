#include "common/seccomp.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* None takes a path, makes a descriptor or reaches another process. */
static const struct gr_seccomp_rule base[] = {
	GR_CALL(read),
	GR_CALL(write),
	GR_CALL(writev), /* glibc's last words */
	GR_CALL(close),
	GR_CALL(poll),
	GR_CALL(restart_syscall), /* what a stopped and continued process makes of a poll */
	/* memory; growing, giving back and what free(3) trims */
	GR_CALL(brk),
	GR_CALL(munmap),
	GR_CALL(mremap),
	GR_CALL(madvise),
	GR_CALL(futex), /* locks of libc and OpenSSL */
	/* where the vDSO has no clock */
	GR_CALL(clock_gettime),
	GR_CALL(gettimeofday),
	GR_CALL(time),
	GR_CALL(getrandom),
	GR_CALL(getpid),
	/* abort(3), assert(3); tgkill is added with our own number */
	GR_CALL(gettid),
	GR_CALL(rt_sigprocmask),
	GR_CALL(rt_sigaction),
	GR_CALL(rt_sigreturn),
	GR_CALL(exit),
	GR_CALL(exit_group),
#ifdef GR_ADDRESS_SANITIZER
	/* its report of a fault */
	GR_CALL(sigaltstack),
	GR_CALL(sched_yield),
	GR_CALL_1(ioctl, 1, TCGETS),
#endif
};

static int add(scmp_filter_ctx filter, const struct gr_seccomp_rule *rules, size_t count)
{
	int status = 0;
	for (size_t i = 0; i < count && !status; i++)
		status = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, rules[i].count,
						rules[i].arguments);
	return status;
}

int gr_seccomp_load(const struct gr_seccomp_rule *rules, size_t count, struct gr_error *err)
{
	const struct gr_seccomp_rule computed[] = {
		GR_CALL_1(tgkill, 0, (uint32_t)getpid()),
		/* Memory, but never executable. */
		{ SCMP_SYS(mmap), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
		{ SCMP_SYS(mprotect), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return gr_error_set(err, GR_ENOMEM, "seccomp: no memory");
	int status = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A binary tree instead of one comparison after the other; older libraries do without. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!status)
		status = add(filter, base, sizeof(base) / sizeof(*base));
	if (!status)
		status = add(filter, computed, sizeof(computed) / sizeof(*computed));
	if (!status)
		status = add(filter, rules, count);
#ifdef GR_ADDRESS_SANITIZER
	/* It asks for its own files, by calls that our own code does not make, and goes on without them. */
	static const int refused[] = { SCMP_SYS(open), SCMP_SYS(readlink), SCMP_SYS(stat) };
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused) && !status; i++)
		status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
#endif
	if (!status)
		status = seccomp_load(filter);
	seccomp_release(filter);
	if (status) {
		errno = -status;
		return gr_error_errno(err, "seccomp");
	}
	return 0;
}
