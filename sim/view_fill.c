/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A simulated host as a snapshot: its CPUs are dom0's vCPUs, as under Xen; pCPUs that none of them
 * is pinned to come behind. */
#include "io.h"
#include "sched.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 16384u

struct filling {
	struct sim_view *view;
	struct sim_world *world;
	const struct sim_domain *dom0;
	struct cl_snapshot *snap;
	uint32_t cpu_of[SIM_PCPUS_MAX];        /* pCPU -> index in the snapshot */
	struct cl_group_ix groups[GROUPS_MAX]; /* by their order in dom0 */
};

static uint32_t pcpu_of(const struct sim_vcpu *vcpu)
{
	if (cl_cpuset_count(&vcpu->hard) == 1)
		return cl_cpuset_next(&vcpu->hard, 0);
	return vcpu->pcpu ? vcpu->pcpu->id : cl_cpuset_next(&vcpu->hard, 0);
}

static void fill_nodes(const struct filling *f)
{
	for (uint32_t i = 0; i < f->world->node_count; i++) {
		struct cl_node *node = cl_snapshot_add_nodes(f->snap);

		if (!node)
			return;
		node->mem_total_bytes = f->world->nodes[i].mem_bytes;
		node->mem_free_bytes = f->world->nodes[i].free_bytes;
		memcpy(node->distance, f->world->nodes[i].distance, sizeof(node->distance));
	}
}

/* What processes of dom0's own ran there: the main container's time. */
static uint64_t main_ns(const struct sim_domain *dom0, uint32_t vcpu)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < dom0->task_count; i++) {
		const struct sim_task *task = dom0->tasks[i];

		if (task->guest == CL_NONE && task->ran_ns)
			ns += task->ran_ns[vcpu];
	}
	return ns;
}

/* Physical devices' interrupts: nobody's, as far as a host can tell. */
static uint64_t device_ns(const struct sim_world *world, uint32_t vcpu)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < world->irq_count; i++)
		if (world->irqs[i]->guest == CL_NONE && world->irqs[i]->ran_ns)
			ns += world->irqs[i]->ran_ns[vcpu];
	return ns;
}

static void fill_cpu(struct filling *f, const struct sim_vcpu *vcpu)
{
	struct cl_cpu *cpu = cl_snapshot_add_cpus(f->snap);
	uint32_t pcpu = pcpu_of(vcpu);
	bool pinned = cl_cpuset_count(&vcpu->hard) == 1;

	if (!cpu)
		return;
	cpu->online = vcpu->state != SIM_VCPU_OFFLINE;
	cpu->node.v = f->world->pcpus[pcpu].node;
	cpu->core = pinned ? f->world->pcpus[pcpu].core : CL_CPUS_MAX << 16 | vcpu->index;
	cpu->busy_ns = sim_vcpu_cpu_ns(f->world, vcpu);
	cpu->main_ns = main_ns(f->dom0, vcpu->index);
	cpu->kernel_ns = device_ns(f->world, vcpu->index);
	cpu->overhead_ns = vcpu->overhead_ns;
	cpu->pcpu = pcpu;
	cpu->pins = cl_snapshot_mask(f->snap, &vcpu->hard);
	if (pinned && cpu->online)
		f->cpu_of[pcpu] = vcpu->index;
}

static void fill_cpus(struct filling *f)
{
	struct cl_cpuset allowed;

	cl_cpuset_zero(&allowed);
	for (uint32_t p = 0; p < SIM_PCPUS_MAX; p++)
		f->cpu_of[p] = CL_NONE;
	for (uint32_t v = 0; v < f->dom0->vcpu_count; v++) {
		fill_cpu(f, &f->dom0->vcpus[v]);
		cl_cpuset_add(&allowed, v);
	}
	f->snap->allowed = cl_snapshot_mask(f->snap, &allowed);
	f->snap->pool = cl_snapshot_mask(f->snap, &f->dom0->pool->pcpus);
	for (uint32_t p = 0; p < f->world->pcpu_count; p++) {
		struct cl_cpu *cpu = f->cpu_of[p] == CL_NONE ? cl_snapshot_add_cpus(f->snap) : NULL;

		if (!cpu)
			continue;
		f->cpu_of[p] = (uint32_t)(cpu - f->snap->cpus);
		cpu->online = f->world->pcpus[p].online;
		cpu->node.v = f->world->pcpus[p].node;
		cpu->core = f->world->pcpus[p].core;
		cpu->pcpu = p;
	}
}

static void fill_pools(const struct filling *f)
{
	for (uint32_t i = 0; i < f->world->pool_count; i++) {
		const struct sim_pool *from = f->world->pools[i];
		struct cl_pool *pool = cl_snapshot_add_pools(f->snap);

		if (!pool)
			return;
		pool->id = from->id;
		pool->scheduler = cl_snapshot_text(f->snap, from->ops->name);
		pool->pcpus = cl_snapshot_mask(f->snap, &from->pcpus);
		pool->slice_ns = from->slice_ns ? from->slice_ns : CL_UNKNOWN;
		pool->ratelimit_ns = from->ratelimit_ns;
	}
}

