/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The toolstack: orders are checked, carried out and counted; a guest comes to its end. */
#include "manage.h"
#include "manage_op.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool for_guest;
} kinds[] = {
#define X(id, name, guest, doc) { name, guest },
	SIM_OPS(X)
#undef X
};

const char *sim_op_name(enum sim_op_kind kind)
{
	return kinds[kind].name;
}

const struct sim_order *sim_op_order(const struct sim_op *op)
{
	return &op->order;
}

const struct sim_op_result *sim_op_result(const struct sim_op *op)
{
	return &op->result;
}

struct sim_domain *sim_op_guest(const struct sim_op *op)
{
	return op->guest;
}

struct sim_manager *sim_manager_new(struct sim_world *world)
{
	struct sim_manager *manager = calloc(1, sizeof(*manager));

	assert(!world->manager);
	if (!manager)
		return NULL;
	manager->world = world;
	if (!sim_scrub_init(manager)) {
		free(manager);
		return NULL;
	}
	world->manager = manager;
	return manager;
}

static void free_ops(struct sim_op *op)
{
	while (op) {
		struct sim_op *next = op->next;

		if (op->has_task)
			sim_task_done(op->manager->world, &op->task);
		if (op->has_peer)
			sim_task_done(op->manager->world, &op->peer);
		free(op);
		op = next;
	}
}

void sim_manager_free(struct sim_manager *manager)
{
	if (!manager)
		return;
	free_ops(manager->ops);
	free_ops(manager->drained);
	sim_scrub_done(manager);
	manager->world->manager = NULL;
	free(manager);
}

/* ---- an operation's tasks ---- */

static void task_over(struct sim_world *world, struct sim_task *task)
{
	struct sim_op *op = sim_of(task, struct sim_op, task);

	op->step(op);
}

static void peer_over(struct sim_world *world, struct sim_task *task)
{
	struct sim_op *op = sim_of(task, struct sim_op, peer);

	op->peer_step(op);
}

void sim_op_run(struct sim_op *op, const struct sim_burst *burst, void (*step)(struct sim_op *op))
{
	op->step = step;
	sim_task_run(op->manager->world, &op->task, burst);
}

void sim_op_run_peer(struct sim_op *op, const struct sim_burst *burst,
		     void (*step)(struct sim_op *op))
{
	op->peer_step = step;
	sim_task_run(op->manager->world, &op->peer, burst);
}

/* Shutdown is work for the guest as migration is; there is one kind for both. */
static void set_kind(const struct sim_op *op, struct sim_task *task)
{
	task->user = true;
	if (task->domain->kind == SIM_DOM0 && kinds[op->order.kind].for_guest && op->guest) {
		task->user = false;
		task->kind = CL_WORK_MIGRATION;
		task->guest = op->guest->id;
	}
}

bool sim_op_task(struct sim_op *op, struct sim_domain *domain, const char *name)
{
	op->has_task = sim_task_init(op->manager->world, &op->task, domain, name, task_over);
	if (op->has_task)
		set_kind(op, &op->task);
	return op->has_task;
}

bool sim_op_peer(struct sim_op *op, struct sim_domain *domain, const char *name)
{
	op->has_peer = sim_task_init(op->manager->world, &op->peer, domain, name, peer_over);
	if (op->has_peer)
		set_kind(op, &op->peer);
	return op->has_peer;
}

/* ---- the end ---- */

static void unlink_op(struct sim_op **at, const struct sim_op *op)
{
	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
}

static void count(struct sim_op *op, int code)
{
	struct sim_op_counts *counts = &op->manager->counts[op->order.kind];

	op->result.code = -code;
	op->result.took_ns = op->manager->world->queue.now_ns - op->began_ns;
	if (code) {
		counts->failed++;
		return;
	}
	counts->done++;
	counts->took_ns += op->result.took_ns;
	counts->standstill_ns += op->result.standstill_ns;
	sim_histogram_add(&counts->took, op->result.took_ns);
}

void sim_op_end(struct sim_op *op, int code)
{
	struct sim_manager *manager = op->manager;
	void (*done)(struct sim_op * op) = op->order.done;

	unlink_op(&manager->ops, op);
	count(op, code);
	if (op->has_task)
		sim_task_done(manager->world, &op->task);
	if (op->has_peer)
		sim_task_done(manager->world, &op->peer);
	op->has_task = op->has_peer = false;
	op->ended = true;
	op->next = manager->drained;
	manager->drained = op;
	if (done)
		done(op);
	/* What is on the line still refers to it. */
	if (op->under_way == 0) {
		unlink_op(&manager->drained, op);
		free(op);
	}
}

