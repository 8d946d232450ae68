/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot: all that core knows of a host at one moment. Values only, no handle, no policy.
 *
 *   host.observe() fills one; cl_snapshot_check() refuses a bad one; cl_decide() reads two.
 *
 * One block of memory that the caller gives, arrays with capacities that the caller chose, text and
 * masks interned. Over capacity an add function counts what it dropped and returns NULL: core sees
 * that the books are short (`dropped`), and acts on the rest. Counters are cumulative, in ns, from
 * one clock; CL_UNKNOWN says "was not read", never 0. Everything is sorted, and cl_snapshot_check
 * insists: guests by uuid; vcpus by (guest, index); works by (guest, tid, start), those of no guest
 * last; runs by (work, cpu); groups by path; interrupts and pools by number.
 */
#ifndef CLOSER_SNAPSHOT_H
#define CLOSER_SNAPSHOT_H

#include <closer/base.h>

/* Who asked for the work: decides which of the papers' three rules places it (thesis, Algorithm 2).
 */
enum cl_origin {
	CL_ORIGIN_GUEST,      /* the guest started it: disk request, packet sent */
	CL_ORIGIN_OUTSIDE,    /* it came from outside: packet received */
	CL_ORIGIN_MANAGEMENT, /* migration, shutdown: done to the guest */
};

/* Kinds of work: X(ID, name, origin, what it is) */
/* clang-format off */
#define CL_WORK_KINDS(X) \
	X(MAIN_LOOP, "main-loop", CL_ORIGIN_OUTSIDE, "QEMU's main loop: tap devices, timers, monitor") \
	X(IOTHREAD, "iothread", CL_ORIGIN_GUEST, "QEMU iothread: the disks bound to it") \
	X(WORKER, "worker", CL_ORIGIN_GUEST, "QEMU thread pool: blocking disk requests") \
	X(VHOST, "vhost", CL_ORIGIN_GUEST, "vhost worker: a network queue pair") \
	X(MIGRATION, "migration", CL_ORIGIN_MANAGEMENT, "live migration or background snapshot") \
	X(NETBACK_RX, "netback-rx", CL_ORIGIN_OUTSIDE, "Xen netback: packets to the guest (guest-rx)") \
	X(NETBACK_DEALLOC, "netback-dealloc", CL_ORIGIN_GUEST, "Xen netback: gives granted pages back") \
	X(NAPI, "napi", CL_ORIGIN_GUEST, "a NAPI thread: packets that the guest sends") \
	X(BLKBACK, "blkback", CL_ORIGIN_GUEST, "Xen blkback: a disk's ring") \
	X(DISK_PROCESS, "disk-process", CL_ORIGIN_GUEST, "a disk served by a process: qdisk, tapdisk") \
	X(DEVICE_MODEL, "device-model", CL_ORIGIN_GUEST, "a Xen guest's device model") \
	X(INTERRUPT, "interrupt", CL_ORIGIN_GUEST, "device interrupts and the softirqs that they raise; no thread") \
	X(HELPER, "helper", CL_ORIGIN_GUEST, "any other thread of the guest's process") \
	X(THREAD, "thread", CL_ORIGIN_GUEST, "a thread of a process that the template host was told of") \
	X(TOOLSTACK, "toolstack", CL_ORIGIN_MANAGEMENT, "a command of Xen's toolstack for the guest, and what it started") \
	X(WAITER, "waiter", CL_ORIGIN_MANAGEMENT, "a process that waits for the guest's end: no work, given back") \
	X(SHARED, "shared", CL_ORIGIN_GUEST, "its part of what serves several: kernel workers, physical devices' interrupts and softirqs; no thread") \
	X(WAKEUP, "wakeup", CL_ORIGIN_GUEST, "idle entry and exit, IPIs and ticks that its work caused; no thread") \
	X(COUNTED, "counted", CL_ORIGIN_GUEST, "its packets and requests, at the cost that was calibrated: where the time itself is not measured")
/* clang-format on */

