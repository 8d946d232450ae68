/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * entitle: compare and set of what a domain is entitled to, in the terms of its cpupool's
 * scheduler: cap (ppm of a CPU) and weight under credit and credit2, budget (ns of each period, of
 * every vCPU) under RTDS. -ENOENT: its scheduler has no such thing, or its vCPUs have several.
 */
#ifndef CLOSER_XEN_ENTITLE_H
#define CLOSER_XEN_ENTITLE_H

#include <closer/host.h>

#include "xen/hyper.h"

int cl_xen_entitlement_read(struct cl_hyper *hyper, const struct cl_change *change,
			    const struct cl_hyper_domain *domain, struct cl_setting *ret_setting,
			    struct cl_error *reterr);
int cl_xen_entitlement_apply(struct cl_hyper *hyper, const struct cl_change *change,
			     struct cl_error *reterr);

#endif
