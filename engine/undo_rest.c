/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is not in the journal, and yet of our making: threads born of placed ones, which inherited
 * their group and mask, also in processes that these started.
 *
 * Careful: a thread in a group of ours is there by inheritance or because somebody put it there; it
 * goes to where its process came from, and a mask that is not one of ours goes with it. A thread
 * elsewhere is touched only if its mask was given to a thread of its own process before it was
 * born.
 */
#include "undo.h"

#include <errno.h>
#include <string.h>

#define KTHREADD      2   /* the parent of all kernel threads */
#define ANCESTORS_MAX 16u /* of a process, when looking for one that is in the journal */

static const struct cl_journal_entry *entry_of(const struct cl_undo *u, struct cl_tid id,
					       uint32_t *ret_at)
{
	uint32_t low = 0, high = u->thread_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct cl_tid *t = &u->journal->entries[u->threads[mid]].change.thread;

		if (t->tid == id.tid && t->start == id.start) {
			*ret_at = u->threads[mid];
			return &u->journal->entries[u->threads[mid]];
		}
		if (t->tid < id.tid || (t->tid == id.tid && t->start < id.start))
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* A journalled thread with this number was seen alive in this pass: then this is it, and it is seen
 * to. */
static bool seen_to(const struct cl_undo *u, int32_t tid)
{
	uint32_t low = 0, high = u->thread_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (u->journal->entries[u->threads[mid]].change.thread.tid < tid)
			low = mid + 1;
		else
			high = mid;
	}
	for (;
	     low < u->thread_count && u->journal->entries[u->threads[low]].change.thread.tid == tid;
	     low++) {
		enum cl_undo_status status = u->objects[u->threads[low]].status;

		if (status == CL_UNDO_ALREADY || status == CL_UNDO_RESTORED ||
		    status == CL_UNDO_LEFT || status == CL_UNDO_FAILED)
			return true;
	}
	return false;
}

static bool mask_is_ours(const struct cl_undo *u, int32_t pid, const struct cl_setting *is)
{
	struct cl_cpuset room;

	if (cl_undo_given(u, pid, CL_NONE, &is->cpus, UINT64_MAX))
		return true;
	return u->world->group_cpus(u->ctx, is->path, &room, NULL) == 0 &&
	       cl_cpuset_equal(&room, &is->cpus);
}

/* What to give it; false: nothing. */
static bool target_of(const struct cl_undo *u, const struct cl_undo_process *process,
		      const struct cl_change *thread, const struct cl_setting *is, bool dropped,
		      struct cl_setting *ret)
{
	cl_undo_origin_of(u, process, is->has_path ? is->path : NULL, ret);
	if (is->has_path && cl_path_ours(is->path)) {
		/* It has to leave: the group goes. Where nothing is known of it, to the top. */
		if (!ret->has_path || cl_path_ours(ret->path))
			cl_undo_origin_of(u, NULL, "/", ret);
		if (dropped || !mask_is_ours(u, process->pid, is))
			ret->cpus = is->cpus;
		return true;
	}
	ret->has_path = false;
	return !dropped && !cl_cpuset_equal(&is->cpus, &ret->cpus) &&
	       cl_undo_given(u, process->pid, CL_NONE, &is->cpus, thread->thread.start);
}

static void give_back(struct cl_undo *u, struct cl_change *object, const struct cl_setting *is,
		      struct cl_setting target)
{
	struct cl_change thread = *object;
	struct cl_error err;
	int r = cl_undo_set(u, &thread, is, &target, &err);

	if (r == 0) {
		u->rest_restored++;
		u->wrote++;
	} else if (r == -ESTALE) {
		u->wrote++; /* it changed while we looked: looked at again */
	} else if (r != -ESRCH) {
		u->rest_failed++;
		thread.from = target;
		thread.to = *is;
		if (u->say)
			u->say(u->say_ctx, &thread, err.text);
	}
}

static void see_to(struct cl_undo *u, const struct cl_undo_process *process, struct cl_tid id)
{
	struct cl_change thread = { .kind = CL_CHANGE_THREAD,
				    .thread = id,
				    .process = process->pid };
	const struct cl_journal_entry *entry;
	struct cl_setting is, target;
	uint32_t at;

	entry = entry_of(u, id, &at);
	if (entry && !entry->dropped)
		return;
	thread.from.has_path = thread.to.has_path = u->groups;
	if (u->world->read(u->ctx, &thread, &is, NULL) < 0)
		return;
	if (target_of(u, process, &thread, &is, entry && entry->dropped, &target))
		give_back(u, &thread, &is, target);
}

struct walk {
	struct cl_undo *u;
	const struct cl_undo_process *process;
	const char *path;
	uint32_t strangers;
	char *who;
	size_t size;
};

static int rest_thread(void *arg, int32_t tid)
{
	struct walk *w = arg;
	int32_t process, parent;
	struct cl_tid id;

	if (!seen_to(w->u, tid) &&
	    w->u->world->identify(w->u->ctx, tid, &id, &process, &parent) == 0 &&
	    process == w->process->pid)
		see_to(w->u, w->process, id);
	return 0;
}

