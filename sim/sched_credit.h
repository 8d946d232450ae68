/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_credit: what the files of the credit scheduler share. */
#ifndef CLOSER_SIM_SCHED_CREDIT_H
#define CLOSER_SIM_SCHED_CREDIT_H

#include "list.h"
#include "sched.h"

#define CREDIT_TICKS 3u /* a slice: CSCHED_TICKS_PER_TSLICE */

enum priority { IDLE = -64, OVER = -2, UNDER = -1, BOOST = 0 };
enum step { SOFT, HARD }; /* of affinity: first where it likes to be, then where it may be */

struct credit_domain {
	struct sim_link active; /* in the pool's, while it has active vCPUs */
	struct sim_link vcpus;  /* active ones */
	uint32_t active_count, vcpu_count;
	int64_t weight; /* as counted in the pool's */
	struct sim_domain *domain;
};

struct credit_vcpu {
	struct sim_vcpu *vcpu;
	struct credit_domain *domain;
	struct sim_link queue, active;
	struct sim_pcpu *pcpu; /* whose queue it is in, or will be */
	int64_t credit;        /* ns */
	int priority;
	bool parked;
	bool soft;   /* its soft affinity matters */
	bool moving; /* it runs and is to go on elsewhere */
	bool moved;  /* it wakes elsewhere: no boost for that */
};

struct credit_pcpu {
	struct sim_pcpu *pcpu;
	struct sim_link queue;
	struct sim_event tick;
	uint64_t sorted;
	uint32_t idle_bias;
	bool idler; /* idle, and not tickled since */
};

struct credit_pool {
	struct sim_pool *pool;
	struct sim_sched_cpus cpus;
	struct sim_link active; /* domains */
	int64_t weight;         /* of all active vCPUs */
	int64_t balance;        /* credit of all, after the last accounting */
	uint64_t sortings;
	struct sim_event accounting;
	uint32_t bias[SIM_NODES_MAX]; /* whom on this node was taken from last */
	uint32_t last_tickled;
};

static inline struct credit_vcpu *credit_of(const struct sim_vcpu *vcpu)
{
	return vcpu->sched;
}

static inline struct credit_pcpu *credit_queue(const struct sim_pcpu *pcpu)
{
	return pcpu->sched;
}

static inline uint32_t credit_index(const struct credit_pool *prv, const struct sim_pcpu *pcpu)
{
	return prv->cpus.index[pcpu->id];
}

static inline bool credit_allowed(const struct credit_vcpu *svc, const struct sim_pcpu *pcpu,
				  enum step step)
{
	return sim_may_run(svc->vcpu, pcpu) && (step == HARD || sim_likes(svc->vcpu, pcpu));
}

/* sched_credit.c */
void credit_dequeue(struct credit_vcpu *svc);
/* Into the queue of its pCPU; somebody should run it. */
void credit_enqueue(struct credit_pool *prv, struct credit_vcpu *svc);
void credit_tickle(struct sim_pcpu *pcpu);

/* sched_credit_pick.c. Where a vCPU should be. for_good: it goes there, so the next search goes on
 * from there. */
struct sim_pcpu *credit_pick(struct credit_pool *prv, const struct credit_vcpu *svc, bool for_good);

/* sched_credit_acct.c */
void credit_acct_init(struct credit_pool *prv);
void credit_acct_done(struct credit_pool *prv);
void credit_acct_stop(struct credit_pool *prv, struct credit_vcpu *svc);

#endif
