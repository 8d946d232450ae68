/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * web: clients outside ask a server in the guest, each for the next page when it has the last one
 * and has thought. A connection stays open. A request is one packet; a worker reads it, computes,
 * waits for the disk where the cache does not have what it wants, writes what it must, answers.
 * The time t3 of a request ends where a worker has read it. What is asked for differs: a static
 * file, WordPress, Magento. They are the same load with other figures.
 */
#include "load.h"
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct web;

struct client {
	struct web *web;
	struct sim_stream answer;
	struct sim_flow ask;
	struct sim_packet request;
	struct sim_event wait; /* thinks, or has to ask again */
	uint64_t asked_ns, timeout_ns;
	uint64_t to_come; /* packets of the answer */
	bool again;       /* wait is for asking again */
	struct client *next;
};

enum stage { RESTS, READS, WORKS, ANSWERS };

struct worker {
	struct web *web;
	struct sim_task task;
	struct client *client;
	enum stage stage;
	uint64_t step_ns, reads, writes; /* still to come */
	struct sim_request request;
	bool on_disk;
	struct worker *next;
};

struct web {
	struct sim_load load;
	uint64_t clients, workers, think_ns, request_bytes, response_bytes, cpu_ns, spread;
	uint64_t reads, miss_ppm, read_bytes, writes, write_bytes;
	uint64_t packet_bytes, window, acks;
	struct client *all;
	struct worker *staff;
	struct client *ready, **ready_last; /* have asked, nobody works for them yet */
	struct worker *resting;
	struct sim_vif *vif;
	struct sim_vbd *vbd;
	uint64_t sector;
	/* counted */
	uint64_t answered, bytes, asked_again;
	struct sim_histogram latency;
	struct sim_vif_times before;
};

/* ---- the disk ---- */

static void work(struct worker *worker);

static void on_disk_done(struct sim_world *world, struct sim_request *request)
{
	struct worker *worker = sim_of(request, struct worker, request);

	worker->on_disk = false;
	work(worker);
}

static void use_disk(struct worker *worker)
{
	struct web *web = worker->web;
	bool write = worker->reads == 0;

	*(write ? &worker->writes : &worker->reads) -= 1;
	worker->on_disk = true;
	worker->request = (struct sim_request){
		.bytes = (uint32_t)(write ? web->write_bytes : web->read_bytes),
		.write = write,
		.sector = web->sector + sim_random_below(&web->load.random, 1u << 20) * 8,
		.done = on_disk_done,
	};
	sim_submit(web->load.world, web->vbd, worker->task.vcpu, &worker->request);
}

/* ---- a worker ---- */

static void run(struct worker *worker, enum stage stage, const struct sim_burst *burst)
{
	worker->stage = stage;
	sim_task_run(worker->web->load.world, &worker->task, burst);
}

/* The application's time, in as many parts as there are waits for the disk, and one. */
static void work(struct worker *worker)
{
	const bool disk = worker->reads + worker->writes > 0;
	struct sim_burst burst = { worker->step_ns, 0, CL_NONE, CL_NONE };

	if (disk)
		burst = sim_submit_burst(worker->web->vbd, 0, worker->step_ns);
	run(worker, WORKS, &burst);
}

static uint64_t answer_packets(const struct web *web)
{
	uint64_t payload = web->packet_bytes - SIM_ACK_BYTES;

	return (web->response_bytes + payload - 1) / payload;
}

static void take_next(struct web *web, struct worker *worker)
{
	struct client *client = web->ready;

	worker->client = client;
	worker->stage = RESTS;
	if (!client) {
		worker->next = web->resting;
		web->resting = worker;
		return;
	}
	web->ready = client->next;
	if (!web->ready)
		web->ready_last = &web->ready;
	struct sim_burst burst = sim_receive_burst(&client->ask, client->request.bytes, 0);

	run(worker, READS, &burst);
}

static void has_read(struct web *web, struct worker *worker)
{
	uint64_t cpu_ns = sim_load_draw(&web->load, web->cpu_ns, web->spread);

	sim_received(web->load.world, &worker->client->request);
	worker->reads = 0;
	worker->writes = web->writes;
	for (uint64_t i = 0; i < web->reads; i++)
		worker->reads += (uint64_t)sim_random_chance(&web->load.random, web->miss_ppm);
	worker->step_ns = cpu_ns / (worker->reads + worker->writes + 1);
	work(worker);
}

