/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topology: what is said of this machine agrees with what the kernel says of it in other files. */
#include "lib.h"
#include "topology.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>

static struct cl_snapshot *observe(struct cl_topology *topology)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_default);
	struct cl_error error;

	assert_non_null(snap);
	cl_snapshot_reset(snap);
	snap->taken_ns = cl_clock_ns();
	if (cl_topology_observe(topology, snap, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(cl_snapshot_check(NULL, snap), CL_SNAPSHOT_NONE);
	return snap;
}

static struct cl_topology *topology_new(void)
{
	struct cl_topology *topology;
	struct cl_error error;

	if (cl_topology_new(&topology, &error) < 0)
		fail_msg("%s", error.text);
	return topology;
}

static void test_cpus(void **state)
{
	struct cl_topology *topology = topology_new();
	struct cl_snapshot *snap = observe(topology);
	const struct cl_cpuset *allowed = cl_snapshot_set(snap, snap->allowed);
	struct cl_cpuset online, said = { 0 };
	char text[16384];
	ssize_t n = cl_read_file(AT_FDCWD, "/sys/devices/system/cpu/online", text, sizeof(text));

	assert_true(n > 0 && cl_cpuset_parse(text, (size_t)n, &online));
	for (uint32_t i = 0; i < snap->n.cpus; i++) {
		const struct cl_cpu *cpu = &snap->cpus[i];

		assert_true(cpu->node.v < snap->n.nodes);
		if (!cpu->online)
			continue;
		cl_cpuset_add(&said, i);
		/* A core is called by a CPU of it. */
		assert_true(cpu->core <= i);
		assert_int_equal(snap->cpus[cpu->core].core, cpu->core);
		assert_true(cpu->irq_ns <= cpu->busy_ns);
	}
	assert_true(cl_cpuset_equal(&said, &online));
	assert_false(cl_cpuset_empty(allowed));
	assert_true(cl_cpuset_subset(allowed, &online));
	cl_snapshot_free(snap);
	cl_topology_free(topology);
}

static void test_nodes(void **state)
{
	struct cl_topology *topology = topology_new();
	struct cl_snapshot *snap = observe(topology);
	uint64_t total = 0;

	for (uint32_t i = 0; i < snap->n.nodes; i++) {
		const struct cl_node *node = &snap->nodes[i];

		assert_true(node->mem_free_bytes <= node->mem_total_bytes);
		assert_int_equal(node->distance[i], 10);
		for (uint32_t j = 0; j < snap->n.nodes; j++)
			assert_true(node->distance[j] >= 10);
		total += node->mem_total_bytes;
	}
	uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	assert_true(total > 0);
	if (snap->n.nodes == 1)
		assert_int_equal(total, pages);
	cl_snapshot_free(snap);
	cl_topology_free(topology);
}

/* Counters only grow, and one that this test works for does. */
static void test_times(void **state)
{
	struct cl_topology *topology = topology_new();
	struct cl_snapshot *before = observe(topology), *after = NULL;
	bool grew = false;

	while (!grew) {
		cl_snapshot_free(after);
		after = observe(topology);
		assert_int_equal(after->n.cpus, before->n.cpus);
		for (uint32_t i = 0; i < after->n.cpus; i++) {
			if (!after->cpus[i].online)
				continue;
			assert_true(after->cpus[i].busy_ns >= before->cpus[i].busy_ns);
			assert_true(after->cpus[i].idle_ns >= before->cpus[i].idle_ns);
			grew = grew || after->cpus[i].busy_ns > before->cpus[i].busy_ns;
		}
	}
	cl_snapshot_free(before);
	cl_snapshot_free(after);
	cl_topology_free(topology);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
