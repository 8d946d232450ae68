/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where things came from. Mostly the journal's `from` says it. A thread that was born of a placed
 * one, and then placed itself, has our own value there: it belongs where its process came from.
 */
#include "undo.h"

#include <errno.h>
#include <string.h>

int32_t cl_undo_process_of(const struct cl_change *change)
{
	return change->process > 0 ? change->process : change->thread.tid;
}

static int by_pid(const void *a, const void *b)
{
	const struct cl_undo_process *pa = a, *pb = b;

	return pa->pid == pb->pid ? 0 : pa->pid < pb->pid ? -1 : 1;
}

struct cl_undo_process *cl_undo_process_find(const struct cl_undo *u, int32_t pid)
{
	struct cl_undo_process key = { .pid = pid };

	return bsearch(&key, u->processes, u->process_count, sizeof(key), by_pid);
}

bool cl_undo_given(const struct cl_undo *u, int32_t pid, uint32_t except,
		   const struct cl_cpuset *cpus, uint64_t born)
{
	const struct cl_journal *j = u->journal;

	if (born < u->first_ticks)
		return false;
	for (uint32_t k = 0; k < u->thread_count; k++) {
		const struct cl_journal_entry *e = &j->entries[u->threads[k]];

		if (u->threads[k] == except || cl_undo_process_of(&e->change) != pid)
			continue;
		for (uint32_t i = e->change_first; i < e->change_first + e->change_count; i++) {
			if (j->notes[i].ticks <= born &&
			    cl_cpuset_equal(&j->changes[i].to.cpus, cpus))
				return true;
		}
	}
	return false;
}

static bool is_inherited(const struct cl_undo *u, uint32_t at)
{
	const struct cl_journal_entry *e = &u->journal->entries[at];
	const struct cl_setting *from = &e->change.from;

	if (from->has_path && cl_path_ours(from->path))
		return true;
	if (u->journal->notes[e->change_first].fenced)
		return false;
	if (u->journal->notes[e->change_first].inherited)
		return false; /* exchanged by the reader: `from` is the default that core gave it */
	return cl_undo_given(u, cl_undo_process_of(&e->change), at, &from->cpus,
			     e->change.thread.start);
}

/* The kernel's default: all that the group has; "/" where the group is ours. */
static void default_of(const struct cl_undo *u, const char *path, struct cl_setting *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->present = true;
	if (!path || cl_path_ours(path) || !path[0])
		path = "/";
	ret->has_path = u->groups;
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	if (u->world->group_cpus(u->ctx, path, &ret->cpus, NULL) < 0)
		memset(&ret->cpus, 0xff,
		       sizeof(ret->cpus)); /* compared and set within those that are online */
}

void cl_undo_origin_of(const struct cl_undo *u, const struct cl_undo_process *process,
		       const char *path, struct cl_setting *ret_target)
{
	if (process && process->origin != CL_NONE)
		*ret_target = u->journal->entries[process->origin].change.from;
	else
		default_of(u, path, ret_target);
}

static int by_tid(const void *a, const void *b, void *ctx)
{
	const struct cl_undo *u = ctx;
	const struct cl_tid *ta = &u->journal->entries[*(const uint32_t *)a].change.thread;
	const struct cl_tid *tb = &u->journal->entries[*(const uint32_t *)b].change.thread;

	if (ta->tid != tb->tid)
		return ta->tid < tb->tid ? -1 : 1;
	return ta->start == tb->start ? 0 : ta->start < tb->start ? -1 : 1;
}

