/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a new guest would start with, where, and whether it fits. */
#include <closer/admit.h>

#include "ledger.h"

#include <string.h>

#define PAGE UINT64_C(4096)

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t free_of(const struct cl_snapshot *snap, uint32_t node)
{
	uint64_t bytes = snap->nodes[node].mem_free_bytes;

	return bytes == CL_UNKNOWN ? 0 : bytes;
}

/* The nodes of the physical CPUs that it may be on; all where it may be on any. */
static uint64_t nodes_of(const struct cl_snapshot *snap, const struct cl_cpuset *pcpus)
{
	uint64_t nodes = 0;

	for (uint32_t c = 0; c < snap->n.cpus; c++) {
		const struct cl_cpu *cpu = &snap->cpus[c];
		uint32_t number = cpu->pcpu == CL_NONE ? c : cpu->pcpu;

		if (cpu->online && cpu->node.v < snap->n.nodes && number < CL_CPUS_MAX &&
		    (cl_cpuset_empty(pcpus) || cl_cpuset_has(pcpus, number)))
			nodes |= UINT64_C(1) << cpu->node.v;
	}
	return nodes;
}

/* Memory that nobody was promised; reserve: what stays free. */
static uint64_t room_of(const struct cl_snapshot *snap, const struct cl_params *params,
			uint64_t nodes, uint32_t *ret_most)
{
	uint64_t room = 0, claimed = snap->memory.claimed_bytes;

	*ret_most = CL_NONE;
	for (uint32_t i = 0; i < snap->n.nodes; i++) {
		if (!(nodes >> i & 1))
			continue;
		room += free_of(snap, i);
		if (*ret_most == CL_NONE || free_of(snap, i) > free_of(snap, *ret_most))
			*ret_most = i;
	}
	return less(less(room, claimed == CL_UNKNOWN ? 0 : claimed), params->size_reserve);
}

void cl_admit(const struct cl_snapshot *snap, const struct cl_params *params,
	      const struct cl_admit_ask *ask, struct cl_admission *ret_admission)
{
	struct cl_admission *a = ret_admission;
	uint64_t nodes = nodes_of(snap, &ask->pcpus), count;
	uint64_t spare = mul_div(ask->mem_bytes, CL_PPM - params->size_floor, CL_PPM, NULL);
	uint64_t eps =
		params->size_eps + mul_div(ask->mem_bytes, params->size_eps_share, CL_PPM, NULL);
	uint32_t most;

	memset(a, 0, sizeof(*a));
	a->start_bytes = ask->mem_bytes;
	if (!nodes) {
		a->verdict = CL_ADMIT_NO_CPU;
		return;
	}
	a->room_bytes = room_of(snap, params, nodes, &most);
	/* What is reserved may be any node's. */
	a->spread = less(free_of(snap, most), params->size_reserve) < ask->mem_bytes;
	a->nodes = a->spread ? nodes : UINT64_C(1) << most;
	count = (uint64_t)__builtin_popcountll(a->nodes);
	eps -= eps % PAGE;
	if (eps <= spare / count)
		a->eps_bytes = eps;
	a->start_bytes = ask->mem_bytes - count * a->eps_bytes;
	if (a->room_bytes < ask->mem_bytes) {
		a->verdict = CL_ADMIT_NO_MEMORY;
		a->short_bytes = ask->mem_bytes - a->room_bytes;
	}
}
