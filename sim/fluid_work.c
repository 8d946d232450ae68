/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who works for a load's units, where they may run, and what a unit costs there. */
#include "fluid.h"

#include <stdlib.h>
#include <string.h>

#define MANY 1000u /* units at a time whose cost in ns is one's in ps */

static const struct {
	bool guest;
} kinds[] = {
#define X(NAME, guest) { guest },
	SIM_FLUID_KINDS(X)
#undef X
};

/* Room for one more; NULL: no memory. */
static void *add(void **all, uint32_t *count, uint32_t *cap, size_t bytes)
{
	if (*count == *cap) {
		uint32_t more = *cap ? *cap * 2 : 64;
		void *moved = realloc(*all, more * bytes);

		if (!moved)
			return NULL;
		*all = moved;
		*cap = more;
	}
	void *at = (char *)*all + (*count)++ * bytes;

	memset(at, 0, bytes);
	return at;
}

/* ---- vCPUs ---- */

static uint32_t find_set(struct sim_fluid *fluid, const struct sim_vcpu *vcpu)
{
	struct cl_cpuset pcpus = vcpu->hard;
	struct sim_fluid_set *set;

	cl_cpuset_and(&pcpus, &vcpu->domain->pool->pcpus);
	for (uint32_t i = 0; i < fluid->set_count; i++)
		if (cl_cpuset_equal(&fluid->sets[i].pcpus, &pcpus))
			return i;
	set = add((void **)&fluid->sets, &fluid->set_count, &fluid->set_cap, sizeof(*set));
	if (!set)
		return CL_NONE;
	set->pcpus = pcpus;
	set->count = cl_cpuset_count(&pcpus);
	set->slow_ppm = 0;
	return fluid->set_count - 1;
}

/* Until it is known where it runs: anywhere that it may, evenly. */
static void spread_nodes(const struct sim_world *world, const struct sim_fluid_set *set,
			 struct sim_fluid_vcpu *vcpu)
{
	for (uint32_t p = cl_cpuset_next(&set->pcpus, 0); p != CL_NONE;
	     p = cl_cpuset_next(&set->pcpus, p + 1))
		vcpu->node_ppm[world->pcpus[p].node] += (uint32_t)CL_PPM / set->count;
}

static bool add_vcpus(struct sim_fluid *fluid, struct sim_domain *domain, uint32_t *ret_first)
{
	*ret_first = fluid->vcpu_count;
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		uint32_t set = find_set(fluid, &domain->vcpus[i]);
		struct sim_fluid_vcpu *vcpu = add((void **)&fluid->vcpus, &fluid->vcpu_count,
						  &fluid->vcpu_cap, sizeof(*vcpu));

		if (!vcpu || set == CL_NONE)
			return false;
		vcpu->vcpu = &domain->vcpus[i];
		vcpu->set = set;
		spread_nodes(fluid->world, &fluid->sets[set], vcpu);
	}
	return true;
}

static bool may_run(const struct sim_fluid_work *work, uint32_t vcpu)
{
	const struct sim_task *task = work->task;

	if (work->irq)
		return vcpu == work->irq->target;
	if (!task)
		return true;
	return (!task->mask || cl_cpuset_has(task->mask, vcpu)) &&
	       (task->bound || cl_cpuset_has(&task->group->cpus, vcpu));
}

/* ---- works ---- */

/* NULL: no memory. vCPUs of the domain begin at first. */
static struct sim_fluid_work *add_work(struct sim_fluid *fluid, struct sim_domain *domain,
				       uint32_t first)
{
	struct sim_fluid_work *work =
		add((void **)&fluid->works, &fluid->work_count, &fluid->work_cap, sizeof(*work));
	if (!work)
		return NULL;
	work->domain = domain;
	work->first_vcpu = first;
	work->vcpu_count = domain->vcpu_count;
	work->weight = 1024;
	work->most = CL_NS_PER_S;
	work->batch = 1;
	return work;
}

