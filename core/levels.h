/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * levels: of Algorithm 1, how much a guest contributes at which level of its I/O, and which level
 * it is at.
 *
 *   steps_of(guest) -> follow_level(I/O) -> contribution(level)
 */
#ifndef CLOSER_CORE_LEVELS_H
#define CLOSER_CORE_LEVELS_H

#include "tick.h"

struct steps {                     /* bytes */
	uint64_t first, increment; /* n * eps; of each level */
	uint64_t most;             /* that leaves the guest its floor */
};

struct steps steps_of(const struct tick *tick, const struct cl_guest *guest, uint64_t contract);
uint64_t contribution(const struct steps *s, uint64_t level);
/* Of so many bytes the whole steps. */
uint64_t whole(const struct steps *s, uint64_t bytes);

/*
 * Sets m->level. Up, where `rises` (its last claim has been met): as many levels as its I/O has
 * passed, at once. Down after size_hold, to the highest that it was at meanwhile.
 */
void follow_level(const struct tick *tick, struct cl_state_memory *m, uint64_t io, bool rises);

#endif
