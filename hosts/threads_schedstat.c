/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads_schedstat: the source that every kernel has: schedstat of each thread through a kept
 * descriptor.
 *
 * Who came is seen by the links of /proc/PID/task, who went by ESRCH: a descriptor below /proc/PID
 * stays its task's, whoever gets the number next. Where a thread is costs a read of stat, five
 * times as dear as schedstat: done for those that ran, and for the others in turn.
 */
#include "threads_table.h"
#include "lib.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MOVED_NS       CL_NS_PER_MS /* who ran for less is, for the books, still where it was */
#define TASK_DIR_LINKS 2u           /* links of /proc/PID/task beside its threads */

/* -ESRCH goes up as it is: the thread went. */
static int unreadable(int32_t tid, const char *file, int code, struct cl_error *reterr)
{
	const char *hint =
		code == EMFILE ? "; raise the limit of open files (ulimit -n, LimitNOFILE=)" : "";

	return code == ESRCH ? -ESRCH
			     : cl_fail(reterr, code, "reading %s of thread %d: %s%s", file, tid,
				       strerror(code), hint);
}

static int read_stat(struct cl_threads *threads, const struct cl_process *process,
		     struct cl_entry *entry, struct cl_error *reterr)
{
	struct cl_thread *thread = &entry->thread;
	char text[CL_PROC_TEXT];
	struct cl_stat stat;
	ssize_t n = cl_table_read(threads, process, entry, CL_KEPT_STAT, text);

	if (n < 0)
		return unreadable(thread->id.tid, "stat", (int)-n, reterr);
	if (!cl_stat_parse(text, &stat))
		return cl_fail(reterr, EBADMSG, "stat of thread %d is not in the format of proc(5)",
			       thread->id.tid);
	thread->id.start = stat.start;
	memcpy(thread->comm, stat.comm, sizeof(thread->comm));
	thread->cpu = stat.cpu;
	thread->bound = stat.flags & CL_PF_NO_SETAFFINITY;
	entry->located_ns = entry->booked_ns;
	return 0;
}

static int read_times(struct cl_threads *threads, const struct cl_process *process,
		      struct cl_entry *entry, struct cl_error *reterr)
{
	struct cl_thread *thread = &entry->thread;
	char text[CL_PROC_TEXT];
	ssize_t n = cl_table_read(threads, process, entry, CL_KEPT_SCHEDSTAT, text);

	if (n < 0)
		return unreadable(thread->id.tid, "schedstat", (int)-n, reterr);
	if (!cl_schedstat_parse(text, &entry->booked_ns, &thread->wait_ns))
		return cl_fail(reterr, EBADMSG,
			       "schedstat of thread %d is not three numbers: a kernel without "
			       "CONFIG_SCHED_INFO?",
			       thread->id.tid);
	if (entry->scaled_ns == CL_UNKNOWN)
		thread->cpu_ns = entry->booked_ns;
	thread->read_ns = threads->tick_ns;
	return 0;
}

void cl_threads_scale(struct cl_threads *threads, const uint32_t *ppm, uint32_t n)
{
	for (uint32_t i = 0; i < threads->count; i++) {
		struct cl_entry *entry = &threads->pool[threads->order[i]];
		uint32_t cpu = entry->thread.cpu, share = cpu < n ? ppm[cpu] : CL_PPM;

		if (entry->scaled_ns != CL_UNKNOWN && entry->booked_ns > entry->scaled_ns) {
			uint64_t more_ns = entry->booked_ns - entry->scaled_ns;

			entry->thread.cpu_ns +=
				more_ns / CL_PPM * share + more_ns % CL_PPM * share / CL_PPM;
		}
		entry->scaled_ns = entry->booked_ns;
	}
}

