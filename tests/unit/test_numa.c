/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numa: the sums of numa_maps, made up and of this process. */
#include "numa.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static void test_parse(void **state)
{
	static const char text[] =
		"559efa680000 default file=/usr/bin/N0=9 mapped=2 N0=2 kernelpagesize_kB=4\n"
		"7f0000000000 prefer:1 anon=7 huge dirty=7 N0=1 N1=6 kernelpagesize_kB=2048\n"
		"7f1000000000 default\n"
		"7f2000000000 default anon=1 N2=5\n" /* no page size: nothing */
		"7f3000000000 default N64=1 N999=1 N=4 N1x=3 kernelpagesize_kB=4\n"
		"7f4000000000 default N1=100 kernelpagesize_kB=4"; /* cut: the caller's */
	uint64_t bytes[CL_NODES_MAX] = { 0 };
	size_t used = cl_numa_parse(text, strlen(text), bytes);

	assert_int_equal(used, strrchr(text, '\n') + 1 - text);
	assert_int_equal(bytes[0], 2 * 4096 + (2 << 20));
	assert_int_equal(bytes[1], 6 * (2 << 20));
	for (uint32_t i = 2; i < CL_NODES_MAX; i++)
		assert_int_equal(bytes[i], 0);
}

static void test_nodes(void **state)
{
	uint64_t bytes[CL_NODES_MAX] = { 0 };

	assert_int_equal(cl_numa_nodes(bytes), 0);
	bytes[0] = 1 << 20;
	bytes[63] = 1 << 20;
	bytes[5] = 100; /* strays */
	assert_true(cl_numa_nodes(bytes) == (UINT64_C(1) | UINT64_C(1) << 63));
	bytes[0] = bytes[1] = UINT64_MAX;
	assert_true(cl_numa_nodes(bytes) == 3);
}

static void test_this_process(void **state)
{
	const size_t size = 32u << 20;
	uint64_t before[CL_NODES_MAX], after[CL_NODES_MAX], sum_before = 0, sum_after = 0;
	struct cl_error error;

	int r = cl_numa_home(getpid(), before, &error);
	if (r == -ENOENT)
		skip(); /* a kernel without CONFIG_NUMA */
	assert_int_equal(r, 0);
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_true(memory != MAP_FAILED);
	assert_int_equal(cl_numa_home(getpid(), after, &error), 0);
	for (uint32_t i = 0; i < CL_NODES_MAX; i++) {
		sum_before += before[i];
		sum_after += after[i];
	}
	assert_true(sum_after >= sum_before + size);
	assert_true(cl_numa_nodes(after) != 0);
	munmap(memory, size);
	assert_int_equal(cl_numa_home(INT32_MAX, after, &error), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_this_process),
	};

	return cmocka_run_group_tests_name("numa", tests, NULL, NULL);
}
