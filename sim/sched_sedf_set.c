/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sedf: what a domain is entitled to, and on which pCPU each of its vCPUs is. */
#include "sched_sedf.h"

#define WEIGHT_PERIOD_NS ((int64_t)(100 * CL_NS_PER_MS)) /* WEIGHT_PERIOD */
#define WEIGHT_SAFETY_NS ((int64_t)(5 * CL_NS_PER_MS))   /* WEIGHT_SAFETY */
#define PERIOD_MAX_NS    ((int64_t)(10 * CL_NS_PER_S))   /* PERIOD_MAX */
#define PERIOD_MIN_NS    ((int64_t)(10 * CL_NS_PER_US))  /* PERIOD_MIN */
#define SLICE_MIN_NS     ((int64_t)(5 * CL_NS_PER_US))   /* SLICE_MIN */

static bool weighted_slices(const struct sedf_vcpu *svc)
{
	return svc->weight != 0;
}

static void set_slice(struct sedf_vcpu *svc, int64_t period_ns, int64_t slice_ns)
{
	if (svc->full_period_ns == period_ns && svc->full_slice_ns == slice_ns)
		return;
	svc->period_ns = svc->full_period_ns = period_ns;
	svc->slice_ns = svc->full_slice_ns = slice_ns;
}

static void set_vcpu(struct sedf_vcpu *svc, const struct sim_domain *domain)
{
	int64_t period = (int64_t)domain->period_ns, slice = (int64_t)domain->budget_ns;
	int64_t weight = domain->weight ? (int64_t)domain->weight : 1;

	svc->takes_extra = domain->extra;
	svc->latency_ns = (int64_t)domain->latency_ns;
	svc->weight = !period && !domain->extra ? weight : 0;
	svc->extra_weight = period ? 0 : weight;
	if (period) {
		period = period < PERIOD_MIN_NS   ? PERIOD_MIN_NS
			 : period > PERIOD_MAX_NS ? PERIOD_MAX_NS
						  : period;
		slice = slice < SLICE_MIN_NS ? SLICE_MIN_NS : slice;
		set_slice(svc, period, slice > period ? period : slice);
	} else if (domain->extra) {
		set_slice(svc, WEIGHT_PERIOD_NS, 0);
	}
	if (sedf_is_on(svc, L1) && !svc->takes_extra && svc->mode != IN_L1)
		sedf_off_extra(svc, L1);
	else if (!sedf_is_on(svc, L1) && svc->takes_extra && !svc->asleep)
		sedf_put_on_extra(svc, L1, 0);
}

/* Slices by weight, of what those with a period leave. */
static void share_pcpu(struct sedf_pcpu *spc)
{
	int64_t weights = 0, taken = 0, left;
	struct sim_link *at;

	sim_list_each (at, &spc->members) {
		const struct sedf_vcpu *svc = sim_of(at, struct sedf_vcpu, member);

		if (weighted_slices(svc))
			weights += svc->weight;
		else
			taken += (int64_t)((__int128)WEIGHT_PERIOD_NS * svc->full_slice_ns /
					   svc->full_period_ns);
	}
	left = WEIGHT_PERIOD_NS - WEIGHT_SAFETY_NS - taken;
	sim_list_each (at, &spc->members) {
		struct sedf_vcpu *svc = sim_of(at, struct sedf_vcpu, member);
		int64_t slice = weights && left > 0 ? left * svc->weight / weights : 0;

		if (weighted_slices(svc))
			set_slice(svc, WEIGHT_PERIOD_NS,
				  slice > SLICE_MIN_NS ? slice : SLICE_MIN_NS);
	}
}

/* The n-th pCPU of those where it may run, by its own number. */
static struct sim_pcpu *pick(const struct sedf_pool *prv, const struct sedf_vcpu *svc)
{
	uint32_t allowed = 0, n;

	for (uint32_t i = 0; i < prv->cpus.count; i++)
		allowed += sim_may_run(svc->vcpu, prv->cpus.at[i]);
	assert(allowed);
	n = svc->vcpu->index % allowed;
	for (uint32_t i = 0;; i++)
		if (sim_may_run(svc->vcpu, prv->cpus.at[i]) && n-- == 0)
			return prv->cpus.at[i];
}

static void settle(struct sedf_vcpu *svc, struct sim_pcpu *pcpu)
{
	if (svc->pcpu) {
		sim_unlink(&svc->member);
		share_pcpu(sedf_pcpu_of(svc->pcpu));
	}
	svc->pcpu = pcpu;
	sim_link_before(&svc->member, &sedf_pcpu_of(pcpu)->members);
}

void sedf_changed(struct sim_pool *pool, struct sim_domain *domain)
{
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct sedf_vcpu *svc = sedf_of(&domain->vcpus[i]);

		if (!svc->vcpu)
			continue;
		if (!sim_may_run(svc->vcpu, svc->pcpu)) {
			assert(svc->vcpu->state < SIM_VCPU_RUNNABLE);
			settle(svc, pick(pool->sched, svc));
		}
		set_vcpu(svc, domain);
		share_pcpu(sedf_pcpu_of(svc->pcpu));
	}
}

static uint32_t members_of(const struct sim_pcpu *pcpu)
{
	const struct sim_link *head = &sedf_pcpu_of(pcpu)->members, *at;
	uint32_t n = 0;

	sim_list_each (at, head)
		n++;
	return n;
}

/*
 * The first vCPU of a domain goes to the pCPU with fewest, of cores the second thread, of equal
 * ones the last; each other one to the next pCPU. dom0's are the first ones.
 */
static struct sim_pcpu *place(const struct sedf_pool *prv, const struct sim_vcpu *vcpu)
{
	struct sim_pcpu *best = NULL;

	if (vcpu->index > 0) {
		const struct sim_pcpu *last = sedf_of(vcpu - 1)->pcpu;

		return sim_sched_after(&prv->cpus, prv->cpus.index[last->id], 1);
	}
	if (vcpu->domain->kind == SIM_DOM0)
		return prv->cpus.at[0];
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = prv->cpus.at[i];
		bool second = pcpu->sibling == CL_NONE || pcpu->sibling < pcpu->id ||
			      pcpu->world->pcpus[pcpu->sibling].pool != pcpu->pool;

		if (second && (!best || members_of(pcpu) <= members_of(best)))
			best = pcpu;
	}
	return best;
}

void sedf_insert(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct sedf_vcpu *svc = sedf_of(vcpu);

	svc->vcpu = vcpu;
	svc->asleep = true;
	settle(svc, place(pool->sched, vcpu));
	set_vcpu(svc, vcpu->domain);
	share_pcpu(sedf_pcpu_of(svc->pcpu));
}

void sedf_leave(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct sedf_vcpu *svc = sedf_of(vcpu);

	if (!svc->vcpu)
		return;
	sim_unlink(&svc->member);
	share_pcpu(sedf_pcpu_of(svc->pcpu));
	svc->vcpu = NULL;
}
