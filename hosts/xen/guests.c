/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domains that there are, from tick to tick. */
#include "xen/guests.h"

#include "lib.h"

#include <string.h>

struct cl_xen_guest *cl_xen_find(struct cl_xen *xen, uint32_t domid)
{
	uint32_t low = 0, high = xen->guest_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (xen->guests[middle].domain.domid < domid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == xen->guest_count || xen->guests[low].domain.domid != domid)
		return NULL;
	return &xen->guests[low];
}

/* A guest that moves to this same host has two domains of one uuid for a while, and a helper domain
 * may have none: these get one of their own until the other is gone. */
static void settle_ids(struct cl_xen *xen)
{
	static const struct cl_uuid none;

	for (uint32_t i = 0; i < xen->guest_count; i++) {
		struct cl_xen_guest *guest = &xen->guests[i];
		bool taken = cl_uuid_compare(&guest->domain.id, &none) == 0;

		for (uint32_t k = 0; k < i && !taken; k++)
			taken = cl_uuid_compare(&xen->guests[k].id, &guest->domain.id) == 0;
		guest->id = guest->domain.id;
		if (taken)
			cl_xen_own_id(&guest->domain.id, guest->domain.domid, &guest->id);
	}
}

static void drop(struct cl_xen *xen, struct cl_xen_guest *guest)
{
	for (uint32_t i = 0; i < guest->device_count; i++)
		cl_threads_own_interface(xen->threads, guest->devices[i].ifindex, CL_NONE);
	cl_threads_guest_gone(xen->threads, guest->domain.domid);
	cl_xen_forget_devices(guest);
	xen->rescan = true;
}

static void begin(struct cl_xen *xen, const struct cl_hyper_domain *domain,
		  struct cl_xen_guest *guest)
{
	*guest = (struct cl_xen_guest){ .domain = *domain,
					.dirty = true,
					.ix = { CL_NONE },
					.target_bytes = CL_UNKNOWN,
					.used_bytes = CL_UNKNOWN };
	xen->rescan = true;
}

int cl_xen_list_guests(struct cl_xen *xen, struct cl_error *reterr)
{
	const struct cl_hyper_domain *domains;
	uint32_t count, old = 0, n = 0;
	bool changed = false;
	int r = cl_hyper_domains(xen->hyper, &domains, &count, reterr);

	if (r < 0)
		return r;
	xen->dropped_guests = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (domains[i].domid == 0) {
			xen->dom0_vcpus = domains[i].vcpu_count;
			xen->dom0_pool = domains[i].cpupool;
			xen->dom0 = domains[i];
			continue;
		}
		/* A domain that dies has its memory left, but no work. */
		if (domains[i].dying || domains[i].domid >= CL_XEN_DOMIDS)
			continue;
		if (n == cl_limits_default.guests) {
			xen->dropped_guests++;
			continue;
		}
		while (old < xen->guest_count && xen->guests[old].domain.domid < domains[i].domid) {
			drop(xen, &xen->guests[old++]);
			changed = true;
		}
		struct cl_xen_guest *was = old < xen->guest_count ? &xen->guests[old] : NULL;

		if (was && was->domain.domid == domains[i].domid) {
			old++;
			if (cl_uuid_compare(&was->domain.id, &domains[i].id) == 0) {
				xen->guests_next[n] = *was;
				xen->guests_next[n++].domain = domains[i];
				continue;
			}
			drop(xen, was); /* the number is another's now */
		}
		begin(xen, &domains[i], &xen->guests_next[n++]);
		changed = true;
	}
	for (; old < xen->guest_count; old++) {
		drop(xen, &xen->guests[old]);
		changed = true;
	}
	struct cl_xen_guest *spare = xen->guests;

	xen->guests = xen->guests_next;
	xen->guests_next = spare;
	xen->guest_count = n;
	if (changed)
		settle_ids(xen);
	return 0;
}

void cl_xen_drop_guests(struct cl_xen *xen)
{
	for (uint32_t i = 0; i < xen->guest_count; i++)
		cl_xen_forget_devices(&xen->guests[i]);
	xen->guest_count = 0;
}

void cl_xen_stir(struct cl_xen *xen, uint32_t domid)
{
	struct cl_xen_guest *guest = cl_xen_find(xen, domid);

	if (guest)
		guest->dirty = true;
	xen->stirred = true;
	xen->rescan = true;
}
