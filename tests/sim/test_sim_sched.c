/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a user relies on of each of Xen's schedulers: shares, caps, budgets, no idle pCPU, latency.
 */
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

static void names(void **state)
{
	static const char *const known[] = { "credit", "credit2", "rtds", "sedf" };

	for (size_t i = 0; i < 4; i++) {
		assert_non_null(sim_sched_find(known[i]));
		assert_string_equal(sim_sched_find(known[i])->name, known[i]);
		assert_non_null(sim_scheds[i]);
	}
	assert_null(sim_scheds[4]);
	assert_null(sim_sched_find("credit3"));
	assert_null(sim_sched_find(""));
}

/* ---- shares ---- */

static void weights_on(const struct sim_sched_ops *ops, uint32_t pcpus, uint32_t vcpus)
{
	struct sim_domain *domains[3];
	uint64_t ppm[3];

	bench_begin(&bench, ops, 1, pcpus, 1);
	domains[0] = bench_hogs(&bench, vcpus, 512);
	domains[1] = bench_hogs(&bench, vcpus, 256);
	domains[2] = bench_hogs(&bench, vcpus, 256);
	bench_run(&bench, 2 * S);
	bench_shares(&bench, domains, 3, 20 * S, ppm);
	near_ppm(ppm[0], pcpus * CL_PPM / 2, pcpus * PERCENT * 3 / 2);
	near_ppm(ppm[1], pcpus * CL_PPM / 4, pcpus * PERCENT * 3 / 2);
	near_ppm(ppm[2], pcpus * CL_PPM / 4, pcpus * PERCENT * 3 / 2);
	near_ppm(ppm[0] + ppm[1] + ppm[2], pcpus * CL_PPM, 10);
	bench_end(&bench);
}

static void weights(void **state)
{
	static const struct sim_sched_ops *const by_weight[] = { &sim_sched_credit,
								 &sim_sched_credit2 };

	for (size_t i = 0; i < 2; i++) {
		weights_on(by_weight[i], 1, 1);
		weights_on(by_weight[i], 1, 2);
		weights_on(by_weight[i], 2, 2);
		weights_on(by_weight[i], 4, 4);
		weights_on(by_weight[i], 4, 8);
	}
}

/* 768 and 256 on one pCPU beside a dom0 that takes what it needs, 8 %: measured 68/24 in the lab.
 */
static void weights_beside_dom0(void **state)
{
	struct sim_domain *domains[3];
	uint64_t ppm[3];

	bench_begin(&bench, &sim_sched_credit2, 1, 1, 1);
	domains[0] = bench_guest(&bench, 1, 256);
	bench_load(&bench, domains[0], 0, MS * 8 / 10, MS * 92 / 10);
	domains[1] = bench_hogs(&bench, 1, 768);
	domains[2] = bench_hogs(&bench, 1, 256);
	bench_shares(&bench, domains, 3, 20 * S, ppm);
	assert_in_range(ppm[1] * 100 / ppm[2], 280, 310);
	assert_in_range(ppm[0], 6 * PERCENT, 8 * PERCENT);
	bench_end(&bench);
}

/* More weight later is more from then on; a new domain takes its part, one that goes leaves it. */
static void weights_change(const struct sim_sched_ops *ops)
{
	struct sim_domain *domains[3];
	uint64_t ppm[3];

	bench_begin(&bench, ops, 1, 1, 1);
	domains[0] = bench_hogs(&bench, 1, 256);
	domains[1] = bench_hogs(&bench, 1, 256);
	bench_run(&bench, S);
	domains[0]->weight = 768;
	ops->changed(bench.pools[0], domains[0]);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 2, 10 * S, ppm);
	near_ppm(ppm[0], 75 * PERCENT, 2 * PERCENT);
	domains[2] = bench_hogs(&bench, 1, 1024);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 3, 10 * S, ppm);
	near_ppm(ppm[2], 50 * PERCENT, 2 * PERCENT);
	bench_free_domain(&bench, domains[0]);
	bench_run(&bench, S);
	bench_shares(&bench, domains + 1, 2, 10 * S, ppm);
	near_ppm(ppm[0], 20 * PERCENT, 2 * PERCENT);
	bench_end(&bench);
}

static void changes(void **state)
{
	weights_change(&sim_sched_credit);
	weights_change(&sim_sched_credit2);
}

/* ---- caps ---- */

