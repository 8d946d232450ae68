// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * clock: two readers of the scheduler's own clock, se.sum_exec_runtime.
 *
 *   walk_processes / walk_all: one pass over the threads of followed processes, into a mapped array
 *   on_switch: on which CPU each of them spent it, into a mapped matrix of cumulative counters
 *
 * In a Xen domain honest.bpf.h takes on_switch's place.
 *
 * One clock for both, so that a thread's row of the matrix adds up to its run time exactly. Only
 * the few kernel fields that are read are declared; CO-RE finds them in the running kernel.
 */
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int __s32;
typedef long long __s64;
typedef unsigned short __u16;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#define BPF_MAP_TYPE_HASH     1
#define BPF_MAP_TYPE_ARRAY    2
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_F_MMAPABLE        (1u << 10)

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "clock_shared.h"

#define CORE __attribute__((preserve_access_index))

struct sched_entity {
	uint64_t sum_exec_runtime, prev_sum_exec_runtime;
} CORE;
struct sched_info {
	unsigned long long run_delay;
} CORE;
struct thread_info {
	uint32_t cpu;
} CORE;
struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int exit_state;
	int pid, tgid;
	uint64_t start_boottime;
	struct sched_entity se;
	struct sched_info sched_info;
	char comm[16];
} CORE;
struct task_struct___cpu {
	unsigned int cpu;
} CORE; /* before Linux 5.16 it is here on x86 */
struct bpf_iter_meta {
	uint64_t session_id;
} CORE;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CORE;

/* Open-coded iterators, Linux 6.7; weak, since an older kernel loads walk_all instead. */
struct bpf_iter_num {
	uint64_t opaque[1];
} __attribute__((aligned(8)));
struct bpf_iter_task {
	uint64_t opaque[3];
} __attribute__((aligned(8)));
enum { ITER_PROC_THREADS = 2 }; /* BPF_TASK_ITER_PROC_THREADS */
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
			     unsigned int flags) __ksym __weak;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym __weak;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

/* Sizes are set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_task);
} tasks SEC(".maps");

struct { /* followed processes, for walk_processes */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} processes SEC(".maps");

struct { /* by tgid */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_process);
} followed SEC(".maps");

struct { /* tid -> row */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} runs SEC(".maps");

struct { /* by row: its thread's sum_exec_runtime up to which the cells hold it, or CL_NO_MARK */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_cpu);
} cpus SEC(".maps");

const volatile uint32_t cpu_count = 1;
/* walk_all's answer, zeroed by whoever starts it; walk_processes gives its own in the argument. */
struct cl_clock_args walked;

static uint32_t task_cpu(struct task_struct *task)
{
	if (bpf_core_field_exists(task->thread_info.cpu))
		return BPF_CORE_READ(task, thread_info.cpu);
	return BPF_CORE_READ((struct task_struct___cpu *)task, cpu);
}

static __always_inline void put_task(struct task_struct *task, struct cl_clock_args *args)
{
	uint32_t at = args->found;
	struct cl_clock_task *out = bpf_map_lookup_elem(&tasks, &at);

	if (!out) {
		args->lost++;
		return;
	}
	out->tid = (uint32_t)task->pid;
	out->tgid = (uint32_t)task->tgid;
	out->start_ns = task->start_boottime;
	out->run_ns = task->se.sum_exec_runtime;
	out->delay_ns = task->sched_info.run_delay;
	out->cpu = task_cpu(task);
	out->flags = task->flags;
	out->exit_state = (uint32_t)task->exit_state;
	bpf_probe_read_kernel(out->comm, sizeof(out->comm), task->comm);
	args->found = at + 1;
}

static __always_inline void walk_one(uint32_t at, struct cl_clock_args *args)
{
	uint32_t *tgid = bpf_map_lookup_elem(&processes, &at);
	struct task_struct *leader, *task;
	struct bpf_iter_task it;

	leader = tgid ? bpf_task_from_pid((int)*tgid) : 0;
	if (!leader)
		return;
	/* One read-side section a process: a machine with 65,536 threads is not held up by all of
	 * them. */
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, leader, ITER_PROC_THREADS);
	while ((task = bpf_iter_task_next(&it)))
		put_task(task, args);
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	bpf_task_release(leader);
}

