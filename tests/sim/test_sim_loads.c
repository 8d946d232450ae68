/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What loads get done, against what can be worked out by hand. */
#include "load_world.h"
#include "unit.h"

static struct host host;
static struct sim_report report;

/* Every parameter can be shown, set and checked. */
static void table(void **state)
{
	for (size_t i = 0; sim_loads[i]; i++) {
		const struct sim_load_ops *ops = sim_loads[i];

		assert_ptr_equal(sim_load_find(ops->name), ops);
		assert_true(ops->doc[0]);
		for (const struct sim_load_param *p = ops->params; p->name; p++) {
			assert_true(p->doc[0]);
			assert_in_range(p->offset, sizeof(struct sim_load),
					ops->bytes - sizeof(uint64_t));
			if (p->unit == SIM_TEXT)
				continue;
			assert_in_range(p->def, p->least, p->most);
			for (const struct sim_load_param *q = ops->params; q != p; q++) {
				assert_string_not_equal(q->name, p->name);
				assert_int_not_equal(q->offset, p->offset);
			}
		}
	}
	assert_null(sim_load_find("wbe"));
}

/* ---- network ---- */

/* A window each round trip: nothing costs anything but the wire. */
static void window_over_round_trip(uint64_t inbound, uint64_t window)
{
	host_begin(&host, 1, NULL);
	host.nic->rate = UINT64_C(1) << 40;
	host.nic->wire_ns = MS;
	struct sim_load *bulk = host_load(&host, "bulk", "inbound", inbound, "window", window,
					  "acks", UINT64_C(1), "cpu", UINT64_C(0), NULL);

	host_run(&host, 100 * MS);
	host_measure(&host, bulk, S, &report);
	near(metric(&report, "packets"), (double)window * 500, 0.01);
	near(metric(&report, "bytes"), (double)window * 500 * (1514 - 66), 0.01);
	near(metric(&report, "lost") + 1, 1, 0);
	host_end(&host);
}

static void windows(void **state)
{
	for (uint64_t inbound = 0; inbound < 2; inbound++) {
		window_over_round_trip(inbound, 1);
		window_over_round_trip(inbound, 2);
		window_over_round_trip(inbound, 25);
		window_over_round_trip(inbound, 128);
	}
}

/* A window that is wide enough fills the line; an answer takes the other way and does not count. */
static void line_is_filled(void **state)
{
	for (uint64_t inbound = 0; inbound < 2; inbound++) {
		host_begin(&host, 1, &host_costs);
		struct sim_load *bulk =
			host_load(&host, "bulk", "inbound", inbound, "window", UINT64_C(256), NULL);

		host_run(&host, 100 * MS);
		host_measure(&host, bulk, S, &report);
		near(metric(&report, "packets"), 125000000.0 / 1514, 0.01);
		if (inbound)
			assert_true(metric(&report, "t2") > 0 && metric(&report, "t3") > 0);
		host_end(&host);
	}
}

/* The ring holds 256: a window of 1,024 waits for room in it and loses nothing. */
static void ring_is_full(void **state)
{
	struct sim_costs costs = host_costs;

	costs.netback_tx_ns = 20 * US;
	host_begin(&host, 1, &costs);
	struct sim_load *a = host_load(&host, "bulk", "window", UINT64_C(1024), NULL);
	struct sim_load *b = host_load(&host, "bulk", "window", UINT64_C(1024), NULL);

	host_run(&host, 100 * MS);
	assert_ptr_equal(a, host.loads[0]);
	a->ops->reset(a);
	host_measure(&host, b, S, &report);
	double of_b = metric(&report, "packets");

	report.count = 0;
	a->ops->report(a, S, &report);
	double of_a = metric(&report, "packets");

	/* Of a packet: 20 us and what else it costs, 22 to 23; both streams in one queue, turn
	 * about. */
	near(of_a + of_b, 1e9 / 22500, 0.1);
	near(of_a, of_b, 0.1);
	assert_true(metric(&report, "lost") < 1);
	assert_int_equal(host.vif->dropped, 0);
	host_end(&host);
}

