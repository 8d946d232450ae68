/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who gets how much CPU. A kernel spreads its work over its vCPUs: interrupts where they are bound,
 * threads where they may be and there is room. The hypervisor shares pCPUs among vCPUs by weight,
 * with caps: first in the sets of pCPUs that have fewest, as max-min over nested sets has it. What
 * a vCPU does not get its works have not: interrupts before tasks, tasks by their weight.
 */
#include "fluid.h"

#include <string.h>

#define SECOND CL_NS_PER_S
#define PASSES 2u /* so often threads move to where there is more room */

void sim_fluid_share(uint64_t capacity, const uint64_t *wants, const uint64_t *weights, uint32_t n,
		     uint64_t *ret_given)
{
	uint64_t left = capacity;

	if (n == 0)
		return;
	memset(ret_given, 0, n * sizeof(*ret_given));
	for (bool any = true; any && left > 0;) {
		uint64_t total = 0, now = left;

		any = false;
		for (uint32_t i = 0; i < n; i++)
			total += ret_given[i] < wants[i] ? weights[i] : 0;
		for (uint32_t i = 0; i < n && total > 0; i++) {
			uint64_t more = wants[i] - ret_given[i];
			uint64_t part = sim_scale(now, weights[i], total);

			/* Who is content leaves the rest to the others, round after round; what
			 * is less than one for each weight is the first one's. */
			part = part ? part : sim_least(left, 1);
			more = sim_least(more, sim_least(part, left));
			ret_given[i] += more;
			left -= more;
			any |= more > 0;
		}
	}
}

/* ---- a kernel's vCPUs ---- */

static void put_on(struct sim_fluid *fluid, struct sim_fluid_work *work,
		   struct sim_fluid_place *place, uint64_t ns)
{
	struct sim_fluid_vcpu *vcpu = sim_fluid_vcpu_of(fluid, work, place);

	place->ns += ns;
	vcpu->wants += ns;
	if (work->irq)
		vcpu->irqs += ns;
}

static uint64_t room_on(struct sim_fluid *fluid, const struct sim_fluid_work *work,
			const struct sim_fluid_place *place)
{
	const struct sim_fluid_vcpu *at = sim_fluid_vcpu_of(fluid, work, place);

	return at->wants < at->limit ? at->limit - at->wants : 0;
}

/* Where it was, while that is idle most of the time; else where is most room. */
static struct sim_fluid_place *choose(struct sim_fluid *fluid, const struct sim_fluid_work *work)
{
	struct sim_fluid_place *places = &fluid->on[work->on], *best = NULL;
	uint32_t here = work->task ? work->task->vcpu % work->vcpu_count : 0, first = 0;
	uint64_t most = 0;

	while (first < work->on_count && places[first].vcpu < here)
		first++;
	for (uint32_t i = 0; i < work->on_count; i++) {
		struct sim_fluid_place *place = &places[(first + i) % work->on_count];
		uint64_t room = room_on(fluid, work, place);

		if (place->vcpu == here && room > SECOND / 2)
			return place;
		if (!best || room > most) {
			best = place;
			most = room;
		}
	}
	return best;
}

/* One vCPU after the other, and what finds no room evenly. */
static void spread_one(struct sim_fluid *fluid, struct sim_fluid_work *work)
{
	uint64_t left = sim_least(work->wants, work->most);

	for (uint32_t i = 0; i < work->on_count && left > 0; i++) {
		struct sim_fluid_place *place = choose(fluid, work);
		uint64_t part = sim_least(left, room_on(fluid, work, place));

		put_on(fluid, work, place, part);
		left -= part;
	}
	for (uint32_t i = 0; i < work->on_count && left > 0; i++)
		put_on(fluid, work, &fluid->on[work->on + i], left / work->on_count);
}

/* Those who have no choice come first. */
static void spread(struct sim_fluid *fluid)
{
	for (size_t i = 0; i < fluid->on_count; i++)
		fluid->on[i].ns = 0;
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		fluid->vcpus[v].wants = fluid->vcpus[v].irqs = 0;
	for (uint32_t pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < fluid->work_count; i++)
			if ((fluid->works[i].on_count > 1) == (pass == 1))
				spread_one(fluid, &fluid->works[i]);
}

/* ---- the hypervisor ---- */

