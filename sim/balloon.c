/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Balloon: a domain's own kernel gives pages back, having cleared them (Linux:
 * CONFIG_XEN_SCRUB_PAGES_DEFAULT), or takes some. Part by part, so that neither waits for all of
 * it. From one domain to another: each part on the node on which it was given.
 */
#include "manage_op.h"

#include <errno.h>
#include <stdlib.h>

#define RETRY_NS (20 * CL_NS_PER_MS) /* until a balloon looks again at what it is asked for */
#define PART     (UINT64_C(512) * SIM_PAGE) /* frames in one reservation: Linux's balloon */

static void next_part(struct sim_op *op);

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool may_use(const struct sim_op *op, uint32_t node)
{
	return !op->order.nodes || (op->order.nodes >> node & 1);
}

static struct sim_burst part_burst(const struct sim_op *op, uint64_t clear_ns)
{
	uint64_t pages = (op->part + SIM_PAGE - 1) / SIM_PAGE;

	return (struct sim_burst){ pages * op->manager->world->costs.page_ns + clear_ns, 0,
				   op->node, CL_NONE };
}

static void taken(struct sim_op *op)
{
	op->left -= op->part;
	next_part(op);
}

/* The taker's part of it; its memory is taken at once, so that nobody else gets it. */
static void take(struct sim_op *op)
{
	const struct sim_world *world = op->manager->world;
	struct sim_burst burst;
	uint64_t dirty;

	op->part = least(op->part, world->nodes[op->node].free_bytes);
	if (op->part == 0) { /* somebody else was there first */
		sim_op_end(op, ENOMEM);
		return;
	}
	dirty = sim_mem_take(op->manager, op->order.taker, op->node, op->part);
	burst = part_burst(op, sim_scrub_ns(world, dirty));
	sim_op_run_peer(op, &burst, taken);
}

static void given(struct sim_op *op)
{
	op->part = least(op->part, op->guest->mem[op->node]);
	sim_mem_give(op->manager, op->guest, op->node, op->part, false);
	if (op->part == 0)
		sim_op_end(op, ENOMEM);
	else if (op->order.taker)
		take(op);
	else
		taken(op);
}

/* Where there is most of it. */
static void choose_node(struct sim_op *op)
{
	const struct sim_world *world = op->manager->world;
	uint64_t most = 0;

	op->node = CL_NONE;
	for (uint32_t node = 0; node < world->node_count; node++) {
		uint64_t bytes = op->guest ? op->guest->mem[node] : world->nodes[node].free_bytes;

		if (!may_use(op, node) || bytes <= most)
			continue;
		most = bytes;
		op->node = node;
	}
	op->part = least(least(most, op->left), PART);
}

static void next_part(struct sim_op *op)
{
	struct sim_burst burst;

	if (op->left == 0) {
		sim_op_end(op, 0);
		return;
	}
	choose_node(op);
	if (op->node == CL_NONE) {
		sim_op_end(op, ENOMEM);
	} else if (op->guest) {
		burst = part_burst(op, sim_scrub_ns(op->manager->world, op->part));
		sim_op_run(op, &burst, given);
	} else {
		take(op);
	}
}

static int check(const struct sim_op *op, struct cl_error *reterr)
{
	const struct sim_domain *giver = op->guest, *taker = op->order.taker;
	const struct sim_world *world = op->manager->world;
	uint64_t there = 0;

	for (uint32_t node = 0; node < world->node_count; node++)
		if (may_use(op, node))
			there += giver ? giver->mem[node] : world->nodes[node].free_bytes;
	if (op->left == 0 || op->left > there)
		return cl_fail(reterr, op->left ? ENOMEM : EINVAL,
			       "balloon: %llu KiB of %s, which has %llu KiB there",
			       (unsigned long long)(op->left >> 10),
			       giver ? giver->name : "free memory",
			       (unsigned long long)(there >> 10));
	if (taker && taker->mem_max && sim_domain_bytes(taker) + op->left > taker->mem_max)
		return cl_fail(reterr, EINVAL, "balloon: %s may have %llu MiB at most", taker->name,
			       (unsigned long long)(taker->mem_max >> 20));
	return 0;
}

/* ---- asked for a size, as by xenstore's memory/target ---- */

struct sim_balloon {
	struct sim_domain *domain;
	struct sim_event again;
	uint64_t had; /* by the domain, before it was asked first */
};

static void step(struct sim_domain *domain);

static void try_again(struct sim_queue *queue, struct sim_event *event)
{
	step(sim_of(event, struct sim_balloon, again)->domain);
}

static void stepped(struct sim_op *op)
{
	struct sim_domain *domain = op->order.owner;

	sim_after(&op->manager->world->queue, &domain->balloon->again, RETRY_NS);
}

/* Its own nodes, where these have as much free. */
static uint64_t nodes_for(const struct sim_domain *domain, uint64_t bytes)
{
	const struct sim_world *world = domain->world;
	uint64_t nodes = 0, there = 0;

	for (uint32_t node = 0; node < world->node_count; node++) {
		if (domain->mem[node] == 0)
			continue;
		nodes |= UINT64_C(1) << node;
		there += world->nodes[node].free_bytes;
	}
	return there >= bytes ? nodes : 0;
}

/* As much of the way as is possible now. */
static void step(struct sim_domain *domain)
{
	struct sim_world *world = domain->world;
	struct sim_order order = { .kind = SIM_OP_BALLOON, .done = stepped, .owner = domain };
	uint64_t has = sim_domain_bytes(domain), to = domain->mem_target, free = 0, floor;

	for (uint32_t node = 0; node < world->node_count; node++)
		free += world->nodes[node].free_bytes;
	floor = domain->balloon->had > domain->balloon_max
			? domain->balloon->had - domain->balloon_max
			: 0;
	to = to < floor ? floor : to;
	if (!domain->alive || to == has)
		return;
	order.bytes = to < has ? has - to : least(to - has, free);
	if (to < has)
		order.guest = domain;
	else
		order.taker = domain;
	order.nodes = to < has ? 0 : nodes_for(domain, order.bytes);
	if (order.bytes == 0 || sim_manage(world->manager, &order, NULL) < 0)
		sim_after(&world->queue, &domain->balloon->again, RETRY_NS);
}

bool sim_balloon_aim(struct sim_world *world, struct sim_domain *domain, uint64_t bytes)
{
	if (!world->manager && !sim_manager_new(world))
		return false;
	if (!domain->balloon) {
		domain->balloon = calloc(1, sizeof(*domain->balloon));
		if (!domain->balloon)
			return false;
		sim_event_init(&world->queue, &domain->balloon->again, try_again);
		domain->balloon->domain = domain;
		domain->balloon->had = sim_domain_bytes(domain);
	}
	domain->mem_target = bytes;
	if (!sim_is_pending(&domain->balloon->again))
		step(domain);
	return true;
}

void sim_balloon_done(struct sim_domain *domain)
{
	if (domain->balloon)
		sim_event_done(&domain->world->queue, &domain->balloon->again);
	free(domain->balloon);
}

int sim_op_balloon(struct sim_op *op, struct cl_error *reterr)
{
	int r;

	op->left = op->order.bytes;
	r = check(op, reterr);
	if (r < 0)
		return r;
	if ((op->guest && !sim_op_task(op, op->guest, "xen-balloon")) ||
	    (op->order.taker && !sim_op_peer(op, op->order.taker, "xen-balloon")))
		return cl_fail(reterr, ENOMEM, "balloon: no memory");
	next_part(op);
	return 0;
}
