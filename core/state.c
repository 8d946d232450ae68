/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state's memory, and what the engine tells it between ticks. decide.c carries it from tick to
 * tick. */
#include <closer/state.h>

#include "state_order.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static size_t aligned(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

size_t cl_state_bytes(const struct cl_limits *cap)
{
	return 2 * (aligned(cap->guests * sizeof(struct cl_state_guest)) +
		    aligned(cap->vcpus * sizeof(struct cl_state_vcpu)) +
		    aligned(cap->works * sizeof(struct cl_state_work)) +
		    aligned(cap->irqs * sizeof(struct cl_state_irq))) +
	       aligned(cap->cpus * sizeof(struct cl_state_cpu)) +
	       aligned(cap->guests * sizeof(struct cl_state_ledger)) +
	       aligned(cap->guests * sizeof(struct cl_state_memory)) +
	       aligned(4 * (size_t)cap->guests * sizeof(uint64_t));
}

void cl_state_init(struct cl_state *ret_state, const struct cl_limits *cap, void *memory)
{
	char *at = memory;

	assert(((uintptr_t)memory & 63) == 0);
	memset(ret_state, 0, sizeof(*ret_state));
	ret_state->cap = *cap;
#define PLACE(member, type, count)                                                                 \
	ret_state->member = (struct type *)(void *)at;                                             \
	at += aligned(cap->count * sizeof(struct type));
	PLACE(guests, cl_state_guest, guests)
	PLACE(guests_next, cl_state_guest, guests)
	PLACE(vcpus, cl_state_vcpu, vcpus)
	PLACE(vcpus_next, cl_state_vcpu, vcpus)
	PLACE(works, cl_state_work, works)
	PLACE(works_next, cl_state_work, works)
	PLACE(irqs, cl_state_irq, irqs)
	PLACE(irqs_next, cl_state_irq, irqs)
	PLACE(cpus, cl_state_cpu, cpus)
	PLACE(ledgers, cl_state_ledger, guests)
	PLACE(memories, cl_state_memory, guests)
#undef PLACE
	ret_state->scratch = (uint64_t *)(void *)at;
	state_memory_init(&ret_state->privileged, NULL);
}

bool uuid_is_nobody(const struct cl_uuid *uuid)
{
	static const struct cl_uuid nobody;

	return cl_uuid_compare(uuid, &nobody) == 0;
}

int state_work_compare(const struct cl_uuid *guest_a, struct cl_tid a,
		       const struct cl_uuid *guest_b, struct cl_tid b)
{
	bool nobody_a = uuid_is_nobody(guest_a), nobody_b = uuid_is_nobody(guest_b);

	if (nobody_a != nobody_b)
		return nobody_a ? 1 : -1;
	int order = cl_uuid_compare(guest_a, guest_b);

	if (order)
		return order;
	if (a.tid != b.tid)
		return a.tid < b.tid ? -1 : 1;
	return a.start < b.start ? -1 : a.start > b.start;
}

/* The first entry that is not before the key. */
static uint32_t work_lower_bound(const struct cl_state *state, const struct cl_uuid *guest,
				 struct cl_tid thread)
{
	uint32_t low = 0, high = state->n.works;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct cl_state_work *w = &state->works[mid];

