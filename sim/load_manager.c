/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manager: the part of a cloud's management that runs in dom0. Each of its processes works off one
 * job after the other, as nova-compute does, whose green threads share one; the heartbeat is a job
 * among the others of the first. While dom0 has the CPU time that the jobs need, a heartbeat is
 * late by little, however busy dom0 is; once it has not, jobs pile up and it is late by ever more.
 * A controller that has heard nothing for the time-out gives the host up for dead.
 */
#include "manage.h"

#include <errno.h>
#include <stdlib.h>

struct worker {
	struct manager *manager;
	struct sim_task task;
	struct sim_event arrival;
	uint64_t behind_ns; /* by rates: what it needed and has not got */
	uint64_t pending;   /* jobs, the present one among them */
	bool busy;
};

struct manager {
	struct sim_load load;
	char stack[CL_PATH_MAX];
	uint64_t processes, job_ns, every_ns;
	uint64_t beat_ns, beat_every_ns, timeout_ns;
	struct worker *workers;
	uint32_t worker_count;
	struct sim_event beat, deadline;
	bool beat_asked, beating, dead, started;
	uint64_t ahead; /* jobs that were there before the heartbeat */
	uint64_t beat_asked_ns, dead_since_ns;
	/* counted */
	struct sim_histogram late;
	uint64_t given_up, dead_ns, jobs, before_ns, counted_ns;
	uint64_t rest_ns; /* by rates: of a job that is under way */
};

#define IN(member) offsetof(struct manager, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "stack", "openstack, opennebula, eucalyptus: how many processes; openstack if none is named", SIM_TEXT, 0, 0, 0, IN(stack) },
	{ "processes", "how many work; 0: as many as the stack needs vCPUs", SIM_COUNT, 0, 0, 1024, IN(processes) },
	{ "job", "CPU time of a job, mean; assumption", SIM_NS, 20 * CL_NS_PER_MS, 1000, 60 * CL_NS_PER_S, IN(job_ns) },
	{ "every", "between jobs of a process, mean; assumption", SIM_NS, 100 * CL_NS_PER_MS, 1000, 3600 * CL_NS_PER_S, IN(every_ns) },
	{ "heartbeat_cpu", "CPU time of a heartbeat; assumption", SIM_NS, 5 * CL_NS_PER_MS, 1000, 60 * CL_NS_PER_S, IN(beat_ns) },
	{ "heartbeat", "between heartbeats; nova's report_interval", SIM_NS, 10 * CL_NS_PER_S, CL_NS_PER_MS, 3600 * CL_NS_PER_S, IN(beat_every_ns) },
	{ "timeout", "without one, until the host is given up; nova's service_down_time", SIM_NS, 60 * CL_NS_PER_S, CL_NS_PER_MS, 86400 * CL_NS_PER_S, IN(timeout_ns) },
	{ 0 },
};
/* clang-format on */

/* ---- jobs ---- */

static void work(struct worker *worker)
{
	struct manager *manager = worker->manager;
	bool first = worker == manager->workers;
	struct sim_burst burst = { 0, 0, CL_NONE, CL_NONE };

	if (worker->busy)
		return;
	if (first && manager->beat_asked && manager->ahead == 0) {
		manager->beating = true;
		burst.cpu_ns = manager->beat_ns;
	} else if (worker->pending > 0) {
		burst.cpu_ns = sim_random_exponential(&manager->load.random, manager->job_ns) + 1;
	} else {
		return;
	}
	worker->busy = true;
	sim_task_run(manager->load.world, &worker->task, &burst);
}

static void job_over(struct worker *worker)
{
	struct manager *manager = worker->manager;

	worker->pending--;
	manager->jobs++;
	if (worker == manager->workers && manager->beat_asked && manager->ahead > 0)
		manager->ahead--;
}

/* The controller has heard of it, and waits for the next one. */
static void beat_over(struct manager *manager)
{
	uint64_t now = manager->load.world->queue.now_ns;

	manager->beating = manager->beat_asked = false;
	sim_histogram_add(&manager->late, now - manager->beat_asked_ns);
	if (manager->dead)
		manager->dead_ns += now - manager->dead_since_ns;
	manager->dead = false;
	sim_after(&manager->load.world->queue, &manager->deadline, manager->timeout_ns);
}

static void task_over(struct sim_world *world, struct sim_task *task)
{
	struct worker *worker = sim_of(task, struct worker, task);

	worker->busy = false;
	if (worker == worker->manager->workers && worker->manager->beating)
		beat_over(worker->manager);
	else
		job_over(worker);
	work(worker);
}

