/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads that are started and stopped at any time, guests that are paused, devices that are blocked:
 * nothing is lost, nothing is left, nothing goes on for nothing. */
#include "load_world.h"
#include "stream.h"
#include "unit.h"

#define ROUNDS 60u

static struct host host;

/* Each kind of load in each of its ways. */
static const struct way {
	const char *type;
	struct {
		const char *name;
		uint64_t value;
	} set[6];
} ways[] = {
	{ "hog", { { "tasks", 2 } } },
	{ "web", { { "clients", 20 } } },
	{ "web-100k", { { "clients", 20 }, { "think", 5 * MS }, { "window", 7 } } },
	{ "wordpress", { { "miss", 500000 }, { "cpu", 5 * MS } } },
	{ "magento", { { "miss", 300000 }, { "cpu", 2 * MS } } },
	{ "disk", { { "depth", 40 }, { "random", 500000 }, { "write", 300000 } } },
	{ "disk", { { "record", 1048576 }, { "depth", 3 } } },
	{ "disk", { { "cached", 1 }, { "depth", 4 }, { "write", 500000 }, { "fresh", 65536 } } },
	{ "disk",
	  { { "cached", 1 }, { "write", 1000000 }, { "background", 4096 }, { "dirty", 99999 } } },
	{ "bulk", { { "streams", 3 }, { "window", 300 } } },
	{ "bulk", { { "streams", 20 }, { "inbound", 1 }, { "window", 90 }, { "acks", 7 } } },
	{ "packets", { { "rate", 200000 }, { "inbound", 1 } } },
	{ "packets", { { "rate", 200000 }, { "inbound", 0 }, { "poisson", 1 } } },
	{ "ping", { { "echoes", 5 } } },
	{ "kernbench",
	  { { "compile", 3 * MS },
	    { "miss", 500000 },
	    { "files", 20 },
	    { "background", 4096 },
	    { "link", 10 * MS },
	    { "dirty", 2000000 } } },
	{ "dirty", { { "rate", 50000 } } },
	{ "forkbomb", { { "tasks", 30 }, { "every", MS } } },
	{ "manager",
	  { { "job", MS },
	    { "every", 4 * MS },
	    { "heartbeat", 20 * MS },
	    { "timeout", 30 * MS } } },
	{ "operations", { { "memory", 16777216 }, { "life", 2 * MS }, { "pause", MS } } },
	{ "trace", { { "interval", 20 * MS }, { "slot", 5 * MS } } },
};

static struct sim_load *start_way(const struct way *way)
{
	uint64_t stream = 0x10ad00 + (uint64_t)(way - ways);
	struct sim_load *load =
		sim_load_new(host.world, sim_load_find(way->type), host.guest, way->type, stream);

	for (size_t i = 0; i < 6 && way->set[i].name; i++)
		host_set(load, way->set[i].name, way->set[i].value);
	host.loads[host.load_count++] = load;
	host_start(&host, load);
	return load;
}

static void start_all(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		start_way(&ways[i]);
}

/* What dom0's management does is in test_sim_manage_loads.c. */
static bool is_management(const char *type)
{
	return strcmp(type, "manager") == 0 || strcmp(type, "operations") == 0;
}

static void all_types_are_here(void **state)
{
	for (size_t i = 0; sim_loads[i]; i++) {
		bool found = is_management(sim_loads[i]->name);

		for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++)
			found = found || strcmp(ways[k].type, sim_loads[i]->name) == 0;
		if (!found)
			fail_msg("load %s is in no test", sim_loads[i]->name);
	}
}

/* ---- the same again ---- */

static uint64_t digest_of(uint64_t seed)
{
	uint64_t digest;

	host_begin(&host, seed, &host_costs);
	start_all();
	host_run(&host, 500 * MS);
	digest = host.world->queue.digest;
	host_end(&host);
	return digest;
}

static void same_seed_same_digest(void **state)
{
	uint64_t first = digest_of(5);

	assert_int_equal(digest_of(5), first);
	assert_int_not_equal(digest_of(6), first);
}