/* Its tasks: those that ask for CPU, and those that were given a burst. */
static bool add_tasks(struct sim_fluid *fluid, struct sim_domain *domain, uint32_t first)
{
	for (uint32_t i = 0; i < domain->task_count; i++) {
		struct sim_task *task = domain->tasks[i];
		bool finite = task->burst.cpu_ns || task->burst.bytes;
		struct sim_fluid_work *work;

		if (!finite && !task->rate_ns)
			continue;
		if (!(work = add_work(fluid, domain, first)))
			return false;
		work->task = task;
		work->finite = finite;
		work->weight = task->weight;
		work->burst = task->burst;
		if (!finite)
			work->burst = (struct sim_burst){ task->rate_ns, 0, CL_NONE, CL_NONE };
	}
	return true;
}

/* One of those who work for a part of the load's unit. */
struct role {
	enum sim_fluid_kind kind;
	struct sim_task *task;
	struct sim_irq *irq;
	struct sim_burst burst;
	/* for each batch that finds nobody at work: */
	enum sim_turn turn;
	uint64_t turn_ns;
	uint32_t irqs, tasks, wakes;
	bool chained; /* what comes to it is what the one before has made of it */
	bool single;  /* of a batch they come one by one */
};

static bool add_role(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part,
		     const struct role *role, uint32_t share_of)
{
	bool guest = kinds[role->kind].guest;
	struct sim_domain *domain = guest ? load->domain : fluid->world->domains[0];
	uint32_t first = 0;
	struct sim_fluid_work *work;

	if (!role->burst.cpu_ns && !role->burst.bytes && !role->turn_ns)
		return true;
	while (first < fluid->vcpu_count && fluid->vcpus[first].vcpu->domain != domain)
		first++;
	if (first == fluid->vcpu_count) /* it does not run now */
		return true;
	work = add_work(fluid, domain, first);
	if (!work)
		return false;
	work->load = load;
	work->kind = role->kind;
	work->task = role->task;
	work->irq = role->irq;
	work->burst = role->burst;
	work->per_unit_ppm = (part ? part->ppm : CL_PPM) / share_of;
	work->batch = part && part->batch && !role->single ? part->batch : 1;
	work->turn = role->turn;
	work->turn_ns = role->turn_ns;
	/* Until it is known how many begin: else what is nothing but a turn would never begin. */
	work->turn_ps = role->turn_ns * MANY / work->batch;
	work->irqs = role->irqs;
	work->tasks = role->tasks;
	work->wakes = role->wakes;
	if (guest && !role->irq && load->rate.threads)
		work->most = load->rate.threads * CL_NS_PER_S;
	return true;
}

static bool add_roles(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part,
		      const struct role *roles, size_t n, uint32_t share_of)
{
	uint32_t first = fluid->work_count;

	for (size_t i = 0; i < n; i++) {
		uint32_t before = fluid->work_count;

		if (!add_role(fluid, load, part, &roles[i], share_of))
			return false;
		if (fluid->work_count > before && before > first)
			fluid->works[before].chained = roles[i].chained;
	}
	return true;
}

/* The bursts of vif.c and nic.c. What a guest sends: its vCPU is woken by its own clock, dom0's by
 * the ring. */
static bool add_send(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part,
		     struct sim_vif_queue *queue)
{
	const struct sim_costs *c = &fluid->world->costs;
	uint32_t home = sim_domain_node(load->domain);
	bool mapped = part->bytes > SIM_NET_COPIED, thread = queue->vif->threaded;
	uint64_t back = c->netback_tx_ns + c->grant_copy_ns + c->bridge_ns + c->nic_ns +
			(mapped ? c->grant_map_ns : 0);
	struct role application = { .kind = SIM_FLUID_APPLICATION, .tasks = 1, .wakes = 1 };