static void caps_on(const struct sim_sched_ops *ops, uint64_t a, uint64_t b)
{
	struct sim_domain *domains[2];
	uint64_t ppm[2];

	bench_begin(&bench, ops, 1, 2, 1);
	domains[0] = bench_hogs(&bench, 1, 256);
	domains[1] = bench_hogs(&bench, 1, 256);
	bench_cap(domains[0], a * PERCENT);
	bench_cap(domains[1], b * PERCENT);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 2, 20 * S, ppm);
	near_ppm(ppm[0], a * PERCENT, PERCENT);
	near_ppm(ppm[1], b * PERCENT, PERCENT);
	/* Without a cap it has a pCPU to itself. */
	bench_cap(domains[0], 0);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 2, 5 * S, ppm);
	near_ppm(ppm[0], 100 * PERCENT, PERCENT);
	near_ppm(ppm[1], b * PERCENT, PERCENT);
	bench_end(&bench);
}

/* Several vCPUs share a cap, beside somebody who would take all. */
static void cap_of_many(const struct sim_sched_ops *ops)
{
	struct sim_domain *domains[2];
	uint64_t ppm[2];

	bench_begin(&bench, ops, 1, 4, 1);
	domains[0] = bench_hogs(&bench, 4, 1024);
	domains[1] = bench_hogs(&bench, 4, 256);
	bench_cap(domains[0], 150 * PERCENT);
	bench_run(&bench, S);
	bench_shares(&bench, domains, 2, 20 * S, ppm);
	near_ppm(ppm[0], 150 * PERCENT, 3 * PERCENT);
	near_ppm(ppm[1], 250 * PERCENT, 3 * PERCENT);
	bench_end(&bench);
}

/* Who sleeps does not save up: when it wakes its cap is the same, but for so much. */
static void cap_after_sleep(const struct sim_sched_ops *ops, uint64_t more_ns)
{
	struct sim_domain *domain;
	uint64_t ns, had = 0;

	bench_begin(&bench, ops, 1, 2, 1);
	domain = bench_guest(&bench, 2, 256);
	bench_load(&bench, domain, 0, 200 * MS, 2 * S);
	bench_load(&bench, domain, 1, 200 * MS, 2 * S);
	bench_cap(domain, 20 * PERCENT);
	for (uint32_t i = 0; i < 100; i++) {
		bench_run(&bench, 200 * MS);
		ns = bench_cpu_ns(&bench, domain) - had;
		had += ns;
		assert_in_range(ns, 0, 40 * MS + more_ns);
	}
	assert_in_range(had, S, 4 * S);
	bench_end(&bench);
}

static void caps(void **state)
{
	caps_on(&sim_sched_credit, 30, 70);
	caps_on(&sim_sched_credit2, 25, 60);
	/* Less than what credit2 lets anybody run at least: it is taken off the next budgets. */
	caps_on(&sim_sched_credit2, 3, 97);
	cap_after_sleep(&sim_sched_credit2, 3 * MS);
	cap_after_sleep(&sim_sched_credit, 80 * MS);
	cap_of_many(&sim_sched_credit);
	cap_of_many(&sim_sched_credit2);
}

/* ---- no pCPU idles while somebody waits ---- */

/* In 10 s, ppm of all pCPUs' time. */
static uint64_t waste_of(const struct sim_sched_ops *ops, uint32_t nodes, uint32_t cores,
			 uint32_t threads, uint64_t seed)
{
	uint32_t pcpus = nodes * cores * threads;
	uint64_t wasted;

	bench.seed = seed;
	bench_begin(&bench, ops, nodes, cores, threads);
	for (uint32_t d = 0; d < pcpus; d++) {
		struct sim_domain *domain = bench_guest(&bench, 2, 256);

		for (uint32_t i = 0; i < 2; i++)
			bench_load(&bench, domain, i, (1 + d % 4) * MS, (1 + d % 3) * MS)->vary =
				true;
		/* Some may run on half of the pCPUs only. */
		for (uint32_t p = 0; d % 3 == 0 && pcpus > 1 && p < 2; p++) {
			struct cl_cpuset half = { { 0 } };

			for (uint32_t k = p; k < pcpus; k += 2)
				cl_cpuset_add(&half, k);
			sim_vcpu_pin(bench.world, &domain->vcpus[p], &half);
		}
	}
	bench.watched = true;
	bench_run(&bench, 10 * S);
	wasted = bench.wasted_ns / (10 * S / CL_PPM) / pcpus;
	assert_true(bench_busy_ns(&bench, bench.pools[0]) > 5 * S * pcpus);
	bench_end(&bench);
	return wasted;
}

