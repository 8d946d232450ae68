/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpus: compare and set of a domain's vCPU: the physical CPUs that it may be on (hard affinity);
 * and of a domain's cap, weight or budget (entitle.h), or what its balloon leaves it (memory.h).
 *
 * The domain is known by its number and its uuid, as the snapshot showed it; a number that is
 * another's by now is -ESRCH, and so is a domain that dies. -EINVAL: none of the physical CPUs is
 * in its cpupool.
 */
#ifndef CLOSER_XEN_VCPUS_H
#define CLOSER_XEN_VCPUS_H

#include <closer/host.h>

#include "xen/hyper.h"

/* Is the domain with this number still the one that the change means? -ESRCH: no. */
int cl_xen_find_domain(struct cl_hyper *hyper, const struct cl_change *change,
		       struct cl_hyper_domain *ret_domain, struct cl_error *reterr);

int cl_xen_vcpu_read(struct cl_hyper *hyper, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_xen_vcpu_apply(struct cl_hyper *hyper, const struct cl_change *change,
		      struct cl_error *reterr);

#endif
