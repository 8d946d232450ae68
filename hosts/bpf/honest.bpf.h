/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * honest.bpf: what the CPU itself ran, in a guest of Xen. Part of clock.bpf.c.
 *
 * A kernel without PARAVIRT_TIME_ACCOUNTING books the time that the hypervisor took from its vCPU
 * on whatever was running. Here a CPU's clock is the monotonic one less the vCPU's stolen time: all
 * states but running of Xen's runstate, which Xen writes before the vCPU gets on again. Each event
 * closes the span since the last one and books it on the innermost of handler, softirq, thread or
 * idle: nothing is counted twice or left out. owner.bpf.h finds out for whom that was.
 */
#ifndef CLOSER_HONEST_BPF_H
#define CLOSER_HONEST_BPF_H

enum { /* include/linux/interrupt.h */
       SOFTIRQ_TIMER = 1,
       SOFTIRQ_NET_RX = 3,
       SOFTIRQ_SCHED = 7, /* and above: hrtimer, RCU */
       IRQF_SHARED = 0x80,
       IRQF_TIMER_BIT = 0x200, /* __IRQF_TIMER */
       IRQF_PERCPU = 0x400,    /* Xen's timers and IPIs */
};

struct vcpu_runstate_info {
	uint64_t time[4]; /* running, runnable, blocked, offline */
} CORE;
struct irqaction {
	void *dev_id;
	unsigned int flags;
	const char *name;
} CORE;
struct net_device {
	char name[16];
	int ifindex;
} CORE;
struct napi_struct {
	struct net_device *dev;
} CORE;
/* Of the modules xen-netback and xen-blkback; known if they were loaded before this was. */
struct xenvif {
	uint16_t domid;
} CORE;
struct xenvif_queue {
	struct xenvif *vif;
	struct napi_struct napi;
	unsigned int tx_irq, rx_irq;
} CORE;
struct xen_blkif {
	uint16_t domid;
} CORE;
struct xen_blkif_ring {
	struct xen_blkif *blkif;
} CORE;

extern const struct vcpu_runstate_info xen_runstate __ksym __weak;

const volatile uint32_t runstate_known = 0;
/* Counts what userspace changed in `rows` and `followed`: a row looked up before is looked up anew.
 */
uint32_t rows_change;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_parts);
} parts SEC(".maps");

struct { /* by number */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct cl_clock_irq);
} irqs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct cl_clock_vif_name);
	__type(value, struct cl_clock_vif);
} vifs SEC(".maps");

static __always_inline uint64_t stolen_ns(void)
{
	const struct vcpu_runstate_info *state = bpf_this_cpu_ptr(&xen_runstate);

	return state->time[1] + state->time[2] + state->time[3];
}

/*
 * If the vCPU was taken off between the two readings they do not belong together: then once more.
 * If that happens again the clock is ahead by that much, and account() waits until it has caught
 * up.
 */
static __always_inline uint64_t honest_ns(void)
{
	if (!runstate_known)
		return bpf_ktime_get_ns();
	uint64_t before = stolen_ns(), time = bpf_ktime_get_ns();

	barrier();
	uint64_t after = stolen_ns();

	if (after != before)
		time = bpf_ktime_get_ns();
	return time - after;
}

static __always_inline struct cl_clock_parts *parts_here(void)
{
	uint32_t cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&parts, &cpu);
}

#include "owner.bpf.h"

static __always_inline void book_row(struct cl_clock_parts *now, uint64_t ns)
{
	uint32_t cell = now->row * cpu_count + bpf_get_smp_processor_id();
	uint64_t *sum = bpf_map_lookup_elem(&runs, &cell);

	if (sum)
		*(volatile uint64_t *)sum = *sum + ns;
}

static __always_inline void book_thread(struct cl_clock_parts *now, uint64_t ns)
{
	now->thread_ns += ns;
	if (now->change != *(volatile uint32_t *)&rows_change)
		meet_thread(now);
	if (now->is_lent && give(now->owner, ns, 0))
		return;
	if (!now->is_lent && now->flags & CL_PF_WQ_WORKER)
		now->worker_ns += ns;
	else
		book_row(now, ns);
}

