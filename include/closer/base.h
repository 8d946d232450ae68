/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * base: what every other header needs.
 *
 *   host.observe() -> snapshot -> decide -> plan -> journal -> host.apply() -> undo
 *
 * Limits, identities, indices, CPU sets and the error object. Nothing here allocates.
 */
#ifndef CLOSER_BASE_H
#define CLOSER_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits. Array capacities come from the caller (struct cl_limits); these bound single values. */
#define CL_CPUS_MAX  4096u      /* highest CPU number + 1 */
#define CL_NODES_MAX 64u        /* NUMA nodes: a node set is one uint64_t */
#define CL_NAME_MAX  64u        /* bytes of a name, NUL included */
#define CL_PATH_MAX  512u       /* bytes of a cgroup path, NUL included */
#define CL_ERROR_MAX 512u       /* bytes of an error message, NUL included */
#define CL_NONE      UINT32_MAX /* an index that points nowhere */
#define CL_UNKNOWN   UINT64_MAX /* a counter that was not read; never zero in its place */

#define CL_NS_PER_S  UINT64_C(1000000000)
#define CL_NS_PER_US UINT64_C(1000)
#define CL_NS_PER_MS UINT64_C(1000000)
#define CL_PPM       UINT64_C(1000000)

/* Indices into the arrays of one snapshot. Distinct types, so that mixing them does not compile. */
struct cl_cpu_ix {
	uint32_t v;
};
struct cl_node_ix {
	uint32_t v;
};
struct cl_mask_ix {
	uint32_t v;
};
struct cl_group_ix {
	uint32_t v;
};
struct cl_guest_ix {
	uint32_t v;
};
struct cl_vcpu_ix {
	uint32_t v;
};
struct cl_work_ix {
	uint32_t v;
};
struct cl_nic_ix {
	uint32_t v;
};

/* A guest's identity: RFC 4122 bytes. Names, pids and domids are only where it is now. */
struct cl_uuid {
	uint8_t b[16];
};
#define CL_UUID_TEXT 37u /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and NUL */

/* A thread's identity: its id and when it started, in clock ticks since boot (proc(5), stat field
 * 22). */
struct cl_tid {
	int32_t tid;
	uint64_t start;
};

/* A set of CPUs by number, the kernel's view. 512 bytes: pass by pointer. */
struct cl_cpuset {
	uint64_t w[CL_CPUS_MAX / 64];
};

/* core/cpuset.c. Pure; every function asserts cpu < CL_CPUS_MAX. */
void cl_cpuset_zero(struct cl_cpuset *set);
void cl_cpuset_add(struct cl_cpuset *set, uint32_t cpu);
bool cl_cpuset_has(const struct cl_cpuset *set, uint32_t cpu);
bool cl_cpuset_empty(const struct cl_cpuset *set);
bool cl_cpuset_equal(const struct cl_cpuset *a, const struct cl_cpuset *b);
bool cl_cpuset_subset(const struct cl_cpuset *part, const struct cl_cpuset *whole);
bool cl_cpuset_meets(const struct cl_cpuset *a, const struct cl_cpuset *b);
void cl_cpuset_and(struct cl_cpuset *a, const struct cl_cpuset *b);
void cl_cpuset_or(struct cl_cpuset *a, const struct cl_cpuset *b);
void cl_cpuset_andnot(struct cl_cpuset *a, const struct cl_cpuset *b);
uint32_t cl_cpuset_count(const struct cl_cpuset *set);
/* The first CPU >= from, or CL_NONE. for (c = next(s, 0); c != CL_NONE; c = next(s, c + 1)) */
uint32_t cl_cpuset_next(const struct cl_cpuset *set, uint32_t from);
/* 64-bit hash of the content (never 0): state keeps it where a whole set would be too much. */
uint64_t cl_cpuset_hash(const struct cl_cpuset *set);
/*
 * The kernel's list format, "0-3,8,10-11" (cpuset(7), FORMATS, List format). parse reads at most
 * len bytes, takes trailing white space, and returns false on anything else, on reversed ranges and
 * on numbers >= CL_CPUS_MAX; "" is the empty set. format writes at most size bytes with NUL and
 * returns the length that it would have liked (as snprintf).
 */
bool cl_cpuset_parse(const char *text, size_t len, struct cl_cpuset *ret_set);
size_t cl_cpuset_format(const struct cl_cpuset *set, char *buf, size_t size);

int cl_uuid_compare(const struct cl_uuid *a, const struct cl_uuid *b);
bool cl_uuid_parse(const char *text, struct cl_uuid *ret_uuid); /* exactly 36 characters */
void cl_uuid_format(const struct cl_uuid *uuid, char buf[CL_UUID_TEXT]);

/*
 * The error object: last argument, set only on failure, with what was being done, to what, and what
 * to do about it. lib/error.c. A NULL reterr is fine everywhere.
 */
struct cl_error {
	int code; /* errno value, positive */
	char text[CL_ERROR_MAX];
};
/* Sets *reterr and returns -code. */
int cl_fail(struct cl_error *reterr, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
