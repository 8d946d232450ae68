/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pCPU the credit scheduler finds best: where the vCPU is, if that would be idle without it,
 * else an idle one, with as many idle ones beside it as may be. Sockets are nodes here.
 */
#include "sched_credit.h"

#include <string.h>

/* Idle, or it would be without this vCPU. */
static bool idle_for(const struct credit_vcpu *svc, const struct sim_pcpu *pcpu)
{
	return credit_queue(pcpu)->idler ||
	       (pcpu == svc->pcpu && (!pcpu->running || pcpu->running == svc->vcpu) &&
		sim_list_empty(&credit_queue(pcpu)->queue));
}

static bool sibling_idle(const struct credit_vcpu *svc, const struct sim_pcpu *pcpu)
{
	const struct sim_pcpu *sibling;

	if (pcpu->sibling == CL_NONE)
		return false;
	sibling = &pcpu->world->pcpus[pcpu->sibling];
	return sibling->pool == pcpu->pool && idle_for(svc, sibling);
}

/* The best idle pCPU in a step, and on the way to it. */
struct search {
	bool left[SIM_PCPUS_MAX]; /* idle, allowed and not looked at: by index */
	uint32_t idlers[SIM_NODES_MAX];
};

static void strike(struct credit_pool *prv, struct search *search, const struct sim_pcpu *pcpu,
		   bool whole_node)
{
	for (uint32_t i = 0; i < prv->cpus.count; i++)
		if (whole_node ? prv->cpus.at[i]->node == pcpu->node
			       : prv->cpus.at[i]->core == pcpu->core)
			search->left[i] = false;
}

static struct sim_pcpu *first_left(const struct credit_pool *prv, const struct search *search,
				   uint32_t after)
{
	for (uint32_t i = 1; i <= prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, after, i);

		if (search->left[credit_index(prv, pcpu)])
			return pcpu;
	}
	return NULL;
}

/* Of a group that is idler, the next one after where the search ended there last time. */
static struct sim_pcpu *of_group(struct credit_pool *prv, const struct search *search,
				 const struct sim_pcpu *found, bool whole_node)
{
	for (uint32_t i = 1; i <= prv->cpus.count; i++) {
		struct sim_pcpu *pcpu =
			sim_sched_after(&prv->cpus, credit_queue(found)->idle_bias, i);

		if (search->left[credit_index(prv, pcpu)] &&
		    (whole_node ? pcpu->node == found->node : pcpu->core == found->core))
			return pcpu;
	}
	return NULL;
}

/*
 * The idle one with the most idle neighbours: within the node, whose core is idler; of another
 * node, only if that is twice as idle.
 */
static struct sim_pcpu *idlest(struct credit_pool *prv, const struct credit_vcpu *svc,
			       struct sim_pcpu *best, struct search *search,
			       struct sim_pcpu **ret_found)
{
	struct sim_pcpu *found;

	search->left[credit_index(prv, best)] = false;
	while ((found = first_left(prv, search, credit_index(prv, best)))) {
		bool far = found->node != best->node, better;

		if (far)
			better = search->idlers[best->node] * 2 < search->idlers[found->node];
		else
			better = idle_for(svc, best) + sibling_idle(svc, best) <
				 1 + sibling_idle(svc, found);
		if (better) {
			*ret_found = found;
			best = of_group(prv, search, found, far);
			strike(prv, search, best, false);
		} else {
			strike(prv, search, found, far);
		}
	}
	return best;
}

static void find_idle(struct credit_pool *prv, const struct credit_vcpu *svc, enum step step,
		      struct search *search)
{
	memset(search, 0, sizeof(*search));
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		const struct sim_pcpu *pcpu = prv->cpus.at[i];

		if (!idle_for(svc, pcpu))
			continue;
		search->idlers[pcpu->node]++;
		search->left[i] = credit_allowed(svc, pcpu, step);
	}
}

/* Where it is if it may, else the next one where it may; NULL: nowhere. */
static struct sim_pcpu *near(struct credit_pool *prv, const struct credit_vcpu *svc, enum step step)
{
	uint32_t here = credit_index(prv, svc->pcpu);

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, here, i);

		if (credit_allowed(svc, pcpu, step))
			return pcpu;
	}
	return NULL;
}

struct sim_pcpu *credit_pick(struct credit_pool *prv, const struct credit_vcpu *svc, bool for_good)
{
	struct sim_pcpu *best = svc->pcpu, *found = NULL;
	struct search search;

	for (enum step step = svc->soft ? SOFT : HARD; step <= HARD; step++) {
		best = near(prv, svc, step);
		assert(best);
		find_idle(prv, svc, step, &search);
		if (!search.left[credit_index(prv, best)]) {
			struct sim_pcpu *idle = first_left(prv, &search, credit_index(prv, best));

			best = idle ? idle : best;
		}
		best = idlest(prv, svc, best, &search, &found);
		if (idle_for(svc, best))
			break;
	}
	if (for_good && found)
		credit_queue(found)->idle_bias = credit_index(prv, best);
	return best;
}