static void packets_are_offered(void **state)
{
	for (uint64_t inbound = 0; inbound < 2; inbound++) {
		for (uint64_t poisson = 0; poisson < 2; poisson++) {
			host_begin(&host, 1, &host_costs);
			struct sim_load *load =
				host_load(&host, "packets", "rate", UINT64_C(30000), "inbound",
					  inbound, "poisson", poisson, NULL);

			host_run(&host, 100 * MS);
			host_measure(&host, load, S, &report);
			near(metric(&report, "offered"), 30000, poisson ? 0.02 : 0.0001);
			near(metric(&report, "packets"), 30000, poisson ? 0.02 : 0.001);
			assert_true(metric(&report, "lost") + metric(&report, "unsent") < 1);
			host_end(&host);
		}
	}
}

/* More than the back end can do: it does what it can, the rest is lost, and nothing else. */
static void packets_are_lost(void **state)
{
	struct sim_costs costs = host_costs;

	costs.netback_rx_ns = costs.netback_tx_ns = 50 * US;
	for (uint64_t inbound = 0; inbound < 2; inbound++) {
		host_begin(&host, 1, &costs);
		struct sim_load *load = host_load(&host, "packets", "rate", UINT64_C(40000),
						  "inbound", inbound, NULL);

		host_run(&host, S);
		host_measure(&host, load, S, &report);
		double got = metric(&report, "packets"), lost = metric(&report, "lost");

		/* Inbound, the device's interrupts take their part of dom0's CPUs. */
		near(got, 1e9 / 50000, 0.08);
		near(got + lost + metric(&report, "unsent"), 40000, 0.01);
		if (inbound)
			near(lost, (double)host.vif->dropped / 2, 0.1);
		else
			assert_true(lost < 1); /* it is the sender who finds no room */
		host_end(&host);
	}
}

/* Idle: the wire both ways and each part's cost, once. */
static void ping_time(void **state)
{
	const struct sim_costs *c = &host_costs;

	host_begin(&host, 1, c);
	host.nic->wire_ns = 20 * US;
	struct sim_load *ping = host_load(&host, "ping", NULL);

	host_measure(&host, ping, 2 * S, &report);
	double in = (double)(c->nic_ns + c->bridge_ns + c->netback_rx_ns + c->grant_copy_ns +
			     c->netfront_ns + c->stack_ns + 1000);
	double out = (double)(c->stack_ns + c->netfront_ns + c->netback_tx_ns + c->grant_copy_ns +
			      c->bridge_ns + c->nic_ns);
	double wakes = metric(&report, "latency") - in - out - 40000 - 2 * 98 * 8;

	near(metric(&report, "back"), 100, 0.01);
	assert_true(metric(&report, "lost") < 1);
	/* What is over is interrupts and switches: some for each of seven hands. */
	assert_true(wakes > 5 * 1000 && wakes < 7 * 5000);
	near(metric(&report, "latency.p50"), metric(&report, "latency"), 0.2);
	near(metric(&report, "t1") + metric(&report, "t2") + metric(&report, "t3"),
	     in + wakes * 4 / 7, 0.4);
	host_end(&host);
}

/* ---- turns of the back ends ---- */

static const struct sim_costs turns = {
	.napi_turn_ns = 1 * US,
	.netback_tx_ns = 2 * US,
	.grant_map_ns = 4 * US,
	.dealloc_turn_ns = 8 * US,
	.dealloc_ns = 16 * US,
	.guest_rx_turn_ns = 32 * US,
	.netback_rx_ns = 64 * US,
	.blkback_irq_ns = 128 * US,
	.blkback_turn_ns = 256 * US,
	.blkback_look_ns = 256 * US,
	.blkback_ns = 512 * US,
};

static uint64_t spent_on(enum cl_work_kind kind)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < host.dom0->task_count; i++)
		ns += host.dom0->tasks[i]->kind == kind ? host.dom0->tasks[i]->cpu_ns : 0;
	return ns;
}

