/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules that others size dom0 by, to the MiB, and ours. */
#include <closer/advise.h>
#include <closer/params.h>

#include "lib.h"
#include "unit.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void test_oracle(void **state)
{
	assert_int_equal(cl_rule_oracle_mib(2 * GIB), 543);
	assert_int_equal(cl_rule_oracle_mib(32 * GIB), 1173);
}

static void test_xenserver(void **state)
{
	static const struct {
		uint64_t gib, mib;
	} known[] = { { 1, 1088 }, { 24, 2256 }, { 64, 4304 }, { 1024, 8192 } };

	for (size_t i = 0; i < CL_COUNT(known); i++)
		assert_int_equal(cl_rule_xenserver_mib(known[i].gib * GIB), known[i].mib);
}

static void test_xenserver_vcpus(void **state)
{
	assert_int_equal(cl_rule_xenserver_vcpus(8 * GIB, 256), 16);
	assert_int_equal(cl_rule_xenserver_vcpus(8 * GIB, 12), 12);
	assert_int_equal(cl_rule_xenserver_vcpus(4 * GIB - 1, 256), 8);
	assert_int_equal(cl_rule_xenserver_vcpus(2 * GIB - 1, 256), 4);
	assert_int_equal(cl_rule_xenserver_vcpus(2 * GIB, 6), 6);
	assert_int_equal(cl_rule_xenserver_vcpus(GIB, 2), 2);
}

static void test_ours(void **state)
{
	struct cl_advice_input in = { .host_bytes = 64 * GIB,
				      .pcpus = 8,
				      .nodes = 2,
				      .devices = 10,
				      .stack_vcpus = 2,
				      .stack_bytes = 2 * GIB,
				      .main_peak = 300000,
				      .work_peak = 3100000,
				      .used_peak = GIB,
				      .contribute = 100 * MIB };
	struct cl_advice a;

	cl_advise(&in, &a);
	assert_int_equal(a.main_vcpus, 2); /* its stack's */
	assert_int_equal(a.busy_vcpus, 4);
	assert_int_equal(a.vcpus, 8);
	assert_int_equal(a.mem_mib, 2192); /* 2048 + 143.05 + 0.42, in 16s */
	assert_int_equal(a.max_mib, 2304);
	assert_false(a.too_small);
	/* What was seen is more than the table says. */
	in.main_peak = 2000001;
	in.used_peak = 4 * GIB;
	cl_advise(&in, &a);
	assert_int_equal(a.main_vcpus, 3);
	assert_int_equal(a.mem_mib, 5120);
	in.host_bytes = 2 * GIB;
	cl_advise(&in, &a);
	assert_true(a.too_small);
	assert_int_equal(a.mem_mib, 5120);
	/* Nothing was seen; fewer CPUs than the stack wants. */
	in.main_peak = in.work_peak = in.used_peak = CL_UNKNOWN;
	in.pcpus = 1;
	cl_advise(&in, &a);
	assert_int_equal(a.main_vcpus, 1);
	assert_int_equal(a.busy_vcpus, 1);
	assert_int_equal(a.vcpus, 1);
}

static void test_percentiles(void **state)
{
	uint64_t samples[100], one = 7;

	for (uint32_t i = 0; i < 100; i++)
		samples[i] = (i * 37 + 11) % 100 + 1; /* 1 to 100, each once */
	assert_int_equal(cl_percentile(samples, 100, 50), 50);
	assert_int_equal(cl_percentile(samples, 100, 99), 99);
	assert_int_equal(cl_percentile(samples, 100, 100), 100);
	assert_int_equal(cl_percentile(samples, 3, 50), 2);
	assert_int_equal(cl_percentile(&one, 1, 1), 7);
}

static void test_contributions(void **state)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);
	struct cl_params params;

	assert_non_null(snap);
	cl_params_default(&params);
	params.size_eps = params.size_increment = 16 * MIB;
	params.size_levels = 4;
	cl_snapshot_add_nodes(snap);
	cl_snapshot_add_guests(snap)->mem_bytes = GIB;
	assert_int_equal(cl_contribute_most(snap, &params), 5 * 16 * MIB);
	snap->guests[0].home = 3;
	assert_int_equal(cl_contribute_most(snap, &params), 6 * 16 * MIB);
	cl_snapshot_add_guests(snap)->mem_bytes = 64 * MIB; /* half of it is its own */
	assert_int_equal(cl_contribute_most(snap, &params), (6 * 16 + 32) * MIB);
	cl_snapshot_free(snap);
}

/* As dom0 of the lab says it: its kernel counts 126 MiB less than Xen gave it. */
static void test_used(void **state)
{
	struct cl_snapshot *snap = cl_snapshot_new(&cl_limits_small);

	assert_non_null(snap);
	assert_int_equal(cl_memory_used(snap), CL_UNKNOWN);
	snap->memory.total_bytes = 642 * MIB;
	snap->memory.available_bytes = 500 * MIB;
	cl_snapshot_add_guests(snap)->mem_bytes = 42 * MIB;
	assert_int_equal(cl_memory_used(snap), 100 * MIB); /* a process of the host */
	snap->guests_outside = true;
	assert_int_equal(cl_memory_used(snap), 142 * MIB);
	snap->memory.bytes = 768 * MIB;
	assert_int_equal(cl_memory_used(snap), 268 * MIB);
	cl_snapshot_free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_xenserver),
		cmocka_unit_test(test_xenserver_vcpus),
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_contributions),
		cmocka_unit_test(test_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
