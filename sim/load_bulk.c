/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bulk: streams that move bytes as fast as a window allows, out of the guest or into it. */
#include "load.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_MOST 64u /* packets that are read at once */

struct bulk;

struct pipe {
	struct bulk *bulk;
	struct sim_stream stream;
	struct sim_task task;
	bool busy;
	uint32_t reading; /* packets of the present burst */
};

struct bulk {
	struct sim_load load;
	uint64_t streams, inbound, packet_bytes, window, acks, write_packets, own_ns;
	struct pipe *all;
	struct sim_vif *vif;
	uint64_t moved, moved_before, dropped_before; /* packets */
	struct sim_vif_times before;
};

/* Outbound: the application writes as long as its socket's buffer, as wide as the window, has
 * room. */
static void write_on(struct pipe *pipe)
{
	struct bulk *bulk = pipe->bulk;

	if (pipe->busy || pipe->stream.unsent >= bulk->window)
		return;
	struct sim_burst burst =
		sim_stream_send_burst(&pipe->stream, bulk->write_packets, bulk->own_ns);

	pipe->busy = true;
	sim_task_run(bulk->load.world, &pipe->task, &burst);
}

static void read_on(struct pipe *pipe)
{
	struct bulk *bulk = pipe->bulk;
	uint32_t n = pipe->stream.got.count;

	if (pipe->busy || n == 0)
		return;
	pipe->reading = n < READ_MOST ? n : READ_MOST;
	struct sim_burst burst =
		sim_stream_receive_burst(&pipe->stream, pipe->reading, bulk->own_ns);

	pipe->busy = true;
	sim_task_run(bulk->load.world, &pipe->task, &burst);
}

static void task_done(struct sim_world *world, struct sim_task *task)
{
	struct pipe *pipe = sim_of(task, struct pipe, task);
	struct bulk *bulk = pipe->bulk;

	pipe->busy = false;
	if (bulk->inbound) {
		bulk->moved += pipe->reading;
		/* The sender outside always has more. */
		sim_stream_write(&pipe->stream, pipe->reading);
		sim_stream_read(&pipe->stream, pipe->reading);
		read_on(pipe);
	} else {
		sim_stream_write(&pipe->stream, bulk->write_packets);
		write_on(pipe);
	}
}

static void moved(struct sim_stream *stream, uint32_t packets)
{
	struct pipe *pipe = sim_of(stream, struct pipe, stream);

	if (pipe->bulk->inbound)
		read_on(pipe);
	else
		pipe->bulk->moved += packets;
}

static void answered(struct sim_stream *stream)
{
	struct pipe *pipe = sim_of(stream, struct pipe, stream);

	if (!pipe->bulk->inbound)
		write_on(pipe);
}

static int start_pipe(struct bulk *bulk, uint32_t i)
{
	struct pipe *pipe = &bulk->all[i];

	if (!sim_stream_init(&pipe->stream, bulk->load.world, bulk->vif, i, bulk->inbound != 0,
			     (uint32_t)bulk->packet_bytes, (uint32_t)bulk->window,
			     (uint32_t)bulk->acks))
		return -ENOMEM;
	pipe->bulk = bulk;
	pipe->stream.moved = moved;
	pipe->stream.answered = answered;
	if (!sim_load_task(&bulk->load, &pipe->task, "iperf", task_done))
		return -ENOMEM;
	if (bulk->inbound)
		sim_stream_write(&pipe->stream, bulk->window);
	else
		write_on(pipe);
	return 0;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct bulk *bulk = (struct bulk *)load;

	bulk->vif = sim_load_vif(load, reterr);
	if (!bulk->vif)
		return -ENODEV;
	bulk->before = sim_vif_times(bulk->vif);
	bulk->all = calloc(bulk->streams, sizeof(*bulk->all));
	if (!bulk->all)
		return sim_load_no_memory(load, reterr);
	for (uint32_t i = 0; i < bulk->streams; i++)
		if (start_pipe(bulk, i) < 0)
			return sim_load_no_memory(load, reterr);
	return 0;
}

static uint64_t dropped(const struct bulk *bulk)
{
	uint64_t n = 0;

	for (uint64_t i = 0; bulk->all && i < bulk->streams; i++)
		n += bulk->all[i].stream.dropped + bulk->all[i].stream.acks_dropped;
	return n;
}

static void reset(struct sim_load *load)
{
	struct bulk *bulk = (struct bulk *)load;

	bulk->moved_before = bulk->moved;
	bulk->dropped_before = dropped(bulk);
	bulk->before = sim_vif_times(bulk->vif);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct bulk *bulk = (const struct bulk *)load;
	uint64_t moved_now = bulk->moved - bulk->moved_before;

	sim_report_rate(report, load->name, "packets", "1/s", moved_now, span_ns);
	sim_report_rate(report, load->name, "bytes", "bytes/s",
			moved_now * (bulk->packet_bytes - SIM_ACK_BYTES), span_ns);
	sim_report_add(report, load->name, "lost", "packets",
		       (double)(dropped(bulk) - bulk->dropped_before), SIM_LOWER);
	sim_report_times(report, load->name, bulk->vif, &bulk->before);
}

static void stop(struct sim_load *load)
{
	struct bulk *bulk = (struct bulk *)load;

	for (uint64_t i = 0; bulk->all && i < bulk->streams; i++) {
		sim_stream_done(&bulk->all[i].stream);
		sim_task_done(load->world, &bulk->all[i].task);
	}
	free(bulk->all);
	bulk->all = NULL;
}

#define IN(member) offsetof(struct bulk, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "streams", "at a time", SIM_COUNT, 1, 1, 1024, IN(streams) },
	{ "inbound", "from outside into the guest, else out of it", SIM_BOOL, 0, 0, 1, IN(inbound) },
	{ "packet", "bytes of a packet, headers included", SIM_BYTES, 1514, 128, 65536, IN(packet_bytes) },
	{ "window", "packets of a stream on their way", SIM_COUNT, 128, 1, 4096, IN(window) },
	{ "acks", "packets for one ACK (RFC 1122: 2)", SIM_COUNT, 2, 1, 64, IN(acks) },
	{ "chunk", "packets that the application writes at once (iperf3: 128 KiB)", SIM_COUNT, 64, 1, 1024, IN(write_packets) },
	{ "cpu", "CPU time of the application each time that it reads or writes; assumption", SIM_NS, 1000, 0, CL_NS_PER_S, IN(own_ns) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_bulk = {
	.name = "bulk",
	.doc = "streams move bytes as fast as their window allows, as iperf's over TCP",
	.bytes = sizeof(struct bulk),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
};