/* The cap is the domain's, over all of its vCPUs. */
static void cap_domains(struct sim_fluid *fluid)
{
	for (uint32_t v = 0; v < fluid->vcpu_count;) {
		const struct sim_domain *domain = fluid->vcpus[v].vcpu->domain;
		uint64_t cap = sim_scale(SECOND, domain->cap, CL_PPM), sum = 0;

		for (uint32_t i = 0; i < domain->vcpu_count; i++)
			sum += fluid->vcpus[v + i].given;
		for (uint32_t i = 0; i < domain->vcpu_count && cap && sum > cap; i++)
			fluid->vcpus[v + i].given = sim_scale(fluid->vcpus[v + i].given, cap, sum);
		v += domain->vcpu_count;
	}
}

/* credit divides a domain's weight among those of its vCPUs that want to run; credit2 gives it to
 * each. */
static uint64_t weight_of(const struct sim_fluid *fluid, uint32_t v)
{
	const struct sim_domain *domain = fluid->vcpus[v].vcpu->domain;
	uint32_t first = v - fluid->vcpus[v].vcpu->index;
	uint64_t active = 0;

	if (domain->pool->ops != &sim_sched_credit)
		return domain->weight * 1000;
	for (uint32_t i = 0; i < domain->vcpu_count; i++)
		active += fluid->vcpus[first + i].wants > 0;
	return domain->weight * 1000 / (active ? active : 1);
}

static void share_set(struct sim_fluid *fluid, uint32_t set)
{
	uint64_t pcpus = fluid->sets[set].count;

	for (uint32_t v = 0; v < fluid->vcpu_count; v++) {
		bool in = fluid->within[fluid->vcpus[v].set * fluid->set_count + set];

		fluid->wants[v] = in ? fluid->vcpus[v].given : 0;
		fluid->weights[v] = weight_of(fluid, v);
	}
	sim_fluid_share(pcpus * SECOND, fluid->wants, fluid->weights, fluid->vcpu_count,
			fluid->shares);
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		if (fluid->wants[v])
			fluid->vcpus[v].given = fluid->shares[v];
}

/* Does everybody get there what he wants? A set of one pCPU has no other within it. */
static bool has_room(const struct sim_fluid *fluid, uint32_t set)
{
	uint64_t sum = fluid->sets[set].own;

	if (fluid->sets[set].count > 1) {
		sum = 0;
		for (uint32_t v = 0; v < fluid->vcpu_count; v++)
			if (fluid->within[fluid->vcpus[v].set * fluid->set_count + set])
				sum += fluid->vcpus[v].given;
	}
	return sum <= fluid->sets[set].count * SECOND;
}

static void share_pcpus(struct sim_fluid *fluid)
{
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		fluid->vcpus[v].given = sim_least(fluid->vcpus[v].wants, SECOND);
	cap_domains(fluid);
	for (uint32_t i = 0; i < fluid->set_count; i++)
		fluid->sets[i].own = 0;
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		fluid->sets[fluid->vcpus[v].set].own += fluid->vcpus[v].given;
	for (uint32_t i = 0; i < fluid->set_count; i++)
		if (!has_room(fluid, fluid->order[i]))
			share_set(fluid, fluid->order[i]);
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		if (fluid->vcpus[v].given < sim_least(fluid->vcpus[v].wants, SECOND))
			fluid->vcpus[v].limit = fluid->vcpus[v].given;
}

/* ---- back to the works ---- */

/* NULL: it is not on that vCPU. */
static struct sim_fluid_place *place_on(struct sim_fluid *fluid, const struct sim_fluid_work *work,
					uint32_t v)
{
	if (v < work->first_vcpu || v >= work->first_vcpu + work->vcpu_count)
		return NULL;
	for (uint32_t i = 0; i < work->on_count; i++)
		if (fluid->on[work->on + i].vcpu == v - work->first_vcpu)
			return &fluid->on[work->on + i];
	return NULL;
}

/* Of a vCPU that has not what it wants: interrupts first, then tasks. */
static void divide(struct sim_fluid *fluid, uint32_t v)
{
	const struct sim_fluid_vcpu *vcpu = &fluid->vcpus[v];
	uint64_t irqs = sim_least(vcpu->irqs, vcpu->given);

	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < fluid->work_count; i++) {
			const struct sim_fluid_work *work = &fluid->works[i];
			const struct sim_fluid_place *place = (work->irq != NULL) == (pass == 0)
								      ? place_on(fluid, work, v)
								      : NULL;

			fluid->wants[i] = place ? place->ns : 0;
			fluid->weights[i] = work->weight;
		}
		sim_fluid_share(pass == 0 ? irqs : vcpu->given - irqs, fluid->wants, fluid->weights,
				fluid->work_count, fluid->shares);
		for (uint32_t i = 0; i < fluid->work_count; i++)
			if (fluid->wants[i])
				place_on(fluid, &fluid->works[i], v)->ns = fluid->shares[i];
	}
}

