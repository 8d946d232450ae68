/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen: the host of a real Xen, seen from its dom0.
 *
 *   hypercalls (hyper.h) -> domains, vCPUs, where they run     }
 *   xenstore (store.h)   -> names, back ends, event channels   } -> snapshot; acting is linux.h's,
 *   /proc                -> the back ends' threads, confirmed  }    on domains' vCPUs vcpus.h's
 *
 * The host itself is a module, libcloser-xen.so, since libxenctrl's name changes with each Xen: a
 * closer that is linked to it would not start anywhere else. load.c in the main program opens it.
 */
#ifndef CLOSER_XEN_H
#define CLOSER_XEN_H

#include "xen/tbuf.h"

#include <closer/host.h>

extern const struct cl_host_ops cl_host_xen;

#define CL_XEN_DOC                                                                                 \
	"a Xen host, from its dom0: back ends of all guests; with pages, Xen is asked now and "    \
	"then on which nodes guests' pages lie, which stops their allocation meanwhile"

/* What a module and its program must agree on: a module left over from another build is refused. */
#define CL_XEN_MODULE_ABI    4u
#define CL_XEN_MODULE_SYMBOL "cl_xen_module"

/*
 * Domains alone (CL_CHANGE_VCPU, _CAP, _WEIGHT, _BUDGET, _MEMORY), as cl_host_ops has them: what
 * undo needs of Xen. No threads; xenstore for MEMORY alone.
 */
struct cl_hyper;
struct cl_xen_vcpus {
	int (*open)(struct cl_hyper **ret_hyper, struct cl_error *reterr);
	int (*read)(struct cl_hyper *hyper, const struct cl_change *change,
		    struct cl_setting *ret_setting, struct cl_error *reterr);
	int (*apply)(struct cl_hyper *hyper, const struct cl_change *change,
		     struct cl_error *reterr);
	void (*close)(struct cl_hyper *hyper); /* NULL is fine */
};
/* Loads the module; what is given stays valid. */
int cl_xen_vcpus_load(const struct cl_xen_vcpus **ret_vcpus, struct cl_error *reterr);
/* The same for Xen's trace. */
int cl_xen_tbuf_load(const struct cl_xen_tbuf **ret_tbuf, struct cl_error *reterr);

struct cl_xen_module {
	uint32_t abi;
	uint32_t snapshot_bytes, ops_bytes, change_bytes;
	const char *version; /* of closer */
	const struct cl_host_ops *ops;
	struct cl_xen_vcpus vcpus;
	const struct cl_xen_tbuf *tbuf;
};

#endif
