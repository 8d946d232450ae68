/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overcommit: what each guest can lose without noticing, who gets it, and how fast it comes back.
 *
 *   active  what a guest uses: what it says (used_bytes), believed as far as the hypervisor's count
 *           goes: up at once, down by an eighth an interval, so that a short rest costs nothing.
 *           Nobody gains by a lie: one who says too little loses down to its floor, one who says
 *           too much keeps what is its own, and what it gets beyond that has the lowest price
 *   need    active and overcommit_headroom of it; never less than a part of its memory with which
 *           it was seen to get less done (curve.h). Of one that says nothing: the least part with
 *           which it was seen to get as much done, and one more to try; nothing known: all it has
 *   lose    contract - need, down to size_floor of the contract
 *   price   ESX's idle-memory tax (Waldspurger, OSDI 2002): rho = S / (P (f + k (1 - f))), S the
 *           contract: taken is from the lowest, given to the highest
 *   states  of the host's free memory, as ESX's: soft below 2/3 of overcommit_free, hard below
 *           1/3, low below 1/6; upwards only at the next one's, to high at all of it. high: nothing
 *           is taken but for a guest in need, and what was taken goes back step by step. soft: a
 *           step of each guest an interval, all at once while a guest is in need. hard: all that
 *           it can lose at once. low: and nobody has more than its contract
 *   back    a guest that needs more than it has gets what was taken from it at once, called back
 *           from those that it was lent to as far as it is not free, then others'
 *           idle memory, up to its maximum; free memory is lent down to where hard begins
 *
 * Decided here is how much (cl_state_memory.taken, lent); size.c sets the targets, which for one
 * guest are contract - asked (Algorithm 1) - taken + lent. Where this is off all of it goes back.
 */
#include "curve.h"
#include "ledger.h"
#include "state_order.h"
#include "tick.h"

#include <assert.h>
#include <string.h>

#define PAGE  UINT64_C(4096)
#define SLACK (UINT64_C(1) << 20) /* that balloons and toolstacks round by */
#define DECAY 8u                  /* of what it used before, in an interval */

struct one {
	const struct cl_guest *is;
	struct cl_state_memory *state;
	struct cl_overcommit_books *books;
	uint64_t contract, floor, most;
	uint64_t sized, own; /* what Algorithm 1 has of it; what that leaves of the contract */
};

struct demand {
	uint64_t total, free; /* free: that nobody has been promised */
	uint64_t flight;      /* being given up already */
	uint64_t unmet;       /* of guests in need */
};

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return b < UINT64_MAX - a ? a + b : UINT64_MAX - 1;
}

static uint64_t pages(uint64_t bytes)
{
	return bytes - bytes % PAGE;
}

/* Of bytes, so much. */
static uint64_t part(uint64_t bytes, uint64_t ppm)
{
	return mul_div(bytes, ppm, CL_PPM, NULL);
}

/* False: too little is known of it, or somebody else has just set it. */
static bool view(const struct tick *tick, uint32_t guest, struct one *ret)
{
	const struct cl_guest *is = &tick->now->guests[guest];
	struct cl_state_memory *m = state_find_memory(tick->state, &is->id);

	if (!m || is->target_bytes == CL_UNKNOWN || is->mem_bytes == CL_UNKNOWN ||
	    m->contract == CL_UNKNOWN || m->domid != is->domid ||
	    (m->set == CL_UNKNOWN ? m->contract : m->set) != is->target_bytes)
		return false;
	*ret = (struct one){ .is = is,
			     .state = m,
			     .books = &tick->plan->guest_books[guest].overcommit,
			     .contract = m->contract,
			     .floor = m->contract -
				      part(m->contract, CL_PPM - tick->params->size_floor),
			     .most = m->contract };
	if (is->mem_max_bytes != CL_UNKNOWN && is->mem_max_bytes > ret->most)
		ret->most = is->mem_max_bytes;
	ret->sized = least(less(sum(m->contract, m->lent), sum(is->target_bytes, m->taken)),
			   m->contract);
	ret->own = m->contract - ret->sized;
	return true;
}

/* ---- what it needs ---- */

/* What it got done: bytes over its network devices, where it has one, else CPU time. */
static void learn(struct tick *tick, const uint64_t *net, const uint64_t *nics)
{
	uint64_t span = tick->plan->books.span_ns;
	struct one one;

	for (uint32_t i = 0; i < tick->now->n.guests && tick->prev; i++) {
		const struct cl_guest_books *books = &tick->plan->guest_books[i];

		if (!view(tick, i, &one) || !books->counted ||
		    one.state->mem != one.is->mem_bytes || one.state->full == CL_UNKNOWN ||
		    tick->now->taken_ns - one.state->stepped_ns < tick->params->overcommit_settle)
			continue;
		curve_add(
			&one.state->curve,
			curve_part(sum(one.is->mem_bytes, SLACK), less(one.state->full, one.sized)),
			nics[i] ? net[i] / 1024 : mul_div(books->guest_ns, 1000000, span, NULL));
	}
}

