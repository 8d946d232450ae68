/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor: which vCPU is on which pCPU, by what its pool's scheduler says. */
#include "sched.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_vcpu_cpu_ns(const struct sim_world *world, const struct sim_vcpu *vcpu)
{
	uint64_t now = world->queue.now_ns;

	return vcpu->cpu_ns + (vcpu->state == SIM_VCPU_RUNNING ? now - vcpu->since_ns : 0);
}

uint64_t sim_pcpu_busy_ns(const struct sim_pcpu *pcpu)
{
	return pcpu->busy_ns + (pcpu->running ? pcpu->world->queue.now_ns - pcpu->since_ns : 0);
}

void sim_vcpu_account(struct sim_world *world, struct sim_vcpu *vcpu)
{
	uint64_t spent = world->queue.now_ns - vcpu->since_ns;

	vcpu->since_ns = world->queue.now_ns;
	switch (vcpu->state) {
	case SIM_VCPU_RUNNING:
		vcpu->cpu_ns += spent;
		vcpu->domain->pool->ops->ran(vcpu->domain->pool, vcpu, spent);
		break;
	case SIM_VCPU_RUNNABLE:
		vcpu->wait_ns += spent;
		break;
	case SIM_VCPU_BLOCKED:
		vcpu->blocked_ns += spent;
		break;
	case SIM_VCPU_OFFLINE:
		break;
	}
}

static void set_state(struct sim_world *world, struct sim_vcpu *vcpu, enum sim_vcpu_state state)
{
	sim_vcpu_account(world, vcpu);
	vcpu->state = state;
}

void sim_pcpu_tickle(struct sim_world *world, struct sim_pcpu *pcpu)
{
	/* One that is to be asked later is asked now; one that is asked now already stays so. */
	sim_at(&world->queue, &pcpu->decide, world->queue.now_ns);
}

/* A core that is shared is slower: what runs on the sibling is timed anew. */
static void sibling_changed(struct sim_world *world, const struct sim_pcpu *pcpu)
{
	struct sim_vcpu *other =
		pcpu->sibling == CL_NONE ? NULL : world->pcpus[pcpu->sibling].running;

	if (!other || other->busy) /* busy: it is timed anew in a moment anyhow */
		return;
	sim_os_stop(world, other);
	sim_os_go(world, other);
}

static void take_off(struct sim_world *world, struct sim_pcpu *pcpu)
{
	pcpu->busy_ns += world->queue.now_ns - pcpu->since_ns;
	pcpu->since_ns = world->queue.now_ns;
	pcpu->running = NULL;
}

static void put_on(struct sim_world *world, struct sim_pcpu *pcpu, struct sim_vcpu *vcpu)
{
	assert(vcpu->state == SIM_VCPU_RUNNABLE);
	assert(cl_cpuset_has(&vcpu->hard, pcpu->id));
	vcpu->penalty_ns += world->costs.switch_ns;
	if (vcpu->pcpu && vcpu->pcpu != pcpu) {
		vcpu->penalty_ns += world->costs.migrate_ns;
		vcpu->moves++;
	}
	vcpu->pcpu = pcpu;
	vcpu->dispatches++;
	set_state(world, vcpu, SIM_VCPU_RUNNING);
	pcpu->switches++;
	pcpu->since_ns = world->queue.now_ns;
	pcpu->running = vcpu;
}

static void decide(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_world *world = sim_world_of(queue);
	struct sim_pcpu *pcpu = sim_of(event, struct sim_pcpu, decide);
	struct sim_vcpu *before = pcpu->running, *next;
	uint64_t slice_ns = UINT64_MAX;

	if (!pcpu->pool)
		return;
	if (before) {
		sim_vcpu_account(world, before);
		sim_os_stop(world, before);
	}
	next = pcpu->pool->ops->schedule(pcpu->pool, pcpu, before, &slice_ns);
	if (before && before != next) {
		take_off(world, pcpu);
		set_state(world, before, SIM_VCPU_RUNNABLE);
	}
	if (next && next != before)
		put_on(world, pcpu, next);
	if (slice_ns != UINT64_MAX)
		sim_after(queue, &pcpu->decide, slice_ns ? slice_ns : 1);
	if (next)
		sim_os_go(world, next);
	/* Last, since that may have effects on this pCPU as well. */
	if (!before != !next)
		sibling_changed(world, pcpu);
}

