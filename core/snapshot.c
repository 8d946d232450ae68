/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot's memory, and how a host fills it. Order and checks are in snapshot_order.c. */
#include <closer/snapshot.h>

#include "mask_table.h"

#include <assert.h>
#include <string.h>

const struct cl_limits cl_limits_default = {
	.cpus = CL_CPUS_MAX,
	.nodes = CL_NODES_MAX,
	.masks = 4096,
	.groups = 16384,
	.guests = 4096,
	.vcpus = 65536,
	.works = 65536,
	.runs = 262144,
	.nics = 16384,
	.disks = 16384,
	.irqs = 8192,
	.pools = 256,
	.text = 4u << 20,
};

const struct cl_limits cl_limits_small = {
	.cpus = 64,
	.nodes = 8,
	.masks = 256,
	.groups = 256,
	.guests = 64,
	.vcpus = 512,
	.works = 1024,
	.runs = 4096,
	.nics = 128,
	.disks = 128,
	.irqs = 128,
	.pools = 8,
	.text = 64u << 10,
};

static const char *const kind_names[] = {
#define X(id, name, origin, doc) [CL_WORK_##id] = name,
	CL_WORK_KINDS(X)
#undef X
};

static const enum cl_origin kind_origins[] = {
#define X(id, name, origin, doc) [CL_WORK_##id] = origin,
	CL_WORK_KINDS(X)
#undef X
};

static const char *const can_names[] = {
#define X(id, name, lost) [CL_CAN_##id] = name,
	CL_CANS(X)
#undef X
};

static const char *const can_losts[] = {
#define X(id, name, lost) [CL_CAN_##id] = lost,
	CL_CANS(X)
#undef X
};

const char *cl_work_kind_name(enum cl_work_kind kind)
{
	assert(kind < CL_WORK_KIND_COUNT);
	return kind_names[kind];
}

enum cl_origin cl_work_kind_origin(enum cl_work_kind kind)
{
	assert(kind < CL_WORK_KIND_COUNT);
	return kind_origins[kind];
}

const char *cl_can_name(enum cl_can can)
{
	assert(can < CL_CAN_COUNT);
	return can_names[can];
}

const char *cl_can_lost(enum cl_can can)
{
	assert(can < CL_CAN_COUNT);
	return can_losts[can];
}

