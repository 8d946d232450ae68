/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream: a window of packets, their answers, and what was dropped. */
#include "stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_timeout_next(uint64_t ns)
{
	return ns < SIM_TIMEOUT_MAX_NS / 2 ? ns * 2 : SIM_TIMEOUT_MAX_NS;
}

void sim_outside_send(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	packet->flow = flow;
	if (flow->vif->nic) {
		sim_nic_inject(flow->vif->nic, packet);
		return;
	}
	packet->inbound = true; /* a bridge that leads nowhere: somebody in the back end's domain */
	packet->born_ns = world->queue.now_ns;
	sim_vif_deliver(world, packet);
}

static struct sim_stream *stream_of(struct sim_flow *flow)
{
	return sim_of(flow, struct sim_stream, flow);
}

static struct sim_stream_packet *wrap(struct sim_packet *packet)
{
	return sim_of(packet, struct sim_stream_packet, packet);
}

static void put_away(struct sim_stream *stream, struct sim_packet *packet)
{
	wrap(packet)->count = 0;
	sim_packets_add(&stream->spare, packet);
}

/* Inbound into the guest, or out of it. False: its ring is full. */
static bool dispatch(struct sim_stream *stream, struct sim_packet *packet, bool inbound)
{
	if (!inbound)
		return sim_send(stream->world, &stream->flow, packet);
	sim_outside_send(stream->world, &stream->flow, packet);
	return true;
}

/* ---- data ---- */

static void push(struct sim_stream *stream)
{
	while (stream->unsent > 0 && stream->in_flight < stream->window) {
		struct sim_packet *packet = sim_packets_take(&stream->spare);

		packet->bytes = stream->packet_bytes;
		/* Before it is on its way: it may be dropped at once. */
		stream->unsent--;
		stream->in_flight++;
		if (dispatch(stream, packet, stream->inbound))
			continue;
		stream->unsent++;
		stream->in_flight--;
		put_away(stream, packet);
		return;
	}
}

void sim_stream_write(struct sim_stream *stream, uint64_t packets)
{
	stream->written += packets;
	stream->unsent += packets;
	push(stream);
}

/* ---- answers ---- */

static void answer(struct sim_stream *stream)
{
	struct sim_packet *packet = sim_packets_take(&stream->spare);
	uint32_t count = stream->unanswered;

	packet->bytes = SIM_ACK_BYTES;
	wrap(packet)->count = count;
	stream->unanswered = 0;
	if (dispatch(stream, packet, !stream->inbound))
		return;
	stream->unanswered = count;
	put_away(stream, packet);
}

/* Every so many; and when nothing more is on its way that could be waited for. */
static void answer_if_due(struct sim_stream *stream)
{
	if (stream->unanswered >= stream->every ||
	    (stream->unanswered > 0 && stream->got.count == 0 &&
	     stream->unanswered + stream->owed >= stream->in_flight))
		answer(stream);
}

static void was_answered(struct sim_stream *stream, struct sim_packet *packet)
{
	stream->acks++;
	stream->in_flight -= wrap(packet)->count;
	stream->timeout_ns = SIM_TIMEOUT_MIN_NS;
	put_away(stream, packet);
	push(stream);
	if (stream->answered)
		stream->answered(stream);
}

void sim_stream_read(struct sim_stream *stream, uint32_t packets)
{
	while (packets-- > 0) {
		struct sim_packet *packet = sim_packets_take(&stream->got);

		sim_received(stream->world, packet);
		put_away(stream, packet);
		stream->unanswered++;
		if (stream->unanswered >= stream->every)
			answer(stream);
	}
	answer_if_due(stream);
}

static void arrived(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct sim_stream *stream = stream_of(flow);

	if (wrap(packet)->count > 0) {
		was_answered(stream, packet);
		return;
	}
	stream->arrived++;
	if (stream->inbound) {
		sim_packets_add(&stream->got, packet);
	} else {
		put_away(stream, packet);
		stream->unanswered++;
		answer_if_due(stream);
	}
	stream->moved(stream, 1);
}

/* ---- what was dropped ---- */

static void lost(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct sim_stream *stream = stream_of(flow);

	if (wrap(packet)->count > 0) {
		stream->acks_dropped++;
		stream->unanswered += wrap(packet)->count; /* a later one answers them as well */
	} else {
		stream->dropped++;
		stream->owed++;
	}
	put_away(stream, packet);
	if (!sim_is_pending(&stream->timeout))
		sim_after(&world->queue, &stream->timeout, stream->timeout_ns);
}

static void timed_out(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_stream *stream = sim_of(event, struct sim_stream, timeout);

	stream->timeout_ns = sim_timeout_next(stream->timeout_ns);
	stream->resent += stream->owed;
	stream->unsent += stream->owed;
	stream->in_flight -= stream->owed;
	stream->owed = 0;
	answer_if_due(stream);
	push(stream);
}

static void room(struct sim_world *world, struct sim_flow *flow)
{
	struct sim_stream *stream = stream_of(flow);

	if (stream->inbound)
		answer_if_due(stream);
	else
		push(stream);
}

/* ---- what it costs the guest ---- */

static struct sim_burst times(struct sim_burst one, uint64_t packets, uint64_t own_ns)
{
	one.cpu_ns = one.cpu_ns * packets + own_ns;
	one.bytes *= packets;
	return one;
}

struct sim_burst sim_stream_send_burst(const struct sim_stream *stream, uint64_t packets,
				       uint64_t own_ns)
{
	return times(sim_send_burst(&stream->flow, stream->packet_bytes, 0), packets, own_ns);
}

/* The answers are sent by who reads. */
struct sim_burst sim_stream_receive_burst(const struct sim_stream *stream, uint64_t packets,
					  uint64_t own_ns)
{
	uint64_t acks = (packets + stream->every - 1) / stream->every;

	own_ns += acks * sim_send_burst(&stream->flow, SIM_ACK_BYTES, 0).cpu_ns;
	return times(sim_receive_burst(&stream->flow, stream->packet_bytes, 0), packets, own_ns);
}

bool sim_stream_init(struct sim_stream *stream, struct sim_world *world, struct sim_vif *vif,
		     uint32_t number, bool inbound, uint32_t packet_bytes, uint32_t window,
		     uint32_t every)
{
	uint32_t count = window + 1; /* what is in flight is a packet, or waits for one answer */

	memset(stream, 0, sizeof(*stream));
	assert(window > 0 && every > 0 && packet_bytes > 0);
	stream->packets = calloc(count, sizeof(*stream->packets));
	if (!stream->packets)
		return false;
	sim_packets_init(&stream->spare);
	sim_packets_init(&stream->got);
	for (uint32_t i = 0; i < count; i++)
		sim_packets_add(&stream->spare, &stream->packets[i].packet);
	stream->flow = (struct sim_flow){
		.vif = vif, .queue = number, .arrived = arrived, .lost = lost, .room = room
	};
	stream->world = world;
	stream->inbound = inbound;
	stream->packet_bytes = packet_bytes;
	stream->window = window;
	stream->every = every;
	stream->timeout_ns = SIM_TIMEOUT_MIN_NS;
	sim_event_init(&world->queue, &stream->timeout, timed_out);
	return true;
}

void sim_stream_done(struct sim_stream *stream)
{
	if (!stream->packets)
		return;
	sim_flow_recall(stream->world, &stream->flow);
	sim_event_done(&stream->world->queue, &stream->timeout);
	free(stream->packets);
	stream->packets = NULL;
}
