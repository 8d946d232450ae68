/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan: what core wants changed, why, and what each guest costs.
 *
 *   cl_decide(prev, now, params, state) -> plan { actions, verdicts, books }
 *
 * An action is {kind, object, from, to, why}. Actions are sorted by phase, then object; at most one
 * per object. The plan owns its masks: nothing in it points into a snapshot except group indices
 * tagged SEEN and guest, vcpu and work indices, which are of the snapshot `now` that it was made
 * from.
 */
#ifndef CLOSER_PLAN_H
#define CLOSER_PLAN_H

#include <closer/snapshot.h>

/* The order in which a plan is applied; undone in reverse. */
enum cl_phase {
	CL_PHASE_CREATE,
	CL_PHASE_ENABLE,
	CL_PHASE_WIDEN,
	CL_PHASE_PLACE,
	CL_PHASE_NARROW,
	CL_PHASE_LIMIT,
	CL_PHASE_REMOVE,
	CL_PHASE_COUNT
};

/* Kinds of action: X(ID, name, phase, what is done) */
/* clang-format off */
#define CL_ACTION_KINDS(X) \
	X(GROUP_CREATE, "create-container", CL_PHASE_CREATE, "make a cgroup and set its CPUs") \
	X(CPU_PIN, "pin-cpu", CL_PHASE_ENABLE, "pin a vCPU of the privileged domain to one physical CPU") \
	X(VCPU_KEEP, "keep-vcpu", CL_PHASE_ENABLE, "keep a guest's vCPU off the main container's physical CPUs") \
	X(NAPI_THREAD, "thread-napi", CL_PHASE_ENABLE, "run a network device's NAPI in threads") \
	X(GROUP_WIDEN, "widen-container", CL_PHASE_WIDEN, "give a container of ours CPUs that it did not have") \
	X(VCPU_RESTORE, "restore-vcpu", CL_PHASE_WIDEN, "give a vCPU thread born of placed work its default mask and group back") \
	X(THREAD_PLACE, "place-thread", CL_PHASE_PLACE, "set a thread's cgroup, then its mask") \
	X(IRQ_PLACE, "place-interrupt", CL_PHASE_PLACE, "set an interrupt's CPUs") \
	X(GROUP_NARROW, "narrow-container", CL_PHASE_NARROW, "take CPUs away from a container of ours") \
	X(FENCE, "fence", CL_PHASE_NARROW, "make the containers a partition of their own: all others leave their CPUs") \
	X(CAP_SET, "set-cap", CL_PHASE_LIMIT, "set a guest's cap, in ppm of a CPU") \
	X(WEIGHT_SET, "set-weight", CL_PHASE_LIMIT, "set a guest's weight") \
	X(BUDGET_SET, "set-budget", CL_PHASE_LIMIT, "set the budget of a guest's vCPUs in each period, in ns") \
	X(NIC_RATE, "transmit-rate", CL_PHASE_LIMIT, "limit what a guest's network back end takes from it: the rest is held in the guest") \
	X(GROUP_QUOTA, "group-quota", CL_PHASE_LIMIT, "limit the CPU time of a container") \
	X(GROUP_IO, "group-io", CL_PHASE_LIMIT, "limit what a container reads from and writes to a disk") \
	X(PACKET_RATE, "packet-rate", CL_PHASE_LIMIT, "limit the packets that go to a guest: the rest is dropped") \
	X(MEMORY_TARGET, "memory-target", CL_PHASE_LIMIT, "set what the balloon of a domain leaves it, in bytes; of the privileged one, too") \
	X(THREAD_RELEASE, "release-thread", CL_PHASE_REMOVE, "forget what we set: somebody else has changed it; nothing is written") \
	X(IRQ_RELEASE, "release-interrupt", CL_PHASE_REMOVE, "likewise for an interrupt") \
	X(CPU_RELEASE, "release-cpu", CL_PHASE_REMOVE, "likewise for a vCPU of the privileged domain") \
	X(VCPU_RELEASE, "release-vcpu", CL_PHASE_REMOVE, "likewise for a guest's vCPU") \
	X(CAP_RELEASE, "release-cap", CL_PHASE_REMOVE, "likewise for a guest's cap") \
	X(WEIGHT_RELEASE, "release-weight", CL_PHASE_REMOVE, "likewise for its weight") \
	X(BUDGET_RELEASE, "release-budget", CL_PHASE_REMOVE, "likewise for its budget") \
	X(MEMORY_RELEASE, "release-memory", CL_PHASE_REMOVE, "likewise for what its balloon leaves it") \
	X(GROUP_REMOVE, "remove-container", CL_PHASE_REMOVE, "remove an empty container of a guest that is gone")
