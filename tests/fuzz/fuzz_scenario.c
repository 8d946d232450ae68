/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: scenarios. What is taken can be built; what is refused says why. A line "====" divides a
 * testbed from the scenario; without one the costs are given. */
#include "../sim/costs.h"
#include "lib.h"
#include "setup.h"

#include <assert.h>
#include <string.h>

#define EVENTS 2000 /* of the run of one that is small */
#define GUESTS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build(const struct sim_scenario *scenario)
{
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };

	/* What is large takes memory and time, and is no other. */
	if (scenario->domain_count > GUESTS || sim_setup_pcpus(scenario) > GUESTS)
		return;
	if (sim_run_new(scenario, 1, &run, &error) < 0) {
		assert(error.text[0]);
		return;
	}
	sim_run_until(run, UINT64_MAX, &error);
	sim_run_free(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char divider[] = "\n====\n", costs[] = SIM_TEST_COSTS;
	const uint8_t *at = memmem(data, size, divider, sizeof(divider) - 1);
	const char *text = (const char *)data, *testbed = NULL;
	struct sim_scenario *scenario = NULL;
	struct cl_error error = { 0 };
	size_t testbed_len = 0;

	if (at) {
		testbed = (const char *)data;
		testbed_len = (size_t)(at - data) + 1;
		text = (const char *)at + sizeof(divider) - 1;
		size -= testbed_len + sizeof(divider) - 2;
	}
	char *whole = malloc(sizeof(costs) + size);

	assert(whole);
	memcpy(whole, costs, at ? 0 : sizeof(costs) - 1);
	memcpy(whole + (at ? 0 : sizeof(costs) - 1), text, size);
	size += at ? 0 : sizeof(costs) - 1;
	int r = sim_scenario_parse(whole, size, testbed, testbed_len, &scenario, &error);

	free(whole);

	if (r < 0) {
		assert(error.code == -r && error.text[0] && !scenario);
		return 0;
	}
	struct sim_setup_scenario *setup = SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario);

	setup->events = setup->events < EVENTS ? setup->events : EVENTS;
	build(scenario);
	sim_scenario_free(scenario);
	return 0;
}
