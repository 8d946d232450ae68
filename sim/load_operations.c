/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * operations: a guest is created, lives for a while, is destroyed, migrated or saved; then the next
 * one. To dom0 that is the work of its toolstack; what each operation took is counted.
 */
#include "lib.h"
#include "manage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BURST_NS (10 * CL_NS_PER_MS)

struct operations {
	struct sim_load load;
	char end[CL_PATH_MAX];
	uint64_t memory, vcpus, node, life_ns, pause_ns, dirty_rate, dirty_bytes;
	enum sim_op_kind end_kind;
	struct sim_event next;
	struct sim_domain *guest;
	struct sim_task work; /* in the guest */
	bool working, started;
	uint64_t worked_ns, rounds, refused;
	struct sim_op_counts created, ended;
};

#define IN(member) offsetof(struct operations, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "end", "how a guest ends: destroy, shutdown, migrate or save; destroy if not given", SIM_TEXT, 0, 0, 0, IN(end) },
	{ "memory", "of each", SIM_BYTES, UINT64_C(1) << 30, SIM_PAGE, UINT64_C(1) << 46, IN(memory) },
	{ "vcpus", "of each", SIM_COUNT, 1, 1, 128, IN(vcpus) },
	{ "node", "of its memory; 64: where most is free", SIM_COUNT, 64, 0, 64, IN(node) },
	{ "life", "from its creation to its end", SIM_NS, CL_NS_PER_S, 0, 86400 * CL_NS_PER_S, IN(life_ns) },
	{ "pause", "until the next one", SIM_NS, CL_NS_PER_S, 1, 86400 * CL_NS_PER_S, IN(pause_ns) },
	{ "dirty", "pages that the guest writes in a second of CPU time; 0: it does nothing", SIM_PER_S, 0, 0, 100000000, IN(dirty_rate) },
	{ "set", "memory that it writes round and round", SIM_BYTES, UINT64_C(256) << 20, SIM_PAGE, UINT64_C(1) << 46, IN(dirty_bytes) },
	{ 0 },
};
/* clang-format on */

static void count(struct sim_op_counts *counts, const struct sim_op_result *result)
{
	if (result->code) {
		counts->failed++;
		return;
	}
	counts->done++;
	counts->took_ns += result->took_ns;
	counts->standstill_ns += result->standstill_ns;
}

/* ---- in the guest ---- */

static uint64_t written(uint64_t worked_ns, uint64_t rate)
{
	return (uint64_t)((unsigned __int128)worked_ns * rate / CL_NS_PER_S);
}

static void work(struct sim_world *world, struct sim_task *task)
{
	struct operations *operations = sim_of(task, struct operations, work);
	const struct sim_burst burst = { BURST_NS, 0, CL_NONE, CL_NONE };
	uint64_t rate = operations->dirty_rate, before = operations->worked_ns;

	if (operations->working) {
		operations->worked_ns += BURST_NS;
		operations->guest->dirty_writes +=
			written(operations->worked_ns, rate) - written(before, rate);
	}
	operations->working = true;
	sim_task_run(world, task, &burst);
}

static void begin_work(struct operations *operations)
{
	operations->worked_ns = 0;
	if (!operations->dirty_rate || !sim_task_init(operations->load.world, &operations->work,
						      operations->guest, "dirty", work))
		return;
	operations->guest->dirty_set = operations->dirty_bytes / SIM_PAGE;
	work(operations->load.world, &operations->work);
}

static void end_work(struct operations *operations)
{
	if (operations->working)
		sim_task_done(operations->load.world, &operations->work);
	operations->working = false;
}

/* ---- from outside ---- */

static void later(struct operations *operations, uint64_t ns)
{
	sim_after(&operations->load.world->queue, &operations->next, ns);
}

static void ended(struct sim_op *op)
{
	struct operations *operations = sim_op_order(op)->owner;
	struct sim_domain *guest = operations->guest;

	count(&operations->ended, sim_op_result(op));
	end_work(operations);
	operations->guest = NULL;
	if (sim_op_result(op)->code == 0)
		sim_domain_free(operations->load.world, guest);
	later(operations, operations->pause_ns);
}

static void created(struct sim_op *op)
{
	struct operations *operations = sim_op_order(op)->owner;

	count(&operations->created, sim_op_result(op));
	if (sim_op_result(op)->code == 0) {
		operations->guest = sim_op_guest(op);
		begin_work(operations);
	}
	later(operations, operations->guest ? operations->life_ns : operations->pause_ns);
}

