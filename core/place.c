/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * place: for each work what is wanted against what is, and an action for the difference, unless
 * something speaks against it; that goes into the verdict.
 *
 * Compare and set: a mask is ours to change if it is the kernel's default (all CPUs of its group),
 * what we last set, what a newborn inherited from a thread that we placed, or adopted. Any other is
 * somebody's.
 */
#include "tick.h"

#include <assert.h>
#include <string.h>

/* Is it what the kernel gives to a thread of this group that nobody has touched? */
static bool is_default(const struct cl_snapshot *now, struct cl_mask_ix mask,
		       struct cl_group_ix group)
{
	struct cl_mask_ix all = group.v == CL_NONE ? now->allowed : now->groups[group.v].cpus;

	if (all.v == CL_NONE)
		all = now->allowed;
	if (all.v == CL_NONE || mask.v == CL_NONE)
		return false;
	return cl_cpuset_subset(cl_snapshot_set(now, all), cl_snapshot_set(now, mask));
}

/* What a fence of masks gave to all is inherited by whatever these start. */
static bool is_fenced(const struct tick *tick, struct cl_mask_ix mask)
{
	return tick->state->fenced &&
	       cl_cpuset_equal(cl_snapshot_set(tick->now, mask), &tick->plan->main_cpus);
}

static bool was_given(const struct cl_state_guest *guest, uint64_t hash)
{
	for (uint32_t i = 0; i < 4; i++)
		if (guest->given[i] == hash)
			return true;
	return false;
}

static bool group_ours(const struct cl_snapshot *now, struct cl_group_ix group)
{
	return group.v != CL_NONE && now->groups[group.v].ours;
}

/* Whose is its mask? Brings state->mask_hash and state->foreign up to date; true: ours to change.
 */
static bool may_change(struct tick *tick, const struct cl_work *work, struct cl_state_work *state,
		       const struct cl_state_guest *guest)
{
	const struct cl_snapshot *now = tick->now;
	uint64_t hash = now->masks[work->mask.v].hash;
	bool newborn = state->newborn;

	state->newborn = 0;
	if (state->adopted)
		return true;
	if (state->mask_hash != 0 && hash == state->mask_hash)
		return true;
	if (newborn && state->mask_hash == 0 &&
	    (group_ours(now, work->group) || was_given(guest, hash))) {
		state->mask_hash = hash;
		return true;
	}
	if (is_default(now, work->mask, work->group) || is_fenced(tick, work->mask)) {
		state->foreign = 0;
		state->mask_hash = 0;
		return true;
	}
	if (state->mask_hash != 0) {
		struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_THREAD_RELEASE);

		if (a) {
			a->object.thread = work->thread;
			a->object.guest = work->guest;
			a->why.code = CL_REASON_FOREIGN;
		}
		state->mask_hash = 0;
	}
	state->foreign = 1;
	return false;
}

static struct cl_why left(enum cl_reason code, uint64_t number)
{
	return (struct cl_why){ .code = code, .number = { number, number, number } };
}

/* Does something speak against moving it now? NONE: no. */
static struct cl_why objection(const struct tick *tick, const struct cl_work *work,
			       const struct cl_state_work *state, const struct guest_view *view)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_params *params = tick->params;
	uint64_t since = now->taken_ns - state->moved_ns;
	bool first = state->moved_ns == 0 && state->mask_hash == 0;

	if (state->retry_ns > now->taken_ns)
		return (struct cl_why){ .code = CL_REASON_BACKOFF,
					.number = { state->refused, state->retry_ns - now->taken_ns,
						    0 } };
	/* A guest that moves to this same host bears another uuid until the first one is gone. */
	if (group_ours(now, work->group) &&
	    cl_uuid_compare(&now->groups[work->group.v].guest, &view->guest->id) != 0)
		return left(CL_REASON_NONE, 0);
	/* What is outside of its home or on the main container's CPUs moves whatever it uses. */
	if (first || state->adopted ||
	    !cl_cpuset_subset(cl_snapshot_set(now, work->mask), &view->home))
		return left(CL_REASON_NONE, 0);
	if (state->load < params->place_floor)
		return left(CL_REASON_SMALL, state->load);
	if (state->moved_ns != 0 && since < params->hold)
		return left(CL_REASON_HELD, since);
	if (tick->moves >= params->moves)
		return left(CL_REASON_BUDGET, params->moves);
	return left(CL_REASON_NONE, 0);
}

