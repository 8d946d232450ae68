/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: what core remembers from tick to tick. One bounded value, owned by the engine, part of a
 * recording.
 *
 *   cl_decide(prev, now, params, STATE, plan): passed in, passed out; nothing else is changed.
 *
 * Keyed by identity (uuid; tid with start time) and dropped with it. Entries lie in the order of
 * the snapshot that they were last matched with, so that a tick is one merge and nothing is
 * iterated by hash. Plain data without pointers inside entries: two states made by the same inputs
 * are equal by memcmp of their entries.
 */
#ifndef CLOSER_STATE_H
#define CLOSER_STATE_H

#include <closer/params.h>
#include <closer/plan.h>

/* After refusals: not before retry_ns; the wait doubles with each one in a row. */
struct cl_backoff {
	uint64_t retry_ns;
	uint64_t refused;
};

/* Something that holds a guest back, and that closer has set. */
struct cl_state_throttle {
	uint32_t kind;    /* enum cl_action_kind; 0: a free slot (GROUP_CREATE is none) */
	uint32_t foreign; /* 1: somebody else has set it */
	uint64_t key; /* which of that kind: a nic's by cl_throttle_key(), a disk's device, or 0 */
	uint64_t set; /* units each period of its kind; 0: nothing */
	uint64_t set_ns;
	struct cl_backoff backoff;
};
#define CL_THROTTLES_MAX 6u /* of one guest: further devices are not held by themselves */

struct cl_state_guard {
	uint64_t life;     /* domid, or start of its process: devices are others with another */
	uint64_t window;   /* the last intervals, newest lowest: 1 is over its limit */
	uint64_t held_ns;  /* since when it is held back, 0: it is not */
	uint64_t took;     /* ppm of a CPU, what it used when that began */
	uint64_t below_ns; /* since when it asks for less, 0: it does not */
	uint64_t above_ns; /* since when it is over in spite of what holds it, 0: it is not */
	uint32_t stage;    /* 1: the next throttles, too, since the first did not do */
	uint32_t pad;
	struct cl_state_throttle throttles[CL_THROTTLES_MAX];
};

struct cl_state_guest {
	struct cl_uuid id;
	struct cl_backoff groups; /* of its containers */
	struct cl_backoff nics;   /* of threading its network devices' NAPI */
	uint64_t seen_ns;         /* first seen */
	/* Hashes of the masks that closer last gave to threads of it: a newborn with one inherited
	 * it. */
	uint64_t given[4];
	struct cl_state_guard guard;
};

struct cl_state_vcpu {
	struct cl_uuid guest;
	uint32_t index;
	uint32_t cpu;       /* where it was last tick, or CL_NONE */
	uint64_t residency; /* ppm: share of samples in which it was where it was last; starts at 0
			     */
	uint64_t load;      /* ppm of a CPU, smoothed */
	uint64_t retry_ns;  /* not before, after a refusal */
	uint32_t refused;
	uint32_t newborn; /* 1 until it was first looked at by place */
	/* Of the domain with this number: a guest that reboots or comes back has another, and its
	 * vCPUs have nothing of ours. */
	uint32_t domid;
	uint32_t foreign;    /* 1: its physical CPUs are somebody's by now */
	uint64_t pcpus_hash; /* those that closer last gave it, 0 = none */
};

/* A vCPU of the privileged domain; index = its number. */
struct cl_state_cpu {
	struct cl_backoff pin;
	uint64_t pins_hash; /* what closer last set, 0 = nothing */
	uint64_t foreign;   /* 1: somebody's */
};

