/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot. Its CPUs are dom0's vCPUs, by the kernel's numbers, which are Xen's numbers of
 * dom0's vCPUs: work can run nowhere else. Each is given the node and core of the pCPU that it is
 * on. A pCPU that none of them is pinned to comes behind as a CPU that is online but not allowed:
 * so a guest's vCPU that runs there has a place, and the nearest CPU of dom0's can be found.
 */
#include "xen/guests.h"

#include "lib.h"
#include "nic.h"

#include <string.h>

#define MACHINE_NS (10 * CL_NS_PER_S) /* how often pCPUs and nodes are asked for */
#define SECTOR     512u

/* ---- the machine ---- */

/* True: a vCPU may be elsewhere than before. */
static bool read_dom0(struct cl_xen *xen)
{
	struct cl_hyper_vcpu vcpu;
	struct cl_cpuset was;
	bool changed = false;

	for (uint32_t v = 0; v < CL_CPUS_MAX; v++) {
		xen->dom0_at[v] = CL_NONE;
		if (v >= xen->dom0_vcpus)
			continue;
		was = xen->dom0_pins[v];
		if (cl_hyper_vcpu_cpus(xen->hyper, 0, v, &xen->dom0_pins[v], NULL) < 0)
			cl_cpuset_zero(&xen->dom0_pins[v]);
		changed |= !cl_cpuset_equal(&was, &xen->dom0_pins[v]);
		if (cl_hyper_vcpu(xen->hyper, 0, v, &vcpu) == 0 && vcpu.pcpu < CL_CPUS_MAX)
			xen->dom0_at[v] = vcpu.pcpu;
	}
	return changed;
}

/*
 * Xen's time of dom0's vCPUs, and then at once what they ran it for: what an observation costs
 * itself is on the same side of both.
 */
static int read_times(struct cl_xen *xen, bool *ret_changed, struct cl_error *reterr)
{
	struct cl_hyper_vcpu vcpu;

	for (uint32_t v = 0; v < xen->dom0_vcpus && v < CL_CPUS_MAX; v++)
		xen->dom0_ns[v] =
			cl_hyper_vcpu(xen->hyper, 0, v, &vcpu) == 0 ? vcpu.cpu_ns : CL_UNKNOWN;
	return cl_build_refresh(xen->build, xen->threads, ret_changed, reterr);
}

static void fill_dom0_cpu(struct cl_xen *xen, uint32_t v, struct cl_snapshot *snap)
{
	struct cl_cpu *cpu = &snap->cpus[v];
	/* /proc/stat knows of steal at each tick; the times of threads do not. */
	uint64_t booked_ns = cpu->online ? cpu->busy_ns + cpu->steal_ns : CL_UNKNOWN;
	const struct cl_hyper_machine *machine = &xen->machine;
	bool pinned = cl_cpuset_count(&xen->dom0_pins[v]) == 1;
	uint32_t pcpu = pinned ? cl_cpuset_next(&xen->dom0_pins[v], 0) : xen->dom0_at[v];

	/* What the kernel counts here holds time that Xen gave to others: see cl_cpu.busy_ns. */
	cpu->irq_ns = cpu->idle_ns = cpu->steal_ns = cpu->busy_ns = CL_UNKNOWN;
	cpu->node.v = CL_NONE;
	/* One that moves about shares its core with nobody for long. */
	cpu->core = CL_CPUS_MAX << 16 | v;
	cpu->pcpu = pcpu;
	if (!cl_cpuset_empty(&xen->dom0_pins[v])) /* else they could not be read */
		cpu->pins = cl_snapshot_mask(snap, &xen->dom0_pins[v]);
	if (v < xen->dom0_vcpus)
		cpu->busy_ns = xen->dom0_ns[v];
	cl_scale_cpu(&xen->scale, v, booked_ns, cpu->busy_ns);
	if (pcpu == CL_NONE || pcpu >= machine->pcpu_count)
		return;
	if (machine->pcpus[pcpu].node < machine->node_count)
		cpu->node.v = machine->pcpus[pcpu].node;
	if (pinned)
		cpu->core = machine->pcpus[pcpu].core;
}

