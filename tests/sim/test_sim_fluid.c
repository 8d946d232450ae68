/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rates and shares: by hand, and against every packet and request of the same scenario.
 *
 *   test_sim_fluid [SECONDS]: so long is compared; 60 unless told
 */
#include "unit.h"

#include "costs.h"
#include "fluid.h"
#include "lib.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned long seconds = 60;

/* ---- sharing, by hand ---- */

static void expect_shares(uint64_t capacity, const uint64_t wants[3], const uint64_t weights[3],
			  const uint64_t given[3])
{
	uint64_t got[3];

	sim_fluid_share(capacity, wants, weights, 3, got);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(got[i], given[i]);
}

#define THREE(a, b, c) ((const uint64_t[3]){ a, b, c })

static void shares(void **state)
{
	expect_shares(100, THREE(10, 20, 30), THREE(1, 1, 1), THREE(10, 20, 30));
	expect_shares(90, THREE(90, 90, 90), THREE(1, 1, 1), THREE(30, 30, 30));
	expect_shares(90, THREE(10, 90, 90), THREE(1, 1, 1), THREE(10, 40, 40));
	expect_shares(90, THREE(90, 90, 90), THREE(1, 2, 6), THREE(10, 20, 60));
	expect_shares(90, THREE(90, 90, 15), THREE(1, 2, 6), THREE(25, 50, 15));
	expect_shares(0, THREE(90, 90, 15), THREE(1, 1, 1), THREE(0, 0, 0));
	expect_shares(100, THREE(0, 0, 0), THREE(1, 1, 1), THREE(0, 0, 0));
	expect_shares(2, THREE(5, 5, 5), THREE(1, 1, 1), THREE(1, 1, 0));
}

/* ---- runs ---- */

/* The scenario in that fidelity, for so long; seed 1. */
static struct sim_scenario *parse(const char *text, const char *fidelity, unsigned long duration_s)
{
	struct sim_scenario *scenario = NULL;
	struct cl_error error = { 0 };
	char all[8192];
	int n = snprintf(all, sizeof(all),
			 "%s[scenario]\nfidelity=%s\nduration=%lus\nwarmup=5s\n"
			 "kinds=yes\n%s",
			 SIM_TEST_COSTS, fidelity, duration_s, text);

	if (sim_scenario_parse(all, (size_t)n, NULL, 0, &scenario, &error) < 0)
		fail_msg("%s", error.text);
	return scenario;
}

static uint64_t run(const char *text, const char *fidelity, unsigned long duration_s, bool pinned,
		    struct sim_report *ret_report)
{
	struct sim_scenario *scenario = parse(text, fidelity, duration_s);
	struct sim_run *made = NULL;
	struct cl_error error = { 0 };
	uint64_t digest;

	assert_int_equal(sim_run_new(scenario, 1, &made, &error), 0);
	if (pinned)
		sim_run_pin(made);
	while (sim_run_until(made, UINT64_MAX, &error))
		;
	if (error.code)
		fail_msg("%s", error.text);
	sim_run_report(made, ret_report);
	digest = sim_run_world(made)->queue.digest;
	sim_run_free(made);
	sim_scenario_free(scenario);
	return digest;
}

static double metric(const struct sim_report *report, const char *name)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (strcmp(report->metrics[i].name, name) == 0)
			return report->metrics[i].value;
	fail_msg("nothing was reported of %s", name);
	return 0;
}

static void is_about(const struct sim_report *report, const char *name, double wanted,
		     double within)
{
	double is = metric(report, name);

	if (is < wanted * (1 - within) || is > wanted * (1 + within))
		fail_msg("%s is %g, and should be %g +- %g %%", name, is, wanted, within * 100);
}

/* ---- beside every packet ---- */

#define MACHINE                                                                                    \
	"[machine]\nnodes=2\ncores=2\n[dom0]\nvcpus=2\n[nic eth0]\nrate=1Gbit/s\n"                 \
	"[disk sda]\naccess=4ms\nbandwidth=200M\ndepth=4\n"
