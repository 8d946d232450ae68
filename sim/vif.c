/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vif: netfront and netback. What a guest sends is worked on in NAPI, as softirq on the interrupt's
 * vCPU or in a thread of its own; what it receives by the thread guest-rx of its queue, which
 * copies into the guest's memory (grant copy). Both directions are batched as Linux batches them.
 */
#include "io.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST       131072u /* bytes that netback lets through at once, whatever the rate */
#define BACKLOG_MAX 1024u   /* packets that wait for a guest: netback's rx_queue_max, in packets */

void sim_packets_init(struct sim_packets *packets)
{
	packets->first = NULL;
	packets->last = &packets->first;
	packets->count = 0;
}

void sim_packets_add(struct sim_packets *packets, struct sim_packet *packet)
{
	packet->next = NULL;
	*packets->last = packet;
	packets->last = &packet->next;
	packets->count++;
}

struct sim_packet *sim_packets_take(struct sim_packets *packets)
{
	struct sim_packet *packet = packets->first;

	if (!packet)
		return NULL;
	packets->first = packet->next;
	if (!packets->first)
		packets->last = &packets->first;
	packets->count--;
	return packet;
}

uint32_t sim_packets_drop(struct sim_packets *packets, const struct sim_flow *flow)
{
	struct sim_packets all = *packets;
	uint32_t before = packets->count;
	struct sim_packet *packet;

	sim_packets_init(packets);
	while ((packet = sim_packets_take(&all)))
		if (packet->flow != flow)
			sim_packets_add(packets, packet);
	return before - packets->count;
}

/* Moves up to so many over; their bytes. */
static uint64_t move(struct sim_packets *from, struct sim_packets *to, uint32_t most)
{
	struct sim_packet *packet;
	uint64_t bytes = 0;

	while (most-- > 0 && (packet = sim_packets_take(from))) {
		bytes += packet->bytes;
		sim_packets_add(to, packet);
	}
	return bytes;
}

/* ---- the guest sends ---- */

struct sim_burst sim_send_burst(const struct sim_flow *flow, uint32_t bytes, uint64_t own_ns)
{
	const struct sim_domain *guest = flow->vif->guest;
	const struct sim_costs *costs = &guest->world->costs;

	return (struct sim_burst){ own_ns + costs->stack_ns + costs->netfront_ns, bytes,
				   sim_domain_node(guest), sim_domain_node(guest) };
}

struct sim_burst sim_receive_burst(const struct sim_flow *flow, uint32_t bytes, uint64_t own_ns)
{
	const struct sim_domain *guest = flow->vif->guest;

	return (struct sim_burst){ own_ns + guest->world->costs.stack_ns, bytes,
				   sim_domain_node(guest), sim_domain_node(guest) };
}

/* A thread that sleeps has to wake for its work; one that finds more while it is at it has not. */
static uint64_t waking(struct sim_task *task, enum sim_turn turn, uint64_t turn_ns)
{
	return task->state == SIM_TASK_SLEEPING ? sim_turn_ns(task->domain, turn, turn_ns) : 0;
}

static void run_dealloc(struct sim_world *world, struct sim_vif_queue *queue)
{
	const struct sim_costs *costs = &world->costs;

	if (queue->deallocating || queue->to_dealloc == 0)
		return;
	struct sim_burst burst = { queue->to_dealloc * costs->dealloc_ns +
					   waking(&queue->dealloc, SIM_TURN_DEALLOC,
						  costs->dealloc_turn_ns),
				   0, sim_domain_node(queue->vif->guest), CL_NONE };

	queue->deallocating = true;
	queue->to_dealloc = 0;
	sim_task_run(world, &queue->dealloc, &burst);
}

static void dealloc_done(struct sim_world *world, struct sim_task *task)
{
	struct sim_vif_queue *queue = sim_of(task, struct sim_vif_queue, dealloc);

	queue->deallocating = false;
	run_dealloc(world, queue);
}

static bool is_mapped(const struct sim_packet *packet)
{
	return packet->bytes > SIM_NET_COPIED;
}