		if (state_work_compare(&w->guest, w->thread, guest, thread) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct cl_state_work *state_find_work(struct cl_state *state, const struct cl_uuid *guest,
				      struct cl_tid thread)
{
	uint32_t i = work_lower_bound(state, guest, thread);

	if (i == state->n.works)
		return NULL;
	struct cl_state_work *w = &state->works[i];

	return state_work_compare(&w->guest, w->thread, guest, thread) == 0 ? w : NULL;
}

struct cl_state_irq *state_find_irq(struct cl_state *state, uint32_t number)
{
	for (uint32_t i = 0; i < state->n.irqs; i++)
		if (state->irqs[i].number == number)
			return &state->irqs[i];
	return NULL;
}

/* The first entry that is not before the key. */
static uint32_t ledger_lower_bound(const struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t low = 0, high = state->ledger_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (cl_uuid_compare(&state->ledgers[mid].id, guest) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct cl_state_ledger *state_find_ledger(struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t i = ledger_lower_bound(state, guest);

	return i < state->ledger_count && cl_uuid_compare(&state->ledgers[i].id, guest) == 0
		       ? &state->ledgers[i]
		       : NULL;
}

struct cl_state_ledger *state_add_ledger(struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t i = ledger_lower_bound(state, guest);
	struct cl_state_ledger *l = &state->ledgers[i];

	assert(state->ledger_count < state->cap.guests);
	memmove(l + 1, l, (state->ledger_count - i) * sizeof(*l));
	state->ledger_count++;
	memset(l, 0, sizeof(*l));
	l->id = *guest;
	l->domid = CL_NONE;
	for (uint32_t k = 0; k < CL_LEVER_COUNT; k++)
		l->contract[k] = l->set[k] = CL_UNKNOWN;
	return l;
}

static struct cl_state_ledger *need_ledger(struct cl_state *state, const struct cl_uuid *guest)
{
	struct cl_state_ledger *l = state_find_ledger(state, guest);

	if (l || state->ledger_count == state->cap.guests)
		return l;
	return state_add_ledger(state, guest);
}

bool cl_state_own_lever(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
			enum cl_lever lever, uint64_t contract, uint64_t set)
{
	struct cl_state_ledger *l = lever < CL_LEVER_COUNT ? need_ledger(state, guest) : NULL;

	if (!l)
		return false;
	l->domid = domid;
	l->contract[lever] = contract;
	l->set[lever] = set;
	return true;
}

bool cl_state_own_ledger(struct cl_state *state, const struct cl_uuid *guest,
			 const struct cl_ledger *ledger, uint64_t seen_ns)
{
	struct cl_state_ledger *l = cl_ledger_sound(ledger) ? need_ledger(state, guest) : NULL;

	if (!l)
		return false;
	l->ledger = *ledger;
	l->seen_ns = seen_ns;
	return true;
}

bool cl_state_own_thread(struct cl_state *state, const struct cl_uuid *guest, struct cl_tid thread,
			 uint64_t mask_hash)
{
	struct cl_state_work *w = state_find_work(state, guest, thread);

	if (!w) {
		uint32_t i = work_lower_bound(state, guest, thread);

		if (state->n.works == state->cap.works)
			return false;
		memmove(&state->works[i + 1], &state->works[i], (state->n.works - i) * sizeof(*w));
		state->n.works++;
		w = &state->works[i];
		memset(w, 0, sizeof(*w));
		w->guest = *guest;
		w->thread = thread;
		w->target_cpu = CL_NONE;
	}
	w->mask_hash = mask_hash;
	w->foreign = mask_hash == 0;
	return true;
}

bool cl_state_own_irq(struct cl_state *state, uint32_t number, uint64_t mask_hash)
{
	struct cl_state_irq *irq = state_find_irq(state, number);

	if (!irq) {
		uint32_t i = state->n.irqs;

		if (i == state->cap.irqs)
			return false;
		while (i > 0 && state->irqs[i - 1].number > number) {
			state->irqs[i] = state->irqs[i - 1];
			i--;
		}
		state->n.irqs++;
		irq = &state->irqs[i];
		memset(irq, 0, sizeof(*irq));
		irq->number = number;
	}
	irq->mask_hash = mask_hash;
	irq->foreign = mask_hash == 0;
	return true;
}

bool cl_state_own_cpu(struct cl_state *state, uint32_t cpu, uint64_t mask_hash)
{
	if (cpu >= state->cap.cpus)
		return false;
	for (; state->n.cpus <= cpu; state->n.cpus++)
		memset(&state->cpus[state->n.cpus], 0, sizeof(state->cpus[0]));
	state->cpus[cpu].pins_hash = mask_hash;
	state->cpus[cpu].foreign = mask_hash == 0;
	return true;
}

/* The first entry that is not before the key. */
static uint32_t vcpu_lower_bound(const struct cl_state *state, const struct cl_uuid *guest,
				 uint32_t index)
{
	uint32_t low = 0, high = state->n.vcpus;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int order = cl_uuid_compare(&state->vcpus[mid].guest, guest);

		if (order < 0 || (order == 0 && state->vcpus[mid].index < index))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool cl_state_own_vcpu(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
		       uint32_t index, uint64_t mask_hash)
{
	uint32_t i = vcpu_lower_bound(state, guest, index);
	struct cl_state_vcpu *v = &state->vcpus[i];

	if (i == state->n.vcpus || v->index != index || cl_uuid_compare(&v->guest, guest) != 0) {
		if (state->n.vcpus == state->cap.vcpus)
			return false;
		memmove(v + 1, v, (state->n.vcpus - i) * sizeof(*v));
		state->n.vcpus++;
		memset(v, 0, sizeof(*v));
		v->guest = *guest;
		v->index = index;
		v->cpu = CL_NONE;
	}
	v->domid = domid;
	v->pcpus_hash = mask_hash;
	v->foreign = mask_hash == 0;
	return true;
}

struct cl_state_guest *state_add_guest(struct cl_state *state, const struct cl_uuid *id)
{
	struct cl_state_guest *g = state->guests;
	uint32_t i = 0;

	while (i < state->n.guests && cl_uuid_compare(&g[i].id, id) < 0)
		i++;
	if (i < state->n.guests && cl_uuid_compare(&g[i].id, id) == 0)
		return &g[i];
	if (state->n.guests == state->cap.guests)
		return NULL;
	memmove(&g[i + 1], &g[i], (state->n.guests - i) * sizeof(*g));
	state->n.guests++;
	memset(&g[i], 0, sizeof(*g));
	g[i].id = *id;
	return &g[i];
}

bool cl_state_own_fence(struct cl_state *state)
{
	state->fenced = 1;
	return true;
}

bool cl_state_adopt_thread(struct cl_state *state, struct cl_tid thread)
{
	for (uint32_t i = 0; i < state->n.works; i++) {
		struct cl_state_work *w = &state->works[i];

		if (w->thread.tid == thread.tid && w->thread.start == thread.start) {
			w->adopted = 1;
			w->foreign = 0;
			return true;
		}
	}
	return false;
}

bool cl_state_adopt_irq(struct cl_state *state, uint32_t number)
{
	struct cl_state_irq *irq = state_find_irq(state, number);

	if (irq) {
		irq->adopted = 1;
		irq->foreign = 0;
	}
	return irq != NULL;
}

/* Doubles from params.backoff, 64 times at most. */
static uint64_t retry_at(const struct cl_params *params, uint64_t refused, uint64_t now_ns)
{
	return now_ns + (params->backoff << (refused < 6 ? refused : 6));
}

static void group_outcome(struct cl_state *state, const struct cl_params *params,
			  const struct cl_action *action, int code, uint64_t now_ns)
{
	struct cl_backoff *backoff = &state->gone;

	if (action->object.group.tag == CL_GROUP_ROOT)
		backoff = &state->root;
	else if (action->object.guest.v < state->n.guests)
		backoff = &state->guests[action->object.guest.v].groups;
	if (code == 0) {
		backoff->retry_ns = 0;
		backoff->refused = 0;
	} else {
		backoff->retry_ns = retry_at(params, backoff->refused, now_ns);
		backoff->refused++;
	}
}

static void remember_given(struct cl_state_guest *guest, uint64_t hash)
{
	size_t n = sizeof(guest->given) / sizeof(guest->given[0]);

	for (size_t i = 0; i < n; i++)
		if (guest->given[i] == hash)
			return;
	memmove(&guest->given[1], &guest->given[0], (n - 1) * sizeof(guest->given[0]));
	guest->given[0] = hash;
}

static void thread_outcome(struct cl_state *state, const struct cl_params *params,
			   const struct cl_plan *plan, const struct cl_action *action, int code,
			   uint64_t now_ns)
{
	if (action->object.guest.v >= state->n.guests)
		return;
	struct cl_state_guest *guest = &state->guests[action->object.guest.v];
	struct cl_state_work *w = state_find_work(state, &guest->id, action->object.thread);

	if (!w)
		return;
	if (code == 0) {
		w->mask_hash = plan->masks[action->to.mask.v].hash;
		w->moved_ns = now_ns;
		w->refused = 0;
		w->adopted = 0;
		remember_given(guest, w->mask_hash);
	} else if (code == ESTALE) {
		w->mask_hash = 0; /* the next tick sees what it is now, and whose */
		w->adopted = 0;
	} else if (code != ESRCH && code != ENOENT) {
		w->retry_ns = retry_at(params, w->refused, now_ns);
		w->refused++;
	}
}

static void vcpu_outcome(struct cl_state *state, const struct cl_params *params,
			 const struct cl_action *action, int code, uint64_t now_ns)
{
	uint32_t i = action->object.vcpu.v;

	if (i >= state->n.vcpus)
		return;
	struct cl_state_vcpu *v = &state->vcpus[i];

	if (code == 0) {
		v->refused = 0;
	} else if (code != ESRCH && code != ENOENT) {
		v->retry_ns = retry_at(params, v->refused, now_ns);
		v->refused++;
	}
}

void back_off(struct cl_backoff *backoff, const struct cl_params *params, int code, uint64_t now_ns)
{
	if (code == 0) {
		backoff->retry_ns = 0;
		backoff->refused = 0;
	} else if (code != ESTALE && code != ESRCH && code != ENOENT) {
		backoff->retry_ns = retry_at(params, backoff->refused, now_ns);
		backoff->refused++;
	}
}

static void cpu_outcome(struct cl_state *state, const struct cl_params *params,
			const struct cl_plan *plan, const struct cl_action *action, int code,
			uint64_t now_ns)
{
	if (action->object.cpu >= state->n.cpus)
		return;
	struct cl_state_cpu *cpu = &state->cpus[action->object.cpu];

	back_off(&cpu->pin, params, code, now_ns);
	if (code == 0)
		cpu->pins_hash = plan->masks[action->to.mask.v].hash;
	else if (code == ESTALE)
		cpu->pins_hash = 0;
}

static void keep_outcome(struct cl_state *state, const struct cl_params *params,
			 const struct cl_plan *plan, const struct cl_action *action, int code,
			 uint64_t now_ns)
{
	if (action->object.vcpu.v >= state->n.vcpus)
		return;
	struct cl_state_vcpu *vcpu = &state->vcpus[action->object.vcpu.v];

	vcpu_outcome(state, params, action, code, now_ns);
	if (code == 0)
		vcpu->pcpus_hash = plan->masks[action->to.mask.v].hash;
	else if (code == ESTALE)
		vcpu->foreign = 1; /* changed just then: he has the last word */
}

static void lever_outcome(struct cl_state *state, const struct cl_params *params,
			  const struct cl_action *action, int code, uint64_t now_ns)
{
	struct cl_state_ledger *l =
		action->object.guest.v < state->n.guests
			? state_find_ledger(state, &state->guests[action->object.guest.v].id)
			: NULL;

	if (!l)
		return;
	back_off(&l->levers, params, code, now_ns);
	if (code == 0)
		l->set[cl_action_kind_lever(action->kind)] = (uint64_t)action->to.number;
}

static void irq_outcome(struct cl_state *state, const struct cl_params *params,
			const struct cl_plan *plan, const struct cl_action *action, int code,
			uint64_t now_ns)
{
	struct cl_state_irq *irq = state_find_irq(state, action->object.irq);

	if (!irq)
		return;
	if (code == 0) {
		irq->mask_hash = plan->masks[action->to.mask.v].hash;
		irq->moved_ns = now_ns;
		irq->refused = 0;
		irq->adopted = 0;
	} else if (code == ESTALE) {
		irq->mask_hash = 0;
		irq->adopted = 0;
	} else if (code != ENOENT) {
		irq->retry_ns = retry_at(params, irq->refused, now_ns);
		irq->refused++;
	}
}

void cl_state_outcome(struct cl_state *state, const struct cl_params *params,
		      const struct cl_plan *plan, const struct cl_action *action, int code,
		      uint64_t now_ns)
{
	assert(code >= 0);
	switch (action->kind) {
	case CL_ACTION_THREAD_PLACE:
		thread_outcome(state, params, plan, action, code, now_ns);
		break;
	case CL_ACTION_VCPU_RESTORE:
		vcpu_outcome(state, params, action, code, now_ns);
		break;
	case CL_ACTION_IRQ_PLACE:
		irq_outcome(state, params, plan, action, code, now_ns);
		break;
	case CL_ACTION_GROUP_CREATE:
	case CL_ACTION_GROUP_WIDEN:
	case CL_ACTION_GROUP_NARROW:
	case CL_ACTION_GROUP_REMOVE:
		group_outcome(state, params, action, code, now_ns);
		break;
	case CL_ACTION_CPU_PIN:
		cpu_outcome(state, params, plan, action, code, now_ns);
		break;
	case CL_ACTION_VCPU_KEEP:
		keep_outcome(state, params, plan, action, code, now_ns);
		break;
	case CL_ACTION_FENCE:
		back_off(&state->fence, params, code, now_ns);
		if (code == 0 || code == ESTALE)
			state->fenced = 1;
		break;
	case CL_ACTION_NAPI_THREAD:
		if (action->object.guest.v < state->n.guests)
			back_off(&state->guests[action->object.guest.v].nics, params, code, now_ns);
		break;
	case CL_ACTION_CAP_SET:
	case CL_ACTION_WEIGHT_SET:
	case CL_ACTION_BUDGET_SET:
		lever_outcome(state, params, action, code, now_ns);
		break;
	case CL_ACTION_NIC_RATE:
	case CL_ACTION_GROUP_QUOTA:
	case CL_ACTION_GROUP_IO:
	case CL_ACTION_PACKET_RATE:
		throttle_outcome(state, params, action, code, now_ns);
		break;
	case CL_ACTION_MEMORY_TARGET:
		state_memory_outcome(state, params, action, code, now_ns);
		break;
	case CL_ACTION_THREAD_RELEASE:
	case CL_ACTION_IRQ_RELEASE:
	case CL_ACTION_CPU_RELEASE:
	case CL_ACTION_VCPU_RELEASE:
	case CL_ACTION_CAP_RELEASE:
	case CL_ACTION_WEIGHT_RELEASE:
	case CL_ACTION_BUDGET_RELEASE:
	case CL_ACTION_MEMORY_RELEASE:
	case CL_ACTION_KIND_COUNT:
		break;
	}
}