SEC("syscall")
int walk_processes(struct cl_clock_args *ctx)
{
	struct cl_clock_args args = { .processes = ctx->processes };
	struct bpf_iter_num it;
	int *at;

	bpf_iter_num_new(&it, 0, (int)args.processes);
	while ((at = bpf_iter_num_next(&it)))
		walk_one((uint32_t)*at, &args);
	bpf_iter_num_destroy(&it);
	ctx->found = args.found;
	ctx->lost = args.lost;
	return 0;
}

SEC("iter/task")
int walk_all(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task) {
		uint32_t tgid = (uint32_t)task->tgid;

		if (bpf_map_lookup_elem(&followed, &tgid))
			put_task(task, &walked);
	}
	return 0;
}

static __always_inline uint32_t row_for(uint32_t tid, uint32_t tgid, uint32_t flags,
					uint64_t start_ns, uint32_t *ret_owner)
{
	struct cl_clock_process *process = bpf_map_lookup_elem(&followed, &tgid);

	*ret_owner = process ? process->owner : 0;
	if (!process)
		return flags & CL_PF_KTHREAD ? CL_ROW_KERNEL : CL_ROW_USER;

	struct cl_clock_row *row = bpf_map_lookup_elem(&rows, &tid);

	return row && row->start_ns == start_ns ? row->row : process->row;
}

/*
 * What prev ran in the slice that ends, where it has no mark. A kernel may let a task leave its CPU
 * and trace no switch; then another one was seen getting on than gets off now, and the slice began
 * where the scheduler noted it. That note is of no use if it says more than has passed since the
 * last switch that was seen: real-time tasks have none.
 */
static __always_inline uint64_t slice_ns(const struct cl_clock_cpu *now, struct task_struct *prev,
					 uint64_t time)
{
	uint64_t ran;

	if (!now->valid)
		return 0;
	if (now->tid == (uint32_t)prev->pid) {
		ran = prev->se.sum_exec_runtime - now->run_ns;
		return (long long)ran > 0 ? ran : 0;
	}
	if (!bpf_core_field_exists(prev->se.prev_sum_exec_runtime))
		return 0;
	ran = prev->se.sum_exec_runtime - prev->se.prev_sum_exec_runtime;
	return ran <= time - now->since_ns ? ran : 0;
}

/*
 * A thread's row has a mark, so that no switch that is missed is missing in its cells for good. The
 * mark comes after the cell: a reader who takes it first finds what it tells of in the cells.
 */
static __always_inline void book(const struct cl_clock_cpu *now, struct task_struct *prev,
				 uint32_t cpu, uint64_t time)
{
	uint32_t owner;
	uint32_t row = row_for((uint32_t)prev->pid, (uint32_t)prev->tgid, prev->flags,
			       prev->start_boottime, &owner);
	uint32_t cell = row * cpu_count + cpu;
	uint64_t *sum = bpf_map_lookup_elem(&runs, &cell);
	uint64_t *mark = bpf_map_lookup_elem(&marks, &row);
	uint64_t run_ns = prev->se.sum_exec_runtime;

	if (!sum || !mark)
		return;
	if (*mark == CL_NO_MARK) {
		*(volatile uint64_t *)sum = *sum + slice_ns(now, prev, time);
	} else if (run_ns > *mark) {
		*(volatile uint64_t *)sum = *sum + (run_ns - *mark);
		*(volatile uint64_t *)mark = run_ns;
	}
}

/*
 * The owner of a slice is looked up when it ends. Cells are written by their own CPU with
 * interrupts off, and a thread's mark by the one CPU that it is on, so plain adds do.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next)
{
	uint32_t cpu = bpf_get_smp_processor_id();
	struct cl_clock_cpu *now = bpf_map_lookup_elem(&cpus, &cpu);
	uint64_t time = bpf_ktime_get_ns();

	if (!now)
		return 0;
	*(volatile uint64_t *)&now->seq = now->seq + 1;
	if (prev->pid)
		book(now, prev, cpu, time);
	now->since_ns = time;
	now->run_ns = next->se.sum_exec_runtime;
	now->tid = (uint32_t)next->pid;
	now->tgid = (uint32_t)next->tgid;
	now->flags = next->flags;
	now->valid = 1;
	*(volatile uint64_t *)&now->seq = now->seq + 1;
	return 0;
}

#include "honest.bpf.h"

char LICENSE[] SEC("license") = "GPL";
