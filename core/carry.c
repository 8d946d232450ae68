/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * carry: the state's way from one snapshot to the next. Who is still there keeps its entry, who
 * came gets one, who went loses it; afterwards entry i belongs to element i of `now`.
 */
#include "tick.h"
#include "state_order.h"

#include <assert.h>
#include <string.h>

/* Exponentially weighted mean in ppm; weight: of the newest sample. */
static uint64_t smooth(uint64_t old, uint64_t sample, uint64_t weight)
{
	if (sample >= old)
		return old + (sample - old) * weight / CL_PPM;
	return old - (old - sample) * weight / CL_PPM;
}

static void carry_guests(struct tick *tick)
{
	struct cl_state *state = tick->state;
	const struct cl_snapshot *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.guests; i++) {
		const struct cl_uuid *id = &now->guests[i].id;
		struct cl_state_guest *next = &state->guests_next[i];

		while (at < state->n.guests && cl_uuid_compare(&state->guests[at].id, id) < 0)
			at++;
		if (at < state->n.guests && cl_uuid_compare(&state->guests[at].id, id) == 0) {
			*next = state->guests[at];
		} else {
			memset(next, 0, sizeof(*next));
			next->id = *id;
			next->seen_ns = now->taken_ns;
		}
	}
}

static bool pinned(const struct cl_snapshot *now, const struct cl_vcpu *vcpu)
{
	return vcpu->mask.v != CL_NONE && cl_cpuset_count(cl_snapshot_set(now, vcpu->mask)) == 1;
}

/* vcpu_ns: its growth in this interval, or CL_UNKNOWN. */
static void update_vcpu(const struct tick *tick, const struct cl_vcpu *vcpu,
			struct cl_state_vcpu *state, uint64_t vcpu_ns)
{
	uint64_t weight = tick->params->residency_weight;

	if (vcpu_ns != CL_UNKNOWN) {
		state->load =
			smooth(state->load, share_ppm(vcpu_ns, tick->plan->books.span_ns), weight);
		/* One that did not run was not anywhere: no sample. */
		if (vcpu_ns > 0 && state->cpu != CL_NONE && vcpu->cpu.v != CL_NONE)
			state->residency = smooth(state->residency,
						  state->cpu == vcpu->cpu.v ? CL_PPM : 0, weight);
	}
	if (pinned(tick->now, vcpu))
		state->residency = CL_PPM;
	state->cpu = vcpu->cpu.v;
}

static void carry_vcpus(struct tick *tick)
{
	struct cl_state *state = tick->state;
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t at = 0, prev_at = 0;

	for (uint32_t i = 0; i < now->n.vcpus; i++) {
		const struct cl_vcpu *vcpu = &now->vcpus[i];
		const struct cl_uuid *id = &now->guests[vcpu->guest.v].id;
		struct cl_state_vcpu *next = &state->vcpus_next[i];
		uint64_t ran = CL_UNKNOWN;
		int order = 1;

		for (; at < state->n.vcpus; at++) {
			order = cl_uuid_compare(&state->vcpus[at].guest, id);
			if (order == 0)
				order = state->vcpus[at].index < vcpu->index
						? -1
						: state->vcpus[at].index > vcpu->index;
			if (order >= 0)
				break;
		}
		if (at < state->n.vcpus && order == 0) {
			*next = state->vcpus[at];
		} else {
			memset(next, 0, sizeof(*next));
			next->guest = *id;
			next->index = vcpu->index;
			next->cpu = CL_NONE;
			next->newborn = 1;
		}
		if (next->domid != now->guests[vcpu->guest.v].domid) {
			next->domid = now->guests[vcpu->guest.v].domid;
			next->foreign = 0;
			next->pcpus_hash = 0;
		}
		for (; prev && prev_at < prev->n.vcpus; prev_at++) {
			const struct cl_vcpu *v = &prev->vcpus[prev_at];

			order = cl_uuid_compare(&prev->guests[v->guest.v].id, id);
			if (order == 0)
				order = v->index < vcpu->index ? -1 : v->index > vcpu->index;
			if (order < 0)
				continue;
			if (order == 0 && v->cpu_ns != CL_UNKNOWN && vcpu->cpu_ns != CL_UNKNOWN &&
			    vcpu->cpu_ns >= v->cpu_ns)
				ran = vcpu->cpu_ns - v->cpu_ns;
			break;
		}
		update_vcpu(tick, vcpu, next, ran);
	}
}