/* clang-format on */

enum cl_action_kind {
#define X(id, name, phase, doc) CL_ACTION_##id,
	CL_ACTION_KINDS(X)
#undef X
		CL_ACTION_KIND_COUNT
};

/* A cgroup by meaning. Its path is made from it by cl_group_path (lib/). */
enum cl_group_tag {
	CL_GROUP_NONE,       /* leave the group as it is */
	CL_GROUP_SEEN,       /* groups[seen] of the snapshot: not ours, or ours by path */
	CL_GROUP_ROOT,       /* closer */
	CL_GROUP_GUEST,      /* closer/<uuid> */
	CL_GROUP_GUEST_NODE, /* closer/<uuid>/node<N>: where the guest spans nodes */
	CL_GROUP_GUEST_ALL, /* closer/<uuid>/all: where it spans nodes, work that may run on each of
			       them */
};

struct cl_group_ref {
	enum cl_group_tag tag;
	struct cl_group_ix seen;
	struct cl_uuid guest;
	struct cl_node_ix node;
};

enum cl_value_tag {
	CL_VALUE_ABSENT,
	CL_VALUE_INT,
	CL_VALUE_MASK,
	CL_VALUE_GROUP,
	CL_VALUE_PLACE,
	CL_VALUE_LIMIT
};

/* MASK: mask. GROUP: a container with its CPUs, group + mask. PLACE: a thread's group + mask. INT:
 * number; of a fence also mask, the CPUs that are left to all others. LIMIT: number each period_ns:
 * bytes (NIC_RATE; GROUP_IO: each way), ns (GROUP_QUOTA), packets. Masks are the plan's. */
struct cl_value {
	enum cl_value_tag tag;
	int64_t number;
	uint64_t period_ns;
	struct cl_mask_ix mask;
	struct cl_group_ref group;
};

/* Why something is as it is: X(ID, name, text; %0 %1 %2 are the reason's numbers, with :c cpu, :n
 * node, :p share in ppm, :t ns, :v vcpu, :b bytes, :g plain) */
