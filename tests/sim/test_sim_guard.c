/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits at work on the simulated host: ShareGuard's experiment, and the same with a disk. */
#include "outcome.h"

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
