/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers are as they should be distributed. */
#include "random.h"
#include "unit.h"

#include <math.h>

/* ---- random numbers ---- */

/* The streams' authors' own: xoshiro256** of the state 1, 2, 3, 4. */
static void reference(void **state)
{
	struct sim_random random = { { 1, 2, 3, 4 } };
	static const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(sim_random_u64(&random), expected[i]);
}

static void streams(void **state)
{
	struct sim_random a, b, c, d;
	uint32_t same = 0;

	sim_random_init(&a, 1, 1);
	sim_random_init(&b, 1, 1);
	sim_random_init(&c, 1, 2);
	sim_random_init(&d, 2, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t x = sim_random_u64(&a);

		assert_int_equal(sim_random_u64(&b), x);
		same += sim_random_u64(&c) == x;
		same += sim_random_u64(&d) == x;
	}
	assert_int_equal(same, 0);
}

static void uniform(void **state)
{
	struct sim_random random;
	uint32_t counts[10] = { 0 };
	double chi = 0;

	sim_random_init(&random, 7, 7);
	for (uint32_t i = 0; i < 100000; i++)
		counts[sim_random_below(&random, 10)]++;
	for (uint32_t i = 0; i < 10; i++)
		chi += (counts[i] - 1e4) * (counts[i] - 1e4) / 1e4;
	assert_true(chi < 27.88); /* 99.9 %, 9 degrees of freedom */
	for (uint32_t i = 0; i < 1000; i++) {
		uint64_t x = sim_random_between(&random, 5, 7);

		assert_true(x >= 5 && x <= 7);
		assert_int_equal(sim_random_between(&random, 9, 9), 9);
		assert_int_equal(sim_random_below(&random, 1), 0);
		assert_false(sim_random_chance(&random, 0));
		assert_true(sim_random_chance(&random, 1000000));
	}
}

static void logarithm(void **state)
{
	struct sim_random random;

	sim_random_init(&random, 3, 3);
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t u = sim_random_u64(&random) >> sim_random_below(&random, 64);
		long double expected = 64 * logl(2) - logl(u ? (long double)u : 1);
		long double is = (long double)sim_minus_ln(u) / 4294967296.0L;

		assert_true(fabsl(is - expected) < 1e-8L);
	}
	assert_int_equal(sim_minus_ln(0), sim_minus_ln(1));
	assert_true(sim_minus_ln(UINT64_MAX) <= 1);
}

static void distributions(void **state)
{
	double sum = 0, squares = 0, n = 200000;
	struct sim_random random;

	sim_random_init(&random, 5, 5);
	for (uint32_t i = 0; i < 200000; i++) {
		double x = (double)sim_random_exponential(&random, 1000000);

		sum += x;
		squares += x * x;
	}
	/* Mean and deviation are the same: 1; four standard errors. */
	assert_true(fabs(sum / n / 1e6 - 1) < 4 / sqrt(n));
	assert_true(fabs(sqrt(squares / n - sum / n * (sum / n)) / 1e6 - 1) < 8 / sqrt(n));
	sum = squares = 0;
	for (uint32_t i = 0; i < 200000; i++) {
		double x = (double)sim_random_normal_ppm(&random) / 1e6;

		assert_true(fabs(x) <= 6);
		sum += x;
		squares += x * x;
	}
	assert_true(fabs(sum / n) < 4 / sqrt(n));
	assert_true(fabs(squares / n - 1) < 4 * sqrt(2 / n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference),     cmocka_unit_test(streams),
		cmocka_unit_test(uniform),       cmocka_unit_test(logarithm),
		cmocka_unit_test(distributions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
