/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * house: guests under a hypervisor whose CPU time, host time and entitlement a test sets each
 * interval; for the tests of charging. Each guest has its vCPUs on one physical CPU, and one thread
 * of the host works for it.
 */
#ifndef CLOSER_TESTS_HOUSE_H
#define CLOSER_TESTS_HOUSE_H

#include "ticks.h"

#define HOUSE_GUESTS 64
#define MS           CL_NS_PER_MS

struct house_guest {
	uint32_t uuid, domid; /* uuid 0: not there */
	uint32_t pcpu, vcpus;
	uint64_t cap, weight, period_ns, budget_ns; /* CL_UNKNOWN: none */
	uint64_t guest_ns, host_ns;                 /* run so far */
	uint64_t sent, received;                    /* packets so far */
};

struct house {
	struct house_guest guests[HOUSE_GUESTS];
	uint32_t pcpus;
	uint64_t now_ns, can;
	uint64_t dom0_ns[8]; /* the privileged domain's vCPU on each of the first physical CPUs */
	struct cl_params params;
	struct cl_state *state;
	struct cl_snapshot *prev, *now;
	struct cl_plan *plan;
	bool seen;
};

static inline struct cl_uuid house_uuid(uint32_t n)
{
	struct cl_uuid id = { 0 };

	for (uint32_t i = 0; i < 4; i++)
		id.b[15 - i] = (uint8_t)(n >> 8 * i);
	return id;
}

static inline struct house_guest *house_guest(struct house *h, uint32_t i, uint32_t uuid)
{
	static uint32_t domids;

	h->guests[i] = (struct house_guest){ .uuid = uuid,
					     .domid = domids++ % 30000 + 1,
					     .vcpus = 1,
					     .cap = CL_UNKNOWN,
					     .weight = CL_UNKNOWN,
					     .period_ns = CL_UNKNOWN,
					     .budget_ns = CL_UNKNOWN };
	return &h->guests[i];
}

static inline void house_init(struct house *h, uint32_t pcpus)
{
	memset(h, 0, sizeof(*h));
	h->pcpus = pcpus;
	h->now_ns = 1000 * CL_NS_PER_S;
	h->can = (1u << CL_CAN_COUNT) - 1;
	cl_params_default(&h->params);
	h->params.charge = CL_CHARGE_CLOSER;
	h->params.place_floor = CL_PPM; /* threads are not the subject */
	h->params.containers = h->params.pin = h->params.fence = 0;
	ticks_new(&h->state, &h->prev, &h->now, &h->plan);
}

static inline void house_done(struct house *h)
{
	ticks_free(h->state, h->prev, h->now, h->plan);
}

static inline struct cl_mask_ix house_mask(struct cl_snapshot *snap, uint32_t first, uint32_t n)
{
	struct cl_cpuset set;

	cl_cpuset_zero(&set);
	for (uint32_t c = first; c < first + n; c++)
		cl_cpuset_add(&set, c);
	return cl_snapshot_mask(snap, &set);
}

static inline void house_show(struct house *h, struct cl_snapshot *snap, struct house_guest *is)
{
	struct cl_guest *g = cl_snapshot_add_guests(snap);
	struct cl_guest_ix ix = { (uint32_t)(g - snap->guests) };
	struct cl_work *w = cl_snapshot_add_works(snap);
	struct cl_nic *nic = cl_snapshot_add_nics(snap);

	g->id = house_uuid(is->uuid);
	g->process = (struct cl_tid){ 0, 0 };
	g->domid = is->domid;
	g->pool = 0;
	g->weight = is->weight;
	g->cap = is->cap;
	g->period_ns = is->period_ns;
	g->budget_ns = is->budget_ns;
	g->read_ns = h->now_ns;
	g->reaped_ns = 0;
	for (uint32_t v = 0; v < is->vcpus; v++) {
		struct cl_vcpu *vcpu = cl_snapshot_add_vcpus(snap);

		vcpu->guest = ix;
		vcpu->index = v;
		vcpu->thread = (struct cl_tid){ 0, 0 };
		vcpu->cpu.v = 0;
		vcpu->pcpus = house_mask(snap, is->pcpu, 1);
		vcpu->cpu_ns = v == 0 ? is->guest_ns : 0;
	}
	w->guest = ix;
	w->kind = CL_WORK_NETBACK_RX;
	w->thread = (struct cl_tid){ (int32_t)is->uuid, is->domid };
	w->mask = house_mask(snap, 0, h->pcpus);
	w->cpu.v = 0;
	w->cpu_ns = is->host_ns;
	w->read_ns = h->now_ns;
	nic->guest = ix;
	nic->name = cl_snapshot_text(snap, "vif");
	nic->rx_packets = is->sent;
	nic->tx_packets = is->received;
}

