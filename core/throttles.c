/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttles: what holds a guest back. One kind each: what its network back end takes from it, the
 * CPU time of its container, what that reads and writes, packets to it.
 *
 * Compare and set, as everywhere: a throttle is ours to set where nobody has set it, or where it is
 * as we set it last. What is set is not in the snapshot: who applies compares, and an ESTALE says
 * that it is somebody's.
 */
#include "ledger.h"
#include "tick.h"
#include "state_order.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

uint64_t cl_throttle_key(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return hash;
}

/* A quota's is the kernel's own default; a rate's is short, so that what is held is not held long.
 */
uint64_t cl_throttle_period_ns(enum cl_action_kind kind)
{
	if (kind == CL_ACTION_NIC_RATE)
		return 50 * CL_NS_PER_MS;
	if (kind == CL_ACTION_GROUP_QUOTA)
		return 100 * CL_NS_PER_MS;
	return kind == CL_ACTION_GROUP_IO || kind == CL_ACTION_PACKET_RATE ? CL_NS_PER_S : 0;
}

/* Least that is set, each period: a guest that is held back is not cut off. */
uint64_t throttle_floor(enum cl_action_kind kind)
{
	if (kind == CL_ACTION_NIC_RATE)
		return 1514; /* a frame */
	if (kind == CL_ACTION_GROUP_QUOTA)
		return CL_NS_PER_MS; /* kernel/sched/core.c: min_cfs_quota_period */
	return kind == CL_ACTION_GROUP_IO ? 65536 : 50;
}

/* ---- the guest's devices, and what was asked of them ---- */

static uint64_t growth(uint64_t before, uint64_t after)
{
	if (before == CL_UNKNOWN || after == CL_UNKNOWN || after < before)
		return 0;
	return after - before;
}

