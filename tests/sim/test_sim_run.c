/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs: how dom0 is pinned, what is counted of it, and when memory is cleared. */
#include "unit.h"

#include "costs.h"
#include "lib.h"
#include "run.h"

static struct sim_scenario *parse(const char *text)
{
	struct sim_scenario *scenario = NULL;
	struct cl_error error = { 0 };

	if (sim_scenario_parse(text, strlen(text), NULL, 0, &scenario, &error) < 0)
		fail_msg("%s", error.text);
	return scenario;
}

static void check_pinned(const char *text, bool by_hand)
{
	struct sim_scenario *scenario = parse(text);
	static const uint32_t wanted[] = { 1, 2, 1 };
	struct sim_run *run = NULL;
	struct cl_error error;

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	if (by_hand)
		sim_run_pin(run);
	for (uint32_t i = 0; i < 3; i++) {
		const struct cl_cpuset *hard = &sim_run_world(run)->domains[0]->vcpus[i].hard;

		assert_int_equal(cl_cpuset_count(hard), 1);
		assert_int_equal(cl_cpuset_next(hard, 0), wanted[i]);
	}
	sim_run_free(run);
	sim_scenario_free(scenario);
}

static void pinned(void **state)
{
#define DOM0 SIM_TEST_COSTS "[machine]\ncores=4\n[dom0]\nvcpus=3\npcpus=1-2\n"
	check_pinned(DOM0, true);
	check_pinned(DOM0 "pinned=yes\n", false);
#undef DOM0
}

static double value_of(const struct sim_report *report, const char *name)
{
	for (uint32_t i = 0; i < report->count; i++)
		if (strcmp(report->metrics[i].name, name) == 0)
			return report->metrics[i].value;
	return -1;
}

static void report_of(const struct sim_scenario *scenario, struct sim_report *ret)
{
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	while (sim_run_until(run, UINT64_MAX, &error))
		;
	assert_int_equal(error.code, 0);
	sim_run_report(run, ret);
	sim_run_free(run);
}

/* One of two vCPUs burns. Those that are not there do not count. */
static void main_busy(void **state)
{
#define BURN SIM_TEST_COSTS "[scenario]\nduration=2s\nwarmup=1s\n[machine]\ncores=4\n"
#define LOAD "[dom0]\nvcpus=2\npinned=yes\n[load b]\nguest=dom0\ntype=hog\n"
	static const char *const texts[] = { BURN LOAD "[closer]\nmain_cpus=0-1\n",
					     BURN LOAD "[closer]\nmain_cpus=0-7\n", BURN LOAD };
	static const double wanted[] = { 0.5, 0.5, -1 };
	struct sim_report report = { .count = 0 };

	for (uint32_t i = 0; i < 3; i++) {
		struct sim_scenario *scenario = parse(texts[i]);

		report_of(scenario, &report);
		assert_float_equal(value_of(&report, "host.main"), wanted[i], 0.001);
		sim_scenario_free(scenario);
	}
#undef BURN
#undef LOAD
}

/* A guest of 1 GiB is destroyed: clearing its memory is part of that, or comes afterwards. */
static void scrubbed(void **state)
{
#define GUESTS                                                                                     \
	"[scenario]\nduration=9s\nwarmup=1s\n[dom0]\nvcpus=1\n[load g]\nguest=dom0\n"              \
	"type=operations\nmemory=1GiB\nlife=10ms\npause=10ms\n[machine]\ncores=4\n"
	static const char *const texts[] = { SIM_TEST_COSTS GUESTS,
					     SIM_TEST_COSTS GUESTS "scrub_at_once=yes\n" };
	double times[2], clear_ns = 0;

	for (uint32_t i = 0; i < 2; i++) {
		struct sim_scenario *scenario = parse(texts[i]);
		struct sim_report report = { .count = 0 };

		report_of(scenario, &report);
		times[i] = value_of(&report, "g.destroy.time");
		assert_true(times[i] > 0);
		clear_ns =
			(double)(UINT64_C(1) << 30) * 1e9 / (double)scenario->costs.scrub_bandwidth;
		sim_scenario_free(scenario);
	}
	assert_true(times[1] - times[0] > 0.8 * clear_ns && times[1] - times[0] < 1.2 * clear_ns);
#undef GUESTS
}

