/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which nodes each guest's pages lie, where that was asked for ("xen:pages"). Xen tells it only
 * in the dump of its debug key 'u', on its console, and walks all pages of all domains for it with
 * their allocation locks held: when a guest is new, then seldom, and never twice within PAUSE_NS.
 */
#include "xen/guests.h"
#include "xen/parse.h"

#include "lib.h"
#include "numa.h"

#include <string.h>

#define PAUSE_NS (60 * CL_NS_PER_S)
#define AGAIN_NS (15 * 60 * CL_NS_PER_S) /* balloons move pages */
#define PAGE     4096u

static struct cl_xen_guest *guest_of(struct cl_xen *xen, uint32_t domid)
{
	for (uint32_t i = 0; i < xen->guest_count; i++)
		if (xen->guests[i].domain.domid == domid)
			return &xen->guests[i];
	return NULL;
}

static void take(void *ctx, uint32_t domid, const uint64_t pages[CL_NODES_MAX])
{
	struct cl_xen *xen = ctx;
	struct cl_xen_guest *guest = guest_of(xen, domid);
	uint64_t bytes[CL_NODES_MAX];
	uint32_t most = 0;

	if (!guest)
		return;
	for (uint32_t i = 0; i < CL_NODES_MAX; i++) {
		bytes[i] = i < xen->machine.node_count ? pages[i] * PAGE : 0;
		if (bytes[i] > bytes[most])
			most = i;
	}
	guest->paged = cl_numa_nodes(bytes);
	guest->paged_most.v = bytes[most] > 0 ? most : CL_NONE;
	guest->paged_ns = xen->pages_ns;
}

/* One that is being made has not all of its memory before it has a device. */
static bool is_wanted(const struct cl_xen *xen, uint64_t now_ns)
{
	if (!xen->pages || (xen->pages_ns && now_ns - xen->pages_ns < PAUSE_NS))
		return false;
	for (uint32_t i = 0; i < xen->guest_count; i++) {
		const struct cl_xen_guest *guest = &xen->guests[i];

		if (guest->housed && (!guest->paged_ns || now_ns - guest->paged_ns > AGAIN_NS))
			return true;
	}
	return false;
}

void cl_xen_read_pages(struct cl_xen *xen)
{
	uint64_t now_ns = cl_clock_ns();
	const char *text;
	struct cl_error err;
	size_t len;
	uint32_t found;

	if (!is_wanted(xen, now_ns))
		return;
	xen->pages_ns = now_ns;
	if (cl_hyper_dump_pages(xen->hyper, &text, &len, &err) < 0) {
		snprintf(xen->pages_problem, sizeof(xen->pages_problem), "%s", err.text);
		return;
	}
	found = cl_xen_parse_pages(text, len, take, xen);
	/* Those that the console had no room for are asked for again at the next time. */
	snprintf(xen->pages_problem, sizeof(xen->pages_problem), "%s",
		 found ? ""
		       : "Xen's dump of its debug key u is not as known, or its console too small");
}
