/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done in a step: CPUs are shared, who gets less than wanted lowers the rates of what it
 * passes on, and that is repeated until nothing changes. Rates only fall.
 */
#include "fluid.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND CL_NS_PER_S
#define MANY   1000u
#define TRIES  3u
#define ROUNDS 32u /* of the rest each is small; what they leave undone is a rate too high */

static uint64_t scale(uint64_t value, uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((unsigned __int128)value * part / whole) : 0;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const struct {
	const char *name;
	bool guest, irq;
} kinds[] = {
#define X(NAME, text, guest, irq) { text, guest, irq },
	SIM_FLUID_KINDS(X)
#undef X
};

/* ---- what its flows want ---- */

enum whose { ITS_OWN, THE_HOSTS, THE_HOSTS_IRQS };

/* Ns a second, without overhead. */
static uint64_t work_of(const struct sim_fluid_guest *guest, enum whose whose)
{
	uint64_t ns = 0;

	for (uint32_t k = 0; k < SIM_FLUID_KIND_COUNT; k++) {
		if (kinds[k].guest != (whose == ITS_OWN) ||
		    (whose == THE_HOSTS_IRQS && !kinds[k].irq))
			continue;
		for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++)
			ns += scale(guest->rate[f], guest->unit_ps[f][k], MANY);
	}
	return ns;
}

/*
 * Entries, switches and wakes, ns a second. A unit that finds its vCPU idle, and a pCPU for it, has
 * them all (arrivals at random see time averages); others join what is going on, without any.
 */
static uint64_t wakes_of(const struct sim_fluid *fluid, const struct sim_fluid_guest *guest,
			 bool host)
{
	static const struct {
		uint32_t irqs, tasks, wakes;
	} in_host[] = { { 1, 1, 1 }, { 1, 1, 1 }, { 2, 1, 2 } },
	  in_guest[] = { { 0, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } };
	const struct sim_costs *costs = &fluid->world->costs;
	uint64_t joins = host ? fluid->dom0_joins_ppm : guest->joins_ppm, ns = 0;

	for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++) {
		uint32_t irqs = host ? in_host[f].irqs : in_guest[f].irqs;
		uint32_t tasks = host ? in_host[f].tasks : in_guest[f].tasks;
		uint32_t wakes = host ? in_host[f].wakes : in_guest[f].wakes;

		ns += guest->rate[f] * (irqs * costs->irq_ns + tasks * costs->task_switch_ns +
					wakes * (costs->wake_ns + costs->switch_ns));
	}
	return scale(ns, CL_PPM - joins, CL_PPM);
}

static uint64_t with_ticks(const struct sim_fluid *fluid, uint64_t ns)
{
	const struct sim_costs *costs = &fluid->world->costs;

	return ns + scale(ns, costs->tick_ns * costs->tick_hz / 1000, CL_PPM);
}

static uint64_t host_wants(const struct sim_fluid *fluid)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < fluid->count; i++)
		ns += with_ticks(fluid, work_of(&fluid->guests[i], THE_HOSTS)) +
		      wakes_of(fluid, &fluid->guests[i], true);
	return ns;
}

static uint64_t guest_wants(const struct sim_fluid *fluid, const struct sim_fluid_guest *guest)
{
	return with_ticks(fluid, guest->wants_compute + work_of(guest, ITS_OWN)) +
	       wakes_of(fluid, guest, false);
}

/* ---- CPUs among domains ---- */

static uint64_t limited(const struct sim_domain *domain, uint64_t wants)
{
	wants = least_of(wants, domain->vcpu_count * SECOND);
	return domain->cap ? least_of(wants, scale(SECOND, domain->cap, CL_PPM)) : wants;
}

static void share_pool(struct sim_fluid *fluid, const struct sim_pool *pool)
{
	const struct sim_domain *dom0 = fluid->world->domains[0];
	uint32_t n = fluid->count;
	uint64_t capacity = 0;

	for (uint32_t p = 0; p < fluid->world->pcpu_count; p++)
		capacity += fluid->world->pcpus[p].pool == pool ? SECOND : 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct sim_domain *domain = fluid->guests[i].domain;

		fluid->wants[i] = domain->pool == pool
					  ? limited(domain, guest_wants(fluid, &fluid->guests[i]))
					  : 0;
		fluid->weights[i] = domain->weight;
	}
	fluid->wants[n] = dom0->pool == pool ? limited(dom0, host_wants(fluid)) : 0;
	fluid->weights[n] = dom0->weight;
	sim_fluid_share(capacity, fluid->wants, fluid->weights, n + 1, fluid->given);
	for (uint32_t i = 0; i < n; i++)
		if (fluid->guests[i].domain->pool == pool)
			fluid->guests[i].given = fluid->given[i];
	if (dom0->pool == pool)
		fluid->dom0_given = fluid->given[n];
}