static uint64_t mapped_count(const struct sim_packets *packets)
{
	uint64_t n = 0;

	for (const struct sim_packet *packet = packets->first; packet; packet = packet->next)
		n += is_mapped(packet);
	return n;
}

/* As xen-netback's tx_add_credit: what is left over is kept, up to one period's or 128 KiB. */
static void add_credit(const struct sim_world *world, struct sim_vif *vif)
{
	uint64_t most = vif->rate_bytes > BURST ? vif->rate_bytes : BURST;
	uint64_t periods = (world->queue.now_ns - vif->credit_at_ns) / vif->rate_ns;

	if (periods == 0)
		return;
	vif->credit_at_ns += periods * vif->rate_ns;
	if (periods > most / vif->rate_bytes + 1)
		vif->credit = most;
	else
		vif->credit += periods * vif->rate_bytes;
	if (vif->credit > most)
		vif->credit = most;
}

/* Packets of the ring that the rate lets through now, of at most a turn. */
static uint32_t let_through(struct sim_world *world, struct sim_vif_queue *queue)
{
	struct sim_vif *vif = queue->vif;
	uint32_t n = 0;

	if (!vif->rate_ns)
		return SIM_NAPI_TURN;
	add_credit(world, vif);
	for (const struct sim_packet *p = queue->tx.first; p && n < SIM_NAPI_TURN; p = p->next) {
		if (p->bytes > vif->credit) {
			sim_at(&world->queue, &vif->refill, vif->credit_at_ns + vif->rate_ns);
			break;
		}
		vif->credit -= p->bytes;
		n++;
	}
	return n;
}

/* What one turn of NAPI costs: header and work a packet, the copy, the bridge, the device. */
static struct sim_burst poll_burst(struct sim_world *world, struct sim_vif_queue *queue,
				   uint32_t most)
{
	uint64_t bytes = move(&queue->tx, &queue->polled, most);
	const struct sim_costs *costs = &world->costs;
	uint64_t each =
		costs->netback_tx_ns + costs->grant_copy_ns + costs->bridge_ns + costs->nic_ns;

	uint64_t mapped = mapped_count(&queue->polled) * costs->grant_map_ns;
	/* What it finds when it is through with the others is done without another interrupt. */
	uint64_t turn = queue->polling
				? 0
				: sim_turn_ns(queue->vif->back, SIM_TURN_SEND, costs->napi_turn_ns);

	return (struct sim_burst){ turn + queue->polled.count * each + mapped, bytes,
				   sim_domain_node(queue->vif->guest), CL_NONE };
}

static void poll(struct sim_world *world, struct sim_vif_queue *queue)
{
	struct sim_vif *vif = queue->vif;

	uint32_t most;

	if (queue->napi_on || queue->tx.count == 0 || vif->blocked ||
	    (most = let_through(world, queue)) == 0)
		return;
	queue->napi_on = true;
	if (vif->threaded) {
		struct sim_burst burst = poll_burst(world, queue, most);

		queue->tx_irq.count++;
		sim_task_run(world, &queue->napi, &burst);
		return;
	}
	queue->poll.burst = poll_burst(world, queue, most);
	sim_irq_raise(world, &queue->tx_irq, &queue->poll);
}

/* Whoever found the ring full goes on, in turn, while there is room. */
static void tell_room(struct sim_world *world, struct sim_vif_queue *queue)
{
	struct sim_flow *flow;

	while ((flow = queue->waiting) && queue->tx.count + queue->polled.count < SIM_NET_RING) {
		queue->waiting = flow->next_waiting;
		if (!queue->waiting)
			queue->waiting_last = &queue->waiting;
		flow->waiting = false;
		flow->room(world, flow);
	}
}

