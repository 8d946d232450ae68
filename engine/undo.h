/* SPDX-License-Identifier: GPL-2.0-or-later */
/* undo: one undo under way, shared by its three files: undo.c, undo_origin.c, undo_rest.c. */
#ifndef CLOSER_UNDO_H
#define CLOSER_UNDO_H

#include "internal.h"

enum cl_undo_status {
	CL_UNDO_UNSEEN,
	CL_UNDO_DROPPED, /* somebody else's by the journal: not an object of ours */
	CL_UNDO_ALREADY,
	CL_UNDO_RESTORED,
	CL_UNDO_GONE,
	CL_UNDO_LEFT,
	CL_UNDO_FAILED,
};

struct cl_undo_object { /* one per entry of the journal, beside it */
	struct cl_setting target;
	enum cl_undo_status status;
	bool inherited; /* its `from` was ours already: target is its process' */
	char *text;     /* what there is to say of it, or NULL; owned */
};

struct cl_undo_process { /* a process with journalled threads */
	int32_t pid;
	uint64_t oldest; /* start of the oldest of these: a process that is younger has only its
			    number */
	uint32_t origin; /* the entry that tells where it came from, or CL_NONE */
};

struct cl_undo {
	const struct cl_journal *journal;
	const struct cl_undo_world *world;
	void *ctx;
	struct cl_undo_object *objects;
	struct cl_undo_process *processes; /* by pid */
	uint32_t process_count;
	uint32_t *threads; /* entries that are threads, by tid */
	uint32_t thread_count;
	uint64_t first_ticks; /* of the journal's first plan */
	bool groups;          /* threads were moved between groups */
	uint32_t wrote;       /* in this pass; a value that changed under us counts too */
	uint32_t rest_restored;
	uint32_t rest_failed; /* in this pass */
	cl_undo_say say;      /* of objects that are in no journal */
	void *say_ctx;
};

int32_t cl_undo_process_of(const struct cl_change *change);

/* ---- undo_origin.c ---- */

/* Fills processes and threads; each object's target is what it was found to be. -ENOMEM. */
int cl_undo_start(struct cl_undo *u);
/* Other targets for threads that were found with a value of ours. While a fence is up the kernel's
 * defaults are not those of before, so after it went. */
void cl_undo_origins(struct cl_undo *u);
struct cl_undo_process *cl_undo_process_find(const struct cl_undo *u, int32_t pid);
/* Where a thread of this process belongs if nothing was written down of itself; path says in which
 * group it is now. */
void cl_undo_origin_of(const struct cl_undo *u, const struct cl_undo_process *process,
		       const char *path, struct cl_setting *ret_target);
/* Was this mask given to a thread of the process, in a plan that is not younger than this? */
bool cl_undo_given(const struct cl_undo *u, int32_t pid, uint32_t except,
		   const struct cl_cpuset *cpus, uint64_t born);

/* ---- undo.c ---- */

bool cl_undo_same(enum cl_change_kind kind, const struct cl_setting *is,
		  const struct cl_setting *wanted);
/*
 * From what it is now to the target; where the target's group is gone or has lost CPUs, to the
 * nearest that there is: *target is what it became.
 */
int cl_undo_set(struct cl_undo *u, const struct cl_change *object, const struct cl_setting *is,
		struct cl_setting *target, struct cl_error *reterr);
void cl_undo_note(struct cl_undo_object *object, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- undo_rest.c ---- */

/* Threads that the journal does not know, but that inherited what it gave to others. */
void cl_undo_rest(struct cl_undo *u);
/* A group of ours that should go and is not empty: takes out whose threads these are; how many are
 * nobody's of ours. */
uint32_t cl_undo_drain(struct cl_undo *u, const char *path, char *ret_who, size_t size);

#endif