enum cl_work_kind {
#define X(id, name, origin, doc) CL_WORK_##id,
	CL_WORK_KINDS(X)
#undef X
		CL_WORK_KIND_COUNT
};

/* What can be done here: X(ID, name, what is lost without it). A cleared bit has a reason in
 * why_not; if that is empty it does not apply to this kind of host. */
/* clang-format off */
#define CL_CANS(X) \
	X(MASK, "thread-mask", "no thread can be placed") \
	X(GROUP, "container", "threads are placed by mask alone; threads born later may start elsewhere") \
	X(IRQ, "interrupt", "interrupts stay where the kernel put them") \
	X(RUNS, "exact-runs", "where work ran is estimated from the CPU that it was seen on last") \
	X(CLASSES, "main-time", "the main container's time is not measured and stays unattributed") \
	X(CLOCK, "true-clock", "times are scaled to what the hypervisor counted, and estimates") \
	X(MEMORY_NODES, "memory-nodes", "a guest's home is taken to be every node") \
	X(PIN, "vcpu-pin", "virtual CPUs stay where the hypervisor puts them") \
	X(FENCE, "fence", "other tasks may run on the secondary CPUs") \
	X(PARTITION, "partition", "the fence is made of masks: what pid 1 and the kernel start later is not inside it") \
	X(NAPI_THREAD, "napi-thread", "packets that guests send are work of interrupts, not of threads") \
	X(ENTITLEMENT, "entitlement", "what guests owe for the host's work is not taken back") \
	X(RATE, "transmit-rate", "what a guest sends cannot be held back in the guest") \
	X(QUOTA, "cpu-quota", "a container's CPU time cannot be limited") \
	X(IO_LIMIT, "disk-limit", "what a guest reads and writes cannot be limited") \
	X(PACKET_RATE, "packet-rate", "packets to a guest cannot be limited") \
	X(MEMORY, "memory-target", "no memory moves between guests and the privileged side")
/* clang-format on */

enum cl_can {
#define X(id, name, lost) CL_CAN_##id,
	CL_CANS(X)
#undef X
		CL_CAN_COUNT
};

/* Parts of a snapshot, each with the time when it was read. */
/* clang-format off */
#define CL_PARTS(X) \
	X(TOPOLOGY, "topology") X(CPU, "cpu time") X(THREADS, "threads") X(GUESTS, "guests") \
	X(MEMORY, "memory") X(IRQS, "interrupts")
/* clang-format on */

enum cl_part {
#define X(id, name) CL_PART_##id,
	CL_PARTS(X)
#undef X
		CL_PART_COUNT
};

/* Arrays: X(member, element type). One list for capacities, counts, layout, recording and checks.
 */
/* clang-format off */
#define CL_ARRAYS(X) \
	X(cpus, struct cl_cpu) X(nodes, struct cl_node) X(masks, struct cl_mask) X(groups, struct cl_group) \
	X(guests, struct cl_guest) X(vcpus, struct cl_vcpu) X(works, struct cl_work) X(runs, struct cl_run) \
	X(nics, struct cl_nic) X(disks, struct cl_disk) X(irqs, struct cl_irq) X(pools, struct cl_pool)
/* clang-format on */

/* Elements per array; used for capacities, for counts and for what was dropped. */
struct cl_limits {
#define X(member, type) uint32_t member;
	CL_ARRAYS(X)
#undef X
	uint32_t text; /* bytes of interned text */
};

/* The defaults of DESIGN: 4,096 CPUs, 4,096 guests, 65,536 works. */
extern const struct cl_limits cl_limits_default;
/* The same in small: 64 CPUs, 64 guests, 1,024 works. For tests and for hosts that know that they
 * are small. */
extern const struct cl_limits cl_limits_small;

/* An offset into the snapshot's text; 0 is the empty string. */
struct cl_text {
	uint32_t at;
};