/* Two guests are sent packets; one is paused, and reads none: the mean is the other's. */
static void counted_nothing(void **state)
{
#define PING                                                                                       \
	SIM_TEST_COSTS "[scenario]\nduration=4s\nwarmup=1s\n[machine]\ncores=4\n[nic eth0]\n"      \
		       "[dom0]\nvcpus=1\n[guest a]\n[guest b]\n"                                   \
		       "[load p]\nguest=?\ntype=packets\nrate=1000\n"
	static const char *const texts[] = { PING,
					     PING "[event off]\nat=0\nwhat=pause\nguest=b\n" };
	struct sim_report report = { .count = 0 };
	double ns[2];

	for (uint32_t i = 0; i < 2; i++) {
		struct sim_scenario *scenario = parse(texts[i]);

		report_of(scenario, &report);
		ns[i] = value_of(&report, "p.latency");
		sim_scenario_free(scenario);
	}
	assert_true(ns[0] > 0);
	assert_true(ns[1] > 0.9 * ns[0] && ns[1] < 1.1 * ns[0]);
#undef PING
}

/* Two guests on one of two nodes read 200 records of 64 KiB a second: what dom0 needs, by hand. */
#define NEEDS                                                                                      \
	SIM_TEST_COSTS                                                                             \
	"[scenario]\nfidelity=fluid\nduration=100s\nwarmup=10s\nsample=1s\n"                       \
	"[machine]\ncores=4\nnodes=2\n[disk d]\n[guest g]\ncount=2\nnode=1\nnic=none\n"            \
	"[load r]\nguest=g*\ntype=disk\nrate=200\n[dom0]\nsteady=256MiB\n"
#define NEEDS_MIB (256 + 75 + 2 * 44.0 / 1024 + 2 * 16 + 2 * 200 / 16.0 / 2)

static void report_text(const char *text, struct sim_report *ret)
{
	struct sim_scenario *scenario = parse(text);

	*ret = (struct sim_report){ .count = 0 };
	report_of(scenario, ret);
	sim_scenario_free(scenario);
}

static void near(const struct sim_report *report, const char *name, double wanted, double by)
{
	double value = value_of(report, name);

	if (value < wanted - by || value > wanted + by)
		fail_msg("%s: %f, not %f", name, value, wanted);
}

static void needs_of_dom0(void **state)
{
	struct sim_report report;

	report_text(NEEDS "memory=1GiB\n", &report);
	near(&report, "host.need", NEEDS_MIB, 0.1);
	near(&report, "host.need.most", NEEDS_MIB, 0.1);
	near(&report, "host.has", 1024, 0);
	near(&report, "host.wasted", 1024 - NEEDS_MIB, 0.1);
	near(&report, "host.wasted.fit", 0, 0.1);
	near(&report, "host.lacked", 0, 0);
	near(&report, "host.short", 0, 0);
	near(&report, "host.short.most", 0, 0);
	near(&report, "host.slowed", 0, 0);
	near(&report, "host.cpu_kept", 0, 0);
	/* 5 MiB too small: 5 of 12.5 MiB of I/O have no room */
	report_text(NEEDS "memory=370858KiB\n", &report);
	near(&report, "host.has", NEEDS_MIB - 13.5, 1.5);
	double lacked = NEEDS_MIB - value_of(&report, "host.has");

	near(&report, "host.lacked", lacked, 0.1);
	near(&report, "host.wasted", 0, 0);
	near(&report, "host.short", 1, 0);
	near(&report, "host.short.most", 90e9, 1e9);
	near(&report, "host.short.times", 1, 0);
	near(&report, "host.slowed", lacked < 12.5 ? lacked / 12.5 : 1, 0.01);
}