/* One interval is over: what was run meanwhile has been added to the guests by the caller. */
static inline void house_tick(struct house *h, uint64_t span_ns)
{
	uint32_t scratch[4096];
	struct cl_snapshot *snap = h->prev;

	h->now_ns += span_ns;
	h->prev = h->now;
	h->now = snap;
	cl_snapshot_reset(snap);
	snap->taken_ns = h->now_ns;
	for (uint32_t i = 0; i < CL_PART_COUNT; i++)
		snap->part_ns[i] = h->now_ns;
	snap->can = (uint32_t)h->can;
	snap->guests_outside = true;
	cl_snapshot_add_nodes(snap)->distance[0] = 10;
	for (uint32_t c = 0; c < h->pcpus; c++) {
		struct cl_cpu *cpu = cl_snapshot_add_cpus(snap);

		cpu->online = true;
		cpu->node.v = 0;
		cpu->core = cpu->pcpu = c;
		cpu->busy_ns = c < 8 ? h->dom0_ns[c] : CL_UNKNOWN;
		cpu->pins = house_mask(snap, c, 1);
	}
	struct cl_pool *pool = cl_snapshot_add_pools(snap);

	pool->id = 0;
	pool->pcpus = snap->pool = snap->allowed = house_mask(snap, 0, h->pcpus);
	for (uint32_t i = 0; i < HOUSE_GUESTS; i++)
		if (h->guests[i].uuid)
			house_show(h, snap, &h->guests[i]);
	cl_snapshot_sort(snap, scratch);
	assert_int_equal(cl_snapshot_check(h->seen ? h->prev : NULL, snap), CL_SNAPSHOT_NONE);
	cl_decide(h->seen ? h->prev : NULL, snap, &h->params, h->state, h->plan);
	h->seen = true;
}

static inline struct house_guest *house_find(struct house *h, const struct cl_uuid *id)
{
	for (uint32_t i = 0; i < HOUSE_GUESTS; i++) {
		struct cl_uuid is = house_uuid(h->guests[i].uuid);

		if (h->guests[i].uuid && cl_uuid_compare(&is, id) == 0)
			return &h->guests[i];
	}
	return NULL;
}

static inline uint64_t *house_setting(struct house_guest *g, enum cl_lever lever)
{
	return lever == CL_LEVER_CAP      ? &g->cap
	       : lever == CL_LEVER_WEIGHT ? &g->weight
					  : &g->budget_ns;
}

/* What a host would do; the number of settings that were changed. */
static inline uint32_t house_apply(struct house *h)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->plan->n.actions; i++) {
		const struct cl_action *a = &h->plan->actions[i];
		enum cl_lever lever = cl_action_kind_lever(a->kind);

		if (lever == CL_LEVER_COUNT || cl_action_kind_releases(a->kind) || !a->possible)
			continue;
		uint64_t *is =
			house_setting(house_find(h, &h->now->guests[a->object.guest.v].id), lever);

		assert_int_equal(*is, a->from.number);
		*is = (uint64_t)a->to.number;
		cl_state_outcome(h->state, &h->params, h->plan, a, 0, h->now_ns);
		n++;
	}
	return n;
}

/* Of this guest in the last plan; NULL: it was not there. */
static inline const struct cl_charge_books *house_books(const struct house *h, uint32_t uuid)
{
	struct cl_uuid id = house_uuid(uuid);

	for (uint32_t i = 0; i < h->now->n.guests; i++)
		if (cl_uuid_compare(&h->now->guests[i].id, &id) == 0)
			return &h->plan->guest_books[i].charge;
	return NULL;
}

static inline const struct cl_action *house_action(const struct house *h, enum cl_action_kind kind)
{
	for (uint32_t i = 0; i < h->plan->n.actions; i++)
		if (h->plan->actions[i].kind == kind)
			return &h->plan->actions[i];
	return NULL;
}

#endif
