/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manage_world: a host with a toolstack, and guests that write their memory. */
#ifndef CLOSER_TESTS_MANAGE_WORLD_H
#define CLOSER_TESTS_MANAGE_WORLD_H

#include "manage.h"
#include "sched_world.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

struct host {
	struct bench bench;
	struct sim_world *world;
	struct sim_domain *dom0;
	struct sim_manager *manager;
	struct sim_nic *nic;
	struct sim_disk *disk;
};

/* What the last operation said that was over, and how many have been. */
struct told {
	uint32_t times;
	int code;
	struct sim_op_result result;
	struct sim_domain *guest;
	uint64_t at_ns;
};

/* A domain's task that writes so many pages in each ms of its CPU time. */
struct writer {
	struct sim_task task;
	uint64_t pages;
	bool began;
};

/* dom0 has 1 GiB of node 0 and is pinned to that pCPU; 16 GiB a node. Nothing costs anything. */
void host_begin(struct host *host, uint32_t nodes, uint32_t cores, uint32_t dom0_pcpu);
void host_end(struct host *host);
/* Every byte is somebody's or free, on each node. */
void host_check(const struct host *host);
/* Events happen, and that is checked after each. */
void host_run(struct host *host, uint64_t ns);

/* One that is there at once: one vCPU on that pCPU. */
struct sim_domain *host_guest(struct host *host, const char *name, uint64_t bytes, uint32_t node,
			      uint32_t pcpu);
void writer_begin(struct host *host, struct writer *writer, struct sim_domain *guest,
		  uint64_t pages);
void writer_end(struct host *host, struct writer *writer);

struct sim_order host_order(enum sim_op_kind kind, struct sim_domain *guest, struct told *told);
/* Ordered, and carried on until it is over. */
void host_do(struct host *host, const struct sim_order *order, struct told *told);

#endif
