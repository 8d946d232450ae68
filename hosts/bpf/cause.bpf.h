/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cause.bpf: who asked for it. Part of honest.bpf.h; see owner.bpf.h. A work that is queued and a
 * request that is issued belong to whom the CPU works for at that moment; a packet to the guest
 * that it came from, or else goes to. Kernels that lack one of these events are without that alone.
 */
#ifndef CLOSER_CAUSE_BPF_H
#define CLOSER_CAUSE_BPF_H

struct sk_buff {
	int skb_iif;
} CORE;

struct { /* address of a work that is queued -> owner */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, uint64_t);
	__type(value, uint32_t);
} works SEC(".maps");

struct { /* address of a request */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, uint64_t);
	__type(value, struct cl_clock_request);
} requests SEC(".maps");

/* ---- works ---- */

SEC("tp_btf/workqueue_queue_work")
int BPF_PROG(cause_queue, int cpu, void *queue, void *work)
{
	struct cl_clock_parts *now = parts_here();
	uint64_t key = (uint64_t)work;
	uint32_t owner = now ? current_owner(now) : 0, *known;

	if (owner) {
		bpf_map_update_elem(&works, &key, &owner, 0 /* BPF_ANY */);
		return 0;
	}
	known = bpf_map_lookup_elem(&works, &key); /* of one that was cancelled */
	if (known)
		*known = 0;
	return 0;
}

/* What a worker does from when it gets on, or has ended its last work, is for the work that it
 * begins. */
SEC("tp_btf/workqueue_execute_start")
int BPF_PROG(cause_begin, void *work)
{
	struct cl_clock_parts *now = parts_here();
	uint64_t key = (uint64_t)work, before;
	uint32_t owner = 0, tid, *known;

	if (!now || !now->last_ns || !(now->flags & CL_PF_WQ_WORKER) || now->irq || now->softirq)
		return 0;
	known = bpf_map_lookup_elem(&works, &key);
	if (known) {
		owner = *known;
		bpf_map_delete_elem(&works, &key);
	}
	account(now);
	before = now->worker_ns;
	now->worker_ns = 0;
	tid = now->tid;
	now->is_lent = owner != 0;
	now->owner = owner;
	blame(now, owner, now->call_ns);
	now->call_ns = 0;
	if (!owner) {
		book_row(now, before);
		return 0;
	}
	bpf_map_update_elem(&workers, &tid, &owner, 0 /* BPF_ANY */);
	if (!give(owner, before, 0))
		book_row(now, before);
	return 0;
}

/* It is on for the same owner until it gets off, or begins another work. */
SEC("tp_btf/workqueue_execute_end")
int BPF_PROG(cause_end, void *work)
{
	struct cl_clock_parts *now = parts_here();
	uint32_t tid;

	if (!now || !now->is_lent)
		return 0;
	account(now);
	tid = now->tid;
	bpf_map_delete_elem(&workers, &tid);
	return 0;
}

/* ---- requests ---- */

static __always_inline void ask(void *request, uint32_t is_inserted)
{
	struct cl_clock_parts *now = parts_here();
	struct cl_clock_request is = { .is_inserted = is_inserted }, *known;
	uint64_t key = (uint64_t)request;

	if (!now)
		return;
	is.owner = current_owner(now);
	known = bpf_map_lookup_elem(&requests, &key);
	if (known && known->is_inserted && !is_inserted)
		known->is_inserted = 0; /* a scheduler issues it, in anybody's time */
	else if (known)
		*known = is;
	else if (is.owner)
		bpf_map_update_elem(&requests, &key, &is, 0 /* BPF_ANY */);
}

SEC("tp_btf/block_rq_insert")
int BPF_PROG(cause_insert, void *request)
{
	ask(request, 1);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(cause_issue, void *request)
{
	ask(request, 0);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(cause_complete, void *request)
{
	struct cl_clock_parts *now = parts_here();
	uint64_t key = (uint64_t)request;
	struct cl_clock_request *known;

	if (!now || !(now->irq || now->softirq))
		return 0;
	known = bpf_map_lookup_elem(&requests, &key);
	if (!known || !known->owner)
		return 0;
	if (now->irq)
		note(&now->hard, known->owner);
	else
		note(&now->soft, known->owner);
	return 0;
}

/* ---- packets ---- */

static __always_inline void pass(struct sk_buff *skb, uint32_t ifindex)
{
	struct cl_clock_parts *now = parts_here();
	uint32_t owner;

	if (!now || now->irq || !now->softirq)
		return;
	owner = interface_owner((uint32_t)skb->skb_iif);
	if (!owner)
		owner = interface_owner(ifindex);
	if (owner)
		note(&now->soft, owner);
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(cause_packet, struct sk_buff *skb, struct net_device *dev)
{
	pass(skb, (uint32_t)dev->ifindex);
	return 0;
}

/* A card says that it has sent it. */
SEC("tp_btf/consume_skb")
int BPF_PROG(cause_sent, struct sk_buff *skb)
{
	pass(skb, 0);
	return 0;
}

#endif