/* clang-format off */
#define CL_REASONS(X) \
	X(NONE, "none", "nothing to say") \
	/* placed: which rule, by which evidence */ \
	X(BESIDE_QUEUE_VCPU, "beside-queue-vcpu", "beside vCPU %0:v, whose queue it serves, on CPU %1:c (residency %2:p)") \
	X(BESIDE_BUSIEST_VCPU, "beside-busiest-vcpu", "beside the guest's busiest vCPU %0:v on CPU %1:c (residency %2:p)") \
	X(LEAST_CONTRIBUTED, "least-contributed", "from outside: CPU %0:c of the guest's CPUs has contributed least so far (%1:t)") \
	X(GUEST_CPUS, "guest-cpus", "vCPU %0:v moves about (residency %2:p): the guest's %1:g CPU(s)") \
	X(HOME, "home", "the guest's vCPUs move freely (residency %2:p): the %1:g secondary CPU(s) of its home") \
	X(HOME_MANAGEMENT, "home-management", "management work for the guest: node %0:n holds most of its memory, CPU %1:c") \
	X(NEAREST, "nearest-allowed", "CPU %0:c is not a secondary CPU: CPU %1:c is the nearest (distance %2:g)") \
	X(CROWDED, "crowded", "it waited %2:p of the time: given %1:g CPU(s)") \
	X(OFF_MAIN, "off-main", "where its vCPUs run is not known yet: any of the %1:g secondary CPU(s) of its home") \
	X(WAITS, "waits", "it waits for the guest's end, and is no work: the default") \
	X(INHERITED, "inherited", "a vCPU born of placed work inherited its mask: back to the default") \
	X(ONE_TO_ONE, "one-to-one", "vCPU %0:g of the privileged domain on physical CPU %1:g: beside a guest is then a place") \
	X(EXCLUSIVE, "main-exclusive", "physical CPUs of the main container are kept free of guests (%0:g CPU(s) are left to it)") \
	X(FENCE, "fence", "the %0:g secondary CPU(s) are for guests' work alone") \
	X(THREADED, "napi-threads", "asked for: what the guest sends is work of a thread") \
	X(CONTAINER, "container", "the secondary container of a guest with work to place") \
	X(GUEST_GONE, "guest-gone", "its guest is gone") \
	X(DEBT, "debt", "owes %0:t that the host spent for it: %1:p of what it paid for is left to it for now") \
	X(PAID, "paid", "owes %0:t: what it paid for is its own again") \
	X(REBORN, "reborn", "it came back with what closer had left to it: first what it paid for") \
	X(CLAIM, "claim", "I/O of %0:b a second, level %1:g: it contributes %2:b to the privileged side") \
	X(RETURN, "return", "I/O of %0:b a second, level %1:g: it contributes %2:b, and has the rest back") \
	X(HOLD, "hold", "%0:b of %1:g guest(s), for their I/O, and %2:b that is on its way") \
	/* held back */ \
	X(OVER_LIMIT, "over-limit", "it used %0:p of a CPU on the privileged side, over its limit of %1:p") \
	X(HELD_BACK, "held-back", "held back: it uses %0:p of a CPU on the privileged side, its limit is %1:p") \
	X(LET_GO, "let-go", "it asks for less than its limit of %1:p again: let go") \
	X(NO_LIMIT, "no-limit", "it has no limit any more: let go") \
	X(WITHIN_LIMIT, "within-limit", "it uses %0:p of a CPU on the privileged side, its limit is %1:p") \
	X(WATCHED, "watched", "over its limit of %1:p with %0:p of a CPU, in %2:g of the last intervals") \
	/* left: why nothing was done */ \
	X(IN_PLACE, "in-place", "is where it should be") \
	X(FOREIGN, "somebody-else", "somebody else has set it; left alone until `closer adopt`") \
	X(TAKEN_OVER, "taken-over", "somebody else has set it since: no longer closer's") \
	X(BOUND, "kernel-bound", "the kernel does not let it be moved") \
	X(NO_SECONDARY, "no-secondary", "there is no CPU outside the main container: it stays") \
	X(STALE, "stale", "was read %0:t ago: not acted on") \
	X(SMALL, "below-floor", "uses %0:p of a CPU, below the floor: left where it is") \
	X(HELD, "held", "was moved %0:t ago: held") \
	X(BUDGET, "moves-spent", "this plan has its %0:g move(s) already") \
	X(BACKOFF, "back-off", "was refused %0:g time(s): tried again in %1:t") \
	X(PINS_FIRST, "pins-first", "%0:g vCPU(s) of the privileged domain move in this plan: placed after that") \
	X(UNMEASURED, "unmeasured", "times are estimates here: it is charged nothing") \
	X(NO_LEVER, "no-lever", "its scheduler has no cap, weight or budget to take %0:t out of: it goes on owing") \
	X(IN_FLIGHT, "in-flight", "%0:b of %1:b are on their way") \
	X(STOPPED, "balloon-stopped", "its balloon stopped at %0:b of %1:b: asked again in %2:t") \
	X(FLOOR, "memory-floor", "%0:b are asked for, but no more than %1:b may be taken") \
	X(NO_BALLOON, "no-balloon", "it has no memory target: it contributes nothing") \
	X(NO_FREE, "no-free-memory", "%1:b wait for free memory: the hypervisor has %0:b") \
	X(NO_ROOM, "no-room", "the privileged side has room for %0:b of it: boot it with more (dom0_mem=,max:)") \
	X(USES, "uses", "it uses %0:b, and is to have %1:b") \
	X(LESS_DONE, "less-done", "it got less done with %0:b: it is to have %1:b") \
	X(AS_MUCH_DONE, "as-much-done", "it got as much done with %0:b") \
	X(NOT_KNOWN, "not-known", "what it uses is not known: nothing is taken but in steps that are looked at") \
	X(IN_NEED, "in-need", "it needs %0:b: it has %1:b of its own back") \
	X(IDLE, "idle", "it could do without %0:b: %1:b are taken for others, at a price of %2:p") \
	X(LENT, "lent", "it needs %0:b: it has %1:b beyond its own") \
	X(NEEDED, "needed", "the privileged side has but %0:b to spare: it keeps %1:b for now") \
	X(CANNOT, "not-possible", "the host cannot do this here")