/* Time that outside work ran on a CPU is that CPU's contribution (thesis, Algorithm 2, rule 3). */
static void contribute(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;

	for (uint32_t i = 0; i < now->n.works; i++) {
		const struct cl_work *work = &now->works[i];

		if (work->cpu.v != CL_NONE && cl_work_kind_origin(work->kind) == CL_ORIGIN_OUTSIDE)
			tick->state->contributed_ns[work->cpu.v] +=
				tick->plan->work_books[i].run_ns;
	}
}

static void carry_works(struct tick *tick)
{
	struct cl_state *state = tick->state;
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	static const struct cl_uuid nobody;
	uint64_t span = tick->plan->books.span_ns, weight = tick->params->residency_weight;
	uint32_t at = 0, prev_at = 0;

	for (uint32_t i = 0; i < now->n.works; i++) {
		const struct cl_work *work = &now->works[i];
		const struct cl_uuid *id =
			work->guest.v == CL_NONE ? &nobody : &now->guests[work->guest.v].id;
		struct cl_state_work *next = &state->works_next[i];
		const struct cl_state_work *old = NULL;
		int order = 1;

		for (; at < state->n.works; at++) {
			order = state_work_compare(&state->works[at].guest, state->works[at].thread,
						   id, work->thread);
			if (order >= 0)
				break;
		}
		if (at < state->n.works && order == 0)
			old = &state->works[at];
		else /* a journal may know the thread and not its guest */
			old = state_find_work(state, &nobody, work->thread);
		if (old) {
			*next = *old;
		} else {
			memset(next, 0, sizeof(*next));
			next->thread = work->thread;
			next->target_cpu = CL_NONE;
			next->newborn = 1;
		}
		next->guest = *id;
		if (span > 0)
			next->load =
				smooth(next->load,
				       share_ppm(tick->plan->work_books[i].run_ns, span), weight);
		for (; prev && prev_at < prev->n.works; prev_at++) {
			const struct cl_work *w = &prev->works[prev_at];

			order = state_work_compare(
				w->guest.v == CL_NONE ? &nobody : &prev->guests[w->guest.v].id,
				w->thread, id, work->thread);
			if (order < 0)
				continue;
			if (order == 0 && w->wait_ns != CL_UNKNOWN && work->wait_ns != CL_UNKNOWN &&
			    work->wait_ns >= w->wait_ns)
				next->wait =
					smooth(next->wait,
					       share_ppm(work->wait_ns - w->wait_ns, span), weight);
			break;
		}
	}
}

static void carry_irqs(struct tick *tick)
{
	struct cl_state *state = tick->state;
	const struct cl_snapshot *now = tick->now;
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->n.irqs; i++) {
		struct cl_state_irq *next = &state->irqs_next[i];

		while (at < state->n.irqs && state->irqs[at].number < now->irqs[i].number)
			at++;
		if (at < state->n.irqs && state->irqs[at].number == now->irqs[i].number) {
			*next = state->irqs[at];
		} else {
			memset(next, 0, sizeof(*next));
			next->number = now->irqs[i].number;
		}
	}
}

/* By number: one that goes and comes back is the same vCPU, and starts anew. */
static void carry_cpus(struct tick *tick)
{
	struct cl_state *state = tick->state;
	uint32_t n = tick->now->n.cpus;

	for (uint32_t i = state->n.cpus; i < n; i++)
		memset(&state->cpus[i], 0, sizeof(state->cpus[i]));
	for (uint32_t i = 0; i < n; i++)
		if (!tick->now->cpus[i].online)
			memset(&state->cpus[i], 0, sizeof(state->cpus[i]));
	state->n.cpus = n;
}

#define SWAP(type, a, b)                                                                           \
	do {                                                                                       \
		type *swap_ = (a);                                                                 \
		(a) = (b);                                                                         \
		(b) = swap_;                                                                       \
	} while (0)

void carry(struct tick *tick)
{
	struct cl_state *state = tick->state;
	const struct cl_limits *n = &tick->now->n;

	assert(n->guests <= state->cap.guests && n->vcpus <= state->cap.vcpus);
	assert(n->works <= state->cap.works && n->irqs <= state->cap.irqs &&
	       n->cpus <= state->cap.cpus);
	carry_guests(tick);
	carry_vcpus(tick);
	carry_works(tick);
	carry_irqs(tick);
	carry_cpus(tick);
	contribute(tick);
	SWAP(struct cl_state_guest, state->guests, state->guests_next);
	SWAP(struct cl_state_vcpu, state->vcpus, state->vcpus_next);
	SWAP(struct cl_state_work, state->works, state->works_next);
	SWAP(struct cl_state_irq, state->irqs, state->irqs_next);
	state->n.guests = n->guests;
	state->n.vcpus = n->vcpus;
	state->n.works = n->works;
	state->n.irqs = n->irqs;
	state->ticks++;
}
