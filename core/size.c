/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * size: what guests contribute to the privileged side's memory (thesis, Algorithm 1).
 *
 *   asked   n * eps + level * increment, n the nodes that the guest runs on: eps from the start,
 *           and when its I/O passes level k (k * size_level bytes a second) the increment that
 *           level k + 1 will need, so that it is there before that is reached; of several levels
 *           at once all of theirs. Given back when I/O has been below level k by size_hysteresis of
 *           a level for size_hold. Never more than leaves the guest size_floor of its memory, nor
 *           than the privileged side has room for: eps above M asks for nothing
 *   target  M - asked, M the operator's target: the contract, compare and set
 *   given   what the guest has less than at the contract, as the hypervisor counts its pages:
 *           a guest cannot lie there
 *   held    of it, whole steps (n * eps, then increments): the privileged side's target is its own
 *           contract and what it holds of all guests. It is raised by no more than the hypervisor
 *           has free, and a guest's as far as memory for it is free, so that nobody else's memory
 *           is spoken for twice
 *   ahead   what is being claimed and is not given yet, out of free memory as long as all guests
 *           have theirs and nobody is short of it: the need does not wait for a balloon
 *
 * A balloon that does not move for size_patience (there is none, it stopped, it took memory back)
 * has stopped: it keeps what it gave in whole steps as its contribution, and is asked for more
 * later, less and less often. The privileged side's likewise: then no guest is asked for more than
 * it took. A guest that comes back with what closer had left it is first given its contract.
 */
#include "ledger.h"
#include "levels.h"
#include "state_order.h"
#include "tick.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PAGE UINT64_C(4096)
#define SLACK                                                                                      \
	(UINT64_C(1) << 20) /* that toolstacks and balloons round by: it is there all the same */

struct domain { /* guest CL_NONE: the privileged one */
	uint32_t guest, domid;
	uint64_t target, mem;
	struct cl_state_memory *state;
	uint64_t to; /* what its target is to be */
	bool busy;   /* it has an action in this plan */
};

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t pages(uint64_t bytes)
{
	return bytes - bytes % PAGE;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return b < UINT64_MAX - a ? a + b : UINT64_MAX - 1;
}

/* ---- who is there ---- */

static void carry_memories(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_state *state = tick->state;

	for (uint32_t i = 0; i < now->n.guests; i++) {
		struct cl_state_memory *m = state_find_memory(state, &now->guests[i].id);

		if (m)
			m->seen_ns = now->taken_ns;
	}
	for (uint32_t i = state->memory_count; i-- > 0;)
		if (state->memories[i].seen_ns != now->taken_ns &&
		    (state->memories[i].seen_ns > now->taken_ns ||
		     state->memory_count == state->cap.guests ||
		     now->taken_ns - state->memories[i].seen_ns >= tick->params->charge_keep))
			state_drop_memory(state, i);
	for (uint32_t i = 0; i < now->n.guests; i++) {
		const struct cl_guest *guest = &now->guests[i];

		if (state_find_memory(state, &guest->id) ||
		    state->memory_count == state->cap.guests)
			continue;
		struct cl_state_memory *m = state_add_memory(state, &guest->id);

		m->seen_ns = now->taken_ns;
		m->domid = guest->domid;
	}
}

/* False: nothing is known of its memory, or there is no place for what is. */
static bool view(const struct tick *tick, uint32_t guest, struct domain *ret)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_guest *is = guest == CL_NONE ? NULL : &now->guests[guest];

	*ret = (struct domain){ .guest = guest,
				.domid = is ? is->domid : 0,
				.target = is ? is->target_bytes : now->memory.target_bytes,
				.mem = is ? is->mem_bytes : now->memory.bytes,
				.state = is ? state_find_memory(tick->state, &is->id)
					    : &tick->state->privileged };
	ret->to = ret->target;
	return ret->state && ret->target != CL_UNKNOWN && ret->mem != CL_UNKNOWN;
}

/* ---- the contract ---- */

static void act(struct tick *tick, struct domain *d, enum cl_action_kind kind, uint64_t to,
		struct cl_why why)
{
	struct cl_action *a = cl_plan_add(tick->plan, kind);

