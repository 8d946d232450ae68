/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard: guests are held to their limits of host CPU (Gupta et al., ShareGuard, which turned the
 * traffic of offenders off; here it is slowed down to what the limit pays for, disks as well).
 *
 *   used   what ran for the guest outside it, as the books have it: under a hypervisor the honest
 *          figure, with wake-ups and interrupts that a container's own misses. Without migration,
 *          shutdown and other commands of the toolstack: they are done to the guest.
 *   held   when it was over in guard_over of the last guard_window intervals
 *   limit  of a throttle: what was asked of it in this interval, times goal / used. That is the
 * goal divided by the cost of a packet or byte as measured now. The goal is below the limit by half
 * the hysteresis; a throttle that is as good as right is left as it is. raised by a quarter at
 * most, where the guest asks for all that it is given and stays below let go when it has asked for
 * less than it is given for guard_release
 *
 * The least intrusive throttle first: what the guest sends is held in the guest; a container's CPU
 * time and its disks; packets to the guest, which can only be dropped. If the first throttle is not
 * there, is somebody's, or does not do in guard_release, the next one is used as well.
 */
#include "ledger.h"
#include "tick.h"

#include <string.h>

enum part { SEND, RECEIVE, DISK, REST, PARTS };

static const enum cl_action_kind throttles_by_part[PARTS][2] = {
	[SEND] = { CL_ACTION_NIC_RATE, CL_ACTION_GROUP_QUOTA },
	[RECEIVE] = { CL_ACTION_GROUP_QUOTA, CL_ACTION_PACKET_RATE },
	[DISK] = { CL_ACTION_GROUP_IO, CL_ACTION_GROUP_QUOTA },
	[REST] = { CL_ACTION_GROUP_QUOTA, CL_ACTION_GROUP_QUOTA },
};
static const enum cl_action_kind throttle_kinds[] = {
	CL_ACTION_NIC_RATE,
	CL_ACTION_GROUP_QUOTA,
	CL_ACTION_GROUP_IO,
	CL_ACTION_PACKET_RATE,
};
#define THROTTLE_KINDS (sizeof(throttle_kinds) / sizeof(throttle_kinds[0]))

#define PART_LEAST 8  /* a part of less than one in so many is not held by itself */
#define ASKS_ALL   70 /* per cent of what it is given: the throttle holds it */

struct watch { /* one guest in one tick */
	struct tick *tick;
	uint32_t guest;
	struct cl_state_guard *state;
	uint64_t limit, used;              /* ppm of a CPU */
	uint64_t part_ns[PARTS], parts_ns; /* what is of a part, and its sum */
	uint64_t sum_ns, contained_ns;
};

/* ---- measuring ---- */

/* CPUs that the privileged side's work may be given. */
static uint64_t capacity(const struct cl_snapshot *now)
{
	uint64_t n = 0;

	for (uint32_t c = 0; c < now->n.cpus; c++)
		n += now->cpus[c].online && (now->allowed.v == CL_NONE ||
					     cl_cpuset_has(cl_snapshot_set(now, now->allowed), c));
	return n > 0 ? n : 1;
}

/* ppm of a CPU, or CL_UNKNOWN. */
static uint64_t limit_of(const struct tick *tick, uint32_t guest, uint64_t cpus)
{
	const struct cl_guest *g = &tick->now->guests[guest];
	const struct cl_guard *limit =
		cl_limit_of(tick->params, &g->id, cl_snapshot_str(tick->now, g->name));

	if (!limit)
		return CL_UNKNOWN;
	return limit->of_cpu ? limit->share : limit->share * cpus;
}

