/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes to a simulated host: compare and set, as on a real one. */
#include "io.h"
#include "manage.h"
#include "sched.h"
#include "view.h"

#include <errno.h>
#include <string.h>

struct object { /* what a change is of */
	struct sim_task *task;
	struct sim_irq *irq;
	struct sim_group *group;
	struct sim_vcpu *vcpu;
	struct sim_vif *vif;
	struct sim_domain *domain; /* of a cap, weight, budget or memory */
	struct sim_vbd *vbd;
};

static struct sim_domain *dom0_of(const struct sim_view *view)
{
	return view->world->domains[0];
}

static struct sim_vcpu *find_vcpu(struct sim_world *world, const struct cl_change *change)
{
	for (uint32_t i = 0; i < world->domain_count; i++) {
		struct sim_domain *domain = world->domains[i];

		if (cl_uuid_compare(&domain->uuid, &change->domain) == 0 &&
		    change->vcpu < domain->vcpu_count)
			return &domain->vcpus[change->vcpu];
	}
	return NULL;
}

static struct sim_domain *find_domain(struct sim_world *world, const struct cl_change *change)
{
	for (uint32_t i = 0; i < world->domain_count; i++) {
		struct sim_domain *domain = world->domains[i];

		if (domain->alive && domain->id == change->domid &&
		    (domain->kind == SIM_DOM0 ||
		     cl_uuid_compare(&domain->uuid, &change->domain) == 0))
			return domain;
	}
	return NULL;
}

static uint64_t *entitlement(struct sim_domain *domain, enum cl_change_kind kind)
{
	return kind == CL_CHANGE_CAP      ? &domain->cap
	       : kind == CL_CHANGE_WEIGHT ? &domain->weight
					  : &domain->budget_ns;
}

static struct sim_vif *find_vif(struct sim_world *world, const char *name)
{
	for (uint32_t i = 0; i < world->domain_count; i++)
		for (struct sim_vif *vif = world->domains[i]->vifs; vif; vif = vif->next)
			if (strcmp(vif->name, name) == 0)
				return vif;
	return NULL;
}

uint64_t sim_vbd_device(const struct sim_domain *guest, const struct sim_vbd *vbd)
{
	uint64_t at = 0;

	for (const struct sim_vbd *other = guest->vbds; other && other != vbd; other = other->next)
		at++;
	return (uint64_t)guest->id << 32 | at;
}

static void find_device(struct sim_world *world, const struct cl_change *change, struct object *ret)
{
	for (uint32_t i = 0; i < world->domain_count; i++) {
		const struct sim_domain *domain = world->domains[i];
		uint32_t handle = 0;

		for (struct sim_vif *vif = domain->vifs; vif; vif = vif->next, handle++)
			if (change->kind == CL_CHANGE_RATE && domain->id == change->domid &&
			    handle == change->handle)
				ret->vif = vif;
		for (struct sim_vbd *vbd = domain->vbds; vbd; vbd = vbd->next)
			if (change->kind == CL_CHANGE_IO &&
			    sim_vbd_device(domain, vbd) == change->device)
				ret->vbd = vbd;
	}
}

static int find_limited(struct sim_view *view, const struct cl_change *change, struct object *ret,
			struct cl_error *reterr)
{
	bool found = true;

	if (change->kind == CL_CHANGE_PACKETS)
		ret->vif = find_vif(view->world, change->path);
	else
		find_device(view->world, change, ret);
	if (change->kind == CL_CHANGE_QUOTA || change->kind == CL_CHANGE_IO)
		found = (ret->group = sim_group_find(dom0_of(view), change->path)) != NULL;
	if (change->kind == CL_CHANGE_IO)
		found = found && ret->vbd;
	if (change->kind == CL_CHANGE_RATE || change->kind == CL_CHANGE_PACKETS)
		found = ret->vif;
	return found ? 0
		     : cl_fail(reterr, ENOENT, "what is to be limited is gone: %.200s",
			       change->path);
}

static int find(struct sim_view *view, const struct cl_change *change, struct object *ret,
		struct cl_error *reterr)
{
	struct sim_domain *dom0 = dom0_of(view);