static enum curve_verdict verdict(const struct tick *tick, const struct one *one, uint32_t at)
{
	return curve_verdict(&one->state->curve, at, tick->params->overcommit_loss,
			     tick->params->overcommit_samples);
}

/* The least memory of a part. */
static uint64_t bottom(const struct one *one, uint32_t at)
{
	return mul_div(one->own, at, CURVE_FULL, NULL);
}

static void believe(const struct one *one)
{
	uint64_t told = one->is->used_bytes, was = one->state->active;

	if (told == CL_UNKNOWN) {
		one->state->active = CL_UNKNOWN;
		return;
	}
	told = least(told, one->most);
	if (was == CL_UNKNOWN || told >= was)
		one->state->active = told;
	else
		one->state->active = was - (was - told + DECAY - 1) / DECAY;
}

static uint64_t need_as_told(const struct tick *tick, const struct one *one, struct cl_why *why)
{
	uint64_t active = one->state->active;
	uint64_t need = sum(active, part(active, tick->params->overcommit_headroom));
	uint32_t at = curve_part(need, one->own);

	*why = (struct cl_why){ .code = CL_REASON_USES, .number = { active, need, 0 } };
	while (at < CURVE_FULL && verdict(tick, one, at) == CURVE_LESS)
		at++;
	if (at > curve_part(need, one->own)) {
		need = bottom(one, at);
		*why = (struct cl_why){ .code = CL_REASON_LESS_DONE,
					.number = { bottom(one, at - 1), need, 0 } };
	}
	return need;
}

/* From all of its memory downwards, as long as it gets as much done; and one part to try. */
static uint64_t need_as_seen(const struct tick *tick, const struct one *one, struct cl_why *why)
{
	uint32_t at = CURVE_FULL;

	*why = (struct cl_why){ .code = CL_REASON_NOT_KNOWN };
	if (one->state->curve.count[CURVE_FULL] < tick->params->overcommit_samples)
		return one->own;
	while (at > 0 && verdict(tick, one, at - 1) == CURVE_SAME)
		at--;
	if (at < CURVE_FULL)
		*why = (struct cl_why){ .code = CL_REASON_AS_MUCH_DONE,
					.number = { bottom(one, at), 0, 0 } };
	if (at > 0 && verdict(tick, one, at - 1) == CURVE_UNKNOWN)
		at--;
	return bottom(one, at);
}

static void keep_books(const struct tick *tick, struct one *one, uint64_t need)
{
	struct cl_overcommit_books *b = one->books;
	uint64_t mem = one->is->mem_bytes, active = one->state->active, load = 0, cpus;

	b->told = one->is->used_bytes;
	b->active = active;
	b->need = need;
	b->lose = pages(less(one->contract, need));
	b->price = tax_price(one->contract, mem, active == CL_UNKNOWN ? mem : least(active, mem),
			     tick->params->overcommit_tax);
	for (uint32_t v = 0; v < one->is->vcpu_count; v++)
		load = sum(load, tick->state->vcpus[one->is->vcpu_first + v].load);
	cpus = one->is->vcpu_count * (uint64_t)CL_PPM;
	if (one->is->cap != CL_UNKNOWN && one->is->cap > 0)
		cpus = least(cpus, one->is->cap);
	b->cpu_spare = less(cpus, sum(load, part(load, tick->params->overcommit_headroom)));
}

static void look(struct tick *tick, uint64_t *spare)
{
	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct one one;
		uint64_t need;

		spare[i] = 0;
		if (!view(tick, i, &one))
			continue;
		believe(&one);
		need = one.state->active != CL_UNKNOWN ? need_as_told(tick, &one, &one.books->why)
						       : need_as_seen(tick, &one, &one.books->why);
		if (need < one.floor) {
			one.books->why = (struct cl_why){ .code = CL_REASON_FLOOR,
							  .number = { one.contract - need,
								      one.contract - one.floor } };
			need = one.floor;
		}
		keep_books(tick, &one, least(need, one.most));
		spare[i] = less(one.books->lose, sum(one.state->taken, one.sized));
	}
}

/* ---- the host's free memory ---- */

static uint64_t threshold(const struct tick *tick, const struct demand *d, enum cl_pressure state)
{
	static const uint64_t sixths[] = { 6, 4, 2, 1 };

	return part(d->total, tick->params->overcommit_free) * sixths[state] / 6;
}

/* Down at a state's own threshold, up at the next better one's. */
static enum cl_pressure follow_state(const struct tick *tick, const struct demand *d)
{
	enum cl_pressure state = (enum cl_pressure)tick->state->pressure;