static void has_worked(struct web *web, struct worker *worker)
{
	if (worker->reads + worker->writes > 0) {
		use_disk(worker);
		return;
	}
	struct sim_burst burst =
		sim_stream_send_burst(&worker->client->answer, answer_packets(web), 0);

	run(worker, ANSWERS, &burst);
}

static void worker_done(struct sim_world *world, struct sim_task *task)
{
	struct worker *worker = sim_of(task, struct worker, task);
	struct web *web = worker->web;
	struct client *client = worker->client;

	switch (worker->stage) {
	case READS:
		has_read(web, worker);
		break;
	case WORKS:
		has_worked(web, worker);
		break;
	case ANSWERS:
		client->to_come = answer_packets(web);
		take_next(web, worker);
		sim_stream_write(&client->answer, client->to_come);
		break;
	case RESTS:
		break;
	}
}

/* ---- a client ---- */

static void ask(struct client *client)
{
	client->request.bytes = (uint32_t)client->web->request_bytes;
	sim_outside_send(client->web->load.world, &client->ask, &client->request);
}

static void wait_over(struct sim_queue *queue, struct sim_event *event)
{
	struct client *client = sim_of(event, struct client, wait);

	if (!client->again) {
		client->asked_ns = queue->now_ns;
		client->timeout_ns = SIM_TIMEOUT_MIN_NS;
	}
	client->again = false;
	ask(client);
}

static void request_arrived(struct sim_world *world, struct sim_flow *flow,
			    struct sim_packet *packet)
{
	struct client *client = sim_of(flow, struct client, ask);
	struct web *web = client->web;
	struct worker *worker = web->resting;

	client->next = NULL;
	*web->ready_last = client;
	web->ready_last = &client->next;
	if (!worker)
		return;
	web->resting = worker->next;
	take_next(web, worker);
}

static void request_lost(struct sim_world *world, struct sim_flow *flow, struct sim_packet *packet)
{
	struct client *client = sim_of(flow, struct client, ask);

	client->web->asked_again++;
	client->again = true;
	sim_after(&world->queue, &client->wait, client->timeout_ns);
	client->timeout_ns = sim_timeout_next(client->timeout_ns);
}

static void answer_moved(struct sim_stream *stream, uint32_t packets)
{
	struct client *client = sim_of(stream, struct client, answer);
	struct web *web = client->web;
	struct sim_queue *queue = &web->load.world->queue;

	client->to_come -= packets;
	if (client->to_come > 0)
		return;
	web->answered++;
	web->bytes += web->response_bytes;
	sim_histogram_add(&web->latency, queue->now_ns - client->asked_ns);
	sim_after(queue, &client->wait,
		  web->think_ns ? sim_load_draw(&web->load, web->think_ns, 1) : 0);
}

/* ---- the load ---- */

static int start_client(struct web *web, uint32_t i)
{
	struct client *client = &web->all[i];
	uint64_t first = web->think_ns ? web->think_ns : CL_NS_PER_MS, n = answer_packets(web);

	if (!sim_stream_init(&client->answer, web->load.world, web->vif, i, false,
			     (uint32_t)web->packet_bytes,
			     (uint32_t)(n < web->window ? n : web->window), (uint32_t)web->acks))
		return -ENOMEM;
	client->web = web;
	client->answer.moved = answer_moved;
	client->ask = (struct sim_flow){
		.vif = web->vif, .queue = i, .arrived = request_arrived, .lost = request_lost
	};
	sim_event_init(&web->load.world->queue, &client->wait, wait_over);
	sim_after(&web->load.world->queue, &client->wait,
		  sim_random_below(&web->load.random, first));
	return 0;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct web *web = (struct web *)load;
	bool disk = (web->reads && web->miss_ppm) || web->writes;

	web->vif = sim_load_vif(load, reterr);
	web->vbd = disk ? sim_load_vbd(load, reterr) : NULL;
	if (!web->vif || (disk && !web->vbd))
		return -ENODEV;
	web->ready_last = &web->ready;
	web->sector = sim_load_sector(load);
	web->before = sim_vif_times(web->vif);
	web->all = calloc(web->clients, sizeof(*web->all));
	web->staff = calloc(web->workers, sizeof(*web->staff));
	if (!web->all || !web->staff)
		return sim_load_no_memory(load, reterr);
	for (uint32_t i = 0; i < web->workers; i++) {
		web->staff[i].web = web;
		if (!sim_load_task(load, &web->staff[i].task, "httpd", worker_done))
			return sim_load_no_memory(load, reterr);
		take_next(web, &web->staff[i]);
	}
	for (uint32_t i = 0; i < web->clients; i++)
		if (start_client(web, i) < 0)
			return sim_load_no_memory(load, reterr);
	return 0;
}