static void arrives(struct sim_queue *queue, struct sim_event *event)
{
	struct worker *worker = sim_of(event, struct worker, arrival);
	struct manager *manager = worker->manager;

	worker->pending++;
	sim_after(queue, event,
		  sim_random_exponential(&manager->load.random, manager->every_ns) + 1);
	work(worker);
}

/* ---- heartbeats ---- */

/* One that is still waiting is enough. */
static void beat(struct sim_queue *queue, struct sim_event *event)
{
	struct manager *manager = sim_of(event, struct manager, beat);

	sim_after(queue, event, manager->beat_every_ns);
	if (manager->beat_asked)
		return;
	manager->beat_asked = true;
	manager->beat_asked_ns = queue->now_ns;
	manager->ahead = manager->workers[0].pending;
	work(&manager->workers[0]);
}

static void deadline(struct sim_queue *queue, struct sim_event *event)
{
	struct manager *manager = sim_of(event, struct manager, deadline);

	manager->dead = true;
	manager->dead_since_ns = queue->now_ns;
	manager->given_up++;
}

/* ---- the load ---- */

static int find_stack(struct manager *manager, struct cl_error *reterr)
{
	const struct sim_stack *stack =
		sim_stack_find(*manager->stack ? manager->stack : "openstack");

	if (!stack)
		return cl_fail(reterr, EINVAL, "load %s: there is no stack '%.60s'",
			       manager->load.name, manager->stack);
	if (!manager->processes)
		manager->processes = stack->vcpus;
	return 0;
}

static int start_workers(struct manager *manager, struct cl_error *reterr)
{
	struct sim_world *world = manager->load.world;

	manager->workers = calloc(manager->processes, sizeof(*manager->workers));
	for (uint32_t i = 0; manager->workers && i < manager->processes; i++) {
		struct worker *worker = &manager->workers[i];

		if (!sim_task_init(world, &worker->task, manager->load.domain, "manager",
				   task_over))
			break;
		worker->manager = manager;
		worker->task.user = true;
		sim_event_init(&world->queue, &worker->arrival, arrives);
		sim_after(&world->queue, &worker->arrival,
			  sim_random_exponential(&manager->load.random, manager->every_ns) + 1);
		manager->worker_count++;
	}
	if (manager->worker_count < manager->processes)
		return cl_fail(reterr, ENOMEM, "starting load %s: no memory", manager->load.name);
	return 0;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct manager *manager = (struct manager *)load;
	struct sim_queue *queue = &load->world->queue;
	int r = find_stack(manager, reterr);

	if (r < 0)
		return r;
	sim_event_init(queue, &manager->beat, beat);
	sim_event_init(queue, &manager->deadline, deadline);
	manager->started = true;
	manager->counted_ns = queue->now_ns;
	sim_after(queue, &manager->beat, manager->beat_every_ns);
	sim_after(queue, &manager->deadline, manager->timeout_ns);
	return start_workers(manager, reterr);
}

/* ---- by rates: what jobs need and did not get piles up, and the heartbeat waits for it ---- */

static int begin(struct sim_load *load, struct cl_error *reterr)
{
	struct manager *manager = (struct manager *)load;
	int r = find_stack(manager, reterr);

	if (r < 0)
		return r;
	manager->workers = calloc(manager->processes, sizeof(*manager->workers));
	for (uint32_t i = 0; manager->workers && i < manager->processes; i++) {
		if (!sim_load_task(load, &manager->workers[i].task, "manager", task_over))
			break;
		manager->worker_count++;
	}
	return manager->worker_count < manager->processes ? sim_load_no_memory(load, reterr) : 0;
}

static uint64_t needs_ns(const struct manager *manager, uint32_t i)
{
	uint64_t ns = manager->job_ns * CL_NS_PER_MS / manager->every_ns * 1000;

	return i == 0 ? ns + manager->beat_ns * CL_NS_PER_MS / manager->beat_every_ns * 1000 : ns;
}

/* How long one that is behind needs a CPU for itself. */
static uint64_t catch_up_ns(uint64_t behind_ns, uint64_t needs)
{
	uint64_t left = needs < CL_NS_PER_S ? CL_NS_PER_S - needs : 1;

	return sim_least(sim_scale(behind_ns, CL_NS_PER_S, left) + 1, CL_NS_PER_S);
}

static void ask(struct sim_load *load)
{
	struct manager *manager = (struct manager *)load;
	uint64_t least_ns = UINT64_MAX;

	for (uint32_t i = 0; i < manager->worker_count; i++) {
		struct worker *worker = &manager->workers[i];
		uint64_t needs = needs_ns(manager, i);

		if (worker->behind_ns)
			least_ns = sim_least(least_ns, catch_up_ns(worker->behind_ns, needs));
		worker->task.rate_ns =
			worker->behind_ns || needs > CL_NS_PER_S ? CL_NS_PER_S : needs;
	}
	load->rate.until_ns = least_ns != UINT64_MAX ? load->world->queue.now_ns + least_ns : 0;
}