/* Replaces what dom0's kernel believes of its machine: it sees one node and none of the cores. */
static void fill_machine(struct cl_xen *xen, struct cl_snapshot *snap)
{
	const struct cl_hyper_machine *machine = &xen->machine;
	uint32_t own = snap->n.cpus;

	snap->n.nodes = 0;
	for (uint32_t i = 0; i < machine->node_count; i++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);

		if (!node)
			break;
		node->mem_total_bytes = machine->nodes[i].mem_total_bytes;
		node->mem_free_bytes = machine->nodes[i].mem_free_bytes;
		memcpy(node->distance, machine->nodes[i].distance, sizeof(node->distance));
	}
	for (uint32_t p = 0; p < CL_CPUS_MAX; p++)
		xen->cpu_of[p] = CL_NONE;
	for (uint32_t v = 0; v < own; v++) {
		fill_dom0_cpu(xen, v, snap);
		if (!snap->cpus[v].online || cl_cpuset_count(&xen->dom0_pins[v]) != 1)
			continue;
		uint32_t pcpu = cl_cpuset_next(&xen->dom0_pins[v], 0);

		if (xen->cpu_of[pcpu] == CL_NONE)
			xen->cpu_of[pcpu] = v;
	}
	if (!cl_threads_honest(xen->threads))
		cl_threads_scale(xen->threads, xen->scale.ppm, own);
	for (uint32_t p = 0; p < machine->pcpu_count; p++) {
		struct cl_cpu *cpu = NULL;

		if (machine->pcpus[p].online && xen->cpu_of[p] == CL_NONE)
			cpu = cl_snapshot_add_cpus(snap);
		if (!cpu)
			continue;
		xen->cpu_of[p] = (uint32_t)(cpu - snap->cpus);
		cpu->online = true;
		cpu->pcpu = p;
		cpu->core = machine->pcpus[p].core;
		if (machine->pcpus[p].node < snap->n.nodes)
			cpu->node.v = machine->pcpus[p].node;
	}
}

/* ---- guests ---- */

static struct cl_cpu_ix cpu_of(const struct cl_xen *xen, uint32_t pcpu)
{
	return (struct cl_cpu_ix){ pcpu < CL_CPUS_MAX ? xen->cpu_of[pcpu] : CL_NONE };
}

static void add_vcpus(struct cl_xen *xen, const struct cl_xen_guest *guest,
		      struct cl_snapshot *snap)
{
	for (uint32_t v = 0; v < guest->domain.vcpu_count; v++) {
		struct cl_cpuset pcpus, soft, cpus;
		struct cl_hyper_vcpu is;

		if (cl_hyper_vcpu(xen->hyper, guest->domain.domid, v, &is) < 0 || !is.online)
			continue;
		struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

		if (!vcpu)
			return;
		vcpu->guest = guest->ix;
		vcpu->index = v;
		vcpu->thread = (struct cl_tid){ 0, 0 };
		vcpu->cpu = cpu_of(xen, is.pcpu);
		vcpu->cpu_ns = is.cpu_ns;
		if (cl_hyper_vcpu_cpus(xen->hyper, guest->domain.domid, v, &pcpus, &soft) < 0)
			continue;
		vcpu->pcpus = cl_snapshot_mask(snap, &pcpus);
		vcpu->soft = cl_snapshot_mask(snap, &soft);
		cl_cpuset_zero(&cpus);
		for (uint32_t p = cl_cpuset_next(&pcpus, 0); p != CL_NONE;
		     p = cl_cpuset_next(&pcpus, p + 1))
			if (xen->cpu_of[p] != CL_NONE)
				cl_cpuset_add(&cpus, xen->cpu_of[p]);
		vcpu->mask = cl_snapshot_mask(snap, &cpus);
	}
}

static uint64_t read_counter(int fd)
{
	char text[32];
	uint64_t value;

	if (fd < 0 || cl_read_fd(fd, text, sizeof(text)) <= 0 || !cl_parse_u64(text, &value, NULL))
		return CL_UNKNOWN;
	return value;
}

static uint64_t sectors(uint64_t count)
{
	return count == CL_UNKNOWN || count > UINT64_MAX / SECTOR ? CL_UNKNOWN : count * SECTOR;
}

