/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plan made true: expanded, journalled as a whole, then applied one by one. An action whose
 * container could not be made is skipped, and says so; what was refused backs off in core.
 */
#include "act.h"

#include "cgroup.h"
#include "expand.h"
#include "limit.h"

#include <errno.h>
#include <string.h>

enum fate { FATE_LEAVE, FATE_DROP, FATE_CHANGE, FATE_BAD };

struct job { /* one plan under way */
	struct cl_engine *engine;
	uint32_t n;       /* actions */
	enum fate *fates; /* by action */
	uint32_t *at;     /* by action: which of the changes */
	uint32_t *along;  /* by action: how many changes behind that one go along with it */
	struct cl_change *changes;
	enum cl_reason *why;
	uint32_t *ids;
	bool *failed;         /* by change: what follows on it is skipped */
	uint32_t count, room; /* changes */
	void (*say)(void *ctx, const struct cl_action *action, int code, const char *text);
	void *ctx;
};

int cl_engine_guard(struct cl_engine *e, bool *ret_again, struct cl_error *reterr)
{
	*ret_again = false;
	if (e->supervisor && cl_supervisor_alive(e->supervisor))
		return 0;
	*ret_again = e->supervisor != NULL;
	cl_supervisor_release(e->supervisor);
	e->supervisor = NULL;
	return cl_supervisor_start(e->dir, e->lock_fd, &e->supervisor, reterr);
}

