/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A world out of a scenario that was checked. */
#include "run.h"

#include "lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t count_kind(const struct sim_scenario *scenario, enum sim_section_kind kind)
{
	uint32_t n = 0;

	for (uint32_t at = 0; sim_section_next(scenario, kind, &at);)
		n++;
	return n;
}

/* Which one of its kind it is. */
static uint32_t index_of(const struct sim_scenario *scenario, const struct sim_section *section)
{
	uint32_t n = 0;

	for (uint32_t at = 0; sim_section_next(scenario, section->kind, &at) != section;)
		n++;
	return n;
}

static int no_memory(struct cl_error *reterr)
{
	return cl_fail(reterr, ENOMEM, "building the simulated host: no memory");
}

static void build_pools(struct sim_run *run)
{
	const struct sim_section *section;
	uint32_t n = 0;

	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_POOL, &at)); n++) {
		const struct sim_setup_pool *setup = section->values;
		struct sim_pool *pool =
			sim_pool_new(run->world, sim_sched_find(setup->scheduler), &setup->set);

		run->pools[n] = pool;
		if (pool && setup->slice_ns)
			pool->slice_ns = setup->slice_ns;
		if (pool && setup->ratelimit_ns)
			pool->ratelimit_ns = setup->ratelimit_ns;
	}
}

/* Takes an equal share of each of the nodes. False: they have not that much. */
static bool take_memory(struct sim_world *world, struct sim_domain *domain, uint64_t nodes,
			uint64_t bytes)
{
	uint64_t count = (uint64_t)__builtin_popcountll(nodes), each = bytes / count;

	for (uint32_t i = 0; i < world->node_count; i++)
		if ((nodes >> i & 1) && world->nodes[i].free_bytes < each)
			return false;
	for (uint32_t i = 0; i < world->node_count; i++) {
		if (!(nodes >> i & 1))
			continue;
		domain->mem[i] += each;
		world->nodes[i].free_bytes -= each;
	}
	return true;
}

/* Where there is most room, as xl places guests by itself (xl-numa-placement(7)); all nodes where
 * one is not enough. */
static uint64_t choose_nodes(const struct sim_world *world, uint64_t bytes)
{
	uint32_t most = 0;

	for (uint32_t i = 1; i < world->node_count; i++)
		if (world->nodes[i].free_bytes > world->nodes[most].free_bytes)
			most = i;
	if (world->nodes[most].free_bytes >= bytes)
		return UINT64_C(1) << most;
	return world->node_count == 64 ? UINT64_MAX : (UINT64_C(1) << world->node_count) - 1;
}

/* Of what xl places on nodes, vCPUs prefer these nodes' CPUs (soft affinity). */
static void prefer_nodes(struct sim_world *world, struct sim_domain *domain)
{
	struct cl_cpuset soft;

	cl_cpuset_zero(&soft);
	for (uint32_t p = 0; p < world->pcpu_count; p++)
		if (domain->mem[world->pcpus[p].node] && cl_cpuset_has(&domain->pool->pcpus, p))
			cl_cpuset_add(&soft, p);
	for (uint32_t i = 0; i < domain->vcpu_count && !cl_cpuset_empty(&soft); i++)
		sim_vcpu_prefer(&domain->vcpus[i], &soft);
}

static int give_memory(struct sim_world *world, struct sim_domain *domain,
		       const struct sim_setup_domain *setup, struct cl_error *reterr)
{
	uint64_t nodes = setup->nodes;

	if (!nodes && domain->kind == SIM_DOM0) /* Xen's: from all of them */
		nodes = choose_nodes(world, UINT64_MAX);
	if (!nodes)
		nodes = choose_nodes(world, setup->memory);
	if (!take_memory(world, domain, nodes, setup->memory))
		return cl_fail(reterr, ENOSPC, "creating %s: its nodes have not that much memory",
			       domain->name);
	domain->mem_max = setup->memory_max > setup->memory ? setup->memory_max : setup->memory;
	return 0;
}

/* Of a domain that has its memory. */
static void set_domain(struct sim_world *world, struct sim_domain *domain,
		       const struct sim_setup_domain *setup)
{
	domain->weight = setup->weight;
	domain->cap = setup->cap;
	domain->extra = setup->extra != 0;
	if (setup->period_ns) {
		domain->period_ns = setup->period_ns;
		domain->budget_ns = setup->budget_ns;
	}
	if (domain->kind == SIM_GUEST) {
		domain->balloon_max = setup->balloon;
		prefer_nodes(world, domain);
	}
	for (uint32_t i = 0; i < domain->vcpu_count && !cl_cpuset_empty(&setup->hard); i++)
		sim_vcpu_pin(world, &domain->vcpus[i], &setup->hard);
	domain->pool->ops->changed(domain->pool, domain);
}

