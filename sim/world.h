/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world: what a simulated host is made of.
 *
 *   scenario -> sim_world_new -> { sim_step .. sim_step } -> what was counted
 *
 *   pCPU --- runs --> vCPU (of a domain) --- runs --> softirq work, then a task's burst
 *   (hypervisor's scheduler: sched.h)       (the domain's own kernel: os.c)
 *
 * Everything that a task does is a burst: CPU time, and bytes that it moves from memory of one node
 * to memory of another. How long that takes follows from where it runs (memory.c). When a burst is
 * over its owner is called, who gives the task the next one or lets it sleep. Nothing here decides
 * by pointer values or by hash order. Time in ns, sizes in bytes, shares in ppm.
 */
#ifndef CLOSER_SIM_WORLD_H
#define CLOSER_SIM_WORLD_H

#include "event.h"
#include "random.h"

#include <closer/plan.h>

#define SIM_NODES_MAX CL_NODES_MAX
#define SIM_PCPUS_MAX 256u /* of one host */

struct sim_world;
struct sim_domain;
struct sim_fluid;
struct sim_manager;
struct sim_pool;
struct sim_task;
struct sim_vbd;
struct sim_vcpu;
struct sim_vif;

/* ---- what things cost: one file per testbed (calibration), each constant with its source ---- */

/* X(member, unit, what it is) */
/* clang-format off */
#define SIM_COSTS(X) \
	X(switch_ns, "ns", "the hypervisor switches a pCPU from one vCPU to another") \
	X(migrate_ns, "ns", "a vCPU goes on on another pCPU: caches to be filled again") \
	X(wake_ns, "ns", "an event channel's upcall, or an IPI between pCPUs") \
	X(task_switch_ns, "ns", "a kernel switches from one task to another") \
	X(irq_ns, "ns", "entry and exit of an interrupt") \
	X(tick_ns, "ns", "a timer tick of a kernel whose vCPU is busy") \
	X(tick_hz, "1/s", "ticks of a busy vCPU") \
	X(hypercall_ns, "ns", "a hypercall without work of its own") \
	X(warm, "ppm", "what a turn of a back end costs right after another one, of what it costs after a long pause: the costs below that are of a turn") \
	X(cold_ns, "ns", "pause after which all but 1/e of what a turn found warm is cold") \
	X(cold_shared, "ppm", "of that what turns of any kind keep warm; the rest those of its kind") \
	X(napi_turn_ns, "ns", "netback's interrupt and turn of NAPI for what a guest sends, without the packets") \
	X(netback_tx_ns, "ns", "netback's part of a packet that a guest sends, without the copy") \
	X(grant_map_ns, "ns", "netback maps what a packet has beyond its first 128 bytes") \
	X(guest_rx_turn_ns, "ns", "netback's thread wakes for what a guest receives, without the packets") \
	X(netback_rx_ns, "ns", "netback's part of a packet that a guest receives, without the copy") \
	X(dealloc_turn_ns, "ns", "netback's thread wakes to give mapped pages back, without these") \
	X(dealloc_ns, "ns", "netback gives a mapped page back") \
	X(bridge_ns, "ns", "bridge or switch, a packet") \
	X(nic_ns, "ns", "the physical device's driver, a packet") \
	X(netfront_ns, "ns", "the guest's driver, a packet") \
	X(stack_ns, "ns", "the guest's network stack and system call, a packet") \
	X(blkback_irq_ns, "ns", "blkback's interrupt handler") \
	X(blkback_look_ns, "ns", "blkback's thread looks after its pages where it has no requests, ten times a second") \
	X(blkback_turn_ns, "ns", "blkback's thread wakes, without the requests") \
	X(blkback_ns, "ns", "blkback, a request") \
	X(blkback_page_ns, "ns", "blkback, mapping and unmapping a page of a request") \
	X(blkfront_ns, "ns", "the guest's driver and block layer, a request") \
	X(disk_driver_ns, "ns", "the physical disk's driver, a request") \
	X(grant_copy_ns, "ns", "a grant copy operation without its bytes") \
	X(local_ps, "ps/byte", "moving a byte within a node (1 / bandwidth)") \
	X(remote_ps, "ps/byte", "moving a byte from or to another node at distance 20") \
	X(latency_ns, "ns", "a memory access that misses all caches, on the own node") \
	X(remote_latency_ns, "ns", "the same at distance 20") \
	X(misses, "ppm", "cache misses in each microsecond of CPU time of kernel code: what remoteness multiplies") \
	X(node_bandwidth, "bytes/s", "of one node's memory controllers") \
	X(link_bandwidth, "bytes/s", "of the link between two nodes") \
	X(smt_speed, "ppm", "speed of a thread whose sibling is busy") \
	X(scrub_bandwidth, "bytes/s", "of clearing freed pages") \
	X(page_ns, "ns", "balloon or migration, handling of a page without its copy") \
	X(create_ns, "ns", "CPU time of the toolstack to create a domain") \
	X(destroy_ns, "ns", "to destroy one, without scrubbing") \
	X(container_bytes, "B", "dom0's memory for a secondary container: one for each node that runs guests") \
	X(backend_bytes, "B", "dom0's memory for a back end: one for each virtual device") \
	X(contribution_bytes, "B", "dom0's memory for a guest, on each node that it runs on") \
	X(migrate_bytes, "B", "dom0's memory for copying a guest, as long as that takes") \
	X(io_hold_ns, "ns", "how long dom0 holds a byte of guests' I/O in memory")
