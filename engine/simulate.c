/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario under a policy. */
#include "simulate.h"

#include "host.h"
#include "lib.h"

#include <errno.h>
#include <string.h>

static int to_the_end(struct sim_run *run, struct cl_error *reterr)
{
	struct cl_error err = { 0 };

	while (sim_run_until(run, UINT64_MAX, &err))
		;
	if (err.code && reterr)
		*reterr = err;
	return -err.code;
}

static int run_native(const struct sim_scenario *scenario, struct sim_run *run,
		      struct cl_sim_outcome *outcome, struct cl_error *reterr)
{
	return to_the_end(run, reterr);
}

static int run_pinned(const struct sim_scenario *scenario, struct sim_run *run,
		      struct cl_sim_outcome *outcome, struct cl_error *reterr)
{
	sim_run_pin(run);
	return to_the_end(run, reterr);
}

static int one_tick(struct cl_engine *engine, struct cl_sim_outcome *outcome,
		    struct cl_error *reterr)
{
	struct cl_tick tick = { 0 };
	int r = cl_engine_observe(engine, &tick, reterr);

	if (r == 0 && tick.fault != CL_SNAPSHOT_NONE)
		return cl_fail(reterr, EBADMSG, "the simulated host's snapshot was refused: %s",
			       cl_snapshot_fault_text(tick.fault));
	if (r == 0)
		r = cl_engine_apply(engine, NULL, NULL, &tick, reterr);
	outcome->done += tick.done;
	outcome->failed += tick.failed;
	return r;
}

static int run_closer(const struct sim_scenario *scenario, struct sim_run *run,
		      struct cl_sim_outcome *outcome, struct cl_error *reterr)
{
	const struct cl_engine_options options = { .params = *sim_scenario_params(scenario),
						   .act = true };
	struct cl_host *host = sim_host_new(run);
	struct cl_engine *engine = NULL;
	enum cl_wake why = CL_WAKE_TIMER;
	char uri[CL_PATH_MAX];
	int r;

	if (!host)
		return cl_fail(reterr, ENOMEM, "simulating: no memory");
	snprintf(uri, sizeof(uri), "sim:%s", sim_scenario_id(scenario));
	r = cl_engine_open_host(&options, host, uri, &engine, reterr);
	while (r == 0 && why != CL_WAKE_END) {
		r = one_tick(engine, outcome, reterr);
		if (r == 0)
			r = cl_engine_wait(engine, options.params.interval, -1, &why, reterr);
	}
	cl_engine_close(engine, CL_END_KEEP, 0, NULL, NULL);
	return r;
}

const struct cl_sim_policy cl_sim_policies[] = {
	{ "native", "nothing is done: the host as it is", run_native },
	{ "pinned", "dom0's vCPUs are pinned one to one, by hand; nothing else", run_pinned },
	{ "closer", "closer observes, decides and applies each interval", run_closer },
	{ 0 },
};

const struct cl_sim_policy *cl_sim_policy_find(const char *name)
{
	for (const struct cl_sim_policy *p = cl_sim_policies; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

int cl_simulate(const struct sim_scenario *scenario, uint64_t seed,
		const struct cl_sim_policy *policy, struct cl_sim_outcome *ret_outcome,
		struct cl_error *reterr)
{
	struct sim_run *run = NULL;
	int r = sim_run_new(scenario, seed, &run, reterr);

	if (r < 0)
		return r;
	memset(ret_outcome, 0, sizeof(*ret_outcome));
	r = policy->run(scenario, run, ret_outcome, reterr);
	if (r == 0) {
		sim_run_report(run, &ret_outcome->report);
		ret_outcome->events = sim_run_world(run)->queue.fired;
		ret_outcome->digest = sim_run_world(run)->queue.digest;
	}
	sim_run_free(run);
	return r;
}