struct sim_pool *sim_run_pool(const struct sim_run *run, const struct sim_setup_domain *setup)
{
	return run->pools[index_of(run->scenario, setup->in_pool)];
}

static int build_domain(struct sim_run *run, enum sim_domain_kind kind, const char *name,
			const struct sim_setup_domain *setup, struct sim_domain **ret,
			struct cl_error *reterr)
{
	struct sim_pool *pool = sim_run_pool(run, setup);
	uint32_t vcpus = setup->vcpus ? (uint32_t)setup->vcpus : cl_cpuset_count(&pool->pcpus);

	*ret = sim_domain_new(run->world, kind, name, vcpus, pool);
	if (!*ret || run->world->queue.failed)
		return no_memory(reterr);
	int r = give_memory(run->world, *ret, setup, reterr);

	if (r == 0)
		set_domain(run->world, *ret, setup);
	return r;
}

static int build_privileged(struct sim_run *run, struct cl_error *reterr)
{
	const struct sim_scenario *scenario = run->scenario;
	struct sim_section *section = sim_section_find(scenario, SIM_IN_DOM0, NULL);
	const struct sim_setup_domain *setup = section->values;
	struct sim_domain *dom0;
	int r = build_domain(run, SIM_DOM0, "dom0", setup, &dom0, reterr);

	if (r == 0 && setup->pinned)
		sim_run_pin(run);
	for (uint32_t at = 0; r == 0 && (section = sim_section_next(scenario, SIM_IN_DRIVER, &at));)
		r = build_domain(run, SIM_DRIVER, section->name, section->values,
				 &run->drivers[run->driver_count++], reterr);
	return r;
}

static struct sim_domain *owner_of(const struct sim_run *run, const struct sim_section *in_domain)
{
	return in_domain ? run->drivers[index_of(run->scenario, in_domain)]
			 : run->world->domains[0];
}

static void build_nics(struct sim_run *run)
{
	struct sim_section *section;

	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_NIC, &at));) {
		const struct sim_setup_nic *setup = section->values;
		struct sim_nic *nic =
			sim_nic_new(run->world, owner_of(run, setup->in_domain), section->name,
				    setup->rate, (uint32_t)setup->queues);

		if (!nic)
			return;
		nic->wire_ns = setup->wire_ns;
		nic->moderation_ns = setup->moderation_ns;
		nic->node = setup->on_node;
		run->nics[run->nic_count++] = nic;
	}
}

static void build_disks(struct sim_run *run)
{
	struct sim_section *section;

	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_DISK, &at));) {
		const struct sim_setup_disk *setup = section->values;
		struct sim_disk *disk = sim_disk_new(run->world, owner_of(run, setup->in_domain),
						     section->name, (uint32_t)setup->depth);

		if (!disk)
			return;
		disk->seek_ns = setup->seek_ns;
		disk->access_ns = setup->access_ns;
		disk->bandwidth = setup->bandwidth;
		disk->in_memory = setup->in_memory != 0;
		disk->node = setup->on_node;
		run->disks[run->disk_count++] = disk;
	}
}

static int add_devices(struct sim_run *run, const struct sim_run_guest *guest,
		       struct cl_error *reterr)
{
	const struct sim_setup_domain *setup = guest->section->values;
	struct sim_world *world = run->world;

	if (setup->has_nic) {
		struct sim_nic *nic = run->nics[index_of(run->scenario, setup->has_nic)];

		sim_vif_new(world, guest->domain, nic->owner, nic, (uint32_t)setup->queues);
	}
	if (setup->has_disk) {
		struct sim_disk *disk = run->disks[index_of(run->scenario, setup->has_disk)];
		struct sim_vbd *vbd = sim_vbd_new(world, guest->domain, disk->owner, disk,
						  (uint32_t)setup->rings);

		if (vbd)
			vbd->indirect_pages = (uint32_t)setup->indirect;
	}
	return world->queue.failed ? no_memory(reterr) : 0;
}

static int build_guest(struct sim_run *run, struct sim_run_guest *guest, struct cl_error *reterr)
{
	char name[32];
	int r = build_domain(run, SIM_GUEST, sim_guest_name(guest->section, guest->index, name),
			     guest->section->values, &guest->domain, reterr);

	return r < 0 ? r : add_devices(run, guest, reterr);
}