static enum part part_of(enum cl_work_kind kind)
{
	switch (kind) {
	case CL_WORK_NETBACK_DEALLOC:
	case CL_WORK_NAPI:
		return SEND;
	case CL_WORK_NETBACK_RX:
		return RECEIVE;
	case CL_WORK_IOTHREAD:
	case CL_WORK_WORKER:
	case CL_WORK_BLKBACK:
	case CL_WORK_DISK_PROCESS:
		return DISK;
	case CL_WORK_VHOST:
	case CL_WORK_INTERRUPT: /* these are divided */
	case CL_WORK_SHARED:
	case CL_WORK_COUNTED:
	case CL_WORK_MAIN_LOOP:
	case CL_WORK_MIGRATION:
	case CL_WORK_DEVICE_MODEL:
	case CL_WORK_HELPER:
	case CL_WORK_THREAD:
	case CL_WORK_TOOLSTACK:
	case CL_WORK_WAITER:
	case CL_WORK_WAKEUP:
	case CL_WORK_KIND_COUNT:
		break;
	}
	return REST;
}

static void divide(uint64_t ns, uint64_t a, uint64_t b, uint64_t *to_a, uint64_t *to_b)
{
	uint64_t sum = b <= UINT64_MAX - a ? a + b : UINT64_MAX;
	uint64_t part = sum > 0 ? mul_div(ns, a, sum, NULL) : ns;

	*to_a += part;
	*to_b += ns - part;
}

static void divide_counted(struct watch *w, const struct asked *asked, uint64_t ns)
{
	const struct cl_params *p = w->tick->params;
	uint64_t send = weighed(asked->sent, p->weigh_send);
	uint64_t receive = weighed(asked->received, p->weigh_receive), net = 0;

	divide(ns, send / 2 + receive / 2, weighed(asked->requests, p->weigh_request) / 2, &net,
	       &w->part_ns[DISK]);
	divide(net, send, receive, &w->part_ns[SEND], &w->part_ns[RECEIVE]);
}

/* What ran for it, by what it asked for; the kinds in which two things are divided by how often
 * each was asked for. */
static void measure(struct watch *w)
{
	const struct cl_guest_books *books = &w->tick->plan->guest_books[w->guest];
	struct asked asked;

	ask_devices(w->tick, w->guest, &asked);
	for (uint32_t k = 0; k < CL_WORK_KIND_COUNT; k++) {
		enum cl_work_kind kind = (enum cl_work_kind)k;
		uint64_t ns = books->kind_ns[k];

		if (cl_work_kind_origin(kind) == CL_ORIGIN_MANAGEMENT)
			continue;
		w->sum_ns += ns;
		if (kind == CL_WORK_WAKEUP) /* goes with what caused it */
			continue;
		w->parts_ns += ns;
		if (kind == CL_WORK_COUNTED) {
			divide_counted(w, &asked, ns);
			w->contained_ns += ns;
			continue;
		}
		if (kind == CL_WORK_INTERRUPT || kind == CL_WORK_SHARED) {
			divide(ns, asked.sent, asked.requests, &w->part_ns[SEND],
			       &w->part_ns[DISK]);
			continue;
		}
		w->contained_ns += ns;
		if (kind == CL_WORK_VHOST)
			divide(ns, asked.sent, asked.received, &w->part_ns[SEND],
			       &w->part_ns[RECEIVE]);
		else
			w->part_ns[part_of(kind)] += ns;
	}
	w->used = mul_div(w->sum_ns, CL_PPM, w->tick->plan->books.span_ns, NULL);
}

static uint32_t count_over(const struct cl_state_guard *state)
{
	return (uint32_t)__builtin_popcountll(state->window);
}

static void remember(struct watch *w)
{
	uint64_t n = w->tick->params->guard_window;
	uint64_t mask = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;

	w->state->window = (w->state->window << 1 | (w->used > w->limit)) & mask;
}

static struct cl_why why(const struct watch *w, enum cl_reason code)
{
	return (struct cl_why){ .code = code,
				.number = { w->used, w->limit, count_over(w->state) } };
}

/* ---- steering ---- */

static uint64_t at_least(uint64_t value, uint64_t least)
{
	/* A plan's numbers are signed. */
	return value < least ? least : value < INT64_MAX ? value : INT64_MAX;
}

static bool asks_all(const struct throttle *throttle)
{
	return throttle->asked >= mul_div(throttle->state->set, ASKS_ALL, 100, NULL);
}

