/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fit: against NIST's certified results for Longley's data, and what data cannot tell. */
#include "fit.h"
#include "unit.h"

#include <math.h>

/* Longley (1967), from NIST's Statistical Reference Datasets: nearly collinear. */
static const double longley[][7] = {
	{ 60323, 83.0, 234289, 2356, 1590, 107608, 1947 },
	{ 61122, 88.5, 259426, 2325, 1456, 108632, 1948 },
	{ 60171, 88.2, 258054, 3682, 1616, 109773, 1949 },
	{ 61187, 89.5, 284599, 3351, 1650, 110929, 1950 },
	{ 63221, 96.2, 328975, 2099, 3099, 112075, 1951 },
	{ 63639, 98.1, 346999, 1932, 3594, 113270, 1952 },
	{ 64989, 99.0, 365385, 1870, 3547, 115094, 1953 },
	{ 63761, 100.0, 363112, 3578, 3350, 116219, 1954 },
	{ 66019, 101.2, 397469, 2904, 3048, 117388, 1955 },
	{ 67857, 104.6, 419180, 2822, 2857, 118734, 1956 },
	{ 68169, 108.4, 442769, 2936, 2798, 120445, 1957 },
	{ 66513, 110.8, 444546, 4681, 2637, 121950, 1958 },
	{ 68655, 112.6, 482704, 3813, 2552, 123366, 1959 },
	{ 69564, 114.2, 502601, 3931, 2514, 125368, 1960 },
	{ 69331, 115.7, 518173, 4806, 2572, 127852, 1961 },
	{ 70551, 116.9, 554894, 4007, 2827, 130081, 1962 },
};
static const double certified[6] = { 15.0618722713733,  -0.0358191792925910, -2.02022980381683,
				     -1.03322686717359, -0.0511041056535807, 1829.15146461355 };
static const double deviation[6] = { 84.9149257747669,  0.0334910077722432, 0.488399681651699,
				     0.214274163161675, 0.226073200069370,  455.478499142212 };

static void close_to(double is, double should, double by)
{
	if (!(fabs(is - should) <= fabs(should) * by))
		fail_msg("%.12g is not %.12g within %g", is, should, by);
}

static void test_longley(void **state)
{
	struct cl_fit_data data;
	struct cl_fit fit;

	cl_fit_begin(&data, 6);
	for (size_t i = 0; i < sizeof(longley) / sizeof(longley[0]); i++)
		cl_fit_add(&data, longley[i] + 1, longley[i][0]);
	cl_fit(&data, 0.5, &fit);
	for (uint32_t j = 0; j < 6; j++) {
		close_to(fit.terms[j].b, certified[j], 1e-6);
		/* Student's t of 9 degrees of freedom at 0.975 is 2.262157 */
		close_to(fit.terms[j].half_width, deviation[j] * 2.262157163, 1e-4);
	}
	close_to(fit.intercept, -3482258.63459582, 1e-6);
	close_to(fit.residual, 304.854073561965, 1e-6);
	close_to(fit.r2, 0.995479004577296, 1e-9);
	assert_int_equal(fit.terms[1].verdict, CL_FIT_COLLINEAR); /* GNP with all others */
	assert_true(fit.terms[3].inflation < 10);                 /* the armed forces alone */
	assert_int_equal(fit.terms[3].verdict, CL_FIT_NEGATIVE);
}

/* A known cost with a known noise, from a generator that is the same each time. */
static double noise(uint64_t *seed)
{
	double sum = 0;

	for (int i = 0; i < 12; i++) { /* the sum of 12 uniform ones: nearly normal, variance 1 */
		*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		sum += (double)(*seed >> 11) / (double)(UINT64_C(1) << 53);
	}
	return sum - 6;
}

/* The interval of confidence holds what is true 95 times of 100. */
static void test_confidence(void **state)
{
	uint64_t seed = 1;
	uint32_t inside = 0, all = 0;

	for (uint32_t run = 0; run < 1000; run++) {
		struct cl_fit_data data;
		struct cl_fit fit;

		cl_fit_begin(&data, 2);
		for (uint32_t i = 0; i < 12; i++) {
			double x[2] = { 500 + 200 * noise(&seed), 100 + 40 * noise(&seed) };

			cl_fit_add(&data, x, 1e6 + 9000 * x[0] + 40000 * x[1] + 3e5 * noise(&seed));
		}
		cl_fit(&data, 0.5, &fit);
		inside += fabs(fit.terms[0].b - 9000) <= fit.terms[0].half_width;
		inside += fabs(fit.terms[1].b - 40000) <= fit.terms[1].half_width;
		all += 2;
	}
	close_to((double)inside / all, 0.95, 0.02);
}

static void test_cannot_tell(void **state)
{
	struct cl_fit_data data;
	struct cl_fit fit;
	uint64_t seed = 7;

	/* An echo: as many received as sent; and no disk. */
	cl_fit_begin(&data, 3);
	for (uint32_t i = 0; i < 40; i++) {
		double sent = 100.0 * (i % 5), x[3] = { sent, sent, 0 };

		cl_fit_add(&data, x, 1e7 + 20000 * sent + 1e4 * noise(&seed));
	}
	assert_false(cl_fit(&data, 0.5, &fit));
	assert_int_equal(fit.terms[0].verdict, CL_FIT_COLLINEAR);
	assert_int_equal(fit.terms[1].verdict, CL_FIT_COLLINEAR);
	assert_int_equal(fit.terms[2].verdict, CL_FIT_CONSTANT);

	/* More noise than cost. */
	cl_fit_begin(&data, 1);
	for (uint32_t i = 0; i < 40; i++) {
		double x = i % 5;

		cl_fit_add(&data, &x, 1e6 + x + 100 * noise(&seed));
	}
	assert_false(cl_fit(&data, 0.5, &fit));
	assert_true(fit.terms[0].verdict == CL_FIT_WIDE || fit.terms[0].verdict == CL_FIT_NEGATIVE);

	/* Too few. */
	cl_fit_begin(&data, 1);
	assert_false(cl_fit(&data, 0.5, &fit));
	for (uint32_t i = 0; i < 6; i++) {
		double x = i;

		cl_fit_add(&data, &x, 5 + 2 * x);
	}
	assert_false(cl_fit(&data, 0.5, &fit));
	assert_int_equal(fit.terms[0].verdict, CL_FIT_ROWS);
	cl_fit_add(&data, &(double){ 6 }, 17);
	assert_true(cl_fit(&data, 0.5, &fit));
	close_to(fit.terms[0].b, 2, 1e-12);
	close_to(fit.intercept, 5, 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longley),
		cmocka_unit_test(test_confidence),
		cmocka_unit_test(test_cannot_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
