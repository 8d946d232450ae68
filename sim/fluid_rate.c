/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many units of a load there are a second: what is asked for; in a closed loop what its window
 * gets through, window / (pause + time to go through); no more than line and disk have room for,
 * shared max-min; less where somebody who works for them has too little CPU.
 */
#include "fluid.h"

#include <string.h>

#define SECOND CL_NS_PER_S
#define MANY   1000u

/* ---- devices ---- */

static uint64_t bytes_of(const struct sim_load *load, enum sim_part_flow flow)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < load->rate.part_count; i++)
		if (load->rate.parts[i].flow == flow)
			bytes += sim_scale(load->rate.parts[i].bytes, load->rate.parts[i].ppm,
					   CL_PPM);
	return bytes;
}

/* Requests of others come between: then none follows on the last. */
static bool has_company(const struct sim_fluid *fluid, const struct sim_disk *disk)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < fluid->load_count; i++)
		n += bytes_of(fluid->loads[i], SIM_DISK) > 0 && fluid->loads[i]->rate.asked > 0 &&
		     fluid->loads[i]->domain->vbds->disk == disk;
	return n > 1;
}

/* Time at the disk of a unit's requests, one after the other. */
static uint64_t service_ns(const struct sim_fluid *fluid, const struct sim_load *load,
			   const struct sim_disk *disk)
{
	uint64_t seeks = has_company(fluid, disk) ? CL_PPM : load->rate.seeks_ppm, ns = 0;

	for (uint32_t i = 0; i < load->rate.part_count; i++) {
		const struct sim_part *part = &load->rate.parts[i];
		uint64_t each = disk->access_ns + sim_scale(disk->seek_ns, seeks, CL_PPM);

		if (disk->bandwidth)
			each += sim_scale(part->bytes, SECOND, disk->bandwidth);
		if (part->flow == SIM_DISK)
			ns += sim_scale(each, part->ppm, CL_PPM);
	}
	return ns;
}

enum resource { LINE_OUT, LINE_IN, PLACES, MEDIUM };

static const void *device_of(const struct sim_load *load, enum resource resource)
{
	const struct sim_domain *domain = load->domain;

	if (resource == LINE_OUT || resource == LINE_IN)
		return domain->vifs ? domain->vifs->nic : NULL;
	return domain->vbds && !domain->vbds->disk->in_memory ? domain->vbds->disk : NULL;
}

static uint64_t capacity_of(const void *device, enum resource resource)
{
	const struct sim_disk *disk = device;

	if (resource == LINE_OUT || resource == LINE_IN)
		return ((const struct sim_nic *)device)->rate;
	return resource == PLACES ? disk->depth * SECOND : disk->bandwidth;
}

/* What a unit takes of it. */
static uint64_t takes(const struct sim_fluid *fluid, const struct sim_load *load,
		      enum resource resource)
{
	if (resource == LINE_OUT || resource == LINE_IN)
		return bytes_of(load, resource == LINE_OUT ? SIM_SEND : SIM_RECEIVE);
	return resource == PLACES ? service_ns(fluid, load, load->domain->vbds->disk)
				  : bytes_of(load, SIM_DISK);
}

static void share_device(struct sim_fluid *fluid, const void *device, enum resource resource)
{
	uint64_t capacity = capacity_of(device, resource) * SIM_GIVEN;

	for (uint32_t i = 0; i < fluid->load_count && capacity; i++) {
		const struct sim_load *load = fluid->loads[i];
		bool uses = load->rate.given && device_of(load, resource) == device;

		fluid->wants[i] = uses ? load->rate.given * takes(fluid, load, resource) : 0;
		fluid->weights[i] = 1;
	}
	if (!capacity)
		return;
	sim_fluid_share(capacity, fluid->wants, fluid->weights, fluid->load_count, fluid->shares);
	for (uint32_t i = 0; i < fluid->load_count; i++)
		if (fluid->shares[i] < fluid->wants[i])
			fluid->loads[i]->rate.given = sim_scale(fluid->loads[i]->rate.given,
								fluid->shares[i], fluid->wants[i]);
}

/* Each device once: with the first load that uses it. */
static void share_devices(struct sim_fluid *fluid)
{
	for (uint32_t r = LINE_OUT; r <= MEDIUM; r++)
		for (uint32_t i = 0; i < fluid->load_count; i++) {
			const void *device = device_of(fluid->loads[i], (enum resource)r);
			uint32_t k = 0;

			while (k < i && device_of(fluid->loads[k], (enum resource)r) != device)
				k++;
			if (device && k == i && fluid->loads[i]->rate.part_count)
				share_device(fluid, device, (enum resource)r);
		}
}

/* ---- what is asked for ---- */

static bool is_blocked(const struct sim_load *load)
{
	const struct sim_domain *domain = load->domain;

	for (uint32_t i = 0; i < load->rate.part_count; i++) {
		bool disk = load->rate.parts[i].flow == SIM_DISK;

		if (load->rate.parts[i].ppm && (disk ? !domain->vbds || domain->vbds->blocked
						     : !domain->vifs || domain->vifs->blocked))
			return true;
	}
	return !domain->alive || domain->paused;
}

