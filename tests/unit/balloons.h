/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloons: domains under a hypervisor whose balloons move memory between them and what is free,
 * each as well as its driver is; for the tests of sizing. The hypervisor's rule holds: a page is a
 * domain's or free, and who wants one takes a free one.
 */
#ifndef CLOSER_TESTS_BALLOONS_H
#define CLOSER_TESTS_BALLOONS_H

#include "ticks.h"

#include <errno.h>

#define HALL_GUESTS 16
#define MIB         (UINT64_C(1) << 20)

struct hall_domain {
	bool there;
	uint32_t uuid, domid;
	uint64_t mem, target, max;
	uint64_t had;   /* when it was made */
	uint64_t speed; /* bytes a tick; 0: no balloon */
	uint64_t gives; /* the most that it gives */
	uint64_t home;
	uint64_t io;   /* bytes so far */
	uint64_t used; /* what it says that it uses */
	uint64_t net;  /* bytes over its network device so far */
	bool has_nic;
	bool steals; /* takes back what it gave, whatever its target */
};

struct hall {
	struct hall_domain dom0, guests[HALL_GUESTS];
	uint64_t total, free, available, now_ns;
	uint32_t can, domids;
	struct cl_params params;
	struct cl_state *state;
	struct cl_snapshot *prev, *now;
	struct cl_plan *plan;
	bool seen;
	int refuse; /* errno of each change, 0: it is done */
};

static inline struct hall_domain *hall_guest(struct hall *h, uint32_t i, uint64_t mem)
{
	struct hall_domain *g = &h->guests[i];

	*g = (struct hall_domain){ .there = true,
				   .uuid = i + 1,
				   .domid = ++h->domids,
				   .mem = mem,
				   .target = mem,
				   .max = mem,
				   .had = mem,
				   .speed = UINT64_MAX,
				   .gives = UINT64_MAX,
				   .used = CL_UNKNOWN,
				   .home = 1 };
	assert_true(h->free >= mem);
	h->free -= mem;
	return g;
}

static inline void hall_remove(struct hall *h, uint32_t i)
{
	h->free += h->guests[i].mem;
	h->guests[i] = (struct hall_domain){ 0 };
}

/* So much memory in all; dom0 has a GiB of it and may have four. */
static inline void hall_init(struct hall *h, uint64_t total)
{
	memset(h, 0, sizeof(*h));
	h->total = total;
	h->free = total - 1024 * MIB;
	h->available = CL_UNKNOWN;
	h->dom0 = (struct hall_domain){ .there = true,
					.mem = 1024 * MIB,
					.target = 1024 * MIB,
					.had = 1024 * MIB,
					.max = 4096 * MIB,
					.speed = UINT64_MAX,
					.gives = UINT64_MAX };
	h->now_ns = 1000 * CL_NS_PER_S;
	h->can = (1u << CL_CAN_COUNT) - 1;
	cl_params_default(&h->params);
	h->params.size = 1;
	h->params.containers = h->params.pin = h->params.fence = 0;
	ticks_new(&h->state, &h->prev, &h->now, &h->plan);
}

static inline void hall_done(struct hall *h)
{
	ticks_free(h->state, h->prev, h->now, h->plan);
}

static inline uint64_t hall_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A balloon works for a tick. */
static inline void hall_move(struct hall *h, struct hall_domain *d)
{
	uint64_t floor = d->had > d->gives ? d->had - d->gives : 0, by;
	uint64_t to = d->steals ? d->had : hall_least(d->target, d->max);

	if (!d->there)
		return;
	to = to < floor ? floor : to;
	if (to < d->mem) {
		by = hall_least(d->mem - to, d->speed);
		d->mem -= by;
		h->free += by;
	} else {
		by = hall_least(hall_least(to - d->mem, d->speed), h->free);
		d->mem += by;
		h->free -= by;
	}
}

static inline struct cl_uuid hall_uuid(uint32_t n)
{
	struct cl_uuid id = { 0 };

	id.b[15] = (uint8_t)n;
	return id;
}

static inline void hall_show(struct hall *h, struct cl_snapshot *snap, const struct hall_domain *is)
{
	struct cl_guest *g = cl_snapshot_add_guests(snap);
	struct cl_guest_ix ix = { (uint32_t)(g - snap->guests) };
	struct cl_disk *disk = cl_snapshot_add_disks(snap);

	g->id = hall_uuid(is->uuid);
	g->process = (struct cl_tid){ 0, 0 };
	g->domid = is->domid;
	g->home = is->home;
	g->reaped_ns = 0;
	g->read_ns = h->now_ns;
	g->mem_bytes = is->mem;
	g->mem_max_bytes = is->max;
	g->target_bytes = is->target;
	g->used_bytes = is->used;
	if (is->has_nic) {
		struct cl_nic *nic = cl_snapshot_add_nics(snap);

		nic->guest = ix;
		nic->name = cl_snapshot_text(snap, "vif");
		nic->rx_bytes = is->net;
		nic->tx_bytes = 0;
	}
	disk->guest = ix;
	disk->name = cl_snapshot_text(snap, "xvda");
	disk->rd_ops = disk->wr_ops = disk->wr_bytes = 0;
	disk->rd_bytes = is->io;
}

