/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Warm and cold: turns that come at random, of kinds whose rates are known, cost what the formula
 * says, by packets and by rates.
 */
#include "unit.h"

#include "costs.h"
#include "lib.h"
#include "run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN    "50us"
#define TURN_US 50.0

/* SIM_TEST_COSTS, in which nothing but turns costs back ends anything. */
static void put_costs(FILE *out, const char *warm, const char *shared)
{
	static const char *const zero[] = { "netback_rx_ns",   "netback_tx_ns", "grant_copy_ns",
					    "local_ps",        "bridge_ns",     "nic_ns",
					    "blkback_ns",      "misses",        "blkback_page_ns",
					    "blkback_look_ns", "disk_driver_ns" };
	static const char *const turn[] = { "napi_turn_ns", "guest_rx_turn_ns", "blkback_turn_ns",
					    "blkback_irq_ns" };
	char *lines = strdup(SIM_TEST_COSTS), *rest = lines;

	for (char *line; (line = strsep(&rest, "\n"));) {
		size_t len = strcspn(line, "=");
		const char *value = line[len] ? line + len + 1 : NULL;

		line[len] = '\0';
		for (uint32_t i = 0; i < CL_COUNT(zero); i++)
			value = strcmp(zero[i], line) == 0 ? "0" : value;
		for (uint32_t i = 0; i < CL_COUNT(turn); i++)
			value = strcmp(turn[i], line) == 0 ? TURN : value;
		value = strcmp("warm", line) == 0          ? warm
			: strcmp("cold_shared", line) == 0 ? shared
			: strcmp("cold_ns", line) == 0     ? "5ms"
							   : value;
		fprintf(out, "%s%s%s\n", line, value ? "=" : "", value ? value : "");
	}
	free(lines);
}

/* What one kind of work of a guest takes, in us a second. */
static double kind_us(const char *fidelity, const char *text, const char *warm, const char *shared,
		      const char *kind)
{
	struct sim_scenario *scenario = NULL;
	struct sim_report report = { .count = 0 };
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };
	char name[64], *all = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&all, &len);

	put_costs(out, warm, shared);
	fprintf(out,
		"[scenario]\nfidelity=%s\nduration=100s\nwarmup=1s\nkinds=yes\n"
		"[machine]\ncores=8\n[dom0]\nvcpus=4\n[nic e]\n[disk d]\nbandwidth=1G\n%s",
		fidelity, text);
	fclose(out);
	if (sim_scenario_parse(all, len, NULL, 0, &scenario, &error) < 0 ||
	    sim_run_new(scenario, 1, &run, &error) < 0)
		fail_msg("%s", error.text);
	while (sim_run_until(run, UINT64_MAX, &error))
		;
	sim_run_report(run, &report);
	sim_run_free(run);
	sim_scenario_free(scenario);
	free(all);
	snprintf(name, sizeof(name), "guest.g.%s", kind);
	for (uint32_t i = 0; i < report.count; i++)
		if (strcmp(report.metrics[i].name, name) == 0)
			return report.metrics[i].value * 1e6;
	fail_msg("nothing was reported of %s: %s", name, error.text);
	return 0;
}

/* Of 50 us a turn. The clocks' ticks and a turn that meets another take their part. */
static void costs(const char *text, const char *warm, const char *shared, const char *kind,
		  double rate, double share)
{
	static const char *const fidelities[] = { "packet", "fluid" };

	for (uint32_t i = 0; i < CL_COUNT(fidelities); i++) {
		double us = kind_us(fidelities[i], text, warm, shared, kind);
		double wanted = rate * TURN_US * share;

		if (us < wanted * 0.96 || us > wanted * 1.04)
			fail_msg("%s, %s, %s, %s: %.0f us a second, and should be %.0f",
				 fidelities[i], warm, shared, kind, us, wanted);
	}
}

#define WARM    "20%"
#define OWN     "0"
#define ALL     "100%"
#define GUESTS  "[guest g]\n[guest h]\n"
#define RECEIVE GUESTS "[load r]\nguest=g\ntype=packets\nrate=200\npoisson=yes\npacket=64\n"
#define SENDS   "[load s]\nguest=h\ntype=packets\nrate=400\npoisson=yes\ninbound=no\npacket=64\n"
#define READS   GUESTS "[load d]\nguest=g\ntype=disk\nrate=200\npoisson=yes\nrecord=4KiB\ndepth=8\n"

/* All cold after a pause, all warm where warm is all; in between by 1 / (1 + rate * cold_ns). */
static void by_its_own_rate(void **state)
{
	costs(RECEIVE, "100%", OWN, "netback-rx", 200, 1);
	costs(RECEIVE SENDS, WARM, OWN, "netback-rx", 200, 0.2 + 0.8 / (1 + 200 * 0.005));
}

/* What is shared is kept warm by all; and what another turn has led to finds it warm. */
static void by_all_rates(void **state)
{
	costs(RECEIVE SENDS, WARM, ALL, "netback-rx", 200, 0.2 + 0.8 / (1 + 600 * 0.005));
	costs(READS, WARM, ALL, "blkback", 200, 0.2);
	costs(READS, WARM, "50%", "blkback", 200, 0.2 + 0.8 * 0.5 / (1 + 200 * 0.005));
}

static void exponential(void **state)
{
	for (uint64_t ppm = 0; ppm < 20 * CL_PPM; ppm += 12345) {
		double is = (double)sim_exp_minus(ppm) / (1u << 31);

		assert_true(fabs(is - exp(-(double)ppm / CL_PPM)) < 0.001);
	}
	assert_int_equal(sim_exp_minus(UINT64_MAX / 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_own_rate),
		cmocka_unit_test(by_all_rates),
		cmocka_unit_test(exponential),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