/* What a unit waits for outside of CPUs: line, wire, disk. What comes together overlaps. */
static uint64_t outside_ns(const struct sim_fluid *fluid, const struct sim_load *load)
{
	const struct sim_domain *domain = load->domain;
	bool sends = bytes_of(load, SIM_SEND) > 0, gets = bytes_of(load, SIM_RECEIVE) > 0;
	uint64_t ns = 0;

	if (sends || gets) {
		const struct sim_nic *nic = domain->vifs->nic;

		ns += (sends + gets) * nic->wire_ns;
		ns += sim_scale(bytes_of(load, SIM_SEND), SECOND, nic->rate);
	}
	if (bytes_of(load, SIM_DISK) > 0 && !domain->vbds->disk->in_memory) {
		const struct sim_disk *disk = domain->vbds->disk;
		uint64_t batch =
			load->rate.parts[0].flow == SIM_DISK ? load->rate.parts[0].batch : 1;
		uint64_t moved = disk->bandwidth ? sim_scale(bytes_of(load, SIM_DISK), SECOND,
							     disk->bandwidth)
						 : 0;
		uint64_t all = service_ns(fluid, load, disk);

		ns += moved + (all - sim_least(moved, all)) / (batch ? batch : 1);
	}
	return ns;
}

/* How long a unit takes to go through when nobody is in its way. */
static void find_passes(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->load_count; i++)
		fluid->loads[i]->rate.pass_ns = 0;
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		const struct sim_fluid_work *work = &fluid->works[i];
		uint64_t wait = 0;

		if (!work->load)
			continue;
		for (uint32_t k = 0; k < work->on_count && work->wakes; k++)
			if (fluid->on[work->on + k].ns)
				wait = sim_fluid_vcpu_of(fluid, work, &fluid->on[work->on + k])
					       ->wait_ns;
		work->load->rate.pass_ns +=
			sim_scale(work->unit_ps + work->overhead_ps, work->per_unit_ppm,
				  CL_PPM * MANY) +
			sim_scale(wait, work->per_unit_ppm, CL_PPM * work->batch);
	}
}

void sim_fluid_ask(struct sim_fluid *fluid)
{
	find_passes(fluid);
	for (uint32_t i = 0; i < fluid->load_count; i++) {
		struct sim_load *load = fluid->loads[i];
		struct sim_rate *rate = &load->rate;

		rate->given = is_blocked(load) ? 0 : rate->asked * SIM_GIVEN;
		if (!rate->given || !rate->window)
			continue;
		rate->pass_ns += outside_ns(fluid, load);
		rate->given = sim_least(rate->given, rate->window * SECOND * SIM_GIVEN /
							     (rate->think_ns + rate->pass_ns + 1));
	}
	share_devices(fluid);
}

/* ---- what works want for it ---- */

static uint64_t with_ticks(const struct sim_fluid *fluid, uint64_t ns)
{
	const struct sim_costs *costs = &fluid->world->costs;

	return ns + sim_scale(ns, costs->tick_ns * costs->tick_hz / 1000, CL_PPM);
}

static uint64_t wants_of(const struct sim_fluid *fluid, const struct sim_fluid_work *work)
{
	uint64_t units;

	if (work->finite || (!work->load && work->task->rate_ns >= SECOND))
		return SECOND;
	if (!work->load)
		return with_ticks(fluid, work->unit_ps / MANY);
	units = sim_scale(work->load->rate.given, work->per_unit_ppm, CL_PPM);
	return with_ticks(fluid, sim_scale(units, work->unit_ps, SIM_GIVEN * MANY)) +
	       sim_scale(units, work->overhead_ps, SIM_GIVEN * MANY);
}

/* cpu.max of dom0's cgroups: whatever is in one shares what it may have. */
static void limit_groups(struct sim_fluid *fluid)
{
	const struct sim_domain *dom0 = fluid->world->domains[0];

	for (const struct sim_group *group = dom0->root; group; group = group->next) {
		if (!group->quota_ns)
			continue;
		for (uint32_t i = 0; i < fluid->work_count; i++) {
			const struct sim_fluid_work *work = &fluid->works[i];
			bool in = work->task && work->task->group == group;

			fluid->wants[i] = in ? work->wants : 0;
			fluid->weights[i] = work->weight;
		}
		sim_fluid_share(sim_scale(SECOND, group->quota_ns, group->period_ns), fluid->wants,
				fluid->weights, fluid->work_count, fluid->shares);
		for (uint32_t i = 0; i < fluid->work_count; i++)
			if (fluid->shares[i] < fluid->wants[i])
				fluid->works[i].most = fluid->shares[i];
	}
}

void sim_fluid_want(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->work_count; i++)
		fluid->works[i].wants = wants_of(fluid, &fluid->works[i]);
	limit_groups(fluid);
}

bool sim_fluid_lower(struct sim_fluid *fluid)
{
	bool any = false;

	for (uint32_t i = 0; i < fluid->load_count; i++)
		fluid->shares[i] = CL_PPM * MANY;
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		const struct sim_fluid_work *work = &fluid->works[i];
		uint64_t share;

		/* What was lost by dividing is no lack. */
		if (!work->load || work->given + 2 * work->vcpu_count >= work->wants)
			continue;
		share = sim_scale(CL_PPM * MANY, work->given, work->wants);
		if (share < fluid->shares[work->load_index])
			fluid->shares[work->load_index] = share;
	}
	for (uint32_t i = 0; i < fluid->load_count; i++) {
		struct sim_rate *rate = &fluid->loads[i]->rate;
		uint64_t now = sim_scale(rate->given, fluid->shares[i], CL_PPM * MANY);

		any |= now < rate->given;
		rate->given = now;
	}
	return any;
}
