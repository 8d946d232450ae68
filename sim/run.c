/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of a scenario: begun, carried on until a time, ended. */
#include "run.h"

#include "fluid.h"
#include "lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVENTS 65536u /* the machine's clock is looked at after so many */

/* ---- loads ---- */

static int start_load(struct sim_run_load *at)
{
	const struct sim_setup_load *setup = at->section->values;
	struct sim_run *run = at->run;
	struct cl_error err = { 0 };

	at->load = sim_load_new(run->world, setup->ops, at->domain, at->section->name, at->stream);
	if (!at->load)
		return cl_fail(&run->trouble, ENOMEM, "starting load %s: no memory",
			       at->section->name);
	at->load->start_ns = setup->start_ns;
	at->load->stop_ns = setup->stop_ns;
	for (const struct sim_load_param *p = setup->ops->params; p->name; p++)
		memcpy((char *)at->load + p->offset, (char *)setup->values + p->offset,
		       p->unit == SIM_TEXT ? CL_PATH_MAX : sizeof(uint64_t));
	int r = run->world->fluid ? setup->ops->begin(at->load, &err)
				  : setup->ops->start(at->load, &err);

	if (r == 0 && run->world->fluid && !sim_fluid_add(run->world->fluid, at->load))
		r = cl_fail(&err, ENOMEM, "starting load %s: no memory", at->section->name);
	return r < 0 ? sim_fail_at(run->scenario, at->section, NULL, &run->trouble, -r, "%s",
				   err.text)
		     : 0;
}

void sim_run_begin_load(struct sim_run_load *load)
{
	struct sim_run *run = load->run;

	if (load->guest)
		load->domain = load->guest->domain;
	if (load->guest && load->guest->building)
		return;
	if (load->load || load->ended || !load->domain || !load->domain->alive || run->trouble.code)
		return;
	if (start_load(load) < 0)
		return;
	load->load->ops->reset(load->load);
	load->since_ns = run->world->queue.now_ns;
}

void sim_run_end_load(struct sim_run_load *load)
{
	struct sim_run *run = load->run;
	uint64_t span = run->world->queue.now_ns - load->since_ns;

	if (!load->load || load->ended)
		return;
	if (run->world->fluid)
		sim_fluid_remove(run->world->fluid, load->load);
	load->ended = calloc(1, sizeof(*load->ended));
	if (!load->ended)
		run->world->queue.failed = true;
	else if (span > 0)
		load->load->ops->report(load->load, span, load->ended);
	load->load->ops->stop(load->load);
}

static void load_starts(struct sim_queue *queue, struct sim_event *event)
{
	sim_run_begin_load(sim_of(event, struct sim_run_load, start));
}

static void load_stops(struct sim_queue *queue, struct sim_event *event)
{
	sim_run_end_load(sim_of(event, struct sim_run_load, stop));
}

static void happens(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_run_event *at = sim_of(event, struct sim_run_event, event);

	sim_changed(at->run->world);
	at->setup->kind->happen(at->run, at->setup);
}

static void warmed(struct sim_queue *queue, struct sim_event *event)
{
	sim_run_count(sim_of(event, struct sim_run, warm));
}

/* ---- the run ---- */

/* Loads at their time, in the order of the scenario; counting begins with the warm-up's end. */
static void ask_events(struct sim_run *run)
{
	struct sim_queue *queue = &run->world->queue;

	for (uint32_t i = 0; i < run->load_count; i++) {
		const struct sim_setup_load *setup = run->loads[i].section->values;

		sim_event_init(queue, &run->loads[i].start, load_starts);
		sim_event_init(queue, &run->loads[i].stop, load_stops);
		sim_at(queue, &run->loads[i].start, setup->start_ns);
		if (setup->stop_ns)
			sim_at(queue, &run->loads[i].stop, setup->stop_ns);
	}
	for (uint32_t i = 0; i < run->event_count; i++) {
		sim_event_init(queue, &run->events[i].event, happens);
		sim_at(queue, &run->events[i].event, run->events[i].setup->at_ns);
	}
	sim_need_begin(run);
	sim_event_init(queue, &run->warm, warmed);
	sim_at(queue, &run->warm, SIM_SETUP(run->scenario, SIM_IN_SCENARIO, scenario)->warmup_ns);
}

int sim_run_new(const struct sim_scenario *scenario, uint64_t seed, struct sim_run **ret_run,
		struct cl_error *reterr)
{
	const struct sim_setup_machine *setup = SIM_SETUP(scenario, SIM_IN_MACHINE, machine);
	const struct sim_machine machine = {
		.nodes = (uint32_t)setup->nodes,
		.cores = (uint32_t)setup->cores,
		.threads = (uint32_t)setup->threads,
		.mem_bytes = setup->memory,
		.distance = (uint32_t)setup->distance,
	};
	struct sim_run *run = calloc(1, sizeof(*run));
	int r;

