/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scale: shares out of two counters, and a real process whose booked time is scaled. */
#include "lib.h"
#include "scale.h"
#include "threads.h"
#include "threads_proc.h"
#include "unit.h"

#include <fcntl.h>
#include <time.h>

#define MS CL_NS_PER_MS

static struct cl_scale scale;

static uint32_t look(uint64_t booked_ns, uint64_t given_ns)
{
	cl_scale_cpu(&scale, 2, booked_ns, given_ns);
	return scale.ppm[2];
}

static void test_shares(void **state)
{
	cl_scale_begin(&scale);
	assert_int_equal(scale.ppm[2], CL_PPM);
	assert_int_equal(look(5000 * MS, 900 * MS), CL_PPM);  /* the first look tells nothing */
	assert_int_equal(look(6000 * MS, 1400 * MS), 500000); /* half of it was stolen */
	assert_int_equal(look(7000 * MS, 2390 * MS), 990000);
	assert_int_equal(look(8000 * MS, 3500 * MS), CL_PPM); /* never more than was booked */
	assert_int_equal(look(9000 * MS, 3500 * MS), 0);
	assert_int_equal(scale.ppm[1], CL_PPM); /* another CPU's is its own */
}

/* Where little was booked, the share stays, and what was booked counts with what comes. */
static void test_little(void **state)
{
	cl_scale_begin(&scale);
	look(1000 * MS, 1000 * MS);
	assert_int_equal(look(2000 * MS, 1250 * MS), 250000);
	assert_int_equal(look(2040 * MS, 1290 * MS), 250000);
	assert_int_equal(look(2080 * MS, 1330 * MS), 250000);
	assert_int_equal(look(2200 * MS, 1350 * MS), 500000);
}

static void test_unknown(void **state)
{
	cl_scale_begin(&scale);
	look(1000 * MS, 1000 * MS);
	look(2000 * MS, 1250 * MS);
	assert_int_equal(look(CL_UNKNOWN, 1500 * MS), CL_PPM);
	assert_int_equal(look(4000 * MS, CL_UNKNOWN), CL_PPM);
	assert_int_equal(look(5000 * MS, 2000 * MS), CL_PPM); /* begun anew */
	assert_int_equal(look(6000 * MS, 2100 * MS), 100000);
	assert_int_equal(look(500 * MS, 2200 * MS), CL_PPM); /* the CPU was off, and counts anew */
	assert_int_equal(look(1500 * MS, 2500 * MS), 300000);
}

static void burn(uint64_t ns)
{
	struct timespec ts = { 0 };
	uint64_t until_ns = 0, now_ns;

	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
		now_ns = (uint64_t)ts.tv_sec * CL_NS_PER_S + (uint64_t)ts.tv_nsec;
		until_ns = until_ns ? until_ns : now_ns + ns;
	} while (now_ns < until_ns);
}

static const struct cl_thread *only(struct cl_threads *threads)
{
	bool changed;

	assert_int_equal(cl_threads_refresh(threads, &changed, NULL), 0);
	assert_int_equal(cl_threads_count(threads), 1);
	return cl_threads_at(threads, 0);
}

static uint64_t booked(int32_t tid)
{
	char path[64], text[CL_PROC_TEXT];
	uint64_t run_ns, wait_ns;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	assert_true(cl_read_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_true(cl_schedstat_parse(text, &run_ns, &wait_ns));
	return run_ns;
}

/* A quarter of what is booked counts, from the first scaling on; without it all does. */
static void test_threads(void **state)
{
	static uint32_t ppm[CL_CPUS_MAX];
	const uint64_t slack = 5 * MS; /* the kernel books a thread that runs at each tick */
	struct cl_threads *threads;

	for (uint32_t i = 0; i < CL_CPUS_MAX; i++)
		ppm[i] = 250000;
	assert_int_equal(cl_threads_new(16, CL_THREADS_SCHEDSTAT, NULL, &threads, NULL), 0);
	assert_int_equal(cl_threads_follow(threads, getpid(), 0, NULL), 0);
	uint64_t first_ns = only(threads)->cpu_ns;

	burn(20 * MS);
	uint64_t all_ns = only(threads)->cpu_ns, before_ns = booked(getpid());

	assert_true(all_ns - first_ns >= 20 * MS - slack);
	cl_threads_scale(threads, ppm, CL_CPUS_MAX);
	assert_int_equal(cl_threads_at(threads, 0)->cpu_ns, all_ns);
	burn(200 * MS);
	only(threads);
	uint64_t quarter_ns = (booked(getpid()) - before_ns) / 4;

	cl_threads_scale(threads, ppm, CL_CPUS_MAX);
	uint64_t more_ns = cl_threads_at(threads, 0)->cpu_ns - all_ns;

	assert_true(quarter_ns >= (200 * MS - slack) / 4);
	assert_true(more_ns + slack >= quarter_ns && more_ns <= quarter_ns + slack);
	cl_threads_scale(threads, ppm, CL_CPUS_MAX); /* nothing was booked since */
	assert_int_equal(cl_threads_at(threads, 0)->cpu_ns, all_ns + more_ns);
	cl_threads_free(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("scale", tests, NULL, NULL);
}