	d->busy = true;
	if (!a)
		return;
	a->object.guest.v = d->guest;
	a->why = why;
	if (kind == CL_ACTION_MEMORY_RELEASE)
		return;
	a->from.tag = a->to.tag = CL_VALUE_INT;
	a->from.number = (int64_t)d->target;
	a->to.number = (int64_t)to;
	a->possible = CL_CAN(tick->now, MEMORY);
}

static bool is_ours(const struct cl_state_memory *m)
{
	return m->set != CL_UNKNOWN;
}

/* Nothing is taken from it or lent to it any more. */
static void forget_others(struct cl_state_memory *m)
{
	m->taken = m->lent = m->lent_set = 0;
	m->active = CL_UNKNOWN;
}

/* Somebody has set it: that is the contract from now on, and he is left in peace for a while. */
static void take_over(struct tick *tick, struct domain *d)
{
	struct cl_state_memory *m = d->state;

	act(tick, d, CL_ACTION_MEMORY_RELEASE, 0, (struct cl_why){ .code = CL_REASON_TAKEN_OVER });
	forget_others(m);
	m->set = m->full = CL_UNKNOWN;
	m->level = m->below_ns = 0;
	back_off(&m->claims, tick->params, EBUSY, tick->now->taken_ns);
}

/* What it would have at the contract, where it has what is set. */
static uint64_t full_at(const struct cl_state_memory *m, uint64_t mem)
{
	return m->contract > m->set ? sum(mem, m->contract - m->set)
				    : less(mem, m->set - m->contract);
}

static void follow(struct tick *tick, struct domain *d)
{
	struct cl_state_memory *m = d->state;
	bool reborn = m->domid != d->domid, settled = m->mem == d->mem;

	if (reborn)
		forget_others(m);
	if (reborn && is_ours(m) && d->target == m->set && d->target != m->contract) {
		m->full = CL_UNKNOWN;
		m->level = m->below_ns = 0;
		if (m->setting.retry_ns <= tick->now->taken_ns)
			act(tick, d, CL_ACTION_MEMORY_TARGET, m->contract,
			    (struct cl_why){ .code = CL_REASON_REBORN });
		d->busy = true;
		return;
	}
	if (is_ours(m) && d->target != m->set && !reborn)
		take_over(tick, d);
	if (!is_ours(m) || d->target != m->set) {
		if (m->contract != d->target)
			m->full = CL_UNKNOWN;
		m->contract = d->target;
		m->set = CL_UNKNOWN;
	}
	m->domid = d->domid;
	/* While a balloon moves, what it would have at a new contract is not known. */
	if ((!is_ours(m) || m->set == m->contract) && settled)
		m->full = d->mem;
	else if (m->full == CL_UNKNOWN && settled) /* set before this state was there */
		m->full = full_at(m, d->mem);
	if (d->mem != m->mem)
		m->moved_ns = tick->now->taken_ns;
	m->mem = d->mem;
}

/* ---- what is asked of a guest ---- */

/* No more than it can spare and the privileged side can hold. */
static uint64_t bounded(const struct steps *s, uint64_t asked, uint64_t room, struct cl_why *why)
{
	uint64_t most = least(s->most, room);

	if (asked <= most)
		return asked;
	if (s->most < asked)
		*why = (struct cl_why){ .code = CL_REASON_FLOOR, .number = { asked, s->most, 0 } };
	else
		*why = (struct cl_why){ .code = CL_REASON_NO_ROOM, .number = { room, 0, 0 } };
	return whole(s, most);
}

/* What it has set and what of that has come; memory on its way to it. What it was lent is its own
 * for this. */
static uint64_t set_of(const struct domain *d)
{
	return less(sum(d->state->contract, d->state->lent_set), d->target);
}

static uint64_t given_of(const struct domain *d)
{
	const struct cl_state_memory *m = d->state;

	/* Not known: as it was told. */
	return m->full == CL_UNKNOWN ? set_of(d) : less(sum(m->full, m->lent_set), d->mem);
}

static uint64_t pending_of(const struct domain *d)
{
	const struct cl_state_memory *m = d->state;

	return m->full == CL_UNKNOWN ? 0 : less(less(sum(m->full, m->lent_set), set_of(d)), d->mem);
}

/* With so much asked of it by Algorithm 1, and what overcommitment takes and lends. */
static uint64_t target_for(const struct domain *d, uint64_t asked)
{
	return sum(d->state->contract, d->state->lent) - asked - d->state->taken;
}

