/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits at work on the simulated host: ShareGuard's experiment, and the same with a disk. */
#include "unit.h"

#include "places.h"
#include "simulate.h"

#include <string.h>

static struct cl_sim_outcome outcome;

static void simulate(const char *name, const char *variant, const char *policy)
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

static double metric(const char *name)
{
	for (uint32_t i = 0; i < outcome.report.count; i++)
		if (strcmp(outcome.report.metrics[i].name, name) == 0)
			return outcome.report.metrics[i].value;
	fail_msg("no %s", name);
	return 0;
}

static void within(double is, double least, double most)
{
	if (is < least || is > most)
		fail_msg("%f is not within %f and %f", is, least, most);
}

/* Natively the transfer takes from Dom-2; held to its part of dom0 it leaves both what they had. */
static void test_transfer(void **state)
{
	double small, large, transfer;

	simulate("gupta-shareguard", "before-tight", "native");
	small = metric("small.requests");
	large = metric("large.requests");
	simulate("gupta-shareguard", "after-tight", "native");
	transfer = metric("guest.dom3.host");
	within(metric("large.requests"), 0, 0.94 * large);
	within(transfer, 0.04, 1);
	simulate("gupta-shareguard", "after-tight", "closer");
	within(metric("large.requests"), 0.95 * large, 1.05 * large);
	within(metric("small.requests"), 0.95 * small, 1.05 * small);
	/* It was not held from the first moment. */
	within(metric("guest.dom3.host"), 0.0080, 0.0125 + 0.3 * transfer);
}

static void test_disk(void **state)
{
	simulate("gupta-shareguard-disk", "after", "closer"); /* without a limit */
	within(metric("guest.dom3.host"), 0.25, 1);
	simulate("gupta-shareguard-disk", "held", "closer");
	within(metric("guest.dom3.host"), 0.075, 0.105);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_transfer),
					    cmocka_unit_test(test_disk) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
