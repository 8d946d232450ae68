/* SPDX-License-Identifier: GPL-2.0-or-later */
/* decide: one tick of core, from two snapshots to a plan. */
#include "tick.h"

#include <assert.h>
#include <string.h>

void cl_main_cpus(const struct cl_snapshot *now, const struct cl_params *params,
		  struct cl_cpuset *ret_set)
{
	struct cl_cpuset all, rest;

	cl_cpuset_zero(&all);
	for (uint32_t c = 0; c < now->n.cpus; c++)
		if (now->cpus[c].online)
			cl_cpuset_add(&all, c);
	if (!cl_cpuset_empty(&params->main_cpus)) {
		*ret_set = params->main_cpus;
		cl_cpuset_and(ret_set, &all);
		return;
	}
	if (now->allowed.v != CL_NONE)
		cl_cpuset_and(&all, cl_snapshot_set(now, now->allowed));
	cl_cpuset_zero(ret_set);
	uint32_t first = cl_cpuset_next(&all, 0);

	for (uint32_t c = first; c != CL_NONE; c = cl_cpuset_next(&all, c + 1))
		if (c == first ||
		    (now->cpus[c].core != CL_NONE && now->cpus[c].core == now->cpus[first].core))
			cl_cpuset_add(ret_set, c);
	rest = all;
	cl_cpuset_andnot(&rest, ret_set);
	if (cl_cpuset_empty(&rest)) /* one core: nothing to set apart */
		cl_cpuset_zero(ret_set);
}

static void resolve_cpus(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_plan *plan = tick->plan;

	cl_main_cpus(now, tick->params, &plan->main_cpus);
	cl_cpuset_zero(&plan->secondary_cpus);
	/* With no main container of its own, the host has nothing to keep free and nothing is
	 * fenced. */
	for (uint32_t c = 0; c < now->n.cpus; c++)
		if (now->cpus[c].online)
			cl_cpuset_add(&plan->secondary_cpus, c);
	if (now->allowed.v != CL_NONE)
		cl_cpuset_and(&plan->secondary_cpus, cl_snapshot_set(now, now->allowed));
	if (cl_cpuset_empty(&plan->main_cpus))
		cl_cpuset_zero(&plan->secondary_cpus);
	else
		cl_cpuset_andnot(&plan->secondary_cpus, &plan->main_cpus);
}

/* Phase, then object; containers parents first, and last when they are removed. */
static int compare_actions(const struct cl_action *a, const struct cl_action *b)
{
	const struct cl_object *x = &a->object, *y = &b->object;
	enum cl_phase pa = cl_action_kind_phase(a->kind), pb = cl_action_kind_phase(b->kind);
	int order;

	if (pa != pb)
		return pa < pb ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	order = cl_uuid_compare(&x->group.guest, &y->group.guest);
	if (order == 0 && x->group.tag != y->group.tag)
		order = x->group.tag < y->group.tag ? -1 : 1;
	if (order == 0 && x->group.node.v != y->group.node.v)
		order = x->group.node.v < y->group.node.v ? -1 : 1;
	if (a->kind == CL_ACTION_GROUP_REMOVE || a->kind == CL_ACTION_GROUP_NARROW)
		order = -order;
	if (order)
		return order;
	if (x->irq != y->irq)
		return x->irq < y->irq ? -1 : 1;
	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? -1 : 1;
	if (x->nic.v != y->nic.v)
		return x->nic.v < y->nic.v ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->guest.v != y->guest.v)
		return x->guest.v < y->guest.v ? -1 : 1;
	if (x->vcpu.v != y->vcpu.v)
		return x->vcpu.v < y->vcpu.v ? -1 : 1;
	if (x->thread.tid != y->thread.tid)
		return x->thread.tid < y->thread.tid ? -1 : 1;
	return x->thread.start < y->thread.start ? -1 : x->thread.start > y->thread.start;
}

static void swap_actions(struct cl_action *a, struct cl_action *b)
{
	struct cl_action spare;

	memcpy(&spare, a, sizeof(spare));
	memcpy(a, b, sizeof(spare));
	memcpy(b, &spare, sizeof(spare));
}

/* Heap sort. No two actions are equal, so the order is one whatever the algorithm. */
static void sort_actions(struct cl_action *actions, uint32_t n)
{
	uint32_t start = n / 2, end = n;

	while (end > 1) {
		if (start > 0)
			start--;
		else
			swap_actions(&actions[0], &actions[--end]);
		for (uint32_t root = start, child; (child = root * 2 + 1) < end; root = child) {
			if (child + 1 < end &&
			    compare_actions(&actions[child], &actions[child + 1]) < 0)
				child++;
			if (compare_actions(&actions[root], &actions[child]) >= 0)
				break;
			swap_actions(&actions[root], &actions[child]);
		}
	}
}

void cl_decide(const struct cl_snapshot *prev, const struct cl_snapshot *now,
	       const struct cl_params *params, struct cl_state *state, struct cl_plan *ret_plan)
{
	struct tick tick = {
		.prev = prev, .now = now, .params = params, .state = state, .plan = ret_plan
	};

	assert(!prev || prev->taken_ns < now->taken_ns);
	cl_plan_reset(ret_plan);
	resolve_cpus(&tick);
	account(&tick);
	carry(&tick);
	pins(&tick);
	charge(&tick);
	size(&tick);
	place(&tick);
	guard(&tick);
	sort_actions(ret_plan->actions, ret_plan->n.actions);
}