static size_t aligned(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

size_t cl_snapshot_bytes(const struct cl_limits *cap)
{
	size_t bytes = 0;

#define X(member, type) bytes += aligned(cap->member * sizeof(type));
	CL_ARRAYS(X)
#undef X
	bytes += aligned(mask_table_slots(cap->masks) * sizeof(uint32_t));
	return bytes + aligned(cap->text);
}

void cl_snapshot_init(struct cl_snapshot *ret_snap, const struct cl_limits *cap, void *memory)
{
	char *at = memory;

	assert(((uintptr_t)memory & 63) == 0);
	assert(cap->text > 0 && cap->cpus <= CL_CPUS_MAX && cap->nodes <= CL_NODES_MAX);
	memset(ret_snap, 0, sizeof(*ret_snap));
	ret_snap->cap = *cap;
#define X(member, type)                                                                            \
	ret_snap->member = (type *)(void *)at;                                                     \
	at += aligned(cap->member * sizeof(type));
	CL_ARRAYS(X)
#undef X
	ret_snap->mask_slot_count = mask_table_slots(cap->masks);
	ret_snap->mask_slots = (uint32_t *)(void *)at;
	at += aligned(ret_snap->mask_slot_count * sizeof(uint32_t));
	ret_snap->text = at;
	cl_snapshot_reset(ret_snap);
}

void cl_snapshot_reset(struct cl_snapshot *snap)
{
	snap->taken_ns = 0;
	memset(snap->part_ns, 0, sizeof(snap->part_ns));
	snap->can = 0;
	memset(snap->why_not, 0, sizeof(snap->why_not));
	snap->guests_outside = false;
	snap->allowed.v = CL_NONE;
	snap->pool.v = CL_NONE;
	memset(&snap->memory, 0xff, sizeof(snap->memory)); /* CL_UNKNOWN */
	memset(&snap->n, 0, sizeof(snap->n));
	memset(&snap->dropped, 0, sizeof(snap->dropped));
	memset(snap->mask_slots, 0, snap->mask_slot_count * sizeof(uint32_t));
	snap->text[0] = '\0';
	snap->n.text = 1;
}

/* What a new element holds until the host says more: nothing known, pointing nowhere. */
#define DEFAULT_cpus                                                                               \
	{                                                                                          \
		.node = { CL_NONE }, .core = CL_NONE, .busy_ns = CL_UNKNOWN, .irq_ns = CL_UNKNOWN, \
		.idle_ns = CL_UNKNOWN, .steal_ns = CL_UNKNOWN, .main_ns = CL_UNKNOWN,              \
		.kernel_ns = CL_UNKNOWN, .overhead_ns = CL_UNKNOWN, .pcpu = CL_NONE, .pins = {     \
			CL_NONE                                                                    \
		}                                                                                  \
	}
#define DEFAULT_nodes                                                                              \
	{                                                                                          \
		.mem_total_bytes = CL_UNKNOWN, .mem_free_bytes = CL_UNKNOWN                        \
	}
#define DEFAULT_masks                                                                              \
	{                                                                                          \
		.hash = 0                                                                          \
	}
#define DEFAULT_groups                                                                             \
	{                                                                                          \
		.cpus = { CL_NONE }                                                                \
	}
#define DEFAULT_guests                                                                             \
	{                                                                                          \
		.home_most = { CL_NONE }, .mem_bytes = CL_UNKNOWN, .mem_max_bytes = CL_UNKNOWN,    \
		.balloon_bytes = CL_UNKNOWN, .domid = CL_NONE, .pool = CL_NONE, .driver = CL_NONE, \
		.weight = CL_UNKNOWN, .cap = CL_UNKNOWN, .period_ns = CL_UNKNOWN,                  \
		.budget_ns = CL_UNKNOWN                                                            \
	}
#define DEFAULT_vcpus                                                                              \
	{                                                                                          \
		.guest = { CL_NONE }, .cpu = { CL_NONE }, .mask = { CL_NONE },                     \
		.pcpus = { CL_NONE }, .soft = { CL_NONE }, .group = { CL_NONE },                   \
		.cpu_ns = CL_UNKNOWN, .wait_ns = CL_UNKNOWN                                        \
	}
#define DEFAULT_works                                                                              \
	{                                                                                          \
		.guest = { CL_NONE }, .queue_vcpu = CL_NONE, .cpu = { CL_NONE },                   \
		.mask = { CL_NONE }, .group = { CL_NONE }, .cpu_ns = CL_UNKNOWN,                   \
		.wait_ns = CL_UNKNOWN                                                              \
	}
#define DEFAULT_runs                                                                               \
	{                                                                                          \
		.work = { CL_NONE }, .cpu = { CL_NONE }                                            \
	}
#define DEFAULT_nics                                                                               \
	{                                                                                          \
		.guest = { CL_NONE }, .handle = CL_NONE, .threaded = CL_NONE,                      \
		.rx_packets = CL_UNKNOWN, .rx_bytes = CL_UNKNOWN, .tx_packets = CL_UNKNOWN,        \
		.tx_bytes = CL_UNKNOWN                                                             \
	}
#define DEFAULT_disks                                                                              \
	{                                                                                          \
		.guest = { CL_NONE }, .device = CL_UNKNOWN, .rd_ops = CL_UNKNOWN,                  \
		.rd_bytes = CL_UNKNOWN, .wr_ops = CL_UNKNOWN, .wr_bytes = CL_UNKNOWN               \
	}
#define DEFAULT_irqs                                                                               \
	{                                                                                          \
		.guest = { CL_NONE }, .queue_vcpu = CL_NONE, .mask = { CL_NONE },                  \
		.count = CL_UNKNOWN, .cpu = { CL_NONE }, .cpu_ns = CL_UNKNOWN                      \
	}
#define DEFAULT_pools                                                                              \
	{                                                                                          \
		.pcpus = { CL_NONE }, .slice_ns = CL_UNKNOWN, .ratelimit_ns = CL_UNKNOWN           \
	}

#define X(member, type)                                                                            \
	type *cl_snapshot_add_##member(struct cl_snapshot *snap)                                   \
	{                                                                                          \
		if (snap->n.member == snap->cap.member) {                                          \
			snap->dropped.member++;                                                    \
			return NULL;                                                               \
		}                                                                                  \
		type *element = &snap->member[snap->n.member++];                                   \
		*element = (type)DEFAULT_##member;                                                 \
		return element;                                                                    \
	}
CL_ARRAYS(X)
#undef X

struct cl_mask_ix cl_snapshot_mask(struct cl_snapshot *snap, const struct cl_cpuset *set)
{
	uint32_t i = mask_table_intern(snap->masks, &snap->n.masks, snap->cap.masks,
				       snap->mask_slots, snap->mask_slot_count, set);

	if (i == CL_NONE)
		snap->dropped.masks++;
	return (struct cl_mask_ix){ i };
}

struct cl_text cl_snapshot_text(struct cl_snapshot *snap, const char *text)
{
	size_t len = strnlen(text, CL_PATH_MAX - 1);

	if (len == 0)
		return (struct cl_text){ 0 };
	if (len + 1 > snap->cap.text - snap->n.text) {
		snap->dropped.text++;
		return (struct cl_text){ 0 };
	}
	uint32_t at = snap->n.text;

	memcpy(snap->text + at, text, len);
	snap->text[at + len] = '\0';
	snap->n.text += (uint32_t)len + 1;
	return (struct cl_text){ at };
}

const char *cl_snapshot_str(const struct cl_snapshot *snap, struct cl_text text)
{
	assert(text.at < snap->n.text);
	return snap->text + text.at;
}

const struct cl_cpuset *cl_snapshot_set(const struct cl_snapshot *snap, struct cl_mask_ix mask)
{
	assert(mask.v < snap->n.masks);
	return &snap->masks[mask.v].set;
}
