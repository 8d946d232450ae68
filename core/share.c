/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share: what weights entitle guests to, in an interval that is over.
 *
 * A weight is a share of what others want, too. Guests compete that may run on the same physical
 * CPUs, directly or by way of others (their hard affinities meet). Of those:
 *
 *   hungry      used half of what its weight gives it among those that are, or more. The others
 *               were content with less, and leave it to them. Half, since schedulers give by weight
 *               only roughly (credit2: who often sleeps gets a third too much, and the other that
 *               much less); so who is content with more than half counts as a rival, too
 *   contended   the CPUs that they compete for were 7/8 busy, with the privileged domain's work
 *
 * Guest and host together are to have the weight's share, so the sum T of the hungry guests' own
 * time and of what they were charged is divided by the operator's weights: E_i = T * W_i / sum(W).
 * Who is content could have had as much for its weight. Where nothing was contended, each had what
 * it asked for: E_i = g_i + what it was charged.
 */
#include "ledger.h"
#include "tick.h"

#include <string.h>

#define BUSY_PART  7u /* of 8 */
#define SHARE_PART 2u
#define ROUNDS     16u
#define NOBODY     UINT64_MAX

struct contest { /* by the first physical CPU of those that are competed for */
	uint16_t parent[CL_CPUS_MAX];
	uint32_t cpus[CL_CPUS_MAX];
	uint64_t busy_ns[CL_CPUS_MAX];
	uint64_t used_ns[CL_CPUS_MAX], weight[CL_CPUS_MAX]; /* of the hungry */
};

static uint32_t root(struct contest *c, uint32_t cpu)
{
	while (c->parent[cpu] != cpu) {
		c->parent[cpu] = c->parent[c->parent[cpu]];
		cpu = c->parent[cpu];
	}
	return cpu;
}

static void join(struct contest *c, uint32_t a, uint32_t b)
{
	a = root(c, a);
	b = root(c, b);
	if (a < b)
		c->parent[b] = (uint16_t)a;
	else
		c->parent[a] = (uint16_t)b;
}

/* One of the CPUs that a guest may run on, all of which are joined; NOBODY: none is known. */
static uint64_t join_guest(const struct tick *tick, struct contest *c, const struct cl_guest *guest)
{
	const struct cl_snapshot *now = tick->now;
	const struct cl_cpuset *pool = pool_of(now, guest);
	uint32_t last = CL_NONE;
	uint64_t at = NOBODY;

	for (uint32_t i = 0; pool && i < guest->vcpu_count; i++) {
		struct cl_mask_ix mask = now->vcpus[guest->vcpu_first + i].pcpus;
		struct cl_cpuset may = *pool;

		if (mask.v != CL_NONE && mask.v == last)
			continue;
		last = mask.v;
		if (mask.v != CL_NONE)
			cl_cpuset_and(&may, cl_snapshot_set(now, mask));
		for (uint32_t p = cl_cpuset_next(&may, 0); p != CL_NONE;
		     p = cl_cpuset_next(&may, p + 1)) {
			if (at == NOBODY)
				at = p;
			join(c, (uint32_t)at, p);
		}
	}
	return at;
}

/* What the privileged domain's vCPUs ran, where each is. */
static void add_privileged(const struct tick *tick, struct contest *c)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;

	for (uint32_t i = 0; i < now->n.cpus && i < prev->n.cpus; i++) {
		const struct cl_cpu *a = &prev->cpus[i], *b = &now->cpus[i];

		if (b->pcpu < CL_CPUS_MAX && a->busy_ns != CL_UNKNOWN && b->busy_ns != CL_UNKNOWN &&
		    b->busy_ns > a->busy_ns)
			c->busy_ns[root(c, b->pcpu)] += b->busy_ns - a->busy_ns;
	}
}