static void give(struct sim_fluid *fluid)
{
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		if (fluid->vcpus[v].given < fluid->vcpus[v].wants)
			divide(fluid, v);
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];

		work->given = 0;
		for (uint32_t k = 0; k < work->on_count; k++)
			work->given += fluid->on[work->on + k].ns;
	}
}

/* ---- where it runs ---- */

static uint64_t free_of(const struct sim_fluid *fluid, uint32_t p)
{
	return fluid->pcpu_use[p] < SECOND ? SECOND - fluid->pcpu_use[p] : 0;
}

static uint64_t free_in(const struct sim_fluid *fluid, const struct cl_cpuset *set)
{
	uint64_t sum = 0;

	for (uint32_t p = cl_cpuset_next(set, 0); p != CL_NONE; p = cl_cpuset_next(set, p + 1))
		sum += free_of(fluid, p);
	return sum;
}

/* So much of the vCPU's time, on these pCPUs as they have room. */
static void occupy(struct sim_fluid *fluid, struct sim_fluid_vcpu *vcpu,
		   const struct cl_cpuset *set, uint64_t ns)
{
	uint64_t all = free_in(fluid, set), n = all ? 0 : cl_cpuset_count(set);

	for (uint32_t p = cl_cpuset_next(set, 0); p != CL_NONE; p = cl_cpuset_next(set, p + 1)) {
		uint64_t part = all ? sim_scale(ns, free_of(fluid, p), all) : ns / n;

		fluid->pcpu_use[p] += part;
		vcpu->node_ppm[fluid->world->pcpus[p].node] +=
			(uint32_t)sim_scale(CL_PPM, part, vcpu->given);
	}
}

/* It stays where it was, if it may; a new one goes where there is most room. */
static void stay(struct sim_fluid *fluid, struct sim_vcpu *vcpu, const struct cl_cpuset *set)
{
	uint32_t most = cl_cpuset_next(set, 0);

	if (vcpu->state == SIM_VCPU_RUNNING || (vcpu->pcpu && cl_cpuset_has(set, vcpu->pcpu->id)))
		return;
	for (uint32_t p = most; p != CL_NONE; p = cl_cpuset_next(set, p + 1))
		if (free_of(fluid, p) > free_of(fluid, most))
			most = p;
	if (vcpu->pcpu)
		vcpu->moves++;
	vcpu->pcpu = &fluid->world->pcpus[most];
}

/* What it prefers (soft affinity) first. */
static void locate_vcpu(struct sim_fluid *fluid, struct sim_fluid_vcpu *vcpu)
{
	const struct sim_fluid_set *set = &fluid->sets[vcpu->set];
	struct cl_cpuset liked = vcpu->vcpu->soft;
	uint64_t near = 0;

	memset(vcpu->node_ppm, 0, sizeof(vcpu->node_ppm));
	cl_cpuset_and(&liked, &set->pcpus);
	stay(fluid, vcpu->vcpu, cl_cpuset_empty(&liked) ? &set->pcpus : &liked);
	if (!cl_cpuset_empty(&liked) && vcpu->given > 0) {
		near = sim_least(vcpu->given, free_in(fluid, &liked));
		occupy(fluid, vcpu, &liked, near);
	}
	if (near < vcpu->given)
		occupy(fluid, vcpu, &set->pcpus, vcpu->given - near);
	if (vcpu->given == 0) /* what it would cost there */
		vcpu->node_ppm[vcpu->vcpu->pcpu->node] = CL_PPM;
}

void sim_fluid_locate(struct sim_fluid *fluid)
{
	memset(fluid->pcpu_use, 0, sizeof(fluid->pcpu_use));
	for (uint32_t i = 0; i < fluid->set_count; i++)
		for (uint32_t v = 0; v < fluid->vcpu_count; v++)
			if (fluid->vcpus[v].set == fluid->order[i])
				locate_vcpu(fluid, &fluid->vcpus[v]);
}

void sim_fluid_cpus(struct sim_fluid *fluid)
{
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		fluid->vcpus[v].limit = SECOND;
	for (uint32_t pass = 0; pass < PASSES; pass++) {
		spread(fluid);
		share_pcpus(fluid);
	}
	give(fluid);
}
