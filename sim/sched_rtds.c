/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtds: Xen's real-time deferrable server, xen/common/sched/rt.c of 4.17.
 *
 * One queue for all pCPUs, by deadline: who has the earliest runs, wherever it may. Each vCPU has a
 * budget for each period, which only running uses up; the end of the period is its deadline. Who
 * has used its budget waits for the next period, or, if it takes part in extra time, falls a level
 * and gets another budget: any level comes after the ones above it, whatever the deadlines.
 *
 * Three slips of 4.17 are not followed, since they break what its own description says: it orders
 * replenishments by level as well, which delays some of them; when one that waits comes back to the
 * first level nobody is told; and when one that runs gets a later deadline only the very first of
 * the queue is looked at, even if that may not run there.
 */
#include "list.h"
#include "sched.h"

#define PERIOD_NS (10 * CL_NS_PER_MS) /* RTDS_DEFAULT_PERIOD */
#define BUDGET_NS (4 * CL_NS_PER_MS)  /* RTDS_DEFAULT_BUDGET */
#define MIN_NS    (10 * CL_NS_PER_US) /* RTDS_MIN_PERIOD, RTDS_MIN_BUDGET */

struct rt_vcpu {
	struct sim_vcpu *vcpu;
	struct sim_link queue;      /* waiting, with budget */
	struct sim_event replenish; /* at its deadline, unless it sleeps */
	struct sim_pcpu *pcpu;      /* where it ran last, or may run */
	uint64_t period_ns, budget_ns;
	int64_t left_ns; /* of the budget */
	uint64_t deadline_ns, level;
	bool extra;
};

struct rt_pool {
	struct sim_pool *pool;
	struct sim_sched_cpus cpus;
	struct sim_link queue;
	struct sim_pcpu *deciding; /* the pCPU that is being asked */
};

struct rt_pcpu {
	bool tickled;
};

static struct rt_vcpu *rt_of(const struct sim_vcpu *vcpu)
{
	return vcpu->sched;
}

static bool is_tickled(const struct sim_pcpu *pcpu)
{
	return ((const struct rt_pcpu *)pcpu->sched)->tickled;
}

static void set_tickled(struct sim_pcpu *pcpu, bool tickled)
{
	((struct rt_pcpu *)pcpu->sched)->tickled = tickled;
}

static bool before_in_order(const struct rt_vcpu *a, const struct rt_vcpu *b)
{
	return a->level < b->level || (a->level == b->level && a->deadline_ns < b->deadline_ns);
}

static bool has_budget(const struct rt_vcpu *svc)
{
	return svc->left_ns > 0;
}

/* ---- the queue ---- */

/* Who has no budget waits outside of it. */
static void enqueue(struct rt_pool *prv, struct rt_vcpu *svc)
{
	struct sim_link *at;

	if (!has_budget(svc))
		return;
	sim_list_each (at, &prv->queue)
		if (before_in_order(svc, sim_of(at, struct rt_vcpu, queue)))
			break;
	sim_link_before(&svc->queue, at);
}

static void dequeue(struct rt_vcpu *svc)
{
	if (sim_linked(&svc->queue))
		sim_unlink(&svc->queue);
}

/* The first that may run here. */
static struct rt_vcpu *first_for(const struct rt_pool *prv, const struct sim_pcpu *pcpu)
{
	struct sim_link *at;

	sim_list_each (at, &prv->queue)
		if (sim_may_run(sim_of(at, struct rt_vcpu, queue)->vcpu, pcpu))
			return sim_of(at, struct rt_vcpu, queue);
	return NULL;
}