/* Share of the time in which a unit joins what is going on: its vCPU runs, or waits since no pCPU
 * is idle. */
static uint64_t joins_ppm(const struct sim_fluid *fluid, const struct sim_domain *domain,
			  uint64_t given)
{
	uint64_t all = 0, used = 0, idle;

	for (uint32_t p = 0; p < fluid->world->pcpu_count; p++)
		all += fluid->world->pcpus[p].pool == domain->pool ? SECOND : 0;
	for (uint32_t i = 0; i < fluid->count; i++)
		if (fluid->guests[i].domain->pool == domain->pool)
			used += fluid->guests[i].given;
	if (fluid->world->domains[0]->pool == domain->pool)
		used += fluid->dom0_given;
	idle = scale(CL_PPM, all - least_of(used, all), all);
	given = least_of(given, domain->vcpu_count * SECOND);
	return CL_PPM -
	       scale(idle, domain->vcpu_count * SECOND - given, domain->vcpu_count * SECOND);
}

/* Only between tries: within one, what is wanted must stay what was shared. */
static void find_busy(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->count; i++) {
		struct sim_fluid_guest *guest = &fluid->guests[i];

		guest->joins_ppm = joins_ppm(fluid, guest->domain, guest->given);
	}
	fluid->dom0_joins_ppm = joins_ppm(fluid, fluid->world->domains[0], fluid->dom0_given);
}

/* ---- who gets less passes less on ---- */

static bool lower(struct sim_fluid_guest *guest, uint64_t given, uint64_t wants)
{
	bool any = false;

	if (given >= wants)
		return false;
	for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++) {
		any |= guest->rate[f] > 0;
		guest->rate[f] = scale(guest->rate[f], given, wants);
	}
	return any;
}

/* dom0's fair class: its guests' work is equal before it. Overhead is part of each one's. */
static bool lower_by_host(struct sim_fluid *fluid, enum whose whose, uint64_t capacity)
{
	bool any = false;

	for (uint32_t i = 0; i < fluid->count; i++) {
		const struct sim_fluid_guest *guest = &fluid->guests[i];

		fluid->wants[i] = with_ticks(fluid, work_of(guest, whose)) +
				  (whose == THE_HOSTS ? wakes_of(fluid, guest, true) : 0);
		fluid->weights[i] = 1;
	}
	sim_fluid_share(capacity, fluid->wants, fluid->weights, fluid->count, fluid->given);
	for (uint32_t i = 0; i < fluid->count; i++)
		any |= lower(&fluid->guests[i], fluid->given[i], fluid->wants[i]);
	return any;
}

/* The guest's own fair class: what it computes and what it passes on, each half if both want it. */
static bool lower_by_guest(struct sim_fluid *fluid, struct sim_fluid_guest *guest)
{
	const uint64_t weights[2] = { 1, 1 };
	uint64_t wants[2] = { with_ticks(fluid, guest->wants_compute),
			      with_ticks(fluid, work_of(guest, ITS_OWN)) +
				      wakes_of(fluid, guest, false) };
	uint64_t given[2];
	bool any;

	sim_fluid_share(guest->given, wants, weights, 2, given);
	any = lower(guest, given[1], wants[1]);
	guest->compute_given = scale(guest->wants_compute, given[0], wants[0]);
	return any;
}

/* ---- the step ---- */

static uint64_t over(uint64_t a_second, uint64_t ns)
{
	return scale(a_second, ns, SECOND);
}

static void book(struct sim_fluid *fluid, struct sim_fluid_guest *guest, uint64_t ns)
{
	guest->cpu_ns[SIM_FLUID_COMPUTE] += over(guest->compute_given, ns);
	for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++) {
		guest->units[f] += over(guest->rate[f], ns);
		for (uint32_t k = 0; k < SIM_FLUID_KIND_COUNT; k++)
			guest->cpu_ns[k] +=
				over(scale(guest->rate[f], guest->unit_ps[f][k], MANY), ns);
	}
	uint64_t own = guest->compute_given + work_of(guest, ITS_OWN);
	uint64_t host = work_of(guest, THE_HOSTS);

	guest->overhead_ns +=
		over(with_ticks(fluid, own) - own + wakes_of(fluid, guest, false), ns);
	fluid->dom0_overhead_ns +=
		over(with_ticks(fluid, host) - host + wakes_of(fluid, guest, true), ns);
}

