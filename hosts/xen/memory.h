/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: compare and set of what a domain's balloon leaves it (CL_CHANGE_MEMORY), as the toolstack
 * sets it: /local/domain/N/memory/target in xenstore, in KiB (docs/misc/xenstore-paths.pandoc). The
 * domain's kernel follows it as it can; its limit in Xen (xl's maxmem) stays as it is, so that undo
 * has one number to put back. Nobody but dom0 may write there. A domain without that node is taken
 * to have been asked for what it has.
 */
#ifndef CLOSER_XEN_MEMORY_H
#define CLOSER_XEN_MEMORY_H

#include <closer/host.h>

#include "xen/hyper.h"
#include "xen/store.h"

/* What it is set to, or has. */
int cl_xen_target(struct cl_store *store, const struct cl_hyper_domain *domain,
		  uint64_t deadline_ns, uint64_t *ret_bytes, struct cl_error *reterr);

/*
 * What a guest says that it uses, in KiB: memory/meminfo (Qubes' meminfo-writer: used), else what
 * data/meminfo_free (XenServer's guest agent: free) leaves of what Xen says that it has. Its word
 * alone: a number that is none, or more free than there is, is nothing. -ENOENT: it says nothing.
 */
int cl_xen_used(struct cl_store *store, const struct cl_hyper_domain *domain, uint64_t deadline_ns,
		uint64_t *ret_bytes, struct cl_error *reterr);

int cl_xen_memory_read(const struct cl_change *change, const struct cl_hyper_domain *domain,
		       struct cl_setting *ret_setting, struct cl_error *reterr);
int cl_xen_memory_apply(struct cl_hyper *hyper, const struct cl_change *change,
			struct cl_error *reterr);

#endif
