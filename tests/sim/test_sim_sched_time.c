/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Budgets and deadlines of rtds and sedf, and how late who wakes is with each scheduler. */
#include "sched_world.h"
#include "unit.h"

#define PERCENT (CL_PPM / 100)

static struct bench bench;

static void near_ppm(uint64_t is, uint64_t should_be, uint64_t tolerance)
{
	if (is + tolerance < should_be || is > should_be + tolerance)
		fail_msg("%llu ppm, and it should be %llu +- %llu", (unsigned long long)is,
			 (unsigned long long)should_be, (unsigned long long)tolerance);
}

/* ---- a budget in every period ---- */

struct reserved { /* a domain of one vCPU that would always run */
	struct sim_domain *domain;
	uint64_t period_ns, budget_ns, end_ns, had_ns;
	bool begun;
};

static struct reserved reserve(uint64_t period_ns, uint64_t budget_ns, bool extra)
{
	struct reserved reserved = { .period_ns = period_ns, .budget_ns = budget_ns };

	reserved.domain = bench_hogs(&bench, 1, 256);
	bench_period(reserved.domain, period_ns, budget_ns, extra);
	/* When its periods begin: rtds makes it anew at the end of the first, sedf goes by the
	 * first wake-up. */
	reserved.end_ns = bench.pools[0]->ops == &sim_sched_rtds ? 10 * MS : budget_ns;
	return reserved;
}

static void period_over(struct reserved *reserved, bool exactly)
{
	uint64_t ns = bench_cpu_ns(&bench, reserved->domain) - reserved->had_ns;

	if (reserved->begun && (ns < reserved->budget_ns || (exactly && ns != reserved->budget_ns)))
		fail_msg("%llu of %llu ns in the period of %llu that ends at %llu",
			 (unsigned long long)ns, (unsigned long long)reserved->budget_ns,
			 (unsigned long long)reserved->period_ns,
			 (unsigned long long)reserved->end_ns);
	reserved->begun = true;
	reserved->had_ns += ns;
	reserved->end_ns += reserved->period_ns;
}

/* Each must have its budget in each of its periods. */
static void follow(struct reserved *all, uint32_t count, uint64_t until_ns, bool exactly)
{
	for (;;) {
		struct reserved *next = &all[0];

		for (uint32_t i = 1; i < count; i++)
			if (all[i].end_ns < next->end_ns)
				next = &all[i];
		if (next->end_ns > until_ns)
			return;
		bench_run(&bench, next->end_ns - bench.world->queue.now_ns);
		period_over(next, exactly);
	}
}

/* Random periods, and parts of the pCPU that are all of it together. */
static void fill(struct reserved *all, uint32_t count, uint64_t seed, bool extra)
{
	uint64_t left = CL_PPM;
	struct sim_random random;

	sim_random_init(&random, seed, 1);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t period = MS * sim_random_between(&random, 2, 60);
		uint64_t part = left;

		if (i + 1 < count)
			part = sim_random_between(&random, 10000, left / 2);
		left -= part;
		all[i] = reserve(period, period / 1000 * part / 1000, extra);
	}
}

/* The bound of EDF: on one pCPU everybody gets what he was promised, up to all there is. */
static void one_pcpu(const struct sim_sched_ops *ops, bool extra)
{
	struct reserved all[5];

	for (uint64_t seed = 1; seed <= 20; seed++) {
		bench_begin(&bench, ops, 1, 1, 1);
		fill(all, 5, seed, extra);
		follow(all, 5, 4 * S, !extra);
		bench_end(&bench);
	}
}

static void edf_one_pcpu(void **state)
{
	one_pcpu(&sim_sched_rtds, false);
	one_pcpu(&sim_sched_rtds, true);
	one_pcpu(&sim_sched_sedf, false);
	one_pcpu(&sim_sched_sedf, true);
}

