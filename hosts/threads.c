/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads: the processes that are followed, the choice of a source, and what callers see. */
#include "threads_table.h"
#include "lib.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#define RUNS_PER_THREAD                                                                            \
	16u /* room for where they ran; more CPUs than that in one tick are rare                   \
	     */

static uint32_t insert_at(const struct cl_threads *threads, int32_t pid)
{
	uint32_t at = 0;

	while (at < threads->process_count && threads->processes[at].pid < pid)
		at++;
	return at;
}

static void close_process(struct cl_process *process)
{
	close(process->task_dir);
	if (process->pidfd >= 0)
		close(process->pidfd);
}

/* Opens a process so that what is opened stays this process'. */
static int open_process(int32_t pid, struct cl_process *ret_process, struct cl_error *reterr)
{
	char path[64], text[CL_PROC_TEXT];
	struct cl_process process = {
		.pid = pid, .task_dir = -1, .pidfd = -1, .alive = true, .rescan = true
	};
	struct cl_tid id;
	struct cl_stat stat;
	int32_t leader;
	int r = cl_thread_identify(pid, &id, &leader, reterr);

	if (r < 0)
		return r;
	if (leader != pid)
		return cl_fail(reterr, ESRCH, "following process %d: it is a thread of process %d",
			       pid, leader);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	process.task_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process.task_dir < 0)
		return cl_fail(reterr, errno == ENOENT ? ESRCH : errno,
			       "following process %d: %s: %s", pid, path, strerror(errno));
	process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* Read below task_dir after pidfd_open: if it is there, all three are one process. */
	cl_autoclose int fd = cl_proc_open(process.task_dir, pid, "stat");
	ssize_t n = fd < 0 ? fd : cl_proc_pread(fd, text);

	if (n < 0 || !cl_stat_parse(text, &stat) || stat.start != id.start || stat.state == 'Z' ||
	    stat.state == 'X') {
		close_process(&process);
		return cl_fail(reterr, ESRCH, "following process %d: it has ended", pid);
	}
	process.start = stat.start;
	*ret_process = process;
	return 0;
}

static void index_polls(struct cl_threads *threads)
{
	for (uint32_t i = 0; i < threads->process_count; i++) {
		const struct cl_process *process = &threads->processes[i];

		threads->polls[i] = (struct pollfd){ .fd = process->alive ? process->pidfd : -1,
						     .events = POLLIN };
	}
}

static void retag(struct cl_threads *threads, struct cl_process *process, uint32_t tag)
{
	process->tag = tag;
	for (uint32_t i = 0; i < threads->count; i++) {
		struct cl_thread *thread = &threads->pool[threads->order[i]].thread;

		if (thread->process == process->pid)
			thread->tag = tag;
	}
}

int cl_threads_follow(struct cl_threads *threads, int32_t pid, uint32_t tag,
		      struct cl_error *reterr)
{
	struct cl_process *known = cl_table_process(threads, pid), process;

	if (known && cl_table_alive(known)) {
		retag(threads, known, tag);
		return 0;
	}
	cl_threads_unfollow(threads, pid);
	if (threads->process_count == threads->capacity)
		return cl_fail(reterr, ENOSPC, "following process %d: %u are followed already", pid,
			       threads->capacity);
	int r = open_process(pid, &process, reterr);

	if (r < 0)
		return r;
	process.tag = tag;
	r = threads->clock ? cl_clock_follow(threads->clock, (uint32_t)pid, reterr) : 0;
	if (r < 0) {
		close_process(&process);
		return r;
	}
	uint32_t at = insert_at(threads, pid);

	memmove(&threads->processes[at + 1], &threads->processes[at],
		(threads->process_count - at) * sizeof(process));
	threads->processes[at] = process;
	threads->process_count++;
	index_polls(threads);
	return 0;
}

void cl_threads_unfollow(struct cl_threads *threads, int32_t pid)
{
	struct cl_process *process = cl_table_process(threads, pid);

	if (!process)
		return;
	for (uint32_t i = 0; i < threads->count; i++)
		if (threads->pool[threads->order[i]].thread.process == pid)
			cl_table_gone(threads, &threads->pool[threads->order[i]]);
	cl_table_settle(threads);
	threads->match_count = 0;
	if (threads->clock)
		cl_clock_unfollow(threads->clock, (uint32_t)pid);
	close_process(process);
	threads->process_count--;
	memmove(process, process + 1,
		(size_t)(&threads->processes[threads->process_count] - process) * sizeof(*process));
	index_polls(threads);
}