#define GUESTS                                                                                     \
	"[guest net]\nnode=1\n[guest disk]\nnode=1\n[guest hog]\nvcpus=4\nnode=0\n"                \
	"[guest capped]\nnode=0\ncap=25%\n"
#define LOADS                                                                                      \
	"[load in]\nguest=net\ntype=packets\nrate=1500\npacket=1000\npoisson=yes\n"                \
	"[load out]\nguest=net\ntype=packets\nrate=1000\ninbound=no\npoisson=yes\n"                \
	"[load io]\nguest=disk\ntype=disk\nrecord=16KiB\ndepth=28\nrandom=100%\n"                  \
	"[load c]\nguest=capped\ntype=hog\n"
#define HOGS(n) "[load h]\nguest=hog\ntype=hog\ntasks=" #n "\n"

/*
 * Work and throughput within 5 %. CPU time of guests and dom0, in which wakes and switches are:
 * within 15 % where pCPUs are idle or dom0 is pinned; 25 % where all is full and nothing pinned, or
 * some pCPUs are taken for good.
 */
static void compare(const char *title, const char *text, bool pinned, double within)
{
	static const char *const work[] = { "in.packets",           "out.packets",
					    "io.records",           "c.cpu",
					    "guest.net.netback-rx", "guest.disk.blkback" };
	static const char *const cpu[] = { "guest.net.cpu", "guest.disk.cpu", "guest.capped.cpu",
					   "host.dom0" };
	static struct sim_report packet, fluid;

	run(text, "packet", seconds, pinned, &packet);
	run(text, "fluid", seconds, pinned, &fluid);
	printf("%s:\n", title);
	for (uint32_t i = 0; i < CL_COUNT(work) + CL_COUNT(cpu); i++) {
		const char *name = i < CL_COUNT(work) ? work[i] : cpu[i - CL_COUNT(work)];
		double is = metric(&fluid, name), was = metric(&packet, name);

		printf("  %-22s packet %10.5g, fluid %10.5g, %+6.1f %%\n", name, was, is,
		       (is / was - 1) * 100);
		is_about(&fluid, name, was, i < CL_COUNT(work) ? 0.05 : within);
	}
}

static void beside_packets(void **state)
{
	compare("idle", MACHINE GUESTS LOADS, false, 0.15);
	compare("two pCPUs taken", MACHINE GUESTS LOADS HOGS(2), false, 0.25);
	compare("full", MACHINE GUESTS LOADS HOGS(4), false, 0.25);
	compare("full, dom0 pinned", MACHINE GUESTS LOADS HOGS(4), true, 0.15);
	compare("full, credit", "[pool p]\nscheduler=credit\n" MACHINE GUESTS LOADS HOGS(4), false,
		0.25);
}

/* ---- by hand ---- */

#define HAND "[machine]\ncores=4\n[dom0]\nvcpus=1\n[nic eth0]\nrate=100M\n"

static void line_is_shared(void **state)
{
	static struct sim_report report;

	/* 80,000 packets of 1250 bytes are a line; one asks for less than its third */
	run(HAND "[guest g]\ncount=3\n[load a]\nguest=g-0\ntype=packets\nrate=10000\npacket=1250\n"
		 "[load b]\nguest=g-[12]\ntype=packets\nrate=100000\npacket=1250\n",
	    "fluid", 600, false, &report);
	is_about(&report, "a.packets", 10000, 0.001);
	is_about(&report, "b.packets", 70000, 0.001);
}

static void weights_and_caps(void **state)
{
	static struct sim_report report;

	run("[machine]\ncores=2\n[dom0]\nvcpus=1\nweight=512\n[guest a]\nvcpus=2\nweight=512\n"
	    "[guest b]\nvcpus=2\n[guest c]\ncap=10%\n[load a]\nguest=a\ntype=hog\ntasks=2\n"
	    "[load b]\nguest=b\ntype=hog\ntasks=2\n[load c]\nguest=c\ntype=hog\n"
	    "[load d]\nguest=dom0\ntype=hog\n",
	    "fluid", 3600, false, &report);
	/* 1.9 CPUs among vCPUs of weights 512, 512, 512, 256, 256 */
	is_about(&report, "guest.c.cpu", 0.1, 0.001);
	is_about(&report, "guest.a.cpu", 0.95, 0.001);
	is_about(&report, "guest.b.cpu", 0.475, 0.001);
	is_about(&report, "host.dom0", 0.475, 0.001);
}

