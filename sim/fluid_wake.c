/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What it costs to begin with work, and how slow a shared core is: both follow from how busy all
 * are, which follows from them; fluid.c goes round a few times.
 *
 * A batch that finds its own work going on, or waiting for a pCPU, joins it at no cost. Arrivals at
 * random see time averages (PASTA), so of a rate L with work for a share r of the time L (1 - r) do
 * not; where a vCPU that wakes has to wait for W they come together: L (1 - r) / (1 + L W). Each of
 * them has its interrupts' entries and its tasks' switches, back again if something else was
 * running; where the vCPU was blocked, the wake and the switch of the pCPU. What began together
 * comes together to the next who works for it.
 *
 * W: on a full host a vCPU that wakes preempts another only when that has run for the scheduler's
 * ratelimit R. Where pCPUs switch at rate D each, at random, credit finds none that has, and sets a
 * timer, for R - (1 - exp(-D R)) / D on the average. credit2 looks at all m pCPUs of a run queue (a
 * node's); with (1 - exp(-D R))^m none has, and then it is the end of a slice, at most 10 ms, that
 * lets it in: the first of m. Its own pCPU is taken as often as any, and where it has others it
 * then moves.
 */
#include "fluid.h"
#include "sched_credit2.h"

#include <string.h>

#define SECOND CL_NS_PER_S
#define MANY   1000u
#define ONE    (UINT64_C(1) << 31)

static uint64_t root_of(uint64_t square)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= square)
			root += bit;
	return root;
}

static uint64_t sum_on(const struct sim_fluid *fluid, const struct cl_cpuset *set)
{
	uint64_t sum = 0;

	for (uint32_t p = cl_cpuset_next(set, 0); p != CL_NONE; p = cl_cpuset_next(set, p + 1))
		sum += fluid->pcpu_use[p];
	return sum;
}

/* vCPUs that never stop, which take their pCPUs for good: their indices in fluid->wants. */
static uint32_t find_takers(struct sim_fluid *fluid)
{
	uint32_t n = 0;

	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		if (fluid->vcpus[v].wants >= SECOND && !fluid->vcpus[v].vcpu->domain->cap)
			fluid->wants[n++] = v;
	return n;
}

/* Of this set's pCPUs what they take. ns a second. */
static uint64_t taken_of(const struct sim_fluid *fluid, uint32_t set, uint32_t takers)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < takers; i++) {
		const struct sim_fluid_vcpu *vcpu = &fluid->vcpus[fluid->wants[i]];

		if (fluid->within[vcpu->set * fluid->set_count + set])
			sum += vcpu->given;
		else if (fluid->within[set * fluid->set_count + vcpu->set])
			sum += sim_scale(vcpu->given, fluid->sets[set].count,
					 fluid->sets[vcpu->set].count);
	}
	return sum;
}

/*
 * How busy those are that are not taken for good, and the chance that all n of them are, each for a
 * share u: u^(sqrt(2 (n + 1)) - 1), Sakasegawa's approximation (1977) of Erlang's C formula, with a
 * whole exponent.
 */
static void find_busy(const struct sim_fluid *fluid, uint32_t i, uint32_t takers)
{
	struct sim_fluid_set *set = &fluid->sets[i];
	uint64_t use = sum_on(fluid, &set->pcpus), taken = taken_of(fluid, i, takers), n, power;

	n = set->count - sim_least((taken + SECOND / 2) / SECOND, set->count - 1);
	use = use > taken && n < set->count ? use - taken : use;
	set->busy_ppm = sim_least(sim_scale(CL_PPM, use, n * SECOND), CL_PPM);
	if (set->count * SECOND - sim_least(taken, set->count * SECOND) < SECOND / 100)
		set->busy_ppm = CL_PPM;
	power = (root_of(8 * (n + 1)) + 1) / 2 - 1;
	set->wait_ppm = CL_PPM;
	for (uint64_t k = 0; k < (power ? power : 1); k++)
		set->wait_ppm = sim_scale(set->wait_ppm, set->busy_ppm, CL_PPM);
}