static void fill_memory(const struct filling *f)
{
	struct cl_memory *memory = &f->snap->memory;

	memory->bytes = 0;
	for (uint32_t node = 0; node < f->world->node_count; node++)
		memory->bytes += f->dom0->mem[node];
	memory->target_bytes = f->dom0->mem_target ? f->dom0->mem_target : memory->bytes;
	memory->max_bytes = f->dom0->mem_max;
	memory->claimed_bytes = 0;
	memory->total_bytes = memory->bytes;
}

/* ---- guests ---- */

static void fill_vcpus(struct filling *f, const struct sim_domain *domain, struct cl_guest_ix guest)
{
	for (uint32_t i = 0; i < domain->vcpu_count; i++) {
		const struct sim_vcpu *from = &domain->vcpus[i];
		struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(f->snap);
		struct cl_cpuset cpus;

		if (!vcpu)
			return;
		cl_cpuset_zero(&cpus);
		for (uint32_t p = cl_cpuset_next(&from->hard, 0); p != CL_NONE;
		     p = cl_cpuset_next(&from->hard, p + 1))
			cl_cpuset_add(&cpus, f->cpu_of[p]);
		vcpu->guest = guest;
		vcpu->index = i;
		vcpu->cpu.v = from->pcpu ? f->cpu_of[from->pcpu->id] : CL_NONE;
		vcpu->mask = cl_snapshot_mask(f->snap, &cpus);
		vcpu->pcpus = cl_snapshot_mask(f->snap, &from->hard);
		vcpu->soft = cl_snapshot_mask(f->snap, &from->soft);
		vcpu->cpu_ns = sim_vcpu_cpu_ns(f->world, from);
		vcpu->wait_ns = from->wait_ns;
	}
}

static void fill_devices(const struct filling *f, const struct sim_domain *domain,
			 struct cl_guest_ix guest)
{
	uint32_t handle = 0;

	for (const struct sim_vif *vif = domain->vifs; vif; vif = vif->next) {
		struct cl_nic *nic = cl_snapshot_add_nics(f->snap);

		if (!nic)
			return;
		nic->guest = guest;
		nic->name = cl_snapshot_text(f->snap, vif->name);
		nic->handle = handle++;
		nic->threaded = vif->threaded;
		nic->rx_packets = vif->sent;
		nic->rx_bytes = vif->sent_bytes;
		nic->tx_packets = vif->received;
		nic->tx_bytes = vif->received_bytes;
	}
	for (const struct sim_vbd *vbd = domain->vbds; vbd; vbd = vbd->next) {
		struct cl_disk *disk = cl_snapshot_add_disks(f->snap);

		if (!disk)
			return;
		disk->guest = guest;
		disk->name = cl_snapshot_text(f->snap, vbd->name);
		disk->device = sim_vbd_device(domain, vbd);
		disk->rd_ops = vbd->reads;
		disk->rd_bytes = vbd->read_bytes;
		disk->wr_ops = vbd->writes;
		disk->wr_bytes = vbd->written_bytes;
	}
}

static struct cl_guest_ix fill_guest(struct filling *f, const struct sim_domain *domain)
{
	struct cl_guest *guest = cl_snapshot_add_guests(f->snap);
	struct cl_guest_ix ix = { CL_NONE };
	uint64_t bytes = 0;

	if (!guest)
		return ix;
	ix.v = (uint32_t)(guest - f->snap->guests);
	for (uint32_t node = 0; node < f->world->node_count; node++) {
		bytes += domain->mem[node];
		guest->home |= domain->mem[node] ? UINT64_C(1) << node : 0;
	}
	guest->id = domain->uuid;
	guest->name = cl_snapshot_text(f->snap, domain->name);
	guest->process = (struct cl_tid){ 0, 0 };
	guest->home_most.v = guest->home ? sim_domain_node(domain) : CL_NONE;
	guest->reaped_ns = 0;
	guest->mem_bytes = guest->balloon_bytes = bytes;
	guest->mem_max_bytes = domain->mem_max ? domain->mem_max : bytes;
	guest->target_bytes = domain->mem_target ? domain->mem_target : bytes;
	guest->read_ns = f->world->queue.now_ns;
	guest->domid = domain->id;
	guest->pool = domain->pool->id;
	guest->weight = domain->weight;
	guest->cap = domain->cap;
	guest->period_ns = domain->period_ns ? domain->period_ns : CL_UNKNOWN;
	guest->budget_ns = domain->budget_ns ? domain->budget_ns : CL_UNKNOWN;
	guest->described = true;
	fill_vcpus(f, domain, ix);
	fill_devices(f, domain, ix);
	return ix;
}

/* ---- what runs in dom0 ---- */

