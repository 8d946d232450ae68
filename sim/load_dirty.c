/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirty: writes pages of a part of the guest's memory, one after the other and round again, so many
 * a second if it gets the CPU for it. What has been written is in the domain (dirty_writes,
 * dirty_set): migration has to copy it.
 */
#include "load.h"

#include <errno.h>

struct dirtier {
	struct sim_load load;
	uint64_t rate, set_bytes, page_cpu_ns, step_ns;
	struct sim_task task;
	struct sim_event next;
	bool started;
	uint64_t base_ns, due; /* due: pages that were asked for since base */
	uint64_t last_ns;      /* it last began to write */
	uint64_t writing;      /* pages of the present burst */
	uint64_t written, written_before;
};

static uint64_t set_pages(const struct dirtier *dirtier)
{
	return dirtier->set_bytes / SIM_PAGE;
}

/* When the next page is due; at high rates several go together. */
static void ask_next(struct dirtier *dirtier)
{
	struct sim_queue *queue = &dirtier->load.world->queue;
	uint64_t pages = dirtier->due + 1, at = dirtier->base_ns + 1;

	at += (uint64_t)((unsigned __int128)pages * CL_NS_PER_S / dirtier->rate);
	dirtier->last_ns += dirtier->step_ns;
	sim_at(queue, &dirtier->next, at > dirtier->last_ns ? at : dirtier->last_ns);
}

/* What it could not write in a step, for want of CPU, it does not make up for later. */
static void tick(struct sim_queue *queue, struct sim_event *event)
{
	struct dirtier *dirtier = sim_of(event, struct dirtier, next);
	uint64_t due = (uint64_t)((unsigned __int128)(queue->now_ns - dirtier->base_ns) *
				  dirtier->rate / CL_NS_PER_S);
	uint64_t most = dirtier->rate * dirtier->step_ns / CL_NS_PER_S + 1;
	uint32_t node = sim_domain_node(dirtier->load.domain);

	dirtier->writing = due - dirtier->due < most ? due - dirtier->due : most;
	dirtier->due = due;
	dirtier->last_ns = queue->now_ns;
	struct sim_burst burst = { dirtier->writing * dirtier->page_cpu_ns,
				   dirtier->writing * SIM_PAGE, node, node };

	sim_task_run(dirtier->load.world, &dirtier->task, &burst);
}

static void task_done(struct sim_world *world, struct sim_task *task)
{
	struct dirtier *dirtier = sim_of(task, struct dirtier, task);

	dirtier->written += dirtier->writing;
	dirtier->load.domain->dirty_writes += dirtier->writing;
	ask_next(dirtier);
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct dirtier *dirtier = (struct dirtier *)load;

	if (!sim_load_task(load, &dirtier->task, "dirty", task_done))
		return sim_load_no_memory(load, reterr);
	sim_event_init(&load->world->queue, &dirtier->next, tick);
	dirtier->started = true;
	load->domain->dirty_set += set_pages(dirtier);
	dirtier->base_ns = dirtier->last_ns = load->world->queue.now_ns;
	ask_next(dirtier);
	return 0;
}

static void reset(struct sim_load *load)
{
	struct dirtier *dirtier = (struct dirtier *)load;

	dirtier->written_before = dirtier->written;
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct dirtier *dirtier = (const struct dirtier *)load;

	sim_report_rate(report, load->name, "pages", "1/s",
			dirtier->written - dirtier->written_before, span_ns);
}

static void stop(struct sim_load *load)
{
	struct dirtier *dirtier = (struct dirtier *)load;

	if (!dirtier->started)
		return;
	dirtier->started = false;
	load->domain->dirty_set -= set_pages(dirtier);
	sim_task_done(load->world, &dirtier->task);
	sim_event_done(&load->world->queue, &dirtier->next);
}

#define IN(member) offsetof(struct dirtier, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "rate", "pages a second", SIM_PER_S, 10000, 1, 100000000, IN(rate) },
	{ "set", "memory that is written round and round", SIM_BYTES, UINT64_C(256) << 20, SIM_PAGE, UINT64_C(1) << 42, IN(set_bytes) },
	{ "cpu", "CPU time a page, without its bytes; assumption: a fault in log-dirty mode now and then", SIM_NS, 100, 1, CL_NS_PER_S, IN(page_cpu_ns) },
	{ "step", "least time between two goes; at high rates several pages go together", SIM_NS, CL_NS_PER_MS, 1000, CL_NS_PER_S, IN(step_ns) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_dirty = {
	.name = "dirty",
	.doc = "writes so many pages a second, which a migration has to copy again",
	.bytes = sizeof(struct dirtier),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
