/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a unit costs where, what guests want, and what devices have room for. */
#include "fluid.h"

#include <stdlib.h>
#include <string.h>

#define SECOND CL_NS_PER_S
#define MANY   1000u /* units at a time whose cost in ns is one's in ps */

static uint64_t scale(uint64_t value, uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((unsigned __int128)value * part / whole) : 0;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- sharing ---- */

void sim_fluid_share(uint64_t capacity, const uint64_t *wants, const uint64_t *weights, uint32_t n,
		     uint64_t *ret_given)
{
	uint64_t left = capacity;

	memset(ret_given, 0, n * sizeof(*ret_given));
	for (bool any = true; any && left > 0;) {
		uint64_t total = 0, now = left;

		any = false;
		for (uint32_t i = 0; i < n; i++)
			total += ret_given[i] < wants[i] ? weights[i] : 0;
		for (uint32_t i = 0; i < n && total > 0; i++) {
			uint64_t more = wants[i] - ret_given[i];
			uint64_t part = scale(now, weights[i], total);

			/* Who is content leaves the rest to the others, round after round; what
			 * is less than one for each weight is the first one's. */
			part = part ? part : least_of(left, 1);
			more = least_of(more, least_of(part, left));
			ret_given[i] += more;
			left -= more;
			any |= more > 0;
		}
	}
}

/* ---- what a unit costs ---- */

/* Mean over the pCPUs where the vCPUs from..to may run; on_node CL_NONE: wherever. Ps a unit. */
static uint64_t cost_ps(const struct sim_domain *domain, uint32_t vcpus, uint32_t on_node,
			struct sim_burst burst)
{
	const struct sim_world *world = domain->world;
	uint64_t sum = 0, n = 0;

	burst.cpu_ns *= MANY;
	burst.bytes *= MANY;
	if (!burst.cpu_ns && !burst.bytes)
		return 0;
	for (uint32_t v = 0; v < vcpus; v++)
		for (uint32_t p = 0; p < world->pcpu_count; p++) {
			const struct sim_pcpu *pcpu = &world->pcpus[p];

			if (pcpu->pool != domain->pool ||
			    !cl_cpuset_has(&domain->vcpus[v].hard, p) ||
			    (on_node != CL_NONE && pcpu->node != on_node))
				continue;
			sum += sim_burst_ns(world, pcpu, &burst);
			n++;
		}
	return n ? sum / n : 0;
}

static bool in_guest(enum sim_fluid_kind kind)
{
	static const bool guest[] = {
#define X(NAME, text, is_guest, irq) is_guest,
		SIM_FLUID_KINDS(X)
#undef X
	};

	return guest[kind];
}

static bool of_irq(enum sim_fluid_kind kind)
{
	static const bool irqs[] = {
#define X(NAME, text, guest, irq) irq,
		SIM_FLUID_KINDS(X)
#undef X
	};

	return irqs[kind];
}

static void set_cost(const struct sim_fluid *fluid, struct sim_fluid_guest *guest,
		     enum sim_fluid_policy policy, enum sim_fluid_flow flow,
		     enum sim_fluid_kind kind, struct sim_burst burst)
{
	const struct sim_domain *domain = in_guest(kind) ? guest->domain : fluid->world->domains[0];
	uint32_t vcpus = domain->vcpu_count;
	uint64_t ps = 0;

	if (!in_guest(kind) && policy == SIM_FLUID_NATIVE && of_irq(kind))
		vcpus = 1; /* as Linux leaves event channels and devices */
	if (!in_guest(kind) && policy == SIM_FLUID_CLOSER)
		ps = cost_ps(domain, vcpus, sim_domain_node(guest->domain), burst);
	guest->unit_ps[flow][kind] = ps ? ps : cost_ps(domain, vcpus, CL_NONE, burst);
}

/* The bursts of vif.c and nic.c, for one packet. */
static void place_net(const struct sim_fluid *fluid, struct sim_fluid_guest *guest,
		      enum sim_fluid_policy policy)
{
	const struct sim_costs *c = &fluid->world->costs;
	const struct sim_vif *vif = guest->domain->vifs;
	uint32_t home = sim_domain_node(guest->domain);
	uint32_t nic = vif && vif->nic ? vif->nic->node : CL_NONE;
	uint64_t out = guest->bytes[SIM_FLUID_SEND], in = guest->bytes[SIM_FLUID_RECEIVE];
	uint64_t mapped = out > SIM_NET_COPIED;
	uint64_t back = c->napi_turn_ns + c->netback_tx_ns + c->grant_copy_ns + c->bridge_ns +
			c->nic_ns + mapped * c->grant_map_ns;
	uint64_t give_back = mapped * (c->dealloc_turn_ns + c->dealloc_ns);
	const struct {
		enum sim_fluid_flow flow;
		enum sim_fluid_kind kind;
		struct sim_burst burst;
	} all[] = {
		{ SIM_FLUID_SEND,
		  SIM_FLUID_APPLICATION,
		  { guest->own_ns[SIM_FLUID_SEND] + c->stack_ns + c->netfront_ns, out, home,
		    home } },
		{ SIM_FLUID_SEND, SIM_FLUID_NAPI, { back, out, home, CL_NONE } },
		{ SIM_FLUID_SEND, SIM_FLUID_DEALLOC, { give_back, 0, home, CL_NONE } },
		{ SIM_FLUID_RECEIVE, SIM_FLUID_NIC, { c->nic_ns + c->bridge_ns, 0, nic, CL_NONE } },
		{ SIM_FLUID_RECEIVE,
		  SIM_FLUID_GUEST_RX,
		  { c->guest_rx_turn_ns + c->netback_rx_ns + c->grant_copy_ns, in, CL_NONE,
		    home } },
		{ SIM_FLUID_RECEIVE, SIM_FLUID_FRONT, { c->netfront_ns, 0, CL_NONE, CL_NONE } },
		{ SIM_FLUID_RECEIVE,
		  SIM_FLUID_APPLICATION,
		  { guest->own_ns[SIM_FLUID_RECEIVE] + c->stack_ns, in, home, home } },
	};

	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		set_cost(fluid, guest, policy, all[i].flow, all[i].kind, all[i].burst);
}

/* Those of vbd.c and disk.c, for one request. */
static void place_disk(const struct sim_fluid *fluid, struct sim_fluid_guest *guest,
		       enum sim_fluid_policy policy)
{
	const struct sim_costs *c = &fluid->world->costs;
	const struct sim_vbd *vbd = guest->domain->vbds;
	const struct sim_disk *disk = vbd ? vbd->disk : NULL;
	uint64_t bytes = guest->bytes[SIM_FLUID_DISK], pages = (bytes + SIM_PAGE - 1) / SIM_PAGE;
	struct sim_burst burst = { guest->own_ns[SIM_FLUID_DISK] + c->blkfront_ns, 0, CL_NONE,
				   CL_NONE };

	set_cost(fluid, guest, policy, SIM_FLUID_DISK, SIM_FLUID_APPLICATION, burst);
	burst.cpu_ns = c->blkfront_ns;
	set_cost(fluid, guest, policy, SIM_FLUID_DISK, SIM_FLUID_FRONT, burst);
	if (!disk)
		return;
	/* The ring's interrupt is the thread's here. */
	burst = (struct sim_burst){ c->blkback_irq_ns + c->blkback_turn_ns + c->blkback_ns +
					    c->disk_driver_ns + pages * c->blkback_page_ns,
				    disk->in_memory ? bytes : 0, sim_domain_node(guest->domain),
				    disk->node };
	set_cost(fluid, guest, policy, SIM_FLUID_DISK, SIM_FLUID_BLKBACK, burst);
	burst = (struct sim_burst){ disk->in_memory ? 0 : c->disk_driver_ns, 0, disk->node,
				    CL_NONE };
	set_cost(fluid, guest, policy, SIM_FLUID_DISK, SIM_FLUID_DISK_IRQ, burst);
}

void sim_fluid_place(struct sim_fluid *fluid, enum sim_fluid_policy policy)
{
	fluid->irq_vcpus = policy == SIM_FLUID_NATIVE ? 1 : fluid->world->domains[0]->vcpu_count;
	for (uint32_t i = 0; i < fluid->count; i++) {
		place_net(fluid, &fluid->guests[i], policy);
		place_disk(fluid, &fluid->guests[i], policy);
	}
}

/* ---- demands ---- */

static uint64_t value_at(const struct sim_fluid_curve *curve, uint64_t now_ns)
{
	uint64_t i = curve->every_ns ? now_ns / curve->every_ns : 0;

	if (!curve->count)
		return 0;
	return curve->values[i < curve->count ? i : curve->count - 1];
}

/* A thread is on one CPU at a time. */
static uint64_t thread_limit(const struct sim_fluid_guest *guest, enum sim_fluid_flow flow)
{
	uint64_t most = 1;

	for (uint32_t k = 0; k < SIM_FLUID_KIND_COUNT; k++)
		if (guest->unit_ps[flow][k] > most)
			most = guest->unit_ps[flow][k];
	return SECOND * MANY / most;
}

static void ask(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->count; i++) {
		struct sim_fluid_guest *guest = &fluid->guests[i];
		const struct sim_domain *domain = guest->domain;

		guest->wants_compute = domain->alive && !domain->paused
					       ? value_at(&guest->compute, fluid->now_ns)
					       : 0;
		for (uint32_t f = 0; f < SIM_FLUID_FLOWS; f++) {
			bool has = f == SIM_FLUID_DISK ? domain->vbds && !domain->vbds->blocked
						       : domain->vifs && !domain->vifs->blocked;

			guest->rate[f] =
				has && domain->alive && !domain->paused
					? least_of(value_at(&guest->flows[f], fluid->now_ns),
						   thread_limit(guest, (enum sim_fluid_flow)f))
					: 0;
		}
	}
}

