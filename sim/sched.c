/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of schedulers, and what several of them need. */
#include "sched.h"

#include <string.h>

const struct sim_sched_ops *const sim_scheds[] = {
	&sim_sched_credit, &sim_sched_credit2, &sim_sched_rtds, &sim_sched_sedf, NULL,
};

const struct sim_sched_ops *sim_sched_find(const char *name)
{
	for (uint32_t i = 0; sim_scheds[i]; i++)
		if (strcmp(sim_scheds[i]->name, name) == 0)
			return sim_scheds[i];
	return NULL;
}

void sim_sched_cpus(const struct sim_pool *pool, struct sim_sched_cpus *ret_cpus)
{
	ret_cpus->count = 0;
	for (uint32_t p = 0; p < pool->world->pcpu_count; p++) {
		if (!cl_cpuset_has(&pool->pcpus, p))
			continue;
		ret_cpus->index[p] = ret_cpus->count;
		ret_cpus->at[ret_cpus->count++] = &pool->world->pcpus[p];
	}
}

bool sim_sched_soft(const struct sim_vcpu *vcpu)
{
	struct cl_cpuset both = vcpu->hard;

	cl_cpuset_and(&both, &vcpu->domain->pool->pcpus);
	return !cl_cpuset_subset(&both, &vcpu->soft) && cl_cpuset_meets(&both, &vcpu->soft);
}