static uint64_t spent_in_irqs(void)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < host.world->irq_count; i++)
		if (host.world->irqs[i]->guest == host.guest->id)
			ns += host.world->irqs[i]->cpu_ns;
	return ns;
}

/* One at a time each has a turn of its own; only what is too large to be copied is mapped. */
static void turn_for_each(void **state)
{
	for (uint64_t bytes = 128; bytes <= 129; bytes++) {
		bool mapped = bytes > 128;

		host_begin(&host, 1, &turns);
		host_load(&host, "packets", "rate", UINT64_C(100), "inbound", UINT64_C(0), "packet",
			  bytes, NULL);
		host_run(&host, S + 5 * MS);
		assert_int_equal(host.vif->sent, 100);
		assert_int_equal(spent_in_irqs(), 100 * (mapped ? 7 * US : 3 * US));
		assert_int_equal(spent_on(CL_WORK_NETBACK_DEALLOC), mapped ? 100 * 24 * US : 0);
		/* A disk that nobody uses: its thread looks ten times a second. */
		assert_int_equal(spent_on(CL_WORK_BLKBACK), 10 * 256 * US);
		host_end(&host);
	}
	host_begin(&host, 1, &turns);
	host_load(&host, "packets", "rate", UINT64_C(100), NULL);
	host_load(&host, "disk", "rate", UINT64_C(100), "record", UINT64_C(4096), NULL);
	host_run(&host, S - 5 * MS);
	assert_int_equal(host.vif->received, 99);
	assert_int_equal(host.vbd->reads, 100);
	assert_int_equal(spent_on(CL_WORK_NETBACK_RX), 99 * 96 * US);
	assert_int_equal(spent_on(CL_WORK_BLKBACK), UINT64_C(100) * 768 * US);
	assert_int_equal(spent_in_irqs(), 100 * 128 * US);
	host_end(&host);
}

/* What comes while a thread is busy is done without waking it again. */
static void turn_for_many(void **state)
{
	host_begin(&host, 1, &turns);
	host_load(&host, "packets", "rate", UINT64_C(100000), NULL); /* more than it can do */
	host_run(&host, S);
	assert_in_range(host.vif->received, 15000, 15625);
	near((double)spent_on(CL_WORK_NETBACK_RX), (double)host.vif->received * 64 * US, 0.005);
	host_end(&host);
	host_begin(&host, 1, &turns);
	host_load(&host, "packets", "rate", UINT64_C(800000), "inbound", UINT64_C(0), "packet",
		  UINT64_C(64), NULL);
	host_run(&host, S);
	assert_true(host.vif->sent > 100000);
	assert_in_range(spent_in_irqs(), host.vif->sent * 2 * US,
			host.vif->sent * 2 * US + 5000 * US);
	host_end(&host);
}

/* ---- web ---- */

/* Whatever the load: clients = rate * (answer's time + pause). */
static void clients_law(const char *type, uint64_t clients, uint64_t think, double tolerance)
{
	host_begin(&host, 7, &host_costs);
	struct sim_load *web = host_load(&host, type, "clients", clients, "think", think, NULL);

	host_run(&host, 5 * S);
	host_measure(&host, web, 20 * S, &report);
	double in_system =
		metric(&report, "requests") * (metric(&report, "latency") + (double)think) / 1e9;

	near(in_system, (double)clients, tolerance);
	assert_true(metric(&report, "latency.p50") <= metric(&report, "latency.p99"));
	assert_true(metric(&report, "t1") > 0 && metric(&report, "t3") > 0);
	host_end(&host);
}

static void web_clients(void **state)
{
	clients_law("web", 10, 100 * MS, 0.05);
	clients_law("web-100k", 10, 100 * MS, 0.05);
	clients_law("wordpress", 20, S, 0.08);
	clients_law("magento", 20, S, 0.08);
}

