/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream: bytes in order, one way between a guest and somebody outside; TCP in short.
 *
 *   sim_stream_init -> { write -> (moved: they are at the other end) }* -> done
 *
 * A window of packets may be on its way. Every so many are answered by a small packet (ACK), which
 * takes the way back through the same devices; so is the last one of all that are on their way. A
 * packet that was dropped is sent again after a time-out that doubles (RFC 6298). There is no slow
 * start and no congestion control: the window is as wide as it is said to be.
 *
 * CPU time of the guest is its application's: sim_stream_send_burst, sim_stream_receive_burst.
 */
#ifndef CLOSER_SIM_STREAM_H
#define CLOSER_SIM_STREAM_H

#include "io.h"

#define SIM_ACK_BYTES      66u                    /* Ethernet, IPv4, TCP with timestamps */
#define SIM_TIMEOUT_MIN_NS UINT64_C(200000000)    /* Linux: TCP_RTO_MIN */
#define SIM_TIMEOUT_MAX_NS UINT64_C(120000000000) /* Linux: TCP_RTO_MAX */

struct sim_stream_packet {
	struct sim_packet packet;
	uint32_t count; /* packets that it answers; 0: it carries data */
};

struct sim_stream {
	struct sim_flow flow;
	struct sim_world *world;
	bool inbound; /* to the guest */
	uint32_t packet_bytes, window, every;
	struct sim_stream_packet *packets; /* owned */
	struct sim_packets spare;
	struct sim_packets got; /* inbound: in the guest's buffer; the application has not read */
	uint64_t unsent;        /* packets that were written */
	uint32_t in_flight;     /* sent and not answered */
	uint32_t unanswered;    /* of them: at the other end (inbound: read by the application) */
	uint32_t owed;          /* of them: dropped */
	uint64_t timeout_ns;
	struct sim_event timeout;
	/* Outbound: so many packets are at the other end. Inbound: they are in the guest's buffer.
	 */
	void (*moved)(struct sim_stream *stream, uint32_t packets);
	/* Packets have been answered; sent by now: all but stream->unsent. May be NULL. */
	void (*answered)(struct sim_stream *stream);
	uint64_t written, arrived, dropped, resent, acks, acks_dropped; /* packets */
};

/* every: so many packets are answered by one. False: no memory. */
bool sim_stream_init(struct sim_stream *stream, struct sim_world *world, struct sim_vif *vif,
		     uint32_t number, bool inbound, uint32_t packet_bytes, uint32_t window,
		     uint32_t every);
/* At any time but within a call of the stream. */
void sim_stream_done(struct sim_stream *stream);
/* The sender's application has written so many packets more. */
void sim_stream_write(struct sim_stream *stream, uint64_t packets);
/* Inbound: the application has read so many of those that it got; t3 ends. */
void sim_stream_read(struct sim_stream *stream, uint32_t packets);
/* What the guest's application spends for so many packets. */
struct sim_burst sim_stream_send_burst(const struct sim_stream *stream, uint64_t packets,
				       uint64_t own_ns);
struct sim_burst sim_stream_receive_burst(const struct sim_stream *stream, uint64_t packets,
					  uint64_t own_ns);
/* The time-out after one that is over. */
uint64_t sim_timeout_next(uint64_t ns);
/* Somebody outside sends a packet of the flow. */
void sim_outside_send(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet);

#endif
