/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target: where each work belongs (thesis, Algorithm 2; MASCOTS 2019 slides).
 *
 *   guest-started   beside the vCPU that raised it: its queue's, else the guest's busiest
 *   from outside    on that CPU of the guest's which has contributed least so far
 *   management      on the node that holds most of the guest's memory, on the guest's CPU there
 *
 * always inside the guest's home and outside the main container. How tightly it follows (one CPU,
 * the guest's CPUs, its home) comes from the vCPU's residency, and one level less for each time
 * that the work was found waiting.
 */
#include "tick.h"

#include <assert.h>

void node_cpus(const struct cl_snapshot *snap, uint64_t nodes, struct cl_cpuset *ret_set)
{
	cl_cpuset_zero(ret_set);
	for (uint32_t c = 0; c < snap->n.cpus; c++) {
		uint32_t node = snap->cpus[c].node.v;

		if (snap->cpus[c].online && node != CL_NONE && (nodes >> node) & 1)
			cl_cpuset_add(ret_set, c);
	}
}

/* 0: itself, 1: an SMT sibling, then the nodes' distance (10 is the same node). */
static uint32_t cpu_distance(const struct cl_snapshot *snap, uint32_t a, uint32_t b)
{
	const struct cl_cpu *x = &snap->cpus[a], *y = &snap->cpus[b];

	if (a == b)
		return 0;
	if (x->core != CL_NONE && x->core == y->core)
		return 1;
	if (x->node.v == CL_NONE || y->node.v == CL_NONE)
		return 10;
	return snap->nodes[x->node.v].distance[y->node.v];
}

uint32_t nearest_cpu(const struct cl_snapshot *snap, uint32_t cpu, const struct cl_cpuset *among,
		     uint32_t *ret_distance)
{
	uint32_t best = CL_NONE, least = CL_NONE;

	for (uint32_t c = cl_cpuset_next(among, 0); c != CL_NONE && c < snap->n.cpus;
	     c = cl_cpuset_next(among, c + 1)) {
		uint32_t d = cpu_distance(snap, cpu, c);

		if (best == CL_NONE || d < least) {
			best = c;
			least = d;
		}
	}
	*ret_distance = least;
	return best;
}

void view_guest(const struct tick *tick, struct cl_guest_ix guest, struct guest_view *ret_view)
{
	const struct cl_snapshot *now = tick->now;
	struct guest_view *view = ret_view;
	uint64_t most = 0, nodes_seen = 0;

	view->ix = guest;
	view->guest = &now->guests[guest.v];
	view->busiest.v = CL_NONE;
	node_cpus(now, view->guest->home, &view->home);
	cl_cpuset_and(&view->home, &tick->plan->secondary_cpus);
	if (cl_cpuset_empty(&view->home))
		view->home = tick->plan->secondary_cpus;
	for (uint32_t c = cl_cpuset_next(&view->home, 0); c != CL_NONE;
	     c = cl_cpuset_next(&view->home, c + 1))
		if (now->cpus[c].node.v != CL_NONE)
			nodes_seen |= UINT64_C(1) << now->cpus[c].node.v;
	/* A home that is not known is every node: that is ignorance, not a guest that spans them.
	 */
	view->spans = view->guest->home != 0 && (nodes_seen & (nodes_seen - 1)) != 0;
	cl_cpuset_zero(&view->cpus);
	for (uint32_t i = 0; i < view->guest->vcpu_count; i++) {
		uint32_t v = view->guest->vcpu_first + i;
		const struct cl_state_vcpu *state = &tick->state->vcpus[v];

		if (state->load == 0 || state->cpu == CL_NONE)
			continue;
		if (view->busiest.v == CL_NONE || state->load > most) {
			view->busiest.v = v;
			most = state->load;
		}
		if (state->cpu != CL_NONE && cl_cpuset_has(&view->home, state->cpu))
			cl_cpuset_add(&view->cpus, state->cpu);
	}
}

