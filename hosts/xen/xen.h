/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen: the host of a real Xen, seen from its dom0.
 *
 *   hypercalls (hyper.h) -> domains, vCPUs, where they run     }
 *   xenstore (store.h)   -> names, back ends, event channels   } -> snapshot; acting is linux.h's
 *   /proc                -> the back ends' threads, confirmed  }
 *
 * The host itself is a module, libcloser-xen.so, since libxenctrl's name changes with each Xen: a
 * closer that is linked to it would not start anywhere else. load.c in the main program opens it.
 */
#ifndef CLOSER_XEN_H
#define CLOSER_XEN_H

#include <closer/host.h>

extern const struct cl_host_ops cl_host_xen;

/* What a module and its program must agree on: a module left over from another build is refused. */
#define CL_XEN_MODULE_ABI    1u
#define CL_XEN_MODULE_SYMBOL "cl_xen_module"

struct cl_xen_module {
	uint32_t abi;
	uint32_t snapshot_bytes, ops_bytes, change_bytes;
	const char *version; /* of closer */
	const struct cl_host_ops *ops;
};

#endif