	if (!part->silent)
		application.burst = (struct sim_burst){ part->own_ns + c->stack_ns + c->netfront_ns,
							part->bytes, home, home };
	const struct role roles[] = {
		application,
		{ .kind = SIM_FLUID_NAPI,
		  .task = thread ? &queue->napi : NULL,
		  .irq = thread ? NULL : &queue->tx_irq,
		  .burst = { back, part->bytes, home, CL_NONE },
		  .turn = SIM_TURN_SEND,
		  .turn_ns = c->napi_turn_ns,
		  .irqs = 1,
		  .tasks = thread,
		  .wakes = 1,
		  .chained = true },
		{ .kind = SIM_FLUID_DEALLOC,
		  .task = &queue->dealloc,
		  .burst = { mapped ? c->dealloc_ns : 0, 0, home, CL_NONE },
		  .turn = SIM_TURN_DEALLOC,
		  .turn_ns = mapped ? c->dealloc_turn_ns : 0,
		  .tasks = 1,
		  .chained = true },
	};

	return add_roles(fluid, load, part, roles, sizeof(roles) / sizeof(roles[0]),
			 queue->vif->queue_count);
}

static bool add_receive(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part,
			struct sim_vif_queue *queue)
{
	const struct sim_costs *c = &fluid->world->costs;
	uint32_t home = sim_domain_node(load->domain);
	struct sim_nic *nic = queue->vif->nic;
	struct role application = { .kind = SIM_FLUID_APPLICATION, .tasks = 1, .chained = true };

	if (!part->silent)
		application.burst =
			(struct sim_burst){ part->own_ns + c->stack_ns, part->bytes, home, home };
	const struct role roles[] = {
		{ .kind = SIM_FLUID_NIC,
		  .irq = &nic->queues[(load->domain->id + queue->index) % nic->queue_count].irq,
		  .burst = { c->nic_ns + c->bridge_ns, 0, nic->node, CL_NONE },
		  .irqs = 1,
		  .wakes = 1 },
		{ .kind = SIM_FLUID_GUEST_RX,
		  .task = &queue->guest_rx,
		  .burst = { c->netback_rx_ns + c->grant_copy_ns, part->bytes, CL_NONE, home },
		  .turn = SIM_TURN_RECEIVE,
		  .turn_ns = c->guest_rx_turn_ns,
		  .tasks = 1,
		  .chained = true },
		{ .kind = SIM_FLUID_FRONT,
		  .irq = &queue->front_irq,
		  .burst = { c->netfront_ns, 0, CL_NONE, CL_NONE },
		  .irqs = 1,
		  .wakes = 1,
		  .chained = true },
		application,
	};

	return add_roles(fluid, load, part, roles, sizeof(roles) / sizeof(roles[0]),
			 queue->vif->queue_count);
}

