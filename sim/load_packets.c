/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packets: so many a second, whether they get through or not, as over UDP; into the guest, whose
 * task reads them, or out of it. What finds no room is lost, where is counted: in the sender (it
 * could not keep up, or its queue was full) or on the way.
 */
#include "load.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u

struct packets_load {
	struct sim_load load;
	uint64_t rate, inbound, packet_bytes, buffer, own_ns, poisson, step_ns;
	struct sim_vif *vif;
	struct sim_flow flow;
	struct sim_packet *all;
	struct sim_packets spare;
	struct sim_packets got; /* inbound: in the socket's buffer */
	struct sim_task task;
	struct sim_event next;
	bool busy;
	uint64_t now_sending; /* packets of the present burst */
	uint64_t due;         /* outbound: to be sent by the task */
	uint64_t base_ns, n;  /* of an even rate: the n-th after base */
	struct packet_counts {
		uint64_t offered, sent, arrived, lost, lost_here;
	} all_time, before;
	struct sim_histogram latency;
	struct sim_vif_times times;
	uint64_t rest; /* by rates: of a packet that is offered */
};

static struct packets_load *load_of(struct sim_flow *flow)
{
	return sim_of(flow, struct packets_load, flow);
}

static void run(struct packets_load *load, struct sim_burst burst, uint64_t packets)
{
	load->busy = true;
	load->now_sending = packets;
	burst.cpu_ns = burst.cpu_ns * packets;
	burst.bytes *= packets;
	sim_task_run(load->load.world, &load->task, &burst);
}

static void go_on(struct packets_load *load)
{
	uint32_t bytes = (uint32_t)load->packet_bytes;
	uint64_t n = load->inbound ? load->got.count : load->due;

	n = n < BATCH ? n : BATCH;
	if (load->busy || n == 0)
		return;
	run(load,
	    load->inbound ? sim_receive_burst(&load->flow, bytes, load->own_ns)
			  : sim_send_burst(&load->flow, bytes, load->own_ns),
	    n);
}

/* One packet more on its way, if there is memory for it: there are as many as may be under way. */
static void send_one(struct packets_load *load)
{
	struct sim_packet *packet = sim_packets_take(&load->spare);

	if (!packet) {
		load->all_time.lost_here++;
		return;
	}
	packet->bytes = (uint32_t)load->packet_bytes;
	load->all_time.sent++;
	if (load->inbound) {
		sim_outside_send(load->load.world, &load->flow, packet);
	} else if (!sim_send(load->load.world, &load->flow, packet)) {
		load->all_time.sent--;
		load->all_time.lost_here++;
		sim_packets_add(&load->spare, packet);
	}
}

static void read_one(struct packets_load *load)
{
	struct sim_packet *packet = sim_packets_take(&load->got);

	sim_received(load->load.world, packet);
	load->all_time.arrived++;
	sim_histogram_add(&load->latency, load->load.world->queue.now_ns - packet->born_ns);
	sim_packets_add(&load->spare, packet);
}

static void task_done(struct sim_world *world, struct sim_task *task)
{
	struct packets_load *load = sim_of(task, struct packets_load, task);

	load->busy = false;
	for (uint64_t i = 0; i < load->now_sending; i++) {
		if (load->inbound)
			read_one(load);
		else
			send_one(load);
	}
	if (!load->inbound)
		load->due -= load->now_sending;
	go_on(load);
}

static void arrived(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct packets_load *load = load_of(flow);

	if (!load->inbound) {
		load->all_time.arrived++;
		sim_histogram_add(&load->latency, world->queue.now_ns - packet->born_ns);
		sim_packets_add(&load->spare, packet);
		return;
	}
	if (load->got.count >= load->buffer) { /* the socket's buffer is full */
		load->all_time.lost++;
		sim_packets_add(&load->spare, packet);
		return;
	}
	sim_packets_add(&load->got, packet);
	go_on(load);
}

static void lost(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct packets_load *load = load_of(flow);

	load->all_time.lost++;
	sim_packets_add(&load->spare, packet);
}

/* How many are due in this step: evenly, without drift, or at random. */
static uint64_t due_now(struct packets_load *load)
{
	uint64_t now = load->load.world->queue.now_ns, until;

	if (load->poisson)
		return 1;
	until = (uint64_t)((unsigned __int128)(now - load->base_ns) * load->rate / CL_NS_PER_S);
	until -= load->n;
	load->n += until;
	return until;
}

static void ask_next(struct packets_load *load)
{
	struct sim_queue *queue = &load->load.world->queue;
	uint64_t mean = CL_NS_PER_S / load->rate, at;

	if (load->poisson) {
		sim_after(queue, &load->next,
			  sim_random_exponential(&load->load.random, mean ? mean : 1));
		return;
	}
	/* The next packet's time; at high rates several go together. */
	at = load->base_ns +
	     (uint64_t)(((unsigned __int128)(load->n + 1) * CL_NS_PER_S + load->rate - 1) /
			load->rate);
	sim_at(queue, &load->next,
	       at > queue->now_ns + load->step_ns ? at : queue->now_ns + load->step_ns);
}

static void tick(struct sim_queue *queue, struct sim_event *event)
{
	struct packets_load *load = sim_of(event, struct packets_load, next);
	uint64_t n = due_now(load);

	load->all_time.offered += n;
	for (; load->inbound && n > 0; n--)
		send_one(load);
	/* A task that cannot keep up: what it would have to send by now is lost. */
	if (load->due + n > load->buffer) {
		load->all_time.lost_here += load->due + n - load->buffer;
		n = load->buffer - load->due;
	}
	load->due += n;
	go_on(load);
	ask_next(load);
}

