/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A domain's kernel: fair shares, limits, masks, interrupts first; its books; memory that is
 * shared. */
#include "sched_world.h"
#include "unit.h"

#define RUNS 8u

/* A task that does the same over and over. */
struct runner {
	struct sim_task task;
	struct sim_burst burst;
	uint64_t rounds;
};

static struct bench bench;
static struct sim_domain *domain;
static struct runner runners[RUNS];

static void near(uint64_t is, uint64_t should_be, uint64_t tolerance)
{
	if (is + tolerance < should_be || is > should_be + tolerance)
		fail_msg("%llu, and it should be %llu +- %llu", (unsigned long long)is,
			 (unsigned long long)should_be, (unsigned long long)tolerance);
}

static void again(struct sim_world *world, struct sim_task *task)
{
	struct runner *runner = sim_of(task, struct runner, task);

	runner->rounds++;
	sim_task_run(world, task, &runner->burst);
}

static void begin(uint32_t nodes, uint32_t cores, uint32_t threads, uint32_t vcpus)
{
	bench_begin(&bench, &sim_sched_credit2, nodes, cores, threads);
	memset(runners, 0, sizeof(runners));
	domain = sim_domain_new(bench.world, SIM_DOM0, "dom0", vcpus, bench.pools[0]);
	assert_non_null(domain);
	for (uint32_t i = 0; i < vcpus; i++)
		bench_pin(&bench, &domain->vcpus[i], i);
}

static void end(void)
{
	for (uint32_t i = 0; i < RUNS; i++)
		sim_task_done(bench.world, &runners[i].task);
	bench_end(&bench);
}

static struct runner *run(uint32_t i, uint64_t weight, uint64_t cpu_ns)
{
	struct runner *runner = &runners[i];

	runner->burst = (struct sim_burst){ cpu_ns, 0, CL_NONE, CL_NONE };
	assert_true(sim_task_init(bench.world, &runner->task, domain, "runner", again));
	runner->task.weight = weight;
	sim_task_run(bench.world, &runner->task, &runner->burst);
	return runner;
}

static struct cl_cpuset one(uint32_t cpu)
{
	struct cl_cpuset set;

	cl_cpuset_zero(&set);
	cl_cpuset_add(&set, cpu);
	return set;
}

/* All that was done up to now is booked. */
static void settle(void)
{
	sim_domain_pause(bench.world, domain, true);
	sim_domain_pause(bench.world, domain, false);
}

/* ---- shares ---- */

static void weights(void **state)
{
	static const uint64_t lengths[] = { MS / 10, 3 * MS, 50 * MS };

	for (size_t i = 0; i < 3; i++) {
		begin(1, 1, 1, 1);
		run(0, 1024, lengths[i]);
		run(1, 2048, lengths[i]);
		run(2, 512, lengths[i]);
		bench_run(&bench, 7 * S);
		settle();
		near(runners[0].task.cpu_ns, 2 * S, 20 * MS);
		near(runners[1].task.cpu_ns, 4 * S, 20 * MS);
		near(runners[2].task.cpu_ns, S, 20 * MS);
		end();
	}
}

/* Three tasks for two vCPUs: none of these is idle; a mask keeps its task where it may be. */
static void masks(void **state)
{
	struct cl_cpuset first = one(0);

	begin(1, 2, 1, 2);
	for (uint32_t i = 0; i < 3; i++)
		run(i, 1024, MS);
	bench_run(&bench, 4 * S);
	settle();
	near(runners[0].task.cpu_ns + runners[1].task.cpu_ns + runners[2].task.cpu_ns, 8 * S, MS);
	sim_task_place(bench.world, &runners[0].task, NULL, &first);
	sim_task_place(bench.world, &runners[1].task, NULL, &first);
	bench_run(&bench, 100 * MS);
	settle();
	uint64_t there = runners[0].task.ran_ns[1] + runners[1].task.ran_ns[1];
	uint64_t third = runners[2].task.cpu_ns;

	bench_run(&bench, 2 * S);
	settle();
	assert_int_equal(runners[0].task.ran_ns[1] + runners[1].task.ran_ns[1], there);
	near(runners[2].task.cpu_ns - third, 2 * S, 10 * MS);
	end();
}

