/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many domains that come, go, sleep, wake, are pinned, paused and moved at random: what must hold
 * holds after each event, and one seed gives one run. */
#include "sched_world.h"
#include "unit.h"

#define DOMAINS 12u

struct soak {
	struct bench bench;
	struct sim_random random;
	struct sim_domain *domains[DOMAINS];
	uint64_t gone_ns; /* CPU time of those that are no more */
};

static struct soak soak;

static uint64_t below(uint64_t n)
{
	return sim_random_below(&soak.random, n);
}

static void add(uint32_t at)
{
	struct bench *bench = &soak.bench;
	struct sim_domain *domain = bench_guest(bench, 1 + (uint32_t)below(4), 1 + below(1024));

	soak.domains[at] = domain;
	if (below(2))
		sim_domain_move(bench->world, domain, bench->pools[1]);
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		bench_load(bench, domain, i, 1 + below(12 * MS), below(12 * MS))->vary = below(2);
		if (below(3) == 0)
			bench_load(bench, domain, i, 1 + below(MS), 1 + below(20 * MS))->vary =
				true;
	}
}

static void drop(uint32_t at)
{
	soak.gone_ns += bench_cpu_ns(&soak.bench, soak.domains[at]);
	bench_free_domain(&soak.bench, soak.domains[at]);
	soak.domains[at] = NULL;
}

/* Some of its pool's pCPUs, at least one. */
static struct cl_cpuset some_pcpus(const struct sim_domain *domain)
{
	struct cl_cpuset set = { { 0 } };
	uint32_t p = cl_cpuset_next(&domain->pool->pcpus, 0), keep;

	keep = p + (uint32_t)below(cl_cpuset_count(&domain->pool->pcpus));
	for (; p != CL_NONE; p = cl_cpuset_next(&domain->pool->pcpus, p + 1))
		if (p == keep || below(3) == 0)
			cl_cpuset_add(&set, p);
	return set;
}

static void parameters(struct sim_domain *domain)
{
	uint64_t period = MS + below(50 * MS);

	switch (below(3)) {
	case 0:
		domain->weight = 1 + below(1024);
		break;
	case 1:
		domain->cap = below(2) ? 0 : CL_PPM / 20 + below(2 * CL_PPM);
		break;
	default:
		domain->latency_ns = below(2) ? 0 : period / 8;
		bench_period(domain, below(3) ? period : 0, below(period + 1), below(2));
		return;
	}
	domain->pool->ops->changed(domain->pool, domain);
}

static void something(void)
{
	struct sim_world *world = soak.bench.world;
	uint32_t at = (uint32_t)below(DOMAINS);
	struct sim_domain *domain = soak.domains[at];
	struct sim_vcpu *vcpu = &domain->vcpus[below(domain->vcpu_count)];
	struct cl_cpuset set = some_pcpus(domain);

	switch (below(8)) {
	case 0:
		drop(at);
		add(at);
		break;
	case 1:
		sim_domain_pause(world, domain, !domain->paused);
		break;
	case 2:
		sim_domain_move(world, domain, soak.bench.pools[below(2)]);
		break;
	case 3:
		sim_vcpu_prefer(vcpu, &set);
		break;
	case 4:
		sim_vcpu_pin(world, vcpu, below(2) ? &set : &domain->pool->pcpus);
		break;
	case 5:
		sim_vcpu_pin(world, vcpu, &set);
		break;
	default:
		parameters(domain);
	}
	bench_check(&soak.bench);
}

/* All CPU time is somebody's, and none was given twice. */
static void close_books(void)
{
	struct bench *bench = &soak.bench;
	uint64_t ns = soak.gone_ns;

	for (uint32_t i = 0; i < DOMAINS; i++)
		ns += bench_cpu_ns(bench, soak.domains[i]);
	assert_int_equal(ns, bench_busy_ns(bench, bench->pools[0]) +
				     bench_busy_ns(bench, bench->pools[1]));
	assert_true(ns > bench->world->pcpu_count * S / 2);
}

/* The digest of all that happened, and how much. */
static uint64_t run(const struct sim_sched_ops *a, const struct sim_sched_ops *b, uint64_t seed)
{
	static const struct sim_machine machine = { 2, 3, 2, UINT64_C(1) << 34, 20 };
	uint64_t digest;

	soak.bench.seed = seed;
	soak.gone_ns = 0;
	sim_random_init(&soak.random, seed, 99);
	bench_begin_two(&soak.bench, a, b, seed % 2 ? 8 : 5, &machine);
	soak.bench.world->costs.switch_ns = 1500;
	soak.bench.world->costs.migrate_ns = 5000;
	soak.bench.world->costs.wake_ns = 700;
	soak.bench.world->costs.smt_speed = 600000;
	for (uint32_t i = 0; i < DOMAINS; i++)
		add(i);
	soak.bench.checked = true;
	for (uint32_t i = 0; i < 2000; i++) {
		bench_run(&soak.bench, below(5 * MS));
		something();
	}
	close_books();
	assert_true(soak.bench.world->queue.fired > 20000);
	digest = soak.bench.world->queue.digest ^ soak.bench.world->queue.fired;
	bench_end(&soak.bench);
	return digest;
}

static void soak_scheduler(const struct sim_sched_ops *ops)
{
	uint64_t first = run(ops, ops, 1);

	assert_int_equal(run(ops, ops, 1), first);
	for (uint64_t seed = 2; seed <= 4; seed++)
		assert_int_not_equal(run(ops, ops, seed), first);
}

static void credit(void **state)
{
	soak_scheduler(&sim_sched_credit);
}

static void credit2(void **state)
{
	soak_scheduler(&sim_sched_credit2);
}

static void rtds(void **state)
{
	soak_scheduler(&sim_sched_rtds);
}

static void sedf(void **state)
{
	soak_scheduler(&sim_sched_sedf);
}

/* Pools of different schedulers: domains change from one to the other. */
static void mixed(void **state)
{
	for (uint64_t seed = 10; seed < 14; seed++)
		run(sim_scheds[seed % 4], sim_scheds[(seed + 1) % 4], seed);
	run(&sim_sched_credit, &sim_sched_rtds, 20);
	run(&sim_sched_sedf, &sim_sched_credit2, 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credit), cmocka_unit_test(credit2), cmocka_unit_test(rtds),
		cmocka_unit_test(sedf),   cmocka_unit_test(mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