/* Work may be a kernel thread outside of its guest's process: then it is a process of its own. */
static void check_process(struct cl_change *c)
{
	char path[64];

	if (c->kind != CL_CHANGE_THREAD || c->process <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", c->process, c->thread.tid);
	if (access(path, F_OK) < 0)
		c->process = 0;
}

/* Making closer's first container may turn the controller on below the root: undo turns it off. */
static void check_passing(struct cl_change *c)
{
	const char *controller = cl_limit_controller(c->kind);
	struct cl_cgroup cgroup;

	if (controller && !c->from.present) {
		cl_cgroup_find(&cgroup);
		c->from.number = !cl_cgroup_passed_any(&cgroup, "/closer", controller);
	}
	if (c->kind != CL_CHANGE_GROUP || c->from.present || strchr(c->path + 1, '/'))
		return;
	cl_cgroup_find(&cgroup);
	c->from.number = !cl_cgroup_passed(&cgroup, c->path);
}

/* Room for one more change: an action has one, and some have others that go along. */
static int make_room(struct job *job)
{
	uint32_t room = job->room ? job->room * 2 : job->n + 1;

	if (job->count < job->room)
		return 0;
#define GROW(member)                                                                               \
	do {                                                                                       \
		void *more_ = realloc(job->member, room * sizeof(*job->member));                   \
		if (!more_)                                                                        \
			return -ENOMEM;                                                            \
		job->member = more_;                                                               \
	} while (0)
	GROW(changes);
	GROW(why);
	GROW(ids);
	GROW(failed);
#undef GROW
	memset(job->failed + job->room, 0, (room - job->room) * sizeof(*job->failed));
	job->room = room;
	return 0;
}

static int start_job(struct job *job)
{
	uint32_t n = job->n;

	job->fates = calloc(n, sizeof(*job->fates));
	job->at = calloc(n, sizeof(*job->at));
	job->along = calloc(n, sizeof(*job->along));
	return job->fates && job->at && job->along ? make_room(job) : -ENOMEM;
}

static void end_job(struct job *job)
{
	free(job->fates);
	free(job->at);
	free(job->along);
	free(job->changes);
	free(job->why);
	free(job->ids);
	free(job->failed);
}

/* Work of a guest is placed, and not somebody else's thread, unless somebody has set it. */
static bool is_placed(const struct cl_engine *e, struct cl_tid thread)
{
	const struct cl_snapshot *now = cl_engine_now(e);

	for (uint32_t i = 0; i < now->n.works && now->works[i].guest.v != CL_NONE; i++) {
		const struct cl_work *w = &now->works[i];

		if (w->thread.tid == thread.tid && w->thread.start == thread.start)
			return e->plan->verdicts[i].left.code != CL_REASON_FOREIGN;
	}
	return false;
}

static int add_along(void *ctx, const struct cl_change *along)
{
	struct job *job = ctx;

	if (!cl_change_sound(along) || is_placed(job->engine, along->thread))
		return 0;
	int r = make_room(job);

	if (r < 0)
		return r;
	job->changes[job->count] = *along;
	job->why[job->count++] = CL_REASON_FENCE;
	return 0;
}

static int expand_along(struct job *job, uint32_t i, struct cl_error *reterr)
{
	const struct cl_engine *e = job->engine;
	struct cl_change c = job->changes[job->at[i]]; /* a copy: the array may move */
	int r = 0;

	if (e->host->ops->along)
		r = e->host->ops->along(e->host, &c, add_along, job, reterr);
	job->along[i] = job->count - job->at[i] - 1;
	return r;
}

static int expand_all(struct job *job, struct cl_error *reterr)
{
	const struct cl_engine *e = job->engine;
	const struct cl_snapshot *now = cl_engine_now(e);

	for (uint32_t i = 0; i < job->n; i++) {
		const struct cl_action *action = &e->plan->actions[i];

		if (!action->possible)
			continue;
		if (make_room(job) < 0)
			return cl_fail(reterr, ENOMEM, "expanding a plan: no memory");
		struct cl_change *c = &job->changes[job->count];

		switch (cl_expand(now, e->plan, action, c)) {
		case CL_EXPANDED_DROP:
			job->fates[i] = FATE_DROP;
			break;
		case CL_EXPANDED_BAD:
			job->fates[i] = FATE_BAD;
			break;
		case CL_EXPANDED_CHANGE:
			job->fates[i] = cl_change_sound(c) ? FATE_CHANGE : FATE_BAD;
			if (e->keeps) {
				check_process(c);
				check_passing(c);
			}
			break;
		}
		if (job->fates[i] != FATE_CHANGE)
			continue;
		job->at[i] = job->count;
		job->why[job->count++] = action->why.code;
		int r = expand_along(job, i, reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Is path the same as group, or below it? */
static bool within(const char *path, const char *group)
{
	size_t len = strlen(group);

	return strncmp(path, group, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/*
 * Does this change rest on one that failed? A container on its parent; a thread on the container
 * that it is to enter; narrowing and removing a container on each thread that was to leave or stay
 * in it.
 */
static bool rests_on_failed(const struct job *job, uint32_t at)
{
	const struct cl_change *c = &job->changes[at];

	for (uint32_t i = 0; i < at; i++) {
		const struct cl_change *before = &job->changes[i];

		if (!job->failed[i])
			continue;
		if (before->kind == CL_CHANGE_GROUP && before->to.present) {
			if ((c->kind == CL_CHANGE_GROUP || c->kind == CL_CHANGE_FENCE) &&
			    within(c->path, before->path))
				return true;
			if (c->kind == CL_CHANGE_THREAD && c->to.has_path &&
			    within(c->to.path, before->path))
				return true;
		}
		if (before->kind == CL_CHANGE_THREAD && c->kind == CL_CHANGE_GROUP &&
		    before->from.has_path &&
		    (within(before->from.path, c->path) || within(before->to.path, c->path)))
			return true;
	}
	return false;
}

static void tell(const struct job *job, const struct cl_action *action, int code, const char *text)
{
	if (job->say)
		job->say(job->ctx, action, code, text);
}

/* A release: the journal forgets it, nothing is written to the machine. */
static int drop(struct job *job, uint32_t i, struct cl_tick *tick, struct cl_error *reterr)
{
	struct cl_engine *e = job->engine;
	const struct cl_action *action = &e->plan->actions[i];
	struct cl_change object;
	int r;

	cl_expand(cl_engine_now(e), e->plan, action, &object);
	r = e->keeps ? cl_journal_drop(e->writer, &object, reterr) : 0;
	if (r < 0)
		return r;
	tick->done++;
	tell(job, action, 0, "");
	return 0;
}

int cl_engine_recorded(struct cl_engine *e, int r, const struct cl_error *err,
		       struct cl_error *reterr)
{
	if (r >= 0)
		return r;
	if (!e->act) {
		if (reterr)
			*reterr = *err;
		return r;
	}
	e->unrecorded = *err;
	cl_recorder_close(e->recorder, NULL);
	e->recorder = NULL;
	return 0;
}

static int outcome(struct job *job, uint32_t i, int code, struct cl_error *reterr)
{
	struct cl_engine *e = job->engine;
	uint64_t now = e->host->ops->now_ns(e->host);

	cl_state_outcome(e->state, &e->params, e->plan, &e->plan->actions[i], code, now);
	struct cl_error err;

	return e->recorder
		       ? cl_engine_recorded(e, cl_recorder_outcome(e->recorder, i, code, now, &err),
					    &err, reterr)
		       : 0;
}

/* Was its object handed over? *ret_hash: of what closer has last set on it, 0 for nothing. */
static bool was_adopted(const struct cl_state *state, const struct cl_action *action,
			uint64_t *ret_hash)
{
	for (uint32_t i = 0; i < state->n.works && action->kind == CL_ACTION_THREAD_PLACE; i++) {
		const struct cl_state_work *w = &state->works[i];

		*ret_hash = w->mask_hash;
		if (w->thread.tid == action->object.thread.tid &&
		    w->thread.start == action->object.thread.start)
			return w->adopted != 0;
	}
	for (uint32_t i = 0; i < state->n.irqs && action->kind == CL_ACTION_IRQ_PLACE; i++) {
		*ret_hash = state->irqs[i].mask_hash;
		if (state->irqs[i].number == action->object.irq)
			return state->irqs[i].adopted != 0;
	}
	return false;
}

/* Handed over before closer saw that it was somebody's: undo gives back his setting, not the one
 * before. */
static int drop_adopted(struct job *job, struct cl_error *reterr)
{
	const struct cl_engine *e = job->engine;
	uint64_t hash = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < job->n; i++) {
		const struct cl_change *c = &job->changes[job->at[i]];

		if (job->fates[i] == FATE_CHANGE &&
		    was_adopted(e->state, &e->plan->actions[i], &hash) &&
		    cl_cpuset_hash(&c->from.cpus) != hash)
			r = cl_journal_drop(e->writer, c, reterr);
	}
	return r;
}

/*
 * A setting made by hand may be seen late (groups are read in turn). What was handed over and then
 * found to be otherwise than expected is still handed over: asked for again at the next tick, when
 * it has been read anew.
 */
static void adopt_again(struct cl_engine *e, const struct cl_action *action)
{
	if (e->adopt_count == CL_ADOPT_MAX)
		return;
	e->adopt[e->adopt_count++] = (struct cl_adopt){
		.irq = action->kind == CL_ACTION_IRQ_PLACE,
		.number = action->object.irq,
		.thread = action->object.thread,
	};
}

/* For a reader; undo compares anyway, so a full disk loses nothing here. */
static void written(const struct job *job, uint32_t at, int code)
{
	if (job->engine->keeps)
		(void)cl_journal_outcome(job->engine->writer, job->ids[at], code);
}

/* Threads that are not core's: only the journal and the user hear of them. One that has ended is no
 * failure. */
static void change_along(struct job *job, uint32_t i, struct cl_tick *tick)
{
	struct cl_engine *e = job->engine;
	uint32_t at = job->at[i];

	for (uint32_t k = at + 1; k <= at + job->along[i]; k++) {
		struct cl_error err = { 0 };
		int code = ECANCELED;

		if (!job->failed[at])
			code = -e->host->ops->apply(e->host, &job->changes[k], &err);
		written(job, k, code);
		if (code == 0 || code == ECANCELED || code == ESRCH)
			continue;
		tick->failed++;
		tell(job, &e->plan->actions[i], code, err.text);
	}
}

static int change(struct job *job, uint32_t i, struct cl_tick *tick, struct cl_error *reterr)
{
	struct cl_engine *e = job->engine;
	const struct cl_action *action = &e->plan->actions[i];
	uint32_t at = job->at[i];
	struct cl_error err = { 0 };
	uint64_t hash;
	int code;

	if (rests_on_failed(job, at)) {
		job->failed[at] = true;
		tick->skipped++;
		written(job, at, ECANCELED);
		tell(job, action, ECANCELED, "skipped: what it rests on failed");
		change_along(job, i, tick);
		return 0;
	}
	code = -e->host->ops->apply(e->host, &job->changes[at], &err);
	if (code == ESTALE && was_adopted(e->state, action, &hash))
		adopt_again(e, action);
	if (code == ESTALE && e->keeps && cl_change_limits(job->changes[at].kind))
		(void)cl_journal_drop(e->writer, &job->changes[at], NULL); /* undo compares, too */
	job->failed[at] = code != 0;
	tick->done += code == 0;
	tick->failed += code != 0;
	written(job, at, code);
	tell(job, action, code, code ? err.text : "");
	change_along(job, i, tick);
	return outcome(job, i, code, reterr);
}

static int bad(struct job *job, uint32_t i, struct cl_tick *tick, struct cl_error *reterr)
{
	tick->failed++;
	tell(job, &job->engine->plan->actions[i], EINVAL,
	     "not done: its path or its CPUs are nothing that could be written down and taken back");
	return outcome(job, i, EINVAL, reterr);
}

/* All of it, even if the recording or the journal fails on the way: half a plan is worse. The first
 * error counts. */
static int act(struct job *job, struct cl_tick *tick, struct cl_error *reterr)
{
	int first = 0;

	for (uint32_t i = 0; i < job->n; i++) {
		struct cl_error err;
		int r = 0;

		switch (job->fates[i]) {
		case FATE_LEAVE:
			break;
		case FATE_DROP:
			r = drop(job, i, tick, &err);
			break;
		case FATE_CHANGE:
			r = change(job, i, tick, &err);
			break;
		case FATE_BAD:
			r = bad(job, i, tick, &err);
			break;
		}
		if (r < 0 && first == 0) {
			first = r;
			if (reterr)
				*reterr = err;
		}
	}
	return first;
}

static int write_plan(struct job *job, struct cl_error *reterr)
{
	int r = drop_adopted(job, reterr);

	return r < 0 ? r
		     : cl_journal_plan(job->engine->writer, job->changes, job->why, job->count,
				       job->ids, reterr);
}

int cl_engine_apply(struct cl_engine *e,
		    void (*say)(void *ctx, const struct cl_action *action, int code,
				const char *text),
		    void *ctx, struct cl_tick *ret_tick, struct cl_error *reterr)
{
	struct job job = { .engine = e, .say = say, .ctx = ctx, .n = e->plan->n.actions };
	struct cl_tick tick = { 0 };
	uint64_t begin = cl_clock_ns();
	int r;

	if (!e->act)
		return cl_fail(reterr, EPERM, "this closer was started to observe, not to act");
	r = e->keeps ? cl_engine_guard(e, &tick.supervisor_restarted, reterr) : 0;
	if (r == 0 && e->fresh && job.n > 0) {
		r = start_job(&job);
		if (r < 0)
			cl_fail(reterr, ENOMEM, "applying a plan: no memory; nothing was applied");
		else
			r = expand_all(&job, reterr);
		if (r == 0 && e->keeps)
			r = write_plan(&job, reterr);
		if (r == 0)
			r = act(&job, &tick, reterr);
		end_job(&job);
	}
	e->fresh = false;
	tick.apply_ns = cl_clock_ns() - begin;
	if (ret_tick)
		*ret_tick = tick;
	return r;
}
