/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new guest: the toolstack's time, its memory, and the clearing of what was not clear yet. */
#include "manage_op.h"

#include <assert.h>
#include <errno.h>

#define EXTENT (UINT64_C(2) << 20) /* populated in superpages, as xg_dom does */

int sim_op_new_guest(struct sim_op *op, uint64_t *ret_clear_ns, struct cl_error *reterr)
{
	const struct sim_order *order = &op->order;
	struct sim_world *world = op->manager->world;
	uint64_t bytes[SIM_NODES_MAX], dirty = 0, count = 0;
	struct sim_pool *pool = order->pool ? order->pool : world->domains[0]->pool;

	if (!sim_mem_plan(world, order->nodes, order->bytes, bytes))
		return cl_fail(reterr, ENOMEM,
			       "creating %s: %llu MiB are not free on the nodes it may have",
			       order->name, (unsigned long long)(order->bytes >> 20));
	op->guest = sim_domain_new(world, SIM_GUEST, order->name, order->vcpus, pool);
	if (!op->guest)
		return cl_fail(reterr, ENOMEM, "creating %s: no memory", order->name);
	sim_domain_pause(world, op->guest, true);
	op->guest->mem_max = order->bytes;
	for (uint32_t node = 0; node < world->node_count; node++) {
		dirty += sim_mem_take(op->manager, op->guest, node, bytes[node]);
		count += (bytes[node] + EXTENT - 1) / EXTENT;
	}
	*ret_clear_ns = sim_scrub_ns(world, dirty) + count * world->costs.page_ns;
	return 0;
}

static void created(struct sim_op *op)
{
	sim_domain_pause(op->manager->world, op->guest, false);
	sim_op_end(op, 0);
}

int sim_op_create(struct sim_op *op, struct cl_error *reterr)
{
	struct sim_burst burst = { 0, 0, CL_NONE, CL_NONE };
	int r;

	if (!sim_op_task(op, op->manager->world->domains[0], "xl"))
		return cl_fail(reterr, ENOMEM, "creating %s: no memory", op->order.name);
	r = sim_op_new_guest(op, &burst.cpu_ns, reterr);
	if (r < 0)
		return r;
	burst.cpu_ns += op->manager->world->costs.create_ns;
	sim_op_run(op, &burst, created);
	return 0;
}

/* Built like a new one, but what is in its memory is read. */
int sim_op_restore(struct sim_op *op, struct cl_error *reterr)
{
	struct sim_burst burst = { 0, 0, CL_NONE, CL_NONE };
	int r;

	op->copy.disk = op->order.disk ? op->order.disk : op->manager->disk;
	if (!op->copy.disk)
		return cl_fail(reterr, ENODEV, "restoring %s: there is no disk to read it from",
			       op->order.name);
	r = sim_op_new_guest(op, &burst.cpu_ns, reterr);
	if (r < 0)
		return r;
	if (!sim_op_task(op, op->manager->world->domains[0], "libxl-save-help")) {
		for (uint32_t node = 0; node < op->manager->world->node_count; node++)
			sim_mem_give(op->manager, op->guest, node, op->guest->mem[node], true);
		op->guest->alive = false;
		return cl_fail(reterr, ENOMEM, "restoring %s: no memory", op->order.name);
	}
	burst.cpu_ns += op->manager->world->costs.create_ns;
	sim_op_run(op, &burst, sim_copy_receive);
	return 0;
}