/* Those of vbd.c and disk.c, from the answer on: its interrupt, the guest, and the next request. */
static bool add_disk(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part,
		     struct sim_vbd_ring *ring)
{
	const struct sim_costs *c = &fluid->world->costs;
	struct sim_disk *disk = ring->vbd->disk;
	uint64_t pages = (part->bytes + SIM_PAGE - 1) / SIM_PAGE;
	uint64_t back = c->blkback_ns + c->disk_driver_ns + pages * c->blkback_page_ns;
	/* The disk answers each when it is through: when the one before has long been taken. */
	bool apart = disk->bandwidth && sim_scale(part->bytes, CL_NS_PER_S, disk->bandwidth) >
						c->irq_ns + c->disk_driver_ns + c->blkfront_ns;
	const struct role roles[] = {
		{ .kind = SIM_FLUID_DISK_IRQ,
		  .irq = &disk->irq,
		  .burst = { disk->in_memory ? 0 : c->disk_driver_ns, 0, disk->node, CL_NONE },
		  .irqs = 1,
		  .wakes = 1,
		  .single = apart },
		{ .kind = SIM_FLUID_FRONT,
		  .irq = &ring->front_irq,
		  .burst = { c->blkfront_ns, 0, CL_NONE, CL_NONE },
		  .irqs = 1,
		  .wakes = 1,
		  .chained = true,
		  .single = apart },
		{ .kind = SIM_FLUID_APPLICATION,
		  .burst = { part->own_ns + c->blkfront_ns, 0, CL_NONE, CL_NONE },
		  .tasks = 1,
		  .wakes = part->paced,
		  .chained = !part->paced },
		{ .kind = SIM_FLUID_BLKBACK_IRQ,
		  .irq = &ring->irq,
		  .turn = SIM_TURN_BLKBACK_IRQ,
		  .turn_ns = c->blkback_irq_ns + 1,
		  .irqs = 1,
		  .wakes = 1,
		  .chained = true },
		{ .kind = SIM_FLUID_BLKBACK,
		  .task = &ring->blkback,
		  .burst = { back, disk->in_memory ? part->bytes : 0, sim_domain_node(load->domain),
			     disk->node },
		  .turn = SIM_TURN_BLKBACK,
		  .turn_ns = c->blkback_turn_ns,
		  .tasks = 1,
		  .chained = true },
	};

	return add_roles(fluid, load, part, roles, sizeof(roles) / sizeof(roles[0]),
			 ring->vbd->ring_count);
}

static bool add_part(struct sim_fluid *fluid, struct sim_load *load, const struct sim_part *part)
{
	struct sim_vif *vif = load->domain->vifs;
	struct sim_vbd *vbd = load->domain->vbds;
	bool fine = true;

	if (part->ppm == 0)
		return true;
	if (part->flow == SIM_DISK) {
		for (uint32_t i = 0; fine && vbd && i < vbd->ring_count; i++)
			fine = add_disk(fluid, load, part, &vbd->rings[i]);
		return fine;
	}
	for (uint32_t i = 0; fine && vif && i < vif->queue_count; i++)
		fine = part->flow == SIM_SEND ? add_send(fluid, load, part, &vif->queues[i])
					      : add_receive(fluid, load, part, &vif->queues[i]);
	return fine;
}

static bool add_load(struct sim_fluid *fluid, struct sim_load *load)
{
	const struct role own = { .kind = SIM_FLUID_OWN,
				  .burst = { load->rate.own_ns, 0, CL_NONE, CL_NONE } };
	bool fine = true;

	if (!load->rate.asked)
		return true;
	if (load->rate.own_ns)
		fine = add_role(fluid, load, NULL, &own, 1);
	for (uint32_t i = 0; fine && i < load->rate.part_count; i++)
		fine = add_part(fluid, load, &load->rate.parts[i]);
	return fine;
}

/* Where each may run, for the whole turn. */
static bool add_places(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];
		size_t most = fluid->on_count + work->vcpu_count;

		if (most > fluid->on_cap) {
			struct sim_fluid_place *more = realloc(fluid->on, most * 2 * sizeof(*more));

			if (!more)
				return false;
			fluid->on = more;
			fluid->on_cap = most * 2;
		}
		work->on = (uint32_t)fluid->on_count;
		for (uint32_t v = 0; v < work->vcpu_count; v++)
			if (may_run(work, v))
				fluid->on[fluid->on_count++] = (struct sim_fluid_place){ v, 0 };
		work->on_count = (uint32_t)fluid->on_count - work->on;
	}
	return true;
}

static bool add_scratch(struct sim_fluid *fluid)
{
	uint32_t n = fluid->work_count > fluid->vcpu_count ? fluid->work_count : fluid->vcpu_count;
	uint64_t **const all[] = { &fluid->wants, &fluid->weights, &fluid->shares };

	n = n > fluid->load_count ? n : fluid->load_count;
	for (uint32_t i = 0; i < 3 && n > fluid->scratch_cap; i++) {
		uint64_t *more = realloc(*all[i], n * sizeof(*more));

		if (!more)
			return false;
		*all[i] = more;
	}
	fluid->scratch_cap = n > fluid->scratch_cap ? n : fluid->scratch_cap;
	return true;
}

