/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * credit2: Xen's credit2 scheduler, xen/common/sched/credit2.c of 4.17.
 *
 * A queue for several pCPUs (sched_credit2_load.c), ordered by credit. Who runs burns it: the
 * heaviest vCPU of the queue 1 a nanosecond, others more, by the ratio of the weights. When nobody
 * who waits or is to run has any left, all of the queue get 10 ms more, and keep at most half a
 * millisecond of what they had. Who wakes goes to an idle pCPU, or displaces who has least, if that
 * has run for the rate limit; another pCPU's vCPU must have half a millisecond more to be taken.
 */
#include "sched_credit2.h"

#define RATELIMIT_NS    (1 * CL_NS_PER_MS)              /* SCHED_DEFAULT_RATELIMIT_US */
#define CREDIT_MIN      (-C2_CREDIT_NS)                 /* CSCHED2_CREDIT_MIN */
#define CREDIT_IDLE     (CREDIT_MIN - 1)                /* CSCHED2_IDLE_CREDIT */
#define CARRY_NS        C2_MIN_NS                       /* CSCHED2_CARRYOVER_MAX */
#define RESIST_NS       ((int64_t)(500 * CL_NS_PER_US)) /* opt_migrate_resist */
#define COMPENSATION_NS ((int64_t)(50 * CL_NS_PER_US))  /* CSCHED2_MIGRATE_COMPENSATION */
#define TOLERANCE_NS    (50 * CL_NS_PER_US)             /* CSCHED2_RATELIMIT_TICKLE_TOLERANCE */

static uint64_t now_of(const struct c2_pool *prv)
{
	return prv->pool->world->queue.now_ns;
}

/* ---- tickling ---- */

void c2_tickle(struct c2_pool *prv, struct sim_pcpu *pcpu)
{
	if (pcpu == prv->deciding)
		return;
	c2_pcpu_of(pcpu)->tickled = true;
	sim_pcpu_tickle(pcpu->world, pcpu);
}

static bool is_free(const struct c2_pool *prv, const struct sim_pcpu *pcpu)
{
	const struct c2_pcpu *spc = c2_pcpu_of(pcpu);

	return spc->idle && !spc->tickled && pcpu != prv->deciding;
}

/* Its whole core is idle. */
static bool is_core_free(const struct c2_pool *prv, const struct sim_pcpu *pcpu)
{
	const struct sim_pcpu *sibling =
		pcpu->sibling == CL_NONE ? NULL : &pcpu->world->pcpus[pcpu->sibling];

	return is_free(prv, pcpu) &&
	       (!sibling || sibling->pool != pcpu->pool || is_free(prv, sibling));
}

static bool eligible(const struct c2_vcpu *svc, const struct sim_pcpu *pcpu, bool soft)
{
	return c2_pcpu_of(pcpu)->queue == svc->queue && sim_may_run(svc->vcpu, pcpu) &&
	       (!soft || sim_likes(svc->vcpu, pcpu));
}

/* An idle pCPU for it: where it was, the next one; of idle cores first. NULL: none. */
static struct sim_pcpu *free_for(struct c2_pool *prv, const struct c2_vcpu *svc, bool soft)
{
	uint32_t here = prv->cpus.index[svc->pcpu->id];
	struct sim_pcpu *found = NULL;

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, here, i);

		if (!eligible(svc, pcpu, soft))
			continue;
		if (is_core_free(prv, pcpu))
			return pcpu;
		if (!found && is_free(prv, pcpu))
			found = pcpu;
	}
	return found;
}

/* How much it would gain by displacing who runs there; 0: it may not. */
static int64_t score(struct c2_pool *prv, const struct c2_vcpu *svc, struct sim_pcpu *pcpu)
{
	struct c2_vcpu *other = pcpu->running ? c2_of(pcpu->running) : NULL;
	int64_t gain;

	if (!other || (prv->pool->ratelimit_ns > TOLERANCE_NS &&
		       sim_sched_ran_ns(pcpu) <= prv->pool->ratelimit_ns - TOLERANCE_NS))
		return 0;
	sim_vcpu_account(pcpu->world, other->vcpu);
	gain = svc->credit - other->credit;
	if (svc->pcpu != pcpu)
		gain -= RESIST_NS;
	if (gain <= 0)
		return 0;
	if (sim_likes(svc->vcpu, pcpu))
		gain += C2_CREDIT_NS;
	if (!sim_likes(other->vcpu, pcpu))
		gain += C2_CREDIT_NS;
	return gain;
}

static struct sim_pcpu *busy_for(struct c2_pool *prv, const struct c2_vcpu *svc)
{
	uint32_t here = prv->cpus.index[svc->pcpu->id];
	struct sim_pcpu *best = NULL;
	int64_t most = 0;

	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		/* Where it was, then all others in their order. */
		struct sim_pcpu *pcpu = i == 0      ? svc->pcpu
					: i <= here ? prv->cpus.at[i - 1]
						    : prv->cpus.at[i];
		const struct c2_pcpu *spc = c2_pcpu_of(pcpu);
		int64_t gain;