/* Of a claim that has not been met: is it on its way, or is this all that comes? */
static uint64_t look_at_balloon(struct tick *tick, struct domain *d, const struct steps *s,
				uint64_t asked, struct cl_why *why)
{
	struct cl_state_memory *m = d->state;
	uint64_t now_ns = tick->now->taken_ns, set = set_of(d), given = given_of(d);

	if (now_ns - m->moved_ns < tick->params->size_patience) {
		*why = (struct cl_why){ .code = CL_REASON_IN_FLIGHT,
					.number = { set - given, set, 0 } };
		return asked;
	}
	if (m->claims.retry_ns <= now_ns)
		back_off(&m->claims, tick->params, EBUSY, now_ns);
	*why = (struct cl_why){ .code = CL_REASON_STOPPED,
				.number = { given, set, m->claims.retry_ns - now_ns } };
	return least(asked, whole(s, given + SLACK));
}

/* What of `wanted` is on its way, or will be asked for at the next tick; of one that has stopped,
 * and not given again since, nothing. */
static uint64_t ahead_of(const struct tick *tick, const struct domain *d, uint64_t wanted)
{
	const struct cl_size_books *b = &tick->plan->guest_books[d->guest].size;
	const struct cl_state_memory *m = d->state;

	if (m->claims.refused > 0 || tick->state->pressure != CL_PRESSURE_HIGH)
		return 0;
	return less(m->full == CL_UNKNOWN && !is_ours(m) ? wanted : b->asked, b->held);
}

/* Its target is to be M - asked: into d->to. */
static void size_guest(struct tick *tick, struct domain *d, uint64_t room)
{
	struct cl_size_books *b = &tick->plan->guest_books[d->guest].size;
	struct cl_state_memory *m = d->state;
	const struct steps s = steps_of(tick, &tick->now->guests[d->guest], m->contract);
	uint64_t set = set_of(d), wanted, asked, all;
	bool waits = m->claims.retry_ns > tick->now->taken_ns;
	bool met = given_of(d) + SLACK >= set;

	if (met && !waits && set > 0)
		m->claims = (struct cl_backoff){ 0 };
	follow_level(tick, m, b->io, met && !waits && m->full != CL_UNKNOWN);
	wanted = bounded(&s, contribution(&s, m->level), room, &b->why);
	all = least(sum(wanted, m->taken), s.most);
	if (waits || m->full == CL_UNKNOWN)
		all = least(all, set);
	if (!met && all >= set)
		all = look_at_balloon(tick, d, &s, all, &b->why);
	asked = least(wanted, all);
	m->taken = all - asked;
	if (asked < contribution(&s, m->level))
		m->level = asked > s.first ? (asked - s.first) / s.increment : 0;
	b->contract = m->contract;
	b->given = given_of(d);
	b->level = m->level;
	b->asked = asked;
	b->held = whole(&s, least(least(b->given + SLACK, asked), set));
	b->ahead = ahead_of(tick, d, wanted);
	d->to = target_for(d, asked);
}

/* ---- both sides ---- */

struct totals {
	uint64_t free;  /* that nobody has been promised */
	uint64_t last;  /* of it, size_reserve: for those whose memory it was */
	uint64_t held;  /* of all guests */
	uint64_t ahead; /* of all guests; 0 where one of them lacks free memory */
	uint64_t count; /* of those that it is of */
};

static void set_target(struct tick *tick, struct domain *d, uint64_t to, struct cl_why why)
{
	if (d->busy || to == d->target || d->state->setting.retry_ns > tick->now->taken_ns)
		return;
	act(tick, d, CL_ACTION_MEMORY_TARGET, to, why);
}

/* More for a guest, as far as that is free: what it has, or was promised, is it already. */
static uint64_t raised(const struct domain *d, struct totals *t, struct cl_why *why)
{
	const struct cl_state_memory *m = d->state;
	uint64_t full = d->to > m->contract ? sum(m->full, d->to - m->contract)
					    : less(m->full, m->contract - d->to);
	uint64_t more =
		m->full == CL_UNKNOWN ? d->to - d->target : less(full, sum(d->mem, pending_of(d)));
	uint64_t can = pages(least(more, t->free));

	if (can < pages(more))
		*why = (struct cl_why){ .code = CL_REASON_NO_FREE,
					.number = { t->free, more - can, 0 } };
	if (can < pages(more))
		t->ahead = 0;
	t->free -= can;
	return can < pages(more) ? d->to - (more - can) : d->to;
}