/* Its life is over, or the next one's turn has come. Somebody else may have been quicker. */
static void next(struct sim_queue *queue, struct sim_event *event)
{
	struct operations *operations = sim_of(event, struct operations, next);
	struct sim_order order = { .owner = operations };
	char name[32];

	if (operations->guest) {
		order.kind = operations->end_kind;
		order.guest = operations->guest;
		order.done = ended;
	} else {
		snprintf(name, sizeof(name), "%.20s-%u", operations->load.name,
			 (unsigned)operations->rounds++);
		order.kind = SIM_OP_CREATE;
		order.name = name;
		order.vcpus = (uint32_t)operations->vcpus;
		order.bytes = operations->memory;
		order.nodes = operations->node < 64 ? UINT64_C(1) << operations->node : 0;
		order.done = created;
	}
	if (sim_manage(operations->load.world->manager, &order, NULL) == 0)
		return;
	operations->refused++;
	if (operations->guest && !operations->guest->alive) {
		end_work(operations);
		operations->guest = NULL;
	}
	later(operations, operations->pause_ns);
}

/* ---- the load ---- */

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct operations *operations = (struct operations *)load;
	static const enum sim_op_kind ends[] = { SIM_OP_DESTROY, SIM_OP_SHUTDOWN, SIM_OP_MIGRATE,
						 SIM_OP_SAVE };
	const char *name = *operations->end ? operations->end : sim_op_name(SIM_OP_DESTROY);
	uint32_t i = 0;

	while (i < CL_COUNT(ends) && strcmp(name, sim_op_name(ends[i])) != 0)
		i++;
	if (i == CL_COUNT(ends))
		return cl_fail(reterr, EINVAL, "load %s: a guest cannot end by '%.60s'", load->name,
			       name);
	operations->end_kind = ends[i];
	if (!load->world->manager && !sim_manager_new(load->world))
		return cl_fail(reterr, ENOMEM, "starting load %s: no memory", load->name);
	if (operations->end_kind == SIM_OP_MIGRATE && !load->world->manager->nic)
		return cl_fail(reterr, ENODEV, "load %s: there is no line to another host",
			       load->name);
	if (operations->end_kind == SIM_OP_SAVE && !load->world->manager->disk)
		return cl_fail(reterr, ENODEV, "load %s: there is no disk to save to", load->name);
	sim_event_init(&load->world->queue, &operations->next, next);
	operations->started = true;
	later(operations, 0);
	return 0;
}

static void reset(struct sim_load *load)
{
	struct operations *operations = (struct operations *)load;

	operations->created = operations->ended = (struct sim_op_counts){ 0 };
	operations->refused = 0;
}

static void report_counts(struct sim_report *report, const char *load, const char *verb,
			  const struct sim_op_counts *counts)
{
	char name[64];

	snprintf(name, sizeof(name), "%.31s.%.20s", load, verb);
	sim_report_add(report, name, "done", "times", (double)counts->done, SIM_HIGHER);
	sim_report_add(report, name, "failed", "times", (double)counts->failed, SIM_LOWER);
	if (!counts->done)
		return;
	sim_report_add(report, name, "time", "ns", (double)counts->took_ns / (double)counts->done,
		       SIM_LOWER);
	if (counts->standstill_ns)
		sim_report_add(report, name, "standstill", "ns",
			       (double)counts->standstill_ns / (double)counts->done, SIM_LOWER);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct operations *operations = (const struct operations *)load;

	report_counts(report, load->name, sim_op_name(SIM_OP_CREATE), &operations->created);
	report_counts(report, load->name, sim_op_name(operations->end_kind), &operations->ended);
	sim_report_add(report, load->name, "refused", "times", (double)operations->refused,
		       SIM_LOWER);
}

/* Its guest is destroyed, and nobody waits for that. */
static void stop(struct sim_load *load)
{
	struct operations *operations = (struct operations *)load;
	struct sim_order order = { .kind = SIM_OP_DESTROY, .guest = operations->guest };
	struct sim_manager *manager = load->world->manager;
	struct sim_domain *guest;

	if (!operations->started)
		return;
	operations->started = false;
	end_work(operations);
	sim_event_done(&load->world->queue, &operations->next);
	guest = manager ? sim_manage_forget(manager, operations) : NULL;
	if (guest)
		order.guest = guest;
	if (manager && order.guest)
		sim_manage(manager, &order, NULL);
	operations->guest = NULL;
}

const struct sim_load_ops sim_load_operations = {
	.name = "operations",
	.doc = "guests come and go: created, then destroyed, migrated or saved",
	.bytes = sizeof(struct operations),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
