/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fluid: the same host by rates and shares, for days and clusters. Nothing happens one by one:
 * what loads ask for holds until it changes, and what each gets of CPUs, line and disk as long.
 *
 *   sim_fluid_new(world) -> sim_fluid_add(load) -> the world's events: { turn }* -> sim_settle
 *
 * A turn comes when what is asked for, or a setting, is another one: what was given up to now is
 * booked where packets would have booked it (vCPUs, threads, interrupts, devices, cgroups), so that
 * whoever reads the world need not know; then all is shared anew.
 *
 *   fluid.c       turns, booking, loads
 *   fluid_work.c  who works for a load's units, and what a unit costs where it runs
 *   fluid_rate.c  how many units: asked for, closed loops, line and disk
 *   fluid_cpu.c   kernels share vCPUs, the hypervisor pCPUs: weighted max-min
 *   fluid_wake.c  what wakes, switches and interrupts cost, and how slow a shared core is
 *
 * A task that is given a burst (the toolstack's) is served at its share until it is done. What is
 * not there: latencies, losses on the way, contention for memory's bandwidth, driver domains,
 * periods and budgets; a vCPU stays where it was. Integers; CPU in ns a second.
 */
#ifndef CLOSER_SIM_FLUID_H
#define CLOSER_SIM_FLUID_H

#include "load.h"
#include "sched.h"

/* X(NAME, in the guest): who works for a unit. */
/* clang-format off */
#define SIM_FLUID_KINDS(X) \
	X(OWN, true) \
	X(APPLICATION, true) \
	X(FRONT, true) \
	X(NAPI, false) \
	X(DEALLOC, false) \
	X(NIC, false) \
	X(GUEST_RX, false) \
	X(BLKBACK_IRQ, false) \
	X(BLKBACK, false) \
	X(DISK_IRQ, false)
/* clang-format on */

enum sim_fluid_kind {
#define X(NAME, guest) SIM_FLUID_##NAME,
	SIM_FLUID_KINDS(X)
#undef X
		SIM_FLUID_KIND_COUNT
};

/* pCPUs that some vCPUs may run on; of two sets one holds the other, or they have none in common,
 * else what they have in common counts twice. */
struct sim_fluid_set {
	struct cl_cpuset pcpus;
	uint32_t count;
	uint64_t queue;    /* of them, on a node */
	uint64_t move_ppm; /* chance that a vCPU that wakes finds its last one taken, and moves */
	uint64_t busy_ppm; /* those of them that are not taken for good */
	uint64_t wait_ppm; /* chance that none of them is free */
	uint64_t slow_ppm; /* work takes longer by so much, since cores are shared */
	uint64_t own;      /* what vCPUs of just this set are given */
};

struct sim_fluid_vcpu {
	struct sim_vcpu *vcpu;
	uint32_t set;
	uint64_t limit; /* what the hypervisor gives it at most, as far as is known */
	uint64_t wants, irqs, given;
	uint64_t even;    /* what it had if all ran evenly where they may */
	uint64_t wait_ns; /* until it has a pCPU after a wake */
	uint64_t blocked_ppm;
	uint64_t arrivals; /* that would wake it, a second */
	uint32_t node_ppm[SIM_NODES_MAX];
};

/* A vCPU of its domain where a work may run, and what it wants, or is given, there: ns a second. */
struct sim_fluid_place {
	uint32_t vcpu;
	uint64_t ns;
};

struct sim_fluid_work {
	struct sim_domain *domain;
	struct sim_task *task; /* NULL: an interrupt's work, or a guest's own */
	struct sim_irq *irq;
	struct sim_load *load; /* NULL: the task's own rate, or its burst */
	uint32_t load_index;
	enum sim_fluid_kind kind;
	struct sim_burst burst;    /* of a unit */
	uint64_t per_unit_ppm;     /* so often in each of the load's units */
	uint64_t batch;            /* so many come together */
	enum sim_turn turn;        /* where there is turn_ns */
	uint64_t turn_ns, turn_ps; /* of a batch that begins, all cold; of a unit, as it is */
	uint32_t irqs, tasks, wakes;
	uint64_t unit_ps;                /* as it is placed now */
	uint64_t overhead_ps;            /* of a unit: wakes, switches, entries */
	uint64_t wants, given;           /* ns a second, overhead and ticks included */
	uint32_t first_vcpu, vcpu_count; /* of its domain, in fluid->vcpus */
	uint64_t weight, most;           /* most: ns a second, of all its threads */
	uint32_t on, on_count;           /* its places in fluid->on, by vCPU */
	bool chained;                    /* comes in the batches of the work before */
	bool finite;                     /* a burst, which takes left_ns of its own time */
	uint64_t left_ns;
};

struct sim_fluid {
	struct sim_world *world;
	struct sim_event turn;
	uint64_t since_ns;
	struct sim_load **loads;
	uint32_t load_count, load_cap;

	/* of the present turn; none after a change */
	struct sim_fluid_set *sets;
	struct sim_fluid_vcpu *vcpus;
	struct sim_fluid_work *works;
	struct sim_fluid_place *on;
	uint32_t set_count, vcpu_count, work_count, set_cap, vcpu_cap, work_cap;
	size_t on_count, on_cap;
	uint64_t pcpu_use[SIM_PCPUS_MAX];
	uint64_t short_ns; /* CPU time that dom0's processes asked for and did not get: need.c */
	uint64_t wakes;    /* of vCPUs, a second */
	uint64_t turns[SIM_TURNS + 1];      /* a second: of each kind; those that no other led to */
	uint64_t *wants, *weights, *shares; /* scratch */
	uint32_t scratch_cap;
	uint32_t *order; /* sets by how many pCPUs they have */
	bool *within;    /* of two sets: [a * set_count + b], a is b or a part of it */
};

/* The world's, from now on, and freed with it. NULL: no memory. */
struct sim_fluid *sim_fluid_new(struct sim_world *world);
void sim_fluid_free(struct sim_fluid *fluid);
/* One that has begun (ops->begin). False: no memory. */
bool sim_fluid_add(struct sim_fluid *fluid, struct sim_load *load);
void sim_fluid_remove(struct sim_fluid *fluid, struct sim_load *load);

/* Weighted max-min: nobody gets more than wanted, and nobody could get more but from one who has
 * less for its weight. given adds up to capacity, or to all that is wanted. */
void sim_fluid_share(uint64_t capacity, const uint64_t *wants, const uint64_t *weights, uint32_t n,
		     uint64_t *ret_given);

/* ---- between the files ---- */

/* fluid_work.c: sets, vCPUs and works, as all is placed now. False: no memory. */
bool sim_fluid_build(struct sim_fluid *fluid);
static inline struct sim_fluid_vcpu *sim_fluid_vcpu_of(struct sim_fluid *fluid,
						       const struct sim_fluid_work *work,
						       const struct sim_fluid_place *place)
{
	return &fluid->vcpus[work->first_vcpu + place->vcpu];
}
void sim_fluid_price(struct sim_fluid *fluid);
/* fluid_rate.c */
void sim_fluid_ask(struct sim_fluid *fluid);
/* What works want for the rates. */
void sim_fluid_want(struct sim_fluid *fluid);
/* Who got less passes less on. True: something is less. */
bool sim_fluid_lower(struct sim_fluid *fluid);
/* fluid_cpu.c: given by what is wanted. */
void sim_fluid_cpus(struct sim_fluid *fluid);
/* On which pCPUs that is. */
void sim_fluid_locate(struct sim_fluid *fluid);
/* fluid_wake.c: by how busy all are. go: how often it was asked in this turn, from 1. */
void sim_fluid_wakes(struct sim_fluid *fluid, uint32_t go);

#endif