static bool by_weight(const struct tick *tick, uint32_t guest)
{
	return tick->plan->guest_books[guest].charge.lever == CL_LEVER_WEIGHT &&
	       tick->now->guests[guest].weight != CL_UNKNOWN &&
	       tick->plan->guest_books[guest].counted;
}

/* Leaves in at[] only the hungry; true: somebody was taken out. weight: as it was in force. */
static bool drop_content(const struct tick *tick, struct contest *c, const uint64_t *at,
			 uint64_t *hungry)
{
	const struct cl_snapshot *now = tick->now;
	bool dropped = false;

	memset(c->used_ns, 0, sizeof(c->used_ns));
	memset(c->weight, 0, sizeof(c->weight));
	for (uint32_t i = 0; i < now->n.guests; i++) {
		if (!hungry[i])
			continue;
		c->used_ns[at[i]] += tick->plan->guest_books[i].guest_ns;
		c->weight[at[i]] += now->guests[i].weight;
	}
	for (uint32_t i = 0; i < now->n.guests; i++) {
		if (!hungry[i] || c->weight[at[i]] == 0)
			continue;
		uint64_t share =
			mul_div(c->used_ns[at[i]], now->guests[i].weight, c->weight[at[i]], NULL);

		if (tick->plan->guest_books[i].guest_ns >= share / SHARE_PART)
			continue;
		hungry[i] = 0;
		dropped = true;
	}
	return dropped;
}

static void divide(struct tick *tick, struct contest *c, const uint64_t *at, const uint64_t *hungry)
{
	const struct cl_snapshot *now = tick->now;
	uint64_t span = tick->plan->books.span_ns;

	memset(c->used_ns, 0, sizeof(c->used_ns));
	memset(c->weight, 0, sizeof(c->weight));
	for (uint32_t i = 0; i < now->n.guests; i++) {
		const struct cl_guest_books *books = &tick->plan->guest_books[i];

		if (!hungry[i])
			continue;
		c->used_ns[at[i]] += books->guest_ns + books->charge.charged_ns;
		c->weight[at[i]] += books->charge.contract;
	}
	for (uint32_t i = 0; i < now->n.guests; i++) {
		struct cl_guest_books *books = &tick->plan->guest_books[i];
		uint64_t root_at = at[i];

		if (!by_weight(tick, i))
			continue;
		books->charge.entitled_ns = books->guest_ns + books->charge.charged_ns;
		if (root_at == NOBODY || c->weight[root_at] == 0 ||
		    c->busy_ns[root_at] < c->cpus[root_at] * span / 8 * BUSY_PART)
			continue;
		books->charge.entitled_ns = mul_div(c->used_ns[root_at], books->charge.contract,
						    c->weight[root_at], NULL);
	}
}

void entitle_by_weight(struct tick *tick)
{
	const struct cl_snapshot *now = tick->now;
	uint64_t *at = tick->state->scratch, *hungry = at + tick->state->cap.guests;
	struct contest c;

	memset(&c, 0, sizeof(c));
	for (uint32_t p = 0; p < CL_CPUS_MAX; p++)
		c.parent[p] = (uint16_t)p;
	for (uint32_t i = 0; i < now->n.guests; i++)
		at[i] = join_guest(tick, &c, &now->guests[i]);
	for (uint32_t p = 0; p < CL_CPUS_MAX; p++)
		c.cpus[root(&c, p)]++;
	add_privileged(tick, &c);
	for (uint32_t i = 0; i < now->n.guests; i++) {
		hungry[i] = at[i] != NOBODY && by_weight(tick, i) &&
			    tick->plan->guest_books[i].guest_ns > 0;
		if (at[i] == NOBODY)
			continue;
		at[i] = root(&c, (uint32_t)at[i]);
		c.busy_ns[at[i]] += tick->plan->guest_books[i].guest_ns;
	}
	for (uint32_t round = 0; round < ROUNDS && drop_content(tick, &c, at, hungry); round++)
		;
	divide(tick, &c, at, hungry);
}
