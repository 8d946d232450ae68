/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topology: CPUs, SMT siblings, nodes, distances (hwloc; without it one node and no siblings), and
 * /proc/stat. */
#ifndef CLOSER_TOPOLOGY_H
#define CLOSER_TOPOLOGY_H

#include <closer/snapshot.h>

struct cl_topology;

int cl_topology_new(struct cl_topology **ret_topology, struct cl_error *reterr);
void cl_topology_free(struct cl_topology *topology);
/*
 * Adds cpus and nodes, fills `allowed` (online CPUs inside this process' cpuset), the free memory
 * of the nodes and the CPUs' times from /proc/stat through a kept descriptor. Re-reads the topology
 * when the set of CPUs in /proc/stat has changed. Steady state: no open, fork or malloc.
 */
int cl_topology_observe(struct cl_topology *topology, struct cl_snapshot *snap,
			struct cl_error *reterr);

#endif
