/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view: a simulated host as closer sees one, and as it changes one.
 *
 *   sim_view_fill(world) -> snapshot        sim_view_apply(change) -> world
 *
 * What the snapshot of a Xen host holds, this one holds; all of it is known at once and is exact.
 */
#ifndef CLOSER_SIM_VIEW_H
#define CLOSER_SIM_VIEW_H

#include "io.h"

#include <closer/host.h>

struct sim_view {
	struct sim_world *world;
	uint32_t *
		scratch; /* for cl_snapshot_sort; as many as the snapshot's guests, works, groups */
};

/* The device behind it, as the host sees it: one for each. */
uint64_t sim_vbd_device(const struct sim_domain *guest, const struct sim_vbd *vbd);
/* Runs in the snapshot are since the last fill. */
void sim_view_fill(struct sim_view *view, struct cl_snapshot *snap);
/* As cl_host_ops' read and apply. */
int sim_view_read(struct sim_view *view, const struct cl_change *change,
		  struct cl_setting *ret_setting, struct cl_error *reterr);
int sim_view_apply(struct sim_view *view, const struct cl_change *change, struct cl_error *reterr);

#endif
