/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "levels.h"

#include "ledger.h"

#define PAGE UINT64_C(4096)

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

struct steps steps_of(const struct tick *tick, const struct cl_guest *guest, uint64_t contract)
{
	const struct cl_params *p = tick->params;
	uint64_t nodes = (uint64_t)__builtin_popcountll(guest->home);
	uint64_t eps = sum(p->size_eps, mul_div(contract, p->size_eps_share, CL_PPM, NULL));

	if (nodes == 0) /* it may be on any */
		nodes = tick->now->n.nodes > 0 ? tick->now->n.nodes : 1;
	if (!p->size)
		eps = 0;
	return (struct steps){ .first = mul_div(pages(eps), nodes, 1, NULL),
			       .increment = pages(p->size_increment),
			       .most = mul_div(contract, CL_PPM - p->size_floor, CL_PPM, NULL) };
}

uint64_t whole(const struct steps *s, uint64_t bytes)
{
	return bytes < s->first ? 0 : bytes - (bytes - s->first) % s->increment;
}

uint64_t contribution(const struct steps *s, uint64_t level)
{
	return sum(s->first, mul_div(level, s->increment, 1, NULL));
}

void follow_level(const struct tick *tick, struct cl_state_memory *m, uint64_t io, bool rises)
{
	const struct cl_params *p = tick->params;
	uint64_t now_ns = tick->now->taken_ns;

	io = least(io, INT64_MAX); /* so that sums fit */
	uint64_t below = mul_div(p->size_level, p->size_hysteresis, CL_PPM, NULL);
	uint64_t passed = p->size ? least(io / p->size_level, p->size_levels) : 0;
	/* What it is at, seen from above. */
	uint64_t keeps = p->size ? least((io + below) / p->size_level, p->size_levels) : 0;

	if (m->level > p->size_levels) /* it was set to fewer */
		m->level = p->size_levels;
	if (keeps >= m->level) {
		m->below_ns = 0;
		if (passed > m->level && rises)
			m->level = passed;
		return;
	}
	if (m->below_ns == 0) {
		m->below_ns = now_ns;
		m->below_level = keeps;
	}
	if (keeps > m->below_level)
		m->below_level = keeps;
	if (now_ns - m->below_ns < p->size_hold)
		return;
	m->level = m->below_level;
	m->below_ns = 0;
}
