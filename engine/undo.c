/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way back: the journal against the machine, until nothing is left to do.
 *
 *   pass: the fence -> threads and interrupts -> threads born of them (undo_rest.c) -> containers,
 * deepest first
 *
 * Each object is compared before it is written: at its target, done; at a value that closer once
 * intended for it, restored; at any other, somebody's: left and said. Threads go on being born
 * while we are at it, so passes repeat until one wrote nothing; that last one is the proof.
 * Whenever this is killed, running it again finishes it.
 */
#include "undo.h"

#include "linux.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define PASSES_MAX 10u

void cl_undo_note(struct cl_undo_object *object, const char *format, ...)
{
	va_list ap;

	free(object->text);
	va_start(ap, format);
	if (vasprintf(&object->text, format, ap) < 0)
		object->text = NULL;
	va_end(ap);
}

/* The exact comparison first: the other one looks up which CPUs are online. */
static bool same_exactly(enum cl_change_kind kind, const struct cl_setting *is,
			 const struct cl_setting *wanted)
{
	if (kind == CL_CHANGE_THREAD && wanted->has_path &&
	    (!is->has_path || strcmp(is->path, wanted->path) != 0))
		return false;
	if (kind == CL_CHANGE_GROUP && (!is->present || !wanted->present))
		return is->present == wanted->present;
	if (cl_change_limits(kind)) /* an absent one's number is about its controller */
		return is->present == wanted->present &&
		       (!is->present ||
			(is->number == wanted->number && is->period_ns == wanted->period_ns));
	return is->number == wanted->number && cl_cpuset_equal(&is->cpus, &wanted->cpus);
}

bool cl_undo_same(enum cl_change_kind kind, const struct cl_setting *is,
		  const struct cl_setting *wanted)
{
	return same_exactly(kind, is, wanted) || cl_linux_equal(kind, is, wanted);
}

static bool intended(const struct cl_journal *j, const struct cl_journal_entry *e,
		     const struct cl_setting *is,
		     bool (*same)(enum cl_change_kind kind, const struct cl_setting *a,
				  const struct cl_setting *b))
{
	/* As the container itself goes whatever was done to it, so does its partition. */
	if (e->change.kind == CL_CHANGE_FENCE)
		return true;
	for (uint32_t i = e->change_first + e->change_count; i > e->change_first; i--) {
		if (same(e->change.kind, is, &j->changes[i - 1].to))
			return true;
	}
	return same(e->change.kind, is, &e->change.from);
}

/*
 * A thread's group and mask are two writes. Killed in between, it is in a group of its change with
 * a mask that is ours, or with all that the group has. Only where groups were changed at all.
 */
static bool half_done(const struct cl_undo *u, const struct cl_journal_entry *e,
		      const struct cl_setting *target, const struct cl_setting *is)
{
	const struct cl_journal *j = u->journal;
	bool path =
		strcmp(is->path, e->change.from.path) == 0 || strcmp(is->path, target->path) == 0;
	bool mask = cl_cpuset_equal(&is->cpus, &e->change.from.cpus), moved = false;
	struct cl_cpuset room;

	if (e->change.kind != CL_CHANGE_THREAD || !e->change.from.has_path || !is->has_path)
		return false;
	for (uint32_t i = e->change_first; i < e->change_first + e->change_count; i++) {
		const struct cl_setting *to = &j->changes[i].to;

		path |= strcmp(is->path, to->path) == 0;
		mask |= cl_cpuset_equal(&is->cpus, &to->cpus);
		moved |= strcmp(to->path, target->path) != 0;
	}
	if (!path || !moved)
		return false;
	return mask || (u->world->group_cpus(u->ctx, is->path, &room, NULL) == 0 &&
			cl_cpuset_equal(&room, &is->cpus));
}

/*
 * A thread that the fence kept elsewhere: when that goes the kernel gives it all that its group
 * has, whatever was set before. So do half-finished ones look: it counts as ours.
 */
static bool unfenced(const struct cl_undo *u, const struct cl_journal_entry *e,
		     const struct cl_setting *is)
{
	struct cl_cpuset room;

	if (e->change.kind != CL_CHANGE_THREAD || !u->journal->notes[e->change_first].fenced)
		return false;
	memset(&room, 0xff, sizeof(room));
	if (is->has_path && u->world->group_cpus(u->ctx, is->path, &room, NULL) < 0)
		return false;
	struct cl_setting all = { .present = true, .cpus = room };

	return cl_undo_same(CL_CHANGE_THREAD, is, &all);
}

/* The nearest to the target that can be had: its group, or the next above that is there, with the
 * CPUs it has now. */
