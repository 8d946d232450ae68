/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: as busy as a trace says, five minutes by five minutes: of each slot of time the share in
 * which each task runs. A file of its own for each VM (NAME.csv in a directory), one for all, or
 * one that is made up. When it is through it begins anew. What a slot does not give it goes on to
 * ask for, up to a slot's worth.
 */
#include "load.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct player;

struct one {
	struct player *player;
	struct sim_task task;
	uint64_t owed_ns;
	bool busy;
};

struct player {
	struct sim_load load;
	char path[CL_PATH_MAX];
	uint64_t tasks, interval_ns, slot_ns, apart;
	uint64_t days, mean, swing, noise, spikes, spike, last;
	struct sim_trace trace;
	struct one *all;
	struct sim_event next;
	uint64_t count;   /* tasks */
	uint64_t base_ns; /* the trace began */
	uint64_t before_ns, asked_ns, given_up_ns;
};

static void go_on(struct one *one)
{
	struct sim_burst burst = { one->owed_ns, 0, CL_NONE, CL_NONE };

	if (one->busy || one->owed_ns == 0)
		return;
	one->busy = true;
	one->owed_ns = 0;
	sim_task_run(one->player->load.world, &one->task, &burst);
}

static void task_done(struct sim_world *world, struct sim_task *task)
{
	struct one *one = sim_of(task, struct one, task);

	one->busy = false;
	go_on(one);
}

static uint64_t share_now(const struct player *player, uint64_t now_ns)
{
	uint64_t i = (now_ns - player->base_ns) / player->interval_ns;

	return player->trace.ppm[i % player->trace.count];
}

static void tick(struct sim_queue *queue, struct sim_event *event)
{
	struct player *player = sim_of(event, struct player, next);
	uint64_t ns = player->slot_ns / 1000 * share_now(player, queue->now_ns) / 1000;

	for (uint64_t i = 0; i < player->count; i++) {
		struct one *one = &player->all[i];
		uint64_t room = player->slot_ns - one->owed_ns, more = ns < room ? ns : room;

		player->asked_ns += ns;
		player->given_up_ns += ns - more;
		one->owed_ns += more;
		go_on(one);
	}
	sim_after(queue, event, player->slot_ns);
}

