/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * simulate: a scenario from its beginning to its end under a policy: what is done to the host.
 *
 *   scenario, seed, policy -> run -> what was counted
 *
 * The policy 'closer' is the engine itself on the simulated host: it observes, decides and applies
 * as on a real one.
 */
#ifndef CLOSER_SIMULATE_H
#define CLOSER_SIMULATE_H

#include "engine.h"
#include "scenario.h"

struct cl_sim_outcome {
	uint64_t events, digest; /* of the run: the same for the same seed, anywhere */
	uint64_t done, failed;   /* changes that the policy made */
	struct sim_report report;
};

struct cl_sim_policy {
	const char *name, *doc;
	int (*run)(const struct sim_scenario *scenario, struct sim_run *run,
		   struct cl_sim_outcome *outcome, struct cl_error *reterr);
};

/* Ended by one without a name. */
extern const struct cl_sim_policy cl_sim_policies[];
const struct cl_sim_policy *cl_sim_policy_find(const char *name);

int cl_simulate(const struct sim_scenario *scenario, uint64_t seed,
		const struct cl_sim_policy *policy, struct cl_sim_outcome *ret_outcome,
		struct cl_error *reterr);

#endif