static void polled(struct sim_world *world, struct sim_vif_queue *queue)
{
	struct sim_packets through = queue->polled;
	struct sim_packet *packet;

	queue->napi_on = false;
	queue->polling = true;
	sim_packets_init(&queue->polled);
	while ((packet = sim_packets_take(&through))) {
		queue->vif->sent++;
		queue->vif->sent_bytes += packet->bytes;
		queue->to_dealloc += is_mapped(packet);
		if (queue->vif->nic)
			sim_nic_transmit(queue->vif->nic, packet);
		else
			packet->flow->arrived(world, packet->flow, packet);
	}
	run_dealloc(world, queue);
	poll(world, queue);
	tell_room(world, queue);
	queue->polling = false;
}

static void poll_done(struct sim_world *world, struct sim_irq_work *work)
{
	polled(world, sim_of(work, struct sim_vif_queue, poll));
}

static void napi_done(struct sim_world *world, struct sim_task *task)
{
	polled(world, sim_of(task, struct sim_vif_queue, napi));
}

static void wait_room(struct sim_vif_queue *queue, struct sim_flow *flow)
{
	if (!flow->room || flow->waiting)
		return;
	flow->waiting = true;
	flow->next_waiting = NULL;
	*queue->waiting_last = flow;
	queue->waiting_last = &flow->next_waiting;
}

static void leave_room(struct sim_vif_queue *queue, struct sim_flow *flow)
{
	struct sim_flow **at = &queue->waiting;

	if (!flow->waiting)
		return;
	while (*at != flow)
		at = &(*at)->next_waiting;
	*at = flow->next_waiting;
	if (queue->waiting_last == &flow->next_waiting)
		queue->waiting_last = at;
	flow->waiting = false;
}

bool sim_send(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct sim_vif_queue *queue = &flow->vif->queues[flow->queue % flow->vif->queue_count];

	if (queue->tx.count + queue->polled.count >= SIM_NET_RING) {
		wait_room(queue, flow);
		return false;
	}
	packet->flow = flow;
	packet->inbound = false;
	packet->born_ns = world->queue.now_ns;
	sim_packets_add(&queue->tx, packet);
	poll(world, queue);
	return true;
}

/* ---- the guest receives ---- */

static void run_guest_rx(struct sim_world *world, struct sim_vif_queue *queue)
{
	const struct sim_costs *costs = &world->costs;
	uint32_t room = SIM_NET_RING - queue->rx.count - queue->taken.count;
	uint64_t bytes;

	if (queue->copying || queue->backlog.count == 0 || room == 0)
		return;
	bytes = move(&queue->backlog, &queue->copied, room < SIM_NAPI_TURN ? room : SIM_NAPI_TURN);
	for (struct sim_packet *packet = queue->copied.first; packet; packet = packet->next)
		packet->back_ns = world->queue.now_ns;
	queue->copying = true;
	struct sim_burst burst = {
		queue->copied.count * (costs->netback_rx_ns + costs->grant_copy_ns) +
			waking(&queue->guest_rx, SIM_TURN_RECEIVE, costs->guest_rx_turn_ns),
		bytes, CL_NONE, sim_domain_node(queue->vif->guest)
	};

	sim_task_run(world, &queue->guest_rx, &burst);
}

static void run_front(struct sim_world *world, struct sim_vif_queue *queue)
{
	if (queue->front.queued || queue->taken.count > 0 || queue->rx.count == 0)
		return;
	move(&queue->rx, &queue->taken, SIM_NAPI_TURN);
	queue->front.burst = (struct sim_burst){ queue->taken.count * world->costs.netfront_ns, 0,
						 CL_NONE, CL_NONE };
	sim_irq_raise(world, &queue->front_irq, &queue->front);
}

static void guest_rx_done(struct sim_world *world, struct sim_task *task)
{
	struct sim_vif_queue *queue = sim_of(task, struct sim_vif_queue, guest_rx);
	struct sim_packet *packet;

	queue->copying = false;
	while ((packet = sim_packets_take(&queue->copied))) {
		queue->vif->received++;
		queue->vif->received_bytes += packet->bytes;
		packet->told_ns = world->queue.now_ns;
		sim_packets_add(&queue->rx, packet);
	}
	run_front(world, queue);
	run_guest_rx(world, queue);
}

