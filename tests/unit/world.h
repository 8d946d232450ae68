/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world: a small host made of lines, for the tests of core. Guests have a process each; threads are
 * added to them; time is moved by hand. snapshot() of it goes through the same add functions as a
 * real host's.
 */
#ifndef CLOSER_TESTS_WORLD_H
#define CLOSER_TESTS_WORLD_H

#include "lib.h"

#define WORLD_MAX 64

struct world_thread {
	int guest; /* index, -1: nobody's */
	int vcpu;  /* vCPU index, or -1: work */
	enum cl_work_kind kind;
	struct cl_tid id;
	uint32_t cpu;
	uint64_t cpu_ns, wait_ns;
	const char *mask;  /* list format */
	const char *group; /* path, NULL: none */
	const char *pcpus; /* of a vCPU under a hypervisor, NULL: none */
	uint32_t queue_vcpu;
	bool bound, gone;
};

struct world {
	uint32_t cpus, nodes,
		cores_per_node; /* CPUs are dealt to nodes in blocks; cores_per_node 0: no SMT */
	uint64_t now_ns;
	uint32_t can;
	const char *allowed;
	struct world_thread threads[WORLD_MAX];
	int thread_count;
	uint64_t home[WORLD_MAX]; /* per guest */
	uint32_t most[WORLD_MAX];
	uint64_t reaped_ns[WORLD_MAX];
	bool guest_gone[WORLD_MAX];
	uint32_t domid[WORLD_MAX];
	int guest_count;
	/* Under a hypervisor: its CPUs, dealt to nodes in blocks; those of the pool that its
	 * privileged domain is in; those that each of that one's vCPUs, which `cpus` counts, may be
	 * on. */
	uint32_t pcpus;
	const char *pool, *pins[WORLD_MAX];
	const char *other_pool; /* a second one, of these guests */
	bool in_other_pool[WORLD_MAX];
	const char *groups[WORLD_MAX]; /* groups that exist besides those of threads: path, cpus */
	const char *group_cpus[WORLD_MAX];
	int group_count;
	bool fenced; /* /closer is a partition: so after FENCE was applied */
	int nic_guest[4];
	uint32_t nic_threaded[4];
	uint64_t nic_sent_bytes[4], nic_sent[4], nic_received[4]; /* by the guest, cumulative */
	int nic_count;
	int disk_guest[4];
	uint64_t disk_bytes[4], disk_ops[4]; /* written, cumulative */
	uint64_t wakeup_ns[WORLD_MAX];       /* by guest, cumulative */
	int disk_count;
	int irq_guest[4];
	uint32_t irq_vcpu[4]; /* whose queue it serves, or CL_NONE */
	int irq_count;
	uint64_t busy_ns, main_ns, kernel_ns; /* of CPU 0, cumulative */
	uint64_t stale_ns;                    /* how long ago the threads were read */
	uint64_t undescribed_ns;              /* how long ago the guests were described */

	struct cl_params params;
	struct cl_state *state;
	struct cl_snapshot *prev, *now;
	struct cl_plan *plan;
};

void world_init(struct world *w, uint32_t cpus, uint32_t nodes);
void world_done(struct world *w);
int world_guest(struct world *w, uint64_t home); /* its index */
struct world_thread *world_vcpu(struct world *w, int guest, int index, uint32_t cpu,
				const char *mask);
struct world_thread *world_work(struct world *w, int guest, enum cl_work_kind kind,
				const char *mask);
void world_uuid(int guest, struct cl_uuid *ret_uuid);
/* Advances a second, lets each thread run `share` of it (per cent), observes, checks and decides.
 */
void world_tick(struct world *w, int share);
/* The action on this thread, or NULL. */
const struct cl_action *world_action(const struct world *w, const struct world_thread *t);
/* From now on under a hypervisor; nobody has pinned anything. */
void world_hypervisor(struct world *w, uint32_t pcpus);
void world_pin(struct world *w, uint32_t cpu, const char *pcpus);
void world_move(struct world_thread *vcpu, const char *pcpus);
/* Applies the plan to the world as a host would, and tells the state that all went well. */
void world_apply(struct world *w);
const struct cl_verdict *world_verdict(const struct world *w, const struct world_thread *t);
/* The CPU list of a mask of the plan, in a static buffer. */
const char *world_cpus(const struct world *w, struct cl_mask_ix mask);
/* Ticks and applies n times. */
void world_run(struct world *w, int n, int share);

#endif