/* Rates from what is demanded down to what all have room for. */
static void settle(struct sim_fluid *fluid)
{
	bool any = true;

	sim_fluid_demand(fluid);
	for (uint32_t round = 0; round < ROUNDS && any; round++) {
		for (uint32_t i = 0; i < fluid->world->pool_count; i++)
			share_pool(fluid, fluid->world->pools[i]);
		any = lower_by_host(fluid, THE_HOSTS_IRQS,
				    least_of(fluid->dom0_given, fluid->irq_vcpus * SECOND));
		any |= lower_by_host(fluid, THE_HOSTS, fluid->dom0_given);
		for (uint32_t i = 0; i < fluid->count; i++)
			any |= lower_by_guest(fluid, &fluid->guests[i]);
	}
}

/* How busy all are says what is spent on wakes, and that how busy they are: found by trying. */
void sim_fluid_step(struct sim_fluid *fluid, uint64_t ns)
{
	for (uint32_t i = 0; i < TRIES; i++) {
		if (i > 0)
			find_busy(fluid);
		settle(fluid);
	}
	for (uint32_t i = 0; i < fluid->count; i++)
		book(fluid, &fluid->guests[i], ns);
	fluid->now_ns += ns;
}

/* ---- what came out ---- */

uint64_t sim_fluid_cpu_ns(const struct sim_fluid_guest *guest)
{
	uint64_t ns = guest->overhead_ns;

	for (uint32_t k = 0; k < SIM_FLUID_KIND_COUNT; k++)
		ns += kinds[k].guest ? guest->cpu_ns[k] : 0;
	return ns;
}

uint64_t sim_fluid_dom0_ns(const struct sim_fluid *fluid)
{
	uint64_t ns = fluid->dom0_overhead_ns;

	for (uint32_t i = 0; i < fluid->count; i++)
		for (uint32_t k = 0; k < SIM_FLUID_KIND_COUNT; k++)
			ns += kinds[k].guest ? 0 : fluid->guests[i].cpu_ns[k];
	return ns;
}

void sim_fluid_report(const struct sim_fluid *fluid, struct sim_report *report)
{
	static const char *const flows[] = { "sent", "received", "requests" };
	double span = (double)fluid->now_ns;
	char prefix[64];

	report->count = 0;
	if (fluid->now_ns == 0)
		return;
	for (uint32_t i = 0; i < fluid->count; i++) {
		const struct sim_fluid_guest *guest = &fluid->guests[i];

		snprintf(prefix, sizeof(prefix), "guest.%s", guest->domain->name);
		sim_report_add(report, prefix, "cpu", "CPUs",
			       (double)sim_fluid_cpu_ns(guest) / span, SIM_NEITHER);
		for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++)
			if (guest->flows[f].count)
				sim_report_add(report, prefix, flows[f], "1/s",
					       (double)guest->units[f] * 1e9 / span, SIM_HIGHER);
	}
	sim_report_add(report, "host", "dom0", "CPUs", (double)sim_fluid_dom0_ns(fluid) / span,
		       SIM_NEITHER);
}

struct sim_fluid *sim_fluid_new(struct sim_world *world)
{
	struct sim_fluid *fluid = calloc(1, sizeof(*fluid));
	size_t n = world->domain_count;

	if (!fluid)
		return NULL;
	fluid->world = world;
	fluid->guests = calloc(n, sizeof(*fluid->guests));
	fluid->wants = calloc(n, sizeof(*fluid->wants));
	fluid->weights = calloc(n, sizeof(*fluid->weights));
	fluid->given = calloc(n, sizeof(*fluid->given));
	if (!fluid->guests || !fluid->wants || !fluid->weights || !fluid->given) {
		sim_fluid_free(fluid);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		if (world->domains[i]->kind == SIM_GUEST)
			fluid->guests[fluid->count++].domain = world->domains[i];
	sim_fluid_place(fluid, SIM_FLUID_NATIVE);
	return fluid;
}

void sim_fluid_free(struct sim_fluid *fluid)
{
	if (!fluid)
		return;
	free(fluid->guests);
	free(fluid->wants);
	free(fluid->weights);
	free(fluid->given);
	free(fluid);
}