/* A dom0 with a hundredth of a CPU passes on what that is enough for. */
static void busy_host_passes_less(void **state)
{
	static struct sim_report report;

	run("[machine]\ncores=4\n[nic eth0]\n[dom0]\nvcpus=1\ncap=1%\n[guest g]\n[load a]\nguest=g\ntype=packets\nrate=100000\ninbound=no\n",
	    "fluid", 600, false, &report);
	is_about(&report, "host.dom0", 0.01, 0.01);
	assert_true(metric(&report, "a.packets") < 0.01 * 1e9 / 1000);
	assert_true(metric(&report, "a.packets") > 0.01 * 1e9 / 12000);
	assert_true(metric(&report, "a.unsent") > 0);
}

/* Clients that think are answered at clients / (pause + what an answer takes). */
static void closed_loop(void **state)
{
	static struct sim_report report;

	run(HAND
	    "[guest g]\n[load w]\nguest=g\ntype=web\nclients=10\nthink=1s\ncpu=90ms\nspread=no\n"
	    "workers=1\n",
	    "fluid", 600, false, &report);
	is_about(&report, "w.requests", 10 / 1.0905, 0.01);
	run(HAND
	    "[guest g]\n[load w]\nguest=g\ntype=web\nclients=100\nthink=1s\ncpu=90ms\nspread=no\n"
	    "workers=1\n",
	    "fluid", 600, false, &report);
	is_about(&report, "w.requests", 1 / 0.09, 0.02);
}

/* Settings count from their time on, and what the toolstack does takes its time at dom0's share. */
static void events(void **state)
{
	static struct sim_report report;

	run("[machine]\ncores=2\n[dom0]\nvcpus=1\nweight=512\n[guest a]\n[guest b]\nmemory=1GiB\n"
	    "[load a]\nguest=?\ntype=hog\n[load m]\nguest=dom0\ntype=hog\n"
	    "[event e1]\nat=25s\nwhat=pause\nguest=a\n[event e2]\nat=45s\nwhat=unpause\nguest=a\n"
	    "[event e3]\nat=55s\nwhat=create\nguest=b\n[event e4]\nat=75s\nwhat=destroy\nguest=b\n"
	    "[event e5]\nat=85s\nwhat=cap\nguest=a\nvalue=50%\n",
	    "fluid", 105, false, &report);
	/* of 100 s: 20 s paused, 20 s with another one and dom0 of twice the weight on two pCPUs,
	 * 20 s at a half */
	is_about(&report, "guest.a.cpu", (20 + 10 + 20 * 0.5 + 10 + 20 * 0.5) / 100, 0.01);
	assert_true(metric(&report, "host.create.done") == 1);
	/* Beside the hog in dom0 a task has half of its vCPU. */
	is_about(&report, "host.create.time", 2 * 10.1 * 1e6, 0.02);
	assert_true(metric(&report, "host.destroy.done") == 1);
}

/* A manager that is starved is behind, and given up. */
static void starved_manager(void **state)
{
	static struct sim_report report;

	run("[machine]\ncores=2\n[dom0]\nvcpus=1\ncap=10%\n[load m]\nguest=dom0\ntype=manager\n",
	    "fluid", 3600, false, &report);
	assert_true(metric(&report, "m.given_up") == 1);
	is_about(&report, "m.dead", 1 - 400.0 / 3600, 0.02);
	run("[machine]\ncores=2\n[dom0]\nvcpus=2\n[load m]\nguest=dom0\ntype=manager\n", "fluid",
	    3600, false, &report);
	assert_true(metric(&report, "m.given_up") == 0);
	is_about(&report, "m.cpu", 0.4, 0.01);
}

/* ---- as a host ---- */

/* What is placed counts: beside the guest's memory a copy is cheaper; counters are the snapshot's.
 */
