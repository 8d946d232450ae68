/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads: the threads of some processes, followed from tick to tick.
 *
 *   follow(process) -> refresh(): who came and went, and times -> entries -> the host's snapshot
 *
 * Two sources, chosen at new(): BPF (bpf/clock.h: a task iterator into a mapped array, and where
 * each thread ran) or /proc/PID/task/TID/schedstat through kept descriptors. In a steady state
 * refresh() does no open, fork or malloc: who came is seen by the link count of /proc/PID/task (a
 * kept descriptor), who went by ESRCH. Masks, names and groups are read when a thread is young
 * (three ticks), when told so, and in turn (of 16, 64 and 128 threads one a tick: a group is dear
 * to read); whoever acts compares again anyway.
 */
#ifndef CLOSER_THREADS_H
#define CLOSER_THREADS_H

#include <closer/snapshot.h>

struct cl_thread_run {
	uint32_t cpu;
	uint64_t ns;
};

struct cl_thread {
	struct cl_tid id;
	int32_t process;  /* tgid */
	uint32_t tag;     /* the caller's: given with the process */
	char comm[16];    /* re-read in turn: threads rename themselves after birth */
	uint32_t cpu;     /* where it was last seen */
	uint64_t cpu_ns;  /* cumulative; schedstat field 1, sum_exec_runtime or honest: below */
	uint64_t wait_ns; /* cumulative; schedstat field 2, CL_UNKNOWN where not read */
	uint64_t read_ns;
	struct cl_cpuset mask;
	char group[CL_PATH_MAX]; /* cgroup path in the placing hierarchy; "" where there is none */
	bool bound;              /* PF_NO_SETAFFINITY */
	uint32_t run_first, run_count; /* where it ran since the last refresh: only with BPF */
};

/* HONEST: BPF with the honest clock also where no hypervisor is known to steal. AUTO and BPF choose
 * it in a Xen domain. */
enum cl_threads_source { CL_THREADS_AUTO, CL_THREADS_BPF, CL_THREADS_SCHEDSTAT, CL_THREADS_HONEST };

struct cl_threads;

/* capacity: most threads followed; more are counted by cl_threads_dropped. hierarchy: see cgroup.h,
 * NULL = do not read groups. */
struct cl_cgroup;
int cl_threads_new(uint32_t capacity, enum cl_threads_source source, const struct cl_cgroup *cgroup,
		   struct cl_threads **ret_threads, struct cl_error *reterr);
void cl_threads_free(struct cl_threads *threads);
/* BPF or SCHEDSTAT. */
enum cl_threads_source cl_threads_source(const struct cl_threads *threads);
/* Why BPF is not used: text for `check`, or "" if it is. */
const char *cl_threads_why_not_bpf(const struct cl_threads *threads);

/* -ESRCH: no such process. Following one twice only changes its tag. */
int cl_threads_follow(struct cl_threads *threads, int32_t pid, uint32_t tag,
		      struct cl_error *reterr);
void cl_threads_unfollow(struct cl_threads *threads, int32_t pid);
/*
 * It works for a guest: what it starts (work that it queues, requests that it issues) is that
 * guest's, too, where the clock is honest. CL_NONE: for none.
 */
void cl_threads_own(struct cl_threads *threads, int32_t pid, uint32_t domid);
/* Is the process (pid with the start time it had when followed) still there? */
bool cl_threads_alive(const struct cl_threads *threads, int32_t pid);

/* Finds who came and went, reads all times. *ret_changed: the set of threads is another than last
 * time. */
int cl_threads_refresh(struct cl_threads *threads, bool *ret_changed, struct cl_error *reterr);
/*
 * Only for schedstat, after each refresh or never: of what a thread was booked since the last time
 * it is taken to have run ppm[CPU that it was seen on] (n CPUs). cpu_ns is the sum of that, and
 * what it had at first.
 */
void cl_threads_scale(struct cl_threads *threads, const uint32_t *ppm, uint32_t n);
/* Masks and groups of all threads are read anew at the next refresh (after acting). */
void cl_threads_recheck(struct cl_threads *threads);

uint32_t cl_threads_count(const struct cl_threads *threads);
const struct cl_thread *cl_threads_at(const struct cl_threads *threads,
				      uint32_t i); /* by (process, tid) */
const struct cl_thread_run *cl_threads_runs(const struct cl_threads *threads);
uint32_t cl_threads_dropped(const struct cl_threads *threads);

/*
 * Time per CPU by class, cumulative, of all that is not followed: user processes, and kernel
 * threads. ns arrays of n entries; false where there is no BPF.
 */
