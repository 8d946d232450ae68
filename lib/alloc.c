/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The big values of core, each in one allocation: the header and its arrays side by side. */
#include "lib.h"

#include <string.h>

static void *new_aligned(size_t header, size_t body, void **ret_body)
{
	size_t offset = (header + 63) & ~(size_t)63;
	size_t total = (offset + body + 63) & ~(size_t)63;
	void *p = aligned_alloc(64, total);

	if (p) {
		memset(p, 0, header);
		*ret_body = (char *)p + offset;
	}
	return p;
}

struct cl_snapshot *cl_snapshot_new(const struct cl_limits *cap)
{
	void *body;
	struct cl_snapshot *snap = new_aligned(sizeof(*snap), cl_snapshot_bytes(cap), &body);

	if (snap)
		cl_snapshot_init(snap, cap, body);
	return snap;
}

struct cl_plan *cl_plan_new(const struct cl_limits *cap)
{
	void *body;
	struct cl_plan *plan = new_aligned(sizeof(*plan), cl_plan_bytes(cap), &body);

	if (plan)
		cl_plan_init(plan, cap, body);
	return plan;
}

struct cl_state *cl_state_new(const struct cl_limits *cap)
{
	void *body;
	struct cl_state *state = new_aligned(sizeof(*state), cl_state_bytes(cap), &body);

	if (state)
		cl_state_init(state, cap, body);
	return state;
}

void cl_snapshot_free(struct cl_snapshot *snap)
{
	free(snap);
}
void cl_plan_free(struct cl_plan *plan)
{
	free(plan);
}
void cl_state_free(struct cl_state *state)
{
	free(state);
}
