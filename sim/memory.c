/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: how long work takes by where it runs and where its data lies.
 *
 *   time = cpu / speed + misses * (latency(from) - latency(own)) + bytes * (ps(from) + ps(to)) / 2
 *
 * speed is less than one where the core is shared. Latency and time a byte grow linearly with the
 * distance of ACPI's SLIT (10: here; the costs are given for 20). A node whose controllers, or a
 * link whose bandwidth is asked for by several bursts at once serves each in turn: the time of a
 * byte is multiplied when together they ask for more than there is. That is found when a burst
 * begins and holds to its end or the next interruption.
 */
#include "world.h"

#include <assert.h>

#define HERE 10u /* ACPI SLIT */
#define PS   1000u

/* near at distance 10, far at 20, linear between and beyond. */
static uint64_t at_distance(uint64_t near, uint64_t far, uint32_t distance)
{
	uint64_t more = far > near ? far - near : 0;

	return near + more * (distance > HERE ? distance - HERE : 0) / HERE;
}

static uint32_t distance(const struct sim_world *world, uint32_t a, uint32_t b)
{
	return a < world->node_count && b < world->node_count ? world->nodes[a].distance[b] : HERE;
}

/* Time of a byte, ps, between this pCPU and memory of a node. */
static uint64_t byte_ps(const struct sim_world *world, uint32_t own, uint32_t node)
{
	const struct sim_costs *costs = &world->costs;
	uint64_t ps = at_distance(costs->local_ps, costs->remote_ps, distance(world, own, node));
	uint64_t streams = world->nodes[node].streams + 1, least;
	uint64_t bandwidth = costs->node_bandwidth;

	if (node != own && costs->link_bandwidth &&
	    (!bandwidth || costs->link_bandwidth < bandwidth))
		bandwidth = costs->link_bandwidth;
	if (!bandwidth)
		return ps;
	/* So many streams at this rate each want streams * 10^12 / ps bytes/s. */
	least = streams * UINT64_C(1000000000000) / bandwidth;
	return ps > least ? ps : least;
}

uint64_t sim_burst_ns(const struct sim_world *world, const struct sim_pcpu *pcpu,
		      const struct sim_burst *burst)
{
	const struct sim_costs *costs = &world->costs;
	uint32_t own = pcpu->node, from = burst->from == CL_NONE ? own : burst->from;
	uint32_t to = burst->to == CL_NONE ? own : burst->to;
	uint64_t ns = burst->cpu_ns;
	bool shared = pcpu->sibling != CL_NONE && world->pcpus[pcpu->sibling].running;

	if (shared && costs->smt_speed)
		ns = sim_scale(ns, CL_PPM, costs->smt_speed);
	if (from != own && costs->misses) {
		uint64_t latency = at_distance(costs->latency_ns, costs->remote_latency_ns,
					       distance(world, own, from));

		ns += sim_scale(sim_scale(burst->cpu_ns, costs->misses, CL_PPM),
				latency - costs->latency_ns, 1000);
	}
	if (burst->bytes)
		ns += sim_scale(burst->bytes, byte_ps(world, own, from) + byte_ps(world, own, to),
				2 * PS);
	return ns ? ns : 1;
}

void sim_burst_cut(struct sim_burst *burst, uint64_t elapsed_ns, uint64_t total_ns)
{
	if (elapsed_ns >= total_ns) {
		burst->cpu_ns = burst->bytes = 0;
		return;
	}
	uint64_t left = total_ns - elapsed_ns;

	burst->cpu_ns = sim_scale(burst->cpu_ns, left, total_ns);
	burst->bytes = sim_scale(burst->bytes, left, total_ns);
	if (!burst->cpu_ns && !burst->bytes)
		burst->cpu_ns = 1;
}

uint32_t sim_domain_node(const struct sim_domain *domain)
{
	uint32_t most = 0;

	for (uint32_t node = 1; node < domain->world->node_count; node++)
		if (domain->mem[node] > domain->mem[most])
			most = node;
	return most;
}
