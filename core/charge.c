/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * charge: what the host spends for a guest is taken out of what that guest paid for.
 *
 *   charged    closer: the host CPU of the books, of all kinds (host_ns). sedf-dc: the same total
 *              over all guests, divided by packets: debt_i = C * w_i / sum(w), w_i = charge_send *
 *              sent + charge_receive * received (Gupta et al., Middleware 2006)
 *   entitled   E, what the guest paid for in the interval of length t:
 *                cap     contract * t              credit, credit2 with a cap
 *                budget  vCPUs * t * contract / period          RTDS, SEDF
 *                weight  its share of what it and its rivals had, guest and host: share.c
 *   repaid     min(owed, E - g), g the guest's own CPU time: entitlement that it did not spend,
 *              because it was held back or because it was idle. So an idle guest's debt goes first,
 *              and nothing is held back of one whose own rest pays for it
 *   held back  owed / charge_periods each interval: the setting is contract * (1 - owed / (E over
 *              charge_periods intervals)), never below charge_floor of it; Xen's whole per cents
 *              are rounded in the guest's favour, and what that leaves owed is taken later
 *   written off  what a guest owes that has been gone for charge_keep, or whose place another needs
 *
 * The contract is the operator's setting, compare and set: what is neither the contract nor what
 * closer set last is the new contract. A guest that comes back (a reboot) keeps its debt; if the
 * toolstack gave it what closer had left it, it is first given its contract back.
 */
#include "ledger.h"
#include "state_order.h"
#include "tick.h"

#include <assert.h>
#include <string.h>

#define CAP_GRAIN    (CL_PPM / 100) /* Xen's caps are whole per cents of a CPU */
#define BUDGET_GRAIN CL_NS_PER_US
#define DEADBAND     64u /* no change by less than this part of the contract, unless back to it */

static const enum cl_action_kind sets[] = { CL_ACTION_CAP_SET, CL_ACTION_WEIGHT_SET,
					    CL_ACTION_BUDGET_SET };
static const enum cl_action_kind releases[] = { CL_ACTION_CAP_RELEASE, CL_ACTION_WEIGHT_RELEASE,
						CL_ACTION_BUDGET_RELEASE };
static const uint64_t grains[] = { CAP_GRAIN, 1, BUDGET_GRAIN };

static struct cl_state_ledger *ledger_of(const struct tick *tick, uint32_t guest)
{
	return state_find_ledger(tick->state, &tick->now->guests[guest].id);
}

/* ---- who is there ---- */