static void add_devices(const struct cl_xen_guest *guest, struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < guest->device_count; i++) {
		const struct cl_xen_device *from = &guest->devices[i];
		struct cl_nic *nic = from->kind == CL_XEN_VIF ? cl_snapshot_add_nics(snap) : NULL;
		struct cl_disk *disk =
			from->kind == CL_XEN_VIF ? NULL : cl_snapshot_add_disks(snap);

		if (nic) {
			nic->guest = guest->ix;
			nic->name = cl_snapshot_text(snap, from->name);
			nic->handle = from->handle;
			nic->threaded = cl_nic_threaded(from->threaded);
			nic->rx_packets = read_counter(from->counters[0]);
			nic->rx_bytes = read_counter(from->counters[1]);
			nic->tx_packets = read_counter(from->counters[2]);
			nic->tx_bytes = read_counter(from->counters[3]);
		}
		if (disk) {
			disk->guest = guest->ix;
			disk->name = cl_snapshot_text(snap, from->name);
			disk->device = from->device;
			disk->rd_ops = read_counter(from->counters[0]);
			disk->rd_bytes = sectors(read_counter(from->counters[1]));
			disk->wr_ops = read_counter(from->counters[2]);
			disk->wr_bytes = sectors(read_counter(from->counters[3]));
		}
	}
}

/* A domain whose pool is newer than what is known of pools has its entitlement at the next look. */
static void add_entitlement(struct cl_xen *xen, const struct cl_xen_guest *guest,
			    struct cl_guest *out)
{
	struct cl_hyper_entitlement is;

	out->pool = guest->domain.cpupool;
	for (uint32_t i = 0; i < xen->pool_count; i++) {
		if (xen->pools[i].id != out->pool)
			continue;
		if (cl_hyper_entitlement(xen->hyper, guest->domain.domid, xen->pools[i].sched_id,
					 &is) < 0)
			return;
		out->weight = is.weight;
		out->cap = is.cap_ppm;
		out->period_ns = is.period_ns;
		out->budget_ns = is.budget_ns;
	}
}

static void add_guest(struct cl_xen *xen, struct cl_xen_guest *guest, struct cl_snapshot *snap)
{
	struct cl_guest *out = cl_snapshot_add_guests(snap);

	guest->ix.v = CL_NONE;
	if (!out)
		return;
	guest->ix.v = (uint32_t)(out - snap->guests);
	out->id = guest->id;
	out->name = cl_snapshot_text(snap, guest->name);
	out->process = (struct cl_tid){ 0, 0 };
	out->domid = guest->domain.domid;
	out->driver = guest->driver_domid ? guest->driver_domid : CL_NONE;
	add_entitlement(xen, guest, out);
	out->home = guest->home;
	if (out->home && !(out->home & (out->home - 1)))
		out->home_most.v = (uint32_t)__builtin_ctzll(out->home);
	if (guest->paged_ns && guest->paged) {
		out->home = guest->paged;
		out->home_most = guest->paged_most;
	}
	out->mem_bytes = out->balloon_bytes = guest->domain.mem_bytes;
	out->mem_max_bytes = guest->domain.mem_max_bytes;
	out->target_bytes = guest->target_bytes;
	out->used_bytes = guest->used_bytes;
	out->described = guest->described;
	if (!cl_threads_guest(xen->threads, guest->domain.domid, &out->shared_ns, &out->wakeup_ns))
		out->shared_ns = out->wakeup_ns = CL_UNKNOWN;
	/* A watch says when what was read is old; without xenstore nothing says it. */
	out->read_ns = guest->dirty || xen->store_problem[0] ? guest->described_ns : snap->taken_ns;
	add_vcpus(xen, guest, snap);
	add_devices(guest, snap);
}

/*
 * blkback gives all of its interrupts one name: whose each is, and what they cost, only the honest
 * clock knows, from the kernel's own structures. They are taken in under guest 0 by name, and given
 * to their guest here, or left out again.
 */