/* Others who take all that is left change nothing of it. */
static void edf_beside_hogs(void **state)
{
	struct reserved all[3];

	bench_begin(&bench, &sim_sched_sedf, 1, 1, 1);
	bench_hogs(&bench, 1, 256);
	bench_hogs(&bench, 1, 65535);
	all[0] = reserve(10 * MS, 3 * MS, false);
	all[1] = reserve(35 * MS, 7 * MS, true);
	all[2] = reserve(100 * MS, 20 * MS, true);
	follow(all, 3, 10 * S, false);
	near_ppm(bench_busy_ns(&bench, bench.pools[0]) / (10 * S / CL_PPM), CL_PPM, 2 * PERCENT);
	bench_end(&bench);
	bench_begin(&bench, &sim_sched_rtds, 1, 1, 1);
	bench_period(bench_hogs(&bench, 1, 256), 20 * MS, 2 * MS, true);
	all[0] = reserve(10 * MS, 3 * MS, false);
	all[1] = reserve(35 * MS, 7 * MS, true);
	all[2] = reserve(100 * MS, 20 * MS, true);
	follow(all, 3, 10 * S, false);
	near_ppm(bench_busy_ns(&bench, bench.pools[0]) / (10 * S / CL_PPM), CL_PPM, 10);
	bench_end(&bench);
}

/* Four pCPUs, each at most 0.4 of one, together 4 * 0.6 + 0.4 (Goossens, Funk, Baruah 2003). */
static void edf_global(void **state)
{
	struct reserved all[16];

	for (uint64_t seed = 1; seed <= 10; seed++) {
		uint64_t left = 28 * CL_PPM / 10;
		struct sim_random random;
		uint32_t n = 0;

		sim_random_init(&random, seed, 2);
		bench_begin(&bench, &sim_sched_rtds, 2, 2, 1);
		while (left > CL_PPM / 100 && n < 16) {
			uint64_t part = sim_random_between(&random, CL_PPM / 4, CL_PPM * 4 / 10);
			uint64_t period = MS * sim_random_between(&random, 2, 60);

			part = part < left ? part : left;
			left -= part;
			all[n++] = reserve(period, period / 1000 * part / 1000, false);
		}
		assert_in_range(n, 7, 12);
		follow(all, n, 4 * S, true);
		bench_end(&bench);
	}
}

/* Without extra time a pCPU idles rather than give more than was promised. */
static void not_work_conserving(void **state)
{
	static const struct sim_sched_ops *const by_period[] = { &sim_sched_rtds, &sim_sched_sedf };
	struct sim_domain *domain;
	uint64_t ppm;

	for (size_t i = 0; i < 2; i++) {
		bench_begin(&bench, by_period[i], 1, 1, 1);
		domain = bench_hogs(&bench, 1, 256);
		bench_period(domain, 100 * MS, 30 * MS, false);
		bench_run(&bench, S);
		bench_shares(&bench, &domain, 1, 10 * S, &ppm);
		near_ppm(ppm, 30 * PERCENT, 10);
		bench_period(domain, 100 * MS, 30 * MS, true);
		bench_run(&bench, S);
		bench_shares(&bench, &domain, 1, 10 * S, &ppm);
		near_ppm(ppm, 100 * PERCENT, PERCENT);
		bench_end(&bench);
	}
	/* What rtds gives who says nothing: 4 ms of 10, and extra time. */
	bench_begin(&bench, &sim_sched_rtds, 1, 1, 1);
	domain = bench_hogs(&bench, 1, 256);
	bench_run(&bench, S);
	bench_shares(&bench, &domain, 1, S, &ppm);
	near_ppm(ppm, CL_PPM, 10);
	bench_period(domain, 0, 0, false);
	bench_run(&bench, S);
	bench_shares(&bench, &domain, 1, S, &ppm);
	near_ppm(ppm, 40 * PERCENT, 10);
	bench_end(&bench);
}

/* ---- sedf's weights ---- */

