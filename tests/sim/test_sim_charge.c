/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charging at work on the simulated host: guest and host together have what was paid for. */
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

/* 60 % + x becomes 60 % +- 3, and the neighbour gets x. */
static void test_cap(void **state)
{
	double neighbour, both;

	simulate("charge-cap", "off", "native");
	both = metric("guest.flood.both");
	neighbour = metric("guest.neighbour.cpu");
	within(both, 0.65, 1);
	simulate("charge-cap", "off", "closer"); /* nobody is charged unasked */
	within(metric("guest.flood.both"), both - 0.02, both + 0.02);
	for (int dc = 0; dc < 2; dc++) {
		simulate("charge-cap", dc ? "sedf-dc" : "closer", "closer");
		within(metric("guest.flood.both"), 0.57, 0.63);
		within(metric("guest.neighbour.cpu") - neighbour,
		       0.6 - metric("guest.flood.cpu") - 0.03,
		       0.6 - metric("guest.flood.cpu") + 0.03);
	}
}

static void test_weight(void **state)
{
	simulate("charge-weight", "off", "native");
	within(metric("guest.flood.share"), 0.66, 1);
	simulate("charge-weight", "closer", "closer");
	within(metric("guest.flood.share"), 0.55, 0.65);
	simulate("charge-weight", "sedf-dc", "closer");
	within(metric("guest.flood.share"), 0.55, 0.65);
}

/* Budgets, under SEDF: the slides' own scheduler. */
static void test_budget(void **state)
{
	simulate("gupta-aggregate", "both", "native");
	within(metric("guest.vm.both"), 0.62, 1);
	simulate("gupta-aggregate", "both-dc", "closer");
	within(metric("guest.vm.both"), 0.585, 0.612);
	simulate("gupta-aggregate", "both-closer", "closer");
	within(metric("guest.vm.both"), 0.585, 0.612);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_weight),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
