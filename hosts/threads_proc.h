/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads_proc: what /proc says of one thread. Private to hosts/threads*.c and to their tests. */
#ifndef CLOSER_THREADS_PROC_H
#define CLOSER_THREADS_PROC_H

#include "threads.h"

#include <sys/types.h>

#define CL_PROC_TEXT 4096u /* more than stat or schedstat ever is, and than cgroup is of late */

/* The fields of proc(5) stat that are used. */
struct cl_stat {
	char comm[16];
	char state;
	uint32_t flags; /* PF_* */
	uint64_t start; /* clock ticks since boot */
	uint32_t cpu;
};

/* Pure, fuzzed. False: not in the format. The thread wrote comm itself: it may hold ')' and line
 * ends. */
bool cl_stat_parse(const char *text, struct cl_stat *ret_stat);
/* "run wait slices". Pure, fuzzed. */
bool cl_schedstat_parse(const char *text, uint64_t *ret_run_ns, uint64_t *ret_wait_ns);

/* One pread at 0 of a file that the kernel gives whole: length or -errno. buf holds CL_PROC_TEXT.
 */
ssize_t cl_proc_pread(int fd, char *buf);
/* Opens "TID/name" below a /proc/PID/task directory: a descriptor or -errno; -ESRCH: it is gone. */
int cl_proc_open(int task_dir, int32_t tid, const char *name);
/* The thread's mask by its id. 0 or -errno. */
int cl_proc_mask(int32_t tid, struct cl_cpuset *ret_mask);
/* Calls fn for each thread id in a /proc/PID/task directory; no malloc. 0, -errno, or fn's value if
 * not 0. */
int cl_proc_each(int task_dir, int (*fn)(void *ctx, int32_t tid), void *ctx);
/* Descriptors that may be kept, after the limit was raised as far as it can be. */
uint32_t cl_proc_descriptors(uint32_t wanted);

#endif