/* ---- shared cores ---- */

/*
 * Schedulers prefer a core that is free, so threads share one when there are more busy threads than
 * cores. Their number has mean m and variance s^2, as that of independent ones: there are
 * E[(a - cores)+] too many, here by (sqrt(d^2 + 2 s^2 / pi) - d) / 2 with d = cores - m, which is
 * the normal distribution's at d = 0 and near it elsewhere. In thousandths of a thread.
 */
static uint64_t slow_ppm(const struct sim_fluid *fluid, const struct cl_cpuset *set)
{
	uint64_t busy = sum_on(fluid, set) / (SECOND / 1000), cores = 0, variance = 0, over;
	const struct sim_world *world = fluid->world;
	uint64_t smt = world->costs.smt_speed;

	for (uint32_t p = cl_cpuset_next(set, 0); p != CL_NONE; p = cl_cpuset_next(set, p + 1)) {
		uint64_t use = sim_least(fluid->pcpu_use[p] / (SECOND / 1000), 1000);
		uint32_t sibling = world->pcpus[p].sibling;

		cores += sibling == CL_NONE || sibling > p || !cl_cpuset_has(set, sibling);
		variance += use * (1000 - use);
	}
	if (busy == 0 || !smt || cores == cl_cpuset_count(set))
		return 0;
	cores *= 1000;
	uint64_t apart = cores > busy ? cores - busy : busy - cores;
	uint64_t root = root_of(apart * apart + variance * 637 / 1000);

	over = cores > busy ? (root - apart) / 2 : (root + apart) / 2;
	return sim_scale(sim_least(sim_scale(CL_PPM, 2 * over, busy), CL_PPM), CL_PPM - smt, smt);
}

/*
 * What is bound to one pCPU cannot look for a free core, but others can: who comes back to a core
 * that is shared by then goes to a free one, and comes back to that. So its sibling is as busy as
 * those make it who are bound there, and shared with others only as far as there are too few cores.
 * A kernel's tasks go on where one is idle, so that at the moment they may be on any of their
 * vCPUs.
 */
static uint64_t slow_on_one_ppm(const struct sim_fluid *fluid, const struct sim_fluid_set *set,
				const uint64_t *bound_to)
{
	const struct sim_world *world = fluid->world;
	uint32_t sibling = world->pcpus[cl_cpuset_next(&set->pcpus, 0)].sibling;
	uint64_t smt = world->costs.smt_speed, bound, others = 0;

	if (sibling == CL_NONE || !smt)
		return 0;
	/* The widest come last, and are few. */
	for (uint32_t i = fluid->set_count; i-- > 0;) {
		const struct sim_fluid_set *wide = &fluid->sets[fluid->order[i]];

		if (wide->count == 1)
			break;
		if (cl_cpuset_has(&wide->pcpus, sibling))
			others = wide->slow_ppm;
	}
	bound = sim_least(sim_scale(CL_PPM, bound_to[sibling], SECOND), CL_PPM);
	return sim_least(sim_scale(bound, CL_PPM - smt, smt) + others,
			 sim_scale(CL_PPM, CL_PPM - smt, smt));
}

static void find_even(struct sim_fluid *fluid)
{
	for (uint32_t v = 0; v < fluid->vcpu_count; v++)
		fluid->vcpus[v].even = 0;
	for (uint32_t i = 0; i < fluid->work_count; i++) {
		const struct sim_fluid_work *work = &fluid->works[i];

		for (uint32_t k = 0; k < work->on_count; k++)
			sim_fluid_vcpu_of(fluid, work, &fluid->on[work->on + k])->even +=
				work->given / work->on_count;
	}
}

