/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Turns: what was given is booked, and all is shared anew. */
#include "fluid.h"

#include <stdlib.h>
#include <string.h>

#define SECOND CL_NS_PER_S
#define MANY   1000u
#define TRIES  8u  /* how busy all are and what wakes cost */
#define ROUNDS 32u /* of the rest each is small; what they leave undone is a rate too high */

static uint64_t over(uint64_t a_second, uint64_t ns)
{
	return sim_scale(a_second, ns, SECOND);
}

/* ---- what was given is booked ---- */

static uint64_t without_ticks(const struct sim_fluid *fluid, uint64_t ns)
{
	const struct sim_costs *costs = &fluid->world->costs;

	return sim_scale(ns, CL_PPM, CL_PPM + costs->tick_ns * costs->tick_hz / 1000);
}

/* Of what the work was given: its own, without ticks and overhead. */
static uint64_t net_ppm(const struct sim_fluid *fluid, const struct sim_fluid_work *work)
{
	uint64_t net = work->given, all = work->unit_ps + work->overhead_ps;

	if (work->load)
		net = sim_scale(net, work->unit_ps, all ? all : 1);
	return work->given ? sim_scale(CL_PPM, without_ticks(fluid, net), work->given) : 0;
}

static void add_ran(struct sim_fluid *fluid, uint64_t **ran, const struct sim_domain *domain,
		    uint32_t vcpu, uint64_t ns)
{
	if (!*ran)
		*ran = calloc(domain->vcpu_count, sizeof(**ran));
	if (*ran)
		(*ran)[vcpu] += ns;
	else
		fluid->world->queue.failed = true;
}

static void book_work(struct sim_fluid *fluid, struct sim_fluid_work *work, uint64_t ns)
{
	uint64_t net = net_ppm(fluid, work), sum = 0;

	for (uint32_t i = 0; i < work->on_count; i++) {
		uint32_t v = fluid->on[work->on + i].vcpu;
		uint64_t all = over(fluid->on[work->on + i].ns, ns);
		uint64_t own = sim_scale(all, net, CL_PPM);

		if (!all)
			continue;
		work->domain->vcpus[v].overhead_ns += all - own;
		sum += own;
		if (work->irq)
			add_ran(fluid, &work->irq->ran_ns, work->domain, v, own);
		else if (work->task)
			add_ran(fluid, &work->task->ran_ns, work->domain, v, own);
	}
	if (work->irq) {
		work->irq->cpu_ns += sum;
		work->irq->count += over(sim_scale(work->load->rate.given, work->per_unit_ppm,
						   CL_PPM * work->batch * SIM_GIVEN),
					 ns);
	} else if (work->task) {
		work->task->cpu_ns += sum;
		work->task->group->cpu_ns += sum;
		if (work->given < work->wants) /* it is never idle */
			work->task->wait_ns += ns - sim_least(sum, ns);
	}
}

static void book_vcpu(struct sim_vcpu *vcpu, uint64_t given, uint64_t wants, uint64_t ns)
{
	uint64_t cpu = over(sim_least(given, SECOND), ns);
	bool full = given < sim_least(wants, SECOND);

	vcpu->cpu_ns += cpu;
	vcpu->wait_ns += full ? ns - cpu : 0;
}

/* What is left over is the next time's. */
static uint64_t with_rest(uint64_t value, uint64_t part, uint64_t whole, uint64_t *rest)
{
	unsigned __int128 all = (unsigned __int128)value * part + *rest;

	*rest = (uint64_t)(all % whole);
	return (uint64_t)(all / whole);
}