void sim_pcpu_init(struct sim_world *world, struct sim_pcpu *pcpu)
{
	pcpu->world = world;
	sim_event_init(&world->queue, &pcpu->decide, decide);
}

void sim_vcpu_wake(struct sim_world *world, struct sim_vcpu *vcpu)
{
	if (vcpu->state != SIM_VCPU_BLOCKED || vcpu->domain->paused)
		return;
	set_state(world, vcpu, SIM_VCPU_RUNNABLE);
	vcpu->domain->pool->ops->wake(vcpu->domain->pool, vcpu);
}

void sim_vcpu_block(struct sim_world *world, struct sim_vcpu *vcpu)
{
	struct sim_pcpu *pcpu = vcpu->pcpu;
	bool was_running = vcpu->state == SIM_VCPU_RUNNING;

	if (!was_running && vcpu->state != SIM_VCPU_RUNNABLE)
		return;
	if (was_running)
		sim_os_stop(world, vcpu);
	set_state(world, vcpu, SIM_VCPU_BLOCKED);
	vcpu->domain->pool->ops->sleep(vcpu->domain->pool, vcpu);
	if (!was_running)
		return;
	take_off(world, pcpu);
	sibling_changed(world, pcpu);
	sim_pcpu_tickle(world, pcpu);
}

void sim_vcpu_pin(struct sim_world *world, struct sim_vcpu *vcpu, const struct cl_cpuset *hard)
{
	struct sim_pool *pool = vcpu->domain->pool;
	enum sim_vcpu_state was = vcpu->state;

	assert(cl_cpuset_meets(hard, &pool->pcpus));
	if (was == SIM_VCPU_RUNNING || was == SIM_VCPU_RUNNABLE)
		sim_vcpu_block(world, vcpu);
	vcpu->hard = *hard;
	pool->ops->changed(pool, vcpu->domain);
	if (was == SIM_VCPU_RUNNING || was == SIM_VCPU_RUNNABLE)
		sim_vcpu_wake(world, vcpu);
}

void sim_vcpu_prefer(struct sim_vcpu *vcpu, const struct cl_cpuset *soft)
{
	vcpu->soft = *soft;
	vcpu->domain->pool->ops->changed(vcpu->domain->pool, vcpu->domain);
}

void sim_domain_pause(struct sim_world *world, struct sim_domain *domain, bool pause)
{
	if (domain->paused == pause)
		return;
	sim_changed(world);
	domain->paused = pause;
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		if (pause)
			sim_vcpu_block(world, &domain->vcpus[i]);
		else if (!sim_os_idle(&domain->vcpus[i]))
			sim_vcpu_wake(world, &domain->vcpus[i]);
	}
}

/* ---- domains ---- */

static bool add_domain(struct sim_world *world, struct sim_domain *domain)
{
	if (world->domain_count == world->domain_cap) {
		uint32_t cap = world->domain_cap ? world->domain_cap * 2 : 16;
		struct sim_domain **domains = realloc(world->domains, cap * sizeof(*domains));

		if (!domains)
			return false;
		world->domains = domains;
		world->domain_cap = cap;
	}
	world->domains[world->domain_count++] = domain;
	return true;
}

static void *sched_part(size_t bytes)
{
	return bytes ? calloc(1, bytes) : NULL;
}

/* A domain and its vCPUs become known to the scheduler of a pool. */
static void enter_pool(struct sim_world *world, struct sim_domain *domain, struct sim_pool *pool)
{
	const struct sim_sched_ops *ops = pool->ops;

	domain->pool = pool;
	domain->sched = sched_part(ops->domain_bytes);
	if (ops->domain_bytes && !domain->sched)
		world->queue.failed = true;
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct sim_vcpu *vcpu = &domain->vcpus[i];

		vcpu->hard = vcpu->soft = pool->pcpus;
		vcpu->sched = sched_part(ops->vcpu_bytes);
		if (ops->vcpu_bytes && !vcpu->sched)
			world->queue.failed = true;
	}
	for (uint32_t i = 0; i < domain->vcpu_count && !world->queue.failed; i++)
		ops->insert(pool, &domain->vcpus[i]);
}