struct cl_cpu { /* index = CPU number as the kernel has it; holes are offline */
	bool online;
	struct cl_node_ix node;
	uint32_t core; /* equal for SMT siblings, unique over the host */
	/*
	 * Time since boot less idle, iowait and steal of /proc/stat. Idle time is measured there;
	 * user and system are what was found running at ticks, and for work that wakes often, or in
	 * step with the ticks, off by up to a half.
	 */
	uint64_t busy_ns;
	uint64_t irq_ns;   /* irq + softirq, by ticks */
	uint64_t idle_ns;  /* idle + iowait */
	uint64_t steal_ns; /* taken by a hypervisor below us: in neither of the above */
	uint64_t main_ns;  /* tasks of the main container (CL_CAN_CLASSES), else CL_UNKNOWN */
	/* Kernel threads that are nobody's, interrupts and softirqs that are, likewise. */
	uint64_t kernel_ns;
	/* Ticks, IPIs, idle entry and exit that no guest caused; CL_UNKNOWN where it is not told
	 * apart. */
	uint64_t overhead_ns;
	/*
	 * Where the privileged side is a domain itself, so that this is a virtual CPU of it: the
	 * physical CPU that it is on, and those that it may be on, by the hypervisor's numbers.
	 * Else CL_NONE.
	 */
	uint32_t pcpu;
	struct cl_mask_ix pins;
};

struct cl_node {
	uint64_t mem_total_bytes;
	uint64_t mem_free_bytes;
	uint32_t distance[CL_NODES_MAX]; /* ACPI SLIT: 10 is here */
};

struct cl_mask {
	struct cl_cpuset set;
	uint64_t hash;
};

/* A cgroup, seen because a thread is in it or because it is closer's own. */
struct cl_group {
	struct cl_text path;    /* inside its hierarchy, "/" first */
	struct cl_mask_ix cpus; /* effective CPUs: the mask that a thread in it has by default */
	bool ours;              /* below closer/ */
	bool fenced;            /* a partition of its own: nobody else's tasks run on its CPUs */
	struct cl_uuid guest;   /* if ours and a guest's; else all zero */
};

struct cl_guest {
	struct cl_uuid id;
	struct cl_text name;         /* as the guest's owner wrote it: hostile, print escaped */
	struct cl_tid process;       /* the guest's process, or tid 0 */
	uint64_t home;               /* nodes that hold its memory, one bit a node; 0 = not known */
	struct cl_node_ix home_most; /* the node that holds most of it, or CL_NONE */
	/*
	 * Run by threads of it while no snapshot showed them: before their first, after their last,
	 * or all of it if they came and went in between. Cumulative; 0 where it is not measured.
	 */
	uint64_t reaped_ns;
	/*
	 * Run for it by what serves several, and what its work caused (CL_WORK_SHARED, _WAKEUP).
	 * Cumulative; CL_UNKNOWN where it is not measured.
	 */
	uint64_t shared_ns, wakeup_ns;
	uint64_t mem_bytes;     /* resident */
	uint64_t mem_max_bytes; /* what it was given at most */
	uint64_t balloon_bytes; /* what its balloon leaves it now, or CL_UNKNOWN */
	uint64_t target_bytes;  /* what its balloon is asked to leave it; CL_UNKNOWN: it has none */
	/* What of it it says that it uses; its word alone. CL_UNKNOWN: it says nothing. */
	uint64_t used_bytes;
	uint64_t read_ns; /* when its description was read: an older one is stale */
	uint32_t domid;   /* the hypervisor's number for it now, or CL_NONE */
	/* What it is entitled to, in the terms of its pool's scheduler. */
	uint32_t pool;      /* cl_pool.id, or CL_NONE */
	uint32_t driver;    /* domid of a driver domain that serves it, or CL_NONE */
	uint64_t weight;    /* credit, credit2; else CL_UNKNOWN, as what follows */
	uint64_t cap;       /* ppm of a CPU; 0: none */
	uint64_t period_ns; /* RTDS, of a vCPU */
	uint64_t budget_ns;
	uint32_t vcpu_first, vcpu_count;
	uint32_t work_first, work_count;
	bool described; /* false: its monitor was busy or taken; kinds come from thread names */
};

