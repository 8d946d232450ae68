/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that was observed, as JSON. */
#include "json_value.h"

#include <stdio.h>

static json_t *cpu_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_cpu *cpu = &snap->cpus[i];
	json_t *o = json_object();

	SET(o, "cpu", json_integer((json_int_t)i));
	SET(o, "online", json_boolean(cpu->online));
	SET(o, "node", index_of(cpu->node.v));
	SET(o, "core", index_of(cpu->core));
	SET(o, "busy_ns", number(cpu->busy_ns));
	SET(o, "irq_ns", number(cpu->irq_ns));
	SET(o, "idle_ns", number(cpu->idle_ns));
	SET(o, "steal_ns", number(cpu->steal_ns));
	SET(o, "main_ns", number(cpu->main_ns));
	SET(o, "kernel_ns", number(cpu->kernel_ns));
	SET(o, "overhead_ns", number(cpu->overhead_ns));
	SET(o, "pcpu", index_of(cpu->pcpu));
	SET(o, "pins", mask_of(snap, cpu->pins));
	return complete(o, 13);
}

static json_t *node_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_node *node = &snap->nodes[i];
	json_t *o = json_object(), *distance = json_array();

	for (uint32_t to = 0; to < snap->n.nodes; to++)
		json_array_append_new(distance, number(node->distance[to]));
	SET(o, "node", json_integer((json_int_t)i));
	SET(o, "mem_total_bytes", number(node->mem_total_bytes));
	SET(o, "mem_free_bytes", number(node->mem_free_bytes));
	SET(o, "distance", complete(distance, snap->n.nodes));
	return complete(o, 4);
}

static json_t *seen_group_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_group *group = &snap->groups[i];
	json_t *o = json_object();

	SET(o, "path", text_of(snap, group->path));
	SET(o, "cpus", mask_of(snap, group->cpus));
	SET(o, "ours", json_boolean(group->ours));
	SET(o, "fenced", json_boolean(group->fenced));
	return complete(o, 4);
}

static json_t *guest_facts_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_guest *guest = &snap->guests[i];
	json_t *o = json_object();

	SET(o, "uuid", uuid_of(&guest->id));
	SET(o, "name", text_of(snap, guest->name));
	SET(o, "pid",
	    guest->process.tid ? json_integer((json_int_t)guest->process.tid) : json_null());
	SET(o, "domid", index_of(guest->domid));
	SET(o, "pool", index_of(guest->pool));
	SET(o, "driver", index_of(guest->driver));
	SET(o, "weight", number(guest->weight));
	SET(o, "cap",
	    guest->cap == CL_UNKNOWN ? json_null() : json_real(cl_share(guest->cap, CL_PPM)));
	SET(o, "period_ns", number(guest->period_ns));
	SET(o, "budget_ns", number(guest->budget_ns));
	SET(o, "home", nodes_of(guest->home));
	SET(o, "home_most", index_of(guest->home_most.v));
	SET(o, "reaped_ns", number(guest->reaped_ns));
	SET(o, "shared_ns", number(guest->shared_ns));
	SET(o, "wakeup_ns", number(guest->wakeup_ns));
	SET(o, "mem_bytes", number(guest->mem_bytes));
	SET(o, "mem_max_bytes", number(guest->mem_max_bytes));
	SET(o, "balloon_bytes", number(guest->balloon_bytes));
	SET(o, "target_bytes", number(guest->target_bytes));
	SET(o, "used_bytes", number(guest->used_bytes));
	SET(o, "read_ns", number(guest->read_ns));
	SET(o, "vcpus", json_integer((json_int_t)guest->vcpu_count));
	SET(o, "works", json_integer((json_int_t)guest->work_count));
	SET(o, "described", json_boolean(guest->described));
	return complete(o, 24);
}

