/* The filter of system calls of one process: an allow-list (libseccomp, x86-64); whatever else is called kills it (SIGSYS). */
#ifndef GARASU_COMMON_SECCOMP_H
#define GARASU_COMMON_SECCOMP_H

#include "common/error.h"

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GR_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GR_ADDRESS_SANITIZER 1
#endif

/* One permitted call; with arguments: permitted only when all of them hold. Several rules may name the same call. */
struct gr_seccomp_rule {
	int call; /* SCMP_SYS(name) */
	unsigned count; /* of arguments */
	struct scmp_arg_cmp arguments[3];
};

#define GR_CALL(name)                                                                                                  \
	{                                                                                                              \
		.call = SCMP_SYS(name)                                                                                 \
	}
/* The kernel takes these arguments as 32 bits: what stands above them does not count. */
#define GR_CALL_1(name, n, value)                                                                                      \
	{                                                                                                              \
		.call = SCMP_SYS(name), .count = 1, .arguments = { { n, SCMP_CMP_MASKED_EQ, UINT32_MAX, value } }      \
	}
#define GR_CALL_2(name, n, value, m, value2)                                                                           \
	{                                                                                                              \
		.call = SCMP_SYS(name), .count = 2, .arguments = {                                                     \
			{ n, SCMP_CMP_MASKED_EQ, UINT32_MAX, value },                                                  \
			{ m, SCMP_CMP_MASKED_EQ, UINT32_MAX, value2 }                                                  \
		}                                                                                                      \
	}
#define GR_CALL_3(name, n, value, m, value2, o, value3)                                                                \
	{                                                                                                              \
		.call = SCMP_SYS(name), .count = 3, .arguments = {                                                     \
			{ n, SCMP_CMP_MASKED_EQ, UINT32_MAX, value },                                                  \
			{ m, SCMP_CMP_MASKED_EQ, UINT32_MAX, value2 },                                                 \
			{ o, SCMP_CMP_MASKED_EQ, UINT32_MAX, value3 }                                                  \
		}                                                                                                      \
	}

/* socket(2) of exactly this family, type (SOCK_NONBLOCK and SOCK_CLOEXEC apart) and protocol. */
#define GR_SOCKET(family, type, protocol)                                                                              \
	{                                                                                                              \
		.call = SCMP_SYS(socket), .count = 3, .arguments = {                                                   \
			{ 0, SCMP_CMP_MASKED_EQ, UINT32_MAX, family },                                                 \
			{ 1, SCMP_CMP_MASKED_EQ, 0xf, type },                                                          \
			{ 2, SCMP_CMP_MASKED_EQ, UINT32_MAX, protocol }                                                \
		}                                                                                                      \
	}

/* What common/loop.h takes once it is made, with gr_io_send and gr_io_receive. */
#define GR_CALLS_LOOP GR_CALL(epoll_wait), GR_CALL(epoll_ctl), GR_CALL(sendmsg), GR_CALL(recvmsg)

/*
 * Kills on everything but the given rules and what every process here needs: read and write what is open, memory that is not
 * executable, locks between nobody, the clock, random bytes, abort(3) of itself, the end. A foreign architecture kills too.
 * Needs no_new_privs. GR_ENOMEM, GR_EIO.
 */
int gr_seccomp_load(const struct gr_seccomp_rule *rules, size_t count, struct gr_error *err);

#endif