/* The vCPU that the work is placed by, and which evidence says so; CL_NONE: none has run. */
static uint32_t evidence(const struct tick *tick, const struct guest_view *view,
			 uint32_t queue_vcpu, enum cl_reason *ret_reason)
{
	const struct cl_guest *guest = view->guest;

	if (queue_vcpu != CL_NONE) {
		for (uint32_t i = 0; i < guest->vcpu_count; i++) {
			uint32_t v = guest->vcpu_first + i;

			if (tick->now->vcpus[v].index == queue_vcpu &&
			    tick->state->vcpus[v].cpu != CL_NONE) {
				*ret_reason = CL_REASON_BESIDE_QUEUE_VCPU;
				return v;
			}
		}
	}
	*ret_reason = CL_REASON_BESIDE_BUSIEST_VCPU;
	return view->busiest.v;
}

/* How tightly to follow a vCPU of this residency, with hysteresis towards looser. */
static enum cl_follow follow_level(const struct cl_params *params, uint64_t residency,
				   enum cl_follow before)
{
	uint64_t cpu = params->follow_cpu, set = params->follow_set, slack = params->hysteresis;

	if (before == CL_FOLLOW_CPU)
		cpu -= slack < cpu ? slack : cpu;
	if (before == CL_FOLLOW_CPU || before == CL_FOLLOW_SET)
		set -= slack < set ? slack : set;
	if (residency >= cpu)
		return CL_FOLLOW_CPU;
	return residency >= set ? CL_FOLLOW_SET : CL_FOLLOW_HOME;
}

/*
 * Work that waits for its CPU is given more of them, a level at a time and not before `hold` has
 * shown that the last change did not help; it is taken back when waiting has been rare for long.
 */
static enum cl_follow widen_if_crowded(const struct tick *tick, struct cl_state_work *state,
				       enum cl_follow level)
{
	uint64_t since = tick->now->taken_ns - state->moved_ns, hold = tick->params->hold;
	bool settled = state->moved_ns != 0 && since >= hold;

	if (settled && state->wait > tick->params->crowded &&
	    (uint32_t)level + state->crowded < CL_FOLLOW_HOME)
		state->crowded++;
	else if (state->crowded > 0 && since >= 12 * hold &&
		 state->wait < tick->params->crowded / 4)
		state->crowded--;
	uint32_t widened = (uint32_t)level + state->crowded;

	return widened > CL_FOLLOW_HOME ? CL_FOLLOW_HOME : (enum cl_follow)widened;
}

static struct cl_why why3(enum cl_reason code, uint64_t a, uint64_t b, uint64_t c)
{
	return (struct cl_why){ .code = code, .number = { a, b, c } };
}

/* One CPU beside `cpu`, which may lie outside of what the guest's work may use. */
static void target_cpu(const struct tick *tick, const struct guest_view *view, uint32_t cpu,
		       struct cl_why why, struct target *ret_target)
{
	uint32_t distance;
	uint32_t near = nearest_cpu(tick->now, cpu, &view->home, &distance);

	assert(near != CL_NONE);
	cl_cpuset_zero(&ret_target->set);
	cl_cpuset_add(&ret_target->set, near);
	ret_target->cpu = near;
	ret_target->why = near == cpu ? why : why3(CL_REASON_NEAREST, cpu, near, distance);
}

/* What it has now, if that is closer's own and still serves: contains what is wanted, and not twice
 * as much. */
static bool keep_current(const struct tick *tick, const struct guest_view *view,
			 const struct cl_work *work, const struct cl_state_work *state,
			 struct target *target)
{
	if (state->mask_hash == 0 || work->mask.v == CL_NONE ||
	    tick->now->masks[work->mask.v].hash != state->mask_hash)
		return false;
	const struct cl_cpuset *has = cl_snapshot_set(tick->now, work->mask);

	if (!cl_cpuset_subset(&target->set, has) || !cl_cpuset_subset(has, &view->home) ||
	    cl_cpuset_count(has) > 2 * cl_cpuset_count(&target->set))
		return false;
	target->set = *has;
	return true;
}