static void move_guest(struct tick *tick, struct domain *d, struct totals *t)
{
	struct cl_size_books *b = &tick->plan->guest_books[d->guest].size;
	struct cl_why why = { .code = d->to < d->target ? CL_REASON_CLAIM : CL_REASON_RETURN,
			      .number = { b->io, b->level, b->asked } };

	overcommit_why(tick, d->guest, d->state, d->to > d->target, &why);
	if (b->why.code == CL_REASON_STOPPED)
		why = b->why;
	set_target(tick, d, d->to > d->target ? raised(d, t, &b->why) : d->to, why);
}

/* More for the privileged side: its own as far as memory is free, and ahead of that what is
 * nobody's last. *ret_lacks: of its own. */
static uint64_t raise_privileged(const struct domain *d, uint64_t own, const struct totals *t,
				 uint64_t *ret_lacks)
{
	uint64_t more = less(own, d->target), can = least(more, t->free);
	uint64_t ahead = least(d->to - d->target - more, less(t->free, sum(t->last, can)));

	*ret_lacks = more - can;
	return d->target + pages(can + ahead);
}

static void move_privileged(struct tick *tick, struct domain *d, struct totals *t)
{
	struct cl_memory_books *b = &tick->plan->books.memory;
	const struct cl_memory *memory = &tick->now->memory;
	uint64_t spare = less(memory->available_bytes, tick->params->size_reserve);
	uint64_t own = sum(d->state->contract, t->held), to, lacks = 0;

	if (d->state->full == CL_UNKNOWN) /* nor what it was promised already */
		t->ahead = 0;

	d->to = least(sum(own, t->ahead), memory->max_bytes > own ? memory->max_bytes : own);
	to = d->to;
	if (to > d->target) {
		to = raise_privileged(d, own, t, &lacks);
		if (lacks > 0)
			b->why = (struct cl_why){ .code = CL_REASON_NO_FREE,
						  .number = { t->free, lacks, 0 } };
	} else if (memory->available_bytes != CL_UNKNOWN && d->target - to > spare) {
		b->why = (struct cl_why){ .code = CL_REASON_NEEDED,
					  .number = { spare, d->target - to - spare, 0 } };
		to = d->target - pages(spare);
	}
	set_target(
		tick, d, to,
		(struct cl_why){ .code = CL_REASON_HOLD,
				 .number = { t->held, t->count, least(t->ahead, less(to, own)) } });
	b->contract = d->state->contract;
	b->held = t->held;
	b->ahead = least(t->ahead, less(to, own));
}

/* What the privileged side could hold; less while its balloon does not take what it is given. */
static uint64_t room_of(struct tick *tick, struct domain *d, uint64_t *ret_pending)
{
	struct cl_state_memory *m = d->state;
	uint64_t now_ns = tick->now->taken_ns, max = tick->now->memory.max_bytes;
	uint64_t holds = less(d->target, m->contract);
	uint64_t took = m->full == CL_UNKNOWN ? holds : less(d->mem, m->full);

	*ret_pending = m->full == CL_UNKNOWN ? 0 : less(holds, took);
	if (took + SLACK < holds && now_ns - m->moved_ns >= tick->params->size_patience &&
	    m->claims.retry_ns <= now_ns)
		back_off(&m->claims, tick->params, EBUSY, now_ns);
	else if (took + SLACK >= holds && holds > 0 && m->claims.retry_ns <= now_ns)
		m->claims = (struct cl_backoff){ 0 };
	if (m->claims.retry_ns > now_ns) {
		tick->plan->books.memory.why =
			(struct cl_why){ .code = CL_REASON_STOPPED,
					 .number = { took, holds, m->claims.retry_ns - now_ns } };
		return least(took, holds);
	}
	return max == CL_UNKNOWN ? UINT64_MAX : less(max, m->contract);
}

/* ---- the books ---- */

static uint64_t free_of(const struct cl_snapshot *snap)
{
	uint64_t free = 0;

	for (uint32_t i = 0; i < snap->n.nodes; i++)
		if (snap->nodes[i].mem_free_bytes != CL_UNKNOWN)
			free = sum(free, snap->nodes[i].mem_free_bytes);
	return free;
}

