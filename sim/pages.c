/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory by node, and the clearing of freed pages. Of each node one pCPU that is idle clears at a
 * time (Xen, xen/common/page_alloc.c: node_scrubbing), and stops at once when it has something to
 * run. Looked at is after each step: at the pCPU that was idle most of it.
 */
#include "manage.h"
#include "manage_op.h"

#include <assert.h>
#include <stdlib.h>

#define STEP_NS CL_NS_PER_MS

uint64_t sim_domain_bytes(const struct sim_domain *domain)
{
	uint64_t bytes = 0;

	for (uint32_t node = 0; node < domain->world->node_count; node++)
		bytes += domain->mem[node];
	return bytes;
}

/* ---- where ---- */

static uint32_t most_free(const struct sim_world *world, uint64_t nodes, const uint64_t *taken)
{
	uint32_t most = CL_NONE;

	for (uint32_t i = 0; i < world->node_count; i++) {
		if (!(nodes >> i & 1))
			continue;
		if (most == CL_NONE || world->nodes[i].free_bytes - taken[i] >
					       world->nodes[most].free_bytes - taken[most])
			most = i;
	}
	return most;
}

/* Equal parts of whole pages; what a node has not comes from those that have most. */
static bool spread(const struct sim_world *world, uint64_t nodes, uint64_t bytes, uint64_t *ret)
{
	uint32_t count = (uint32_t)__builtin_popcountll(nodes);
	uint64_t each = bytes / count / SIM_PAGE * SIM_PAGE;

	for (uint32_t i = 0; i < world->node_count; i++) {
		uint64_t free = world->nodes[i].free_bytes;

		if (!(nodes >> i & 1))
			continue;
		ret[i] = each < free ? each : free;
		bytes -= ret[i];
	}
	while (bytes > 0) {
		uint32_t most = most_free(world, nodes, ret);
		uint64_t room = world->nodes[most].free_bytes - ret[most];

		if (room == 0)
			return false;
		ret[most] += bytes < room ? bytes : room;
		bytes -= bytes < room ? bytes : room;
	}
	return true;
}

bool sim_mem_plan(const struct sim_world *world, uint64_t nodes, uint64_t bytes,
		  uint64_t ret_bytes[SIM_NODES_MAX])
{
	uint64_t all =
		world->node_count == 64 ? UINT64_MAX : (UINT64_C(1) << world->node_count) - 1;

	for (uint32_t i = 0; i < SIM_NODES_MAX; i++)
		ret_bytes[i] = 0;
	if (!nodes) {
		uint32_t most = most_free(world, all, ret_bytes);

		nodes = world->nodes[most].free_bytes >= bytes ? UINT64_C(1) << most : all;
	}
	return nodes & all ? spread(world, nodes & all, bytes, ret_bytes) : bytes == 0;
}

/* ---- whose ---- */

uint64_t sim_mem_unscrubbed(const struct sim_manager *manager, uint32_t node)
{
	uint64_t free = manager->world->nodes[node].free_bytes;

	return manager->scrub[node].bytes < free ? manager->scrub[node].bytes : free;
}

/* What is clear goes first, as Xen's allocator has it. */
uint64_t sim_mem_take(struct sim_manager *manager, struct sim_domain *domain, uint32_t node,
		      uint64_t bytes)
{
	uint64_t dirty = manager ? sim_mem_unscrubbed(manager, node) : 0;
	uint64_t clear = domain->world->nodes[node].free_bytes - dirty;
	uint64_t left = bytes > clear ? bytes - clear : 0;

	assert(bytes <= domain->world->nodes[node].free_bytes);
	domain->world->nodes[node].free_bytes -= bytes;
	domain->mem[node] += bytes;
	if (manager)
		manager->scrub[node].bytes = dirty - left;
	return left;
}

/* ---- clearing ---- */

/* A node without CPUs is cleared by any. */
static bool has_pcpu(const struct sim_world *world, uint32_t node)
{
	for (uint32_t p = 0; p < world->pcpu_count; p++)
		if (world->pcpus[p].node == node)
			return true;
	return false;
}

static bool may_clear(const struct sim_scrub *scrub, const struct sim_pcpu *pcpu)
{
	return pcpu->online && (pcpu->node == scrub->node || !has_pcpu(pcpu->world, scrub->node));
}

static void begin(struct sim_scrub *scrub)
{
	struct sim_world *world = scrub->manager->world;

	scrub->began_ns = world->queue.now_ns;
	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		scrub->busy_ns[p] = sim_pcpu_busy_ns(&world->pcpus[p]);
		if (!world->pcpus[p].running && may_clear(scrub, &world->pcpus[p]))
			scrub->on = true;
	}
	if (scrub->on) /* it takes its part of the node's bandwidth */
		world->nodes[scrub->node].streams++;
	sim_after(&world->queue, &scrub->step, STEP_NS);
}

static uint64_t idle_ns(const struct sim_scrub *scrub)
{
	const struct sim_world *world = scrub->manager->world;
	uint64_t most = 0, span = world->queue.now_ns - scrub->began_ns;

	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		uint64_t busy = sim_pcpu_busy_ns(&world->pcpus[p]) - scrub->busy_ns[p];

		if (may_clear(scrub, &world->pcpus[p]) && busy < span && span - busy > most)
			most = span - busy;
	}
	return most;
}

static void step(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_scrub *scrub = sim_of(event, struct sim_scrub, step);
	struct sim_world *world = sim_world_of(queue);
	uint64_t cleared = (uint64_t)((unsigned __int128)idle_ns(scrub) *
				      world->costs.scrub_bandwidth / CL_NS_PER_S);

	if (scrub->on)
		world->nodes[scrub->node].streams--;
	scrub->on = false;
	scrub->bytes = sim_mem_unscrubbed(scrub->manager, scrub->node);
	scrub->bytes -= cleared < scrub->bytes ? cleared : scrub->bytes;
	if (scrub->bytes > 0)
		begin(scrub);
}

void sim_mem_give(struct sim_manager *manager, struct sim_domain *domain, uint32_t node,
		  uint64_t bytes, bool dirty)
{
	struct sim_world *world = domain->world;

	assert(bytes <= domain->mem[node]);
	domain->mem[node] -= bytes;
	world->nodes[node].free_bytes += bytes;
	assert(world->nodes[node].free_bytes <= world->nodes[node].mem_bytes);
	if (!manager || !dirty || !bytes || !world->costs.scrub_bandwidth)
		return;
	manager->scrub[node].bytes += bytes;
	if (!sim_is_pending(&manager->scrub[node].step))
		begin(&manager->scrub[node]);
}

bool sim_scrub_init(struct sim_manager *manager)
{
	struct sim_world *world = manager->world;

	manager->scrub = calloc(world->node_count, sizeof(*manager->scrub));
	for (uint32_t i = 0; manager->scrub && i < world->node_count; i++) {
		manager->scrub[i].manager = manager;
		manager->scrub[i].node = i;
		sim_event_init(&world->queue, &manager->scrub[i].step, step);
	}
	return manager->scrub != NULL;
}

void sim_scrub_done(struct sim_manager *manager)
{
	for (uint32_t i = 0; manager->scrub && i < manager->world->node_count; i++) {
		if (manager->scrub[i].on)
			manager->world->nodes[i].streams--;
		sim_event_done(&manager->world->queue, &manager->scrub[i].step);
	}
	free(manager->scrub);
	manager->scrub = NULL;
}
