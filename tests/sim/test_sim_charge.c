/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charging at work on the simulated host: guest and host together have what was paid for. */
#include "outcome.h"

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
