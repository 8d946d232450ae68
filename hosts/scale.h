/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scale: which share of what a kernel books on a virtual CPU the hypervisor really gave to it.
 *
 *   begin -> { cpu for each CPU -> cl_threads_scale(ppm) } a tick
 *
 * For a guest kernel that counts stolen time as run time, where nothing better can be had. An
 * estimate: all that ran on a CPU between two looks is taken to have lost the same share, and what
 * the hypervisor counts beyond the kernel (idle entry and exit) hides as much of the loss. Pure.
 */
#ifndef CLOSER_SCALE_H
#define CLOSER_SCALE_H

#include <closer/base.h>

struct cl_scale {
	uint64_t booked_ns[CL_CPUS_MAX], given_ns[CL_CPUS_MAX]; /* at the last look that counted */
	uint32_t ppm[CL_CPUS_MAX];                              /* of what is booked; at most all */
};

void cl_scale_begin(struct cl_scale *ret_scale);
/*
 * Cumulative times of a CPU: not idle, by the kernel; run, by the hypervisor. The share stays as it
 * was while too little was booked to tell, since the kernel counts idle time in steps of 10 ms.
 * CL_UNKNOWN, or a counter that went back: it begins anew.
 */
void cl_scale_cpu(struct cl_scale *scale, uint32_t cpu, uint64_t booked_ns, uint64_t given_ns);

#endif