static int start(struct sim_load *base, struct cl_error *reterr)
{
	struct packets_load *load = (struct packets_load *)base;
	uint64_t count = load->buffer + 4 * SIM_NET_RING + 1024; /* rings, queues, and a line */

	load->vif = sim_load_vif(base, reterr);
	if (!load->vif)
		return -ENODEV;
	load->flow = (struct sim_flow){
		.vif = load->vif,
		.queue = (uint32_t)sim_random_below(&base->random, load->vif->queue_count),
		.arrived = arrived,
		.lost = lost,
	};
	load->times = sim_vif_times(load->vif);
	sim_packets_init(&load->spare);
	sim_packets_init(&load->got);
	sim_event_init(&base->world->queue, &load->next, tick);
	load->all = calloc(count, sizeof(*load->all));
	if (!load->all || !sim_load_task(base, &load->task, "udp", task_done))
		return sim_load_no_memory(base, reterr);
	for (uint64_t i = 0; i < count; i++)
		sim_packets_add(&load->spare, &load->all[i]);
	load->base_ns = base->world->queue.now_ns;
	ask_next(load);
	return 0;
}

/* By rates nothing is lost on the way; what has no room is not sent. */
static int begin(struct sim_load *base, struct cl_error *reterr)
{
	struct packets_load *load = (struct packets_load *)base;
	/* Of an even rate those of one step come together. */
	uint64_t batch = load->poisson ? 1 : load->rate * load->step_ns / CL_NS_PER_S;

	load->vif = sim_load_vif(base, reterr);
	if (!load->vif)
		return -ENODEV;
	base->rate = (struct sim_rate){
		.asked = load->rate,
		.threads = 1,
		.parts[0] = { .flow = load->inbound ? SIM_RECEIVE : SIM_SEND,
			      .ppm = CL_PPM,
			      .batch = batch ? batch : 1,
			      .bytes = load->packet_bytes,
			      .own_ns = load->own_ns },
		.part_count = 1,
	};
	return 0;
}

static void gave(struct sim_load *base, uint64_t ns, uint64_t units)
{
	struct packets_load *load = (struct packets_load *)base;
	unsigned __int128 due = (unsigned __int128)ns * load->rate + load->rest;
	uint64_t offered = (uint64_t)(due / CL_NS_PER_S);

	load->rest = (uint64_t)(due % CL_NS_PER_S);
	load->all_time.offered += offered;
	load->all_time.arrived += units;
	load->all_time.lost_here += offered - (units < offered ? units : offered);
}

static void reset(struct sim_load *base)
{
	struct packets_load *load = (struct packets_load *)base;

	load->before = load->all_time;
	load->times = sim_vif_times(load->vif);
	memset(&load->latency, 0, sizeof(load->latency));
}

static void report(struct sim_load *base, uint64_t span_ns, struct sim_report *report)
{
	const struct packets_load *load = (const struct packets_load *)base;
	const struct packet_counts *now = &load->all_time, *then = &load->before;

	sim_report_rate(report, base->name, "offered", "1/s", now->offered - then->offered,
			span_ns);
	sim_report_rate(report, base->name, "packets", "1/s", now->arrived - then->arrived,
			span_ns);
	sim_report_add(report, base->name, "lost", "packets", (double)(now->lost - then->lost),
		       SIM_LOWER);
	sim_report_add(report, base->name, "unsent", "packets",
		       (double)(now->lost_here - then->lost_here), SIM_LOWER);
	sim_report_latency(report, base->name, "latency", &load->latency);
	sim_report_times(report, base->name, load->vif, &load->times);
}

static void stop(struct sim_load *base)
{
	struct packets_load *load = (struct packets_load *)base;

	if (!load->flow.vif)
		return;
	sim_flow_recall(base->world, &load->flow);
	sim_event_done(&base->world->queue, &load->next);
	sim_task_done(base->world, &load->task);
	free(load->all);
	load->all = NULL;
	load->flow.vif = NULL;
}

#define IN(member) offsetof(struct packets_load, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "rate", "packets a second that are offered", SIM_PER_S, 10000, 1, 10000000, IN(rate) },
	{ "inbound", "from outside into the guest, else out of it", SIM_BOOL, 1, 0, 1, IN(inbound) },
	{ "packet", "bytes of a packet, headers included", SIM_BYTES, 64, 64, 65536, IN(packet_bytes) },
	{ "poisson", "at random times (Poisson), else evenly", SIM_BOOL, 0, 0, 1, IN(poisson) },
	{ "step", "evenly: the least time between two goes of the sender; at high rates several packets go together", SIM_NS, 10000, 1, CL_NS_PER_S, IN(step_ns) },
	{ "buffer", "packets that wait for the guest's task (Linux: 212,992 bytes of 768 each for small ones)", SIM_COUNT, 277, 1, 65536, IN(buffer) },
	{ "cpu", "CPU time of the application, a packet, without the network's; assumption", SIM_NS, 500, 0, CL_NS_PER_S, IN(own_ns) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_packets = {
	.name = "packets",
	.doc = "so many packets a second, whether they get through or not, as over UDP",
	.bytes = sizeof(struct packets_load),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
	.begin = begin,
	.gave = gave,
};
