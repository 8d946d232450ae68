/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: opened, observed, closed. What it owns: two snapshots that take turns, the state, the
 * plan, the host, and with `act` the lock, the supervisor and the journal. How a plan is made true
 * is in act.c.
 */
#include "act.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

/* ---- the ledger ---- */

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * CL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* A full disk is no reason not to hold the host: the interval waits, and whoever ticks is told. */
static void bill(struct cl_engine *e, struct cl_tick *tick)
{
	const struct cl_snapshot *now = cl_engine_now(e);
	uint64_t at = e->host->ops->simulated ? e->wall_ns + now->taken_ns : wall_ns();

	if (e->bill)
		(void)cl_bill_add(e->bill, now, e->plan, at, &tick->unbilled);
}
/* ---- observe ---- */

static int tell_and_decide(struct cl_engine *e, struct cl_tick *tick, struct cl_error *reterr)
{
	const struct cl_snapshot *prev = cl_engine_prev(e), *now = cl_engine_now(e);
	uint64_t begin;
	int r = cl_engine_tell(e, reterr);

	if (r < 0)
		return r;
	begin = cl_clock_ns();
	cl_plan_reset(e->plan);
	cl_decide(prev, now, &e->params, e->state, e->plan);
	tick->decide_ns = cl_clock_ns() - begin;
	e->fresh = true;
	bill(e, tick);
	if (!e->recorder)
		return 0;
	struct cl_error err;

	r = cl_recorder_tick(e->recorder, now, e->plan, &err);
	return cl_engine_recorded(e, r, &err, reterr);
}

int cl_engine_observe(struct cl_engine *e, struct cl_tick *ret_tick, struct cl_error *reterr)
{
	const struct cl_host_ops *ops = e->host->ops;
	struct cl_snapshot *next = e->snaps[1 - e->now];
	struct cl_tick tick = { 0 };
	uint64_t begin = cl_clock_ns();
	int r = 0;

	e->fresh = false;
	if (e->keeps)
		r = cl_engine_guard(e, &tick.supervisor_restarted, reterr);
	if (r == 0)
		r = ops->observe(e->host, ops->now_ns(e->host) + e->params.interval / 2, next,
				 reterr);
	if (r < 0)
		return r;
	tick.observe_ns = cl_clock_ns() - begin;
	tick.fault = cl_snapshot_check(e->seen ? e->snaps[e->now] : NULL, next);
	if (tick.fault == CL_SNAPSHOT_NONE) {
		e->now = 1 - e->now;
		e->seen += e->seen < 2;
		r = tell_and_decide(e, &tick, reterr);
	}
	if (ret_tick)
		*ret_tick = tick;
	return r;
}

int cl_engine_wait(struct cl_engine *e, uint64_t ns, int fd, enum cl_wake *ret_why,
		   struct cl_error *reterr)
{
	const struct cl_host_ops *ops = e->host->ops;

	return ops->wait(e->host, ops->now_ns(e->host) + ns, fd, ret_why, reterr);
}

uint64_t cl_engine_clock_ns(const struct cl_engine *e)
{
	return e->host->ops->simulated ? e->host->ops->now_ns(e->host) : cl_clock_ns();
}

const struct cl_snapshot *cl_engine_prev(const struct cl_engine *e)
{
	return e->seen > 1 ? e->snaps[1 - e->now] : NULL;
}

const struct cl_snapshot *cl_engine_now(const struct cl_engine *e)
{
	return e->snaps[e->now];
}
const struct cl_plan *cl_engine_plan(const struct cl_engine *e)
{
	return e->plan;
}
const struct cl_state *cl_engine_state(const struct cl_engine *e)
{
	return e->state;
}
struct cl_host *cl_engine_host(const struct cl_engine *e)
{
	return e->host;
}
const char *cl_engine_uri(const struct cl_engine *e)
{
	return e->uri;
}

/* ---- open and close ---- */

static struct cl_engine *new_engine(const struct cl_engine_options *options,
				    struct cl_error *reterr)
{
	const char *dir = options->state_dir ? options->state_dir : CL_STATE_DIR, *wrong;
	struct cl_engine *e;

	if (strlen(dir) >= CL_PATH_MAX) {
		cl_fail(reterr, ENAMETOOLONG, "state directory %.64s...: longer than %u bytes", dir,
			CL_PATH_MAX - 1);
		return NULL;
	}
	if (!cl_params_check(&options->params, &wrong)) {
		cl_fail(reterr, EINVAL, "parameter %s is out of its range, or at odds with another",
			wrong);
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		cl_fail(reterr, ENOMEM, "starting: no memory");
		return NULL;
	}
	e->dir_fd = e->lock_fd = -1;
	e->params = options->params;
	e->act = options->act;
	e->keeps = options->act;
	snprintf(e->dir, sizeof(e->dir), "%s", dir);
	return e;
}

/* First of all, while this process is small: the supervisor is a copy of it. */
static int open_acting(struct cl_engine *e, struct cl_error *reterr)
{
	int r = cl_state_dir(e->dir, reterr);

	if (r == 0)
		r = cl_dir_open(e->dir, &e->dir_fd, reterr);
	if (r == 0)
		r = cl_lock(e->dir, &e->lock_fd, reterr);
	if (r == 0)
		r = cl_supervisor_start(e->dir, e->lock_fd, &e->supervisor, reterr);
	return r;
}

static int open_rest(struct cl_engine *e, const struct cl_engine_options *options,
		     struct cl_error *reterr)
{
	const struct cl_limits *cap = options->limits ? options->limits : &cl_limits_default;
	int r = 0;