/* An idle pCPU where it may run, where it was before others; else the one of whoever is last. */
static void tickle(struct rt_pool *prv, const struct rt_vcpu *svc)
{
	uint32_t here = prv->cpus.index[svc->pcpu->id];
	const struct rt_vcpu *last = NULL;
	struct sim_pcpu *found = NULL;

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, here, i);

		if (pcpu == prv->deciding || is_tickled(pcpu) || !sim_may_run(svc->vcpu, pcpu))
			continue;
		if (!pcpu->running) {
			found = pcpu;
			last = NULL;
			break;
		}
		if (!last || before_in_order(last, rt_of(pcpu->running))) {
			last = rt_of(pcpu->running);
			found = pcpu;
		}
	}
	if (!found || (last && !before_in_order(svc, last)))
		return;
	set_tickled(found, true);
	sim_pcpu_tickle(found->world, found);
}

/* ---- budgets ---- */

static void new_period(struct rt_vcpu *svc, uint64_t now_ns)
{
	svc->deadline_ns += ((now_ns - svc->deadline_ns) / svc->period_ns + 1) * svc->period_ns;
	svc->left_ns = (int64_t)svc->budget_ns;
	svc->level = 0;
}

static void ran(struct sim_pool *pool, struct sim_vcpu *vcpu, uint64_t ns)
{
	struct rt_vcpu *svc = rt_of(vcpu);

	svc->left_ns -= (int64_t)ns;
	if (svc->left_ns > 0)
		return;
	svc->left_ns = 0;
	if (svc->extra) {
		svc->level++;
		svc->left_ns = (int64_t)svc->budget_ns;
	}
}

static void replenish(struct sim_queue *queue, struct sim_event *event)
{
	struct rt_vcpu *svc = sim_of(event, struct rt_vcpu, replenish);
	struct rt_pool *prv = svc->vcpu->domain->pool->sched;

	/* What it ran up to now is of the period that ends. */
	sim_vcpu_account(prv->pool->world, svc->vcpu);
	new_period(svc, queue->now_ns);
	sim_at(queue, event, svc->deadline_ns);
	if (svc->vcpu->state == SIM_VCPU_RUNNING) {
		const struct rt_vcpu *next = first_for(prv, svc->pcpu);

		/* Its new deadline may be behind that of one who waits. */
		if (next && before_in_order(next, svc))
			tickle(prv, next);
		return;
	}
	dequeue(svc);
	enqueue(prv, svc);
	tickle(prv, svc);
}

/* ---- what the hypervisor asks ---- */

static struct sim_vcpu *schedule(struct sim_pool *pool, struct sim_pcpu *pcpu,
				 struct sim_vcpu *before, uint64_t *ret_slice_ns)
{
	struct rt_pool *prv = pool->sched;
	struct rt_vcpu *svc = before ? rt_of(before) : NULL, *next = first_for(prv, pcpu);

	set_tickled(pcpu, false);
	if (svc && has_budget(svc) && (!next || before_in_order(svc, next)))
		next = svc;
	if (next && next != svc)
		dequeue(next);
	if (svc && next != svc) {
		enqueue(prv, svc);
		prv->deciding = pcpu;
		if (sim_linked(&svc->queue))
			tickle(prv, svc);
		prv->deciding = NULL;
	}
	if (!next)
		return NULL;
	next->pcpu = pcpu;
	*ret_slice_ns = (uint64_t)next->left_ns;
	return next->vcpu;
}

static void wake(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct rt_vcpu *svc = rt_of(vcpu);
	struct sim_queue *queue = &pool->world->queue;

	if (queue->now_ns >= svc->deadline_ns)
		new_period(svc, queue->now_ns);
	sim_at(queue, &svc->replenish, svc->deadline_ns);
	enqueue(pool->sched, svc);
	if (sim_linked(&svc->queue))
		tickle(pool->sched, svc);
}

static void go_to_sleep(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct rt_vcpu *svc = rt_of(vcpu);

	dequeue(svc);
	sim_cancel(&pool->world->queue, &svc->replenish);
}

