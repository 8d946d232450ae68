/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The credit scheduler's accounting, each slice, and the tick of each pCPU. */
#include "sched_credit.h"

static void start(struct credit_pool *prv, struct credit_vcpu *svc)
{
	struct credit_domain *dom = svc->domain;

	if (dom->active_count++ == 0)
		sim_link_before(&dom->active, &prv->active);
	sim_link_before(&svc->active, dom->vcpus.next);
	prv->weight += dom->weight;
}

void credit_acct_stop(struct credit_pool *prv, struct credit_vcpu *svc)
{
	struct credit_domain *dom = svc->domain;

	sim_unlink(&svc->active);
	prv->weight -= dom->weight;
	if (--dom->active_count == 0)
		sim_unlink(&dom->active);
}

static void park(struct credit_vcpu *svc)
{
	svc->parked = true;
	credit_dequeue(svc);
	if (svc->vcpu->state == SIM_VCPU_RUNNING)
		credit_tickle(svc->vcpu->pcpu);
}

static void unpark(struct credit_pool *prv, struct credit_vcpu *svc)
{
	bool waits = svc->vcpu->state == SIM_VCPU_RUNNABLE;

	svc->parked = false;
	if (waits)
		credit_enqueue(prv, svc);
}

static int64_t up(int64_t a, int64_t b)
{
	return (a + b - 1) / b;
}

/* A vCPU gets its share, and the priority that follows. */
static void earn(struct credit_pool *prv, struct credit_vcpu *svc, int64_t fair, int64_t cap)
{
	int64_t slice = (int64_t)prv->pool->slice_ns;

	svc->credit += fair;
	if (svc->credit < 0) {
		svc->priority = OVER;
		if (svc->domain->domain->cap && svc->credit < -cap && !svc->parked)
			park(svc);
		if (svc->credit < -slice)
			svc->credit = -slice;
		return;
	}
	svc->priority = UNDER;
	if (svc->parked)
		unpark(prv, svc);
	if (svc->credit > slice) {
		/* It does not use what it gets: no more until it is found running. */
		credit_acct_stop(prv, svc);
		svc->credit /= 2;
	}
}

struct shares { /* while credit is given out */
	int64_t total, weight, weight_left, balance;
	bool hungry; /* a domain got less than it could use */
};

static void earn_all(struct credit_pool *prv, struct credit_domain *dom, struct shares *shares)
{
	int64_t slice = (int64_t)prv->pool->slice_ns, count = dom->active_count;
	int64_t weight = dom->weight * count, peak = count * slice, cap = 0, fair;
	struct sim_link *at, *next;

	shares->weight_left -= weight;
	if (prv->balance < 0)
		peak += up(-prv->balance * weight, shares->weight);
	if (dom->domain->cap) {
		cap = up((int64_t)dom->domain->cap * slice, CL_PPM);
		peak = cap < peak ? cap : peak;
		cap = up(cap, count);
	}
	fair = up(shares->total * weight, shares->weight);
	if (fair < peak) {
		shares->hungry = true;
	} else {
		if (shares->weight_left)
			shares->total += up((fair - peak) * shares->weight, shares->weight_left);
		if (shares->hungry) { /* next time those that were before it get of its rest */
			sim_unlink(&dom->active);
			sim_link_before(&dom->active, prv->active.next);
		}
		fair = peak;
	}
	fair = up(fair, count);
	for (at = dom->vcpus.next; at != &dom->vcpus; at = next) {
		struct credit_vcpu *svc = sim_of(at, struct credit_vcpu, active);

		next = at->next;
		earn(prv, svc, fair, cap);
		shares->balance += svc->credit;
	}
}

static void accounting(struct sim_queue *queue, struct sim_event *event)
{
	struct credit_pool *prv = sim_of(event, struct credit_pool, accounting);
	struct shares shares = { .weight = prv->weight, .weight_left = prv->weight };
	struct sim_link *at, *next;

	sim_after(queue, event, prv->pool->slice_ns);
	if (!prv->weight) {
		prv->balance = 0;
		return;
	}
	shares.total = (int64_t)(prv->cpus.count * prv->pool->slice_ns);
	if (prv->balance < 0)
		shares.total -= prv->balance;
	for (at = prv->active.next; at != &prv->active; at = next) {
		next = at->next;
		earn_all(prv, sim_of(at, struct credit_domain, active), &shares);
	}
	prv->balance = shares.balance;
	prv->sortings++;
}

/* ---- the tick of a pCPU ---- */

/* Those that are no longer OVER come before those that are; otherwise their order stays. */
static void sort(struct credit_pool *prv, struct sim_pcpu *pcpu)
{
	struct credit_pcpu *queue = credit_queue(pcpu);
	struct sim_link *at, *next, *end = &queue->queue;

	if (queue->sorted == prv->sortings)
		return;
	queue->sorted = prv->sortings;
	/* end: the first that is OVER, of those seen. */
	for (at = queue->queue.next; at != &queue->queue; at = next) {
		next = at->next;
		if (sim_of(at, struct credit_vcpu, queue)->priority < UNDER) {
			if (end == &queue->queue)
				end = at;
		} else if (end != &queue->queue) {
			sim_unlink(at);
			sim_link_before(at, end);
		}
	}
}

static void tick(struct sim_queue *queue, struct sim_event *event)
{
	struct credit_pcpu *spc = sim_of(event, struct credit_pcpu, tick);
	struct sim_pcpu *pcpu = spc->pcpu;
	struct credit_pool *prv = pcpu->pool->sched;

	sim_after(queue, event, prv->pool->slice_ns / CREDIT_TICKS);
	if (pcpu->running) {
		struct credit_vcpu *svc = credit_of(pcpu->running);

		if (svc->priority == BOOST)
			svc->priority = UNDER;
		sim_vcpu_account(pcpu->world, svc->vcpu);
		if (!sim_linked(&svc->active)) {
			start(prv, svc);
		} else if (credit_pick(prv, svc, false) != pcpu) {
			svc->moving = true;
			credit_tickle(pcpu);
		}
	}
	sort(prv, pcpu);
}

void credit_acct_init(struct credit_pool *prv)
{
	struct sim_queue *queue = &prv->pool->world->queue;

	sim_event_init(queue, &prv->accounting, accounting);
	sim_after(queue, &prv->accounting, prv->pool->slice_ns);
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_event *event = &credit_queue(prv->cpus.at[i])->tick;

		sim_event_init(queue, event, tick);
		sim_after(queue, event, prv->pool->slice_ns / CREDIT_TICKS);
	}
}

void credit_acct_done(struct credit_pool *prv)
{
	struct sim_queue *queue = &prv->pool->world->queue;

	sim_event_done(queue, &prv->accounting);
	for (uint32_t i = 0; i < prv->cpus.count; i++)
		sim_event_done(queue, &credit_queue(prv->cpus.at[i])->tick);
}
