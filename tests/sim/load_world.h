/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load_world: a small host with a guest that has a vif and a disk, to try loads on. */
#ifndef CLOSER_TESTS_LOAD_WORLD_H
#define CLOSER_TESTS_LOAD_WORLD_H

#include "load.h"
#include "sched.h"

#define US CL_NS_PER_US
#define MS CL_NS_PER_MS
#define S  CL_NS_PER_S

#define HOST_LOADS 32u

struct host {
	struct sim_world *world;
	struct sim_domain *dom0, *guest;
	struct sim_nic *nic;
	struct sim_disk *disk;
	struct sim_vif *vif;
	struct sim_vbd *vbd;
	struct sim_load *loads[HOST_LOADS];
	uint32_t load_count;
};

/* Four pCPUs, dom0 on two, the guest on the other two. costs NULL: nothing costs anything. */
void host_begin(struct host *host, uint64_t seed, const struct sim_costs *costs);
/* Loads are stopped, devices freed; nothing may be left in them. */
void host_end(struct host *host);
void host_run(struct host *host, uint64_t ns);
/* Costs of the usual order. */
extern const struct sim_costs host_costs;

/* In the guest; by parameters "name", value .. NULL. */
struct sim_load *host_load(struct host *host, const char *type, ...) __attribute__((sentinel));
void host_start(struct host *host, struct sim_load *load);
void host_set(struct sim_load *load, const char *name, uint64_t value);
void host_stop(struct host *host, struct sim_load *load);
/* Counts anew and runs for so long; then host_metric tells of that time. */
void host_measure(struct host *host, struct sim_load *load, uint64_t ns,
		  struct sim_report *ret_report);
double metric(const struct sim_report *report, const char *name);
/* Nothing of anybody is in the guest's devices or under way. */
void host_is_empty(const struct host *host);
void near(double is, double should_be, double tolerance);

#endif