/* One that sleeps most of the time gets its turn before those that do not sleep. */
static void sleepers_first(void **state)
{
	struct load *sleeper;

	begin(1, 1, 1, 1);
	run(0, 1024, 50 * MS);
	run(1, 1024, 50 * MS);
	sleeper = bench_load(&bench, domain, 0, MS / 10, 20 * MS);
	bench_run(&bench, 4 * S);
	assert_true(sleeper->rounds > 150);
	/* On average it waits less than one slice of the others. */
	assert_true(sleeper->late_ns / sleeper->rounds < 3 * MS);
	end();
}

/* ---- limits ---- */

static void limited(void **state)
{
	struct sim_group *group;
	struct cl_cpuset both = one(0);

	cl_cpuset_add(&both, 1);
	begin(1, 2, 1, 2);
	group = sim_group_new(domain, "/limited", &both);
	for (uint32_t i = 0; i < 2; i++) {
		run(i, 1024, 7 * MS);
		sim_task_place(bench.world, &runners[i].task, group, NULL);
	}
	run(2, 1024, MS);
	/* 30 ms in 100 for both together: three tenths of a CPU. What they leave is the other's. */
	sim_group_limit(bench.world, group, 30 * MS, 100 * MS);
	bench_run(&bench, 10 * S);
	settle();
	near(group->cpu_ns, 3 * S, 35 * MS);
	assert_int_equal(group->cpu_ns, runners[0].task.cpu_ns + runners[1].task.cpu_ns);
	assert_true(group->throttled_ns > 7 * S);
	near(runners[2].task.cpu_ns, 9000 * MS, 300 * MS);
	/* None any more. */
	sim_group_limit(bench.world, group, 0, 0);
	uint64_t before = group->cpu_ns;

	bench_run(&bench, 3 * S);
	settle();
	near(group->cpu_ns - before, 4500 * MS, 100 * MS); /* two share a vCPU, one has its own */
	end();
}

/* Many vCPUs take more than is left before they know: the next periods are the less. */
static void limited_wide(void **state)
{
	struct cl_cpuset all = one(0);
	struct sim_group *group;

	begin(1, 8, 1, 8);
	for (uint32_t v = 1; v < 8; v++)
		cl_cpuset_add(&all, v);
	group = sim_group_new(domain, "/limited", &all);
	for (uint32_t i = 0; i < 8; i++) {
		run(i, 1024, S);
		sim_task_place(bench.world, &runners[i].task, group, NULL);
	}
	sim_group_limit(bench.world, group, 30 * MS, 100 * MS);
	bench_run(&bench, 10 * S);
	settle();
	near(group->cpu_ns, 3 * S, 75 * MS);
	end();
}

static void fenced(void **state)
{
	struct cl_cpuset second = one(1);
	struct sim_group *group;

	begin(1, 2, 1, 2);
	for (uint32_t i = 0; i < 3; i++)
		run(i, 1024, MS);
	group = sim_group_new(domain, "/fenced", &second);
	sim_task_place(bench.world, &runners[0].task, group, NULL);
	sim_group_fence(bench.world, group, true);
	bench_run(&bench, 10 * MS);
	settle();
	uint64_t own = runners[0].task.cpu_ns, others = runners[1].task.ran_ns[1];

	bench_run(&bench, S);
	settle();
	near(runners[0].task.cpu_ns - own, S, MS);
	assert_int_equal(runners[1].task.ran_ns[1], others);
	end();
}

/* ---- interrupts ---- */

static struct sim_irq irq;
static uint64_t irq_at_ns[8];
static uint32_t irq_done;

static void handled(struct sim_world *world, struct sim_irq_work *work)
{
	irq_at_ns[irq_done++] = world->queue.now_ns;
	work->burst.cpu_ns = MS;
}

/* Before tasks, one after the other; what is queued already is not queued again. */
static void interrupts(void **state)
{
	struct sim_irq_work works[2] = { { .burst = { MS, 0, CL_NONE, CL_NONE }, .done = handled },
					 { .burst = { MS, 0, CL_NONE, CL_NONE },
					   .done = handled } };

	begin(1, 1, 1, 1);
	irq_done = 0;
	assert_true(sim_irq_init(&irq, domain, "eth0", CL_NONE));
	run(0, 1024, 100 * MS);
	bench_run(&bench, 10 * MS);
	sim_irq_raise(bench.world, &irq, &works[0]);
	sim_irq_raise(bench.world, &irq, &works[1]);
	sim_irq_raise(bench.world, &irq, &works[0]);
	bench_run(&bench, 90 * MS);
	assert_int_equal(irq_done, 2);
	assert_int_equal(irq_at_ns[0], 11 * MS);
	assert_int_equal(irq_at_ns[1], 12 * MS);
	assert_int_equal(irq.count, 3);
	assert_int_equal(irq.cpu_ns, 2 * MS);
	/* One that is withdrawn while it is on does not come to its end. */
	sim_irq_raise(bench.world, &irq, &works[0]);
	bench_run(&bench, MS / 2);
	sim_irq_drop(bench.world, &irq, &works[0]);
	bench_run(&bench, 10 * MS);
	assert_int_equal(irq_done, 2);
	sim_irq_done(&irq);
	end();
}

