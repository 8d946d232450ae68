/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched: the hypervisor's schedulers. One file each, a const struct at its foot, listed in sched.c.
 * Each as its source in Xen describes it, with the constants of that source.
 */
#ifndef CLOSER_SIM_SCHED_H
#define CLOSER_SIM_SCHED_H

#include "world.h"

struct sim_sched_ops {
	const char *name, *doc;
	/* One allocation each for the pool, its pCPUs and vCPUs, its domains; zeroed. */
	size_t pool_bytes, pcpu_bytes, vcpu_bytes, domain_bytes;
	void (*init)(struct sim_world *world, struct sim_pool *pool);
	void (*done)(struct sim_world *world, struct sim_pool *pool);
	/* A vCPU is known from now on (blocked), or gone. */
	void (*insert)(struct sim_pool *pool, struct sim_vcpu *vcpu);
	void (*remove)(struct sim_pool *pool, struct sim_vcpu *vcpu);
	/* It became runnable: into a run queue, and tickle who should run it. */
	void (*wake)(struct sim_pool *pool, struct sim_vcpu *vcpu);
	/* It blocked or was paused, running or not. */
	void (*sleep)(struct sim_pool *pool, struct sim_vcpu *vcpu);
	/* It ran this long, up to now; called before schedule, and where an account has to be true.
	 */
	void (*ran)(struct sim_pool *pool, struct sim_vcpu *vcpu, uint64_t ns);
	/*
	 * Who runs on this pCPU from now on: NULL is idle. before: who ran until now and still
	 * could, or NULL. Must take hard affinity into account. *ret_slice_ns: until it is asked
	 * again, at the latest, idle or not; UINT64_MAX: when something happens. Must not tickle
	 * the pCPU that it is asked for.
	 */
	struct sim_vcpu *(*schedule)(struct sim_pool *pool, struct sim_pcpu *pcpu,
				     struct sim_vcpu *before, uint64_t *ret_slice_ns);
	/* Weight, cap, budget or affinity was changed; or nothing. */
	void (*changed)(struct sim_pool *pool, struct sim_domain *domain);
	/* Asserts that its queues and the states of vCPUs and pCPUs agree. For tests. */
	void (*check)(const struct sim_pool *pool);
};

struct sim_pool {
	uint32_t id;
	struct sim_world *world;
	const struct sim_sched_ops *ops;
	struct cl_cpuset pcpus;
	uint64_t slice_ns, ratelimit_ns; /* credit; credit, credit2: Xen's defaults from init on */
	void *sched;
	struct sim_random random;
};

/* NULL: there is none of this name. */
const struct sim_sched_ops *sim_sched_find(const char *name);
/* All of them, ended by NULL. */
extern const struct sim_sched_ops *const sim_scheds[];
struct sim_pool *sim_pool_new(struct sim_world *world, const struct sim_sched_ops *ops,
			      const struct cl_cpuset *pcpus);

extern const struct sim_sched_ops sim_sched_credit, sim_sched_credit2, sim_sched_rtds,
	sim_sched_sedf;

/* ---- for schedulers ---- */

/* A pool's pCPUs by rising number. index: by a pCPU's number, where it is in at. */
struct sim_sched_cpus {
	struct sim_pcpu *at[SIM_PCPUS_MAX];
	uint32_t index[SIM_PCPUS_MAX], count;
};
void sim_sched_cpus(const struct sim_pool *pool, struct sim_sched_cpus *ret_cpus);
/* The i-th one after this one, from 1 on; the count-th one is itself again. */
static inline struct sim_pcpu *sim_sched_after(const struct sim_sched_cpus *cpus, uint32_t index,
					       uint32_t i)
{
	return cpus->at[(index + i) % cpus->count];
}

static inline bool sim_may_run(const struct sim_vcpu *vcpu, const struct sim_pcpu *pcpu)
{
	return cl_cpuset_has(&vcpu->hard, pcpu->id);
}

static inline bool sim_likes(const struct sim_vcpu *vcpu, const struct sim_pcpu *pcpu)
{
	return cl_cpuset_has(&vcpu->soft, pcpu->id);
}

/* Soft affinity prefers some of the pCPUs on which it may run to others. */
bool sim_sched_soft(const struct sim_vcpu *vcpu);
/* Since when the pCPU runs what it runs. */
static inline uint64_t sim_sched_ran_ns(const struct sim_pcpu *pcpu)
{
	return pcpu->world->queue.now_ns - pcpu->since_ns;
}

#endif
