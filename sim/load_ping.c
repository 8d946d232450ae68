/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ping: somebody outside sends a packet now and then, a task in the guest sends it back; the time
 * that takes. A packet that is lost is given up; the next one goes at its time.
 */
#include "load.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ping;

struct echo {
	struct ping *ping;
	struct sim_flow flow;
	struct sim_packet packet;
	struct sim_task task;
	struct sim_event next;
	uint64_t sent_ns;
	bool away;     /* the packet is on its way */
	bool has_read; /* the task is about to send it back */
};

struct ping {
	struct sim_load load;
	uint64_t echoes, interval_ns, packet_bytes, own_ns;
	struct echo *all;
	struct sim_vif *vif;
	uint64_t sent, back, lost;
	struct sim_histogram latency;
	struct sim_vif_times before;
};

/* At its time, or at once when that is over. */
static void ask_next(struct echo *echo)
{
	sim_at(&echo->ping->load.world->queue, &echo->next,
	       echo->sent_ns + echo->ping->interval_ns);
}

static void send(struct sim_queue *queue, struct sim_event *event)
{
	struct echo *echo = sim_of(event, struct echo, next);

	echo->sent_ns = queue->now_ns;
	echo->away = true;
	echo->ping->sent++;
	echo->packet.bytes = (uint32_t)echo->ping->packet_bytes;
	sim_outside_send(echo->ping->load.world, &echo->flow, &echo->packet);
}

static void send_back(struct sim_world *world, struct sim_flow *flow)
{
	/* Where the ring is full, it is told when there is room: this is called again. */
	(void)sim_send(world, flow, &sim_of(flow, struct echo, flow)->packet);
}

static void arrived(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct echo *echo = sim_of(flow, struct echo, flow);

	if (packet->inbound) {
		struct sim_burst burst = sim_receive_burst(flow, packet->bytes, echo->ping->own_ns);

		echo->has_read = false;
		sim_task_run(world, &echo->task, &burst);
		return;
	}
	echo->away = false;
	echo->ping->back++;
	sim_histogram_add(&echo->ping->latency, world->queue.now_ns - echo->sent_ns);
	ask_next(echo);
}

static void task_done(struct sim_world *world, struct sim_task *task)
{
	struct echo *echo = sim_of(task, struct echo, task);
	struct sim_burst burst = sim_send_burst(&echo->flow, echo->packet.bytes, 0);

	if (echo->has_read) {
		send_back(world, &echo->flow);
		return;
	}
	sim_received(world, &echo->packet);
	echo->has_read = true;
	sim_task_run(world, task, &burst);
}

static void lost(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct echo *echo = sim_of(flow, struct echo, flow);

	echo->away = false;
	echo->ping->lost++;
	ask_next(echo);
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct ping *ping = (struct ping *)load;

	ping->vif = sim_load_vif(load, reterr);
	if (!ping->vif)
		return -ENODEV;
	ping->before = sim_vif_times(ping->vif);
	ping->all = calloc(ping->echoes, sizeof(*ping->all));
	if (!ping->all)
		return sim_load_no_memory(load, reterr);
	for (uint32_t i = 0; i < ping->echoes; i++) {
		struct echo *echo = &ping->all[i];

		if (!sim_load_task(load, &echo->task, "echo", task_done))
			return sim_load_no_memory(load, reterr);
		echo->ping = ping;
		echo->flow = (struct sim_flow){ .vif = ping->vif,
						.queue = i,
						.arrived = arrived,
						.lost = lost,
						.room = send_back };
		sim_event_init(&load->world->queue, &echo->next, send);
		sim_after(&load->world->queue, &echo->next,
			  sim_random_below(&load->random, ping->interval_ns));
	}
	return 0;
}

static void reset(struct sim_load *load)
{
	struct ping *ping = (struct ping *)load;

	ping->sent = ping->back = ping->lost = 0;
	memset(&ping->latency, 0, sizeof(ping->latency));
	ping->before = sim_vif_times(ping->vif);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct ping *ping = (const struct ping *)load;

	sim_report_rate(report, load->name, "sent", "1/s", ping->sent, span_ns);
	sim_report_rate(report, load->name, "back", "1/s", ping->back, span_ns);
	sim_report_add(report, load->name, "lost", "packets", (double)ping->lost, SIM_LOWER);
	sim_report_latency(report, load->name, "latency", &ping->latency);
	sim_report_times(report, load->name, ping->vif, &ping->before);
}

static void stop(struct sim_load *load)
{
	struct ping *ping = (struct ping *)load;

	for (uint64_t i = 0; ping->all && i < ping->echoes; i++) {
		struct echo *echo = &ping->all[i];

		sim_task_done(load->world, &echo->task);
		if (!echo->ping)
			continue;
		sim_flow_recall(load->world, &echo->flow);
		sim_event_done(&load->world->queue, &echo->next);
	}
	free(ping->all);
	ping->all = NULL;
}

#define IN(member) offsetof(struct ping, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "echoes", "who send, each a packet at a time", SIM_COUNT, 1, 1, 1024, IN(echoes) },
	{ "interval", "between two packets of one of them; later where the first is not back", SIM_NS, 10 * CL_NS_PER_MS, 1000, 3600 * CL_NS_PER_S, IN(interval_ns) },
	{ "packet", "bytes of a packet, headers included (ping: 98)", SIM_BYTES, 98, 64, 65536, IN(packet_bytes) },
	{ "cpu", "CPU time of the guest's task, a packet, without the network's; assumption", SIM_NS, 1000, 0, CL_NS_PER_S, IN(own_ns) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_ping = {
	.name = "ping",
	.doc = "packets from outside that a task in the guest sends back: their time",
	.bytes = sizeof(struct ping),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