/* Without pauses two vCPUs do what two vCPUs can. */
static void web_is_busy(void **state)
{
	host_begin(&host, 1, NULL);
	struct sim_load *web = host_load(&host, "web", "clients", UINT64_C(32), "cpu", MS, NULL);

	host_run(&host, S);
	host_measure(&host, web, 10 * S, &report);
	near(metric(&report, "requests"), 2000, 0.01);
	near(metric(&report, "bytes"), 2000 * 10240, 0.01);
	near(metric(&report, "latency"), 16e6, 0.02);
	host_end(&host);
}

/* One client: the time of each part. Ten packets on the line are 9 x 1514 x 8 ns and the last. */
static void web_waits_for_disk(void **state)
{
	host_begin(&host, 1, NULL);
	host.disk->bandwidth = 0;
	struct sim_load *web = host_load(&host, "web", "clients", UINT64_C(1), "cpu", MS, "reads",
					 UINT64_C(10), "miss", UINT64_C(1000000), "writes",
					 UINT64_C(5), "response", UINT64_C(14000), NULL);

	host_run(&host, S);
	host_measure(&host, web, 10 * S, &report);
	near(metric(&report, "latency"), 1e6 + 15 * 100e3 + (10 * 1514 + 400) * 8, 0.01);
	near((double)host.vbd->reads, (double)host.vbd->writes * 2, 0.01);
	host_end(&host);
}

/* ---- disk ---- */

static double disk_rate(uint64_t seed, const char *what, ...) __attribute__((sentinel));

/* Bytes/s (or another metric) over four seconds of a load with these parameters. */
static double disk_rate(uint64_t seed, const char *what, ...)
{
	struct sim_load *load;
	const char *name;
	va_list args;
	double value;

	host_begin(&host, seed, NULL);
	host.disk->seek_ns = 0;
	load = sim_load_new(host.world, sim_load_find("disk"), host.guest, "l", 1);
	host.loads[host.load_count++] = load;
	va_start(args, what);
	while ((name = va_arg(args, const char *))) {
		uint64_t number = va_arg(args, uint64_t);

		if (strcmp(name, "seek") == 0)
			host.disk->seek_ns = number;
		else
			host_set(load, name, number);
	}
	va_end(args);
	host_start(&host, load);
	host_run(&host, 2 * S);
	host_measure(&host, load, 4 * S, &report);
	value = metric(&report, what);
	host_end(&host);
	return value;
}

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)

static void disk_direct(void **state)
{
	/* 100 us and 4 KiB at 500 MB/s: 8.19 us; as many times as there are who ask. */
	near(disk_rate(1, "records", "record", 4 * KIB, "cpu", UINT64_C(1), NULL), 1e9 / 108193,
	     0.01);
	near(disk_rate(1, "records", "record", 4 * KIB, "depth", UINT64_C(8), "cpu", UINT64_C(1),
		       NULL),
	     8e9 / 108193, 0.05);
	/* Large records in parts: the medium is what limits. */
	near(disk_rate(1, "bytes", "record", MIB, "depth", UINT64_C(2), NULL), 500e6, 0.02);
	near(disk_rate(1, "bytes", "record", MIB, "depth", UINT64_C(2), "write", UINT64_C(1000000),
		       NULL),
	     500e6, 0.02);
}

static void disk_seeks(void **state)
{
	/* In order: no seek. Anywhere: 4 ms each on the average. */
	near(disk_rate(1, "records", "record", 4 * KIB, "seek", 4 * MS, "cpu", UINT64_C(1), NULL),
	     1e9 / 108193, 0.01);
	near(disk_rate(1, "records", "record", 4 * KIB, "seek", 4 * MS, "random", UINT64_C(1000000),
		       "cpu", UINT64_C(1), NULL),
	     1e9 / 4108193, 0.03);
}