static void front_done(struct sim_world *world, struct sim_irq_work *work)
{
	struct sim_vif_queue *queue = sim_of(work, struct sim_vif_queue, front);
	struct sim_packets through = queue->taken;
	struct sim_packet *packet;

	sim_packets_init(&queue->taken);
	while ((packet = sim_packets_take(&through)))
		packet->flow->arrived(world, packet->flow, packet);
	run_front(world, queue);
	run_guest_rx(world, queue);
}

void sim_received(struct sim_world *world, struct sim_packet *packet)
{
	struct sim_vif *vif = packet->flow->vif;

	vif->t_ns[0] += packet->back_ns - packet->born_ns;
	vif->t_ns[1] += packet->told_ns - packet->back_ns;
	vif->t_ns[2] += world->queue.now_ns - packet->told_ns;
	vif->t_count++;
}

/* nftables' limit: so many a second, and a tenth of a second's at once. */
static bool may_pass(const struct sim_world *world, struct sim_vif *vif)
{
	uint64_t now = world->queue.now_ns, each, ahead = CL_NS_PER_S / 10;

	if (!vif->packets_s)
		return true;
	each = CL_NS_PER_S / vif->packets_s;
	if (vif->packets_free_ns + ahead < now)
		vif->packets_free_ns = now - ahead;
	if (vif->packets_free_ns > now)
		return false;
	vif->packets_free_ns += each;
	return true;
}

void sim_vif_deliver(struct sim_world *world, struct sim_packet *packet)
{
	struct sim_vif *vif = packet->flow->vif;
	struct sim_vif_queue *queue = &vif->queues[packet->flow->queue % vif->queue_count];

	if (vif->blocked || queue->backlog.count >= BACKLOG_MAX || !may_pass(world, vif)) {
		vif->dropped++;
		packet->flow->lost(world, packet->flow, packet);
		return;
	}
	sim_packets_add(&queue->backlog, packet);
	run_guest_rx(world, queue);
}

void sim_vif_block(struct sim_world *world, struct sim_vif *vif, bool blocked)
{
	vif->blocked = blocked;
	for (uint32_t i = 0; i < vif->queue_count && !blocked; i++)
		poll(world, &vif->queues[i]);
}

static void refilled(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_vif *vif = sim_of(event, struct sim_vif, refill);

	for (uint32_t i = 0; i < vif->queue_count; i++)
		poll(sim_world_of(queue), &vif->queues[i]);
}

void sim_vif_rate(struct sim_world *world, struct sim_vif *vif, uint64_t bytes, uint64_t period_ns)
{
	sim_cancel(&world->queue, &vif->refill);
	vif->rate_bytes = bytes;
	vif->rate_ns = bytes ? period_ns : 0;
	vif->credit_at_ns = world->queue.now_ns;
	vif->credit = vif->credit < bytes ? vif->credit : bytes;
	refilled(&world->queue, &vif->refill);
}

/* A turn that is on goes on without them: what it was to cost is spent. */
uint32_t sim_flow_recall(struct sim_world *world, struct sim_flow *flow)
{
	struct sim_vif *vif = flow->vif;
	struct sim_vif_queue *queue = &vif->queues[flow->queue % vif->queue_count];
	struct sim_packets *const all[] = { &queue->tx,     &queue->polled, &queue->backlog,
					    &queue->copied, &queue->rx,     &queue->taken };
	uint32_t n = vif->nic ? sim_nic_recall(vif->nic, flow) : 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		n += sim_packets_drop(all[i], flow);
	leave_room(queue, flow);
	if (!queue->napi_on)
		tell_room(world, queue);
	return n;
}

/* ---- making and ending one ---- */

static void init_task(struct sim_world *world, struct sim_vif_queue *queue, struct sim_task *task,
		      enum cl_work_kind kind, const char *form,
		      void (*done)(struct sim_world *world, struct sim_task *task))
{
	char name[32];

	snprintf(name, sizeof(name), form, queue->vif->name, queue->index);
	if (!sim_task_init(world, task, queue->vif->back, name, done))
		return;
	task->kind = kind;
	task->guest = queue->vif->guest->id;
	task->queue_vcpu = queue->vcpu;
}