/* clang-format on */

struct sim_costs {
#define X(member, unit, doc) uint64_t member;
	SIM_COSTS(X)
#undef X
};

/* ---- the machine: machine.c, memory.c ---- */

struct sim_pcpu {
	uint32_t id, node, core, sibling; /* sibling: pCPU of the same core, or CL_NONE */
	bool online;
	struct sim_pool *pool;
	struct sim_vcpu *running; /* NULL: idle */
	struct sim_event decide;  /* the scheduler is asked */
	uint64_t since_ns;        /* running or idle since */
	uint64_t slice_end_ns;
	uint64_t busy_ns, switches;
	void *sched; /* the scheduler's own */
	struct sim_world *world;
};

struct sim_node {
	uint64_t mem_bytes, free_bytes;
	uint64_t streams; /* bursts that move bytes from or to it now: they share its bandwidth */
	uint32_t distance[SIM_NODES_MAX];
};

/* ---- domains and their vCPUs: hyper.c ---- */

enum sim_vcpu_state { SIM_VCPU_OFFLINE, SIM_VCPU_BLOCKED, SIM_VCPU_RUNNABLE, SIM_VCPU_RUNNING };

/* A burst: what is left of it. */
struct sim_burst {
	uint64_t cpu_ns;   /* at full speed, with all memory near */
	uint64_t bytes;    /* moved as well */
	uint32_t from, to; /* nodes; CL_NONE: the node where it runs */
};

/* Work of an interrupt: the handler and the softirq that it raises. */
struct sim_irq_work {
	struct sim_irq_work *next;
	struct sim_irq *irq;
	struct sim_burst burst;
	void (*done)(struct sim_world *world, struct sim_irq_work *work);
	bool queued;
};

struct sim_vcpu {
	struct sim_domain *domain;
	uint32_t index;
	enum sim_vcpu_state state;
	struct sim_pcpu *pcpu; /* where it is, or was last */
	struct cl_cpuset hard, soft;
	uint64_t since_ns; /* in this state */
	uint64_t cpu_ns, wait_ns, blocked_ns, dispatches, moves;
	void *sched; /* the scheduler's own */

	/* the domain's kernel, on this vCPU: os.c */
	struct sim_task *task;                  /* whose burst is on, if no interrupt's is */
	struct sim_irq_work *irqs, **irqs_last; /* waiting; the first is the one that is on */
	bool in_irq, busy;      /* busy: the owner of what is over is being called */
	struct sim_task *queue; /* runnable tasks, but for the running one */
	uint32_t queued;
	uint64_t min_vruntime, slice_end_ns;
	struct sim_event over;       /* the present burst, or its slice */
	uint64_t began_ns, takes_ns; /* the present burst: since when, how long it would take */
	uint64_t penalty_ns;         /* switches and migrations that it has still to serve */
	uint64_t serving_ns;         /* those of them that are part of takes_ns */
	uint64_t overhead_ns;        /* ticks, switches, entries and exits: nobody's */
};