		if (!eligible(svc, pcpu, false) || spc->idle || spc->tickled ||
		    pcpu == prv->deciding)
			continue;
		gain = score(prv, svc, pcpu);
		if (gain <= most)
			continue;
		most = gain;
		best = pcpu;
		if (i == 0 && sim_likes(svc->vcpu, pcpu))
			break;
	}
	return best;
}

static void tickle_for(struct c2_pool *prv, struct c2_vcpu *svc)
{
	struct sim_pcpu *pcpu = svc->soft ? free_for(prv, svc, true) : NULL;

	if (!pcpu)
		pcpu = free_for(prv, svc, false);
	if (!pcpu)
		pcpu = busy_for(prv, svc);
	if (!pcpu)
		return;
	c2_tickle(prv, pcpu);
	svc->tickled = pcpu;
}

/* ---- the queue ---- */

void c2_enqueue(struct c2_pool *prv, struct c2_vcpu *svc)
{
	struct sim_link *at;

	sim_list_each (at, &svc->queue->waiting)
		if (svc->credit > sim_of(at, struct c2_vcpu, waiting)->credit)
			break;
	sim_link_before(&svc->waiting, at);
	tickle_for(prv, svc);
}

void c2_dequeue(struct c2_vcpu *svc)
{
	if (sim_linked(&svc->waiting))
		sim_unlink(&svc->waiting);
}

static int64_t first_credit(const struct c2_queue *queue)
{
	return sim_list_empty(&queue->waiting)
		       ? INT64_MIN
		       : sim_of(queue->waiting.next, struct c2_vcpu, waiting)->credit;
}

/* All get fresh credit. Their order stays. */
static void reset(struct c2_pool *prv, struct c2_queue *queue, const struct c2_vcpu *next)
{
	int64_t more = next->credit == CREDIT_MIN ? 2 * C2_CREDIT_NS : C2_CREDIT_NS;
	struct sim_link *at;

	sim_list_each (at, &queue->members) {
		struct c2_vcpu *svc = sim_of(at, struct c2_vcpu, member);

		if (svc->running) {
			sim_vcpu_account(prv->pool->world, svc->vcpu);
			if (svc->budget_ns <= 0)
				c2_tickle(prv, svc->pcpu);
		}
		svc->credit += more;
		if (svc->credit > C2_CREDIT_NS + CARRY_NS)
			svc->credit = C2_CREDIT_NS + CARRY_NS;
	}
}

/* ---- who runs ---- */

/* It runs where it does not like to be, and somewhere where it does there is room. */
static bool is_better_off(struct c2_pool *prv, const struct c2_vcpu *svc, struct sim_pcpu *pcpu)
{
	if (!svc->soft || sim_likes(svc->vcpu, pcpu))
		return false;
	return free_for(prv, svc, true) != NULL;
}

static bool may_take(const struct c2_vcpu *svc, const struct sim_pcpu *pcpu, int64_t credit)
{
	if (!sim_may_run(svc->vcpu, pcpu))
		return false;
	if (svc->tickled && svc->tickled != pcpu && c2_pcpu_of(svc->tickled)->tickled)
		return false; /* another one is to take it */
	return svc->pcpu == pcpu || credit + RESIST_NS <= svc->credit;
}

/* NULL: nobody. What a capped one needs to run is taken. */
static struct c2_vcpu *candidate(struct c2_pool *prv, struct sim_pcpu *pcpu, struct c2_vcpu *before)
{
	struct c2_queue *queue = c2_pcpu_of(pcpu)->queue;
	struct sim_link *at, *next;
	int64_t credit = CREDIT_IDLE;

	if (before && (!c2_runnable(before) || before->to))
		before = NULL;
	if (before && sim_sched_ran_ns(pcpu) < prv->pool->ratelimit_ns)
		return before;
	if (before && is_better_off(prv, before, pcpu))
		before = NULL;
	if (before)
		credit = before->credit;
	for (at = queue->waiting.next; at != &queue->waiting; at = next) {
		struct c2_vcpu *svc = sim_of(at, struct c2_vcpu, waiting);

		next = at->next;
		if (svc->credit <= credit)
			break;
		if (may_take(svc, pcpu, credit) && (!c2_capped(svc) || c2_grab_budget(svc)))
			return svc;
	}
	return before;
}