static void init_queue(struct sim_world *world, struct sim_vif *vif, uint32_t index)
{
	struct sim_vif_queue *queue = &vif->queues[index];
	struct cl_cpuset one;
	char name[32];

	queue->vif = vif;
	queue->index = index;
	queue->vcpu = index % vif->guest->vcpu_count;
	queue->poll.done = poll_done;
	queue->front.done = front_done;
	sim_packets_init(&queue->tx);
	sim_packets_init(&queue->polled);
	sim_packets_init(&queue->backlog);
	sim_packets_init(&queue->copied);
	sim_packets_init(&queue->rx);
	sim_packets_init(&queue->taken);
	queue->waiting_last = &queue->waiting;
	snprintf(name, sizeof(name), "%s-q%u-tx", vif->name, index);
	sim_irq_init(&queue->tx_irq, vif->back, name, vif->guest->id);
	snprintf(name, sizeof(name), "%s-q%u-rx", vif->name, index);
	sim_irq_init(&queue->rx_irq, vif->back, name, vif->guest->id);
	sim_irq_init(&queue->front_irq, vif->guest, "eth0", CL_NONE);
	cl_cpuset_zero(&one);
	cl_cpuset_add(&one, queue->vcpu);
	sim_irq_place(&queue->front_irq, &one);
	init_task(world, queue, &queue->guest_rx, CL_WORK_NETBACK_RX, "%s-q%u-guest-rx",
		  guest_rx_done);
	init_task(world, queue, &queue->dealloc, CL_WORK_NETBACK_DEALLOC, "%s-q%u-dealloc",
		  dealloc_done);
}

struct sim_vif *sim_vif_new(struct sim_world *world, struct sim_domain *guest,
			    struct sim_domain *back, struct sim_nic *nic, uint32_t queues)
{
	struct sim_vif *vif = calloc(1, sizeof(*vif));

	assert(queues > 0 && queues <= SIM_QUEUES_MAX);
	if (!vif || !(vif->queues = calloc(queues, sizeof(*vif->queues)))) {
		free(vif);
		world->queue.failed = true;
		return NULL;
	}
	vif->guest = guest;
	vif->back = back;
	vif->nic = nic;
	vif->queue_count = queues;
	snprintf(vif->name, sizeof(vif->name), "vif%u.0", guest->id);
	sim_event_init(&world->queue, &vif->refill, refilled);
	for (uint32_t i = 0; i < queues; i++)
		init_queue(world, vif, i);
	vif->next = guest->vifs;
	guest->vifs = vif;
	return vif;
}

void sim_vif_free(struct sim_world *world, struct sim_vif *vif)
{
	for (uint32_t i = 0; vif && i < vif->queue_count; i++) {
		struct sim_vif_queue *queue = &vif->queues[i];

		sim_irq_drop(world, &queue->tx_irq, &queue->poll);
		sim_irq_drop(world, &queue->front_irq, &queue->front);
		sim_task_done(world, &queue->guest_rx);
		sim_task_done(world, &queue->dealloc);
		sim_task_done(world, &queue->napi);
		sim_irq_done(&queue->tx_irq);
		sim_irq_done(&queue->rx_irq);
		sim_irq_done(&queue->front_irq);
	}
	if (!vif)
		return;
	struct sim_vif **at = &vif->guest->vifs;

	while (*at != vif)
		at = &(*at)->next;
	*at = vif->next;
	sim_event_done(&world->queue, &vif->refill);
	free(vif->queues);
	free(vif);
}

/* Threads come with the first time and stay, idle, when it is turned off: as in Linux before 6.17.
 */
void sim_vif_thread(struct sim_world *world, struct sim_vif *vif, bool threaded)
{
	vif->threaded = threaded;
	for (uint32_t i = 0; i < vif->queue_count && threaded; i++) {
		struct sim_vif_queue *queue = &vif->queues[i];

		if (!queue->napi.domain)
			init_task(world, queue, &queue->napi, CL_WORK_NAPI, "napi/%s-%u",
				  napi_done);
	}
}
