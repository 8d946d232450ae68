/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pins: where the hypervisor's domains may be, by physical CPUs.
 *
 *   pin             each vCPU of the privileged domain alone on a physical CPU of its pool, spread
 *                   over the nodes: only then is "beside a guest" a place, and not a guess
 *   main_exclusive  guests' vCPUs off the physical CPUs of the main container
 *
 * Compare and set, as in place.c. A vCPU of the privileged domain is ours to change if it may be
 * anywhere in its pool. Where we put it, it stays: a pool that loses its CPU gives it all others.
 * So does one that is alone on a physical CPU, whoever pinned it. A guest's vCPU is kept off the
 * main container's CPUs whatever it was set to, since the operator asked for that; who changes it
 * after us has the last word.
 */
#include "tick.h"

#include <assert.h>
#include <string.h>

#define NO_NODE CL_NODES_MAX /* of physical CPUs whose node is not known */

/* The privileged domain's vCPUs that move, and the physical CPUs that there are for them. */
struct pinning {
	struct cl_cpuset movers;       /* by number of the vCPU */
	struct cl_cpuset held, shared; /* physical CPUs: some vCPU's only one; of more than one */
	struct cl_cpuset free, chosen;
	uint8_t node_of[CL_CPUS_MAX]; /* by physical CPU */
	uint32_t room[CL_NODES_MAX + 1], used[CL_NODES_MAX + 1];
	uint64_t homes; /* of guests, one bit a node */
};

static bool is_vcpu(const struct cl_cpu *cpu)
{
	return cpu->online && cpu->pins.v != CL_NONE;
}

/* ---- the privileged domain's ---- */

static void release_cpu(struct tick *tick, uint32_t v)
{
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_CPU_RELEASE);

	if (!a)
		return;
	a->object.cpu = v;
	a->why.code = CL_REASON_TAKEN_OVER;
}

/* Brings the state up to date; true: ours to change. */
static bool may_change(struct tick *tick, uint32_t v)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_cpu *cpu = &now->cpus[v];
	struct cl_state_cpu *state = &tick->state->cpus[v];

	if (state->pins_hash != 0 && state->pins_hash == now->masks[cpu->pins.v].hash)
		return true;
	if (cl_cpuset_subset(cl_snapshot_set(now, now->pool), cl_snapshot_set(now, cpu->pins))) {
		state->foreign = 0;
		state->pins_hash = 0;
		return true;
	}
	if (state->pins_hash != 0)
		release_cpu(tick, v);
	state->pins_hash = 0;
	state->foreign = 1;
	return false;
}

static bool is_single(const struct cl_cpuset *pins)
{
	return cl_cpuset_count(pins) == 1;
}

static void look_at_pins(struct tick *tick, struct pinning *p)
{
	const struct cl_snapshot *now = tick->now;

	for (uint32_t v = 0; v < now->n.cpus; v++) {
		const struct cl_cpuset *pins;

		if (!is_vcpu(&now->cpus[v]))
			continue;
		pins = cl_snapshot_set(now, now->cpus[v].pins);
		if (!is_single(pins))
			continue;
		if (cl_cpuset_meets(&p->held, pins))
			cl_cpuset_or(&p->shared, pins);
		cl_cpuset_or(&p->held, pins);
	}
	for (uint32_t v = 0; v < now->n.cpus; v++) {
		struct cl_state_cpu *state = &tick->state->cpus[v];
		const struct cl_cpuset *pins;
		bool ours;

		if (!is_vcpu(&now->cpus[v]))
			continue;
		pins = cl_snapshot_set(now, now->cpus[v].pins);
		ours = may_change(tick, v);
		if (is_single(pins) && (ours || !cl_cpuset_meets(&p->shared, pins))) {
			state->foreign = 0; /* whoever pinned it: as it should be */
			continue;
		}
		if (ours && state->pin.retry_ns <= now->taken_ns)
			cl_cpuset_add(&p->movers, v);
	}
}

