/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine and the world around it. */
#include "manage.h"
#include "fluid.h"
#include "sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_IRQ 64u
#define FIRST_TID 1000

struct sim_world *sim_world_new(uint64_t seed, const struct sim_machine *machine,
				const struct sim_costs *costs)
{
	uint32_t pcpus = machine->nodes * machine->cores * machine->threads;
	struct sim_world *world = calloc(1, sizeof(*world));

	if (!world)
		return NULL;
	assert(machine->nodes <= SIM_NODES_MAX && pcpus <= SIM_PCPUS_MAX && machine->threads <= 2);
	sim_queue_init(&world->queue);
	world->seed = seed;
	world->costs = *costs;
	world->node_count = machine->nodes;
	world->pcpu_count = pcpus;
	world->next_irq = FIRST_IRQ;
	world->next_tid = FIRST_TID;
	for (uint32_t i = 0; i < machine->nodes; i++) {
		world->nodes[i].mem_bytes = world->nodes[i].free_bytes = machine->mem_bytes;
		for (uint32_t k = 0; k < machine->nodes; k++)
			world->nodes[i].distance[k] = i == k ? 10 : machine->distance;
	}
	for (uint32_t i = 0; i < pcpus; i++) {
		struct sim_pcpu *pcpu = &world->pcpus[i];

		pcpu->id = i;
		pcpu->core = i / machine->threads;
		pcpu->node = i / (machine->cores * machine->threads);
		pcpu->sibling = machine->threads == 2 ? i ^ 1 : CL_NONE;
		pcpu->online = true;
		sim_pcpu_init(world, pcpu);
	}
	return world;
}

void sim_world_free(struct sim_world *world)
{
	if (!world)
		return;
	sim_manager_free(world->manager);
	sim_fluid_free(world->fluid);
	while (world->domain_count > 0)
		sim_domain_free(world, world->domains[world->domain_count - 1]);
	for (uint32_t i = 0; i < world->pool_count; i++) {
		struct sim_pool *pool = world->pools[i];

		pool->ops->done(world, pool);
		free(pool->sched);
		free(pool);
	}
	for (uint32_t i = 0; i < world->pcpu_count; i++)
		free(world->pcpus[i].sched);
	free(world->pools);
	free(world->domains);
	free(world->irqs);
	sim_queue_done(&world->queue);
	free(world);
}

struct sim_pool *sim_pool_new(struct sim_world *world, const struct sim_sched_ops *ops,
			      const struct cl_cpuset *pcpus)
{
	struct sim_pool **pools =
		realloc(world->pools, (world->pool_count + 1) * sizeof(struct sim_pool *));
	struct sim_pool *pool = pools ? calloc(1, sizeof(*pool)) : NULL;

	if (pools)
		world->pools = pools;
	if (!pool || (ops->pool_bytes && !(pool->sched = calloc(1, ops->pool_bytes)))) {
		free(pool);
		world->queue.failed = true;
		return NULL;
	}
	pool->id = world->pool_count;
	pool->world = world;
	pool->ops = ops;
	pool->pcpus = *pcpus;
	sim_random_init(&pool->random, world->seed, UINT64_C(0x900100000) + pool->id);
	for (uint32_t p = 0; p < world->pcpu_count; p++) {
		if (!cl_cpuset_has(pcpus, p))
			continue;
		world->pcpus[p].pool = pool;
		world->pcpus[p].sched = ops->pcpu_bytes ? calloc(1, ops->pcpu_bytes) : NULL;
		if (ops->pcpu_bytes && !world->pcpus[p].sched)
			world->queue.failed = true;
	}
	world->pools[world->pool_count++] = pool;
	if (!world->queue.failed)
		ops->init(world, pool);
	return pool;
}
