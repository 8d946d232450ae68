/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroups of a simulated kernel: CPUs, a fence, and cpu.max. A limit holds for the whole group. */
#include "os.h"

#include <stdlib.h>
#include <string.h>

#define SLICE_NS (5 * CL_NS_PER_MS) /* kernel.sched_cfs_bandwidth_slice_us */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void wake_all(struct sim_world *world, struct sim_group *group)
{
	for (uint32_t i = 0; i < group->domain->vcpu_count; i++)
		sim_os_unthrottled(&group->domain->vcpus[i], group);
	for (uint32_t i = 0; i < group->domain->vcpu_count; i++)
		sim_os_kick(world, &group->domain->vcpus[i]);
}

static void refill(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_world *world = sim_world_of(queue);
	struct sim_group *group = sim_of(event, struct sim_group, refill);

	if (!group->quota_ns)
		return;
	group->left_ns = group->quota_ns - least(group->debt_ns, group->quota_ns);
	group->debt_ns -= group->quota_ns - group->left_ns;
	sim_after(queue, event, group->period_ns);
	if (!group->throttled || !group->left_ns)
		return;
	group->throttled = false;
	group->throttled_ns += queue->now_ns - group->throttled_since_ns;
	wake_all(world, group);
}

struct sim_group *sim_group_find(struct sim_domain *domain, const char *path)
{
	for (struct sim_group *group = domain->root; group; group = group->next)
		if (strcmp(group->path, path) == 0)
			return group;
	return NULL;
}

struct sim_group *sim_group_new(struct sim_domain *domain, const char *path,
				const struct cl_cpuset *cpus)
{
	struct sim_group *group = calloc(1, sizeof(*group)), **end = &domain->root;

	if (!group)
		return NULL;
	strncpy(group->path, path, sizeof(group->path) - 1);
	group->cpus = *cpus;
	group->domain = domain;
	sim_event_init(&domain->world->queue, &group->refill, refill);
	while (*end)
		end = &(*end)->next;
	*end = group;
	return group;
}

/* Its tasks go to the root. Not the root itself, but with its domain. */
void sim_group_free(struct sim_group *group)
{
	struct sim_domain *domain = group->domain;

	if (group != domain->root) {
		for (uint32_t i = 0; i < domain->task_count; i++)
			if (domain->tasks[i]->group == group)
				sim_task_place(domain->world, domain->tasks[i], domain->root, NULL);
		for (struct sim_group *other = domain->root; other; other = other->next)
			if (other->next == group)
				other->next = group->next;
	}
	sim_event_done(&domain->world->queue, &group->refill);
	free(group);
}

static void resettle_all(struct sim_world *world, struct sim_domain *domain)
{
	for (uint32_t i = 0; i < domain->task_count; i++)
		sim_task_resettle(world, domain->tasks[i]);
}

void sim_group_set(struct sim_world *world, struct sim_group *group, const struct cl_cpuset *cpus)
{
	group->cpus = *cpus;
	resettle_all(world, group->domain);
}

void sim_group_fence(struct sim_world *world, struct sim_group *group, bool fenced)
{
	struct sim_group *root = group->domain->root;

	if (group->fenced == fenced)
		return;
	group->fenced = fenced;
	if (fenced)
		cl_cpuset_andnot(&root->cpus, &group->cpus);
	else
		cl_cpuset_or(&root->cpus, &group->cpus);
	resettle_all(world, group->domain);
}

void sim_group_limit(struct sim_world *world, struct sim_group *group, uint64_t quota_ns,
		     uint64_t period_ns)
{
	bool was = group->throttled;

	group->quota_ns = quota_ns;
	group->period_ns = period_ns;
	group->left_ns = quota_ns;
	group->debt_ns = 0;
	group->throttled = false;
	if (was)
		group->throttled_ns += world->queue.now_ns - group->throttled_since_ns;
	sim_cancel(&world->queue, &group->refill);
	if (quota_ns)
		sim_after(&world->queue, &group->refill, period_ns);
	if (was)
		wake_all(world, group);
}

uint64_t sim_group_left(const struct sim_group *group)
{
	return group->quota_ns ? least(group->left_ns, SLICE_NS) : UINT64_MAX;
}

void sim_group_charge(struct sim_world *world, struct sim_group *group, uint64_t ns)
{
	group->cpu_ns += ns;
	if (!group->quota_ns)
		return;
	if (group->left_ns > ns) {
		group->left_ns -= ns;
		return;
	}
	group->debt_ns += ns - group->left_ns;
	group->left_ns = 0;
	if (group->throttled)
		return;
	group->throttled = true;
	group->throttled_since_ns = world->queue.now_ns;
}
