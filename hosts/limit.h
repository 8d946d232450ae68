/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limit: what a container may use: CPU time (CL_CHANGE_QUOTA: cpu.max, cpu.cfs_quota_us) and what
 * it reads from and writes to a device (CL_CHANGE_IO: io.max, cgroup v2 alone).
 *
 * On v1 containers are cpusets, and the cpu controller has a hierarchy of its own: the container's
 * twin is made there with the limit, takes the threads that are in the container then and nobody
 * has moved in that hierarchy, and goes with the limit.
 *
 * The kernel does not throttle its own threads from Linux 6.18 on (they never return to user
 * space): a quota is without effect on back ends there.
 */
#ifndef CLOSER_LIMIT_H
#define CLOSER_LIMIT_H

#include <closer/host.h>
#include "cgroup.h"

/* Can it be done here? Else why not. */
bool cl_limit_can(const struct cl_cgroup *cgroup, enum cl_change_kind kind, const char **ret_why);
/* The controller that a change of this kind needs; NULL: it needs none. */
const char *cl_limit_controller(enum cl_change_kind kind);
/*
 * As cl_host_ops. -ENOENT: no such container. A setting that is none of ours (reads and writes
 * limited otherwise, say) is present with a number of -1.
 */
int cl_limit_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_limit_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_error *reterr);
/* The container goes: on v1 its twin, too. */
void cl_limit_forget(const struct cl_cgroup *cgroup, const char *path);

/* The texts of cpu.max, and of io.max for one device. False: not as the kernel writes them. Pure,
 * fuzzed. */
bool cl_limit_parse_cpu(const char *text, struct cl_setting *ret_setting);
bool cl_limit_parse_io(const char *text, uint64_t device, struct cl_setting *ret_setting);

#endif