/* What is within what; those with fewer pCPUs first. */
static bool sort_sets(struct sim_fluid *fluid)
{
	uint32_t n = fluid->set_count;
	uint32_t *order = realloc(fluid->order, (n + 1) * sizeof(*order));
	bool *within = order ? realloc(fluid->within, (size_t)n * n + 1) : NULL;

	fluid->order = order ? order : fluid->order;
	fluid->within = within ? within : fluid->within;
	if (!within)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i;

		for (; at > 0 && fluid->sets[order[at - 1]].count > fluid->sets[i].count; at--)
			order[at] = order[at - 1];
		order[at] = i;
		for (uint32_t k = 0; k < n; k++)
			within[i * n + k] =
				cl_cpuset_subset(&fluid->sets[i].pcpus, &fluid->sets[k].pcpus);
	}
	return true;
}

bool sim_fluid_build(struct sim_fluid *fluid)
{
	struct sim_world *world = fluid->world;

	fluid->set_count = fluid->vcpu_count = fluid->work_count = 0;
	fluid->on_count = 0;
	for (uint32_t i = 0; i < world->domain_count; i++) {
		struct sim_domain *domain = world->domains[i];
		uint32_t first;

		if (!domain->alive || domain->paused)
			continue;
		if (!add_vcpus(fluid, domain, &first) || !add_tasks(fluid, domain, first))
			return false;
	}
	for (uint32_t i = 0; i < fluid->load_count; i++) {
		uint32_t from = fluid->work_count;

		if (!add_load(fluid, fluid->loads[i]))
			return false;
		for (; from < fluid->work_count; from++)
			fluid->works[from].load_index = i;
	}
	return add_places(fluid) && add_scratch(fluid) && sort_sets(fluid);
}

/* ---- what it costs ---- */

/* Ps a unit on this vCPU, by the nodes where that runs, on cores that are shared as they are. */
static uint64_t cost_on(const struct sim_fluid *fluid, const struct sim_fluid_work *work,
			const struct sim_fluid_vcpu *vcpu)
{
	const struct sim_world *world = fluid->world;
	struct sim_burst burst = { work->burst.cpu_ns * MANY, work->burst.bytes * MANY,
				   work->burst.from, work->burst.to };
	unsigned __int128 sum = 0;
	uint64_t all = 0;

	for (uint32_t p = 0, seen = 0; p < world->pcpu_count; p++) {
		uint32_t node = world->pcpus[p].node;

		if (node < seen || !vcpu->node_ppm[node])
			continue;
		seen = node + 1; /* pCPUs are in order of their nodes: one of each */
		sum += (unsigned __int128)sim_burst_ns(world, &world->pcpus[p], &burst) *
		       vcpu->node_ppm[node];
		all += vcpu->node_ppm[node];
	}
	return (all ? (uint64_t)(sum / all) : 0) +
	       sim_scale(burst.cpu_ns, fluid->sets[vcpu->set].slow_ppm, CL_PPM);
}

/* Where it runs; before that is known, where it may. */
void sim_fluid_price(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];
		unsigned __int128 sum = 0;
		uint64_t all = 0;

		for (uint32_t k = 0; k < work->on_count; k++) {
			const struct sim_fluid_place *place = &fluid->on[work->on + k];
			uint64_t part = work->given ? place->ns : 1;

			if (part)
				sum += (unsigned __int128)cost_on(
					       fluid, work, sim_fluid_vcpu_of(fluid, work, place)) *
				       part;
			all += part;
		}
		work->unit_ps = (all ? (uint64_t)(sum / all) : 0) + work->turn_ps;
	}
}
