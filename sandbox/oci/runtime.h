/*
 * The OCI runtime (crun or gVisor's runsc) as a program: one process per command, started without waiting, so that an
 * event loop can wait for its pidfd; gr_runtime_wait for callers without a loop. What it says goes to a log file of that
 * command, whose last line is the reason when it fails.
 */
#ifndef GARASU_SANDBOX_OCI_RUNTIME_H
#define GARASU_SANDBOX_OCI_RUNTIME_H

#include "common/error.h"

#include <limits.h>
#include <sys/types.h>

struct gr_runtime {
	char program[PATH_MAX]; /* absolute path; one whose name begins with "runsc" gets gVisor's options */
	char root
		[PATH_MAX]; /* where the runtime keeps its state: a folder per container, of its id's name, which stays */
};

/*
 * The limit of the control group for so many processes and threads in the container. Under runsc the group counts gVisor's
 * own, which stand for them: about two for each, and gVisor ends with the container when it gets none.
 */
unsigned gr_runtime_pids(const char *program, unsigned pids);

/* One running command. A struct of zeroes but pidfd = -1 is "none". */
struct gr_runtime_job {
	pid_t pid;
	int pidfd; /* readable when the command has ended; owned by the job */
	char name[16]; /* "run", "delete" */
	char log[PATH_MAX];
};

/*
 * Starts the container and lets it run: crun run --detach. stdio: the container's standard output and error (borrowed), a
 * pipe or file of its own, which the runtime gives to the container's user: never a device. Its input is empty. pid_file will hold the pid of its first process. GR_EIO, GR_ENOMEM.
 */
int gr_runtime_run(const struct gr_runtime *runtime, const char *id, const char *bundle, const char *pid_file,
		   int stdio, const char *log, struct gr_runtime_job *out, struct gr_error *err);

/* Kills what runs of the container and removes its state and groups: crun delete --force. As gr_runtime_run. */
int gr_runtime_delete(const struct gr_runtime *runtime, const char *id, const char *log, struct gr_runtime_job *out,
		      struct gr_error *err);

/*
 * After pidfd became readable: reaps the command, closes pidfd, removes the log. 0 when it succeeded, GR_EIO with the
 * command, its exit status and its last words otherwise; GR_EAGAIN when it is still running.
 */
int gr_runtime_finish(struct gr_runtime_job *job, struct gr_error *err);

/* Kills the command (its deadline has passed) and reaps it. NULL and "none" allowed. */
void gr_runtime_abort(struct gr_runtime_job *job);

/* Waits at most ms for the command, then finishes or aborts it: as gr_runtime_finish, or GR_ETIMEOUT. */
int gr_runtime_wait(struct gr_runtime_job *job, int ms, struct gr_error *err);

/* Reads what gr_runtime_run wrote into pid_file. GR_EIO. */
int gr_runtime_pid(const char *pid_file, pid_t *out, struct gr_error *err);

#endif