enum sim_domain_kind { SIM_DOM0, SIM_DRIVER, SIM_GUEST };

struct sim_balloon; /* balloon.c */

/* Kinds of turns of back ends, each a path of its own through the kernel. */
enum sim_turn {
	SIM_TURN_SEND,
	SIM_TURN_DEALLOC,
	SIM_TURN_RECEIVE,
	SIM_TURN_BLKBACK_IRQ,
	SIM_TURN_BLKBACK,
	SIM_TURNS
};

struct sim_domain {
	struct sim_world *world;
	enum sim_domain_kind kind;
	uint32_t id; /* domid */
	struct cl_uuid uuid;
	char name[32];
	struct sim_pool *pool;
	struct sim_vcpu *vcpus;
	uint32_t vcpu_count;
	uint64_t weight, cap;          /* cap: ppm of a CPU, 0: none */
	uint64_t period_ns, budget_ns; /* SEDF, RTDS: of each vCPU; 0: the scheduler's default */
	bool extra;                    /* SEDF, RTDS: takes part in extra time, as by default */
	uint64_t latency_ns;           /* SEDF: period to begin with after a long block; 0: none */
	uint64_t mem[SIM_NODES_MAX];   /* bytes on each node */
	uint64_t mem_max;
	uint64_t mem_target;         /* what its balloon is asked to leave it; 0: what it has */
	uint64_t balloon_max;        /* the most that its balloon gives; 0: it has none */
	struct sim_balloon *balloon; /* NULL: never asked */
	/* Pages: how often loads have written one, and how many different ones they write round and
	 * round. What was written in a while: the lesser of the two. */
	uint64_t dirty_writes, dirty_set;
	bool alive, paused;
	struct sim_group *root; /* its cgroups; guests have only the root */
	struct sim_task **tasks;
	uint32_t task_count, task_cap;
	struct sim_vif *vifs; /* for this guest, wherever their back ends are */
	struct sim_vbd *vbds;
	uint64_t turned_ns[SIM_TURNS + 1]; /* its back ends' last turn of each kind, and of any */
	void *sched;                       /* the scheduler's own */
};

/* ---- tasks and cgroups: os.c ---- */

struct sim_group {
	char path[CL_PATH_MAX];
	struct cl_cpuset cpus; /* vCPUs of its domain; effective ones */
	bool fenced;
	uint64_t quota_ns, period_ns; /* cpu.max; quota 0: none */
	uint64_t left_ns,
		debt_ns; /* debt: what several vCPUs took beyond it, of the next periods */
	bool throttled;
	struct sim_event refill;
	struct sim_domain *domain;
	struct sim_group *next;
	uint64_t cpu_ns, throttled_ns, throttled_since_ns;
};

enum sim_task_state { SIM_TASK_SLEEPING, SIM_TASK_RUNNABLE, SIM_TASK_RUNNING, SIM_TASK_GONE };

struct sim_task { /* at most 256 bytes */
	struct sim_domain *domain;
	struct sim_task *next; /* in its vCPU's queue */
	struct sim_group *group;
	struct cl_cpuset *mask; /* vCPUs of its domain; owned */
	/* Its burst is over: sim_task_run(next one), or nothing and it sleeps. */
	void (*done)(struct sim_world *world, struct sim_task *task);
	struct sim_burst burst;
	uint64_t vruntime, weight; /* 1024: nice 0 */
	uint64_t cpu_ns, wait_ns, since_ns;
	uint64_t *ran_ns;  /* by vCPU; owned */
	uint64_t *seen_ns; /* ran_ns as the host showed it last; owned */
	uint32_t vcpu;     /* where it is queued, or ran last */
	enum sim_task_state state;
	/* For the host's view. */
	enum cl_work_kind kind;
	uint32_t guest; /* domid that it works for, or CL_NONE */
	int32_t tid;
	uint32_t queue_vcpu;
	bool bound; /* to its mask for good */
	bool user;  /* a process: of the main container */
	char name[16];
	/* By rates: CPU that it asks for without a burst, at full speed; what it asks for where it
	 * is, and gets. ns a second. */
	uint64_t rate_ns, asked_ns, given_ns;
	/* need.c: when it last woke, and what it had run at the last look. */
	uint64_t woke_ns, looked_ns;
	bool served; /* it has a burst, and its owner is to be told when it is over */
};
_Static_assert(sizeof(struct sim_task) <= 256, "an entity has at most 256 bytes");