static void place_thread(struct tick *tick, const struct guest_view *view,
			 const struct cl_work *work, const struct cl_state_work *state,
			 const struct target *target, const struct cl_group_ref *group)
{
	const struct cl_snapshot *now = tick->now;
	bool first = state->moved_ns == 0 && state->mask_hash == 0;

	if (group->tag != CL_GROUP_NONE && group->tag != CL_GROUP_SEEN)
		group_need(tick, view, group);
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_THREAD_PLACE);

	if (!a)
		return;
	if (!first)
		tick->moves++;
	a->object.thread = work->thread;
	a->object.guest = work->guest;
	a->from.tag = a->to.tag = CL_VALUE_PLACE;
	a->from.mask = cl_plan_mask(tick->plan, cl_snapshot_set(now, work->mask));
	a->to.mask = cl_plan_mask(tick->plan, &target->set);
	if (group->tag != CL_GROUP_NONE) {
		a->from.group.tag = CL_GROUP_SEEN;
		a->from.group.seen = work->group;
		a->to.group = *group;
	}
	a->why = target->why;
	a->possible = CL_CAN(now, MASK);
	a->first = first;
}

/*
 * The container to place it in. Only from the root group or from one of ours: any other is another
 * manager's (libvirt's emulator group, a slice), and the thread stays in it, placed by mask alone.
 */
static struct cl_group_ref container(const struct tick *tick, const struct guest_view *view,
				     const struct cl_work *work, const struct cl_cpuset *set)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_group_ref none = { .tag = CL_GROUP_NONE, .seen = { CL_NONE } };

	if (!tick->params->containers || !CL_CAN(now, GROUP) || work->group.v == CL_NONE)
		return none;
	const struct cl_group *is = &now->groups[work->group.v];

	/* One that could not be made is tried again later; until then masks alone. */
	if (tick->state->root.retry_ns > now->taken_ns ||
	    tick->state->guests[view->ix.v].groups.retry_ns > now->taken_ns)
		return none;
	if (!is->ours && strcmp(cl_snapshot_str(now, is->path), "/") != 0)
		return none;
	return group_for(tick, view, set);
}

/* Another manager's group bounds what the mask can be. False: nothing of the guest's home is
 * inside. */
static bool stay_in_group(const struct cl_snapshot *now, const struct guest_view *view,
			  const struct cl_work *work, struct target *target)
{
	if (work->group.v == CL_NONE || now->groups[work->group.v].cpus.v == CL_NONE)
		return true;
	const struct cl_cpuset *bound = cl_snapshot_set(now, now->groups[work->group.v].cpus);

	if (cl_cpuset_subset(&target->set, bound))
		return true;
	if (!cl_cpuset_meets(&target->set, bound))
		target->set = view->home;
	cl_cpuset_and(&target->set, bound);
	return !cl_cpuset_empty(&target->set);
}

static uint32_t top_group(const struct cl_snapshot *now)
{
	for (uint32_t i = 0; i < now->n.groups; i++)
		if (strcmp(cl_snapshot_str(now, now->groups[i].path), "/") == 0)
			return i;
	return CL_NONE;
}

/*
 * What only waits is no work. Born of work it has that one's mask and container: it goes back to
 * the top group, which is where the containers' work comes from, and to all of its CPUs. In a group
 * of others it stays.
 */
static void give_back(struct tick *tick, const struct guest_view *view, uint32_t i)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_work *work = &now->works[i];
	struct cl_state_work *state = &tick->state->works[i];
	struct cl_verdict *verdict = &tick->plan->verdicts[i];
	struct cl_group_ref group = { .tag = CL_GROUP_NONE, .seen = { CL_NONE } };
	struct target target = { .follow = CL_FOLLOW_NONE,
				 .cpu = CL_NONE,
				 .why = { .code = CL_REASON_WAITS } };
	struct cl_mask_ix all = now->allowed;

	if (group_ours(now, work->group)) {
		group.tag = CL_GROUP_SEEN;
		group.seen.v = top_group(now);
		if (group.seen.v == CL_NONE) {
			verdict->left = left(CL_REASON_CANNOT, 0);
			return;
		}
	}
	uint32_t in = group.tag == CL_GROUP_SEEN ? group.seen.v : work->group.v;

	if (in != CL_NONE && now->groups[in].cpus.v != CL_NONE)
		all = now->groups[in].cpus;
	target.set = *cl_snapshot_set(now, all);
	/* A fence of masks leaves the group its CPUs, and every other process in it the main ones.
	 */
	if (tick->state->fenced && cl_cpuset_meets(&target.set, &tick->plan->main_cpus))
		cl_cpuset_and(&target.set, &tick->plan->main_cpus);
	verdict->placed = target.why;
	verdict->target = cl_plan_mask(tick->plan, &target.set);
	if (!may_change(tick, work, state, &tick->state->guests[work->guest.v]))
		verdict->left = left(CL_REASON_FOREIGN, 0);
	else if (group.tag == CL_GROUP_NONE &&
		 cl_cpuset_equal(cl_snapshot_set(now, work->mask), &target.set))
		verdict->left = left(CL_REASON_IN_PLACE, 0);
	else if (state->retry_ns > now->taken_ns)
		verdict->left = left(CL_REASON_BACKOFF, state->refused);
	else
		place_thread(tick, view, work, state, &target, &group);
}