/* ---- devices ---- */

/* Those who share a device share this much of it; unit: what a unit of each takes of it. */
static void share_device(struct sim_fluid *fluid, enum sim_fluid_flow flow, uint64_t capacity,
			 const void *device,
			 uint64_t (*unit)(const struct sim_fluid_guest *guest,
					  enum sim_fluid_flow flow))
{
	for (uint32_t i = 0; i < fluid->count; i++) {
		const struct sim_fluid_guest *guest = &fluid->guests[i];
		const struct sim_domain *domain = guest->domain;
		const void *its = flow == SIM_FLUID_DISK
					  ? (const void *)(domain->vbds ? domain->vbds->disk : NULL)
					  : (const void *)(domain->vifs ? domain->vifs->nic : NULL);

		fluid->wants[i] = its == device ? guest->rate[flow] * unit(guest, flow) : 0;
		fluid->weights[i] = 1;
	}
	sim_fluid_share(capacity, fluid->wants, fluid->weights, fluid->count, fluid->given);
	for (uint32_t i = 0; i < fluid->count; i++)
		if (fluid->given[i] < fluid->wants[i])
			fluid->guests[i].rate[flow] = scale(fluid->guests[i].rate[flow],
							    fluid->given[i], fluid->wants[i]);
}

static uint64_t unit_bytes(const struct sim_fluid_guest *guest, enum sim_fluid_flow flow)
{
	return guest->bytes[flow];
}

