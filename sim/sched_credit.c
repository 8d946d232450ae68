/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * credit: Xen's credit scheduler, xen/common/sched/credit.c of 4.17.
 *
 * A queue for each pCPU, ordered by priority: BOOST (woke with credit left), UNDER (has credit),
 * OVER (has none), first come first served within each. Who runs burns credit; each 30 ms all get
 * theirs anew by weight, at most what a cap allows, and vCPUs of a domain that is over its cap are
 * parked until they are in credit again. Only who is found running by a tick, each 10 ms, takes
 * part in that and loses its boost. A pCPU whose own best is OVER looks for better on others.
 *
 * Xen counts 10 credits a millisecond and carries the remainder: that is time, so it is ns here.
 */
#include "sched_credit.h"

#define SLICE_NS     (30 * CL_NS_PER_MS)  /* CSCHED_DEFAULT_TSLICE_MS */
#define RATELIMIT_NS (1 * CL_NS_PER_MS)   /* SCHED_DEFAULT_RATELIMIT_US */
#define MIN_NS       (100 * CL_NS_PER_US) /* CSCHED_MIN_TIMER */

static int running_priority(const struct sim_pcpu *pcpu)
{
	return pcpu->running ? credit_of(pcpu->running)->priority : IDLE;
}

/* ---- queues ---- */

/* Behind those of its priority. */
static void enqueue(struct credit_vcpu *svc)
{
	struct sim_link *head = &credit_queue(svc->pcpu)->queue, *at;

	sim_list_each (at, head)
		if (sim_of(at, struct credit_vcpu, queue)->priority < svc->priority)
			break;
	sim_link_before(&svc->queue, at);
}

void credit_dequeue(struct credit_vcpu *svc)
{
	if (sim_linked(&svc->queue))
		sim_unlink(&svc->queue);
}

static struct credit_vcpu *first_of(const struct sim_pcpu *pcpu)
{
	const struct sim_link *head = &credit_queue(pcpu)->queue;

	return sim_list_empty(head) ? NULL : sim_of(head->next, struct credit_vcpu, queue);
}

/* ---- tickling ---- */

void credit_tickle(struct sim_pcpu *pcpu)
{
	credit_queue(pcpu)->idler = false;
	sim_pcpu_tickle(pcpu->world, pcpu);
}

/* An idler where it may run, the next one after the last that was tickled; NULL: none. */
static struct sim_pcpu *idler_for(const struct credit_pool *prv, const struct credit_vcpu *svc,
				  enum step step)
{
	for (uint32_t i = 1; i <= prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, prv->last_tickled, i);

		if (credit_queue(pcpu)->idler && credit_allowed(svc, pcpu, step))
			return pcpu;
	}
	return NULL;
}

/* Somebody should run what was just queued: idle ones first, else its own pCPU if it is better. */
static void tickle(struct credit_pool *prv, struct credit_vcpu *svc)
{
	struct sim_pcpu *pcpu = svc->pcpu, *idler = NULL;

	if (!pcpu->running) {
		credit_tickle(pcpu);
		return;
	}
	if (svc->soft)
		idler = idler_for(prv, svc, SOFT);
	if (!idler)
		idler = idler_for(prv, svc, HARD);
	if (idler) {
		prv->last_tickled = credit_index(prv, idler);
		credit_tickle(idler);
	} else if (svc->priority > running_priority(pcpu)) {
		/* Who has to make room waits here, even if another pCPU is idle: as in Xen, which
		 * means to send him there but looks at the wrong one's affinity. */
		credit_tickle(pcpu);
	}
}

void credit_enqueue(struct credit_pool *prv, struct credit_vcpu *svc)
{
	enqueue(svc);
	tickle(prv, svc);
}

/* ---- balance ---- */

/* From a busy pCPU's queue what is of higher priority and may run here. */
static struct credit_vcpu *steal_from(const struct sim_pcpu *peer, const struct sim_pcpu *pcpu,
				      int priority, enum step step)
{
	struct sim_link *head = &credit_queue(peer)->queue, *at;

	if (!peer->running) /* it is about to take what it has */
		return NULL;
	sim_list_each (at, head) {
		struct credit_vcpu *svc = sim_of(at, struct credit_vcpu, queue);

		if (svc->priority <= priority)
			break;
		if ((step == HARD || svc->soft) && credit_allowed(svc, pcpu, step))
			return svc;
	}
	return NULL;
}

