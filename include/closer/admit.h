/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * admit: what a guest that is to be started would start with, where, and whether it fits.
 *
 *   configuration -> cl_admit_ask; snapshot, params -> cl_admit() -> cl_admission
 *
 * Pure. Bytes.
 */
#ifndef CLOSER_ADMIT_H
#define CLOSER_ADMIT_H

#include <closer/params.h>
#include <closer/snapshot.h>

struct cl_admit_ask {
	char name[CL_NAME_MAX]; /* as its owner wrote it: hostile, print escaped; "" */
	uint64_t mem_bytes;     /* M: what it asks for */
	uint64_t max_bytes;     /* what it may be given later; at least M */
	uint32_t vcpus, devices;
	struct cl_cpuset pcpus; /* that its vCPUs may be on; empty: any */
	bool elsewhere;         /* `cpus` said something that is no list: any was taken */
};

enum cl_admit_verdict {
	CL_ADMIT_FITS,
	CL_ADMIT_NO_MEMORY, /* the hypervisor has not that much free */
	CL_ADMIT_NO_CPU,    /* none of the CPUs that it may be on is there */
};

struct cl_admission {
	enum cl_admit_verdict verdict;
	uint64_t nodes;       /* of its memory, one bit a node */
	bool spread;          /* no node has room for all of it */
	uint64_t eps_bytes;   /* for each of them; 0: it is too small to contribute */
	uint64_t start_bytes; /* M - n * eps (thesis, Algorithm 1) */
	uint64_t room_bytes;  /* free for guests now: less what is promised, and the reserve */
	uint64_t short_bytes; /* of M, where it does not fit */
};

/*
 * It starts on the node with most free memory of those that its CPUs are on, if all of M is free
 * there, else on all of these. M must be free when it is made: what it contributes comes from it
 * afterwards.
 */
void cl_admit(const struct cl_snapshot *snap, const struct cl_params *params,
	      const struct cl_admit_ask *ask, struct cl_admission *ret_admission);

#endif