/* By rates: a request comes in, its answer goes out in a burst, every so many packets of it come
 * an ACK. */
static int begin(struct sim_load *load, struct cl_error *reterr)
{
	struct web *web = (struct web *)load;
	uint64_t n = answer_packets(web), missed = web->reads * web->miss_ppm;
	uint64_t writes = web->writes * CL_PPM, requests = missed + writes;
	uint64_t bytes =
		requests ? (missed / 1000 * web->read_bytes + writes / 1000 * web->write_bytes) /
				   ((requests + 999) / 1000)
			 : 0;

	web->vif = sim_load_vif(load, reterr);
	web->vbd = requests ? sim_load_vbd(load, reterr) : NULL;
	if (!web->vif || (requests && !web->vbd))
		return -ENODEV;
	load->rate = (struct sim_rate){
		.asked = CL_NS_PER_S, /* as many as its clients get through */
		.window = web->clients,
		.think_ns = web->think_ns,
		.own_ns = web->cpu_ns,
		.threads = web->workers,
		.parts[0] = { .flow = SIM_RECEIVE,
			      .ppm = CL_PPM,
			      .batch = 1,
			      .bytes = web->request_bytes },
		.parts[1] = { .flow = SIM_SEND,
			      .ppm = n * CL_PPM,
			      .batch = n < web->window ? n : web->window,
			      .bytes = web->packet_bytes },
		.parts[2] = { .flow = SIM_RECEIVE,
			      .ppm = (n + web->acks - 1) / web->acks * CL_PPM,
			      .batch = 1,
			      .bytes = SIM_ACK_BYTES,
			      .silent = true },
		.parts[3] = { .flow = SIM_DISK,
			      .ppm = requests,
			      .batch = 1,
			      .bytes = bytes,
			      .write_ppm = requests ? writes / ((requests + 999999) / CL_PPM) : 0 },
		.part_count = 4,
		.seeks_ppm = CL_PPM,
	};
	return 0;
}

static void gave(struct sim_load *load, uint64_t ns, uint64_t units)
{
	struct web *web = (struct web *)load;

	web->answered += units;
	web->bytes += units * web->response_bytes;
}

static void reset(struct sim_load *load)
{
	struct web *web = (struct web *)load;

	web->answered = web->bytes = web->asked_again = 0;
	memset(&web->latency, 0, sizeof(web->latency));
	web->before = sim_vif_times(web->vif);
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct web *web = (const struct web *)load;

	sim_report_rate(report, load->name, "requests", "1/s", web->answered, span_ns);
	sim_report_rate(report, load->name, "bytes", "bytes/s", web->bytes, span_ns);
	sim_report_latency(report, load->name, "latency", &web->latency);
	sim_report_times(report, load->name, web->vif, &web->before);
	sim_report_add(report, load->name, "again", "requests", (double)web->asked_again,
		       SIM_LOWER);
}

static void stop(struct sim_load *load)
{
	struct web *web = (struct web *)load;

	for (uint64_t i = 0; web->staff && i < web->workers; i++) {
		if (web->staff[i].on_disk)
			sim_request_recall(load->world, &web->staff[i].request);
		sim_task_done(load->world, &web->staff[i].task);
	}
	for (uint64_t i = 0; web->all && i < web->clients; i++) {
		struct client *client = &web->all[i];

		if (!client->web)
			continue;
		sim_flow_recall(load->world, &client->ask);
		sim_stream_done(&client->answer);
		sim_event_done(&load->world->queue, &client->wait);
	}
	free(web->staff);
	free(web->all);
	web->staff = NULL;
	web->all = NULL;
}

#define IN(member) offsetof(struct web, member)