struct cl_vcpu {
	struct cl_guest_ix guest;
	uint32_t index;
	struct cl_tid thread; /* on KVM; tid 0 elsewhere */
	struct cl_cpu_ix cpu; /* where it was last seen */
	struct cl_mask_ix mask;
	struct cl_mask_ix pcpus; /* physical CPUs that it may be on (cl_cpu.pins), or CL_NONE */
	struct cl_mask_ix soft;  /* those that it prefers */
	struct cl_group_ix group;
	uint64_t cpu_ns;
	uint64_t wait_ns; /* runnable, not running; CL_UNKNOWN where not read */
};

struct cl_work {
	struct cl_guest_ix guest; /* CL_NONE: nobody's that we know */
	enum cl_work_kind kind;
	struct cl_tid thread;
	char name[16];        /* comm: hostile, print escaped */
	uint32_t queue_vcpu;  /* the guest's vCPU index that its queue belongs to, or CL_NONE */
	struct cl_cpu_ix cpu; /* where it was last seen */
	struct cl_mask_ix mask;
	struct cl_group_ix group;
	uint64_t cpu_ns;
	uint64_t wait_ns;
	uint64_t read_ns; /* when it was read */
	bool bound;       /* the kernel refuses another mask (PF_NO_SETAFFINITY) */
};

/* Where a work ran since the previous snapshot; only CPUs where it did. */
struct cl_run {
	struct cl_work_ix work;
	struct cl_cpu_ix cpu;
	uint64_t ns;
};

struct cl_nic {
	struct cl_guest_ix guest;
	struct cl_text name; /* the tap or vif device on the host */
	uint32_t handle;     /* of its back end in xenstore, or CL_NONE: it has none there */
	uint32_t threaded;   /* 1: its NAPI runs in threads, 0: in softirqs, CL_NONE: not known */
	uint64_t rx_packets, rx_bytes; /* the host's view: rx is what the guest sent */
	uint64_t tx_packets, tx_bytes;
};

struct cl_disk {
	struct cl_guest_ix guest;
	struct cl_text name;
	uint64_t device; /* behind it: major << 32 | minor; CL_UNKNOWN: not known, or no device */
	uint64_t rd_ops, rd_bytes, wr_ops, wr_bytes;
};

struct cl_irq {
	uint32_t number;
	struct cl_guest_ix guest; /* whose, or CL_NONE */
	uint32_t queue_vcpu;      /* as in struct cl_work */
	struct cl_text name;
	struct cl_mask_ix mask;
	uint64_t count;
	struct cl_cpu_ix cpu; /* where it was last taken */
	uint64_t cpu_ns; /* its handler and the softirqs that it raised; CL_UNKNOWN: not measured */
};

/* The privileged side's own memory. CL_UNKNOWN: was not read, or does not apply. */
struct cl_memory {
	/* Where it is a domain: what it has, what its balloon is asked to leave it, and what it may
	 * have at most; unknown: no limit is set. */
	uint64_t bytes, target_bytes, max_bytes;
	uint64_t claimed_bytes; /* of the nodes' free memory: promised to domains being made */
	/* As its kernel counts (MemTotal, MemAvailable of /proc/meminfo). */
	uint64_t total_bytes, available_bytes;
	/* Time in which some task of it waited for a CPU, for memory; cumulative (PSI). */
	uint64_t cpu_stall_ns, mem_stall_ns;
};

/* CPUs that a hypervisor schedules together: Xen's cpupools. */
struct cl_pool {
	uint32_t id;
	struct cl_text scheduler; /* "credit2" */
	struct cl_mask_ix pcpus;  /* physical CPUs, as cl_cpu.pins */
	uint64_t slice_ns;        /* credit: the time slice; CL_UNKNOWN where there is none */
	uint64_t ratelimit_ns;    /* least time that a vCPU runs; 0: none; CL_UNKNOWN */
};

