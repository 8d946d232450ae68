/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run of a scenario's variant under a policy, and its metrics by name. */
#ifndef CLOSER_TEST_SIM_OUTCOME_H
#define CLOSER_TEST_SIM_OUTCOME_H

#include "unit.h"

#include "places.h"
#include "simulate.h"

#include <string.h>

static struct cl_sim_outcome outcome;

static inline void simulate(const char *name, const char *variant, const char *policy)
{
	struct sim_scenario *scenario = NULL;
	char path[CL_PATH_MAX];
	struct cl_error error;

	if (sim_place_scenario(name, path, &error) < 0 ||
	    sim_scenario_read_as(path, variant, NULL, 0, &scenario, &error) < 0 ||
	    cl_simulate(scenario, 1, cl_sim_policy_find(policy), &outcome, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(outcome.failed, 0);
	sim_scenario_free(scenario);
}

static inline double metric(const char *name)
{
	for (uint32_t i = 0; i < outcome.report.count; i++)
		if (strcmp(outcome.report.metrics[i].name, name) == 0)
			return outcome.report.metrics[i].value;
	fail_msg("no %s", name);
	return 0;
}

static inline void within(double is, double least, double most)
{
	if (is < least || is > most)
		fail_msg("%f is not within %f and %f", is, least, most);
}

#endif
