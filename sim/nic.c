/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nic: a physical network device. A line with a rate each way; arrived packets raise an interrupt
 * of their queue, at most one each moderation_ns; the owner's NAPI takes them in turns and hands
 * them to the bridge. What goes out was paid for by whoever sent it (vif.c).
 */
#include "io.h"

#include <stdlib.h>
#include <string.h>

static uint64_t line_ns(const struct sim_nic *nic, uint32_t bytes)
{
	return (uint64_t)((unsigned __int128)bytes * CL_PPM * 1000 / nic->rate);
}

/* ---- the line ---- */

static void out_through(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_nic *nic = sim_of(event, struct sim_nic, out_through);
	struct sim_packet *packet = sim_packets_take(&nic->out);

	if (nic->out.first)
		sim_at(queue, event, nic->out.first->told_ns);
	nic->sent++;
	nic->sent_bytes += packet->bytes;
	packet->flow->arrived(nic->world, packet->flow, packet);
}

void sim_nic_transmit(struct sim_nic *nic, struct sim_packet *packet)
{
	struct sim_queue *queue = &nic->world->queue;
	uint64_t start = nic->out_free_ns > queue->now_ns ? nic->out_free_ns : queue->now_ns;

	nic->out_free_ns = start + line_ns(nic, packet->bytes);
	packet->told_ns = nic->out_free_ns + nic->wire_ns;
	sim_packets_add(&nic->out, packet);
	if (!sim_is_pending(&nic->out_through))
		sim_at(queue, &nic->out_through, packet->told_ns);
}

static struct sim_nic_queue *queue_of(struct sim_nic *nic, const struct sim_packet *packet)
{
	return &nic->queues[(packet->flow->vif->guest->id + packet->flow->queue) %
			    nic->queue_count];
}

static void poll(struct sim_world *world, struct sim_nic_queue *queue)
{
	const struct sim_costs *costs = &world->costs;
	struct sim_packet *packet;

	if (queue->poll.queued || queue->polled.count > 0 || queue->arrived.count == 0)
		return;
	while (queue->polled.count < SIM_NAPI_TURN && (packet = sim_packets_take(&queue->arrived)))
		sim_packets_add(&queue->polled, packet);
	queue->poll.burst =
		(struct sim_burst){ queue->polled.count * (costs->nic_ns + costs->bridge_ns), 0,
				    queue->nic->node, CL_NONE };
	sim_irq_raise(world, &queue->irq, &queue->poll);
}

static void moderated(struct sim_queue *events, struct sim_event *event)
{
	poll(sim_world_of(events), sim_of(event, struct sim_nic_queue, moderation));
}

static void in_through(struct sim_queue *events, struct sim_event *event)
{
	struct sim_nic *nic = sim_of(event, struct sim_nic, in_through);
	struct sim_packet *packet = sim_packets_take(&nic->in);
	struct sim_nic_queue *queue = queue_of(nic, packet);

	if (nic->in.first)
		sim_at(events, event, nic->in.first->told_ns);
	nic->received++;
	nic->received_bytes += packet->bytes;
	packet->born_ns = events->now_ns;
	sim_packets_add(&queue->arrived, packet);
	if (!sim_is_pending(&queue->moderation))
		sim_after(events, &queue->moderation, nic->moderation_ns);
}

void sim_nic_inject(struct sim_nic *nic, struct sim_packet *packet)
{
	struct sim_queue *queue = &nic->world->queue;
	uint64_t start = nic->in_free_ns > queue->now_ns ? nic->in_free_ns : queue->now_ns;

	packet->inbound = true;
	nic->in_free_ns = start + line_ns(nic, packet->bytes);
	packet->told_ns = nic->in_free_ns + nic->wire_ns;
	sim_packets_add(&nic->in, packet);
	if (!sim_is_pending(&nic->in_through))
		sim_at(queue, &nic->in_through, packet->told_ns);
}

static void poll_done(struct sim_world *world, struct sim_irq_work *work)
{
	struct sim_nic_queue *queue = sim_of(work, struct sim_nic_queue, poll);
	struct sim_packets through = queue->polled;
	struct sim_packet *packet;

	sim_packets_init(&queue->polled);
	while ((packet = sim_packets_take(&through)))
		sim_vif_deliver(world, packet);
	/* NAPI goes on while there is something, without another interrupt. */
	poll(world, queue);
}

/* The next of those that are on the line may be another one now. */
static uint32_t recall_line(struct sim_nic *nic, struct sim_packets *line,
			    struct sim_event *through, const struct sim_flow *flow)
{
	uint32_t n = sim_packets_drop(line, flow);

	if (n > 0 && line->first)
		sim_at(&nic->world->queue, through, line->first->told_ns);
	else if (n > 0)
		sim_cancel(&nic->world->queue, through);
	return n;
}

uint32_t sim_nic_recall(struct sim_nic *nic, const struct sim_flow *flow)
{
	uint32_t n = recall_line(nic, &nic->out, &nic->out_through, flow) +
		     recall_line(nic, &nic->in, &nic->in_through, flow);

	for (uint32_t i = 0; i < nic->queue_count; i++)
		n += sim_packets_drop(&nic->queues[i].arrived, flow) +
		     sim_packets_drop(&nic->queues[i].polled, flow);
	return n;
}

struct sim_nic *sim_nic_new(struct sim_world *world, struct sim_domain *owner, const char *name,
			    uint64_t rate, uint32_t queues)
{
	struct sim_nic *nic = calloc(1, sizeof(*nic));

	if (!nic || !(nic->queues = calloc(queues, sizeof(*nic->queues)))) {
		free(nic);
		world->queue.failed = true;
		return NULL;
	}
	nic->world = world;
	nic->owner = owner;
	nic->rate = rate;
	nic->node = CL_NONE;
	nic->queue_count = queues;
	strncpy(nic->name, name, sizeof(nic->name) - 1);
	sim_packets_init(&nic->out);
	sim_packets_init(&nic->in);
	sim_event_init(&world->queue, &nic->out_through, out_through);
	sim_event_init(&world->queue, &nic->in_through, in_through);
	for (uint32_t i = 0; i < queues; i++) {
		struct sim_nic_queue *queue = &nic->queues[i];

		queue->nic = nic;
		queue->poll.done = poll_done;
		sim_packets_init(&queue->arrived);
		sim_packets_init(&queue->polled);
		sim_event_init(&world->queue, &queue->moderation, moderated);
		sim_irq_init(&queue->irq, owner, name, CL_NONE);
	}
	return nic;
}

void sim_nic_free(struct sim_nic *nic)
{
	if (!nic)
		return;
	for (uint32_t i = 0; i < nic->queue_count; i++) {
		sim_event_done(&nic->world->queue, &nic->queues[i].moderation);
		sim_irq_drop(nic->world, &nic->queues[i].irq, &nic->queues[i].poll);
		sim_irq_done(&nic->queues[i].irq);
	}
	sim_event_done(&nic->world->queue, &nic->out_through);
	sim_event_done(&nic->world->queue, &nic->in_through);
	free(nic->queues);
	free(nic);
}
