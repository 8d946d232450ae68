/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_sedf: what the files of the sedf scheduler share. */
#ifndef CLOSER_SIM_SCHED_SEDF_H
#define CLOSER_SIM_SCHED_SEDF_H

#include "list.h"
#include "sched.h"

enum extra { L0, L1 };
enum mode { OFF, IN_SLICE, IN_L0, IN_L1 }; /* how it runs */

struct sedf_vcpu {
	struct sim_vcpu *vcpu;
	struct sim_pcpu *pcpu;
	struct sim_link queue; /* of its pCPU: its period has begun, or it waits for it */
	struct sim_link extra[2], member;
	int64_t period_ns, slice_ns;           /* now */
	int64_t full_period_ns, full_slice_ns; /* as set */
	int64_t latency_ns;
	int64_t weight, extra_weight; /* for slices by weight; for extra time, 0: by utilisation */
	int64_t deadline_ns, ran_ns;  /* ran: of this slice */
	int64_t blocked_ns;           /* since */
	int64_t score[2];
	enum mode mode;
	bool asleep, takes_extra, wants_l0;
};

struct sedf_pcpu {
	struct sim_link running; /* period has begun: by deadline. Who runs is one of them */
	struct sim_link waiting; /* by the beginning of the next period */
	struct sim_link extra[2];
	struct sim_link members;
	int64_t expires_ns; /* when it will be asked */
};

struct sedf_pool {
	struct sim_sched_cpus cpus;
};

static inline struct sedf_vcpu *sedf_of(const struct sim_vcpu *vcpu)
{
	return vcpu->sched;
}

static inline struct sedf_pcpu *sedf_pcpu_of(const struct sim_pcpu *pcpu)
{
	return pcpu->sched;
}

/* Of its period. */
static inline int64_t sedf_begin(const struct sedf_vcpu *svc)
{
	return svc->deadline_ns - svc->period_ns;
}

static inline bool sedf_is_on(const struct sedf_vcpu *svc, enum extra which)
{
	return sim_linked(&svc->extra[which]);
}

/* sched_sedf.c. By score, the lowest first; all others' scores become less by that, so they rise.
 */
void sedf_put_on_extra(struct sedf_vcpu *svc, enum extra which, int64_t less);
void sedf_off_extra(struct sedf_vcpu *svc, enum extra which);

/* sched_sedf_set.c. What a domain is entitled to, and on which pCPU. */
void sedf_changed(struct sim_pool *pool, struct sim_domain *domain);
void sedf_insert(struct sim_pool *pool, struct sim_vcpu *vcpu);
void sedf_leave(struct sim_pool *pool, struct sim_vcpu *vcpu);

#endif