/* The candidate that has contributed least; the present one unless it is ahead by more than `hold`.
 */
static uint32_t least_contributed(const struct tick *tick, const struct cl_cpuset *among,
				  uint32_t present)
{
	const uint64_t *contributed = tick->state->contributed_ns;
	uint32_t best = CL_NONE;

	for (uint32_t c = cl_cpuset_next(among, 0); c != CL_NONE; c = cl_cpuset_next(among, c + 1))
		if (best == CL_NONE || contributed[c] < contributed[best])
			best = c;
	if (present != CL_NONE && cl_cpuset_has(among, present) &&
	    contributed[present] - contributed[best] <= tick->params->hold)
		return present;
	return best;
}

/* Management: the node that holds most of the memory, there the CPU that its vCPUs use most, else
 * any nearest. */
static void target_management(const struct tick *tick, const struct guest_view *view,
			      const struct cl_work *work, struct target *ret_target)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_cpuset among;
	uint64_t most = 0;
	uint32_t best = CL_NONE;

	uint32_t node = view->guest->home_most.v;

	node_cpus(now, node == CL_NONE ? view->guest->home : UINT64_C(1) << node, &among);
	cl_cpuset_and(&among, &view->home);
	if (cl_cpuset_empty(&among))
		among = view->home;
	for (uint32_t i = 0; i < view->guest->vcpu_count; i++) {
		const struct cl_state_vcpu *v = &tick->state->vcpus[view->guest->vcpu_first + i];

		if (v->cpu != CL_NONE && cl_cpuset_has(&among, v->cpu) &&
		    (best == CL_NONE || v->load > most)) {
			best = v->cpu;
			most = v->load;
		}
	}
	if (best == CL_NONE)
		best = least_contributed(tick, &among, work->cpu.v);
	cl_cpuset_zero(&ret_target->set);
	cl_cpuset_add(&ret_target->set, best);
	ret_target->follow = CL_FOLLOW_CPU;
	ret_target->cpu = best;
	ret_target->why = why3(CL_REASON_HOME_MANAGEMENT, now->cpus[best].node.v, best, 0);
}

/*
 * Where a guest spans nodes: what is left of its home and CPUs on the nodes that this vCPU may run
 * on. The guest was divided, and so is the work of its queues.
 */
static void narrow_to_vcpu(const struct tick *tick, uint32_t v, struct guest_view *view)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_cpuset part;
	uint64_t nodes = 0;

	if (!view->spans || now->vcpus[v].mask.v == CL_NONE)
		return;
	const struct cl_cpuset *mask = cl_snapshot_set(now, now->vcpus[v].mask);

	for (uint32_t c = cl_cpuset_next(mask, 0); c != CL_NONE && c < now->n.cpus;
	     c = cl_cpuset_next(mask, c + 1))
		if (now->cpus[c].node.v != CL_NONE)
			nodes |= UINT64_C(1) << now->cpus[c].node.v;
	node_cpus(now, nodes, &part);
	cl_cpuset_and(&part, &view->home);
	if (cl_cpuset_empty(&part))
		return;
	view->home = part;
	cl_cpuset_and(&view->cpus, &part);
}

static void target_set(const struct tick *tick, const struct guest_view *view,
		       const struct cl_work *work, const struct cl_state_work *state, uint32_t v,
		       struct target *ret_target)
{
	const struct cl_state_vcpu *vcpu = &tick->state->vcpus[v];

	if (cl_cpuset_empty(&view->cpus)) {
		target_cpu(tick, view, vcpu->cpu, why3(CL_REASON_NONE, 0, 0, 0), ret_target);
		return;
	}
	ret_target->set = view->cpus;
	keep_current(tick, view, work, state, ret_target);
	ret_target->why = why3(CL_REASON_GUEST_CPUS, tick->now->vcpus[v].index,
			       cl_cpuset_count(&ret_target->set), vcpu->residency);
}