static void settle_irqs(struct cl_xen *xen, struct cl_snapshot *snap, uint32_t first)
{
	uint32_t kept = first;

	for (uint32_t i = first; i < snap->n.irqs; i++) {
		struct cl_irq irq = snap->irqs[i];
		bool is_disk = strcmp(cl_snapshot_str(snap, irq.name), CL_XEN_BLKBACK_IRQ) == 0;
		uint32_t cpu = CL_NONE, domid = CL_NONE;
		uint64_t ns;

		if (cl_threads_irq(xen->threads, irq.number, &ns, &cpu, &domid)) {
			irq.cpu_ns = ns;
			irq.cpu.v = cpu < snap->n.cpus ? cpu : CL_NONE;
		}
		if (is_disk) {
			const struct cl_xen_guest *guest =
				domid == CL_NONE ? NULL : cl_xen_find(xen, domid);

			irq.guest.v = guest ? guest->ix.v : CL_NONE;
		} else {
			if (domid == CL_NONE && irq.guest.v != CL_NONE)
				cl_threads_own_irq(xen->threads, irq.number,
						   snap->guests[irq.guest.v].domid);
			irq.queue_vcpu = cl_xen_irq_vcpu(xen, cl_snapshot_str(snap, irq.name));
		}
		if (irq.guest.v != CL_NONE)
			snap->irqs[kept++] = irq;
	}
	snap->n.irqs = kept;
}

static void add_irqs(struct cl_xen *xen, struct cl_snapshot *snap)
{
	uint32_t first = snap->n.irqs;
	struct cl_error err;

	xen->irq_problem[0] = '\0';
	if (xen->irqs && cl_irqs_observe(xen->irqs, snap, cl_xen_irq_owner, xen, &err) < 0)
		snprintf(xen->irq_problem, sizeof(xen->irq_problem), "%s", err.text);
	settle_irqs(xen, snap, first);
}

static int look_at_machine(struct cl_xen *xen, struct cl_error *reterr)
{
	uint32_t next = 0, n = 0;

	for (; n < CL_XEN_POOLS_MAX && cl_hyper_pool(xen->hyper, next, &xen->pools[n]) == 0; n++)
		next = xen->pools[n].id + 1;
	xen->pool_count = n;
	return cl_hyper_machine(xen->hyper, &xen->machine, reterr);
}

static void fill_pools(const struct cl_xen *xen, struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < xen->pool_count; i++) {
		struct cl_pool *pool = cl_snapshot_add_pools(snap);

		if (!pool)
			return;
		pool->id = xen->pools[i].id;
		pool->scheduler = cl_snapshot_text(snap, xen->pools[i].scheduler);
		pool->pcpus = cl_snapshot_mask(snap, &xen->pools[i].pcpus);
		pool->slice_ns = xen->pools[i].slice_ns;
		pool->ratelimit_ns = xen->pools[i].ratelimit_ns;
		if (pool->id == xen->dom0_pool)
			snap->pool = pool->pcpus;
	}
}

int cl_xen_fill(struct cl_xen *xen, struct cl_snapshot *snap, struct cl_error *reterr)
{
	uint64_t now_ns = cl_clock_ns();
	bool changed;
	int r = 0;

	snap->taken_ns = now_ns;
	snap->guests_outside = true;
	/* A CPU that left the pool takes a pin with it: where else there is room must not be old.
	 */
	if (read_dom0(xen) || !xen->machine_ns || now_ns - xen->machine_ns > MACHINE_NS) {
		r = look_at_machine(xen, reterr);
		xen->machine_ns = now_ns;
	}
	if (r == 0)
		r = cl_topology_observe(xen->topology, snap, reterr);
	if (r == 0)
		r = read_times(xen, &changed, reterr);
	if (r < 0)
		return r;
	/* Somebody came or went: perhaps one more is on its way. */
	xen->rescan |= changed;
	fill_machine(xen, snap);
	fill_pools(xen, snap);
	snap->part_ns[CL_PART_CPU] = cl_clock_ns();
	for (uint32_t i = 0; i < xen->guest_count; i++)
		add_guest(xen, &xen->guests[i], snap);
	snap->part_ns[CL_PART_GUESTS] = snap->part_ns[CL_PART_MEMORY] = snap->taken_ns;
	r = cl_build_threads(xen->build, xen->threads, snap, cl_xen_role, xen, reterr);
	if (r < 0)
		return r;
	add_irqs(xen, snap);
	snap->can |= UINT32_C(1) << CL_CAN_MEMORY_NODES | UINT32_C(1) << CL_CAN_PIN |
		     UINT32_C(1) << CL_CAN_ENTITLEMENT;
	snap->dropped.guests += xen->dropped_guests;
	cl_build_finish(xen->build, xen->threads, snap);
	cl_xen_fill_memory(xen, snap);
	return 0;
}