	while (state < CL_PRESSURE_LOW &&
	       d->free < threshold(tick, d, (enum cl_pressure)(state + 1)))
		state++;
	while (state > CL_PRESSURE_HIGH &&
	       d->free >= threshold(tick, d, (enum cl_pressure)(state - 1)))
		state--;
	tick->state->pressure = state;
	return state;
}

static void count(const struct tick *tick, uint64_t free, struct demand *ret)
{
	const struct cl_snapshot *now = tick->now;

	*ret = (struct demand){ .free = free };
	for (uint32_t i = 0; i < now->n.nodes; i++)
		if (now->nodes[i].mem_total_bytes != CL_UNKNOWN)
			ret->total = sum(ret->total, now->nodes[i].mem_total_bytes);
	for (uint32_t i = 0; i < now->n.guests; i++) {
		const struct cl_guest *g = &now->guests[i];
		struct one one;

		/* What has stopped is not on its way. */
		if (!view(tick, i, &one) ||
		    now->taken_ns - one.state->moved_ns >= tick->params->size_patience)
			continue;
		ret->flight = sum(ret->flight, less(g->mem_bytes, g->target_bytes));
		ret->free = less(ret->free, less(g->target_bytes, g->mem_bytes));
	}
}

/* ---- back, and from one to another ---- */

/* Of those with something in `amount`: the lowest price, or the highest. CL_NONE: none is left. */
static uint32_t pick(const struct tick *tick, const uint64_t *amount, bool highest)
{
	uint32_t best = CL_NONE;

	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		uint64_t price = tick->plan->guest_books[i].overcommit.price;

		if (amount[i] == 0)
			continue;
		if (best == CL_NONE ||
		    (highest ? price > tick->plan->guest_books[best].overcommit.price
			     : price < tick->plan->guest_books[best].overcommit.price))
			best = i;
	}
	return best;
}

static uint64_t step_of(const struct tick *tick, const struct one *one)
{
	uint64_t step = pages(part(one->contract, tick->params->overcommit_step));

	return step > PAGE ? step : PAGE;
}

/* What it needs and has not: its own first. lack: what others' memory is asked for. */
static void give_own_back(struct tick *tick, uint64_t *lack, struct demand *d)
{
	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct one one;
		uint64_t back, wants;

		lack[i] = 0;
		if (!view(tick, i, &one))
			continue;
		struct cl_state_memory *m = one.state;

		m->lent = least(m->lent, pages(less(one.books->need, one.contract)));
		m->taken = least(m->taken, less(one.contract, one.floor));
		wants = less(one.books->need, less(one.contract, sum(one.sized, m->taken)));
		wants = less(wants, m->lent);
		if (wants == 0)
			continue;
		back = least(m->taken, pages(wants + PAGE - 1));
		m->taken -= back;
		d->unmet = sum(d->unmet, less(back, d->free));
		d->free = less(d->free, back);
		if (back > 0) {
			m->stepped_ns = tick->now->taken_ns;
			one.books->why = (struct cl_why){ .code = CL_REASON_IN_NEED,
							  .number = { one.books->need, back } };
		}
		/* Only whom we can see to use it. */
		if (m->active != CL_UNKNOWN)
			lack[i] = pages(
				least(less(wants, back), less(one.most - one.contract, m->lent)));
	}
}

/* What is not free of that is called back from those that it was lent to. */
static void recall(struct tick *tick, struct demand *d)
{
	for (uint32_t i = 0; i < tick->now->n.guests && d->unmet > 0; i++) {
		struct one one;
		uint64_t by;

		if (!view(tick, i, &one))
			continue;
		by = least(one.state->lent, pages(sum(d->unmet, PAGE - 1)));
		one.state->lent -= by;
		d->unmet = less(d->unmet, by);
		if (by > 0)
			one.state->stepped_ns = tick->now->taken_ns;
	}
}

static void lend(struct tick *tick, uint64_t *lack, enum cl_pressure state, struct demand *d)
{
	uint32_t i;

	for (uint64_t n = 0; n < tick->params->moves; n++) {
		struct one one;
		uint64_t keep = threshold(tick, d, CL_PRESSURE_HARD), can;

		i = pick(tick, lack, true);
		if (i == CL_NONE || state == CL_PRESSURE_LOW || !view(tick, i, &one))
			break;
		can = pages(least(lack[i], less(d->free, keep)));
		one.state->lent += can;
		d->free -= can;
		d->unmet = sum(d->unmet, lack[i] - can);
		lack[i] = 0;
		if (can > 0)
			one.state->stepped_ns = tick->now->taken_ns;
	}
	for (i = 0; i < tick->now->n.guests && state == CL_PRESSURE_LOW; i++) {
		struct one one;

		if (view(tick, i, &one))
			one.state->lent = 0;
	}
}