static void work_conserving(void **state)
{
	static const struct sim_sched_ops *const all[] = { &sim_sched_credit, &sim_sched_credit2,
							   &sim_sched_rtds };

	for (size_t i = 0; i < 3; i++) {
		assert_in_range(waste_of(all[i], 1, 1, 1, 1), 0, 0);
		assert_in_range(waste_of(all[i], 1, 4, 1, 2), 0, 1000);
		assert_in_range(waste_of(all[i], 1, 4, 2, 3), 0, 1000);
	}
	/* Between its queues credit2 looks at averages only. */
	assert_in_range(waste_of(&sim_sched_credit, 2, 4, 1, 4), 0, 1000);
	assert_in_range(waste_of(&sim_sched_rtds, 2, 4, 1, 4), 0, 1000);
	/* sedf gives out extra time in pieces, and leaves what is shorter. */
	assert_in_range(waste_of(&sim_sched_sedf, 1, 1, 1, 5), 0, 20000);
}

/* As many hogs as pCPUs: after a while each has one, whichever node it began on. */
static void hogs_spread(void **state)
{
	static const struct sim_sched_ops *const all[] = { &sim_sched_credit, &sim_sched_credit2,
							   &sim_sched_rtds };
	struct sim_domain *domains[8];
	uint64_t ppm[8];

	for (size_t i = 0; i < 3; i++) {
		bench_begin(&bench, all[i], 2, 2, 2);
		for (uint32_t d = 0; d < 8; d++)
			domains[d] = bench_hogs(&bench, 1, 256);
		bench_run(&bench, 5 * S);
		bench_shares(&bench, domains, 8, S, ppm);
		for (uint32_t d = 0; d < 8; d++)
			near_ppm(ppm[d], CL_PPM, PERCENT);
		bench_end(&bench);
	}
}

/* All whose vCPUs are on one node go, and the others take its pCPUs. */
static void node_is_left(void **state)
{
	static const struct sim_sched_ops *const all[] = { &sim_sched_credit, &sim_sched_credit2,
							   &sim_sched_rtds };

	for (size_t i = 0; i < 3; i++) {
		struct sim_domain *domains[16];
		uint64_t ppm[16], sum = 0, left = 0;

		bench_begin(&bench, all[i], 2, 4, 1);
		for (uint32_t d = 0; d < 16; d++)
			domains[d] = bench_hogs(&bench, 1, 256);
		bench_run(&bench, 3 * S);
		for (uint32_t d = 0; d < 16; d++) {
			if (domains[d]->vcpus[0].pcpu->node == 1)
				bench_free_domain(&bench, domains[d]);
			else
				domains[left++] = domains[d];
		}
		assert_in_range(left, 1, 12);
		bench_run(&bench, 3 * S);
		bench_shares(&bench, domains, (uint32_t)left, S, ppm);
		for (uint32_t d = 0; d < left; d++)
			sum += ppm[d];
		near_ppm(sum, (left < 8 ? left : 8) * CL_PPM, PERCENT);
		bench_end(&bench);
	}
}

/* Half as many hogs as threads: each has a core to itself. */
static void cores_first(void **state)
{
	static const struct sim_sched_ops *const all[] = { &sim_sched_credit, &sim_sched_credit2 };

	for (size_t i = 0; i < 2; i++) {
		bench_begin(&bench, all[i], 1, 4, 2);
		for (uint32_t d = 0; d < 4; d++)
			bench_hogs(&bench, 1, 256);
		bench_run(&bench, S);
		for (uint32_t core = 0; core < 4; core++)
			assert_int_equal((bench.world->pcpus[2 * core].running != NULL) +
						 (bench.world->pcpus[2 * core + 1].running != NULL),
					 1);
		bench_end(&bench);
	}
}

/* The lightest beside a hundred times heavier ones runs in every ten seconds: credit gives it a
 * slice of 30 ms, and then nothing until that is 0.5 % of the time. */
static void no_starvation(void **state)
{
	for (size_t i = 0; sim_scheds[i]; i++) {
		struct sim_domain *light;
		uint64_t before = 0;

		bench_begin(&bench, sim_scheds[i], 1, 2, 1);
		light = bench_hogs(&bench, 1, 10);
		bench_hogs(&bench, 2, 1000);
		bench_hogs(&bench, 2, 1000);
		for (uint32_t s = 0; s < 5; s++) {
			bench_run(&bench, 10 * S);
			assert_true(bench_cpu_ns(&bench, light) > before);
			before = bench_cpu_ns(&bench, light);
		}
		bench_end(&bench);
	}
}