/* Runs a burst of the task; wakes it if it sleeps. Only when its last burst is over. */
void sim_task_run(struct sim_world *world, struct sim_task *task, const struct sim_burst *burst);
/* NULL: no memory. mask NULL: all vCPUs. The task is the caller's to embed, _done before it goes.
 */
bool sim_task_init(struct sim_world *world, struct sim_task *task, struct sim_domain *domain,
		   const char *name, void (*done)(struct sim_world *world, struct sim_task *task));
void sim_task_done(struct sim_world *world, struct sim_task *task);
/* Affinity and cgroup, as a thread's in Linux: the group bounds the mask. */
void sim_task_place(struct sim_world *world, struct sim_task *task, struct sim_group *group,
		    const struct cl_cpuset *mask);
struct sim_group *sim_group_new(struct sim_domain *domain, const char *path,
				const struct cl_cpuset *cpus);
struct sim_group *sim_group_find(struct sim_domain *domain, const char *path);
void sim_group_free(struct sim_group *group);
void sim_group_set(struct sim_world *world, struct sim_group *group, const struct cl_cpuset *cpus);
/* Fenced: its CPUs are taken from the root and from all who are in it. */
void sim_group_fence(struct sim_world *world, struct sim_group *group, bool fenced);
void sim_group_limit(struct sim_world *world, struct sim_group *group, uint64_t quota_ns,
		     uint64_t period_ns);

/* ---- interrupts: os.c ---- */

struct sim_irq { /* a Linux interrupt of the privileged side: bound to an event channel or device */
	struct sim_domain *domain; /* whose kernel takes it */
	uint32_t number, guest;    /* guest: domid for whom, or CL_NONE */
	char name[24];
	struct cl_cpuset mask; /* vCPUs */
	uint32_t target;       /* the one of them that takes it */
	uint64_t count, cpu_ns;
	uint64_t *ran_ns; /* by vCPU; owned */
};

bool sim_irq_init(struct sim_irq *irq, struct sim_domain *domain, const char *name, uint32_t guest);
void sim_irq_done(struct sim_irq *irq);
void sim_irq_place(struct sim_irq *irq, const struct cl_cpuset *mask);
/* Queues the work on the interrupt's vCPU and wakes that. Work that is queued already stays where
 * it is: interrupts merge. */
void sim_irq_raise(struct sim_world *world, struct sim_irq *irq, struct sim_irq_work *work);
/* The work will not be done: whom it belongs to goes. */
void sim_irq_drop(struct sim_world *world, struct sim_irq *irq, struct sim_irq_work *work);

/* ---- a kernel on a vCPU, as the hypervisor drives it: os.c ---- */

/* The vCPU has a pCPU from now on, or has lost it. */
void sim_os_go(struct sim_world *world, struct sim_vcpu *vcpu);
void sim_os_stop(struct sim_world *world, struct sim_vcpu *vcpu);
bool sim_os_idle(const struct sim_vcpu *vcpu); /* nothing to run */
void sim_os_init(struct sim_world *world, struct sim_vcpu *vcpu);
void sim_os_done(struct sim_world *world, struct sim_vcpu *vcpu);

/* ---- the hypervisor: hyper.c ---- */

struct sim_domain *sim_domain_new(struct sim_world *world, enum sim_domain_kind kind,
				  const char *name, uint32_t vcpus, struct sim_pool *pool);
