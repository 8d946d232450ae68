/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Caps in credit2: each 10 ms a domain gets a budget. Who runs takes a part of it, and gives back
 * what it has not used when it stops; who finds none is parked. What was run beyond it is
 * subtracted from the next.
 */
#include "sched_credit2.h"

#define PERIOD_NS (10 * CL_NS_PER_MS) /* CSCHED2_BDGT_REPL_PERIOD */

static void park(struct c2_vcpu *svc)
{
	if (sim_linked(&svc->waiting)) {
		c2_dequeue(svc);
		c2_load(svc->queue, svc, -1, svc->vcpu->domain->world->queue.now_ns);
	}
	sim_link_before(&svc->parked, svc->domain->parked.next);
}

bool c2_grab_budget(struct c2_vcpu *svc)
{
	struct c2_domain *dom = svc->domain;

	if (svc->budget_ns > 0)
		return true;
	dom->budget_ns += svc->budget_ns; /* what it ran beyond */
	svc->budget_ns = 0;
	if (dom->budget_ns <= 0) {
		park(svc);
		return false;
	}
	svc->budget_ns = dom->budget_ns < svc->quota_ns ? dom->budget_ns : svc->quota_ns;
	dom->budget_ns -= svc->budget_ns;
	return true;
}

static void unpark(struct c2_pool *prv, struct c2_vcpu *svc)
{
	sim_unlink(&svc->parked);
	/* One that is still to be switched off goes into its queue then. */
	if (svc->running || !c2_runnable(svc))
		return;
	c2_load(svc->queue, svc, 1, prv->pool->world->queue.now_ns);
	c2_enqueue(prv, svc);
}

static void unpark_all(struct c2_pool *prv, struct c2_domain *dom)
{
	while (!sim_list_empty(&dom->parked))
		unpark(prv, sim_of(dom->parked.next, struct c2_vcpu, parked));
}

void c2_return_budget(struct c2_pool *prv, struct c2_vcpu *svc)
{
	if (!c2_capped(svc) || svc->budget_ns <= 0)
		return;
	svc->domain->budget_ns += svc->budget_ns;
	svc->budget_ns = 0;
	if (svc->domain->budget_ns > 0)
		unpark_all(prv, svc->domain);
}

static void replenish(struct sim_queue *queue, struct sim_event *event)
{
	struct c2_domain *dom = sim_of(event, struct c2_domain, replenish);

	sim_after(queue, event, PERIOD_NS);
	dom->budget_ns += dom->whole_ns;
	if (dom->budget_ns <= 0)
		return;
	if (dom->budget_ns > dom->whole_ns)
		dom->budget_ns = dom->whole_ns;
	unpark_all(dom->pool->sched, dom);
}

static void begin(struct c2_pool *prv, struct sim_domain *domain)
{
	struct c2_domain *dom = domain->sched;

	dom->budget_ns = dom->whole_ns;
	sim_after(&domain->world->queue, &dom->replenish, PERIOD_NS);
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct c2_vcpu *svc = c2_of(&domain->vcpus[i]);

		if (!svc->vcpu)
			continue;
		/* What it ran up to now was without a cap; from now on it needs budget. */
		sim_vcpu_account(domain->world, svc->vcpu);
		svc->budget_ns = 0;
		if (svc->running)
			c2_tickle(prv, svc->pcpu);
	}
}

static void end(struct c2_pool *prv, struct sim_domain *domain)
{
	struct c2_domain *dom = domain->sched;

	sim_cancel(&domain->world->queue, &dom->replenish);
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct c2_vcpu *svc = c2_of(&domain->vcpus[i]);

		if (svc->vcpu)
			svc->budget_ns = INT64_MAX;
	}
	unpark_all(prv, dom);
}

void c2_apply_cap(struct c2_pool *prv, struct sim_domain *domain)
{
	struct c2_domain *dom = domain->sched;
	uint64_t cap = domain->cap, most = dom->vcpu_count * CL_PPM;
	bool was = dom->cap != 0;

	if (cap > most)
		cap = most;
	dom->cap = cap;
	if (!cap) {
		if (was)
			end(prv, domain);
		return;
	}
	dom->whole_ns = (int64_t)(PERIOD_NS * cap / CL_PPM);
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct c2_vcpu *svc = c2_of(&domain->vcpus[i]);
		int64_t part = dom->whole_ns / dom->vcpu_count;

		svc->quota_ns = part > C2_MIN_NS ? part : C2_MIN_NS;
	}
	if (!was)
		begin(prv, domain);
}

void c2_cap_init(struct c2_domain *dom, struct sim_domain *domain)
{
	dom->pool = domain->pool;
	sim_list_init(&dom->parked);
	sim_event_init(&domain->world->queue, &dom->replenish, replenish);
}

void c2_cap_done(struct c2_domain *dom)
{
	sim_event_done(&dom->pool->world->queue, &dom->replenish);
}