	if (!run || !(run->world = sim_world_new(seed, &machine, &scenario->costs))) {
		free(run);
		return cl_fail(reterr, ENOMEM, "building the simulated host: no memory");
	}
	run->scenario = scenario;
	if (SIM_SETUP(scenario, SIM_IN_SCENARIO, scenario)->fluid && !sim_fluid_new(run->world))
		run->world->queue.failed = true;
	r = sim_run_build(run, reterr);
	if (r < 0) {
		sim_run_free(run);
		return r;
	}
	ask_events(run);
	*ret_run = run;
	return 0;
}

void sim_run_free_devices(struct sim_run *run, struct sim_run_guest *guest)
{
	struct sim_domain *domain = guest->domain;

	while (domain && domain->vifs) {
		for (uint32_t t = 0; t < 3; t++)
			guest->gone_t_ns[t] += domain->vifs->t_ns[t];
		guest->gone_count += domain->vifs->t_count;
		sim_vif_free(run->world, domain->vifs);
	}
	while (domain && domain->vbds)
		sim_vbd_free(run->world, domain->vbds);
}

static void free_devices(struct sim_run *run)
{
	for (uint32_t i = 0; i < run->guest_count; i++)
		sim_run_free_devices(run, &run->guests[i]);
	for (uint32_t i = 0; i < run->nic_count; i++)
		sim_nic_free(run->nics[i]);
	for (uint32_t i = 0; i < run->disk_count; i++)
		sim_disk_free(run->disks[i]);
}

void sim_run_free(struct sim_run *run)
{
	if (!run)
		return;
	sim_fluid_free(run->world->fluid);
	for (uint32_t i = 0; i < run->load_count; i++) {
		if (run->loads[i].ended) /* stopped already */
			free(run->loads[i].load);
		else
			sim_load_free(run->loads[i].load);
		free(run->loads[i].ended);
	}
	free_devices(run);
	sim_world_free(run->world);
	free(run->pools);
	free(run->drivers);
	free(run->nics);
	free(run->disks);
	free(run->guests);
	free(run->loads);
	free(run->events);
	free(run);
}

struct sim_world *sim_run_world(struct sim_run *run)
{
	return run->world;
}

void sim_run_pin(struct sim_run *run)
{
	struct sim_domain *dom0 = run->world->domains[0];
	uint32_t pcpu = CL_NONE;

	for (uint32_t i = 0; i < dom0->vcpu_count; i++) {
		struct cl_cpuset may = dom0->vcpus[i].hard, one;

		cl_cpuset_and(&may, &dom0->pool->pcpus);
		pcpu = cl_cpuset_next(&may, pcpu == CL_NONE ? 0 : pcpu + 1);
		if (pcpu == CL_NONE) /* more vCPUs than pCPUs: from the first again */
			pcpu = cl_cpuset_next(&may, 0);
		cl_cpuset_zero(&one);
		cl_cpuset_add(&one, pcpu);
		sim_vcpu_pin(run->world, &dom0->vcpus[i], &one);
	}
}

/* Is a bound hit? A scenario cannot hang. */
static bool bounded(struct sim_run *run, const struct sim_setup_scenario *setup)
{
	const struct sim_queue *queue = &run->world->queue;

	if (run->trouble.code)
		return true;
	if (queue->failed)
		cl_fail(&run->trouble, ENOMEM, "the simulation ended at %.3f s: no memory",
			(double)queue->now_ns / 1e9);
	else if (queue->fired >= setup->events)
		cl_fail(&run->trouble, E2BIG,
			"the simulation ended at %.3f s: %llu events are the most that this "
			"scenario may have ([scenario] events)",
			(double)queue->now_ns / 1e9, (unsigned long long)setup->events);
	else if (queue->fired % LOOK_EVENTS == 0 && cl_clock_ns() > run->wall_end_ns)
		cl_fail(&run->trouble, ETIME,
			"the simulation ended at %.3f s: it took longer than it may "
			"([scenario] wall)",
			(double)queue->now_ns / 1e9);
	return run->trouble.code != 0;
}

bool sim_run_until(struct sim_run *run, uint64_t until_ns, struct cl_error *reterr)
{
	const struct sim_setup_scenario *setup =
		SIM_SETUP(run->scenario, SIM_IN_SCENARIO, scenario);
	struct sim_queue *queue = &run->world->queue;
	uint64_t last = setup->until_ns && setup->until_ns < setup->duration_ns
				? setup->until_ns
				: setup->duration_ns;
	uint64_t end = until_ns < last ? until_ns : last;

	if (!run->wall_end_ns)
		run->wall_end_ns = cl_clock_ns() + setup->wall_ns;
	while (!bounded(run, setup) && sim_step(queue, end))
		;
	if (run->trouble.code) {
		if (reterr)
			*reterr = run->trouble;
		return false;
	}
	return queue->now_ns < last;
}
