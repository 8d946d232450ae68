/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manage: what a toolstack does to a host, as work of dom0.
 *
 *   sim_manager_new -> { sim_manage(order) -> .. -> order.done }* -> sim_manager_free
 *
 * An operation is a task of dom0 (and of the guest, where that has a part in it): how long it takes
 * follows from the CPU that it gets, from where it runs and from the line or disk that it uses.
 * Creating and destroying are the host's own work (the main container's); shutting down, saving,
 * restoring and migrating are work for their guest.
 *
 * Memory: of each node what is free and what domains have is always what there is. A freed page is
 * cleared before somebody else gets it: by an idle pCPU of its node, one a node, as Xen does since
 * 4.10, and by whoever allocates it if it was not cleared yet; or at once, by whoever frees it, as
 * before.
 */
#ifndef CLOSER_SIM_MANAGE_H
#define CLOSER_SIM_MANAGE_H

#include "load.h"

/* X(ID, "name", who pays: of the guest or of the host, what it is) */
/* clang-format off */
#define SIM_OPS(X) \
	X(CREATE, "create", false, "a new guest: toolstack and memory") \
	X(DESTROY, "destroy", false, "a guest goes at once: toolstack and memory") \
	X(SHUTDOWN, "shutdown", true, "the guest stops by itself, then goes") \
	X(SAVE, "save", true, "the guest stops, its memory is written to a disk, it goes") \
	X(RESTORE, "restore", true, "a new guest, its memory read from a disk") \
	X(MIGRATE, "migrate", true, "its memory goes over the line while it runs, then it stops and goes") \
	X(BALLOON, "balloon", false, "memory from one domain or free memory to another or to free memory")
/* clang-format on */

enum sim_op_kind {
#define X(id, name, guest, doc) SIM_OP_##id,
	SIM_OPS(X)
#undef X
		SIM_OP_COUNT
};

/* As Xen's tools: tools/libs/guest/xg_sr_save.c, simple_precopy_policy. */
#define SIM_ROUNDS_MOST 5u /* SPP_MAX_ITERATIONS: rounds while the guest runs */
#define SIM_FEW_PAGES                                                                              \
	50u /* SPP_TARGET_DIRTY_COUNT: fewer are left for the time it stands still                 \
	     */

struct sim_op;

struct sim_order {
	enum sim_op_kind kind;
	/* Whom; balloon: who gives, or NULL: free memory. Create, restore: NULL. */
	struct sim_domain *guest;
	struct sim_domain *taker; /* balloon: or NULL: free memory */
	/* Create, restore. pool NULL: dom0's. bytes: balloon, too. */
	const char *name;
	uint32_t vcpus;
	struct sim_pool *pool;
	uint64_t bytes;
	uint64_t nodes;        /* mask of where its memory is to be; 0: where most is free */
	uint64_t guest_ns;     /* shutdown: CPU time in the guest, until it has stopped */
	struct sim_nic *nic;   /* migrate: NULL: the manager's */
	struct sim_disk *disk; /* save, restore: NULL: the manager's */
	uint32_t rounds;       /* migrate: at most, before the guest stands still; 0: Xen's */
	void (*done)(struct sim_op *op); /* or NULL. The operation is gone afterwards. */
	void *owner;                     /* the caller's */
};

/* What an operation has come to; for order.done. */
struct sim_op_result {
	int code;               /* 0 or -errno: ESRCH: the guest was destroyed meanwhile */
	uint64_t took_ns;       /* all of it */
	uint64_t copied_ns;     /* save, restore, migrate: until the last byte was over */
	uint64_t copied_bytes;  /* all rounds */
	uint64_t standstill_ns; /* save, migrate: the guest's, until the last byte was over */
	uint32_t rounds;        /* migrate: while it ran */
};

const struct sim_order *sim_op_order(const struct sim_op *op);
const struct sim_op_result *sim_op_result(const struct sim_op *op);
/* Whom it is about; of create and restore: the new one. */
struct sim_domain *sim_op_guest(const struct sim_op *op);
const char *sim_op_name(enum sim_op_kind kind);

struct sim_op_counts {
	uint64_t begun, done, failed;
	uint64_t took_ns, standstill_ns; /* sums, of those that are done */
	struct sim_histogram took;
};

struct sim_scrub; /* pages.c */

struct sim_manager {
	struct sim_world *world;
	struct sim_nic *nic;   /* to other hosts; NULL: no migration */
	struct sim_disk *disk; /* for saved guests; NULL: no saving */
	bool scrub_at_once;    /* Xen before 4.10 */
	struct sim_op *ops, *drained;
	struct sim_scrub *scrub;
	struct sim_op_counts counts[SIM_OP_COUNT];
};

/* The world's, from now on, and freed with it. NULL: no memory. */
struct sim_manager *sim_manager_new(struct sim_world *world);
/* Before the domains are freed; what is under way is dropped, without a word. */
void sim_manager_free(struct sim_manager *manager);
/* Refused: 0 is not returned, and nothing has changed. A guest has one operation at a time, but
 * may be destroyed at any time. It is then without memory, paused and not alive; its record is the
 * caller's, to be freed or not. */
int sim_manage(struct sim_manager *manager, const struct sim_order *order, struct cl_error *reterr);
/* Whoever ordered it goes: what is under way for this owner goes on, and nobody is told. Whom it is
 * about; NULL: there was none. */
struct sim_domain *sim_manage_forget(struct sim_manager *manager, const void *owner);
/* By names, for scenarios; an operation of SIM_OPS, "pause" or "unpause". number: create, restore,
 * balloon: bytes (to have); shutdown: CPU time in the guest; else not used. */
int sim_manage_event(struct sim_world *world, const char *what, const char *guest, uint64_t number,
		     struct cl_error *reterr);
/*
 * The domain's balloon is asked to leave it so many bytes, and goes on until it has them: it waits
 * for memory that is not free yet, gives no more than its driver can, and takes no more than the
 * domain may have. False: no memory.
 */
bool sim_balloon_aim(struct sim_world *world, struct sim_domain *domain, uint64_t bytes);
/* What was done since the counts were zeroed. */
void sim_manage_report(const struct sim_manager *manager, struct sim_report *report);

/* ---- memory: pages.c ---- */

/* Which nodes have so much free: of those of the mask; 0: the one with most, all if it takes more.
 * False: there is not so much. ret_bytes: of each node. */
bool sim_mem_plan(const struct sim_world *world, uint64_t nodes, uint64_t bytes,
		  uint64_t ret_bytes[SIM_NODES_MAX]);
/* Takes it from a node; how much of it has still to be cleared by the caller. Not more than is
 * free. manager NULL: all is clear. */
uint64_t sim_mem_take(struct sim_manager *manager, struct sim_domain *domain, uint32_t node,
		      uint64_t bytes);
/* dirty: to be cleared by idle pCPUs. */
void sim_mem_give(struct sim_manager *manager, struct sim_domain *domain, uint32_t node,
		  uint64_t bytes, bool dirty);
uint64_t sim_mem_unscrubbed(const struct sim_manager *manager, uint32_t node);
uint64_t sim_domain_bytes(const struct sim_domain *domain);

/* ---- what stacks need of dom0 (Mvondo 2017, 2.1): stacks.c ---- */

struct sim_stack {
	const char *name, *doc;
	uint32_t vcpus;
	uint64_t mem_bytes;
};
/* Ended by one without a name. */
extern const struct sim_stack sim_stacks[];
const struct sim_stack *sim_stack_find(const char *name);

#endif