bool cl_threads_alive(const struct cl_threads *threads, int32_t pid)
{
	const struct cl_process *process = cl_table_process(threads, pid);

	return process && cl_table_alive(process);
}

/* ---- new and free ---- */

/*
 * Does BPF see this process as /proc shows it to us? In a pid or time namespace of our own it does
 * not, and its ids and times would be taken for others'.
 */
static int check_clock(struct cl_threads *threads, struct cl_error *reterr)
{
	const struct cl_clock_task *tasks;
	uint32_t count, lost;
	struct cl_tid id;
	int32_t self = getpid(), process;
	int r = cl_thread_identify(self, &id, &process, reterr);

	if (r == 0)
		r = cl_clock_follow(threads->clock, (uint32_t)self, reterr);
	if (r == 0)
		r = cl_clock_read(threads->clock, &tasks, &count, &lost, reterr);
	if (r < 0)
		return r;
	cl_clock_unfollow(threads->clock, (uint32_t)self);
	for (uint32_t i = 0; i < count; i++)
		if (tasks[i].tid == (uint32_t)self &&
		    tasks[i].start_ns / threads->start_unit_ns == id.start)
			return 0;
	return cl_fail(
		reterr, EXDEV,
		"BPF sees other process ids or start times than /proc: closer runs in a pid or "
		"time namespace; run it in the host's own");
}

static int open_clock(struct cl_threads *threads, enum cl_threads_source source,
		      struct cl_error *reterr)
{
	struct cl_error error;

	if (source == CL_THREADS_SCHEDSTAT) {
		snprintf(threads->why_not, sizeof(threads->why_not), "schedstat was asked for");
		return 0;
	}
	int r = cl_clock_open(threads->capacity, CL_CLOCK_WALK_AUTO,
			      source == CL_THREADS_HONEST ? CL_CLOCK_TIME_HONEST
							  : CL_CLOCK_TIME_AUTO,
			      &threads->clock, &error);

	if (r == 0)
		r = check_clock(threads, &error);
	if (r == 0)
		return 0;
	cl_clock_close(threads->clock);
	threads->clock = NULL;
	if (source != CL_THREADS_AUTO)
		return cl_fail(reterr, error.code, "%s", error.text);
	memcpy(threads->why_not, error.text, sizeof(threads->why_not));
	return 0;
}

static bool allocate(struct cl_threads *threads)
{
	size_t n = threads->capacity;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t runs = cpus > 0 && cpus < (long)RUNS_PER_THREAD ? (size_t)cpus : RUNS_PER_THREAD;

	threads->run_capacity = threads->clock ? (uint32_t)(n * runs) : 0;
	threads->pool = calloc(n, sizeof(*threads->pool));
	threads->free_entries = calloc(n, sizeof(*threads->free_entries));
	threads->order = calloc(n, sizeof(*threads->order));
	threads->processes = calloc(n, sizeof(*threads->processes));
	threads->polls = calloc(n, sizeof(*threads->polls));
	threads->matches = calloc(n, sizeof(*threads->matches));
	threads->runs = calloc(n * runs, sizeof(*threads->runs));
	if (!threads->pool || !threads->free_entries || !threads->order || !threads->processes ||
	    !threads->polls || !threads->matches || !threads->runs)
		return false;
	for (uint32_t at = threads->capacity; at-- > 0;)
		threads->free_entries[threads->free_count++] = at;
	return true;
}

int cl_threads_new(uint32_t capacity, enum cl_threads_source source, const struct cl_cgroup *cgroup,
		   struct cl_threads **ret_threads, struct cl_error *reterr)
{
	struct cl_threads *threads = calloc(1, sizeof(*threads));
	long unit = sysconf(_SC_CLK_TCK);

	assert(capacity > 0 && capacity <= (1u << 20));
	if (!threads)
		return cl_fail(reterr, ENOMEM, "table of %u threads: out of memory", capacity);
	threads->capacity = capacity;
	threads->start_unit_ns = CL_NS_PER_S / (unit > 0 ? (uint64_t)unit : 100);
	if (cgroup && cgroup->version) {
		threads->cgroup = *cgroup;
		threads->has_cgroup = true;
	}
	int r = open_clock(threads, source, reterr);

	if (r == 0 && !allocate(threads))
		r = cl_fail(reterr, ENOMEM, "table of %u threads: out of memory", capacity);
	if (r < 0) {
		cl_threads_free(threads);
		return r;
	}
	threads->keep_most = cl_proc_descriptors((threads->clock ? 1 : CL_KEPT_COUNT) * capacity);
	*ret_threads = threads;
	return 0;
}

