/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much I/O each guest does: what its devices moved between two snapshots. */
#include "ledger.h"
#include "tick.h"

#include <string.h>

static uint64_t sum(uint64_t a, uint64_t b)
{
	return b < UINT64_MAX - a ? a + b : UINT64_MAX - 1;
}

static uint64_t growth(uint64_t before, uint64_t after)
{
	return before == CL_UNKNOWN || after == CL_UNKNOWN || after < before ? 0 : after - before;
}

/* Devices lie by guest, then name, in both snapshots. Below 0: a is before b. */
static int compare_device(const struct tick *tick, struct cl_guest_ix a, struct cl_text name_a,
			  struct cl_guest_ix b, struct cl_text name_b)
{
	bool none_a = a.v >= tick->prev->n.guests, none_b = b.v >= tick->now->n.guests;
	int order = none_a || none_b ? (int)none_a - (int)none_b
				     : cl_uuid_compare(&tick->prev->guests[a.v].id,
						       &tick->now->guests[b.v].id);

	return order ? order
		     : strcmp(cl_snapshot_str(tick->prev, name_a),
			      cl_snapshot_str(tick->now, name_b));
}

static void add_nics(const struct tick *tick, uint64_t *bytes)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;

	for (uint32_t i = 0, at = 0; i < now->n.nics; i++) {
		const struct cl_nic *nic = &now->nics[i];

		while (at < prev->n.nics &&
		       compare_device(tick, prev->nics[at].guest, prev->nics[at].name, nic->guest,
				      nic->name) < 0)
			at++;
		if (nic->guest.v >= now->n.guests || at == prev->n.nics ||
		    compare_device(tick, prev->nics[at].guest, prev->nics[at].name, nic->guest,
				   nic->name) != 0)
			continue;
		uint64_t *to = &bytes[nic->guest.v];

		*to = sum(*to, growth(prev->nics[at].rx_bytes, nic->rx_bytes));
		*to = sum(*to, growth(prev->nics[at].tx_bytes, nic->tx_bytes));
	}
}

static void add_disks(const struct tick *tick, uint64_t *bytes)
{
	const struct cl_snapshot *prev = tick->prev, *now = tick->now;

	for (uint32_t i = 0, at = 0; i < now->n.disks; i++) {
		const struct cl_disk *disk = &now->disks[i];

		while (at < prev->n.disks &&
		       compare_device(tick, prev->disks[at].guest, prev->disks[at].name,
				      disk->guest, disk->name) < 0)
			at++;
		if (disk->guest.v >= now->n.guests || at == prev->n.disks ||
		    compare_device(tick, prev->disks[at].guest, prev->disks[at].name, disk->guest,
				   disk->name) != 0)
			continue;
		uint64_t *to = &bytes[disk->guest.v];

		*to = sum(*to, growth(prev->disks[at].rd_bytes, disk->rd_bytes));
		*to = sum(*to, growth(prev->disks[at].wr_bytes, disk->wr_bytes));
	}
}

static void a_second(const struct tick *tick, uint64_t *bytes)
{
	for (uint32_t i = 0; i < tick->now->n.guests; i++)
		bytes[i] = mul_div(bytes[i], CL_NS_PER_S, tick->plan->books.span_ns, NULL);
}

void io_rates(const struct tick *tick, uint64_t *ret_rates)
{
	memset(ret_rates, 0, tick->now->n.guests * sizeof(*ret_rates));
	if (!tick->prev)
		return;
	add_nics(tick, ret_rates);
	add_disks(tick, ret_rates);
	a_second(tick, ret_rates);
}

void net_rates(const struct tick *tick, uint64_t *ret_rates, uint64_t *ret_nics)
{
	memset(ret_rates, 0, tick->now->n.guests * sizeof(*ret_rates));
	memset(ret_nics, 0, tick->now->n.guests * sizeof(*ret_nics));
	for (uint32_t i = 0; i < tick->now->n.nics; i++)
		if (tick->now->nics[i].guest.v < tick->now->n.guests)
			ret_nics[tick->now->nics[i].guest.v]++;
	if (!tick->prev)
		return;
	add_nics(tick, ret_rates);
	a_second(tick, ret_rates);
}