int sim_run_equip(struct sim_run *run, struct sim_run_guest *guest, struct cl_error *reterr)
{
	set_domain(run->world, guest->domain, guest->section->values);
	return add_devices(run, guest, reterr);
}

static int build_guests(struct sim_run *run, struct cl_error *reterr)
{
	struct sim_section *section;
	int r = 0;

	for (uint32_t at = 0;
	     r == 0 && (section = sim_section_next(run->scenario, SIM_IN_GUEST, &at));) {
		const struct sim_setup_domain *setup = section->values;

		for (uint32_t i = 0; r == 0 && i < setup->count; i++) {
			struct sim_run_guest *guest = &run->guests[run->guest_count++];

			guest->section = section;
			guest->index = i;
			if (!setup->later)
				r = build_guest(run, guest, reterr);
		}
	}
	return r;
}

/* Each load in each guest has random numbers of its own, whatever else is in the scenario. */
static uint64_t stream_of(const char *load, const char *guest)
{
	const char *const texts[] = { load, "/", guest };
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < CL_COUNT(texts); i++)
		for (const char *p = texts[i]; *p; p++)
			hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3); /* FNV-1a */
	return hash;
}

static bool add_load(struct sim_run *run, const struct sim_section *section,
		     struct sim_run_guest *guest, struct sim_domain *domain, const char *name)
{
	struct sim_run_load *loads =
		realloc(run->loads, (run->load_count + 1) * sizeof(*run->loads));

	if (!loads)
		return false;
	run->loads = loads;
	loads[run->load_count++] = (struct sim_run_load){
		.run = run,
		.section = section,
		.guest = guest,
		.domain = domain,
		.stream = stream_of(section->name, name),
	};
	return true;
}

static bool build_loads(struct sim_run *run)
{
	struct sim_section *section;
	bool fine = true;
	char name[32];

	for (uint32_t at = 0; (section = sim_section_next(run->scenario, SIM_IN_LOAD, &at));) {
		const struct sim_setup_load *setup = section->values;
		struct sim_section *driver =
			sim_section_find(run->scenario, SIM_IN_DRIVER, setup->guest);

		if (strcmp(setup->guest, "dom0") == 0)
			fine = add_load(run, section, NULL, run->world->domains[0], "dom0") && fine;
		if (driver)
			fine = add_load(run, section, NULL,
					run->drivers[index_of(run->scenario, driver)],
					driver->name) &&
			       fine;
		for (uint32_t i = 0; i < run->guest_count; i++) {
			struct sim_run_guest *guest = &run->guests[i];

			if (!sim_guest_fits(guest->section, guest->index, setup->guest))
				continue;
			sim_guest_name(guest->section, guest->index, name);
			fine = add_load(run, section, guest, NULL, name) && fine;
		}
	}
	return fine;
}

static bool build_events(struct sim_run *run)
{
	uint32_t count = count_kind(run->scenario, SIM_IN_EVENT);
	struct sim_section *section;

	run->events = calloc(count + 1, sizeof(*run->events));
	for (uint32_t at = 0;
	     run->events && (section = sim_section_next(run->scenario, SIM_IN_EVENT, &at));)
		run->events[run->event_count++] =
			(struct sim_run_event){ .run = run, .setup = section->values };
	return run->events != NULL;
}

int sim_run_build(struct sim_run *run, struct cl_error *reterr)
{
	const struct sim_scenario *scenario = run->scenario;
	int r;

	run->pools = calloc(count_kind(scenario, SIM_IN_POOL) + 1, sizeof(struct sim_pool *));
	run->drivers = calloc(count_kind(scenario, SIM_IN_DRIVER) + 1, sizeof(struct sim_domain *));
	run->nics = calloc(count_kind(scenario, SIM_IN_NIC) + 1, sizeof(struct sim_nic *));
	run->disks = calloc(count_kind(scenario, SIM_IN_DISK) + 1, sizeof(struct sim_disk *));
	run->guests = calloc(scenario->domain_count + 1, sizeof(*run->guests));
	if (!run->pools || !run->drivers || !run->nics || !run->disks || !run->guests)
		return no_memory(reterr);
	build_pools(run);
	if (run->world->queue.failed)
		return no_memory(reterr);
	r = build_privileged(run, reterr);
	if (r == 0) {
		build_nics(run);
		build_disks(run);
	}
	if (r == 0 && (run->world->queue.failed || !sim_run_manager(run)))
		r = no_memory(reterr);
	if (r == 0)
		r = build_guests(run, reterr);
	if (r == 0 && (!build_loads(run) || !build_events(run)))
		r = no_memory(reterr);
	return r;
}