/* ---- the books ---- */

static struct sim_irq_work ring;
static struct sim_event timer;

static void rings(struct sim_queue *queue, struct sim_event *event)
{
	sim_irq_raise(sim_world_of(queue), &irq, &ring);
	sim_after(queue, event, 1234567);
}

/* With all costs, other domains and a limit: a vCPU's time is its tasks', its interrupts' and
 * overhead, to the ns. */
static void books_close(void **state)
{
	static const struct sim_costs costs = {
		.switch_ns = 1500,
		.migrate_ns = 5000,
		.wake_ns = 1000,
		.task_switch_ns = 1200,
		.irq_ns = 800,
		.tick_ns = 2000,
		.tick_hz = 250,
		.local_ps = 100,
		.remote_ps = 180,
		.latency_ns = 90,
		.remote_latency_ns = 140,
		.misses = 2,
		.node_bandwidth = 20000000000,
		.smt_speed = 620000,
	};
	struct cl_cpuset both = one(0);

	begin(2, 1, 2, 2);
	bench.world->costs = costs;
	cl_cpuset_add(&both, 1);
	assert_true(sim_irq_init(&irq, domain, "eth0", CL_NONE));
	ring = (struct sim_irq_work){ .burst = { MS / 5, 0, CL_NONE, CL_NONE }, .done = handled };
	irq_done = 0;
	sim_event_init(&bench.world->queue, &timer, rings);
	sim_after(&bench.world->queue, &timer, 1);
	for (uint32_t i = 0; i < 4; i++)
		run(i, 1024u << i, (i + 1) * MS / 3);
	runners[0].burst.bytes = 100000;
	runners[0].burst.from = 1;
	bench_load(&bench, domain, 0, MS, 7 * MS);
	sim_task_place(bench.world, &runners[3].task, sim_group_new(domain, "/limited", &both),
		       NULL);
	sim_group_limit(bench.world, runners[3].task.group, 5 * MS, 20 * MS);
	struct sim_domain *other = bench_guest(&bench, 2, 256);

	bench_load(&bench, other, 0, 3 * MS, MS);
	bench_load(&bench, other, 1, 5 * MS, MS);
	for (uint32_t step = 0; step < 40; step++) {
		irq_done = 0;
		bench_run(&bench, 7654321);
		settle();
		for (uint32_t v = 0; v < 2; v++) {
			uint64_t ns = domain->vcpus[v].overhead_ns;

			for (uint32_t i = 0; i < domain->task_count; i++)
				if (domain->tasks[i]->ran_ns)
					ns += domain->tasks[i]->ran_ns[v];
			ns += irq.ran_ns ? irq.ran_ns[v] : 0;
			assert_int_equal(ns, sim_vcpu_cpu_ns(bench.world, &domain->vcpus[v]));
		}
	}
	assert_true(domain->vcpus[0].overhead_ns > 0);
	/* A pCPU's time is that of the vCPUs that ran there. */
	near(bench_busy_ns(&bench, bench.pools[0]),
	     bench_cpu_ns(&bench, domain) + bench_cpu_ns(&bench, other), 0);
	sim_event_done(&bench.world->queue, &timer);
	sim_irq_drop(bench.world, &irq, &ring);
	sim_irq_done(&irq);
	end();
}

/* A paused domain is charged nothing for what comes in meanwhile. */
static void paused(void **state)
{
	begin(1, 1, 1, 1);
	bench.world->costs.wake_ns = 10 * MS;
	assert_true(sim_irq_init(&irq, domain, "eth0", CL_NONE));
	ring = (struct sim_irq_work){ .burst = { MS, 0, CL_NONE, CL_NONE }, .done = handled };
	irq_done = 0;
	sim_domain_pause(bench.world, domain, true);
	for (uint32_t i = 0; i < 100; i++)
		sim_irq_raise(bench.world, &irq, &ring);
	bench_run(&bench, S);
	assert_int_equal(irq_done, 0);
	sim_domain_pause(bench.world, domain, false);
	bench_run(&bench, 50 * MS);
	assert_int_equal(irq_done, 1);
	assert_true(irq_at_ns[0] <= S + 11 * MS);
	sim_irq_done(&irq);
	end();
}

