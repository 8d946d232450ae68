/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence: nobody else's tasks on the secondary CPUs. Where the host can, the parent of the
 * containers becomes a partition, and the kernel itself keeps all others out; else the others'
 * masks are set, once. It stays up whatever happens to the containers, and is not put up again if
 * somebody took it down.
 */
#include "tick.h"

/* Is there work of a guest? What is nobody's comes last. */
static bool has_work(const struct cl_snapshot *now)
{
	return now->n.works > 0 && now->works[0].guest.v != CL_NONE;
}

static void put_up(struct tick *tick, bool partition)
{
	struct cl_action *a = cl_plan_add(tick->plan, CL_ACTION_FENCE);

	if (!a)
		return;
	a->object.group.tag = partition ? CL_GROUP_ROOT : CL_GROUP_NONE;
	a->from.tag = a->to.tag = CL_VALUE_INT;
	a->to.number = 1;
	a->to.mask = cl_plan_mask(tick->plan, &tick->plan->main_cpus);
	a->why = (struct cl_why){ .code = CL_REASON_FENCE,
				  .number = { cl_cpuset_count(&tick->plan->secondary_cpus) } };
}

/* What there is to say of it; NONE: it is to be put up. */
static struct cl_why found(const struct tick *tick, bool partition)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_state *state = tick->state;
	struct cl_group_ix root = group_root(now);
	bool up = partition ? root.v != CL_NONE && now->groups[root.v].fenced : state->fenced;

	if (!CL_CAN(now, FENCE))
		return (struct cl_why){ .code = CL_REASON_CANNOT };
	if (cl_cpuset_empty(&tick->plan->secondary_cpus))
		return (struct cl_why){ .code = CL_REASON_NO_SECONDARY };
	if (up)
		return (struct cl_why){ .code = CL_REASON_FENCE,
					.number = {
						cl_cpuset_count(&tick->plan->secondary_cpus) } };
	if (state->fenced)
		return (struct cl_why){ .code = CL_REASON_FOREIGN };
	if (state->fence.retry_ns > now->taken_ns)
		return (struct cl_why){ .code = CL_REASON_BACKOFF,
					.number = { state->fence.refused,
						    state->fence.retry_ns - now->taken_ns } };
	return (struct cl_why){ .code = CL_REASON_NONE };
}

void fence(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	bool partition = tick->params->containers && CL_CAN(now, GROUP) && CL_CAN(now, PARTITION);

	if (!tick->params->fence || !has_work(now))
		return;
	/* A new container is nobody's fence yet; where there is none, nothing has been placed. */
	if (partition && group_root(now).v == CL_NONE) {
		tick->state->fenced = 0;
		if (!tick->root_planned)
			return;
	}
	tick->plan->fence = found(tick, partition);
	if (tick->plan->fence.code == CL_REASON_NONE)
		put_up(tick, partition);
}
