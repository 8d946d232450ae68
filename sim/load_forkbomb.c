/* SPDX-License-Identifier: GPL-2.0-or-later */
/* forkbomb: each task makes another one and burns on, until there are as many as may be. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>

#define BURST_NS UINT64_C(5000000)

struct bomb;

struct child {
	struct bomb *bomb;
	struct sim_task task;
	uint64_t ran_ns; /* since it made one */
};

struct bomb {
	struct sim_load load;
	uint64_t most, fork_ns, every_ns;
	struct child *all;
	uint64_t count, before_ns;
};

static void child_done(struct sim_world *world, struct sim_task *task);

static void burn(struct child *child, uint64_t more_ns)
{
	uint64_t every = child->bomb->every_ns;
	const struct sim_burst burst = { (every < BURST_NS ? every : BURST_NS) + more_ns, 0,
					 CL_NONE, CL_NONE };

	child->ran_ns += burst.cpu_ns;
	sim_task_run(child->bomb->load.world, &child->task, &burst);
}

/* False: no memory, which ends the run. */
static bool make(struct bomb *bomb)
{
	struct child *child = &bomb->all[bomb->count];

	child->bomb = bomb;
	if (!sim_load_task(&bomb->load, &child->task, "bomb", child_done))
		return false;
	bomb->count++;
	burn(child, 0);
	return true;
}

static void child_done(struct sim_world *world, struct sim_task *task)
{
	struct child *child = sim_of(task, struct child, task);
	struct bomb *bomb = child->bomb;
	uint64_t more_ns = 0;

	if (child->ran_ns >= bomb->every_ns && bomb->count < bomb->most) {
		child->ran_ns = 0;
		more_ns = bomb->fork_ns;
		make(bomb);
	}
	burn(child, more_ns);
}

static uint64_t spent(const struct bomb *bomb)
{
	uint64_t ns = 0;

	for (uint64_t i = 0; bomb->all && i < bomb->count; i++)
		ns += bomb->all[i].task.cpu_ns;
	return ns;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct bomb *bomb = (struct bomb *)load;

	bomb->all = calloc(bomb->most, sizeof(*bomb->all));
	if (!bomb->all || !make(bomb))
		return sim_load_no_memory(load, reterr);
	return 0;
}

static void reset(struct sim_load *load)
{
	struct bomb *bomb = (struct bomb *)load;

	bomb->before_ns = spent(bomb);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct bomb *bomb = (const struct bomb *)load;

	sim_report_add(report, load->name, "tasks", "tasks", (double)bomb->count, SIM_NEITHER);
	sim_report_add(report, load->name, "cpu", "CPUs",
		       (double)(spent(bomb) - bomb->before_ns) / (double)span_ns, SIM_NEITHER);
}

static void stop(struct sim_load *load)
{
	struct bomb *bomb = (struct bomb *)load;

	for (uint64_t i = 0; bomb->all && i < bomb->count; i++)
		sim_task_done(load->world, &bomb->all[i].task);
	free(bomb->all);
	bomb->all = NULL;
}

#define IN(member) offsetof(struct bomb, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "tasks", "how many there may be (ulimit -u)", SIM_COUNT, 256, 1, 4096, IN(most) },
	{ "fork", "CPU time to make one; assumption", SIM_NS, 100000, 0, CL_NS_PER_S, IN(fork_ns) },
	{ "every", "CPU time of a task after which it makes another one", SIM_NS, 10 * CL_NS_PER_MS, 100000, 1000 * CL_NS_PER_S, IN(every_ns) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_forkbomb = {
	.name = "forkbomb",
	.doc = "tasks that make tasks, up to a bound, and burn CPU",
	.bytes = sizeof(struct bomb),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