static void collect(struct cl_undo *u)
{
	const struct cl_journal *j = u->journal;
	uint32_t n = 0;

	for (uint32_t i = 0; i < j->entry_count; i++) {
		if (j->entries[i].change.kind != CL_CHANGE_THREAD)
			continue;
		u->threads[u->thread_count++] = i;
		u->groups |= j->entries[i].change.from.has_path;
		u->processes[n++] = (struct cl_undo_process){
			.pid = cl_undo_process_of(&j->entries[i].change),
			.oldest = j->entries[i].change.thread.start,
			.origin = CL_NONE,
		};
	}
	for (uint32_t i = 0; i < j->change_count; i++)
		u->first_ticks =
			j->notes[i].ticks < u->first_ticks ? j->notes[i].ticks : u->first_ticks;
	qsort(u->processes, n, sizeof(*u->processes), by_pid);
	for (uint32_t i = 0; i < n; i++) {
		struct cl_undo_process *last =
			u->process_count ? &u->processes[u->process_count - 1] : NULL;

		if (!last || last->pid != u->processes[i].pid)
			u->processes[u->process_count++] = u->processes[i];
		else if (u->processes[i].oldest < last->oldest)
			last->oldest = u->processes[i].oldest;
	}
	qsort_r(u->threads, u->thread_count, sizeof(*u->threads), by_tid, u);
}

int cl_undo_start(struct cl_undo *u)
{
	const struct cl_journal *j = u->journal;

	u->first_ticks = UINT64_MAX;
	u->objects = calloc(j->entry_count + 1, sizeof(*u->objects));
	u->processes = calloc(j->entry_count + 1, sizeof(*u->processes));
	u->threads = calloc(j->entry_count + 1, sizeof(*u->threads));
	if (!u->objects || !u->processes || !u->threads)
		return -ENOMEM;
	collect(u);
	for (uint32_t i = 0; i < j->entry_count; i++) {
		const struct cl_journal_entry *e = &j->entries[i];

		u->objects[i].status = e->dropped ? CL_UNDO_DROPPED : CL_UNDO_UNSEEN;
		u->objects[i].target = e->change.from;
	}
	return 0;
}

static const struct cl_journal_entry *fence_of(const struct cl_journal *j)
{
	for (uint32_t i = 0; i < j->entry_count; i++)
		if (j->entries[i].change.kind == CL_CHANGE_FENCE)
			return &j->entries[i];
	return NULL;
}

/* Was it found with what the fence left to all? Without the fence the default is another. */
static bool found_fenced(const struct cl_undo *u, const struct cl_journal_entry *fence,
			 const struct cl_journal_entry *e)
{
	const struct cl_journal *j = u->journal;

	return fence && !j->notes[e->change_first].inherited &&
	       j->notes[e->change_first].ticks > j->notes[fence->change_first].ticks &&
	       cl_cpuset_equal(&e->change.from.cpus, &fence->change.to.cpus);
}

void cl_undo_origins(struct cl_undo *u)
{
	const struct cl_journal *j = u->journal;
	const struct cl_journal_entry *fence = fence_of(j);

	/* The first thread that had its own value tells for its process, the main thread before all
	 * others. */
	for (uint32_t i = 0; i < j->entry_count; i++) {
		const struct cl_change *c = &j->entries[i].change;
		struct cl_undo_process *p;

		if (c->kind != CL_CHANGE_THREAD)
			continue;
		u->objects[i].inherited = is_inherited(u, i);
		p = cl_undo_process_find(u, cl_undo_process_of(c));
		if (!u->objects[i].inherited && !found_fenced(u, fence, &j->entries[i]) &&
		    (p->origin == CL_NONE || c->thread.tid == p->pid))
			p->origin = i;
	}
	for (uint32_t i = 0; i < j->entry_count; i++) {
		const struct cl_journal_entry *e = &j->entries[i];
		const struct cl_setting *from = &e->change.from;
		struct cl_undo_object *o = &u->objects[i];

		if (e->change.kind != CL_CHANGE_THREAD)
			continue;
		if (o->inherited || found_fenced(u, fence, e))
			cl_undo_origin_of(u,
					  cl_undo_process_find(u, cl_undo_process_of(&e->change)),
					  from->has_path ? from->path : NULL, &o->target);
		/* A thread whose group was never touched keeps it. */
		if (!from->has_path)
			o->target.has_path = false;
	}
}
