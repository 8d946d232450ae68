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
	 * again, at the latest; UINT64_MAX: when something happens.
	 */
	struct sim_vcpu *(*schedule)(struct sim_pool *pool, struct sim_pcpu *pcpu,
				     struct sim_vcpu *before, uint64_t *ret_slice_ns);
	/* Weight, cap, budget or affinity was changed. */
	void (*changed)(struct sim_pool *pool, struct sim_domain *domain);
};

struct sim_pool {
	uint32_t id;
	struct sim_world *world;
	const struct sim_sched_ops *ops;
	struct cl_cpuset pcpus;
	uint64_t slice_ns, ratelimit_ns; /* credit; credit, credit2 */
	void *sched;
	struct sim_random random;
};

const struct sim_sched_ops *sim_sched_find(const char *name);
/* All of them, ended by NULL. */
extern const struct sim_sched_ops *const sim_scheds[];
struct sim_pool *sim_pool_new(struct sim_world *world, const struct sim_sched_ops *ops,
			      const struct cl_cpuset *pcpus);

#endif
