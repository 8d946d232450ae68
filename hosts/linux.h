/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux: reading and setting the objects that every Linux host has: threads, interrupts, cgroups.
 * The read and apply of qemu, template and libvirt hosts, and the Linux part of xen's.
 *
 * apply: reads; equal to `to`: done; equal to `from`: set, read back; else -ESTALE. A thread is
 * opened by pidfd (or its /proc directory) first and its start time compared after, so that a
 * reused id is never touched: -ESRCH.
 *
 * Threads and groups take two writes each. A thread found with the default mask of one of its
 * change's two groups, or a group of ours without CPUs, was left half-way by somebody who was
 * killed: read() gives it as set by us, so that undo sees to it; apply() finishes it, either way.
 * -EIDRM: the group that a thread should go (back) to has been removed; the thread stays as it is.
 * -EINVAL: the mask is not inside the target group. -EBUSY: a group to be removed is in use.
 */
#ifndef CLOSER_LINUX_H
#define CLOSER_LINUX_H

#include <closer/host.h>
#include "cgroup.h"

int cl_linux_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_linux_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   struct cl_error *reterr);
/* Do a setting read and a setting wanted agree? Only what the wanted one names is compared; masks
 * within `online`. */
bool cl_linux_equal(enum cl_change_kind kind, const struct cl_setting *is,
		    const struct cl_setting *wanted);

/*
 * The fence (fence.c). Its change has the path "/closer": a cpuset partition of cgroup v2; or "/":
 * only what goes along with it. `along` gives a change for each thread that is not in a container
 * of ours and that either may be moved and nobody has set ("/"), or that was set by hand, which the
 * kernel overwrites ("/closer"). apply keeps masks that are set by hand as far as the fence lets
 * them.
 */
int cl_linux_fence_read(const struct cl_cgroup *cgroup, const struct cl_change *change,
			struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_linux_fence_apply(const struct cl_cgroup *cgroup, const struct cl_change *change,
			 struct cl_error *reterr);
int cl_linux_along(const struct cl_cgroup *cgroup, const struct cl_change *change,
		   int (*fn)(void *ctx, const struct cl_change *along), void *ctx,
		   struct cl_error *reterr);
/*
 * Threads that the kernel binds to CPUs, fence or not: how many, and some of their names, each
 * once, in alphabetical order.
 */
uint32_t cl_linux_bound(char *ret_names, size_t size);

/* Interrupts: /proc/interrupts by number and name; smp_affinity by number. hosts/irq.c */
struct cl_irqs;
int cl_irqs_new(struct cl_irqs **ret_irqs, struct cl_error *reterr);
void cl_irqs_free(struct cl_irqs *irqs);
/*
 * Adds to snap each numbered interrupt for which owner() names a guest (index as appended) by the
 * interrupt's name; kept descriptor, no open in a steady state except for the masks of the ones
 * owned.
 */
int cl_irqs_observe(struct cl_irqs *irqs, struct cl_snapshot *snap,
		    struct cl_guest_ix (*owner)(void *ctx, const char *name), void *ctx,
		    struct cl_error *reterr);
/* One line of /proc/interrupts: number, sum of its counts, name (the rest after chip and hwirq).
 * Pure, fuzzed. */
bool cl_irq_parse_line(const char *line, uint32_t *ret_number, uint64_t *ret_count, char *ret_name,
		       size_t size);

#endif