static uint64_t slice(const struct c2_pool *prv, const struct c2_vcpu *svc,
		      const struct sim_pcpu *pcpu, bool goes_on)
{
	int64_t limit = (int64_t)prv->pool->ratelimit_ns, least, credit = svc->credit, ns;
	int64_t waits = first_credit(svc->queue);

	if (goes_on)
		limit -= (int64_t)sim_sched_ran_ns(pcpu);
	least = limit > C2_MIN_NS ? limit : C2_MIN_NS;
	if (waits > 0)
		credit -= waits;
	ns = credit > 0 ? credit * (int64_t)svc->weight / (int64_t)svc->queue->max_weight : 0;
	if (c2_capped(svc) && svc->budget_ns < ns)
		ns = svc->budget_ns;
	if (ns < least)
		return (uint64_t)least;
	return (uint64_t)(ns > C2_CREDIT_NS ? C2_CREDIT_NS : ns);
}

/* Who ran has stopped: by itself, or another one runs. */
static void put_back(struct c2_pool *prv, struct c2_vcpu *svc)
{
	struct c2_queue *to = svc->to;
	bool runnable = c2_runnable(svc);

	svc->running = false;
	svc->to = NULL;
	c2_return_budget(prv, svc);
	if (runnable && !to) {
		c2_enqueue(prv, svc);
		return;
	}
	c2_load(svc->queue, svc, -1, now_of(prv));
	if (to)
		c2_move(prv, svc, to);
	if (runnable) {
		c2_load(to, svc, 1, now_of(prv));
		c2_enqueue(prv, svc);
	}
}

static void take(struct c2_pool *prv, struct sim_pcpu *pcpu, struct c2_vcpu *svc, bool goes_on)
{
	struct c2_queue *queue = svc->queue;

	if (goes_on) {
		c2_load(queue, svc, 0, now_of(prv));
	} else {
		c2_dequeue(svc);
		svc->running = true;
	}
	if (svc->credit <= 0 && first_credit(queue) <= 0) {
		reset(prv, queue, svc);
		c2_balance(prv, queue);
	}
	svc->tickled = NULL;
	if (svc->pcpu != pcpu) {
		svc->credit += COMPENSATION_NS;
		svc->pcpu = pcpu;
	}
}

static struct sim_vcpu *schedule(struct sim_pool *pool, struct sim_pcpu *pcpu,
				 struct sim_vcpu *before, uint64_t *ret_slice_ns)
{
	struct c2_pool *prv = pool->sched;
	struct c2_pcpu *spc = c2_pcpu_of(pcpu);
	struct c2_vcpu *svc = before ? c2_of(before) : NULL, *next;

	spc->tickled = false;
	prv->deciding = pcpu;
	if (svc && svc->budget_ns <= 0)
		c2_grab_budget(svc);
	next = candidate(prv, pcpu, svc);
	spc->idle = !next;
	if (next) {
		take(prv, pcpu, next, next == svc);
		*ret_slice_ns = slice(prv, next, pcpu, next == svc);
	} else {
		c2_load(spc->queue, NULL, 0, now_of(prv));
	}
	if (svc && svc != next)
		put_back(prv, svc);
	/* What was found while it was chosen: asked again at once. */
	if (next && (next->to || next->budget_ns <= 0))
		*ret_slice_ns = 0;
	prv->deciding = NULL;
	return next ? next->vcpu : NULL;
}

/* ---- what else the hypervisor asks ---- */

static void wake(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct c2_vcpu *svc = c2_of(vcpu);

	if (sim_linked(&svc->parked))
		return;
	c2_load(svc->queue, svc, 1, now_of(pool->sched));
	c2_enqueue(pool->sched, svc);
}

static void go_to_sleep(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct c2_vcpu *svc = c2_of(vcpu);

	if (svc->running) {
		put_back(pool->sched, svc);
	} else if (sim_linked(&svc->waiting)) {
		c2_load(svc->queue, svc, -1, now_of(pool->sched));
		c2_dequeue(svc);
	}
}

static void ran(struct sim_pool *pool, struct sim_vcpu *vcpu, uint64_t ns)
{
	struct c2_vcpu *svc = c2_of(vcpu);
	uint64_t burnt = ns * svc->queue->max_weight + svc->rest;

	svc->rest = burnt % svc->weight;
	svc->credit -= (int64_t)(burnt / svc->weight);
	if (svc->credit < CREDIT_MIN)
		svc->credit = CREDIT_MIN;
	if (c2_capped(svc))
		svc->budget_ns -= (int64_t)ns;
}

static void new_affinity(struct c2_pool *prv, struct c2_vcpu *svc)
{
	uint64_t hard = cl_cpuset_hash(&svc->vcpu->hard);
	struct sim_pcpu *pcpu;

	svc->soft = sim_sched_soft(svc->vcpu);
	if (svc->hard == hard)
		return;
	assert(svc->vcpu->state < SIM_VCPU_RUNNABLE);
	svc->hard = hard;
	pcpu = c2_pick(prv, svc);
	if (c2_pcpu_of(pcpu)->queue != svc->queue)
		c2_move(prv, svc, c2_pcpu_of(pcpu)->queue);
	else
		svc->pcpu = pcpu;
}