bool sim_op_back(struct sim_op *op)
{
	bool ended = op->ended;

	op->under_way--;
	if (ended && op->under_way == 0) {
		unlink_op(&op->manager->drained, op);
		free(op);
	}
	return !ended;
}

/* ---- destroying ---- */

uint64_t sim_scrub_ns(const struct sim_world *world, uint64_t bytes)
{
	return world->costs.scrub_bandwidth ? (uint64_t)((unsigned __int128)bytes * CL_NS_PER_S /
							 world->costs.scrub_bandwidth)
					    : 0;
}

/* Back ends do nothing for it any more, and leave its containers, which may go then. */
static void leave(struct sim_world *world, struct sim_domain *guest)
{
	struct sim_domain *dom0 = world->domains[0];

	for (struct sim_vif *vif = guest->vifs; vif; vif = vif->next)
		vif->blocked = true;
	for (struct sim_vbd *vbd = guest->vbds; vbd; vbd = vbd->next)
		vbd->blocked = true;
	for (uint32_t i = 0; i < dom0->task_count; i++)
		if (dom0->tasks[i]->guest == guest->id && !dom0->tasks[i]->bound)
			sim_task_place(world, dom0->tasks[i], dom0->root, NULL);
}

static void release(struct sim_op *op)
{
	struct sim_world *world = op->manager->world;
	struct sim_domain *guest = op->guest;

	if (op->manager->scrub_at_once && op->node < world->node_count)
		sim_mem_give(op->manager, guest, op->node, guest->mem[op->node], false);
	op->node = op->node == CL_NONE ? 0 : op->node + 1;
	while (op->node < world->node_count) {
		if (guest->mem[op->node] && op->manager->scrub_at_once) {
			struct sim_burst burst = { sim_scrub_ns(world, guest->mem[op->node]), 0,
						   op->node, CL_NONE };

			sim_op_run(op, &burst, release);
			return;
		}
		sim_mem_give(op->manager, guest, op->node, guest->mem[op->node], true);
		op->node++;
	}
	guest->alive = false;
	leave(world, guest);
	sim_op_end(op, 0);
}

void sim_op_destroy(struct sim_op *op)
{
	struct sim_burst burst = { op->manager->world->costs.destroy_ns, 0, CL_NONE, CL_NONE };

	sim_domain_pause(op->manager->world, op->guest, true);
	op->node = CL_NONE;
	sim_op_run(op, &burst, release);
}

static int destroy(struct sim_op *op, struct cl_error *reterr)
{
	if (!sim_op_task(op, op->manager->world->domains[0], "xl"))
		return cl_fail(reterr, ENOMEM, "destroying %s: no memory", op->guest->name);
	sim_op_destroy(op);
	return 0;
}

/* ---- shutting down: asked by xenstore, the guest stops its services, the toolstack does the rest
 */

static void stopped(struct sim_op *op)
{
	sim_op_destroy(op);
}

static void asked(struct sim_op *op)
{
	struct sim_burst burst = { op->order.guest_ns, 0, CL_NONE, CL_NONE };

	sim_op_run_peer(op, &burst, stopped);
}

static int shut_down(struct sim_op *op, struct cl_error *reterr)
{
	struct sim_burst burst = { op->manager->world->costs.hypercall_ns, 0, CL_NONE, CL_NONE };

	if (!sim_op_task(op, op->manager->world->domains[0], "xl") ||
	    !sim_op_peer(op, op->guest, "shutdown"))
		return cl_fail(reterr, ENOMEM, "shutting %s down: no memory", op->guest->name);
	sim_op_run(op, &burst, asked);
	return 0;
}

/* ---- orders ---- */

static int begin(struct sim_op *op, struct cl_error *reterr)
{
	switch (op->order.kind) {
	case SIM_OP_CREATE:
		return sim_op_create(op, reterr);
	case SIM_OP_DESTROY:
		return destroy(op, reterr);
	case SIM_OP_SHUTDOWN:
		return shut_down(op, reterr);
	case SIM_OP_SAVE:
		return sim_op_save(op, reterr);
	case SIM_OP_RESTORE:
		return sim_op_restore(op, reterr);
	case SIM_OP_MIGRATE:
		return sim_op_migrate(op, reterr);
	case SIM_OP_BALLOON:
		return sim_op_balloon(op, reterr);
	case SIM_OP_COUNT:
		break;
	}
	return cl_fail(reterr, EINVAL, "an operation of no kind was ordered");
}

static bool is_about(const struct sim_op *op, const struct sim_domain *domain)
{
	return domain && (op->guest == domain || op->order.taker == domain);
}

