/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_credit2: what the files of the credit2 scheduler share. */
#ifndef CLOSER_SIM_SCHED_CREDIT2_H
#define CLOSER_SIM_SCHED_CREDIT2_H

#include "list.h"
#include "sched.h"

#define C2_CREDIT_NS ((int64_t)(10 * CL_NS_PER_MS))  /* CSCHED2_CREDIT_INIT */
#define C2_MIN_NS    ((int64_t)(500 * CL_NS_PER_US)) /* CSCHED2_MIN_TIMER */
#define C2_LOAD_BITS 18u                             /* LOADAVG_PRECISION_SHIFT */

struct c2_queue {
	struct sim_link waiting; /* by falling credit */
	struct sim_link members;
	uint32_t node, pcpus, threads; /* threads: with siblings that are not in the pool */
	uint32_t pick_bias;            /* index of the pCPU that was picked last */
	uint64_t max_weight;
	int64_t load;                /* runnable members */
	int64_t average, to_balance; /* decaying load; as it will be after moves */
	uint64_t updated;
};

struct c2_pcpu {
	struct c2_queue *queue;
	bool idle;
	bool tickled; /* it will be asked */
};

struct c2_domain {
	uint32_t vcpu_count;
	uint64_t cap;                /* as it was applied */
	int64_t whole_ns, budget_ns; /* of a period; what nobody has taken of it yet */
	struct sim_link parked;      /* vCPUs that wait for budget */
	struct sim_event replenish;
	struct sim_pool *pool;
};

struct c2_vcpu {
	struct sim_vcpu *vcpu;
	struct c2_domain *domain;
	struct c2_queue *queue;
	struct sim_link waiting, member, parked;
	struct sim_pcpu *pcpu;       /* where it ran last, or may run */
	struct sim_pcpu *tickled;    /* who will take it */
	struct c2_queue *to;         /* it runs and is to go to that queue */
	int64_t credit;              /* ns of the heaviest */
	int64_t budget_ns, quota_ns; /* what it took of its domain's; how much it takes at a time */
	uint64_t weight, rest;       /* rest: of the last division */
	uint64_t hard;               /* digest of its hard affinity */
	int64_t average;             /* decaying load */
	uint64_t updated;
	bool running, soft;
};

struct c2_pool {
	struct sim_pool *pool;
	struct sim_sched_cpus cpus;
	struct c2_queue queues[SIM_PCPUS_MAX];
	uint32_t queue_count;
	struct sim_pcpu *deciding; /* the pCPU that is being asked */
};

static inline struct c2_vcpu *c2_of(const struct sim_vcpu *vcpu)
{
	return vcpu->sched;
}

static inline struct c2_pcpu *c2_pcpu_of(const struct sim_pcpu *pcpu)
{
	return pcpu->sched;
}

static inline bool c2_capped(const struct c2_vcpu *svc)
{
	return svc->budget_ns != INT64_MAX;
}

static inline bool c2_runnable(const struct c2_vcpu *svc)
{
	return svc->vcpu->state >= SIM_VCPU_RUNNABLE && !sim_linked(&svc->parked);
}

/* sched_credit2.c. Into its queue, by credit; somebody should run it. */
void c2_enqueue(struct c2_pool *prv, struct c2_vcpu *svc);
void c2_dequeue(struct c2_vcpu *svc);
void c2_tickle(struct c2_pool *prv, struct sim_pcpu *pcpu);

/* sched_credit2_cap.c. A domain's cap, by a budget for each 10 ms. */
bool c2_grab_budget(struct c2_vcpu *svc); /* false: there is none, it is parked */
void c2_return_budget(struct c2_pool *prv, struct c2_vcpu *svc);
void c2_apply_cap(struct c2_pool *prv, struct sim_domain *domain);
void c2_cap_init(struct c2_domain *dom, struct sim_domain *domain);
void c2_cap_done(struct c2_domain *dom);

/* sched_credit2_load.c. Queues, what load they have, and moves between them. */
void c2_make_queues(struct c2_pool *prv);
void c2_load(struct c2_queue *queue, struct c2_vcpu *svc, int change, uint64_t now_ns);
void c2_assign(struct c2_vcpu *svc, struct c2_queue *queue);
void c2_deassign(struct c2_vcpu *svc);
void c2_weigh(struct c2_queue *queue);
/* A pCPU for it, of the queue with least load. */
struct sim_pcpu *c2_pick(struct c2_pool *prv, struct c2_vcpu *svc);
/* It waits or sleeps: it belongs to another queue from now on. */
void c2_move(struct c2_pool *prv, struct c2_vcpu *svc, struct c2_queue *to);
void c2_balance(struct c2_pool *prv, struct c2_queue *local);

#endif