static void disk_cached(void **state)
{
	double direct = disk_rate(1, "bytes", "record", 4 * KIB, NULL);
	double ahead = disk_rate(1, "bytes", "record", 4 * KIB, "cached", UINT64_C(1), NULL);
	double resident = disk_rate(1, "bytes", "record", 4 * KIB, "cached", UINT64_C(1), "size",
				    128 * MIB, NULL);
	double behind = disk_rate(1, "bytes", "record", 64 * KIB, "cached", UINT64_C(1), "write",
				  UINT64_C(1000000), NULL);
	double rewrite = disk_rate(1, "bytes", "record", 64 * KIB, "cached", UINT64_C(1), "write",
				   UINT64_C(1000000), "fresh", 64 * KIB, NULL);

	/* Small records read in order are as fast as the disk's medium, by reading ahead. */
	near(direct, 4096 * 1e9 / 110193, 0.01);
	assert_true(ahead > 8 * direct && ahead <= 505e6);
	/* All of it in memory: the application's 2 us. */
	near(resident, 4096 / 2e-6, 0.01);
	/* Who writes on and on is held to what the disk takes. */
	near(behind, 500e6, 0.03);
	near(rewrite, 500e6 * 16 / 17, 0.03);
	/* Half of it in memory. */
	near(disk_rate(1, "records", "record", 4 * KIB, "cached", UINT64_C(1), "random",
		       UINT64_C(1000000), "cpu", UINT64_C(1), "size", 64 * MIB, "memory", 32 * MIB,
		       NULL),
	     2e9 / 108193, 0.02);
}

static double at_rate(const char *what, uint64_t rate)
{
	return disk_rate(1, what, "record", 4 * KIB, "depth", UINT64_C(4), "cpu", UINT64_C(1),
			 "rate", rate, NULL);
}

/* So many a second; by too few as many as these can do, each later than the last. */
static void disk_offered(void **state)
{
	double most = 4e9 / 108193;

	near(at_rate("records", 777), 777, 0.001);
	near(at_rate("latency", 777), 108193, 0.01);
	near(at_rate("records", 50000), most, 0.02);
	/* 4 s after its start, in the middle of what is measured. */
	near(at_rate("latency", 50000), 4e9 * (1 - most / 50000), 0.05);
}

/* A short file is written into memory; the disk gets it later, once for each time. */
static void disk_write_back(void **state)
{
	host_begin(&host, 1, NULL);
	struct sim_load *load =
		host_load(&host, "disk", "record", 64 * KIB, "size", 64 * MIB, "cached",
			  UINT64_C(1), "write", UINT64_C(1000000), "cpu", 20 * MS, NULL);

	host_measure(&host, load, 29 * S, &report);
	near(metric(&report, "records"), 50, 0.01);
	assert_int_equal(host.vbd->writes, 0);
	host_run(&host, 20 * S);
	/* After 30 s all that was dirty by then. */
	assert_in_range(host.vbd->written_bytes, 1490 * 64 * KIB, 1510 * 64 * KIB);
	host_end(&host);
}

static void disk_refuses(void **state)
{
	static const struct {
		const char *name;
		uint64_t value;
		const char *says;
	} bad[] = {
		{ "record", 1000, "load l: record: not a multiple of 512 bytes" },
		{ "size", 100 * KIB, "load l: size: not a multiple of the record" },
		{ "background", 4096 * MIB, "load l: background: more than dirty" },
	};
	struct cl_error err;

	host_begin(&host, 1, NULL);
	for (size_t i = 0; i < 3; i++) {
		struct sim_load *load =
			sim_load_new(host.world, sim_load_find("disk"), host.guest, "l", 1);

		host_set(load, bad[i].name, bad[i].value);
		assert_true(load->ops->start(load, &err) < 0);
		assert_string_equal(err.text, bad[i].says);
		sim_load_free(load);
	}
	host_end(&host);
}

/* ---- CPU and memory ---- */