/* clang-format on */

enum cl_reason {
#define X(id, name, text) CL_REASON_##id,
	CL_REASONS(X)
#undef X
		CL_REASON_COUNT
};

struct cl_why {
	enum cl_reason code;
	uint64_t number[3];
};

struct cl_object {                 /* one of them, by the action's kind */
	struct cl_tid thread;      /* THREAD_*, VCPU_RESTORE */
	uint32_t irq;              /* IRQ_* */
	struct cl_group_ref group; /* GROUP_*; FENCE: what becomes a partition, NONE: masks fence */
	uint32_t cpu;              /* CPU_*: the privileged domain's vCPU, by its number */
	struct cl_nic_ix nic;      /* NAPI_THREAD, NIC_RATE, PACKET_RATE */
	uint64_t key; /* cl_state_throttle.key; of GROUP_IO, with group, the disk's device */
	struct cl_vcpu_ix vcpu;   /* VCPU_* */
	struct cl_guest_ix guest; /* whose it is, or CL_NONE; CAP_*, WEIGHT_*, BUDGET_*: itself;
				   * MEMORY_*: itself, NONE: the privileged domain */
};

struct cl_action {
	enum cl_action_kind kind;
	struct cl_object object;
	struct cl_value from, to;
	struct cl_why why;
	bool possible; /* false: stays in the plan as "not possible"; not journalled, not applied */
	bool first;    /* first placement of new work: not a move */
};

/* How tightly work follows its guest. */
enum cl_follow { CL_FOLLOW_NONE, CL_FOLLOW_CPU, CL_FOLLOW_SET, CL_FOLLOW_HOME };

/* One per work of `now`, in its order: what was found, whether acted on or not. `closer explain`
 * prints these. */
struct cl_verdict {
	struct cl_why placed; /* the rule that says where it belongs */
	struct cl_why left;   /* why nothing is done; NONE if there is an action */
	enum cl_follow follow;
	struct cl_mask_ix target; /* of the plan */
};

/* Books: time spent in [prev, now), ns. Shares are made of these where they are shown. */
struct cl_work_books {
	uint64_t run_ns;
	uint64_t main_ns; /* of it on the main container's CPUs */
	uint64_t far_ns;  /* of it on a node that is not home */
};

/*
 * What a guest was charged for CPU time that the host spent for it. To the nanosecond, always:
 * charged = repaid + owed + written off (core/charge.c).
 */
struct cl_ledger {
	uint64_t charged_ns, repaid_ns, owed_ns, written_off_ns;
};
bool cl_ledger_sound(const struct cl_ledger *ledger); /* does it add up? */

/* What it can be taken out of: X(ID, name). */
/* clang-format off */
#define CL_LEVERS(X) X(CAP, "cap") X(WEIGHT, "weight") X(BUDGET, "budget")
/* clang-format on */

enum cl_lever {
#define X(id, name) CL_LEVER_##id,
	CL_LEVERS(X)
#undef X
		CL_LEVER_COUNT /* also: none */
};