/* Each physical CPU is shown: as that of a vCPU pinned to it, or as one of its own. */
static void look_at_nodes(const struct tick *tick, struct pinning *p)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_cpuset *pool = cl_snapshot_set(now, now->pool);

	memset(p->node_of, NO_NODE, sizeof(p->node_of));
	for (uint32_t c = 0; c < now->n.cpus; c++) {
		const struct cl_cpu *cpu = &now->cpus[c];

		if (cpu->pcpu < CL_CPUS_MAX && cpu->node.v < CL_NODES_MAX)
			p->node_of[cpu->pcpu] = (uint8_t)cpu->node.v;
	}
	for (uint32_t i = cl_cpuset_next(pool, 0); i != CL_NONE; i = cl_cpuset_next(pool, i + 1)) {
		p->room[p->node_of[i]]++;
		p->used[p->node_of[i]] += cl_cpuset_has(&p->held, i);
	}
	for (uint32_t g = 0; g < now->n.guests; g++)
		p->homes |= now->guests[g].home;
}

/* Is node a to be given the next vCPU, before b? The one with fewer for its size, then one with
 * guests. */
static bool goes_first(const struct pinning *p, uint32_t a, uint32_t b)
{
	uint64_t for_a = (uint64_t)p->used[a] * p->room[b];
	uint64_t for_b = (uint64_t)p->used[b] * p->room[a];
	bool home_a = a < CL_NODES_MAX && (p->homes >> a) & 1;
	bool home_b = b < CL_NODES_MAX && (p->homes >> b) & 1;

	return for_a != for_b ? for_a < for_b : home_a && !home_b;
}

/* One more of the free physical CPUs; CL_NONE: there is none. */
static uint32_t choose(struct pinning *p)
{
	uint32_t best[CL_NODES_MAX + 1], node = CL_NONE;

	memset(best, 0xff, sizeof(best));
	for (uint32_t i = cl_cpuset_next(&p->free, 0); i != CL_NONE;
	     i = cl_cpuset_next(&p->free, i + 1))
		if (best[p->node_of[i]] == CL_NONE)
			best[p->node_of[i]] = i;
	for (uint32_t k = 0; k <= CL_NODES_MAX; k++)
		if (best[k] != CL_NONE && (node == CL_NONE || goes_first(p, k, node)))
			node = k;
	if (node == CL_NONE)
		return CL_NONE;
	p->used[node]++;
	return best[node];
}

static void pin(struct tick *tick, uint32_t v, uint32_t pcpu)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_CPU_PIN);
	struct cl_cpuset to;

	if (!a)
		return;
	cl_cpuset_zero(&to);
	cl_cpuset_add(&to, pcpu);
	a->object.cpu = v;
	a->from.tag = a->to.tag = CL_VALUE_MASK;
	a->from.mask = cl_plan_mask(tick->plan, cl_snapshot_set(now, now->cpus[v].pins));
	a->to.mask = cl_plan_mask(tick->plan, &to);
	a->why = (struct cl_why){ .code = CL_REASON_ONE_TO_ONE, .number = { v, pcpu, 0 } };
	a->possible = CL_CAN(now, PIN);
	a->first = true;
	tick->pins += a->possible;
}

/* In order: the n-th of those that move to the n-th of the CPUs chosen. What is too many is left.
 */
static void pin_cpus(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct pinning p;
	uint32_t at, v;

	memset(&p, 0, sizeof(p));
	look_at_pins(tick, &p);
	if (cl_cpuset_empty(&p.movers))
		return;
	look_at_nodes(tick, &p);
	p.free = *cl_snapshot_set(now, now->pool);
	cl_cpuset_andnot(&p.free, &p.held);
	for (uint32_t n = cl_cpuset_count(&p.movers); n > 0; n--) {
		at = choose(&p);
		if (at == CL_NONE)
			break;
		cl_cpuset_add(&p.chosen, at);
		cl_cpuset_andnot(&p.free, &p.chosen);
	}
	v = cl_cpuset_next(&p.movers, 0);
	for (at = cl_cpuset_next(&p.chosen, 0); at != CL_NONE;
	     at = cl_cpuset_next(&p.chosen, at + 1)) {
		pin(tick, v, at);
		v = cl_cpuset_next(&p.movers, v + 1);
	}
}