void sim_domain_free(struct sim_world *world, struct sim_domain *domain);
void sim_balloon_done(struct sim_domain *domain); /* balloon.c: before the domain goes */
void sim_domain_pause(struct sim_world *world, struct sim_domain *domain, bool pause);
void sim_vcpu_wake(struct sim_world *world, struct sim_vcpu *vcpu);
void sim_vcpu_block(struct sim_world *world, struct sim_vcpu *vcpu);
void sim_vcpu_pin(struct sim_world *world, struct sim_vcpu *vcpu, const struct cl_cpuset *hard);
void sim_vcpu_prefer(struct sim_vcpu *vcpu, const struct cl_cpuset *soft);
/* Into another pool; its vCPUs may run anywhere in that. */
void sim_domain_move(struct sim_world *world, struct sim_domain *domain, struct sim_pool *pool);
/* Books the time in its state up to now. */
void sim_vcpu_account(struct sim_world *world, struct sim_vcpu *vcpu);
void sim_pcpu_init(struct sim_world *world, struct sim_pcpu *pcpu);
/* CPU time of all that ran there, up to now. */
uint64_t sim_pcpu_busy_ns(const struct sim_pcpu *pcpu);
/* The scheduler is asked what is to run there, as soon as may be. */
void sim_pcpu_tickle(struct sim_world *world, struct sim_pcpu *pcpu);
/* CPU time up to now, of one that is running as well. */
uint64_t sim_vcpu_cpu_ns(const struct sim_world *world, const struct sim_vcpu *vcpu);

/* ---- memory: memory.c ---- */

/* How long this burst takes on that pCPU, ns. */
uint64_t sim_burst_ns(const struct sim_world *world, const struct sim_pcpu *pcpu,
		      const struct sim_burst *burst);
/* Takes off what was done of it in elapsed of total ns. */
void sim_burst_cut(struct sim_burst *burst, uint64_t elapsed_ns, uint64_t total_ns);
/* Node that holds most of a domain's memory. */
uint32_t sim_domain_node(const struct sim_domain *domain);

/* ---- the world ---- */

struct sim_world {
	struct sim_queue queue; /* first: sim_world_of() */
	uint64_t seed;
	struct sim_costs costs;
	struct sim_node nodes[SIM_NODES_MAX];
	uint32_t node_count;
	struct sim_pcpu pcpus[SIM_PCPUS_MAX];
	uint32_t pcpu_count;
	struct sim_pool **pools;
	uint32_t pool_count;
	struct sim_domain **domains; /* by rising domid; dom0 first */
	uint32_t domain_count, domain_cap, next_domid;
	struct sim_irq **irqs; /* of dom0, by number */
	uint32_t irq_count, irq_cap, next_irq;
	int32_t next_tid;
	struct sim_manager *manager; /* manage.h; NULL: none; goes with the world */
	struct sim_fluid *fluid;     /* rates and shares (fluid.h); NULL: every packet */
};

/* fluid.c; nothing where every packet is there. Before counters are read: what was given up to now
 * is booked. */
void sim_settle(struct sim_world *world);
/* Before a setting changes, or something goes: booked up to now, and shared anew from now on. */
void sim_changed(struct sim_world *world);

static inline struct sim_world *sim_world_of(struct sim_queue *queue)
{
	return (struct sim_world *)(void *)queue;
}

/* value * part / whole, in 128 bits where it has to be: these take many times as long. */
static inline uint64_t sim_scale(uint64_t value, uint64_t part, uint64_t whole)
{
	uint64_t product;

	if (whole == 0)
		return 0;
	if (!__builtin_mul_overflow(value, part, &product))
		return product / whole;
	return (uint64_t)((unsigned __int128)value * part / whole);
}

static inline uint64_t sim_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#define sim_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* machine.c. Nodes and pCPUs as given; cores: pCPUs with equal core are siblings. */
struct sim_machine {
	uint32_t nodes, cores, threads; /* cores a node, threads a core */
	uint64_t mem_bytes;             /* a node */
	uint32_t distance;              /* between any two nodes */
};
struct sim_world *sim_world_new(uint64_t seed, const struct sim_machine *machine,
				const struct sim_costs *costs);
void sim_world_free(struct sim_world *world);

#endif