static const struct cl_guest *guest_by_id(const struct cl_snapshot *snap, const struct cl_uuid *id)
{
	uint32_t low = 0, high = snap->n.guests;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int order = cl_uuid_compare(&snap->guests[mid].id, id);

		if (order == 0)
			return &snap->guests[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void close_ledger(struct tick *tick, uint32_t i)
{
	struct cl_state *state = tick->state;
	struct cl_plan *plan = tick->plan;
	struct cl_write_off *off = &plan->write_offs[plan->n.write_offs];
	uint64_t ns = ledger_write_off(&state->ledgers[i].ledger);

	plan->books.written_off_ns += ns;
	if (ns > 0) {
		/* One ledger each, of those there were before. */
		assert(plan->n.write_offs < plan->cap.write_offs);
		memset(off, 0, sizeof(*off));
		off->guest = state->ledgers[i].id;
		off->ledger = state->ledgers[i].ledger;
		off->ns = ns;
		plan->n.write_offs++;
	}
	state->ledger_count--;
	memmove(&state->ledgers[i], &state->ledgers[i + 1],
		(state->ledger_count - i) * sizeof(state->ledgers[0]));
}

/* Of those that are gone, the one that was seen least lately: there are as many places as guests.
 */
static void make_place(struct tick *tick)
{
	const struct cl_state *state = tick->state;
	uint32_t oldest = CL_NONE;

	for (uint32_t i = 0; i < state->ledger_count; i++)
		if (state->ledgers[i].seen_ns != tick->now->taken_ns &&
		    (oldest == CL_NONE ||
		     state->ledgers[i].seen_ns < state->ledgers[oldest].seen_ns))
			oldest = i;
	if (oldest != CL_NONE)
		close_ledger(tick, oldest);
}

static void carry_ledgers(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	struct cl_state *state = tick->state;

	for (uint32_t i = state->ledger_count; i-- > 0;) {
		struct cl_state_ledger *l = &state->ledgers[i];

		if (guest_by_id(now, &l->id))
			l->seen_ns = now->taken_ns;
		else if (l->seen_ns > now->taken_ns ||
			 now->taken_ns - l->seen_ns >= tick->params->charge_keep)
			close_ledger(tick, i);
	}
	for (uint32_t i = 0; i < now->n.guests; i++) {
		const struct cl_guest *guest = &now->guests[i];

		if (ledger_of(tick, i))
			continue;
		if (state->ledger_count == state->cap.guests)
			make_place(tick);
		struct cl_state_ledger *l = state_add_ledger(state, &guest->id);

		l->seen_ns = now->taken_ns;
		l->domid = guest->domid;
	}
}

/* ---- the contract ---- */

static uint64_t value_of(const struct cl_guest *guest, enum cl_lever lever)
{
	switch (lever) {
	case CL_LEVER_CAP:
		return guest->cap;
	case CL_LEVER_WEIGHT:
		return guest->weight;
	case CL_LEVER_BUDGET:
		return guest->period_ns == CL_UNKNOWN || guest->period_ns == 0 ? CL_UNKNOWN
									       : guest->budget_ns;
	case CL_LEVER_COUNT:
		break;
	}
	return CL_UNKNOWN;
}

static void release(struct tick *tick, uint32_t guest, enum cl_lever lever)
{
	struct cl_action *a = cl_plan_add(tick->plan, releases[lever]);

	if (!a)
		return;
	a->object.guest.v = guest;
	a->why.code = CL_REASON_TAKEN_OVER;
}

static void change(struct tick *tick, uint32_t guest, enum cl_lever lever, uint64_t to,
		   struct cl_why why)
{
	const struct cl_guest *is = &tick->now->guests[guest];
	struct cl_action *a = cl_plan_add(tick->plan, sets[lever]);

	if (!a)
		return;
	a->object.guest.v = guest;
	a->from.tag = a->to.tag = CL_VALUE_INT;
	a->from.number = (int64_t)value_of(is, lever);
	a->to.number = (int64_t)to;
	a->why = why;
	a->possible = CL_CAN(tick->now, ENTITLEMENT);
}

/*
 * Brings contract and set up to date with what the setting is now. Levers with an action in this
 * plan are in the answer, one bit each: they are left for now.
 */
static uint32_t follow(struct tick *tick, uint32_t guest, struct cl_state_ledger *l)
{
	const struct cl_guest *is = &tick->now->guests[guest];
	bool reborn = l->domid != is->domid;
	uint32_t busy = 0;

	for (uint32_t k = 0; k < CL_LEVER_COUNT; k++) {
		uint64_t value = value_of(is, (enum cl_lever)k);
		bool ours = l->set[k] != CL_UNKNOWN;

		if (value == CL_UNKNOWN) /* it could not be read, or its scheduler is another */
			continue;
		if (reborn && ours && value == l->set[k] && value != l->contract[k]) {
			if (l->levers.retry_ns <= tick->now->taken_ns)
				change(tick, guest, (enum cl_lever)k, l->contract[k],
				       (struct cl_why){ .code = CL_REASON_REBORN });
			busy |= 1u << k;
			continue;
		}
		if (ours && value == l->set[k])
			continue;
		if (ours && !reborn) {
			release(tick, guest, (enum cl_lever)k);
			busy |= 1u << k;
		}
		l->contract[k] = value;
		l->set[k] = CL_UNKNOWN;
	}
	/* What was left to it stays to be given back, should that be refused. */
	if (!(reborn && busy))
		l->domid = is->domid;
	return busy;
}

/* Where there is more than one, the one that binds: a cap holds whatever the weight. */
static enum cl_lever lever_of(const struct cl_guest *guest, const struct cl_state_ledger *l)
{
	static const enum cl_lever order[] = { CL_LEVER_BUDGET, CL_LEVER_CAP, CL_LEVER_WEIGHT };

	for (uint32_t i = 0; i < CL_LEVER_COUNT; i++)
		if (value_of(guest, order[i]) != CL_UNKNOWN &&
		    l->contract[order[i]] != CL_UNKNOWN && l->contract[order[i]] > 0)
			return order[i];
	return CL_LEVER_COUNT;
}

/* ---- charged, entitled, repaid ---- */

static uint64_t growth(uint64_t before, uint64_t after)
{
	return before == CL_UNKNOWN || after == CL_UNKNOWN || after < before ? 0 : after - before;
}

/* Bounded, so that the sum over all guests fits 64 bits. */
static void weigh(const struct tick *tick, uint64_t *weight, uint64_t packets, uint64_t factor)
{
	uint64_t room = UINT64_MAX / tick->now->n.guests - *weight;

	if (factor > 0)
		*weight += packets < room / factor ? packets * factor : room;
}

static bool same_nic(const struct tick *tick, const struct cl_nic *a, const struct cl_nic *b)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;

	return a->guest.v < prev->n.guests && b->guest.v < now->n.guests &&
	       cl_uuid_compare(&prev->guests[a->guest.v].id, &now->guests[b->guest.v].id) == 0 &&
	       strcmp(cl_snapshot_str(prev, a->name), cl_snapshot_str(now, b->name)) == 0;
}

/* Weighted packets of each guest in this interval. Devices lie by guest in both snapshots; a new
 * one is looked for in vain. */
static void weigh_packets(const struct tick *tick, uint64_t *ret_weights)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;
	uint32_t hint = 0;

	memset(ret_weights, 0, now->n.guests * sizeof(*ret_weights));
	for (uint32_t i = 0; i < now->n.nics; i++) {
		const struct cl_nic *nic = &now->nics[i];

		for (uint32_t k = 0; k < prev->n.nics; k++) {
			uint32_t at = (hint + k) % prev->n.nics;
			const struct cl_nic *was = &prev->nics[at];

			if (!same_nic(tick, was, nic))
				continue;
			weigh(tick, &ret_weights[nic->guest.v],
			      growth(was->rx_packets, nic->rx_packets), tick->params->charge_send);
			weigh(tick, &ret_weights[nic->guest.v],
			      growth(was->tx_packets, nic->tx_packets),
			      tick->params->charge_receive);
			hint = at + 1;
			break;
		}
	}
}

