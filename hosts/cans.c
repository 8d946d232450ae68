/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this process may do on this machine. */
#include "cans.h"

#include "limit.h"
#include "packets.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_sys_nice(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &head, data) == 0 && (data[0].effective >> CAP_SYS_NICE & 1);
}

void cl_cans_set(struct cl_cans *cans, enum cl_can can, bool yes, const char *why_not)
{
	cans->can = (cans->can & ~(UINT32_C(1) << can)) | (uint32_t)yes << can;
	if (yes)
		cans->why_not[can][0] = '\0';
	else
		snprintf(cans->why_not[can], sizeof(cans->why_not[can]), "%s", why_not);
}

void cl_cans_ask(struct cl_cans *cans, const struct cl_cgroup *cgroup)
{
	memset(cans, 0, sizeof(*cans));
	cl_cans_set(cans, CL_CAN_CLOCK, true, NULL);
	cl_cans_set(cans, CL_CAN_MASK, has_sys_nice(),
		    "no right to set other processes' CPUs: run as root, or with CAP_SYS_NICE");
	cl_cans_set(cans, CL_CAN_GROUP, cl_cgroup_moves_threads(cgroup),
		    cgroup->why_not[0] ? cgroup->why_not
				       : "cgroup v2 moves whole processes, not their single "
					 "threads; masks alone place them");
	bool irq = access("/proc/irq/default_smp_affinity", W_OK) == 0;

	cl_cans_set(cans, CL_CAN_IRQ, irq,
		    errno == EROFS
			    ? "/proc/irq is mounted read-only: run closer outside of containers"
		    : errno == ENOENT ? "this kernel has no /proc/irq"
				      : "no right to write to /proc/irq: run as root");
	cl_cans_set(cans, CL_CAN_FENCE, false,
		    "guests' vCPUs are tasks of this kernel, and a fence would keep them out as "
		    "well");
	char why[160];
	const char *not_here;
	bool can = cl_limit_can(cgroup, CL_CHANGE_QUOTA, &not_here);

	cl_cans_set(cans, CL_CAN_QUOTA, can, not_here);
	can = cl_limit_can(cgroup, CL_CHANGE_IO, &not_here);
	cl_cans_set(cans, CL_CAN_IO_LIMIT, can, not_here);
	can = cl_packets_can(why, sizeof(why));
	cl_cans_set(cans, CL_CAN_PACKET_RATE, can, why);
	/* PIN, NAPI_THREAD, PARTITION, RATE: for hosts to which they apply. */
}

void cl_cans_fence(struct cl_cans *cans, const struct cl_cgroup *cgroup)
{
	cl_cans_set(cans, CL_CAN_FENCE, cans->can >> CL_CAN_MASK & 1, cans->why_not[CL_CAN_MASK]);
	cl_cans_set(cans, CL_CAN_PARTITION, cgroup->version == 2 && !cgroup->why_not[0],
		    cgroup->why_not[0] ? cgroup->why_not
				       : "cgroup v1 has no partitions: boot with cgroup v2 "
					 "(systemd.unified_cgroup_hierarchy=1)");
}