static void placed(void **state)
{
	struct sim_scenario *scenario = parse(
		"[machine]\nnodes=2\ncores=2\n[dom0]\nvcpus=4\npinned=yes\n[nic eth0]\n"
		"[guest g]\nnode=1\n[load a]\nguest=g\ntype=packets\nrate=20000\npacket=1500\n",
		"fluid", 100);
	struct sim_run *made = NULL;
	struct cl_error error = { 0 };
	uint64_t spent[3] = { 0 };

	assert_int_equal(sim_run_new(scenario, 1, &made, &error), 0);
	struct sim_world *world = sim_run_world(made);

	for (uint32_t i = 1; i < 3; i++) {
		struct sim_vif_queue *queue = &world->domains[1]->vifs->queues[0];
		struct cl_cpuset one = { 0 };

		cl_cpuset_add(&one, i == 1 ? 0 : 3);
		sim_changed(world);
		sim_task_place(world, &queue->guest_rx, NULL, &one);
		assert_true(sim_run_until(made, i * 10 * CL_NS_PER_S, &error));
		sim_settle(world);
		spent[i] = queue->guest_rx.cpu_ns - spent[1];
		assert_int_equal(queue->guest_rx.ran_ns[i == 1 ? 0 : 3], spent[i]);
		assert_int_equal(queue->vif->received, i * 200000);
	}
	assert_true(spent[2] < spent[1] * 97 / 100);
	sim_run_free(made);
	sim_scenario_free(scenario);
}

static void same_however_looked_at(void **state)
{
	static struct sim_report one, two;
	struct sim_scenario *scenario = parse(MACHINE GUESTS LOADS HOGS(4), "fluid", 60);
	struct sim_run *made = NULL;
	struct cl_error error = { 0 };
	uint64_t at = 0;

	assert_int_equal(run(MACHINE GUESTS LOADS HOGS(4), "fluid", 60, false, &one),
			 run(MACHINE GUESTS LOADS HOGS(4), "fluid", 60, false, &two));
	assert_int_equal(sim_run_new(scenario, 1, &made, &error), 0);
	while (sim_run_until(made, at += 333 * CL_NS_PER_MS, &error))
		sim_settle(sim_run_world(made));
	sim_run_report(made, &two);
	assert_int_equal(one.count, two.count);
	for (uint32_t i = 0; i < one.count; i++)
		assert_true(one.metrics[i].value - two.metrics[i].value <=
			    1e-4 * (one.metrics[i].value + 1));
	sim_run_free(made);
	sim_scenario_free(scenario);
}

/* ---- what is no rate ---- */

static void refused(void **state)
{
	static const struct {
		const char *text, *says;
	} all[] = {
		{ "[guest g]\n[nic e]\n[load l]\nguest=g\ntype=ping\n", "ping is no rate" },
		{ "[guest g]\n[load l]\nguest=g\ntype=kernbench\n", "fidelity = packet" },
		{ "[pool p]\nscheduler=rtds\n", "rtds shares by periods" },
		{ "[driver d]\n", "no driver domains" },
	};

	for (uint32_t i = 0; i < CL_COUNT(all); i++) {
		struct sim_scenario *scenario = NULL;
		struct cl_error error = { 0 };
		char text[4096];
		int n = snprintf(text, sizeof(text), "%s[scenario]\nfidelity=fluid\n%s",
				 SIM_TEST_COSTS, all[i].text);

		assert_true(sim_scenario_parse(text, (size_t)n, NULL, 0, &scenario, &error) < 0);
		if (!strstr(error.text, all[i].says) || !strstr(error.text, "text.ini:"))
			fail_msg("%s", error.text);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares),
		cmocka_unit_test(line_is_shared),
		cmocka_unit_test(weights_and_caps),
		cmocka_unit_test(busy_host_passes_less),
		cmocka_unit_test(closed_loop),
		cmocka_unit_test(events),
		cmocka_unit_test(starved_manager),
		cmocka_unit_test(placed),
		cmocka_unit_test(same_however_looked_at),
		cmocka_unit_test(refused),
		cmocka_unit_test(beside_packets),
	};

	if (argc > 1)
		seconds = strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
