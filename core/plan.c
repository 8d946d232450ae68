/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan's memory, and the tables of action kinds and reasons. */
#include <closer/state.h>

#include "mask_table.h"

#include <assert.h>
#include <string.h>

static const char *const kind_names[] = {
#define X(id, name, phase, doc) [CL_ACTION_##id] = name,
	CL_ACTION_KINDS(X)
#undef X
};

static const enum cl_phase kind_phases[] = {
#define X(id, name, phase, doc) [CL_ACTION_##id] = phase,
	CL_ACTION_KINDS(X)
#undef X
};

static const char *const reason_names[] = {
#define X(id, name, text) [CL_REASON_##id] = name,
	CL_REASONS(X)
#undef X
};

static const char *const reason_texts[] = {
#define X(id, name, text) [CL_REASON_##id] = text,
	CL_REASONS(X)
#undef X
};

static const char *const lever_names[] = {
#define X(id, name) [CL_LEVER_##id] = name,
	CL_LEVERS(X)
#undef X
		[CL_LEVER_COUNT] = "none",
};

const char *cl_lever_name(enum cl_lever lever)
{
	assert(lever <= CL_LEVER_COUNT);
	return lever_names[lever];
}

enum cl_lever cl_action_kind_lever(enum cl_action_kind kind)
{
	if (kind == CL_ACTION_CAP_SET || kind == CL_ACTION_CAP_RELEASE)
		return CL_LEVER_CAP;
	if (kind == CL_ACTION_WEIGHT_SET || kind == CL_ACTION_WEIGHT_RELEASE)
		return CL_LEVER_WEIGHT;
	if (kind == CL_ACTION_BUDGET_SET || kind == CL_ACTION_BUDGET_RELEASE)
		return CL_LEVER_BUDGET;
	return CL_LEVER_COUNT;
}

const char *cl_action_kind_name(enum cl_action_kind kind)
{
	assert(kind < CL_ACTION_KIND_COUNT);
	return kind_names[kind];
}

enum cl_phase cl_action_kind_phase(enum cl_action_kind kind)
{
	assert(kind < CL_ACTION_KIND_COUNT);
	return kind_phases[kind];
}

bool cl_action_kind_releases(enum cl_action_kind kind)
{
	return kind == CL_ACTION_THREAD_RELEASE || kind == CL_ACTION_IRQ_RELEASE ||
	       kind == CL_ACTION_CPU_RELEASE || kind == CL_ACTION_VCPU_RELEASE ||
	       kind == CL_ACTION_CAP_RELEASE || kind == CL_ACTION_WEIGHT_RELEASE ||
	       kind == CL_ACTION_BUDGET_RELEASE || kind == CL_ACTION_MEMORY_RELEASE;
}

const char *cl_reason_name(enum cl_reason reason)
{
	assert(reason < CL_REASON_COUNT);
	return reason_names[reason];
}

const char *cl_reason_text(enum cl_reason reason)
{
	assert(reason < CL_REASON_COUNT);
	return reason_texts[reason];
}

#define THROTTLES                                                                                  \
	(CL_THROTTLES_MAX + 1) /* what holds a guest back, and one that is not possible            \
				*/

/* One action an object and attribute: each work, interrupt, group, CPU and network device, two a
 * vCPU, four new groups a guest and what holds it back; the fence. */
static uint32_t action_cap(const struct cl_limits *cap)
{
	return cap->works + 2 * cap->vcpus + cap->irqs + cap->groups + cap->cpus + cap->nics +
	       (12 + THROTTLES) * cap->guests + 4;
}

/* What snapshots hold, two masks a CPU, two sets a guest, one a vCPU. */
static uint32_t mask_cap(const struct cl_limits *cap)
{
	return cap->masks + 2 * cap->cpus + 2 * cap->guests + cap->vcpus + 4;
}

