/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions to changes: indices become paths, CPU sets and process ids. */
#include "expand.h"
#include "lib.h"

#include <string.h>

static bool mask_of(const struct cl_plan *plan, struct cl_mask_ix mask, struct cl_cpuset *ret)
{
	if (mask.v >= plan->n.masks)
		return false;
	*ret = *cl_plan_set(plan, mask);
	return true;
}

/* A thread's place: a group, unless it is to be left as it is, and a mask. */
static bool place_of(const struct cl_snapshot *now, const struct cl_plan *plan,
		     const struct cl_value *value, struct cl_setting *ret)
{
	ret->present = true;
	if (value->tag == CL_VALUE_PLACE && value->group.tag != CL_GROUP_NONE) {
		if (!cl_group_path(&value->group, now, ret->path))
			return false;
		ret->has_path = true;
	} else if (value->tag != CL_VALUE_PLACE && value->tag != CL_VALUE_MASK) {
		return false;
	}
	return mask_of(plan, value->mask, &ret->cpus);
}

static bool container_of_value(const struct cl_plan *plan, const struct cl_value *value,
			       struct cl_setting *ret)
{
	ret->present = value->tag != CL_VALUE_ABSENT;
	if (!ret->present)
		return true;
	return (value->tag == CL_VALUE_GROUP || value->tag == CL_VALUE_MASK) &&
	       mask_of(plan, value->mask, &ret->cpus);
}

static bool number_of(const struct cl_value *value, struct cl_setting *ret)
{
	ret->present = true;
	ret->number = value->number;
	return value->tag == CL_VALUE_INT;
}

/* The vCPU of a guest, or of the privileged domain, whose number is 0 and whose uuid is none. */
static bool vcpu_of(const struct cl_snapshot *now, const struct cl_action *action,
		    struct cl_change *c)
{
	c->kind = CL_CHANGE_VCPU;
	if (action->kind == CL_ACTION_CPU_PIN || action->kind == CL_ACTION_CPU_RELEASE) {
		c->vcpu = action->object.cpu;
		return true;
	}
	if (action->object.vcpu.v >= now->n.vcpus)
		return false;
	const struct cl_vcpu *vcpu = &now->vcpus[action->object.vcpu.v];

	c->vcpu = vcpu->index;
	c->domain = now->guests[vcpu->guest.v].id;
	c->domid = now->guests[vcpu->guest.v].domid;
	return true;
}

static bool device_of(const struct cl_snapshot *now, const struct cl_action *action,
		      struct cl_change *c)
{
	c->kind = CL_CHANGE_NIC;
	if (action->object.nic.v >= now->n.nics)
		return false;
	snprintf(c->path, sizeof(c->path), "%s",
		 cl_snapshot_str(now, now->nics[action->object.nic.v].name));
	return true;
}

/* A domain, by its number and its uuid. */
static bool domain_of(const struct cl_snapshot *now, const struct cl_action *action,
		      struct cl_change *c)
{
	static const enum cl_change_kind kinds[] = { [CL_LEVER_CAP] = CL_CHANGE_CAP,
						     [CL_LEVER_WEIGHT] = CL_CHANGE_WEIGHT,
						     [CL_LEVER_BUDGET] = CL_CHANGE_BUDGET };

	c->kind = kinds[cl_action_kind_lever(action->kind)];
	if (action->object.guest.v >= now->n.guests)
		return false;
	c->domain = now->guests[action->object.guest.v].id;
	c->domid = now->guests[action->object.guest.v].domid;
	return true;
}

static bool balloon_of(const struct cl_snapshot *now, const struct cl_action *action,
		       struct cl_change *c)
{
	c->kind = CL_CHANGE_MEMORY;
	if (action->object.guest.v == CL_NONE) /* the privileged one: no uuid, number 0 */
		return true;
	if (action->object.guest.v >= now->n.guests)
		return false;
	c->domain = now->guests[action->object.guest.v].id;
	c->domid = now->guests[action->object.guest.v].domid;
	return true;
}

static enum cl_expanded entitlement_of(const struct cl_snapshot *now,
				       const struct cl_action *action, struct cl_change *c)
{
	bool is_balloon =
		action->kind == CL_ACTION_MEMORY_TARGET || action->kind == CL_ACTION_MEMORY_RELEASE;

	if (is_balloon ? !balloon_of(now, action, c) : !domain_of(now, action, c))
		return CL_EXPANDED_BAD;
	if (cl_action_kind_releases(action->kind))
		return CL_EXPANDED_DROP;
	return number_of(&action->from, &c->from) && number_of(&action->to, &c->to)
		       ? CL_EXPANDED_CHANGE
		       : CL_EXPANDED_BAD;
}

/* Absence, or so much each period. */
static bool limit_of(const struct cl_value *value, struct cl_setting *ret)
{
	ret->present = value->tag == CL_VALUE_LIMIT;
	ret->number = ret->present ? value->number : 0;
	ret->period_ns = ret->present ? value->period_ns : 0;
	return ret->present || value->tag == CL_VALUE_ABSENT;
}

static bool limited(const struct cl_snapshot *now, const struct cl_action *action,
		    struct cl_change *c)
{
	enum cl_action_kind kind = action->kind;
	bool fine;

