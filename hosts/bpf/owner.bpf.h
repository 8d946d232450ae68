/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner.bpf: for whom a CPU did what it did. Part of honest.bpf.h.
 *
 * Userspace says which threads and network interfaces are a guest's. What a guest's thread starts
 * is that guest's too, as far as it can be followed: work that it queues, requests that it issues
 * (cause.bpf.h). A handler or a softirq of a device that several guests use is divided by the
 * packets and requests that it handled for each. Owners are domid + 1; 0: not known.
 *
 * Of idle entry and exit, IPIs and ticks a guest is given those that would not have been without
 * it: going idle after its work and leaving idle for its thread, an IPI after which the CPU turns
 * to its thread, a tick on top of its thread.
 */
#ifndef CLOSER_OWNER_BPF_H
#define CLOSER_OWNER_BPF_H

struct { /* by domid: those that userspace knows */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_guest);
} guests SEC(".maps");

struct { /* ifindex -> owner */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} interfaces SEC(".maps");

struct { /* tid of a worker that has a guest's work -> owner */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} workers SEC(".maps");

/* False: it is nobody's that is known. */
static __always_inline uint32_t give(uint32_t owner, uint64_t ns, uint32_t is_wakeup)
{
	uint32_t domid = owner - 1;
	struct cl_clock_guest *guest = owner ? bpf_map_lookup_elem(&guests, &domid) : 0;

	if (!guest)
		return 0;
	if (is_wakeup)
		__sync_fetch_and_add(&guest->wakeup_ns, ns);
	else
		__sync_fetch_and_add(&guest->shared_ns, ns);
	return 1;
}

/* Of tick_ns and idle_ns. */
static __always_inline void blame(struct cl_clock_parts *now, uint32_t owner, uint64_t ns)
{
	if (ns && give(owner, ns, 1))
		now->given_ns += ns;
}

#define IDLE_TICKS 4u /* of a grace period */

/* What the CPU did was for him: if it goes idle now, or has ticks then, that is, too. */
static __always_inline void worked(struct cl_clock_parts *now, uint32_t owner)
{
	now->last = owner;
	now->ticks = 0;
}

static __always_inline uint32_t interface_owner(uint32_t ifindex)
{
	uint32_t *owner = ifindex ? bpf_map_lookup_elem(&interfaces, &ifindex) : 0;

	return owner ? *owner : 0;
}

/* ---- notes ---- */

static __always_inline void note(struct cl_clock_notes *notes, uint32_t owner)
{
	notes->last = owner;
#pragma unroll
	for (uint32_t i = 0; i < CL_CLOCK_NOTES; i++) {
		if (notes->notes[i].owner != owner && notes->notes[i].owner)
			continue;
		notes->notes[i].owner = owner;
		notes->notes[i].count++;
		return;
	}
	notes->others++;
}

static __always_inline void clear_notes(struct cl_clock_notes *notes)
{
#pragma unroll
	for (uint32_t i = 0; i < CL_CLOCK_NOTES; i++)
		notes->notes[i] = (struct cl_clock_note){ 0 };
	notes->others = 0;
}

/* Divides ns by the notes, which are then spent; what has no taker is returned. */
static __attribute__((noinline)) uint64_t divide_ns(struct cl_clock_notes *notes, uint64_t ns)
{
	uint64_t left = ns, sum;

	if (!notes)
		return ns;
	sum = notes->others;
#pragma unroll
	for (uint32_t i = 0; i < CL_CLOCK_NOTES; i++)
		sum += notes->notes[i].count;
#pragma unroll
	for (uint32_t i = 0; i < CL_CLOCK_NOTES; i++) {
		uint64_t part;

		if (!notes->notes[i].owner || !sum)
			break;
		/* the last one's has no remainder */
		part = sum == notes->notes[i].count ? left : ns * notes->notes[i].count / sum;
		if (give(notes->notes[i].owner, part, 0))
			left -= part;
	}
	clear_notes(notes);
	return left;
}

/* ---- threads ---- */

/* Whose the thread that is on is, and whose the work that it has. */
static __always_inline void meet_thread(struct cl_clock_parts *now)
{
	uint32_t tid = now->tid, *owner;

	now->change = *(volatile uint32_t *)&rows_change;
	now->is_lent = 0;
	now->row = row_for(now->tid, now->tgid, now->flags, now->start_ns, &now->owner);
	if (now->owner || !(now->flags & CL_PF_WQ_WORKER))
		return;
	owner = bpf_map_lookup_elem(&workers, &tid);
	if (owner) {
		now->owner = *owner;
		now->is_lent = 1;
	}
}

/* For whom the CPU works at this moment: who asks for more does so for him. */
static __always_inline uint32_t current_owner(const struct cl_clock_parts *now)
{
	if (now->irq)
		return now->irq_owner ? now->irq_owner : now->hard.last;
	if (now->softirq)
		return now->soft.last ? now->soft.last : now->soft_owner;
	return now->owner;
}

