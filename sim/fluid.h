/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fluid: the same host by rates and shares, for days and clusters. Nothing happens one by one: in
 * each step every guest's demands meet what CPUs, line and disk have left.
 *
 *   sim_fluid_new(world) -> demands set -> { sim_fluid_step }* -> sim_fluid_report
 *
 * Machine, costs, pools, domains and their devices are a world's, in which nothing need happen.
 * What a unit costs is what memory.c says of the bursts of vif.c, nic.c, vbd.c and disk.c. CPUs are
 * shared by weighted max-min with caps in each pool, dom0's own time and the devices by max-min.
 * What is not there: queueing, SMT, contention for memory, driver domains, losses. Integers; time
 * in ns, rates a second, CPU in ns a second.
 */
#ifndef CLOSER_SIM_FLUID_H
#define CLOSER_SIM_FLUID_H

#include "load.h"

/* What passes between a guest and the host: packets, packets, requests. */
enum sim_fluid_flow { SIM_FLUID_SEND, SIM_FLUID_RECEIVE, SIM_FLUID_DISK, SIM_FLUID_FLOWS };

/* X(NAME, text, in the guest, an interrupt's): who works for it. */
/* clang-format off */
#define SIM_FLUID_KINDS(X) \
	X(COMPUTE, "compute", true, false) \
	X(APPLICATION, "application", true, false) \
	X(FRONT, "front", true, true) \
	X(NAPI, "napi", false, true) \
	X(DEALLOC, "dealloc", false, false) \
	X(NIC, "nic", false, true) \
	X(GUEST_RX, "guest_rx", false, false) \
	X(BLKBACK, "blkback", false, false) \
	X(DISK_IRQ, "disk", false, true)
/* clang-format on */

enum sim_fluid_kind {
#define X(NAME, text, guest, irq) SIM_FLUID_##NAME,
	SIM_FLUID_KINDS(X)
#undef X
		SIM_FLUID_KIND_COUNT
};

/* native: interrupts on dom0's first vCPU, threads on all. closer: beside the guest's memory. */
enum sim_fluid_policy { SIM_FLUID_NATIVE, SIM_FLUID_CLOSER };

/* A value that holds for every_ns, then the next; the last one holds on. Not owned. */
struct sim_fluid_curve {
	const uint64_t *values;
	uint32_t count; /* 0: nothing is demanded */
	uint64_t every_ns;
};

struct sim_fluid_guest {
	struct sim_domain *domain;
	struct sim_fluid_curve compute;                           /* CPU for itself, ns a second */
	struct sim_fluid_curve flows[SIM_FLUID_FLOWS];            /* units a second */
	uint64_t bytes[SIM_FLUID_FLOWS], own_ns[SIM_FLUID_FLOWS]; /* of a unit; the application's */
	uint64_t seeks_ppm; /* share of its requests that do not follow on the last */

	/* found, sums over all steps */
	uint64_t cpu_ns[SIM_FLUID_KIND_COUNT], units[SIM_FLUID_FLOWS], overhead_ns;

	/* of the present step */
	uint64_t unit_ps[SIM_FLUID_FLOWS][SIM_FLUID_KIND_COUNT];
	uint64_t rate[SIM_FLUID_FLOWS], wants_compute, compute_given;
	uint64_t given, joins_ppm; /* of CPUs; units that need not wake a vCPU */
};

struct sim_fluid {
	struct sim_world *world;
	uint64_t now_ns;
	struct sim_fluid_guest *guests;
	uint32_t count;
	uint64_t dom0_given, dom0_joins_ppm, dom0_overhead_ns;
	uint32_t irq_vcpus;                /* of dom0, for interrupts */
	uint64_t *wants, *weights, *given; /* scratch, a guest and dom0 each */
};

/* Every guest of the world, by rising domid. NULL: no memory. */
struct sim_fluid *sim_fluid_new(struct sim_world *world);
void sim_fluid_free(struct sim_fluid *fluid);
/* Where work runs from now on. Again after any demand's bytes or own time changed. */
void sim_fluid_place(struct sim_fluid *fluid, enum sim_fluid_policy policy);
/* fluid.c: what the guests want now, as far as threads and devices have room for it. */
void sim_fluid_demand(struct sim_fluid *fluid);
void sim_fluid_step(struct sim_fluid *fluid, uint64_t ns);
/* Since the beginning, overhead (ticks, switches, wakes) included. */
uint64_t sim_fluid_cpu_ns(const struct sim_fluid_guest *guest);
uint64_t sim_fluid_dom0_ns(const struct sim_fluid *fluid);
/* The same as metrics of a run: guest.NAME.cpu, host.dom0; and the rates of its flows. */
void sim_fluid_report(const struct sim_fluid *fluid, struct sim_report *report);

/* Weighted max-min: nobody gets more than wanted, and nobody could get more but from one who has
 * less for its weight. given adds up to capacity, or to all that is wanted. */
void sim_fluid_share(uint64_t capacity, const uint64_t *wants, const uint64_t *weights, uint32_t n,
		     uint64_t *ret_given);

#endif
