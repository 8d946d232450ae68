/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock: the run times of followed processes' threads in one call, and on which CPU they ran.
 *
 *   open -> follow(tgid) -> { read -> tasks; row_new for new ones; runs(row) }* -> close
 *
 * Needs Linux 5.8 with BTF, and root or CAP_BPF with CAP_PERFMON. Nothing is pinned: all of it goes
 * with the descriptors. Memory: at most CL_CLOCK_CELLS_MAX cells of 8 bytes, twice; on machines
 * with many CPUs fewer threads get a row than are followed, and those without one have no runs.
 *
 * Where the time of a followed process goes: to the row of the thread; before the thread was given
 * one, or if it was born and died between two reads, and after its last read, to the process' rest
 * (cl_clock_rest). What is not followed is counted by class, on each CPU from its first switch
 * after open. Together: all but the idle task, so the sum per CPU is the CPU's busy time.
 *
 * A switch that the kernel does not trace costs a thread with a row nothing: it is booked up to
 * where its clock stands, late and where it is then. Of others the slice that such a switch begins
 * is told by the scheduler's own note, and one that such a switch ends is lost.
 */
#ifndef CLOSER_CLOCK_H
#define CLOSER_CLOCK_H

#include "../threads.h"
#include "clock_shared.h"

#define CL_CLOCK_CELLS_MAX                                                                         \
	(UINT32_C(4) << 20) /* 32 MiB of counters, and as much of what was told of them */

struct cl_clock;

/* How the threads are found: the open-coded iterator (Linux 6.7), or a pass over all tasks of the
 * machine. */
enum cl_clock_walk { CL_CLOCK_WALK_AUTO, CL_CLOCK_WALK_PROCESSES, CL_CLOCK_WALK_ALL };

/*
 * Which clock. AUTO: the honest one where the kernel is a Xen domain and shows its vCPUs' run
 * states, else the kernel's sum_exec_runtime, which is cheaper. HONEST: threads less the interrupts
 * on top of them anywhere; what a hypervisor took is known on Xen only.
 */
enum cl_clock_time { CL_CLOCK_TIME_AUTO, CL_CLOCK_TIME_KERNEL, CL_CLOCK_TIME_HONEST };

/* capacity: most threads, and most processes. The clock is the caller's, to be closed. */
int cl_clock_open(uint32_t capacity, enum cl_clock_walk walk, enum cl_clock_time time,
		  struct cl_clock **ret_clock, struct cl_error *reterr);
void cl_clock_close(struct cl_clock *clock);                    /* NULL is fine */
enum cl_clock_walk cl_clock_walk(const struct cl_clock *clock); /* which one it is: never AUTO */
bool cl_clock_honest(const struct cl_clock *clock);

/* tgid: a live process'. -ENOSPC: capacity. Following twice is fine. */
int cl_clock_follow(struct cl_clock *clock, uint32_t tgid, struct cl_error *reterr);
/* It works for a guest, or by CL_NONE for none: what it starts is that guest's, too. */
void cl_clock_own(struct cl_clock *clock, uint32_t tgid, uint32_t domid);
/* Its process has ended: not walked and not counted any more, but its rest can be read until
 * unfollow. */
void cl_clock_end(struct cl_clock *clock, uint32_t tgid);
void cl_clock_unfollow(struct cl_clock *clock, uint32_t tgid);

/*
 * All threads of followed processes, unsorted, valid until the next read. No open, fork or malloc;
 * WALK_ALL makes and closes one descriptor by bpf(2).
 */
int cl_clock_read(struct cl_clock *clock, const struct cl_clock_task **ret_tasks,
		  uint32_t *ret_count, uint32_t *ret_lost, struct cl_error *reterr);

/* A row of counters for a thread just read, or 0: none is left. Its time from that read on goes
 * there. */
uint32_t cl_clock_row_new(struct cl_clock *clock, const struct cl_clock_task *task);
/* What the thread ran since it was last read goes to the rest of its process. Row 0 is fine. */
void cl_clock_row_free(struct cl_clock *clock, uint32_t tgid, uint32_t tid, uint32_t row);
/*
 * Where a thread spent `ran` ns, the difference of its run_ns between the last two reads: at most
 * size entries into buf, by CPU; they add up to `ran`. Once per thread and read.
 */
uint32_t cl_clock_runs(struct cl_clock *clock, uint32_t row, const struct cl_clock_task *task,
		       uint64_t ran, struct cl_thread_run *buf, uint32_t size);

/* As of the last read, cumulative since open and since follow. False: no such CPU; not followed, or
 * no row for it. */
bool cl_clock_classes(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_user_ns,
		      uint64_t *ret_kernel_ns);
bool cl_clock_rest(const struct cl_clock *clock, uint32_t tgid, uint32_t cpu, uint64_t *ret_ns);

/*
 * The honest clock only. Where a thread was since this was last asked, up to the last read: at most
 * size entries into buf, by CPU, which add up to *ret_ran_ns. What a full buf leaves out is told
 * next time. Row 0: nothing is known.
 */
uint32_t cl_clock_ran(struct cl_clock *clock, uint32_t row, struct cl_thread_run *buf,
		      uint32_t size, uint64_t *ret_ran_ns);
/* As in threads.h. */
bool cl_clock_irq(const struct cl_clock *clock, uint32_t number, uint64_t *ret_ns,
		  uint32_t *ret_cpu, uint32_t *ret_domid);
bool cl_clock_vif(const struct cl_clock *clock, const char *name, uint64_t *ret_ns,
		  uint64_t *ret_tied_ns);
void cl_clock_own_irq(struct cl_clock *clock, uint32_t number, uint32_t domid);
void cl_clock_own_interface(struct cl_clock *clock, uint32_t ifindex, uint32_t domid);
bool cl_clock_guest(struct cl_clock *clock, uint32_t domid, uint64_t *ret_shared_ns,
		    uint64_t *ret_wakeup_ns);
void cl_clock_guest_gone(struct cl_clock *clock, uint32_t domid);
bool cl_clock_rests(const struct cl_clock *clock, uint32_t cpu, uint64_t *ret_nobody_ns,
		    uint64_t *ret_overhead_ns);
bool cl_clock_parts(const struct cl_clock *clock, uint32_t cpu, struct cl_threads_parts *ret_parts);

#endif