	memset(ret, 0, sizeof(*ret));
	switch (change->kind) {
	case CL_CHANGE_THREAD:
		for (uint32_t i = 0; i < dom0->task_count; i++)
			if (dom0->tasks[i]->tid == change->thread.tid)
				ret->task = dom0->tasks[i];
		return ret->task ? 0
				 : cl_fail(reterr, ESRCH, "simulated thread %d is gone",
					   change->thread.tid);
	case CL_CHANGE_IRQ:
		for (uint32_t i = 0; i < view->world->irq_count; i++)
			if (view->world->irqs[i]->number == change->irq)
				ret->irq = view->world->irqs[i];
		return ret->irq ? 0
				: cl_fail(reterr, ENOENT, "simulated interrupt %u is gone",
					  change->irq);
	case CL_CHANGE_GROUP:
	case CL_CHANGE_FENCE:
		ret->group = sim_group_find(dom0, change->path);
		if (!ret->group && change->kind == CL_CHANGE_FENCE)
			return cl_fail(reterr, ENOENT, "simulated cgroup %.200s is not there",
				       change->path);
		return 0;
	case CL_CHANGE_VCPU:
		ret->vcpu = find_vcpu(view->world, change);
		return ret->vcpu ? 0
				 : cl_fail(reterr, ESRCH, "vCPU %u of simulated domain %u is gone",
					   change->vcpu, change->domid);
	case CL_CHANGE_NIC:
		ret->vif = find_vif(view->world, change->path);
		return ret->vif ? 0
				: cl_fail(reterr, ENOENT, "simulated device %.64s is gone",
					  change->path);
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
	case CL_CHANGE_MEMORY:
		ret->domain = find_domain(view->world, change);
		return ret->domain ? 0
				   : cl_fail(reterr, ESRCH, "simulated domain %u is gone",
					     change->domid);
	case CL_CHANGE_RATE:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS:
		return find_limited(view, change, ret, reterr);
	}
	return cl_fail(reterr, EINVAL, "unknown kind of change %d", (int)change->kind);
}

static void look_limit(const struct cl_change *change, const struct object *object,
		       struct cl_setting *ret)
{
	uint64_t number = 0, period_ns = CL_NS_PER_S;

	if (change->kind == CL_CHANGE_RATE) {
		number = object->vif->rate_bytes;
		period_ns = object->vif->rate_ns;
	} else if (change->kind == CL_CHANGE_QUOTA) {
		number = object->group->quota_ns;
		period_ns = object->group->period_ns;
	} else if (change->kind == CL_CHANGE_IO) {
		number = object->vbd->rate;
	} else {
		number = object->vif->packets_s;
	}
	ret->present = number > 0;
	ret->number = (int64_t)number;
	ret->period_ns = ret->present ? period_ns : 0;
}

static void set_limit(struct sim_world *world, const struct cl_change *change,
		      const struct object *object)
{
	uint64_t number = change->to.present ? (uint64_t)change->to.number : 0;

	if (change->kind == CL_CHANGE_RATE)
		sim_vif_rate(world, object->vif, number, change->to.period_ns);
	else if (change->kind == CL_CHANGE_QUOTA)
		sim_group_limit(world, object->group, number, change->to.period_ns);
	else if (change->kind == CL_CHANGE_IO)
		sim_vbd_limit(world, object->vbd, number);
	else
		object->vif->packets_s = number;
}

static bool is_limit(const struct cl_change *change)
{
	return change->kind == CL_CHANGE_RATE || change->kind == CL_CHANGE_QUOTA ||
	       change->kind == CL_CHANGE_IO || change->kind == CL_CHANGE_PACKETS;
}

static void look(const struct cl_change *change, const struct object *object,
		 struct cl_setting *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (is_limit(change)) {
		look_limit(change, object, ret);
		return;
	}
	ret->present = change->kind != CL_CHANGE_GROUP || object->group != NULL;
	if (object->task) {
		ret->cpus = object->task->group->cpus;
		if (object->task->mask)
			cl_cpuset_and(&ret->cpus, object->task->mask);
		ret->has_path = change->from.has_path || change->to.has_path;
		if (ret->has_path)
			strcpy(ret->path, object->task->group->path);
	}
	if (object->irq)
		ret->cpus = object->irq->mask;
	if (object->group && change->kind == CL_CHANGE_GROUP)
		ret->cpus = object->group->cpus;
	if (object->group && change->kind == CL_CHANGE_FENCE)
		ret->number = object->group->fenced;
	if (object->vcpu)
		ret->cpus = object->vcpu->hard;
	if (object->vif)
		ret->number = object->vif->threaded;
	if (object->domain && change->kind == CL_CHANGE_MEMORY)
		ret->number =
			(int64_t)(object->domain->mem_target ? object->domain->mem_target
							     : sim_domain_bytes(object->domain));
	else if (object->domain)
		ret->number = (int64_t)*entitlement(object->domain, change->kind);
}