static void find_sets(struct sim_fluid *fluid)
{
	uint64_t bound_to[SIM_PCPUS_MAX] = { 0 };
	uint32_t takers = find_takers(fluid);

	find_even(fluid);
	for (uint32_t v = 0; v < fluid->vcpu_count; v++) {
		const struct sim_fluid_set *set = &fluid->sets[fluid->vcpus[v].set];

		if (set->count == 1)
			bound_to[cl_cpuset_next(&set->pcpus, 0)] += fluid->vcpus[v].even;
	}
	for (uint32_t i = fluid->set_count; i-- > 0;) {
		struct sim_fluid_set *set = &fluid->sets[fluid->order[i]];

		find_busy(fluid, fluid->order[i], takers);
		set->slow_ppm = set->count == 1 ? slow_on_one_ppm(fluid, set, bound_to)
						: slow_ppm(fluid, &set->pcpus);
	}
}

/* pCPUs of a set on each node that it has any on. */
static uint64_t queue_of(const struct sim_fluid *fluid, const struct sim_fluid_set *set)
{
	uint64_t nodes = 0, count;

	for (uint32_t p = cl_cpuset_next(&set->pcpus, 0); p != CL_NONE;
	     p = cl_cpuset_next(&set->pcpus, p + 1))
		nodes |= UINT64_C(1) << fluid->world->pcpus[p].node;
	count = set->count / (uint64_t)__builtin_popcountll(nodes);
	return count ? count : 1;
}

/* Where none is free. rate: how often a vCPU displaces another on a pCPU, a second. */
static uint64_t full_wait_ns(const struct sim_pool *pool, uint64_t rate, uint64_t queue)
{
	uint64_t recent = ONE - sim_exp_minus(sim_scale(rate, pool->ratelimit_ns, MANY)), all = ONE;

	if (pool->ops == &sim_sched_credit)
		return pool->ratelimit_ns -
		       sim_least(sim_scale(recent, SECOND, rate * ONE), pool->ratelimit_ns);
	for (uint64_t i = 0; i < queue; i++)
		all = sim_scale(all, recent, ONE);
	return sim_scale(C2_CREDIT_NS, all, ONE * (queue + 1));
}

static void find_waits(struct sim_fluid *fluid)
{
	uint64_t rate = fluid->wakes / fluid->world->pcpu_count + 1;

	for (uint32_t i = 0; i < fluid->set_count; i++) {
		struct sim_fluid_set *set = &fluid->sets[i];
		set->queue = queue_of(fluid, set);
		set->move_ppm = set->busy_ppm * (set->count - 1) / set->count;
	}
	for (uint32_t v = 0; v < fluid->vcpu_count; v++) {
		struct sim_fluid_vcpu *vcpu = &fluid->vcpus[v];
		const struct sim_fluid_set *set = &fluid->sets[vcpu->set];

		vcpu->wait_ns = sim_scale(full_wait_ns(vcpu->vcpu->domain->pool,
						       sim_scale(rate, set->wait_ppm, CL_PPM) + 1,
						       set->queue),
					  set->wait_ppm, CL_PPM);
		vcpu->blocked_ppm = sim_scale(CL_PPM, SECOND - sim_least(vcpu->given, SECOND),
					      SECOND + vcpu->arrivals * vcpu->wait_ns);
		vcpu->arrivals = 0;
	}
}

/* ---- overhead ---- */

struct state { /* of the vCPUs on which a work runs, as much as it does on each */
	uint64_t busy_ppm, own_ppm, blocked_ppm, move_ppm, wait_ns;
};

static struct state state_of(struct sim_fluid *fluid, const struct sim_fluid_work *work)
{
	struct state state = { 0 };

	for (uint32_t i = 0; i < work->on_count; i++) {
		const struct sim_fluid_place *place = &fluid->on[work->on + i];
		const struct sim_fluid_vcpu *vcpu = sim_fluid_vcpu_of(fluid, work, place);
		uint64_t on = place->ns;

		if (!on)
			continue;
		state.busy_ppm +=
			sim_scale(sim_scale(vcpu->given, CL_PPM, SECOND), on, work->given);
		state.own_ppm += sim_scale(sim_scale(on, CL_PPM, SECOND), on, work->given);
		state.wait_ns += sim_scale(vcpu->wait_ns, on, work->given);
		state.blocked_ppm += sim_scale(vcpu->blocked_ppm, on, work->given);
		state.move_ppm += sim_scale(fluid->sets[vcpu->set].move_ppm, on, work->given);
	}
	state.busy_ppm = sim_least(state.busy_ppm, CL_PPM);
	state.own_ppm = sim_least(state.own_ppm, state.busy_ppm);
	return state;
}