/* ---- begin and end ---- */

/* Each alone: stopped at some time, begun again, and nothing stays behind. */
static void stop_at_any_time(void **state)
{
	struct sim_random random;
	uint64_t fired;

	sim_random_init(&random, 1, 1);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		host_begin(&host, i, &host_costs);
		for (uint32_t round = 0; round < ROUNDS; round++) {
			struct sim_load *load = start_way(&ways[i]);

			host_run(&host, sim_random_exponential(&random, 3 * MS));
			if (round % 3 == 0)
				load->ops->stop(load); /* twice is once */
			host_stop(&host, load);
			host_is_empty(&host);
			if (round % 2)
				host_run(&host, sim_random_below(&random, MS));
		}
		/* What was under way in devices ends; then it is quiet. */
		host_run(&host, S);
		fired = host.world->queue.fired;
		host_run(&host, 10 * S);
		assert_int_equal(host.world->queue.fired, fired);
		host_end(&host);
	}
}

/* All at once, one is stopped or begun at a time: the others go on, and get things done. */
static void others_go_on(void **state)
{
	struct sim_load *loads[sizeof(ways) / sizeof(ways[0])] = { 0 };
	static struct sim_report report;
	struct sim_random random;

	sim_random_init(&random, 2, 2);
	host_begin(&host, 3, &host_costs);
	for (uint32_t round = 0; round < 400; round++) {
		size_t i = (size_t)sim_random_below(&random, sizeof(ways) / sizeof(ways[0]));

		if (loads[i])
			host_stop(&host, loads[i]);
		loads[i] = loads[i] ? NULL : start_way(&ways[i]);
		host_run(&host, sim_random_exponential(&random, 2 * MS));
	}
	while (host.load_count > 0)
		host_stop(&host, host.loads[0]);
	host_is_empty(&host);
	/* The devices are as good as new. */
	struct sim_load *ping = host_load(&host, "ping", NULL);

	host_measure(&host, ping, S, &report);
	near(metric(&report, "back"), 100, 0.02);
	assert_true(metric(&report, "latency") < 200e3);
	host_stop(&host, ping);
	struct sim_load *disk = host_load(&host, "disk", "depth", UINT64_C(4), NULL);

	host_measure(&host, disk, S, &report);
	near(metric(&report, "bytes"), 500e6, 0.02);
	host_end(&host);
}

/* ---- a guest that is paused, a device that is shut ---- */

static uint64_t fired_in(uint64_t ns)
{
	uint64_t before = host.world->queue.fired;

	host_run(&host, ns);
	return host.world->queue.fired - before;
}

static uint64_t work_done(void)
{
	return host.vif->sent + host.vif->received + host.vbd->reads + host.vbd->writes +
	       host.guest->dirty_writes;
}

static void paused_guest(void **state)
{
	host_begin(&host, 4, &host_costs);
	start_all();
	host_run(&host, 200 * MS);
	sim_domain_pause(host.world, host.guest, true);
	host_run(&host, S);
	uint64_t done = work_done();

	/* What comes from outside at its own rate goes on coming, and clients ask again now and
	 * then; nothing else happens. */
	host_run(&host, 2 * S);
	assert_int_equal(work_done(), done);
	sim_domain_pause(host.world, host.guest, false);
	host_run(&host, S);
	assert_true(work_done() > done + 1000);
	/* And stopped while it is paused. */
	sim_domain_pause(host.world, host.guest, true);
	host_run(&host, 10 * MS);
	while (host.load_count > 0)
		host_stop(&host, host.loads[0]);
	host_is_empty(&host);
	sim_domain_pause(host.world, host.guest, false);
	host_run(&host, 10 * MS);
	host_end(&host);
}

/* Loads that wait for an answer ask ever more seldom when there is none, and go on when there is.
 */