struct cl_state_work {
	struct cl_uuid guest;
	struct cl_tid thread;
	uint64_t mask_hash; /* what closer last set, 0 = nothing: compare and set */
	uint64_t load;      /* ppm of a CPU, smoothed */
	uint64_t wait;      /* ppm of time runnable but not running, smoothed */
	uint64_t moved_ns;  /* when it was last placed, 0 = never */
	uint64_t retry_ns;
	uint32_t refused;    /* in a row */
	uint32_t follow;     /* enum cl_follow */
	uint32_t target_cpu; /* under FOLLOW_CPU, else CL_NONE */
	uint32_t adopted;    /* 1: whatever it has now may be changed, once */
	uint32_t foreign;    /* 1: reported as somebody's */
	uint32_t crowded;    /* levels that it was widened by because it waited: 0, 1, 2 */
	uint32_t newborn;    /* 1 until it was first looked at by place */
	uint32_t pad;
};

struct cl_state_irq {
	uint32_t number;
	uint32_t foreign;
	uint64_t mask_hash;
	uint64_t moved_ns;
	uint64_t retry_ns;
	uint32_t refused;
	uint32_t adopted;
};

/* A guest's debt, and the operator's setting of what it is taken out of. Outlives the guest for
 * params.charge_keep. */
struct cl_state_ledger {
	struct cl_uuid id;
	struct cl_ledger ledger;
	uint64_t seen_ns;                  /* when it was last there */
	uint64_t domid;                    /* of the domain that contract and set were seen on */
	uint64_t contract[CL_LEVER_COUNT]; /* the operator's; CL_UNKNOWN: there is none */
	uint64_t set[CL_LEVER_COUNT];      /* what closer last set, CL_UNKNOWN: nothing */
	struct cl_backoff levers;
};

/* How much of its work a guest got done (core/curve.h): by sixteenths of its memory, the last is
 * all of it. */
#define CL_CURVE_PARTS 17u
struct cl_curve {
	uint64_t count[CL_CURVE_PARTS], sum[CL_CURVE_PARTS], squares[CL_CURVE_PARTS];
};

/* A domain whose memory is moved. Outlives it for params.charge_keep, as in a reboot. Bytes. */
struct cl_state_memory {
	struct cl_uuid id;
	uint64_t seen_ns;
	uint64_t domid;    /* of the domain that what follows was seen on */
	uint64_t contract; /* the operator's target; CL_UNKNOWN: none was seen */
	uint64_t set;      /* what closer last set, CL_UNKNOWN: nothing */
	uint64_t full;     /* what it had when it was as the contract says; CL_UNKNOWN */
	uint64_t mem;      /* what it had at the last tick */
	uint64_t level;
	uint64_t below_ns;         /* since when its I/O is below its level, 0: it is not */
	uint64_t below_level;      /* the highest that it was at since */
	uint64_t moved_ns;         /* when its balloon last moved, or was last told to */
	struct cl_backoff setting; /* of setting its target */
	struct cl_backoff claims;  /* of asking it for more: its balloon stopped */
	uint64_t taken, lent;      /* for others, below the contract; of others', above it */
	uint64_t lent_set;         /* of lent, what the present target was made with */
	uint64_t active;           /* what it uses, CL_UNKNOWN */
	uint64_t stepped_ns;       /* when taken or lent last changed */
	struct cl_curve curve;
};

struct cl_state {
	struct cl_limits cap; /* guests, vcpus, works, irqs, cpus count; n likewise */
	struct cl_limits n;
	struct cl_state_guest *guests, *guests_next; /* current, and the one being built */
	struct cl_state_vcpu *vcpus, *vcpus_next;
	struct cl_state_work *works, *works_next;
	struct cl_state_irq *irqs, *irqs_next;
	struct cl_state_cpu *cpus;
	struct cl_state_ledger *ledgers; /* by uuid; as many as guests, those that are gone too */
	uint32_t ledger_count;
	struct cl_state_memory privileged;
	struct cl_state_memory *memories; /* by uuid, as ledgers */
	uint32_t memory_count;
	uint64_t pressure;                    /* enum cl_pressure */
	uint64_t *scratch;                    /* 4 a guest: charge's, meaningless between ticks */
	uint64_t contributed_ns[CL_CPUS_MAX]; /* outside I/O that each CPU has run: rule 3 */
	struct cl_backoff root;               /* of /closer itself */
	struct cl_backoff fence;              /* of putting up the fence */
	uint64_t fenced;                      /* 1: we put it up, or found it to be somebody's */
	struct cl_backoff gone;               /* of removing containers whose guest is gone */
	uint64_t ticks;
};