/* What it should be set to: what it is set to, if there is no need. */
static uint64_t steer(const struct watch *w, const struct throttle *throttle)
{
	uint64_t slack = w->tick->params->hysteresis, set = throttle->state->set, to = set;
	uint64_t goal = w->limit - mul_div(w->limit, slack / 2, CL_PPM, NULL);
	uint64_t base = set != 0 && set < throttle->asked ? set : throttle->asked;

	if (w->used > w->limit || set == 0) {
		to = w->used > goal ? mul_div(base, goal, w->used, NULL) : base;
		if (set != 0 && to > set)
			to = set;
	} else if (w->used < goal - mul_div(goal, slack, CL_PPM, NULL) && asks_all(throttle)) {
		to = w->used ? mul_div(set, goal, w->used, NULL) : UINT64_MAX;
		if (to - set > set / 4)
			to = set + set / 4;
	}
	to = at_least(to, throttle_floor(throttle->kind));
	if (set != 0 && (to > set ? to - set : set - to) <= mul_div(set, slack, CL_PPM, NULL) &&
	    w->used <= w->limit)
		return set;
	return to;
}

/* Has a whole interval gone by since? Less says nothing of what it does. */
static bool is_settled(const struct watch *w, const struct throttle *throttle)
{
	return throttle->state->set == 0 || w->tick->prev->taken_ns >= throttle->state->set_ns;
}

/* Bit i: throttle_kinds[i]. Of each part that counts the first throttle, and the second where it
 * must be.
 */
static uint32_t wanted_kinds(struct watch *w, enum cl_action_kind *ret_missing)
{
	uint32_t wanted = 0, there = 0;

	*ret_missing = CL_ACTION_KIND_COUNT;
	for (uint32_t i = 0; i < THROTTLE_KINDS; i++) {
		struct throttles throttles = { .n = 0 };

		throttles_of(w->tick, w->guest, throttle_kinds[i], w->contained_ns, &throttles);
		there |= (uint32_t)(throttles.n > 0) << i;
	}
	for (uint32_t p = 0; p < PARTS; p++) {
		bool found = false;

		if (w->part_ns[p] < w->parts_ns / PART_LEAST || w->part_ns[p] == 0)
			continue;
		for (uint32_t k = 0; k < 2 && (!found || w->state->stage); k++)
			for (uint32_t i = 0; i < THROTTLE_KINDS; i++) {
				if (throttle_kinds[i] != throttles_by_part[p][k] ||
				    !(there >> i & 1))
					continue;
				wanted |= UINT32_C(1) << i;
				found = true;
			}
		if (!found)
			*ret_missing = throttles_by_part[p][0];
	}
	return wanted;
}

/* Sets or steers all of a kind. True: one of them holds it, or is to. */
static bool hold_kind(struct watch *w, enum cl_action_kind kind, bool wanted,
		      const struct cl_why *because)
{
	struct throttles throttles = { .n = 0 };
	bool holds = false;

	throttles_of(w->tick, w->guest, kind, w->contained_ns, &throttles);
	for (uint32_t i = 0; i < throttles.n; i++) {
		const struct throttle *throttle = &throttles.of[i];
		uint64_t to;

		if (throttle->state->set == 0 && (!wanted || w->used <= w->limit))
			continue;
		holds = holds || throttle->state->set == 0 || asks_all(throttle);
		if (!is_settled(w, throttle) ||
		    (throttle->state->set != 0 && !wanted && !asks_all(throttle)))
			continue;
		to = steer(w, throttle);
		if (to != throttle->state->set)
			throttle_set(w->tick, w->guest, throttle, to, because);
	}
	return holds;
}

static void let_go(struct watch *w, enum cl_reason code)
{
	struct cl_why because = why(w, code);

	for (uint32_t i = 0; i < THROTTLE_KINDS; i++) {
		struct throttles throttles = { .n = 0 };

		throttles_of(w->tick, w->guest, throttle_kinds[i], 0, &throttles);
		for (uint32_t k = 0; k < throttles.n; k++)
			if (throttles.of[k].state->set != 0)
				throttle_set(w->tick, w->guest, &throttles.of[k], 0, &because);
	}
	w->state->held_ns = w->state->below_ns = w->state->above_ns = w->state->window = 0;
	w->state->stage = 0;
}