/* Of a footprint that is used so often a second, at random: what is gone when it is next used. */
static uint64_t gone_ppm(const struct sim_fluid *fluid, uint64_t rate)
{
	return sim_scale(CL_PPM, SECOND, SECOND + rate * fluid->world->costs.cold_ns);
}

static uint64_t turn_of(const struct sim_fluid *fluid, const struct sim_fluid_work *work)
{
	uint64_t own = gone_ppm(fluid, fluid->turns[work->turn]);
	uint64_t shared =
		sim_turn_follows(work->turn) ? 0 : gone_ppm(fluid, fluid->turns[SIM_TURNS]);

	return sim_turn_of(&fluid->world->costs, work->turn_ns, own, shared);
}

/* arrivals: batches a second. Those that begin something. */
static uint64_t find_overhead(struct sim_fluid *fluid, struct sim_fluid_work *work,
			      uint64_t arrivals)
{
	const struct sim_costs *costs = &fluid->world->costs;
	struct state state = state_of(fluid, work);
	uint64_t idle = CL_PPM - state.own_ppm, others = state.busy_ppm - state.own_ppm;
	uint64_t begins = sim_scale(sim_scale(arrivals, idle, CL_PPM), SECOND,
				    SECOND + arrivals * state.wait_ns);
	uint64_t ns = work->irqs * costs->irq_ns +
		      work->tasks * (costs->task_switch_ns +
				     sim_scale(costs->task_switch_ns, others, idle ? idle : 1));
	uint64_t units = sim_scale(work->load->rate.given, work->per_unit_ppm, CL_PPM);
	uint64_t wakes = sim_scale(work->wakes * state.blocked_ppm, CL_PPM, idle ? idle : 1);

	ns += sim_scale(costs->wake_ns + costs->switch_ns +
				sim_scale(costs->migrate_ns, state.move_ppm, CL_PPM),
			wakes, CL_PPM);
	work->overhead_ps = sim_scale(begins * SIM_GIVEN, ns * MANY, units ? units : 1);
	work->turn_ps =
		sim_scale(begins * SIM_GIVEN, turn_of(fluid, work) * MANY, units ? units : 1);
	fluid->wakes += sim_scale(begins, wakes, CL_PPM);
	for (uint32_t k = 0; k < work->on_count; k++)
		sim_fluid_vcpu_of(fluid, work, &fluid->on[work->on + k])->arrivals +=
			sim_scale(work->wakes * arrivals, fluid->on[work->on + k].ns, work->given);
	return begins;
}

static void find_overheads(struct sim_fluid *fluid)
{
	uint64_t begins = 0, turns[SIM_TURNS + 1] = { 0 };

	for (uint32_t i = 0; i < fluid->work_count; i++) {
		struct sim_fluid_work *work = &fluid->works[i];
		bool chained = work->chained && begins;

		if (work->load && work->given)
			begins = find_overhead(
				fluid, work,
				chained ? begins
					: sim_scale(work->load->rate.given, work->per_unit_ppm,
						    CL_PPM * work->batch * SIM_GIVEN));
		if (!work->load || !work->given || !work->turn_ns)
			continue;
		turns[work->turn] += begins;
		turns[SIM_TURNS] += sim_turn_follows(work->turn) ? 0 : begins;
	}
	memcpy(fluid->turns, turns, sizeof(turns));
}

/* Many wakes mean long waits, and these few wakes: each go changes less (Mann's iteration). */
void sim_fluid_wakes(struct sim_fluid *fluid, uint32_t go)
{
	uint64_t before = fluid->wakes;

	find_sets(fluid);
	find_waits(fluid);
	fluid->wakes = 0;
	find_overheads(fluid);
	fluid->wakes = (before * go + fluid->wakes) / (go + 1);
}