static uint32_t find_guest(const struct cl_snapshot *snap, const struct cl_uuid *id)
{
	uint32_t low = 0, high = snap->n.guests;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (cl_uuid_compare(&snap->guests[mid].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < snap->n.guests && cl_uuid_compare(&snap->guests[low].id, id) == 0 ? low
										       : CL_NONE;
}

/* Devices are sorted by guest: the first of this one's. */
#define FIRST_OF(snap, array, guest_)                                                              \
	({                                                                                         \
		uint32_t low_ = 0, high_ = (snap)->n.array;                                        \
		while (low_ < high_) {                                                             \
			uint32_t mid_ = low_ + (high_ - low_) / 2;                                 \
			if ((snap)->array[mid_].guest.v < (guest_))                                \
				low_ = mid_ + 1;                                                   \
			else                                                                       \
				high_ = mid_;                                                      \
		}                                                                                  \
		low_;                                                                              \
	})

static const struct cl_nic *nic_before(const struct tick *tick, uint32_t guest_before,
				       const struct cl_nic *nic)
{
	const struct cl_snapshot *prev = tick->prev;
	const char *name = cl_snapshot_str(tick->now, nic->name);

	if (guest_before == CL_NONE)
		return NULL;
	for (uint32_t i = FIRST_OF(prev, nics, guest_before);
	     i < prev->n.nics && prev->nics[i].guest.v == guest_before; i++)
		if (strcmp(cl_snapshot_str(prev, prev->nics[i].name), name) == 0)
			return &prev->nics[i];
	return NULL;
}

static const struct cl_disk *disk_before(const struct tick *tick, uint32_t guest_before,
					 const struct cl_disk *disk)
{
	const struct cl_snapshot *prev = tick->prev;
	const char *name = cl_snapshot_str(tick->now, disk->name);

	if (guest_before == CL_NONE)
		return NULL;
	for (uint32_t i = FIRST_OF(prev, disks, guest_before);
	     i < prev->n.disks && prev->disks[i].guest.v == guest_before; i++)
		if (strcmp(cl_snapshot_str(prev, prev->disks[i].name), name) == 0)
			return &prev->disks[i];
	return NULL;
}

void ask_devices(const struct tick *tick, uint32_t guest, struct asked *ret_asked)
{
	const struct cl_snapshot *now = tick->now;
	uint32_t before = find_guest(tick->prev, &now->guests[guest].id);

	memset(ret_asked, 0, sizeof(*ret_asked));
	for (uint32_t i = FIRST_OF(now, nics, guest);
	     i < now->n.nics && now->nics[i].guest.v == guest; i++) {
		const struct cl_nic *b = &now->nics[i], *a = nic_before(tick, before, b);

		ret_asked->sent += a ? growth(a->rx_packets, b->rx_packets) : 0;
		ret_asked->received += a ? growth(a->tx_packets, b->tx_packets) : 0;
		ret_asked->bytes += a ? growth(a->rx_bytes, b->rx_bytes) : 0;
		ret_asked->bytes += a ? growth(a->tx_bytes, b->tx_bytes) : 0;
	}
	for (uint32_t i = FIRST_OF(now, disks, guest);
	     i < now->n.disks && now->disks[i].guest.v == guest; i++) {
		const struct cl_disk *b = &now->disks[i], *a = disk_before(tick, before, b);

		ret_asked->requests += a ? growth(a->rd_ops, b->rd_ops) : 0;
		ret_asked->requests += a ? growth(a->wr_ops, b->wr_ops) : 0;
		ret_asked->bytes += a ? growth(a->rd_bytes, b->rd_bytes) : 0;
		ret_asked->bytes += a ? growth(a->wr_bytes, b->wr_bytes) : 0;
	}
}

/* ---- throttles ---- */

/* The slot of this one, or a free one; NULL: there are too many. */
static struct cl_state_throttle *slot(struct cl_state_guard *guard, enum cl_action_kind kind,
				      uint64_t key)
{
	struct cl_state_throttle *found = NULL;

	for (uint32_t i = 0; i < CL_THROTTLES_MAX; i++) {
		struct cl_state_throttle *l = &guard->throttles[i];

		if (l->kind == (uint32_t)kind && l->key == key)
			return l;
		if (l->kind == 0 && !found)
			found = l;
	}
	return found;
}

static struct throttle *add(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
			    uint64_t key, uint64_t units, struct throttles *throttles)
{
	struct cl_state_throttle *state = slot(&tick->state->guests[guest].guard, kind, key);
	struct throttle *throttle = &throttles->of[throttles->n];

	if (!state || state->foreign || state->backoff.retry_ns > tick->now->taken_ns ||
	    throttles->n == CL_THROTTLES_MAX)
		return NULL;
	state->kind = kind;
	state->key = key;
	*throttle = (struct throttle){ .kind = kind,
				       .state = state,
				       .nic = { CL_NONE },
				       .asked = mul_div(units, cl_throttle_period_ns(kind),
							tick->plan->books.span_ns, NULL) };
	throttles->n++;
	return throttle;
}

static void add_nics(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
		     struct throttles *throttles)
{
	const struct cl_snapshot *now = tick->now;
	uint32_t before = find_guest(tick->prev, &now->guests[guest].id);

	for (uint32_t i = FIRST_OF(now, nics, guest);
	     i < now->n.nics && now->nics[i].guest.v == guest; i++) {
		const struct cl_nic *b = &now->nics[i], *a = nic_before(tick, before, b);
		struct throttle *throttle;
		uint64_t units = 0;

		if (kind == CL_ACTION_NIC_RATE && b->handle == CL_NONE)
			continue;
		if (a)
			units = kind == CL_ACTION_NIC_RATE ? growth(a->rx_bytes, b->rx_bytes)
							   : growth(a->tx_packets, b->tx_packets);
		throttle = add(tick, guest, kind, cl_throttle_key(cl_snapshot_str(now, b->name)),
			       units, throttles);
		if (throttle)
			throttle->nic.v = i;
	}
}

static void add_disks(struct tick *tick, uint32_t guest, struct throttles *throttles)
{
	const struct cl_snapshot *now = tick->now;
	uint32_t before = find_guest(tick->prev, &now->guests[guest].id);

	for (uint32_t i = FIRST_OF(now, disks, guest);
	     i < now->n.disks && now->disks[i].guest.v == guest; i++) {
		const struct cl_disk *b = &now->disks[i], *a = disk_before(tick, before, b);
		uint64_t rd = a ? growth(a->rd_bytes, b->rd_bytes) : 0,
			 wr = a ? growth(a->wr_bytes, b->wr_bytes) : 0;

		if (b->device != CL_UNKNOWN)
			add(tick, guest, CL_ACTION_GROUP_IO, b->device, rd > wr ? rd : wr,
			    throttles);
	}
}

static bool is_possible(const struct tick *tick, uint32_t guest, enum cl_action_kind kind)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_group_ref ref = { .tag = CL_GROUP_GUEST,
				    .seen = { CL_NONE },
				    .guest = now->guests[guest].id };

	if (kind == CL_ACTION_NIC_RATE)
		return CL_CAN(now, RATE);
	if (kind == CL_ACTION_PACKET_RATE)
		return CL_CAN(now, PACKET_RATE);
	if (kind == CL_ACTION_GROUP_QUOTA ? !CL_CAN(now, QUOTA) : !CL_CAN(now, IO_LIMIT))
		return false;
	return group_there(now, &ref);
}

void throttles_of(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
		  uint64_t contained_ns, struct throttles *throttles)
{
	if (!is_possible(tick, guest, kind))
		return;
	if (kind == CL_ACTION_GROUP_QUOTA)
		add(tick, guest, kind, 0, contained_ns, throttles);
	else if (kind == CL_ACTION_GROUP_IO)
		add_disks(tick, guest, throttles);
	else
		add_nics(tick, guest, kind, throttles);
}

static struct cl_action *action(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
				const struct cl_why *why)
{
	struct cl_action *a = cl_plan_add(tick->plan, kind);

	if (!a)
		return NULL;
	a->object.guest.v = guest;
	if (kind == CL_ACTION_GROUP_QUOTA || kind == CL_ACTION_GROUP_IO) {
		a->object.group.tag = CL_GROUP_GUEST;
		a->object.group.guest = tick->now->guests[guest].id;
	}
	a->why = *why;
	return a;
}

static void value(struct cl_value *ret, enum cl_action_kind kind, uint64_t number)
{
	ret->tag = number == 0 ? CL_VALUE_ABSENT : CL_VALUE_LIMIT;
	ret->number = (int64_t)number;
	ret->period_ns = number == 0 ? 0 : cl_throttle_period_ns(kind);
}

void throttle_set(struct tick *tick, uint32_t guest, const struct throttle *throttle, uint64_t to,
		  const struct cl_why *why)
{
	struct cl_action *a = action(tick, guest, throttle->kind, why);

	if (!a)
		return;
	a->object.nic = throttle->nic;
	a->object.key = throttle->state->key;
	value(&a->from, throttle->kind, throttle->state->set);
	value(&a->to, throttle->kind, to);
	a->first = throttle->state->set == 0;
}

void throttle_cannot(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
		     const struct cl_why *why)
{
	struct cl_action *a = action(tick, guest, kind, why);

	if (!a)
		return;
	a->from.tag = a->to.tag = CL_VALUE_ABSENT;
	a->possible = false;
}

/* ---- what the engine says ---- */

void throttle_outcome(struct cl_state *state, const struct cl_params *params,
		      const struct cl_action *action, int code, uint64_t now_ns)
{
	struct cl_state_throttle *l;

	if (action->object.guest.v >= state->n.guests)
		return;
	l = slot(&state->guests[action->object.guest.v].guard, action->kind, action->object.key);
	if (!l || l->kind == 0)
		return;
	if (code == 0) {
		l->set = action->to.tag == CL_VALUE_LIMIT ? (uint64_t)action->to.number : 0;
		l->set_ns = now_ns;
		l->backoff = (struct cl_backoff){ 0, 0 };
	} else if (code == ESTALE) {
		/* Made anew, it has nothing of ours: tried once more from nothing. */
		l->foreign = action->from.tag == CL_VALUE_ABSENT;
		l->set = 0;
	} else if (code == ESRCH || code == ENOENT) {
		l->set = 0;
	} else {
		back_off(&l->backoff, params, code, now_ns);
	}
}

bool cl_state_own_throttle(struct cl_state *state, const struct cl_uuid *guest, uint32_t kind,
			   uint64_t key, uint64_t set, uint64_t since_ns)
{
	struct cl_state_guest *g = state_add_guest(state, guest);
	struct cl_state_throttle *l;

	if (!g || cl_throttle_period_ns((enum cl_action_kind)kind) == 0)
		return false;
	l = slot(&g->guard, (enum cl_action_kind)kind, key);
	if (!l)
		return false;
	l->kind = kind;
	l->key = key;
	l->set = set;
	l->foreign = 0;
	l->set_ns = since_ns;
	if (set != 0 && (g->guard.held_ns == 0 || since_ns < g->guard.held_ns))
		g->guard.held_ns = since_ns;
	return true;
}

void throttles_tidy(struct cl_state_guard *guard)
{
	for (uint32_t i = 0; i < CL_THROTTLES_MAX; i++) {
		struct cl_state_throttle *l = &guard->throttles[i];

		if (l->set == 0 && !l->foreign && l->backoff.refused == 0)
			memset(l, 0, sizeof(*l));
	}
}
