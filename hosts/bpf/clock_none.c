/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock_none: the clock of a build without libbpf. Never opened, so nothing below open is reached.
 */
#include "clock.h"

#include <errno.h>

int cl_clock_open(uint32_t capacity, enum cl_clock_walk walk, enum cl_clock_time time,
		  struct cl_clock **ret_clock, struct cl_error *reterr)
{
	return cl_fail(
		reterr, ENOSYS,
		"built without libbpf: install libbpf-dev, clang and bpftool, and build closer anew");
}

void cl_clock_close(struct cl_clock *clock) {}

enum cl_clock_walk cl_clock_walk(const struct cl_clock *clock)
{
	return CL_CLOCK_WALK_AUTO;
}

int cl_clock_follow(struct cl_clock *clock, uint32_t tgid, struct cl_error *reterr)
{
	return cl_fail(reterr, ENOSYS, "built without libbpf");
}

void cl_clock_own(struct cl_clock *clock, uint32_t tgid, uint32_t domid) {}

void cl_clock_end(struct cl_clock *clock, uint32_t tgid) {}

void cl_clock_unfollow(struct cl_clock *clock, uint32_t tgid) {}

int cl_clock_read(struct cl_clock *clock, const struct cl_clock_task **ret_tasks,
		  uint32_t *ret_count, uint32_t *ret_lost, struct cl_error *reterr)
{
	return cl_fail(reterr, ENOSYS, "built without libbpf");
}

uint32_t cl_clock_row_new(struct cl_clock *clock, const struct cl_clock_task *task)
{
	return 0;
}

void cl_clock_row_free(struct cl_clock *clock, uint32_t tgid, uint32_t tid, uint32_t row) {}

uint32_t cl_clock_runs(struct cl_clock *clock, uint32_t row, const struct cl_clock_task *task,
		       uint64_t ran, struct cl_thread_run *buf, uint32_t size)
{
	return 0;
}

bool cl_clock_classes(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_user_ns,
		      uint64_t *ret_kernel_ns)
{
	return false;
}

bool cl_clock_rest(const struct cl_clock *clock, uint32_t tgid, uint32_t cpu, uint64_t *ret_ns)
{
	return false;
}

bool cl_clock_honest(const struct cl_clock *clock)
{
	return false;
}

uint32_t cl_clock_ran(struct cl_clock *clock, uint32_t row, struct cl_thread_run *buf,
		      uint32_t size, uint64_t *ret_ran_ns)
{
	return 0;
}

bool cl_clock_irq(const struct cl_clock *clock, uint32_t number, uint64_t *ret_ns,
		  uint32_t *ret_cpu, uint32_t *ret_domid)
{
	return false;
}

bool cl_clock_vif(const struct cl_clock *clock, const char *name, uint64_t *ret_ns,
		  uint64_t *ret_tied_ns)
{
	return false;
}

void cl_clock_own_irq(struct cl_clock *clock, uint32_t number, uint32_t domid) {}

void cl_clock_own_interface(struct cl_clock *clock, uint32_t ifindex, uint32_t domid) {}

bool cl_clock_guest(struct cl_clock *clock, uint32_t domid, uint64_t *ret_shared_ns,
		    uint64_t *ret_wakeup_ns)
{
	return false;
}

void cl_clock_guest_gone(struct cl_clock *clock, uint32_t domid) {}

bool cl_clock_rests(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_nobody_ns,
		    uint64_t *ret_overhead_ns)
{
	return false;
}

bool cl_clock_parts(const struct cl_clock *clock, uint32_t cpu, struct cl_threads_parts *ret_parts)
{
	return false;
}
