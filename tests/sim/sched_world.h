/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_world: hosts and loads to try schedulers on. */
#ifndef CLOSER_TESTS_SCHED_WORLD_H
#define CLOSER_TESTS_SCHED_WORLD_H

#include "sched.h"

#define MS CL_NS_PER_MS
#define S  CL_NS_PER_S

/* A task that runs for a while, sleeps for a while; sleep 0: it never stops. */
struct load {
	struct sim_task task;
	struct sim_event timer;
	uint64_t run_ns, sleep_ns;
	bool vary; /* both are means of exponential times */
	struct sim_random random;
	uint64_t asked_ns, rounds, late_ns, latest_ns; /* late: beyond what it had to run */
	bool used;
};

#define LOADS 256u

struct bench {
	struct sim_world *world;
	struct sim_pool *pools[2];
	struct load loads[LOADS];
	uint64_t seed;
	/* To be set after the beginning. watched: time of pCPUs that were idle while somebody
	 * waited who might have run there; checked: all that must hold, after each event. */
	bool watched, checked;
	uint64_t wasted_ns, longest_waste_ns;
	uint64_t waste_ns[SIM_PCPUS_MAX], marked_ns;
	bool wasteful[SIM_PCPUS_MAX];
};

/* One pool of all pCPUs. Nothing costs anything. Random numbers are of bench->seed. */
void bench_begin(struct bench *bench, const struct sim_sched_ops *ops, uint32_t nodes,
		 uint32_t cores, uint32_t threads);
/* Two pools: pCPUs below first_of_second, and the others. */
void bench_begin_two(struct bench *bench, const struct sim_sched_ops *a,
		     const struct sim_sched_ops *b, uint32_t first_of_second,
		     const struct sim_machine *machine);
void bench_end(struct bench *bench);
void bench_run(struct bench *bench, uint64_t ns);

/* A guest with this weight, whose vCPUs all have something to do, always. */
struct sim_domain *bench_hogs(struct bench *bench, uint32_t vcpus, uint64_t weight);
struct sim_domain *bench_guest(struct bench *bench, uint32_t vcpus, uint64_t weight);
/* On that vCPU for good. */
struct load *bench_load(struct bench *bench, struct sim_domain *domain, uint32_t vcpu,
			uint64_t run_ns, uint64_t sleep_ns);
void bench_free_domain(struct bench *bench, struct sim_domain *domain);
/* Its parameters, all at once. */
void bench_cap(struct sim_domain *domain, uint64_t cap_ppm);
void bench_period(struct sim_domain *domain, uint64_t period_ns, uint64_t budget_ns, bool extra);
void bench_pin(struct bench *bench, struct sim_vcpu *vcpu, uint32_t pcpu);

uint64_t bench_cpu_ns(const struct bench *bench, const struct sim_domain *domain);
/* Of one pCPU, ppm, from now on for so long. */
void bench_shares(struct bench *bench, struct sim_domain *const *domains, uint32_t count,
		  uint64_t ns, uint64_t *ret_ppm);
uint64_t bench_busy_ns(const struct bench *bench, const struct sim_pool *pool);
/* What must hold at any time. */
void bench_check(const struct bench *bench);

#endif
