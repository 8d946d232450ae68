/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * build: what every Linux host repeats when it turns followed threads into a snapshot.
 *
 *   reset -> topology -> cl_build_refresh -> guests -> cl_build_threads (role() for each) ->
 * cl_build_finish
 *
 * It keeps the cgroups that were seen, each with a descriptor of its effective CPUs, so that a
 * steady state has no open and no malloc. Whoever has applied something calls cl_build_recheck.
 */
#ifndef CLOSER_BUILD_H
#define CLOSER_BUILD_H

#include <closer/snapshot.h>
#include "cgroup.h"
#include "threads.h"

/* What a thread is: the host's answer for each thread, on each observation. */
enum cl_build_as {
	CL_BUILD_SKIP, /* not in the snapshot */
	CL_BUILD_VCPU, /* a vCPU of guest */
	CL_BUILD_WORK, /* work of guest, or nobody's */
};

struct cl_build_role { /* starts as SKIP, CL_NONE, CL_NONE, HELPER */
	enum cl_build_as as;
	struct cl_guest_ix guest; /* as appended to this snapshot; CL_NONE: nobody's (WORK only) */
	uint32_t vcpu;            /* VCPU: its index; WORK: whose queue it serves, or CL_NONE */
	enum cl_work_kind kind;   /* WORK */
	bool alone; /* its process has no other thread, and never will: a kernel thread */
};

typedef void (*cl_build_role_fn)(void *ctx, const struct cl_thread *thread,
				 struct cl_build_role *ret_role);

struct cl_build;

/*
 * cap.groups: how many groups are kept; a snapshot may have other capacities. cgroup is copied. The
 * build is the caller's, to be freed.
 */
int cl_build_new(const struct cl_limits *cap, const struct cl_cgroup *cgroup,
		 struct cl_build **ret_build, struct cl_error *reterr);
void cl_build_free(struct cl_build *build); /* NULL is fine */

/*
 * This host's work is, mostly, threads that are alone in their process: on cgroup v2 these can be
 * moved, so containers are possible there. Work that is not alone stays in the root group and is
 * placed by mask, as everywhere on v2. Once, after new.
 */
void cl_build_moves_alone(struct cl_build *build);
/* Guests' vCPUs are no tasks here, so others can be fenced off: FENCE, PARTITION. Once, after new.
 */
void cl_build_fences(struct cl_build *build);
/* Sets one that is for this kind of host to ask for. Once, after new. */
void cl_build_may(struct cl_build *build, enum cl_can can);
/*
 * The top group is in every snapshot, also while no work is in it: what was born in a container of
 * ours is given back to it. Once, after new.
 */
void cl_build_shows_top(struct cl_build *build);
/* Clears a bit of `can` that is not asked of the kernel here, with its reason. Once, after new. */
void cl_build_cannot(struct cl_build *build, enum cl_can can, const char *why_not);

/*
 * Reads the CPUs of the known groups, lists ours if some came or went, then refreshes the threads;
 * where a group's CPUs have changed, all threads' masks are read anew with it, so that no mask is
 * judged by an older group. *ret_changed: threads or groups came, went or changed.
 */
int cl_build_refresh(struct cl_build *build, struct cl_threads *threads, bool *ret_changed,
		     struct cl_error *reterr);

/*
 * Adds vcpus, works, runs and groups (also those of ours that nobody is in), and the CPUs' times by
 * class. Indices of guests are as appended: call cl_build_finish afterwards. A second thread that
 * claims to be the same vCPU of the same guest becomes work of kind HELPER: names are the guest's,
 * and hostile.
 */
int cl_build_threads(struct cl_build *build, const struct cl_threads *threads,
		     struct cl_snapshot *snap, cl_build_role_fn role, void *ctx,
		     struct cl_error *reterr);

/*
 * Sets the bits MASK, GROUP, IRQ, RUNS and CLASSES of `can` with their why_not (MEMORY_NODES is the
 * host's), and sorts. Nothing is added afterwards.
 */
void cl_build_finish(struct cl_build *build, const struct cl_threads *threads,
		     struct cl_snapshot *snap);

/* After acting: groups are listed and read anew, and so are the threads' masks and groups. */
void cl_build_recheck(struct cl_build *build, struct cl_threads *threads);

/*
 * The guest of a group of ours: "/closer/<uuid>" and below. *ret_guest is all zero for "/closer"
 * and for what has no uuid in its path. False: not ours. Pure.
 */
bool cl_build_ours(const char *path, struct cl_uuid *ret_guest);

#endif
