/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What others may ask of a scenario that was read. */
#include "setup.h"

const char *sim_scenario_title(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->title;
}

uint64_t sim_scenario_duration_ns(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->duration_ns;
}

uint64_t sim_scenario_warmup_ns(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->warmup_ns;
}

bool sim_scenario_fluid(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->fluid;
}

double sim_scenario_within(const struct sim_scenario *scenario)
{
	return (double)SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->within / (double)CL_PPM;
}

const char *sim_scenario_id(const struct sim_scenario *scenario)
{
	return scenario->id;
}

const char *sim_scenario_paper(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->paper;
}

const char *sim_scenario_native(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->native;
}

const char *sim_scenario_testbed(const struct sim_scenario *scenario)
{
	return SIM_SETUP(scenario, SIM_IN_TESTBED, testbed)->title;
}

const char *sim_scenario_file(const struct sim_scenario *scenario, uint32_t i)
{
	const struct sim_setup_scenario *setup = SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario);

	if (i == 0)
		return scenario->paths[SIM_OF_SCENARIO];
	return i == 1 && setup->testbed[0] ? scenario->paths[SIM_OF_TESTBED] : NULL;
}

const struct cl_params *sim_scenario_params(const struct sim_scenario *scenario)
{
	return &scenario->params;
}

const char *sim_scenario_variant(const struct sim_scenario *scenario, uint32_t i)
{
	const struct sim_section *section = NULL;
	uint32_t at = 0;

	for (uint32_t n = 0; n <= i; n++)
		if (!(section = sim_section_next(scenario, SIM_IN_VARIANT, &at)))
			return NULL;
	return section->name;
}

bool sim_scenario_expects(const struct sim_scenario *scenario, uint32_t i,
			  struct sim_expectation *ret)
{
	const struct sim_section *section = NULL;
	uint32_t at = 0;

	for (uint32_t n = 0; n <= i; n++)
		if (!(section = sim_section_next(scenario, SIM_IN_EXPECT, &at)))
			return false;
	const struct sim_setup_expect *expect = section->values;

	*ret = (struct sim_expectation){
		.name = section->name,
		.metric = expect->metric,
		.policy = expect->policy,
		.against = expect->against,
		.source = expect->goal[0] ? expect->goal : expect->source,
		.goal = expect->goal[0] != '\0',
		.has_figure = expect->has_figure,
		.figure = expect->figure,
		.direction = expect->turns,
		.tolerance = (double)expect->tolerance / (double)CL_PPM,
	};
	return true;
}