struct cl_snapshot {
	uint64_t taken_ns; /* CLOCK_MONOTONIC, when the observation began */
	uint64_t part_ns[CL_PART_COUNT];
	uint32_t can; /* bit i: enum cl_can i */
	struct cl_text why_not[CL_CAN_COUNT];
	/* The guests' own time is not in cpus[].busy_ns: under Xen those are the privileged
	 * domain's. */
	bool guests_outside;
	struct cl_mask_ix allowed; /* CPUs that work may be given at all (online, in our cpuset) */
	/* Physical CPUs that the privileged domain's vCPUs may be given: its cpupool's. CL_NONE: it
	 * is no domain. */
	struct cl_mask_ix pool;
	struct cl_memory memory;
	struct cl_limits cap, n, dropped;
#define X(member, type) type *member;
	CL_ARRAYS(X)
#undef X
	char *text;
	uint32_t *mask_slots; /* open addressing over masks by hash; a power of two, index + 1 */
	uint32_t mask_slot_count;
};

#define CL_CAN(snap, id) (((snap)->can >> CL_CAN_##id) & 1u)

/* core/snapshot.c: pure; memory is the caller's. */
size_t cl_snapshot_bytes(const struct cl_limits *cap);
/* memory: cl_snapshot_bytes(cap) bytes, 64-byte aligned, owned by the caller, who may free it after
 * use. */
void cl_snapshot_init(struct cl_snapshot *ret_snap, const struct cl_limits *cap, void *memory);
void cl_snapshot_reset(struct cl_snapshot *snap); /* empty, same memory */

/* Appends a zeroed element (indices CL_NONE, counters CL_UNKNOWN); NULL when full, counted in
 * dropped. */
#define X(member, type) type *cl_snapshot_add_##member(struct cl_snapshot *snap);
CL_ARRAYS(X)
#undef X
/* Equal sets share an index; when full the answer is CL_NONE and dropped.masks counts it. */
struct cl_mask_ix cl_snapshot_mask(struct cl_snapshot *snap, const struct cl_cpuset *set);
struct cl_text cl_snapshot_text(struct cl_snapshot *snap,
				const char *text); /* cut at CL_PATH_MAX - 1 */
const char *cl_snapshot_str(const struct cl_snapshot *snap, struct cl_text text);
const struct cl_cpuset *cl_snapshot_set(const struct cl_snapshot *snap, struct cl_mask_ix mask);
/*
 * Puts everything into the fixed order and rewrites the indices (guests' vcpu_first/count and
 * work_first/count, and each vcpu's, work's, nic's, disk's, irq's guest; runs' work). Hosts append
 * in any order, give indices as of appending, and call it once at the end. Scratch: (n.guests +
 * n.works + n.groups) uint32_t, the caller's.
 */
void cl_snapshot_sort(struct cl_snapshot *snap, uint32_t *scratch);

/* What is wrong with a snapshot, in the order in which it is looked for. */
/* clang-format off */
#define CL_SNAPSHOT_FAULTS(X) \
	X(NONE, "sound") X(LIMITS, "a count is over its capacity") X(INDEX, "an index points nowhere") \
	X(ORDER, "an array is out of order or has an entry twice") X(TIME, "a part was read after the end, or time went back") \
	X(TEXT, "text is not terminated") X(ENUM, "an enumeration has an unknown value") \
	X(EMPTY, "no CPU is online")
/* clang-format on */
enum cl_snapshot_fault {
#define X(id, doc) CL_SNAPSHOT_##id,
	CL_SNAPSHOT_FAULTS(X)
#undef X
};
/* prev may be NULL. A snapshot from a file or a peer is checked before core sees it. */
enum cl_snapshot_fault cl_snapshot_check(const struct cl_snapshot *prev,
					 const struct cl_snapshot *now);
const char *cl_snapshot_fault_text(enum cl_snapshot_fault fault);
const char *cl_work_kind_name(enum cl_work_kind kind);
enum cl_origin cl_work_kind_origin(enum cl_work_kind kind);
const char *cl_can_name(enum cl_can can);
const char *cl_can_lost(enum cl_can can);

#endif