void target_work(const struct tick *tick, const struct guest_view *whole,
		 const struct cl_work *work, struct cl_state_work *state, struct target *ret_target)
{
	struct guest_view part = *whole, *view = &part;
	enum cl_reason reason;
	uint32_t v = evidence(tick, view, work->queue_vcpu, &reason);

	if (v != CL_NONE && reason == CL_REASON_BESIDE_QUEUE_VCPU)
		narrow_to_vcpu(tick, v, view);
	uint32_t home_count = cl_cpuset_count(&view->home);

	*ret_target = (struct target){ .set = view->home,
				       .follow = CL_FOLLOW_HOME,
				       .cpu = CL_NONE,
				       .why = why3(CL_REASON_OFF_MAIN, 0, home_count, 0) };
	if (cl_work_kind_origin(work->kind) == CL_ORIGIN_MANAGEMENT) {
		target_management(tick, view, work, ret_target);
		return;
	}
	if (v == CL_NONE)
		return;
	const struct cl_state_vcpu *vcpu = &tick->state->vcpus[v];
	enum cl_follow level =
		follow_level(tick->params, vcpu->residency, (enum cl_follow)state->follow);
	enum cl_follow widened = widen_if_crowded(tick, state, level);

	/* The guest's CPUs are one: that is no more than what it waits for. */
	if (widened == CL_FOLLOW_SET && level == CL_FOLLOW_CPU && cl_cpuset_count(&view->cpus) < 2)
		widened = CL_FOLLOW_HOME;
	state->follow = level;
	ret_target->follow = widened;
	switch (widened) {
	case CL_FOLLOW_CPU:
		if (cl_work_kind_origin(work->kind) == CL_ORIGIN_OUTSIDE &&
		    !cl_cpuset_empty(&view->cpus)) {
			uint32_t c = least_contributed(tick, &view->cpus, state->target_cpu);

			target_cpu(tick, view, c,
				   why3(CL_REASON_LEAST_CONTRIBUTED, c,
					tick->state->contributed_ns[c], 0),
				   ret_target);
		} else {
			target_cpu(
				tick, view, vcpu->cpu,
				why3(reason, tick->now->vcpus[v].index, vcpu->cpu, vcpu->residency),
				ret_target);
		}
		break;
	case CL_FOLLOW_SET:
		target_set(tick, view, work, state, v, ret_target);
		break;
	case CL_FOLLOW_NONE:
	case CL_FOLLOW_HOME:
		ret_target->why = why3(CL_REASON_HOME, 0, home_count, vcpu->residency);
		break;
	}
	if (widened != level)
		ret_target->why =
			why3(CL_REASON_CROWDED, 0, cl_cpuset_count(&ret_target->set), state->wait);
	state->target_cpu = ret_target->cpu;
}

void target_irq(const struct tick *tick, const struct guest_view *whole, uint32_t queue_vcpu,
		struct target *ret_target)
{
	struct guest_view part = *whole, *view = &part;
	enum cl_reason reason;
	uint32_t v = evidence(tick, view, queue_vcpu, &reason);

	if (v != CL_NONE && reason == CL_REASON_BESIDE_QUEUE_VCPU)
		narrow_to_vcpu(tick, v, view);
	*ret_target = (struct target){ .set = view->home,
				       .follow = CL_FOLLOW_HOME,
				       .cpu = CL_NONE,
				       .why = why3(CL_REASON_OFF_MAIN, 0,
						   cl_cpuset_count(&view->home), 0) };
	if (v == CL_NONE)
		return;
	const struct cl_state_vcpu *vcpu = &tick->state->vcpus[v];

	ret_target->why = why3(CL_REASON_HOME, 0, cl_cpuset_count(&view->home), vcpu->residency);
	if (vcpu->residency >= tick->params->follow_cpu && vcpu->cpu != CL_NONE) {
		ret_target->follow = CL_FOLLOW_CPU;
		target_cpu(tick, view, vcpu->cpu,
			   why3(reason, tick->now->vcpus[v].index, vcpu->cpu, vcpu->residency),
			   ret_target);
	}
}