static void blocked_vif(void **state)
{
	static const size_t waiting[] = { 1, 2, 3, 4, 9, 10 };

	for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
		host_begin(&host, 4, &host_costs);
		start_way(&ways[waiting[i]]);
		host_run(&host, 100 * MS);
		sim_vif_block(host.world, host.vif, true);
		host_run(&host, 60 * S);
		/* Asking every 200 ms would be some millions for twenty streams. */
		assert_in_range(fired_in(60 * S), 0, 20000);
		sim_vif_block(host.world, host.vif, false);
		uint64_t until = host.world->queue.now_ns + 120 * S;
		uint64_t done = work_done();

		while (work_done() < done + 1000 && host.world->queue.now_ns < until)
			host_run(&host, 100 * MS);
		assert_true(work_done() >= done + 1000);
		host_end(&host);
	}
}

/* ---- conservation ---- */

static uint64_t moved_packets;

static void moved(struct sim_stream *stream, uint32_t n)
{
	moved_packets += n;
	if (stream->inbound) /* read at once */
		sim_stream_read(stream, stream->got.count);
}

/* Whatever is dropped on the way, all that is written arrives, once, and is answered. */
static void streams_deliver_all(void **state)
{
	struct sim_random random;
	uint64_t dropped = 0, acks_dropped = 0;

	sim_random_init(&random, 8, 8);
	for (uint32_t round = 0; round < 40; round++) {
		uint32_t window = 1 + (uint32_t)sim_random_below(&random, 600);
		uint32_t every = 1 + (uint32_t)sim_random_below(&random, 5);
		struct sim_stream stream;

		host_begin(&host, round, &host_costs);
		moved_packets = 0;
		assert_true(sim_stream_init(&stream, host.world, host.vif, round, round % 2, 1514,
					    window, every));
		stream.moved = moved;
		for (uint32_t i = 0; i < 60; i++) {
			sim_stream_write(&stream, sim_random_below(&random, 500));
			host_run(&host, sim_random_exponential(&random, 3 * MS));
			sim_vif_block(host.world, host.vif, i % 3 == 0);
			assert_true(stream.in_flight <= window);
		}
		sim_vif_block(host.world, host.vif, false);
		host_run(&host, 300 * S);
		assert_int_equal(stream.arrived, stream.written);
		assert_int_equal(moved_packets, stream.written);
		assert_int_equal(stream.in_flight + stream.unsent + stream.owed, 0);
		assert_int_equal(stream.resent, stream.dropped);
		assert_int_equal(stream.spare.count, window + 1);
		dropped += stream.dropped;
		acks_dropped += stream.acks_dropped;
		sim_stream_done(&stream);
		host_end(&host);
	}
	assert_true(dropped > 1000 && acks_dropped > 100);
}

#define PACKETS 3000u

static struct sim_packet packets[PACKETS];
static uint32_t has_arrived, was_lost, told;

static void arrived(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	assert_in_range(packet - packets, 0, PACKETS - 1);
	assert_int_not_equal(packet->bytes, 0);
	packet->bytes = 0; /* once */
	has_arrived++;
}

static void lost(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	assert_int_not_equal(packet->bytes, 0);
	packet->bytes = 0;
	was_lost++;
}

static void room(struct sim_world *world, struct sim_flow *flow)
{
	told++;
}

static uint32_t send_some(struct sim_flow *flow, bool inbound, uint32_t from, uint32_t n)
{
	uint32_t i = from;

	for (; i < from + n && i < PACKETS; i++) {
		packets[i].bytes = 200;
		if (inbound) {
			packets[i].flow = flow;
			sim_nic_inject(host.nic, &packets[i]);
		} else if (!sim_send(host.world, flow, &packets[i])) {
			break;
		}
	}
	return i;
}