struct cl_charge_books {                /* all zero where nothing is charged */
	uint64_t charged_ns, repaid_ns; /* in this interval */
	uint64_t entitled_ns;           /* what it paid for in it; CL_UNKNOWN: not known */
	struct cl_ledger ledger;        /* since the first */
	enum cl_lever lever;
	uint64_t contract; /* the operator's setting of it: ppm of a CPU, weight, ns */
	struct cl_why why; /* why it is held back, or charged nothing; NONE: it owes nothing */
};

/* What a guest contributes to the privileged side's memory (core/size.c); all zero where nothing is
 * moved. Bytes. */
struct cl_size_books {
	uint64_t io;       /* of all its devices, a second */
	uint64_t contract; /* the operator's target, M */
	uint64_t level;    /* of I/O; past as many increments as it has levels */
	uint64_t asked;    /* nodes * eps + level * increment */
	uint64_t given;    /* what its balloon has given in truth: by the hypervisor's count */
	uint64_t held;     /* of it, in whole steps: the privileged side's */
	uint64_t ahead;    /* being claimed: the privileged side may have it out of free memory */
	struct cl_why why; /* why it is not what its I/O asks for; NONE: it is */
};

/* What a guest could lose without noticing, and why (core/overcommit.c); all zero where that is
 * off. Bytes, but for the last two. */
struct cl_overcommit_books {
	uint64_t told, active; /* what it says that it uses; what is believed of it; CL_UNKNOWN */
	uint64_t need, lose;   /* what it is to have; what it could lose */
	uint64_t taken, lent;  /* of it for others; of others' */
	uint64_t price;        /* ppm of shares a byte: ESX's idle-memory tax */
	uint64_t cpu_spare;    /* ppm of a CPU that it is entitled to and has no use for */
	struct cl_why why;
};

/* How short the host is of free memory, as ESX has it: X(ID, name) */
#define CL_PRESSURES(X) X(HIGH, "high") X(SOFT, "soft") X(HARD, "hard") X(LOW, "low")
enum cl_pressure {
#define X(id, name) CL_PRESSURE_##id,
	CL_PRESSURES(X)
#undef X
};

const char *cl_pressure_name(enum cl_pressure pressure); /* core/plan.c */

/* Where the memory is. domains + free is constant but for what is made and destroyed, and for what
 * is between the two counts. */
struct cl_memory_books {
	uint64_t domains, free; /* of guests and the privileged domain; the hypervisor's */
	int64_t drift;          /* of their sum, since the last interval */
	uint64_t flight;        /* set, and not there yet: of all targets */
	uint64_t asked, given, held;
	uint64_t ahead;    /* what the privileged side is to have beyond held, out of free memory */
	uint64_t contract; /* the privileged side's, the operator's target */
	struct cl_why why; /* why the privileged side has not what it is to hold; NONE: it has */
	/* What could be started now: of free memory, without risk; with what nobody would notice,
	 * as far as is known; down to the guests' floors, which they would notice. */
	uint64_t pressure, admit_free, admit_idle, admit_floor;
};

/* Of a guest that is gone for good. */
struct cl_write_off {
	struct cl_uuid guest;
	struct cl_ledger ledger;
	uint64_t ns; /* of it in this interval */
};

struct cl_guest_books {
	uint64_t guest_ns; /* its vCPUs */
	uint64_t host_ns;  /* outside it: all its work */
	uint64_t kind_ns[CL_WORK_KIND_COUNT];
	uint64_t main_ns, far_ns;
	uint64_t sent, received, requests; /* packets and requests in the interval */
	uint64_t moved;                    /* bytes, in all of them */
	/* These at the calibrated costs (core/weigh.c); CL_UNKNOWN: none is calibrated. */
	uint64_t weighed_ns;
	uint64_t newborn_ns; /* of guest_ns and host_ns: what threads ran that were not in prev */
	bool counted;        /* in both snapshots: else the interval says nothing of it */
	struct cl_charge_books charge;
	struct cl_size_books size;
	struct cl_overcommit_books overcommit;
	uint64_t limit;      /* ppm of a CPU; CL_UNKNOWN: it has none */
	uint64_t used;       /* what counts for that, ppm of a CPU */
	struct cl_why guard; /* how it stands with its limit; NONE: it has none */
};

