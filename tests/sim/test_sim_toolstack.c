/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario's events that the toolstack carries out. */
#include "costs.h"
#include "run.h"
#include "unit.h"

static struct sim_scenario *parse(const char *text)
{
	struct sim_scenario *scenario = NULL;
	struct cl_error error = { 0 };

	if (sim_scenario_parse(text, strlen(text), NULL, 0, &scenario, &error) < 0)
		fail_msg("%s", error.text);
	return scenario;
}

static double metric(struct sim_run *run, const char *name)
{
	struct sim_report report;

	sim_run_report(run, &report);
	for (uint32_t i = 0; i < report.count; i++)
		if (strcmp(report.metrics[i].name, name) == 0)
			return report.metrics[i].value;
	return -1;
}

/* What the toolstack is asked for takes dom0's time; the guest's loads end with it. */
static void toolstack(void **state)
{
	struct sim_scenario *scenario =
		parse(SIM_TEST_COSTS
		      "[scenario]\nduration=60s\n[machine]\nmemory=16GiB\n[dom0]\nmemory=1GiB\n"
		      "[nic eth0]\nrate=1Gbit/s\n[disk sda]\nbandwidth=500M\n"
		      "[guest a]\ncount=4\nmemory=1GiB\n[load l]\nguest=a-*\ntype=hog\n"
		      "[event e1]\nat=10s\nwhat=migrate\nguest=a-0\n"
		      "[event e2]\nat=10s\nwhat=save\nguest=a-1\n"
		      "[event e3]\nat=10s\nwhat=shutdown\nguest=a-2\nvalue=1s\n"
		      "[event e4]\nat=10s\nwhat=balloon\nguest=a-3\nvalue=256MiB\n"
		      "[event e5]\nat=30s\nwhat=migrate\nguest=a-3\n"
		      "[event e6]\nat=31s\nwhat=destroy\nguest=a-3\n");
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	struct sim_world *world = sim_run_world(run);

	assert_true(sim_run_until(run, 25 * CL_NS_PER_S, &error));
	for (uint32_t i = 1; i < 4; i++) {
		assert_false(world->domains[i]->alive);
		assert_null(world->domains[i]->vifs);
		assert_int_equal(world->domains[i]->task_count, 0);
	}
	assert_true(world->domains[4]->alive);
	assert_int_equal(sim_domain_bytes(world->domains[4]), UINT64_C(256) << 20);
	sim_run_until(run, 60 * CL_NS_PER_S, &error);
	assert_int_equal(error.code, 0);
	assert_false(world->domains[4]->alive);
	assert_true(metric(run, "host.migrate.done") == 1);
	assert_true(metric(run, "host.migrate.failed") == 1);
	/* 1 GiB at a gigabit. */
	assert_in_range(metric(run, "host.migrate.time"), 8.5 * 1e9, 9 * 1e9);
	assert_true(metric(run, "host.save.done") == 1);
	assert_true(metric(run, "host.shutdown.done") == 1);
	assert_true(metric(run, "host.balloon.done") == 1);
	sim_run_free(run);
	sim_scenario_free(scenario);
}

static uint64_t spent(const struct sim_world *world, uint32_t domain)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < world->domains[domain]->vcpu_count; i++)
		ns += sim_vcpu_cpu_ns(world, &world->domains[domain]->vcpus[i]);
	return ns;
}

/* Creating and destroying take dom0 what the testbed says; until it is made a guest does nothing,
 * and it has its settings and devices then. One is destroyed while it is being made. */
static void come_and_go(void **state)
{
	struct sim_scenario *scenario =
		parse(SIM_TEST_COSTS
		      "[scenario]\nduration=10s\nwarmup=0\n"
		      "[machine]\nnodes=2\nmemory=8GiB\n[dom0]\nvcpus=1\n[nic eth0]\n[disk sda]\n"
		      "[guest a]\nmemory=1GiB\nnode=1\nweight=512\npcpus=4\n"
		      "[guest b]\nmemory=1GiB\n"
		      "[load l]\nguest=a\ntype=hog\n[load p]\nguest=?\ntype=packets\nrate=10\n"
		      "start=1002ms\n"
		      "[event e1]\nat=1s\nwhat=create\nguest=a\n"
		      "[event e2]\nat=3s\nwhat=destroy\nguest=a\n"
		      "[event e3]\nat=5s\nwhat=create\nguest=b\n"
		      "[event e4]\nat=5005ms\nwhat=destroy\nguest=b\n");
	struct sim_run *run = NULL;
	struct cl_error error = { 0 };
	uint64_t before;

	assert_int_equal(sim_run_new(scenario, 1, &run, &error), 0);
	struct sim_world *world = sim_run_world(run);

	assert_true(sim_run_until(run, CL_NS_PER_S, &error));
	before = spent(world, 0);
	assert_true(sim_run_until(run, 1005 * CL_NS_PER_MS, &error));
	assert_int_equal(spent(world, 1), 0);
	assert_true(sim_run_until(run, 1050 * CL_NS_PER_MS, &error));
	/* 10 ms, and 512 pages of 2 MiB; back ends' work is little */
	assert_in_range(spent(world, 0) - before, 10 * CL_NS_PER_MS, 11 * CL_NS_PER_MS);
	assert_int_equal(world->domains[1]->weight, 512);
	assert_int_equal(world->domains[1]->mem[1], UINT64_C(1) << 30);
	assert_int_equal(cl_cpuset_next(&world->domains[1]->vcpus[0].hard, 0), 4);
	assert_non_null(world->domains[1]->vifs);
	assert_true(sim_run_until(run, 2999 * CL_NS_PER_MS, &error));
	assert_true(spent(world, 1) > 1500 * CL_NS_PER_MS);
	before = spent(world, 0);
	assert_true(sim_run_until(run, 4 * CL_NS_PER_S, &error));
	assert_in_range(spent(world, 0) - before, 10 * CL_NS_PER_MS, 11 * CL_NS_PER_MS);
	assert_false(world->domains[1]->alive);
	assert_int_equal(sim_domain_bytes(world->domains[1]), 0);
	sim_run_until(run, 10 * CL_NS_PER_S, &error);
	assert_int_equal(error.code, 0);
	assert_true(metric(run, "host.create.done") == 1);
	assert_true(metric(run, "host.create.failed") == 1);
	assert_true(metric(run, "host.destroy.done") == 2);
	assert_int_equal(spent(world, 2), 0);
	sim_run_free(run);
	sim_scenario_free(scenario);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(come_and_go),
		cmocka_unit_test(toolstack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