static uint64_t domains_of(const struct cl_snapshot *snap)
{
	uint64_t bytes = snap->memory.bytes == CL_UNKNOWN ? 0 : snap->memory.bytes;

	for (uint32_t i = 0; i < snap->n.guests; i++)
		if (snap->guests[i].mem_bytes != CL_UNKNOWN)
			bytes = sum(bytes, snap->guests[i].mem_bytes);
	return bytes;
}

static void keep_books(struct tick *tick)
{
	struct cl_memory_books *b = &tick->plan->books.memory;

	b->domains = domains_of(tick->now);
	b->free = free_of(tick->now);
	if (tick->prev)
		b->drift = (int64_t)(b->domains + b->free) -
			   (int64_t)(domains_of(tick->prev) + free_of(tick->prev));
}

static void add_books(struct tick *tick, const struct domain *d, struct totals *t)
{
	const struct cl_size_books *from = &tick->plan->guest_books[d->guest].size;
	struct cl_memory_books *b = &tick->plan->books.memory;
	uint64_t pending = pending_of(d), set = set_of(d);

	b->asked = sum(b->asked, from->asked);
	b->given = sum(b->given, from->given);
	b->flight = sum(b->flight, sum(pending, less(set, from->given)));
	t->held = sum(t->held, from->held);
	t->ahead = sum(t->ahead, from->ahead);
	t->count += from->held > 0;
	t->free = less(t->free, pending);
}

/* What guests are to give is taken at once; what they are to have, when all is known (give_back).
 */
static void take(struct tick *tick, bool can, uint64_t room, struct totals *t)
{
	const uint64_t *io = tick->state->scratch;
	uint64_t *returns = tick->state->scratch + tick->state->cap.guests;

	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct cl_size_books *b = &tick->plan->guest_books[i].size;
		struct domain d;

		returns[i] = 0;
		b->io = io[i];
		if (!view(tick, i, &d)) {
			b->why.code = CL_REASON_NO_BALLOON;
			continue;
		}
		follow(tick, &d);
		if (!can && !is_ours(d.state))
			continue;
		size_guest(tick, &d, room);
		room = less(room,
			    sum(b->held, b->ahead) > b->asked ? b->held + b->ahead : b->asked);
		add_books(tick, &d, t);
		returns[i] = d.to > d.target && !d.busy;
		if (d.to < d.target)
			move_guest(tick, &d, t);
	}
}

static void give_back(struct tick *tick, struct totals *t)
{
	const uint64_t *returns = tick->state->scratch + tick->state->cap.guests;

	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct domain d;

		if (!returns[i] || !view(tick, i, &d))
			continue;
		d.to = target_for(&d, tick->plan->guest_books[i].size.asked);
		move_guest(tick, &d, t);
	}
}

/* Nothing more comes from the privileged side: what is reserved is for whose memory it was. */
static bool has_given(const struct domain *d, uint64_t held)
{
	const struct cl_state_memory *m = d->state;

	return d->target == sum(m->contract, held) &&
	       (m->full == CL_UNKNOWN || d->mem <= sum(m->full, less(d->target, m->contract)));
}

void size(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct totals t = { 0 };
	struct domain privileged;
	uint64_t room = 0, pending = 0;

	if (!tick->params->size && !tick->params->overcommit)
		return;
	io_rates(tick, tick->state->scratch);
	carry_memories(tick);
	keep_books(tick);
	bool can = view(tick, CL_NONE, &privileged);

	if (can) {
		follow(tick, &privileged);
		room = room_of(tick, &privileged, &pending);
	} else {
		tick->plan->books.memory.why.code = CL_REASON_NO_BALLOON;
	}
	t.free = less(tick->plan->books.memory.free, tick->params->size_reserve);
	if (now->memory.claimed_bytes != CL_UNKNOWN)
		t.free = less(t.free, now->memory.claimed_bytes);
	if (can) {
		t.free = less(t.free, pending);
		tick->plan->books.memory.flight = pending;
	}
	overcommit(tick, t.free);
	take(tick, can, room, &t);
	if (!can || has_given(&privileged, t.held))
		t.last = least(tick->plan->books.memory.free, tick->params->size_reserve);
	t.free = sum(t.free, t.last);
	give_back(tick, &t);
	if (can)
		move_privileged(tick, &privileged, &t);
}
