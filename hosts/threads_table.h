/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads_table: the table behind threads.h. Private to hosts/threads*.c.
 *
 *   refresh (threads.c) -> a source reads (threads_schedstat.c, threads_clock.c) -> settle
 * (threads_table.c)
 */
#ifndef CLOSER_THREADS_TABLE_H
#define CLOSER_THREADS_TABLE_H

#include "bpf/clock.h"
#include "cgroup.h"
#include "threads_proc.h"

#include <poll.h>

#define CL_NOWHERE UINT32_MAX

/* What is dear is read in turn: of so many threads, one a tick. All divide CL_TURNS. */
#define CL_TURN_MASK  16u  /* sched_getaffinity: 0.3 us */
#define CL_TURN_STAT  64u  /* stat: 4 us; at once for those that ran or are young */
#define CL_TURN_GROUP 128u /* cgroup: 7 us with ten v1 hierarchies */
#define CL_TURNS      128u
#define CL_YOUNG                                                                                   \
	2u /* ticks after birth in which a thread is read in full: they rename themselves then */

enum cl_kept { CL_KEPT_SCHEDSTAT, CL_KEPT_STAT, CL_KEPT_CGROUP, CL_KEPT_COUNT };

struct cl_process {
	int32_t pid;
	uint32_t tag;
	uint64_t start;
	int task_dir;     /* /proc/PID/task: of this process for good, not of its number */
	int pidfd;        /* -1 before Linux 5.3 */
	uint64_t links;   /* of task_dir, before it was last listed */
	uint32_t dropped; /* its threads over capacity */
	uint32_t live;    /* its threads in the last match with the clock */
	bool alive;
	bool rescan;
	bool same; /* the clock's process of this id is this one */
};

struct cl_entry {
	struct cl_thread thread;
	int fd[CL_KEPT_COUNT];
	uint32_t row;        /* the clock's */
	uint64_t start_ns;   /* the clock's start time, finer than thread.id.start */
	uint64_t booked_ns;  /* schedstat: cpu_ns by the kernel */
	uint64_t scaled_ns;  /* how much of it is in cpu_ns, scaled; CL_UNKNOWN: cpu_ns is it */
	uint64_t located_ns; /* booked_ns when thread.cpu was read */
	uint32_t young;      /* ticks that it still is */
	bool gone, seen, fresh;
};

/* What the clock's i-th task was when they were last matched. */
struct cl_match {
	uint64_t start_ns;
	uint32_t tid;
	uint32_t at; /* in pool, or CL_NOWHERE: dead, or over capacity */
	bool dead;
};

struct cl_threads {
	uint32_t capacity;
	struct cl_clock *clock; /* NULL: schedstat */
	char why_not[CL_ERROR_MAX];
	struct cl_cgroup cgroup;
	bool has_cgroup;
	struct cl_entry *pool;
	uint32_t *free_entries, free_count;
	uint32_t *order, count;       /* entries by (process, tid) */
	struct cl_process *processes; /* by pid */
	struct pollfd *polls;         /* of the processes, in their order */
	uint32_t process_count;
	struct cl_match *matches;
	uint32_t match_count;
	struct cl_thread_run *runs;
	uint32_t run_count, run_capacity;
	uint32_t keep_most, kept; /* descriptors */
	uint32_t turn, lost;
	uint64_t tick_ns;
	uint64_t start_unit_ns; /* one unit of thread.id.start */
	bool recheck, changed, unsorted, any_gone;
};

/* Is the process that was followed still there, by its pidfd? */
bool cl_table_alive(const struct cl_process *process);
struct cl_process *cl_table_process(const struct cl_threads *threads, int32_t pid);
/* Among the first n of the order, which are sorted; NULL if not there or gone. */
struct cl_entry *cl_table_find(const struct cl_threads *threads, uint32_t n, int32_t process,
			       int32_t tid);
/* At the end of the order, until settle; NULL: over capacity. */
struct cl_entry *cl_table_add(struct cl_threads *threads, const struct cl_process *process,
			      int32_t tid);
void cl_table_gone(struct cl_threads *threads, struct cl_entry *entry);
/* Puts the order right after threads came or went. */
void cl_table_settle(struct cl_threads *threads);

/* A file of a thread, from its kept descriptor: length or -errno, -ESRCH when it is gone. */
ssize_t cl_table_read(struct cl_threads *threads, const struct cl_process *process,
		      struct cl_entry *entry, enum cl_kept which, char *text);
/* Mask and group, if it is their turn, or all is. What cannot be read keeps its old value: the
 * thread is going. */
void cl_table_details(struct cl_threads *threads, const struct cl_process *process,
		      struct cl_entry *entry);
/* Is it the turn of this entry? */
static inline bool cl_table_turn(const struct cl_threads *threads, uint32_t at, uint32_t turns)
{
	return threads->recheck || at % turns == threads->turn % turns;
}

/* The sources: who came and went, and all times. */
int cl_threads_read_schedstat(struct cl_threads *threads, struct cl_error *reterr);
int cl_threads_read_clock(struct cl_threads *threads, struct cl_error *reterr);

#endif
