/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_order: how state entries are ordered and found; shared by state.c and decide.c. */
#ifndef CLOSER_CORE_STATE_ORDER_H
#define CLOSER_CORE_STATE_ORDER_H

#include <closer/state.h>

/* All zero: a thread whose guest is not known (a journal says only that we own it). Sorted last. */
bool uuid_is_nobody(const struct cl_uuid *uuid);
int state_work_compare(const struct cl_uuid *guest_a, struct cl_tid a,
		       const struct cl_uuid *guest_b, struct cl_tid b);
struct cl_state_work *state_find_work(struct cl_state *state, const struct cl_uuid *guest,
				      struct cl_tid thread);
/* NULL: it has none. add: one without debt or contract; there is room. */
struct cl_state_ledger *state_find_ledger(struct cl_state *state, const struct cl_uuid *guest);
struct cl_state_ledger *state_add_ledger(struct cl_state *state, const struct cl_uuid *guest);
/* Refused: later. Gone: nothing to try again. */
void back_off(struct cl_backoff *backoff, const struct cl_params *params, int code,
	      uint64_t now_ns);
/* Its entry, which is made if there is none; NULL: full. */
struct cl_state_guest *state_add_guest(struct cl_state *state, const struct cl_uuid *id);
/* throttles.c */
void throttle_outcome(struct cl_state *state, const struct cl_params *params,
		      const struct cl_action *action, int code, uint64_t now_ns);
/* state_memory.c. guest NULL: of the privileged domain. */
void state_memory_init(struct cl_state_memory *ret, const struct cl_uuid *guest);
struct cl_state_memory *state_find_memory(struct cl_state *state, const struct cl_uuid *guest);
struct cl_state_memory *state_add_memory(struct cl_state *state, const struct cl_uuid *guest);
void state_drop_memory(struct cl_state *state, uint32_t i);
void state_memory_outcome(struct cl_state *state, const struct cl_params *params,
			  const struct cl_action *action, int code, uint64_t now_ns);
struct cl_state_irq *state_find_irq(struct cl_state *state, uint32_t number);

#endif