static void changed(struct sim_pool *pool, struct sim_domain *domain)
{
	uint64_t weight = domain->weight ? domain->weight : 1;

	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		struct c2_vcpu *svc = c2_of(&domain->vcpus[i]);

		if (!svc->vcpu)
			continue;
		if (svc->weight != weight) {
			svc->weight = weight;
			c2_weigh(svc->queue);
		}
		new_affinity(pool->sched, svc);
	}
	c2_apply_cap(pool->sched, domain);
}

static void insert(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct c2_pool *prv = pool->sched;
	struct c2_domain *dom = vcpu->domain->sched;
	struct c2_vcpu *svc = c2_of(vcpu);

	if (dom->vcpu_count++ == 0)
		c2_cap_init(dom, vcpu->domain);
	svc->vcpu = vcpu;
	svc->domain = dom;
	svc->credit = C2_CREDIT_NS;
	svc->weight = vcpu->domain->weight ? vcpu->domain->weight : 1;
	svc->average = INT64_C(1) << (C2_LOAD_BITS - 1); /* half of the time */
	svc->updated = now_of(prv) >> 10;
	svc->budget_ns = dom->cap ? 0 : INT64_MAX;
	svc->hard = cl_cpuset_hash(&vcpu->hard);
	svc->soft = sim_sched_soft(vcpu);
	svc->pcpu = c2_pick(prv, svc);
	c2_assign(svc, c2_pcpu_of(svc->pcpu)->queue);
	c2_apply_cap(prv, vcpu->domain);
}

static void leave(struct sim_pool *pool, struct sim_vcpu *vcpu)
{
	struct c2_vcpu *svc = c2_of(vcpu);

	if (!svc->vcpu)
		return;
	if (sim_linked(&svc->parked))
		sim_unlink(&svc->parked);
	c2_deassign(svc);
	svc->vcpu = NULL;
	if (--svc->domain->vcpu_count == 0)
		c2_cap_done(svc->domain);
}

static void init(struct sim_world *world, struct sim_pool *pool)
{
	struct c2_pool *prv = pool->sched;

	prv->pool = pool;
	pool->ratelimit_ns = RATELIMIT_NS;
	sim_sched_cpus(pool, &prv->cpus);
	c2_make_queues(prv);
}

static void done(struct sim_world *world, struct sim_pool *pool) {}

/* ---- for tests ---- */

static int check_vcpu(const struct c2_vcpu *svc)
{
	const struct sim_vcpu *vcpu = svc->vcpu;
	bool waits = vcpu->state == SIM_VCPU_RUNNABLE && !sim_linked(&svc->parked);

	assert(sim_linked(&svc->waiting) == waits);
	assert(svc->running == (vcpu->state == SIM_VCPU_RUNNING));
	assert(!svc->running || vcpu->pcpu == svc->pcpu);
	assert(sim_may_run(vcpu, svc->pcpu) && c2_pcpu_of(svc->pcpu)->queue == svc->queue);
	assert(svc->weight <= svc->queue->max_weight);
	assert(svc->credit >= CREDIT_MIN && svc->credit <= 2 * C2_CREDIT_NS);
	assert(!sim_linked(&svc->parked) || c2_capped(svc));
	return c2_runnable(svc);
}

static void check(const struct sim_pool *pool)
{
	const struct c2_pool *prv = pool->sched;

	for (uint32_t q = 0; q < prv->queue_count; q++) {
		const struct c2_queue *queue = &prv->queues[q];
		int64_t load = 0, credit = INT64_MAX;
		struct sim_link *at;

		sim_list_each (at, &queue->members)
			load += check_vcpu(sim_of(at, struct c2_vcpu, member));
		assert(load == queue->load);
		sim_list_each (at, &queue->waiting) {
			const struct c2_vcpu *svc = sim_of(at, struct c2_vcpu, waiting);

			assert(svc->queue == queue && svc->credit <= credit);
			credit = svc->credit;
		}
	}
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		const struct sim_pcpu *pcpu = prv->cpus.at[i];
		const struct c2_pcpu *spc = c2_pcpu_of(pcpu);

		assert(!spc->idle || !pcpu->running);
		assert(!spc->tickled || sim_is_pending(&pcpu->decide));
	}
}

const struct sim_sched_ops sim_sched_credit2 = {
	.name = "credit2",
	.doc = "Xen's default: queues for several pCPUs, weights, caps by budget",
	.pool_bytes = sizeof(struct c2_pool),
	.pcpu_bytes = sizeof(struct c2_pcpu),
	.vcpu_bytes = sizeof(struct c2_vcpu),
	.domain_bytes = sizeof(struct c2_domain),
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