/* ---- guests' ---- */

static void release_vcpu(struct tick *tick, uint32_t i)
{
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_VCPU_RELEASE);

	if (!a)
		return;
	a->object.vcpu.v = i;
	a->object.guest = tick->now->vcpus[i].guest;
	a->why.code = CL_REASON_TAKEN_OVER;
}

const struct cl_cpuset *pool_of(const struct cl_snapshot *now, const struct cl_guest *guest)
{
	struct cl_mask_ix pcpus =
		guest->pool == CL_NONE ? now->pool : (struct cl_mask_ix){ CL_NONE };

	for (uint32_t i = 0; i < now->n.pools; i++)
		if (now->pools[i].id == guest->pool)
			pcpus = now->pools[i].pcpus;
	return pcpus.v == CL_NONE ? NULL : cl_snapshot_set(now, pcpus);
}

static void keep(struct tick *tick, uint32_t i, const struct cl_cpuset *main_pcpus)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_vcpu *vcpu = &now->vcpus[i];
	struct cl_state_vcpu *state = &tick->state->vcpus[i];
	const struct cl_cpuset *pool = pool_of(now, &now->guests[vcpu->guest.v]), *has;
	struct cl_cpuset rest, runs;

	if (vcpu->pcpus.v == CL_NONE || !pool || state->foreign || state->retry_ns > now->taken_ns)
		return;
	has = cl_snapshot_set(now, vcpu->pcpus);
	if (state->pcpus_hash != 0 && state->pcpus_hash != now->masks[vcpu->pcpus.v].hash) {
		release_vcpu(tick, i);
		state->pcpus_hash = 0;
		state->foreign = 1;
		return;
	}
	rest = runs = *has;
	cl_cpuset_and(&runs, pool);
	if (!cl_cpuset_meets(&runs, main_pcpus))
		return;
	cl_cpuset_andnot(&rest, main_pcpus);
	if (!cl_cpuset_meets(&rest, pool)) /* it can be nowhere else */
		return;
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_VCPU_KEEP);

	if (!a)
		return;
	a->object.vcpu.v = i;
	a->object.guest = vcpu->guest;
	a->from.tag = a->to.tag = CL_VALUE_MASK;
	a->from.mask = cl_plan_mask(tick->plan, has);
	a->to.mask = cl_plan_mask(tick->plan, &rest);
	cl_cpuset_and(&rest, pool);
	a->why = (struct cl_why){ .code = CL_REASON_EXCLUSIVE,
				  .number = { cl_cpuset_count(&rest), 0, 0 } };
	a->possible = CL_CAN(now, PIN);
	a->first = true;
}

/* Only of vCPUs that are pinned: where another one is, a guest is kept off in vain. */
static void main_pcpus(const struct tick *tick, struct cl_cpuset *ret_pcpus)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_cpuset *cpus = &tick->plan->main_cpus;

	cl_cpuset_zero(ret_pcpus);
	for (uint32_t c = cl_cpuset_next(cpus, 0); c != CL_NONE && c < now->n.cpus;
	     c = cl_cpuset_next(cpus, c + 1))
		if (is_vcpu(&now->cpus[c]) && is_single(cl_snapshot_set(now, now->cpus[c].pins)))
			cl_cpuset_or(ret_pcpus, cl_snapshot_set(now, now->cpus[c].pins));
}

void pins(struct tick *tick)
{
	struct cl_cpuset exclusive;

	if (tick->now->pool.v == CL_NONE)
		return;
	if (tick->params->pin)
		pin_cpus(tick);
	/* Which physical CPUs are the main container's is known when its vCPUs are where they stay.
	 */
	if (!tick->params->main_exclusive || tick->pins > 0)
		return;
	main_pcpus(tick, &exclusive);
	if (cl_cpuset_empty(&exclusive))
		return;
	for (uint32_t i = 0; i < tick->now->n.vcpus; i++)
		keep(tick, i, &exclusive);
}