	if (e->keeps)
		r = cl_journal_open(e->dir, e->uri, &e->writer, reterr);
	if (r < 0)
		return r;
	e->snaps[0] = cl_snapshot_new(cap);
	e->snaps[1] = cl_snapshot_new(cap);
	e->state = cl_state_new(cap);
	e->plan = cl_plan_new(cap);
	if (!e->snaps[0] || !e->snaps[1] || !e->state || !e->plan)
		return cl_fail(reterr, ENOMEM,
			       "starting: no memory for this many guests and threads");
	if (options->record)
		r = cl_recorder_open(options->record, e->uri, cap, &e->params, e->state,
				     &e->recorder, reterr);
	if (r == 0 && options->ledger)
		r = cl_bill_open(options->ledger, &e->bill, reterr);
	e->wall_ns = wall_ns();
	return r;
}

int cl_engine_open_host(const struct cl_engine_options *options, struct cl_host *host,
			const char *uri, struct cl_engine **ret_engine, struct cl_error *reterr)
{
	struct cl_engine *e = new_engine(options, reterr);
	struct cl_error err;
	int r;

	if (!e) {
		cl_host_close(host);
		return reterr ? -reterr->code : -EINVAL;
	}
	e->host = host;
	e->keeps = e->act && !host->ops->simulated;
	snprintf(e->uri, sizeof(e->uri), "%s", uri);
	r = e->keeps ? open_acting(e, &err) : 0;
	if (r == 0)
		r = open_rest(e, options, &err);
	if (r < 0) {
		cl_engine_close(e, CL_END_KEEP, 0, NULL, NULL);
		if (reterr)
			*reterr = err;
		return r;
	}
	*ret_engine = e;
	return 0;
}

int cl_engine_open(const struct cl_engine_options *options, struct cl_engine **ret_engine,
		   struct cl_error *reterr)
{
	struct cl_engine *e;
	struct cl_error err;
	int r;

	e = new_engine(options, &err);
	if (!e) {
		if (reterr)
			*reterr = err;
		return -err.code;
	}
	e->keeps = e->act && !cl_host_simulated(options->host_uri);
	r = e->keeps ? open_acting(e, &err) : 0;
	if (r == 0)
		r = cl_host_open(options->host_uri, &e->host, e->uri, sizeof(e->uri), &err);
	if (r == 0)
		r = open_rest(e, options, &err);
	if (r < 0) {
		cl_engine_close(e, CL_END_KEEP, 0, NULL, NULL);
		if (reterr)
			*reterr = err;
		return r;
	}
	*ret_engine = e;
	return 0;
}

/* Requests that were taken and not met are left for the next closer. */
static void return_requests(struct cl_engine *e)
{
	for (uint32_t i = 0; i < e->adopt_count; i++) {
		const struct cl_object object = { .thread = e->adopt[i].thread,
						  .irq = e->adopt[i].number };

		(void)cl_adopt_request(e->dir, &object, e->adopt[i].irq, NULL);
	}
}

/* The supervisor stays until what is to be undone is undone: killed in the middle, it goes on. */
static int end(struct cl_engine *e, enum cl_ending ending, uint64_t until_ns,
	       struct cl_undo_report *ret_report, struct cl_error *reterr)
{
	struct cl_error err;
	int r = 0;

	/* Only told to whoever reads it: on a full disk it goes without. */
	if (ending == CL_END_KEEP_UNTIL && e->writer)
		(void)cl_journal_until(e->writer, until_ns);
	cl_journal_close(e->writer);
	if (ending == CL_END_UNDO) {
		r = cl_undo(e->dir, false, NULL, NULL, ret_report, &err);
		if (r == -ENOENT)
			r = 0;
		else if (r < 0 && reterr)
			*reterr = err;
	}
	return_requests(e);
	if (ending == CL_END_KEEP_UNTIL && e->supervisor && cl_supervisor_alive(e->supervisor)) {
		cl_supervisor_release_until(e->supervisor, until_ns);
		flock(e->lock_fd,
		      LOCK_UN); /* for both of us, now: `closer confirm` may follow at once */
		return r;
	}
	if (ending == CL_END_KEEP_UNTIL && e->supervisor)
		r = cl_fail(reterr, ECHILD,
			    "nobody is left to undo it in time, its supervisor was killed: `closer "
			    "undo` when it is time");
	cl_supervisor_release(e->supervisor);
	return r;
}

int cl_engine_close(struct cl_engine *e, enum cl_ending ending, uint64_t until_ns,
		    struct cl_undo_report *ret_report, struct cl_error *reterr)
{
	struct cl_error err;
	int r = 0, closed;

	if (!e)
		return 0;
	if (ret_report)
		*ret_report = (struct cl_undo_report){ .verified = true };
	closed = cl_recorder_close(e->recorder, &err);
	if (e->unrecorded.code) {
		err = e->unrecorded;
		closed = -err.code;
	}
	if (cl_bill_close(e->bill, closed < 0 ? NULL : &err) < 0 && closed == 0)
		closed = -err.code;
	cl_host_close(e->host);
	if (e->keeps)
		r = end(e, ending, until_ns, ret_report, reterr);
	if (r == 0 && closed < 0) {
		r = closed;
		if (reterr)
			*reterr = err;
	}
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	if (e->dir_fd >= 0)
		close(e->dir_fd);
	cl_snapshot_free(e->snaps[0]);
	cl_snapshot_free(e->snaps[1]);
	cl_state_free(e->state);
	cl_plan_free(e->plan);
	free(e);
	return r;
}