static struct credit_vcpu *steal_in_node(struct credit_pool *prv, const struct sim_pcpu *pcpu,
					 uint32_t node, int priority, enum step step)
{
	for (uint32_t i = 1; i <= prv->cpus.count; i++) {
		struct sim_pcpu *peer = sim_sched_after(&prv->cpus, prv->bias[node], i);
		struct credit_vcpu *svc;

		if (peer == pcpu || peer->node != node || credit_queue(peer)->idler)
			continue;
		svc = steal_from(peer, pcpu, priority, step);
		if (!svc)
			continue;
		prv->bias[node] = credit_index(prv, peer);
		return svc;
	}
	return NULL;
}

/* Better than this priority, on other pCPUs: the own node's first. Taken off its queue. */
static struct credit_vcpu *steal(struct credit_pool *prv, struct sim_pcpu *pcpu, int priority)
{
	uint32_t nodes = pcpu->world->node_count;

	for (enum step step = SOFT; step <= HARD; step++) {
		for (uint32_t n = 0; n < nodes; n++) {
			struct credit_vcpu *svc =
				steal_in_node(prv, pcpu, (pcpu->node + n) % nodes, priority, step);

			if (!svc)
				continue;
			credit_dequeue(svc);
			svc->pcpu = pcpu;
			return svc;
		}
	}
	return NULL;
}

static struct credit_vcpu *choose(struct credit_pool *prv, struct sim_pcpu *pcpu)
{
	struct credit_vcpu *first = first_of(pcpu), *better = NULL;

	if (!first || first->priority <= OVER)
		better = steal(prv, pcpu, first ? first->priority : IDLE);
	if (better)
		return better;
	if (first)
		credit_dequeue(first);
	return first;
}

/* ---- what the hypervisor asks ---- */

/* Who ran here is to go on elsewhere; if that is here after all, it does that. */
static struct credit_vcpu *move_away(struct credit_pool *prv, struct sim_pcpu *pcpu,
				     struct credit_vcpu *svc, struct credit_vcpu *next)
{
	svc->pcpu = credit_pick(prv, svc, true);
	if (!next && svc->pcpu == pcpu)
		return svc;
	credit_queue(pcpu)->idler = false; /* it is asked now */
	credit_enqueue(prv, svc);
	return next;
}

static struct sim_vcpu *schedule(struct sim_pool *pool, struct sim_pcpu *pcpu,
				 struct sim_vcpu *before, uint64_t *ret_slice_ns)
{
	struct credit_pool *prv = pool->sched;
	struct credit_vcpu *svc = before ? credit_of(before) : NULL, *next;
	uint64_t ran_ns = sim_sched_ran_ns(pcpu);
	bool stays = svc && !svc->parked && !svc->moving;

	if (stays && ran_ns < pool->ratelimit_ns) {
		*ret_slice_ns = ran_ns < MIN_NS ? MIN_NS : pool->ratelimit_ns - ran_ns;
		return before;
	}
	if (stays)
		enqueue(svc);
	next = choose(prv, pcpu);
	if (svc && svc->moving) {
		svc->moving = false;
		if (!svc->parked)
			next = move_away(prv, pcpu, svc, next);
	}
	credit_queue(pcpu)->idler = !next;
	if (!next)
		return NULL;
	*ret_slice_ns = pool->slice_ns;
	return next->vcpu;
}

static void wake(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct credit_vcpu *svc = credit_of(vcpu);

	if (svc->parked)
		return;
	if (!svc->moved && svc->priority == UNDER)
		svc->priority = BOOST;
	svc->moved = false;
	credit_enqueue(pool->sched, svc);
}

static void go_to_sleep(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct credit_vcpu *svc = credit_of(vcpu);

	svc->moving = false;
	credit_dequeue(svc);
}

static void ran(struct sim_pool *pool, struct sim_vcpu *vcpu, uint64_t ns)
{
	credit_of(vcpu)->credit -= (int64_t)ns;
}