static void book_part(struct sim_load *load, uint32_t i, uint64_t units)
{
	const struct sim_part *part = &load->rate.parts[i];
	struct sim_vif *vif = load->domain->vifs;
	struct sim_vbd *vbd = load->domain->vbds;
	uint64_t n = with_rest(units, part->ppm, CL_PPM, &load->rate.part_rest[i]);
	uint64_t writes = sim_scale(n, part->write_ppm, CL_PPM);

	if (n == 0)
		return;
	switch (part->flow) {
	case SIM_SEND:
		vif->sent += n;
		vif->sent_bytes += n * part->bytes;
		vif->nic->sent += n;
		vif->nic->sent_bytes += n * part->bytes;
		break;
	case SIM_RECEIVE:
		vif->received += n;
		vif->received_bytes += n * part->bytes;
		vif->nic->received += n;
		vif->nic->received_bytes += n * part->bytes;
		break;
	case SIM_DISK:
		vbd->reads += n - writes;
		vbd->read_bytes += (n - writes) * part->bytes;
		vbd->writes += writes;
		vbd->written_bytes += writes * part->bytes;
		break;
	}
}

static void book_load(struct sim_load *load, uint64_t ns)
{
	uint64_t units = with_rest(load->rate.given, ns, SECOND * SIM_GIVEN, &load->rate.rest);

	if (load->ops->gave)
		load->ops->gave(load, ns, units);

	for (uint32_t i = 0; i < load->rate.part_count && load->rate.given; i++)
		book_part(load, i, units);
}

/* What is left of a burst after so long at its share. */
static void serve(struct sim_fluid *fluid, struct sim_fluid_work *work, uint64_t ns)
{
	uint64_t done = over(without_ticks(fluid, work->given), ns) + 1;

	if (!work->finite || !work->left_ns)
		return;
	sim_burst_cut(&work->task->burst, done, work->left_ns);
	work->left_ns -= sim_least(done, work->left_ns);
}

void sim_settle(struct sim_world *world)
{
	struct sim_fluid *fluid = world->fluid;
	uint64_t ns = fluid ? world->queue.now_ns - fluid->since_ns : 0;

	if (ns == 0)
		return;
	fluid->since_ns = world->queue.now_ns;
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];

		book_work(fluid, work, ns);
		serve(fluid, work, ns);
		if (work->domain->kind == SIM_DOM0 && work->task && !work->load && !work->finite &&
		    work->task->guest == CL_NONE && work->wants > work->given)
			fluid->short_ns += over(work->wants - work->given, ns);
	}
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		book_vcpu(fluid->vcpus[v].vcpu, fluid->vcpus[v].given, fluid->vcpus[v].wants, ns);
	for (uint32_t p = 0; p < world->pcpu_count; p++)
		world->pcpus[p].busy_ns += over(sim_least(fluid->pcpu_use[p], SECOND), ns);
	for (uint32_t i = 0; i < fluid->load_count && fluid->vcpu_count; i++)
		book_load(fluid->loads[i], ns);
}

void sim_changed(struct sim_world *world)
{
	struct sim_fluid *fluid = world->fluid;

	if (!fluid)
		return;
	sim_settle(world);
	fluid->work_count = fluid->vcpu_count = 0;
	memset(fluid->pcpu_use, 0, sizeof(fluid->pcpu_use));
	sim_at(&world->queue, &fluid->turn, world->queue.now_ns);
}

/* ---- a turn ---- */

/* How busy all are says what is spent on wakes, and that how busy they are: found by trying. */
static void share_all(struct sim_fluid *fluid)
{
	fluid->wakes = 0;
	for (uint32_t i = 0; i < TRIES; i++) {
		bool any = true;

		if (i > 0)
			sim_fluid_wakes(fluid, i);
		sim_fluid_price(fluid);
		sim_fluid_ask(fluid);
		for (uint32_t round = 0; round < ROUNDS && any; round++) {
			sim_fluid_want(fluid);
			sim_fluid_cpus(fluid);
			any = sim_fluid_lower(fluid);
		}
		sim_fluid_locate(fluid);
	}
}

/* What tasks asked for and get, for their loads; how long bursts are where they run. */
static void tell_tasks(struct sim_fluid *fluid)
{
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];

		work->left_ns = work->unit_ps / MANY + 1;
		if (work->load || !work->task)
			continue;
		work->task->asked_ns = without_ticks(fluid, work->wants);
		work->task->given_ns = without_ticks(fluid, work->given);
	}
}

/* The trace in a number is of shares, too. */
static void digest(struct sim_fluid *fluid)
{
	uint64_t *at = &fluid->world->queue.digest;

	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		*at = (*at ^ fluid->vcpus[v].given) * UINT64_C(0x100000001b3);
}