static json_t *vcpu_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_vcpu *vcpu = &snap->vcpus[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, vcpu->guest));
	SET(o, "index", json_integer((json_int_t)vcpu->index));
	SET(o, "tid", vcpu->thread.tid ? json_integer((json_int_t)vcpu->thread.tid) : json_null());
	SET(o, "cpu", index_of(vcpu->cpu.v));
	SET(o, "cpus", mask_of(snap, vcpu->mask));
	SET(o, "pcpus", mask_of(snap, vcpu->pcpus));
	SET(o, "soft", mask_of(snap, vcpu->soft));
	SET(o, "cgroup", group_of(snap, vcpu->group));
	SET(o, "cpu_ns", number(vcpu->cpu_ns));
	SET(o, "wait_ns", number(vcpu->wait_ns));
	return complete(o, 10);
}

/* Where work i ran: {"CPU": ns}. runs are sorted by work; *at goes on from work to work. */
static json_t *runs_of(const struct cl_snapshot *snap, uint32_t i, uint32_t *at)
{
	json_t *o = json_object();
	size_t n = 0;

	for (; *at < snap->n.runs && snap->runs[*at].work.v == i; (*at)++, n++) {
		char cpu[16];

		snprintf(cpu, sizeof(cpu), "%u", snap->runs[*at].cpu.v);
		SET(o, cpu, number(snap->runs[*at].ns));
	}
	return complete(o, n);
}

static json_t *work_facts_of(const struct cl_snapshot *snap, uint32_t i, uint32_t *run_at)
{
	const struct cl_work *work = &snap->works[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, work->guest));
	SET(o, "tid", json_integer((json_int_t)work->thread.tid));
	SET(o, "start", number(work->thread.start));
	SET(o, "name", escaped(work->name));
	SET(o, "kind", json_string(cl_work_kind_name(work->kind)));
	SET(o, "queue_vcpu", index_of(work->queue_vcpu));
	SET(o, "cpu", index_of(work->cpu.v));
	SET(o, "cpus", mask_of(snap, work->mask));
	SET(o, "cgroup", group_of(snap, work->group));
	SET(o, "cpu_ns", number(work->cpu_ns));
	SET(o, "wait_ns", number(work->wait_ns));
	SET(o, "read_ns", number(work->read_ns));
	SET(o, "bound", json_boolean(work->bound));
	SET(o, "ran", runs_of(snap, i, run_at));
	return complete(o, 14);
}

static json_t *nic_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_nic *nic = &snap->nics[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, nic->guest));
	SET(o, "name", text_of(snap, nic->name));
	SET(o, "handle", index_of(nic->handle));
	SET(o, "threaded", nic->threaded <= 1 ? json_boolean(nic->threaded) : json_null());
	SET(o, "rx_packets", number(nic->rx_packets));
	SET(o, "rx_bytes", number(nic->rx_bytes));
	SET(o, "tx_packets", number(nic->tx_packets));
	SET(o, "tx_bytes", number(nic->tx_bytes));
	return complete(o, 8);
}

static json_t *disk_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_disk *disk = &snap->disks[i];
	json_t *o = json_object();

	SET(o, "guest", guest_of(snap, disk->guest));
	SET(o, "name", text_of(snap, disk->name));
	SET(o, "device", number(disk->device));
	SET(o, "rd_ops", number(disk->rd_ops));
	SET(o, "rd_bytes", number(disk->rd_bytes));
	SET(o, "wr_ops", number(disk->wr_ops));
	SET(o, "wr_bytes", number(disk->wr_bytes));
	return complete(o, 7);
}

static json_t *irq_facts_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_irq *irq = &snap->irqs[i];
	json_t *o = json_object();

	SET(o, "irq", json_integer((json_int_t)irq->number));
	SET(o, "guest", guest_of(snap, irq->guest));
	SET(o, "queue_vcpu", index_of(irq->queue_vcpu));
	SET(o, "name", text_of(snap, irq->name));
	SET(o, "cpus", mask_of(snap, irq->mask));
	SET(o, "count", number(irq->count));
	SET(o, "cpu_ns", number(irq->cpu_ns));
	return complete(o, 7);
}