static size_t aligned(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

size_t cl_plan_bytes(const struct cl_limits *cap)
{
	return aligned(action_cap(cap) * sizeof(struct cl_action)) +
	       aligned(mask_cap(cap) * sizeof(struct cl_mask)) +
	       aligned(cap->works * sizeof(struct cl_verdict)) +
	       aligned(cap->works * sizeof(struct cl_work_books)) +
	       aligned(cap->guests * sizeof(struct cl_guest_books)) +
	       aligned(cap->guests * sizeof(struct cl_write_off)) +
	       aligned(mask_table_slots(mask_cap(cap)) * sizeof(uint32_t));
}

void cl_plan_init(struct cl_plan *ret_plan, const struct cl_limits *cap, void *memory)
{
	char *at = memory;

	assert(((uintptr_t)memory & 63) == 0);
	memset(ret_plan, 0, sizeof(*ret_plan));
	ret_plan->cap = (struct cl_plan_limits){ .actions = action_cap(cap),
						 .masks = mask_cap(cap),
						 .verdicts = cap->works,
						 .guests = cap->guests,
						 .write_offs = cap->guests };
	ret_plan->actions = (struct cl_action *)(void *)at;
	at += aligned(ret_plan->cap.actions * sizeof(struct cl_action));
	ret_plan->masks = (struct cl_mask *)(void *)at;
	at += aligned(ret_plan->cap.masks * sizeof(struct cl_mask));
	ret_plan->verdicts = (struct cl_verdict *)(void *)at;
	at += aligned(cap->works * sizeof(struct cl_verdict));
	ret_plan->work_books = (struct cl_work_books *)(void *)at;
	at += aligned(cap->works * sizeof(struct cl_work_books));
	ret_plan->guest_books = (struct cl_guest_books *)(void *)at;
	at += aligned(cap->guests * sizeof(struct cl_guest_books));
	ret_plan->write_offs = (struct cl_write_off *)(void *)at;
	at += aligned(cap->guests * sizeof(struct cl_write_off));
	ret_plan->mask_slots = (uint32_t *)(void *)at;
	ret_plan->mask_slot_count = mask_table_slots(ret_plan->cap.masks);
	cl_plan_reset(ret_plan);
}

void cl_plan_reset(struct cl_plan *plan)
{
	memset(&plan->n, 0, sizeof(plan->n));
	plan->dropped = 0;
	memset(&plan->books, 0, sizeof(plan->books));
	memset(plan->mask_slots, 0, plan->mask_slot_count * sizeof(uint32_t));
	cl_cpuset_zero(&plan->main_cpus);
	cl_cpuset_zero(&plan->secondary_cpus);
	memset(&plan->fence, 0, sizeof(plan->fence));
}

struct cl_action *cl_plan_add(struct cl_plan *plan, enum cl_action_kind kind)
{
	if (plan->n.actions == plan->cap.actions) {
		plan->dropped++;
		return NULL;
	}
	struct cl_action *action = &plan->actions[plan->n.actions++];

	/* memset, not an initialiser: padding too, so that equal plans are equal bytes */
	memset(action, 0, sizeof(*action));
	action->kind = kind;
	action->object.guest.v = CL_NONE;
	action->object.vcpu.v = CL_NONE;
	action->object.nic.v = CL_NONE;
	action->object.group.seen.v = CL_NONE;
	action->from.mask.v = action->to.mask.v = CL_NONE;
	action->from.group.seen.v = action->to.group.seen.v = CL_NONE;
	action->possible = true;
	return action;
}

struct cl_mask_ix cl_plan_mask(struct cl_plan *plan, const struct cl_cpuset *set)
{
	uint32_t i = mask_table_intern(plan->masks, &plan->n.masks, plan->cap.masks,
				       plan->mask_slots, plan->mask_slot_count, set);

	if (i == CL_NONE)
		plan->dropped++;
	return (struct cl_mask_ix){ i };
}

const struct cl_cpuset *cl_plan_set(const struct cl_plan *plan, struct cl_mask_ix mask)
{
	assert(mask.v < plan->n.masks);
	return &plan->masks[mask.v].set;
}

uint32_t cl_plan_changes(const struct cl_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n.actions; i++)
		n += plan->actions[i].possible && !cl_action_kind_releases(plan->actions[i].kind);
	return n;
}

/* What was held back for CL_REASON_PINS_FIRST. */
bool cl_plan_goes_on(const struct cl_plan *plan)
{
	for (uint32_t i = 0; i < plan->n.actions; i++)
		if (plan->actions[i].kind == CL_ACTION_CPU_PIN && plan->actions[i].possible)
			return true;
	return false;
}

const char *cl_pressure_name(enum cl_pressure pressure)
{
	static const char *const names[] = {
#define X(id, name) name,
		CL_PRESSURES(X)
#undef X
	};

	return names[pressure];
}