static void gave(struct sim_load *load, uint64_t ns, uint64_t units)
{
	struct manager *manager = (struct manager *)load;
	uint64_t before = manager->workers[0].behind_ns, late;

	for (uint32_t i = 0; i < manager->worker_count; i++) {
		struct worker *worker = &manager->workers[i];
		uint64_t needs = ns / 1000 * needs_ns(manager, i) / CL_NS_PER_MS;
		uint64_t got = ns / 1000 * worker->task.given_ns / CL_NS_PER_MS;
		/* Where cores are shared it asks for more than it needs. */
		uint64_t asked = worker->task.asked_ns > worker->task.rate_ns
					 ? worker->task.asked_ns
					 : worker->task.rate_ns;

		got = asked ? got / 1000 * (worker->task.rate_ns * 1000 / asked) : 0;
		worker->behind_ns += needs;
		worker->behind_ns -= got < worker->behind_ns ? got : worker->behind_ns;
		if (worker->behind_ns < CL_NS_PER_MS)
			worker->behind_ns = 0;
		manager->rest_ns += got;
	}
	manager->jobs += manager->rest_ns / manager->job_ns;
	manager->rest_ns %= manager->job_ns;
	late = manager->workers[0].behind_ns;
	/* It rose or fell evenly: when was it the time-out? */
	uint64_t past = late > manager->timeout_ns ? late - manager->timeout_ns
						   : manager->timeout_ns - late;
	uint64_t moved = late > before ? late - before : before - late;
	uint64_t ago = moved ? (uint64_t)((unsigned __int128)ns * past / moved) : 0;
	uint64_t then = load->world->queue.now_ns - (ago < ns ? ago : ns);

	if (late > manager->timeout_ns && !manager->dead) {
		manager->dead_since_ns = then;
		manager->given_up++;
	} else if (late <= manager->timeout_ns && manager->dead) {
		manager->dead_ns +=
			then > manager->dead_since_ns ? then - manager->dead_since_ns : 0;
	}
	manager->dead = late > manager->timeout_ns;
}

static uint64_t spent(const struct manager *manager)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < manager->worker_count; i++)
		ns += manager->workers[i].task.cpu_ns;
	return ns;
}

static void reset(struct sim_load *load)
{
	struct manager *manager = (struct manager *)load;

	manager->before_ns = spent(manager);
	manager->late = (struct sim_histogram){ 0 };
	manager->given_up = manager->dead ? 1 : 0;
	manager->dead_ns = manager->jobs = 0;
	manager->counted_ns = load->world->queue.now_ns;
	if (manager->dead)
		manager->dead_since_ns = manager->counted_ns;
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct manager *manager = (const struct manager *)load;
	uint64_t now = load->world->queue.now_ns, dead = manager->dead_ns;
	double span = (double)span_ns;

	if (manager->dead)
		dead += now - manager->dead_since_ns;
	sim_report_add(report, load->name, "cpu", "CPUs",
		       (double)(spent(manager) - manager->before_ns) / span, SIM_NEITHER);
	sim_report_add(report, load->name, "jobs", "1/s",
		       (double)manager->jobs * (double)CL_NS_PER_S / span, SIM_HIGHER);
	sim_report_add(report, load->name, "given_up", "times", (double)manager->given_up,
		       SIM_LOWER);
	sim_report_add(report, load->name, "dead", "share", (double)dead / span, SIM_LOWER);
	if (!manager->late.count)
		return;
	sim_report_add(report, load->name, "heartbeat", "ns",
		       (double)manager->late.sum / (double)manager->late.count, SIM_LOWER);
	sim_report_add(report, load->name, "heartbeat.p99", "ns",
		       (double)sim_histogram_quantile(&manager->late, 990000), SIM_LOWER);
}

static void stop(struct sim_load *load)
{
	struct manager *manager = (struct manager *)load;

	for (uint32_t i = 0; i < manager->worker_count; i++) {
		sim_task_done(load->world, &manager->workers[i].task);
		if (manager->started)
			sim_event_done(&load->world->queue, &manager->workers[i].arrival);
	}
	if (manager->started) {
		sim_event_done(&load->world->queue, &manager->beat);
		sim_event_done(&load->world->queue, &manager->deadline);
	}
	manager->started = false;
	manager->worker_count = 0;
	free(manager->workers);
	manager->workers = NULL;
}

const struct sim_load_ops sim_load_manager = {
	.name = "manager",
	.doc = "a cloud's management in dom0, and a controller that waits for its heartbeat",
	.bytes = sizeof(struct manager),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
	.begin = begin,
	.ask = ask,
	.gave = gave,
};
