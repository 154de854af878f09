/* The system call filters of the viewer's processes. */
#ifndef GARASU_VIEWER_SANDBOX_H
#define GARASU_VIEWER_SANDBOX_H

#include "common/error.h"

/*
 * For the decoder: reading, writing and polling what is open, memory that is not executable, the clock, the end.
 * Everything else, open(2), socket(2) and execve(2) first, kills the process (SIGSYS). Lets AddressSanitizer work.
 * GR_EIO.
 */
int gr_sandbox_decoder(struct gr_error *err);

/*
 * For the transport once it is connected and has its certificates: the same, and what a TCP socket needs. Other
 * calls fail with EPERM instead of killing, because what libcrypto asks for differs between its versions.
 */
int gr_sandbox_transport(struct gr_error *err);

#endif