static json_t *cans_of(const struct cl_snapshot *snap)
{
	json_t *o = json_object();

	for (uint32_t i = 0; i < CL_CAN_COUNT; i++)
		SET(o, cl_can_name((enum cl_can)i),
		    ((snap->can >> i) & 1) ? json_string("yes") : text_of(snap, snap->why_not[i]));
	return complete(o, CL_CAN_COUNT);
}

static json_t *parts_of(const struct cl_snapshot *snap)
{
	static const char *const names[] = {
#define X(id, name) [CL_PART_##id] = name,
		CL_PARTS(X)
#undef X
	};
	json_t *o = json_object();

	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		SET(o, names[i], number(snap->part_ns[i]));
	return complete(o, CL_PART_COUNT);
}

static json_t *dropped_of(const struct cl_snapshot *snap)
{
	json_t *o = json_object();
	size_t n = 0;

#define X(member, type)                                                                            \
	n++;                                                                                       \
	SET(o, #member, number(snap->dropped.member));
	CL_ARRAYS(X)
	X(text, char)
#undef X
	return complete(o, n);
}

static json_t *pool_of(const struct cl_snapshot *snap, uint32_t i)
{
	const struct cl_pool *pool = &snap->pools[i];
	json_t *o = json_object();

	SET(o, "pool", json_integer((json_int_t)pool->id));
	SET(o, "scheduler", text_of(snap, pool->scheduler));
	SET(o, "pcpus", mask_of(snap, pool->pcpus));
	SET(o, "slice_ns", number(pool->slice_ns));
	SET(o, "ratelimit_ns", number(pool->ratelimit_ns));
	return complete(o, 5);
}

static json_t *memory_of(const struct cl_memory *memory)
{
	json_t *o = json_object();

	SET(o, "bytes", number(memory->bytes));
	SET(o, "target_bytes", number(memory->target_bytes));
	SET(o, "max_bytes", number(memory->max_bytes));
	SET(o, "claimed_bytes", number(memory->claimed_bytes));
	SET(o, "total_bytes", number(memory->total_bytes));
	SET(o, "available_bytes", number(memory->available_bytes));
	SET(o, "cpu_stall_ns", number(memory->cpu_stall_ns));
	SET(o, "mem_stall_ns", number(memory->mem_stall_ns));
	return complete(o, 8);
}

json_t *cl_json_snapshot(const struct cl_snapshot *snap)
{
	json_t *o = json_object(), *works = json_array();
	uint32_t run_at = 0;

	SET(o, "taken_ns", number(snap->taken_ns));
	SET(o, "parts", parts_of(snap));
	SET(o, "can", cans_of(snap));
	SET(o, "allowed", mask_of(snap, snap->allowed));
	SET(o, "pool", mask_of(snap, snap->pool));
	SET(o, "memory", memory_of(&snap->memory));
	SET(o, "dropped", dropped_of(snap));
#define LIST(key, array, make)                                                                     \
	do {                                                                                       \
		json_t *list = json_array();                                                       \
		for (uint32_t i = 0; i < snap->n.array; i++)                                       \
			json_array_append_new(list, make(snap, i));                                \
		SET(o, key, complete(list, snap->n.array));                                        \
	} while (0)
	LIST("cpus", cpus, cpu_of);
	LIST("nodes", nodes, node_of);
	LIST("groups", groups, seen_group_of);
	LIST("guests", guests, guest_facts_of);
	LIST("vcpus", vcpus, vcpu_of);
	for (uint32_t i = 0; i < snap->n.works; i++)
		json_array_append_new(works, work_facts_of(snap, i, &run_at));
	SET(o, "works", complete(works, snap->n.works));
	LIST("nics", nics, nic_of);
	LIST("disks", disks, disk_of);
	LIST("irqs", irqs, irq_facts_of);
	LIST("pools", pools, pool_of);
#undef LIST
	return complete(o, 17);
}