static bool bend(const struct cl_undo *u, struct cl_setting *target)
{
	struct cl_setting was = *target;
	struct cl_cpuset room;

	if (!target->has_path)
		return false;
	while (u->world->group_cpus(u->ctx, target->path, &room, NULL) < 0) {
		char *slash = strrchr(target->path, '/');

		if (!slash || strcmp(target->path, "/") == 0)
			return false;
		slash[slash == target->path] = '\0';
	}
	if (!cl_cpuset_subset(&target->cpus, &room)) {
		cl_cpuset_and(&target->cpus, &room);
		if (cl_cpuset_empty(&target->cpus))
			target->cpus = room;
	}
	return strcmp(was.path, target->path) != 0 || !cl_cpuset_equal(&was.cpus, &target->cpus);
}

int cl_undo_set(struct cl_undo *u, const struct cl_change *object, const struct cl_setting *is,
		struct cl_setting *target, struct cl_error *reterr)
{
	struct cl_change change = *object;
	struct cl_setting bent = *target;
	int r;

	change.from = *is;
	change.from.has_path = target->has_path;
	change.to = *target;
	r = u->world->apply(u->ctx, &change, reterr);
	if (object->kind != CL_CHANGE_THREAD || (r != -EIDRM && r != -ENOENT && r != -EINVAL) ||
	    !bend(u, &bent))
		return r;
	change.to = bent;
	r = u->world->apply(u->ctx, &change, reterr);
	if (r == 0)
		*target = bent;
	return r;
}

/* In a group of ours with somebody's mask: the group goes, the mask stays. */
static bool carry_out(struct cl_undo *u, uint32_t at, const struct cl_setting *is)
{
	const struct cl_change *c = &u->journal->entries[at].change;
	struct cl_undo_object *o = &u->objects[at];
	struct cl_setting target = o->target;

	if (c->kind != CL_CHANGE_THREAD || !is->has_path || !cl_path_ours(is->path) ||
	    !target.has_path || cl_path_ours(target.path))
		return false;
	target.cpus = is->cpus;
	if (cl_undo_set(u, c, is, &target, NULL) < 0)
		return false;
	cl_undo_note(o,
		     "somebody else has set its CPUs: these were left, it was only taken out of %s",
		     is->path);
	o->status = CL_UNDO_LEFT;
	u->wrote++;
	return true;
}

static void left(struct cl_undo *u, uint32_t at, const struct cl_setting *is)
{
	struct cl_undo_object *o = &u->objects[at];
	char now[128];

	if (carry_out(u, at, is) || o->status == CL_UNDO_LEFT)
		return;
	o->status = CL_UNDO_LEFT;
	if (cl_change_entitles(u->journal->entries[at].change.kind)) {
		cl_undo_note(o, "somebody else has set it to %lld: left alone",
			     (long long)is->number);
		return;
	}
	if (cl_change_limits(u->journal->entries[at].change.kind)) {
		cl_undo_note(o, "somebody else has set it: left alone");
		return;
	}
	cl_cpuset_format(&is->cpus, now, sizeof(now));
	cl_undo_note(o, "somebody else has set it to CPUs %s%s%s: left alone", now,
		     is->has_path ? " in " : "", is->has_path ? is->path : "");
}

static void restore(struct cl_undo *u, uint32_t at, const struct cl_setting *is)
{
	const struct cl_change *c = &u->journal->entries[at].change;
	struct cl_undo_object *o = &u->objects[at];
	struct cl_setting target = o->target;
	struct cl_error err;
	int r = cl_undo_set(u, c, is, &target, &err);

	if (r == 0) {
		if (!same_exactly(c->kind, &target, &o->target))
			cl_undo_note(
				o,
				"it cannot go back as it was: put into %s, which is what there is now",
				target.path);
		o->target = target;
		o->status = CL_UNDO_RESTORED;
		u->wrote++;
	} else if (r == -ESRCH) {
		o->status = CL_UNDO_GONE;
	} else {
		o->status = CL_UNDO_FAILED;
		cl_undo_note(o, "%s", err.text);
		u->wrote += r == -ESTALE; /* changed while we looked: looked at again */
	}
}

/* The change as it is handed to the world to be read: with the target on both sides nothing is
 * interpreted. */
static struct cl_change plainly(const struct cl_undo *u, uint32_t at)
{
	struct cl_change c = u->journal->entries[at].change;

	c.from = c.to = u->objects[at].target;
	c.from.has_path = c.to.has_path =
		c.kind == CL_CHANGE_THREAD && (c.from.has_path || u->groups);
	return c;
}

/* What was made for a limit (a table, a group, a controller) may be left of one that is there no
 * more, or never was: once, before that is said. */
static void tidy_limit(struct cl_undo *u, uint32_t at)
{
	const struct cl_change *c = &u->journal->entries[at].change;
	struct cl_setting target = u->objects[at].target, is = target;

	if (u->objects[at].status == CL_UNDO_UNSEEN && cl_change_limits(c->kind) && !is.present)
		(void)cl_undo_set(u, c, &is, &target, NULL);
}