/* Books the time since the last boundary on what this CPU was in. */
static __always_inline void account(struct cl_clock_parts *now)
{
	uint64_t time = honest_ns();
	uint64_t ns = time - now->last_ns;

	if ((long long)ns <= 0)
		return;
	now->last_ns = time;
	now->total_ns += ns;
	if (now->irq) {
		now->hard_ns += ns;
	} else if (now->softirq) {
		now->soft_ns += ns;
	} else if (now->tid) {
		book_thread(now, ns);
	} else {
		now->idle_ns += ns;
		now->pause_ns += ns;
	}
}

static __always_inline void end_handler(struct cl_clock_parts *now)
{
	uint32_t number = now->irq - 1;
	uint64_t ns = now->hard_ns;
	struct cl_clock_irq *irq;

	now->irq = 0;
	now->hard_ns = 0;
	if (now->is_tick) {
		now->tick_ns += ns;
		settle_call(now, ns);
		return;
	}
	now->irq_ns += ns;
	irq = bpf_map_lookup_elem(&irqs, &number);
	if (irq) {
		__sync_fetch_and_add(&irq->handler_ns, ns);
		if (!now->irq_owner)
			__sync_fetch_and_add(&irq->unowned_ns, ns);
	}
	settle_handler(now, ns);
}

/* What is left of a softirq when its polls are taken out. */
static __always_inline void end_softirq(struct cl_clock_parts *now)
{
	uint32_t vector = now->softirq - 1;
	uint64_t ns = now->soft_ns;

	now->soft_ns = 0;
	now->softirq = 0;
	if (vector == SOFTIRQ_TIMER || vector >= SOFTIRQ_SCHED) {
		now->tick_ns += ns;
		now->is_ipi = 0;
		settle_tick(now, ns);
		now->soft_tick_ns = 0;
	} else {
		now->softirq_ns += ns;
		settle_softirq(now, ns);
	}
	end_notes(now);
}

