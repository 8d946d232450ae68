/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock_private: what clock.c and honest.c share. Private to hosts/bpf. */
#ifndef CLOSER_CLOCK_PRIVATE_H
#define CLOSER_CLOCK_PRIVATE_H

#include "clock.h"

#include <assert.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* bpftool writes it, and it is not held to our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#include "clock.skel.h"
#pragma GCC diagnostic pop

struct cl_honest; /* honest.c */

struct process {
	uint32_t tgid;
	uint32_t row;   /* of its rest; CL_ROW_UNSEEN: none was left */
	uint32_t owner; /* domid + 1 of the guest that it works for, 0: none */
	bool ended;     /* no longer walked or counted; its rest can still be read */
};

struct cl_clock {
	struct cl_clock_bpf *bpf;
	struct bpf_link *on_switch, *walk_all;
	struct cl_honest *honest; /* NULL: the kernel's clock, by on_switch */
	uint32_t cpu_count, row_count, capacity;
	struct cl_clock_task *tasks; /* mapped, as the next four */
	uint32_t *processes_map;
	uint64_t *runs, *marks;
	struct cl_clock_cpu *cpus;
	size_t tasks_bytes, processes_bytes, runs_bytes, marks_bytes, cpus_bytes;
	/*
	 * Per cell what runs() has told so far. For classes: their value at the last read. For a
	 * rest: what was in the cell when the row was given to the process.
	 */
	uint64_t *told;
	uint32_t *free_rows; /* a stack */
	uint32_t free_count;
	struct process *processes; /* sorted; processes_map has the same tgids in the same order */
	uint32_t process_count;
};

static inline const uint64_t *cells_of(const struct cl_clock *clock, uint32_t row)
{
	assert(row < clock->row_count);
	return clock->runs + (size_t)row * clock->cpu_count;
}

static inline uint64_t *told_of(const struct cl_clock *clock, uint32_t row)
{
	assert(row < clock->row_count);
	return clock->told + (size_t)row * clock->cpu_count;
}

/* Maps a BPF array; NULL with errno set. */
void *cl_clock_map(struct bpf_map *map, size_t value, uint32_t entries, int protection,
		   size_t *ret_bytes);
/* The failure of a BPF call, with what would help. */
int cl_clock_refused(int code, const char *what, struct cl_error *reterr);

/* Between opening and loading the object: chooses the programs and sizes of the clock that is
 * wanted. */
int cl_honest_prepare(struct cl_clock *clock, enum cl_clock_time time, const struct btf *btf,
		      struct cl_error *reterr);
/* After loading. */
int cl_honest_attach(struct cl_clock *clock, struct cl_error *reterr);
/* Closes the spans that are open, on all CPUs that are doing something. */
int cl_honest_flush(struct cl_clock *clock, struct cl_error *reterr);
void cl_honest_close(struct cl_honest *honest); /* NULL is fine */

#endif