static void undo_one(struct cl_undo *u, uint32_t at)
{
	const struct cl_journal_entry *e = &u->journal->entries[at];
	struct cl_change look = plainly(u, at);
	struct cl_undo_object *o = &u->objects[at];
	struct cl_setting is;
	struct cl_error err;
	int r = u->world->read(u->ctx, &look, &is, &err);

	if (r == -ESRCH || r == -ENOENT) {
		tidy_limit(u, at);
		o->status = CL_UNDO_GONE;
	} else if (r < 0) {
		o->status = CL_UNDO_FAILED;
		cl_undo_note(o, "%s", err.text);
	} else if (cl_undo_same(e->change.kind, &is, &o->target)) {
		tidy_limit(u, at);
		if (o->status != CL_UNDO_RESTORED && o->status != CL_UNDO_LEFT)
			o->status = CL_UNDO_ALREADY;
	} else if (intended(u->journal, e, &is, same_exactly) || half_done(u, e, &o->target, &is) ||
		   intended(u->journal, e, &is, cl_linux_equal) || unfenced(u, e, &is)) {
		restore(u, at, &is);
	} else {
		left(u, at, &is);
	}
}

/* Is what keeps a group from going none of ours? Ours that failed are told of themselves. */
static bool kept_by_others(struct cl_undo *u, struct cl_undo_object *o, const char *path,
			   uint32_t strangers, const char *who)
{
	const struct cl_journal *j = u->journal;
	char child[CL_PATH_MAX] = "";
	uint32_t children = u->world->children(u->ctx, path, child, sizeof(child));

	if (strangers > 0) {
		cl_undo_note(
			o, "%u threads are in it that closer did not put there (%s): left for them",
			strangers, who);
		return true;
	}
	for (uint32_t i = 0; i < j->entry_count; i++) {
		if (j->entries[i].change.kind == CL_CHANGE_GROUP &&
		    strcmp(j->entries[i].change.path, child) == 0)
			return u->objects[i].status == CL_UNDO_LEFT;
	}
	if (children == 0)
		return false;
	cl_undo_note(o, "%u containers are in it that are not in this journal (%s): left for them",
		     children, child);
	return true;
}

/* A container that we made goes, whatever was done to its CPUs meanwhile; first what is in it. */
static void remove_group(struct cl_undo *u, uint32_t at)
{
	const struct cl_change *c = &u->journal->entries[at].change;
	struct cl_change look = plainly(u, at);
	struct cl_undo_object *o = &u->objects[at];
	struct cl_setting is;
	struct cl_error err;
	char who[96] = "";
	int r = u->world->read(u->ctx, &look, &is, &err);

	if (r == 0 && !is.present) {
		if (o->status != CL_UNDO_RESTORED)
			o->status = CL_UNDO_ALREADY;
		return;
	}
	if (r == 0)
		r = cl_undo_set(u, c, &is, &o->target, &err);
	if (r == -EBUSY) {
		uint32_t strangers = cl_undo_drain(u, c->path, who, sizeof(who));

		r = cl_undo_set(u, c, &is, &o->target, &err);
		if (r == -EBUSY && kept_by_others(u, o, c->path, strangers, who)) {
			o->status = CL_UNDO_LEFT;
			return;
		}
	}
	o->status = r == 0 ? CL_UNDO_RESTORED : CL_UNDO_FAILED;
	u->wrote += r == 0;
	if (r < 0)
		cl_undo_note(o, "%s", err.text);
}

static void undo_groups(struct cl_undo *u, const uint32_t *order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (u->objects[order[i]].status == CL_UNDO_DROPPED)
			continue;
		if (u->journal->entries[order[i]].change.from.present)
			undo_one(u, order[i]);
		else
			remove_group(u, order[i]);
	}
}

static int deepest_first(const void *a, const void *b, void *ctx)
{
	const struct cl_journal *j = ctx;
	const char *pa = j->entries[*(const uint32_t *)a].change.path;
	const char *pb = j->entries[*(const uint32_t *)b].change.path;
	size_t la = strlen(pa), lb = strlen(pb);

	return la != lb ? (la > lb ? -1 : 1) : strcmp(pa, pb);
}

/* The fence first: while it is up no thread can be given a CPU behind it. */
static void undo_kind(struct cl_undo *u, bool fence)
{
	for (uint32_t i = u->journal->entry_count; i > 0; i--) {
		enum cl_change_kind kind = u->journal->entries[i - 1].change.kind;

		if (kind != CL_CHANGE_GROUP && (kind == CL_CHANGE_FENCE) == fence &&
		    u->objects[i - 1].status != CL_UNDO_DROPPED)
			undo_one(u, i - 1);
	}
}