/* What a guest brings goes with it: short while it is there, by its part. */
static void needs_come_and_go(void **state)
{
	struct sim_report report;

	report_text(NEEDS "memory=384MiB\n[guest later]\nnode=1\nnic=none\n"
			  "[event come]\nat=40s\nwhat=create\nguest=later\n"
			  "[event go]\nat=70s\nwhat=destroy\nguest=later\n",
		    &report);
	near(&report, "host.need.most", NEEDS_MIB + 16 + 44.0 / 1024, 0.1);
	near(&report, "host.short.most", 30e9, 1.5e9);
	near(&report, "host.short.times", 1, 0);
	near(&report, "host.wasted.fit", 16 * 60.0 / 90, 0.5);
}

/* By rates and by packets. */
static void cpus_of(const char *fidelity, const char *rest, struct sim_report *ret)
{
	char text[4096];

	*ret = (struct sim_report){ .count = 0 };
	snprintf(text, sizeof(text),
		 "%s[scenario]\nduration=20s\nsample=1s\nfidelity=%s\n[machine]\ncores=4\n%s",
		 SIM_TEST_COSTS, fidelity, rest);
	report_text(text, ret);
}

/* dom0 alone on two CPUs of which it uses one; two busy processes on one vCPU; and one that is idle
 * half of the time, so that it waits for nothing. */
static void cpus_of_dom0(void **state)
{
	static const char *const fidelities[] = { "fluid", "packet" };
	struct sim_report report;

	for (uint32_t i = 0; i < CL_COUNT(fidelities); i++) {
		cpus_of(fidelities[i],
			"[dom0]\nvcpus=2\npcpus=0-1\n[guest g]\npcpus=2-3\n"
			"[load b]\nguest=dom0\ntype=hog\n[load c]\nguest=g\ntype=hog\n",
			&report);
		near(&report, "host.cpu_kept", 2, 0);
		near(&report, "host.cpu_wasted", 1, 0.01);
		near(&report, "host.cpu_short", 0, 0.01);
		cpus_of(fidelities[i],
			"[dom0]\nvcpus=1\npcpus=0-1\n[guest g]\npcpus=1-3\n"
			"[load b]\nguest=dom0\ntype=hog\ntasks=2\n",
			&report);
		near(&report, "host.cpu_kept", 1, 0);
		near(&report, "host.cpu_short", 1, 0.05);
		cpus_of(fidelities[i],
			"[dom0]\nvcpus=1\npcpus=0\n[guest g]\npcpus=1-3\n"
			"[load b]\nguest=dom0\ntype=manager\n",
			&report);
		near(&report, "host.cpu_short", 0, 0.001);
	}
}

/* A rate that follows a trace: its mean over a day; and the same in both fidelities. */
static void rate_of_a_day(void **state)
{
#define DAY(fidelity, duration, rate)                                                              \
	SIM_TEST_COSTS "[scenario]\nwarmup=0\nfidelity=" fidelity "\nduration=" duration           \
		       "\n[machine]\ncores=4\n[disk d]\n[guest g]\nnic=none\n"                     \
		       "[load r]\nguest=g\ntype=disk\nmean=40%\nswing=30%\nrate=" rate "\n"
	struct sim_report fluid, packet;

	report_text(DAY("fluid", "24h", "1000"), &fluid);
	near(&fluid, "r.records", 400, 40);
	report_text(DAY("fluid", "11m", "100"), &fluid);
	report_text(DAY("packet", "11m", "100"), &packet);
	near(&packet, "r.records", value_of(&fluid, "r.records"), 1);
	assert_true(value_of(&packet, "r.records") < 95);
#undef DAY
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(needs_of_dom0),   cmocka_unit_test(needs_come_and_go),
		cmocka_unit_test(cpus_of_dom0),    cmocka_unit_test(rate_of_a_day),
		cmocka_unit_test(counted_nothing), cmocka_unit_test(pinned),
		cmocka_unit_test(main_busy),       cmocka_unit_test(scrubbed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
