/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: records of Xen's trace buffers, in the order of time.
 *
 *   add_file, or { add a pCPU's new bytes }* and pass -> { next }* until there is none -> free
 *
 * Bytes are a file's as xentrace writes it (for each piece a record "change of CPU" with the pCPU
 * and the piece's size, then that pCPU's records), or those of a pCPU's buffer. Both are read as
 * hostile: bounded and checked before anything is made of them. No Xen is needed, no clock read.
 *
 * Formats: Xen's public trace.h; who writes what: xen/common/trace.c and xen/common/sched/core.c of
 * Xen 4.8 to 4.20; the file: tools/xentrace/xentrace.c.
 */
#ifndef CLOSER_XEN_TRACE_H
#define CLOSER_XEN_TRACE_H

#include <closer/base.h>

#define CL_TRACE_WORDS 7u
#define CL_TRACE_IDLE  0x7fffu /* the domain that runs where nobody does: DOMID_IDLE */

enum cl_trace_event {
	CL_TRACE_LOST = 0x1f001,       /* {count, domain and vCPU, first tsc low, high} */
	CL_TRACE_WRAP = 0x1f002,       /* fills the buffer's end */
	CL_TRACE_CPU_CHANGE = 0x1f003, /* in files: {pCPU, bytes that follow} */
	CL_TRACE_RUNSTATE = 0x21001,   /* {domain << 16 | vCPU}; states are in the event's number */
	CL_TRACE_CONTINUE = 0x21002,   /* {domain << 16 | vCPU}: goes on running */
	CL_TRACE_DOM_REM = 0x28002,    /* {domain} */
	CL_TRACE_INFPREV = 0x2800e,    /* {domain, vCPU, ns that it ran} */
	CL_TRACE_INFNEXT = 0x2800f,    /* {domain, vCPU, ns since it could run, slice in ns} */
	CL_TRACE_INFCONT = 0x28011,    /* {domain, vCPU, ns that it ran, slice in ns} */
	CL_TRACE_HVM_VMMCALL = 0x82012, /* {number of the hypercall} */
	CL_TRACE_GRANT_MAP = 0x10f001,  /* {domain that granted the page} */
	CL_TRACE_GRANT_TRANSFER = 0x10f003,
	CL_TRACE_PV_HYPERCALL =
		0x20100d, /* {number of the hypercall and its arguments' form, ..} */
};

enum cl_trace_state { /* RUNSTATE_*, as Xen's vcpu.h numbers them */
		      CL_TRACE_RUNNING,
		      CL_TRACE_RUNNABLE,
		      CL_TRACE_BLOCKED,
		      CL_TRACE_OFFLINE,
		      CL_TRACE_STATES
};

struct cl_trace_record {
	uint64_t tsc;       /* cycles; of LOST when the first was lost */
	uint64_t until_tsc; /* LOST: until then; others: tsc */
	uint32_t pcpu;
	uint32_t event;   /* enum cl_trace_event; without the states of RUNSTATE */
	uint8_t from, to; /* RUNSTATE: enum cl_trace_state */
	uint8_t word_count;
	uint32_t words[CL_TRACE_WORDS];
	uint64_t epoch; /* times that this pCPU's clock was set: tsc compares within one alone */
};

/* What a CPU's clock may count in a second. */
#define CL_TRACE_HZ_LEAST UINT64_C(10000000)
#define CL_TRACE_HZ_MOST  UINT64_C(100000000000)

struct cl_trace;

/* NULL: no memory. */
struct cl_trace *cl_trace_new(void);
void cl_trace_free(struct cl_trace *trace); /* NULL is fine */

/*
 * All of a file; bytes stay the caller's, and must stay as long as the trace does. -EINVAL: not a
 * trace, or of another byte order; -ENOTSUP: of another version; -ENODATA: it is empty; -EBADMSG:
 * torn at the byte that the error names, all whole records before it are there; -ENOMEM.
 */
int cl_trace_add_file(struct cl_trace *trace, const uint8_t *bytes, size_t len,
		      struct cl_error *reterr);
/* What was added since a pCPU's last bytes; whole records; copied. Errors as above. */
int cl_trace_add(struct cl_trace *trace, uint32_t pcpu, const uint8_t *bytes, size_t len,
		 struct cl_error *reterr);
/*
 * All pCPUs' buffers were read once more. A buffer that was read early in a pass may lack what one
 * that was read late has, so records are given up to the newest of the pass before.
 */
void cl_trace_pass(struct cl_trace *trace);
void cl_trace_flush(struct cl_trace *trace); /* nothing more will come: give all */
/* The next by time that is one of enum cl_trace_event's which tell of vCPUs: true, or false if
 * there is none to be given yet. */
bool cl_trace_next(struct cl_trace *trace, struct cl_trace_record *ret);
/* Begin again with the first; only after add_file. */
void cl_trace_rewind(struct cl_trace *trace);

/*
 * Cycles a second, out of the records: Xen says in ns how long a vCPU ran when it is switched out,
 * and records bear the cycles. The median of the longest, and what is near it, since the ns are 32
 * bits and wrap. 0: nothing to tell it by. After add_file.
 */
uint64_t cl_trace_hz(const struct cl_trace *trace);
/* Times that a pCPU's clock went back, or went far forth for one record; of those given so far. */
uint64_t cl_trace_jumps(const struct cl_trace *trace);

/*
 * Where the unread part of a pCPU's ring lies. cons and prod run from 0 to 2 * size - 1 (trace.h):
 * two pieces, the second empty where the ring was not wrapped. False: no such numbers can be.
 */
struct cl_trace_piece {
	uint32_t at, len;
};
bool cl_trace_pieces(uint32_t cons, uint32_t prod, uint32_t size, struct cl_trace_piece ret[2]);

#endif
