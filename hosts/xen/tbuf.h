/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tbuf: Xen's trace buffers, read by foreign mapping.
 *
 *   open -> states -> { wait on fd; read }* -> close
 *
 * Of the module for Xen; reached through cl_xen_tbuf_load (xen.h). There is one reader at a time:
 * whoever has the interrupt VIRQ_TBUF. While it is open Xen traces; closing ends that, whoever
 * began it, since Xen does not say whether it was on.
 */
#ifndef CLOSER_XEN_TBUF_H
#define CLOSER_XEN_TBUF_H

#include "xen/trace.h"

#define CL_TBUF_SCHED 0x00029000u /* run states and switches, not the schedulers' own */
#define CL_TBUF_MEM   0x00100000u /* grants */
#define CL_TBUF_PV    0x00200000u /* hypercalls of PV guests, and their traps and page faults */
#define CL_TBUF_PAGES 32u         /* a pCPU, where no size was set since Xen's boot */

struct cl_tbuf;

typedef int (*cl_tbuf_take_fn)(void *ctx, uint32_t pcpu, const uint8_t *bytes, size_t len,
			       struct cl_error *reterr);
typedef void (*cl_tbuf_state_fn)(void *ctx, uint32_t domid, uint32_t vcpu,
				 enum cl_trace_state state, uint32_t pcpu);

struct cl_xen_tbuf {
	/* mask: CL_TBUF_*. -EBUSY: another reads; -ENOSYS: this Xen has no trace. */
	int (*open)(uint32_t mask, struct cl_tbuf **ret_tbuf, struct cl_error *reterr);
	/* What every vCPU is now. */
	int (*states)(struct cl_tbuf *tbuf, cl_tbuf_state_fn fn, void *ctx,
		      struct cl_error *reterr);
	int (*fd)(struct cl_tbuf *tbuf); /* readable when a buffer is half full */
	/*
	 * Gives what each pCPU has recorded since, in one piece or two, whole records; then it is
	 * Xen's again. -EBUSY: somebody else takes records, too.
	 */
	int (*read)(struct cl_tbuf *tbuf, cl_tbuf_take_fn take, void *ctx, struct cl_error *reterr);
	uint64_t (*hz)(const struct cl_tbuf *tbuf);    /* cycles a second */
	uint32_t (*pages)(const struct cl_tbuf *tbuf); /* of a pCPU's buffer */
	void (*close)(struct cl_tbuf *tbuf);           /* NULL is fine */
};

extern const struct cl_xen_tbuf cl_xen_tbuf;

#endif