/* ---- memory ---- */

static uint64_t bytes_ns(const struct sim_pcpu *pcpu, uint64_t cpu_ns, uint32_t from, uint32_t to)
{
	struct sim_burst burst = { cpu_ns, 1000000, from, to };

	return sim_burst_ns(bench.world, pcpu, &burst);
}

static void distances(void **state)
{
	const struct sim_pcpu *pcpu;

	begin(2, 1, 1, 1);
	pcpu = &bench.world->pcpus[0];
	bench.world->costs.local_ps = 100;
	bench.world->costs.remote_ps = 200;
	bench.world->costs.latency_ns = 90;
	bench.world->costs.remote_latency_ns = 140;
	bench.world->costs.misses = 2 * CL_PPM; /* in a us */
	assert_int_equal(bytes_ns(pcpu, 0, CL_NONE, CL_NONE), 100000);
	assert_int_equal(bytes_ns(pcpu, 0, 0, 0), 100000);
	assert_int_equal(bytes_ns(pcpu, 0, 1, CL_NONE), 150000);
	assert_int_equal(bytes_ns(pcpu, 0, 1, 1), 200000);
	assert_int_equal(bytes_ns(pcpu, 5000, 0, 0), 105000);
	/* 2 misses in each of 5 us, 50 ns each. */
	assert_int_equal(bytes_ns(pcpu, 5000, 1, 1), 205000 + 500);
	bench.world->nodes[0].distance[1] = 30;
	assert_int_equal(bytes_ns(pcpu, 0, 1, 1), 300000);
	end();
}

/* Two streams on one node share what it has; on a node each, they do not. */
static void shared_bandwidth(void **state)
{
	uint64_t alone, both, apart;

	for (uint32_t pass = 0; pass < 3; pass++) {
		begin(2, 2, 1, 4);
		bench.world->costs.local_ps = 100;
		bench.world->costs.remote_ps = 100;
		bench.world->costs.node_bandwidth = 10000000000;
		for (uint32_t i = 0; i < (pass ? 2 : 1); i++) {
			struct cl_cpuset on = one(pass == 2 ? 2 * i : i);

			run(i, 1024, 0);
			runners[i].burst.bytes = 100000;
			runners[i].burst.from = runners[i].burst.to = pass == 2 ? i : 0;
			sim_task_place(bench.world, &runners[i].task, NULL, &on);
		}
		bench_run(&bench, S);
		if (pass == 0)
			alone = runners[0].rounds * 100000;
		else if (pass == 1)
			both = (runners[0].rounds + runners[1].rounds) * 100000;
		else
			apart = (runners[0].rounds + runners[1].rounds) * 100000;
		if (pass == 1)
			near(runners[0].rounds, runners[1].rounds, runners[0].rounds / 100);
		end();
	}
	near(alone, 10000000000, 100000000);
	near(both, 10000000000, 200000000);
	near(apart, 20000000000, 200000000);
}

/* A thread whose sibling is busy is slower; it is full speed again when that idles. */
static void siblings(void **state)
{
	begin(1, 1, 2, 2);
	bench.world->costs.smt_speed = 600000;
	struct cl_cpuset on = one(0);

	run(0, 1024, MS);
	sim_task_place(bench.world, &runners[0].task, NULL, &on);
	bench_run(&bench, S);
	near(runners[0].rounds, 1000, 2);
	run(1, 1024, MS);
	on = one(1);
	sim_task_place(bench.world, &runners[1].task, NULL, &on);
	bench_run(&bench, S);
	near(runners[0].rounds, 1600, 5);
	near(runners[1].rounds, 600, 5);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights),          cmocka_unit_test(masks),
		cmocka_unit_test(sleepers_first),   cmocka_unit_test(limited),
		cmocka_unit_test(limited_wide),     cmocka_unit_test(fenced),
		cmocka_unit_test(interrupts),       cmocka_unit_test(books_close),
		cmocka_unit_test(paused),           cmocka_unit_test(distances),
		cmocka_unit_test(shared_bandwidth), cmocka_unit_test(siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