/* A second: balloons work, then the host is looked at. */
static inline void hall_tick(struct hall *h)
{
	uint32_t scratch[4096];
	struct cl_snapshot *snap = h->prev;

	h->now_ns += CL_NS_PER_S;
	hall_move(h, &h->dom0);
	for (uint32_t i = 0; i < HALL_GUESTS; i++)
		hall_move(h, &h->guests[i]);
	h->prev = h->now;
	h->now = snap;
	cl_snapshot_reset(snap);
	snap->taken_ns = h->now_ns;
	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		snap->part_ns[i] = h->now_ns;
	snap->can = h->can;
	snap->guests_outside = true;
	for (uint32_t n = 0; n < 2; n++) {
		struct cl_node *node = cl_snapshot_add_nodes(snap);

		node->mem_total_bytes = h->total / 2;
		node->mem_free_bytes = n == 0 ? h->free / 2 : h->free - h->free / 2;
		node->distance[0] = n == 0 ? 10 : 20;
		node->distance[1] = n == 0 ? 20 : 10;
	}
	snap->memory.bytes = h->dom0.mem;
	snap->memory.target_bytes = h->dom0.target;
	snap->memory.max_bytes = h->dom0.max;
	snap->memory.available_bytes = h->available;
	struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

	cpu->online = true;
	cpu->node.v = 0;
	cpu->busy_ns = h->now_ns;
	for (uint32_t i = 0; i < HALL_GUESTS; i++)
		if (h->guests[i].there)
			hall_show(h, snap, &h->guests[i]);
	cl_snapshot_sort(snap, scratch);
	assert_int_equal(cl_snapshot_check(h->seen ? h->prev : NULL, snap), CL_SNAPSHOT_NONE);
	cl_decide(h->seen ? h->prev : NULL, snap, &h->params, h->state, h->plan);
	h->seen = true;
}

static inline struct hall_domain *hall_find(struct hall *h, struct cl_guest_ix guest)
{
	if (guest.v == CL_NONE)
		return &h->dom0;
	for (uint32_t i = 0; i < HALL_GUESTS; i++) {
		struct cl_uuid id = hall_uuid(h->guests[i].uuid);

		if (h->guests[i].there && cl_uuid_compare(&id, &h->now->guests[guest.v].id) == 0)
			return &h->guests[i];
	}
	return NULL;
}

/* What a host would do with the plan. */
static inline void hall_apply(struct hall *h)
{
	for (uint32_t i = 0; i < h->plan->n.actions; i++) {
		const struct cl_action *a = &h->plan->actions[i];
		struct hall_domain *d;

		if (a->kind != CL_ACTION_MEMORY_TARGET || !a->possible)
			continue;
		d = hall_find(h, a->object.guest);
		assert_int_equal(d->target, a->from.number);
		assert_true(a->to.number > 0 && a->to.number % 4096 == 0);
		if (!h->refuse)
			d->target = (uint64_t)a->to.number;
		cl_state_outcome(h->state, &h->params, h->plan, a, h->refuse, h->now_ns);
	}
}

static inline void hall_run(struct hall *h, int ticks)
{
	for (int i = 0; i < ticks; i++) {
		hall_tick(h);
		hall_apply(h);
	}
}

/* The same, while a guest does so many MiB of I/O a second. */
static inline void hall_load(struct hall *h, struct hall_domain *guest, uint64_t mib, int ticks)
{
	for (int i = 0; i < ticks; i++) {
		guest->io += mib * MIB;
		hall_run(h, 1);
	}
}

/* In the last plan. */
static inline const struct cl_size_books *hall_books(const struct hall *h, uint32_t uuid)
{
	struct cl_uuid id = hall_uuid(uuid);

	for (uint32_t i = 0; i < h->now->n.guests; i++)
		if (cl_uuid_compare(&h->now->guests[i].id, &id) == 0)
			return &h->plan->guest_books[i].size;
	return NULL;
}

static inline const struct cl_action *hall_action(const struct hall *h, enum cl_action_kind kind,
						  uint32_t uuid)
{
	struct cl_uuid id = hall_uuid(uuid);

	for (uint32_t i = 0; i < h->plan->n.actions; i++) {
		const struct cl_action *a = &h->plan->actions[i];
		uint32_t guest = a->object.guest.v;

		if (a->kind == kind &&
		    (guest == CL_NONE ? uuid == 0
				      : cl_uuid_compare(&h->now->guests[guest].id, &id) == 0))
			return a;
	}
	return NULL;
}

#endif