static __always_inline void book_row(struct cl_clock_parts *now, uint64_t ns);

/* The thread that was on gets off. */
static __always_inline void leave(struct cl_clock_parts *now)
{
	if (now->worker_ns)
		book_row(now, now->worker_ns);
	now->worker_ns = 0;
	now->nobody_ns += now->device_ns;
	now->device_ns = 0;
	if (!now->tid)
		return;
	worked(now, now->owner);
	now->pause_ns = 0;
	if (now->flags & CL_PF_WQ_WORKER && !now->is_lent)
		now->call_ns = 0;
}

/* Another one is on: what woke the CPU, or turned it to this, was for him. A worker says for whom
 * when it begins a work. */
static __always_inline void arrive(struct cl_clock_parts *now)
{
	now->call_ns = now->tid ? now->call_ns + now->pause_ns : 0;
	now->pause_ns = 0;
	if (now->flags & CL_PF_WQ_WORKER && !now->owner)
		return;
	blame(now, now->owner, now->call_ns);
	now->call_ns = 0;
}

/* ---- handlers and softirqs ---- */

/* A handler begins. If the CPU was idle until then, it went idle after what ran last, or else after
 * an IPI that turned it to nobody. */
static __always_inline void interrupted(struct cl_clock_parts *now)
{
	now->hard.last = 0;
	if (!now->tid && !now->softirq) {
		if (!now->call_ns)
			blame(now, now->last, now->pause_ns);
		now->pause_ns = 0;
	}
	if (!now->is_ipi)
		now->call_ns = 0;
}

/* Of timers, IPIs and the softirqs of timers, scheduler and RCU. */
static __always_inline void settle_tick(struct cl_clock_parts *now, uint64_t ns)
{
	if (now->softirq)
		now->soft_tick_ns += ns;
	else if (now->is_ipi)
		now->call_ns += ns;
	else if (now->tid)
		blame(now, now->owner, ns);
	else if (now->last)
		blame(now, now->last, ns);
	else
		now->call_ns += ns; /* a timer of whom the CPU turns to */
}

static __always_inline void count_tick(struct cl_clock_parts *now)
{
	if (!now->is_ipi && !now->tid && !now->softirq && ++now->ticks >= IDLE_TICKS)
		now->last = 0;
}

/* An IPI may be there to end requests on this CPU. */
static __always_inline void settle_call(struct cl_clock_parts *now, uint64_t ns)
{
	if (!now->hard.last) {
		settle_tick(now, ns);
		count_tick(now);
		return;
	}
	now->given_ns += ns - divide_ns(&now->hard, ns);
	worked(now, now->hard.last);
}

/* A device's. Where it is nobody's, and handled nothing itself, the softirq that it raises says for
 * whom it was. */
static __always_inline void settle_handler(struct cl_clock_parts *now, uint64_t ns)
{
	now->nobody_ns += now->device_ns;
	now->device_ns = 0;
	if (now->irq_owner) {
		worked(now, now->irq_owner);
	} else if (now->hard.last) {
		now->nobody_ns += divide_ns(&now->hard, ns);
		worked(now, now->hard.last);
	} else {
		now->device_ns = ns;
	}
	clear_notes(&now->hard);
}

/* What interrupted the softirq, and the IPI that raised it, were for whom it was. */
static __always_inline void settle_calls(struct cl_clock_parts *now)
{
	blame(now, now->soft_owner, now->soft_tick_ns);
	now->soft_tick_ns = 0;
	if (!now->soft_owner)
		return;
	blame(now, now->soft_owner, now->call_ns);
	now->call_ns = 0;
}

static __always_inline void settle_softirq(struct cl_clock_parts *now, uint64_t ns)
{
	uint64_t both = ns + now->device_ns;

	now->device_ns = 0;
	if (now->soft.last) {
		now->soft_owner = now->soft.last;
		now->nobody_ns += divide_ns(&now->soft, both);
	} else if (!give(now->soft_owner, both, 0)) {
		now->nobody_ns += both;
	}
	now->soft.last = 0;
	settle_calls(now);
}

/* owner: of netback's queue, whose interrupt has the time already. */
static __always_inline void settle_poll(struct cl_clock_parts *now, uint64_t ns, uint32_t owner,
					uint32_t ifindex)
{
	if (!owner) {
		uint32_t vif = interface_owner(ifindex);

		if (vif) {
			clear_notes(&now->soft);
			note(&now->soft, vif);
		}
		settle_softirq(now, ns);
		return;
	}
	clear_notes(&now->soft);
	now->soft.last = 0;
	now->soft_owner = owner;
	settle_calls(now);
}

static __always_inline void end_notes(struct cl_clock_parts *now)
{
	clear_notes(&now->soft);
	now->soft.last = 0;
	if (now->soft_owner && !now->tid)
		worked(now, now->soft_owner);
}

#endif
