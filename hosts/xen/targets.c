/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains' memory in the snapshot: what their balloons are set to, and who else sets that. */
#include "xen/guests.h"
#include "xen/memory.h"

#include "lib.h"

#include <string.h>

#define ANSWER_NS (2 * CL_NS_PER_S)
#define SOME      64u /* guests whose targets are read in one observation */

bool cl_xen_moves_memory(const char *comm)
{
	return strcmp(comm, "qmemman") == 0 || strcmp(comm, "squeezed") == 0;
}

static void take_target(struct cl_xen *xen, const struct cl_hyper_domain *domain,
			uint64_t deadline_ns, uint64_t *target)
{
	struct cl_error err;

	if (cl_xen_target(&xen->store, domain, deadline_ns, target, &err) < 0)
		*target = CL_UNKNOWN;
}

void cl_xen_read_targets(struct cl_xen *xen, uint64_t deadline_ns)
{
	uint32_t n = xen->guest_count < SOME ? xen->guest_count : SOME;
	struct cl_error err;

	take_target(xen, &xen->dom0, deadline_ns, &xen->dom0_target_bytes);
	for (uint32_t i = 0; i < n && xen->store.fd >= 0 && cl_clock_ns() < deadline_ns; i++) {
		struct cl_xen_guest *guest;

		xen->target_next = xen->target_next < xen->guest_count ? xen->target_next : 0;
		guest = &xen->guests[xen->target_next++];
		take_target(xen, &guest->domain, deadline_ns, &guest->target_bytes);
		if (cl_xen_used(&xen->store, &guest->domain, deadline_ns, &guest->used_bytes,
				&err) < 0)
			guest->used_bytes = CL_UNKNOWN;
	}
}

void cl_xen_targeted(struct cl_xen *xen, const struct cl_change *change)
{
	struct cl_xen_guest *guest = change->domid ? cl_xen_find(xen, change->domid) : NULL;
	uint64_t deadline_ns = cl_clock_ns() + ANSWER_NS;

	if (guest)
		take_target(xen, &guest->domain, deadline_ns, &guest->target_bytes);
}

void cl_xen_fill_memory(struct cl_xen *xen, struct cl_snapshot *snap)
{
	struct cl_memory *memory = &snap->memory;
	char why[128];

	memory->bytes = xen->dom0.mem_bytes;
	memory->max_bytes = xen->dom0.mem_max_bytes;
	memory->target_bytes = xen->dom0_target_bytes;
	if (cl_hyper_claimed(xen->hyper, &memory->claimed_bytes) < 0)
		memory->claimed_bytes = CL_UNKNOWN;
	if (!xen->manager[0]) {
		snap->can |= UINT32_C(1) << CL_CAN_MEMORY;
		return;
	}
	snprintf(why, sizeof(why), "%s moves domains' memory here, and is left in charge of it",
		 xen->manager);
	snap->why_not[CL_CAN_MEMORY] = cl_snapshot_text(snap, why);
}