static bool is_held_by_any(const struct cl_state_guard *state)
{
	for (uint32_t i = 0; i < CL_THROTTLES_MAX; i++)
		if (state->throttles[i].set != 0)
			return true;
	return false;
}

static void hold(struct watch *w)
{
	const struct tick *tick = w->tick;
	uint64_t now_ns = tick->now->taken_ns, slack = tick->params->hysteresis;
	bool first = !is_held_by_any(w->state), holds = false;
	struct cl_why because = why(w, first ? CL_REASON_OVER_LIMIT : CL_REASON_HELD_BACK);
	enum cl_action_kind missing;
	uint32_t wanted = wanted_kinds(w, &missing);

	for (uint32_t i = 0; i < THROTTLE_KINDS; i++)
		holds = hold_kind(w, throttle_kinds[i], wanted >> i & 1, &because) || holds;
	if (missing != CL_ACTION_KIND_COUNT && w->used > w->limit)
		throttle_cannot(w->tick, w->guest, missing, &because);
	if (w->used <= w->limit + mul_div(w->limit, slack, CL_PPM, NULL))
		w->state->above_ns = 0;
	else if (w->state->above_ns == 0)
		w->state->above_ns = now_ns;
	else if (now_ns - w->state->above_ns >= tick->params->guard_release)
		w->state->stage = 1;
	if (holds || w->used > w->limit)
		w->state->below_ns = 0;
	else if (w->state->below_ns == 0)
		w->state->below_ns = now_ns;
	else if (now_ns - w->state->below_ns >= tick->params->guard_release)
		let_go(w, CL_REASON_LET_GO);
}

/* Devices of a domain or process that is there no more are there no more. Containers stay. */
static void check_life(struct watch *w)
{
	const struct cl_guest *g = &w->tick->now->guests[w->guest];
	uint64_t life = g->domid != CL_NONE ? g->domid : g->process.start;

	for (uint32_t i = 0; i < CL_THROTTLES_MAX && life != w->state->life; i++) {
		struct cl_state_throttle *l = &w->state->throttles[i];

		if (w->state->life != 0 &&
		    (l->kind == CL_ACTION_NIC_RATE || l->kind == CL_ACTION_PACKET_RATE))
			memset(l, 0, sizeof(*l));
	}
	w->state->life = life;
	throttles_tidy(w->state);
}

static void watch(struct watch *w)
{
	struct cl_guest_books *books = &w->tick->plan->guest_books[w->guest];

	check_life(w);
	books->limit = w->limit;
	if (!books->counted)
		return;
	if (w->limit == CL_UNKNOWN) {
		if (w->state->held_ns != 0 || is_held_by_any(w->state))
			let_go(w, CL_REASON_NO_LIMIT);
		return;
	}
	measure(w);
	books->used = w->used;
	remember(w);
	if (w->state->held_ns == 0 && count_over(w->state) >= w->tick->params->guard_over) {
		w->state->held_ns = w->tick->now->taken_ns;
		w->state->took = w->used;
	}
	if (w->state->held_ns != 0)
		hold(w);
	if (w->state->held_ns != 0)
		books->guard = why(w, CL_REASON_HELD_BACK);
	else
		books->guard =
			why(w, w->used > w->limit ? CL_REASON_WATCHED : CL_REASON_WITHIN_LIMIT);
}

void guard(struct tick *tick)
{
	uint64_t cpus = capacity(tick->now);

	for (uint32_t g = 0; g < tick->now->n.guests; g++) {
		struct watch w = { .tick = tick,
				   .guest = g,
				   .state = &tick->state->guests[g].guard,
				   .limit = limit_of(tick, g, cpus) };

		watch(&w);
	}
}
