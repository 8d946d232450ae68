/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticks: what core needs to decide again and again, small; for tests that have a host of their own.
 */
#ifndef CLOSER_TESTS_TICKS_H
#define CLOSER_TESTS_TICKS_H

#include "lib.h"
#include "unit.h"

/* The caller's, until ticks_free. */
static inline void ticks_new(struct cl_state **state, struct cl_snapshot **prev,
			     struct cl_snapshot **now, struct cl_plan **plan)
{
	*state = cl_state_new(&cl_limits_small);
	*prev = cl_snapshot_new(&cl_limits_small);
	*now = cl_snapshot_new(&cl_limits_small);
	*plan = cl_plan_new(&cl_limits_small);
	assert_true(*state && *prev && *now && *plan);
}

static inline void ticks_free(struct cl_state *state, struct cl_snapshot *prev,
			      struct cl_snapshot *now, struct cl_plan *plan)
{
	cl_state_free(state);
	cl_snapshot_free(prev);
	cl_snapshot_free(now);
	cl_plan_free(plan);
}

#endif