static __always_inline void put_on(struct cl_clock_parts *now, struct task_struct *task)
{
	now->tid = (uint32_t)task->pid;
	now->tgid = (uint32_t)task->tgid;
	now->flags = task->flags;
	now->start_ns = task->start_boottime;
	meet_thread(now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(honest_switch, _Bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct cl_clock_parts *now = parts_here();

	if (!now)
		return 0;
	if (now->last_ns)
		account(now);
	else
		now->last_ns = honest_ns();
	if (now->irq) /* a switch is in no handler and in no softirq: its end was not seen */
		end_handler(now);
	if (now->softirq)
		end_softirq(now);
	leave(now);
	put_on(now, next);
	arrive(now);
	return 0;
}

/*
 * Run on each busy CPU before its books are read: closes the span that is open there. Where the
 * kernel got there by an IPI that it traces, that has closed it already.
 */
SEC("raw_tp/honest_flush")
int honest_flush(void *ctx)
{
	struct cl_clock_parts *now = parts_here();

	if (!now)
		return 0;
	if (now->last_ns) {
		account(now);
		return 0;
	}
	now->last_ns = honest_ns();
	put_on(now, bpf_get_current_task_btf());
	return 0;
}

/* An interrupt that is not known, or is another device's now. */
static __always_inline void meet_irq(struct cl_clock_irq *irq, struct irqaction *action)
{
	static const char backend[] = "blkif-backend";
	char name[sizeof(backend)] = { 0 };
	struct xen_blkif_ring *ring = action->dev_id;
	uint32_t differs = 0;

	irq->device = (uint64_t)action->dev_id;
	irq->owner = 0;
	irq->seen = 1;
	if (!bpf_core_field_exists(struct xen_blkif_ring, blkif))
		return;
	bpf_probe_read_kernel_str(name, sizeof(name), action->name);
	for (uint32_t i = 0; i < sizeof(backend); i++)
		differs |= (uint32_t)(name[i] ^ backend[i]);
	if (!differs)
		irq->owner = (uint32_t)BPF_CORE_READ(ring, blkif, domid) + 1;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(honest_irq_entry, int number, struct irqaction *action)
{
	struct cl_clock_parts *now = parts_here();
	uint32_t key = (uint32_t)number;
	struct cl_clock_irq *irq;

	if (!now || !now->last_ns)
		return 0;
	account(now);
	if (now->irq)
		end_handler(now);
	now->irq = key + 1;
	now->irq_owner = 0;
	now->is_tick = action->flags & IRQF_PERCPU;
	now->is_ipi = now->is_tick && !(action->flags & IRQF_TIMER_BIT);
	interrupted(now);
	if (now->is_tick)
		return 0;
	irq = bpf_map_lookup_elem(&irqs, &key);
	if (!irq)
		return 0;
	irq->cpu = bpf_get_smp_processor_id();
	if (!irq->seen ||
	    (irq->device != (uint64_t)action->dev_id && !(action->flags & IRQF_SHARED)))
		meet_irq(irq, action);
	now->irq_owner = irq->owner;
	return 0;
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(honest_irq_exit, int number, struct irqaction *action, int handled)
{
	struct cl_clock_parts *now = parts_here();

	if (!now || !now->irq)
		return 0;
	account(now);
	end_handler(now);
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(honest_softirq_entry, unsigned int vector)
{
	struct cl_clock_parts *now = parts_here();

	if (!now || !now->last_ns)
		return 0;
	account(now);
	now->softirq = vector + 1;
	now->soft_owner = 0;
	return 0;
}

SEC("tp_btf/softirq_exit")
int BPF_PROG(honest_softirq_exit, unsigned int vector)
{
	struct cl_clock_parts *now = parts_here();

	if (!now || !now->softirq)
		return 0;
	account(now);
	end_softirq(now);
	return 0;
}

/*
 * The interrupt of the netback queue that a NAPI context is in, if it is in one: there the
 * interrupt's device is the queue. Addresses are compared, nothing is taken for a queue that is
 * none.
 */
static __always_inline struct cl_clock_irq *queue_irq(struct napi_struct *napi)
{
	struct xenvif_queue *queue;
	struct cl_clock_irq *tx, *rx;
	uint32_t number = 0, other = 0, owner;

	if (!bpf_core_field_exists(struct xenvif_queue, napi) ||
	    !bpf_core_field_exists(struct xenvif_queue, tx_irq))
		return 0;
	queue = (void *)((uint64_t)napi - bpf_core_field_offset(struct xenvif_queue, napi));
	bpf_core_read(&number, sizeof(number), &queue->tx_irq);
	tx = bpf_map_lookup_elem(&irqs, &number);
	if (!tx || !tx->seen || tx->device != (uint64_t)queue)
		return 0;
	if (tx->owner)
		return tx;
	owner = (uint32_t)BPF_CORE_READ(queue, vif, domid) + 1;
	tx->owner = owner;
	bpf_core_read(&other, sizeof(other), &queue->rx_irq);
	rx = bpf_map_lookup_elem(&irqs, &other);
	if (rx && rx->seen && rx->device == (uint64_t)queue)
		rx->owner = owner;
	return tx;
}

/* It fires after a poll: since the softirq began, or since the last one, it was this one's. */
SEC("tp_btf/napi_poll")
int BPF_PROG(honest_napi_poll, struct napi_struct *napi, int work, int budget)
{
	struct cl_clock_parts *now = parts_here();
	struct cl_clock_vif_name key = { { 0 } };
	struct cl_clock_vif *vif, none = { 0 };
	struct cl_clock_irq *irq;

	if (!now || now->irq || now->softirq != SOFTIRQ_NET_RX + 1)
		return 0;
	account(now);
	if (BPF_CORE_READ_STR_INTO(&key.name, napi, dev, name) <= 1)
		return 0; /* the backlog's: no interface's */
	uint64_t ns = now->soft_ns;

	now->soft_ns = 0;
	now->napi_ns += ns;
	irq = queue_irq(napi);
	if (irq)
		__sync_fetch_and_add(&irq->napi_ns, ns);
	settle_poll(now, ns, irq ? irq->owner : 0, (uint32_t)BPF_CORE_READ(napi, dev, ifindex));
	vif = bpf_map_lookup_elem(&vifs, &key);
	if (!vif) {
		bpf_map_update_elem(&vifs, &key, &none, 1 /* BPF_NOEXIST */);
		vif = bpf_map_lookup_elem(&vifs, &key);
	}
	if (!vif)
		return 0;
	__sync_fetch_and_add(&vif->napi_ns, ns);
	if (irq)
		__sync_fetch_and_add(&vif->tied_ns, ns);
	return 0;
}

#include "cause.bpf.h"

#endif