static void place_work(struct tick *tick, const struct guest_view *view, uint32_t i)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_work *work = &now->works[i];
	struct cl_state_work *state = &tick->state->works[i];
	struct cl_verdict *verdict = &tick->plan->verdicts[i];
	struct target target;

	if (cl_cpuset_empty(&tick->plan->secondary_cpus)) {
		verdict->left = left(CL_REASON_NO_SECONDARY, 0);
		return;
	}
	if (work->mask.v == CL_NONE || now->taken_ns > work->read_ns + tick->params->stale) {
		verdict->left = left(CL_REASON_STALE, now->taken_ns - work->read_ns);
		return;
	}
	if (work->bound) {
		verdict->left = left(CL_REASON_BOUND, 0);
		return;
	}
	if (work->kind == CL_WORK_WAITER) {
		give_back(tick, view, i);
		return;
	}
	target_work(tick, view, work, state, &target);
	struct cl_group_ref group = container(tick, view, work, &target.set);

	if (group.tag == CL_GROUP_NONE && !stay_in_group(now, view, work, &target)) {
		verdict->left = left(CL_REASON_CANNOT, 0);
		return;
	}
	verdict->placed = target.why;
	verdict->follow = target.follow;
	verdict->target = cl_plan_mask(tick->plan, &target.set);
	if (!may_change(tick, work, state, &tick->state->guests[work->guest.v])) {
		verdict->left = left(CL_REASON_FOREIGN, 0);
		return;
	}
	if (cl_cpuset_equal(cl_snapshot_set(now, work->mask), &target.set) &&
	    (group.tag == CL_GROUP_NONE || group_is(now, work->group, &group))) {
		verdict->left = left(CL_REASON_IN_PLACE, 0);
		return;
	}
	verdict->left = objection(tick, work, state, view);
	if (verdict->left.code != CL_REASON_NONE)
		return;
	if (!CL_CAN(now, MASK))
		verdict->left = left(CL_REASON_CANNOT, 0);
	place_thread(tick, view, work, state, &target, &group);
}

/*
 * A vCPU born of placed work (hot-plug) inherited its mask and group: back to what the guest's
 * other vCPUs have. One that an operator pinned to the same CPUs later is not newborn, and not in a
 * group of ours.
 */
static void restore_vcpu(struct tick *tick, const struct guest_view *view, uint32_t v)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_vcpu *vcpu = &now->vcpus[v];
	struct cl_state_vcpu *state = &tick->state->vcpus[v];
	const struct cl_vcpu *sibling = NULL;
	bool newborn = state->newborn || state->refused > 0;

	state->newborn = 0;
	if (vcpu->thread.tid == 0 || vcpu->mask.v == CL_NONE || state->retry_ns > now->taken_ns)
		return;
	if (!group_ours(now, vcpu->group) &&
	    !(newborn &&
	      was_given(&tick->state->guests[view->ix.v], now->masks[vcpu->mask.v].hash)))
		return;
	for (uint32_t i = 0; i < view->guest->vcpu_count && !sibling; i++) {
		const struct cl_vcpu *other = &now->vcpus[view->guest->vcpu_first + i];

		if (other != vcpu && other->group.v != CL_NONE && !group_ours(now, other->group))
			sibling = other;
	}
	struct cl_mask_ix all = sibling ? now->groups[sibling->group.v].cpus : now->allowed;

	if (all.v == CL_NONE || (group_ours(now, vcpu->group) && !sibling))
		return;
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_VCPU_RESTORE);

	if (!a)
		return;
	a->object.thread = vcpu->thread;
	a->object.vcpu.v = v;
	a->object.guest = view->ix;
	a->from.tag = a->to.tag = CL_VALUE_PLACE;
	a->from.mask = cl_plan_mask(tick->plan, cl_snapshot_set(now, vcpu->mask));
	a->to.mask = cl_plan_mask(tick->plan, cl_snapshot_set(now, all));
	if (sibling && vcpu->group.v != CL_NONE) {
		a->from.group.tag = a->to.group.tag = CL_GROUP_SEEN;
		a->from.group.seen = vcpu->group;
		a->to.group.seen = sibling->group;
	}
	a->why.code = CL_REASON_INHERITED;
	a->possible = CL_CAN(now, MASK);
}

