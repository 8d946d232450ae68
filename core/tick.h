/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tick: what the parts of one decision share. account -> carry (state) -> pins -> charge -> size ->
 * target -> place -> guard, in that order.
 */
#ifndef CLOSER_CORE_TICK_H
#define CLOSER_CORE_TICK_H

#include <closer/state.h>

struct tick {
	const struct cl_snapshot *prev; /* or NULL */
	const struct cl_snapshot *now;
	const struct cl_params *params;
	struct cl_state *state;
	struct cl_plan *plan;
	uint32_t moves;    /* of params->moves, spent so far */
	uint32_t pins;     /* vCPUs of the privileged domain that this plan moves */
	bool root_planned; /* the plan creates /closer */
};

/* What placing one guest's work needs to know of the guest; made once a guest. */
struct guest_view {
	struct cl_guest_ix ix;
	const struct cl_guest *guest;
	struct cl_cpuset home; /* secondary CPUs of its home; all of them if its home has none */
	struct cl_cpuset cpus; /* of these, where its vCPUs that ran were last seen */
	struct cl_vcpu_ix busiest; /* CL_NONE: none has run */
	bool spans;                /* more than one node with secondary CPUs */
};

/* Where one work belongs. */
struct target {
	struct cl_cpuset set;
	enum cl_follow follow;
	uint32_t cpu; /* under CL_FOLLOW_CPU, else CL_NONE */
	struct cl_why why;
};

/* account.c: fills plan->books, work_books, guest_books. Needs plan->main_cpus. */
void account(struct tick *tick);
/* weigh.c: what guests asked for, counted, and its cost. Of account; before the sums over guests.
 */
void weigh_asked(struct tick *tick);
uint64_t weighed(uint64_t count, uint64_t cost_ns); /* at most UINT64_MAX */
/* part of whole in ppm, at most 10^6; 0 of 0 is 0. */
uint64_t share_ppm(uint64_t part, uint64_t whole);

/* carry.c: state entries of who is in `now`, in now's order, residency and load brought up to date.
 */
void carry(struct tick *tick);

/* pins.c: domains' vCPUs on physical CPUs. */
void pins(struct tick *tick);
/* The physical CPUs that a guest's domain runs on at all; NULL: not known. */
const struct cl_cpuset *pool_of(const struct cl_snapshot *now, const struct cl_guest *guest);

/* charge.c: what the host spent for guests, taken out of what they paid for. After carry. */
void charge(struct tick *tick);
/* share.c: entitled_ns of those whose lever is their weight. Needs charged_ns; uses two of the
 * state's scratch arrays. */
void entitle_by_weight(struct tick *tick);

/* io_rates.c: bytes a second over all devices, of each guest of `now`; 0 without prev, and for
 * what could not be read. */
void io_rates(const struct tick *tick, uint64_t *ret_rates);

/* The same over network devices alone; *ret_nics: how many each has. */
void net_rates(const struct tick *tick, uint64_t *ret_rates, uint64_t *ret_nics);

/* overcommit.c: how much is taken from guests for others, and lent to them; free: memory that
 * nobody has been promised. Uses the last two of the state's scratch arrays. */
void overcommit(struct tick *tick, uint64_t free);

/* Why a guest's target changes, where that is because of others; else left as it is. */
void overcommit_why(const struct tick *tick, uint32_t guest, const struct cl_state_memory *state,
		    bool up, struct cl_why *why);

/* size.c: memory between guests and the privileged side. After charge. */
void size(struct tick *tick);

/* target.c */
void view_guest(const struct tick *tick, struct cl_guest_ix guest, struct guest_view *ret_view);
void target_work(const struct tick *tick, const struct guest_view *whole,
		 const struct cl_work *work, struct cl_state_work *state,
		 struct target *ret_target);
void target_irq(const struct tick *tick, const struct guest_view *whole, uint32_t queue_vcpu,
		struct target *ret_target);
/* The CPU of `among` nearest to cpu: itself, an SMT sibling, its node, then by distance; CL_NONE if
 * among is empty. */
uint32_t nearest_cpu(const struct cl_snapshot *snap, uint32_t cpu, const struct cl_cpuset *among,
		     uint32_t *ret_distance);
void node_cpus(const struct cl_snapshot *snap, uint64_t nodes, struct cl_cpuset *ret_set);

/* groups.c: containers by meaning */
struct cl_group_ref group_for(const struct tick *tick, const struct guest_view *view,
			      const struct cl_cpuset *target);
bool group_is(const struct cl_snapshot *snap, struct cl_group_ix group,
	      const struct cl_group_ref *ref);
/* Containers that work is to be placed into, and that are not there: each once. */
void group_need(struct tick *tick, const struct guest_view *view, const struct cl_group_ref *ref);
/* Containers whose CPUs are others than they should be, and those whose guest is gone. */
void groups_keep(struct tick *tick);

/* fence.c: all others are kept off the secondary CPUs */
void fence(struct tick *tick);
/* Of the snapshot, or CL_NONE. */
struct cl_group_ix group_root(const struct cl_snapshot *snap);

bool group_there(const struct cl_snapshot *snap, const struct cl_group_ref *ref);

/* throttles.c: what holds a guest back, one kind of it at a time. */
struct throttle { /* one of a guest's, as it is and as it is used */
	enum cl_action_kind kind;
	struct cl_state_throttle *state;
	struct cl_nic_ix nic;
	uint64_t asked; /* units each period, in this interval */
};
struct asked { /* by a guest, of its devices, in this interval */
	uint64_t sent, received, requests, bytes;
};
void ask_devices(const struct tick *tick, uint32_t guest, struct asked *ret_asked);
struct throttles {
	struct throttle of[CL_THROTTLES_MAX];
	uint32_t n;
};
/* Those of a kind that may be set; contained_ns: what its container ran. */
void throttles_of(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
		  uint64_t contained_ns, struct throttles *ret_levers);
void throttles_tidy(struct cl_state_guard *guard); /* frees the slots of what is not set */
uint64_t throttle_floor(enum cl_action_kind kind);
/* to 0: absent. */
void throttle_set(struct tick *tick, uint32_t guest, const struct throttle *throttle, uint64_t to,
		  const struct cl_why *why);
/* Says in the plan that there is none of this kind here. */
void throttle_cannot(struct tick *tick, uint32_t guest, enum cl_action_kind kind,
		     const struct cl_why *why);

/* guard.c: guests are held to their limits. */
void guard(struct tick *tick);

/* place.c: verdicts and actions */
void place(struct tick *tick);

#endif