/* ---- taken where it hurts least ---- */

static void reclaim(struct tick *tick, uint64_t *spare, enum cl_pressure state,
		    const struct demand *d)
{
	uint64_t lacks = state == CL_PRESSURE_HIGH ? 0 : threshold(tick, d, CL_PRESSURE_HIGH);

	lacks = less(sum(less(lacks, d->free), d->unmet), d->flight);
	for (uint64_t n = 0; n < tick->params->moves && lacks > 0; n++) {
		uint32_t i = pick(tick, spare, false);
		struct one one;
		uint64_t by;

		if (i == CL_NONE || !view(tick, i, &one))
			break;
		by = least(spare[i], pages(sum(lacks, PAGE - 1)));
		spare[i] = 0;
		/* One that says nothing is watched for a while after each step. */
		if (one.state->active == CL_UNKNOWN &&
		    tick->now->taken_ns - one.state->stepped_ns < tick->params->overcommit_settle)
			continue;
		if ((state <= CL_PRESSURE_SOFT && d->unmet == 0) || one.state->active == CL_UNKNOWN)
			by = least(by, step_of(tick, &one));
		by = pages(by);
		one.state->taken += by;
		one.state->stepped_ns = tick->now->taken_ns;
		lacks = less(lacks, by);
	}
}

static void give_back(struct tick *tick, uint64_t *taken, const struct demand *d)
{
	uint64_t free = less(d->free, threshold(tick, d, CL_PRESSURE_HIGH));

	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct one one;

		taken[i] = view(tick, i, &one) ? one.state->taken : 0;
	}
	for (uint64_t n = 0; n < tick->params->moves; n++) {
		uint32_t i = pick(tick, taken, true);
		struct one one;
		uint64_t by;

		if (i == CL_NONE || !view(tick, i, &one))
			break;
		by = least(least(one.state->taken, step_of(tick, &one)), pages(free));
		if (by == 0)
			break;
		one.state->taken -= by;
		one.state->stepped_ns = tick->now->taken_ns;
		free -= by;
		taken[i] = 0;
	}
}

/* ---- the whole ---- */

static void let_go(struct tick *tick)
{
	for (uint32_t i = 0; i < tick->state->memory_count; i++)
		tick->state->memories[i].taken = tick->state->memories[i].lent = 0;
	tick->state->pressure = CL_PRESSURE_HIGH;
}

/* What could be started now: of free memory; of what nobody would notice; down to the floors. */
static void admit(struct tick *tick, const struct demand *d, enum cl_pressure state)
{
	struct cl_memory_books *b = &tick->plan->books.memory;

	b->pressure = state;
	b->admit_free = d->free;
	b->admit_idle = b->admit_floor = d->free;
	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct one one;

		if (!view(tick, i, &one))
			continue;
		one.books->taken = one.state->taken;
		one.books->lent = one.state->lent;
		uint64_t has = sum(one.sized, one.state->taken);
		uint64_t known = one.books->why.code == CL_REASON_NOT_KNOWN ? 0 : one.books->lose;

		b->admit_idle = sum(b->admit_idle, less(known, has));
		b->admit_floor = sum(b->admit_floor, less(one.contract - one.floor, has));
	}
}

void overcommit_why(const struct tick *tick, uint32_t guest, const struct cl_state_memory *state,
		    bool up, struct cl_why *why)
{
	const struct cl_overcommit_books *b = &tick->plan->guest_books[guest].overcommit;

	if (!up && state->taken > 0)
		*why = (struct cl_why){ .code = CL_REASON_IDLE,
					.number = { b->lose, state->taken, b->price } };
	else if (up && state->lent > 0)
		*why = (struct cl_why){ .code = CL_REASON_LENT,
					.number = { b->need, state->lent, 0 } };
	else if (up && b->why.code == CL_REASON_IN_NEED)
		*why = b->why;
}

void overcommit(struct tick *tick, uint64_t free)
{
	uint64_t *a = tick->state->scratch + 2 * (size_t)tick->state->cap.guests;
	uint64_t *spare = a + tick->state->cap.guests;
	enum cl_pressure state;
	struct demand d;

	if (!tick->params->overcommit) {
		let_go(tick);
		return;
	}
	net_rates(tick, a, spare);
	learn(tick, a, spare);
	look(tick, spare);
	count(tick, free, &d);
	state = follow_state(tick, &d);
	give_own_back(tick, a, &d);
	recall(tick, &d);
	lend(tick, a, state, &d);
	reclaim(tick, spare, state, &d);
	if (state == CL_PRESSURE_HIGH && d.unmet == 0)
		give_back(tick, a, &d);
	count(tick, free, &d);
	admit(tick, &d, state);
}
