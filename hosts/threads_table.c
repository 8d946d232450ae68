/* SPDX-License-Identifier: GPL-2.0-or-later */
/* threads_table: entries in a pool that never moves, and their order by (process, tid). */
#include "threads_table.h"
#include "lib.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static const char *const kept_names[CL_KEPT_COUNT] = {
	[CL_KEPT_SCHEDSTAT] = "schedstat",
	[CL_KEPT_STAT] = "stat",
	[CL_KEPT_CGROUP] = "cgroup",
};

struct cl_process *cl_table_process(const struct cl_threads *threads, int32_t pid)
{
	uint32_t low = 0, high = threads->process_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (threads->processes[mid].pid == pid)
			return &threads->processes[mid];
		if (threads->processes[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool cl_table_alive(const struct cl_process *process)
{
	struct pollfd poll_fd = { .fd = process->pidfd, .events = POLLIN };
	char name[16];

	if (!process->alive)
		return false;
	if (process->pidfd >= 0)
		return poll(&poll_fd, 1, 0) == 0;
	snprintf(name, sizeof(name), "%d", process->pid);
	return faccessat(process->task_dir, name, F_OK, 0) == 0;
}

static void drop(struct cl_threads *threads, uint32_t at)
{
	struct cl_entry *entry = &threads->pool[at];

	for (int i = 0; i < CL_KEPT_COUNT; i++) {
		if (entry->fd[i] < 0)
			continue;
		close(entry->fd[i]);
		threads->kept--;
	}
	if (threads->clock)
		cl_clock_row_free(threads->clock, (uint32_t)entry->thread.process,
				  (uint32_t)entry->thread.id.tid, entry->row);
	threads->free_entries[threads->free_count++] = at;
}

static void sweep(struct cl_threads *threads)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < threads->count; i++) {
		uint32_t at = threads->order[i];

		if (threads->pool[at].gone)
			drop(threads, at);
		else
			threads->order[left++] = at;
	}
	threads->changed = threads->changed || left != threads->count;
	threads->count = left;
	threads->any_gone = false;
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct cl_threads *threads = ctx;
	const struct cl_thread *x = &threads->pool[*(const uint32_t *)a].thread;
	const struct cl_thread *y = &threads->pool[*(const uint32_t *)b].thread;

	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	return x->id.tid < y->id.tid ? -1 : x->id.tid > y->id.tid;
}

void cl_table_settle(struct cl_threads *threads)
{
	if (threads->any_gone)
		sweep(threads);
	if (!threads->unsorted)
		return;
	qsort_r(threads->order, threads->count, sizeof(threads->order[0]), compare, threads);
	threads->unsorted = false;
	threads->changed = true;
}

struct cl_entry *cl_table_find(const struct cl_threads *threads, uint32_t n, int32_t process,
			       int32_t tid)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		struct cl_entry *entry = &threads->pool[threads->order[mid]];
		int32_t a = entry->thread.process, b = entry->thread.id.tid;

		if (a == process && b == tid)
			return entry->gone ? NULL : entry;
		if (a < process || (a == process && b < tid))
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

struct cl_entry *cl_table_add(struct cl_threads *threads, const struct cl_process *process,
			      int32_t tid)
{
	if (!threads->free_count)
		return NULL;
	uint32_t at = threads->free_entries[--threads->free_count];
	struct cl_entry *entry = &threads->pool[at];

	*entry = (struct cl_entry){
		.fd = { -1, -1, -1 }, .fresh = true, .seen = true, .young = 1 + CL_YOUNG
	};
	entry->thread.id.tid = tid;
	entry->thread.process = process->pid;
	entry->thread.tag = process->tag;
	entry->thread.wait_ns = CL_UNKNOWN;
	entry->scaled_ns = CL_UNKNOWN;
	threads->order[threads->count++] = at;
	threads->unsorted = true;
	return entry;
}

void cl_table_gone(struct cl_threads *threads, struct cl_entry *entry)
{
	entry->gone = true;
	threads->any_gone = true;
}

/*
 * Where the limit of descriptors is too low to keep all, times go first: the other files are then
 * opened each time that they are due.
 */
ssize_t cl_table_read(struct cl_threads *threads, const struct cl_process *process,
		      struct cl_entry *entry, enum cl_kept which, char *text)
{
	uint32_t most =
		which == CL_KEPT_SCHEDSTAT ? threads->keep_most : threads->keep_most / 8 * 7;

	if (entry->fd[which] >= 0)
		return cl_proc_pread(entry->fd[which], text);
	int fd = cl_proc_open(process->task_dir, entry->thread.id.tid, kept_names[which]);

	if (fd < 0)
		return fd;
	ssize_t n = cl_proc_pread(fd, text);

	if (n < 0 || threads->kept >= most) {
		close(fd);
		return n;
	}
	entry->fd[which] = fd;
	threads->kept++;
	return n;
}

void cl_table_details(struct cl_threads *threads, const struct cl_process *process,
		      struct cl_entry *entry)
{
	char text[CL_PROC_TEXT], path[CL_PATH_MAX];
	uint32_t at = (uint32_t)(entry - threads->pool);
	bool all = entry->young != 0;

	if (all || cl_table_turn(threads, at, CL_TURN_MASK))
		cl_proc_mask(entry->thread.id.tid, &entry->thread.mask);
	if (threads->has_cgroup && (all || cl_table_turn(threads, at, CL_TURN_GROUP)) &&
	    cl_table_read(threads, process, entry, CL_KEPT_CGROUP, text) >= 0 &&
	    cl_cgroup_parse(&threads->cgroup, text, path))
		memcpy(entry->thread.group, path, strlen(path) + 1);
}
