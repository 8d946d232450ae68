/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * advise: how large the privileged side should be, by what was measured, by what a management stack
 * is known to need, and by the rules that others go by.
 *
 *   measured over time -> cl_advice_input -> cl_advise() -> cl_advice        cl_rule_*(): the
 * others
 *
 * Pure. Bytes, and ppm of a CPU; CL_UNKNOWN: not measured.
 */
#ifndef CLOSER_ADVISE_H
#define CLOSER_ADVISE_H

#include <closer/snapshot.h>

/* Oracle VM's: 502 + int(MB of the host * 0.0205), in MiB (Oracle VM Installation Guide). */
uint64_t cl_rule_oracle_mib(uint64_t host_bytes);
/* XenServer's since 2.9: mb = (KiB + 262144) / 1024, then min((1024 + int(0.05 * mb)) & ~15, 8192).
 */
uint64_t cl_rule_xenserver_mib(uint64_t host_bytes);
/* min(16, pCPUs); at most 4 where dom0 has less than 2 GiB, 8 where it has less than 4 GiB. */
uint32_t cl_rule_xenserver_vcpus(uint64_t dom0_bytes, uint32_t pcpus);

struct cl_advice_input {
	uint64_t host_bytes;
	uint32_t pcpus, nodes, devices; /* devices: guests' disks and network devices */
	uint32_t stack_vcpus;           /* of the stack, 0: none was named */
	uint64_t stack_bytes;
	uint64_t main_peak;  /* CPU of the main container, ppm */
	uint64_t work_peak;  /* and with that of guests' work beside it */
	uint64_t used_peak;  /* memory in use on the privileged side, bytes */
	uint64_t contribute; /* the most that guests may contribute to it (Algorithm 1), bytes */
};

struct cl_advice {
	uint32_t main_vcpus; /* of the main container */
	uint32_t busy_vcpus; /* that its peak and that of guests' work kept busy */
	uint32_t vcpus;   /* of dom0: one for each pCPU, the others idle until guests need them */
	uint64_t mem_mib; /* dom0_mem= */
	uint64_t max_mib; /* max:, with room for what guests contribute */
	bool too_small;   /* the host has less than mem_mib */
};

/*
 * Main container: what its stack needs (thesis, table 3.2), or what it was seen to use, a quarter
 * more, whichever is more; secondary containers: 75 MB a node from the start, 44 KB a device
 * (thesis 3.3.1).
 */
void cl_advise(const struct cl_advice_input *in, struct cl_advice *ret_advice);

/*
 * The value that p per cent of n samples are not above (nearest rank). Sorts the samples, of which
 * none is CL_UNKNOWN. n > 0, p from 1 to 100.
 */
uint64_t cl_percentile(uint64_t *samples, uint32_t n, uint32_t p);

/* The most that guests of this host may contribute by the parameters, down to their floors. */
struct cl_params;
uint64_t cl_contribute_most(const struct cl_snapshot *snap, const struct cl_params *params);

/*
 * Bytes in use on the privileged side: of a domain all that is not available, what its kernel took
 * before it began to count (MemTotal) as well; of a KVM host, what guests' processes hold is
 * theirs. CL_UNKNOWN: it is not.
 */
uint64_t cl_memory_used(const struct cl_snapshot *snap);

#endif