static int get_trace(struct player *player, struct cl_error *reterr)
{
	const struct sim_trace_shape shape = {
		player->days,   player->mean,  player->swing, player->noise,
		player->spikes, player->spike, player->last,
	};
	char path[CL_PATH_MAX + sizeof(player->load.domain->name) + 8];
	struct stat st;

	if (!player->path[0])
		return sim_trace_generate(&shape, &player->load.random, &player->trace)
			       ? 0
			       : sim_load_no_memory(&player->load, reterr);
	snprintf(path, sizeof(path), "%s", player->path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(path, sizeof(path), "%s/%s.csv", player->path, player->load.domain->name);
	return sim_trace_read(path, &player->trace, reterr);
}

static int begin(struct sim_load *load, struct cl_error *reterr)
{
	struct player *player = (struct player *)load;
	int r = get_trace(player, reterr);

	if (r < 0)
		return r;
	player->count = player->tasks ? player->tasks : load->domain->vcpu_count;
	player->all = calloc(player->count, sizeof(*player->all));
	if (!player->all)
		return sim_load_no_memory(load, reterr);
	sim_event_init(&load->world->queue, &player->next, tick);
	for (uint64_t i = 0; i < player->count; i++) {
		player->all[i].player = player;
		if (!sim_load_task(load, &player->all[i].task, "trace", task_done))
			return sim_load_no_memory(load, reterr);
	}
	player->base_ns = load->world->queue.now_ns;
	return 0;
}

static int start(struct sim_load *load, struct cl_error *reterr)
{
	struct player *player = (struct player *)load;
	int r = begin(load, reterr);

	if (r == 0)
		sim_after(&load->world->queue, &player->next,
			  player->apart ? sim_random_below(&load->random, player->slot_ns) : 0);
	return r;
}

static void ask(struct sim_load *load)
{
	struct player *player = (struct player *)load;
	uint64_t now = load->world->queue.now_ns, i = (now - player->base_ns) / player->interval_ns;

	load->rate.until_ns = player->base_ns + (i + 1) * player->interval_ns;
	for (uint64_t t = 0; t < player->count; t++)
		player->all[t].task.rate_ns = share_now(player, now) * 1000;
}

/* What a slot does not give is asked for again, up to a slot's worth: of a day that is nothing. */
static void gave(struct sim_load *load, uint64_t ns, uint64_t units)
{
	struct player *player = (struct player *)load;

	for (uint64_t i = 0; i < player->count; i++) {
		const struct sim_task *task = &player->all[i].task;
		uint64_t asked = ns / 1000 * task->rate_ns / 1000000;

		player->asked_ns += asked;
		if (task->given_ns < task->asked_ns)
			player->given_up_ns +=
				(uint64_t)((unsigned __int128)asked *
					   (task->asked_ns - task->given_ns) / task->asked_ns);
	}
}

static uint64_t spent(const struct player *player)
{
	uint64_t ns = 0;

	for (uint64_t i = 0; player->all && i < player->count; i++)
		ns += player->all[i].task.cpu_ns;
	return ns;
}

static void reset(struct sim_load *load)
{
	struct player *player = (struct player *)load;

	player->before_ns = spent(player);
	player->asked_ns = player->given_up_ns = 0;
}

static void report(struct sim_load *load, uint64_t span_ns, struct sim_report *report)
{
	const struct player *player = (const struct player *)load;

	sim_report_add(report, load->name, "asked", "CPUs",
		       (double)player->asked_ns / (double)span_ns, SIM_NEITHER);
	sim_report_add(report, load->name, "cpu", "CPUs",
		       (double)(spent(player) - player->before_ns) / (double)span_ns, SIM_HIGHER);
	sim_report_add(report, load->name, "short", "CPUs",
		       (double)player->given_up_ns / (double)span_ns, SIM_LOWER);
}

static void stop(struct sim_load *load)
{
	struct player *player = (struct player *)load;

	for (uint64_t i = 0; player->all && i < player->count; i++)
		sim_task_done(load->world, &player->all[i].task);
	if (player->all)
		sim_event_done(&load->world->queue, &player->next);
	free(player->all);
	player->all = NULL;
	sim_trace_free(&player->trace);
}

#define IN(member) offsetof(struct player, member)

/* clang-format off */
static const struct sim_load_param params[] = {
	{ "file", "a CSV file, or a directory with NAME.csv for each guest; empty: made up", SIM_TEXT, 0, 0, 0, IN(path) },
	{ "tasks", "that are as busy; 0: one a vCPU", SIM_COUNT, 0, 0, 1024, IN(tasks) },
	{ "interval", "simulated time for each five minutes of the trace", SIM_NS, SIM_TRACE_S * CL_NS_PER_S, CL_NS_PER_MS, 86400 * CL_NS_PER_S, IN(interval_ns) },
	{ "slot", "time of which a task runs the share", SIM_NS, 100 * CL_NS_PER_MS, CL_NS_PER_MS, 60 * CL_NS_PER_S, IN(slot_ns) },
	{ "apart", "slots of each guest begin at a time of its own, else all at once", SIM_BOOL, 0, 0, 1, IN(apart) },
	{ "days", "made up: how many", SIM_COUNT, 1, 1, 3000, IN(days) },
	{ "mean", "made up: of a day; as all of the shape a choice, not a measurement", SIM_PPM, 300000, 0, CL_PPM, IN(mean) },
	{ "swing", "made up: a day goes up and down by it, the least at four", SIM_PPM, 200000, 0, CL_PPM, IN(swing) },
	{ "noise", "made up: standard deviation of an interval", SIM_PPM, 50000, 0, CL_PPM, IN(noise) },
	{ "spikes", "made up: chance that one begins in an interval", SIM_PPM, 10000, 0, CL_PPM, IN(spikes) },
	{ "spike", "made up: how much more there is in one", SIM_PPM, 400000, 0, CL_PPM, IN(spike) },
	{ "last", "made up: how many intervals it goes on for, on the average", SIM_COUNT, 3, 1, 288, IN(last) },
	{ 0 },
};
/* clang-format on */

const struct sim_load_ops sim_load_trace = {
	.name = "trace",
	.doc = "as busy as a trace of utilisations says",
	.bytes = sizeof(struct player),
	.params = params,
	.start = start,
	.reset = reset,
	.report = report,
	.stop = stop,
	.begin = begin,
	.ask = ask,
	.gave = gave,
};