struct cl_books {
	uint64_t span_ns; /* now.taken_ns - prev.taken_ns; 0: no prev */
	uint64_t busy_ns; /* the independent total: the CPUs' busy time */
	uint64_t guest_ns, host_ns, main_part_ns,
		far_part_ns; /* sums over guests; parts of host_ns */
	uint64_t main_ns;    /* the main container's own tasks */
	/*
	 * What was shown to be nobody's: kernel threads, work of no guest. Where the classes are
	 * not measured: all that busy_ns leaves.
	 */
	uint64_t unattributed_ns;
	uint64_t overhead_ns; /* ticks, IPIs, idle entry and exit, where they are told apart */
	int64_t gap_ns;       /* the parts above less busy: how well the books close */
	/* main_part and far_part rest on where work was seen, not on where it ran; or all times of
	 * work are scaled (no CL_CAN_CLOCK). */
	bool estimated;
	uint64_t charged_ns, repaid_ns, owed_ns, written_off_ns; /* owed: at its end */
	bool main_measured; /* false: main_ns is 0 and inside unattributed_ns */
	struct cl_memory_books memory;
};

struct cl_plan_limits {
	uint32_t actions, masks, verdicts, guests, write_offs;
};

struct cl_plan {
	struct cl_plan_limits cap, n;
	uint32_t dropped; /* actions and masks over capacity */
	struct cl_action *actions;
	struct cl_mask *masks;
	struct cl_verdict *verdicts;        /* n.verdicts == now->n.works */
	struct cl_work_books *work_books;   /* likewise */
	struct cl_guest_books *guest_books; /* n.guests == now->n.guests */
	struct cl_write_off *write_offs;    /* debts of who is gone, written off in this interval */
	struct cl_books books;
	struct cl_cpuset main_cpus; /* as resolved from params and the host */
	struct cl_cpuset secondary_cpus;
	struct cl_why fence;  /* why it is up, or is not; NONE if none is asked for or needed yet */
	uint32_t *mask_slots; /* as in struct cl_snapshot */
	uint32_t mask_slot_count;
};

/* core/plan.c: pure; memory is the caller's, sized for every snapshot with these capacities. */
size_t cl_plan_bytes(const struct cl_limits *cap);
void cl_plan_init(struct cl_plan *ret_plan, const struct cl_limits *cap, void *memory);
void cl_plan_reset(struct cl_plan *plan);
struct cl_action *cl_plan_add(struct cl_plan *plan,
			      enum cl_action_kind kind); /* NULL when full: counted */
struct cl_mask_ix cl_plan_mask(struct cl_plan *plan, const struct cl_cpuset *set);
const struct cl_cpuset *cl_plan_set(const struct cl_plan *plan, struct cl_mask_ix mask);
/* Actions that would change something: possible, and not a release. */
uint32_t cl_plan_changes(const struct cl_plan *plan);
/* Is there more to do once this plan is applied, that rests on it? Then another one follows at
 * once. */
bool cl_plan_goes_on(const struct cl_plan *plan);
const char *cl_action_kind_name(enum cl_action_kind kind);
enum cl_phase cl_action_kind_phase(enum cl_action_kind kind);
/* The journal forgets the object; nothing is written to it. */
bool cl_action_kind_releases(enum cl_action_kind kind);
const char *cl_lever_name(enum cl_lever lever); /* CL_LEVER_COUNT: "none" */
/* The lever of CAP_*, WEIGHT_*, BUDGET_*; CL_LEVER_COUNT: another kind of action. */
enum cl_lever cl_action_kind_lever(enum cl_action_kind kind);
const char *cl_reason_name(enum cl_reason reason);
const char *cl_reason_text(enum cl_reason reason); /* the template; cli/ fills it */

#endif