/* What each guest is charged for this interval, into its books. */
static void charge_all(struct tick *tick)
{
	struct cl_plan *plan = tick->plan;
	uint64_t *weights = tick->state->scratch, *parts = weights + tick->state->cap.guests;
	uint64_t *rests = parts + tick->state->cap.guests;
	bool measured = CL_CAN(tick->now, CLOCK);

	if (tick->params->charge == CL_CHARGE_SEDF_DC) {
		weigh_packets(tick, weights);
		ledger_split(plan->books.host_ns, weights, plan->n.guests, parts, rests);
	}
	for (uint32_t i = 0; i < plan->n.guests; i++) {
		struct cl_guest_books *books = &plan->guest_books[i];
		uint64_t ns = tick->params->charge == CL_CHARGE_SEDF_DC ? parts[i] : books->host_ns;

		if (!measured)
			books->charge.why.code = CL_REASON_UNMEASURED;
		books->charge.charged_ns =
			ledger_charge(&ledger_of(tick, i)->ledger, measured ? ns : 0);
	}
}

static void entitle(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	uint64_t span = tick->plan->books.span_ns;

	for (uint32_t i = 0; i < now->n.guests; i++) {
		struct cl_charge_books *c = &tick->plan->guest_books[i].charge;
		const struct cl_guest *guest = &now->guests[i];

		if (!tick->plan->guest_books[i].counted)
			continue;
		if (c->lever == CL_LEVER_CAP)
			c->entitled_ns = mul_div(span, c->contract, CL_PPM, NULL);
		else if (c->lever == CL_LEVER_BUDGET)
			c->entitled_ns = guest->vcpu_count *
					 mul_div(span, c->contract, guest->period_ns, NULL);
	}
	entitle_by_weight(tick);
}

static void repay(struct tick *tick, uint32_t guest, struct cl_state_ledger *l)
{
	struct cl_guest_books *books = &tick->plan->guest_books[guest];
	uint64_t entitled = books->charge.entitled_ns, spent = books->guest_ns;

	if (entitled != CL_UNKNOWN && entitled > spent)
		books->charge.repaid_ns = ledger_repay(&l->ledger, entitled - spent);
}

/* ---- held back ---- */

static uint64_t rounded(enum cl_lever lever, uint64_t value, uint64_t contract)
{
	uint64_t up = value + grains[lever] - 1;

	up -= up % grains[lever];
	return up < contract ? up : contract;
}

