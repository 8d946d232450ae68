/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new guest: where it would be, what it would start with, and whether it fits. */
#include <closer/admit.h>

#include "lib.h"
#include "unit.h"

#define MIB (UINT64_C(1) << 20)

static struct cl_snapshot *snap;
static struct cl_params params;
static struct cl_admission a;

/* Two nodes of two CPUs, with 1000 and 3000 MiB free. */
static int start(void **state)
{
	snap = cl_snapshot_new(&cl_limits_small);
	assert_non_null(snap);
	for (uint32_t n = 0; n < 2; n++)
		cl_snapshot_add_nodes(snap)->mem_free_bytes = (n ? 3000 : 1000) * MIB;
	for (uint32_t c = 0; c < 4; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cpu->online = true;
		cpu->node.v = c / 2;
		cpu->pcpu = c;
	}
	cl_params_default(&params);
	params.size_eps = 16 * MIB;
	params.size_reserve = 0;
	return 0;
}

static int stop(void **state)
{
	cl_snapshot_free(snap);
	return 0;
}

static void admit(uint64_t mib, const char *cpus)
{
	struct cl_admit_ask ask = { .mem_bytes = mib * MIB, .max_bytes = mib * MIB, .vcpus = 1 };

	assert_true(cl_cpuset_parse(cpus, strlen(cpus), &ask.pcpus));
	cl_admit(snap, &params, &ask, &a);
}

static void test_one_node(void **state)
{
	admit(1024, "");
	assert_int_equal(a.verdict, CL_ADMIT_FITS);
	assert_int_equal(a.nodes, 2);
	assert_int_equal(a.start_bytes, 1008 * MIB);
	admit(512, "0-1"); /* its CPUs are elsewhere */
	assert_int_equal(a.nodes, 1);
	admit(3000, ""); /* to the last byte */
	assert_int_equal(a.verdict, CL_ADMIT_FITS);
	assert_false(a.spread);
}

static void test_spread(void **state)
{
	admit(3500, "");
	assert_int_equal(a.verdict, CL_ADMIT_FITS);
	assert_true(a.spread);
	assert_int_equal(a.nodes, 3);
	assert_int_equal(a.start_bytes, (3500 - 32) * MIB);
}

static void test_no_memory(void **state)
{
	admit(4001, "");
	assert_int_equal(a.verdict, CL_ADMIT_NO_MEMORY);
	assert_int_equal(a.short_bytes, MIB);
	admit(1001, "0");
	assert_int_equal(a.verdict, CL_ADMIT_NO_MEMORY);
	/* What is promised to another, or is to stay free, is not free. */
	snap->memory.claimed_bytes = 500 * MIB;
	params.size_reserve = 100 * MIB;
	admit(3401, "");
	assert_int_equal(a.verdict, CL_ADMIT_NO_MEMORY);
	assert_int_equal(a.room_bytes, 3400 * MIB);
	admit(3400, "");
	assert_int_equal(a.verdict, CL_ADMIT_FITS);
}

static void test_no_cpu(void **state)
{
	admit(64, "7");
	assert_int_equal(a.verdict, CL_ADMIT_NO_CPU);
	snap->cpus[3].online = false;
	admit(64, "3");
	assert_int_equal(a.verdict, CL_ADMIT_NO_CPU);
}

/* eps above what it can spare, or above M: it contributes nothing. */
static void test_small(void **state)
{
	admit(31, "");
	assert_int_equal(a.verdict, CL_ADMIT_FITS);
	assert_int_equal(a.start_bytes, 31 * MIB);
	assert_int_equal(a.eps_bytes, 0);
	admit(32, "");
	assert_int_equal(a.start_bytes, 16 * MIB);
}

int main(void)
{
#define ADMIT(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		ADMIT(test_one_node), ADMIT(test_spread), ADMIT(test_no_memory),
		ADMIT(test_no_cpu),   ADMIT(test_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