static void sedf_weights(void **state)
{
	struct sim_domain *domains[3];
	uint64_t ppm[3];

	/* Extra time by weight, beside one that has a slice. */
	bench_begin(&bench, &sim_sched_sedf, 1, 1, 1);
	domains[0] = bench_hogs(&bench, 1, 256);
	domains[1] = bench_hogs(&bench, 1, 512);
	domains[2] = bench_hogs(&bench, 1, 256);
	bench_period(domains[2], 50 * MS, 10 * MS, false);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 3, 10 * S, ppm);
	near_ppm(ppm[2], 20 * PERCENT, 10);
	near_ppm(ppm[0], 80 * PERCENT / 3, PERCENT);
	near_ppm(ppm[1], 160 * PERCENT / 3, PERCENT);
	/* Slices of 100 ms by weight, of the 95 that may be given out, less 20. */
	bench_period(domains[0], 0, 0, false);
	bench_period(domains[1], 0, 0, false);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 3, 10 * S, ppm);
	near_ppm(ppm[0], 25 * PERCENT, 100);
	near_ppm(ppm[1], 50 * PERCENT, 100);
	near_ppm(ppm[2], 20 * PERCENT, 100);
	bench_end(&bench);
}

/* ---- who wakes ---- */

/* Mean, and in *ret_latest the worst, of how long a task that runs 0.1 ms after 5 ms of sleep takes
 * beyond that, beside hogs on the same pCPU. mixed: its vCPU has something else to do as well. */
static uint64_t lateness(const struct sim_sched_ops *ops, uint32_t hogs, bool mixed,
			 uint64_t *ret_latest)
{
	struct sim_domain *domain;
	struct load *load;
	uint64_t mean;

	bench.seed = 7;
	bench_begin(&bench, ops, 1, 1, 1);
	for (uint32_t i = 0; i < hogs; i++)
		bench_hogs(&bench, 1, 256);
	domain = bench_guest(&bench, 1, 256);
	if (mixed)
		bench_load(&bench, domain, 0, S, 0);
	load = bench_load(&bench, domain, 0, MS / 10, 5 * MS);
	load->vary = true;
	bench_run(&bench, 20 * S);
	assert_true(load->rounds > 200);
	mean = load->late_ns / load->rounds;
	*ret_latest = load->latest_ns;
	bench_end(&bench);
	return mean;
}

/* Both credit schedulers let who wakes with credit displace others, after the rate limit of 1 ms;
 * whose vCPU never sleeps waits for its turn. */
static void wakes_early(void **state)
{
	uint64_t latest, alone, mixed;

	alone = lateness(&sim_sched_credit, 3, false, &latest);
	mixed = lateness(&sim_sched_credit, 3, true, &latest);
	assert_in_range(alone, 0, MS / 2);
	assert_in_range(mixed, 20 * alone, 90 * MS);
	/* Now and then a tick finds it running, and it has to earn credit before it has it. */
	lateness(&sim_sched_credit, 3, false, &latest);
	assert_in_range(latest, 0, 3 * 30 * MS);
	/* credit2 tells nobody while the limit holds: then it waits for the end of the slice. */
	mixed = lateness(&sim_sched_credit2, 3, true, &latest);
	alone = lateness(&sim_sched_credit2, 3, false, &latest);
	assert_in_range(alone, 0, MS);
	assert_in_range(latest, MS, 10 * MS);
	assert_in_range(mixed, 2 * alone, 40 * MS);
}