static void ask_next(struct sim_fluid *fluid)
{
	struct sim_queue *queue = &fluid->world->queue;
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < fluid->load_count; i++)
		if (fluid->loads[i]->rate.until_ns > queue->now_ns)
			next = sim_least(next, fluid->loads[i]->rate.until_ns);
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		const struct sim_fluid_work *work = &fluid->works[i];

		if (work->finite && work->given)
			next = sim_least(next,
					 queue->now_ns + 1 +
						 sim_scale(work->left_ns, SECOND,
							   without_ticks(fluid, work->given)));
	}
	if (next != UINT64_MAX)
		sim_at(queue, &fluid->turn, next);
}

static struct sim_task *find_through(const struct sim_world *world)
{
	for (uint32_t d = 0; d < world->domain_count; d++)
		for (uint32_t i = 0; i < world->domains[d]->task_count; i++) {
			struct sim_task *task = world->domains[d]->tasks[i];

			if (task->served && !task->burst.cpu_ns && !task->burst.bytes)
				return task;
		}
	return NULL;
}

/* Bursts that are through: their owners give the next ones, or none. */
static void finish(struct sim_fluid *fluid)
{
	struct sim_task *task;

	while ((task = find_through(fluid->world))) {
		task->served = false;
		task->done(fluid->world, task);
	}
}

static void turn(struct sim_queue *queue, struct sim_event *event)
{
	struct sim_fluid *fluid = sim_of(event, struct sim_fluid, turn);
	struct sim_world *world = fluid->world;

	sim_settle(world);
	finish(fluid);
	for (uint32_t i = 0; i < fluid->load_count; i++)
		if (fluid->loads[i]->ops->ask)
			fluid->loads[i]->ops->ask(fluid->loads[i]);
	if (!sim_fluid_build(fluid)) {
		queue->failed = true;
		return;
	}
	share_all(fluid);
	tell_tasks(fluid);
	digest(fluid);
	sim_cancel(queue, event);
	ask_next(fluid);
}

/* ---- loads ---- */

bool sim_fluid_add(struct sim_fluid *fluid, struct sim_load *load)
{
	sim_changed(fluid->world);
	if (fluid->load_count == fluid->load_cap) {
		uint32_t cap = fluid->load_cap ? fluid->load_cap * 2 : 16;
		struct sim_load **more = realloc(fluid->loads, cap * sizeof(*more));

		if (!more)
			return false;
		fluid->loads = more;
		fluid->load_cap = cap;
	}
	load->rate.given = 0;
	fluid->loads[fluid->load_count++] = load;
	return true;
}

void sim_fluid_remove(struct sim_fluid *fluid, struct sim_load *load)
{
	sim_changed(fluid->world);
	for (uint32_t i = 0; i < fluid->load_count; i++) {
		if (fluid->loads[i] != load)
			continue;
		memmove(&fluid->loads[i], &fluid->loads[i + 1],
			(fluid->load_count - i - 1) * sizeof(struct sim_load *));
		fluid->load_count--;
		break;
	}
}

struct sim_fluid *sim_fluid_new(struct sim_world *world)
{
	struct sim_fluid *fluid = calloc(1, sizeof(*fluid));

	if (!fluid)
		return NULL;
	fluid->world = world;
	fluid->since_ns = world->queue.now_ns;
	sim_event_init(&world->queue, &fluid->turn, turn);
	sim_at(&world->queue, &fluid->turn, world->queue.now_ns);
	world->fluid = fluid;
	return fluid;
}

void sim_fluid_free(struct sim_fluid *fluid)
{
	if (!fluid)
		return;
	fluid->world->fluid = NULL;
	sim_event_done(&fluid->world->queue, &fluid->turn);
	free(fluid->loads);
	free(fluid->sets);
	free(fluid->vcpus);
	free(fluid->works);
	free(fluid->on);
	free(fluid->order);
	free(fluid->within);
	free(fluid->wants);
	free(fluid->weights);
	free(fluid->shares);
	free(fluid);
}
