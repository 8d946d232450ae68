/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manage_op: what the files of the toolstack share. */
#ifndef CLOSER_SIM_MANAGE_OP_H
#define CLOSER_SIM_MANAGE_OP_H

#include "manage.h"

#define SIM_CARRY_MOST 16u

/* A piece of a copy that is on the line, or at the disk. */
struct sim_carry {
	struct sim_op *op;
	struct sim_packet packet;
	struct sim_request request;
	uint32_t bytes;
	bool busy;
};

/* Pages from or to somewhere outside: copy.c. */
struct sim_copy {
	uint64_t left[SIM_NODES_MAX]; /* of this round, in the guest's memory */
	uint64_t batch;               /* being copied by the helper; of node: */
	uint32_t node;
	uint64_t buffered;    /* sent: copied and not over yet. received: read and not copied */
	uint64_t on_way;      /* sent: of them, on the line or at the disk. received: beside them */
	uint64_t to_read;     /* received: not asked for yet */
	uint64_t seen_writes; /* the guest's, when this round began */
	uint64_t stopped_ns;
	uint64_t sector;
	bool copying, waiting; /* the helper: at work, or until there is room in the buffer */
	bool last, closing;    /* the last round; all of it is in the buffer */
	uint32_t carry_count, piece;
	struct sim_carry carries[SIM_CARRY_MOST];
	struct sim_flow flow;
	struct sim_nic *nic;
	struct sim_disk *disk;
};

struct sim_op {
	struct sim_op *next;
	struct sim_manager *manager;
	struct sim_order order;
	struct sim_domain *guest;
	struct sim_op_result result;
	uint64_t began_ns;
	struct sim_task task; /* dom0's; balloon: the giver's */
	struct sim_task peer; /* in the guest; balloon: the taker's */
	bool has_task, has_peer;
	void (*step)(struct sim_op *op);      /* the task's burst is over */
	void (*peer_step)(struct sim_op *op); /* the peer's */
	uint32_t node;                        /* destroy, balloon: at which it is */
	uint64_t left;                        /* balloon: bytes; part: of them, on their way */
	uint64_t part;
	uint32_t under_way; /* pieces that will come back */
	bool ended;
	struct sim_copy copy;
};

struct sim_scrub {
	struct sim_manager *manager;
	uint32_t node;
	uint64_t bytes; /* free and not clear */
	uint64_t began_ns;
	uint64_t busy_ns[SIM_PCPUS_MAX]; /* of each pCPU, when the step began */
	bool on;
	struct sim_event step;
};

bool sim_scrub_init(struct sim_manager *manager);
void sim_scrub_done(struct sim_manager *manager);

/* ---- manage.c ---- */

/* The task does this, and then step is called. */
void sim_op_run(struct sim_op *op, const struct sim_burst *burst, void (*step)(struct sim_op *op));
void sim_op_run_peer(struct sim_op *op, const struct sim_burst *burst,
		     void (*step)(struct sim_op *op));
/* A task of its own in that domain, or *reterr. */
bool sim_op_task(struct sim_op *op, struct sim_domain *domain, const char *name);
bool sim_op_peer(struct sim_op *op, struct sim_domain *domain, const char *name);
/* A piece has come back. False: the operation is over, and gone with its last piece. */
bool sim_op_back(struct sim_op *op);
/* It is over: the caller is told, and it is gone. code: 0 or errno. */
void sim_op_end(struct sim_op *op, int code);
/* Back ends and containers of a guest that is no more; its memory. Then the operation is over. */
void sim_op_destroy(struct sim_op *op);
uint64_t sim_scrub_ns(const struct sim_world *world, uint64_t bytes);

/* ---- create.c, copy.c, balloon.c: the beginning of each kind ---- */

int sim_op_create(struct sim_op *op, struct cl_error *reterr);
int sim_op_restore(struct sim_op *op, struct cl_error *reterr);
int sim_op_save(struct sim_op *op, struct cl_error *reterr);
int sim_op_migrate(struct sim_op *op, struct cl_error *reterr);
int sim_op_balloon(struct sim_op *op, struct cl_error *reterr);
/* A new guest as ordered, paused, with its memory; how long clearing the memory takes whoever
 * makes it. */
int sim_op_new_guest(struct sim_op *op, uint64_t *ret_clear_ns, struct cl_error *reterr);
void sim_copy_receive(struct sim_op *op);

#endif