/* Of what was sent: arrived, lost, or found under way; at any time. */
static void packets_are_conserved(void **state)
{
	struct sim_costs costs = host_costs;
	struct sim_random random;
	uint64_t all_lost = 0, all_under_way = 0;

	costs.netback_rx_ns = costs.netback_tx_ns = 20 * US;
	sim_random_init(&random, 9, 9);
	for (uint32_t round = 0; round < 200; round++) {
		bool inbound = round % 2;
		uint32_t sent = 0, under_way;

		host_begin(&host, round, &costs);
		struct sim_flow flow = { .vif = host.vif,
					 .queue = round,
					 .arrived = arrived,
					 .lost = lost,
					 .room = room };
		has_arrived = was_lost = 0;
		for (uint32_t i = 0; i < 20; i++) {
			sent = send_some(&flow, inbound, sent,
					 (uint32_t)sim_random_below(&random, 400));
			host_run(&host, sim_random_exponential(&random, 500 * US));
		}
		under_way = sim_flow_recall(host.world, &flow);
		assert_int_equal(sent, has_arrived + was_lost + under_way);
		host_is_empty(&host);
		all_lost += was_lost;
		all_under_way += under_way;
		has_arrived = was_lost = 0;
		host_run(&host, S);
		assert_int_equal(has_arrived + was_lost, 0);
		host_end(&host);
	}
	assert_true(all_lost > 1000 && all_under_way > 1000);
}

/* The ring takes 256; who found it full is told, once, when there is room. */
static void ring_has_room(void **state)
{
	host_begin(&host, 1, &host_costs);
	struct sim_flow flow = { .vif = host.vif, .arrived = arrived, .lost = lost, .room = room };

	has_arrived = told = 0;
	assert_int_equal(send_some(&flow, false, 0, 1000), SIM_NET_RING);
	assert_int_equal(send_some(&flow, false, SIM_NET_RING, 1), SIM_NET_RING);
	host_run(&host, S);
	assert_int_equal(told, 1);
	assert_int_equal(has_arrived, SIM_NET_RING);
	host_end(&host);
}

/* Others keep their place: on the line, and at a disk that serves one at a time. */
static uint64_t at_ns;

static void notes_time(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	at_ns = world->queue.now_ns;
}

static void line_goes_on(void **state)
{
	struct sim_packet one = { .bytes = 1250 }, two = { .bytes = 1250 };

	host_begin(&host, 1, NULL);
	struct sim_flow a = { .vif = host.vif, .arrived = arrived, .lost = lost };
	struct sim_flow b = { .vif = host.vif, .arrived = notes_time, .lost = lost };

	/* 10 us each; the first is taken off while it is on the line. */
	at_ns = 0;
	sim_outside_send(host.world, &a, &one);
	sim_outside_send(host.world, &b, &two);
	host_run(&host, 5 * US);
	assert_int_equal(sim_flow_recall(host.world, &a), 1);
	assert_int_equal(sim_flow_recall(host.world, &a), 0);
	host_run(&host, MS);
	near((double)at_ns, 20000, 0.01);
	host_end(&host);
}

static void request_done(struct sim_world *world, struct sim_request *request)
{
	at_ns = world->queue.now_ns;
}

static void disk_goes_on(void **state)
{
	struct sim_request one = { .bytes = 4096, .done = request_done }, two = one, three = one;

	host_begin(&host, 1, NULL);
	host.disk->depth = 1;
	host.disk->bandwidth = 0;
	at_ns = 0;
	sim_submit(host.world, host.vbd, 0, &one);
	sim_submit(host.world, host.vbd, 0, &two);
	sim_submit(host.world, host.vbd, 0, &three);
	host_run(&host, 50 * US);
	sim_request_recall(host.world, &one);   /* at the disk */
	sim_request_recall(host.world, &three); /* before it */
	host_run(&host, MS);
	near((double)at_ns, 150000, 0.01);
	assert_int_equal(host.vbd->reads, 1);
	host.disk->depth = 32;
	host_end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_types_are_here),  cmocka_unit_test(same_seed_same_digest),
		cmocka_unit_test(stop_at_any_time),    cmocka_unit_test(others_go_on),
		cmocka_unit_test(paused_guest),        cmocka_unit_test(blocked_vif),
		cmocka_unit_test(streams_deliver_all), cmocka_unit_test(packets_are_conserved),
		cmocka_unit_test(ring_has_room),       cmocka_unit_test(line_goes_on),
		cmocka_unit_test(disk_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
