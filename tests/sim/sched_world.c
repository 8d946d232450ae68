/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sched_world.h"

#include "unit.h"

static const struct sim_costs free_of_charge;

static struct cl_cpuset range(uint32_t from, uint32_t to)
{
	struct cl_cpuset set;

	cl_cpuset_zero(&set);
	while (from < to)
		cl_cpuset_add(&set, from++);
	return set;
}

void bench_begin_two(struct bench *bench, const struct sim_sched_ops *a,
		     const struct sim_sched_ops *b, uint32_t first_of_second,
		     const struct sim_machine *machine)
{
	uint64_t seed = bench->seed;
	struct cl_cpuset set;

	memset(bench, 0, sizeof(*bench));
	bench->seed = seed;
	bench->world = sim_world_new(seed, machine, &free_of_charge);
	assert_non_null(bench->world);
	set = range(0, first_of_second);
	bench->pools[0] = sim_pool_new(bench->world, a, &set);
	assert_non_null(bench->pools[0]);
	if (!b)
		return;
	set = range(first_of_second, bench->world->pcpu_count);
	bench->pools[1] = sim_pool_new(bench->world, b, &set);
	assert_non_null(bench->pools[1]);
}

void bench_begin(struct bench *bench, const struct sim_sched_ops *ops, uint32_t nodes,
		 uint32_t cores, uint32_t threads)
{
	struct sim_machine machine = { nodes, cores, threads, UINT64_C(1) << 34, 20 };

	bench_begin_two(bench, ops, NULL, nodes * cores * threads, &machine);
}

void bench_end(struct bench *bench)
{
	assert_false(bench->world->queue.failed);
	while (bench->world->domain_count > 0)
		bench_free_domain(bench, bench->world->domains[0]);
	sim_world_free(bench->world);
	bench->world = NULL;
}

/* ---- loads ---- */

static uint64_t some(struct load *load, uint64_t mean)
{
	return load->vary ? sim_random_exponential(&load->random, mean) + 1 : mean;
}

static void ask(struct sim_world *world, struct load *load)
{
	struct sim_burst burst = { some(load, load->run_ns), 0, CL_NONE, CL_NONE };

	load->asked_ns = world->queue.now_ns + burst.cpu_ns;
	sim_task_run(world, &load->task, &burst);
}

static void done(struct sim_world *world, struct sim_task *task)
{
	struct load *load = sim_of(task, struct load, task);
	uint64_t late = world->queue.now_ns - load->asked_ns;

	load->rounds++;
	load->late_ns += late;
	load->latest_ns = late > load->latest_ns ? late : load->latest_ns;
	if (load->sleep_ns)
		sim_after(&world->queue, &load->timer, some(load, load->sleep_ns));
	else
		ask(world, load);
}

static void fire(struct sim_queue *queue, struct sim_event *event)
{
	ask(sim_world_of(queue), sim_of(event, struct load, timer));
}

struct load *bench_load(struct bench *bench, struct sim_domain *domain, uint32_t vcpu,
			uint64_t run_ns, uint64_t sleep_ns)
{
	struct cl_cpuset mask = range(vcpu, vcpu + 1);
	uint32_t i = 0;

	while (bench->loads[i].used)
		assert_in_range(++i, 1, LOADS - 1);
	struct load *load = &bench->loads[i];

	memset(load, 0, sizeof(*load));
	load->used = true;
	load->run_ns = run_ns;
	load->sleep_ns = sleep_ns;
	sim_random_init(&load->random, bench->seed, UINT64_C(0x10ad00000000) + i);
	sim_event_init(&bench->world->queue, &load->timer, fire);
	assert_true(sim_task_init(bench->world, &load->task, domain, "load", done));
	sim_task_place(bench->world, &load->task, NULL, &mask);
	sim_after(&bench->world->queue, &load->timer, 0);
	return load;
}

/* ---- domains ---- */

struct sim_domain *bench_guest(struct bench *bench, uint32_t vcpus, uint64_t weight)
{
	struct sim_domain *domain =
		sim_domain_new(bench->world, SIM_GUEST, "guest", vcpus, bench->pools[0]);

	assert_non_null(domain);
	domain->weight = weight;
	domain->pool->ops->changed(domain->pool, domain);
	return domain;
}

struct sim_domain *bench_hogs(struct bench *bench, uint32_t vcpus, uint64_t weight)
{
	struct sim_domain *domain = bench_guest(bench, vcpus, weight);

	for (uint32_t i = 0; i < vcpus; i++)
		bench_load(bench, domain, i, S, 0);
	return domain;
}

void bench_free_domain(struct bench *bench, struct sim_domain *domain)
{
	for (uint32_t i = 0; i < LOADS; i++) {
		struct load *load = &bench->loads[i];

		if (!load->used || load->task.domain != domain)
			continue;
		sim_event_done(&bench->world->queue, &load->timer);
		sim_task_done(bench->world, &load->task);
		load->used = false;
	}
	sim_domain_free(bench->world, domain);
}

void bench_cap(struct sim_domain *domain, uint64_t cap_ppm)
{
	domain->cap = cap_ppm;
	domain->pool->ops->changed(domain->pool, domain);
}