static uint64_t unit_service(const struct sim_fluid_guest *guest, enum sim_fluid_flow flow)
{
	const struct sim_disk *disk = guest->domain->vbds->disk;

	return disk->access_ns + scale(disk->seek_ns, guest->seeks_ppm, CL_PPM) +
	       (disk->bandwidth ? scale(guest->bytes[flow], SECOND, disk->bandwidth) : 0);
}

/* Each device once: with the first guest that has it. */
static void share_devices(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->count; i++) {
		const struct sim_vif *vif = fluid->guests[i].domain->vifs;
		const struct sim_vbd *vbd = fluid->guests[i].domain->vbds;
		const struct sim_nic *nic = vif ? vif->nic : NULL;
		const struct sim_disk *disk = vbd && !vbd->disk->in_memory ? vbd->disk : NULL;

		for (uint32_t k = 0; k < i; k++) {
			const struct sim_domain *before = fluid->guests[k].domain;

			if (before->vifs && before->vifs->nic == nic)
				nic = NULL;
			if (before->vbds && before->vbds->disk == disk)
				disk = NULL;
		}
		if (nic) {
			share_device(fluid, SIM_FLUID_SEND, nic->rate, nic, unit_bytes);
			share_device(fluid, SIM_FLUID_RECEIVE, nic->rate, nic, unit_bytes);
		}
		if (disk) { /* places for requests, and the medium */
			share_device(fluid, SIM_FLUID_DISK, disk->depth * SECOND, disk,
				     unit_service);
			if (disk->bandwidth)
				share_device(fluid, SIM_FLUID_DISK, disk->bandwidth, disk,
					     unit_bytes);
		}
	}
}

void sim_fluid_demand(struct sim_fluid *fluid)
{
	ask(fluid);
	share_devices(fluid);
}