static void changed(struct sim_pool *pool, struct sim_domain *domain)
{
	struct credit_pool *prv = pool->sched;
	struct credit_domain *dom = domain->sched;
	int64_t weight = domain->weight ? (int64_t)domain->weight : 1;

	prv->weight += (weight - dom->weight) * dom->active_count;
	dom->weight = weight;
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct credit_vcpu *svc = credit_of(&domain->vcpus[i]);

		if (!svc->vcpu)
			continue;
		svc->soft = sim_sched_soft(svc->vcpu);
		if (sim_may_run(svc->vcpu, svc->pcpu))
			continue;
		assert(svc->vcpu->state < SIM_VCPU_RUNNABLE);
		svc->pcpu = credit_pick(prv, svc, true);
		svc->moved = true;
	}
}

static void insert(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct credit_pool *prv = pool->sched;
	struct credit_domain *dom = vcpu->domain->sched;
	struct credit_vcpu *svc = credit_of(vcpu);

	if (dom->vcpu_count++ == 0) {
		sim_list_init(&dom->vcpus);
		dom->domain = vcpu->domain;
		dom->weight = vcpu->domain->weight ? (int64_t)vcpu->domain->weight : 1;
	}
	svc->vcpu = vcpu;
	svc->domain = dom;
	svc->priority = UNDER;
	svc->pcpu = prv->cpus.at[0];
	svc->pcpu = credit_pick(prv, svc, true);
}

static void leave(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct credit_vcpu *svc = credit_of(vcpu);

	if (!svc->vcpu)
		return;
	if (sim_linked(&svc->active))
		credit_acct_stop(pool->sched, svc);
	svc->vcpu = NULL;
}

static void init(struct sim_world *world, struct sim_pool *pool)
{
	struct credit_pool *prv = pool->sched;

	prv->pool = pool;
	pool->slice_ns = SLICE_NS;
	pool->ratelimit_ns = RATELIMIT_NS;
	sim_sched_cpus(pool, &prv->cpus);
	sim_list_init(&prv->active);
	for (uint32_t i = prv->cpus.count; i-- > 0;) {
		struct credit_pcpu *spc = credit_queue(prv->cpus.at[i]);

		spc->pcpu = prv->cpus.at[i];
		spc->idler = true;
		spc->idle_bias = prv->cpus.count - 1;
		prv->bias[spc->pcpu->node] = i;
		sim_list_init(&spc->queue);
	}
	credit_acct_init(prv);
}

static void done(struct sim_world *world, struct sim_pool *pool)
{
	credit_acct_done(pool->sched);
}

/* ---- for tests ---- */

static void check_vcpu(const struct credit_vcpu *svc)
{
	const struct sim_vcpu *vcpu = svc->vcpu;

	assert(sim_linked(&svc->queue) == (vcpu->state == SIM_VCPU_RUNNABLE && !svc->parked));
	assert(vcpu->state != SIM_VCPU_RUNNING || vcpu->pcpu == svc->pcpu);
	assert(sim_may_run(vcpu, svc->pcpu));
	assert(sim_linked(&svc->active) || !svc->parked);
}

static void check(const struct sim_pool *pool)
{
	const struct credit_pool *prv = pool->sched;
	const struct sim_world *world = pool->world;
	int64_t weight = 0;

	for (uint32_t d = 0; d < world->domain_count; d++) {
		const struct sim_domain *domain = world->domains[d];
		const struct credit_domain *dom = domain->sched;

		if (domain->pool != pool)
			continue;
		weight += dom->weight * dom->active_count;
		for (uint32_t i = 0; i < domain->vcpu_count; i++)
			check_vcpu(credit_of(&domain->vcpus[i]));
	}
	assert(weight == prv->weight);
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		const struct sim_pcpu *pcpu = prv->cpus.at[i];
		const struct credit_pcpu *spc = credit_queue(pcpu);

		assert(!spc->idler || (!pcpu->running && sim_list_empty(&spc->queue)));
		/* Idle with work is only who is about to be asked. */
		assert(pcpu->running || sim_list_empty(&spc->queue) ||
		       sim_is_pending(&pcpu->decide));
	}
}

const struct sim_sched_ops sim_sched_credit = {
	.name = "credit",
	.doc = "Xen's credit scheduler: weights, caps, boost on wake",
	.pool_bytes = sizeof(struct credit_pool),
	.pcpu_bytes = sizeof(struct credit_pcpu),
	.vcpu_bytes = sizeof(struct credit_vcpu),
	.domain_bytes = sizeof(struct credit_domain),
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