bool cl_threads_classes(const struct cl_threads *threads, uint32_t cpu, uint64_t *ret_user_ns,
			uint64_t *ret_kernel_ns);
/*
 * Time per CPU of a followed process that is in no entry: of threads born and gone between two
 * refreshes, of threads after the last refresh that saw them, and what threads ran before they were
 * first seen (it is in the cpu_ns of their first entry). Cumulative since follow, ns; of a process
 * that has ended until it is unfollowed. False where there is no BPF, or no row was left for it
 * (machines with very many CPUs).
 */
bool cl_threads_rest(const struct cl_threads *threads, int32_t pid, uint32_t cpu, uint64_t *ret_ns);

/*
 * The honest clock. Where the kernel is a Xen domain it books time that the hypervisor took from
 * its vCPU as run time. With BPF that is put right: cpu_ns, runs, classes and rests are then the
 * vCPU's own running time less the interrupts on top of the thread, and cpu_ns counts from when the
 * thread was first seen. False: they are the kernel's figures, in a dom0 up to twice too much.
 */
bool cl_threads_honest(const struct cl_threads *threads);

/*
 * All below: only where honest, else false; ns cumulative since new(), as of the last refresh.
 *
 * A device's interrupt, by Linux number: its handler, and the NAPI polls of the netback queue that
 * it belongs to. *ret_cpu: where it last ran. *ret_domid: the guest of netback's and blkback's, by
 * the kernel's own structures (not by name), else CL_NONE. False also where it was never seen to
 * fire. A number can be given to another device: what it counted before stays in it, so take
 * differences, and drop them when the guest is another.
 */
bool cl_threads_irq(const struct cl_threads *threads, uint32_t irq, uint64_t *ret_ns,
		    uint32_t *ret_cpu, uint32_t *ret_domid);
/*
 * The NAPI polls of a network interface in softirq, all queues. *ret_tied_ns: the part of it that
 * is in cl_threads_irq already; what is left is the interface's alone. Not the polls of threaded
 * NAPI: they are the thread's. False also where it was never polled.
 */
bool cl_threads_vif(const struct cl_threads *threads, const char *name, uint64_t *ret_ns,
		    uint64_t *ret_tied_ns);
/*
 * Whose a device's interrupt is, where the kernel's structures do not say it; and a network
 * interface, whose packets are then its guest's on other interfaces, too. CL_NONE: nobody's any
 * more (interfaces only).
 */
void cl_threads_own_irq(struct cl_threads *threads, uint32_t irq, uint32_t domid);
void cl_threads_own_interface(struct cl_threads *threads, uint32_t ifindex, uint32_t domid);
/*
 * What was done for a guest by what serves several. Shared: kernel workers, with work that its
 * threads queued; interrupts and softirqs of devices that are nobody's by name, divided by requests
 * and packets. Wakeup: going idle after its work and leaving idle for it, IPIs that turned a CPU to
 * its threads, ticks on top of them. None of it is in the threads' own times or in cl_threads_irq.
 * It begins to be counted when it is first asked for.
 */
bool cl_threads_guest(struct cl_threads *threads, uint32_t domid, uint64_t *ret_shared_ns,
		      uint64_t *ret_wakeup_ns);
void cl_threads_guest_gone(struct cl_threads *threads, uint32_t domid);
/*
 * What is left on a CPU. Nobody: interrupts and softirqs that were shown to be no guest's.
 * Overhead: ticks, IPIs, timer, scheduler and RCU softirqs, idle entry and exit, less what guests
 * were given.
 */
bool cl_threads_rests(const struct cl_threads *threads, uint32_t cpu, uint64_t *ret_nobody_ns,
		      uint64_t *ret_overhead_ns);

/* All that a CPU ran, in parts that add up to total_ns exactly. */
struct cl_threads_parts {
	uint64_t total_ns; /* the vCPU's running time, as the hypervisor counts it */
	uint64_t thread_ns;
	uint64_t irq_ns;     /* handlers of devices' interrupts */
	uint64_t napi_ns;    /* softirq: polls of interfaces */
	uint64_t softirq_ns; /* other softirqs: block, tasklet, net_tx, rest of net_rx */
	uint64_t tick_ns;    /* ticks, IPIs, softirqs of timers, scheduler, RCU */
	uint64_t idle_ns;    /* idle task: entry and exit */
};
bool cl_threads_parts(const struct cl_threads *threads, uint32_t cpu,
		      struct cl_threads_parts *ret_parts);

/* One thread, at once, by /proc: -ESRCH if it is gone or its start differs. For read-before-write.
 */
int cl_thread_identify(int32_t tid, struct cl_tid *ret_id, int32_t *ret_process,
		       struct cl_error *reterr);

#endif