void cl_threads_free(struct cl_threads *threads)
{
	if (!threads)
		return;
	while (threads->process_count)
		cl_threads_unfollow(threads, threads->processes[threads->process_count - 1].pid);
	cl_clock_close(threads->clock);
	free(threads->pool);
	free(threads->free_entries);
	free(threads->order);
	free(threads->processes);
	free(threads->polls);
	free(threads->matches);
	free(threads->runs);
	free(threads);
}

/* ---- what callers see ---- */

int cl_threads_refresh(struct cl_threads *threads, bool *ret_changed, struct cl_error *reterr)
{
	threads->tick_ns = cl_clock_ns();
	int r = threads->clock ? cl_threads_read_clock(threads, reterr)
			       : cl_threads_read_schedstat(threads, reterr);

	if (r < 0)
		return r;
	*ret_changed = threads->changed;
	threads->changed = false;
	return 0;
}

void cl_threads_recheck(struct cl_threads *threads)
{
	threads->recheck = true;
}

enum cl_threads_source cl_threads_source(const struct cl_threads *threads)
{
	return threads->clock ? CL_THREADS_BPF : CL_THREADS_SCHEDSTAT;
}

const char *cl_threads_why_not_bpf(const struct cl_threads *threads)
{
	return threads->why_not;
}

uint32_t cl_threads_count(const struct cl_threads *threads)
{
	return threads->count;
}

const struct cl_thread *cl_threads_at(const struct cl_threads *threads, uint32_t i)
{
	assert(i < threads->count);
	return &threads->pool[threads->order[i]].thread;
}

const struct cl_thread_run *cl_threads_runs(const struct cl_threads *threads)
{
	return threads->runs;
}

uint32_t cl_threads_dropped(const struct cl_threads *threads)
{
	return threads->lost;
}

bool cl_threads_classes(const struct cl_threads *threads, uint32_t cpu, uint64_t *ret_user_ns,
			uint64_t *ret_kernel_ns)
{
	return threads->clock && cl_clock_classes(threads->clock, cpu, ret_user_ns, ret_kernel_ns);
}

bool cl_threads_rest(const struct cl_threads *threads, int32_t pid, uint32_t cpu, uint64_t *ret_ns)
{
	return threads->clock && cl_clock_rest(threads->clock, (uint32_t)pid, cpu, ret_ns);
}

bool cl_threads_honest(const struct cl_threads *threads)
{
	return threads->clock && cl_clock_honest(threads->clock);
}

bool cl_threads_irq(const struct cl_threads *threads, uint32_t irq, uint64_t *ret_ns,
		    uint32_t *ret_cpu, uint32_t *ret_domid)
{
	return threads->clock && cl_clock_irq(threads->clock, irq, ret_ns, ret_cpu, ret_domid);
}

bool cl_threads_vif(const struct cl_threads *threads, const char *name, uint64_t *ret_ns,
		    uint64_t *ret_tied_ns)
{
	return threads->clock && cl_clock_vif(threads->clock, name, ret_ns, ret_tied_ns);
}

bool cl_threads_parts(const struct cl_threads *threads, uint32_t cpu,
		      struct cl_threads_parts *ret_parts)
{
	return threads->clock && cl_clock_parts(threads->clock, cpu, ret_parts);
}

void cl_threads_own(struct cl_threads *threads, int32_t pid, uint32_t domid)
{
	if (threads->clock)
		cl_clock_own(threads->clock, (uint32_t)pid, domid);
}

void cl_threads_own_irq(struct cl_threads *threads, uint32_t irq, uint32_t domid)
{
	if (threads->clock)
		cl_clock_own_irq(threads->clock, irq, domid);
}

void cl_threads_own_interface(struct cl_threads *threads, uint32_t ifindex, uint32_t domid)
{
	if (threads->clock)
		cl_clock_own_interface(threads->clock, ifindex, domid);
}

bool cl_threads_guest(struct cl_threads *threads, uint32_t domid, uint64_t *ret_shared_ns,
		      uint64_t *ret_wakeup_ns)
{
	return threads->clock &&
	       cl_clock_guest(threads->clock, domid, ret_shared_ns, ret_wakeup_ns);
}

void cl_threads_guest_gone(struct cl_threads *threads, uint32_t domid)
{
	if (threads->clock)
		cl_clock_guest_gone(threads->clock, domid);
}

bool cl_threads_rests(const struct cl_threads *threads, uint32_t cpu, uint64_t *ret_nobody_ns,
		      uint64_t *ret_overhead_ns)
{
	return threads->clock &&
	       cl_clock_rests(threads->clock, cpu, ret_nobody_ns, ret_overhead_ns);
}
