/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hog: burns CPU, in so many tasks; what it gets is what is counted. */
#include "load.h"

#include <stdlib.h>

#define BURST_NS UINT64_C(5000000)

struct hog {
	struct sim_load load;
	uint64_t tasks, weight;
	struct sim_task *all;
	uint64_t before_ns;
};

static const struct sim_load_param params[] = {
	{ "tasks", "how many burn", SIM_COUNT, 1, 1, 1024, offsetof(struct hog, tasks) },
	{ "weight", "of each in the guest's kernel", SIM_COUNT, 1024, 2, 262144,
	  offsetof(struct hog, weight) },
	{ 0 },
};

static void again(struct sim_world *world, struct sim_task *task)
{
	const struct sim_burst burst = { BURST_NS, 0, CL_NONE, CL_NONE };

	sim_task_run(world, task, &burst);
}

static uint64_t spent(const struct hog *hog)
{
	uint64_t ns = 0;

	for (uint64_t i = 0; hog->all && i < hog->tasks; i++)
		ns += hog->all[i].cpu_ns;
	return ns;
}

static int begin(struct sim_load *load, struct cl_error *reterr)
{
	struct hog *hog = (struct hog *)load;

	hog->all = calloc(hog->tasks, sizeof(*hog->all));
	if (!hog->all)
		return sim_load_no_memory(load, reterr);
	for (uint64_t i = 0; i < hog->tasks; i++) {
		if (!sim_load_task(load, &hog->all[i], "hog", again))
			return sim_load_no_memory(load, reterr);
		hog->all[i].weight = hog->weight;
	}
	return 0;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct hog *hog = (struct hog *)load;
	int r = begin(load, reterr);

	for (uint64_t i = 0; r == 0 && i < hog->tasks; i++)
		again(load->world, &hog->all[i]);
	return r;
}

static void ask(struct sim_load *load)
{
	struct hog *hog = (struct hog *)load;

	for (uint64_t i = 0; i < hog->tasks; i++)
		hog->all[i].rate_ns = CL_NS_PER_S;
}

static void reset(struct sim_load *load)
{
	struct hog *hog = (struct hog *)load;

	hog->before_ns = spent(hog);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct hog *hog = (const struct hog *)load;

	sim_report_add(report, load->name, "cpu", "CPUs",
		       (double)(spent(hog) - hog->before_ns) / (double)span_ns, SIM_HIGHER);
}

static void stop(struct sim_load *load)
{
	struct hog *hog = (struct hog *)load;

	for (uint64_t i = 0; hog->all && i < hog->tasks; i++)
		sim_task_done(load->world, &hog->all[i]);
	free(hog->all);
	hog->all = NULL;
}

const struct sim_load_ops sim_load_hog = {
	.name = "hog",
	.doc = "burns CPU",
	.bytes = sizeof(struct hog),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
	.begin = begin,
	.ask = ask,
};
