/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The snapshot out of guests, their threads, and what a machine says of them. */
#include "guests.h"

#include "lib.h"
#include "numa.h"

#include <errno.h>
#include <string.h>

/* ---- threads ---- */

static bool is_claimed(const struct cl_qemu_guest *guest, uint32_t index)
{
	return guest->claimed[index / 64] >> (index % 64) & 1u;
}

/*
 * The description first: it names tids, and names are free text. Who was born after the description
 * is known by its name until the next one; a name that says vCPU is believed for an index that the
 * description does not give to another thread, since a vCPU that was plugged in just now must not
 * be placed like a helper.
 */
static void role_in(struct cl_qemu_guest *guest, const struct cl_thread *thread,
		    struct cl_build_role *ret_role)
{
	bool is_old = thread->id.start < guest->born_before;
	const struct cl_qemu_thread *vcpu =
		is_old ? cl_qemu_facts_vcpu(&guest->facts, thread->id.tid) : NULL;
	enum cl_work_kind kind;
	uint32_t index;
	enum cl_qemu_named named = cl_qemu_by_name(thread->comm, &index, &kind);

	guest->named |= named == CL_QEMU_NAMED_VCPU;
	ret_role->as = CL_BUILD_WORK;
	ret_role->kind = CL_WORK_HELPER;
	if (vcpu) {
		ret_role->as = CL_BUILD_VCPU;
		ret_role->vcpu = vcpu->index;
	} else if (thread->id.tid == guest->process.tid) {
		ret_role->kind = CL_WORK_MAIN_LOOP;
	} else if (is_old && cl_qemu_facts_iothread(&guest->facts, thread->id.tid)) {
		ret_role->kind = CL_WORK_IOTHREAD;
	} else if (named == CL_QEMU_NAMED_VCPU) {
		guest->wanted |= !is_old;
		if (!is_claimed(guest, index)) {
			ret_role->as = CL_BUILD_VCPU;
			ret_role->vcpu = index;
		}
	} else if (named == CL_QEMU_NAMED_WORK) {
		guest->wanted |= !is_old && kind == CL_WORK_IOTHREAD;
		ret_role->kind = kind;
	} else {
		guest->wanted |= !is_old;
	}
}

static void role(void *ctx, const struct cl_thread *thread, struct cl_build_role *ret_role)
{
	const struct cl_qemu *q = ctx;
	struct cl_qemu_guest *guest = thread->tag < q->guest_count ? q->guests[thread->tag] : NULL;

	if (!guest || guest->ix.v == CL_NONE)
		return;
	ret_role->guest = guest->ix;
	if (thread->process == guest->process.tid) {
		role_in(guest, thread, ret_role);
		return;
	}
	/* Followed beside its process: a vhost kernel thread, checked by held_read. */
	ret_role->as = CL_BUILD_WORK;
	ret_role->kind = CL_WORK_VHOST;
}

/* ---- guests ---- */

static void read_home(struct cl_qemu *q, struct cl_qemu_guest *guest, uint64_t now_ns)
{
	uint64_t bytes[CL_NODES_MAX], most = 0;
	struct cl_error err;

	guest->home_ns = now_ns;
	if (cl_numa_home(guest->process.tid, bytes, &err) < 0) {
		if (err.code != ESRCH)
			snprintf(q->home_problem, sizeof(q->home_problem), "%s", err.text);
		return; /* what was known stays */
	}
	q->home_problem[0] = '\0';
	guest->home = cl_numa_nodes(bytes);
	guest->home_most.v = CL_NONE;
	for (uint32_t i = 0; i < CL_NODES_MAX; i++)
		if (bytes[i] > most) {
			most = bytes[i];
			guest->home_most.v = i;
		}
}

/*
 * At first sight as many as there is time for, since the first placement goes by it; later one a
 * tick: each is a walk of page tables.
 */
void cl_qemu_read_homes(struct cl_qemu *q, uint64_t deadline_ns)
{
	bool again = false;

	for (uint32_t i = 0; i < q->guest_count; i++) {
		struct cl_qemu_guest *guest = q->guests[i];
		uint64_t now_ns = cl_clock_ns();

		if (!guest ||
		    (guest->home_ns && (again || now_ns - guest->home_ns < CL_QEMU_HOME_NS)))
			continue;
		again |= guest->home_ns != 0;
		read_home(q, guest, now_ns);
		if (cl_clock_ns() >= deadline_ns)
			return;
	}
}

/* proc_pid_statm(5): "size resident ...", in pages. */
static uint64_t resident_bytes(const struct cl_qemu_guest *guest)
{
	char text[128], *resident;
	uint64_t pages;

	if (guest->statm < 0 || cl_read_fd(guest->statm, text, sizeof(text)) <= 0)
		return CL_UNKNOWN;
	resident = strchr(text, ' ');
	if (!resident || !cl_parse_u64(resident + 1, &pages, NULL))
		return CL_UNKNOWN;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t read_counter(int fd)
{
	char text[32];
	uint64_t value;

	if (fd < 0 || cl_read_fd(fd, text, sizeof(text)) <= 0 || !cl_parse_u64(text, &value, NULL))
		return CL_UNKNOWN;
	return value;
}

static void add_devices(const struct cl_qemu_guest *guest, struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < guest->nic_count; i++) {
		struct cl_nic *nic = cl_snapshot_add_nics(snap);

		if (!nic)
			break;
		nic->guest = guest->ix;
		nic->name = cl_snapshot_text(snap, guest->nics[i].name);
		nic->rx_packets = read_counter(guest->nics[i].counters[0]);
		nic->rx_bytes = read_counter(guest->nics[i].counters[1]);
		nic->tx_packets = read_counter(guest->nics[i].counters[2]);
		nic->tx_bytes = read_counter(guest->nics[i].counters[3]);
	}
	for (uint32_t i = 0; i < guest->facts.disk_count; i++) {
		const struct cl_qemu_disk *from = &guest->facts.disks[i];
		struct cl_disk *disk = cl_snapshot_add_disks(snap);

		if (!disk)
			break;
		disk->guest = guest->ix;
		disk->name = cl_snapshot_text(snap, from->name);
		disk->rd_ops = from->rd_ops;
		disk->rd_bytes = from->rd_bytes;
		disk->wr_ops = from->wr_ops;
		disk->wr_bytes = from->wr_bytes;
	}
}

