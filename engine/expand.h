/* SPDX-License-Identifier: GPL-2.0-or-later */
/* expand: an action of a plan, made independent of its snapshot: what the journal keeps and a host
 * applies. */
#ifndef CLOSER_EXPAND_H
#define CLOSER_EXPAND_H

#include <closer/host.h>

/* What becomes of an action. */
enum cl_expanded {
	CL_EXPANDED_CHANGE, /* journalled, then applied */
	CL_EXPANDED_DROP,   /* a release: only the journal learns of it; the change names the object
			     */
	CL_EXPANDED_BAD, /* says nothing that could be done: values of the wrong kind, a path that
			    is too long */
};

/* Pure. The group and the masks are spelt out, the process is that of the object's guest. */
enum cl_expanded cl_expand(const struct cl_snapshot *now, const struct cl_plan *plan,
			   const struct cl_action *action, struct cl_change *ret_change);

#endif