static void kernbench_time(void **state)
{
	static const struct {
		uint64_t jobs;
		double s; /* 40 files of 103 ms, and a second for the linker, on two vCPUs */
	} runs[] = { { 1, 40 * 0.103 + 1 }, { 2, 20 * 0.103 + 1 }, { 8, 20 * 0.103 + 1 } };

	for (size_t i = 0; i < 3; i++) {
		host_begin(&host, 1, NULL);
		struct sim_load *load = host_load(
			&host, "kernbench", "jobs", runs[i].jobs, "files", UINT64_C(40), "compile",
			100 * MS, "spread", UINT64_C(0), "miss", UINT64_C(0), "link", S, NULL);

		host_measure(&host, load, 60 * S, &report);
		near(metric(&report, "time"), runs[i].s * 1e9, 0.01);
		assert_true(metric(&report, "builds") >= 11);
		/* The objects reach the disk. */
		assert_true(host.vbd->written_bytes > 4 * 40 * 90000);
		host_end(&host);
	}
}

static void dirty_rate(void **state)
{
	host_begin(&host, 1, &host_costs);
	struct sim_load *load =
		host_load(&host, "dirty", "rate", UINT64_C(25000), "set", 64 * MIB, NULL);

	assert_int_equal(host.guest->dirty_set, 16384);
	host_measure(&host, load, 2 * S, &report);
	near(metric(&report, "pages"), 25000, 0.002);
	near((double)host.guest->dirty_writes, 50000, 0.002);
	/* A guest that is paused writes nothing, and does not make up for it. */
	sim_domain_pause(host.world, host.guest, true);
	host_run(&host, 10 * S);
	near((double)host.guest->dirty_writes, 50000, 0.002);
	sim_domain_pause(host.world, host.guest, false);
	host_run(&host, S);
	near((double)host.guest->dirty_writes, 75000, 0.002);
	host_stop(&host, load);
	assert_int_equal(host.guest->dirty_set, 0);
	/* Seldom: an event is a page. */
	load = host_load(&host, "dirty", "rate", UINT64_C(2), NULL);
	uint64_t fired = host.world->queue.fired;

	host_measure(&host, load, 10 * S, &report);
	near(metric(&report, "pages"), 2, 0.06);
	assert_in_range(host.world->queue.fired - fired, 20, 200);
	host_stop(&host, load);
	/* More than a vCPU can write: 2 us a page. */
	load = host_load(&host, "dirty", "rate", UINT64_C(1000000), "cpu", UINT64_C(2000), NULL);
	host_measure(&host, load, S, &report);
	assert_true(metric(&report, "pages") > 250000 && metric(&report, "pages") < 500000);
	host_end(&host);
}

static void forkbomb_grows(void **state)
{
	host_begin(&host, 1, NULL);
	struct sim_load *load = host_load(&host, "forkbomb", "tasks", UINT64_C(100), "every",
					  10 * MS, "fork", UINT64_C(0), NULL);

	/* Two tasks after 10 ms, four after 20; then two vCPUs are shared. */
	host_run(&host, 25 * MS);
	assert_in_range(host.guest->task_count, 3, 5);
	host_run(&host, 10 * S);
	assert_int_equal(host.guest->task_count, 100);
	host_measure(&host, load, S, &report);
	assert_int_equal(host.guest->task_count, 100);
	near(metric(&report, "tasks"), 100, 0);
	near(metric(&report, "cpu"), 2, 0.01);
	host_end(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(windows),
		cmocka_unit_test(line_is_filled),
		cmocka_unit_test(ring_is_full),
		cmocka_unit_test(packets_are_offered),
		cmocka_unit_test(packets_are_lost),
		cmocka_unit_test(ping_time),
		cmocka_unit_test(web_clients),
		cmocka_unit_test(web_is_busy),
		cmocka_unit_test(web_waits_for_disk),
		cmocka_unit_test(turn_for_each),
		cmocka_unit_test(turn_for_many),
		cmocka_unit_test(disk_direct),
		cmocka_unit_test(disk_seeks),
		cmocka_unit_test(disk_cached),
		cmocka_unit_test(disk_offered),
		cmocka_unit_test(disk_write_back),
		cmocka_unit_test(disk_refuses),
		cmocka_unit_test(kernbench_time),
		cmocka_unit_test(dirty_rate),
		cmocka_unit_test(forkbomb_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