/* X: a mix of its own figures. Sources: see each mix below. */
/* clang-format off */
#define PARAMS(response, cpu, spread_, reads_, miss, writes_, workers_, size, source) { \
	{ "clients", "outside, each with a request at a time", SIM_COUNT, 16, 1, 10000, IN(clients) }, \
	{ "workers", "tasks that serve", SIM_COUNT, workers_, 1, 4096, IN(workers) }, \
	{ "think", "mean of a client's pause between pages (exponential); 0: none", SIM_NS, 0, 0, 3600 * CL_NS_PER_S, IN(think_ns) }, \
	{ "request", "bytes of a request's packet", SIM_BYTES, 400, 64, 9000, IN(request_bytes) }, \
	{ "response", "bytes of an answer; " size, SIM_BYTES, response, 1, UINT64_C(1) << 30, IN(response_bytes) }, \
	{ "cpu", "CPU time of the application a request, without the network's and the disk's; " source, SIM_NS, cpu, 1, 100 * CL_NS_PER_S, IN(cpu_ns) }, \
	{ "spread", "that time is exponential with this mean, else always the same", SIM_BOOL, spread_, 0, 1, IN(spread) }, \
	{ "reads", "of files or of the database, a request; " size, SIM_COUNT, reads_, 0, 1000, IN(reads) }, \
	{ "miss", "of these: not in the guest's cache; " size, SIM_PPM, miss, 0, CL_PPM, IN(miss_ppm) }, \
	{ "read", "bytes of such a read", SIM_BYTES, 16384, 512, 11 * SIM_PAGE, IN(read_bytes) }, /* InnoDB's page */ \
	{ "writes", "that an answer waits for, a request (a log of the database); " size, SIM_COUNT, writes_, 0, 1000, IN(writes) }, \
	{ "write", "bytes of such a write", SIM_BYTES, 4096, 512, 11 * SIM_PAGE, IN(write_bytes) }, \
	{ "packet", "bytes of a packet of the answer, headers included", SIM_BYTES, 1514, 128, 65536, IN(packet_bytes) }, \
	{ "window", "packets of an answer on their way", SIM_COUNT, 45, 1, 4096, IN(window) }, /* 64 KiB */ \
	{ "acks", "packets of an answer for one ACK (RFC 1122: 2)", SIM_COUNT, 2, 1, 64, IN(acks) }, \
	{ 0 }, \
}
/* clang-format on */

/* "Testing the performance of NGINX and NGINX Plus web servers", nginx.com 2017: 0 KB, one CPU. The
 * time of the bytes is the model's own. */
#define NGINX "7 us: nginx on one CPU serves 145,551 empty files a second (nginx.com, 2017)"
/* LAMP with a plain WordPress, no page cache, ten at a time: "March 2021 Benchmarks",
 * huddersfield.click. */
#define WORDPRESS                                                                                  \
	"48 ms: a plain WordPress on one CPU serves 20.7 pages a second (huddersfield.click, 2021)"
/* "Magento Performance", mdg-it.com.au, on a Xeon E5-2680 v2. */
#define MAGENTO                                                                                    \
	"80 ms: a plain Magento on three CPUs serves 25 to 50 pages a second (mdg-it.com.au)"
#define NAMED   "a file in the cache, of 10 or 100 KB"
#define ASSUMED "assumption"

static const struct sim_load_param web_params[] =
	PARAMS(10 * 1024, 6870, 0, 1, 0, 0, 4, NAMED, NGINX);
static const struct sim_load_param big_params[] =
	PARAMS(100 * 1024, 6870, 0, 1, 0, 0, 4, NAMED, NGINX);
static const struct sim_load_param wordpress_params[] =
	PARAMS(60 * 1024, 48 * CL_NS_PER_MS, 1, 4, 50000, 0, 8, ASSUMED, WORDPRESS);
static const struct sim_load_param magento_params[] =
	PARAMS(80 * 1024, 80 * CL_NS_PER_MS, 1, 20, 50000, 1, 8, ASSUMED, MAGENTO);

#define WEB(name_, doc_, params_)                                                                  \
	{                                                                                          \
		.name = name_, .doc = doc_, .bytes = sizeof(struct web), .params = params_,        \
		.start = start, .reset = reset, .report = report, .stop = stop, .begin = begin,    \
		.gave = gave                                                                       \
	}

const struct sim_load_ops sim_load_web =
	WEB("web", "clients outside read a file of 10 KB again and again", web_params);
const struct sim_load_ops sim_load_web_100k =
	WEB("web-100k", "clients outside read a file of 100 KB again and again", big_params);
const struct sim_load_ops sim_load_wordpress =
	WEB("wordpress", "clients outside read pages that PHP makes", wordpress_params);
const struct sim_load_ops sim_load_magento =
	WEB("magento", "clients outside shop: more PHP, and a database that reads and writes",
	    magento_params);