	if (kind == CL_ACTION_GROUP_QUOTA || kind == CL_ACTION_GROUP_IO) {
		fine = cl_group_path(&action->object.group, now, c->path);
		c->device = action->object.key;
		c->kind = kind == CL_ACTION_GROUP_IO ? CL_CHANGE_IO : CL_CHANGE_QUOTA;
	} else {
		fine = action->object.guest.v < now->n.guests && device_of(now, action, c);
		c->kind = kind == CL_ACTION_NIC_RATE ? CL_CHANGE_RATE : CL_CHANGE_PACKETS;
	}
	if (fine && kind == CL_ACTION_NIC_RATE) {
		c->path[0] = '\0';
		c->handle = now->nics[action->object.nic.v].handle;
		c->domid = now->guests[action->object.guest.v].domid;
		c->domain = now->guests[action->object.guest.v].id;
	}
	return fine && limit_of(&action->from, &c->from) && limit_of(&action->to, &c->to);
}

static bool cpus_of(const struct cl_plan *plan, const struct cl_value *value,
		    struct cl_setting *ret)
{
	ret->present = true;
	return value->tag == CL_VALUE_MASK && mask_of(plan, value->mask, &ret->cpus);
}

static bool fence_of(const struct cl_snapshot *now, const struct cl_plan *plan,
		     const struct cl_action *action, struct cl_change *c)
{
	c->kind = CL_CHANGE_FENCE;
	snprintf(c->path, sizeof(c->path), "/");
	return (action->object.group.tag == CL_GROUP_NONE ||
		cl_group_path(&action->object.group, now, c->path)) &&
	       number_of(&action->from, &c->from) && number_of(&action->to, &c->to) &&
	       mask_of(plan, action->to.mask, &c->to.cpus);
}

static int32_t process_of(const struct cl_snapshot *now, const struct cl_action *action)
{
	struct cl_guest_ix guest = action->object.guest;

	return guest.v < now->n.guests ? now->guests[guest.v].process.tid : 0;
}

/* A release has only its object. */
static bool thread_of(const struct cl_snapshot *now, const struct cl_plan *plan,
		      const struct cl_action *action, struct cl_change *c)
{
	c->kind = CL_CHANGE_THREAD;
	c->thread = action->object.thread;
	c->process = process_of(now, action);
	if (action->kind == CL_ACTION_THREAD_RELEASE)
		return true;
	if (!place_of(now, plan, &action->from, &c->from) ||
	    !place_of(now, plan, &action->to, &c->to))
		return false;
	/* A group that is left alone on one side is no part of the other side either. */
	if (!c->to.has_path || !c->from.has_path)
		c->to.has_path = c->from.has_path = false;
	return true;
}

enum cl_expanded cl_expand(const struct cl_snapshot *now, const struct cl_plan *plan,
			   const struct cl_action *action, struct cl_change *ret_change)
{
	struct cl_change *c = ret_change;
	bool fine = false;

	memset(c, 0, sizeof(*c));
	switch (action->kind) {
	case CL_ACTION_THREAD_PLACE:
	case CL_ACTION_VCPU_RESTORE:
	case CL_ACTION_THREAD_RELEASE:
		fine = thread_of(now, plan, action, c);
		if (action->kind == CL_ACTION_THREAD_RELEASE)
			return CL_EXPANDED_DROP;
		break;
	case CL_ACTION_IRQ_PLACE:
	case CL_ACTION_IRQ_RELEASE:
		c->kind = CL_CHANGE_IRQ;
		c->irq = action->object.irq;
		if (action->kind == CL_ACTION_IRQ_RELEASE)
			return CL_EXPANDED_DROP;
		fine = cpus_of(plan, &action->from, &c->from) && cpus_of(plan, &action->to, &c->to);
		break;
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
		c->kind = CL_CHANGE_GROUP;
		fine = cl_group_path(&action->object.group, now, c->path) &&
		       container_of_value(plan, &action->from, &c->from) &&
		       container_of_value(plan, &action->to, &c->to);
		break;
	case CL_ACTION_CPU_PIN:
	case CL_ACTION_CPU_RELEASE:
	case CL_ACTION_VCPU_KEEP:
	case CL_ACTION_VCPU_RELEASE:
		fine = vcpu_of(now, action, c);
		if (fine && cl_action_kind_releases(action->kind))
			return CL_EXPANDED_DROP;
		fine = fine && cpus_of(plan, &action->from, &c->from) &&
		       cpus_of(plan, &action->to, &c->to);
		break;
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
	case CL_ACTION_MEMORY_TARGET:
	case CL_ACTION_MEMORY_RELEASE:
		return entitlement_of(now, action, c);
	case CL_ACTION_NAPI_THREAD:
		fine = device_of(now, action, c) && number_of(&action->from, &c->from) &&
		       number_of(&action->to, &c->to);
		break;
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_GROUP_QUOTA:
	case CL_ACTION_GROUP_IO:
	case CL_ACTION_PACKET_RATE:
		fine = limited(now, action, c);
		break;
	case CL_ACTION_FENCE:
		fine = fence_of(now, plan, action, c);
		break;
	case CL_ACTION_KIND_COUNT:
		break;
	}
	return fine ? CL_EXPANDED_CHANGE : CL_EXPANDED_BAD;
}