static struct sim_op *find_op(const struct sim_manager *manager, const struct sim_domain *domain,
			      const struct sim_op *but)
{
	for (struct sim_op *op = manager->ops; op; op = op->next)
		if (op != but && is_about(op, domain))
			return op;
	return NULL;
}

static int check_domain(const struct sim_manager *manager, const struct sim_order *order,
			const struct sim_domain *domain, struct cl_error *reterr)
{
	const char *verb = sim_op_name(order->kind);
	const struct sim_op *other = find_op(manager, domain, NULL);

	if (!domain->alive)
		return cl_fail(reterr, ESRCH, "%s of %s: it is gone", verb, domain->name);
	if (domain->kind != SIM_GUEST && order->kind != SIM_OP_BALLOON)
		return cl_fail(reterr, EINVAL, "%s of %s: it is not a guest", verb, domain->name);
	if (other && (order->kind != SIM_OP_DESTROY || other->order.kind == SIM_OP_DESTROY))
		return cl_fail(reterr, EBUSY, "%s of %s: %s of it is under way", verb, domain->name,
			       sim_op_name(other->order.kind));
	return 0;
}

static int check(const struct sim_manager *manager, const struct sim_order *order,
		 struct cl_error *reterr)
{
	bool makes = order->kind == SIM_OP_CREATE || order->kind == SIM_OP_RESTORE;
	const char *verb = sim_op_name(order->kind);
	int r = 0;

	if (makes && (!order->name || order->vcpus == 0 || order->guest))
		return cl_fail(reterr, EINVAL, "%s: a new guest needs a name and vCPUs", verb);
	if (!makes && !order->guest && (order->kind != SIM_OP_BALLOON || !order->taker))
		return cl_fail(reterr, EINVAL, "%s: of no guest", verb);
	if (order->guest && order->guest == order->taker)
		return cl_fail(reterr, EINVAL, "%s: %s cannot give to itself", verb,
			       order->guest->name);
	if (order->guest)
		r = check_domain(manager, order, order->guest, reterr);
	if (r == 0 && order->taker)
		r = check_domain(manager, order, order->taker, reterr);
	return r;
}

int sim_manage(struct sim_manager *manager, const struct sim_order *order, struct cl_error *reterr)
{
	struct sim_op *op, **end = &manager->ops, *other;
	int r;

	assert(order->kind < SIM_OP_COUNT);
	r = check(manager, order, reterr);
	if (r < 0)
		return r;
	op = calloc(1, sizeof(*op));
	if (!op)
		return cl_fail(reterr, ENOMEM, "%s: no memory", sim_op_name(order->kind));
	op->manager = manager;
	op->order = *order;
	op->guest = order->guest;
	op->began_ns = manager->world->queue.now_ns;
	while (*end)
		end = &(*end)->next;
	*end = op;
	r = begin(op, reterr);
	if (r < 0) {
		unlink_op(&manager->ops, op);
		op->next = NULL;
		free_ops(op);
		return r;
	}
	manager->counts[order->kind].begun++;
	/* Only a destruction comes between. */
	while (order->kind == SIM_OP_DESTROY && (other = find_op(manager, order->guest, op)))
		sim_op_end(other, ESRCH);
	return 0;
}

struct sim_domain *sim_manage_forget(struct sim_manager *manager, const void *owner)
{
	struct sim_domain *guest = NULL;

	for (struct sim_op *op = manager->ops; op; op = op->next) {
		if (op->order.owner != owner)
			continue;
		op->order.done = NULL;
		op->order.owner = NULL;
		guest = op->guest;
	}
	return guest;
}

void sim_manage_report(const struct sim_manager *manager, struct sim_report *report)
{
	for (uint32_t kind = 0; kind < SIM_OP_COUNT; kind++) {
		const struct sim_op_counts *counts = &manager->counts[kind];
		char name[40];

		if (!counts->begun && !counts->done && !counts->failed)
			continue;
		snprintf(name, sizeof(name), "host.%s", kinds[kind].name);
		sim_report_add(report, name, "done", "times", (double)counts->done, SIM_HIGHER);
		sim_report_add(report, name, "failed", "times", (double)counts->failed, SIM_LOWER);
		if (!counts->done)
			continue;
		sim_report_add(report, name, "time", "ns",
			       (double)counts->took_ns / (double)counts->done, SIM_LOWER);
		if (counts->standstill_ns)
			sim_report_add(report, name, "standstill", "ns",
				       (double)counts->standstill_ns / (double)counts->done,
				       SIM_LOWER);
	}
}
