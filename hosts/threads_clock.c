/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads_clock: the source by BPF. One call gives all threads; as long as they are the same ones
 * in the same order as last time, entries are found by index, and a tick is one pass over two
 * arrays.
 */
#include "threads_table.h"
#include "lib.h"

#include <string.h>

static bool is_dead(const struct cl_clock_task *task)
{
	return task->exit_state != 0;
}

/* Are these the threads of the last match? */
static bool is_same(const struct cl_threads *threads, const struct cl_clock_task *tasks,
		    uint32_t count)
{
	if (count != threads->match_count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct cl_match *match = &threads->matches[i];

		if (match->tid != tasks[i].tid || match->start_ns != tasks[i].start_ns ||
		    match->dead != is_dead(&tasks[i]))
			return false;
	}
	return true;
}

/* A process is known by its leader's start, also when the leader has ended before its threads. */
static void match_processes(struct cl_threads *threads, const struct cl_clock_task *tasks,
			    uint32_t count)
{
	for (uint32_t i = 0; i < threads->process_count; i++) {
		threads->processes[i].same = false;
		threads->processes[i].live = 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct cl_process *process;

		if (tasks[i].tid != tasks[i].tgid)
			continue;
		process = cl_table_process(threads, (int32_t)tasks[i].tgid);
		if (process)
			process->same =
				process->alive &&
				tasks[i].start_ns / threads->start_unit_ns == process->start;
	}
}

/* The entry of a live thread, found among the first `sorted` or new; CL_NOWHERE: over capacity. */
static uint32_t match_task(struct cl_threads *threads, struct cl_process *process,
			   const struct cl_clock_task *task, uint32_t sorted)
{
	struct cl_entry *entry = cl_table_find(threads, sorted, process->pid, (int32_t)task->tid);

	process->live++;
	if (entry && entry->start_ns != task->start_ns)
		entry = NULL; /* its number has another owner now: unseen, so gone */
	if (!entry) {
		entry = cl_table_add(threads, process, (int32_t)task->tid);
		if (!entry) {
			threads->lost++;
			return CL_NOWHERE;
		}
		entry->start_ns = task->start_ns;
		entry->thread.id.start = task->start_ns / threads->start_unit_ns;
	}
	entry->seen = true;
	return (uint32_t)(entry - threads->pool);
}

static void end_processes(struct cl_threads *threads, uint32_t lost)
{
	for (uint32_t i = 0; i < threads->process_count; i++) {
		struct cl_process *process = &threads->processes[i];

		/* Where threads were lost, none of its need mean nothing. */
		if (!process->alive || process->live || (lost && cl_table_alive(process)))
			continue;
		process->alive = false;
		cl_clock_end(threads->clock, (uint32_t)process->pid);
	}
}

static void match_all(struct cl_threads *threads, const struct cl_clock_task *tasks, uint32_t count,
		      uint32_t lost)
{
	uint32_t sorted = threads->count;
	struct cl_process *process = NULL;

	for (uint32_t i = 0; i < sorted; i++)
		threads->pool[threads->order[i]].seen = false;
	threads->lost = lost;
	match_processes(threads, tasks, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = CL_NOWHERE;

		if (!process || process->pid != (int32_t)tasks[i].tgid)
			process = cl_table_process(threads, (int32_t)tasks[i].tgid);
		if (process && process->same && !is_dead(&tasks[i]))
			at = match_task(threads, process, &tasks[i], sorted);
		threads->matches[i] = (struct cl_match){ .start_ns = tasks[i].start_ns,
							 .tid = tasks[i].tid,
							 .at = at,
							 .dead = is_dead(&tasks[i]) };
	}
	threads->match_count = count;
	for (uint32_t i = 0; i < sorted; i++)
		if (!threads->pool[threads->order[i]].seen)
			cl_table_gone(threads, &threads->pool[threads->order[i]]);
	end_processes(threads, lost);
	/* Gives rows back, by tid, before a new owner of that tid is given one. */
	cl_table_settle(threads);
}

/* Where the thread ran since the last read, and how long in all. */
static void update_runs(struct cl_threads *threads, struct cl_entry *entry,
			const struct cl_clock_task *task)
{
	struct cl_thread *thread = &entry->thread;
	struct cl_thread_run *buf = &threads->runs[threads->run_count];
	uint32_t size = threads->run_capacity - threads->run_count;
	uint64_t ran_ns;

	thread->run_first = threads->run_count;
	thread->run_count = 0;
	if (entry->fresh)
		entry->row = cl_clock_row_new(threads->clock, task);
	if (cl_clock_honest(threads->clock)) {
		thread->run_count = cl_clock_ran(threads->clock, entry->row, buf, size, &ran_ns);
		thread->cpu_ns += ran_ns;
	} else {
		if (!entry->fresh && task->run_ns > thread->cpu_ns)
			thread->run_count = cl_clock_runs(threads->clock, entry->row, task,
							  task->run_ns - thread->cpu_ns, buf, size);
		thread->cpu_ns = task->run_ns;
	}
	threads->run_count += thread->run_count;
}

static void update(struct cl_threads *threads, uint32_t at, const struct cl_clock_task *task)
{
	struct cl_entry *entry = &threads->pool[at];
	struct cl_thread *thread = &entry->thread;

	update_runs(threads, entry, task);
	thread->wait_ns = task->delay_ns;
	thread->read_ns = threads->tick_ns;
	thread->cpu = task->cpu;
	if (entry->young || cl_table_turn(threads, at, CL_TURN_MASK)) {
		memcpy(thread->comm, task->comm, sizeof(thread->comm));
		thread->comm[sizeof(thread->comm) - 1] = '\0';
		thread->bound = task->flags & CL_PF_NO_SETAFFINITY;
		cl_table_details(threads, cl_table_process(threads, thread->process), entry);
	}
	entry->young -= entry->young > 0;
	entry->fresh = false;
}

int cl_threads_read_clock(struct cl_threads *threads, struct cl_error *reterr)
{
	const struct cl_clock_task *tasks;
	uint32_t count, lost;
	int r = cl_clock_read(threads->clock, &tasks, &count, &lost, reterr);

	if (r < 0)
		return r;
	if (!is_same(threads, tasks, count) || threads->any_gone)
		match_all(threads, tasks, count, lost);
	threads->run_count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (threads->matches[i].at != CL_NOWHERE)
			update(threads, threads->matches[i].at, &tasks[i]);
	threads->recheck = false;
	threads->turn = (threads->turn + 1) % CL_TURNS;
	return 0;
}