/* core/state.c: pure; memory is the caller's. */
size_t cl_state_bytes(const struct cl_limits *cap);
void cl_state_init(struct cl_state *ret_state, const struct cl_limits *cap, void *memory);

/*
 * What the engine tells the state between ticks; all of it is written into recordings.
 * own: a journal says that closer set this mask on this thread (after a restart). Adds the entry if
 * the state does not know the thread; false if it is full. mask_hash 0: it was ours and somebody
 * took it over.
 */
bool cl_state_own_thread(struct cl_state *state, const struct cl_uuid *guest, struct cl_tid thread,
			 uint64_t mask_hash);
bool cl_state_own_irq(struct cl_state *state, uint32_t number, uint64_t mask_hash);
/* A vCPU of the privileged domain; of a guest, while it is the domain with this number. */
bool cl_state_own_cpu(struct cl_state *state, uint32_t cpu, uint64_t mask_hash);
bool cl_state_own_vcpu(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
		       uint32_t index, uint64_t mask_hash);
bool cl_state_own_fence(struct cl_state *state);
/* On the domain with this number a guest's cap, weight or budget was `contract` and closer set it
 * to `set`. CL_UNKNOWN for set: somebody took it over. */
bool cl_state_own_lever(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
			enum cl_lever lever, uint64_t contract, uint64_t set);
/* The target of a domain's balloon likewise; of the privileged one: no uuid, number 0. */
bool cl_state_own_memory(struct cl_state *state, const struct cl_uuid *guest, uint32_t domid,
			 uint64_t contract, uint64_t set);
/* What it was charged before, by whoever kept the ledger. False: it does not add up, or no room. */
bool cl_state_own_ledger(struct cl_state *state, const struct cl_uuid *guest,
			 const struct cl_ledger *ledger, uint64_t seen_ns);
/* kind: of the action; set: units each period; since_ns: when that began. */
bool cl_state_own_throttle(struct cl_state *state, const struct cl_uuid *guest, uint32_t kind,
			   uint64_t key, uint64_t set, uint64_t since_ns);
/* adopt: the operator hands a thread or interrupt over, whatever is set on it. False: not known. */
bool cl_state_adopt_thread(struct cl_state *state, struct cl_tid thread);
bool cl_state_adopt_irq(struct cl_state *state, uint32_t number);
/*
 * The outcome of one action: code 0 done, else a positive errno. ESTALE: found changed by somebody,
 * so it is foreign from now on; ESRCH, ENOENT: gone; others back off.
 */
void cl_state_outcome(struct cl_state *state, const struct cl_params *params,
		      const struct cl_plan *plan, const struct cl_action *action, int code,
		      uint64_t now_ns);

/* core/throttles.c: a nic's, by its name; and what an action's limit is given for. 0: not such one.
 */
uint64_t cl_throttle_key(const char *name);
uint64_t cl_throttle_period_ns(enum cl_action_kind kind);

/*
 * core/decide.c. The whole of core: account, then place, then guard. prev NULL: books are empty and
 * residency is not known, work is still moved off the main container. prev and now have passed
 * cl_snapshot_check; params cl_params_check. The plan has been initialised with capacities >=
 * now's; the state likewise.
 */
void cl_decide(const struct cl_snapshot *prev, const struct cl_snapshot *now,
	       const struct cl_params *params, struct cl_state *state, struct cl_plan *ret_plan);

/* The main container's CPUs on this host: params.main_cpus, or what core picks. */
void cl_main_cpus(const struct cl_snapshot *now, const struct cl_params *params,
		  struct cl_cpuset *ret_set);

#endif