/* The least change that is made, unless back to the contract. */
static uint64_t step_of(enum cl_lever lever, uint64_t contract)
{
	return rounded(lever, contract / DEADBAND > 0 ? contract / DEADBAND : 1, contract);
}

/*
 * What the setting is to be for the next interval. A debt too small for a step of it over all
 * periods is taken by one step, once it is worth that step for an interval; less than that waits
 * until the guest leaves something unspent.
 */
static uint64_t wanted(const struct tick *tick, const struct cl_charge_books *c)
{
	const struct cl_params *params = tick->params;
	uint64_t step = step_of(c->lever, c->contract);
	uint64_t one = mul_div(c->entitled_ns, params->interval, tick->plan->books.span_ns, NULL);
	uint64_t to = ledger_left(c->contract, c->ledger.owed_ns, one * params->charge_periods,
				  params->charge_floor);
	uint64_t least = ledger_left(c->contract, UINT64_MAX, 1, params->charge_floor);

	to = rounded(c->lever, to, c->contract);
	if (c->contract - to < step && c->contract - least >= step && one > 0 &&
	    c->ledger.owed_ns >= mul_div(one, step, c->contract, NULL))
		to = c->contract - step;
	return to;
}

static bool worth_changing(enum cl_lever lever, uint64_t is, uint64_t to, uint64_t contract)
{
	uint64_t by = is < to ? to - is : is - to;

	return to == contract ? by > 0 : by >= step_of(lever, contract);
}

static void hold_back(struct tick *tick, uint32_t guest, struct cl_state_ledger *l, uint32_t busy)
{
	struct cl_charge_books *c = &tick->plan->guest_books[guest].charge;
	const struct cl_guest *is = &tick->now->guests[guest];

	for (uint32_t k = 0; k < CL_LEVER_COUNT; k++) {
		uint64_t value = value_of(is, (enum cl_lever)k), contract = l->contract[k];
		uint64_t to = contract;

		if (k == c->lever && tick->prev && c->entitled_ns != CL_UNKNOWN)
			to = wanted(tick, c);
		else if (k == c->lever && c->ledger.owed_ns > 0)
			to = value; /* nothing is known of this interval */
		else if (l->set[k] == CL_UNKNOWN)
			continue;
		if (value == CL_UNKNOWN)
			continue;
		struct cl_why why = {
			.code = to < contract ? CL_REASON_DEBT : CL_REASON_PAID,
			.number = { c->ledger.owed_ns,
				    contract ? mul_div(to, CL_PPM, contract, NULL) : 0, 0 }
		};

		if (k == c->lever && to < contract)
			c->why = why;
		if ((busy >> k & 1) || l->levers.retry_ns > tick->now->taken_ns ||
		    !worth_changing((enum cl_lever)k, value, to, contract))
			continue;
		change(tick, guest, (enum cl_lever)k, to, why);
	}
	if (c->lever == CL_LEVER_COUNT && c->ledger.owed_ns > 0)
		c->why = (struct cl_why){ .code = CL_REASON_NO_LEVER,
					  .number = { c->ledger.owed_ns, 0, 0 } };
}

void charge(struct tick *tick)
{
	struct cl_books *total = &tick->plan->books;
	uint64_t *busy = tick->state->scratch + 3 * (size_t)tick->state->cap.guests;

	if (tick->params->charge == CL_CHARGE_OFF)
		return;
	carry_ledgers(tick);
	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct cl_charge_books *c = &tick->plan->guest_books[i].charge;
		struct cl_state_ledger *l = ledger_of(tick, i);

		busy[i] = follow(tick, i, l);
		c->entitled_ns = CL_UNKNOWN;
		c->lever = lever_of(&tick->now->guests[i], l);
		c->contract = c->lever == CL_LEVER_COUNT ? 0 : l->contract[c->lever];
	}
	if (tick->prev) {
		charge_all(tick);
		entitle(tick);
	}
	for (uint32_t i = 0; i < tick->now->n.guests; i++) {
		struct cl_charge_books *c = &tick->plan->guest_books[i].charge;
		struct cl_state_ledger *l = ledger_of(tick, i);

		repay(tick, i, l);
		c->ledger = l->ledger;
		total->charged_ns += c->charged_ns;
		total->repaid_ns += c->repaid_ns;
		total->owed_ns += c->ledger.owed_ns;
		hold_back(tick, i, l, (uint32_t)busy[i]);
	}
}
