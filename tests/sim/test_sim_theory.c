/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What theory says of queues: jobs arrive at random, one or more servers take them in turn. A
 * server is a task on a vCPU on a pCPU, under each of Xen's schedulers. The mean over seeds has to
 * be within its confidence interval of the formula, and that interval narrow.
 */
#include "sched_world.h"
#include "unit.h"

#include <math.h>

#define SEEDS   16u
#define T_999   4.073 /* Student's t: 99.9 %, 15 degrees of freedom */
#define JOBS    60000u
#define WARM_UP 3000u
#define SERVERS 4u
#define WAITING 8192u

struct server {
	struct sim_task task;
	struct shop *shop;
	bool busy;
};

struct shop {
	struct bench bench;
	struct sim_world *world;
	struct sim_random random;
	struct sim_event arrival;
	struct server servers[SERVERS];
	uint32_t server_count;
	bool constant; /* service */
	uint64_t service_ns, between_ns;
	uint64_t waiting[WAITING]; /* when they came, in a ring */
	uint64_t came, begun;
	double wait_ns; /* sum, after the warm-up */
};

static struct shop shop;

/* The first who waits goes to any server that is free. */
static void serve(void)
{
	for (uint32_t i = 0; i < shop.server_count && shop.begun < shop.came; i++) {
		struct server *server = &shop.servers[i];
		struct sim_burst burst = { shop.service_ns, 0, CL_NONE, CL_NONE };

		if (server->busy)
			continue;
		if (!shop.constant)
			burst.cpu_ns = sim_random_exponential(&shop.random, shop.service_ns) + 1;
		if (shop.begun >= WARM_UP && shop.begun < JOBS)
			shop.wait_ns += (double)(shop.world->queue.now_ns -
						 shop.waiting[shop.begun % WAITING]);
		shop.begun++;
		server->busy = true;
		sim_task_run(shop.world, &server->task, &burst);
	}
}

static void served(struct sim_world *world, struct sim_task *task)
{
	sim_of(task, struct server, task)->busy = false;
	serve();
}

static void arrives(struct sim_queue *queue, struct sim_event *event)
{
	assert_true(shop.came - shop.begun < WAITING);
	shop.waiting[shop.came++ % WAITING] = queue->now_ns;
	sim_after(queue, event, sim_random_exponential(&shop.random, shop.between_ns));
	serve();
}

/* The mean wait, in service times. */
static double wait_of(const struct sim_sched_ops *ops, uint64_t seed)
{
	struct sim_domain *guest;

	bench_begin(&shop.bench, ops, 1, shop.server_count, 1);
	shop.world = shop.bench.world;
	sim_random_init(&shop.random, seed, 1);
	guest = bench_guest(&shop.bench, shop.server_count, 256);
	if (ops == &sim_sched_rtds) /* all of a CPU */
		bench_period(guest, 10 * MS, 10 * MS, true);
	shop.came = shop.begun = 0;
	shop.wait_ns = 0;
	for (uint32_t i = 0; i < shop.server_count; i++) {
		shop.servers[i].busy = false;
		assert_true(
			sim_task_init(shop.world, &shop.servers[i].task, guest, "server", served));
	}
	sim_event_init(&shop.world->queue, &shop.arrival, arrives);
	sim_after(&shop.world->queue, &shop.arrival, 0);
	while (shop.begun < JOBS)
		assert_true(sim_step(&shop.world->queue, UINT64_MAX));
	for (uint32_t i = 0; i < shop.server_count; i++)
		sim_task_done(shop.world, &shop.servers[i].task);
	sim_event_done(&shop.world->queue, &shop.arrival);
	bench_end(&shop.bench);
	return shop.wait_ns / (JOBS - WARM_UP) / (double)shop.service_ns;
}

static void expect(const char *what, double theory)
{
	double sum = 0, squares = 0, mean, half;

	for (uint32_t i = 0; i < SEEDS; i++) {
		double wait = wait_of(sim_scheds[i % 4], 100 + i);

		sum += wait;
		squares += wait * wait;
	}
	mean = sum / SEEDS;
	half = T_999 * sqrt((squares / SEEDS - mean * mean) / (SEEDS - 1));
	print_message("%s: %.4f service times, theory %.4f, +- %.4f\n", what, mean, theory, half);
	if (fabs(mean - theory) > half)
		fail_msg("%s: the mean wait is %.4f +- %.4f service times, and theory says %.4f",
			 what, mean, half, theory);
	assert_true(half < 0.1 * theory);
}

static void set_up(uint32_t servers, double load, bool constant)
{
	shop.server_count = servers;
	shop.constant = constant;
	shop.service_ns = MS;
	shop.between_ns = (uint64_t)((double)MS / load / servers);
}

static void mm1(void **state)
{
	set_up(1, 0.5, false);
	expect("M/M/1 at 50 %", 0.5 / 0.5);
	set_up(1, 0.7, false);
	expect("M/M/1 at 70 %", 0.7 / 0.3);
}

/* Pollaczek and Khinchine: half of it. */
static void md1(void **state)
{
	set_up(1, 0.5, true);
	expect("M/D/1 at 50 %", 0.5 / (2 * 0.5));
	set_up(1, 0.7, true);
	expect("M/D/1 at 70 %", 0.7 / (2 * 0.3));
}

/* Erlang C: the probability to wait; then 1 / (c - a) of a service time. */
static double erlang_c(uint32_t servers, double erlangs)
{
	double term = 1, sum = 0;

	for (uint32_t k = 0; k < servers; k++) {
		sum += term;
		term *= erlangs / (k + 1);
	}
	term *= servers / (servers - erlangs);
	return term / (sum + term);
}

static void mmc(void **state)
{
	set_up(2, 0.7, false);
	expect("M/M/2 at 70 %", erlang_c(2, 1.4) / (2 - 1.4));
	set_up(4, 0.8, false);
	expect("M/M/4 at 80 %", erlang_c(4, 3.2) / (4 - 3.2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mm1),
		cmocka_unit_test(md1),
		cmocka_unit_test(mmc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