static bool same(const struct cl_setting *is, const struct cl_setting *wanted)
{
	if (is->present != wanted->present || is->number != wanted->number ||
	    is->period_ns != wanted->period_ns)
		return false;
	if (wanted->has_path && strcmp(is->path, wanted->path) != 0)
		return false;
	return !is->present || cl_cpuset_equal(&is->cpus, &wanted->cpus);
}

int sim_view_read(struct sim_view *view, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr)
{
	struct object object;
	int r = find(view, change, &object, reterr);

	if (r == 0)
		look(change, &object, ret_setting);
	return r;
}

static bool has_children(const struct sim_domain *dom0, const struct sim_group *group)
{
	size_t len = strlen(group->path);

	for (const struct sim_group *other = dom0->root; other; other = other->next)
		if (strncmp(other->path, group->path, len) == 0 && other->path[len] == '/')
			return true;
	for (uint32_t i = 0; i < dom0->task_count; i++)
		if (dom0->tasks[i]->group == group)
			return true;
	return false;
}

static int apply_group(struct sim_view *view, const struct cl_change *change,
		       struct sim_group *group, struct cl_error *reterr)
{
	struct sim_domain *dom0 = dom0_of(view);

	if (!change->to.present) {
		if (has_children(dom0, group))
			return cl_fail(reterr, EBUSY, "simulated cgroup %.200s is not empty",
				       change->path);
		sim_group_fence(view->world, group, false);
		sim_group_free(group);
		return 0;
	}
	if (group)
		sim_group_set(view->world, group, &change->to.cpus);
	else if (!sim_group_new(dom0, change->path, &change->to.cpus))
		return cl_fail(reterr, ENOMEM, "making simulated cgroup %.200s: no memory",
			       change->path);
	return 0;
}

static int apply_thread(struct sim_view *view, const struct cl_change *change,
			struct sim_task *task, struct cl_error *reterr)
{
	struct sim_group *group = task->group;

	if (change->to.has_path)
		group = sim_group_find(dom0_of(view), change->to.path);
	if (!group)
		return cl_fail(reterr, ENOENT, "simulated cgroup %.200s is not there",
			       change->to.path);
	if (!cl_cpuset_meets(&change->to.cpus, &group->cpus))
		return cl_fail(reterr, EINVAL,
			       "simulated thread %d: no CPU of the mask is in %.200s", task->tid,
			       group->path);
	sim_task_place(view->world, task, group, &change->to.cpus);
	return 0;
}

int sim_view_apply(struct sim_view *view, const struct cl_change *change, struct cl_error *reterr)
{
	struct object object;
	struct cl_setting is;
	int r = find(view, change, &object, reterr);

	if (r < 0)
		return r;
	look(change, &object, &is);
	if (same(&is, &change->to))
		return 0;
	if (!same(&is, &change->from))
		return cl_fail(reterr, ESTALE, "it was changed by somebody else meanwhile");
	sim_changed(view->world);
	switch (change->kind) {
	case CL_CHANGE_THREAD:
		return apply_thread(view, change, object.task, reterr);
	case CL_CHANGE_IRQ:
		sim_irq_place(object.irq, &change->to.cpus);
		return 0;
	case CL_CHANGE_GROUP:
		return apply_group(view, change, object.group, reterr);
	case CL_CHANGE_FENCE:
		sim_group_fence(view->world, object.group, change->to.number != 0);
		return 0;
	case CL_CHANGE_VCPU:
		if (!cl_cpuset_meets(&change->to.cpus, &object.vcpu->domain->pool->pcpus))
			return cl_fail(reterr, EINVAL, "none of these CPUs is in its cpupool");
		sim_vcpu_pin(view->world, object.vcpu, &change->to.cpus);
		return 0;
	case CL_CHANGE_NIC:
		sim_vif_thread(view->world, object.vif, change->to.number != 0);
		return 0;
	case CL_CHANGE_CAP:
	case CL_CHANGE_WEIGHT:
	case CL_CHANGE_BUDGET:
		*entitlement(object.domain, change->kind) = (uint64_t)change->to.number;
		object.domain->pool->ops->changed(object.domain->pool, object.domain);
		return 0;
	case CL_CHANGE_RATE:
	case CL_CHANGE_QUOTA:
	case CL_CHANGE_IO:
	case CL_CHANGE_PACKETS:
		set_limit(view->world, change, &object);
		return 0;
	case CL_CHANGE_MEMORY:
		return sim_balloon_aim(view->world, object.domain, (uint64_t)change->to.number)
			       ? 0
			       : cl_fail(reterr, ENOMEM, "simulated balloon: no memory");
	}
	return 0;
}