/* Is it still the process that the journal means? Its number may be another's by now. */
static bool same_process(const struct cl_undo *u, const struct cl_undo_process *p)
{
	int32_t process, parent;
	struct cl_tid id;

	return u->world->identify(u->ctx, p->pid, &id, &process, &parent) == 0 &&
	       process == p->pid && id.start <= p->oldest;
}

/* ---- a fence of masks ---- */

struct fence {
	struct cl_undo *u;
	struct cl_cpuset given; /* to whoever was there */
	uint64_t ticks;         /* when */
};

/*
 * Born while it was up, of a process that has perhaps ended, with the mask that was given to all.
 * The first process was given none, so nothing else is as likely. Kernel threads inherit no mask.
 */
static int fenced_thread(void *arg, int32_t tid)
{
	struct fence *f = arg;
	struct cl_change thread = { .kind = CL_CHANGE_THREAD };
	struct cl_setting is, all;
	int32_t parent;
	uint32_t at;

	if (f->u->world->identify(f->u->ctx, tid, &thread.thread, &thread.process, &parent) < 0 ||
	    thread.thread.start < f->ticks || parent == KTHREADD ||
	    entry_of(f->u, thread.thread, &at))
		return 0;
	thread.from.has_path = thread.to.has_path = f->u->groups;
	if (f->u->world->read(f->u->ctx, &thread, &is, NULL) < 0 ||
	    (is.has_path && cl_path_ours(is.path)) || !cl_cpuset_equal(&is.cpus, &f->given))
		return 0;
	cl_undo_origin_of(f->u, NULL, is.has_path ? is.path : NULL, &all);
	all.has_path = false;
	if (!cl_undo_same(CL_CHANGE_THREAD, &is, &all))
		give_back(f->u, &thread, &is, all);
	return 0;
}

static void unfence_rest(struct cl_undo *u)
{
	const struct cl_journal *j = u->journal;
	struct fence f = { .u = u };
	bool up = false;

	for (uint32_t i = 0; i < j->entry_count; i++)
		up = up || (j->entries[i].change.kind == CL_CHANGE_FENCE &&
			    strcmp(j->entries[i].change.path, "/") == 0);
	for (uint32_t i = 0; up && i < j->change_count; i++) {
		if (!j->notes[i].fenced)
			continue;
		f.given = j->changes[i].to.cpus;
		f.ticks = j->notes[i].ticks;
		(void)u->world->each_thread(u->ctx, 0, fenced_thread, &f);
		return;
	}
}

void cl_undo_rest(struct cl_undo *u)
{
	for (uint32_t i = 0; i < u->process_count; i++) {
		struct walk w = { .u = u, .process = &u->processes[i] };

		if (same_process(u, w.process))
			(void)u->world->each_thread(u->ctx, w.process->pid, rest_thread, &w);
	}
	unfence_rest(u);
}

/* The journalled process that this one is, or descends from; NULL: a stranger. */
static const struct cl_undo_process *family_of(const struct cl_undo *u, int32_t process,
					       int32_t parent)
{
	for (uint32_t up = 0; up < ANCESTORS_MAX && process > 1; up++) {
		const struct cl_undo_process *p = cl_undo_process_find(u, process);
		int32_t tgid;
		struct cl_tid id;

		if (p && same_process(u, p))
			return p;
		if (u->world->identify(u->ctx, parent, &id, &tgid, &parent) < 0)
			return NULL;
		process = tgid;
	}
	return NULL;
}

/*
 * A command that was placed may leave a demon behind, whose parent is nobody that the journal
 * knows. It was born after a thread was given this container and these CPUs, and has both: it is of
 * that one's process.
 */
static const struct cl_undo_process *orphan_of(const struct cl_undo *u, const char *path,
					       struct cl_tid id)
{
	struct cl_change thread = { .kind = CL_CHANGE_THREAD, .thread = id };
	struct cl_setting is;

	thread.from.has_path = thread.to.has_path = true;
	if (u->world->read(u->ctx, &thread, &is, NULL) < 0)
		return NULL;
	for (uint32_t k = 0; k < u->thread_count; k++) {
		const struct cl_change *c = &u->journal->entries[u->threads[k]].change;

		if (c->to.has_path && strcmp(c->to.path, path) == 0 &&
		    cl_undo_given(u, cl_undo_process_of(c), CL_NONE, &is.cpus, id.start))
			return cl_undo_process_find(u, cl_undo_process_of(c));
	}
	return NULL;
}

static int drain_member(void *arg, int32_t tid)
{
	struct walk *w = arg;
	const struct cl_undo_process *family;
	int32_t process, parent;
	struct cl_tid id;

	if (w->u->world->identify(w->u->ctx, tid, &id, &process, &parent) < 0)
		return 0;
	family = family_of(w->u, process, parent);
	if (!family)
		family = orphan_of(w->u, w->path, id);
	if (family) {
		see_to(w->u, family, id);
		return 0;
	}
	if (w->strangers++ == 0)
		snprintf(w->who, w->size, "thread %d of process %d", tid, process);
	return 0;
}

uint32_t cl_undo_drain(struct cl_undo *u, const char *path, char *ret_who, size_t size)
{
	struct walk w = { .u = u, .path = path, .who = ret_who, .size = size };

	ret_who[0] = '\0';
	(void)u->world->each_member(u->ctx, path, drain_member, &w);
	return w.strangers;
}