/* How many of a hundred dispatches are on another pCPU than the last, of five hogs on two. */
static uint64_t moves_of(const struct sim_sched_ops *ops)
{
	uint64_t moves = 0, dispatches = 0;
	struct sim_domain *domain;

	bench.seed = 1;
	bench_begin(&bench, ops, 1, 2, 1);
	for (uint32_t i = 0; i < 5; i++)
		bench_hogs(&bench, 1, 256);
	domain = bench_guest(&bench, 1, 256);
	bench_load(&bench, domain, 0, MS / 5, 2 * MS)->vary = true;
	bench_run(&bench, 10 * S);
	for (uint32_t i = 0; i < 5; i++) {
		moves += bench.world->domains[i]->vcpus[0].moves;
		dispatches += bench.world->domains[i]->vcpus[0].dispatches;
	}
	bench_end(&bench);
	return moves * 100 / dispatches;
}

/* credit has a queue for each pCPU; in credit2's common one half a millisecond of credit is the
 * price of a move: without it more than two in three are. */
static void resistance(void **state)
{
	assert_in_range(moves_of(&sim_sched_credit), 0, 5);
	assert_in_range(moves_of(&sim_sched_credit2), 20, 55);
}

/* ---- affinity ---- */

/* A pin holds at once and for good, with pCPUs idle beside it; when it goes, they are used. */
static void pins(void **state)
{
	for (size_t i = 0; sim_scheds[i]; i++) {
		struct sim_domain *domains[2];
		uint64_t ppm[2];

		bench_begin(&bench, sim_scheds[i], 2, 2, 1);
		domains[0] = bench_hogs(&bench, 1, 256);
		domains[1] = bench_hogs(&bench, 1, 256);
		bench_run(&bench, S);
		bench_pin(&bench, &domains[0]->vcpus[0], 3);
		bench_pin(&bench, &domains[1]->vcpus[0], 3);
		bench_run(&bench, 1);
		assert_non_null(bench.world->pcpus[3].running);
		bench_shares(&bench, domains, 2, 10 * S, ppm);
		near_ppm(ppm[0], CL_PPM / 2, PERCENT);
		near_ppm(ppm[1], CL_PPM / 2, PERCENT);
		sim_vcpu_pin(bench.world, &domains[0]->vcpus[0], &bench.pools[0]->pcpus);
		bench_run(&bench, 3 * S);
		bench_shares(&bench, domains, 2, S, ppm);
		/* sedf leaves it where it is. */
		if (sim_scheds[i] != &sim_sched_sedf)
			near_ppm(ppm[0] + ppm[1], 2 * CL_PPM, PERCENT);
		bench_end(&bench);
	}
}

/* Soft affinity within a queue; to another node's credit2 does not pull who runs. Nor is it more
 * than a wish: when where it likes to be is taken for good it runs elsewhere. */
static void wishes(const struct sim_sched_ops *ops, bool far, bool pulled)
{
	struct cl_cpuset soft = { { 0 } };
	struct sim_domain *domain, *other;
	struct sim_vcpu *vcpu;
	uint32_t liked;
	uint64_t ppm;

	bench_begin(&bench, ops, 2, 2, 1);
	domain = bench_hogs(&bench, 1, 256);
	vcpu = &domain->vcpus[0];
	bench_run(&bench, S);
	liked = vcpu->pcpu->id ^ (far ? 2 : 1);
	cl_cpuset_add(&soft, liked);
	sim_vcpu_prefer(vcpu, &soft);
	bench_run(&bench, S);
	assert_int_equal(bench.world->pcpus[liked].running == vcpu, pulled);
	other = bench_hogs(&bench, 1, 65535);
	bench_pin(&bench, &other->vcpus[0], liked);
	bench_run(&bench, S);
	bench_shares(&bench, &domain, 1, S, &ppm);
	near_ppm(ppm, CL_PPM, PERCENT);
	bench_end(&bench);
}

static void soft_affinity(void **state)
{
	wishes(&sim_sched_credit, false, true);
	wishes(&sim_sched_credit, true, true);
	wishes(&sim_sched_credit2, false, true);
	wishes(&sim_sched_credit2, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(weights),
		cmocka_unit_test(weights_beside_dom0),
		cmocka_unit_test(changes),
		cmocka_unit_test(caps),
		cmocka_unit_test(work_conserving),
		cmocka_unit_test(hogs_spread),
		cmocka_unit_test(node_is_left),
		cmocka_unit_test(cores_first),
		cmocka_unit_test(no_starvation),
		cmocka_unit_test(resistance),
		cmocka_unit_test(pins),
		cmocka_unit_test(soft_affinity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