static void fill_groups(struct filling *f)
{
	uint32_t n = 0;

	for (const struct sim_group *from = f->dom0->root; from && n < GROUPS_MAX;
	     from = from->next, n++) {
		struct cl_group *group = cl_snapshot_add_groups(f->snap);

		f->groups[n].v = group ? (uint32_t)(group - f->snap->groups) : CL_NONE;
		if (!group)
			continue;
		group->path = cl_snapshot_text(f->snap, from->path);
		group->cpus = cl_snapshot_mask(f->snap, &from->cpus);
		group->fenced = from->fenced;
		group->ours = strncmp(from->path, "/closer", 7) == 0;
		if (group->ours && strlen(from->path) >= 8 + 36) {
			char text[CL_UUID_TEXT];

			memcpy(text, from->path + 8, 36);
			text[36] = '\0';
			cl_uuid_parse(text, &group->guest);
		}
	}
}

static struct cl_group_ix group_of(const struct filling *f, const struct sim_task *task)
{
	uint32_t n = 0;

	for (const struct sim_group *group = f->dom0->root; group && n < GROUPS_MAX;
	     group = group->next, n++)
		if (group == task->group)
			return f->groups[n];
	return (struct cl_group_ix){ CL_NONE };
}

static void fill_runs(const struct filling *f, struct sim_task *task, struct cl_work_ix work)
{
	size_t bytes = f->dom0->vcpu_count * sizeof(uint64_t);

	if (!task->ran_ns)
		return;
	if (!task->seen_ns && !(task->seen_ns = calloc(1, bytes)))
		return;
	for (uint32_t v = 0; v < f->dom0->vcpu_count; v++) {
		struct cl_run *run =
			task->ran_ns[v] > task->seen_ns[v] ? cl_snapshot_add_runs(f->snap) : NULL;

		if (!run)
			continue;
		run->work = work;
		run->cpu.v = v;
		run->ns = task->ran_ns[v] - task->seen_ns[v];
	}
	memcpy(task->seen_ns, task->ran_ns, bytes);
}

static void fill_work(const struct filling *f, struct sim_task *task, struct cl_guest_ix guest)
{
	struct cl_work *work = cl_snapshot_add_works(f->snap);
	struct cl_cpuset cpus = task->group->cpus;

	if (!work)
		return;
	if (task->mask)
		cl_cpuset_and(&cpus, task->mask);
	work->guest = guest;
	work->kind = task->kind;
	work->thread = (struct cl_tid){ task->tid, (uint64_t)task->tid };
	memcpy(work->name, task->name, sizeof(work->name));
	work->queue_vcpu = task->queue_vcpu;
	work->cpu.v = task->vcpu;
	work->mask = cl_snapshot_mask(f->snap, &cpus);
	work->group = group_of(f, task);
	work->cpu_ns = task->cpu_ns;
	work->wait_ns = task->wait_ns;
	work->read_ns = f->world->queue.now_ns;
	work->bound = task->bound;
	fill_runs(f, task, (struct cl_work_ix){ (uint32_t)(work - f->snap->works) });
}

static void fill_irq(const struct filling *f, const struct sim_irq *from, struct cl_guest_ix guest)
{
	struct cl_irq *irq = cl_snapshot_add_irqs(f->snap);

	if (!irq)
		return;
	irq->number = from->number;
	irq->guest = guest;
	irq->name = cl_snapshot_text(f->snap, from->name);
	irq->mask = cl_snapshot_mask(f->snap, &from->mask);
	irq->count = from->count;
	irq->cpu.v = from->target;
	irq->cpu_ns = from->cpu_ns;
}

static void fill_work_of(const struct filling *f, const struct sim_domain *domain,
			 struct cl_guest_ix guest)
{
	for (uint32_t i = 0; i < f->dom0->task_count; i++)
		if (f->dom0->tasks[i]->guest == domain->id)
			fill_work(f, f->dom0->tasks[i], guest);
	for (uint32_t i = 0; i < f->world->irq_count; i++)
		if (f->world->irqs[i]->guest == domain->id)
			fill_irq(f, f->world->irqs[i], guest);
}

void sim_view_fill(struct sim_view *view, struct cl_snapshot *snap)
{
	struct filling f = {
		.view = view, .world = view->world, .snap = snap, .dom0 = view->world->domains[0]
	};

	sim_settle(view->world);
	cl_snapshot_reset(snap);
	snap->taken_ns = f.world->queue.now_ns;
	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		snap->part_ns[i] = snap->taken_ns;
	snap->guests_outside = true;
	snap->can = (UINT32_C(1) << CL_CAN_COUNT) - 1;
	fill_nodes(&f);
	fill_cpus(&f);
	fill_pools(&f);
	fill_memory(&f);
	fill_groups(&f);
	for (uint32_t i = 1; i < f.world->domain_count; i++) {
		const struct sim_domain *domain = f.world->domains[i];

		if (domain->kind != SIM_GUEST || !domain->alive)
			continue;
		struct cl_guest_ix guest = fill_guest(&f, domain);

		if (guest.v != CL_NONE)
			fill_work_of(&f, domain, guest);
	}
	cl_snapshot_sort(snap, view->scratch);
}
