/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run queues of credit2: one for each socket, which is a node here, but of at most 16 pCPUs, and
 * siblings together. The load of each, and of each vCPU, is an average that decays within a second.
 * A vCPU changes its queue when its affinity changes, or when two queues' loads are far enough
 * apart and moving it, or two in exchange, brings them nearest.
 */
#include "sched_credit2.h"

#define QUEUE_PCPUS      16u                          /* MAX_CPUS_RUNQ */
#define WINDOW_BITS      20u                          /* LOADAVG_WINDOW_SHIFT, in time units */
#define UNIT_BITS        10u                          /* LOADAVG_GRANULARITY_SHIFT: 1024 ns */
#define TOLERATED        (INT64_C(1) << C2_LOAD_BITS) /* opt_underload_balance_tolerance: 0 */
#define TOLERATED_LOADED (TOLERATED >> 3)             /* opt_overload_balance_tolerance: -3 */

/* ---- which pCPUs are in which queue ---- */

static uint32_t threads_of(const struct sim_pcpu *pcpu)
{
	return pcpu->sibling == CL_NONE ? 1 : 2;
}

/* NULL: it has no sibling in this pool, or that has no queue yet. */
static struct c2_queue *queue_of_sibling(const struct c2_pool *prv, const struct sim_pcpu *pcpu)
{
	const struct sim_pcpu *sibling;

	if (pcpu->sibling == CL_NONE)
		return NULL;
	sibling = &pcpu->world->pcpus[pcpu->sibling];
	return sibling->pool == prv->pool ? c2_pcpu_of(sibling)->queue : NULL;
}

static struct c2_queue *queue_for(struct c2_pool *prv, const struct sim_pcpu *pcpu)
{
	uint32_t all = prv->pool->world->pcpu_count;
	uint32_t most = all / ((all - 1) / QUEUE_PCPUS + 1);
	struct c2_queue *best = NULL;

	for (uint32_t q = 0; q < prv->queue_count; q++) {
		struct c2_queue *queue = &prv->queues[q];

		if (queue->node == pcpu->node && queue->threads + threads_of(pcpu) <= most &&
		    (!best || queue->pcpus < best->pcpus))
			best = queue;
	}
	return best;
}

void c2_make_queues(struct c2_pool *prv)
{
	for (uint32_t i = 0; i < prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = prv->cpus.at[i];
		struct c2_pcpu *spc = c2_pcpu_of(pcpu);
		struct c2_queue *queue = queue_of_sibling(prv, pcpu);
		bool joins = queue != NULL;

		if (!queue)
			queue = queue_for(prv, pcpu);
		if (!queue) {
			queue = &prv->queues[prv->queue_count++];
			sim_list_init(&queue->waiting);
			sim_list_init(&queue->members);
			queue->node = pcpu->node;
			queue->pick_bias = i;
			queue->max_weight = 1;
		}
		if (!joins)
			queue->threads += threads_of(pcpu);
		queue->pcpus++;
		spc->queue = queue;
		spc->idle = true;
	}
}

/* ---- load ---- */

/* By how much of the window has passed, the load of that part takes the place of the average. */
static int64_t decay(int64_t average, int64_t load, uint64_t units)
{
	if (units > UINT64_C(1) << WINDOW_BITS)
		return load << C2_LOAD_BITS;
	return average + (((int64_t)units * (load << C2_LOAD_BITS)) >> WINDOW_BITS) -
	       (((int64_t)units * average) >> WINDOW_BITS);
}

static void load_of_queue(struct c2_queue *queue, int change, uint64_t now_ns)
{
	uint64_t now = now_ns >> UNIT_BITS;

	queue->to_balance = decay(queue->to_balance, queue->load, now - queue->updated);
	queue->average = decay(queue->average, queue->load, now - queue->updated);
	queue->updated = now;
	queue->load += change;
	assert(queue->load >= 0);
}

static void load_of_vcpu(struct c2_vcpu *svc, int change, uint64_t now_ns)
{
	uint64_t now = now_ns >> UNIT_BITS;
	int64_t load = change < 0 ? 1 : change > 0 ? 0 : c2_runnable(svc);

	svc->average = decay(svc->average, load, now - svc->updated);
	svc->updated = now;
}

void c2_load(struct c2_queue *queue, struct c2_vcpu *svc, int change, uint64_t now_ns)
{
	load_of_queue(queue, change, now_ns);
	if (svc)
		load_of_vcpu(svc, change, now_ns);
}

/* ---- who is in which queue ---- */

void c2_weigh(struct c2_queue *queue)
{
	struct sim_link *at;

	queue->max_weight = 1;
	sim_list_each (at, &queue->members) {
		uint64_t weight = sim_of(at, struct c2_vcpu, member)->weight;

		if (weight > queue->max_weight)
			queue->max_weight = weight;
	}
}

void c2_assign(struct c2_vcpu *svc, struct c2_queue *queue)
{
	svc->queue = queue;
	sim_link_before(&svc->member, &queue->members);
	if (svc->weight > queue->max_weight)
		queue->max_weight = svc->weight;
	queue->to_balance += svc->average;
}

void c2_deassign(struct c2_vcpu *svc)
{
	struct c2_queue *queue = svc->queue;

	assert(!sim_linked(&svc->waiting));
	sim_unlink(&svc->member);
	if (svc->weight == queue->max_weight)
		c2_weigh(queue);
	queue->to_balance -= svc->average;
	if (queue->to_balance < 0)
		queue->to_balance = 0;
	svc->queue = NULL;
}