/* Where it is if it may be there, else the next pCPU where it may. */
static void find_place(struct rt_pool *prv, struct rt_vcpu *svc)
{
	uint32_t here = svc->pcpu ? prv->cpus.index[svc->pcpu->id] : 0;

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		svc->pcpu = sim_sched_after(&prv->cpus, here, i);
		if (sim_may_run(svc->vcpu, svc->pcpu))
			return;
	}
}

static void changed(struct sim_pool *pool, struct sim_domain *domain)
{
	uint64_t period = domain->period_ns ? domain->period_ns : PERIOD_NS;
	uint64_t budget = domain->budget_ns ? domain->budget_ns : BUDGET_NS;

	period = period < MIN_NS ? MIN_NS : period;
	budget = budget < MIN_NS ? MIN_NS : budget > period ? period : budget;
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct rt_vcpu *svc = rt_of(&domain->vcpus[i]);

		if (!svc->vcpu)
			continue;
		/* They hold from the next period on, but for extra time. */
		svc->period_ns = period;
		svc->budget_ns = budget;
		svc->extra = domain->extra;
		find_place(pool->sched, svc);
	}
}

static void insert(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct rt_vcpu *svc = rt_of(vcpu);

	svc->vcpu = vcpu;
	sim_event_init(&pool->world->queue, &svc->replenish, replenish);
	changed(pool, vcpu->domain);
	new_period(svc, pool->world->queue.now_ns);
}

static void leave(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct rt_vcpu *svc = rt_of(vcpu);

	if (svc->vcpu)
		sim_event_done(&pool->world->queue, &svc->replenish);
	svc->vcpu = NULL;
}

static void init(struct sim_world *world, struct sim_pool *pool)
{
	struct rt_pool *prv = pool->sched;

	prv->pool = pool;
	sim_sched_cpus(pool, &prv->cpus);
	sim_list_init(&prv->queue);
}

static void done(struct sim_world *world, struct sim_pool *pool) {}

/* ---- for tests ---- */

static void check_vcpu(const struct rt_vcpu *svc)
{
	const struct sim_vcpu *vcpu = svc->vcpu;

	assert(sim_linked(&svc->queue) == (vcpu->state == SIM_VCPU_RUNNABLE && has_budget(svc)));
	assert(sim_is_pending(&svc->replenish) == (vcpu->state >= SIM_VCPU_RUNNABLE));
	assert(vcpu->state != SIM_VCPU_RUNNING || vcpu->pcpu == svc->pcpu);
	assert(sim_may_run(vcpu, svc->pcpu));
}

static void check(const struct sim_pool *pool)
{
	const struct rt_pool *prv = pool->sched;
	const struct sim_world *world = pool->world;
	const struct rt_vcpu *last = NULL;
	struct sim_link *at;

	for (uint32_t d = 0; d < world->domain_count; d++)
		for (uint32_t i = 0; i < world->domains[d]->vcpu_count; i++)
			if (world->domains[d]->pool == pool)
				check_vcpu(rt_of(&world->domains[d]->vcpus[i]));
	sim_list_each (at, &prv->queue) {
		const struct rt_vcpu *svc = sim_of(at, struct rt_vcpu, queue);

		assert(!last || !before_in_order(svc, last));
		last = svc;
	}
	for (uint32_t i = 0; i < prv->cpus.count; i++)
		assert(!is_tickled(prv->cpus.at[i]) || sim_is_pending(&prv->cpus.at[i]->decide));
}

const struct sim_sched_ops sim_sched_rtds = {
	.name = "rtds",
	.doc = "Xen's real-time deferrable server: a budget for each period, by deadline",
	.pool_bytes = sizeof(struct rt_pool),
	.pcpu_bytes = sizeof(struct rt_pcpu),
	.vcpu_bytes = sizeof(struct rt_vcpu),
	.domain_bytes = 0,
	.init = init,
	.done = done,
	.insert = insert,
	.remove = leave,
	.wake = wake,
	.sleep = go_to_sleep,
	.ran = ran,
	.schedule = schedule,
	.changed = changed,
	.check = check,
};