/* Who has ended, and whose number of threads is another. */
static int check_processes(struct cl_threads *threads, struct cl_error *reterr)
{
	if (poll(threads->polls, threads->process_count, 0) < 0 && errno != EINTR)
		return cl_fail(reterr, errno, "polling %u processes: %s", threads->process_count,
			       strerror(errno));
	for (uint32_t i = 0; i < threads->process_count; i++) {
		struct cl_process *process = &threads->processes[i];
		struct stat st;

		if (!process->alive)
			continue;
		if (threads->polls[i].revents || fstat(process->task_dir, &st) < 0 ||
		    st.st_nlink <= TASK_DIR_LINKS) {
			process->alive = false;
			threads->polls[i].fd = -1;
			threads->polls[i].revents = 0;
		} else if (st.st_nlink != process->links ||
			   (process->dropped && threads->free_count)) {
			process->rescan = true;
		}
	}
	return 0;
}

static int read_entry(struct cl_threads *threads, struct cl_process *process, uint32_t at,
		      struct cl_error *reterr)
{
	struct cl_entry *entry = &threads->pool[at];
	bool due = entry->young || cl_table_turn(threads, at, CL_TURN_STAT);
	int r = read_times(threads, process, entry, reterr);

	if (r == 0 && (due || entry->booked_ns - entry->located_ns >= MOVED_NS))
		r = read_stat(threads, process, entry, reterr);
	if (r == -ESRCH) {
		cl_table_gone(threads, entry);
		process->rescan = true; /* one may have come in its place: the count is the same */
		return 0;
	}
	if (r == 0) {
		cl_table_details(threads, process, entry);
		entry->young -= entry->young > 0;
	}
	return r;
}

struct scan {
	struct cl_threads *threads;
	struct cl_process *process;
	uint32_t sorted; /* entries that were there before the scan */
	uint32_t found;
	struct cl_error *reterr;
};

static int scan_one(void *ctx, int32_t tid)
{
	struct scan *scan = ctx;

	scan->found++;
	if (cl_table_find(scan->threads, scan->sorted, scan->process->pid, tid))
		return 0;
	struct cl_entry *entry = cl_table_add(scan->threads, scan->process, tid);

	if (!entry) {
		scan->process->dropped++;
		return 0;
	}
	int r = read_times(scan->threads, scan->process, entry, scan->reterr);

	if (r == 0)
		r = read_stat(scan->threads, scan->process, entry, scan->reterr);
	if (r == 0)
		cl_table_details(scan->threads, scan->process, entry);
	else
		cl_table_gone(scan->threads, entry);
	return r == -ESRCH ? 0 : r;
}

static int scan_process(struct cl_threads *threads, struct cl_process *process, uint32_t sorted,
			struct cl_error *reterr)
{
	struct scan scan = { threads, process, sorted, 0, reterr };
	struct stat st;

	if (fstat(process->task_dir, &st) < 0)
		return cl_fail(reterr, errno, "threads of process %d: %s", process->pid,
			       strerror(errno));
	process->links = st.st_nlink;
	process->dropped = 0;
	int r = cl_proc_each(process->task_dir, scan_one, &scan);

	/* A list that changes while it is read may leave some out: listed again at the next tick.
	 */
	process->rescan = r < 0 || scan.found + TASK_DIR_LINKS != process->links;
	if (r == -ENOENT || r == -ESRCH) /* ended meanwhile: the next tick sees that */
		return 0;
	return r;
}

int cl_threads_read_schedstat(struct cl_threads *threads, struct cl_error *reterr)
{
	uint32_t sorted = threads->count;
	struct cl_process *process = threads->processes;
	int r = check_processes(threads, reterr);

	for (uint32_t i = 0; i < sorted && r == 0; i++) {
		uint32_t at = threads->order[i];

		while (process->pid != threads->pool[at].thread.process)
			process++;
		if (process->alive)
			r = read_entry(threads, process, at, reterr);
		else
			cl_table_gone(threads, &threads->pool[at]);
	}
	for (uint32_t i = 0; i < threads->process_count && r == 0; i++)
		if (threads->processes[i].alive && threads->processes[i].rescan)
			r = scan_process(threads, &threads->processes[i], sorted, reterr);
	cl_table_settle(threads);
	if (r < 0)
		return r;
	threads->lost = 0;
	for (uint32_t i = 0; i < threads->process_count; i++)
		threads->lost += threads->processes[i].alive ? threads->processes[i].dropped : 0;
	threads->recheck = false;
	threads->turn = (threads->turn + 1) % CL_TURNS;
	return 0;
}
