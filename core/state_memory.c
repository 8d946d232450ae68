/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the state has of domains whose memory is moved: found, added, owned, and told of outcomes.
 */
#include "state_order.h"

#include <assert.h>
#include <string.h>

void state_memory_init(struct cl_state_memory *ret, const struct cl_uuid *guest)
{
	memset(ret, 0, sizeof(*ret));
	if (guest)
		ret->id = *guest;
	ret->domid = guest ? CL_NONE : 0;
	ret->contract = ret->set = ret->full = ret->mem = ret->active = CL_UNKNOWN;
}

/* The first entry that is not before the key. */
static uint32_t lower_bound(const struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t low = 0, high = state->memory_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (cl_uuid_compare(&state->memories[mid].id, guest) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct cl_state_memory *state_find_memory(struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t i = lower_bound(state, guest);

	return i < state->memory_count && cl_uuid_compare(&state->memories[i].id, guest) == 0
		       ? &state->memories[i]
		       : NULL;
}

struct cl_state_memory *state_add_memory(struct cl_state *state, const struct cl_uuid *guest)
{
	uint32_t i = lower_bound(state, guest);
	struct cl_state_memory *m = &state->memories[i];

	assert(state->memory_count < state->cap.guests);
	memmove(m + 1, m, (state->memory_count - i) * sizeof(*m));
	state->memory_count++;
	state_memory_init(m, guest);
	return m;
}

void state_drop_memory(struct cl_state *state, uint32_t i)
{
	assert(i < state->memory_count);
	state->memory_count--;
	memmove(&state->memories[i], &state->memories[i + 1],
		(state->memory_count - i) * sizeof(state->memories[0]));
}

bool cl_state_own_memory(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
			 uint64_t contract, uint64_t set)
{
	struct cl_state_memory *m = &state->privileged;

	if (!uuid_is_nobody(guest)) {
		m = state_find_memory(state, guest);
		if (!m && state->memory_count == state->cap.guests)
			return false;
		if (!m)
			m = state_add_memory(state, guest);
	} else if (domid != 0) {
		return false;
	}
	m->domid = domid;
	m->contract = contract;
	m->set = set;
	return true;
}

void state_memory_outcome(struct cl_state *state, const struct cl_params *params,
			  const struct cl_action *action, int code, uint64_t now_ns)
{
	struct cl_guest_ix guest = action->object.guest;
	struct cl_state_memory *m = &state->privileged;

	if (guest.v != CL_NONE)
		m = guest.v < state->n.guests ? state_find_memory(state, &state->guests[guest.v].id)
					      : NULL;
	if (!m)
		return;
	back_off(&m->setting, params, code, now_ns);
	if (code == 0) {
		m->set = (uint64_t)action->to.number;
		m->lent_set = m->lent;
		m->moved_ns = now_ns;
	}
}