/* The next of a queue's pCPUs on which it may run, after the last that was picked; NULL: none. */
static struct sim_pcpu *next_of(struct c2_pool *prv, struct c2_queue *queue,
				const struct c2_vcpu *svc, bool soft)
{
	for (uint32_t i = 1; i <= prv->cpus.count; i++) {
		struct sim_pcpu *pcpu = sim_sched_after(&prv->cpus, queue->pick_bias, i);

		if (c2_pcpu_of(pcpu)->queue == queue && sim_may_run(svc->vcpu, pcpu) &&
		    (!soft || sim_likes(svc->vcpu, pcpu)))
			return pcpu;
	}
	return NULL;
}

static struct sim_pcpu *pick_step(struct c2_pool *prv, struct c2_vcpu *svc, bool soft)
{
	struct sim_pcpu *best = NULL;
	int64_t least = INT64_MAX;

	for (uint32_t q = 0; q < prv->queue_count; q++) {
		struct c2_queue *queue = &prv->queues[q];
		struct sim_pcpu *pcpu = next_of(prv, queue, svc, soft);
		int64_t load = queue->to_balance;

		if (queue == svc->queue)
			load = load > svc->average ? load - svc->average : 0;
		if (!pcpu || load >= least)
			continue;
		least = load;
		best = pcpu;
	}
	return best;
}

struct sim_pcpu *c2_pick(struct c2_pool *prv, struct c2_vcpu *svc)
{
	struct sim_pcpu *pcpu = svc->soft ? pick_step(prv, svc, true) : NULL;

	if (!pcpu)
		pcpu = pick_step(prv, svc, false);
	assert(pcpu);
	c2_pcpu_of(pcpu)->queue->pick_bias = prv->cpus.index[pcpu->id];
	return pcpu;
}

void c2_move(struct c2_pool *prv, struct c2_vcpu *svc, struct c2_queue *to)
{
	uint64_t now = prv->pool->world->queue.now_ns;
	bool waits = sim_linked(&svc->waiting);

	if (waits) {
		c2_dequeue(svc);
		c2_load(svc->queue, NULL, -1, now);
	}
	c2_deassign(svc);
	svc->pcpu = next_of(prv, to, svc, false);
	assert(svc->pcpu);
	to->pick_bias = prv->cpus.index[svc->pcpu->id];
	c2_assign(svc, to);
	if (waits) {
		c2_load(to, NULL, 1, now);
		c2_enqueue(prv, svc);
	}
}

/* ---- balance ---- */

struct swap {
	struct c2_queue *local, *other;
	struct c2_vcpu *push, *pull;
	int64_t apart; /* how far the loads would be */
};

static void consider(struct swap *swap, struct c2_vcpu *push, struct c2_vcpu *pull)
{
	int64_t moved = (pull ? pull->average : 0) - (push ? push->average : 0);
	int64_t apart = swap->local->to_balance - swap->other->to_balance + 2 * moved;

	if (apart < 0)
		apart = -apart;
	if (apart >= swap->apart)
		return;
	swap->apart = apart;
	swap->push = push;
	swap->pull = pull;
}

static bool may_move(struct c2_pool *prv, const struct c2_vcpu *svc, struct c2_queue *to)
{
	return !svc->to && next_of(prv, to, svc, false);
}

static void find_swap(struct c2_pool *prv, struct swap *swap, uint64_t now)
{
	struct sim_link *a, *b;

	sim_list_each (b, &swap->other->members)
		load_of_vcpu(sim_of(b, struct c2_vcpu, member), 0, now);
	sim_list_each (a, &swap->local->members) {
		struct c2_vcpu *push = sim_of(a, struct c2_vcpu, member);

		load_of_vcpu(push, 0, now);
		if (!may_move(prv, push, swap->other))
			continue;
		sim_list_each (b, &swap->other->members) {
			struct c2_vcpu *pull = sim_of(b, struct c2_vcpu, member);

			if (may_move(prv, pull, swap->local))
				consider(swap, push, pull);
		}
		consider(swap, push, NULL);
	}
	sim_list_each (b, &swap->other->members) {
		struct c2_vcpu *pull = sim_of(b, struct c2_vcpu, member);

		if (may_move(prv, pull, swap->local))
			consider(swap, NULL, pull);
	}
}

/* One that runs is moved when it stops, which is now. */
static void send(struct c2_pool *prv, struct c2_vcpu *svc, struct c2_queue *to)
{
	if (!svc->running) {
		c2_move(prv, svc, to);
		return;
	}
	svc->to = to;
	c2_tickle(prv, svc->pcpu);
}

void c2_balance(struct c2_pool *prv, struct c2_queue *local)
{
	struct swap swap = { .local = local };
	uint64_t now = prv->pool->world->queue.now_ns;
	int64_t most, pcpus;

	load_of_queue(local, 0, now);
	for (uint32_t q = 0; q < prv->queue_count; q++) {
		struct c2_queue *other = &prv->queues[q];
		int64_t apart;

		if (other == local)
			continue;
		load_of_queue(other, 0, now);
		apart = local->to_balance - other->to_balance;
		apart = apart < 0 ? -apart : apart;
		if (apart > swap.apart) {
			swap.apart = apart;
			swap.other = other;
		}
	}
	if (!swap.other)
		return;
	most = local->to_balance > swap.other->to_balance ? local->to_balance
							  : swap.other->to_balance;
	pcpus = local->pcpus > swap.other->pcpus ? local->pcpus : swap.other->pcpus;
	if (swap.apart < (most < pcpus << C2_LOAD_BITS ? TOLERATED : TOLERATED_LOADED))
		return;
	find_swap(prv, &swap, now);
	if (swap.push)
		send(prv, swap.push, swap.other);
	if (swap.pull)
		send(prv, swap.pull, local);
}
