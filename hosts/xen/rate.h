/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rate: how much netback takes from its guest (CL_CHANGE_RATE): the key `rate` of the device's back
 * end in xenstore, "bytes,usec", which Linux's xen-netback watches. What is too much stays in the
 * guest's ring. Each queue of the device has that rate to itself.
 *
 * No key is no limit, and undo makes it so again. The domain is known by its number and by the uuid
 * that the toolstack wrote for it. Only dom0 can write these paths.
 */
#ifndef CLOSER_XEN_RATE_H
#define CLOSER_XEN_RATE_H

#include <closer/host.h>

#include "xen/store.h"

/* As cl_host_ops. -ESRCH: the domain is gone, or another has its number; -ENOENT: no such device.
 */
int cl_xen_rate_read(struct cl_store *store, const struct cl_change *change,
		     struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_xen_rate_apply(struct cl_store *store, const struct cl_change *change,
		      struct cl_error *reterr);
/* "bytes,usec"; false: it is not, and no limit for netback. Pure, fuzzed. */
bool cl_xen_parse_rate(const char *text, struct cl_setting *ret_setting);

#endif