static void leave_pool(struct sim_world *world, struct sim_domain *domain)
{
	const struct sim_sched_ops *ops = domain->pool->ops;

	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct sim_vcpu *vcpu = &domain->vcpus[i];

		sim_vcpu_block(world, vcpu);
		if (vcpu->sched || !ops->vcpu_bytes)
			ops->remove(domain->pool, vcpu);
		free(vcpu->sched);
		vcpu->sched = NULL;
	}
	free(domain->sched);
	domain->sched = NULL;
}

void sim_domain_move(struct sim_world *world, struct sim_domain *domain, struct sim_pool *pool)
{
	leave_pool(world, domain);
	enter_pool(world, domain, pool);
	for (uint32_t i = 0; i < domain->vcpu_count; i++)
		if (!sim_os_idle(&domain->vcpus[i]))
			sim_vcpu_wake(world, &domain->vcpus[i]);
}

static void init_vcpu(struct sim_world *world, struct sim_domain *domain, uint32_t index)
{
	struct sim_vcpu *vcpu = &domain->vcpus[index];

	vcpu->domain = domain;
	vcpu->index = index;
	vcpu->state = SIM_VCPU_BLOCKED;
	vcpu->since_ns = world->queue.now_ns;
	sim_os_init(world, vcpu);
}

struct sim_domain *sim_domain_new(struct sim_world *world, enum sim_domain_kind kind,
				  const char *name, uint32_t vcpus, struct sim_pool *pool)
{
	static const struct cl_cpuset none;
	struct sim_domain *domain = calloc(1, sizeof(*domain));
	struct cl_cpuset all = none;

	if (!domain || !(domain->vcpus = calloc(vcpus, sizeof(*domain->vcpus))) ||
	    !add_domain(world, domain)) {
		world->queue.failed = true;
		if (domain)
			free(domain->vcpus);
		free(domain);
		return NULL;
	}
	domain->world = world;
	domain->kind = kind;
	domain->id = world->next_domid++;
	domain->uuid.b[0] = (uint8_t)(domain->id >> 8);
	domain->uuid.b[1] = (uint8_t)domain->id;
	domain->uuid.b[15] = domain->id ? 0xc1 : 0;
	strncpy(domain->name, name, sizeof(domain->name) - 1);
	domain->vcpu_count = vcpus;
	domain->weight = 256;
	domain->extra = true;
	domain->alive = true;
	domain->balloon_max = UINT64_MAX;
	for (uint32_t i = 0; i < vcpus; i++)
		cl_cpuset_add(&all, i);
	domain->root = sim_group_new(domain, "/", &all);
	if (!domain->root)
		world->queue.failed = true;
	for (uint32_t i = 0; i < vcpus; i++)
		init_vcpu(world, domain, i);
	enter_pool(world, domain, pool);
	return domain;
}

void sim_domain_free(struct sim_world *world, struct sim_domain *domain)
{
	if (!domain)
		return;
	sim_changed(world);
	leave_pool(world, domain);
	for (uint32_t i = 0; i < domain->vcpu_count; i++)
		sim_os_done(world, &domain->vcpus[i]);
	while (domain->root) {
		struct sim_group *next = domain->root->next;

		sim_group_free(domain->root);
		domain->root = next;
	}
	for (uint32_t i = 0; i < world->domain_count; i++) {
		if (world->domains[i] != domain)
			continue;
		memmove(&world->domains[i], &world->domains[i + 1],
			(world->domain_count - i - 1) * sizeof(world->domains[0]));
		world->domain_count--;
		break;
	}
	sim_balloon_done(domain);
	free(domain->vcpus);
	free(domain->tasks);
	free(domain);
}