static void add_guest(struct cl_qemu_guest *guest, struct cl_snapshot *snap)
{
	uint64_t nodes = snap->n.nodes < 64 ? (UINT64_C(1) << snap->n.nodes) - 1 : UINT64_MAX;
	/* What the operator wrote goes before what the guest's process says of itself. */
	const char *name = guest->name[0] ? guest->name : guest->facts.name;
	struct cl_guest *out =
		guest->id_from == CL_QEMU_ID_NONE ? NULL : cl_snapshot_add_guests(snap);

	guest->ix.v = CL_NONE;
	guest->named = false;
	if (!out)
		return;
	guest->ix.v = (uint32_t)(out - snap->guests);
	out->id = guest->id;
	out->name = cl_snapshot_text(snap, name);
	out->process = guest->process;
	out->home = guest->home & nodes;
	out->home_most.v = guest->home_most.v < snap->n.nodes ? guest->home_most.v : CL_NONE;
	out->mem_bytes = resident_bytes(guest);
	out->mem_max_bytes = guest->facts.mem_bytes;
	out->balloon_bytes = guest->facts.balloon_bytes;
	out->described = guest->described;
	add_devices(guest, snap);
}

/*
 * Are its threads known, by a description or by their names? Else any helper of it may be a vCPU,
 * and must not be acted on: neither it nor the guest counts as read.
 */
static void date_guests(const struct cl_qemu *q, struct cl_snapshot *snap)
{
	for (uint32_t i = 0; i < q->guest_count; i++) {
		const struct cl_qemu_guest *guest = q->guests[i];

		if (guest && guest->ix.v != CL_NONE)
			snap->guests[guest->ix.v].read_ns =
				guest->described_ns || guest->named ? snap->taken_ns : 0;
	}
	for (uint32_t i = 0; i < snap->n.works; i++) {
		struct cl_work *work = &snap->works[i];

		if (work->kind == CL_WORK_HELPER && work->guest.v != CL_NONE &&
		    snap->guests[work->guest.v].read_ns == 0)
			work->read_ns = 0;
	}
}

/* ---- interrupts ---- */

static struct cl_guest_ix irq_owner(void *ctx, const char *name)
{
	const struct cl_qemu *q = ctx;
	uint64_t bdf = 0;
	bool has_bdf = cl_qemu_irq_bdf(name, &bdf);

	for (uint32_t i = 0; i < q->guest_count; i++) {
		const struct cl_qemu_guest *guest = q->guests[i];

		if (!guest)
			continue;
		for (uint32_t j = 0; has_bdf && j < guest->vfio_count; j++)
			if (guest->vfio[j] == bdf)
				return guest->ix;
		for (uint32_t j = 0; j < guest->nic_count; j++)
			if (strcmp(guest->nics[j].name, name) == 0)
				return guest->ix;
	}
	return (struct cl_guest_ix){ CL_NONE };
}

static void add_irqs(struct cl_qemu *q, struct cl_snapshot *snap)
{
	struct cl_error err;

	q->irq_problem[0] = '\0';
	if (q->irqs && cl_irqs_observe(q->irqs, snap, irq_owner, q, &err) < 0)
		snprintf(q->irq_problem, sizeof(q->irq_problem), "%s", err.text);
}

int cl_qemu_fill(struct cl_qemu *q, struct cl_snapshot *snap, struct cl_error *reterr)
{
	bool changed;
	int r;

	snap->taken_ns = cl_clock_ns();
	r = cl_topology_observe(q->topology, snap, reterr);
	if (r == 0)
		r = cl_build_refresh(q->build, q->threads, &changed, reterr);
	if (r < 0)
		return r;
	cl_qemu_drop_gone(q);
	for (uint32_t i = 0; i < q->guest_count; i++)
		if (q->guests[i])
			add_guest(q->guests[i], snap);
	snap->part_ns[CL_PART_GUESTS] = snap->part_ns[CL_PART_MEMORY] = snap->taken_ns;
	r = cl_build_threads(q->build, q->threads, snap, role, q, reterr);
	if (r < 0)
		return r;
	date_guests(q, snap);
	add_irqs(q, snap);
	if (!q->home_problem[0])
		snap->can |= UINT32_C(1) << CL_CAN_MEMORY_NODES;
	snap->why_not[CL_CAN_MEMORY_NODES] = cl_snapshot_text(snap, q->home_problem);
	snap->dropped.guests += q->dropped_guests;
	cl_build_finish(q->build, q->threads, snap);
	return 0;
}
