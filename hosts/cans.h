/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cans: what can be done on this machine, and why the rest cannot. Private to hosts/build.c. */
#ifndef CLOSER_CANS_H
#define CLOSER_CANS_H

#include "cgroup.h"

#include <closer/snapshot.h>

struct cl_cans {
	uint32_t can; /* bit i: enum cl_can i */
	char why_not[CL_CAN_COUNT][160];
};

/* What this process may do, which does not change while it lives; for guests whose vCPUs are tasks
 * of this kernel. */
void cl_cans_ask(struct cl_cans *ret_cans, const struct cl_cgroup *cgroup);
/* Where they are not: FENCE and PARTITION. */
void cl_cans_fence(struct cl_cans *cans, const struct cl_cgroup *cgroup);
void cl_cans_set(struct cl_cans *cans, enum cl_can can, bool yes, const char *why_not);

#endif