static bool irq_may_change(struct tick *tick, const struct cl_irq *irq, struct cl_state_irq *state)
{
	const struct cl_snapshot *now = tick->now;

	if (state->adopted ||
	    (state->mask_hash != 0 && state->mask_hash == now->masks[irq->mask.v].hash))
		return true;
	if (is_default(now, irq->mask, (struct cl_group_ix){ CL_NONE })) {
		state->foreign = 0;
		return true;
	}
	if (state->mask_hash != 0) {
		struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_IRQ_RELEASE);

		if (a) {
			a->object.irq = irq->number;
			a->object.guest = irq->guest;
			a->why.code = CL_REASON_FOREIGN;
		}
		state->mask_hash = 0;
	}
	state->foreign = 1;
	return false;
}

static void place_irq(struct tick *tick, uint32_t i)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_irq *irq = &now->irqs[i];
	struct cl_state_irq *state = &tick->state->irqs[i];
	struct guest_view view;
	struct target target;

	/* One whose description is not known, or long ago, is left alone as its threads are. */
	if (irq->guest.v == CL_NONE || irq->mask.v == CL_NONE ||
	    now->taken_ns > now->guests[irq->guest.v].read_ns + tick->params->stale ||
	    cl_cpuset_empty(&tick->plan->secondary_cpus))
		return;
	view_guest(tick, irq->guest, &view);
	target_irq(tick, &view, irq->queue_vcpu, &target);
	if (!irq_may_change(tick, irq, state) || state->retry_ns > now->taken_ns ||
	    cl_cpuset_equal(cl_snapshot_set(now, irq->mask), &target.set) ||
	    (state->moved_ns != 0 && now->taken_ns - state->moved_ns < tick->params->hold))
		return;
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_IRQ_PLACE);

	if (!a)
		return;
	a->object.irq = irq->number;
	a->object.guest = irq->guest;
	a->from.tag = a->to.tag = CL_VALUE_MASK;
	a->from.mask = cl_plan_mask(tick->plan, cl_snapshot_set(now, irq->mask));
	a->to.mask = cl_plan_mask(tick->plan, &target.set);
	a->why = target.why;
	a->possible = CL_CAN(now, IRQ);
	a->first = state->moved_ns == 0;
}

/*
 * Threads of a device's NAPI are born by the switch: placed at the next tick. 0 is the kernel's
 * default, and ours to change; nobody's devices are left.
 */
static void thread_nics(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;

	for (uint32_t i = 0; i < now->n.nics; i++) {
		const struct cl_nic *nic = &now->nics[i];

		if (nic->guest.v == CL_NONE || nic->threaded != 0 ||
		    tick->state->guests[nic->guest.v].nics.retry_ns > now->taken_ns)
			continue;
		struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_NAPI_THREAD);

		if (!a)
			return;
		a->object.nic.v = i;
		a->object.guest = nic->guest;
		a->from.tag = a->to.tag = CL_VALUE_INT;
		a->to.number = 1;
		a->why.code = CL_REASON_THREADED;
		a->possible = CL_CAN(now, NAPI_THREAD);
	}
}

void place(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_verdict nothing = { .target = { CL_NONE } };
	struct guest_view view;

	/* Which node and core each CPU is on is only true once its vCPU stays. */
	if (tick->pins > 0)
		nothing.left = left(CL_REASON_PINS_FIRST, tick->pins);
	for (uint32_t i = 0; i < now->n.works; i++)
		tick->plan->verdicts[i] = nothing;
	if (tick->pins > 0)
		return;
	for (uint32_t g = 0; g < now->n.guests; g++) {
		view_guest(tick, (struct cl_guest_ix){ g }, &view);
		for (uint32_t i = 0; i < view.guest->vcpu_count; i++)
			restore_vcpu(tick, &view, view.guest->vcpu_first + i);
		for (uint32_t i = 0; i < view.guest->work_count; i++)
			place_work(tick, &view, view.guest->work_first + i);
	}
	if (tick->params->irqs)
		for (uint32_t i = 0; i < now->n.irqs; i++)
			place_irq(tick, i);
	if (tick->params->napi_threads)
		thread_nics(tick);
	if (tick->params->containers && CL_CAN(now, GROUP))
		groups_keep(tick);
	fence(tick);
}