static void one_pass(struct cl_undo *u, const uint32_t *groups, uint32_t group_count)
{
	u->wrote = 0;
	u->rest_failed = 0;
	undo_kind(u, true);
	undo_kind(u, false);
	cl_undo_rest(u);
	undo_groups(u, groups, group_count);
}

static void report(const struct cl_undo *u, cl_undo_say say, void *say_ctx,
		   struct cl_undo_report *ret)
{
	uint32_t of[CL_UNDO_FAILED + 1] = { 0 };

	for (uint32_t i = 0; i < u->journal->entry_count; i++) {
		of[u->objects[i].status]++;
		if (say && u->objects[i].text)
			say(say_ctx, &u->journal->entries[i].change, u->objects[i].text);
	}
	*ret = (struct cl_undo_report){
		.objects = u->journal->entry_count - of[CL_UNDO_DROPPED] + u->rest_restored +
			   u->rest_failed,
		.restored = of[CL_UNDO_RESTORED] + u->rest_restored,
		.already = of[CL_UNDO_ALREADY],
		.gone = of[CL_UNDO_GONE],
		.left = of[CL_UNDO_LEFT],
		.failed = of[CL_UNDO_FAILED] + of[CL_UNDO_UNSEEN] + u->rest_failed,
	};
	ret->verified = u->wrote == 0 && ret->failed == 0;
}

int cl_undo_run(const struct cl_journal *journal, const struct cl_undo_world *world,
		void *world_ctx, cl_undo_say say, void *say_ctx, struct cl_undo_report *ret_report,
		struct cl_error *reterr)
{
	struct cl_undo u = { .journal = journal, .world = world, .ctx = world_ctx };
	cl_autofree uint32_t *groups = calloc(journal->entry_count + 1, sizeof(*groups));
	uint32_t n = 0;
	int r = groups ? cl_undo_start(&u) : -ENOMEM;

	if (r < 0) {
		cl_fail(reterr, ENOMEM, "undoing: no memory");
	} else {
		for (uint32_t i = 0; i < journal->entry_count; i++) {
			if (journal->entries[i].change.kind == CL_CHANGE_GROUP)
				groups[n++] = i;
		}
		qsort_r(groups, n, sizeof(*groups), deepest_first, (void *)journal);
		undo_kind(&u, true);
		cl_undo_origins(&u);
		for (uint32_t pass = 0; pass < PASSES_MAX && (pass == 0 || u.wrote > 0); pass++)
			one_pass(&u, groups, n);
		/* Threads that are in no journal are spoken of once, at the end. */
		if (u.rest_failed > 0) {
			u.say = say;
			u.say_ctx = say_ctx;
			u.rest_failed = 0;
			cl_undo_rest(&u);
		}
		report(&u, say, say_ctx, ret_report);
	}
	for (uint32_t i = 0; u.objects && i < journal->entry_count; i++)
		free(u.objects[i].text);
	free(u.objects);
	free(u.processes);
	free(u.threads);
	return r;
}

int cl_undo(const char *dir, bool skip_corrupt, cl_undo_say say, void *ctx,
	    struct cl_undo_report *ret_report, struct cl_error *reterr)
{
	cl_autoclose int dir_fd = -1;
	struct cl_undo_linux *machine = NULL;
	struct cl_undo_report mine;
	struct cl_journal journal;
	bool archived = false;
	int r = cl_dir_open(dir, &dir_fd, reterr);

	if (r == 0)
		r = cl_journal_archive(dir_fd, dir, &archived, reterr);
	if (archived)
		return cl_fail(
			reterr, ENOENT,
			"the journal in %s was another boot's: what it changed went with that "
			"boot; it was put aside",
			dir);
	if (r == 0)
		r = cl_journal_load(dir_fd, dir, skip_corrupt, &journal, reterr);
	if (r < 0)
		return r;
	/* None is ever written; its numbers would be those of threads that have nothing to do with
	 * it. */
	if (cl_host_simulated(journal.host)) {
		cl_journal_done(&journal);
		return cl_fail(reterr, EINVAL,
			       "the journal in %s says that it is of a simulated host, of which "
			       "nothing is on this machine: nothing was changed; move it away",
			       dir);
	}
	r = cl_undo_linux_new(&machine, reterr);
	if (r == 0)
		r = cl_undo_run(&journal, &cl_undo_linux, machine, say, ctx, &mine, reterr);
	if (r == 0 && mine.verified)
		r = cl_journal_finish(dir_fd, dir, reterr);
	if (r == 0 && ret_report)
		*ret_report = mine;
	if (machine)
		cl_undo_linux_free(machine);
	cl_journal_done(&journal);
	return r;
}