/* Without the limit it runs at once, but for when it has no credit. */
static void rate_limit(void **state)
{
	static const struct sim_sched_ops *const limited[] = { &sim_sched_credit,
							       &sim_sched_credit2 };

	for (size_t i = 0; i < 2; i++) {
		struct sim_domain *domain;
		uint64_t mean[3];

		for (uint32_t k = 0; k < 3; k++) {
			struct load *load;

			bench_begin(&bench, limited[i], 1, 1, 1);
			bench.pools[0]->ratelimit_ns = k * 5 * MS;
			bench_hogs(&bench, 1, 256);
			domain = bench_guest(&bench, 1, 256);
			load = bench_load(&bench, domain, 0, MS / 10, 4 * MS);
			bench_run(&bench, 10 * S);
			mean[k] = load->late_ns / load->rounds;
			bench_end(&bench);
		}
		assert_in_range(mean[0], 0, MS / 20);
		assert_in_range(mean[1], MS / 2, 6 * MS);
		assert_true(mean[2] > mean[1]);
	}
}

/* A vCPU with a slice, that wakes every now and then, beside hogs in extra time and one with most
 * of the pCPU in slices of its own. */
static uint64_t sedf_lateness(uint64_t sleep_ns, uint64_t latency_ns)
{
	struct sim_domain *domain;
	struct load *load;
	uint64_t mean;

	bench.seed = 7;
	bench_begin(&bench, &sim_sched_sedf, 1, 1, 1);
	bench_hogs(&bench, 1, 256);
	bench_hogs(&bench, 1, 256);
	bench_period(bench_hogs(&bench, 1, 256), 60 * MS, 40 * MS, false);
	domain = bench_guest(&bench, 1, 256);
	domain->latency_ns = latency_ns;
	bench_period(domain, 100 * MS, 20 * MS, false);
	load = bench_load(&bench, domain, 0, MS, sleep_ns);
	load->vary = true;
	bench_run(&bench, 60 * S);
	assert_true(load->rounds > 50);
	mean = load->late_ns / load->rounds;
	bench_end(&bench);
	return mean;
}

static void sedf_wakes(void **state)
{
	uint64_t plain = sedf_lateness(400 * MS, 0), hinted = sedf_lateness(400 * MS, 10 * MS);

	/* After a long block a period begins: behind who has an earlier deadline, for his slice at
	 * most; with a hint of latency its own deadline is the earlier one, as a rule. */
	assert_in_range(plain, 5 * MS, 40 * MS);
	assert_true(hinted * 2 < plain);
	/* After a short one there is nothing more in this period but what it lost, in L0. */
	assert_true(sedf_lateness(5 * MS, 0) > 2 * plain);
}

/* How late is who runs 0.2 ms and sleeps 0.5 beside four hogs, all in extra time, with this slice
 * of 100 ms. */
static uint64_t blocks_shortly(uint64_t slice_ns)
{
	struct sim_domain *domain;
	struct load *load;
	uint64_t mean;

	bench.seed = 3;
	bench_begin(&bench, &sim_sched_sedf, 1, 1, 1);
	for (uint32_t i = 0; i < 4; i++)
		bench_hogs(&bench, 1, 256);
	domain = bench_guest(&bench, 1, 256);
	bench_period(domain, slice_ns ? 100 * MS : 0, slice_ns, true);
	load = bench_load(&bench, domain, 0, MS / 5, 120 * MS + 77777);
	bench_run(&bench, 60 * S);
	mean = load->late_ns / load->rounds;
	bench_end(&bench);
	return mean;
}

/* What a short block lost of a slice comes first in extra time, at once; who had no slice lost
 * nothing and waits for its turn. */
static void sedf_lost_time(void **state)
{
	uint64_t with = blocks_shortly(60 * MS), without = blocks_shortly(0);

	assert_in_range(with, 0, MS / 10);
	assert_in_range(without, MS / 5, 3 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edf_one_pcpu),   cmocka_unit_test(edf_beside_hogs),
		cmocka_unit_test(edf_global),     cmocka_unit_test(not_work_conserving),
		cmocka_unit_test(sedf_weights),   cmocka_unit_test(wakes_early),
		cmocka_unit_test(rate_limit),     cmocka_unit_test(sedf_wakes),
		cmocka_unit_test(sedf_lost_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