void bench_period(struct sim_domain *domain, uint64_t period_ns, uint64_t budget_ns, bool extra)
{
	domain->period_ns = period_ns;
	domain->budget_ns = budget_ns;
	domain->extra = extra;
	domain->pool->ops->changed(domain->pool, domain);
}

void bench_pin(struct bench *bench, struct sim_vcpu *vcpu, uint32_t pcpu)
{
	struct cl_cpuset set = range(pcpu, pcpu + 1);

	sim_vcpu_pin(bench->world, vcpu, &set);
}

/* ---- what came of it ---- */

static bool is_wanted(const struct bench *bench, const struct sim_pcpu *pcpu)
{
	const struct sim_world *world = bench->world;

	for (uint32_t d = 0; d < world->domain_count; d++) {
		const struct sim_domain *domain = world->domains[d];

		for (uint32_t i = 0; i < domain->vcpu_count; i++)
			if (domain->pool == pcpu->pool &&
			    domain->vcpus[i].state == SIM_VCPU_RUNNABLE &&
			    cl_cpuset_has(&domain->vcpus[i].hard, pcpu->id))
				return true;
	}
	return false;
}

/* The host has been as it was marked since then. */
static void watch(struct bench *bench)
{
	const struct sim_world *world = bench->world;
	uint64_t ns = world->queue.now_ns - bench->marked_ns;

	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		if (bench->wasteful[p]) {
			bench->waste_ns[p] += ns;
			bench->wasted_ns += ns;
			if (bench->waste_ns[p] > bench->longest_waste_ns)
				bench->longest_waste_ns = bench->waste_ns[p];
		}
		bench->wasteful[p] = !world->pcpus[p].running && is_wanted(bench, &world->pcpus[p]);
		if (!bench->wasteful[p])
			bench->waste_ns[p] = 0;
	}
	bench->marked_ns = world->queue.now_ns;
}

void bench_run(struct bench *bench, uint64_t ns)
{
	struct sim_queue *queue = &bench->world->queue;
	uint64_t end = queue->now_ns + ns;

	while (sim_step(queue, end)) {
		if (bench->watched)
			watch(bench);
		if (bench->checked)
			bench_check(bench);
	}
	if (bench->watched)
		watch(bench);
	assert_false(queue->failed);
	assert_int_equal(queue->now_ns, end);
}

uint64_t bench_cpu_ns(const struct bench *bench, const struct sim_domain *domain)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < domain->vcpu_count; i++)
		ns += sim_vcpu_cpu_ns(bench->world, &domain->vcpus[i]);
	return ns;
}

void bench_shares(struct bench *bench, struct sim_domain *const *domains, uint32_t count,
		  uint64_t ns, uint64_t *ret_ppm)
{
	for (uint32_t i = 0; i < count; i++)
		ret_ppm[i] = bench_cpu_ns(bench, domains[i]);
	bench_run(bench, ns);
	for (uint32_t i = 0; i < count; i++)
		ret_ppm[i] = (bench_cpu_ns(bench, domains[i]) - ret_ppm[i]) * CL_PPM / ns;
}

uint64_t bench_busy_ns(const struct bench *bench, const struct sim_pool *pool)
{
	uint64_t ns = 0;

	for (uint32_t p = 0; p < bench->world->pcpu_count; p++) {
		const struct sim_pcpu *pcpu = &bench->world->pcpus[p];

		if (pcpu->pool == pool)
			ns += pcpu->busy_ns + (pcpu->running ? sim_sched_ran_ns(pcpu) : 0);
	}
	return ns;
}

static uint32_t check_domain(const struct sim_domain *domain)
{
	uint32_t running = 0;

	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		const struct sim_vcpu *vcpu = &domain->vcpus[i];

		if (vcpu->state == SIM_VCPU_RUNNING) {
			assert_ptr_equal(vcpu->pcpu->running, vcpu);
			running++;
		}
		assert_true(vcpu->state == SIM_VCPU_BLOCKED || !domain->paused);
		if (vcpu->state == SIM_VCPU_BLOCKED && !domain->paused)
			assert_true(sim_os_idle(vcpu));
	}
	return running;
}

void bench_check(const struct bench *bench)
{
	const struct sim_world *world = bench->world;
	uint32_t running = 0, busy = 0;

	for (uint32_t d = 0; d < world->domain_count; d++)
		running += check_domain(world->domains[d]);
	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		const struct sim_pcpu *pcpu = &world->pcpus[p];
		const struct sim_vcpu *vcpu = pcpu->running;

		if (!vcpu)
			continue;
		busy++;
		assert_int_equal(vcpu->state, SIM_VCPU_RUNNING);
		assert_ptr_equal(vcpu->pcpu, pcpu);
		assert_ptr_equal(vcpu->domain->pool, pcpu->pool);
		assert_true(cl_cpuset_has(&vcpu->hard, pcpu->id));
		assert_true(cl_cpuset_has(&pcpu->pool->pcpus, pcpu->id));
	}
	assert_int_equal(running, busy);
	for (uint32_t i = 0; i < world->pool_count; i++)
		world->pools[i]->ops->check(world->pools[i]);
}
